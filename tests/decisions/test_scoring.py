"""A probability and its decision, against an oracle in plain Python; nothing that is no probability passes."""

import math
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.routing import Routing
from fielded.decisions.scoring import PREDICTION, Scorer, check_probabilities
from fielded.words.errors import Refused

PROBABILITIES = st.floats(0, 1)


def scorer(predict: Callable[[pa.RecordBatch], np.ndarray], *, band: tuple[float, float] = (0.55, 0.75)) -> Scorer:
    return Scorer(
        model_name="overrun",
        model_version="3",
        artifact_sha256="a" * 64,
        definition_sha256="d" * 64,
        routing=Routing(threshold=0.65, band=band),
        predict=predict,
    )


def features(rows: int) -> pa.RecordBatch:
    return pa.record_batch({"hours": np.arange(rows, dtype=float)})


def row(score: float, flag: bool, decision: str) -> dict[str, object]:
    """A row that nothing but the band can send to a person."""
    band = decision == "review"
    routed = {"routed_by": "band" if band else None, "review_propensity": 1.0 if band else 0.0}
    return {"score": score, "flag": flag, "decision": decision, **routed}


def decided(score: float, threshold: float, band: tuple[float, float]) -> str:
    if band[0] <= score <= band[1]:
        return "review"
    return "flagged" if score >= threshold else "clear"


@st.composite
def settings_and_scores(draw: st.DrawFn) -> tuple[float, tuple[float, float], list[float]]:
    low, threshold, high = sorted(draw(st.tuples(PROBABILITIES, PROBABILITIES, PROBABILITIES)))
    edges = [math.nextafter(edge, to) for edge in (low, threshold, high) for to in (edge, -1, 2)]
    near = st.sampled_from([edge for edge in edges if 0 <= edge <= 1])
    return threshold, (low, high), draw(st.lists(PROBABILITIES | near, max_size=20))


@settings(deadline=None)
@given(settings_and_scores())
def test_a_batch_scored(made: tuple[float, tuple[float, float], list[float]]) -> None:
    threshold, band, scores = made
    made_scorer = Scorer(
        model_name="m",
        model_version="1",
        artifact_sha256="",
        definition_sha256="",
        routing=Routing(threshold=threshold, band=band),
        predict=lambda batch: np.array(scores)[batch.column(0).to_numpy().astype(int)],
    )
    found = made_scorer.score(features(len(scores)))
    found.validate(full=True)
    assert found.schema == PREDICTION
    assert found.to_pylist() == [
        row(score, score >= threshold, decided(score, threshold, band)) for score in scores
    ]
    assert (made_scorer.threshold, made_scorer.band) == (threshold, band)


@pytest.mark.parametrize(
    ("score", "flag", "decision"),
    [
        (0.5499999999999999, False, "clear"),
        (0.55, False, "review"),
        (0.6499999999999999, False, "review"),
        (0.65, True, "review"),
        (0.75, True, "review"),
        (0.7500000000000001, True, "flagged"),
        (0.0, False, "clear"),
        (1.0, True, "flagged"),
    ],
)
def test_the_edges_belong_to_the_band(score: float, flag: bool, decision: str) -> None:
    found = scorer(lambda _: np.array([score])).score(features(1)).to_pylist()
    assert found == [row(score, flag, decision)]


def test_a_model_is_not_asked_about_nothing() -> None:
    def refuse(_: pa.RecordBatch) -> np.ndarray:
        raise AssertionError

    found = scorer(refuse).score(features(0))
    assert found.schema == PREDICTION
    assert found.num_rows == 0


@pytest.mark.parametrize(
    "output",
    [
        np.array([0.1, math.nan]),
        np.array([math.nan, 0.1]),
        np.array([0.1, 1.0000001]),
        np.array([0.1, -1e-9]),
        np.array([0.1, math.inf]),
        np.array([1.0, math.nextafter(1, 2)]),
        np.array([0, 1]),
        np.array([False, True]),
        np.array(["0.1", "0.2"]),
        np.array([0.1, 0.2], dtype=object),
        np.array([[0.9, 0.1], [0.8, 0.2]]),
        np.array([[0.1], [0.2]]),
        np.array([0.1]),
        np.array([0.1, 0.2, 0.3]),
        np.array(0.1),
        np.array([]),
    ],
    ids=repr,
)
def test_what_is_not_one_probability_a_row_is_refused(output: np.ndarray) -> None:
    with pytest.raises(Refused, match="model output: got"):
        check_probabilities(output, 2)
    with pytest.raises(Refused, match="model output: got"):
        scorer(lambda _: output).score(features(2))


def test_a_refusal_does_not_show_the_scores() -> None:
    with pytest.raises(Refused) as caught:
        check_probabilities(np.array([0.123456, 7.5]), 2)
    assert "0.123456" not in str(caught.value)
    assert "7.5" not in str(caught.value)


@given(st.lists(st.floats(0, 1, width=32)), st.sampled_from([np.float32, np.float64]))
def test_probabilities_pass_unchanged(scores: list[float], found: type[np.floating]) -> None:
    passed = check_probabilities(np.array(scores, found), len(scores))
    assert passed.dtype == np.float64
    assert passed.tolist() == scores


def test_a_column_of_predict_proba_passes() -> None:
    both = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert check_probabilities(both[:, 1], 2).tolist() == [0.1, 0.8]
