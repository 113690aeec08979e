"""A verified model folder to a function from features to probabilities.

In this order, and nothing of the model is constructed before step 2:

1. what can be seen without loading is looked at (`world.model_files`);
2. the model is loaded;
3. its input example is scored through the fast path and through MLflow's pyfunc: a difference in one bit
   stops the load;
4. the example's rows are scored alone and together: where that differs in a bit, replay could not be exact.

The caller has compared the folder's digest with the approved one, or has put this digest's approval on record.
"""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from fielded.decisions.scoring import Predict, check_probabilities
from fielded.definition.deployment import ModelRef
from fielded.words.errors import Refused
from fielded.world.direct_path import Call, agrees, direct_path
from fielded.world.model_files import Described, describe, look_before_loading


@contextmanager
def one_native_thread() -> Iterator[None]:
    """BLAS, and OpenMP loops of the calling thread, held to one thread while models score in threads of ours.

    Faster so, and a sum split over another number of threads may differ in its last bit.
    """
    with threadpool_limits(1):
        yield


def start_worker() -> None:
    """To be called in each scoring thread: its OpenMP loops stay in it."""
    threadpool_limits(1, user_api="openmp")


_BACKGROUND = 100  # rows; exact Shapley values over 8 features then take 25,600 scores
_PANDAS = {"string": object}
_INT32 = np.iinfo(np.int32)
_NUMPY = {
    "double": np.float64,
    "float": np.float32,
    "long": np.int64,
    "integer": np.int32,
    "boolean": np.bool_,
}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to score.

    Attributes:
        predict: probabilities of the positive class for a batch of features.
        described: what MLmodel says.
        row_exact: whether a row's score does not depend, to the last bit, on the rows beside it.
        background: rows of the input example, at most 100, in the order of the model's features, which is the
            definition's: what an explanation of a score compares with.
    """

    predict: Predict
    described: Described
    row_exact: bool
    background: pa.RecordBatch


def load_model(folder: Path, ref: ModelRef) -> LoadedModel:
    """Load a folder whose digest has been compared with the approved one.

    Raises:
        Refused: it would give class labels, holds types that are not trusted, has no signature or example,
            or its fast path and its pyfunc disagree.
    """
    described = describe(folder)
    if not described.inputs or not described.has_example or described.probabilities is False:
        raise Refused(f"model {ref.name}: cannot be scored as logged. `fielded check` says what is missing")
    look_before_loading(folder, ref)
    try:
        with _quiet(), _no_bytecode():
            pyfunc = mlflow.pyfunc.load_model(str(folder))
            example = pyfunc.input_example
    except Exception as error:  # whatever a model's own code or a missing package raises; its text may hold data
        raise Refused(f"model {ref.name}: got {type(error).__name__} while loading, expected a model") from error
    if not isinstance(example, pd.DataFrame) or example.empty:
        raise Refused(f"model {ref.name}: input example: got no table, expected some rows of features")
    batch = _batch_of(example, described.inputs)
    estimator = pyfunc.get_raw_model() if described.flavor == "sklearn" else None
    take = _taker(estimator, ref)
    call = _fastest(pyfunc.predict if estimator is None else estimator.predict_proba, estimator, described, batch)

    def predict(features: pa.RecordBatch) -> np.ndarray:
        return take(call(features))

    with _quiet(), one_native_thread():
        fast = check_probabilities(predict(batch), batch.num_rows)
        slow = check_probabilities(take(pyfunc.predict(example)), batch.num_rows)
    if estimator is None and np.isin(fast, (0.0, 1.0)).all():
        raise Refused(
            f"model {ref.name}: input example: got only 0 and 1, expected probabilities, not class labels"
        )
    if fast.tobytes() != slow.tobytes():
        worst = float(np.abs(fast - slow).max())
        raise Refused(
            f"model {ref.name}: input example: got fast path and pyfunc {worst:.3g} apart, expected no "
            "difference in any bit. Nothing was scored. Log the model with pyfunc_predict_fn='predict_proba'"
        )
    background = batch.slice(0, _BACKGROUND)
    return LoadedModel(predict, described, _row_exact(predict, batch, fast), background)


def _fastest(
    on_frame: Callable[[pd.DataFrame], Any], estimator: Any, described: Described, batch: pa.RecordBatch
) -> Call:
    """The direct path where the model has one that agrees to the last bit, else by way of a DataFrame."""
    frame_of = _framer(described.inputs)

    def ordinary(features: pa.RecordBatch) -> Any:
        return on_frame(frame_of(features))

    direct = direct_path(estimator, described.inputs)
    with _quiet(), one_native_thread():
        return direct if direct is not None and agrees(direct, ordinary, batch) else ordinary


def _row_exact(predict: Predict, batch: pa.RecordBatch, together: np.ndarray) -> bool:
    with one_native_thread():
        return _same_bits_alone_and_together(predict, batch, together)


def _same_bits_alone_and_together(predict: Predict, batch: pa.RecordBatch, together: np.ndarray) -> bool:
    alone = np.concatenate([predict(batch.slice(row, 1)) for row in range(batch.num_rows)])
    many = pa.Table.from_batches([batch] * 40).combine_chunks().to_batches()[0]
    return alone.tobytes() == together.tobytes() and predict(many).tobytes() == together.tobytes() * 40


def _positive(classes: Any, ref: ModelRef) -> int:
    """Column of the positive class in predict_proba's output."""
    known = [item.item() if hasattr(item, "item") else item for item in classes]
    wanted = ref.positive_class
    if wanted is None and len(known) == 2 and set(known) == {0, 1}:  # noqa: PLR2004 - also False and True
        wanted = 1
    if len(known) != 2 or wanted not in known:  # noqa: PLR2004 - a probability of yes or no
        raise Refused(
            f"model {ref.name}: got classes {known[:5]}, expected two with model.positive_class one of them"
        )
    return known.index(wanted)


