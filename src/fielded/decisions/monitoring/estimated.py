"""Performance without labels, from the scores alone: what it would be if every score were the chance that it says.

This is confidence-based performance estimation (CBPE). A flagged row with a score of 0.8 counts as 0.8 of a right
flag and 0.2 of a wrong one; the sums are an expected confusion matrix, and the metrics are those of that matrix.

1. It assumes no concept drift: that a score still means what it meant when it was calibrated. Where that stops
   being so nothing here can see it, because no label is looked at. `ASSUMES` says so wherever a value stands.
2. So it clears no gate and moves no trigger: nothing that decides reads this module, which a test holds
   (`tests/decisions/monitoring/test_estimated.py`), and no bound can be compared with its values.
3. Scores that were not calibrated to begin with give estimates that are wrong from the first day on. Calibrated
   ones may be given beside them: the order and the flags are the scores', the chances theirs.
4. The area under the ROC curve is that of all pairs of rows: the chance that the row with the higher score is the
   event and the other is not, a row paired with itself and ties counting half, over all chances of an event and a
   non-event.
5. From a histogram each row counts as the middle of its bin, and a bin that the threshold cuts as evenly filled.
   An expected count is off by at most half a bin's width times the rows, and by the rows of the bin that is cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

ASSUMES = "assumes no concept drift"


@dataclass(frozen=True, slots=True)
class Expected:
    """The value of a metric that the scores promise. Not what was measured: it has no interval and no rows.

    Attributes:
        promised: between 0 and 1; None where these scores do not define it.
    """

    promised: float | None

    def __str__(self) -> str:
        value = "no value" if self.promised is None else f"{self.promised:.3f}"
        return f"{value} ({ASSUMES})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """Expected performance of some scores.

    Attributes:
        rows: scores that it is made of.
        caught: expected flagged events.
        false_alarms: expected flagged non-events.
        missed: expected events without a flag.
        passed: expected non-events without a flag.
        metrics: `auc`, `precision`, `recall`, `fnr`, `fpr` and `accuracy`.
        assumes: what all of it rests on.
    """

    rows: int
    caught: float
    false_alarms: float
    missed: float
    passed: float
    metrics: Mapping[str, Expected]
    assumes: str = ASSUMES


def estimated(scores: np.ndarray, flags: np.ndarray, calibrated: np.ndarray | None = None) -> Estimated:
    """What the scores of some rows promise.

    Args:
        scores: float64 in [0, 1], one per row.
        flags: bool, whether the decision flagged the row.
        calibrated: float64 in [0, 1], the chance of the event that each score stands for; None takes the scores
            at their word.

    Raises:
        ValueError: a chance is outside [0, 1] or not a number.
    """
    chances = scores if calibrated is None else calibrated
    if not np.all((chances >= 0) & (chances <= 1)):  # NaN fails both comparisons
        raise ValueError("scores: got a value outside [0, 1] or not a number, expected probabilities")
    flagged, rest = chances[flags], chances[~flags]
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-1.0))  # of each run of equal scores
    return _estimated(
        rows=len(scores),
        flagged=(float(flagged.sum()), float((1 - flagged).sum())),
        rest=(float(rest.sum()), float((1 - rest).sum())),
        auc=_area(_sums(chances[order], starts), _sums(1 - chances[order], starts)),
    )


def estimated_of_counts(edges: np.ndarray, counts: np.ndarray, threshold: float) -> Estimated:
    """What a histogram of scores promises; see rule 5.

    Args:
        edges: of the bins, ascending, from 0 to 1; one more than `counts`. Of a `Grid` of scores: its `edges`, and
            its counts without the bins for what lies below, above, and for nulls.
        counts: rows in each bin.
        threshold: scores from it on are flagged.
    """
    middles = (edges[:-1] + edges[1:]) / 2
    above = np.clip((edges[1:] - threshold) / np.diff(edges), 0, 1) * counts  # flagged rows of each bin
    below = counts - above
    # The two parts of the bin that the threshold cuts have middles of their own.
    high = np.where(above > 0, (np.maximum(edges[:-1], threshold) + edges[1:]) / 2, middles)
    low = np.where(below > 0, (edges[:-1] + np.minimum(edges[1:], threshold)) / 2, middles)
    return _estimated(
        rows=int(counts.sum()),
        flagged=(float((above * high).sum()), float((above * (1 - high)).sum())),
        rest=(float((below * low).sum()), float((below * (1 - low)).sum())),
        auc=_area(counts * middles, counts * (1 - middles)),
    )


def _estimated(rows: int, flagged: tuple[float, float], rest: tuple[float, float], auc: float | None) -> Estimated:
    """From expected events and non-events, flagged and not."""
    (caught, false_alarms), (missed, passed) = flagged, rest
    values = {
        "auc": auc,
        "precision": _share(caught, caught + false_alarms),
        "recall": _share(caught, caught + missed),
        "fnr": _share(missed, caught + missed),
        "fpr": _share(false_alarms, false_alarms + passed),
        "accuracy": _share(caught + passed, rows),
    }
    return Estimated(
        rows=rows,
        caught=caught,
        false_alarms=false_alarms,
        missed=missed,
        passed=passed,
        metrics=MappingProxyType({name: Expected(value) for name, value in values.items()}),
    )


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values, starts) if len(values) else values


def _area(events: np.ndarray, others: np.ndarray) -> float | None:
    """Rule 4, from the expected events and non-events at each score, lowest score first."""
    below = np.cumsum(others) - others
    return _share(float((events * (below + others / 2)).sum()), float(events.sum() * others.sum()))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
