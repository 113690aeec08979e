"""How well flags and scores met what came true: each metric with its interval.

`auc` (DeLong), `precision`, `recall`, `fnr` and `fpr` (Wilson; of the flagged, of the events, of the events, of
the others), `brier` (Student).
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from fielded.decisions.measuring.areas import area
from fielded.decisions.measuring.intervals import Estimate, mean, proportion
from fielded.definition.release import Metric

NAMES: Mapping[Metric, str] = MappingProxyType(
    {
        "auc": "area under the ROC curve",
        "precision": "precision",
        "recall": "recall",
        "fnr": "false negative rate",
        "fpr": "false positive rate",
        "brier": "Brier score",
    }
)


def metrics(
    labels: np.ndarray, scores: np.ndarray, flags: np.ndarray, confidence: float
) -> Mapping[Metric, Estimate]:
    """Every metric with its interval.

    Args:
        labels: bool, one per row.
        scores: float64 in [0, 1], one per row.
        flags: bool, one per row.
        confidence: of each interval by itself.

    Returns:
        `auc`, `precision`, `recall`, `fnr`, `fpr` and `brier`; one that these rows do not define has no value.
    """
    events, flagged = int(labels.sum()), int(flags.sum())
    caught = int((labels & flags).sum())
    return {
        "auc": area(labels, scores, confidence),
        "precision": proportion(caught, flagged, confidence),
        "recall": proportion(caught, events, confidence),
        "fnr": proportion(events - caught, events, confidence),
        "fpr": proportion(flagged - caught, len(labels) - events, confidence),
        "brier": mean((scores - labels) ** 2, confidence),
    }
