"""What the API says about itself (OpenAPI 3.1), made from the definition: schemas, examples, errors."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi.responses import JSONResponse, PlainTextResponse

from fielded.decisions.explaining import MAX_FEATURES
from fielded.decisions.routing import BAND, REVIEW
from fielded.decisions.scoring import DECISIONS
from fielded.definition.deployment import Deployment, Feature
from fielded.doors.serving.inference_protocol import DATATYPES, MOST_OUTPUTS, OUTPUTS
from fielded.doors.serving.problems import MEDIA_TYPE
from fielded.doors.serving.request_model import SUBJECT_SCHEMA, RequestModel

TEXT: dict[str, Any] = {"type": "string"}
ID = {"type": "string", "format": "uuid"}
_REFUSALS = {
    401: "No credentials, or not good ones.",
    403: "The caller is known, but may not do this.",
    404: "No such model, version or case.",
    409: "Somebody was first, or the case does not allow it now.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The request breaks the rules of the definition, field by field.",
    429: "The caller has asked too often.",
    503: "It could not be made durable or be read, or too much is under way. Try again.",
}
_WITH_HEADERS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}

PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "instance": {"type": "string", "format": "uri-reference"},
        "error": {"type": "string", "description": "For clients of the Open Inference Protocol."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": TEXT, "got": TEXT, "expected": TEXT},
                "required": ["field", "got", "expected"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "instance"],
}


class Documentation:
    """Describes the routes of a deployment, as keyword arguments of a route.

    Args:
        deployment: what is served.
        model: the request's form.
    """

    def __init__(self, deployment: Deployment, model: RequestModel) -> None:
        self._deployment = deployment
        self._model = model
        self._row = {
            "subject": "WO-00001234",
            "features": {name: example_of(rule) for name, rule in deployment.features.items()},
        }

    def components(self) -> dict[str, Any]:
        """What operations refer to."""
        return {
            "schemas": {"Problem": PROBLEM, "Prediction": self._prediction_schema()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        }

    def score(self) -> dict[str, Any]:
        """`POST /score`."""
        explain = {
            "name": "explain",
            "in": "query",
            "description": f"Add what each feature contributed (models of up to {MAX_FEATURES} features).",
            "schema": {"type": "boolean", "default": False},
        }
        answer = {"$ref": "#/components/schemas/Prediction"}
        extra = {
            "parameters": [explain],
            "requestBody": body(self._model.schema("one"), self._row),
            **_scored(answer, self._prediction_example(), (401, 403, 413, 415, 422, 429, 503)),
        }
        return {"methods": ["POST"], "operation_id": "score", "tags": ["score"], "openapi_extra": guarded(extra)}

    def score_batch(self) -> dict[str, Any]:
        """`POST /score/batch`."""
        items = {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}}
        answer = closed({"predictions": items})
        example = {"predictions": [self._prediction_example()]}
        extra = {
            "requestBody": body(self._model.schema("many"), {"rows": [self._row]}),
            **_scored(answer, example, (401, 403, 413, 415, 422, 429, 503)),
        }
        return {
            "methods": ["POST"],
            "operation_id": "score_batch",
            "tags": ["score"],
            "openapi_extra": guarded(extra),
        }

    def infer(self, *, versioned: bool = False) -> dict[str, Any]:
        """`POST /v2/models/{name}/infer`."""
        example = {
            "id": "my-1",
            "inputs": [self._tensor(name) for name in ("subject", *self._deployment.features)],
        }
        answer = {
            "type": "object",
            "properties": {
                "model_name": TEXT,
                "model_version": TEXT,
                "id": TEXT,
                "outputs": {
                    "type": "array",
                    "items": _tensor_schema(tuple(OUTPUTS), tuple(set(OUTPUTS.values()))),
                },
            },
            "required": ["model_name", "model_version", "outputs"],
        }
        data = {"score": [0.25], "flag": [False], "decision": ["clear"], "request_id": [_EXAMPLE_ID]}
        outputs = [
            {"name": name, "datatype": kind, "shape": [1], "data": data[name]} for name, kind in OUTPUTS.items()
        ]
        shown = {**self._named(), "id": "my-1", "outputs": outputs}
        extra = {
            "parameters": self._parameters(versioned=versioned),
            "requestBody": body(self._infer_schema(), example),
            **_scored(answer, shown, (401, 403, 404, 413, 415, 422, 429, 503)),
        }
        return self._protocol("infer", extra, "POST", versioned=versioned, asks_who=True)

    def metadata(self, *, versioned: bool = False) -> dict[str, Any]:
        """`GET /v2/models/{name}`."""
        tensors = {"type": "array", "items": {"type": "object"}}
        answer = closed(
            {
                "name": TEXT,
                "versions": {"type": "array", "items": TEXT},
                "platform": TEXT,
                "inputs": tensors,
                "outputs": tensors,
            }
        )
        extra = {
            "parameters": self._parameters(versioned=versioned),
            **answered(answer, None, (401, 403, 404, 429, 503)),
        }
        return self._protocol("metadata", extra, "GET", versioned=versioned, asks_who=True)

    def model_ready(self, *, versioned: bool = False) -> dict[str, Any]:
        """`GET /v2/models/{name}/ready`."""
        answer = closed({"name": TEXT, "ready": {"type": "boolean"}})
        extra = {
            "parameters": self._parameters(versioned=versioned),
            **_state(answer, 404),
        }
        return self._protocol("model_ready", extra, "GET", versioned=versioned, asks_who=False)

    def server(self) -> dict[str, Any]:
        """`GET /v2`."""
        answer = closed({"name": TEXT, "version": TEXT, "extensions": {"type": "array", "items": TEXT}})
        return self._protocol("server", answered(answer, None, ()), "GET", versioned=False, asks_who=False)

    def protocol_health(self, kind: Literal["live", "ready"]) -> dict[str, Any]:
        """`GET /v2/health/live` and `/v2/health/ready`."""
        extra = _state(closed({kind: {"type": "boolean"}}))
        return self._protocol(f"health_{kind}", extra, "GET", versioned=False, asks_who=False)

    def health(self, kind: Literal["live", "ready"]) -> dict[str, Any]:
        """`GET /health/live` and `/health/ready`."""
        answer = closed({"status": {"type": "string", "enum": [kind, f"not {kind}"]}})
        return {"operation_id": kind, "tags": ["operations"], "openapi_extra": _state(answer)}

    def metrics(self) -> dict[str, Any]:
        """`GET /metrics`."""
        return {
            "operation_id": "metrics",
            "tags": ["operations"],
            "response_class": PlainTextResponse,
            "openapi_extra": guarded({"responses": _refusals((401, 403, 429, 503))}),
        }

    def _protocol(
        self, operation: str, extra: dict[str, Any], method: str, *, versioned: bool, asks_who: bool
    ) -> dict[str, Any]:
        name = f"oip_{operation}_version" if versioned else f"oip_{operation}"
        return {
            "methods": [method],
            "operation_id": name,
            "tags": ["open inference protocol"],
            "response_class": JSONResponse,
            "openapi_extra": guarded(extra) if asks_who else extra,
        }

    def _parameters(self, *, versioned: bool) -> list[dict[str, Any]]:
        names = {"type": "string", "enum": [self._deployment.model.name]}
        parameters = [{"name": "name", "in": "path", "required": True, "schema": names}]
        if versioned:
            version = {"type": "string", "description": "Only the version that scores now is there."}
            parameters.append({"name": "version", "in": "path", "required": True, "schema": version})
        return parameters

    def _named(self) -> dict[str, Any]:
        return {"model_name": self._deployment.model.name, "model_version": "2"}

    def _prediction_schema(self) -> dict[str, Any]:
        numbers = {"type": "object", "additionalProperties": {"type": "number"}}
        schema = closed(
            {
                "subject": SUBJECT_SCHEMA,
                "score": {"type": "number", "minimum": 0, "maximum": 1},
                "flag": {"type": "boolean"},
                "decision": {"type": "string", "enum": list(DECISIONS)},
                "reasons": _REASONS,
                "request_id": ID,
                "model": closed({"name": TEXT, "version": TEXT}),
                "artifact_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "scored_at": {"type": "string", "format": "date-time"},
            }
        )
        schema["properties"]["explanation"] = closed({"base": {"type": "number"}, "contributions": numbers})
        return schema

    def _prediction_example(self) -> dict[str, Any]:
        """A score at the threshold, which lies in the review band."""
        return {
            "subject": self._row["subject"],
            "score": self._deployment.decision.threshold,
            "flag": True,
            "decision": DECISIONS[REVIEW],
            "reasons": [BAND],
            "request_id": _EXAMPLE_ID,
            "model": {"name": self._deployment.model.name, "version": "2"},
            "artifact_sha256": "0" * 64,
            "scored_at": "2026-03-31T12:00:00.000000+00:00",
        }

    def _tensor(self, name: str) -> dict[str, Any]:
        if name == "subject":
            return {"name": name, "shape": [1], "datatype": "BYTES", "data": [self._row["subject"]]}
        rule = self._deployment.features[name]
        return {"name": name, "shape": [1], "datatype": DATATYPES[rule.type][0], "data": [example_of(rule)]}

    def _infer_schema(self) -> dict[str, Any]:
        names = ("subject", *self._deployment.features)
        kinds = tuple(dict.fromkeys(kind for kinds in DATATYPES.values() for kind in kinds))
        output = {
            "type": "object",
            "properties": {"name": {"type": "string", "enum": list(OUTPUTS)}, "parameters": {"type": "object"}},
            "required": ["name"],
            "additionalProperties": False,
        }
        return {
            "type": "object",
            "properties": {
                "id": {"type": "string", "maxLength": 256},
                "parameters": {"type": "object"},
                "inputs": {"type": "array", "items": _tensor_schema(names, kinds), "minItems": 1},
                "outputs": {"type": "array", "items": output, "maxItems": MOST_OUTPUTS},
            },
            "required": ["inputs"],
            "additionalProperties": False,
        }


_REASONS = {
    "type": "array",
    "items": {"type": "string"},
    "description": "What has a person look at this score: band, range:FEATURE, unseen:FEATURE, hold:FEATURE=VALUE "
    "or audit. Empty where nobody is asked.",
}
_EXAMPLE_ID = "0195e8a0-7c00-7000-8000-000000000001"


def example_of(rule: Feature) -> float | int | str | bool:
    """A value that keeps a feature's rule."""
    if rule.type == "category":
        return rule.values[0] if rule.values else "text"
    if rule.type == "bool":
        return True
    low, high = rule.min, rule.max
    if low is None:
        low = 1.0 if high is None else min(1.0, high)
    value = low if high is None else (low + high) / 2
    return int(value) if rule.type == "int" else value


