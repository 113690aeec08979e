"""What went wrong, as the caller is told: RFC 9457 (`application/problem+json`).

Nothing of what was sent is in it but names of fields; nothing of ours but what to do next.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fielded.words.errors import Refused

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 100  # of one request that are told
MOST_BUILT = 2000  # errors of one request that pydantic may describe in one go: each costs microseconds
RETRY_SECONDS = 1  # a journal that recovers, or a place that is free again, takes about that


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that is not as the definition asks.

    Attributes:
        field: where, e.g. `rows[3].features.hours`.
        got: the JSON type found, `nothing`, or `an unknown field`; never the value.
        expected: what would have been right.
    """

    field: str
    got: str
    expected: str


class Problem(Refused):
    """An answer other than what was asked for.

    Attributes:
        status: HTTP status.
        reason: short and one of few, for the counter and the log.
        detail: what it is and what to do next, for the caller.
        errors: field by field, of a 422.
        headers: that belong to the status (`Retry-After`, `Allow`, `WWW-Authenticate`).
    """

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        super().__init__(detail)


def unprocessable(errors: Sequence[FieldError], *, all_found: bool = True) -> Problem:
    """422: what is wrong with a request, field by field.

    Args:
        errors: the first ones.
        all_found: whether there are no more.
    """
    count = len(errors)
    detail = "The request breaks the rules of the definition"
    if not all_found:
        detail += f" in {MOST_ERRORS} places or more, of which the first {MOST_ERRORS} are told"
    elif count > MOST_ERRORS:
        detail += f" in {count} places, of which the first {MOST_ERRORS} are told"
    return Problem(422, "invalid", f"{detail}. Nothing was scored.", errors[:MOST_ERRORS])


def unavailable(reason: str, detail: str, seconds: int = RETRY_SECONDS) -> Problem:
    """503: not now."""
    return Problem(503, reason, detail, headers={"Retry-After": str(seconds)})


def problem_json(problem: Problem, request_id: str, *, inference_protocol: bool) -> bytes:
    """The body of a problem.

    Args:
        problem: what went wrong.
        request_id: UUID of the request.
        inference_protocol: add `error`, where clients of the Open Inference Protocol look.
    """
    content: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": f"urn:uuid:{request_id}",
    }
    if problem.errors:
        content["errors"] = [
            {"field": error.field, "got": error.got, "expected": error.expected} for error in problem.errors
        ]
    if inference_protocol:
        content["error"] = problem.detail
    return json.dumps(content).encode()
