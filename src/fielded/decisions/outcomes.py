"""Labels that arrive later: what a file of them must be like.

1. subject, label and time are there in every row;
2. a label is yes or no: a boolean, or 0 and 1;
3. a time has a zone, and is not after the file is loaded: nobody knows what will have come true;
4. about one subject at one time a file says one thing.

A file with a row that breaks a rule is refused whole: whoever made it made the other rows too.
"""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.rows import TIMESTAMP
from fielded.words.errors import Finding, Refused

LOADED = "loaded_date"  # partition

OUTCOME = pa.schema([("subject", pa.string()), ("label", pa.bool_()), ("known_at", TIMESTAMP)])

_TEXT_LABELS = {"0": False, "1": True, "false": False, "true": True}


def checked_outcomes(rows: pa.Table, subject: str, now: datetime) -> pa.Table:
    """The rows of a file, as the ledger takes them.

    Args:
        rows: columns `subject` (or the definition's name of it), `label` and `known_at`; others are left out.
        subject: the definition's name of the subject.
        now: UTC.

    Returns:
        Table of schema `OUTCOME`.

    Raises:
        Refused: a column is missing or there twice, or a row breaks a rule; with all findings.
    """
    named = {"subject": subject if subject in rows.column_names else "subject"}
    columns = {name: named.get(name, name) for name in OUTCOME.names}
    missing = [column for column in columns.values() if column not in rows.column_names]
    if missing:
        expected = f"`{subject}` or `subject`, `label` and `known_at`"
        raise _refused([Finding("file", name, "no such column", expected) for name in missing])
    twice = [column for column in columns.values() if rows.column_names.count(column) > 1]
    if twice:
        raise _refused([Finding("file", name, "several columns of that name", "one") for name in twice])
    findings: list[Finding] = []
    made = [
        _converted(rows.column(column).combine_chunks(), column, kind, findings)
        for column, kind in zip(columns.values(), OUTCOME.types, strict=True)
    ]
    if findings:
        raise _refused(findings)
    table = pa.Table.from_arrays(made, schema=OUTCOME)
    findings += _broken(table, columns, now)
    if findings:
        raise _refused(findings)
    return table


def labels_of(column: pa.Array) -> pa.Array:
    """Labels as booleans: a boolean column, whole numbers 0 and 1, or these as texts. Null stays null.

    Raises:
        ValueError: something else is among them.
    """
    kind = column.type
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if not pc.all(pc.is_in(column.drop_null(), value_set=pa.array([0, 1], kind))).as_py():
            raise ValueError("another number than 0 and 1")
        return pc.equal(column, pa.scalar(1, kind))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        lowered = pc.utf8_lower(column)
        if not pc.all(pc.is_in(lowered.drop_null(), value_set=pa.array(list(_TEXT_LABELS), kind))).as_py():
            raise ValueError("a text that is none of 0, 1, true, false")
        yes = pc.is_in(lowered, value_set=pa.array(["1", "true"], kind))
        return pc.if_else(column.is_valid(), yes, pa.scalar(None, pa.bool_()))
    raise ValueError(f"values of type {kind}")


def _converted(column: pa.Array, name: str, kind: pa.DataType, findings: list[Finding]) -> pa.Array:
    """A column as the ledger's type; what cannot be is a finding, and nulls stand in for it."""
    try:
        if pa.types.is_boolean(kind):
            return labels_of(column)
        return _moments(column) if kind == TIMESTAMP else column.cast(kind)
    except (ValueError, pa.ArrowException) as error:
        # Arrow's own message has the value in it.
        got = str(error) if not isinstance(error, pa.ArrowException) else f"some {column.type} that is none"
        findings.append(Finding("file", name, got, _EXPECTED[str(kind)]))
        return pa.nulls(len(column), kind)


def _moments(column: pa.Array) -> pa.Array:
    """Times, UTC; what is finer than a microsecond is cut off."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise ValueError("times without a zone")
    elif not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
        raise ValueError(f"values of type {kind}")
    return pc.cast(column, TIMESTAMP, safe=False)


_EXPECTED = {
    "string": "texts",
    "bool": "a boolean, or 0 and 1",
    str(TIMESTAMP): "times with a zone, such as 2026-03-31T14:00:00Z",
}


def _broken(table: pa.Table, columns: dict[str, str], now: datetime) -> Iterator[Finding]:
    """Rules 1, 3 and 4. Rows are numbered from 1, without a header."""
    for name, column in columns.items():
        empty = pc.is_null(table.column(name))
        if name == "subject":
            empty = pc.fill_null(pc.equal(table.column(name), ""), True)
        yield from _rows(column, empty, "no value", "one in every row")
    late = pc.greater(table.column("known_at"), pa.scalar(now, TIMESTAMP))
    yield from _rows(columns["known_at"], late, "a time to come", "when it became known")
    keys = table.select(["subject", "known_at"]).append_column("row", pa.array(np.arange(table.num_rows)))
    ordered = table.take(pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names]))
    if table.num_rows > 1:
        before, after = ordered.slice(0, table.num_rows - 1), ordered.slice(1)
        same = pc.and_(
            pc.equal(before.column("subject"), after.column("subject")),
            pc.equal(before.column("known_at"), after.column("known_at")),
        )
        twice = pc.sum(pc.and_kleene(same, pc.not_equal(before.column("label"), after.column("label")))).as_py()
        if twice:
            expected = "one label for a subject at a time"
            yield Finding("file", "label", f"{twice} times both labels for one subject at one time", expected)


def _rows(column: str, mask: pa.ChunkedArray, got: str, expected: str) -> Iterator[Finding]:
    places = np.flatnonzero(pc.fill_null(mask, False).to_numpy())
    if len(places):
        yield Finding("file", column, f"{got} in {len(places)} rows, first in row {places[0] + 1}", expected)


def _refused(findings: list[Finding]) -> Refused:
    return Refused("outcomes: nothing was loaded", findings)
