"""Many windows at once come to what each by itself comes to."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.measuring.intervals import mean, proportion
from fielded.decisions.monitoring import drift
from fielded.decisions.monitoring.at_once import drift_statistic, mean_statistic, share_statistic, wilson
from fielded.decisions.monitoring.histograms import OVERALL, Grid
from fielded.definition.monitoring import When
from watched import profile

PAIRS = [
    (name, of)
    for of in ("ship_age_years", "score", "hull_class")
    for name in ("psi", "js", "chi2", "ks", "wasserstein")
    if of != "hull_class" or name not in ("ks", "wasserstein")  # categories have no order
]


@cache
def column(name: str) -> tuple[Grid, np.ndarray]:
    made = profile()
    counts = made.reference.of(OVERALL, name)
    assert counts is not None
    return made.grids[name], counts


@pytest.mark.parametrize(("name", "of"), PAIRS)
def test_each_window_has_the_value_and_limit_that_it_has_by_itself(name: str, of: str) -> None:
    grid, reference = column(of)
    rng = np.random.default_rng(5)
    shares = rng.dirichlet(np.maximum(reference, 1) / 20, size=(3, 4))
    windows = np.array([[rng.multinomial(300, share) for share in row] for row in shares]).astype(float)
    seen = drift_statistic(name, grid, reference, 0.05)(windows, reference.astype(float))
    for place in np.ndindex(3, 4):
        alone = drift.METRICS[name](grid, reference, windows[place].astype(np.int64), 0.05)  # type: ignore[index]
        assert seen.value[place] == pytest.approx(alone.value, abs=1e-12), place
        assert alone.limit is not None
        close = 0.02 if name == "wasserstein" else 1e-9  # its limit is that of a window like the reference
        if abs((alone.value or 0) / alone.limit - 1) > close:
            assert seen.more[place] == ((alone.value or 0) > alone.limit), place


def test_without_an_alpha_everything_is_more_than_chance() -> None:
    grid, reference = column("score")
    seen = drift_statistic("psi", grid, reference, None)(reference[None].astype(float), reference.astype(float))
    assert seen.more.all()
    assert seen.value[0] == 0


@settings(deadline=None, max_examples=60)
@given(hits=st.integers(0, 60), more=st.integers(0, 60), confidence=st.floats(0.5, 0.999))
def test_wilson_is_that_of_one(hits: int, more: int, confidence: float) -> None:
    rows = hits + more
    low, high = wilson(np.array([hits]), np.array([rows]), confidence)
    alone = proportion(hits, rows, confidence)
    if rows:
        assert (low[0], high[0]) == pytest.approx((alone.low, alone.high), abs=1e-12)


def test_a_share_breaches_where_its_whole_interval_has_crossed() -> None:
    hits, of = np.array([False, False, True, False]), np.array([True, False, True, False])
    counts = np.array([[60, 500, 40, 9], [60, 500, 140, 9], [0, 10, 0, 10]], dtype=float)
    seen = share_statistic(hits, of, When.parse("> 0.35"), 0.05)(counts, np.zeros(1))
    assert seen.value[:2] == pytest.approx([0.4, 0.7])
    assert np.isnan(seen.value[2])
    expected = [bool(proportion(h, n, 0.9).low > 0.35) for h, n in ((40, 100), (140, 200))]
    assert seen.more[:2].tolist() == expected == [False, True]
    falling = share_statistic(hits, of, When.parse("< 0.45"), 0.05)(counts, np.zeros(1))
    assert falling.more[:2].tolist() == [False, False]


def test_a_mean_breaches_where_its_whole_interval_has_crossed() -> None:
    values = np.array([0.1, 0.5, 0.9])
    counts = np.array([[10, 20, 30], [30, 20, 10]], dtype=float)
    for sign, end in ((">", "low"), ("<", "high")):
        seen = mean_statistic(values, When.parse(f"{sign} 0.5"), 0.05)(counts, np.zeros(1))
        for place in range(2):
            rows = np.repeat(values, counts[place].astype(int))
            alone = getattr(mean(rows, 0.9), end)
            assert seen.value[place] == pytest.approx(rows.mean(), abs=1e-12)
            assert seen.more[place] == When.parse(f"{sign} 0.5").crossed(alone)
