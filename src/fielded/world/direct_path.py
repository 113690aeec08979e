"""From Arrow columns to the matrix that a pipeline's estimator sees, without a DataFrame in between.

For the commonest pipeline of tables: a ColumnTransformer that passes numbers through and encodes categories by
an OrdinalEncoder, then an estimator. Numbers are copied into the matrix; of each category column, only words
not met before go through the encoder itself, so what a word becomes is always the encoder's own answer. Any
other pipeline gets None here and is called with a DataFrame, as is one whose scores would differ by a bit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from fielded.world.leaf_masks import leaf_masks

Call = Callable[[pa.RecordBatch], np.ndarray]

_WORDS = 10_000  # encoded words kept for a column; a stream of ever new words must not fill memory
_EXACT = ("double", "long", "boolean")  # MLflow types whose values a float64 column takes as they are
_UNSEEN = "\x00 no category is called this"


def direct_path(estimator: Any, inputs: tuple[tuple[str, str], ...]) -> Call | None:
    """`predict_proba` of a pipeline over Arrow columns, if the pipeline is of the kind described above.

    Args:
        estimator: a fitted pipeline.
        inputs: (name, MLflow type) of each feature, in the model's order.
    """
    if type(estimator) is not Pipeline or len(estimator.steps) != 2:  # noqa: PLR2004 - columns, estimator
        return None
    columns, last = estimator.steps[0][1], estimator.steps[1][1]
    if type(columns) is not ColumnTransformer or hasattr(last, "feature_names_in_"):
        return None
    fillers = _fillers(columns, dict(inputs))
    if fillers is None:
        return None
    width = max(part.stop for part in columns.output_indices_.values())
    predict_proba = leaf_masks(last) or last.predict_proba

    def call(features: pa.RecordBatch) -> np.ndarray:
        matrix = np.empty((features.num_rows, width))
        for fill in fillers:
            fill(features, matrix)
        return np.asarray(predict_proba(matrix))

    return call


def agrees(direct: Call, ordinary: Call, example: pa.RecordBatch) -> bool:
    """Whether both ways give the same bits: on the example, and with a new word or none in each text column."""
    probes = [example]
    for place, field in enumerate(example.schema):
        if field.type == pa.string():
            words = (pa.repeat(_UNSEEN, example.num_rows), pa.nulls(example.num_rows, pa.string()))
            probes += [example.set_column(place, field, word) for word in words]
    return all(_same(direct, ordinary, probe) for probe in probes)


def _same(direct: Call, ordinary: Call, probe: pa.RecordBatch) -> bool:
    try:
        expected = ordinary(probe)
    except ValueError:  # a word that the pipeline refuses, it must refuse here too
        try:
            direct(probe)
        except ValueError:
            return True
        return False
    return bool(direct(probe).tobytes() == np.ascontiguousarray(np.asarray(expected)).tobytes())


_Fill = Callable[[pa.RecordBatch, np.ndarray], None]


def _fillers(columns: ColumnTransformer, kinds: dict[str, str]) -> list[_Fill] | None:
    """One function for each output column, or None where a transformer is not of the two known ones."""
    fillers: list[_Fill] = []
    for name, transformer, chosen in columns.transformers_:
        part = columns.output_indices_.get(name, slice(0, 0))
        if part.stop == part.start:
            continue
        names = _names(columns, chosen)
        if names is None or len(names) != part.stop - part.start:
            return None
        texts = [kinds.get(column) == "string" for column in names]
        exact = all(kinds.get(column) in _EXACT for column in names)
        if _passes_through(transformer) and exact:
            fillers += [_number(column, part.start + place) for place, column in enumerate(names)]
        elif type(transformer) is OrdinalEncoder and transformer.dtype is np.float64 and all(texts):
            fillers += [
                _Encoded(transformer, names, place, part.start + place).fill for place in range(len(names))
            ]
        else:
            return None
    return fillers


def _names(columns: ColumnTransformer, chosen: Any) -> list[str] | None:
    """The columns that a transformer was fitted on, by name, if they were given as a list."""
    if not hasattr(columns, "feature_names_in_") or isinstance(chosen, str | slice) or callable(chosen):
        return None
    return [str(item) if isinstance(item, str) else str(columns.feature_names_in_[item]) for item in chosen]


def _passes_through(transformer: Any) -> bool:
    return transformer == "passthrough" or (type(transformer) is FunctionTransformer and transformer.func is None)


def _number(column: str, place: int) -> _Fill:
    def fill(features: pa.RecordBatch, matrix: np.ndarray) -> None:
        matrix[:, place] = features.column(column).to_numpy(zero_copy_only=False)

    return fill


class _Encoded:
    """One category column, through the encoder's own answers."""

    def __init__(self, encoder: OrdinalEncoder, names: list[str], own: int, place: int) -> None:
        self._encoder = encoder
        self._names = names
        self._own = own
        self._place = place
        self._known: dict[str | None, float] = {}

    def fill(self, features: pa.RecordBatch, matrix: np.ndarray) -> None:
        encoded = pc.dictionary_encode(features.column(self._names[self._own]), null_encoding="encode")
        table = self._codes(encoded.dictionary.to_pylist())
        matrix[:, self._place] = table[encoded.indices.to_numpy()]

    def _codes(self, words: list[str | None]) -> np.ndarray:
        known = self._known
        new = [word for word in words if word not in known]
        if not new:
            return np.array([known[word] for word in words])
        answers = dict(zip(new, self._ask(new), strict=True))
        if len(known) + len(new) <= _WORDS:
            known.update(answers)
        return np.array([answers[word] if word in answers else known[word] for word in words])

    def _ask(self, words: list[str | None]) -> list[float]:
        # The other columns of this encoder hold a category it knows; only this column's answer is taken.
        values = {
            name: [kept[0]] * len(words) for name, kept in zip(self._names, self._encoder.categories_, strict=True)
        }
        values[self._names[self._own]] = [np.nan if word is None else word for word in words]
        frame = pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in values.items()})
        return list(self._encoder.transform(frame)[:, self._own])
