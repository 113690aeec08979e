"""What a model folder says of itself, read as text: nothing of the model is loaded or imported here.

1. every path in `MLmodel` stays inside the folder, for only what lies in it is covered by its digest;
2. a scikit-learn model is loaded by MLflow's own loader, brings no code, and is in skops format (a pickle runs
   whatever it likes; `model.unsafe_pickle` in the definition takes that on);
3. every type in the skops file that skops does not know as safe is scikit-learn's or SciPy's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import skops.io
from mlflow.models import Model

from fielded.definition.deployment import Deployment, Feature, ModelRef
from fielded.words.errors import Finding, Refused

# MLmodel carries a list of trusted types too, but a list inside what it judges is no defence.
_TRUSTED_PREFIXES = ("sklearn.", "scipy.sparse.", "scipy.special.", "scipy.interpolate.")

_INT32 = (-(2**31), 2**31 - 1)

# What the definition calls a type, and the MLflow column types that may carry it.
SIGNATURE_TYPES = {
    "float": ("double", "float"),
    "int": ("long", "integer"),
    "category": ("string",),
    "bool": ("boolean",),
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


def describe(folder: Path) -> Described:
    """Read MLmodel.

    Raises:
        Refused: it cannot be read, or names a file outside the folder.
    """
    model = _metadata(folder)
    for text in _texts([model.flavors, model.saved_input_example_info]):
        if PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts:
            raise Refused("MLmodel: got a path outside the model's folder, expected files that its digest covers")
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
        if rule is not None and kind == "integer" and not _within_32_bits(rule):
            step = "Or log the model with 64-bit integers"
            lacking = "no `min` and `max` within 32 bits"
            findings.append(Finding("deployment.yaml", f"features.{name}", lacking, "both, as in the model", step))
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


def _within_32_bits(rule: Feature) -> bool:
    low, high = _INT32
    return rule.min is not None and rule.max is not None and low <= rule.min and rule.max <= high


def look_before_loading(folder: Path, ref: ModelRef) -> Described:
    """All that can be found out without loading.

    Raises:
        Refused: a rule of this module is broken.
    """
    described = describe(folder)
    if described.flavor == "sklearn":
        flavors = _metadata(folder).flavors
        own, pyfunc = flavors["sklearn"], flavors.get("python_function", {})
        if pyfunc.get("loader_module") != "mlflow.sklearn" or "code" in pyfunc or own.get("code"):
            raise Refused("MLmodel: got a loader or code of its own, expected mlflow.sklearn without code")
        if pyfunc.get("model_path") != own.get("pickled_model"):
            raise Refused("MLmodel: got two model files, expected pyfunc and scikit-learn to load the same one")
        if not ref.unsafe_pickle:
            _look_into_skops(folder / str(own.get("pickled_model")), str(own.get("serialization_format")))
    return described


def _look_into_skops(path: Path, format_: str) -> None:
    if format_ != "skops":
        raise Refused(
            f"MLmodel: serialization_format: got {format_}, expected skops: a pickle can run anything when it is "
            "loaded. Log it with serialization_format='skops', or set model.unsafe_pickle in the definition"
        )
    try:
        unknown = skops.io.get_untrusted_types(file=path)
    except Exception as error:  # whatever a damaged file makes the parser raise
        raise Refused(f"{path.name}: cannot be read as skops ({type(error).__name__})") from error
    strange = sorted(name for name in unknown if not name.startswith(_TRUSTED_PREFIXES))
    if strange:
        raise Refused(
            f"{path.name}: got types {', '.join(strange[:5])}, expected only scikit-learn's and SciPy's. "
            "Nothing was loaded"
        )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _metadata(folder: Path) -> Model:
    try:
        return Model.load(str(folder))
    except Exception as error:  # whatever a damaged file makes YAML's or MLflow's parser raise
        raise Refused(f"MLmodel: cannot be read ({type(error).__name__})") from error
