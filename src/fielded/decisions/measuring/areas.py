"""Area under the ROC curve: the chance that an event scores above a non-event, ties counting half.

1. Its variance and the covariance of two on the same rows are DeLong's, from placement values, so ties are
   counted as they are (DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837-845).
2. Its interval is made on the logit scale and carried back: it stays within [0, 1] and covers better near 1 than
   the plain one (Qin and Hotilovac 2008, Statistical Methods in Medical Research 17:207-221).
3. The quantile is Student's with Satterthwaite's degrees of freedom (Brunner and Munzel 2000, Biometrical Journal
   42:17-25): with few events the variance itself is uncertain.
4. Where DeLong's variance is zero or undefined (classes apart, all scores alike, one row of a class) the sample
   looks certain and is not: Newcombe's method 5 is taken, which needs only the area and the two counts (Newcombe
   2006, Statistics in Medicine 25:559-573).
5. Without both classes there is no area.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtrit

from fielded.decisions.measuring.intervals import Estimate, difference, normal_quantile

_HALVINGS = 60  # of an interval no wider than 1: down to the last bit


@dataclass(frozen=True, slots=True)
class _Area:
    """Attributes:
    value: the area.
    events: placement of each event among the non-events, from 0 to 1.
    others: placement of each non-event among the events.
    """

    value: float
    events: np.ndarray
    others: np.ndarray


def area(labels: np.ndarray, scores: np.ndarray, confidence: float) -> Estimate:
    """Area under the ROC curve with its interval.

    Args:
        labels: bool, one per row.
        scores: float64, one per row; larger for events.
        confidence: of the interval.
    """
    rows = len(labels)
    found = _placed(labels, scores)
    if found is None:
        return Estimate(None, 0.0, 1.0, rows)
    return _estimate(found, rows, confidence)


def area_difference(labels: np.ndarray, second: np.ndarray, first: np.ndarray, confidence: float) -> Estimate:
    """Area of `second` scores less that of `first`, on the same labelled rows."""
    rows = len(labels)
    new, old = _placed(labels, second), _placed(labels, first)
    if new is None or old is None:
        return Estimate(None, -1.0, 1.0, rows)
    found = new.value - old.value
    error = _error(new.events - old.events, new.others - old.others, confidence)
    if error == 0.0:
        if np.array_equal(second, first):
            return Estimate(0.0, 0.0, 0.0, rows)
        # Both order these rows alike: what they would do on others is known only from each by itself.
        return difference(_estimate(new, rows, confidence), _estimate(old, rows, confidence))
    return Estimate(found, max(-1.0, found - error), min(1.0, found + error), rows)


def _placed(labels: np.ndarray, scores: np.ndarray) -> _Area | None:
    events, others = np.sort(scores[labels]), np.sort(scores[~labels])
    if not len(events) or not len(others):
        return None
    below = np.searchsorted(others, scores[labels], "left") + np.searchsorted(others, scores[labels], "right")
    above = np.searchsorted(events, scores[~labels], "left") + np.searchsorted(events, scores[~labels], "right")
    placed = below / (2 * len(others))
    return _Area(float(placed.mean()), placed, 1 - above / (2 * len(events)))


def _error(events: np.ndarray, others: np.ndarray, confidence: float) -> float:
    """Half the width of an interval by DeLong's variance; infinite where a class has a single row."""
    if min(len(events), len(others)) < 2:  # noqa: PLR2004 - a spread needs two
        return math.inf
    parts = [float(placed.var(ddof=1)) / len(placed) for placed in (events, others)]
    variance = sum(parts)
    if variance == 0.0:
        return 0.0
    pulls = [
        (part / variance) ** 2 / (rows - 1) for part, rows in zip(parts, (len(events), len(others)), strict=True)
    ]
    return float(stdtrit(1 / sum(pulls), (1 + confidence) / 2)) * math.sqrt(variance)


def _estimate(found: _Area, rows: int, confidence: float) -> Estimate:
    return Estimate(found.value, *_interval(found, confidence), rows)


def _interval(found: _Area, confidence: float) -> tuple[float, float]:
    error = _error(found.events, found.others, confidence)
    if not 0 < error < math.inf or not 0 < found.value < 1:
        return _newcombe(found.value, len(found.events), len(found.others), normal_quantile(confidence))
    half = error / (found.value * (1 - found.value))
    middle = float(logit(found.value))
    return float(expit(middle - half)), float(expit(middle + half))


def _newcombe(value: float, events: int, others: int, z: float) -> tuple[float, float]:
    """The areas that lie `z` of their own standard errors from `value`; see rule 4."""
    return (
        _edge(value, 0.0, events * others, (events + others) / 2 - 1, z),
        _edge(value, 1.0, events * others, (events + others) / 2 - 1, z),
    )


def _edge(value: float, end: float, pairs: int, typical: float, z: float) -> float:
    inside, outside = value, end
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        spread = (
            middle * (1 - middle) * (1 + typical * ((1 - middle) / (2 - middle) + middle / (1 + middle))) / pairs
        )
        if abs(middle - value) <= z * math.sqrt(spread):
            inside = middle
        else:
            outside = middle
    return inside
