"""A bias planted in one class is stopped, an honest candidate is not, and no slice is passed by being small."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from scipy.special import expit, logit

from fielded.decisions.measuring.slices import OVERALL, listed
from fielded.decisions.release.findings import Finding, Verdict
from fielded.decisions.release.paired import CLIP, FlagShift, log_odds, mean_shift
from fielded.decisions.release.shift import SHOWN, Scores, measure, shift_findings, widened
from fielded.definition.release import ShiftGate
from fielded.words.errors import WrongUse

GATE = ShiftGate()
CLASSES = ("CG", "CVN", "DDG", "LCS", "LHD", "LPD", "LSD", "SSN")
VESSELS = Path(__file__).resolve().parents[3] / "bench" / "release" / "vessels.py"


def scores(odds: np.ndarray, threshold: float = 0.5) -> Scores:
    found = expit(odds)
    return Scores(found, found >= threshold)


def fleet(rows: int, seed: int = 0) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Features, production's log-odds, and the difference that an honest retraining makes."""
    rng = np.random.default_rng(seed)
    features = pa.table({
        "hull": pa.array(np.asarray(CLASSES)[np.arange(rows) % 8]),
        "yard": pa.array(rng.choice(["east", "gulf", "west"], rows)),
        "age": pa.array(rng.uniform(0, 40, rows)),
    })  # fmt: skip
    return features, rng.normal(-1, 1, rows), rng.normal(0, 0.3, rows)


def in_class(features: pa.Table, name: str) -> np.ndarray:
    return np.asarray(features.column("hull").to_pylist()) == name


def by_item(findings: list[Finding]) -> dict[str, Finding]:
    found = {each.item: each for each in findings}
    assert len(found) == len(findings), "a waiver names one finding"
    return found


# --- The intervals, against other ways to them ---


@settings(deadline=None)
@given(
    st.lists(st.floats(-5, 5), min_size=3, max_size=40),
    st.lists(st.floats(-5, 5), min_size=3, max_size=40),
    st.floats(1e-6, 0.2),
)
def test_the_shift_of_means_is_welchs(inside: list[float], outside: list[float], tail: float) -> None:
    one, other = np.array(inside), np.array(outside)
    sums = [np.array([[len(x)], [x.sum()], [(x**2).sum()]]) for x in (one, other)]
    if one.var() < 1e-6 or other.var() < 1e-6:
        return
    shift = mean_shift(*sums)
    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(1 - 2 * tail)
    low, high = shift.interval(tail)
    assert low[0] == pytest.approx(expected.low, abs=1e-6)
    assert high[0] == pytest.approx(expected.high, abs=1e-6)


def test_a_slice_without_a_rest_has_the_interval_of_its_own_mean() -> None:
    values = np.random.default_rng(3).normal(0.2, 1, 50)
    sums = np.array([[50], [values.sum()], [(values**2).sum()]])
    low, high = mean_shift(sums, np.zeros((3, 1))).interval(0.025)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high))


def score_statistic(change: float, gained: int, lost: int, rows: int) -> float:
    """Standardised distance from `change`, its variance at the most likely shares that have this change."""

    def unlikely(lost_share: float) -> float:
        shares = [lost_share + change, lost_share, 1 - 2 * lost_share - change]
        counts = [gained, lost, rows - gained - lost]
        return -sum(
            count * np.log(max(share, 1e-300)) for count, share in zip(counts, shares, strict=True) if count
        )

    ends = (max(0.0, -change), (1 - change) / 2)
    found = optimize.minimize_scalar(unlikely, bounds=ends, method="bounded", options={"xatol": 1e-12})
    lost_share = min((found.x, *ends), key=unlikely)
    variance = 2 * lost_share + change - change**2
    return float((gained - lost - rows * change) / np.sqrt(rows * max(variance, 1e-300)))


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 120), st.floats(0, 1), st.floats(0, 1), st.sampled_from([1e-5, 1e-3, 0.025, 0.05]))
def test_limits_of_the_flag_rate_are_where_the_score_test_turns(
    rows: int, discordant: float, split: float, tail: float
) -> None:
    gained = round(rows * discordant * split)
    lost = round(rows * discordant) - gained
    shift = FlagShift(*(np.array([float(each)]) for each in (rows, gained, lost)))
    low, high = (float(limit[0]) for limit in shift.interval(tail))
    z = stats.norm.isf(tail)
    assert -1 <= low <= float(shift.value[0]) <= high <= 1
    if low > -0.999:
        assert score_statistic(low, gained, lost, rows) == pytest.approx(z, abs=0.01)
    if high < 0.999:
        assert score_statistic(high, gained, lost, rows) == pytest.approx(-z, abs=0.01)


