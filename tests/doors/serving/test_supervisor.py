"""When a worker that ended is started again, told by a clock of the test's own."""

from typing import Any

import pytest
from uvicorn import Config

from fielded.doors.serving import supervisor
from fielded.doors.serving.supervisor import FIRST_PAUSE, LONGEST_OUTAGE, LONGEST_PAUSE, Supervisor


class Worker:
    """Stands in for uvicorn's process, and for multiprocessing's inside of it: it serves until it is killed."""

    pid = 1
    exitcode = -9

    def __init__(self, *_: Any) -> None:
        self.alive = True
        self.process = self.parent_conn = self

    def is_alive(self) -> bool:
        return self.alive

    def kill(self) -> None:
        self.alive = False

    def join(self, *_: Any) -> None:
        pass

    def start(self) -> None:
        pass

    def send(self, _: bytes) -> None:
        self.asked = True

    def poll(self, *_: Any) -> bool:
        return getattr(self, "asked", False)

    def recv(self) -> bool:
        self.asked = False
        return True


class Kept:
    """Two workers, watched; time goes on only when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kept = Supervisor(Config("none:app", workers=2), [], stop_seconds=1, ticks=lambda: self.now)
        self.kept.processes = [Worker(), Worker()]  # type: ignore[list-item]
        self.look()

    def look(self) -> None:
        self.kept.keep_subprocess_alive()

    def kill(self, place: int) -> None:
        self.kept.processes[place].kill()
        self.look()

    def seconds_until_again(self, place: int) -> float:
        before, begun = self.kept.processes[place], self.now
        while self.kept.processes[place] is before:
            self.now += 0.25
            self.look()
            assert self.now < begun + 100
        self.look()  # it answers
        return self.now - begun


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setattr(supervisor, "Process", Worker)
    return Kept()


def test_a_worker_that_ends_soon_again_and_again_is_started_ever_less_often(kept: Kept) -> None:
    pauses = []
    for _ in range(8):
        kept.kill(0)
        pauses.append(kept.seconds_until_again(0))
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-2:] == [LONGEST_PAUSE, LONGEST_PAUSE]


def test_where_nobody_serves_the_pause_is_short(kept: Kept) -> None:
    for _ in range(8):
        kept.kill(0)
        kept.seconds_until_again(0)
    kept.kill(0)
    kept.now += 1
    kept.look()
    kept.kill(1)
    assert kept.seconds_until_again(1) == FIRST_PAUSE  # its own first
    kept.kill(1)
    assert kept.seconds_until_again(0) <= LONGEST_OUTAGE


def test_a_worker_that_stayed_up_starts_again_at_once(kept: Kept) -> None:
    for _ in range(4):
        kept.kill(0)
        kept.seconds_until_again(0)
    kept.now += supervisor.STEADY_SECONDS
    kept.look()
    kept.kill(0)
    assert kept.seconds_until_again(0) == FIRST_PAUSE