def closed(properties: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema of an object with these fields, all of them and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _tensor_schema(names: tuple[str, ...], kinds: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "enum": list(names)},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
            "datatype": {"type": "string", "enum": sorted(kinds)},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
        "required": ["name", "shape", "datatype", "data"],
        "additionalProperties": False,
    }


def body(schema: dict[str, Any], example: Mapping[str, Any]) -> dict[str, Any]:
    """What an operation is sent."""
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def answered(schema: dict[str, Any], example: Any, refusals: tuple[int, ...]) -> dict[str, Any]:
    """The answers of an operation: 200, and what it may be refused with."""
    content: dict[str, Any] = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"responses": {"200": _response("Done.", "application/json", content), **_refusals(refusals)}}


def _scored(schema: dict[str, Any], example: Any, refusals: tuple[int, ...]) -> dict[str, Any]:
    """The answer of an operation that scores: with a receipt."""
    described = answered(schema, example, refusals)
    described["responses"]["200"]["headers"]["Fielded-Receipt"] = {
        "description": "Journal, number and chain of the last row: proof, if kept, that it is still there later.",
        "schema": {"type": "string", "pattern": "^[^/]+/[0-9]+/[0-9a-f]{64}$"},
    }
    return described


def _state(schema: dict[str, Any], *refusals: int) -> dict[str, Any]:
    """200 and 503 with the same form."""
    described = answered(schema, None, refusals)
    described["responses"]["503"] = _response("Not now.", "application/json", {"schema": schema})
    return described


def _refusals(codes: tuple[int, ...]) -> dict[str, Any]:
    content = {"schema": {"$ref": "#/components/schemas/Problem"}}
    told = {str(code): _response(_REFUSALS[code], MEDIA_TYPE, content) for code in codes}
    for code, header in _WITH_HEADERS.items():
        if code in codes:
            told[str(code)]["headers"][header] = {"schema": TEXT}
    return told


def _response(description: str, media_type: str, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {"X-Request-Id": {"schema": ID}},
        "content": {media_type: content},
    }


def guarded(extra: dict[str, Any]) -> dict[str, Any]:
    """An operation that asks who calls."""
    return {**extra, "security": [{"bearer": []}]}
