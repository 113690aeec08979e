"""A trial's rules: who is on which side, what is counted, and when a canary must end."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fielded.decisions.release.tallies import NOTHING, Counts, Tally, Window
from fielded.decisions.release.trial import Limits, Told, place_of, reason_to_end

LIMITS = Limits()
SUBJECTS = [f"WO-{number:06d}" for number in range(20_000)]


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def tally(rows: int, *, flagged: float = 0.3, review: float = 0.1, odds: float = 0.0, refused: int = 0) -> Tally:
    return Tally(
        rows=rows, refused=refused, flagged=round(flagged * rows), review=round(review * rows),
        log_odds=odds * rows, squares=(odds * odds + 1) * rows,
    )  # fmt: skip


def counts(production: Tally, candidate: Tally, *, idle: float = 0.0, running: bool = True) -> Counts:
    return Counts(trial="salt", running=running, production=production, candidate=candidate, idle_seconds=idle)


def told(counted: Counts | None, *, silent: float = 0.0, served: float = 1e6) -> Told:
    return Told("here/7", silent, served, counted)


def reason(*workers: Told, age: float = 1e6, limits: Limits = LIMITS) -> str | None:
    return reason_to_end("salt", limits, age, workers)


def judged(production: Tally, candidate: Tally) -> str | None:
    return reason(told(counts(production, candidate)))


@given(st.text(), st.text())
def test_a_subject_has_one_place_in_the_unit_interval(salt: str, subject: str) -> None:
    assert 0 <= place_of(salt, subject) < 1
    assert place_of(salt, subject) == place_of(salt, subject)


def test_a_place_is_what_the_documents_say() -> None:
    # SHA-256 of `salt`, NUL, `WO-1`: computed apart, with `printf 'salt\0WO-1' | sha256sum`
    assert place_of("salt", "WO-1") == int("41ba8c9bd09da2d3", 16) / 2**64


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_share_is_as_large_as_asked_for_and_other_salts_choose_others(share: float) -> None:
    chosen = {salt: {one for one in SUBJECTS if place_of(salt, one) < share} for salt in ("a", "b")}
    for found in chosen.values():
        spread = math.sqrt(share * (1 - share) / len(SUBJECTS))
        assert abs(len(found) / len(SUBJECTS) - share) < 5 * spread
    both = len(chosen["a"] & chosen["b"]) / len(SUBJECTS)
    assert abs(both - share * share) < 5 * math.sqrt(share * share / len(SUBJECTS))


def test_a_larger_share_keeps_those_of_a_smaller_one() -> None:
    assert {one for one in SUBJECTS if place_of("s", one) < 0.1} < {
        one for one in SUBJECTS if place_of("s", one) < 0.2
    }


def test_a_pair_of_salt_and_subject_is_not_read_as_another_pair() -> None:
    assert place_of("ab", "c") != place_of("a", "bc")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.integers(1, 49))
def test_counts_of_parts_add_up_to_the_counts_of_all(scores: list[float], cut: int) -> None:
    array = np.array(scores)
    flags, review = array > 0.6, (array > 0.5) & (array < 0.7)
    whole = Tally.of(array, flags, review, refused=2)
    parts = Tally.of(array[:cut], flags[:cut], review[:cut], 2) + Tally.of(array[cut:], flags[cut:], review[cut:])
    assert (whole.rows, whole.refused, whole.flagged, whole.review) == (
        parts.rows, parts.refused, parts.flagged, parts.review,
    )  # fmt: skip
    assert whole.log_odds == pytest.approx(parts.log_odds)
    assert whole.squares == pytest.approx(parts.squares)
    assert math.isfinite(whole.log_odds), "scores of 0 and 1 have a bound"
    if len(scores) > 1:
        clipped = np.clip(array, 1e-6, 1 - 1e-6)
        odds = np.log(clipped / (1 - clipped))
        assert whole.mean == pytest.approx(odds.mean())
        assert whole.mean_variance == pytest.approx(odds.var(ddof=1) / len(odds), abs=1e-9)


def test_a_window_forgets_what_is_older_than_it() -> None:
    ticks = Ticks()
    window = Window(12.0, ticks)
    window.count(Tally(rows=5), Tally(rows=2))
    ticks.now = 6.0
    window.count(Tally(rows=1), NOTHING)
    found = window.counts("salt")
    assert (found.production.rows, found.candidate.rows, found.idle_seconds) == (6, 2, 6.0)
    ticks.now = 13.0
    assert window.counts("salt").production == Tally(rows=1)
    assert window.counts("salt").idle_seconds == 13.0
    ticks.now = 100.0
    assert window.counts("salt").production == NOTHING
    window.count(NOTHING, Tally(refused=1))
    assert window.counts("salt").idle_seconds == 0.0, "a refusal is a sign of life"


def test_a_report_of_counts_is_read_as_it_was() -> None:
    one = counts(tally(3), tally(4), idle=2.5)
    assert Counts.of(one.as_dict()) == one


def test_sides_that_are_alike_go_on() -> None:
    assert judged(tally(9000), tally(1000)) is None
    assert judged(tally(0), tally(0)) is None


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"flagged": 0.55}, "flag_rate"), ({"flagged": 0.05}, "flag_rate"), ({"review": 0.4}, "review_rate"),
     ({"odds": 1.2}, "log_odds"), ({"odds": -1.2}, "log_odds"), ({"refused": 60}, "refused")],
)  # fmt: skip
def test_a_side_that_is_apart_ends_the_canary_by_name(changed: dict[str, float], named: str) -> None:
    found = judged(tally(9000), tally(1000, **changed))
    assert found is not None
    assert found.startswith(f"{named}: got ")
    assert "expected" in found


@pytest.mark.parametrize("changed", [{"flagged": 0.9}, {"review": 0.9}, {"odds": 9.0}])
def test_a_few_rows_are_no_evidence(changed: dict[str, float]) -> None:
    assert judged(tally(9000), tally(99, **changed)) is None
    assert judged(tally(99), tally(9000, **changed)) is None
    assert judged(tally(9000), tally(LIMITS.minimum_rows, **changed)) is not None


def test_a_difference_within_its_limit_or_its_interval_goes_on() -> None:
    assert judged(tally(90_000), tally(10_000, flagged=0.39)) is None, "9 points apart, 10 allowed"
    assert judged(tally(9000), tally(150, flagged=0.42)) is None, "12 apart, but by chance perhaps"


def test_a_candidate_that_takes_nothing_ends_with_little_evidence() -> None:
    assert judged(tally(50), Tally(refused=1)) is None
    assert judged(tally(50), Tally(refused=2)) is not None
    assert judged(tally(5000), tally(1000, refused=15)) is None, "1.5 % of 1,000, but by chance perhaps"
    assert judged(tally(5000), tally(1000, refused=25)) is not None


def test_a_candidate_that_is_late_ends_with_little_evidence_but_not_with_one_pause() -> None:
    assert judged(tally(50), Tally(calls=1, late=1)) is None
    assert judged(tally(50), Tally(calls=2, late=2)) is None
    found = judged(tally(50), Tally(calls=3, late=3))
    assert found is not None
    assert found.startswith("late: got no answer of the candidate within 100 ms for 3 of 3 groups")
    assert judged(tally(5000), replace(tally(1000), calls=1000, late=60)) is None, "6 %, but by chance perhaps"
    assert judged(tally(5000), replace(tally(1000), calls=1000, late=80)) is not None


def test_a_candidate_that_hangs_is_no_sign_of_life() -> None:
    ticks = Ticks()
    window = Window(300.0, ticks)
    ticks.now = 61.0
    window.count(NOTHING, Tally(calls=1, late=1))
    assert window.counts("salt").idle_seconds == 61.0


def test_what_workers_counted_is_added_up() -> None:
    half = counts(tally(60), tally(60, flagged=0.9))
    assert reason(told(half)) is None
    assert reason(told(half), told(half)) is not None


def test_counts_of_another_trial_are_not_taken_for_its_own() -> None:
    other = replace(counts(tally(9000), tally(9000, flagged=0.9)), trial="earlier")
    assert reason(told(counts(tally(9000), tally(900))), told(other, served=1.0)) is None


@pytest.mark.parametrize(
    ("worker", "got"),
    [
        (told(counts(tally(9), tally(9)), silent=61.0), "no report for 61 s"),
        (told(None), "has not loaded"),
        (told(counts(NOTHING, NOTHING, running=False)), "has not loaded"),
        (told(counts(tally(9), NOTHING, idle=61.0)), "no row in any worker for 61 s"),
        (told(counts(tally(9), NOTHING, idle=31.0), silent=31.0), "no row in any worker for 62 s"),
    ],
)
def test_a_canary_without_metrics_ends(worker: Told, got: str) -> None:
    found = reason(worker)
    assert found is not None
    assert found.startswith("metrics are missing: ")
    assert got in found


def test_a_canary_that_nobody_serves_ends() -> None:
    assert "metrics are missing" in (reason() or "")


def test_a_canary_has_time_to_begin_and_so_has_a_new_worker() -> None:
    assert reason(told(None), age=59.0) is None
    assert reason(told(counts(NOTHING, NOTHING, idle=59.0)), age=59.0) is None
    good = told(counts(tally(900), tally(90)))
    assert reason(good, told(None, served=59.0)) is None
    assert reason(good, told(None, served=61.0)) is not None
    assert reason(good, told(counts(NOTHING, NOTHING, idle=1e5))) is None, "one worker that gets rows is enough"


def test_false_alarms_are_rare_though_it_is_looked_at_again_and_again() -> None:
    chance = random.Random(11)
    ended = 0
    for _ in range(60):
        production, candidate = NOTHING, NOTHING
        found = None
        for _ in range(25):  # looks, each with 40 rows more
            scores = np.array([chance.betavariate(2, 3) for _ in range(40)])
            share = np.array([chance.random() < 0.25 for _ in scores])
            flags, review = scores > 0.65, (scores > 0.55) & (scores < 0.75)
            production += Tally.of(scores[~share], flags[~share], review[~share])
            candidate += Tally.of(scores[share], flags[share], review[share])
            found = found or judged(production, candidate)
        ended += found is not None
    assert ended == 0


@pytest.mark.parametrize(
    "values", [{"flag_rat": 1.0}, {"flag_rate": 0}, {"flag_rate": -1.0}, {"flag_rate": "0.1"},
               {"log_odds": math.inf}, {"log_odds": math.nan}, {"refused": True}],
)  # fmt: skip
def test_limits_that_make_no_sense_are_refused_by_name(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"limits.{next(iter(values))}: got .*expected"):
        Limits.of(values)


def test_limits_are_read_from_their_event_as_they_were() -> None:
    made = Limits(flag_rate=0.02, silent_seconds=7.5)
    assert Limits.of(made.as_dict()) == made
    assert Limits.of({}) == Limits()
