"""A candidate against production on the same rows."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from labelled_rows import made

from fielded.decisions.measuring.accuracy import metrics
from fielded.decisions.measuring.labelled import Labelled
from fielded.decisions.measuring.slices import OVERALL
from fielded.decisions.release.differences import brier_by_slice, differences, differences_by_slice

NAMES = ("auc", "precision", "recall", "fnr", "fpr", "brier")


def rescored(rows: Labelled, scores: np.ndarray) -> Labelled:
    return Labelled(rows.features, rows.labels, scores, scores >= 0.5)


def test_a_version_differs_from_itself_by_nothing() -> None:
    rows = made(1, 500)
    for one in differences(rows, rows, 0.95).values():
        assert one.value == 0.0
        assert one.low <= 0.0 <= one.high
    assert differences(rows, rows, 0.95)["brier"].high == 0.0


def test_differences_are_those_of_the_metrics_and_turn_their_sign_with_the_order() -> None:
    old = made(2, 800)
    new = rescored(old, old.scores**2)
    there, back = differences(old, new, 0.9), differences(new, old, 0.9)
    values = [metrics(one.labels, one.scores, one.flags, 0.9) for one in (old, new)]
    for name in NAMES:
        assert there[name].value == pytest.approx(values[1][name].value - values[0][name].value, abs=1e-12)
        assert (there[name].low, there[name].high) == pytest.approx((-back[name].high, -back[name].low), abs=1e-12)


def test_paired_intervals_hold_the_truth_as_often_as_they_say() -> None:
    def noisy(seed: int, rows: int) -> tuple[Labelled, Labelled]:
        random = np.random.default_rng(seed)
        old = made(seed, rows)
        changed = [np.clip(old.scores + random.normal(0, width, rows), 0, 1) for width in (0.1, 0.15)]
        return rescored(old, changed[0]), rescored(old, changed[1])

    truth = {name: one.value for name, one in differences(*noisy(10_000, 1_000_000), 0.95).items()}
    held = dict.fromkeys(NAMES, 0)
    for seed in range(300):
        for name, one in differences(*noisy(seed, 300), 0.95).items():
            held[name] += one.low <= truth[name] <= one.high
    assert all(0.91 <= count / 300 <= 0.997 for count in held.values()), held


def test_rows_that_no_version_flags_have_no_precision_to_compare() -> None:
    rows = made(3, 200)
    silent = rescored(rows, rows.scores / 10)
    found = differences(rows, silent, 0.95)
    assert found["precision"].value is None
    assert found["recall"].value is not None


def test_flags_that_are_all_right_on_both_sides_leave_an_interval() -> None:
    rows = made(4, 200)
    events = np.flatnonzero(rows.labels)
    chosen = [np.isin(np.arange(200), events[:20]), np.isin(np.arange(200), events[20:40])]
    found = differences(*(Labelled(rows.features, rows.labels, rows.scores, flags) for flags in chosen), 0.95)
    assert found["precision"].value == 0.0
    assert found["precision"].low < -0.1
    assert found["precision"].high > 0.1


def test_the_slice_that_got_worse_comes_first_after_all_rows() -> None:
    old, new = made(5, 2000), made(5, 2000, shifted={"LCS-1": -1.5})
    listed = differences_by_slice(old, new, ["hull"])
    assert listed[0][0] == OVERALL
    assert str(listed[1][0]) == "hull=LCS-1"
    assert listed[1][1]["brier"].low > 0
    assert all(values["brier"].value == 0 for _, values in listed[2:])


def test_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"candidate\.labels"):
        differences(made(1, 100), made(2, 100), 0.95)


def test_the_brier_differences_are_those_of_the_report_by_name() -> None:
    old, new = made(5, 2000), made(5, 2000, shifted={"LCS-1": -1.5})
    wanted = {str(place): values["brier"] for place, values in differences_by_slice(old, new, ["hull"])}
    assert brier_by_slice(old, new, ["hull"]) == wanted
    with pytest.raises(ValueError, match=r"candidate\.labels"):
        brier_by_slice(made(1, 100), made(2, 100), [])


def test_a_slice_without_rows_has_no_difference() -> None:
    scored = pa.table({"hull": ["T-AO-205"]})
    old, new = replace(made(5, 500), scored=scored), replace(made(5, 500, shifted={"LCS-1": -1.5}), scored=scored)
    values = {str(place): values for place, values in differences_by_slice(old, new, ["hull"])}["hull=T-AO-205"]
    assert all(one.value is None for one in values.values())
