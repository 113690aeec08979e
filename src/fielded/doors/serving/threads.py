"""A few threads for what blocks beside the event loop, and that cannot hold up the process's end."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Threads:
    """Threads that the interpreter does not wait for when it ends: a registry that hangs must not keep a worker
    from stopping (`concurrent.futures` waits for its threads without a bound).

    Args:
        count: how many.
        name: what they are called.
    """

    def __init__(self, count: int, name: str) -> None:
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def run(self, do: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Do something on a thread that is free, soon. Called on the event loop."""
        done: Future[Any] = Future()
        self._tasks.put((done, lambda: do(*arguments)))
        return asyncio.wrap_future(done)

    def end(self, seconds: float) -> None:
        """Let the threads end after what was put in, and wait so long for them, all in all: one that the
        interpreter's end cuts off leaks what it holds, and extensions say so.
        """
        for _ in self._threads:
            self._tasks.put(None)
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while task := self._tasks.get():
            done, do = task
            if not done.set_running_or_notify_cancel():
                continue
            try:
                result = do()
            except BaseException as error:  # noqa: BLE001 - whoever waits is told
                done.set_exception(error)
            else:
                done.set_result(result)
            del task, done, do  # an answer and what it holds do not outlive their use
