"""The request's form, made from the definition's features.

A row passes here if and only if `decisions.rules` would accept it in a batch whose columns have the features' own
types; a test holds both together. What a batch may still read as a number (a text) is refused here: JSON has
numbers. Two texts are refused that a batch might hold, because not every store can keep them: one with a NUL,
and half a surrogate pair (which is no JSON text, RFC 8259 section 8.2).

One pass of pydantic over the bytes gives the values in the definition's order. Where it meets a bad row it stops,
and the rows are read again one by one, until there are errors enough: a body made to have very many of them would
hold everybody up otherwise.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from types import GenericAlias
from typing import Annotated, Any, Literal, Never, Union

from pydantic import ConfigDict, FailFast, Field, PlainValidator, TypeAdapter, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, from_json
from typing_extensions import TypedDict

from fielded.decisions.rules import CATEGORY_LENGTH
from fielded.definition.deployment import Feature
from fielded.doors.serving.problems import MOST_BUILT, MOST_ERRORS, FieldError, Problem, unprocessable
from fielded.services.score_live import LiveRow, Value

SUBJECT_LENGTH = 256
_EXACT = 2**53  # below it every whole number is a float of its own
_INT64 = (-(2**63), 2**63 - 1)
_NAME_LENGTH = 64  # of an unknown field, in the answer

SUBJECT_SCHEMA: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": SUBJECT_LENGTH,
    "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$",
}
Subject = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=SUBJECT_LENGTH, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$"),
    WithJsonSchema(SUBJECT_SCHEMA),
]
_SUBJECT_EXPECTED = f"text of 1 to {SUBJECT_LENGTH} characters without control characters"


class RequestModel:
    """Reads requests.

    Args:
        features: the definition's features, in order.
        max_batch_rows: rows of one request, at most.
    """

    def __init__(self, features: Mapping[str, Feature], max_batch_rows: int) -> None:
        types = {name: _type_of(rule) for name, rule in features.items()}
        row = _form("Row", {"subject": Subject, "features": _form("Features", types)})
        rows: Any = Annotated[_list_of(row), Field(min_length=1, max_length=max_batch_rows), FailFast()]
        self.max_batch_rows = max_batch_rows
        self._features = dict(features)
        self._rows_expected = f"a list of 1 to {max_batch_rows} rows"
        self._one: TypeAdapter[Any] = TypeAdapter(row)
        self._many: TypeAdapter[Any] = TypeAdapter(_form("Batch", {"rows": rows}))
        self._columns: dict[str, TypeAdapter[Any]] = {
            name: TypeAdapter(_list_of(kind)) for name, kind in {"subject": Subject, **types}.items()
        }
        self._expected = {name: expectation(rule) for name, rule in features.items()}

    def one(self, body: bytes) -> LiveRow:
        """The row of a `/score` body.

        Raises:
            Problem: 422, with every field that is wrong.
        """
        if self._is_usual(body, 1):
            try:
                return _live(self._one.validate_json(body))
            except ValidationError as error:
                if error.error_count() <= MOST_BUILT:
                    raise self._problem(error) from None
        (row,) = self._each([_json(body)], "")
        return row

    def many(self, body: bytes) -> list[LiveRow]:
        """The rows of a `/score/batch` body.

        Raises:
            Problem: 422, with every field that is wrong.
        """
        if self._is_usual(body, self.max_batch_rows):
            try:
                return [_live(row) for row in self._many.validate_json(body)["rows"]]
            except ValidationError as error:
                if error.error_count() <= MOST_BUILT and all(len(item["loc"]) <= 1 for item in _described(error)):
                    raise self._problem(error) from None
        content = _json(body)
        rows = content.get("rows") if isinstance(content, dict) else None
        if not isinstance(rows, list) or not 1 <= len(rows) <= self.max_batch_rows:
            raise unprocessable([FieldError("rows", "something else", self._rows_expected)])
        unknown = _unknown(content, ("rows",), "")
        if unknown:
            raise unprocessable(unknown, all_found=len(unknown) < MOST_ERRORS)
        return self._each(rows, "rows")

    def column(self, name: str, values: Sequence[Any], path: str) -> tuple[list[Value], list[FieldError]]:
        """The values of one feature, or of `subject`, for many rows.

        Args:
            name: which.
            values: as they came out of JSON.
            path: how to name the list in an error.
        """
        column = self._columns[name]
        try:
            return column.validate_python(values), []
        except ValidationError:
            expected = _SUBJECT_EXPECTED if name == "subject" else self._expected[name]
        found: dict[int, FieldError] = {}
        for start in range(0, len(values), MOST_ERRORS):  # so many at a time, until there are enough
            try:
                column.validate_python(values[start : start + MOST_ERRORS])
            except ValidationError as error:
                for item in error.errors(include_url=False, include_context=False):
                    place = start + int(item["loc"][0])
                    found[place] = FieldError(f"{path}[{place}]", json_type(item["input"]), expected)
            if len(found) >= MOST_ERRORS:
                break
        return [], list(found.values())

    def schema(self, form: Literal["one", "many"]) -> dict[str, Any]:
        """JSON Schema of a body, without references."""
        features = {name: feature_schema(rule) for name, rule in self._features.items()}
        row = _object({"subject": SUBJECT_SCHEMA, "features": _object(features)})
        if form == "one":
            return row
        rows = {"type": "array", "items": row, "minItems": 1, "maxItems": self.max_batch_rows}
        return _object({"rows": rows})

    def _is_usual(self, body: bytes, rows: int) -> bool:
        """Whether a body has no more members than one of so many rows may have, or a few more."""
        return body.count(b":") <= rows * (len(self._features) + 2) + MOST_BUILT

    def _each(self, rows: Sequence[Any], path: str) -> list[LiveRow]:
        """Rows as they came out of JSON, one by one until there are errors enough.

        Args:
            rows: dictionaries, or whatever else stood there.
            path: how to name the list in an error; empty where there is none.
        """
        taken: list[LiveRow] = []
        found: dict[str, FieldError] = {}
        for place, row in enumerate(rows):
            at = f"{path}[{place}]" if path else ""
            features = row.get("features") if isinstance(row, dict) else None
            errors = _unknown(row, ("subject", "features"), at)
            errors += _unknown(features, self._features, _joined(at, "features"))
            if not errors:
                try:
                    taken.append(_live(self._one.validate_python(row)))
                except ValidationError as error:
                    errors = [self._told(item, at) for item in _described(error)]
            for told in errors:
                found.setdefault(told.field, told)
            if len(found) >= MOST_ERRORS:
                raise unprocessable(list(found.values()), all_found=False)
        if found:
            raise unprocessable(list(found.values()))
        return taken

    def _problem(self, error: ValidationError) -> Problem:
        found: dict[str, FieldError] = {}
        for item in _described(error):
            told = self._told(item)
            found.setdefault(told.field, told)  # a number has several ways to be wrong; one is enough
        return unprocessable(list(found.values()))

    def _told(self, item: ErrorDetails, path: str = "") -> FieldError:
        kind, loc = item["type"], list(item["loc"])
        if loc[:1] == ["rows"] and len(loc) > 1:
            path, loc = f"rows[{loc[1]}]", loc[2:]
        if kind == "extra_forbidden":
            return FieldError(_joined(path, *map(shown, loc)), "an unknown field", "no field of that name")
        got = "nothing" if kind == "missing" else json_type(item["input"])
        if kind == "json_invalid":
            return FieldError("body", "no JSON", "a JSON object in UTF-8")
        if not loc:
            return FieldError(path or "body", got, "an object")
        if loc[0] == "features" and len(loc) > 1:
            return FieldError(_joined(path, "features", str(loc[1])), got, self._expected[str(loc[1])])
        if loc[0] == "rows":
            if isinstance(item["input"], list):
                got = f"{'more' if item['input'] else 'fewer'} rows than that"
            return FieldError("rows", got, self._rows_expected)
        expected = "an object with every feature" if loc[0] == "features" else _SUBJECT_EXPECTED
        return FieldError(_joined(path, str(loc[0])), got, expected)


def expectation(rule: Feature) -> str:
    """What a feature's value must be, for people."""
    texts = {
        "float": "a number",
        "int": "a whole number of 64 bits",
        "category": f"text of at most {CATEGORY_LENGTH} characters",
        "bool": "true or false",
    }
    text = f"one of {', '.join(rule.values)}" if rule.unseen == "quarantine" else texts[rule.type]
    if rule.min is not None:
        text += f", at least {rule.min:g}"
    if rule.max is not None:
        text += f", at most {rule.max:g}"
    return f"{text}, or null" if rule.nullable else text


