"""A Delta table as an Arrow dataset whose files are passed over only where that is right.

deltalake's own `to_pyarrow_dataset` turns a smallest or largest value that the log does not have into a
comparison with null, and a filter on that column then finds no file: rows are lost without a word. Spark
writes no such values for booleans, and none past the 32nd column, so this happens to ordinary tables
(`tests/world/test_delta_reading.py` shows it). Here a bound is used only where the log has it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

# The protocol truncates timestamps in statistics to milliseconds, downwards.
_BATCH_ROWS = 131_072
_LAST_UNESCAPED = "\uffff"  # past it other writers escape, and deltalake reads the escape as a smaller character
_MILLISECOND = 1000  # microseconds, the unit of every timestamp in Delta


def dataset_of(table: DeltaTable, kind: type[ds.FileSystemDataset] = ds.FileSystemDataset) -> ds.Dataset:
    """The table's rows at its version.

    Raises:
        deltalake.exceptions.DeltaProtocolError: the table uses what this reader does not know, such as
            deletion vectors.
    """
    given = table.to_pyarrow_dataset(filesystem=_files_of(table))  # checks the protocol; knows schema and format
    if not isinstance(given, ds.FileSystemDataset):
        return given
    actions = pa.table(table.get_add_actions(flatten=True))
    partitions = [name for name in actions.column_names if name.startswith("partition.")]
    bounds = [name.removeprefix("min.") for name in actions.column_names if name.startswith("min.")]
    by_path = {unquote(row["path"]): row for row in actions.to_pylist()}  # the log has them as URIs
    fragments = [
        given.format.make_fragment(
            fragment.path, given.filesystem, _guarantee(by_path[fragment.path], partitions, bounds, given.schema)
        )
        for fragment in given.get_fragments()
    ]
    return kind(fragments, given.schema, given.format, given.filesystem)


def _files_of(table: DeltaTable) -> SubTreeFileSystem | None:
    """Files that Arrow opens by itself; None where the table is not on this machine.

    Not through deltalake's file system, which is Python called from Arrow's threads: one that still closes a file
    while the interpreter ends brings the process down (`terminate called without an active exception`), and a
    command that was done exits as if it had failed.
    """
    uri = unquote(table.table_uri) if table.table_uri.startswith("file://") else table.table_uri
    folder = uri.removeprefix("file://")
    return None if "://" in folder else SubTreeFileSystem(folder, LocalFileSystem())


def stream(
    dataset: ds.Dataset, columns: Sequence[str] | None = None, rows_where: ds.Expression | None = None
) -> Iterator[pa.RecordBatch]:
    """The dataset's rows, one Parquet row group in memory at a time.

    Arrow's own scanner reads up to a gibibyte ahead of a slow reader, and a reader that scores is slow.
    """
    for fragment in dataset.get_fragments(rows_where):
        for group in fragment.split_by_row_group(rows_where, dataset.schema):
            yield from group.to_table(
                dataset.schema, columns=columns and list(columns), filter=rows_where
            ).to_batches(_BATCH_ROWS)


class StreamedDataset(ds.FileSystemDataset):  # type: ignore[misc]
    """A dataset that DuckDB reads through `stream`."""

    def scanner(self, columns: Sequence[str] | None = None, filter: ds.Expression | None = None) -> "_Scan":  # noqa: A002
        """What DuckDB asks for."""
        return _Scan(self, columns, filter)


@dataclass(frozen=True, slots=True)
class _Scan:
    dataset: ds.Dataset
    columns: Sequence[str] | None
    rows_where: ds.Expression | None

    def to_reader(self) -> pa.RecordBatchReader:
        """A fresh stream over the columns."""
        schema = self.dataset.schema
        if self.columns is not None:
            schema = pa.schema([schema.field(name) for name in self.columns])
        return pa.RecordBatchReader.from_batches(schema, stream(self.dataset, self.columns, self.rows_where))


def _guarantee(row: dict[str, Any], partitions: list[str], bounds: list[str], schema: pa.Schema) -> ds.Expression:
    """What is known of every row of one file."""
    known = ds.scalar(True)
    for part in _partition_values(row, partitions):
        known &= part
    for name in bounds:
        low, high = row.get(f"min.{name}"), row.get(f"max.{name}")
        if name not in schema.names or low is None or high is None or not _ordered(schema.field(name).type):
            continue
        if isinstance(high, str) and max(high, default="") > _LAST_UNESCAPED:
            continue
        field, kind = ds.field(name), schema.field(name).type
        smallest, largest = pa.scalar(low, kind), pa.scalar(high, kind)
        if pa.types.is_timestamp(kind):  # as a number: the last millisecond of 9999 has no successor in Python
            largest = pa.scalar(largest.value + _MILLISECOND, kind)
        if low == high and row.get(f"null_count.{name}") == 0 and not pa.types.is_timestamp(kind):
            known &= field == smallest  # then a filter on it is decided for the whole file
            continue
        inside = (field >= smallest) & (field <= largest)
        known &= inside if row.get(f"null_count.{name}") == 0 else inside | field.is_null()
    return known


def _partition_values(row: dict[str, Any], partitions: list[str]) -> Iterator[ds.Expression]:
    for column in partitions:
        field, value = ds.field(column.removeprefix("partition.")), row[column]
        yield field.is_null() if value is None else field == value


def _ordered(kind: pa.DataType) -> bool:
    """Types whose order is the same for whoever wrote the bounds and for us. Not floats: NaN has no place."""
    tests = (
        pa.types.is_integer,
        pa.types.is_date,
        pa.types.is_timestamp,
        pa.types.is_string,
        pa.types.is_large_string,
    )
    return any(test(kind) for test in tests)
