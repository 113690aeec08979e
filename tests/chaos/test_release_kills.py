"""SIGKILL at random moments of promotions and rollbacks, and pairs of promotions at once.

After each kill the ledger's state is one the rules allow, scores come from what it says, and one `reconcile` puts
everything in order. Of each pair one promotion wins, the other is told, and `previous` is what was left. `make
chaos` makes 100 kills and 40 pairs; a plain test run a few.

Half of the kills are spread over what a command does after its imports. Most of that is loading models, so the
other half are aimed between the intent and the end: the parent sees the intent's commit and kills a random share
of that stretch later.
"""

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conftest import Spare
from fielded.decisions.release import acts
from fielded.decisions.release.state import ReleaseState
from fielded.definition import load_deployment
from fielded.services.prepare_scorer import resolve
from fielded.services.release.adopt import adopt
from fielded.services.release.candidates import propose
from fielded.services.release.reconcile import reconcile
from fielded.services.release.record import append, state_of
from fielded.world.workplace import Workplace, open_workplace
from releases import AUTHOR, FIRST, SECOND, aliases, another_version, compared, problems

KILLS = int(os.environ.get("CHAOS_RELEASE_KILLS", "4"))
PAIRS = int(os.environ.get("CHAOS_PAIRS", "3"))

# The command line itself; only a line is printed once its imports are done, so that no kill is spent on them.
CHILD = """
import sys
from fielded.doors.cli.app import build
import fielded.doors.cli.release, fielded.doors.cli.rollback
print("working", flush=True)
build(sys.argv[1:])(sys.argv[1:])
"""

# Of a pair, each says when all that precedes the intent is done, and goes on when it is told: the intents meet.
PAIRED = """
import sys
from fielded.doors.cli import main
import fielded.services.release.promote as promote
verified, left = promote.verified, 2
def then_wait(*arguments):
    global left
    replayed, left = verified(*arguments), left - 1
    if not left:
        print("working", flush=True)
        sys.stdin.readline()
    return replayed
promote.verified = then_wait
main()
"""


def open_now(spare: Spare, user: str) -> Workplace:
    """A workplace at today's time, as the commands have it."""
    return open_workplace(
        load_deployment(spare.folder),
        spare.site,
        user=user,
        clock=lambda: datetime.now(UTC),
        random_bytes=os.urandom,
    )


def make_ready(spare: Spare, version: str) -> None:
    """Propose, compare and approve, as far as that is not done; the files are approved for loading already."""
    author = open_now(spare, AUTHOR)
    if version not in state_of(author).candidates:
        propose(author, version, "once more")
    compared(author, version)
    for person in (FIRST, SECOND):
        workplace = open_now(spare, person)
        candidate = state_of(workplace).candidates[version]
        if person not in {approval.by for approval in candidate.approvals}:
            details = {"definition_sha256": workplace.deployment.sha256, "roles": []}
            append(workplace, state_of(workplace), acts.APPROVED, {**candidate.pinned.as_dict(), **details})


class Command:
    """A command in a process of its own, at the moment its work begins."""

    def __init__(self, spare: Spare, words: list[str], child: str = CHILD) -> None:
        self.log = Path(spare.site.root, "ledger", "overrun", "events", "_delta_log")
        self.commits = len(list(self.log.glob("*.json")))
        where = ["-d", str(spare.folder), "--json", "--wait", "0"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", child, *words, *where],
            env=spare.environment(),
            cwd=spare.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_working(self) -> None:
        ready, _, _ = select.select([self.process.stdout], [], [], 180)
        assert ready, "did not start to work"
        self.started = time.monotonic()

    def wait_intent(self) -> bool:
        """Until an event is committed; False where the process ended without one."""
        while len(list(self.log.glob("*.json"))) == self.commits and self.process.poll() is None:
            time.sleep(0.0005)
        self.begun = time.monotonic()
        return self.process.poll() is None

    def kill_at(self, moment: float) -> bool:
        """Kill it; False where it had ended by itself before."""
        time.sleep(max(0.0, moment - time.monotonic()))
        alive = self.process.poll() is None
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()
        return alive

    def finish(self, line: str | None = None) -> tuple[int, str]:
        """Let it end; exit code and what it said."""
        out, err = self.process.communicate(line, timeout=300)
        return self.process.returncode, out + err


@dataclass
class Span:
    """How long a command takes, as far as is known: a machine's load changes. A kill that came too late makes it
    shorter, one that landed longer.
    """

    seconds: float

    def moment(self, share: float) -> float:
        return self.seconds * share

    def learn(self, landed: bool) -> None:
        self.seconds *= 1.1 if landed else 0.7


@dataclass
class Seen:
    """What the kills met."""

    left: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)


