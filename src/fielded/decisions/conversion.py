"""A column as it comes to a column as the definition names it, without losing anything silently.

The whole column is converted at once where that works; only a column in which some value does not fit is
gone through value by value, to name the rows.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)

# What may be read as what. Anything else is refused before a row is read: a date is no number.
_READABLE: dict[pa.DataType, tuple[Callable[[pa.DataType], bool], ...]] = {
    pa.float64(): (*_NUMBERS, *_TEXTS, pa.types.is_null),
    pa.int64(): (*_NUMBERS, *_TEXTS, pa.types.is_null),
    pa.string(): (*_TEXTS, pa.types.is_integer, pa.types.is_null),
    pa.bool_(): (pa.types.is_boolean, pa.types.is_null),
}

# Texts that are numbers: what Arrow and Python read alike. Without it a text such as `0x1F` or `1_000` would be
# read or refused depending on the rows beside it.
_NUMERALS = {
    pa.float64(): (r"^[ \t\r\n]*[+-]?(?i:([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|nan|inf(inity)?)[ \t\r\n]*$"),
    pa.int64(): r"^[ \t\r\n]*[+-]?[0-9]+[ \t\r\n]*$",
}


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted column.

    Attributes:
        values: array of the wanted type; missing values (null, NaN) and unreadable ones are null.
        unreadable: boolean array, true where a value was there but could not be read; None where all could.
    """

    values: pa.Array
    unreadable: pa.Array | None


def readable_as(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a column of type `found` may be read as `wanted` at all."""
    if pa.types.is_dictionary(found):
        found = found.value_type
    return any(test(found) for test in _READABLE[wanted])


def convert(column: pa.Array, wanted: pa.DataType) -> Converted:
    """`column` as `wanted`, which is float64, int64, string or bool."""
    column = unpacked(column)
    if pa.types.is_floating(column.type):
        column = _nan_to_null(column)
    if column.type == wanted:
        return Converted(column, None)
    if _has_no_numeral(column, wanted):
        return _convert_each(column, wanted)
    try:
        values = pc.cast(column, wanted, safe=not _decimal_to_float(column.type, wanted))
    except pa.ArrowInvalid:
        return _convert_each(column, wanted)
    if pa.types.is_floating(wanted):
        values = _nan_to_null(values)
    return Converted(values, None)


def unpacked(column: pa.Array) -> pa.Array:
    """The column without an encoding that Arrow's functions do not all take (dictionary, string view)."""
    if isinstance(column, pa.DictionaryArray):
        return unpacked(column.dictionary).take(column.indices)
    return pc.cast(column, pa.string()) if pa.types.is_string_view(column.type) else column


def _has_no_numeral(column: pa.Array, wanted: pa.DataType) -> bool:
    pattern = _NUMERALS.get(wanted)
    if pattern is None or not any(test(column.type) for test in _TEXTS):
        return False
    return pc.all(pc.match_substring_regex(column, pattern)).as_py() is False


def _decimal_to_float(found: pa.DataType, wanted: pa.DataType) -> bool:
    return bool(pa.types.is_decimal(found) and pa.types.is_floating(wanted))


def _nan_to_null(column: pa.Array) -> pa.Array:
    nan = pc.is_nan(column)
    if not pc.any(nan).as_py():
        return column
    return pc.if_else(nan, pa.scalar(None, column.type), column)


def _convert_each(column: pa.Array, wanted: pa.DataType) -> Converted:
    read = _as_float if wanted == pa.float64() else _as_int if wanted == pa.int64() else str
    values: list[Any] = []
    unreadable: list[bool] = []
    for value in column.to_pylist():
        try:
            read_value = None if value is None else read(value)
        except (ValueError, OverflowError, ArithmeticError):
            read_value = None
            unreadable.append(True)
        else:
            unreadable.append(False)
        values.append(read_value)
    return Converted(pa.array(values, wanted), pa.array(unreadable))


def _as_float(value: Any) -> float | None:
    _check_numeral(value, pa.float64())
    number = float(value)
    if isinstance(value, int) and int(number) != value:
        raise ValueError("would lose digits")
    return None if math.isnan(number) else number


def _as_int(value: Any) -> int:
    _check_numeral(value, pa.int64())
    number = int(value)
    if not isinstance(value, str) and number != value:
        raise ValueError("would lose its fraction")
    if not -(2**63) <= number < 2**63:
        raise OverflowError("more than 64 bits")
    return number


def _check_numeral(value: Any, wanted: pa.DataType) -> None:
    if isinstance(value, str) and not re.fullmatch(_NUMERALS[wanted], value):
        raise ValueError("no number")
