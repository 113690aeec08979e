"""Calibration in the large by slice, and why the expected calibration error is no gate."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from labelled_rows import HULLS, made
from sklearn.calibration import calibration_curve

from fielded.decisions.measuring.calibration import calibration_by_slice, in_the_large, reliability
from fielded.decisions.measuring.labelled import Labelled
from fielded.decisions.measuring.slices import OVERALL
from fielded.decisions.release.calibration import calibration_findings
from fielded.definition.release import CalibrationGate

GATE = CalibrationGate()


def expected_calibration_error(labels: np.ndarray, scores: np.ndarray, bins: int = 15) -> float:
    """As it is written in Guo et al. 2017: absolute gaps of equally wide bins, weighted by their rows."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [abs((labels[place == each] - scores[place == each]).sum()) for each in range(bins)]
    return float(np.sum(gaps) / len(labels))


def test_a_perfect_version_shows_a_large_expected_calibration_error_and_no_bias_in_the_large() -> None:
    random = np.random.default_rng(0)
    errors: dict[int, list[float]] = {200: [], 5000: []}
    held = []
    for rows, found in errors.items():
        for _ in range(200):
            scores = random.random(rows)
            labels = random.random(rows) < scores
            found.append(expected_calibration_error(labels, scores))
            large = in_the_large(labels, scores, 0.95)
            held.append(large.low <= 0 <= large.high)
    assert np.mean(errors[200]) == pytest.approx(0.085, abs=0.005)  # of a version that errs in nothing
    assert np.mean(errors[5000]) < 0.02  # the same version: it measures the rows, not the version
    assert np.mean(np.array(errors[200]) > 0.05) > 0.95  # as a gate it would stop nearly all
    assert np.mean(held) > 0.95


def test_the_difference_is_of_the_mean_score_to_the_share_of_events() -> None:
    rows = made(1, 500)
    found = in_the_large(rows.labels, rows.scores, 0.95)
    assert found.value == pytest.approx(rows.scores.mean() - rows.labels.mean())
    assert found.low < found.value < found.high


def test_no_rows_have_no_calibration_and_no_events_still_leave_room() -> None:
    assert in_the_large(np.empty(0, dtype=bool), np.empty(0), 0.95).value is None
    found = in_the_large(np.zeros(100, dtype=bool), np.full(100, 0.03), 0.95)
    assert found.value == pytest.approx(0.03)
    assert found.low < 0.0 < found.high  # a chance of 0.03 shows no event in a hundred rows often enough


@pytest.mark.parametrize(("events", "others", "rows"), [(0.2, 8.0, 100), (1.2, 2.8, 100), (1.0, 1.0, 300)])
def test_the_interval_holds_zero_for_a_calibrated_version_at_least_as_often_as_it_says(
    events: float, others: float, rows: int
) -> None:
    random = np.random.default_rng(7)
    held = []
    for _ in range(1000):
        scores = random.beta(events, others, rows)
        found = in_the_large(random.random(rows) < scores, scores, 0.95)
        held.append(found.low <= 0 <= found.high)
    assert 0.94 <= np.mean(held) <= 0.995


def test_a_calibrated_version_passes_overall_and_in_every_slice() -> None:
    found = calibration_findings(made(3, 4000), ["hull"], GATE)
    assert {one.outcome for one in found} == {"passed"}
    assert {one.item for one in found} == {
        "in_the_large[overall]", *(f"in_the_large[hull={hull}]" for hull in HULLS)
    }  # fmt: skip


@pytest.mark.parametrize("shift", [-1.3, 1.3])
def test_a_version_that_is_off_in_one_slice_fails_there_on_either_side(shift: float) -> None:
    found = calibration_findings(made(3, 4000, shifted={"LHD-1": shift}), ["hull"], GATE)
    assert (found[0].item, found[0].outcome) == ("in_the_large[hull=LHD-1]", "failed")
    assert np.sign(found[0].numbers["difference"]) == np.sign(shift)
    assert f"mean score less share of events {'-' if shift < 0 else ''}0." in found[0].got
    assert {one.outcome for one in found[1:]} <= {"passed", "not enough evidence"}


def test_a_version_that_is_off_by_less_in_one_slice_does_not_pass_there() -> None:
    for seed in range(30):
        found = calibration_findings(made(seed, 4000, shifted={"LHD-1": -0.8}), ["hull"], GATE)
        assert not next(one for one in found if one.item == "in_the_large[hull=LHD-1]").holds


def test_a_small_slice_is_not_enough_evidence() -> None:
    found = calibration_findings(made(3, 200), ["hull"], GATE)
    assert {one.outcome for one in found if "hull" in one.item} == {"not enough evidence"}
    assert all("labelled rows where 100 are needed" in one.got for one in found if "hull" in one.item)


def test_calibration_is_listed_worst_first_after_all_rows() -> None:
    listed = calibration_by_slice(made(5, 2000, shifted={"DDG-51": 1.0}), ["hull"])
    assert listed[0][0] == OVERALL
    assert str(listed[1][0]) == "hull=DDG-51"
    assert [one.value for _, one in listed[1:]] == sorted(
        (one.value for _, one in listed[1:]), key=abs, reverse=True
    )


def test_reliability_has_the_bins_of_scikit_learn() -> None:
    rows = made(6, 1000)
    found = reliability(rows.labels, rows.scores, bins=10)
    events, scores = calibration_curve(rows.labels, rows.scores, n_bins=10, strategy="quantile")
    assert [one.score for one in found] == pytest.approx(list(scores))
    assert [one.events.value for one in found] == pytest.approx(list(events))
    assert sum(one.events.rows for one in found) == 1000


def test_fewer_rows_than_bins_make_fewer_bins() -> None:
    rows = made(6, 4)
    assert len(reliability(rows.labels, rows.scores, bins=10)) == 4
    none = Labelled(rows.features[:0], rows.labels[:0], rows.scores[:0], rows.flags[:0])
    assert reliability(none.labels, none.scores) == []


def test_a_slice_without_a_labelled_row_is_not_enough_evidence() -> None:
    rows = made(3, 4000)
    scored = pa.table({"hull": ["T-AO-205"], "hours": [0.0]})
    found = {
        one.item: one for one in calibration_findings(replace(rows, scored=scored), ["hull"], CalibrationGate())
    }
    assert found["in_the_large[hull=T-AO-205]"].outcome == "not enough evidence"
    assert "0 labelled rows where 100 are needed" in found["in_the_large[hull=T-AO-205]"].got
