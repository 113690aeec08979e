"""What may be read as what, and that nothing is lost silently on the way."""

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.conversion import convert, readable_as, unpacked

FLOAT, INT, TEXT, BOOL = pa.float64(), pa.int64(), pa.string(), pa.bool_()
NUMBERS = [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), FLOAT, pa.decimal128(9, 2), pa.decimal256(50, 2)]
TEXTS = [TEXT, pa.large_string(), pa.string_view()]
NEITHER = [pa.date32(), pa.timestamp("us"), pa.binary(), pa.list_(INT), pa.struct([("a", INT)]), pa.duration("s")]
READABLE = {
    FLOAT: {*NUMBERS, *TEXTS, pa.null()},
    INT: {*NUMBERS, *TEXTS, pa.null()},
    TEXT: {pa.int8(), pa.uint64(), *TEXTS, pa.null()},
    BOOL: {BOOL, pa.null()},
}


@pytest.mark.parametrize("wanted", READABLE, ids=str)
@pytest.mark.parametrize("found", [*NUMBERS, *TEXTS, *NEITHER, BOOL, pa.null()], ids=str)
def test_what_may_be_read_as_what(found: pa.DataType, wanted: pa.DataType) -> None:
    assert readable_as(found, wanted) is (found in READABLE[wanted])
    assert readable_as(pa.dictionary(pa.int32(), found), wanted) is (found in READABLE[wanted])


def read(column: pa.Array, wanted: pa.DataType) -> list[object]:
    """The values, with "?" for what could not be read."""
    converted = convert(column, wanted)
    converted.values.validate(full=True)
    assert converted.values.type == wanted
    unread = converted.unreadable.to_pylist() if converted.unreadable is not None else [False] * len(column)
    values = converted.values.to_pylist()
    assert all(value is None for value, lost in zip(values, unread, strict=True) if lost)
    return ["?" if lost else value for value, lost in zip(values, unread, strict=True)]


@pytest.mark.parametrize(
    ("column", "wanted", "values"),
    [
        (pa.array([1, None, 2**53]), FLOAT, [1.0, None, 2.0**53]),
        (pa.array([2**53 + 1, 2**53 + 2]), FLOAT, ["?", 2.0**53 + 2]),
        (pa.array([2**64 - 1, 2**63], pa.uint64()), FLOAT, ["?", 2.0**63]),
        (pa.array([2**64 - 1, 5], pa.uint64()), INT, ["?", 5]),
        (pa.array([1.0, 1.5, math.nan, math.inf, 2.0**63, -(2.0**63)]), INT, [1, "?", None, "?", "?", -(2**63)]),
        (pa.array([1.5, math.nan, None]), FLOAT, [1.5, None, None]),
        (pa.array(np.array([1.5, math.nan], np.float16)), FLOAT, [1.5, None]),
        (pa.array([Decimal("1.00"), Decimal("1.50"), None]), INT, [1, "?", None]),
        (pa.array([Decimal("1.50"), None]), FLOAT, [1.5, None]),
        (pa.array([Decimal(2**63)], pa.decimal256(40, 0)), INT, ["?"]),
        (pa.array(["1", " 2 ", "+3", "-4", "5.0", "", "x", None]), INT, [1, 2, 3, -4, "?", "?", "?", None]),
        (pa.array(["1", "5.5", "1e3", ".5", "nan", "", "x"]), FLOAT, [1.0, 5.5, 1000.0, 0.5, None, "?", "?"]),
        (pa.array(["0x1F", "7"]), INT, ["?", 7]),
        (pa.array(["1_000", "٣"]), INT, ["?", "?"]),
        (pa.array(["1_000", "0x1p3", "nan(1)"]), FLOAT, ["?", "?", "?"]),
        (pa.array([str(2**63), str(2**63 - 1)]), INT, ["?", 2**63 - 1]),
        (pa.array(["a", None, ""]), TEXT, ["a", None, ""]),
        (pa.array([7, None, -1], pa.int16()), TEXT, ["7", None, "-1"]),
        (pa.nulls(2), BOOL, [None, None]),
        (pa.array([True, None]), BOOL, [True, None]),
    ],
)
def test_values_read(column: pa.Array, wanted: pa.DataType, values: list[object]) -> None:
    assert read(column, wanted) == values
    padded = pa.concat_arrays([column.slice(0, 1), column, column.slice(0, 1)])
    assert read(padded.slice(1, len(column)), wanted) == values
    if column.type != pa.float16():  # Arrow cannot encode these
        assert read(column.dictionary_encode(), wanted) == values
    assert [read(column.slice(place, 1), wanted)[0] for place in range(len(column))] == values


def test_unreadable_is_told_from_missing() -> None:
    converted = convert(pa.array(["x", None]), INT)
    assert converted.unreadable is not None
    assert converted.unreadable.to_pylist() == [True, False]
    assert converted.values.null_count == 2
    assert convert(pa.array(["1", None]), INT).unreadable is None


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_ints_become_floats_exactly_or_not_at_all(values: list[int | None]) -> None:
    for value, found in zip(values, read(pa.array(values, INT), FLOAT), strict=True):
        if value is None or int(float(value)) != value:
            assert found == (None if value is None else "?")
        else:
            assert int(found) == value  # type: ignore[call-overload]


@settings(deadline=None)
@given(st.lists(st.floats()))
def test_floats_become_ints_exactly_or_not_at_all(values: list[float]) -> None:
    for value, found in zip(values, read(pa.array(values, FLOAT), INT), strict=True):
        if math.isnan(value):
            assert found is None
        elif math.isfinite(value) and value.is_integer() and -(2.0**63) <= value < 2.0**63:
            assert found == int(value)
        else:
            assert found == "?"


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False)))
def test_texts_of_floats_come_back_to_the_last_bit(values: list[float]) -> None:
    assert [*map(repr, read(pa.array([repr(value) for value in values], TEXT), FLOAT))] == [*map(repr, values)]


@pytest.mark.parametrize(
    "column",
    [pa.array(["a", None]).dictionary_encode(), pa.array(["a", None], pa.string_view()), pa.array(["a", None])],
    ids=lambda column: str(column.type),
)
def test_unpacking_keeps_the_values(column: pa.Array) -> None:
    assert unpacked(column).type == pa.string()
    assert unpacked(column).to_pylist() == ["a", None]
