"""Which scores meet which labels: by the day of the prediction, one row a subject, on the run that counts."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from books import read
from conftest import DAY, DEFINITION, World, make_orders
from fielded.decisions.monitoring.labelled_window import LabelledScores, Scored
from fielded.decisions.rows import TIMESTAMP
from fielded.services.compact import compact
from fielded.services.drain import drain
from fielded.services.outcomes import load_outcomes
from fielded.services.prepare_scorer import Scorers
from fielded.services.score_day import score_day
from fielded.world import labelled_scores as module
from fielded.world.counted_runs import counted_runs
from fielded.world.labelled_scores import labelled_scores
from fielded.world.workplace import Workplace
from live import ROW, ask, request, serving

LEDGER = "ledger.overrun.predictions"
NEXT = DAY + timedelta(days=1)
LATER = datetime(2026, 6, 1, tzinfo=UTC)
WHOLE = (date(2026, 1, 1), date(2026, 12, 31))


def at(workplace: Workplace, moment: datetime) -> Workplace:
    return replace(workplace, clock=lambda: moment)


def score(world: World, day: date, moment: datetime | None = None, again: str = "") -> str:
    """Score a day in its own morning, or at another moment."""
    morning = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    workplace = at(world.open(), moment or morning)
    return score_day(workplace, Scorers(workplace), day, again=again).run_id


def orders(world: World, *days: tuple[date, int]) -> None:
    """So many orders opened on each day, none on two."""
    made, first = [], 0
    for number, (day, rows) in enumerate(days):
        made.append(make_orders(rows, number, first, opened_on=day))
        first += rows
    world.write("silver.orders", pa.concat_tables(made))


def tell(
    world: World, folder: Path, labels: dict[str, bool], known_at: datetime, loaded: datetime = LATER
) -> None:
    rows = pa.table(
        {
            "subject": list(labels),
            "label": list(labels.values()),
            "known_at": pa.array([known_at] * len(labels), TIMESTAMP),
        }
    )
    path = folder / f"{known_at:%Y%m%d%H%M%S}{len(labels)}{next(iter(labels.values()))}.parquet"
    pq.write_table(rows, path)
    load_outcomes(at(world.open(), loaded), path)


def sha256(world: World, version: str = "2") -> str:
    return next(row["artifact_sha256"] for row in read(world, LEDGER) if row["model_version"] == version)


def look(
    world: World, version: str = "2", days: tuple[date, date] = WHOLE, known_by: datetime = LATER
) -> LabelledScores:
    return labelled_scores(world.open(), version, sha256(world, version), *days, known_by)


def order(number: int) -> str:
    return f"WO-{number:08d}"


def test_scores_have_the_label_that_became_known_after_them_and_others_none(world: World, tmp_path: Path) -> None:
    orders(world, (DAY, 300))
    score(world, DAY)
    after = datetime(2026, 3, 2, 3, tzinfo=UTC)
    tell(world, tmp_path, {order(n): n % 3 == 0 for n in range(100)}, after)
    tell(
        world, tmp_path, {order(n): True for n in range(100, 150)}, after - timedelta(hours=2)
    )  # before the score
    found = look(world)
    assert found.rows == 300
    assert int(found.known.sum()) == 100
    assert int(found.labels.sum()) == 34
    assert found.by_day == {DAY: Scored(300, 100)}
    truth = {order(n): n % 3 == 0 for n in range(100)}
    expected = Counter(
        (
            row["score"],
            row["flag"],
            row["features"]["kind"],
            row["subject"] in truth,
            truth.get(row["subject"], False),
        )
        for row in read(world, LEDGER)
    )
    kinds = found.slices["kind"].to_pylist()
    columns = (found.scores.tolist(), found.flags.tolist(), kinds, found.known.tolist(), found.labels.tolist())
    assert Counter(zip(*columns, strict=True)) == expected
    assert found.days.dtype == np.dtype("datetime64[D]")
    assert set(found.days.tolist()) == {DAY}


def test_a_subject_counts_once_on_the_day_of_its_first_score(world: World) -> None:
    orders(world, (DAY, 200), (NEXT, 50))
    score(world, DAY)
    score(world, NEXT)  # all orders that are open: the first day's too
    assert len(read(world, LEDGER)) == 450
    found = look(world)
    assert found.by_day == {DAY: Scored(200, 0), NEXT: Scored(50, 0)}
    assert found.days.tolist() == [NEXT] * 50 + [DAY] * 200  # newest first
    assert look(world, days=(NEXT, NEXT)).by_day == {NEXT: Scored(250, 0)}


def test_of_a_day_that_was_scored_again_only_the_run_that_counts_is_looked_at(world: World) -> None:
    world.site = replace(world.site, batch_rows=20, file_rows=20)  # many files
    orders(world, (DAY, 200))
    score(world, DAY)
    orders(world, (DAY, 120))
    last = score(world, DAY)
    table = world.open().tables.open(LEDGER)
    assert counted_runs(table, *WHOLE) == {DAY: last}
    assert look(world).by_day == {DAY: Scored(120, 0)}
    # The same after compaction, when one file has rows of both runs.
    done = compact(at(world.open(), LATER), DAY)
    assert [one.after for one in done if one.table == LEDGER] == [1]
    table = world.open().tables.open(LEDGER)
    assert counted_runs(table, *WHOLE) == {DAY: last}
    assert look(world).by_day == {DAY: Scored(120, 0)}
    assert counted_runs(table, NEXT, NEXT) == {}


def test_a_run_that_scored_nobody_counts_before_one_that_scored_many(world: World) -> None:
    orders(world, (DAY, 50))
    score(world, DAY)
    world.write("silver.orders", make_orders(50).slice(0, 0))
    score(world, DAY)
    assert counted_runs(world.open().tables.open(LEDGER), *WHOLE) == {}
    assert look(world).by_day == {}


def test_live_rows_all_count_and_another_versions_rows_do_not(world: World, tmp_path: Path) -> None:
    orders(world, (DAY, 100))
    score(world, DAY)
    with serving(world) as (live, told):
        ask(live.scoring, told, [request(f"r{n}", (ROW,) * 3) for n in range(5)])
    drain(world.open())
    tell(world, tmp_path, {"r0-0": True, "r0-1": False}, datetime(2026, 3, 3, tzinfo=UTC))
    found = look(world)
    assert found.by_day == {DAY: Scored(115, 2)}
    other = labelled_scores(world.open(), "1", sha256(world), *WHOLE, LATER)
    assert (other.rows, dict(other.by_day)) == (0, {})
    assert labelled_scores(world.open(), "2", "ab" * 32, *WHOLE, LATER).rows == 0


def test_the_last_label_that_was_known_at_the_moment_counts(world: World, tmp_path: Path) -> None:
    orders(world, (DAY, 10))
    score(world, DAY)
    first, second = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 4, 10, tzinfo=UTC)
    tell(world, tmp_path, {order(0): True}, first)
    tell(world, tmp_path, {order(0): False, order(1): True}, second)
    told = [look(world, known_by=moment) for moment in (first - timedelta(days=1), first, second)]
    assert [(int(one.known.sum()), int(one.labels.sum())) for one in told] == [(0, 0), (1, 1), (2, 1)]
    # A correction about the same moment, loaded later, stands above what it corrects.
    tell(world, tmp_path, {order(1): False}, second, LATER + timedelta(days=1))
    assert int(look(world).labels.sum()) == 0


def test_a_back_filled_score_has_the_outcomes_that_came_since_its_day(world: World, tmp_path: Path) -> None:
    orders(world, (DAY, 10))
    score(world, DAY, moment=LATER)  # three months after
    tell(world, tmp_path, {order(0): True}, datetime(2026, 3, 2, 12, tzinfo=UTC))
    tell(world, tmp_path, {order(1): True, order(2): True}, datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert look(world).by_day == {DAY: Scored(10, 1)}


def test_the_newest_rows_are_kept_and_the_day_that_is_cut_is_a_sample(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders(world, (DAY, 200), (NEXT, 300))
    score(world, DAY)
    score(world, NEXT)
    tell(world, tmp_path, {order(n): True for n in range(100)}, datetime(2026, 3, 9, tzinfo=UTC))
    monkeypatch.setattr(module, "MOST_ROWS", 400)
    found = look(world)
    assert found.rows == 400
    assert found.days.tolist().count(NEXT) == 300
    assert 30 <= int(found.known.sum()) <= 70  # half of the 100 that are left of the first day
    assert found.by_day == {DAY: Scored(200, 100), NEXT: Scored(300, 0)}
    assert found.notes == ("100 of 500 scores left out: the newest 400 are looked at",)
    assert np.array_equal(look(world).scores, found.scores)  # the same sample every time


def test_a_slice_that_a_row_does_not_have_is_null(world: World) -> None:
    orders(world, (DAY, 5))
    score(world, DAY)
    new = DEFINITION.replace("  kind:    {", "  yard:    {type: category, nullable: true}\n  kind:    {")
    world.define(new.replace("slices: [kind]", "slices: [kind, yard, month]"))
    found = look(world)
    assert found.slices.column_names == ["kind", "yard", "month"]
    assert found.slices["yard"].to_pylist() == [None] * 5
    assert found.slices["month"].type == pa.int64()
    assert found.slices["kind"].null_count == 0


def test_without_a_ledger_or_without_outcomes_there_is_nothing_to_measure(world: World) -> None:
    nobody = labelled_scores(world.open(), "2", "ab" * 32, *WHOLE, LATER)
    assert (nobody.rows, nobody.slices.column_names) == (0, ["kind"])
    orders(world, (DAY, 5))
    score(world, DAY)
    assert look(world).by_day == {DAY: Scored(5, 0)}
