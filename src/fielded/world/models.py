"""A verified model folder to a function from features to probabilities.

In this order, and nothing is constructed before step 3:

1. `MLmodel` is read as text: flavour, signature, what its pyfunc would call;
2. a skops file is parsed, and every type in it that skops does not know as safe must be on our list;
3. the model is loaded;
4. its input example is scored through the fast path and through MLflow's pyfunc: a difference in one bit
   stops the load;
5. the example's rows are scored alone and together: where that differs in a bit, replay could not be exact.

The caller has compared the folder's digest with the approved one before calling.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import skops.io
from mlflow.models import Model
from threadpoolctl import threadpool_limits

from fielded.decisions.scoring import Predict, check_probabilities
from fielded.definition.deployment import Deployment, Feature, ModelRef
from fielded.words.errors import Finding, Refused
from fielded.world.direct_path import Call, agrees, direct_path


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


# Types of scikit-learn's own compiled classes that skops does not call safe by default. MLmodel carries a
# list too, but a list that travels inside the file it judges is no defence.
_TRUSTED_PREFIXES = ("sklearn.", "numpy.", "scipy.")

# What the definition calls a type, and the MLflow column types that may carry it.
SIGNATURE_TYPES = {
    "float": ("double", "float"),
    "int": ("long", "integer"),
    "category": ("string",),
    "bool": ("boolean",),
}
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
class Described:
    """What MLmodel says, without loading anything.

    Attributes:
        flavor: `sklearn` or `python_function`.
        inputs: (name, MLflow type) in the model's order; empty without a signature.
        probabilities: whether its pyfunc gives probabilities (None where MLmodel cannot tell).
        has_example: whether an input example is kept with it.
    """

    flavor: str
    inputs: tuple[tuple[str, str], ...]
    probabilities: bool | None
    has_example: bool


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to score.

    Attributes:
        predict: probabilities of the positive class for a batch of features.
        described: what MLmodel says.
        row_exact: whether a row's score does not depend, to the last bit, on the rows beside it.
    """

    predict: Predict
    described: Described
    row_exact: bool


def describe(folder: Path) -> Described:
    """Read MLmodel. Nothing of the model is loaded."""
    model = _metadata(folder)
    signature = model.signature
    inputs: tuple[tuple[str, str], ...] = ()
    if signature is not None and signature.inputs is not None and signature.inputs.has_input_names():
        inputs = tuple((column.name, column.type.name) for column in signature.inputs)
    probabilities: bool | None = None
    if "sklearn" in model.flavors:
        probabilities = model.flavors.get("python_function", {}).get("predict_fn", "predict") == "predict_proba"
    return Described(
        "sklearn" if "sklearn" in model.flavors else "python_function",
        inputs,
        probabilities,
        model.saved_input_example_info is not None,
    )


def signature_findings(described: Described, deployment: Deployment) -> list[Finding]:
    """Names, order and types of the definition's features against the model's signature, and its output."""
    where = f"model {deployment.model.name}"
    if not described.inputs:
        step = "Log the model with infer_signature(X, model.predict_proba(X))"
        return [Finding(where, "signature", "none, or one without names", "a column for each feature", step)]
    findings = []
    wanted, got = list(deployment.features), [name for name, _ in described.inputs]
    if wanted != got:
        step = "The definition's order is the model's order"
        findings.append(Finding("deployment.yaml", "features", ", ".join(wanted), ", ".join(got), step))
    for name, kind in described.inputs:
        rule = deployment.features.get(name)
        if rule is not None and kind not in _allowed(rule):
            findings.append(
                Finding(
                    "deployment.yaml",
                    f"features.{name}.type",
                    f"{rule.type}, nullable" if rule.nullable else rule.type,
                    f"what fits the signature's {kind}",
                )
            )
    if described.probabilities is False:
        step = "Log it with pyfunc_predict_fn='predict_proba'"
        findings.append(
            Finding(where, "python_function.predict_fn", "predict (class labels)", "predict_proba", step)
        )
    if not described.has_example:
        step = "Log it with input_example=X.head(20): the fast path is proven on it"
        findings.append(Finding(where, "input_example", "none", "some rows", step))
    return findings


