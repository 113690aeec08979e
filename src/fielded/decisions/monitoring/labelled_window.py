"""Scores with what came true of them, by the day of the score, and the window of them whose labels have matured.

1. A cohort is all that was scored on one day. It has matured once `maturity` has passed since that day: before
   that, the labels that are there are those that come quickly, and they are not like the others.
2. A matured cohort whose labels did not come, its coverage being below `min_coverage` by more than chance makes,
   is left out with the labels that it has, for the same reason.
3. A window is the newest matured cohorts, whole days, that together hold `last` labelled rows of the place that
   is looked at. None is older than `max_age` before the newest day that can have matured.
4. Its coverage is of all scores of the place from its first day to that newest day, those too of cohorts that
   were left out. Below `min_coverage` it says so: who has no label may differ from who has one.
5. A row without a label counts for coverage and for nothing else. It is never taken for a no.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from fielded.decisions.measuring.accuracy import metrics
from fielded.decisions.measuring.calibration import in_the_large
from fielded.decisions.measuring.intervals import Estimate, proportion
from fielded.decisions.measuring.slices import listed
from fielded.decisions.monitoring.histograms import OVERALL, Place
from fielded.definition.monitoring import Labels, Window

CONFIDENCE = 0.95
CALIBRATION = "calibration"  # mean score less share of events, beside the names of `measuring.accuracy.metrics`


@dataclass(frozen=True, slots=True)
class Scored:
    """What was scored on one day.

    Attributes:
        scored: subjects, each counted on the day of its first score.
        labelled: of them, those whose label was known.
    """

    scored: int
    labelled: int


@dataclass(frozen=True, eq=False, slots=True)
class LabelledScores:
    """Scores of one version, one row a subject, newest day first.

    Attributes:
        version: of the model.
        days: date32, the day of each score.
        slices: a row for each score; the definition's slices, typed as its features. Null where a row has none.
        scores: float64 in [0, 1].
        flags: bool, whether the decision flagged the row.
        labels: bool, what came true; False where it is not known, see `known`.
        known: bool, whether the label was known.
        by_day: day -> what was scored on it, ascending; of all days asked for, also those whose rows are not here.
        notes: what was left out, and why.
    """

    version: str
    days: np.ndarray
    slices: pa.Table
    scores: np.ndarray
    flags: np.ndarray
    labels: np.ndarray
    known: np.ndarray
    by_day: Mapping[date, Scored]
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many scores, with a label or without."""
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Cohort:
    """The scores of one day at one place.

    Attributes:
        day: of the scores.
        scored: how many.
        labelled: of them, those with a label.
        counts: whether its labels are measured on; see rule 2.
    """

    day: date
    scored: int
    labelled: int
    counts: bool


@dataclass(frozen=True, slots=True)
class MaturedWindow:
    """What is measured on labels that have matured, at one place.

    Attributes:
        place: which rows.
        first_day: of the cohorts that count; None where none does.
        last_day: newest of them.
        rows: labelled scores that the metrics rest on.
        coverage: share of the scores that have a label, with its interval; see rule 4.
        cohorts: days that were looked at, newest first.
        metrics: `auc`, `precision`, `recall`, `fnr`, `fpr`, `brier` and `calibration`, each with its interval.
        lacking: why the metrics decide nothing; empty where they do. How many rows are enough is not said here.
    """

    place: Place
    first_day: date | None
    last_day: date | None
    rows: int
    coverage: Estimate
    cohorts: tuple[Cohort, ...]
    metrics: Mapping[str, Estimate]
    lacking: str


def places(labelled: LabelledScores, slices: Sequence[str] | None = None) -> dict[Place, np.ndarray]:
    """Which rows are where, as bool masks: all rows, and each value of each slice.

    Numbers with many values are cut at quartiles of these very rows (`measuring.slices`). Where the version has a
    profile, its own parts stay the same from one look to the next, and are to be preferred.

    Args:
        labelled: the rows.
        slices: columns of them; None takes all.
    """
    found = {OVERALL: np.ones(labelled.rows, dtype=bool)}
    for place, mask in listed(labelled.slices, labelled.slices.column_names if slices is None else slices):
        ((column, part),) = place.terms
        found[Place(column, part)] = mask
    return found


