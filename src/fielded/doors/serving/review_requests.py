"""What reviewers send: the fields of each act, by the definition, and what a query may ask.

Each act takes a JSON object, one that says nothing an empty one: a page of somebody else's cannot have a browser
send JSON in the name of whoever is logged in there by certificate.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import from_json

from fielded.definition.review import Review
from fielded.doors.serving.calls import Call
from fielded.doors.serving.problems import MOST_ERRORS, FieldError, Problem
from fielded.doors.serving.request_model import json_type, shown

MOST_CASES = 1000  # of one answer
FEW_CASES = 50  # where a query does not say how many
MOST_DAYS = 3660
ACTS = ("claim", "release", "judge", "decide", "second", "reassign", "escalate", "appeal")

_MOST_TEXT, _MOST_NAME = 4000, 256
_FORBIDDEN = r"\u0000-\u0008\u000b-\u001f\u007f-\u009f"  # what steers a terminal; tabs and line ends do no harm
_WORDS = rf"^[^{_FORBIDDEN}]*[^\s{_FORBIDDEN}][^{_FORBIDDEN}]*$"
_TRUTH = {"true": True, "false": False}
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a body.

    Attributes:
        schema: JSON Schema.
        expected: what it must be, for people.
        accepts: whether a value is that.
    """

    schema: Json
    expected: str
    accepts: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query.

    Attributes:
        schema: JSON Schema.
        says: what it asks for.
        expected: what it must be, for people.
        read: its value; None where it is none.
    """

    schema: Json
    says: str
    expected: str
    read: Callable[[str], Any]


class ReviewRequests:
    """Reads what reviewers send.

    Args:
        review: the definition's section.

    Attributes:
        bodies: act -> its fields.
        of_list: parameters of the queue.
        of_stats: parameters of the statistics.
    """

    def __init__(self, review: Review) -> None:
        flag = Field({"type": "boolean"}, "true or false", lambda value: isinstance(value, bool))
        text, reason = _text(_MOST_TEXT), _one_of(tuple(review.reasons))
        decision = {"outcome": _one_of(("keep", "override")), "reason": reason, "text": text}
        self.bodies: Mapping[str, Mapping[str, Field]] = {
            "claim": {},
            "release": {},
            "judge": {"flag": flag},
            "decide": decision,
            "second": {"flag": flag},
            "reassign": {"to": _text(_MOST_NAME), "reason": text},
            "escalate": {"reason": text},
            "appeal": {"reason": text},
        }
        truth = {"type": "boolean", "default": False}
        free = Parameter(truth, "Only cases that the caller may take now.", "true or false", _TRUTH.get)
        self.of_list = {"limit": _count("Cases, at most.", FEW_CASES, MOST_CASES), "free": free}
        self.of_stats = {"days": _count("Days up to now that are counted.", 90, MOST_DAYS)}

    def body(self, act: str, octets: bytes) -> Json:
        """The fields of an act.

        Raises:
            Problem: 422, field by field.
        """
        fields = self.bodies[act]
        try:
            sent = from_json(octets)
        except ValueError:
            raise _invalid([FieldError("body", "no JSON", "a JSON object in UTF-8")]) from None
        if not isinstance(sent, dict):
            raise _invalid([FieldError("body", json_type(sent), "an object")])
        errors = [
            FieldError(shown(name), "an unknown field", "no field of that name")
            for name in sent
            if name not in fields
        ]
        for name, field in fields.items():
            if name not in sent:
                errors.append(FieldError(name, "nothing", field.expected))
            elif not field.accepts(sent[name]):
                errors.append(FieldError(name, json_type(sent[name]), field.expected))
        if errors:
            raise _invalid(errors)
        return sent

    def query(self, call: Call, parameters: Mapping[str, Parameter]) -> Json:
        """The values of a query, with the usual ones for those that it leaves out.

        Raises:
            Problem: 422, parameter by parameter.
        """
        found = {name: one.schema["default"] for name, one in parameters.items()}
        errors: list[FieldError] = []
        seen: set[str] = set()
        for name, text in parse_qsl(call.scope["query_string"].decode("latin-1"), keep_blank_values=True):
            known = parameters.get(name)
            if known is None:
                told = " or ".join(f"`{one}`" for one in parameters) or "none"
                errors.append(FieldError(shown(name), "an unknown parameter", told))
                continue
            value = known.read(text)
            if value is None or name in seen:
                errors.append(FieldError(name, "text", f"{known.expected}, once"))
            seen.add(name)
            found[name] = value
        if errors:
            raise _invalid(errors)
        return found


def case_id(call: Call) -> str:
    """The case that a path names.

    Raises:
        Problem: 404, it cannot be one.
    """
    found = call.parameters["id"]
    if _ID.fullmatch(found) is None:
        raise no_case()
    return found


def no_case() -> Problem:
    """404: not a case of this ledger."""
    return Problem(404, "case", "There is no such case here. A live score is one once it was drained.")


def nobody_here(field: str) -> Problem:
    """422: a person who may not review."""
    return _invalid(
        [FieldError(field, "somebody without it", "an identity that has the role `review` at this site")]
    )


def _invalid(errors: list[FieldError]) -> Problem:
    return Problem(422, "invalid", "The request is not as it must be. Nothing was done.", errors[:MOST_ERRORS])


def _one_of(values: tuple[str, ...]) -> Field:
    return Field(
        {"type": "string", "enum": list(values)}, f"one of {', '.join(values)}", lambda value: value in values
    )


def _text(most: int) -> Field:
    words = re.compile(_WORDS)
    return Field(
        {"type": "string", "minLength": 1, "maxLength": most, "pattern": _WORDS},
        f"words of at most {most} characters, none of which steers a terminal",
        lambda value: isinstance(value, str) and len(value) <= most and words.fullmatch(value) is not None,
    )


def _count(says: str, usual: int, most: int) -> Parameter:
    def read(text: str) -> int | None:
        plain = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        return int(text) if plain and 1 <= int(text) <= most else None

    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": usual}
    return Parameter(schema, says, f"a whole number from 1 to {most}", read)