def _taker(estimator: Any, ref: ModelRef) -> Callable[[Any], np.ndarray]:
    """From what a model gives to the positive class's probabilities."""
    if estimator is not None:
        column = _positive(estimator.classes_, ref)
        return lambda output: np.ascontiguousarray(np.asarray(output)[:, column])

    def take(output: Any) -> np.ndarray:
        if isinstance(output, pd.DataFrame) and ref.positive_class in output.columns:
            return np.ascontiguousarray(output[ref.positive_class])
        values = np.asarray(output)
        if values.ndim == 2 and values.shape[1] == 1:  # noqa: PLR2004 - rows by one column
            values = values[:, 0]
        if values.ndim != 1 or ref.positive_class is not None:
            raise Refused(
                f"model {ref.name}: output: got shape {values.shape}, expected a probability per row, or a table "
                "with a column named as model.positive_class"
            )
        return np.ascontiguousarray(values)

    return take


def _framer(inputs: tuple[tuple[str, str], ...]) -> Callable[[pa.RecordBatch], pd.DataFrame]:
    def frame(features: pa.RecordBatch) -> pd.DataFrame:
        # Series of type object, or pandas 3 would turn the texts into its own strings and back.
        columns = {
            name: pd.Series(_to_numpy(features.column(name), kind), dtype=_PANDAS.get(kind))
            for name, kind in inputs
        }
        return pd.DataFrame(columns, copy=False)

    return frame


def _to_numpy(column: pa.Array, kind: str) -> np.ndarray:
    """A column as the signature's type: numbers with NaN for null, text as objects with NaN for null."""
    if kind == "string":
        return _text_to_objects(column)
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    if kind == "integer" and len(values) and not _INT32.min <= values.min() <= values.max() <= _INT32.max:
        raise Refused(
            "features: got a whole number of more than 32 bits, expected at most 32 as in the model's signature. "
            "Set `max`, or log the model with 64-bit integers"
        )
    return values.astype(_NUMPY[kind], copy=False)


def _text_to_objects(column: pa.Array) -> np.ndarray:
    # One Python object per distinct text, not per row: less work here, and its hash is computed once.
    encoded = pc.dictionary_encode(column)
    words = np.append(encoded.dictionary.to_numpy(zero_copy_only=False).astype(object), np.nan)
    codes: np.ndarray = pc.fill_null(encoded.indices, len(words) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(words[codes])


def features_of(row: Mapping[str, Any], inputs: tuple[tuple[str, str], ...]) -> pa.RecordBatch:
    """One row's stored features as a batch in the model's order."""
    return _batch_of({name: [row[name]] for name, _ in inputs}, inputs)


def _batch_of(columns: Any, inputs: tuple[tuple[str, str], ...]) -> pa.RecordBatch:
    """A DataFrame, or name -> values, as a batch in the model's order."""
    types = {"string": pa.string(), "boolean": pa.bool_(), "long": pa.int64(), "integer": pa.int64()}
    arrays = [pa.array(columns[name], types.get(kind, pa.float64()), from_pandas=True) for name, kind in inputs]
    return pa.RecordBatch.from_arrays(arrays, names=[name for name, _ in inputs])


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """A model's own code must not leave compiled files in the folder whose digest was approved."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow's remarks on package versions are the registry's business, not the score's."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
