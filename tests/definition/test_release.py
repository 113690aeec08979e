"""The `release:` section: what it may say, and every mistake with the line it stands on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sections import load, one

from fielded.definition.release import AT_LEAST, METRICS, Gates, Limit, Release

FULL = """
release:
  approvals: 3
  comparison_max_age_days: 14
  drill_max_age_days: 60
  holdout: {table: reference.holdout, label: overran}
  gates:
    evidence: {documents: [model_card, rai_assessment]}
    performance:
      limits: {auc: ">= 0.70", fnr: "<= 0.30"}
    shift: {score: 0.25}
    fairness: {protected: [kind]}
    calibration: {}
    budget: {row_milliseconds: 20, memory_mib: 512}
"""


def test_no_section_and_an_empty_one_choose_no_gate() -> None:
    assert load("").release == load("release: {}\n").release == Release()
    assert Release().gates == Gates()
    assert (Release().approvals, Release().comparison_max_age_days, Release().drill_max_age_days) == (2, 30, 90)


def test_a_full_section_is_read() -> None:
    release = load(FULL).release
    assert release.approvals == 3
    assert (release.holdout.table, release.holdout.label) == ("reference.holdout", "overran")
    gates = release.gates
    assert gates.evidence.documents == ("model_card", "rai_assessment")
    assert gates.evidence.provenance
    assert dict(gates.performance.limits) == {"auc": ">= 0.70", "fnr": "<= 0.30"}
    assert (gates.shift.score, gates.shift.flag_rate, gates.shift.search_depth) == (0.25, 0.10, 2)
    assert gates.fairness.protected == ("kind",)
    assert gates.calibration.in_the_large == 0.05
    assert (gates.budget.row_milliseconds, gates.budget.memory_mib) == (20, 512)
    with pytest.raises(TypeError):
        gates.performance.limits["auc"] = ">= 0"


def test_the_section_changes_the_digest() -> None:
    assert load(FULL).sha256 != load(FULL.replace("14", "15")).sha256


@pytest.mark.parametrize(
    ("section", "field", "got"),
    [
        ("release: {aprovals: 2}", "release.aprovals", "unknown field"),
        ("release: {approvals: 0}", "release.approvals", "0"),
        ("release: {approvals: two}", "release.approvals", "two"),
        ("release: {comparison_max_age_days: 0}", "release.comparison_max_age_days", "0"),
        ("release: {gates: {shift: {score: 0}}}", "release.gates.shift.score", "0"),
        ("release: {gates: {shift: {flag_rate: 2}}}", "release.gates.shift.flag_rate", "2"),
        ("release: {gates: {shift: {confidence: 1}}}", "release.gates.shift.confidence", "1"),
        ("release: {gates: {shift: }}", "release.gates.shift", "nothing"),
        ("release: {gates: {budget: {row_milliseconds: 5}}}", "release.gates.budget.memory_mib", "nothing"),
        ("release: {gates: {performance: {}}}", "release.gates.performance.limits", "nothing"),
        ("release: {gates: {performance: {limits: {}}}}", "release.gates.performance.limits", "mapping"),
        ("release: {gates: {performance: {limits: {luck: '>= 1'}}}}", "release.gates.performance.limits.luck", ""),
        ("release: {gates: {performance: {limits: {auc: 0.7}}}}", "release.gates.performance.limits.auc", "0.7"),
        ("release: {gates: {fairness: {protected: [rank]}}}", "release.gates.fairness.protected.0", "rank"),
        (
            "release: {gates: {fairness: {protected: [kind, kind]}}}",
            "release.gates.fairness.protected.1",
            "kind again",
        ),
        ("release: {holdout: {table: a.b, label: kind}}", "release.holdout.label", "kind, which is a feature"),
        ("release: {holdout: {table: a.b, label: order_id}}", "release.holdout.label", "which is the subject"),
        ("release: {holdout: {table: 'a b', label: y}}", "release.holdout.table", "a b"),
    ],
)
def test_each_mistake_is_told_with_its_field(section: str, field: str, got: str) -> None:
    finding = one(section + "\n")
    assert finding.field == field
    assert got in finding.got
    assert finding.expected


@pytest.mark.parametrize("text", ["> 0.7", "0.7", ">= 1.2", ">= -0.1", ">= 70%", ">=", ">= 0.7 or so", "=> 0.7"])
def test_what_is_no_limit_is_refused_with_an_example(text: str) -> None:
    finding = one(f"release: {{gates: {{performance: {{limits: {{auc: '{text}'}}}}}}}}\n")
    assert finding.field == "release.gates.performance.limits"
    assert ">= 0.70" in finding.expected


@pytest.mark.parametrize("metric", METRICS)
def test_a_limit_stands_on_the_metrics_better_side(metric: str) -> None:
    better, worse = (">=", "<=") if metric in AT_LEAST else ("<=", ">=")
    limits = load(f"release: {{gates: {{performance: {{limits: {{{metric}: '{better} 0.4'}}}}}}}}\n").release.gates
    assert Limit.parse(limits.performance.limits[metric]) == Limit(better == ">=", 0.4)
    finding = one(f"release: {{gates: {{performance: {{limits: {{{metric}: '{worse} 0.4'}}}}}}}}\n")
    assert f"{metric}: " in finding.expected


@given(st.booleans(), st.integers(0, 10_000), st.floats(0, 1))
def test_a_limit_is_read_as_it_is_written(at_least: bool, steps: int, value: float) -> None:
    limit = Limit(at_least, steps / 10_000)
    assert Limit.parse(str(limit)) == limit
    assert limit.holds(value) == (value >= limit.bound if at_least else value <= limit.bound)
    assert not limit.holds(float("nan"))
