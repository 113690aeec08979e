"""The ledger: grows with the definition, takes each run once, numbers the runs of a day, keeps its events."""

import random
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake.exceptions import DeltaError

from conftest import DEFINITION, NOWHERE, World
from fielded.decisions.rows import predictions_schema, quarantine_schema
from fielded.definition import Site
from fielded.definition.deployment import Feature
from fielded.words.errors import WrongUse
from fielded.world.ledger import Event, Ledger
from fielded.world.tables import DeltaTables

DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CHANCE = random.Random(0)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "tables").mkdir()
    return Site(
        root=str(tmp_path / "tables"),
        tracking_uri="none",
        artifact_root="none",
        cache=tmp_path,
        file_rows=10,
        **NOWHERE,
    )


@pytest.fixture
def ledger(site: Site) -> Ledger:
    return Ledger(DeltaTables(site), site, "overrun")


class Defined:
    """All that `prepare` asks of a deployment."""

    def __init__(self, **features: Feature) -> None:
        self.features = features


def prepared(ledger: Ledger, **features: Feature) -> dict[str, Feature]:
    deployment: Any = Defined(**features)
    ledger.prepare(deployment)
    return features


def rows(features: dict[str, Feature], run: str, values: list[dict[str, Any]]) -> pa.RecordBatch:
    schema = predictions_schema(features)
    schema = schema.remove(schema.get_field_index("scored_date"))
    made = [
        {"request_id": f"{run}-{number}", "run_id": run, "subject": f"WO-{number}", "decision": "clear",
         "score": number / 8, "features": value, "scored_at": NOON}
        for number, value in enumerate(values)
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(made, schema=schema)


def commit(ledger: Ledger, run: str, day: date = DAY, attempt: str = "") -> bool:
    features = prepared(ledger, hours=Feature(type="float"))
    with ledger.prediction_files(day, f"{run}{attempt}") as files:
        files.write(rows(features, run, [{"hours": 1.5}, {"hours": 2.5}]))
        files.close()
        return ledger.commit_predictions(run, day, files)


def stored(site: Site, ledger: Ledger) -> list[dict[str, Any]]:
    table = DeltaTables(site).open(ledger.predictions).to_pyarrow_table()
    return table.sort_by("request_id").to_pylist()


class TestPrepare:
    def test_a_new_feature_is_a_new_column_and_old_rows_stay_readable(self, site: Site, ledger: Ledger) -> None:
        commit(ledger, "old")
        grown = prepared(
            ledger, hours=Feature(type="float"), crew=Feature(type="int"), kind=Feature(type="category")
        )
        with ledger.prediction_files(DAY, "new") as files:
            files.write(rows(grown, "new", [{"hours": 3.5, "crew": 4, "kind": "hull"}]))
            files.close()
            ledger.commit_predictions("new", DAY, files)
        old, new = (
            [row["features"] for row in stored(site, ledger) if row["run_id"] == run] for run in ("old", "new")
        )
        assert old == [{"hours": hours, "crew": None, "kind": None} for hours in (1.5, 2.5)]
        assert new == [{"hours": 3.5, "crew": 4, "kind": "hull"}]
        read = [row for batch in ledger.run_rows("old", DAY, ("subject", "features")) for row in batch.to_pylist()]
        assert [row["features"]["hours"] for row in read] == [1.5, 2.5]

    def test_a_feature_that_is_left_out_keeps_its_column(self, site: Site, ledger: Ledger) -> None:
        prepared(ledger, hours=Feature(type="float"), crew=Feature(type="int"))
        fewer = prepared(ledger, hours=Feature(type="float"))
        with ledger.prediction_files(DAY, "fewer") as files:
            files.write(rows(fewer, "fewer", [{"hours": 1.0}]))
            files.close()
            ledger.commit_predictions("fewer", DAY, files)
        assert stored(site, ledger)[0]["features"] == {"hours": 1.0, "crew": None}

    def test_the_order_of_features_may_change(self, site: Site, ledger: Ledger) -> None:
        prepared(ledger, hours=Feature(type="float"), age=Feature(type="float"))
        turned = prepared(ledger, age=Feature(type="float"), hours=Feature(type="float"))
        with ledger.prediction_files(DAY, "turned") as files:
            files.write(rows(turned, "turned", [{"age": 1.0, "hours": 2.0}]))
            files.close()
            ledger.commit_predictions("turned", DAY, files)
        assert stored(site, ledger)[0]["features"] == {"age": 1.0, "hours": 2.0}

    def test_a_changed_type_is_refused_with_the_next_step(self, ledger: Ledger) -> None:
        prepared(ledger, crew=Feature(type="int"))
        with pytest.raises(WrongUse) as caught:
            prepared(ledger, crew=Feature(type="float"))
        assert str(caught.value) == (
            "features.crew.type: got double, expected int64 as in the ledger. "
            "Give the changed feature a new name: the ledger is append-only"
        )

    def test_twice_changes_nothing(self, site: Site, ledger: Ledger) -> None:
        for _ in range(2):
            prepared(ledger, hours=Feature(type="float"))
        assert DeltaTables(site).open(ledger.predictions).version() == 0

    def test_all_its_tables_are_append_only(self, site: Site, ledger: Ledger) -> None:
        commit(ledger, "run")
        record(ledger)
        for name in (ledger.predictions, ledger.quarantine, ledger.events):
            assert DeltaTables(site).open(name).metadata().configuration["delta.appendOnly"] == "true"
        with pytest.raises(DeltaError, match="append-only"):
            DeltaTables(site).open(ledger.predictions).delete("score = 0")


class TestRuns:
    def test_a_run_that_is_in_is_not_taken_again(self, site: Site, ledger: Ledger) -> None:
        assert commit(ledger, "run")
        assert not commit(ledger, "run", attempt="again")
        assert len(stored(site, ledger)) == 2
        assert len(list(Path(site.root).rglob("*again*"))) == 0

    def test_one_run_committed_twice_at_once_is_in_once(self, site: Site, ledger: Ledger) -> None:
        prepared(ledger, hours=Feature(type="float"))
        results: list[bool] = []
        threads = [
            threading.Thread(target=lambda n=n: results.append(commit(ledger, "run", attempt=str(n))))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [False, False, False, True]
        assert len(stored(site, ledger)) == 2

    def test_runs_of_a_day_are_numbered_in_the_order_they_came(self, ledger: Ledger) -> None:
        assert ledger.place_of("one") is None
        for run in ("one", "two", "three"):
            commit(ledger, run)
        commit(ledger, "other", DAY + timedelta(days=1))
        assert [ledger.place_of(run) for run in ("one", "two", "three", "other", "none")] == [1, 2, 3, 1, None]

    def test_different_runs_at_once_get_different_numbers(self, ledger: Ledger) -> None:
        prepared(ledger, hours=Feature(type="float"))
        threads = [threading.Thread(target=commit, args=(ledger, f"run{n}")) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ledger.place_of(f"run{n}") or 0 for n in range(4)) == [1, 2, 3, 4]

    def test_rows_of_a_run_are_its_own_and_of_its_day(self, ledger: Ledger) -> None:
        for run in ("one", "two"):
            commit(ledger, run)
        read = [row for batch in ledger.run_rows("two", DAY, ("request_id",)) for row in batch.to_pylist()]
        assert [row["request_id"] for row in read] == ["two-0", "two-1"]
        assert list(ledger.run_rows("two", DAY + timedelta(days=1), ("request_id",))) == []

    def test_counts_are_what_is_in_the_tables(self, ledger: Ledger) -> None:
        commit(ledger, "run")
        schema = quarantine_schema()
        schema = schema.remove(schema.get_field_index("scored_date"))
        refused = [{"run_id": "run", "subject": "WO-9", "reasons": [], "quarantined_at": NOON}]
        for attempt in ("a", "b"):
            with ledger.quarantine_files(DAY, attempt) as files:
                files.write(pa.RecordBatch.from_pylist(refused, schema=schema))
                files.close()
                assert ledger.commit_quarantine("run", files) == (attempt == "a")
        assert ledger.count_run("run", DAY) == {"clear": 2, "quarantined": 1}


def record(ledger: Ledger, **changes: Any) -> None:
    event = Event(kind="day_scored", about="run", actor="os:tester", occurred_at=NOON, details={"rows": 3})
    ledger.record(replace(event, **changes), CHANCE.randbytes)


class TestEvents:
    def test_details_come_back_as_they_were(self, ledger: Ledger) -> None:
        record(ledger, details={"text": "Zürich “quoted”\n\U0001f6a2", "none": None, "list": [1, {"a": 0.1}]})
        (event,) = ledger.events_of("day_scored")
        assert event["details"] == {"text": "Zürich “quoted”\n\U0001f6a2", "none": None, "list": [1, {"a": 0.1}]}
        assert (event["actor"], event["occurred_at"], event["about"]) == ("os:tester", NOON, "run")

    def test_an_event_of_once_is_written_once(self, ledger: Ledger) -> None:
        for number in range(3):
            record(ledger, once="day_scored/run", details={"number": number})
        record(ledger, once="day_scored/other")
        assert [event["details"] for event in ledger.events_of("day_scored")] == [{"number": 0}, {"rows": 3}]

    def test_an_event_of_once_written_twice_at_once_is_written_once(self, ledger: Ledger) -> None:
        record(ledger, kind="other")
        threads = [
            threading.Thread(target=lambda n=n: record(ledger, once="x", details={"n": n})) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ledger.events_of("day_scored")) == 1

    def test_an_event_without_once_is_written_each_time(self, ledger: Ledger) -> None:
        for number in range(2):
            event = Event(kind="k", about="a", actor="os:tester", occurred_at=NOON, details={"n": number})
            ledger.record(event, CHANCE.randbytes)
        assert len(ledger.events_of("k")) == 2

    def test_are_given_in_the_order_of_their_commits_whatever_the_clocks_say(self, ledger: Ledger) -> None:
        for days in (1, -40, 0):
            record(ledger, occurred_at=NOON + timedelta(days=days), details={"days": days})
        record(ledger, occurred_at=NOON + timedelta(microseconds=1), details={"days": 0.5})
        found = [event["details"]["days"] for event in ledger.events_of("day_scored")]
        assert found == [1, -40, 0, 0.5]
        assert [event["sequence"] for event in ledger.events_of("day_scored")] == [1, 2, 3, 4]

    def test_are_found_by_kind_and_by_what_they_are_about(self, ledger: Ledger) -> None:
        record(ledger)
        record(ledger, about="other")
        record(ledger, kind="day_refused")
        assert len(ledger.events_of("day_scored")) == 2
        assert len(ledger.events_of("day_scored", "other")) == 1
        assert ledger.events_of("never") == []

    def test_there_are_none_before_the_first(self, ledger: Ledger) -> None:
        assert ledger.events_of("day_scored") == []


def test_each_deployment_has_a_ledger_of_its_own(site: Site) -> None:
    one, two = (Ledger(DeltaTables(site), site, name) for name in ("overrun", "delay"))
    record(one)
    assert two.events_of("day_scored") == []
    assert one.events == "ledger.overrun.events"


def test_several_that_add_the_same_feature_at_once_all_see_it(world: World) -> None:
    world.open().ledger.prepare(world.open().deployment)
    wider = DEFINITION.replace("  kind:", "  crew:    {type: float, min: 0, nullable: true}\n  kind:")
    (world.folder / "deployment.yaml").write_text(wider.replace("MODEL", world.model))
    start = threading.Barrier(4)
    faults: list[BaseException] = []

    def run() -> None:
        workplace = world.open()
        start.wait()
        try:
            workplace.ledger.prepare(workplace.deployment)
        except BaseException as fault:  # noqa: BLE001 - told to the test
            faults.append(fault)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    schema = pa.schema(world.open().tables.open("ledger.overrun.predictions").schema().to_arrow())
    assert "crew" in [field.name for field in schema.field("features").type]
