"""A candidate against production on the same labelled rows.

Both scored the same rows, so most of the noise is common to both and goes out of the difference: paired
intervals are narrower than two that merely overlap. Candidate less production, so above zero is better for
`auc`, `precision` and `recall`, and worse for `fnr`, `fpr` and `brier`.

- `auc`: DeLong's covariance. `recall`, `fnr` and `fpr`: Newcombe's interval for McNemar's paired table.
- `precision`: the two rest on different flagged rows, so no paired table; the linearised difference of two
  ratios of means instead (the weighted generalised score of Kosinski 2013 in its Wald form, Statistics in
  Medicine 32:964-977).
- `brier`: Student's interval of the paired differences of squared errors.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from fielded.decisions.measuring.areas import area_difference
from fielded.decisions.measuring.intervals import (
    Estimate,
    difference,
    mean,
    normal_quantile,
    paired_difference,
    proportion,
)
from fielded.decisions.measuring.labelled import Labelled, everywhere
from fielded.decisions.measuring.slices import OVERALL, Slice
from fielded.definition.release import Metric


def differences(production: Labelled, candidate: Labelled, confidence: float) -> Mapping[Metric, Estimate]:
    """Candidate less production, of every metric, with paired intervals.

    Args:
        production: labelled rows as the production version scored them.
        candidate: the same rows in the same order, as the candidate scored them.
        confidence: of each interval by itself.

    Raises:
        ValueError: the rows are not the same.
    """
    _check_same(production, candidate)
    everything = np.ones(len(production.labels), dtype=bool)
    return _differences(production, candidate, everything, confidence)


def differences_by_slice(
    production: Labelled, candidate: Labelled, slices: Sequence[str], confidence: float = 0.95
) -> list[tuple[Slice, Mapping[Metric, Estimate]]]:
    """The same overall, which stands first, and in every slice: where the Brier score worsened most comes first.

    Raises:
        ValueError: the rows are not the same.
    """
    _check_same(production, candidate)
    found = [
        (place, _differences(production, candidate, mask, confidence))
        for place, mask in everywhere(production, slices)
    ]
    return sorted(found, key=lambda one: (one[0] != OVERALL, -(one[1]["brier"].value or 0.0), str(one[0])))


def brier_by_slice(
    production: Labelled, candidate: Labelled, slices: Sequence[str], confidence: float = 0.95
) -> dict[str, Estimate]:
    """Brier score of the candidate less that of production, by the description of the slice.

    Raises:
        ValueError: the rows are not the same.
    """
    _check_same(production, candidate)
    errors = (candidate.scores - candidate.labels) ** 2 - (production.scores - production.labels) ** 2
    return {
        str(place): _brier_difference(errors[mask], confidence) for place, mask in everywhere(production, slices)
    }


def _check_same(production: Labelled, candidate: Labelled) -> None:
    if not np.array_equal(production.labels, candidate.labels):
        raise ValueError(
            "candidate.labels: got other labels than production's, expected the same rows in the same order"
        )


def _differences(
    production: Labelled, candidate: Labelled, mask: np.ndarray, confidence: float
) -> Mapping[Metric, Estimate]:
    labels = production.labels[mask]
    new, old = candidate.flags[mask], production.flags[mask]
    new_scores, old_scores = candidate.scores[mask], production.scores[mask]
    errors = (new_scores - labels) ** 2 - (old_scores - labels) ** 2
    return {
        "auc": area_difference(labels, new_scores, old_scores, confidence),
        "precision": _precision_difference(labels, new, old, confidence),
        "recall": paired_difference(new[labels], old[labels], confidence),
        "fnr": paired_difference(~new[labels], ~old[labels], confidence),
        "fpr": paired_difference(new[~labels], old[~labels], confidence),
        "brier": _brier_difference(errors, confidence),
    }


def _precision_difference(labels: np.ndarray, new: np.ndarray, old: np.ndarray, confidence: float) -> Estimate:
    rows = min(int(new.sum()), int(old.sum()))
    apart = difference(
        proportion(int((labels & new).sum()), int(new.sum()), confidence),
        proportion(int((labels & old).sum()), int(old.sum()), confidence),
    )
    if apart.value is None:
        return apart
    if np.array_equal(new, old):
        return Estimate(0.0, 0.0, 0.0, rows)
    pull = _pull(labels, new) - _pull(labels, old)
    if not pull.any():  # each flags events only, and not the same ones: the paired rows say nothing of the spread
        return apart
    half = normal_quantile(confidence) * math.sqrt(float(pull.var(ddof=1)) / len(pull))
    return Estimate(apart.value, max(-1.0, apart.value - half), min(1.0, apart.value + half), rows)


def _pull(labels: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """By how much each row moves the precision, times the number of rows."""
    return np.asarray((labels - labels[flags].mean()) * flags / flags.mean())


def _brier_difference(errors: np.ndarray, confidence: float) -> Estimate:
    if len(errors) and not errors.any():
        return Estimate(0.0, 0.0, 0.0, len(errors))
    return mean(errors, confidence, (-1.0, 1.0))
