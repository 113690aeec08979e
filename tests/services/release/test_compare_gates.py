"""Evidence and budget: what is on record of a version, what it takes to score, and what is missing of it."""

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from conftest import DAY, DEFINITION, Spare, Store, World, make_pipeline
from fielded.decisions.release.acts import Candidate, Pinned
from fielded.decisions.release.findings import Finding
from fielded.decisions.release.provenance import Recorded
from fielded.decisions.routing import Routing
from fielded.decisions.scoring import Scorer
from fielded.definition.release import BudgetGate, EvidenceGate
from fielded.services.approve import approved_digest
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.budget import budget_findings, latency, measured_memory
from fielded.services.release.evidence import evidence_findings, same_through_every_path
from fielded.services.release.sign import sign, signed_documents
from fielded.words.errors import Unreachable, WrongUse
from fielded.world import loading_memory as memory
from fielded.world.provenance import content_of, content_of_version, log_training_data, recorded_training_data
from fielded.world.registry import RegisteredVersion

GATE = EvidenceGate(documents=("model_card",), provenance=False)


def asked(spare: Spare, gate: EvidenceGate = GATE, version: str = "2") -> dict[str, Finding]:
    workplace = spare.open()
    model = RegisteredVersion(spare.model, version)
    pinned = Pinned(version, approved_digest(workplace.ledger, model))
    scorer = Scorers(workplace).get(model, pinned.sha256)
    found = evidence_findings(
        workplace, gate, candidate(pinned), scorer, recorded_training_data(spare.site, model)
    )
    return {one.item: one for one in found}


def candidate(pinned: Pinned) -> Candidate:
    return Candidate(
        pinned=pinned, proposed_by="os:proposer", proposed_at=datetime(2026, 3, 1, tzinfo=UTC), why=""
    )


class TestEvidence:
    def test_files_signature_and_example_pass_for_a_version_as_it_should_be(self, spare: Spare) -> None:
        found = asked(spare)
        assert {found[item].outcome for item in ("artifact", "signature", "input_example")} == {"passed"}
        assert found["input_example"].numbers == {"rows": 20.0, "apart": 0.0, "alone": 0.0}

    def test_changed_files_fail_with_both_digests(self, spare: Spare) -> None:
        before = asked(spare)["artifact"].got
        (spare.files["2"] / "note.txt").write_text("x")
        artifact = asked(spare)["artifact"]
        assert artifact.outcome == "failed"
        assert before in artifact.expected
        assert artifact.got != before

    def test_files_that_are_gone_are_not_enough_evidence(self, spare: Spare) -> None:
        asked(spare)
        spare.files["2"].rename(spare.files["2"].with_name("elsewhere"))
        artifact = asked(spare)["artifact"]
        assert artifact.outcome == "not enough evidence"
        assert artifact.step

    def test_a_model_that_scores_live_rows_otherwise_fails(self) -> None:
        calls = itertools.count()

        def unsteady(batch: pa.RecordBatch) -> np.ndarray:
            return np.full(batch.num_rows, 0.5 + 1e-12 * next(calls))

        found = same_through_every_path(scorer_of(unsteady))
        assert found.outcome == "failed"
        assert "apart" in found.got

    def test_without_an_example_nothing_is_shown(self) -> None:
        found = same_through_every_path(
            replace(scorer_of(lambda batch: np.zeros(batch.num_rows)), background=None)
        )
        assert found.outcome == "not enough evidence"

    def test_a_document_counts_until_its_last_day_and_no_longer(self, spare: Spare) -> None:
        spare.define(DEFINITION + "release:\n  gates:\n    evidence: {documents: [model_card]}\n")
        (spare.folder / "card.md").write_text("# card")
        assert asked(spare)["model_card"].outcome == "not enough evidence"
        sign(spare.open("os:signer"), "model_card", spare.folder / "card.md", DAY)
        assert asked(spare)["model_card"].outcome == "passed"
        workplace = spare.open()
        late = replace(workplace, clock=lambda: workplace.clock() + timedelta(days=1))
        model = RegisteredVersion(spare.model, "2")
        pinned = Pinned("2", approved_digest(workplace.ledger, model))
        scorer = Scorers(workplace).get(model, pinned.sha256)
        found = {one.item: one for one in evidence_findings(late, GATE, candidate(pinned), scorer, Recorded())}
        assert found["model_card"].outcome == "failed"
        assert "signed by os:signer until 2026-03-02" in found["model_card"].got

    def test_the_proposer_does_not_vouch_for_the_version(self, spare: Spare) -> None:
        spare.define(DEFINITION + "release:\n  gates:\n    evidence: {documents: [model_card]}\n")
        (spare.folder / "card.md").write_text("# card")
        sign(spare.open("os:proposer"), "model_card", spare.folder / "card.md", DAY)
        card = asked(spare)["model_card"]
        assert card.outcome == "failed"
        assert "somebody other than os:proposer" in card.expected
        sign(spare.open("os:signer"), "model_card", spare.folder / "card.md", DAY)
        assert asked(spare)["model_card"].outcome == "passed"

    def test_the_last_signature_of_a_document_counts(self, spare: Spare) -> None:
        spare.define(DEFINITION + "release:\n  gates:\n    evidence: {documents: [model_card]}\n")
        for text in ("# one", "# two"):
            (spare.folder / "card.md").write_text(text)
            last = sign(spare.open(), "model_card", spare.folder / "card.md", DAY)
        assert signed_documents(spare.open())["model_card"].sha256 == last.sha256

    @pytest.mark.parametrize(("content", "told"), [(None, "cannot be read"), (b"", "an empty file")])
    def test_a_file_that_is_no_document_is_not_signed(
        self, spare: Spare, content: bytes | None, told: str
    ) -> None:
        spare.define(DEFINITION + "release:\n  gates:\n    evidence: {documents: [model_card]}\n")
        if content is not None:
            (spare.folder / "card.md").write_bytes(content)
        with pytest.raises(WrongUse, match=told):
            sign(spare.open(), "model_card", spare.folder / "card.md", DAY)

    def test_training_data_that_nobody_logged_is_asked_for_piece_by_piece(self, spare: Spare) -> None:
        found = asked(spare, EvidenceGate())
        missing = {item for item, one in found.items() if one.outcome == "not enough evidence"}
        names = ("dataset", "tables", "rows", "content_sha256", "period")
        assert missing == {f"training_data.{name}" for name in names}


