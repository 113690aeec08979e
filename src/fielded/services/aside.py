"""A thread beside the one that scores, for a candidate on trial: nobody waits for it longer than he chooses to."""

import queue
import threading
from collections.abc import Callable

from fielded.world.models import start_worker


class Aside:
    """One thread that does one thing after another. The interpreter does not wait for it when it ends: what hangs
    in it keeps no worker from stopping.

    What it is given must not raise.
    """

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._open = 0
        self._ended = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="fielded-candidate", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether it would begin at once with what it is given."""
        return self._idle.is_set() and not self._ended

    def give(self, task: Callable[[], None]) -> None:
        """Do something after all that was given before."""
        with self._lock:
            self._open += 1
            self._idle.clear()
        self._tasks.put(task)

    def wait(self, seconds: float) -> bool:
        """Wait until it has nothing to do; whether that came in time."""
        return self._idle.wait(seconds)

    def end(self) -> None:
        """Let it end after what was given."""
        self._ended = True
        self._tasks.put(None)

    def _run(self) -> None:
        start_worker()
        while task := self._tasks.get():
            try:
                task()
            finally:
                del task  # requests and what they hold do not outlive their use
                with self._lock:
                    self._open -= 1
                    if not self._open:
                        self._idle.set()
