"""Chow's rule against the costs that it is made of, and against whoever tries every band."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.review.band import STEPS, Prices, chows_band, implied, study
from fielded.words.errors import WrongUse

thresholds = st.floats(0.02, 0.98)
shares = st.floats(0.0, 1.0)


def cost_of(p: float, prices: Prices) -> dict[str, float]:
    return {"leave": p * prices.missed, "flag": (1 - p) * prices.needless, "review": prices.review}


def drawn(rows: int, seed: int = 0, squeeze: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of calibrated probabilities, and scores that are those to the power of `squeeze`."""
    rng = np.random.default_rng(seed)
    probabilities = rng.beta(1.2, 1.2, rows)
    return rng.random(rows) < probabilities, probabilities**squeeze


def test_the_example_of_the_issue() -> None:
    low, high = chows_band(Prices(0.65, 0.18))
    assert (round(low, 2), round(high, 2)) == (0.51, 0.72)
    assert Prices(0.65, 0.18).most == pytest.approx(0.2275)


@settings(deadline=None, max_examples=60)
@given(thresholds, shares, shares)
def test_a_score_is_in_the_band_exactly_where_a_review_is_cheapest(t: float, part: float, p: float) -> None:
    prices = Prices(t, part * t * (1 - t))
    costs = cost_of(p, prices)
    low, high = chows_band(prices)
    assert low <= t <= high, "the band lies about the threshold"
    cheapest = min(costs["leave"], costs["flag"])
    if math.isclose(cheapest, prices.review, abs_tol=1e-12):
        return
    assert (low <= p <= high) == (prices.review < cheapest)
    if p not in (low, high):
        assert (costs["flag"] < costs["leave"]) == (p > t) or math.isclose(costs["flag"], costs["leave"])


@settings(deadline=None, max_examples=60)
@given(thresholds, shares)
def test_the_ends_of_chows_band_imply_the_price_that_made_it(t: float, part: float) -> None:
    price = part * t * (1 - t)
    assert implied(t, chows_band(Prices(t, price))) == pytest.approx((price, price), abs=1e-9)


def test_at_the_dearest_price_that_pays_the_ends_meet_and_above_it_there_is_no_band() -> None:
    for t in (0.1, 0.3, 0.5, 0.65, 0.9):
        assert chows_band(Prices(t, t * (1 - t))) == pytest.approx((t, t))
        assert chows_band(Prices(t, t * (1 - t) * 1.001)) is None
        assert chows_band(Prices(t, 0.0)) == (0.0, 1.0)


@pytest.mark.parametrize(("t", "d"), [(0.0, 0.1), (1.0, 0.0), (0.5, -0.1), (0.5, math.nan)])
def test_prices_that_are_none_are_refused(t: float, d: float) -> None:
    with pytest.raises(WrongUse, match="expected"):
        Prices(t, d)


def test_points_are_counted_as_one_counts_by_hand() -> None:
    scores = np.array([0.1, 0.3, 0.5, 0.6, 0.65, 0.7, 0.9, 0.95])
    labels = np.array([False, True, True, False, False, True, False, True])
    found = study(labels, scores, Prices(0.65, 0.1), (0.5, 0.7))
    point = found.in_force
    assert point.reviewed.value == 4 / 8
    assert point.errors.value == 2 / 4  # 0.3 is missed, 0.9 is flagged for nothing
    assert point.missed.value == 1 / 2
    assert point.needless.value == 1 / 2
    assert point.cost.value == pytest.approx((4 * 0.1 + 0.35 + 0.65) / 8)
    without = 2 * 0.35 + 2 * 0.65  # 0.3 and 0.5 missed, 0.65 and 0.9 needless
    assert found.nothing.cost.value == pytest.approx(without / 8)
    assert point.saved.value == pytest.approx((without - 1.4) / 8)
    assert (found.nothing.reviewed.value, found.nothing.saved.value) == (0.0, 0.0)
    assert (found.rows, found.events) == (8, 4)


def test_more_is_reviewed_as_reviews_become_cheaper_and_bands_hold_one_another() -> None:
    found = study(*drawn(3000), Prices(0.65, 0.18), (0.55, 0.75))
    for kind in (found.chow, found.symmetric):
        assert len(kind) == STEPS + 1
        for narrow, wide in itertools.pairwise(kind):
            assert wide.band[0] <= narrow.band[0] <= narrow.band[1] <= wide.band[1]
            assert narrow.reviewed.value <= wide.reviewed.value
    assert found.chow[-1].reviewed.value == 1.0
    assert found.chow[-1].errors.value is None, "nothing is left to be wrong about"
    assert found.chow[-1].cost.value == pytest.approx(0.18)


@pytest.mark.parametrize("t", [0.3, 0.65])
def test_for_calibrated_scores_no_band_is_better_than_chows(t: float) -> None:
    labels, scores = drawn(100_000, seed=3)
    prices = Prices(t, 0.6 * t * (1 - t))
    found = study(labels, scores, prices, (t - 0.1, t + 0.1))
    assert found.calibration.off == ()
    costs = [point.cost.value for point in (*found.chow, *found.symmetric, found.nothing, found.in_force)]
    assert found.chosen.cost.value <= min(costs) + 5e-4
    assert found.chosen.saved.low > 0
    assert found.least.narrowest[0] >= found.chosen.band[0] >= found.least.widest[0]
    # About 0.5, as wide, it would cost more: that is what centring on the threshold is worth.
    width = (found.chosen.band[1] - found.chosen.band[0]) / 2
    about_half = study(labels, scores, prices, (0.5 - width, 0.5 + width)).in_force
    assert about_half.cost.value > found.chosen.cost.value + 0.003


def test_scores_that_are_no_probabilities_are_told_so_and_another_band_costs_least() -> None:
    labels, scores = drawn(40_000, seed=5, squeeze=2.0)  # they promise too little
    found = study(labels, scores, Prices(0.65, 0.12), (0.55, 0.75))
    assert {"overall", "inside"} <= set(found.calibration.off)
    assert found.calibration.overall.value == pytest.approx(scores.mean() - labels.mean())
    assert found.calibration.inside.high < 0
    assert found.least.band != pytest.approx(found.chosen.band, abs=0.01)


def test_the_set_of_least_bands_covers_the_true_one() -> None:
    prices = Prices(0.65, 0.14)
    truth = chows_band(prices)
    held = 0
    for seed in range(60):
        labels, scores = drawn(800, seed=100 + seed)
        least = study(labels, scores, prices, (0.55, 0.75)).least
        narrow, wide = least.narrowest or (0.65, 0.65), least.widest
        held += wide[0] <= truth[0] + 1e-9 and narrow[0] >= truth[0] - 0.02
    assert held >= 55


def test_intervals_of_what_is_saved_cover_what_is_truly_saved() -> None:
    prices, band = Prices(0.65, 0.14), (0.5, 0.8)
    labels, scores = drawn(1_000_000, seed=8)
    wrong = np.where(scores >= 0.65, 0.65 * ~labels, 0.35 * labels)
    truth = float(np.where((scores >= 0.5) & (scores <= 0.8), wrong - 0.14, 0.0).mean())
    covered = 0
    for seed in range(100):
        one = study(*drawn(400, seed=1000 + seed), prices, band).in_force.saved
        covered += one.low <= truth <= one.high
    assert 89 <= covered <= 100


def test_without_rows_nothing_has_a_value() -> None:
    found = study(np.zeros(0, dtype=bool), np.zeros(0), Prices(0.65, 0.18), (0.55, 0.75))
    assert found.in_force.cost.value is None
    assert found.least.band is None
    assert found.calibration.off == ()