class TestTrainingData:
    def logged(self, store: Store, tables: dict[str, int]) -> str:
        experiment = store.client.get_experiment_by_name("tests")
        run = store.client.create_run(experiment.experiment_id)
        rows = content_of([pa.table({"x": [1, 2, 3]})])
        log_training_data(store.client, run.info.run_id, rows, tables=tables, period=(date(2024, 1, 1), DAY))
        return str(run.info.run_id)

    def test_what_is_logged_is_read_back_from_the_version_of_that_run(self, world: World) -> None:
        store = world.store
        run_id = self.logged(store, {"silver.orders": 4, "reference.ships": 1})
        store.client.create_registered_model("with_run")
        made = store.client.create_model_version("with_run", "file:///nowhere", run_id=run_id)
        recorded = recorded_training_data(world.site, RegisteredVersion("with_run", made.version))
        assert [name for name, _ in recorded.datasets] == ["silver.orders@4", "reference.ships@1"]
        assert recorded.texts is not None
        assert recorded.texts["fielded.training.tables"] == "silver.orders@4, reference.ships@1"
        assert recorded.last_day == DAY

    def test_it_cannot_be_changed_afterwards(self, store: Store, logged: str) -> None:
        assert logged
        run_id = self.logged(store, {"silver.orders": 4})
        with pytest.raises(mlflow.exceptions.MlflowException):
            store.client.log_param(run_id, "fielded.training.rows", "9999")

    def test_a_tag_is_no_record_for_anybody_can_change_it(self, world: World) -> None:
        store = world.store
        run = store.client.create_run(store.client.get_experiment_by_name("tests").experiment_id)
        store.client.set_tag(run.info.run_id, "fielded.training.to", "2020-01-01")
        store.client.create_registered_model("with_tag")
        made = store.client.create_model_version("with_tag", "file:///nowhere", run_id=run.info.run_id)
        recorded = recorded_training_data(world.site, RegisteredVersion("with_tag", made.version))
        assert recorded.texts == {}
        assert recorded.last_day is None

    def test_a_table_is_digested_at_the_version_that_is_meant(self, world: World) -> None:
        world.write("silver.small", pa.table({"x": [1, 2]}))
        tables = world.open().tables
        before = content_of_version(tables.open("silver.small"))
        pinned = tables.open("silver.small")
        world.write("silver.small", pa.table({"x": [3]}), mode="append")
        assert content_of_version(pinned) == before == content_of([pa.table({"x": [2, 1]})])
        assert content_of_version(tables.open("silver.small")).rows == 3

    @pytest.mark.parametrize(
        ("rows", "tables", "last"), [(0, {"a": 1}, DAY), (3, {}, DAY), (3, {"a": 1}, date(2000, 1, 1))]
    )
    def test_what_says_nothing_is_not_logged(
        self, store: Store, logged: str, rows: int, tables: dict[str, int], last: date
    ) -> None:
        assert logged
        content = content_of([pa.table({"x": pa.array(range(rows), pa.int64())})])
        with pytest.raises(WrongUse, match="training data"):
            log_training_data(store.client, "none", content, tables=tables, period=(date(2024, 1, 1), last))

    def test_a_version_whose_run_was_never_there_says_so(self, spare: Spare) -> None:
        recorded = recorded_training_data(spare.site, RegisteredVersion(spare.model, "1"))
        assert recorded.lacking == "a version without a run"
        assert recorded.last_day is None


