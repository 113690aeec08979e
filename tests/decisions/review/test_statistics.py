"""Agreement, overriding, automation bias and rates for all scores: by hand, by oracle and by simulation."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from fielded.decisions.measuring.intervals import proportion
from fielded.decisions.review.statistics import (
    Drawn,
    Reviewed,
    agreement,
    automation_bias,
    cohens_kappa,
    error_rates,
    override_rates,
)

AT = datetime(2026, 3, 2, tzinfo=UTC)


def reviewed(**changes: Any) -> Reviewed:
    told = {
        "subject": "s", "flag": True, "first": None, "decided": True, "second": None, "standing": True,
        "at": AT, "due_at": AT, "slices": {},
    }  # fmt: skip
    return Reviewed(**{**told, **changes})


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_kappa_is_what_scikit_learn_says(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(column, dtype=bool) for column in zip(*pairs, strict=True))
    found = cohens_kappa(first, second, 0.95)
    if len({*first, *second}) == 1:
        assert found.value is None
        return
    assert found.value == pytest.approx(cohen_kappa_score(first, second), abs=1e-9)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_the_interval_of_kappa_is_the_delta_methods_or_wilsons_where_that_is_wider() -> None:
    first = np.repeat([True, True, False, False], [75, 5, 5, 15])
    second = np.repeat([True, False, True, False], [75, 5, 5, 15])
    found = cohens_kappa(first, second, 0.95)
    assert found.value == pytest.approx(0.6875)
    # The delta method by numerical derivative, on the same cells.
    cells = np.array([0.15, 0.05, 0.05, 0.75])

    def kappa(p: np.ndarray) -> float:
        expected = (p[0] + p[1]) * (p[0] + p[2]) + (p[3] + p[2]) * (p[3] + p[1])
        return float((p[0] + p[3] - expected) / (1 - expected))

    step = 1e-6
    slope = np.array([(kappa(cells + step * e) - kappa(cells - step * e)) / (2 * step) for e in np.eye(4)])
    variance = (cells * slope**2).sum() - (cells * slope).sum() ** 2
    half = 1.959963984540054 * np.sqrt(variance / 100)
    wilson = proportion(90, 100, 0.95)
    expected_low = min(0.6875 - half, (wilson.low - 0.68) / 0.32)
    expected_high = max(0.6875 + half, (wilson.high - 0.68) / 0.32)
    assert (found.low, found.high) == pytest.approx((expected_low, expected_high), abs=1e-6)


@pytest.mark.parametrize(("rows", "flagged", "agree"), [(20, 0.5, 0.8), (50, 0.3, 0.9), (200, 0.5, 0.7)])
def test_the_interval_of_kappa_holds_the_truth_as_often_as_it_says(
    rows: int, flagged: float, agree: float
) -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        truth = rng.random(rows) < flagged
        first, second = (np.where(rng.random(rows) < agree, truth, ~truth) for _ in range(2))
        found = cohens_kappa(first, second, 0.95)
        both = agree * agree + (1 - agree) ** 2
        share = flagged * agree + (1 - flagged) * (1 - agree)
        chance = share * share + (1 - share) ** 2
        hits += found.low <= (both - chance) / (1 - chance) <= found.high
    assert hits / 400 > 0.93


def test_people_who_call_all_alike_have_no_kappa_and_twenty_who_agree_no_certainty() -> None:
    all_alike = np.ones(20, dtype=bool)
    assert cohens_kappa(all_alike, all_alike, 0.95).value is None
    halves = np.arange(20) < 10
    found = cohens_kappa(halves, halves, 0.95)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx((proportion(20, 20, 0.95).low - 0.5) / 0.5)
    assert cohens_kappa(halves[:0], halves[:0], 0.95).value is None


def test_overriding_is_told_overall_and_by_slice() -> None:
    cases = [
        reviewed(decided=False, slices={"kind": "engine", "age": 3.0}),
        reviewed(slices={"kind": "engine", "age": None}),
        reviewed(slices={"kind": "hull", "age": 7.0}),
        reviewed(flag=False, decided=True, slices={"kind": None, "age": 3.0}),
    ]
    found = override_rates(cases, ["kind", "age", "gone"], 0.95)
    assert found["overall"] == proportion(2, 4, 0.95)
    assert found["kind=engine"] == proportion(1, 2, 0.95)
    assert found["kind=hull"] == proportion(0, 1, 0.95)
    assert found["kind=null"] == proportion(1, 1, 0.95)
    assert found["age=3"] == proportion(2, 2, 0.95)
    assert override_rates([], ["kind"], 0.95)["overall"].value is None


def test_agreement_is_of_cases_that_two_persons_judged() -> None:
    cases = [
        reviewed(decided=True, second=True),
        reviewed(decided=False, second=False),
        reviewed(decided=True, second=False),
        reviewed(decided=True),
    ]
    found = agreement(cases, 0.95)
    assert found.observed == proportion(2, 3, 0.95)
    assert found.kappa.value == pytest.approx(cohen_kappa_score([1, 0, 1], [1, 0, 0]))


def test_automation_bias_counts_judgements_given_up_for_the_model() -> None:
    cases = [
        reviewed(subject="a", first=False, flag=True, decided=True),  # was right, gave in to a wrong model
        reviewed(subject="b", first=False, flag=True, decided=False),  # was right, and stayed
        reviewed(subject="c", first=False, flag=True, decided=True),  # was wrong, put right
        reviewed(subject="d", first=True, flag=False, decided=True),  # was wrong, and stayed
        reviewed(subject="e", first=True, flag=True, decided=True),  # of one mind with the model
        reviewed(subject="f", first=None, flag=True, decided=True),  # not asked
        reviewed(subject="g", first=False, flag=True, decided=True),  # nothing known
    ]
    outcomes = {"a": False, "b": False, "c": True, "d": False, "e": True, "f": False}
    found = automation_bias(cases, outcomes, 0.95)
    assert (found.given_up.value, found.given_up.rows) == (0.5, 2)
    assert (found.put_right.value, found.put_right.rows) == (0.5, 2)
    assert found.known == 5
    assert automation_bias([], {}, 0.95).given_up.value is None


def drawn(propensity: float, wrong: np.ndarray, decided: np.ndarray | None = None, **changes: Any) -> Drawn:
    rows = len(wrong)
    flags = changes.get("flags", np.zeros(rows, dtype=bool))
    return Drawn(
        propensity=propensity,
        flags=flags,
        decided=np.ones(rows, dtype=bool) if decided is None else decided,
        finals=flags ^ wrong,
        subjects=changes.get("subjects", np.arange(rows)),
    )


def test_reviewed_cases_alone_mislead_and_weighted_ones_do_not() -> None:
    """A model that is wrong in 40% of what is routed and in 5% of the rest, of which 2% are audited."""
    rng = np.random.default_rng(0)
    hits, values, naive = 0, [], []
    for _ in range(300):
        routed, rest = 2000, 18000
        held = rng.random(routed) < 0.4
        audited = rng.random((rng.random(rest) < 0.02).sum()) < 0.05
        found = error_rates([drawn(0.02, audited), drawn(1.0, held)], 0.95).wrong
        truth = (routed * 0.4 + rest * 0.05) / (routed + rest)
        hits += found.low <= truth <= found.high
        values.append(found.value)
        naive.append((held.sum() + audited.sum()) / (routed + len(audited)))
    assert np.mean(values) == pytest.approx(truth, abs=0.005)
    assert np.mean(naive) > truth + 0.2
    assert 0.92 < hits / 300 <= 1


def test_what_nobody_decided_is_stood_for_by_what_was_and_repeats_are_no_news() -> None:
    wrong = np.array([True, False, False, False])
    known = np.array([True, True, False, False])
    found = error_rates([drawn(0.5, wrong, known)], 0.95)
    assert (found.wrong.value, found.decided, found.drawn, found.stand_for) == (0.5, 2, 4, 8.0)
    assert (found.wrong.low, found.wrong.high) == pytest.approx(
        (proportion(1, 2, 0.95).low, proportion(1, 2, 0.95).high)
    )
    repeated = error_rates([drawn(0.5, np.tile(wrong, 30), subjects=np.tile(np.arange(4), 30))], 0.95)
    assert (repeated.wrong.value, repeated.wrong.rows) == (0.25, 4)
    flags = np.array([True, True, False, False])
    split = error_rates([drawn(1.0, wrong, flags=flags)], 0.95)
    assert (split.wrong_flags.value, split.missed.value) == (0.5, 0.0)


def test_a_stratum_of_which_nothing_is_known_leaves_the_rate_unknown() -> None:
    nobody = np.zeros(3, dtype=bool)
    found = error_rates([drawn(1.0, np.ones(97, dtype=bool)), drawn(1.0, nobody, nobody)], 0.95).wrong
    assert found.value is None
    assert found.low == pytest.approx(0.97 * proportion(97, 97, 0.95).low)
    assert found.high == 1.0
    assert error_rates([], 0.95).wrong.value is None
