"""Live and batch scores of one subject side by side, over real tables and journals."""

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from books import PREDICTIONS, read
from conftest import DAY, DEFINITION, FEATURES, Spare, Ticking, World, make_orders
from fielded.decisions.discrepancies import COMPARED, Discrepancy
from fielded.decisions.rows import predictions_schema
from fielded.doors.cli.audit import app
from fielded.services import discrepancies as service
from fielded.services.audit import open_books
from fielded.services.discrepancies import find_discrepancies
from fielded.services.drain import drain
from fielded.services.score_day import score_day
from fielded.services.score_live import LiveRequest, LiveRow
from fielded.words.errors import Unreachable
from fielded.world.latest_scores import Days, ScoreSource, latest_pairs
from live import ask, serving

CHANCE = random.Random(5)


def found(world: World, limit: float = 0.05, days: Days = Days()) -> list[Discrepancy]:  # noqa: B008 - frozen
    books = open_books(world.site, "overrun", CHANCE.randbytes)
    return list(find_discrepancies(books, world.site, limit, days))


def batch_rows(world: World, day: date = DAY, rows: int = 40) -> dict[str, dict[str, Any]]:
    """Score a day; subject -> its ledger row."""
    world.write("silver.orders", make_orders(rows))
    score_day(*world.scorers(), day)
    return {row["subject"]: row for row in read(world, PREDICTIONS) if row["scored_date"] == day}


def live(world: World, asked: Mapping[str, Mapping[str, Any]]) -> None:
    """Score subjects with features over the API's own path."""
    rows = tuple(LiveRow(subject, tuple(values[name] for name in FEATURES)) for subject, values in asked.items())
    with serving(world) as (process, told):
        ask(
            process.scoring,
            told,
            [LiveRequest(rows=rows, requested_by="oidc:analyst", client_address=None, ticket="t")],
        )
        assert not isinstance(told.of("t"), Exception)


