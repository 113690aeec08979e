"""What the API says about the review routes (OpenAPI 3.1): see `documentation`."""

from collections.abc import Mapping
from typing import Any

from fielded.decisions.review.acts import KINDS
from fielded.decisions.review.state import STAGES
from fielded.decisions.routing import BAND
from fielded.decisions.scoring import DECISIONS
from fielded.definition.deployment import Deployment
from fielded.doors.serving.documentation import ID, TEXT, answered, body, closed, example_of, guarded
from fielded.doors.serving.review_requests import Parameter, ReviewRequests

_MOMENT = {"type": "string", "format": "date-time"}
_DAY = {"type": "string", "format": "date"}
_BOOLEAN = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_TEXTS = {"type": "array", "items": TEXT}
_TAGS = ["review"]
_REFUSALS = (401, 403, 422, 429, 503)
_CASE_ID = "0195e8a0-7c00-7000-8000-000000000001"
_SAYS = {
    "claim": "Take a case, or prolong one's claim.",
    "release": "Give a case back.",
    "judge": "Say what one would decide before the score is shown.",
    "decide": "Keep or override what the model makes of a case.",
    "second": "Judge a decided case without having seen how it was decided.",
    "reassign": "Give a case to another reviewer.",
    "escalate": "Have another person decide it.",
    "appeal": "Have others decide anew.",
}
_EXAMPLES: Mapping[str, Any] = {
    "flag": True,
    "outcome": "keep",
    "text": "The yard has the part.",
    "to": "oidc:reviewer",
    "reason": "The record is about another hull.",
}


class ReviewDocumentation:
    """Describes the review routes of a deployment, as keyword arguments of a route.

    Args:
        deployment: whose cases they are.
        requests: what is sent.
    """

    def __init__(self, deployment: Deployment, requests: ReviewRequests) -> None:
        self._features = deployment.features
        self._requests = requests
        self._reasons = deployment.review.reasons
        self._view = _view()

    def cases(self) -> dict[str, Any]:
        """`GET /review/cases`."""
        cases = {"type": "array", "items": closed(self._view)}
        answer = closed({"waiting": _COUNT, "overdue": _COUNT, "cases": cases})
        example = {"waiting": 1, "overdue": 0, "cases": [self._example()]}
        extra = {"parameters": _query(self._requests.of_list), **answered(answer, example, _REFUSALS)}
        return _operation("review_cases", "GET", "The queue, what is due first before the rest.", extra)

    def case(self) -> dict[str, Any]:
        """`GET /review/cases/{id}`."""
        event = closed(
            {
                "at": _MOMENT,
                "kind": {"type": "string", "enum": sorted(KINDS)},
                "actor": TEXT,
                "details": {"type": "object"},
            }
        )
        decided = {
            name: _MOMENT if name == "at" else TEXT for name in ("by", "at", "outcome", "final", "reason", "text")
        }
        answer = closed(
            {
                **self._view,
                "features": {"type": "object"},
                "model": closed({"name": TEXT, "version": TEXT, "threshold": {"type": "number"}}),
                "judge_first": _BOOLEAN,
                "own_judgement": _or_null(_BOOLEAN),
                "expired": _BOOLEAN,
                "decided": _or_null(closed(decided)),
                "history": {"type": "array", "items": event},
                "reasons": {"type": "object", "additionalProperties": TEXT},
            }
        )
        features = {name: example_of(rule) for name, rule in self._features.items()}
        example = {
            **self._example(),
            "features": features,
            "model": {"name": "a_model", "version": "2", "threshold": 0.5},
            "judge_first": False,
            "own_judgement": None,
            "expired": False,
            "decided": None,
            "history": [],
            "reasons": dict(self._reasons),
        }
        extra = {"parameters": [_PATH], **answered(answer, example, (*_REFUSALS, 404))}
        return _operation("review_case", "GET", "A case, as the caller may see it.", extra)

    def stats(self) -> dict[str, Any]:
        """`GET /review/stats`."""
        queue = {
            "waiting": _COUNT,
            "by_stage": {"type": "object", "additionalProperties": _COUNT},
            "claimed": _COUNT,
            "overdue": _COUNT,
            "oldest_seconds": _or_null({"type": "number"}),
        }
        names = ("routed", "cases", "decided", "late", "expired", "contested_expired", "seconds_missed")
        rates = dict.fromkeys(("wrong", "wrong_flags", "missed"), _ESTIMATE)
        answer = closed(
            {
                "at": _MOMENT,
                "first_day": _DAY,
                "queue": closed(queue),
                **dict.fromkeys(names, _COUNT),
                "overrides": {"type": "object", "additionalProperties": _ESTIMATE},
                "agreement": closed({"kappa": _ESTIMATE, "observed": _ESTIMATE}),
                "automation_bias": closed({"given_up": _ESTIMATE, "put_right": _ESTIMATE, "known": _COUNT}),
                "errors": closed({**rates, "decided": _COUNT, "drawn": _COUNT, "stand_for": {"type": "number"}}),
            }
        )
        extra = {"parameters": _query(self._requests.of_stats), **answered(answer, None, _REFUSALS)}
        return _operation("review_stats", "GET", "How the review goes, with 95% intervals.", extra)

    def act(self, name: str) -> dict[str, Any]:
        """`POST /review/cases/{id}/NAME`."""
        fields = self._requests.bodies[name]
        answer = closed(
            {"case": closed(self._view), "shown": {"type": "array", "items": _DAY}, "not_done": _TEXTS}
        )
        sent = {field: _EXAMPLES[field] for field in fields}
        if name == "decide":
            sent["reason"] = next(iter(self._reasons))
        extra = {
            "parameters": [_PATH],
            "requestBody": body(closed({field: known.schema for field, known in fields.items()}), sent),
            **answered(answer, {"case": self._example(), "shown": [], "not_done": []}, _ACT_REFUSALS),
        }
        return _operation(f"review_{name}", "POST", _SAYS[name], extra)

    def _example(self) -> dict[str, Any]:
        return {
            "request_id": _CASE_ID,
            "subject": "WO-00001234",
            "channel": "batch",
            "scored_at": "2026-03-31T02:00:00.000000+00:00",
            "scored_date": "2026-03-31",
            "stage": "open",
            "audit": False,
            "holder": None,
            "until": None,
            "due_at": "2026-04-03T02:00:00.000000+00:00",
            "expires_at": "2026-04-30T02:00:00.000000+00:00",
            "overdue": False,
            "yours": True,
            "hidden": False,
            "score": 0.5,
            "flag": True,
            "decision": "review",
            "routed_by": [BAND],
        }


