"""Labels that arrive later: what a file or table of them must be like, looked at a batch at a time.

1. subject, label and time are there in every row;
2. a label is yes or no: a boolean, or 0 and 1;
3. a time has a zone, and is not after the file is loaded: nobody knows what will have come true;
4. about one subject at one time it says one thing.

One with a row that breaks a rule is refused whole: whoever made it made the other rows too. Rule 4 is asked of
all rows together, by whoever holds them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.rows import TIMESTAMP
from fielded.words.errors import Finding, Refused

LOADED = "loaded_date"  # partition

OUTCOME = pa.schema([("subject", pa.string()), ("label", pa.bool_()), ("known_at", TIMESTAMP)])

_TEXT_LABELS = {"0": False, "1": True, "false": False, "true": True}


@dataclass(slots=True)
class _Broken:
    """A rule that rows break: how many, and the first of them, from 1."""

    expected: str
    rows: int
    first: int


class OutcomeRules:
    """Rules 1 to 3, applied to any number of batches.

    Args:
        columns: of the file or table.
        subject: the definition's name of the subject.
        now: UTC.
        where: what is read, as findings name it.

    Attributes:
        columns: name in the ledger -> column that it is read from.
        rows: looked at.

    Raises:
        Refused: a column is missing or there twice.
    """

    def __init__(self, columns: Sequence[str], subject: str, now: datetime, where: str = "file") -> None:
        named = {"subject": subject if subject in columns else "subject"}
        self.columns = {name: named.get(name, name) for name in OUTCOME.names}
        self.rows = 0
        self._now, self._where = pa.scalar(now, TIMESTAMP), where
        self._unreadable: dict[str, Finding] = {}
        self._broken: dict[tuple[str, str], _Broken] = {}
        missing = [column for column in self.columns.values() if column not in columns]
        if missing:
            expected = f"`{subject}` or `subject`, `label` and `known_at`"
            raise refused(Finding(where, name, "no such column", expected) for name in missing)
        twice = [column for column in self.columns.values() if list(columns).count(column) > 1]
        if twice:
            raise refused(Finding(where, name, "several columns of that name", "one") for name in twice)

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch as the ledger takes it, of schema `OUTCOME`; its rows count only if there are no `findings`.

        Args:
            batch: has `columns`; others are left out.
        """
        made = [
            self._converted(batch.column(column), column, kind)
            for column, kind in zip(self.columns.values(), OUTCOME.types, strict=True)
        ]
        taken = pa.RecordBatch.from_arrays(made, schema=OUTCOME)
        for column, got, expected, mask in _asked(taken, self.columns, self._now):
            self._count(column, got, expected, mask)
        self.rows += batch.num_rows
        return taken

    def findings(self) -> list[Finding]:
        """What the batches broke, at most one of a kind."""
        if self._unreadable:  # nulls stand in for such values, and would be told of again
            return list(self._unreadable.values())
        return [
            Finding(self._where, column, f"{got} in {one.rows} rows, first in row {one.first}", one.expected)
            for (column, got), one in self._broken.items()
        ]

    def contradiction(self, times: int) -> Finding:
        """Rule 4: how often a subject has both labels at one time."""
        got = f"{times} times both labels for one subject at one time"
        return Finding(self._where, "label", got, "one label for a subject at a time")

    def _converted(self, column: pa.Array, name: str, kind: pa.DataType) -> pa.Array:
        """A column as the ledger's type; what cannot be is a finding, and nulls stand in for it."""
        try:
            if pa.types.is_boolean(kind):
                return labels_of(column)
            return _moments(column) if kind == TIMESTAMP else column.cast(kind)
        except (ValueError, pa.ArrowException) as error:
            # Arrow's own message has the value in it.
            got = str(error) if not isinstance(error, pa.ArrowException) else f"some {column.type} that is none"
            self._unreadable.setdefault(name, Finding(self._where, name, got, _EXPECTED[str(kind)]))
            return pa.nulls(len(column), kind)

    def _count(self, column: str, got: str, expected: str, mask: pa.Array) -> None:
        places = np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
        if not len(places):
            return
        first = self.rows + int(places[0]) + 1
        held = self._broken.setdefault((column, got), _Broken(expected, 0, first))
        held.rows += len(places)


def refused(findings: Iterable[Finding]) -> Refused:
    """What is raised where rows break rules."""
    return Refused("outcomes: nothing was loaded", findings)


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


def _asked(
    rows: pa.RecordBatch, columns: dict[str, str], now: pa.Scalar
) -> Iterator[tuple[str, str, str, pa.Array]]:
    """Rules 1 and 3: column, got, expected, and which rows break them."""
    for name, column in columns.items():
        empty = pc.is_null(rows.column(name))
        if name == "subject":
            empty = pc.fill_null(pc.equal(rows.column(name), ""), True)
        yield column, "no value", "one in every row", empty
    late = pc.greater(rows.column("known_at"), now)
    yield columns["known_at"], "a time to come", "when it became known", late
