"""Slices: sets of rows with a description, those that the definition lists and those that are searched for.

1. A column of text or truth values falls into its values; nulls are a part of their own, called `null`.
2. A column of numbers with at most four values falls into these; with more, into quartile bins. A number that is
   not one (NaN) is null.
3. Within one column no row is in two parts, and each row is in one.
4. Searched slices are taken shortest description first, and a set of rows that another has already is left out.
5. A listed column has at most `MOST_PARTS` parts: a number of thousands of ships is no group that anybody could
   have labels for, and a report of as many slices is read by nobody.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from hashlib import blake2b
from itertools import combinations, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.words.errors import WrongUse

NULL = "null"
QUARTILES = (0.25, 0.5, 0.75)
MOVED = 0.01  # share of the rows that rounding a bin's edge may put on its other side
EXACT = 17  # significant digits that name any float64
MOST_PARTS = 500  # of a listed column

_PLAIN = re.compile(r"\w[\w .:/+-]*\Z")


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that share something, by its description.

    Attributes:
        terms: (column, part) for each column it is taken from; none is all rows. Parts read `DDG-51`, `null`,
            `under 3`, `[3, 7)` or `7 and over`. A text that could be taken for something else is in quotes.
    """

    terms: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return " & ".join(f"{column}={part}" for column, part in self.terms) or "overall"

    def within(self, other: "Slice") -> bool:
        """Whether its description says all that the other's says, and so its rows are among the other's."""
        return set(other.terms) <= set(self.terms)


OVERALL = Slice(())


@dataclass(frozen=True, slots=True)
class _Parts:
    """One column in parts.

    Attributes:
        column: its name.
        names: of the parts.
        part: place in `names` for each row, int64.
    """

    column: str
    names: tuple[str, ...]
    part: np.ndarray


def listed(features: pa.Table, names: Sequence[str]) -> Iterator[tuple[Slice, np.ndarray]]:
    """Every part of every named column, however few rows it has.

    Args:
        features: one row a subject.
        names: columns of it.

    Yields:
        The slice and which rows it has: bool, as long as `features`.

    Raises:
        WrongUse: there is no such column, or it has too many parts; see rule 5.
    """
    for name in names:
        if name not in features.column_names:
            raise WrongUse(
                f"slices: got {name}, expected a column of the rows: {', '.join(features.column_names)}. "
                "Name a feature, or add the column to the rows"
            )
        parts = _parts(features, name)
        if len(parts.names) > MOST_PARTS:
            raise WrongUse(
                f"slices: got {name} with {len(parts.names):,} values, expected at most {MOST_PARTS}. "
                "List a column of groups, such as a class, and no identifier"
            )
        for place, part in enumerate(parts.names):
            yield Slice(((name, part),)), parts.part == place


def absent(features: pa.Table, others: pa.Table, names: Sequence[str]) -> Iterator[Slice]:
    """Parts of the named columns that other rows have and these lack: nobody could look at them here.

    Columns of numbers that are cut into bins have none: bins are made of whatever rows there are.

    Args:
        features: the rows that are looked at.
        others: rows with the same columns.
        names: columns of both.
    """
    for name in names:
        if not others.num_rows or _is_binned(others, name) or _is_binned(features, name):
            continue
        here = set(_parts(features, name).names)
        yield from (Slice(((name, part),)) for part in _parts(others, name).names if part not in here)


def searched(features: pa.Table, minimum_rows: int, depth: int) -> Iterator[tuple[Slice, np.ndarray]]:
    """Every part of every column, and of every `depth` of them together, with enough rows.

    All rows are no slice, and neither is a set of rows that has come already.

    Args:
        features: one row a subject.
        minimum_rows: fewer rows are passed over.
        depth: most columns in a description.

    Yields:
        As `listed`, fewer columns first and then in the order of the columns.
    """
    columns = [_parts(features, name) for name in features.column_names]
    seen = {row_set(np.ones(features.num_rows, dtype=bool))}
    for width in range(1, depth + 1):
        for chosen in combinations(columns, width):
            for found, rows in _together(chosen, minimum_rows):
                mark = row_set(rows)
                if mark not in seen:
                    seen.add(mark)
                    yield found, rows


