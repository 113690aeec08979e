"""Performance without labels: as NannyML has it, saying what it assumes, and out of reach of what decides."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from grimp import build_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.monitoring.estimated import ASSUMES, Estimated, estimated, estimated_of_counts
from fielded.definition.monitoring import Metric, When

ORACLE = json.loads((Path(__file__).parents[2] / "oracles" / "cbpe_nannyml.json").read_text())
MODULE = "fielded.decisions.monitoring.estimated"
EXACT = 1e-9
ROUNDED = 1e-5  # NannyML rounds its cumulated sums to five digits before it takes the area


def promised(found: Estimated) -> dict[str, float | None]:
    return {name: one.promised for name, one in found.metrics.items()}


@pytest.mark.parametrize("case", ORACLE["cases"], ids=lambda case: case["name"])
@pytest.mark.parametrize("way", ["plain", "calibrated"])
def test_each_metric_is_what_nannyml_estimates(case: dict, way: str) -> None:
    scores = np.array(case["scores"])
    flags = scores >= case["threshold"]
    found = promised(estimated(scores, flags, scores**1.3 if way == "calibrated" else None))
    theirs = case[way]
    for name in ("precision", "recall", "accuracy"):
        assert found[name] == pytest.approx(theirs[name], abs=EXACT)
    assert found["fpr"] == pytest.approx(1 - theirs["specificity"], abs=EXACT)
    assert found["fnr"] == pytest.approx(1 - theirs["recall"], abs=EXACT)
    assert found["auc"] == pytest.approx(theirs["auc"], abs=ROUNDED)


def test_a_whole_chunk_is_what_nannymls_estimator_says_with_its_confusion_matrix() -> None:
    given_, theirs = ORACLE["estimator"], ORACLE["estimator"]["values"]
    scores = np.array(given_["scores"])
    found = estimated(scores, scores >= given_["threshold"])
    ours = (found.caught, found.false_alarms, found.passed, found.missed)
    names = ("true_positive", "false_positive", "true_negative", "false_negative")
    assert ours == pytest.approx([theirs[name] for name in names], abs=EXACT)
    assert found.metrics["accuracy"].promised == pytest.approx(theirs["accuracy"], abs=EXACT)
    assert found.metrics["auc"].promised == pytest.approx(theirs["roc_auc"], abs=ROUNDED)
    assert found.rows == 600


def test_the_area_is_that_of_all_pairs_with_ties_and_the_row_itself_counting_half() -> None:
    scores = np.array([0.2, 0.7, 0.7, 0.4, 0.9])
    events = others = right = 0.0
    for high in scores:
        events += high
        others += 1 - high
        right += sum(high * (1 - low) * (1.0 if high > low else 0.5 * (high == low)) for low in scores)
    found = estimated(scores, scores >= 0.5).metrics["auc"].promised
    assert found == pytest.approx(right / (events * others), abs=1e-15)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0.05, 0.95))
def test_a_histogram_is_no_further_off_than_its_bins_are_wide(values: list[float], threshold: float) -> None:
    scores, edges = np.array(values), np.linspace(0, 1, 51)
    counts, _ = np.histogram(scores, edges)
    exact, binned = estimated(scores, scores >= threshold), estimated_of_counts(edges, counts, threshold)
    rows, width = len(scores), 1 / 50
    assert binned.rows == rows
    whole = binned.caught + binned.false_alarms + binned.missed + binned.passed
    assert whole == pytest.approx(rows)
    # The rows of the bin that the threshold cuts may be on either side of it.
    cut = counts[min(int(threshold * 50 + 1e-9), 49)]
    for name in ("caught", "false_alarms", "missed", "passed"):
        assert abs(getattr(exact, name) - getattr(binned, name)) <= rows * width / 2 + cut + 1e-6


def test_a_histogram_whose_threshold_is_an_edge_is_close_to_the_rows() -> None:
    scores = np.random.default_rng(3).beta(1.5, 2.5, 200_000)
    edges = np.linspace(0, 1, 51)
    exact = promised(estimated(scores, scores >= 0.64))
    binned = promised(estimated_of_counts(edges, np.histogram(scores, edges)[0], 0.64))
    for name, value in exact.items():
        assert binned[name] == pytest.approx(value, abs=0.002), name


def test_labels_drawn_from_the_scores_come_as_estimated() -> None:
    rng = np.random.default_rng(11)
    scores = rng.beta(1.2, 2.0, 400_000)
    labels, flags = rng.random(len(scores)) < scores, scores >= 0.5
    found = estimated(scores, flags).metrics
    assert found["precision"].promised == pytest.approx(labels[flags].mean(), abs=0.005)
    assert found["fnr"].promised == pytest.approx((~flags[labels]).mean(), abs=0.005)


def test_a_concept_that_drifts_is_not_seen_which_is_why_it_decides_nothing() -> None:
    rng = np.random.default_rng(12)
    scores = rng.beta(1.2, 2.0, 100_000)
    flags = scores >= 0.5
    turned = rng.random(len(scores)) < 1 - scores  # the scores now mean the opposite
    found = estimated(scores, flags).metrics["accuracy"].promised
    assert found is not None
    assert found > 0.65
    assert (turned == flags).mean() < 0.35


def test_every_value_says_what_it_assumes() -> None:
    found = estimated(np.array([0.2, 0.8]), np.array([False, True]))
    assert found.assumes == ASSUMES == "assumes no concept drift"
    assert all(str(one).endswith(f"({ASSUMES})") for one in found.metrics.values())


def test_what_the_scores_do_not_define_has_no_value() -> None:
    nobody = promised(estimated(np.array([0.2, 0.3]), np.array([False, False])))
    assert nobody["precision"] is None
    assert nobody["recall"] == 0.0
    assert set(promised(estimated(np.array([]), np.array([], dtype=bool))).values()) == {None}
    assert set(promised(estimated_of_counts(np.linspace(0, 1, 51), np.zeros(50), 0.5)).values()) == {None}


@pytest.mark.parametrize("bad", [math.nan, 1.1, -0.1])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        estimated(np.array([0.5, bad]), np.array([True, True]))


def test_no_bound_takes_an_estimate_and_no_metric_names_one() -> None:
    found = estimated(np.array([0.2, 0.8]), np.array([False, True])).metrics["precision"]
    with pytest.raises(TypeError):
        When.parse("> 0.1").crossed(found)  # type: ignore[arg-type]
    for name in ("cbpe", "estimated_auc", "estimated_fnr", "accuracy"):
        with pytest.raises(ValueError, match="one of the metrics"):
            Metric.parse(name)


def test_nothing_that_decides_reads_it() -> None:
    graph = build_graph("fielded", cache_dir=None)
    decides = [
        name
        for name in graph.modules
        if name.startswith(("fielded.decisions.release.", "fielded.services.release.", "fielded.definition."))
        or name
        in {
            "fielded.decisions.monitoring.instances",
            "fielded.decisions.monitoring.measure",
            "fielded.decisions.monitoring.triggers",
            "fielded.decisions.monitoring.windows",
            "fielded.decisions.monitoring.simulate",
            "fielded.decisions.monitoring.labelled_window",
        }
    ]
    assert len(decides) > 40
    assert MODULE in graph.modules
    for name in decides:
        assert graph.find_shortest_chain(name, MODULE) is None, name
