"""Where outcomes come from: a Parquet or CSV file, or a Delta table of the site. Read a batch at a time.

What names a source is a SHA-256: of a file's bytes, or of a table's Delta id and version, which between them say
which rows it had.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from fielded.definition.names import TABLE_NAME
from fielded.words.digests import value_sha256
from fielded.words.errors import Unreachable, WrongUse
from fielded.world.delta_reading import dataset_of, stream
from fielded.world.tables import DeltaTables, TableMissing

_BATCH_ROWS = 131_072
_FORMATS = {".parquet": "Parquet", ".csv": "CSV"}

Read = Callable[[Sequence[str]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeSource:
    """An opened source.

    Attributes:
        name: as people are told of it.
        about: what its event is about: `file SHA256`, `table NAME version N`.
        sha256: see the module.
        columns: that it has; a file may have one twice.
        read: gives the rows with some of the columns.
        is_table: whether it is a Delta table, which is there to be read again when it has grown.
    """

    name: str
    about: str
    sha256: str
    columns: tuple[str, ...]
    read: Read
    is_table: bool


@contextmanager
def open_file(file: Path) -> Iterator[OutcomeSource]:
    """A file; its SHA-256 and its rows are read from one opening.

    Raises:
        WrongUse: there is no such file, or it is no Parquet or CSV (UTF-8, with a header).
    """
    kind = _FORMATS.get(file.suffix.lower())
    if kind is None:
        raise WrongUse(f"{file.name}: got `{file.suffix}`, expected .parquet or .csv")
    with _file_errors(file, kind), file.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        opened.seek(0)
        columns, read = _parquet(opened) if kind == "Parquet" else _csv(opened)
        yield OutcomeSource(
            name=file.name,
            about=f"file {sha256}",
            sha256=sha256,
            columns=columns,
            read=lambda wanted: _told(read(wanted), file, kind),
            is_table=False,
        )


def open_table(tables: DeltaTables, name: str) -> OutcomeSource:
    """A Delta table at its newest version.

    A row with neither label nor time is about something that has not come true yet, and is left out.

    Args:
        tables: the site's.
        name: `catalog.schema.table`.

    Raises:
        WrongUse: there is no such table.
        Unreachable: it cannot be read.
    """
    if not re.fullmatch(TABLE_NAME, name):
        raise WrongUse(f"--table: got {name!r}, expected a name such as catalog.schema.table")
    try:
        table = tables.pin(name)
        dataset = dataset_of(table.table)
    except TableMissing:
        raise WrongUse(
            f"--table: got {name}, expected a Delta table below the site's root. Check root in site.yaml"
        ) from None
    except DeltaError as error:
        raise Unreachable(f"table {name}: cannot be read ({str(error).splitlines()[0]})") from error

    def read(wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        try:
            yield from stream(dataset, list(wanted))
        except (OSError, pa.ArrowException) as error:
            raise Unreachable(f"table {name}: cannot be read ({type(error).__name__})") from error

    return OutcomeSource(
        name=name,
        about=f"table {name} version {table.version}",
        sha256=value_sha256({"table": str(table.table.metadata().id), "version": table.version}),
        columns=tuple(dataset.schema.names),
        read=read,
        is_table=True,
    )


def come_true(batch: pa.RecordBatch, label: str, known_at: str) -> pa.RecordBatch:
    """The rows that have a label or a time, or should have both."""
    nothing = pc.and_(pc.is_null(batch.column(label)), pc.is_null(batch.column(known_at)))
    return batch.filter(pc.invert(nothing))


def _parquet(opened: BinaryIO) -> tuple[tuple[str, ...], Read]:
    file = pq.ParquetFile(opened)
    return tuple(file.schema_arrow.names), lambda wanted: file.iter_batches(_BATCH_ROWS, columns=list(wanted))


def _csv(opened: BinaryIO) -> tuple[tuple[str, ...], Read]:
    """Everything as text: `007` is another subject than `7`."""
    with pyarrow.csv.open_csv(opened) as header:
        columns = tuple(header.schema.names)
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=True, null_values=[""]
    )

    def read(wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        opened.seek(0)
        with pyarrow.csv.open_csv(opened, convert_options=convert) as reader:
            for batch in reader:
                yield batch.select(list(wanted))

    return columns, read


def _told(batches: Iterator[pa.RecordBatch], file: Path, kind: str) -> Iterator[pa.RecordBatch]:
    with _file_errors(file, kind):
        yield from batches


@contextmanager
def _file_errors(file: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except pa.ArrowException as error:
        raise WrongUse(f"{file.name}: cannot be read as {kind} ({type(error).__name__})") from None
    except OSError as error:
        raise WrongUse(f"{file.name}: cannot be read ({error.strerror or type(error).__name__})") from None