def row_set(rows: np.ndarray) -> bytes:
    """A mark that two sets of rows share exactly if they are the same: 16 bytes of BLAKE2b over the bits."""
    return blake2b(np.packbits(rows).tobytes(), digest_size=16).digest()


def _together(columns: Sequence[_Parts], minimum_rows: int) -> Iterator[tuple[Slice, np.ndarray]]:
    """All combinations of one part from each column that have enough rows."""
    shape = tuple(len(parts.names) for parts in columns)
    cell = reduce(lambda so_far, parts: so_far * len(parts.names) + parts.part, columns[1:], columns[0].part)
    cells, rows = np.unique(cell, return_counts=True)
    for each in cells[rows >= minimum_rows]:
        places = np.unravel_index(each, shape)
        terms = tuple((parts.column, parts.names[place]) for parts, place in zip(columns, places, strict=True))
        yield Slice(terms), cell == each


def _parts(features: pa.Table, name: str) -> _Parts:
    column = features.column(name).combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if _is_number(column.type):
        return _numbers(name, np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False)))
    if pa.types.is_boolean(column.type):
        return _texts(name, column.cast(pa.string()))
    return _texts(name, pc.cast(column, pa.string()))


def _is_binned(features: pa.Table, name: str) -> bool:
    column = features.column(name)
    return _is_number(column.type) and pc.count_distinct(column).as_py() > len(QUARTILES) + 1


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _texts(name: str, column: pa.Array) -> _Parts:
    """Values in alphabetical order, then nulls."""
    encoded = column.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    order = sorted(range(len(values)), key=values.__getitem__)
    place = np.empty(len(values) + 1, dtype=np.int64)
    place[order] = np.arange(len(values))
    place[-1] = len(values)  # where nulls go
    part = place[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    names = [quoted(values[each]) for each in order]
    return _Parts(name, (*names, NULL) if column.null_count else tuple(names), part)


def quoted(value: str) -> str:
    """A text as it is where it can't be taken for another description, else in quotes.

    Characters that steer a terminal, or turn the order of a line around, are written by their number.
    """
    return (
        value if _PLAIN.match(value) and value != NULL else json.dumps(value, ensure_ascii=not value.isprintable())
    )


def _numbers(name: str, values: np.ndarray) -> _Parts:
    missing = np.isnan(values)
    known = values[~missing]
    distinct = np.unique(known)
    part = np.full(len(values), -1, dtype=np.int64)
    if len(distinct) <= len(QUARTILES) + 1:
        names = [_short(value, EXACT) for value in distinct]
        part[~missing] = np.searchsorted(distinct, known)
    else:
        edges, texts = _edges(known)
        part[~missing] = np.searchsorted(edges, known, side="right")
        middle = [f"[{low}, {high})" for low, high in pairwise(texts)]
        names = [f"under {texts[0]}", *middle, f"{texts[-1]} and over"]
    part[missing] = len(names)
    return _Parts(name, (*names, NULL) if missing.any() else tuple(names), part)


def _edges(known: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Quartiles, rounded as far as that moves no more than one row in a hundred, ascending; and how they read.

    They are values of the column (inverted distribution function), so a value with many rows is never split.
    Rounded ones are what the bins are made with: a description says exactly which rows are meant.
    """
    exact = np.unique(np.quantile(known, QUARTILES, method="inverted_cdf"))
    exact = exact[exact > known.min()]
    if not exact.size:  # three quarters of the rows have the smallest value: it, and all above
        exact = np.array([known[known > known.min()].min()])
    ascending = np.sort(known)
    below = np.searchsorted(ascending, exact)
    for digits in range(2, EXACT):
        texts = [_short(edge, digits) for edge in exact]
        edges = np.array([float(text) for text in texts])
        cuts = np.searchsorted(ascending, edges)
        none_empty = np.all(np.diff(cuts, prepend=0, append=len(known)) > 0)
        if none_empty and np.all(np.abs(cuts - below) <= MOVED * len(known)):
            return edges, texts
    return exact, [_short(edge, EXACT) for edge in exact]


def _short(value: float, digits: int) -> str:
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")
