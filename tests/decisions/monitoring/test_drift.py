"""Each metric against SciPy on the groups or bins it is said to be taken over, and its limit against chance."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from fielded.decisions.monitoring.drift import (
    EMPTY,
    GROUPS,
    METRICS,
    chi2,
    groups,
    js,
    ks,
    mean_in_bins,
    missing,
    new_categories,
    out_of_range,
    psi,
    wasserstein,
)
from fielded.decisions.monitoring.grids import category_grid, number_grid, score_grid
from fielded.decisions.monitoring.histograms import Grid

EXACT = 1e-9


def counts_of(grid: Grid, values: object) -> np.ndarray:
    kind = pa.string() if grid.kind == "category" else pa.float64()
    return np.bincount(grid.place(pa.array(values, kind)), minlength=grid.bins)


def in_groups(grid: Grid, reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows by group, without those that are empty on both sides: plain loops."""
    place = groups(grid, reference)
    first = np.array([sum(reference[place == group]) for group in range(max(place) + 1)], dtype=float)
    second = np.array([sum(current[place == group]) for group in range(max(place) + 1)], dtype=float)
    there = (first > 0) | (second > 0)
    return first[there], second[there]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Grid, np.ndarray, np.ndarray]:
    """A number's or category's grid with counts of two sides, neither of them empty."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, distinct = draw(st.integers(2, 400)), draw(st.sampled_from([1, 3, 12, 60, 10**6]))
    shift = draw(st.sampled_from([0.0, 0.3, 5.0]))
    if draw(st.booleans()):
        training = [f"c{value}" for value in rng.integers(0, distinct, rows)]
        window = [f"c{value}" for value in rng.integers(0, distinct + int(3 * shift), 150)]
        window[:3] = [None] * draw(st.integers(0, 3))
        grid = category_grid("kind", pa.array(training))
    else:
        training = np.floor(rng.normal(size=rows) * distinct) / 7
        window = list(np.floor((rng.normal(size=150) + shift) * distinct) / 7)
        window[:3] = [math.nan] * draw(st.integers(0, 3))
        grid = number_grid("age", pa.array(training))
    return grid, counts_of(grid, training), counts_of(grid, window)


@settings(deadline=None, max_examples=60)
@given(pairs())
def test_jensen_shannon_and_chi_squared_are_scipys(pair: tuple[Grid, np.ndarray, np.ndarray]) -> None:
    first, second = in_groups(*pair)
    assert js(*pair).value == pytest.approx(jensenshannon(first, second, base=2), abs=EXACT)
    found = chi2(*pair)
    expected = stats.chi2_contingency(np.array([first, second]), correction=False)
    rows = first.sum() + second.sum()
    assert found.value == pytest.approx(math.sqrt(expected.statistic / rows), abs=EXACT)
    assert found.p == pytest.approx(expected.pvalue, abs=EXACT)


@settings(deadline=None, max_examples=60)
@given(pairs())
def test_psi_is_the_sum_of_both_relative_entropies(pair: tuple[Grid, np.ndarray, np.ndarray]) -> None:
    first, second = in_groups(*pair)
    p, q = (np.where(side == 0, EMPTY, side) / side.sum() for side in (first, second))
    expected = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    assert psi(*pair).value == pytest.approx(expected, abs=EXACT)
    assert math.isfinite(expected)
    if first.all() and second.all():  # nothing to smooth: as SciPy has it
        assert psi(*pair).value == pytest.approx(stats.entropy(first, second) + stats.entropy(second, first))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 12, 39, 10**9]), st.sampled_from([0.0, 0.5, 9.0]))
def test_ks_and_wasserstein_are_scipys_within_their_error(seed: int, distinct: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    training = np.floor(rng.random(300) * distinct) / distinct * 40
    window = np.floor(rng.random(120) * distinct + shift * distinct / 40) / distinct * 40
    grid = number_grid("age", pa.array(training))
    reference, current = counts_of(grid, training), counts_of(grid, window)
    found = ks(grid, reference, current)
    exact = stats.ks_2samp(training, window).statistic
    assert found.value <= exact + EXACT
    assert exact <= found.value + found.error + EXACT
    found = wasserstein(grid, reference, current)
    clipped = np.clip(window, grid.edges[0], grid.edges[-1])
    assert abs(found.value - stats.wasserstein_distance(training, clipped)) <= found.error + EXACT
    assert found.error <= np.diff(grid.edges).max()


@pytest.mark.parametrize("step", [0, 1, 3])
def test_ks_and_wasserstein_are_exact_where_a_bin_holds_one_value(step: int) -> None:
    rng = np.random.default_rng(4)
    training, window = rng.integers(1, 13, 500) * 0.7, rng.integers(1 + step, 13, 300) * 0.7
    grid = number_grid("month", pa.array(training))
    pair = counts_of(grid, training), counts_of(grid, window)
    assert ks(grid, *pair).value == pytest.approx(stats.ks_2samp(training, window).statistic, abs=EXACT)
    expected = stats.wasserstein_distance(training, window)
    assert wasserstein(grid, *pair).value == pytest.approx(expected, abs=EXACT)


def test_groups_are_ten_of_equal_reference_counts_with_the_outside_in_the_first_and_the_last() -> None:
    training = np.random.default_rng(0).normal(size=40_000)
    grid = number_grid("x", pa.array(training))
    reference = counts_of(grid, training)
    place = groups(grid, reference)
    assert place.tolist() == [0, *np.repeat(np.arange(GROUPS), 4), GROUPS - 1, GROUPS]
    rows = np.bincount(place, weights=reference)
    assert np.all(np.abs(rows[:-1] - 4000) < 4000 * 0.03)
    assert rows[-1] == 0


def test_groups_of_categories_are_the_nine_most_frequent_the_rest_other_and_null() -> None:
    names = [f"k{number:02d}" for number in range(14) for _ in range(20 - number)]
    grid = category_grid("kind", pa.array(names))
    place = groups(grid, counts_of(grid, names))
    assert place.tolist() == [*range(9), *[9] * 5, 10, 11]
    few = category_grid("kind", pa.array(["b", "a", "b"]))
    assert few.categories == ("b", "a")
    assert groups(few, counts_of(few, ["b", "a", "b"])).tolist() == [0, 1, 2, 3]


def test_a_score_that_is_all_in_few_bins_has_few_groups_and_none_is_empty() -> None:
    scores = np.random.default_rng(1).random(5000) * 0.07
    grid = score_grid("score")
    reference = counts_of(grid, scores)
    place = groups(grid, reference)
    assert np.all(np.diff(place) >= 0)
    assert np.all(np.bincount(place, weights=reference)[:-1] > 0)
    assert psi(grid, reference, counts_of(grid, scores + 0.03)).value > 1


@pytest.mark.parametrize("metric", METRICS)
def test_alike_is_zero_and_no_rows_are_no_value(metric: str) -> None:
    values = np.random.default_rng(2).normal(size=500)
    grid = number_grid("x", pa.array(values))
    counts = counts_of(grid, values)
    found = METRICS[metric](grid, counts, counts * 3, 0.05)
    assert found.value == pytest.approx(0, abs=1e-7)
    assert (found.rows, found.reference_rows) == (1500, 500)
    nothing = METRICS[metric](grid, counts, counts * 0, 0.05)
    assert (nothing.value, nothing.lacking) == (None, "no rows on one side")
    assert METRICS[metric](grid, counts * 0, counts, 0.05).value is None


@pytest.mark.parametrize("metric", METRICS)
def test_values_outside_of_training_and_lost_values_are_seen(metric: str) -> None:
    values = np.random.default_rng(2).normal(size=5000)
    grid = number_grid("x", pa.array(values))
    counts = counts_of(grid, values)
    above = METRICS[metric](grid, counts, counts_of(grid, np.where(values > 1, 99.0, values)), 0.05)
    below = METRICS[metric](grid, counts, counts_of(grid, np.where(values < -1, -99.0, values)), 0.05)
    if metric in ("ks", "wasserstein"):
        assert above.value > 0.05
        assert below.value > 0.05
    lost = METRICS[metric](grid, counts, counts_of(grid, [None] * 500 + values[500:].tolist()), 0.05)
    if metric in ("psi", "js", "chi2"):
        assert lost.value > lost.limit
    else:
        assert lost.value < 0.05
        assert lost.rows == 4500


@pytest.mark.parametrize("metric", ["ks", "wasserstein"])
def test_categories_have_no_order(metric: str) -> None:
    grid = category_grid("kind", pa.array(["a", "b"]))
    found = METRICS[metric](grid, np.array([1, 1, 0, 0]), np.array([0, 2, 0, 0]), 0.05)
    assert (found.value, found.lacking) == (None, "categories have no order")


def test_one_value_only_has_no_drift_and_no_limit_that_it_could_pass() -> None:
    grid = number_grid("x", pa.array([7.0] * 30))
    for metric in METRICS:
        found = METRICS[metric](grid, counts_of(grid, [7.0] * 30), counts_of(grid, [7.0] * 9), 0.05)
        assert found.value == 0
        assert found.limit is not None
        assert found.limit >= 0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("column", ["number", "score"])
def test_chance_passes_the_limit_about_as_often_as_asked(metric: str, column: str) -> None:
    """Windows and training from one distribution. Smirnov's limit is for values that never tie: bins make it
    stricter. That of Wasserstein is an approximation, which errs by a third at most.
    """
    rng, alpha, windows = np.random.default_rng(8), 0.05, 1500
    grid = score_grid("score") if column == "score" else number_grid("x", pa.array(rng.beta(2, 5, 4000)))
    many = rng.beta(2, 5, 1_000_000)
    truth = counts_of(grid, many) / len(many)
    training, window = rng.multinomial(4000, truth, windows), rng.multinomial(300, truth, windows)
    found = [METRICS[metric](grid, *pair, alpha) for pair in zip(training, window, strict=True)]
    passed = np.mean([one.value > one.limit for one in found])
    low, high = {"ks": (0.01, 0.05), "wasserstein": (0.035, 0.085)}.get(metric, (0.035, 0.065))
    assert low <= passed <= high


def test_shares_of_rows() -> None:
    number = number_grid("age", pa.array([1.0, 5.0, 9.0]))
    counts = counts_of(number, [0.0, 1.0, 9.0, 9.5, 10.0, None])
    assert missing(number, counts) == (1, 6)
    assert out_of_range(number, counts) == (3, 5)
    assert new_categories(number, counts) is None
    kind = category_grid("kind", pa.array(["a", "b"]))
    counts = counts_of(kind, ["a", "c", None, None])
    assert new_categories(kind, counts) == (1, 2)
    assert missing(kind, counts) == (2, 4)
    assert out_of_range(kind, counts) is None


def test_the_mean_of_scores_is_off_by_less_than_half_a_bin() -> None:
    grid, scores = score_grid("score"), np.random.default_rng(5).beta(0.4, 3, 2000)
    assert abs(mean_in_bins(grid, counts_of(grid, scores)) - scores.mean()) <= 0.01
    assert mean_in_bins(grid, np.zeros(grid.bins)) is None
    assert mean_in_bins(category_grid("kind", pa.array(["a"])), np.array([1, 0, 0])) is None
