"""Reading, working and writing at the same time, in order and in bounded memory.

    with ahead(source, 2) as items:
        for result in ordered_map(work, items, workers=2, depth=4):
            write(result)

`source` is drawn in a thread of its own, `work` runs in `workers` threads, the loop's body in the caller's. At
most `depth` items are between source and body. An error anywhere ends the loop with that error; threads are
joined before it is seen.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Drawn(Generic[Item]):
    """A queue filled by a thread from an iterable."""

    def __init__(self, source: Iterable[Item], depth: int) -> None:
        self._queue: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._draw, args=(source,), daemon=True)
        self._thread.start()

    def _draw(self, source: Iterable[Item]) -> None:
        try:
            for item in source:
                if not self._put((True, item)):
                    break
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, not handled here
            self._put((False, error))
        else:
            self._put((False, None))

    def _put(self, entry: tuple[bool, Item | BaseException | None]) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(entry, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[Item]:
        while True:
            more, value = self._queue.get()
            if more:
                yield value  # type: ignore[misc]
            elif isinstance(value, BaseException):
                raise value
            else:
                return

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


@contextmanager
def ahead(source: Iterable[Item], depth: int) -> Iterator[Iterable[Item]]:
    """`source`, drawn up to `depth` items ahead in a thread."""
    drawn = _Drawn(source, depth)
    try:
        yield drawn
    finally:
        drawn.stop()


def ordered_map(
    work: Callable[[Item], Result],
    source: Iterable[Item],
    *,
    workers: int,
    depth: int,
    start: Callable[[], object] | None = None,
) -> Generator[Result, None, None]:
    """`work` over `source` in `workers` threads, results in the source's order.

    Args:
        work: called for each item.
        source: drawn only as far as `depth` results are outstanding.
        workers: threads.
        depth: items between source and result, at most.
        start: called once in each thread before its first item.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, initializer=start) as pool:
        try:
            for item in source:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
