"""Metrics against scikit-learn; limits overall and in every slice; how often a sound and a bad version pass."""

from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_rows import HULLS, made
from sklearn import metrics as oracle

from fielded.decisions.measuring.accuracy import metrics
from fielded.decisions.measuring.labelled import Labelled, everywhere
from fielded.decisions.measuring.slices import OVERALL, Slice
from fielded.decisions.release.findings import Verdict
from fielded.decisions.release.performance import by_slice, performance_findings
from fielded.definition.release import PerformanceGate

GATE = PerformanceGate(limits={"auc": ">= 0.75", "recall": ">= 0.55", "brier": "<= 0.2"})


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = draw(st.integers(0, 40))
    several = {"min_size": rows, "max_size": rows}
    scores = np.array(draw(st.lists(st.floats(0, 1), **several)), dtype=float)
    return np.array(draw(st.lists(st.booleans(), **several)), dtype=bool), scores, scores >= 0.5


@given(labelled())
@settings(deadline=None)
def test_metrics_are_those_of_scikit_learn_where_the_rows_define_them(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    labels, scores, flags = rows
    found = metrics(labels, scores, flags, 0.95)
    expected = {
        "auc": oracle.roc_auc_score(labels, scores) if 0 < labels.sum() < len(labels) else None,
        "precision": oracle.precision_score(labels, flags) if flags.any() else None,
        "recall": oracle.recall_score(labels, flags) if labels.any() else None,
        "fnr": 1 - oracle.recall_score(labels, flags) if labels.any() else None,
        "fpr": 1 - oracle.recall_score(~labels, ~flags) if not labels.all() else None,
        "brier": oracle.brier_score_loss(labels, scores) if len(labels) else None,
    }
    assert {name: one.value for name, one in found.items()} == pytest.approx(expected)
    for one in found.values():
        assert one.low <= (one.low if one.value is None else one.value + 1e-12)
        assert one.high >= (one.high if one.value is None else one.value - 1e-12)


def test_rows_say_what_a_metric_rests_on() -> None:
    labels, flags = np.array([True] * 30 + [False] * 70), np.array([True] * 25 + [False] * 60 + [True] * 15)
    found = metrics(labels, np.linspace(0, 1, 100), flags, 0.95)
    assert {name: one.rows for name, one in found.items()} == {
        "auc": 100, "precision": 40, "recall": 30, "fnr": 30, "fpr": 70, "brier": 100,
    }  # fmt: skip


def test_a_sound_version_passes_overall_and_in_every_slice() -> None:
    found = performance_findings(made(1, 4000), ["hull"], GATE)
    assert {one.outcome for one in found} == {"passed"}
    assert len(found) == 3 * (1 + len(HULLS))
    assert {one.item for one in found if one.item.startswith("auc")} == {
        "auc[overall]", *(f"auc[hull={hull}]" for hull in HULLS)
    }  # fmt: skip
    assert Verdict.of(found).holds


def test_a_version_that_is_bad_in_one_slice_fails_there_and_the_worst_comes_first() -> None:
    found = performance_findings(made(2, 4000, shifted={"LCS-1": -2.0}), ["hull"], GATE)
    assert (found[0].item, found[0].outcome) == ("recall[hull=LCS-1]", "failed")
    ranked = next(one for one in found if one.item == "auc[hull=LCS-1]")
    assert ranked.outcome == "passed"  # within the slice they are as good as ever
    outcomes = [one.outcome for one in found]
    assert outcomes == sorted(outcomes, key=["failed", "not enough evidence", "waived", "passed"].index)
    assert not Verdict.of(found).holds


def test_a_slice_with_too_few_rows_is_a_finding_and_no_pass() -> None:
    rows = made(3, 3000)
    few = np.flatnonzero(np.array(rows.features["hull"]) == "CVN-68")[40:]
    kept = np.setdiff1d(np.arange(3000), few)
    found = performance_findings(
        Labelled(rows.features.take(kept), rows.labels[kept], rows.scores[kept], rows.flags[kept]), ["hull"], GATE
    )
    stuck = [one for one in found if not one.holds]
    assert {one.item for one in stuck} == {f"{name}[hull=CVN-68]" for name in GATE.limits}
    assert {one.outcome for one in stuck} == {"not enough evidence"}
    assert all("40 labelled rows where 100 are needed" in one.got for one in stuck)


def test_a_slice_with_one_class_only_is_not_enough_evidence() -> None:
    rows = made(4, 2000)
    rows.labels[np.array(rows.features["hull"]) == "LHD-1"] = False
    found = {one.item: one for one in performance_findings(rows, ["hull"], GATE)}
    assert found["auc[hull=LHD-1]"].outcome == "not enough evidence"
    assert found["auc[hull=LHD-1]"].numbers["value"] is None
    assert "0 events where 10 are needed" in found["brier[hull=LHD-1]"].got


def test_a_precision_needs_flagged_rows_of_its_own() -> None:
    rows = made(5, 1000)
    hardly = Labelled(rows.features, rows.labels, rows.scores, rows.scores >= np.sort(rows.scores)[-5])
    (found,) = performance_findings(hardly, [], PerformanceGate(limits={"precision": ">= 0.5"}))
    assert found.outcome == "not enough evidence"
    assert "5 flagged rows where 10 are needed" in found.got


def test_no_rows_at_all_are_not_enough_evidence() -> None:
    nothing = Labelled(
        pa.table({"hull": pa.array([], pa.string())}),
        np.empty(0, dtype=bool),
        np.empty(0),
        np.empty(0, dtype=bool),
    )
    found = performance_findings(nothing, ["hull"], GATE)
    assert [one.outcome for one in found] == ["not enough evidence"] * 3


def test_a_gate_without_limits_fails() -> None:
    bare = object.__new__(PerformanceGate)  # the definition refuses it, so does the gate
    object.__setattr__(bare, "limits", MappingProxyType({}))
    (found,) = performance_findings(made(6, 200), ["hull"], bare)
    assert found.outcome == "failed"


def test_a_sound_version_is_not_said_to_fail_however_many_slices_are_looked_at() -> None:
    """Forty hulls, each with the limit as its true recall: half of the values miss it, none is shown to."""
    hulls = tuple(f"H{number}" for number in range(40))
    truth = metrics(*(getattr(made(0, 400_000), name) for name in ("labels", "scores", "flags")), 0.95)["recall"]
    gate = PerformanceGate(limits={"recall": f">= {truth.value:.4f}"})
    claimed = 0
    for seed in range(40):
        found = performance_findings(made(seed, 6000, hulls=hulls), ["hull"], gate)
        claimed += any(one.outcome == "failed" for one in found)
    assert claimed <= 4


def test_slices_are_listed_worst_first_after_all_rows() -> None:
    rows = made(7, 3000, shifted={"DDG-51": 2.0})
    listed = by_slice(rows, ["hull"])
    assert listed[0][0] == OVERALL
    areas = [values["auc"].value for _, values in listed[1:]]
    assert areas == sorted(areas)
    assert str(by_slice(rows, ["hull"], worst_by="fpr")[1][0]) == "hull=DDG-51"
    for place, mask in everywhere(rows, ["hull"]):
        assert dict(listed)[place] == metrics(rows.labels[mask], rows.scores[mask], rows.flags[mask], 0.95)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", np.zeros(3)),
        ("flags", np.zeros(2, dtype=bool)),
        ("scores", np.array([0.1, np.nan, 0.2])),
        ("scores", np.array([0.1, 1.5, 0.2])),
    ],
)
def test_columns_that_are_none_are_refused(name: str, value: np.ndarray) -> None:
    columns = {
        "labels": np.zeros(3, dtype=bool),
        "scores": np.zeros(3),
        "flags": np.zeros(3, dtype=bool),
        name: value,
    }
    with pytest.raises(ValueError, match=f"{name}: got"):
        Labelled(pa.table({"hull": ["a", "b", "c"]}), **columns)


def test_a_slice_that_is_scored_every_day_and_never_labelled_is_not_passed_over() -> None:
    rows = made(6, 4000)
    kept = np.flatnonzero(np.array(rows.features["hull"]) != "CVN-68")
    columns = (rows.features.take(kept), rows.labels[kept], rows.scores[kept], rows.flags[kept])
    assert Verdict.of(performance_findings(Labelled(*columns), ["hull"], GATE)).holds
    labelled = Labelled(*columns, rows.features)
    stuck = [one for one in performance_findings(labelled, ["hull"], GATE) if not one.holds]
    assert {one.item for one in stuck} == {f"{name}[hull=CVN-68]" for name in GATE.limits}
    assert {one.outcome for one in stuck} == {"not enough evidence"}
    assert all("0 labelled rows where 100 are needed" in one.got for one in stuck)
    shown = dict(by_slice(labelled, ["hull"]))
    assert shown[Slice((("hull", "CVN-68"),))]["auc"].value is None
