"""Two processes score one day at once."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from books import assert_run, assert_shown, faulty, gold, runs_of

from conftest import DAY, DEFINITION, World

# Loads everything, then waits for a line with a day before each run: the runs start together.
RACER = """\
import os, sys
from datetime import date
from pathlib import Path
from fielded.doors.cli.opening import open_from
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.score_day import score_day

workplace = open_from(Path(sys.argv[1]), None)
scorers = Scorers(workplace)
scorers.get(*resolve(workplace))
print("ready", flush=True)
for line in sys.stdin:
    summary = score_day(workplace, scorers, date.fromisoformat(line.strip()))
    print(summary.run_id, summary.state, flush=True)
"""

SAME = [DAY + timedelta(days=number) for number in range(4)]
DIFFERENT = [DAY + timedelta(days=number) for number in range(10, 14)]


class Racer:
    def __init__(self, world: World, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", RACER, str(folder)],
            env={**world.environment(), "OMP_NUM_THREADS": "1"},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, day: date) -> None:
        self._process.stdin.write(f"{day}\n")
        self._process.stdin.flush()

    def said(self) -> list[str]:
        return self._process.stdout.readline().split()

    def end(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


def _race(world: World, folders: list[Path], days: list[date]) -> dict[date, list[list[str]]]:
    racers = [Racer(world, folder) for folder in folders]
    assert [racer.said() for racer in racers] == [["ready"]] * len(racers)
    said = {}
    for day in days:
        for racer in racers:
            racer.start(day)
        said[day] = [racer.said() for racer in racers]
    for racer in racers:
        racer.end()
    return said


@pytest.fixture
def raced(world: World) -> Iterator[dict[date, list[list[str]]]]:
    """The first days by three processes that do the same work, the last by two of which one does other work."""
    world.write("silver.orders", faulty().orders)
    other = world.folder.with_name("other")
    other.mkdir()
    for name in ("deployment.yaml", "population.py"):
        text = (world.folder / name).read_text()
        (other / name).write_text(text.replace("threshold: 0.65", "threshold: 0.7"))
    assert (other / "deployment.yaml").read_text() != DEFINITION
    return {
        **_race(world, [world.folder, world.folder], SAME),
        **_race(world, [world.folder, other], DIFFERENT),
    }


def test_of_two_runs_at_once_each_is_in_the_ledger_once_and_gold_shows_one(
    world: World, raced: dict[date, list[list[str]]]
) -> None:
    expected = faulty()
    for day, said in raced.items():
        runs = {run for run, _ in said}
        assert len(runs) == (1 if day in SAME else 2)
        assert runs_of(world, day) == runs
        for run in runs:
            assert_run(world, run, expected, day)
        (shown,) = {row["run_id"] for row in gold(world, day)}
        place = {run: world.open().ledger.place_of(run) for run in runs}
        assert sorted(place.values()) == list(range(1, len(runs) + 1))
        assert place[shown] == len(runs)  # the later one
        assert_shown(world, shown, expected, day)
        states = {run: state for run, state in said}
        assert states[shown] in ("published", "already done")
