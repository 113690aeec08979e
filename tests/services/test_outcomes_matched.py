"""What loaded outcomes are about is said, and a table is read as a file is: whole, once, and only what is new."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from books import crash, events, read
from conftest import DAY, DEFINITION, World, make_orders
from fielded.decisions.rows import TIMESTAMP
from fielded.doors.cli.app import build
from fielded.services import outcomes as module
from fielded.services.outcomes import LoadedOutcomes, load_outcomes, load_outcomes_table
from fielded.services.prepare_scorer import Scorers
from fielded.services.score_day import score_day
from fielded.services.verify import verify
from fielded.words.errors import Refused, WrongUse
from fielded.world.tables import DeltaTables

OUTCOMES = "ledger.overrun.outcomes"
TOLD = "silver.closed"
SCORED = datetime(2026, 3, 2, 2, tzinfo=UTC)
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def score(world: World, day: date, rows: int, first: int = 0) -> None:
    world.write("silver.orders", make_orders(rows, first=first, opened_on=day))
    morning = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    workplace = replace(world.open(), clock=lambda: morning)
    score_day(workplace, Scorers(workplace), day)


def order(number: int) -> str:
    return f"WO-{number:08d}"


def told(*rows: tuple[str, bool | None, datetime | None]) -> pa.Table:
    subjects, labels, times = zip(*rows, strict=True)
    return pa.table(
        {
            "order_id": list(subjects),
            "label": pa.array(labels, pa.bool_()),
            "known_at": pa.array(times, TIMESTAMP),
            "closed_by": ["somebody"] * len(rows),
        }
    )


def load(
    world: World, folder: Path, *rows: tuple[str, bool | None, datetime | None], moment: datetime = NOW
) -> LoadedOutcomes:
    path = folder / f"{len(list(folder.glob('*.parquet')))}.parquet"
    pq.write_table(told(*rows), path)
    return load_outcomes(replace(world.open(), clock=lambda: moment), path)


def load_table(world: World, name: str = TOLD, moment: datetime = NOW) -> LoadedOutcomes:
    return load_outcomes_table(replace(world.open(), clock=lambda: moment), name)


def counts(loaded: LoadedOutcomes) -> tuple[int, ...]:
    return loaded.rows, loaded.matched, loaded.unmatched, loaded.corrected, loaded.late


def after(days: float) -> datetime:
    return SCORED + timedelta(days=days)


def test_outcomes_are_matched_to_scores_by_subject_and_date(world: World, tmp_path: Path) -> None:
    score(world, DAY, 5)
    loaded = load(
        world,
        tmp_path,
        (order(0), True, after(1)),
        (order(1), True, after(-1)),  # before it was scored
        ("WO-elsewhere", True, after(1)),
        (order(2), False, after(90)),  # the definition's maturity is 90 days
        (order(3), False, after(90.01)),
    )
    assert counts(loaded) == (5, 3, 2, 0, 1)
    assert len(read(world, OUTCOMES)) == 5  # unmatched and late ones are kept
    (event,) = events(world, "outcomes_loaded")
    said = json.loads(event["details"])
    assert said == {"source_sha256": loaded.sha256, "rows": 5, "matched": 3, "corrected": 0, "late": 1}


def test_maturity_is_the_definitions_and_counts_from_the_first_score(world: World, tmp_path: Path) -> None:
    world.define(DEFINITION + "monitoring: {labels: {maturity: 5d}}\n")
    score(world, DAY, 3)
    score(world, DAY + timedelta(days=4), 3)  # the same orders again
    assert counts(load(world, tmp_path, (order(0), True, after(4.9)), (order(1), True, after(5.1)))) == (
        2, 2, 0, 0, 1,
    )  # fmt: skip


def test_a_correction_is_what_says_something_else_than_was_known_before_it(world: World, tmp_path: Path) -> None:
    load(world, tmp_path, (order(0), True, after(1)), (order(1), True, after(1)), (order(2), True, after(9)))
    second = load(
        world,
        tmp_path,
        (order(0), False, after(2)),  # another label
        (order(1), True, after(2)),  # the same again
        (order(2), False, after(1)),  # older news than what is known
        (order(3), True, after(1)),
        (order(3), False, after(3)),  # within the file
    )
    assert second.corrected == 2
    same_moment = load(world, tmp_path, (order(0), True, after(2)))
    assert same_moment.corrected == 1
    assert len(read(world, OUTCOMES)) == 9


def test_the_same_file_again_says_what_it_said_when_it_was_loaded(world: World, tmp_path: Path) -> None:
    score(world, DAY, 5)
    path = tmp_path / "first.parquet"
    pq.write_table(told((order(0), True, after(1)), (order(9), True, after(1))), path)
    first = load_outcomes(replace(world.open(), clock=lambda: NOW), path)
    load(world, tmp_path, (order(0), False, after(0.5)), moment=NOW + timedelta(hours=1))
    again = load_outcomes(replace(world.open(), clock=lambda: NOW + timedelta(days=1)), path)
    assert not again.new
    assert counts(again) == counts(first) == (2, 1, 1, 0, 0)
    assert len(read(world, OUTCOMES)) == 3


def test_a_score_in_the_shadow_matches_nothing(world: World, tmp_path: Path) -> None:
    score(world, DAY, 3)
    tables = DeltaTables(world.site)
    rows = tables.open("ledger.overrun.predictions").to_pyarrow_table()
    place = rows.schema.get_field_index("channel")
    shadow = rows.set_column(
        place, rows.schema.field(place), pa.array(["shadow"] * 3, rows.schema.field(place).type)
    )
    names = pa.array([f"shadow-{number}" for number in range(3)])
    shadow = shadow.set_column(shadow.schema.get_field_index("subject"), "subject", names)
    world.write("ledger.overrun.predictions", shadow, mode="append")
    assert counts(load(world, tmp_path, ("shadow-0", True, after(1)), (order(0), True, after(1))))[1] == 1


class TestTable:
    def test_its_rows_are_in_the_ledger_with_the_version_they_were_read_from(self, world: World) -> None:
        score(world, DAY, 5)
        world.write(TOLD, told((order(0), True, after(1)), (order(1), False, after(2)), (order(2), None, None)))
        loaded = load_table(world)
        assert (counts(loaded), loaded.pending, loaded.new) == ((2, 2, 0, 0, 0), 1, True)
        assert {(row["subject"], row["label"]) for row in read(world, OUTCOMES)} == {
            (order(0), True),
            (order(1), False),
        }
        assert {row["source_sha256"] for row in read(world, OUTCOMES)} == {loaded.sha256}
        (event,) = events(world, "outcomes_loaded")
        assert event["about"] == f"table {TOLD} version 0"
        assert verify(world.open(), strict=True).findings == []

    def test_a_table_that_has_grown_adds_what_is_new_and_what_was_corrected(self, world: World) -> None:
        world.write(TOLD, told((order(0), True, after(1)), (order(1), False, after(2))))
        load_table(world)
        grown = told((order(0), True, after(1)), (order(1), True, after(2)), (order(2), True, after(3)))
        world.write(TOLD, grown)
        second = load_table(world, moment=NOW + timedelta(days=1))
        assert (counts(second), second.on_record) == ((2, 0, 2, 1, 0), 1)
        assert len(read(world, OUTCOMES)) == 4
        # And back: the ledger's last word is another one by now, so the same row is news.
        world.write(TOLD, told((order(1), False, after(2))))
        third = load_table(world, moment=NOW + timedelta(days=2))
        assert (counts(third), third.on_record) == ((1, 0, 1, 1, 0), 0)

    def test_the_same_version_adds_nothing_and_neither_does_another_with_the_same_rows(self, world: World) -> None:
        rows = told((order(0), True, after(1)), (order(0), True, after(1)))
        world.write(TOLD, rows)
        first = load_table(world)
        assert (first.rows, first.on_record) == (1, 1)  # one row, twice
        again = load_table(world, moment=NOW + timedelta(days=1))
        assert (again.new, again.rows, again.sha256) == (False, 1, first.sha256)
        world.write(TOLD, rows)
        other = load_table(world, moment=NOW + timedelta(days=1))
        assert (other.new, other.rows, other.on_record) == (False, 0, 2)
        assert other.sha256 != first.sha256
        assert len(read(world, OUTCOMES)) == len(events(world, "outcomes_loaded")) == 1

    def test_a_bad_row_refuses_it_whole(self, world: World) -> None:
        tomorrow = NOW + timedelta(days=1)
        world.write(TOLD, told((order(0), True, after(1)), (order(1), True, None), (order(2), True, tomorrow)))
        with pytest.raises(Refused) as refusal:
            load_table(world)
        assert f"table {TOLD}: known_at: got no value in 1 rows, first in row 2" in str(refusal.value)
        assert "known_at: got a time to come in 1 rows, first in row 3" in str(refusal.value)
        assert read(world, OUTCOMES) == []

    @pytest.mark.parametrize("name", ["silver.nothing", "/etc", "silver..closed", "a.b.c.d"])
    def test_what_is_no_table_is_wrong_use(self, world: World, name: str) -> None:
        with pytest.raises(WrongUse, match="--table: got"):
            load_table(world, name)

    def test_a_table_without_the_columns_is_refused(self, world: World) -> None:
        with pytest.raises(Refused, match="label: got no such column"):
            load_table(world, "silver.orders")


def test_a_rule_that_breaks_far_down_is_told_with_its_row(world: World, tmp_path: Path) -> None:
    rows = 300_000  # more than are held at once
    table = pa.table(
        {
            "subject": [f"S-{n}" for n in range(rows)],
            "label": pa.array([True] * (rows - 2) + [None, None]),
            "known_at": pa.array([SCORED] * rows, TIMESTAMP),
        }
    )
    pq.write_table(table, tmp_path / "many.parquet", row_group_size=1000)
    with pytest.raises(Refused, match=f"label: got no value in 2 rows, first in row {rows - 1}"):
        load_outcomes(world.open(), tmp_path / "many.parquet")


def test_both_labels_at_one_time_are_found_however_far_apart(world: World, tmp_path: Path) -> None:
    rows = [(f"S-{n}", True, SCORED) for n in range(2000)] + [("S-7", False, SCORED), ("S-7", True, SCORED)]
    with pytest.raises(Refused, match="got 1 times both labels for one subject at one time"):
        load(world, tmp_path, *rows)


def test_a_process_that_dies_after_the_commit_leaves_rows_and_the_next_one_tells_of_them(
    world: World, tmp_path: Path
) -> None:
    score(world, DAY, 3)
    path = tmp_path / "crashed.parquet"
    pq.write_table(told((order(0), True, after(1)), (order(8), False, after(1))), path)
    workplace = replace(world.open(), clock=lambda: NOW)
    with crash(module.Outcomes, "append", after=True):
        load_outcomes(workplace, path)
    assert (len(read(world, OUTCOMES)), events(world, "outcomes_loaded")) == (2, [])
    again = load_outcomes(replace(world.open(), clock=lambda: NOW), path)
    assert (again.new, counts(again)) == (False, (2, 1, 1, 0, 0))
    assert len(read(world, OUTCOMES)) == len(events(world, "outcomes_loaded")) + 1 == 2


def test_nothing_is_left_on_disk_afterwards(world: World, tmp_path: Path) -> None:
    load(world, tmp_path, (order(0), True, after(1)))
    with pytest.raises(Refused):
        load(world, tmp_path, (order(0), None, after(1)))
    assert list((world.site.cache / "spill").iterdir()) == []


class TestCommand:
    def run(self, world: World, *arguments: str) -> tuple[int, str]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in world.environment().items():
                patch.setenv(name, value)
            words = ["outcomes", "load", *arguments, "-d", str(world.folder)]
            done = CliRunner().invoke(build(words), words)
        return done.exit_code, done.output

    def test_a_file_and_a_table_are_loaded_and_what_they_are_about_is_said(
        self, world: World, tmp_path: Path
    ) -> None:
        score(world, DAY, 5)
        past = datetime(2026, 3, 3, tzinfo=UTC)
        pq.write_table(told((order(0), True, past), ("WO-x", True, past)), tmp_path / "closed.parquet")
        code, said = self.run(world, str(tmp_path / "closed.parquet"))
        assert code == 0, said
        assert "closed.parquet: 2 outcomes loaded, sha256 " in said
        assert "1 about a subject that was scored before, 1 not; 0 correct an earlier one; 0 came late" in said
        world.write(TOLD, told((order(0), True, past), (order(1), True, past), (order(2), None, None)))
        code, said = self.run(world, "--table", TOLD)
        assert code == 0, said
        assert f"{TOLD}: 1 outcomes loaded" in said
        assert "1 were on record already" in said
        assert "1 have neither label nor time yet" in said
        code, said = self.run(world, "--table", TOLD, "--json")
        assert json.loads(said)["new"] is False

    @pytest.mark.parametrize("both", [True, False])
    def test_one_of_file_and_table_is_asked_for(self, world: World, tmp_path: Path, both: bool) -> None:
        words = [str(tmp_path / "a.csv"), "--table", TOLD] if both else []
        with pytest.MonkeyPatch.context() as patch:
            for name, value in world.environment().items():
                patch.setenv(name, value)
            arguments = ["outcomes", "load", *words, "-d", str(world.folder)]
            done = CliRunner().invoke(build(arguments), arguments)
        assert isinstance(done.exception, WrongUse)
        assert ("both" if both else "neither") in str(done.exception)
