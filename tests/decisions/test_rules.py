"""The rules against an oracle that knows no Arrow: one Python value at a time."""

import math
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fielded.decisions.rules import QUARANTINED, Rules, Sorted, feature_schema
from fielded.definition import Feature

NOBODY = pa.array([], pa.string())
EDGE = 2**53
FLOAT_TEXT = re.compile(
    r"\s*[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|nan|inf|infinity)\s*", re.IGNORECASE | re.ASCII
)
INT_TEXT = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


# --- the oracle -----------------------------------------------------------------------------------------------


def read(kind: str, value: Any) -> Any:
    """The value as the feature's type, None where it is missing; ValueError where it cannot be read."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if kind in ("category", "bool"):
        return value if kind == "bool" else str(value)
    if isinstance(value, str):
        if not (FLOAT_TEXT if kind == "float" else INT_TEXT).fullmatch(value):
            raise ValueError(value)
        return read(kind, float(value) if kind == "float" else int(value))
    if kind == "float":
        if isinstance(value, int) and int(float(value)) != value:
            raise ValueError(value)
        return float(value)
    if not math.isfinite(value) or value != int(value) or not -(2**63) <= int(value) < 2**63:
        raise ValueError(value)
    return int(value)


def keeps(rule: Feature, value: Any) -> bool:
    try:
        value = read(rule.type, value)
    except ValueError:
        return False
    if value is None:
        return rule.nullable
    if rule.type == "float" and math.isinf(value):
        return False
    if rule.min is not None and value < rule.min:
        return False
    if rule.max is not None and value > rule.max:
        return False
    return rule.unseen == "score" or value in rule.values


def broken_fields(row: dict[str, Any], rules: dict[str, Feature], duplicates: list[str]) -> set[str]:
    subject = None if row["id"] is None else str(row["id"])
    lost = {"id"} if subject in (None, "") or subject in duplicates else set()
    return lost | {name for name, rule in rules.items() if not keeps(rule, row[name])}


# --- columns as engines give them -----------------------------------------------------------------------------

WHOLE = st.integers(-3, 15) | st.sampled_from([EDGE, EDGE + 1, EDGE + 2, -EDGE - 1, 2**63 - 1, -(2**63)])
FRACTIONS = st.floats() | st.integers(-10, 60).map(lambda number: number / 4) | st.just(2.0**63)
NUMERALS = (
    st.integers(-3, 15).map(str)
    | st.integers(-10, 60).map(lambda number: str(number / 4))
    | st.sampled_from(
        ["", " ", "x", "0x1F", "1_000", " 7 ", "+5", "1e2", "1e400", "nan", "-inf", "Infinity", "1e", "."]
    )
    | st.sampled_from([str(EDGE + 1), str(2**63), "9" * 30, "٣", "nan(1)", "NULL", "1.", ".5", "- 1", "0x1p3"])
)
DECIMALS = st.integers(-1000, 6000).map(lambda number: Decimal(number * 25) / 100)  # quarters: exact in a float
HUGE_DECIMALS = st.sampled_from([Decimal(2**63), Decimal(2**63 - 1), Decimal("1e30")])

NUMBER_COLUMNS = st.sampled_from(
    [
        (pa.int64(), WHOLE),
        (pa.int8(), st.integers(-128, 127)),
        (pa.uint64(), st.integers(0, 15) | st.sampled_from([EDGE + 1, 2**63, 2**64 - 1])),
        (pa.float64(), FRACTIONS),
        (pa.float32(), st.floats(width=32)),
        (pa.float16(), st.floats(width=16)),
        (pa.decimal128(12, 2), DECIMALS),
        (pa.decimal256(50, 2), DECIMALS),
        (pa.decimal128(38, 0), HUGE_DECIMALS),
        (pa.string(), NUMERALS),
        (pa.large_string(), NUMERALS),
        (pa.string_view(), NUMERALS),
        (pa.null(), st.none()),
    ]
)
KINDS = st.sampled_from(["hull", "radar", "", "7", " hull", "é"])
TEXT_COLUMNS = st.sampled_from(
    [
        *((found, KINDS) for found in (pa.string(), pa.large_string(), pa.string_view())),
        (pa.int32(), st.integers(5, 8)),
        (pa.null(), st.none()),
    ]
)
COLUMNS = {
    "float": NUMBER_COLUMNS,
    "int": NUMBER_COLUMNS,
    "category": TEXT_COLUMNS,
    "bool": st.sampled_from([(pa.bool_(), st.booleans()), (pa.null(), st.none())]),
}
SUBJECTS = st.sampled_from(
    [
        (pa.string(), st.sampled_from(["a", "b", "c", "", "é", " "])),
        (pa.large_string(), st.sampled_from(["a", "b", ""])),
        (pa.int64(), st.integers(0, 4)),
    ]
)
MAYBE_BOUND = st.sampled_from([(None, None), (0, None), (None, 12), (0, 12), (1, 1)])


@st.composite
def rules_of(draw: st.DrawFn) -> Feature:
    kind = draw(st.sampled_from(["float", "int", "category", "bool"]))
    options: dict[str, Any] = {"nullable": kind != "bool" and draw(st.booleans())}
    if kind in ("float", "int"):
        options["min"], options["max"] = draw(MAYBE_BOUND)
    if kind == "category" and draw(st.booleans()):
        options |= {"values": ("hull", "7", "é"), "unseen": draw(st.sampled_from(["score", "quarantine"]))}
    return Feature(type=kind, **options)


def encoded(column: pa.Array) -> pa.Array:
    """As a dictionary array, where Arrow can make one."""
    try:
        return column.dictionary_encode()
    except pa.ArrowNotImplementedError:
        return column


@st.composite
def batches(draw: st.DrawFn) -> tuple[dict[str, Feature], pa.RecordBatch]:
    """A batch whose columns may be sliced out of longer ones and dictionary-encoded."""
    rules = {f"f{place}": draw(rules_of()) for place in range(draw(st.integers(1, 3)))}
    rows, before, after = draw(st.integers(0, 9)), draw(st.integers(0, 9)), draw(st.integers(0, 3))
    columns = {}
    for name, kind in [("id", SUBJECTS), *((name, COLUMNS[rule.type]) for name, rule in rules.items())]:
        found, values = draw(kind)
        total = before + rows + after
        drawn = draw(st.lists(st.none() | values, min_size=total, max_size=total))
        column = pa.array(drawn, found)
        columns[name] = encoded(column) if draw(st.booleans()) else column
    whole = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    return rules, whole.slice(before, rows)


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (one == other)


def whole(parted: Sorted) -> None:
    """Arrow's own full validation of what came out."""
    parted.subjects.validate(full=True)
    parted.features.validate(full=True)
    parted.quarantined.validate(full=True)