def json_type(value: object) -> str:
    """What JSON calls a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def feature_schema(rule: Feature) -> dict[str, Any]:
    """JSON Schema of one feature's values."""
    schema: dict[str, Any]
    if rule.type == "float":
        schema = {"type": "number", **_bounds(rule, float), "description": rule.unit}
    elif rule.type == "int":
        bounds = _bounds(rule, int)
        schema = {
            "type": "integer",
            "minimum": _INT64[0],
            "maximum": _INT64[1],
            **bounds,
            "description": rule.unit,
        }
    elif rule.type == "bool":
        schema = {"type": "boolean"}
    elif rule.unseen == "quarantine":
        schema = {"type": "string", "enum": list(rule.values)}
    else:
        schema = {
            "type": "string",
            "maxLength": CATEGORY_LENGTH,
            "pattern": r"^[^\u0000]*$",
            "examples": list(rule.values) or None,
        }
    schema = {key: value for key, value in schema.items() if value is not None}
    if not rule.nullable:
        return schema
    if "enum" in schema:
        return {"type": ["string", "null"], "enum": [*rule.values, None]}
    return {**schema, "type": [schema["type"], "null"]}


def _live(row: Mapping[str, Any]) -> LiveRow:
    return LiveRow(row["subject"], tuple(row["features"].values()))


