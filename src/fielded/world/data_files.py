"""Parquet files of a Delta table, written as a stream, durable before they are named to anybody.

fielded writes the files itself and commits them by name: the bytes are on disk before the commit that makes
them visible, and a process that dies before it leaves files that no reader ever sees. Each file's SHA-256 is
taken when it is finished and travels in the commit, so that nothing can change between commit and seal.
"""

import hashlib
import json
import math
import os
from datetime import date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from fielded.decisions.stretch import Stretch
from fielded.words.errors import Unreachable

_BOUND_LENGTH = 64  # characters of a text that the Delta log keeps of a range's end


class DataFiles:
    """Writes batches into as many files as needed and hands back what to commit.

    Args:
        table_uri: folder of the Delta table.
        partition: (column, value) of the one partition all rows belong to.
        name: opening of the file names; unique to this writer, so that two never write one file.
        rows_per_file: a file is closed once it holds this many rows.
        plain: columns whose values hardly repeat, for which a dictionary would be work for nothing.
        rewrite: the rows are in the table already, and their present files are removed by the same commit.

    Attributes:
        added: what to commit, one for each finished file.
        recorded: path -> `{"sha256": hex, "rows": count}` of each finished file, for the commit's metadata.
        rows: in the finished files.
        stretch: set by who drains a journal: which of its rows the one file holds; None for other files.
    """

    def __init__(
        self,
        table_uri: str,
        partition: tuple[str, date],
        name: str,
        *,
        rows_per_file: int,
        plain: frozenset[str] = frozenset(),
        rewrite: bool = False,
    ) -> None:
        column, value = partition
        self._folder = Path(table_uri)
        self._values = {column: value.isoformat()}
        self._prefix = f"{column}={value.isoformat()}/{name}"
        self._rows_per_file = rows_per_file
        self._plain = plain
        self._data_change = not rewrite
        self._writer: pq.ParquetWriter | None = None
        self._path = ""
        self._count = 0
        self._offered = False
        self.added: list[AddAction] = []
        self.recorded: dict[str, dict[str, Any]] = {}
        self.rows = 0
        self.stretch: Stretch | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows. They are durable once `close` has returned."""
        if not batch.num_rows:
            return
        try:
            if self._writer is None:
                self._writer = self._open(batch.schema)
            self._writer.write_batch(batch, row_group_size=batch.num_rows)
        except OSError as error:
            raise Unreachable(f"{self._folder.name}: cannot be written ({error.strerror or error})") from error
        self._count += batch.num_rows
        if self._count >= self._rows_per_file:
            self._finish()

    def close(self) -> None:
        """Finish the last file and make its bytes durable."""
        if self._writer is not None:
            self._finish()

    def offer(self) -> list[AddAction]:
        """What to commit. From here on the files are not deleted unless `discard` is called: a commit that
        seems to have failed may yet have happened.
        """
        self._offered = True
        return list(self.added)

    def discard(self) -> None:
        """Delete every file. Only for files that no commit names."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            (self._folder / self._path).unlink(missing_ok=True)
        for action in self.added:
            (self._folder / action.path).unlink(missing_ok=True)
        self.added, self.recorded, self.rows = [], {}, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not self._offered:
            self.discard()

    def _open(self, schema: pa.Schema) -> pq.ParquetWriter:
        self._path = f"{self._prefix}-{len(self.added):05d}.parquet"
        path = self._folder / self._path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)  # never over another's file, which a commit may name
        return pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in _leaves(schema) if name.split(".")[0] not in self._plain],
            store_schema=False,
            write_page_checksum=True,
        )

    def _finish(self) -> None:
        writer, path = self._writer, self._folder / self._path
        if writer is None:
            return
        try:
            writer.close()
            sync(path)
            sync(path.parent)
            with path.open("rb") as written:
                sha256 = hashlib.file_digest(
                    written, "sha256"
                ).hexdigest()  # of what the system holds, not of what we gave
        except OSError as error:
            raise Unreachable(f"{self._folder.name}: cannot be written ({error.strerror or error})") from error
        self._writer, self._count = None, 0
        footer = pq.read_metadata(path)
        status = path.stat()
        self.rows += footer.num_rows
        self.recorded[self._path] = {"sha256": sha256, "rows": footer.num_rows}
        self.added.append(
            AddAction(
                path=self._path,
                size=status.st_size,
                partition_values=self._values,
                modification_time=int(status.st_mtime * 1000),
                data_change=self._data_change,
                # Not escaped: deltalake reads the escapes of characters past U+1FFFF as other characters.
                stats=json.dumps(_statistics(footer), ensure_ascii=False),
            )
        )


def sync(path: Path) -> None:
    """Put a file or a folder's entries on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _leaves(schema: pa.Schema, prefix: str = "") -> list[str]:
    names = []
    for field in schema:
        if pa.types.is_struct(field.type):
            names += _leaves(pa.schema(list(field.type)), f"{prefix}{field.name}.")
        elif pa.types.is_list(field.type):
            names += [f"{prefix}{field.name}.list.element.{part.name}" for part in field.type.value_type]
        else:
            names.append(f"{prefix}{field.name}")
    return names


def _statistics(footer: pq.FileMetaData) -> dict[str, Any]:
    """Row count, null counts and value ranges of every column, in the form of the Delta protocol.

    Of every column, because readers exist that take a range which is missing for a range that is empty.
    """
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, Any] = {}
    for place in range(footer.num_columns):
        column = footer.schema.column(place)
        if column.max_repetition_level:  # inside a list: the protocol has no range for it
            continue
        groups = [footer.row_group(group).column(place).statistics for group in range(footer.num_row_groups)]
        if any(group is None or not group.has_null_count for group in groups):
            continue
        _put(nulls, column.path, sum(group.null_count for group in groups))
        valued = [group for group in groups if group.num_values]  # not null throughout
        if valued and all(group.has_min_max for group in valued):  # Parquet has no range of very long texts
            smallest = _bound(min(group.min for group in valued), largest=False)
            greatest = _bound(max(group.max for group in valued), largest=True)
            if smallest is not None and greatest is not None:
                _put(low, column.path, smallest)
                _put(high, column.path, greatest)
    return {"numRecords": footer.num_rows, "minValues": low, "maxValues": high, "nullCount": nulls}


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    *folders, leaf = path.split(".")
    for folder in folders:
        tree = tree.setdefault(folder, {})
    tree[leaf] = value


def _bound(value: Any, *, largest: bool) -> Any:
    """One end of a range as JSON, or None where JSON has no such value; an end that had to be cut is moved
    outwards.
    """
    if isinstance(value, datetime):
        whole = value.replace(microsecond=value.microsecond // 1000 * 1000)
        if largest and whole != value:
            whole += timedelta(milliseconds=1)
        return whole.strftime("%Y-%m-%dT%H:%M:%S.") + f"{whole.microsecond // 1000:03d}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and len(value) > _BOUND_LENGTH:
        cut = value[:_BOUND_LENGTH] + ("\U0010ffff" if largest else "")
        return cut if not largest or cut >= value else None
    if isinstance(value, float) and not math.isfinite(value):
        return None  # `Infinity` is no JSON: the table could never be opened again
    return value