@settings(
    deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(batches(), st.sampled_from([[], ["a"], ["a", "3", ""]]))
def test_rules_are_kept_as_the_oracle_says(
    made: tuple[dict[str, Feature], pa.RecordBatch], twice: list[str]
) -> None:
    rules, batch = made
    parted = Rules("id", rules, pa.array(twice, pa.string())).apply(batch)
    whole(parted)
    rows = batch.to_pylist()
    broken = [broken_fields(row, rules, twice) for row in rows]
    accepted = [row for row, fields in zip(rows, broken, strict=True) if not fields]
    refused = [(row, fields) for row, fields in zip(rows, broken, strict=True) if fields]

    assert parted.features.num_rows + parted.quarantined.num_rows == batch.num_rows
    assert parted.subjects.to_pylist() == [str(row["id"]) for row in accepted]
    assert parted.features.schema == feature_schema(rules)
    for row, found in zip(accepted, parted.features.to_pylist(), strict=True):
        for name, rule in rules.items():
            assert same(found[name], read(rule.type, row[name]))
    assert parted.quarantined.schema == QUARANTINED
    for (row, fields), found in zip(refused, parted.quarantined.to_pylist(), strict=True):
        assert found["subject"] == (None if row["id"] is None else str(row["id"]))
        assert {reason["field"] for reason in found["reasons"]} == fields
        assert all(reason["got"] is not None and reason["expected"] for reason in found["reasons"])


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(batches())
def test_a_row_s_fate_does_not_hang_on_the_rows_beside_it(made: tuple[dict[str, Feature], pa.RecordBatch]) -> None:
    rules, batch = made
    ready = Rules("id", rules, NOBODY)
    together = ready.apply(batch)
    alone = [ready.apply(batch.slice(place, 1)) for place in range(batch.num_rows)]
    assert together.features.to_pylist() == [row for one in alone for row in one.features.to_pylist()]
    assert together.quarantined.to_pylist() == [row for one in alone for row in one.quarantined.to_pylist()]


# --- single rules, pinned -------------------------------------------------------------------------------------


def apply(rule: Feature, values: pa.Array, duplicates: pa.Array = NOBODY) -> Sorted:
    subjects = [f"s{place}" for place in range(len(values))]
    return Rules("id", {"f": rule}, duplicates).apply(pa.record_batch({"id": subjects, "f": values}))


def reasons(parted: Sorted) -> list[tuple[str, str, str, str]]:
    return [
        (row["subject"], reason["field"], reason["got"], reason["expected"])
        for row in parted.quarantined.to_pylist()
        for reason in row["reasons"]
    ]


@pytest.mark.parametrize(
    ("rule", "values", "got", "expected"),
    [
        (Feature(type="float", min=0), pa.array([0.0, -0.5]), "-0.5", "at least 0"),
        (Feature(type="float", max=1), pa.array([1.0, 1.5]), "1.5", "at most 1"),
        (Feature(type="float"), pa.array([1.0, math.inf]), "inf", "a finite number"),
        (Feature(type="float"), pa.array([1.0, math.nan]), "nan", "a value"),
        (Feature(type="float"), pa.array([1.0, None]), "null", "a value"),
        (Feature(type="float"), pa.array(["1", "x"]), "x", "a value readable as float"),
        (Feature(type="float"), pa.array([EDGE, EDGE + 1]), str(EDGE + 1), "a value readable as float"),
        (Feature(type="int"), pa.array([1.0, 1.5]), "1.5", "a value readable as int"),
        (Feature(type="int", min=1, max=12), pa.array([12, 13]), "13", "at most 12"),
        (Feature(type="int"), pa.array([Decimal("1.00"), Decimal("1.25")]), "1.25", "a value readable as int"),
        (Feature(type="category"), pa.array(["", None]), "null", "a value"),
        (
            Feature(type="category", values=("a", "b"), unseen="quarantine"),
            pa.array(["a", "A"]),
            "A",
            "one of a, b",
        ),
        (Feature(type="bool"), pa.array([True, None]), "null", "a value"),
    ],
    ids=str,
)
def test_the_reason_says_what_was_got_and_what_expected(
    rule: Feature, values: pa.Array, got: str, expected: str
) -> None:
    parted = apply(rule, values)
    assert parted.subjects.to_pylist() == ["s0"]
    assert reasons(parted) == [("s1", "f", got, expected)]


def test_a_nullable_feature_keeps_null_and_nan_as_null() -> None:
    parted = apply(Feature(type="float", min=0, nullable=True), pa.array([1.0, None, math.nan]))
    assert parted.features.column("f").to_pylist() == [1.0, None, None]
    assert parted.quarantined.num_rows == 0


def test_an_unseen_category_is_scored_unless_forbidden() -> None:
    rule = Feature(type="category", values=("a",), unseen="score")
    assert apply(rule, pa.array(["a", "b"])).features.column("f").to_pylist() == ["a", "b"]


def test_every_reason_of_a_row_is_kept() -> None:
    rules = {"x": Feature(type="float", min=0), "y": Feature(type="int", max=3)}
    batch = pa.record_batch({"y": [9, 1, 9], "id": ["a", "b", None], "x": [-1.0, 1.0, -math.inf]})
    parted = Rules("id", rules, pa.array(["a"])).apply(batch)
    assert parted.subjects.to_pylist() == ["b"]
    assert reasons(parted) == [
        ("a", "id", "a", "one row a day for each subject"),
        ("a", "x", "-1", "at least 0"),
        ("a", "y", "9", "at most 3"),
        (None, "id", "null", "an identifier"),
        (None, "x", "-inf", "a finite number"),
        (None, "x", "-inf", "at least 0"),
        (None, "y", "9", "at most 3"),
    ]


def test_of_duplicates_none_is_scored() -> None:
    batch = pa.record_batch({"id": [7, 8, 7], "f": [1, 2, 3]})
    parted = Rules("id", {"f": Feature(type="int")}, pa.array(["7"])).apply(batch)
    assert parted.subjects.to_pylist() == ["8"]
    assert parted.features.column("f").to_pylist() == [2]
    assert parted.quarantined.column("subject").to_pylist() == ["7", "7"]


def test_a_long_value_is_cut_in_the_reason() -> None:
    parted = apply(Feature(type="int"), pa.array(["é" * 5000]))
    assert reasons(parted) == [("s0", "f", "é" * 100, "a value readable as int")]


def test_features_come_in_the_definition_s_order() -> None:
    rules = {"b": Feature(type="int"), "a": Feature(type="bool"), "c": Feature(type="category")}
    parted = Rules("id", rules, NOBODY).apply(pa.record_batch({"a": [True], "c": ["x"], "id": ["s"], "b": [1]}))
    assert parted.features.to_pylist() == [{"b": 1, "a": True, "c": "x"}]
    assert parted.features.schema.names == ["b", "a", "c"]
    assert feature_schema(rules).types == [pa.int64(), pa.bool_(), pa.string()]


@pytest.mark.parametrize("found", [pa.int64(), pa.string(), pa.dictionary(pa.int8(), pa.string()), pa.null()])
def test_an_empty_batch(found: pa.DataType) -> None:
    parted = apply(Feature(type="float", min=0), pa.array([], found))
    whole(parted)
    assert (parted.features.num_rows, parted.quarantined.num_rows) == (0, 0)


def test_the_same_rules_serve_any_number_of_batches() -> None:
    ready = Rules("id", {"f": Feature(type="int", min=0)}, NOBODY)
    for sign in (1, -1, 1):
        parted = ready.apply(pa.record_batch({"id": ["a"], "f": [sign]}))
        assert parted.features.num_rows == (sign > 0)


@given(st.integers(-EDGE + 1, EDGE - 1))
@example(EDGE - 1)
def test_bounds_of_an_int_are_exact(bound: int) -> None:
    parted = apply(Feature(type="int", min=bound, max=bound), pa.array([bound - 1, bound, bound + 1]))
    assert parted.features.column("f").to_pylist() == [bound]