def _json(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:
        raise unprocessable([FieldError("body", "no JSON", "a JSON object in UTF-8")]) from None


def _described(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_context=False)


def _unknown(found: object, known: Collection[str], path: str) -> list[FieldError]:
    """The first fields of an object that nobody knows."""
    if not isinstance(found, dict):
        return []
    names = (str(name) for name in found if name not in known)
    return [
        FieldError(_joined(path, shown(name)), "an unknown field", "no field of that name")
        for name in islice(names, MOST_ERRORS)
    ]


def _list_of(kind: Any) -> Any:
    return GenericAlias(list, (kind,))


def _form(name: str, fields: Mapping[str, Any]) -> Any:
    """The type of an object with exactly these fields. A dictionary with types: no object is made of each row."""
    make: Any = TypedDict
    form = make(name, fields)
    form.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    return form


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _bounds(rule: Feature, number: Callable[[float], float]) -> dict[str, float]:
    bounds = {"minimum": rule.min, "maximum": rule.max}
    return {name: number(bound) for name, bound in bounds.items() if bound is not None}


def _type_of(rule: Feature) -> Any:
    """The pydantic type of a feature's values."""
    kind: Any
    if rule.type == "float":
        kind = _float(rule)
    elif rule.type == "int":
        kind = _int(rule)
    elif rule.type == "bool":
        kind = Annotated[bool, Field(strict=True)]
    elif rule.unseen == "quarantine":
        kind = _text(one_of=rule.values)
    else:
        kind = _text()
    return Union[kind, None] if rule.nullable else kind  # noqa: UP007 - made at run time


def _text(one_of: Sequence[str] | None = None) -> Any:
    if one_of is None:
        return Annotated[str, Field(strict=True, max_length=CATEGORY_LENGTH, pattern=r"^[^\x00]*$")]
    values = tuple(value for value in one_of if len(value) <= CATEGORY_LENGTH)
    return Literal[values] if values else Never


def _float(rule: Feature) -> Any:
    """A finite number. The first way is pydantic's own and fast; below 2**53 it is also exact. The second looks at
    what was written, because a larger whole number may have no float of its own.
    """

    def exact(value: object) -> float:
        if type(value) not in (int, float):
            raise ValueError("not a number")
        try:
            number = float(value)  # type: ignore[arg-type] # seen above
        except OverflowError:
            raise ValueError("too large") from None
        if not math.isfinite(number) or number != value:
            raise ValueError("not exact")
        return _within(number, rule)

    fast = Annotated[
        float, Field(strict=True, allow_inf_nan=False, gt=-_EXACT, lt=_EXACT, ge=rule.min, le=rule.max)
    ]
    return Annotated[Union[fast, Annotated[float, PlainValidator(exact)]], Field(union_mode="left_to_right")]  # noqa: UP007


def _int(rule: Feature) -> Any:
    """A whole number of 64 bits; `3.0` is one."""
    low = max(_INT64[0], int(rule.min)) if rule.min is not None else _INT64[0]
    high = min(_INT64[1], int(rule.max)) if rule.max is not None else _INT64[1]

    def whole(value: object) -> int:
        if type(value) is not float or not value.is_integer() or not low <= int(value) <= high:
            raise ValueError("not whole, or out of bounds")
        return int(value)

    fast = Annotated[int, Field(strict=True, ge=low, le=high)]
    return Annotated[Union[fast, Annotated[int, PlainValidator(whole)]], Field(union_mode="left_to_right")]  # noqa: UP007


def _within(number: float, rule: Feature) -> float:
    if (rule.min is not None and number < rule.min) or (rule.max is not None and number > rule.max):
        raise ValueError("out of bounds")
    return number


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def shown(name: str | int) -> str:
    """An unknown name, as far as it can be repeated safely."""
    return "".join(letter for letter in str(name)[:_NAME_LENGTH] if letter.isprintable())