def test_the_interval_of_the_flag_rate_is_the_published_one() -> None:
    """Airway hyper-responsiveness before and after transplantation (Bentur 2009): 1 and 7 discordant of 21."""
    low, high = FlagShift(np.array([21.0]), np.array([1.0]), np.array([7.0])).interval(0.025)
    assert (low[0], high[0]) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize("rows", [30, 62])
@pytest.mark.parametrize("lost_share", [0.0, 0.02, 0.05, 0.1])
def test_a_flag_rate_at_the_tolerance_fails_no_more_often_than_its_level_says(
    rows: int, lost_share: float
) -> None:
    """All outcomes counted, not sampled: the score test is approximate, and the levels here are far out."""
    gained, lost = np.meshgrid(np.arange(rows + 1.0), np.arange(rows + 1.0))
    possible = gained + lost <= rows
    gained, lost = gained[possible], lost[possible]
    counts = np.column_stack([gained, lost, rows - gained - lost])
    shares = [lost_share + GATE.flag_rate, lost_share, 1 - 2 * lost_share - GATE.flag_rate]
    likely = stats.multinomial.pmf(counts, rows, shares)
    for tail in (1e-3, 4.5e-4, 1e-5):
        low, _ = FlagShift(np.full(gained.shape, float(rows)), gained, lost).interval(tail)
        assert likely[low > GATE.flag_rate].sum() <= tail


def test_probabilities_of_zero_and_one_have_finite_log_odds() -> None:
    assert log_odds(np.array([0.0, 0.5, 1.0])) == pytest.approx([logit(CLIP), 0, -logit(CLIP)])


# --- Measuring ---


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(20, 300))
def test_every_slice_is_measured_as_it_is_one_by_one(seed: int, rows: int) -> None:
    features, odds, difference = fleet(rows, seed)
    production, candidate = scores(odds), scores(odds + difference + 0.7)
    slices = [(OVERALL, np.ones(rows, dtype=bool)), *listed(features, ["hull", "yard", "age"])]
    found = measure(iter(slices), production, candidate, 2)
    for place, (each, inside) in enumerate(slices):
        d = difference + 0.7
        shift = d[inside].mean() - (d[~inside].mean() if each.terms else 0.0)
        assert found.statistics["score"].value[place] == pytest.approx(shift, abs=1e-9)
        assert found.before[place] == pytest.approx(production.flags[inside].mean())
        assert found.after[place] == pytest.approx(candidate.flags[inside].mean())
        change = found.after[place] - found.before[place]
        assert found.statistics["flag_rate"].value[place] == pytest.approx(change)


def test_the_same_model_passes_with_no_shift_anywhere() -> None:
    features, odds, _ = fleet(500)
    found = shift_findings(features, scores(odds), scores(odds), ["hull"], GATE)
    assert Verdict.of(found).holds
    assert {each.numbers["shift"] for each in found if "shift" in each.numbers} == {0.0}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_the_order_of_the_rows_changes_nothing(seed: int) -> None:
    features, odds, difference = fleet(400, seed)
    order = np.random.default_rng(seed).permutation(400)
    candidate = odds + difference - 0.8 * in_class(features, "LHD")
    straight = shift_findings(features, scores(odds), scores(candidate), ["hull"], GATE)
    mixed = shift_findings(features.take(order), scores(odds[order]), scores(candidate[order]), ["hull"], GATE)
    assert [(each.item, each.outcome) for each in straight] == [(each.item, each.outcome) for each in mixed]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.2, 2))
