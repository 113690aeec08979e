"""Performance on matured labels: which days count, how many labels must have come, and what is measured."""

from datetime import date, timedelta
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, precision_score, recall_score, roc_auc_score

from fielded.decisions.monitoring.histograms import OVERALL, Place
from fielded.decisions.monitoring.labelled_window import (
    LabelledScores,
    MaturedWindow,
    Scored,
    edges,
    matured_window,
    places,
)
from fielded.definition.monitoring import Labels, Window

AS_OF = date(2026, 6, 30)
LABELS = Labels(maturity=timedelta(days=30), min_coverage=0.8)
WINDOW = Window(last=100, max_age=timedelta(days=60))
EDGE = date(2026, 5, 31)


def scores_of(days: dict[date, tuple[int, int]], seed: int = 0) -> LabelledScores:
    """So many rows of each day, of which so many have a label."""
    rng = np.random.default_rng(seed)
    newest = sorted(days, reverse=True)
    day = np.repeat(np.array(newest, dtype="datetime64[D]"), [days[one][0] for one in newest])
    known = (
        np.concatenate([np.arange(days[one][0]) < days[one][1] for one in newest]) if days else np.array([], bool)
    )
    scores = rng.random(len(day))
    return LabelledScores(
        version="2",
        days=day,
        slices=pa.table({"kind": rng.choice(["engine", "hull"], len(day))}),
        scores=scores,
        flags=scores >= 0.65,
        labels=known & (rng.random(len(day)) < scores),
        known=known,
        by_day=MappingProxyType({one: Scored(*days[one]) for one in sorted(days)}),
    )


def looked_at(
    labelled: LabelledScores, window: Window = WINDOW, labels: Labels = LABELS, place: Place = OVERALL
) -> MaturedWindow:
    return matured_window(labelled, (place, places(labelled)[place]), window, labels, AS_OF)


def back(days: int) -> date:
    return EDGE - timedelta(days=days)


def test_a_day_counts_from_the_day_on_which_it_has_matured() -> None:
    found = looked_at(scores_of({EDGE + timedelta(days=1): (500, 500), EDGE: (120, 120), back(1): (200, 200)}))
    assert (found.first_day, found.last_day, found.rows) == (EDGE, EDGE, 120)
    assert found.lacking == ""


def test_days_are_taken_whole_and_no_more_of_them_than_hold_the_rows() -> None:
    found = looked_at(scores_of({back(n): (40, 40) for n in range(10)}))
    assert (found.first_day, found.last_day, found.rows) == (back(2), EDGE, 120)
    assert [cohort.day for cohort in found.cohorts] == [EDGE, back(1), back(2)]


def test_a_day_older_than_the_limit_is_not_looked_at() -> None:
    found = looked_at(scores_of({back(60): (10, 10), back(61): (500, 500)}))
    assert (found.first_day, found.rows) == (back(60), 10)


def test_labels_that_are_only_the_quick_ones_do_not_count_however_many_they_are() -> None:
    # The newest matured day has a third of its labels: they are left out, and the share that is missing is told.
    found = looked_at(scores_of({EDGE: (300, 100), back(1): (120, 120)}))
    assert found.rows == 120
    assert [cohort.counts for cohort in found.cohorts] == [False, True]
    assert found.last_day == back(1)
    assert found.coverage.value == pytest.approx(220 / 420)
    assert "got labels of 52.4% of 420 scores up to 2026-05-31, expected at least 80.0%" in found.lacking


def test_a_small_day_is_not_left_out_for_what_chance_makes() -> None:
    found = looked_at(scores_of({back(n): (4, 3 if n % 4 == 0 else 4) for n in range(40)}))
    assert all(cohort.counts for cohort in found.cohorts)
    assert found.lacking == ""