_ACT_REFUSALS = (401, 403, 404, 409, 413, 415, 422, 429, 503)
_PATH = {"name": "id", "in": "path", "required": True, "schema": ID, "description": "Request id of the case."}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_ESTIMATE = closed(
    {"value": _or_null({"type": "number"}), "low": {"type": "number"}, "high": {"type": "number"}, "rows": _COUNT}
)


def _view() -> dict[str, Any]:
    """A case in the queue. Where `hidden` is true, what the caller may not see yet is null."""
    return {
        "request_id": ID,
        "subject": TEXT,
        "channel": TEXT,
        "scored_at": _MOMENT,
        "scored_date": _DAY,
        "stage": {"type": "string", "enum": list(STAGES)},
        "audit": _or_null(_BOOLEAN),
        "holder": _or_null(TEXT),
        "until": _or_null(_MOMENT),
        "due_at": _MOMENT,
        "expires_at": _MOMENT,
        "overdue": _BOOLEAN,
        "yours": _BOOLEAN,
        "hidden": _BOOLEAN,
        "score": _or_null({"type": "number", "minimum": 0, "maximum": 1}),
        "flag": _or_null(_BOOLEAN),
        "decision": _or_null({"type": "string", "enum": list(DECISIONS)}),
        "routed_by": _or_null(_TEXTS),
    }


def _query(parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": one.says, "schema": one.schema}
        for name, one in parameters.items()
    ]


def _operation(name: str, method: str, says: str, extra: dict[str, Any]) -> dict[str, Any]:
    return {
        "methods": [method],
        "operation_id": name,
        "summary": says,
        "tags": _TAGS,
        "openapi_extra": guarded(extra),
    }
