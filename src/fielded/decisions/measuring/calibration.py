"""Calibration in the large, and events against scores in bins. What is known of it is said in
`decisions.release.calibration`, which makes a gate of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fielded.decisions.measuring.intervals import Estimate, proportion
from fielded.decisions.measuring.labelled import Labelled, everywhere
from fielded.decisions.measuring.slices import OVERALL, Slice


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows with scores close to each other.

    Attributes:
        score: their mean score.
        events: share of events among them.
    """

    score: float
    events: Estimate


def in_the_large(labels: np.ndarray, scores: np.ndarray, confidence: float) -> Estimate:
    """Mean score less the share of events: above zero the version promises more events than came."""
    share = proportion(int(labels.sum()), len(labels), confidence)
    if share.value is None:
        return Estimate(None, -1.0, 1.0, 0)
    score = float(scores.mean())
    return Estimate(score - share.value, score - share.high, score - share.low, len(labels))


def calibration_by_slice(
    labelled: Labelled, slices: Sequence[str], confidence: float = 0.95
) -> list[tuple[Slice, Estimate]]:
    """Calibration in the large overall, which stands first, and in every slice, worst first."""
    found = [
        (place, in_the_large(labelled.labels[mask], labelled.scores[mask], confidence))
        for place, mask in everywhere(labelled, slices)
    ]
    return sorted(found, key=lambda one: (one[0] != OVERALL, -abs(one[1].value or 0.0), str(one[0])))


def reliability(labels: np.ndarray, scores: np.ndarray, bins: int = 10, confidence: float = 0.95) -> list[Bin]:
    """Bins of about equally many rows, by score: what was promised against what came. At most `bins` of them."""
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [
        Bin(float(scores[part].mean()), proportion(int(labels[part].sum()), len(part), confidence))
        for part in parts
    ]
