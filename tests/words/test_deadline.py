"""Waiting ends with what was asked for, with its error, or when the time is over."""

import threading

import pytest

from fielded.words.deadline import within


def test_what_is_done_in_time_is_given() -> None:
    assert within(60, lambda: threading.current_thread().name) == "fielded-within"
    assert within(60, lambda: None) is None


def test_what_is_raised_in_time_is_raised() -> None:
    def fail() -> None:
        raise KeyError("hull")

    with pytest.raises(KeyError, match="hull"):
        within(60, fail)


def test_what_takes_longer_is_left_behind_and_may_still_happen() -> None:
    go, done = threading.Event(), threading.Event()

    def late() -> None:
        go.wait(60)
        done.set()

    with pytest.raises(TimeoutError, match=r"no answer for 0\.01 s"):
        within(0.01, late)
    go.set()
    assert done.wait(60)