def test_a_larger_bias_is_never_seen_as_smaller(seed: int, more: float) -> None:
    features, odds, difference = fleet(500, seed)
    of_class = in_class(features, "SSN")
    shifts = []
    for size in (0.5, 0.5 + more):
        found = shift_findings(features, scores(odds), scores(odds + difference - size * of_class), ["hull"], GATE)
        shifts.append(by_item(found)["score[hull=SSN]"])
    assert shifts[1].numbers["high"] < shifts[0].numbers["high"]
    assert shifts[0].outcome != "failed" or shifts[1].outcome == "failed"


# --- What the gate says ---


def test_a_biased_class_fails_with_its_numbers_and_what_to_do() -> None:
    features, odds, difference = fleet(500)
    candidate = odds + difference - 0.8 * in_class(features, "LHD")
    finding = by_item(shift_findings(features, scores(odds), scores(candidate), ["hull"], GATE))["score[hull=LHD]"]
    assert finding.outcome == "failed"
    assert finding.numbers["rows"] == 62
    assert finding.numbers["low"] < finding.numbers["shift"] < finding.numbers["high"] < -GATE.score
    assert finding.numbers["candidate_flag_rate"] < finding.numbers["production_flag_rate"]
    assert "Bring labels for hull=LHD, or have the shift explained in a signed waiver" in finding.step
    assert "62 rows" in finding.got
    assert finding.severity > 2


def test_a_class_that_nobody_listed_is_found() -> None:
    features, odds, difference = fleet(2000)
    candidate = odds + difference - 0.8 * in_class(features, "CVN")
    found = shift_findings(features, scores(odds), scores(candidate), ["yard"], GATE)
    failed = [each.item for each in found if each.outcome == "failed" and each.item.startswith("score")]
    assert failed == ["score[hull=CVN]"], "its parts are not repeated"


def test_a_shift_of_everything_does_not_excuse_a_larger_one_in_a_searched_slice() -> None:
    features, odds, difference = fleet(2000)
    candidate = odds + difference - 0.8 - 0.8 * in_class(features, "CVN")
    found = by_item(shift_findings(features, scores(odds), scores(candidate), [], GATE))
    assert found["score[overall]"].outcome == "failed"
    assert found["score[hull=CVN]"].outcome == "failed"


def test_the_level_is_shared_by_all_listed_slices_two_statistics_and_two_sides() -> None:
    features, odds, difference = fleet(500)
    candidate = odds + difference - 0.8 * in_class(features, "LHD")
    found = by_item(shift_findings(features, scores(odds), scores(candidate), ["hull"], GATE))
    level = found["score[hull=LHD]"].numbers["level"]
    assert level is not None
    assert 1 - level == pytest.approx((1 - GATE.confidence) / 2 / (2 * 9)), "eight classes and overall"
    assert found["score[hull=CG]"].numbers["level"] == pytest.approx(0.90), "a pass needs no correction"


def test_a_listed_set_of_rows_is_not_searched_again() -> None:
    features, odds, difference = fleet(500)
    production, candidate = scores(odds), scores(odds + difference)
    shallow = ShiftGate(search_depth=1)
    alone, beside = (
        by_item(shift_findings(features, production, candidate, names, shallow))["score[searched]"]
        for names in ([], ["hull"])
    )
    assert (alone.numbers["searched"], beside.numbers["searched"]) == (8 + 3 + 4, 3 + 4)


def test_a_slice_that_leaves_almost_no_rest_is_measured_by_itself() -> None:
    features = pa.table({"kind": ["usual"] * 490 + ["rare"] * 10})
    odds = np.random.default_rng(2).normal(0, 1, 500)
    difference = np.where(np.arange(500) < 490, 0.25, -5.0)
    found = by_item(shift_findings(features, scores(odds), scores(odds + difference), ["kind"], GATE))
    assert found["score[kind=usual]"].numbers["shift"] == pytest.approx(0.25)
    assert found["score[kind=usual]"].outcome == "passed"


def test_a_bias_where_two_columns_meet_is_found_by_depth_two_and_not_by_one() -> None:
    features, odds, difference = fleet(4000)
    west = np.asarray(features.column("yard").to_pylist()) == "west"
    candidate = odds + difference - 1.0 * (in_class(features, "CG") & west)
    deep = by_item(shift_findings(features, scores(odds), scores(candidate), [], GATE))
    assert deep["score[hull=CG & yard=west]"].outcome == "failed"
    shallow = ShiftGate(search_depth=1, score=0.5)
    assert Verdict.of(shift_findings(features, scores(odds), scores(candidate), [], shallow)).holds


