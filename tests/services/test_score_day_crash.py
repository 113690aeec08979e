"""A run dies between two steps, or while it writes. The next run of the same work goes on from there."""

from collections import Counter
from pathlib import Path

import pytest
from deltalake import DeltaTable

from books import (
    GOLD,
    PREDICTIONS,
    assert_run,
    assert_shown,
    clean,
    crash,
    events,
    faulty,
    gold,
    read,
    runs_of,
)
from conftest import DAY, POPULATION, World
from fielded.services import publish as publishing
from fielded.services.prepare_scorer import Scorers
from fielded.services.score_day import score_day
from fielded.words.errors import RunRefused
from fielded.world.data_files import DataFiles
from fielded.world.ledger import Ledger
from fielded.world.tables import DeltaTables


def _is_gold(_self: object, name: str, *_: object) -> bool:
    return name == GOLD


def _is_day_scored(_self: object, event: object, *_: object) -> bool:
    return event.kind == "day_scored"  # type: ignore[attr-defined]


# step -> (where it dies, whether the run's rows are in the ledger then, whether gold shows them then)
STEPS = {
    "before the first row is written": ({"owner": DataFiles, "name": "write"}, False, False),
    "while rows are written": ({"owner": DataFiles, "name": "write", "calls": 5}, False, False),
    "before quarantine is committed": ({"owner": Ledger, "name": "commit_quarantine"}, False, False),
    "after quarantine is committed": ({"owner": Ledger, "name": "commit_quarantine", "after": True}, False, False),
    "before predictions are committed": ({"owner": Ledger, "name": "commit_predictions"}, False, False),
    "after predictions are committed": (
        {"owner": Ledger, "name": "commit_predictions", "after": True},
        True,
        False,
    ),
    "while gold rows are written": ({"owner": publishing, "name": "gold_rows", "calls": 3}, True, False),
    "before gold is committed": ({"owner": DeltaTables, "name": "commit", "matches": _is_gold}, True, False),
    "after gold is committed": (
        {"owner": DeltaTables, "name": "commit", "matches": _is_gold, "after": True},
        True,
        True,
    ),
    "before the event": ({"owner": Ledger, "name": "record", "matches": _is_day_scored}, True, True),
    "after the event": (
        {"owner": Ledger, "name": "record", "matches": _is_day_scored, "after": True},
        True,
        True,
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_leaves_the_day_whole_and_the_next_run_finishes_it(world: World, step: str) -> None:
    earlier, later = clean(700, first=100), faulty()
    world.write("silver.orders", earlier.orders)
    workplace, scorers = world.scorers()
    first = score_day(workplace, scorers, DAY)
    world.write("silver.orders", later.orders)
    where, in_ledger, shown = STEPS[step]

    with crash(**where):
        score_day(workplace, scorers, DAY)

    half = runs_of(world) - {first.run_id}
    assert len(half) == in_ledger
    if in_ledger:
        rows = [row["subject"] for row in read(world, PREDICTIONS) if row["run_id"] in half]
        assert Counter(rows) == Counter(later.scored)
    if shown:
        assert Counter(row["order_id"] for row in gold(world)) == Counter(later.scored)
    else:
        assert_shown(world, first.run_id, earlier)

    second = score_day(world.open(), scorers, DAY)
    assert second.state == ("already done" if step == "after the event" else "published")
    assert (second.population, second.scored, second.quarantined) == (2005, 1935, 70)
    assert runs_of(world) == {first.run_id, second.run_id}
    assert_run(world, first.run_id, earlier)
    assert_run(world, second.run_id, later)
    assert_shown(world, second.run_id, later)
    assert score_day(world.open(), scorers, DAY).state == "already done"


def test_one_crash_after_another_at_every_step_still_ends_in_one_run(world: World) -> None:
    expected = faulty()
    world.write("silver.orders", expected.orders)
    workplace, scorers = world.scorers()
    for where, _, _ in STEPS.values():
        with crash(**where):
            score_day(workplace, scorers, DAY)
    summary = score_day(workplace, scorers, DAY)
    assert summary.state == "already done"
    assert runs_of(world) == {summary.run_id}
    assert_run(world, summary.run_id, expected)
    assert_shown(world, summary.run_id, expected)


@pytest.mark.parametrize("step", ["while rows are written", "before predictions are committed"])
def test_files_of_an_uncommitted_attempt_lie_there_unseen(world: World, step: str) -> None:
    world.write("silver.orders", faulty().orders)
    with crash(**STEPS[step][0]):
        score_day(*world.scorers(), DAY)
    folder = Path(world.site.root).joinpath(*PREDICTIONS.split("."))
    left = set(folder.glob("*/*.parquet"))
    assert left  # else this shows nothing
    assert read(world, PREDICTIONS) == []
    assert gold(world) == []
    score_day(*world.scorers(), DAY)
    assert not {path.name for path in left} & {Path(uri).name for uri in DeltaTable(folder).file_uris()}


# A population that depends on more than its tables and the day: a file that no digest covers.
DRIFTING = POPULATION.replace(
    "    orders = tables.orders.filter(_.opened_on <= as_of)\n",
    "    from pathlib import Path\n"
    "    last = Path(__file__).with_name('last').read_text()\n"
    "    orders = tables.orders.filter(_.order_id > last)\n",
)


@pytest.mark.parametrize("step", ["after quarantine is committed", "after predictions are committed"])
def test_attempts_that_do_not_add_up_together_are_refused_before_anything_is_shown(
    world: World, step: str
) -> None:
    world.define(population=DRIFTING)
    world.write("silver.orders", faulty().orders)
    (world.folder / "last").write_text("WO-00000050")
    workplace = world.open()
    with crash(**STEPS[step][0]):
        score_day(workplace, Scorers(workplace), DAY)
    kept = read(world, PREDICTIONS)
    (world.folder / "last").write_text("WO-00000010")
    with pytest.raises(RunRefused, match="account"):
        score_day(*world.scorers(), DAY)
    assert gold(world) == []
    assert read(world, PREDICTIONS) == kept
    assert events(world, "day_scored") == []
