"""What a threshold costs, against a plain count, and which thresholds could cost least."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_rows import made
from scipy.special import expit
from sklearn.metrics import confusion_matrix

from fielded.decisions.measuring.slices import OVERALL
from fielded.decisions.release.cost import cost_by_slice, cost_curve


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float]:
    rows = draw(st.integers(1, 40))
    scores = draw(st.lists(st.integers(0, 100).map(lambda each: each / 100), min_size=rows, max_size=rows))
    labels = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    return np.array(labels), np.array(scores), draw(st.sampled_from([0.0, 0.1, 0.37, 0.5, 0.654321, 1.0]))


@given(labelled())
@settings(deadline=None)
def test_the_curve_is_a_count_of_missed_events_and_needless_interventions(
    rows: tuple[np.ndarray, np.ndarray, float],
) -> None:
    labels, scores, threshold = rows
    found = cost_curve(labels, scores, threshold)
    for place in (0, 20, 50, 98):
        flags = scores >= found.thresholds[place]
        _, needless, missed, _ = confusion_matrix(labels, flags, labels=[False, True]).ravel()
        expected = ((1 - threshold) * missed + threshold * needless) / len(labels)
        assert found.costs[place] == pytest.approx(expected, abs=1e-12)
    here = np.searchsorted(found.thresholds, threshold)
    assert found.at_threshold.value == pytest.approx(found.costs[here], abs=1e-12)
    assert found.saved.value == pytest.approx(found.costs[here] - found.costs.min(), abs=1e-12)
    assert found.best.low <= found.best.value <= found.best.high
    assert found.saved.low >= 0


def test_the_price_of_a_missed_event_follows_from_the_threshold() -> None:
    found = cost_curve(np.array([True, False]), np.array([0.9, 0.1]), 0.65)
    assert found.missed / found.needless == pytest.approx((1 - 0.65) / 0.65)


@pytest.mark.parametrize("threshold", [0.2, 0.65])
def test_a_calibrated_version_costs_least_at_the_threshold_and_the_interval_holds_it(threshold: float) -> None:
    random = np.random.default_rng(1)
    held, widths = [], {300: [], 3000: []}
    for rows, width in widths.items():
        for _ in range(200):
            scores = expit(-1 + 1.2 * random.normal(size=rows))
            best = cost_curve(random.random(rows) < scores, scores, threshold).best
            held.append(best.low <= threshold <= best.high)
            width.append(best.high - best.low)
    assert np.mean(held) >= 0.94
    assert np.mean(widths[3000]) < 0.8 * np.mean(widths[300])


def test_a_version_that_is_off_shows_another_threshold_and_what_it_would_save() -> None:
    random = np.random.default_rng(2)
    truth = expit(-1 + 1.5 * random.normal(size=20_000))
    labels = random.random(20_000) < truth
    found = cost_curve(labels, expit(np.log(truth / (1 - truth)) - 1.5), 0.5)
    assert found.best.high < 0.4
    assert found.best.low <= expit(-1.5) <= found.best.high
    assert found.saved.low > 0


def test_no_rows_cost_nothing_that_could_be_known() -> None:
    found = cost_curve(np.empty(0, dtype=bool), np.empty(0), 0.5)
    assert (found.at_threshold.value, found.best.value, found.saved.value) == (None, None, None)
    assert np.isnan(found.costs).all()


def test_the_slice_where_most_could_be_saved_comes_first_after_all_rows() -> None:
    listed = cost_by_slice(made(3, 6000, shifted={"CVN-68": -2.0}), ["hull"], 0.5)
    assert listed[0][0] == OVERALL
    assert str(listed[1][0]) == "hull=CVN-68"
    assert listed[1][1].best.high < 0.5
    saved = [curve.saved.value for _, curve in listed[1:]]
    assert saved == sorted(saved, reverse=True)
