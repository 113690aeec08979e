"""Rows of the ledger by subject or by request id, without reading what cannot hold them.

Three sieves, each cheaper than the next: the value ranges in the Delta log leave out whole files, the ranges
in a file's footer leave out row groups, and of what is left only the searched column is read. Whole rows are
read from the row groups that have a hit, nowhere else.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from fielded.decisions.rows import PARTITION

_THREADS = 4  # files are read at once; more gains nothing on one disk


def find_rows(table: DeltaTable, column: str, value: str, on: date | None = None) -> list[dict[str, Any]]:
    """Every row whose `column` equals `value`, newest first.

    Args:
        table: a ledger table.
        column: `subject` or `request_id`, a text column.
        value: what to look for.
        on: only rows of this day's partition.
    """
    root = Path(table.table_uri.removeprefix("file://"))
    files = list(_files(table, column, value, on))
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda item: _rows_of_file(root / item[0], item[1], column, value), files)
        rows = [row for part in found for row in part]
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


def _rows_of_file(path: Path, day: date, column: str, value: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    wanted = pa.scalar(
        value, pa.string()
    )  # compared with a plain str, Arrow would import pandas to ask what it is
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
            hits = rows.filter(pc.equal(rows.column(column), wanted)).to_pylist()
            found += [{**row, PARTITION: day} for row in hits]
    return found