def test_slices_inside_one_that_fails_are_counted_and_not_repeated() -> None:
    features, odds, difference = fleet(4000)
    candidate = odds + difference - 1.2 * in_class(features, "DDG")
    found = by_item(shift_findings(features, scores(odds), scores(candidate), ["hull"], GATE))
    failed = [item for item, each in found.items() if each.outcome == "failed" and item.startswith("score")]
    assert failed == ["score[hull=DDG]"]
    summary = found["score[searched]"]
    assert summary.outcome == "passed"
    assert summary.numbers["beyond"] >= 4
    assert summary.numbers["own"] == 0


def test_a_worse_part_of_a_slice_that_fails_is_a_finding_of_its_own() -> None:
    features, odds, difference = fleet(4000)
    west = np.asarray(features.column("yard").to_pylist()) == "west"
    ddg = in_class(features, "DDG")
    found = by_item(
        shift_findings(
            features, scores(odds), scores(odds + difference - 0.6 * ddg - 2 * (ddg & west)), ["hull"], GATE
        )
    )
    assert found["score[hull=DDG]"].outcome == "failed"
    assert found["score[hull=DDG & yard=west]"].outcome == "failed"


def test_failures_that_are_not_shown_fail_the_summary() -> None:
    rng = np.random.default_rng(1)
    features = pa.table({"part": pa.array([f"p{place % 40:02d}" for place in range(8000)])})
    sign = np.where(np.arange(8000) % 40 % 2, 1.5, -1.5)
    odds = rng.normal(0, 1, 8000)
    found = by_item(shift_findings(features, scores(odds), scores(odds + sign), [], GATE))
    shown = [item for item in found if item.startswith("score[part=")]
    assert len(shown) == SHOWN
    assert found["score[searched]"].outcome == "failed"
    assert found["score[searched]"].numbers["own"] == 40
    named = found["score[searched]"].got.partition("Not shown: ")[2].split(", ")
    assert len(named) == 40 - SHOWN
    assert not {f"score[{one.split()[0]}]" for one in named} & set(shown)


def test_everything_shifted_alike_fails_overall_and_in_no_slice() -> None:
    features, odds, difference = fleet(500)
    found = shift_findings(features, scores(odds, 0.999), scores(odds + difference - 0.8, 0.999), ["hull"], GATE)
    assert [each.item for each in found if each.outcome == "failed"] == ["score[overall]"]


def test_a_flag_rate_that_changes_while_the_mean_score_does_not_fails_by_itself() -> None:
    features, odds, _ = fleet(2000)
    production, candidate = scores(odds), scores(odds)
    late = in_class(features, "LPD") & (np.arange(2000) % 3 == 0)
    found = by_item(
        shift_findings(features, production, Scores(candidate.scores, candidate.flags | late), ["hull"], GATE)
    )
    assert found["flag_rate[hull=LPD]"].outcome == "failed"
    assert found["score[hull=LPD]"].outcome == "passed"


# --- Too little to say ---


def test_a_listed_slice_below_the_minimum_is_not_enough_evidence_and_a_searched_one_is_silent() -> None:
    features, odds, difference = fleet(200)
    found = by_item(shift_findings(features, scores(odds), scores(odds + difference), ["hull"], GATE))
    few = found["score[hull=CG]"]
    assert (few.outcome, few.got, few.expected) == ("not enough evidence", "25 rows", "at least 30 recent rows")
    assert not Verdict.of(list(found.values())).holds
    unlisted = shift_findings(features, scores(odds), scores(odds + difference), [], GATE)
    assert Verdict.of(unlisted).holds