def the_same(rows: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {subject: row["features"] for subject, row in rows.items()}


def changed(features: Mapping[str, Any]) -> dict[str, Any]:
    return {**features, "hours": 400.0 if features["hours"] < 100 else 0.0}


class TestWhatIsListed:
    def test_the_same_version_and_features_give_nothing(self, world: World) -> None:
        live(world, the_same(batch_rows(world)))
        assert found(world, 0.0) == []
        drain(world.open())
        assert found(world, 0.0) == []

    @pytest.mark.parametrize("drained", [False, True])
    def test_other_features_are_named_with_both_values(self, world: World, *, drained: bool) -> None:
        rows = batch_rows(world)
        first, *rest = sorted(rows)
        live(world, {first: changed(rows[first]["features"]), **the_same({name: rows[name] for name in rest})})
        if drained:
            assert drain(world.open()).rows == len(rows)
        (item,) = found(world, 0.0)
        batch = rows[first]
        assert (item.subject, item.reasons) == (first, ("other features",))
        assert set(item.features) == {"hours"}
        assert item.features["hours"] == (changed(batch["features"])["hours"], batch["features"]["hours"])
        assert (item.batch.request_id, item.batch.score) == (batch["request_id"], batch["score"])
        assert item.batch.scored_at == batch["scored_at"]
        assert item.live.request_id != item.batch.request_id
        assert item.apart == abs(item.live.score - batch["score"]) > 0

    def test_a_row_that_is_drained_but_not_yet_trimmed_is_one_row(self, world: World) -> None:
        rows = batch_rows(world, rows=3)
        live(world, {name: changed(row["features"]) for name, row in rows.items()})
        workplace = world.open()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(workplace.journals), "trim", lambda *_: None)
            drain(workplace)
        assert [backlog.rows for backlog in workplace.journals.backlogs()] == [3]
        assert sorted(item.subject for item in found(world, 0.0)) == sorted(rows)

    def test_another_version_is_named(self, spare: Spare) -> None:
        rows = batch_rows(spare)
        spare.store.client.set_registered_model_alias(spare.model, "production", "1")
        live(spare, the_same(rows))
        listed = found(spare, 0.0)
        assert len(listed) > len(rows) / 2
        assert {(item.reasons, item.live.model_version, item.batch.model_version) for item in listed} == {
            (("other version",), "1", "2")
        }
        assert [item.apart for item in listed] == sorted((item.apart for item in listed), reverse=True)
        limit = sorted(item.apart for item in listed)[len(listed) // 2]
        assert {item.subject for item in found(spare, limit)} == {
            item.subject for item in listed if item.apart > limit
        }

    def test_another_threshold_that_turns_a_decision_is_listed_though_the_score_is_one(self, world: World) -> None:
        rows = batch_rows(world, rows=200)
        world.define(
            DEFINITION.replace("threshold: 0.65", "threshold: 0.3").replace("[0.55, 0.75]", "[0.3, 0.31]")
        )
        live(world, the_same(rows))
        turned = {name for name, row in rows.items() if row["score"] >= 0.3 and row["decision"] != "flagged"}
        listed = found(world, 1.0)
        assert {item.subject for item in listed} == turned
        assert turned
        assert {item.reasons for item in listed} == {("other definition",)}
        assert {(item.apart, item.live.threshold, item.batch.threshold) for item in listed} == {(0.0, 0.3, 0.65)}

    def test_an_altered_score_has_neither_reason(self, world: World) -> None:
        """Somebody who writes to the table past the ledger."""
        rows = batch_rows(world, rows=4)
        live(world, the_same(rows))
        drain(world.open())
        row = next(row for row in read(world, PREDICTIONS) if row["channel"] == "api")
        later = {**row, "score": row["score"] / 2, "scored_at": row["scored_at"] + timedelta(hours=1)}
        folder = Path(world.site.root).joinpath(*PREDICTIONS.split("."))
        schema = predictions_schema(world.open().deployment.features)
        write_deltalake(folder, pa.Table.from_pylist([later], schema=schema), mode="append")
        (item,) = found(world, 0.0)
        assert (item.subject, item.reasons, item.features) == (row["subject"], ("neither",), {})


class TestWhichScoresAreCompared:
    def test_the_latest_live_one(self, world: World) -> None:
        rows = batch_rows(world, rows=2)
        subject, other = sorted(rows)
        live(world, {subject: changed(rows[subject]["features"]), other: rows[other]["features"]})
        drain(world.open())
        # An hour later, and it waits in the journal: the first is set right, the second goes wrong.
        with later(timedelta(hours=1)):
            live(world, {subject: rows[subject]["features"], other: changed(rows[other]["features"])})
        assert [item.subject for item in found(world, 0.0)] == [other]

    def test_the_batch_score_of_the_latest_day_not_of_a_later_back_fill(self, world: World) -> None:
        rows = batch_rows(world, rows=5)
        live(world, the_same(rows))
        orders = make_orders(5).set_column(2, "hours", pa.array([400.0] * 5))
        world.write("silver.orders", orders.set_column(6, "opened_on", pa.array([DAY - timedelta(days=9)] * 5)))
        with later(timedelta(hours=2)):
            score_day(*world.scorers(), DAY - timedelta(days=3))
        assert found(world, 0.0) == []
        with later(timedelta(hours=3)):
            score_day(*world.scorers(), DAY)  # of the same day, and later: this one stands
        assert {item.subject for item in found(world, 0.0)} == set(rows)

    def test_only_of_the_days_asked_for(self, world: World) -> None:
        rows = batch_rows(world, rows=3)
        live(world, {name: changed(row["features"]) for name, row in rows.items()})
        drain(world.open())
        next_day = DAY + timedelta(days=1)
        with later(timedelta(days=1)):
            live(world, {name: changed(row["features"]) for name, row in rows.items()})  # of the next day: waits
        assert len(found(world, 0.0, Days(DAY, DAY))) == 3
        assert len(found(world, 0.0, Days(DAY))) == 3
        assert found(world, 0.0, Days(next_day, next_day)) == []  # without a batch score
        assert found(world, 0.0, Days(None, DAY - timedelta(days=1))) == []
        (item, *_) = found(world, 0.0)
        assert item.live.scored_date == next_day
        assert found(world, 0.0, Days(None, DAY))[0].live.scored_date == DAY

    def test_subjects_with_one_of_the_two_are_left_out(self, world: World) -> None:
        rows = batch_rows(world, rows=3)
        some = next(iter(rows.values()))["features"]
        live(world, {"WO-of-nobody": some})
        assert found(world, 0.0) == []

    def test_a_feature_that_only_the_journals_rows_have_is_a_difference(self, world: World) -> None:
        """The definition grew, and nothing was written to the ledger since."""
        rows = batch_rows(world, rows=2)
        live(world, the_same(rows))
        source = books_of(world)
        grown = replace(source, journals=_Grown(source.journals))
        pairs = [pair for batch in latest_pairs(grown, COMPARED, Days()) for pair in batch.to_pylist()]
        assert {pair["subject"] for pair in pairs} == set(rows)
        assert sorted(pair["live"]["features"]["crew"] or 0 for pair in pairs) == [0, 7]
        for pair in pairs:
            live_features, batch_features = pair["live"]["features"], pair["batch"]["features"]
            assert (
                {**live_features, "crew": None}
                == batch_features
                == {**the_same(rows)[pair["subject"]], "crew": None}
            )


def books_of(world: World) -> ScoreSource:
    books = open_books(world.site, "overrun", CHANCE.randbytes)
    return ScoreSource(books.tables, books.predictions, books.journals, world.site)


class _Grown:
    """The journals as a process with one feature more would have filled them."""

    def __init__(self, journals: Any) -> None:
        self._journals = journals

    def backlogs(self) -> Any:
        return self._journals.backlogs()

    def read(self, journal: str, after: int) -> Iterator[pa.RecordBatch]:
        for batch in self._journals.read(journal, after):
            newer = batch.slice(1)
            features = newer.column("features")
            more = pa.StructArray.from_arrays(
                [*features.flatten(), pa.array([7] * len(features))],
                names=[*(field.name for field in features.type), "crew"],
            )
            yield batch.slice(0, 1)  # rows of both kinds wait
            yield newer.set_column(batch.schema.get_field_index("features"), "features", more)


@contextmanager
def later(by: timedelta) -> Iterator[None]:
    """Workplaces opened within have a clock that is ahead."""
    start = Ticking()() + by
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("conftest.Ticking", lambda: Ticking(start))
        yield


class TestInBounds:
    def test_nothing_was_scored_yet(self, world: World) -> None:
        assert found(world) == []

    def test_more_than_fit_are_given_all_the_same(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = batch_rows(world, rows=30)
        live(world, {name: changed(row["features"]) for name, row in rows.items()})
        everything = {item.subject for item in found(world, 0.0)}
        monkeypatch.setattr(service, "_SORTED", 4)
        some = list(found(world, 0.0))
        assert {item.subject for item in some} == everything
        assert [item.apart for item in some[:4]] == sorted((item.apart for item in some[:4]), reverse=True)

    def test_nothing_is_left_behind_and_nothing_of_the_tables_changes(self, world: World) -> None:
        rows = batch_rows(world, rows=3)
        live(world, the_same(rows))
        before = {path: path.stat().st_mtime_ns for path in Path(world.site.root).rglob("*")}
        assert found(world) == []
        assert {path: path.stat().st_mtime_ns for path in Path(world.site.root).rglob("*")} == before
        assert list((world.site.cache / "spill").glob("pairs-*")) == []

    def test_a_table_that_cannot_be_read_is_named_without_a_value(self, world: World) -> None:
        batch_rows(world, rows=3)
        for path in Path(world.site.root).joinpath(*PREDICTIONS.split(".")).rglob("*.parquet"):
            path.write_bytes(b"PAR1 confidential PAR1")
        with pytest.raises(Unreachable, match=PREDICTIONS) as caught:
            found(world)
        assert "confidential" not in str(caught.value)


class TestTheCommand:
    def call(self, world: World, *arguments: str) -> tuple[int, str]:
        options = ["discrepancies", "-d", str(world.folder), *arguments]
        answer = CliRunner().invoke(app, options, env=world.environment(), catch_exceptions=False)
        return answer.exit_code, answer.stdout

    def test_without_any_it_says_so(self, world: World) -> None:
        live(world, the_same(batch_rows(world, rows=3)))
        code, text = self.call(world)
        assert (code, text) == (
            0, "No subjects whose latest live and batch scores do not fit together (limit 0.05).\n",
        )  # fmt: skip
        assert self.call(world, "--json") == (0, "[]\n")

    def test_with_some_it_ends_with_1_and_shows_both_sides(self, world: World) -> None:
        rows = batch_rows(world, rows=3)
        live(world, {name: changed(row["features"]) for name, row in rows.items()})
        expected = found(world, 0.0)
        code, text = self.call(world, "--limit", "0", "--json", "--on", DAY.isoformat())
        assert code == 1
        listed = json.loads(text)
        assert [item["subject"] for item in listed] == [item.subject for item in expected]
        for item, wanted in zip(listed, expected, strict=True):
            assert (item["live"]["score"], item["batch"]["score"]) == (wanted.live.score, wanted.batch.score)
            assert item["batch"]["request_id"] == rows[item["subject"]]["request_id"]
            assert item["batch"]["scored_at"] == rows[item["subject"]]["scored_at"].isoformat()
            assert item["features"] == {
                "hours": {"live": wanted.features["hours"][0], "batch": wanted.features["hours"][1]}
            }
            assert item["reasons"] == ["other features"]
        code, text = self.call(world, "--limit", "0", "--since", DAY.isoformat())
        assert code == 1
        for item in expected:
            for part in (item.subject, item.live.request_id, item.batch.request_id, "version 2"):
                assert part in text
        assert text.splitlines()[-1].startswith(f"{len(expected)} subjects")
