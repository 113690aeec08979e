"""The Open Inference Protocol, version 2, over REST (KServe's "V2 Inference Protocol"), without its binary data.

Each feature is a tensor of its own name, of shape [n] or [n, 1], and so is `subject`, of datatype BYTES, for every
score is about something. What a tensor's datatype says must fit the feature's kind; the values then keep the same
rules as those of `/score`. `parameters` are taken and not used.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from fielded.definition.deployment import Feature, FeatureType
from fielded.doors.serving.calls import Answer
from fielded.doors.serving.problems import MOST_BUILT, MOST_ERRORS, FieldError, unprocessable
from fielded.doors.serving.request_model import RequestModel, json_type, shown
from fielded.services.score_live import LiveAnswer, LiveRow, Value

_WHOLE = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_NUMBERS = ("FP64", "FP32", "FP16", *_WHOLE)
DATATYPES: Mapping[FeatureType, tuple[str, ...]] = {
    "float": _NUMBERS,
    "int": ("INT64", *(kind for kind in _NUMBERS if kind != "INT64")),
    "category": ("BYTES",),
    "bool": ("BOOL",),
}
OUTPUTS = {"score": "FP64", "flag": "BOOL", "decision": "BYTES", "request_id": "BYTES"}
_ID_LENGTH = 256
MOST_OUTPUTS = 100
_FORM = "a body in the protocol's form: `inputs` with name, shape, datatype and data, without other fields"


class _Tensor(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc] # pydantic's own way
    name: Annotated[str, Field(max_length=_ID_LENGTH)]
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=2)]
    datatype: str
    data: list[Any]
    parameters: NotRequired[dict[str, Any]]


class _Output(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]
    name: str
    parameters: NotRequired[dict[str, Any]]


class _Request(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]
    id: NotRequired[Annotated[str, Field(max_length=_ID_LENGTH)]]
    inputs: Annotated[list[_Tensor], Field(min_length=1, max_length=1000)]
    outputs: NotRequired[Annotated[list[_Output], Field(max_length=MOST_OUTPUTS)]]
    parameters: NotRequired[dict[str, Any]]


_MOST_COLONS = 10_000  # more than that, and a body is looked through before it is read
_REQUEST: TypeAdapter[_Request] = TypeAdapter(_Request)
_EXPECTED = {
    "id": f"text of at most {_ID_LENGTH} characters",
    "name": f"text of at most {_ID_LENGTH} characters",
    "shape": "[n] or [n, 1]",
    "datatype": "a datatype of the protocol, e.g. FP64",
    "data": "a list of values",
    "inputs": "a list of tensors: one for each feature, and `subject`",
    "outputs": f"a list of objects with a name: {', '.join(OUTPUTS)}",
    "parameters": "an object",
}


class InferenceProtocol:
    """Reads and writes the protocol.

    Args:
        features: the definition's features, in order.
        model: reads values.
    """

    def __init__(self, features: Mapping[str, Feature], model: RequestModel) -> None:
        self._kinds: dict[str, tuple[str, ...]] = {"subject": ("BYTES",)}
        self._kinds |= {name: DATATYPES[rule.type] for name, rule in features.items()}
        self._model = model

    def read(self, body: bytes) -> tuple[list[LiveRow], str | None, Sequence[str]]:
        """The rows of an `infer` body, its id, and the outputs it asks for.

        Raises:
            Problem: 422, with every field that is wrong.
        """
        if body.count(b":") > _MOST_COLONS:
            _check_names(body)
        try:
            request = _REQUEST.validate_json(body)
        except ValidationError as error:
            raise unprocessable(_form_errors(error)) from None
        errors: list[FieldError] = []
        columns: dict[str, list[Value]] = {}
        rows = request["inputs"][0]["shape"][0]
        if not 1 <= rows <= self._model.max_batch_rows:
            expected = f"1 to {self._model.max_batch_rows} rows"
            raise unprocessable([FieldError("inputs[0].shape", "another number of rows", expected)])
        for place, tensor in enumerate(request["inputs"]):
            name, path = tensor["name"], f"inputs[{place}]"
            found = self._wrong(tensor, path, rows, taken=name in columns)
            columns.setdefault(name, [])
            if not found:
                values = [item[0] for item in tensor["data"]] if _nested(tensor) else tensor["data"]
                columns[name], found = self._model.column(name, values, f"{path}.data")
            errors += found
            if len(errors) >= MOST_ERRORS:
                raise unprocessable(errors, all_found=False)
        missing = [name for name in self._kinds if name not in columns]
        errors += [FieldError(f"inputs.{name}", "nothing", f"a tensor named {name}") for name in missing]
        asked = [output["name"] for output in request.get("outputs", [])]
        errors += [
            FieldError(f"outputs[{place}].name", "an unknown output", f"one of {', '.join(OUTPUTS)}")
            for place, name in enumerate(asked)
            if name not in OUTPUTS
        ]
        if errors:
            raise unprocessable(errors)
        features = zip(*(columns[name] for name in self._kinds if name != "subject"), strict=True)
        subjects = columns["subject"]
        return (
            [LiveRow(str(subject), values) for subject, values in zip(subjects, features, strict=True)],
            request.get("id"),
            asked or tuple(OUTPUTS),
        )

    def metadata(self, model_name: str, version: str) -> dict[str, Any]:
        """The model's metadata."""
        inputs = [{"name": name, "datatype": kinds[0], "shape": [-1]} for name, kinds in self._kinds.items()]
        outputs = [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in OUTPUTS.items()]
        return {
            "name": model_name,
            "versions": [version],
            "platform": "fielded",
            "inputs": inputs,
            "outputs": outputs,
        }

    def _wrong(self, tensor: _Tensor, path: str, rows: int, *, taken: bool) -> list[FieldError]:
        """What is wrong with a tensor, its values aside."""
        name = tensor["name"]
        if name not in self._kinds:
            return [FieldError(f"{path}.name", "an unknown tensor", f"one of {', '.join(self._kinds)}")]
        if taken:
            return [FieldError(f"{path}.name", "a tensor that was there before", "each tensor once")]
        errors = []
        if tensor["datatype"] not in self._kinds[name]:
            expected = f"one of {', '.join(self._kinds[name])}"
            errors.append(FieldError(f"{path}.datatype", "another datatype", expected))
        if tensor["shape"][0] != rows or tensor["shape"][1:] not in ([], [1]):
            expected = f"[{rows}] or [{rows}, 1], as of the first tensor"
            errors.append(FieldError(f"{path}.shape", "another shape", expected))
        if len(tensor["data"]) != rows or (_nested(tensor) and not _columnar(tensor["data"])):
            errors.append(
                FieldError(f"{path}.data", "another number of values", f"{rows} values, as the shape says")
            )
        return errors