def _allowed(rule: Feature) -> tuple[str, ...]:
    # MLflow's integers have no missing value; a nullable int reaches the model as a float with NaN.
    return ("double", "float") if rule.type == "int" and rule.nullable else SIGNATURE_TYPES[rule.type]


def load_model(folder: Path, ref: ModelRef) -> LoadedModel:
    """Load a folder whose digest has been compared with the approved one.

    Raises:
        Refused: it would give class labels, holds types that are not trusted, has no signature or example,
            or its fast path and its pyfunc disagree.
    """
    described = describe(folder)
    if not described.inputs or not described.has_example or described.probabilities is False:
        raise Refused(f"model {ref.name}: cannot be scored as logged. `fielded check` says what is missing")
    _look_before_loading(folder)
    with _quiet():
        pyfunc = mlflow.pyfunc.load_model(str(folder))
    example = pyfunc.input_example
    if not isinstance(example, pd.DataFrame) or example.empty:
        raise Refused(f"model {ref.name}: input example: got no table, expected some rows of features")
    batch = _batch_of(example, described.inputs)
    estimator = pyfunc.get_raw_model() if described.flavor == "sklearn" else None
    column = None if estimator is None else _positive(estimator.classes_, ref)
    call = _fastest(pyfunc.predict if estimator is None else estimator.predict_proba, estimator, described, batch)

    def predict(features: pa.RecordBatch) -> np.ndarray:
        return _probability(call(features), column)

    with _quiet(), one_native_thread():
        fast = check_probabilities(predict(batch), batch.num_rows)
        slow = check_probabilities(_probability(pyfunc.predict(example), column), batch.num_rows)
    if fast.tobytes() != slow.tobytes():
        worst = float(np.abs(fast - slow).max())
        raise Refused(
            f"model {ref.name}: input example: got fast path and pyfunc {worst:.3g} apart, expected no "
            "difference in any bit. Nothing was scored. Log the model with pyfunc_predict_fn='predict_proba'"
        )
    return LoadedModel(predict, described, _row_exact(predict, batch, fast))


def _fastest(
    on_frame: Callable[[pd.DataFrame], Any], estimator: Any, described: Described, batch: pa.RecordBatch
) -> Call:
    """The direct path where the model has one that agrees to the last bit, else by way of a DataFrame."""
    frame_of = _framer(described.inputs)

    def ordinary(features: pa.RecordBatch) -> np.ndarray:
        return np.asarray(on_frame(frame_of(features)))

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


def _look_before_loading(folder: Path) -> None:
    for path in folder.rglob("*.skops"):
        unknown = skops.io.get_untrusted_types(file=path)
        strange = sorted(name for name in unknown if not name.startswith(_TRUSTED_PREFIXES))
        if strange:
            raise Refused(
                f"{path.name}: got types {', '.join(strange[:5])}, expected only scikit-learn's, NumPy's and "
                "SciPy's. Nothing was loaded"
            )


def _metadata(folder: Path) -> Model:
    try:
        return Model.load(str(folder))
    except Exception as error:  # whatever a damaged file makes YAML's or MLflow's parser raise
        raise Refused(f"MLmodel: cannot be read ({type(error).__name__})") from error


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


def _probability(output: Any, column: int | None) -> np.ndarray:
    """The positive class's probabilities of what a model gave: a vector, one column, or two."""
    values = np.asarray(output)
    if values.ndim == 2 and values.shape[1] in (1, 2):  # noqa: PLR2004 - no and yes
        values = values[:, values.shape[1] - 1 if column is None else column]
    return np.ascontiguousarray(values)


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


def _batch_of(example: pd.DataFrame, inputs: tuple[tuple[str, str], ...]) -> pa.RecordBatch:
    types = {"string": pa.string(), "boolean": pa.bool_(), "long": pa.int64(), "integer": pa.int64()}
    arrays = [pa.array(example[name], types.get(kind, pa.float64()), from_pandas=True) for name, kind in inputs]
    return pa.RecordBatch.from_arrays(arrays, names=[name for name, _ in inputs])


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
