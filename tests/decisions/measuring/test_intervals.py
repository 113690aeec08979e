"""Intervals against published values, scipy and what they promise: how often they hold the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fielded.decisions.measuring.intervals import (
    Estimate,
    corrected,
    difference,
    mean,
    normal_quantile,
    paired_difference,
    proportion,
    smallest_of,
)


@st.composite
def counted(draw: st.DrawFn) -> tuple[int, int]:
    rows = draw(st.integers(1, 5000))
    return draw(st.integers(0, rows)), rows


@given(counted(), st.sampled_from([0.8, 0.95, 0.999]))
def test_a_proportion_has_the_interval_that_scipy_gives_it(count: tuple[int, int], confidence: float) -> None:
    hits, rows = count
    found = proportion(hits, rows, confidence)
    oracle = stats.binomtest(hits, rows).proportion_ci(confidence, method="wilson")
    assert found.value == hits / rows
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high > found.low


def test_no_rows_have_no_value_and_could_be_anything() -> None:
    assert proportion(0, 0, 0.95) == Estimate(None, 0.0, 1.0, 0)
    assert mean(np.empty(0), 0.95, (-1.0, 1.0)) == Estimate(None, -1.0, 1.0, 0)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((0, 29), (0, 20), -0.1168, 0.1611),
    ],
)
def test_the_difference_of_separate_rows_has_the_interval_of_newcombes_table(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    found = difference(proportion(*second, 0.95), proportion(*first, 0.95))
    assert sorted([abs(found.low), abs(found.high)]) == pytest.approx(sorted([abs(low), abs(high)]), abs=5e-4)


def pairs(both: int, only_second: int, only_first: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [both, only_second, only_first, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [((36, 12, 2, 0), 0.0569, 0.3404), ((36, 14, 0, 0), 0.1528, 0.4167)],
)
def test_the_difference_on_the_same_rows_has_the_interval_of_newcombes_table(
    table: tuple[int, int, int, int], low: float, high: float
) -> None:
    found = paired_difference(*pairs(*table), 0.95)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-4)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_a_paired_difference_turns_its_sign_with_its_order(rows: list[tuple[bool, bool]]) -> None:
    second, first = np.array(rows).T
    there, back = paired_difference(second, first, 0.95), paired_difference(first, second, 0.95)
    assert there.value == pytest.approx(second.mean() - first.mean())
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50).filter(lambda values: np.std(values) > 1e-6))
def test_a_mean_has_students_interval_cut_to_what_is_possible(values: list[float]) -> None:
    found = mean(np.array(values), 0.9)
    low, high = stats.t.interval(0.9, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((max(0, low), min(1, high)), abs=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_values_that_are_all_alike_are_not_taken_for_certain(value: float) -> None:
    few, many = mean(np.full(10, value), 0.95), mean(np.full(1000, value), 0.95)
    assert few.high - few.low > many.high - many.low > 0
    assert few.low <= value <= few.high


def coverage(held: list[bool]) -> float:
    return float(np.mean(held))


@pytest.mark.parametrize(("share", "rows"), [(0.02, 100), (0.3, 40), (0.5, 15), (0.95, 100)])
def test_a_proportions_interval_holds_the_truth_as_often_as_it_says(share: float, rows: int) -> None:
    hits = np.arange(rows + 1)
    chance = stats.binom.pmf(hits, rows, share)
    ends = [proportion(int(each), rows, 0.95) for each in hits]
    held = np.array([one.low <= share <= one.high for one in ends])
    assert 0.93 <= float(chance @ held) <= 0.99


def test_a_paired_differences_interval_holds_the_truth_and_is_narrower_than_that_of_separate_rows() -> None:
    random = np.random.default_rng(3)
    held, narrower = [], []
    for _ in range(400):
        risk = random.beta(1, 2, 150)
        second, first = risk + random.normal(0, 0.1, 150) > 0.45, risk + random.normal(0, 0.1, 150) > 0.4
        truth = 0.3118 - 0.3696  # of two million rows
        found = paired_difference(second, first, 0.95)
        apart = difference(proportion(second.sum(), 150, 0.95), proportion(first.sum(), 150, 0.95))
        held.append(found.low <= truth <= found.high)
        narrower.append(found.high - found.low < apart.high - apart.low)
    assert 0.92 <= coverage(held) <= 0.99
    assert coverage(narrower) == 1.0


def test_as_many_intervals_as_were_tested_hold_together() -> None:
    assert corrected(0.95, 0) == corrected(0.95, 1) == pytest.approx(0.95)
    assert corrected(0.95, 20) == pytest.approx(0.9975)
    assert normal_quantile(0.95) == pytest.approx(1.959964, abs=1e-6)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, math.nan])
def test_a_confidence_that_is_none_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"confidence: got .*, expected a number between 0 and 1"):
        normal_quantile(confidence)


def test_the_smallest_of_several_has_no_value_where_one_of_them_has_none() -> None:
    known, unknown = Estimate(0.4, 0.3, 0.5, 50), Estimate(None, 0.0, 1.0, 0)
    assert smallest_of([known, Estimate(0.6, 0.2, 0.9, 20)]) == Estimate(0.4, 0.2, 0.5, 20)
    assert smallest_of([known, unknown]).value is None


def test_an_estimate_reads_with_its_interval_and_rows() -> None:
    assert str(Estimate(0.7, 0.61234, 0.8, 120)) == "0.700 [0.612, 0.800] of 120 rows"
    assert str(Estimate(None, 0.0, 1.0, 0)) == "no value [0.000, 1.000] of 0 rows"