def test_a_wide_interval_is_not_enough_evidence_and_not_a_pass() -> None:
    features, odds, _ = fleet(500)
    wild = np.random.default_rng(9).normal(0, 4, 500)
    found = by_item(shift_findings(features, scores(odds), scores(odds + wild), ["hull"], GATE))
    outcomes = {found[f"score[hull={each}]"].outcome for each in CLASSES}
    assert outcomes <= {"not enough evidence", "failed"}
    assert "not enough evidence" in outcomes


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 3))
def test_what_passes_lies_within_reach_and_what_fails_beyond_the_tolerance(seed: int, noise: float) -> None:
    features, odds, difference = fleet(600, seed)
    candidate = odds + difference * noise / 0.3 - 0.5 * in_class(features, "LCS")
    for each in shift_findings(features, scores(odds), scores(candidate), ["hull", "yard"], GATE):
        if "low" not in each.numbers:
            continue
        low, high, tolerance = (each.numbers[name] for name in ("low", "high", "tolerance"))
        if each.outcome == "failed":
            assert low > tolerance or high < -tolerance
        within = 2 * tolerance if each.item.startswith("score") else 2.5 * tolerance
        assert (each.outcome != "passed") or max(-low, high) <= within


def test_no_rows_are_not_enough_evidence() -> None:
    nothing = Scores(np.empty(0), np.empty(0, dtype=bool))
    found = shift_findings(pa.table({"hull": pa.array([], pa.string())}), nothing, nothing, ["hull"], GATE)
    assert [each.outcome for each in found if "overall" in each.item] == ["not enough evidence"] * 2
    assert not Verdict.of(found).holds


def test_a_tolerance_is_widened_by_the_spread_of_the_slices_and_never_past_its_reach() -> None:
    rng = np.random.default_rng(4)
    features = pa.table({"part": pa.array([f"p{place % 60:02d}" for place in range(12_000)])})
    odds = rng.normal(0, 1, 12_000)
    limits = []
    for spread in (0.01, 0.12, 1.0):
        of_part = rng.normal(0, spread, 60)[np.arange(12_000) % 60]
        found = measure(listed(features, ["part"]), scores(odds), scores(odds + of_part), 30)
        limits.append(set(widened(found, "score", 0.3, 1e-4)))
    assert limits[0] == {0.3}
    assert 0.3 < min(limits[1]) < 0.6
    assert limits[2] == {0.6}


def test_the_noise_of_small_slices_does_not_widen_a_tolerance() -> None:
    rng = np.random.default_rng(4)
    features = pa.table({"part": pa.array([f"p{place % 100:02d}" for place in range(3000)])})
    odds = rng.normal(0, 1, 3000)
    found = measure(listed(features, ["part"]), scores(odds), scores(odds + rng.normal(0, 0.7, 3000)), 30)
    assert np.std(found.statistics["score"].value) > 0.1
    assert set(widened(found, "score", 0.3, 1e-4)) == {0.3}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Scores(np.array([0.1]), np.array([True])), r"candidate: got shapes \(1,\)"),
        (Scores(np.array([0.1, np.nan]), np.array([True, False])), "not a number"),
        (Scores(np.array([0.1, 1.2]), np.array([True, False])), "outside"),
        (Scores(np.array([0.1, 0.2]), np.array([1, 0])), "int64"),
    ],
)
def test_scores_that_are_not_one_probability_and_flag_a_row_are_refused(wrong: Scores, says: str) -> None:
    right = Scores(np.array([0.1, 0.2]), np.array([True, False]))
    with pytest.raises(WrongUse, match=says):
        shift_findings(pa.table({"hull": ["CG", "LHD"]}), right, wrong, ["hull"], GATE)


# --- Real versions, trained anew ---


@pytest.fixture(scope="module")
def versions() -> list[Any]:
    """Four pairs of production and candidate, each trained on 30,000 orders of its own, with 500 recent orders."""
    pair = runpy.run_path(str(VESSELS))["pair"]
    return [pair(seed, recent_rows=500) for seed in range(1000, 1004)]


def test_real_candidates_biased_on_one_class_are_stopped_and_honest_ones_pass(versions: list[Any]) -> None:
    for seed, each in enumerate(versions):
        biased = CLASSES[2 * seed]
        found = shift_findings(*each.scores(500, -0.8, biased), ["hull_class", "maintenance_category"], GATE)
        assert by_item(found)[f"score[hull_class={biased}]"].outcome == "failed"
    honest = [
        Verdict.of(shift_findings(*each.scores(500), ["hull_class", "maintenance_category"], GATE)).holds
        for each in versions
    ]
    assert sum(honest) >= len(versions) - 1
