"""Several workers, and what becomes of one that ends.

uvicorn's own supervisor ends the whole service when a worker does not start. That is right only while none ever
did: later the registry, the tables or the journal were away in the moment that a worker was started again, and the
others serve on. It is then tried again and again, ever less often; but where no other serves, soon.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from socket import socket

from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

FIRST_PAUSE = 1.0  # seconds before a worker is started again; doubled each time that it ends soon
LONGEST_PAUSE = 30.0
LONGEST_OUTAGE = 4.0  # a pause is no longer than this where no other worker serves
STEADY_SECONDS = 30.0  # a worker that has served so long is no sign of a lasting fault when it ends
BIRTH_SECONDS = 120.0  # until a new process answers at all: it loads libraries first
_MOMENT = 0.05  # seconds
_STOP_SPARE = 10.0  # seconds that a worker may take to stop beyond its own bounds

_LOG = logging.getLogger("fielded.supervisor")


@dataclass
class _Watched:
    """What is known of one worker.

    Attributes:
        process: it.
        started: when its process was.
        answered: whether it ever answered.
        ready: since when it serves.
        pause: seconds to wait before its successor.
        ended: when it did; None while it lives.
    """

    process: Process
    started: float
    pause: float = FIRST_PAUSE
    answered: bool = False
    ready: float | None = None
    ended: float | None = None


class Supervisor(Multiprocess):
    """Keeps workers going.

    Args:
        config: the server's.
        sockets: where they accept.
        stop_seconds: how long a worker may take to stop, at most.
        ticks: seconds that only go up.

    Attributes:
        start_failed: no worker ever served, and one could not start.
    """

    def __init__(
        self,
        config: Config,
        sockets: list[socket],
        *,
        stop_seconds: float,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config, sockets)
        self.start_failed = False
        self._stop_seconds = stop_seconds
        self._ticks = ticks
        self._ever_served = False
        self._watched: dict[int, _Watched] = {}

    def keep_subprocess_alive(self) -> None:
        """Look at each worker once; start those again whose time has come."""
        for place in range(len(self.processes)):
            if self.should_exit.is_set():
                return
            watched = self._watch(place)
            if watched.ended is not None:
                self._start_again(place, watched)
            elif not self._lives(watched):
                self._ended(watched)

    def join_all(self) -> None:
        """Wait for the workers' end; one that does not stop in its time is killed."""
        until = self._ticks() + self._stop_seconds + _STOP_SPARE
        for process in self.processes:
            process.process.join(max(0.0, until - self._ticks()))
            if process.process.is_alive():
                _LOG.error("worker [%s] did not stop in time and is killed", process.pid)
                process.process.kill()
                process.process.join()

    def _watch(self, place: int) -> _Watched:
        process, known = self.processes[place], self._watched.get(place)
        if known is None or known.process is not process:  # also after a signal that changed the workers
            known = self._watched[place] = _Watched(process, self._ticks())
        return known

    def _lives(self, watched: _Watched) -> bool:
        """Whether it goes on; one that is stuck does not. The time to load libraries is not held against it."""
        if not watched.process.process.is_alive():
            return False
        now = self._ticks()
        ready = _asked(watched.process, self.config.timeout_worker_healthcheck if watched.answered else _MOMENT)
        if ready is None:
            return not watched.answered and now - watched.started < BIRTH_SECONDS
        watched.answered = True
        if ready and watched.ready is None:
            watched.ready = now
            self._ever_served = True
        if watched.ready is not None and now - watched.ready >= STEADY_SECONDS:
            watched.pause = FIRST_PAUSE
        return True

    def _ended(self, watched: _Watched) -> None:
        process = watched.process
        process.kill()  # where it is stuck
        process.join()
        if process.exitcode == STARTUP_FAILURE and not self._ever_served:
            _LOG.error("worker [%s] could not start, and none has: stopping", process.pid)
            self.start_failed = True
            self.should_exit.set()
            return
        watched.ended = self._ticks()
        _LOG.error(
            "worker [%s] ended with %s: another starts in %g s%s",
            process.pid,
            process.exitcode,
            watched.pause,
            f", in {LONGEST_OUTAGE:g} s if no other serves" if watched.pause > LONGEST_OUTAGE else "",
        )

    def _start_again(self, place: int, watched: _Watched) -> None:
        now = self._ticks()
        serves = any(other.ended is None and other.ready is not None for other in self._watched.values())
        pause = watched.pause if serves else min(watched.pause, LONGEST_OUTAGE)
        if watched.ended is None or now < watched.ended + pause:
            return
        process = Process(self.config, self.sockets)
        process.start()
        self.processes[place] = process
        self._watched[place] = _Watched(process, now, min(2 * watched.pause, LONGEST_PAUSE))


def _asked(process: Process, seconds: float) -> bool | None:
    """Whether a worker serves; None where it does not answer."""
    line = process.parent_conn
    try:
        while line.poll():  # late answers to earlier questions
            line.recv()
        line.send(b"ping")
        return bool(line.recv()) if line.poll(seconds) else None
    except (OSError, EOFError):
        return None