def words_for(spare: Spare, chance: random.Random) -> tuple[list[str], str, str]:
    """A command that is possible now, the version in production and the one that it would bring."""
    state = state_of(open_now(spare, AUTHOR))
    assert state.production is not None
    assert state.previous is not None
    now, other = state.production.version, state.previous.version
    if chance.random() < 0.5:
        return ["rollback", "-m", "chaos", "--leave", now], now, other
    make_ready(spare, other)
    return ["release", "promote", other], now, other


def check_settled(spare: Spare, before: ReleaseState, now: str, other: str, seen: Seen) -> None:
    """What a kill left, and that reconcile ends it, read by another process' means."""
    workplace = open_now(spare, "os:reconciler")
    left = state_of(workplace)  # folds, or a rule was broken
    served = resolve(workplace)[0].version
    assert left.production is not None
    assert left.production.version == served, "scores come from what the ledger says"
    seen.left[left.open.kind if left.open else ("completed" if left.count > before.count else "nothing")] += 1
    if left.open is not None:
        assert (left.production, left.previous) == (before.production, before.previous)
    done = reconcile(workplace)
    seen.ended.update(line.split(" to ")[0].split(" of ")[0] for line in done.done)
    state = done.state
    assert (state.open, state.aliases_due, done.not_done) == (None, False, "")
    assert state.production is not None
    assert state.previous is not None
    moved = state.production != before.production
    assert (state.production.version, state.previous.version) == ((other, now) if moved else (now, other))
    assert aliases(spare) == {"production": state.production.version, "previous": state.previous.version}
    assert not [told for told in problems(workplace) if "candidate" not in told]
    hand = [event for event in state.history if event.kind == acts.ALIAS_MOVED]
    assert hand == [], "a crash is not somebody's hand"


@pytest.mark.chaos
def test_killed_at_random_moments_the_state_is_allowed_and_reconcile_settles_it(spare: Spare) -> None:
    seed = int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(10**9))))
    print(f"seed {seed}")
    chance = random.Random(seed)
    adopt(open_now(spare, AUTHOR))
    spans: dict[tuple[str, bool], Span] = {}
    for words in (["rollback", "-m", "first"], ["release", "promote", "2"]):
        if words[0] == "release":
            make_ready(spare, "2")
        command = Command(spare, words)
        command.wait_working()
        assert command.wait_intent()
        code, said = command.finish()
        assert code == 0, said
        end = time.monotonic()
        spans[words[0], False] = Span(end - command.started)
        spans[words[0], True] = Span(end - command.begun)
    seen, landed, tries = Seen(), 0, 0
    while landed < KILLS:
        tries += 1
        assert tries < 3 * KILLS + 30, "most commands ended before they could be killed"
        words, now, other = words_for(spare, chance)
        before = state_of(open_now(spare, AUTHOR))
        aimed = chance.random() < 0.6
        span = spans[words[0], aimed]
        command = Command(spare, words)
        command.wait_working()
        if aimed:
            command.wait_intent()
            hit = command.kill_at(command.begun + span.moment(chance.random() ** 2))
        else:
            hit = command.kill_at(command.started + span.moment(chance.random()))
        span.learn(hit)
        landed += hit
        check_settled(spare, before, now, other, seen)
        print(f"{landed} kills; left {dict(seen.left)}; reconcile {dict(seen.ended)}", flush=True)


@pytest.mark.chaos
def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(spare: Spare) -> None:
    adopt(open_now(spare, AUTHOR))
    versions = {"1", "2", another_version(spare)}
    told_by: Counter[str] = Counter()
    for number in range(PAIRS):
        before = state_of(open_now(spare, AUTHOR))
        assert before.production is not None
        pair = sorted(versions - {before.production.version})
        for version in pair:
            make_ready(spare, version)
        commands = {version: Command(spare, ["release", "promote", version], PAIRED) for version in pair}
        for command in commands.values():
            command.wait_working()
        for command in commands.values():
            command.process.stdin.write("go\n")
            command.process.stdin.flush()
        ended = {version: command.finish() for version, command in commands.items()}
        winners = [version for version, (code, _) in ended.items() if code == 0]
        assert len(winners) == 1, ended
        (loser,) = set(pair) - set(winners)
        code, said = ended[loser]
        assert code == 1, said
        assert winners[0] in said, "told what it lost to"
        told_by["lost to the intent" if "lost to" in said else "found it open or done"] += 1
        state = state_of(open_now(spare, AUTHOR))
        assert state.open is None
        assert state.production is not None
        assert (state.production.version, state.previous) == (winners[0], before.production)
        assert aliases(spare) == {"production": winners[0], "previous": before.production.version}
        print(f"pair {number + 1}: {winners[0]} won over {loser}; {dict(told_by)}", flush=True)