def infer_answer(answer: LiveAnswer, count: int, request_id: str | None, outputs: Sequence[str]) -> Answer:
    """The answer of `infer`.

    Args:
        answer: the scores.
        count: how many.
        request_id: the caller's own, given back.
        outputs: names of the tensors asked for.
    """
    data: dict[str, Sequence[Any]] = {
        "score": answer.scores,
        "flag": answer.flags,
        "decision": answer.decisions,
        "request_id": answer.request_ids,
    }
    content: dict[str, Any] = {"model_name": answer.model_name}
    if len(set(answer.models)) == 1:  # during a canary rows may be of two versions: each row's record has its own
        content["model_version"] = answer.model_version
    if request_id is not None:
        content["id"] = request_id
    content["outputs"] = [
        {"name": name, "datatype": OUTPUTS[name], "shape": [count], "data": list(data[name])}
        for name in dict.fromkeys(outputs)
    ]
    return Answer(json.dumps(content).encode())


def _check_names(body: bytes) -> None:
    """Refuse a body with fields that the protocol does not have, before pydantic describes each of them.

    Raises:
        Problem: 422.
    """
    try:
        content = from_json(body)
    except ValueError:
        raise unprocessable([FieldError("body", "no JSON", "a JSON object in UTF-8")]) from None
    if not isinstance(content, dict):
        return
    inputs = content.get("inputs")
    outputs = content.get("outputs")
    tensors = [*(inputs if isinstance(inputs, list) else ()), *(outputs if isinstance(outputs, list) else ())]
    known = _Tensor.__annotations__.keys()
    odd = any(isinstance(tensor, dict) and not tensor.keys() <= known for tensor in tensors)
    if odd or not content.keys() <= _Request.__annotations__.keys():
        raise unprocessable([FieldError("body", "unknown fields", _FORM)])


def _nested(tensor: _Tensor) -> bool:
    return len(tensor["shape"]) > 1 and any(isinstance(item, list) for item in tensor["data"])


def _columnar(data: Sequence[Any]) -> bool:
    return all(isinstance(item, list) and len(item) == 1 for item in data)


def _form_errors(error: ValidationError) -> list[FieldError]:
    """What is wrong with the request's form."""
    if error.error_count() > MOST_BUILT:
        return [FieldError("body", f"{error.error_count()} places of another form", _FORM)]
    told: dict[str, FieldError] = {}
    for item in error.errors(include_url=False, include_context=False):
        path = ""
        for part in item["loc"]:
            path += f"[{part}]" if isinstance(part, int) else f".{shown(part)}"
        path = path.removeprefix(".") or "body"
        named = next((part for part in reversed(item["loc"]) if isinstance(part, str)), "")
        expected = _EXPECTED.get(named, "an object with `inputs`")
        got = "nothing" if item["type"] == "missing" else json_type(item["input"])
        if item["type"] == "json_invalid":
            got, expected = "no JSON", "a JSON object in UTF-8"
        elif item["type"] == "extra_forbidden":
            got, expected = "an unknown field", "no field of that name"
        told.setdefault(path, FieldError(path, got, expected))
    return list(told.values())
