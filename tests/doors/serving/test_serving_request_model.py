import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fielded.decisions.rules import ARROW_TYPES, Rules, feature_schema
from fielded.definition.deployment import Feature
from fielded.doors.serving.problems import Problem
from fielded.doors.serving.request_model import RequestModel
from fielded.services.score_live import LiveRow

EDGES = [
    0, 1, -1, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1, -(2**63),
]  # fmt: skip
INTS = st.integers(-(2**63), 2**64 - 1) | st.integers(-100, 100) | st.sampled_from(EDGES)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | INTS.map(float)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
BOUNDS = st.none() | st.floats(-(2**53), 2**53) | st.sampled_from([0.0, 0.1, -5.5, 2.0**60, -(2.0**60)])


@st.composite
def rules(draw: st.DrawFn) -> Feature:
    kind = draw(st.sampled_from(["float", "int", "category", "bool"]))
    nullable = kind != "bool" and draw(st.booleans())
    if kind in ("float", "int"):
        low, high = draw(BOUNDS), draw(BOUNDS)
        if kind == "int":
            low, high = (None if b is None or abs(b) >= 2**53 else float(int(b)) for b in (low, high))
        if low is not None and high is not None and low > high:
            low, high = high, low
        return Feature(type=kind, nullable=nullable, min=low, max=high)
    if kind == "category":
        values = tuple(draw(st.lists(TEXTS, unique=True, max_size=4)))
        unseen = draw(st.sampled_from(["score", "quarantine"])) if values else "score"
        return Feature(type=kind, nullable=nullable, values=values, unseen=unseen)
    return Feature(type=kind)


def near(rule: Feature) -> st.SearchStrategy[Any]:
    """Values of the rule's own JSON type, many of them at its edges; and null."""
    if rule.type == "bool":
        return st.none() | st.booleans()
    if rule.type == "category":
        return st.none() | TEXTS | st.sampled_from([*rule.values, ""])
    at = [bound for bound in (rule.min, rule.max) if bound is not None]
    beside = [
        side for bound in at for side in (bound, math.nextafter(bound, math.inf), math.nextafter(bound, -math.inf))
    ]
    whole = [int(number) + step for number in at for step in (-1, 0, 1)]
    return st.none() | INTS | FLOATS | st.sampled_from([*beside, *whole, 0, -0.0])


def accepted_by_batch(rule: Feature, value: Any) -> Any:
    """What `decisions.rules` makes of a value in a column of the type JSON gives it; `...` where it refuses."""
    # Whole numbers above the signed ones have a column type of their own; beyond 64 bits there is none.
    unsigned = isinstance(value, int) and value >= 2**63
    kind = ARROW_TYPES[rule.type] if value is None else pa.uint64() if unsigned else None
    column = pa.array([value], kind)
    batch = pa.RecordBatch.from_arrays([pa.array(["WO-1"]), column], names=["subject", "x"])
    parted = Rules("subject", {"x": rule}, pa.array([], pa.string())).apply(batch)
    return parted.features.column("x")[0].as_py() if parted.features.num_rows else ...


def accepted_by_door(rule: Feature, value: Any) -> Any:
    body = json.dumps({"subject": "WO-1", "features": {"x": value}}).encode()
    try:
        (taken,) = RequestModel({"x": rule}, 1).one(body).features
    except Problem:
        return ...
    return taken


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_a_row_is_accepted_by_the_door_if_and_only_if_by_the_batch(data: st.DataObject) -> None:
    rule = data.draw(rules())
    value = data.draw(near(rule))
    door, batch = accepted_by_door(rule, value), accepted_by_batch(rule, value)
    assert (door is ...) == (batch is ...), (rule, value)
    if door is not ...:
        assert repr(door) == repr(batch)  # the same value of the same type, -0.0 too


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_the_door_takes_fits_the_columns_it_is_scored_in(data: st.DataObject) -> None:
    features = {f"f{place}": data.draw(rules()) for place in range(3)}
    row = {"subject": "WO-1", "features": {name: data.draw(near(rule)) for name, rule in features.items()}}
    model = RequestModel(features, 5)
    try:
        taken = model.many(json.dumps({"rows": [row]}).encode())
    except Problem:
        return
    columns = [
        pa.array([value], field.type)
        for value, field in zip(taken[0].features, feature_schema(features), strict=True)
    ]
    assert [column[0].as_py() for column in columns] == list(taken[0].features)


FEATURES = {
    "hours": Feature(type="float", min=0),
    "age": Feature(type="float", nullable=True),
    "earlier": Feature(type="int", min=0, max=20),
    "kind": Feature(type="category", values=("hull", "radar"), unseen="quarantine"),
    "note": Feature(type="category"),
    "urgent": Feature(type="bool"),
}
GOOD = {"hours": 1.5, "age": None, "earlier": 3, "kind": "hull", "note": "any", "urgent": False}
MODEL = RequestModel(FEATURES, 3)