def matured_window(
    labelled: LabelledScores,
    at: tuple[Place, np.ndarray],
    window: Window,
    labels: Labels,
    as_of: date,
    confidence: float = CONFIDENCE,
) -> MaturedWindow:
    """The newest matured scores of a place, and how well they met what came true.

    Args:
        labelled: scores with labels, at least of the days from `window.max_age` before the maturity edge on.
        at: the place, and which rows are there (bool, one per row); see `places`.
        window: how many labelled rows, and how old at most.
        labels: when they have matured, and how many must have come.
        as_of: last whole day that is looked at.
        confidence: of each metric's interval by itself.
    """
    place, mask = at
    oldest, edge = edges(as_of, labels.maturity, window.max_age)
    inside = mask & (labelled.days <= np.datetime64(edge)) & (labelled.days >= np.datetime64(oldest))
    cohorts = _newest(_cohorts(labelled, inside, labels.min_coverage), window.last)
    counted = [cohort for cohort in cohorts if cohort.counts and cohort.labelled]
    days = np.array([cohort.day for cohort in counted], dtype="datetime64[D]")
    rows = np.flatnonzero(inside & labelled.known & np.isin(labelled.days, days))
    coverage = proportion(sum(one.labelled for one in cohorts), sum(one.scored for one in cohorts), CONFIDENCE)
    return MaturedWindow(
        place=place,
        first_day=counted[-1].day if counted else None,
        last_day=counted[0].day if counted else None,
        rows=len(rows),
        coverage=coverage,
        cohorts=tuple(cohorts),
        metrics=_measured(labelled, rows, confidence),
        lacking=_lacking(coverage, len(rows), labels, edge),
    )


def edges(as_of: date, maturity: timedelta, max_age: timedelta) -> tuple[date, date]:
    """The oldest and the newest day that a matured window can have: what to ask labelled scores of."""
    newest = as_of - timedelta(days=math.ceil(maturity / timedelta(days=1)))  # a date less 12 hours is that date
    return newest - timedelta(days=math.ceil(max_age / timedelta(days=1))), newest


def _cohorts(labelled: LabelledScores, inside: np.ndarray, min_coverage: float) -> list[Cohort]:
    """Days of some rows, newest first. Whether a day's labels came is asked of all its rows, not of a place's."""
    days, scored = np.unique(labelled.days[inside], return_counts=True)
    with_label, labelled_rows = np.unique(labelled.days[inside & labelled.known], return_counts=True)
    counts = dict(zip(with_label.tolist(), labelled_rows.tolist(), strict=True))
    return [
        Cohort(day, count, counts.get(day, 0), _came(labelled.by_day.get(day), min_coverage))
        for day, count in zip(days.tolist()[::-1], scored.tolist()[::-1], strict=True)
    ]


def _came(day: Scored | None, min_coverage: float) -> bool:
    """Rule 2."""
    return day is None or proportion(day.labelled, day.scored, CONFIDENCE).high >= min_coverage


def _newest(cohorts: Sequence[Cohort], last: int) -> list[Cohort]:
    """The newest cohorts that hold `last` labelled rows that count, and those left out among them or newer."""
    held = 0
    for place, cohort in enumerate(cohorts):
        held += cohort.labelled if cohort.counts else 0
        if held >= last:
            return list(cohorts[: place + 1])
    return list(cohorts)


def _measured(labelled: LabelledScores, rows: np.ndarray, confidence: float) -> Mapping[str, Estimate]:
    truth, scores, flags = labelled.labels[rows], labelled.scores[rows], labelled.flags[rows]
    measured = dict[str, Estimate](metrics(truth, scores, flags, confidence).items())
    return {**measured, CALIBRATION: in_the_large(truth, scores, confidence)}


def _lacking(coverage: Estimate, rows: int, labels: Labels, edge: date) -> str:
    days = labels.maturity / timedelta(days=1)
    if coverage.value is None:
        return f"got no scores up to {edge}, expected some that are {days:g} days old"
    if coverage.value < labels.min_coverage:
        return (
            f"got labels of {coverage.value:.1%} of {coverage.rows:,} scores up to {edge}, expected at least "
            f"{labels.min_coverage:.1%}. Load the outcomes that are missing"
        )
    return "" if rows else f"got no labels of scores up to {edge}, expected some. Load outcomes"
