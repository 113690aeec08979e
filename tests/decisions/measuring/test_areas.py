"""Areas under the ROC curve against scikit-learn and a table of all pairs; how often intervals hold the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from fielded.decisions.measuring.areas import area, area_difference


@st.composite
def tied(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = draw(st.integers(4, 40))
    labels = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    labels[:4] = [True, True, False, False]
    scores = [np.array(draw(st.lists(st.integers(0, 5), min_size=rows, max_size=rows))) / 5 for _ in range(2)]
    return labels, scores[0], scores[1]


def kernel(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Events by non-events: one where the event scores higher, a half where they are tied."""
    gap = scores[labels][:, None] - scores[~labels][None, :]
    return (gap > 0) + 0.5 * (gap == 0)


def error(pulls: np.ndarray, confidence: float) -> float:
    """Half the interval's width by DeLong's variance, as it is in the paper, with Welch's degrees of freedom."""
    events, others = pulls.shape
    first, second = pulls.mean(axis=1).var(ddof=1) / events, pulls.mean(axis=0).var(ddof=1) / others
    if first + second < 1e-12:
        return 0.0
    degrees = (first + second) ** 2 / (first**2 / (events - 1) + second**2 / (others - 1))
    return float(stats.t.ppf((1 + confidence) / 2, degrees) * np.sqrt(first + second))


@given(tied())
def test_an_area_is_that_of_scikit_learn_and_its_interval_delongs_on_the_logit_scale(
    made: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    labels, scores, _ = made
    found = area(labels, scores, 0.95)
    assert found.value is not None
    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    half = error(kernel(labels, scores), 0.95)
    if half and 0 < found.value < 1:
        half /= found.value * (1 - found.value)
        ends = expit([logit(found.value) - half, logit(found.value) + half])
        assert (found.low, found.high) == pytest.approx(tuple(ends), abs=1e-9)


@given(tied())
def test_a_difference_of_areas_is_delongs(made: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    labels, second, first = made
    found = area_difference(labels, second, first, 0.9)
    assert found.value == pytest.approx(roc_auc_score(labels, second) - roc_auc_score(labels, first), abs=1e-12)
    half = error(kernel(labels, second) - kernel(labels, first), 0.9)
    if half:
        assert (found.low, found.high) == pytest.approx(
            (max(-1, found.value - half), min(1, found.value + half)), abs=1e-9
        )


@pytest.mark.parametrize("label", [True, False])
def test_one_class_alone_has_no_area(label: bool) -> None:
    labels, scores = np.full(20, label), np.linspace(0, 1, 20)
    assert area(labels, scores, 0.95).value is None
    assert (area(labels, scores, 0.95).low, area(labels, scores, 0.95).high) == (0.0, 1.0)
    assert area_difference(labels, scores, scores, 0.95).value is None


def test_classes_that_are_apart_in_a_small_sample_are_not_taken_for_certain() -> None:
    found = {}
    for each in (5, 10, 100, 1000):
        labels = np.repeat([False, True], each)
        found[each] = area(labels, labels.astype(float), 0.95)
    assert all(one.value == one.high == 1.0 for one in found.values())
    lows = [one.low for one in found.values()]
    assert lows == sorted(lows)
    assert lows[0] < 0.7
    assert 0.99 < lows[-1] < 1.0


def test_scores_that_are_all_alike_do_not_make_an_area_of_a_half_certain() -> None:
    labels = np.repeat([False, True], 30)
    found = area(labels, np.full(60, 0.3), 0.95)
    assert found.value == 0.5
    assert 0.33 < found.low < 0.40
    assert found.high == pytest.approx(1 - found.low, abs=1e-9)


def test_a_single_event_says_next_to_nothing() -> None:
    labels, scores = np.arange(200) == 199, np.linspace(0, 1, 200)
    found = area(labels, scores, 0.95)
    assert found.value == 1.0
    assert found.low < 0.5
    assert area_difference(labels, scores, scores[::-1], 0.95).low == -1.0


def test_equal_scores_differ_by_nothing_and_equal_orders_by_an_unknown_amount() -> None:
    labels = np.repeat([False, True], 15)
    first, second = labels.astype(float), labels * 0.5
    assert (area_difference(labels, first, first, 0.95).low, area_difference(labels, first, first, 0.95).high) == (
        0,
        0,
    )
    found = area_difference(labels, second, first, 0.95)
    assert found.value == 0.0
    assert found.low < -0.05
    assert found.high > 0.05


@pytest.mark.parametrize(("gap", "events", "others"), [(0.8, 12, 60), (1.8, 20, 80), (2.6, 15, 85)])
def test_an_areas_interval_holds_the_truth_as_often_as_it_says(gap: float, events: int, others: int) -> None:
    random = np.random.default_rng(11)
    truth = stats.norm.cdf(gap / np.sqrt(2))
    labels = np.repeat([True, False], [events, others])
    held = []
    for _ in range(2000):
        found = area(labels, random.normal(gap * labels), 0.95)
        held.append(found.low <= truth <= found.high)
    assert 0.93 <= np.mean(held) <= 0.985


def test_a_paired_interval_holds_the_truth_and_is_narrower_than_either_alone() -> None:
    random = np.random.default_rng(5)
    labels = np.repeat([True, False], [60, 140])
    truth = stats.norm.cdf(1.2 / np.sqrt(2 * 1.25)) - stats.norm.cdf(1.2 / np.sqrt(2 * 1.5))
    held, narrower = [], []
    for _ in range(500):
        common = random.normal(1.2 * labels)
        second, first = (common + random.normal(0, np.sqrt(noise), 200) for noise in (0.25, 0.5))
        found, alone = area_difference(labels, second, first, 0.95), area(labels, first, 0.95)
        held.append(found.low <= truth <= found.high)
        narrower.append(found.high - found.low < alone.high - alone.low)
    assert 0.925 <= np.mean(held) <= 0.975
    assert np.mean(narrower) > 0.95
