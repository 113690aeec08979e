"""Two processes score one day at once."""

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Self

from books import assert_run, assert_shown, faulty, gold, runs_of
from conftest import DAY, World

# Loads everything for each folder, then waits for a line that names one and a day: the runs start together.
RACER = """\
import sys
from datetime import date
from pathlib import Path
from fielded.doors.cli.opening import open_from
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.score_day import score_day

open_places = {}
for folder in sys.argv[1:]:
    workplace = open_from(Path(folder), None)
    scorers = Scorers(workplace)
    scorers.get(*resolve(workplace))
    open_places[folder] = workplace, scorers
print("ready", flush=True)
for line in sys.stdin:
    folder, day = line.split()
    summary = score_day(*open_places[folder], date.fromisoformat(day))
    print(summary.run_id, summary.state, flush=True)
"""

SAME = [DAY + timedelta(days=number) for number in range(3)]
DIFFERENT = [DAY + timedelta(days=number) for number in range(10, 13)]
EXPECTED = faulty(900)


class Racer:
    """A process of its own."""

    def __init__(self, world: World, folders: list[Path]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", RACER, *map(str, folders)],
            env={**world.environment(), "OMP_NUM_THREADS": "1"},
            cwd=world.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, folder: Path, day: date) -> None:
        self._process.stdin.write(f"{folder} {day}\n")
        self._process.stdin.flush()

    def said(self) -> list[str]:
        return self._process.stdout.readline().split()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate(timeout=60)
        assert kind is not None or self._process.returncode == 0


def test_of_two_runs_at_once_each_is_in_the_ledger_once_and_gold_shows_the_later(world: World) -> None:
    world.write("silver.orders", EXPECTED.orders)
    other = world.folder.with_name("other")
    other.mkdir()
    for name in ("deployment.yaml", "population.py"):
        text = (world.folder / name).read_text()
        (other / name).write_text(text.replace("threshold: 0.65", "threshold: 0.7"))
    said = {}
    with Racer(world, [world.folder, other]) as one, Racer(world, [world.folder, other]) as two:
        assert [one.said(), two.said()] == [["ready"], ["ready"]]
        for day in (*SAME, *DIFFERENT):
            one.start(world.folder, day)
            two.start(world.folder if day in SAME else other, day)
            said[day] = [one.said(), two.said()]
    ledger = world.open().ledger
    for day, answers in said.items():
        runs = {run for run, _ in answers}
        assert len(runs) == (1 if day in SAME else 2)
        assert runs_of(world, day) == runs
        for run in runs:
            assert_run(world, run, EXPECTED, day)
        (shown,) = {row["run_id"] for row in gold(world, day)}
        places = {run: ledger.place_of(run) for run in runs}
        assert sorted(places.values()) == list(range(1, len(runs) + 1))
        assert places[shown] == len(runs)
        assert_shown(world, shown, EXPECTED, day)
        assert dict(answers)[shown] in ("published", "already done")
