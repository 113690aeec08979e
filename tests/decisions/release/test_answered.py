"""A shift is answered by labels of the same slice that say the candidate is right there, and by nothing else."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit, logit

from fielded.decisions.measuring.intervals import Estimate
from fielded.decisions.measuring.labelled import Labelled
from fielded.decisions.release.answered import answered_by_labels
from fielded.decisions.release.calibration import calibration_findings
from fielded.decisions.release.differences import brier_by_slice
from fielded.decisions.release.findings import Finding, Outcome
from fielded.decisions.release.performance import performance_findings
from fielded.decisions.release.shift import Scores, shift_findings
from fielded.definition.release import CalibrationGate, PerformanceGate, ShiftGate


def finding(gate: str, item: str, outcome: Outcome) -> Finding:
    return Finding(gate=gate, item=item, outcome=outcome, got="x", expected="y", step="do")


SHIFT = finding("shift", "score[kind=LPD]", "failed")
CALIBRATED = finding("calibration", "in_the_large[kind=LPD]", "passed")
RANKED = finding("performance", "auc[kind=LPD]", "passed")
BETTER = {"kind=LPD": Estimate(-0.02, -0.03, -0.01, 900)}


def test_a_slice_whose_labels_hold_answers_its_shift() -> None:
    (answered,) = answered_by_labels([SHIFT], [CALIBRATED, RANKED], BETTER)
    assert (answered.outcome, answered.step) == ("passed", "")
    told = "in_the_large x, auc x, Brier score less production's -0.020 [-0.030, -0.010] of 900 rows"
    assert answered.got == f"x; answered by labels: {told}"


@pytest.mark.parametrize("high", [0.0, 0.004])
def test_limits_that_leave_room_for_either_version_do_not_answer_a_known_shift(high: float) -> None:
    brier = {"kind=LPD": Estimate(-0.002, -0.008, high, 900)}
    (left,) = answered_by_labels([SHIFT], [CALIBRATED, RANKED], brier)
    assert (left.outcome, left.step) == ("failed", "do")
    assert "labels keep every limit and prefer neither" in left.got


def test_a_shift_that_is_not_shown_is_answered_by_the_limits_alone() -> None:
    little = finding("shift", "score[kind=LPD]", "not enough evidence")
    (answered,) = answered_by_labels([little], [CALIBRATED, RANKED], {})
    assert answered.outcome == "passed"


def test_a_bias_on_a_class_with_rare_events_keeps_its_limits_and_is_stopped_all_the_same() -> None:
    """Shifted by -0.8 in log-odds where one event in seven comes true, with limits that an example may have."""
    gates = (
        PerformanceGate(limits={"auc": ">= 0.60", "brier": "<= 0.25"}, minimum_rows=50),
        CalibrationGate(in_the_large=0.10, minimum_rows=150),
    )
    random = np.random.default_rng(3)
    rows = 8000
    kind = random.choice(["LPD", "LSD", "SSN", "DDG"], rows)
    truth = expit(random.normal(-2.2, 1.0, rows))
    labels, features = random.random(rows) < truth, pa.table({"kind": kind})
    told = {}
    for name, right in (("biased", False), ("right", True)):
        off = expit(logit(truth) - 0.8 * (kind == "LPD")) if not right else truth
        old = truth if not right else expit(logit(truth) + 0.8 * (kind == "LPD"))
        versions = [Labelled(features, labels, scores, scores >= 0.3) for scores in (old, off)]
        both = [Scores(one.scores, one.flags) for one in versions]
        shift = shift_findings(features, *both, ["kind"], ShiftGate())
        by_labels = [
            *performance_findings(versions[1], ["kind"], gates[0]),
            *calibration_findings(versions[1], ["kind"], gates[1]),
        ]
        assert {one.outcome for one in by_labels} == {"passed"}
        found = answered_by_labels(shift, by_labels, brier_by_slice(*versions, ["kind"]))
        told[name] = {one.outcome for one in found if one.item == "score[kind=LPD]"}
    assert told == {"biased": {"failed"}, "right": {"passed"}}


@pytest.mark.parametrize(
    "labelled",
    [
        [],
        [CALIBRATED],
        [RANKED],
        [finding("calibration", "in_the_large[kind=LPD]", "failed"), RANKED],
        [CALIBRATED, finding("performance", "auc[kind=LPD]", "not enough evidence")],
        [CALIBRATED, RANKED, finding("performance", "brier[kind=LPD]", "failed")],
        [
            finding("calibration", "in_the_large[overall]", "passed"),
            finding("performance", "auc[overall]", "passed"),
        ],
        [finding("calibration", "in_the_large[kind=LPD & age=3]", "passed"), RANKED],
        [finding("fairness", "in_the_large[kind=LPD]", "passed"), RANKED],
        [finding("calibration", "labelled_rows", "passed"), finding("performance", "labelled_rows", "passed")],
    ],
)
def test_anything_less_leaves_it_failed(labelled: list[Finding]) -> None:
    assert answered_by_labels([SHIFT], labelled, BETTER) == [SHIFT]


def test_what_is_about_no_slice_is_left_as_it_is() -> None:
    search = finding("shift", "search", "failed")
    nothing = [finding("calibration", "labelled_rows", "passed"), finding("performance", "limits", "passed")]
    assert answered_by_labels([search], nothing, BETTER) == [search]
