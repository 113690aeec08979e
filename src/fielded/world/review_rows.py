"""Rows of the `predictions` table that a person looks at, read by partition and in bounded memory.

Of a day's batch runs one counts: the one with the highest place, which the gold table shows. Live rows count all,
what was scored in the shadow never, and probes only where they are asked for. A ledger from before rows said what
routed them has those for `review`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fielded.decisions.review.case import REVIEW
from fielded.decisions.rows import PARTITION, PROBE, SHADOW, TIMESTAMP, UNCOUNTED
from fielded.words.errors import Unreachable
from fielded.world.delta_reading import dataset_of, stream
from fielded.world.first_rows import SUBJECT, first_of_each

_ROUTED_BY = "routed_by"
ROUTED = pa.schema(
    [
        ("request_id", pa.string()),
        (SUBJECT, pa.string()),
        ("run_id", pa.string()),
        ("channel", pa.string()),
        ("score", pa.float64()),
        ("flag", pa.bool_()),
        ("decision", pa.string()),
        ("threshold", pa.float64()),
        (_ROUTED_BY, pa.string()),
        ("review_propensity", pa.float64()),
        ("model_version", pa.string()),
        ("scored_at", TIMESTAMP),
        (PARTITION, pa.date32()),
    ]
)

_MOST = 400_000  # rows held before those of one subject are thinned out
_NEWEST = [(PARTITION, "descending"), ("scored_at", "descending"), ("request_id", "descending")]


def newest_routed(table: DeltaTable, first: date, subject: str | None = None, *, probes: bool = False) -> pa.Table:
    """The newest routed row of each subject since a day, newest first; schema `ROUTED`.

    Memory holds one row a subject and a bounded number of others.

    Args:
        table: the ledger's predictions.
        first: the day.
        subject: only this one; None reads all.
        probes: with what was scored to probe.
    """
    kept = ROUTED.empty_table()
    for batch in routed_rows(table, first, subject=subject, probes=probes):
        kept = pa.concat_tables([kept, pa.Table.from_batches([batch], ROUTED)])
        if kept.num_rows > _MOST:
            kept = _newest(kept)
    return _newest(kept).combine_chunks()


def _newest(rows: pa.Table) -> pa.Table:
    rows = rows.take(pc.sort_indices(rows.select([name for name, _ in _NEWEST]), _NEWEST))
    return rows.take(pa.array(first_of_each(rows.column(SUBJECT))))


def routed_rows(
    table: DeltaTable,
    first: date,
    last: date | None = None,
    subject: str | None = None,
    *,
    probes: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Routed rows that count, of the days from `first` to `last`, in no order; schema `ROUTED`."""
    dataset = _dataset(table)
    routed = ds.field("decision") == REVIEW
    if _ROUTED_BY in dataset.schema.names:
        routed |= ds.field(_ROUTED_BY).is_valid()
    if subject is not None:
        routed &= ds.field(SUBJECT) == subject
    yield from _counting(table, dataset, routed & _days(first, last), probes=probes)


def rows_of(table: DeltaTable, ids: Mapping[date, Collection[str]]) -> list[dict[str, Any]]:
    """Rows by day and request id, as they are: whether their run counts or not; columns of `ROUTED`."""
    dataset = _dataset(table)
    found: list[dict[str, Any]] = []
    for day, wanted in ids.items():
        of_these = ds.field("request_id").isin(sorted(wanted)) & (ds.field(PARTITION) == day)
        for batch in stream(dataset, _held(dataset), of_these):
            found += _alike(batch).to_pylist()
    return found


def days_of(table: DeltaTable, subjects: Collection[str], first: date) -> set[date]:
    """Days since `first` on which a batch run scored one of some subjects and left it to a person."""
    wanted = ds.field(SUBJECT).isin(sorted(subjects)) & (ds.field("decision") == REVIEW) & _days(first, None)
    wanted &= ds.field("run_id").is_valid()
    days: set[date] = set()
    for batch in stream(_dataset(table), [PARTITION], wanted):
        days.update(pc.unique(batch.column(0)).to_pylist())
    return days


def _days(first: date, last: date | None) -> ds.Expression:
    days = ds.field(PARTITION) >= first
    return days if last is None else days & (ds.field(PARTITION) <= last)


def _dataset(table: DeltaTable) -> ds.Dataset:
    try:
        return dataset_of(table)
    except DeltaError as error:
        raise Unreachable(f"table predictions: cannot be read ({type(error).__name__})") from error


def _held(dataset: ds.Dataset) -> list[str]:
    return [name for name in ROUTED.names if name in dataset.schema.names]


def _alike(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch in the schema `ROUTED`: with nulls for columns of later ledgers."""
    columns = [
        batch.column(field.name).cast(field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in ROUTED
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ROUTED)


def _counting(
    table: DeltaTable, dataset: ds.Dataset, where: ds.Expression, *, probes: bool
) -> Iterator[pa.RecordBatch]:
    """Rows of runs that count, and live ones; probes count where they are asked for."""
    runs = _Runs(table)
    left_out = ds.field("channel").isin([SHADOW] if probes else UNCOUNTED)
    try:
        for batch in stream(dataset, _held(dataset), where & ~left_out):
            rows = _alike(batch)
            counts = pa.array(runs.count(rows.column("run_id"), rows.column(PARTITION)))
            counted = rows.filter(pc.or_(counts, pc.equal(rows.column("channel"), PROBE)))
            if counted.num_rows:
                yield counted
    except (OSError, pa.ArrowException) as error:
        raise Unreachable(
            f"table predictions: cannot be read ({type(error).__name__}). Run `fielded audit verify`"
        ) from error


class _Runs:
    """Which batch runs count, asked once of each."""

    def __init__(self, table: DeltaTable) -> None:
        self._table = table
        self._known: dict[tuple[str | None, date], bool] = {}

    def count(self, runs: pa.Array, days: pa.Array) -> np.ndarray:
        """Whether each row's run counts; a live row has none and counts."""
        run_codes, day_codes = runs.dictionary_encode(), days.dictionary_encode()
        run_texts: Sequence[str | None] = [*run_codes.dictionary.to_pylist(), None]
        day_values = day_codes.dictionary.to_pylist()
        run = run_codes.indices.fill_null(len(run_texts) - 1).to_numpy(zero_copy_only=False)
        day = day_codes.indices.to_numpy(zero_copy_only=False)
        pairs = run.astype(np.int64) * max(len(day_values), 1) + day
        distinct, places = np.unique(pairs, return_inverse=True)
        answers = [
            self._counts(run_texts[pair // len(day_values)], day_values[pair % len(day_values)])
            for pair in distinct.tolist()
        ]
        return np.asarray(answers, dtype=bool)[places]

    def _counts(self, run: str | None, day: date) -> bool:
        if (run, day) not in self._known:
            place = None if run is None else self._table.transaction_version(f"run/{run}")
            latest = self._table.transaction_version(f"day/{day}")
            self._known[run, day] = run is None or (place is not None and place == latest)
        return self._known[run, day]
