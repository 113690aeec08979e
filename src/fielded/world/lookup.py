"""Rows of the ledger by subject or by request id, without reading what cannot hold them.

Three sieves, each cheaper than the next: the value ranges in the Delta log leave out whole files, the ranges
in a file's footer leave out row groups, and of what is left only the searched column is read. Whole rows are
read from the row groups that have a hit, nowhere else.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from fielded.decisions.rows import PARTITION
from fielded.words.errors import Unreachable

_MOMENT = "scored_at"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_THREADS = 4  # files are read at once; more gains nothing on one disk


def find_rows(table: DeltaTable, column: str, value: str, on: date | None = None) -> list[dict[str, Any]]:
    """Every row whose `column` equals `value`, newest first.

    Args:
        table: a ledger table.
        column: `subject` or `request_id`, a text column.
        value: what to look for.
        on: only rows of this day's partition.

    Raises:
        Unreachable: a file that may have one cannot be read.
    """
    nothing = dict.fromkeys(field.name for field in table.schema().fields)  # a file may be older than a column
    root = Path(unquote(table.table_uri.removeprefix("file://")))
    files = list(_files(table, column, value, on))
    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            found = pool.map(lambda item: _rows_of_file(root / item[0], item[1], column, value), files)
            rows = [{**nothing, **row} for part in found for row in part]
    except (OSError, pa.ArrowException) as error:
        raise Unreachable(
            f"ledger: a data file cannot be read ({type(error).__name__}). Run `fielded audit verify`"
        ) from error
    return sorted(rows, key=lambda row: (row["scored_at"], row["request_id"]), reverse=True)


def _files(table: DeltaTable, column: str, value: str, on: date | None) -> Iterator[tuple[str, date]]:
    """Path and day of every file that may hold a hit, as far as the Delta log tells."""
    actions = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()
    low, high, day = f"min.{column}", f"max.{column}", f"partition.{PARTITION}"
    for file in actions.select([n for n in ("path", low, high, day) if n in actions.column_names]).to_pylist():
        smallest, largest = file.get(low), file.get(high)
        without_range = smallest is None or largest is None  # then it may hold anything
        if (on is None or file[day] == on) and (without_range or smallest <= value <= largest):
            yield file["path"], file[day]


def files_with(table: DeltaTable, values: Mapping[str, str | int]) -> list[str]:
    """Paths of the files whose ranges in the Delta log take in each of the values, by column.

    A file without a range of one of the columns is left out: ask all files where these have no hit.
    """
    actions = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()
    wanted = ["path", *(f"{end}.{column}" for column in values for end in ("min", "max"))]
    if not set(wanted) <= set(actions.column_names):
        return []
    hits = []
    for file in actions.select(wanted).to_pylist():
        ranges = [(file[f"min.{column}"], value, file[f"max.{column}"]) for column, value in values.items()]
        if all(low is not None and high is not None and low <= value <= high for low, value, high in ranges):
            hits.append(file["path"])
    return hits


def _rows_of_file(path: Path, day: date, column: str, value: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    wanted = text_scalar(value)
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
        place = file.metadata.schema.names.index(column)
        for group in range(file.metadata.num_row_groups):
            statistics = file.metadata.row_group(group).column(place).statistics
            if statistics is not None and statistics.has_min_max and not statistics.min <= value <= statistics.max:
                continue
            searched = file.read_row_group(group, columns=[column], use_threads=False).column(0)
            if not pc.any(pc.equal(searched, wanted)).as_py():
                continue
            rows = file.read_row_group(group, use_threads=False)
            hits = to_python(rows.filter(pc.equal(rows.column(column), wanted)))
            found += [{**row, PARTITION: day} for row in hits]
    return found


def text_scalar(value: str) -> pa.Scalar:
    """An Arrow text made from bytes. Given a str, Arrow imports pandas to see what it was given."""
    octets = value.encode()
    offsets = np.array([0, len(octets)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(octets)])[0]


def to_python(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows as Python values. Arrow imports pandas to turn a timestamp into a moment, so this is done here."""
    place = rows.schema.get_field_index(_MOMENT)
    moments = rows.column(place).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_pylist()
    rest = rows.remove_column(place).to_pylist()
    return [
        {**row, _MOMENT: _EPOCH + timedelta(microseconds=moment)}
        for row, moment in zip(rest, moments, strict=True)
    ]
