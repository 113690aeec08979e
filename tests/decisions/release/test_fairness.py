"""Parity and odds ratios against fairlearn, with the evidence behind them."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from fairlearn.metrics import demographic_parity_ratio, equalized_odds_ratio
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_rows import made

from fielded.decisions.measuring.labelled import Labelled, Unlabelled
from fielded.decisions.release.fairness import (
    demographic_parity,
    equalized_odds,
    fairness_findings,
    group_rates,
)
from fielded.decisions.release.findings import Finding
from fielded.definition.release import FairnessGate

GATE = FairnessGate(protected=("hull",))


def by_item(found: list[Finding]) -> dict[str, Finding]:
    return {one.item: one for one in found}


@st.composite
def grouped(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows with every label and every flag in every group, so that fairlearn defines all of its ratios."""
    groups = draw(st.integers(2, 4))
    rows = draw(st.lists(st.tuples(st.integers(0, groups - 1), st.booleans(), st.booleans()), max_size=60))
    rows += [(group, label, flag) for group in range(groups) for label in (True, False) for flag in (True, False)]
    group, label, flag = (np.array(column) for column in zip(*rows, strict=True))
    return np.array([f"g{each}" for each in group]), label, flag


@given(grouped())
@settings(deadline=None, max_examples=40)
def test_the_ratios_are_those_of_fairlearn(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    group, label, flag = rows
    rates = group_rates(Labelled(pa.table({"group": group}), label, flag.astype(float), flag), "group")
    parity, odds = demographic_parity(rates), equalized_odds(rates)
    assert parity.value == pytest.approx(demographic_parity_ratio(label, flag, sensitive_features=group))
    assert odds.value == pytest.approx(equalized_odds_ratio(label, flag, sensitive_features=group))
    for one in (parity, odds):
        assert 0 <= one.low <= one.value <= one.high <= 1


def test_a_ratios_interval_holds_the_truth_though_the_extremes_were_chosen() -> None:
    random = np.random.default_rng(4)
    group = np.repeat([f"g{each}" for each in range(6)], 200)
    held, values = [], []
    for _ in range(200):
        flags = random.random(1200) < 0.25
        found = demographic_parity(group_rates(Unlabelled(pa.table({"group": group}), flags), "group"))
        held.append(found.low <= 1.0 <= found.high)
        values.append(found.value)
    assert np.mean(held) >= 0.95
    assert np.mean(np.array(values) < 0.8) > 0.7  # the bare ratio accuses a version that treats all alike


def test_groups_that_are_treated_alike_pass_and_the_rates_are_in_the_finding() -> None:
    found = by_item(fairness_findings(made(1, 24_000, hulls=("CVN-68", "DDG-51")), [], GATE))
    assert found["demographic_parity[hull]"].outcome == "passed"
    assert found["equalized_odds[hull]"].outcome == "passed"
    numbers = found["equalized_odds[hull]"].numbers
    assert {"rate[true positives of hull=DDG-51]", "rate[false positives of hull=CVN-68]"} <= numbers.keys()
    assert found["proxy[hours for hull]"].outcome == "passed"


def test_a_group_that_is_flagged_less_fails_and_is_named() -> None:
    found = by_item(fairness_findings(made(2, 8000, shifted={"LCS-1": -1.5}), [], GATE))
    assert found["demographic_parity[hull]"].outcome == "failed"
    assert found["equalized_odds[hull]"].outcome == "failed"
    assert "(flags of hull=LCS-1) to" in found["demographic_parity[hull]"].got
    assert found["demographic_parity[hull]"].step


def test_groups_that_are_treated_alike_are_not_said_to_fail() -> None:
    claimed = 0
    for seed in range(100):
        found = by_item(fairness_findings(made(seed, 800), [], GATE))
        claimed += any(
            found[f"{name}[hull]"].outcome == "failed" for name in ("demographic_parity", "equalized_odds")
        )
    assert claimed <= 5


def test_a_small_group_is_not_enough_evidence_and_takes_no_part_in_the_ratio() -> None:
    rows = made(3, 24_000, hulls=("CVN-68", "DDG-51"))
    hull = np.array(rows.features["hull"])
    hull[:60] = "T-AO-205"
    small = Labelled(pa.table({"hull": hull}), rows.labels, rows.scores, rows.flags)
    found = by_item(fairness_findings(small, [], GATE))["demographic_parity[hull]"]
    assert found.outcome == "not enough evidence"
    assert "1 of 3 groups with fewer than 100 rows" in found.got
    assert not any("T-AO-205" in name for name in found.numbers)


def test_few_rows_a_group_do_not_pass_by_luck() -> None:
    outcomes = set()
    for seed in range(20):
        found = by_item(fairness_findings(made(seed, 450), [], GATE))
        outcomes.add(found["equalized_odds[hull]"].outcome)
    assert outcomes == {"not enough evidence"}


def test_without_labels_there_is_parity_and_no_odds() -> None:
    rows = made(4, 24_000)
    found = by_item(fairness_findings(Unlabelled(rows.features, rows.flags), [], GATE))
    assert found["demographic_parity[hull]"].outcome == "passed"
    assert found["equalized_odds[hull]"].outcome == "not enough evidence"
    assert "no labels" in found["equalized_odds[hull]"].got


def test_a_version_that_flags_nothing_has_no_ratio_and_no_pass() -> None:
    rows = made(5, 4000)
    found = fairness_findings(Unlabelled(rows.features, np.zeros(4000, dtype=bool)), ["hull"], GATE)
    parity = by_item(found)["demographic_parity[hull]"]
    assert parity.outcome == "not enough evidence"
    assert parity.numbers["value"] is None


def test_a_column_with_one_group_or_none_cannot_be_compared() -> None:
    found = by_item(fairness_findings(made(6, 1000, hulls=("LCS-1",)), ["hull", "crew"], FairnessGate()))
    assert found["demographic_parity[hull]"].outcome == "not enough evidence"
    assert "one group" in found["demographic_parity[hull]"].got
    assert found["groups[crew]"].outcome == "not enough evidence"
    assert found["groups[crew]"].got == "no such column"


def test_no_columns_to_compare_is_a_failure() -> None:
    (found,) = fairness_findings(made(7, 100), [], FairnessGate())
    assert (found.item, found.outcome) == ("columns", "failed")


def test_slices_are_protected_where_no_column_is_by_name() -> None:
    found = by_item(fairness_findings(made(8, 1000), ["hull"], FairnessGate()))
    assert "proxy[hours for hull]" in found


def test_a_group_of_which_no_row_is_labelled_is_not_enough_evidence() -> None:
    rows = made(9, 24_000, hulls=("CVN-68", "DDG-51"))
    scored = pa.table({"hull": ["CVN-68", "DDG-51", "T-AO-205"], "hours": [1.0, 2.0, 3.0]})
    found = by_item(fairness_findings(replace(rows, scored=scored), [], GATE))["demographic_parity[hull]"]
    assert found.outcome == "not enough evidence"
    assert "1 of 3 groups with fewer than 100 rows" in found.got