def scorer_of(predict: object) -> Scorer:
    example = pa.RecordBatch.from_pydict({"hours": [1.0, 2.0, 3.0]})
    return Scorer(
        model_name="m", model_version="1", artifact_sha256="0" * 64, definition_sha256="1" * 64,
        routing=Routing(threshold=0.5, band=(0.4, 0.6)), predict=predict, background=example,
    )  # fmt: skip


class Watch:
    """A monotonic clock that a model moves by what it pretends to take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def slow() -> tuple[Scorer, Watch]:
    """Takes 2 ms a call and 0.1 ms a row."""
    watch = Watch()

    def predict(batch: pa.RecordBatch) -> np.ndarray:
        watch.now += 0.002 + 0.0001 * batch.num_rows
        return np.full(batch.num_rows, 0.5)

    return scorer_of(predict), watch


class TestBudget:
    def test_time_is_measured_alone_and_together(self, slow: tuple[Scorer, Watch]) -> None:
        scorer, watch = slow
        took = latency(scorer, scorer.background, watch)
        assert took.alone == pytest.approx(2.1)
        assert took.alone_95 == pytest.approx(2.1)
        assert took.together == pytest.approx((2 + 6.4) / 64)

    @pytest.mark.parametrize(("budget", "outcome"), [(2.2, "passed"), (2.0, "failed")])
    def test_a_row_alone_is_held_against_the_budget(
        self, slow: tuple[Scorer, Watch], budget: float, outcome: str
    ) -> None:
        scorer, watch = slow
        gate = BudgetGate(row_milliseconds=budget, memory_mib=100)
        timed, kept = budget_findings(gate, scorer, scorer.background, watch, 50.0)
        assert timed.outcome == outcome
        assert timed.numbers["alone_95"] == pytest.approx(2.1)
        assert bool(timed.step) == (outcome == "failed")
        assert kept.outcome == "passed"

    @pytest.mark.parametrize(
        ("mib", "outcome"), [(99.9, "passed"), (100.1, "failed"), (None, "not enough evidence")]
    )
    def test_memory_is_held_against_the_budget(
        self, slow: tuple[Scorer, Watch], mib: float | None, outcome: str
    ) -> None:
        scorer, watch = slow
        gate = BudgetGate(row_milliseconds=10, memory_mib=100)
        assert budget_findings(gate, scorer, scorer.background, watch, mib)[1].outcome == outcome

    def test_a_machine_that_is_busy_for_a_while_stops_nobody(self) -> None:
        watch, calls = Watch(), itertools.count()

        def hindered(batch: pa.RecordBatch) -> np.ndarray:
            watch.now += 0.002 if next(calls) > 250 else 0.02
            return np.full(batch.num_rows, 0.5)

        scorer = scorer_of(hindered)
        timed = budget_findings(
            BudgetGate(row_milliseconds=5, memory_mib=100), scorer, scorer.background, watch, 50.0
        )[0]
        assert timed.outcome == "passed"
        assert timed.got.endswith("the least of 2 rounds")
        assert timed.numbers["alone_95"] == pytest.approx(2)

    def test_without_rows_there_is_no_time(self, slow: tuple[Scorer, Watch]) -> None:
        scorer, watch = slow
        none = scorer.background.slice(0, 0)
        gate = BudgetGate(row_milliseconds=10, memory_mib=100)
        assert budget_findings(gate, scorer, none, watch, 1.0)[0].outcome == "not enough evidence"

    def test_a_model_that_holds_much_takes_that_much_more_to_load(
        self, store: Store, world: World, tmp_path: Path
    ) -> None:
        _, frame = make_pipeline(0, 400_000)
        whole = frame.fillna(0)
        encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        columns = ColumnTransformer([("kind", encode, ["kind"])], remainder="passthrough")
        neighbours = KNeighborsClassifier(3, algorithm="brute")  # keeps every row: 5 columns of 8 bytes
        fitted = Pipeline([("columns", columns), ("model", neighbours)]).fit(
            frame.fillna(0), frame.kind == "engine"
        )
        store.log("neighbours", sk_model=fitted, input_example=whole.head(20))
        ref = world.open().deployment.model
        taken = []
        for name, version in ((world.model, "2"), ("neighbours", "1")):
            folder = tmp_path / name
            world.open().registry.download(RegisteredVersion(name, version), folder)
            taken.append(memory.loading_memory(folder, ref))
        small, large = taken
        assert small is not None
        assert large is not None
        assert large - small > 400_000 * 5 * 8 / 2**20 * 0.9

    def test_a_folder_that_is_no_model_cannot_be_measured(self, world: World, tmp_path: Path) -> None:
        ref = world.open().deployment.model
        with pytest.raises(Unreachable, match="process of its own"):
            memory.loading_memory(tmp_path / "nothing", ref)
        assert measured_memory(tmp_path / "nothing", ref) is None
