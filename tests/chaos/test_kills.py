"""SIGKILL at random moments of `fielded score`, then a re-run: nothing lost, doubled or half published.

The kills are spread over what the command does after its imports: it says on a pipe when it starts to work, and
is killed a random share of a whole run's time later. `make chaos` makes 100 of them; a plain test run a few.
"""

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta

import pyarrow.dataset as ds
import pytest

from conftest import DAY, World, make_orders
from fielded.world.delta_reading import dataset_of

KILLS = int(os.environ.get("CHAOS_KILLS", "4"))
ROWS = 6000

# The command line itself; only a line is printed once its imports are done, so that no kill is spent on them.
CHILD = """
import sys
from fielded.doors.cli.app import build
import fielded.doors.cli.score
print("working", flush=True)
build(sys.argv[1:])(sys.argv[1:])
"""


class Score:
    """`fielded score` in a process of its own."""

    def __init__(self, world: World, day: object) -> None:
        command = [sys.executable, "-c", CHILD, "score", "-d", str(world.folder), "--as-of", str(day), "--json"]
        environment = {**world.environment(), "FIELDED_BATCH_ROWS": "400", "FIELDED_FILE_ROWS": "1500"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=world.folder
        )
        ready, _, _ = select.select([self.process.stdout], [], [], 120)
        assert ready, "did not start to work"
        self.started = time.monotonic()

    def kill_after(self, seconds: float) -> bool:
        """Kill it; False where it had ended by itself before."""
        time.sleep(max(0.0, self.started + seconds - time.monotonic()))
        alive = self.process.poll() is None
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()
        return alive

    def finish(self) -> float:
        """Let it end; its seconds."""
        _, errors = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, errors.decode()[-2000:]
        return time.monotonic() - self.started


def check_day(world: World, day: object) -> None:
    """The state that every completed day must be in, read without fielded's own counting."""
    tables = world.open().tables
    on_day = ds.field("scored_date") == day
    ledger, quarantine, gold = (
        dataset_of(tables.open(name)).to_table(filter=on_day).to_pylist()
        for name in ("ledger.overrun.predictions", "ledger.overrun.quarantine", "gold.overrun_scores")
    )
    assert len({row["run_id"] for row in ledger}) == 1, "one run's rows, and of that run only"
    subjects = Counter(row["subject"] for row in ledger)
    assert not [subject for subject, times in subjects.items() if times > 1], "a subject scored twice"
    assert len({row["request_id"] for row in ledger}) == len(ledger)
    refused = Counter(row["subject"] for row in quarantine)
    assert len(ledger) + len(quarantine) == ROWS, "rows lost or doubled"
    assert not set(subjects) & set(refused)
    shown = {(row["order_id"], row["overrun_probability"], row["request_id"]) for row in gold}
    assert len(gold) == len(shown) == len(ledger)
    assert shown == {(row["subject"], row["score"], row["request_id"]) for row in ledger}, "half published"
    done = [event for event in world.open().ledger.events_of("day_scored") if event["details"]["day"] == str(day)]
    assert len(done) == 1
    assert done[0]["details"]["population"] == ROWS


@pytest.mark.chaos
def test_killed_at_random_moments_nothing_is_lost_doubled_or_half_published(world: World) -> None:
    seed = int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(10**9))))
    print(f"seed {seed}")
    chance = random.Random(seed)
    orders = make_orders(ROWS).to_pydict()
    for place in chance.sample(range(ROWS), 40):
        orders["hours"][place] = -1.0  # forty rows for the quarantine
    world.write("silver.orders", type(make_orders(1)).from_pydict(orders, schema=make_orders(1).schema))
    whole = Score(world, DAY).finish()
    check_day(world, DAY)
    landed, number = 0, 0
    while landed < KILLS:
        number += 1
        assert number < 3 * KILLS + 20, "most runs ended before they could be killed"
        day = DAY + timedelta(days=number)
        kills = chance.choice([1, 1, 2, 3])  # a day may meet several before it is done
        for _ in range(kills):
            landed += Score(world, day).kill_after(chance.triangular(0, 1.1 * whole, 0.9 * whole))
        Score(world, day).finish()
        check_day(world, day)
        print(f"{landed} kills, {number} days whole", flush=True)
    print(f"{landed} kills over {number} days, each day whole afterwards")