def test_enough_of_all_is_not_enough_of_a_place() -> None:
    labelled = scores_of({back(n): (100, 100) for n in range(3)})
    engine = np.array(labelled.slices["kind"].to_pylist()) == "engine"
    known = labelled.known & ~(engine & (np.arange(labelled.rows) % 2 == 0))
    half = LabelledScores(**{
        **{name: getattr(labelled, name) for name in labelled.__dataclass_fields__},
        "known": known,
        "by_day": MappingProxyType({back(n): Scored(100, 80) for n in range(3)}),
    })  # fmt: skip
    assert looked_at(half, place=Place("kind", "hull")).lacking == ""
    told = looked_at(half, place=Place("kind", "engine"))
    assert told.lacking.startswith("got labels of")
    assert told.rows < engine.sum()


def test_without_scores_or_labels_it_says_which() -> None:
    nothing = looked_at(scores_of({}))
    assert nothing.lacking == "got no scores up to 2026-05-31, expected some that are 30 days old"
    assert (nothing.first_day, nothing.rows, nothing.metrics["auc"].value) == (None, 0, None)
    unlabelled = looked_at(
        scores_of({EDGE: (50, 0)}), labels=Labels(maturity=timedelta(days=30), min_coverage=0.0)
    )
    assert unlabelled.lacking == "got no labels of scores up to 2026-05-31, expected some. Load outcomes"


def test_the_metrics_are_those_of_the_rows_with_a_label_and_of_no_others() -> None:
    labelled = scores_of({EDGE: (400, 350), back(1): (400, 400)}, seed=4)
    found = looked_at(labelled, Window(last=600, max_age=timedelta(days=60)))
    rows = labelled.known
    truth, scores, flags = labelled.labels[rows], labelled.scores[rows], labelled.flags[rows]
    assert found.rows == rows.sum() == 750
    assert found.metrics["auc"].value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert found.metrics["precision"].value == pytest.approx(precision_score(truth, flags), abs=1e-12)
    assert found.metrics["fnr"].value == pytest.approx(1 - recall_score(truth, flags), abs=1e-12)
    assert found.metrics["brier"].value == pytest.approx(brier_score_loss(truth, scores), abs=1e-12)
    assert found.metrics["calibration"].value == pytest.approx(scores.mean() - truth.mean(), abs=1e-12)
    for one in found.metrics.values():
        assert one.low <= one.value <= one.high


def test_the_intervals_hold_for_labels_drawn_from_the_scores() -> None:
    # A perfect model has calibration 0: of 200 windows about one in twenty says otherwise.
    missed = 0
    for seed in range(200):
        value = looked_at(scores_of({EDGE: (150, 150)}, seed=seed)).metrics["calibration"]
        missed += not value.low <= 0 <= value.high
    assert missed <= 20


def test_an_edge_is_the_newest_day_that_is_old_enough_in_whole_days() -> None:
    assert edges(AS_OF, timedelta(days=30), timedelta(days=60)) == (date(2026, 4, 1), EDGE)
    assert edges(AS_OF, timedelta(hours=12), timedelta(hours=36))[1] == date(2026, 6, 29)
    assert edges(AS_OF, timedelta(hours=12), timedelta(hours=36))[0] == date(2026, 6, 27)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.integers(-20, 80), st.tuples(st.integers(1, 60), st.floats(0, 1)), max_size=30),
    st.integers(1, 300),
)
def test_a_window_is_never_of_young_or_old_days_and_never_larger_than_it_must_be(
    made: dict[int, tuple[int, float]], last: int
) -> None:
    days = {back(n): (rows, int(rows * share)) for n, (rows, share) in made.items()}
    labelled = scores_of(days)
    found = looked_at(labelled, Window(last=last, max_age=timedelta(days=60)))
    counted = [cohort for cohort in found.cohorts if cohort.counts]
    assert all(back(60) <= cohort.day <= EDGE for cohort in found.cohorts)
    assert found.rows == sum(cohort.labelled for cohort in counted)
    assert sum(cohort.labelled for cohort in counted[:-1]) < last
    assert found.coverage.rows == sum(cohort.scored for cohort in found.cohorts)
    matured = {day: counts for day, counts in days.items() if back(60) <= day <= EDGE}
    if len(found.cohorts) < len(matured):
        assert found.rows >= last
    if not found.lacking:
        assert found.coverage.value >= LABELS.min_coverage
