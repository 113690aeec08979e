"""Waiting until every running API serves a version, and a rollback that finds it loaded."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from conftest import DAY, Spare, World
from fielded.decisions.release.acts import Pinned
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.release.adopt import adopt
from fielded.services.release.await_served import Followed, await_served, held_ready
from fielded.services.release.reconcile import reconcile
from fielded.services.release.record import state_of
from fielded.services.release.rollback import rollback
from fielded.services.score_day import score_day
from fielded.services.score_live import LiveAnswer
from fielded.services.serve import open_live
from fielded.words.errors import NotApproved, Unreachable
from fielded.world.journal import Journal, Serving
from fielded.world.registry import Registry
from fielded.world.workplace import Workplace
from live import ask, request, serving
from releases import aliases

MOMENT = datetime(2026, 3, 2, tzinfo=UTC)
WANTED = Pinned("1", "a" * 64)


class Clock:
    """Seconds that pass only by sleeping; something may happen at a second."""

    def __init__(self, **happens: Callable[[], None]) -> None:
        self.now = 0.0
        self._happens = {float(at.removeprefix("at_")): do for at, do in happens.items()}

    def ticks(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for at in [at for at in self._happens if at <= self.now]:
            self._happens.pop(at)()


def tell(workplace: Workplace, journal: Journal, pinned: Pinned, **changes: object) -> None:
    one = Serving(
        journal=journal.id, ledger=workplace.ledger.identity(), host="here", pid=1, model_version=pinned.version,
        artifact_sha256=pinned.sha256, withheld=False, standby=None, since=MOMENT, seen_at=MOMENT,
    )  # fmt: skip
    journal.report(replace(one, **changes))


def wait(workplace: Workplace, clock: Clock, seconds: float = 5.0) -> list[Followed]:
    return await_served(workplace, WANTED, seconds, clock.ticks, clock.sleep)


@pytest.fixture
def workplace(world: World) -> Workplace:
    made = world.open()
    made.ledger.prepare(made.deployment)
    return made


def test_where_no_api_runs_nothing_is_waited_for(workplace: Workplace) -> None:
    clock = Clock()
    assert wait(workplace, clock) == []
    assert clock.now == 0
    with closing(workplace.journals.claim("another ledger")) as journal:
        tell(workplace, journal, Pinned("2", "b" * 64), ledger="another ledger")
        assert wait(workplace, clock) == [], "whoever writes to another ledger serves another site"


def test_each_worker_is_told_with_the_seconds_it_took(workplace: Workplace) -> None:
    old = Pinned("2", "b" * 64)
    with closing(workplace.journals.claim("x")) as one, closing(workplace.journals.claim("x")) as other:
        tell(workplace, one, old, pid=1)
        tell(workplace, other, old, pid=2)
        clock = Clock(
            at_1=lambda: tell(workplace, one, WANTED, pid=1), at_2=lambda: tell(workplace, other, WANTED, pid=2)
        )
        followed = wait(workplace, clock)
        assert [(item.pid, item.version, item.follows) for item in followed] == [(1, "1", True), (2, "1", True)]
        assert followed[0].seconds == pytest.approx(1, abs=0.1)
        assert followed[1].seconds == pytest.approx(2, abs=0.1)
        assert "here/2: version 1 after 2.0" in str(followed[1])
        assert clock.now == pytest.approx(2, abs=0.1)
        again = await_served(workplace, WANTED, 5, clock.ticks, clock.sleep, since=clock.now - 7)
        assert {item.seconds for item in again} == {7.0}, "counted from when the act began"


@pytest.mark.parametrize("what", ["version", "bytes", "withheld"])
def test_who_does_not_follow_in_time_is_named(workplace: Workplace, what: str) -> None:
    stays = {"version": Pinned("2", WANTED.sha256), "bytes": Pinned("1", "b" * 64), "withheld": WANTED}[what]
    with closing(workplace.journals.claim("x")) as good, closing(workplace.journals.claim("x")) as late:
        tell(workplace, good, WANTED, pid=1)
        tell(workplace, late, stays, pid=2, withheld=what == "withheld")
        clock = Clock()
        followed = wait(workplace, clock)
        assert clock.now == pytest.approx(5)
        assert [item.follows for item in followed] == [True, False]
        assert followed[1].seconds is None
        assert "did not follow in time" in str(followed[1])


def test_one_that_ends_is_not_waited_for_and_a_new_one_is(workplace: Workplace) -> None:
    with ExitStack() as held:
        first, second = (held.enter_context(closing(workplace.journals.claim("x"))) for _ in range(2))
        tell(workplace, first, Pinned("2", "b" * 64), pid=1)

        def restart() -> None:
            first.close()
            tell(workplace, second, Pinned("2", "b" * 64), pid=2)

        clock = Clock(at_1=restart, at_3=lambda: tell(workplace, second, WANTED, pid=2))
        followed = wait(workplace, clock)
        assert [(item.pid, item.gone, item.follows) for item in followed] == [(1, True, True), (2, False, True)]
        assert clock.now == pytest.approx(3, abs=0.1)


def test_a_worker_tells_what_it_serves_and_holds_what_it_would_go_back_to(spare: Spare) -> None:
    adopt(spare.open())
    with serving(spare) as (live, _):
        (one,) = spare.open().journals.serving()
        model, sha256 = resolve(spare.open())
        assert (one.model_version, one.artifact_sha256, one.withheld) == (model.version, sha256, False)
        assert one.standby is None, "answers come first"
        live.follow_if_due()
        live.report_once()
        assert [told.standby for told in spare.open().journals.serving()] == [state_of(spare.open()).previous]
    assert spare.open().journals.serving() == []


def test_a_rollback_is_followed_without_loading_anything_and_without_losing_a_request(spare: Spare) -> None:
    adopt(spare.open())
    with serving(spare) as (live, told), serving(spare) as (other, told_other):
        for one in (live, other):
            one.follow_once()
            assert one.follow_if_due() is None
            one._following._scorers._workplace = None  # nothing can be loaded any more
        done = threading.Event()

        def follow() -> None:
            while not done.is_set():
                for one in (live, other):
                    one.follow_if_due()
                    one.scoring.submit(request(time.monotonic_ns()))
                    time.sleep(0.001)

        thread = threading.Thread(target=follow)
        thread.start()
        workplace = spare.open()
        rolled = rollback(workplace, Scorers(workplace), "biased")
        followed = await_served(workplace, rolled.now, 30, time.monotonic, time.sleep)
        done.set()
        thread.join()
        assert [(one.version, one.follows) for one in followed] == [("1", True), ("1", True)]
        for one, heard in ((live, told), (other, told_other)):
            ask(one.scoring, heard, [request("after")])
            one.scoring.finish()
            assert heard.of("after").model_version == "1"
            assert heard.settled[0][1].model_version == "2"
            assert all(isinstance(outcome, LiveAnswer) for _, outcome in heard.settled)


def test_one_that_starts_while_it_is_rolled_back_answers_with_what_is_in_production_then(spare: Spare) -> None:
    adopt(spare.open())
    workplace = spare.open("os:server")
    claim = workplace.journals.claim

    def late(ledger: str) -> Journal:
        other = spare.open()
        rollback(other, Scorers(other), "in this moment")
        return claim(ledger)

    workplace.journals.claim = late
    live = open_live(workplace, lambda _: None)
    try:
        assert live.scoring.scorer.model_version == state_of(workplace).production.version == "1"
        assert [one.model_version for one in workplace.journals.serving()] == ["1"]
    finally:
        live.close()


def test_a_withdrawn_approval_is_told_and_is_not_served(spare: Spare) -> None:
    adopt(spare.open())
    with serving(spare) as (live, _):
        pinned = state_of(spare.open()).production
        details = {"artifact_sha256": pinned.sha256, "reason": "a test"}
        spare.open().record("approval_withdrawn", f"model {spare.model} version 2", details)
        with pytest.raises(NotApproved):
            live.follow_if_due()
        clock = Clock()
        (one,) = await_served(spare.open(), pinned, 1.0, clock.ticks, clock.sleep)
        assert (one.withheld, one.follows) == (True, False)


def test_looking_again_costs_no_look_into_registry_or_ledger_while_nothing_is_new(spare: Spare) -> None:
    adopt(spare.open())
    with serving(spare) as (live, _):
        live.follow_once()
        looks: list[str] = []
        workplace = live.workplace
        for place, name in ((workplace.registry, "resolve"), (workplace.registry, "aliases"),
                            (workplace.ledger, "events_of"), (workplace.ledger, "release_events")):  # fmt: skip
            setattr(place, name, lambda *_, name=name: looks.append(name))
        for _ in range(20):
            assert live.follow_if_due() is None
        assert looks == []


class NoScorers:
    """A rollback that loads anything fails on it."""

    def get(self, *_: object) -> object:
        raise AssertionError("a version was loaded")


def kinds(spare: Spare) -> list[str]:
    return [event.kind for event in state_of(spare.open()).history]


def test_a_version_that_every_api_holds_is_not_loaded_again_and_aliases_follow_the_apis(spare: Spare) -> None:
    adopt(spare.open())
    workplace, scorers = spare.scorers()
    rollback(workplace, scorers, "so that both have scored")
    score_day(workplace, scorers, DAY)
    rollback(workplace, scorers, "and back", leave="1")
    with serving(spare) as (one, _), serving(spare) as (other, _):
        for live in (one, other):
            live.follow_if_due()
            live.report_once()
        waited: list[dict[str, str]] = []

        def wait(pinned: Pinned) -> list[Followed]:
            waited.append(aliases(spare))
            one.follow_if_due()
            other.follow_if_due()
            return await_served(workplace, pinned, 5, time.monotonic, time.sleep)

        done = rollback(workplace, NoScorers(), "biased", leave="2", wait=wait)
    assert done.replayed == 20, "as each worker has"
    assert [item.follows for item in done.followed] == [True, True]
    assert waited == [{"production": "2", "previous": "1"}]
    assert aliases(spare) == {"production": "1", "previous": "2"}
    assert kinds(spare)[-3:] == ["rollback_started", "rolled_back", "aliases_set"]
    assert done.not_done == ()
    assert not state_of(spare.open()).aliases_due


def test_a_registry_that_is_down_keeps_no_api_on_the_version_that_is_left(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(spare.open())

    def down(*_: object) -> None:
        raise Unreachable("registry: got no answer, expected one")

    with serving(spare) as (live, _):
        live.follow_if_due()
        live.report_once()
        with monkeypatch.context() as patch:
            patch.setattr(Registry, "point", down)
            done = rollback(spare.open(), NoScorers(), "biased")
        live.follow_if_due()
        assert live.scoring.scorer.model_version == "1"
    assert "reconcile" in " ".join(done.not_done)
    reconcile(spare.open())
    assert aliases(spare) == {"production": "1", "previous": "2"}


@pytest.mark.parametrize("lack", ["another", "nothing", "silent"])
def test_where_one_api_does_not_hold_the_version_it_is_loaded_and_replayed_first(spare: Spare, lack: str) -> None:
    adopt(spare.open())
    workplace = spare.open()
    previous = state_of(workplace).previous
    with serving(spare) as (live, _), closing(workplace.journals.claim(workplace.ledger.identity())) as journal:
        live.follow_if_due()
        live.report_once()
        assert held_ready(workplace, previous) == 0
        standby = {"another": Pinned("1", "b" * 64), "nothing": None, "silent": previous}[lack]
        tell(workplace, journal, previous, standby=standby)
        if lack == "silent":
            (line,) = spare.folder.parent.rglob("journal-002.serving")
            os.utime(line, (0, 0))
        assert held_ready(workplace, previous) is None
        with pytest.raises(AssertionError, match="a version was loaded"):
            rollback(workplace, NoScorers(), "biased")
    assert kinds(spare) == ["release_adopted"]


def test_what_is_not_held_ready_is_tried_again_after_a_while(spare: Spare) -> None:
    adopt(spare.open())
    now = [0.0]
    with serving(spare, ticks=lambda: now[0]) as (live, _):
        get, tries = live._following._scorers.get, []

        def failing(*arguments: object) -> object:
            tries.append(now[0])
            if len(tries) == 1:
                raise Unreachable("registry: not today")
            return get(*arguments)

        live._following._scorers.get = failing
        live._following._refused.clear()
        for now[0] in (1.0, 30.0, 59.0, 62.0):
            live._following._refused.clear()
            live.follow_if_due()
        assert tries[:2] == [1.0, 62.0]
        assert live._following.standby == state_of(spare.open()).previous