def told(body: bytes, *, many: bool = False) -> dict[str, tuple[str, str]]:
    with pytest.raises(Problem) as caught:
        (MODEL.many if many else MODEL.one)(body)
    assert caught.value.status == 422
    return {error.field: (error.got, error.expected) for error in caught.value.errors}


def body(subject: Any = "WO-1", **changes: Any) -> bytes:
    features = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    return json.dumps({"subject": subject, "features": features}).encode()


def test_values_come_in_the_definitions_order_whatever_order_they_are_sent_in() -> None:
    sent = {"features": dict(reversed(GOOD.items())), "subject": "WO-1"}
    assert MODEL.one(json.dumps(sent).encode()) == LiveRow("WO-1", tuple(GOOD.values()))


@pytest.mark.parametrize(
    ("name", "value", "got"),
    [
        ("hours", "1.5", "text"),
        ("hours", True, "true or false"),
        ("hours", None, "null"),
        ("hours", -0.1, "a number"),
        ("hours", [1], "a list"),
        ("hours", {}, "an object"),
        ("hours", 2**53 + 1, "a number"),
        ("earlier", 3.5, "a number"),
        ("earlier", "3", "text"),
        ("earlier", True, "true or false"),
        ("earlier", 21, "a number"),
        ("kind", "boat", "text"),
        ("kind", 1, "a number"),
        ("note", 1, "a number"),
        ("note", "a\x00b", "text"),
        ("urgent", 1, "a number"),
        ("urgent", "true", "text"),
        ("urgent", None, "null"),
        ("age", ..., "nothing"),
        ("hours", ..., "nothing"),
    ],
)
def test_each_wrong_field_is_told_with_its_kind_and_never_its_value(name: str, value: Any, got: str) -> None:
    errors = told(body(**{name: value}))
    assert list(errors) == [f"features.{name}"]
    assert errors[f"features.{name}"][0] == got


def test_whole_numbers_may_be_written_with_a_point() -> None:
    assert MODEL.one(body(earlier=3.0)).features[2] == 3
    assert isinstance(MODEL.one(body(earlier=3.0)).features[2], int)
    assert isinstance(MODEL.one(body(hours=3)).features[0], float)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30, 10**400])
def test_whole_numbers_beyond_64_bits_are_no_int_and_a_float_only_where_they_have_one(number: int) -> None:
    assert list(told(body(earlier=number))) == ["features.earlier"]
    exact = number < 10**308 and int(float(number)) == number
    if exact:
        assert MODEL.one(body(age=number)).features[1] == number
    else:
        assert list(told(body(age=number))) == ["features.age"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_only_finite_numbers_are_numbers(number: str) -> None:
    text = body(hours="@").replace(b'"@"', number.encode())
    assert "features.hours" in told(text) or "body" in told(text)


@pytest.mark.parametrize("subject", ["", "x" * 257, "a\nb", "a\x00", "\x7f", "\x85", 7, None, ["WO-1"]])
def test_a_subject_is_text_of_1_to_256_characters_without_control_characters(subject: Any) -> None:
    assert list(told(body(subject))) == ["subject"]


@example("\U0001f6a2 \u2028")
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=256))
def test_any_other_text_is_a_subject(subject: str) -> None:
    assert MODEL.one(body(subject)).subject == subject


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"{", b"null", b"[]", b'"text"', b"7", b"\xff\xfe", b'{"subject": "\\ud800", "features": {}}',
        b'{"subject": "\xed\xa0\x80"}', b"[" * 5000, b'\xef\xbb\xbf{"subject": "a"}', b"1" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_told_as_the_body(sent: bytes) -> None:
    assert list(told(sent)) == ["body"]


def test_unknown_fields_are_refused_and_their_names_are_cut() -> None:
    errors = told(body(**{"requested_by": "me", "x" * 100: 1, "a\nb\u202e": 1}))
    assert set(errors) == {"features.requested_by", f"features.{'x' * 64}", "features.ab"}
    assert all(got == "an unknown field" for got, _ in errors.values())
    assert list(told(json.dumps({**json.loads(body()), "requested_by": "me"}).encode())) == ["requested_by"]


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([], "rows"),
        ([json.loads(body())] * 4, "rows"),
        ({}, "rows"),
        (None, "rows"),
        ([json.loads(body()), 7], "rows[1]"),
        ([json.loads(body()), json.loads(body(hours="x"))], "rows[1].features.hours"),
        ([json.loads(body(subject=""))], "rows[0].subject"),
        ([{"subject": "a"}], "rows[0].features"),
        ([{"subject": "a", "features": 1}], "rows[0].features"),
        ([{**json.loads(body()), "x": 1}], "rows[0].x"),
    ],
)
def test_a_batchs_errors_name_the_row(rows: Any, field: str) -> None:
    assert list(told(json.dumps({"rows": rows}).encode(), many=True)) == [field]


def test_a_batch_without_rows_says_what_is_missing() -> None:
    assert told(b"{}", many=True)["rows"][0] == "nothing"
