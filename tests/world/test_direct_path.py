"""The way without a DataFrame gives the pipeline's own bits, or is not taken."""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from conftest import FEATURES, KINDS, make_pipeline
from fielded.world.direct_path import agrees, direct_path

PIPELINE, FRAME = make_pipeline(3, 500)
INPUTS = (("hours", "double"), ("age", "double"), ("earlier", "long"), ("month", "long"), ("kind", "string"))
TYPES = {"double": pa.float64(), "long": pa.int64(), "string": pa.string(), "float": pa.float64()}


def batch_of(frame: pd.DataFrame) -> pa.RecordBatch:
    arrays = [pa.array(frame[name], TYPES[kind], from_pandas=True) for name, kind in INPUTS]
    return pa.RecordBatch.from_arrays(arrays, names=list(FEATURES))


def ordinary(pipeline: Pipeline) -> Callable[[pa.RecordBatch], np.ndarray]:
    def call(batch: pa.RecordBatch) -> np.ndarray:
        frame = batch.to_pandas()
        frame["kind"] = pd.Series(
            [np.nan if v is None else v for v in batch.column("kind").to_pylist()], dtype=object
        )
        return pipeline.predict_proba(frame)

    return call


number = st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([0.0, -0.0, 1e300, -1e300, 5e-324]))
rows = st.lists(
    st.tuples(
        number, number, st.integers(-5, 2**53), st.integers(1, 12),
        st.one_of(st.none(), st.sampled_from(KINDS), st.text(max_size=5)),
    ),
    min_size=1, max_size=40,
)  # fmt: skip


@given(rows)
@settings(max_examples=120, deadline=None)
def test_same_bits_as_the_pipeline_for_any_row(values: list[tuple]) -> None:
    direct = direct_path(PIPELINE, INPUTS)
    columns = list(zip(*values, strict=True))
    arrays = [pa.array(column, TYPES[kind]) for column, (_, kind) in zip(columns, INPUTS, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, names=list(FEATURES))
    assert direct(batch).tobytes() == np.ascontiguousarray(ordinary(PIPELINE)(batch)).tobytes()


def test_agrees_on_the_real_pipeline() -> None:
    direct = direct_path(PIPELINE, INPUTS)
    assert direct is not None
    assert agrees(direct, ordinary(PIPELINE), batch_of(FRAME.head(20)))


def test_a_way_that_is_off_by_one_bit_is_not_taken() -> None:
    direct = direct_path(PIPELINE, INPUTS)

    def off(batch: pa.RecordBatch) -> np.ndarray:
        scores = direct(batch).copy()
        if batch.column("kind").null_count:
            scores[0, 1] = np.nextafter(scores[0, 1], 2)
        return scores

    assert not agrees(off, ordinary(PIPELINE), batch_of(FRAME.head(20)))


def fitted(*steps: tuple, frame: pd.DataFrame = FRAME) -> Pipeline:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Pipeline(list(steps)).fit(frame.fillna(0), (frame["hours"] > 20).astype(int))


def columns(kind: object, numbers: object = "passthrough") -> tuple:
    return ("columns", ColumnTransformer([("kind", kind, ["kind"]), ("n", numbers, list(FEATURES[:4]))]))


@pytest.mark.parametrize(
    "pipeline",
    [
        fitted(columns(OneHotEncoder()), ("model", LogisticRegression(max_iter=2000))),
        fitted(columns(OrdinalEncoder(), StandardScaler()), ("model", LogisticRegression(max_iter=2000))),
        fitted(columns(OrdinalEncoder()), ("scale", StandardScaler()), ("model", LogisticRegression())),
        fitted(columns(OrdinalEncoder(dtype=np.float32)), ("model", LogisticRegression(max_iter=2000))),
    ],
    ids=["one-hot", "scaled", "three steps", "float32"],
)
def test_other_pipelines_are_left_to_the_data_frame(pipeline: Pipeline) -> None:
    assert direct_path(pipeline, INPUTS) is None


def test_a_float32_signature_is_left_to_the_data_frame() -> None:
    inputs = tuple((name, "float" if name == "hours" else kind) for name, kind in INPUTS)
    assert direct_path(PIPELINE, inputs) is None


def test_a_word_the_encoder_refuses_is_refused_both_ways() -> None:
    strict = fitted(columns(OrdinalEncoder()), ("model", HistGradientBoostingClassifier(max_iter=5)))
    direct = direct_path(strict, INPUTS)
    example = batch_of(FRAME.fillna(0).head(5))
    assert agrees(direct, ordinary(strict), example)
    strange = example.set_column(4, pa.field("kind", pa.string()), pa.array(["submarine"] * 5))
    with pytest.raises(ValueError, match="unknown categories"):
        direct(strange)


def test_ever_new_words_do_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fielded.world.direct_path._WORDS", 10)
    direct = direct_path(PIPELINE, INPUTS)
    example = batch_of(FRAME.head(6))
    for turn in range(5):
        words = pa.array([f"new-{turn}-{place}" for place in range(6)])
        batch = example.set_column(4, pa.field("kind", pa.string()), words)
        assert direct(batch).tobytes() == np.ascontiguousarray(ordinary(PIPELINE)(batch)).tobytes()
