"""Cases a week, against a queue that is kept row by row."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.review.volume import RecentScores, queue_of
from fielded.definition.review import Carry

LAST = date(2026, 3, 28)

rows = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 40), st.integers(0, 3), st.floats(0, 1), st.booleans()),
    max_size=60,
)


def recent(found: list[tuple[int, int, int, float, bool]], counted: int = 28, share: float = 1.0) -> RecentScores:
    """Rows as (subject, days before the last, moment of the day, score, whether other rules sent it)."""
    columns = list(zip(*found, strict=True)) or [()] * 5
    return RecentScores(
        subjects=np.array(columns[0], dtype=np.uint64),
        days=np.datetime64(LAST) - np.array(columns[1], dtype="timedelta64[D]"),
        moments=np.array(columns[2], dtype=np.int64),
        scores=np.array(columns[3], dtype=float),
        others=np.array(columns[4], dtype=bool),
        first=LAST - timedelta(days=counted - 1),
        last=LAST,
        begins=LAST - timedelta(days=40),
        share=share,
    ).sorted()


@settings(deadline=None, max_examples=60)
@given(rows, st.integers(0, 30), st.floats(0, 1))
def test_it_is_what_somebody_counts_who_goes_through_the_rows(found: list, days: int, change: float) -> None:
    carry, band = Carry(days=days, score_change=change), (0.4, 0.7)
    last: dict[int, tuple[int, float]] = {}
    opened = []
    ordered = sorted(enumerate(found), key=lambda item: (-item[1][1], item[1][2], item[0]))
    for _, (subject, before, _moment, score, other) in ordered:
        if not (other or 0.4 <= score <= 0.7):
            continue
        if subject in last:
            at, was = last[subject]
            if at - before <= days and abs(score - was) <= change:
                continue
        last[subject] = (before, score)
        opened.append(before)
    counted = [before for before in opened if before < 28]
    by_week = [sum(before // 7 == week for before in counted) for week in range(4)]
    queue = queue_of(recent(found), band, carry)
    assert queue.a_week == pytest.approx(len(counted) / 4)
    assert (queue.fewest, queue.most) == (min(by_week), max(by_week))


def test_an_order_that_is_scored_every_day_is_one_case() -> None:
    found = [(1, before, 0, 0.6, False) for before in range(40)]
    carry = Carry(days=365, score_change=0.1)
    assert queue_of(recent(found), (0.5, 0.7), carry).a_week == 0.0, "it was open before the days that are counted"
    carry = Carry(days=6, score_change=0.1)
    assert queue_of(recent(found), (0.5, 0.7), carry).a_week == 1.0
    assert queue_of(recent(found), None, carry).a_week == 0.0
    assert queue_of(recent(found), (0.7, 0.8), carry).a_week == 0.0


def test_a_sample_is_scaled_up_and_a_short_ledger_counts_as_a_week() -> None:
    found = [(subject, 0, 0, 0.6, False) for subject in range(10)]
    assert queue_of(recent(found, share=0.1), (0.5, 0.7), Carry()).a_week == pytest.approx(25)
    one_day = queue_of(recent(found, counted=1), (0.5, 0.7), Carry())
    assert (one_day.a_week, one_day.fewest, one_day.most) == (10, 10, 10)
