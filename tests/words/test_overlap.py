"""Order, bounds, overlap, and an end with all threads joined however it comes."""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.words.overlap import ahead, ordered_map

LONG = 20  # seconds after which a test says that something hangs


class BoomError(Exception):
    pass


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def until(condition: Callable[[], bool], seconds: float = LONG) -> None:
    """Wait for a condition that another thread brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "never came"
        time.sleep(0.002)


def loop(results: Iterable[int], body: Callable[[int], object]) -> None:
    for item in results:
        body(item)


def joined(before: set[threading.Thread]) -> bool:
    return set(threading.enumerate()) <= before


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 3), max_size=25), st.integers(1, 4), st.integers(1, 6), st.integers(1, 3))
def test_results_keep_the_order_of_the_source(items: list[int], workers: int, depth: int, drawn: int) -> None:
    def work(item: tuple[int, int]) -> tuple[int, int]:
        time.sleep(item[1] / 2000)  # later items overtake
        return item

    numbered = list(enumerate(items))
    with ahead(numbered, drawn) as source:
        assert list(ordered_map(work, source, workers=workers, depth=depth)) == numbered


@pytest.mark.parametrize(("workers", "depth"), [(1, 1), (1, 3), (2, 2), (2, 5), (4, 3)])
def test_at_most_depth_items_are_between_source_and_result(workers: int, depth: int) -> None:
    drawn = 0

    def source() -> Iterator[int]:
        nonlocal drawn
        for number in range(30):
            drawn += 1
            yield number

    most = 0
    for done, _ in enumerate(ordered_map(lambda item: item, source(), workers=workers, depth=depth)):
        most = max(most, drawn - done)
    assert most == depth


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_source_is_drawn_ahead_and_no_further(depth: int) -> None:
    drawn = 0

    def source() -> Iterator[int]:
        nonlocal drawn
        for number in itertools.count():
            drawn += 1
            yield number

    with ahead(source(), depth) as items:
        until(lambda: drawn >= depth)
        time.sleep(0.25)
        assert drawn <= depth + 1  # one more in the thread's hand
        assert next(iter(items)) == 0
        until(lambda: drawn >= depth + 1)
        time.sleep(0.15)
        assert drawn <= depth + 2


def test_two_workers_work_at_once() -> None:
    both = threading.Barrier(2)
    places = list(ordered_map(lambda _: both.wait(LONG), range(8), workers=2, depth=2))
    assert sorted(places) == [0] * 4 + [1] * 4


def test_source_work_and_body_run_at_once() -> None:
    written = threading.Event()
    worked = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        assert written.wait(LONG)  # the body has the first item while the second is drawn
        yield 1

    def work(item: int) -> int:
        worked.set()
        return item

    seen = []
    with ahead(source(), 1) as items:
        for item in ordered_map(work, items, workers=1, depth=1):
            assert worked.wait(LONG)
            seen.append(item)
            written.set()
    assert seen == [0, 1]


@pytest.mark.parametrize("error", [BoomError("source"), KeyboardInterrupt("source")])
def test_an_error_in_the_source_ends_the_loop_with_it(error: BaseException) -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise error

    before = set(threading.enumerate())
    seen = []
    with pytest.raises(type(error)) as caught, ahead(source(), 2) as items:
        loop(ordered_map(lambda item: item, items, workers=2, depth=1), seen.append)
    assert caught.value is error
    assert joined(before)


def test_what_came_before_an_error_in_the_source_is_seen() -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise BoomError

    seen = []
    with pytest.raises(BoomError), ahead(source(), 2) as items:
        loop(ordered_map(lambda item: item, items, workers=2, depth=1), seen.append)
    assert seen == list(range(5))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 12), st.integers(1, 3), st.integers(1, 4))
def test_an_error_in_the_work_ends_the_loop_with_it(at: int, workers: int, depth: int) -> None:
    error = BoomError("work")

    def work(item: int) -> int:
        if item == at:
            raise error
        return item

    before = set(threading.enumerate())
    seen = []
    with pytest.raises(BoomError) as caught, ahead(itertools.count(), 2) as items:
        loop(ordered_map(work, items, workers=workers, depth=depth), seen.append)
    assert caught.value is error
    assert seen == list(range(at))
    assert joined(before)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 12), st.integers(1, 3), st.integers(1, 4))
def test_an_error_in_the_body_ends_the_loop_with_it(at: int, workers: int, depth: int) -> None:
    error = BoomError("body")
    before = set(threading.enumerate())
    with pytest.raises(BoomError) as caught, ahead(itertools.count(), 2) as items:  # noqa: PT012 - the body raises
        for item in ordered_map(lambda item: item, items, workers=workers, depth=depth):
            if item == at:
                raise error
    assert caught.value is error
    assert joined(before)


def test_work_under_way_is_over_before_the_error_is_seen() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work(item: int) -> None:
        if item == 0:
            assert begun.wait(LONG)
            raise BoomError
        begun.set()
        time.sleep(0.1)
        ended.set()

    with pytest.raises(BoomError):
        list(ordered_map(work, range(2), workers=2, depth=2))
    assert ended.is_set()


def test_work_not_begun_is_never_done_after_an_error() -> None:
    done = []

    def work(item: int) -> None:
        if item == 0:
            time.sleep(0.05)
            raise BoomError
        done.append(item)
        time.sleep(0.2)

    with pytest.raises(BoomError):
        list(ordered_map(work, range(50), workers=1, depth=50))
    assert len(done) <= 2


def test_leaving_the_loop_early_ends_everything() -> None:
    before = set(threading.enumerate())
    with ahead(itertools.count(), 3) as items:
        results = ordered_map(lambda item: item, items, workers=2, depth=4)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        results.close()
    assert joined(before)


def test_a_source_that_nobody_draws_from_is_left() -> None:
    before = set(threading.enumerate())
    with ahead(itertools.count(), 1):
        pass
    assert joined(before)


def test_start_is_called_once_in_each_thread() -> None:
    started, worked = [], []
    both = threading.Barrier(2)

    def work(item: int) -> int:
        both.wait(LONG)
        worked.append(threading.get_ident())
        return item

    def start() -> None:
        started.append(threading.get_ident())

    assert list(ordered_map(work, range(6), workers=2, depth=2, start=start)) == list(range(6))
    assert len(started) == 2
    assert set(started) == set(worked)


def test_an_empty_source_gives_nothing() -> None:
    with ahead([], 2) as items:
        assert list(ordered_map(lambda item: item, items, workers=2, depth=2)) == []
