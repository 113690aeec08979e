"""Entries: what one append puts into a store, and rows read back from it. The same bytes in every store.

An entry's `rows` are a CRC-32 and the length of what follows unpacked (u32 LE each), then the Arrow IPC message
of the batch without its schema, as an LZ4 frame: rows of one moment are so alike that a third to a sixth of the
pages is written and flushed. Schemas are kept apart, once, by the SHA-256 of their IPC message.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from fielded.words.errors import Unreachable
from fielded.world.journal.port import End, OutOfStep

_OPENING = struct.Struct("<II")
_DIGEST_BYTES = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The rows of one append.

    Attributes:
        first: number of the first row.
        last: number of the last row.
        head: the chain's head after the last row, 32 bytes.
        schema: SHA-256 of the schema's IPC message.
        rows: the packed rows, as this module's opening says.
    """

    first: int
    last: int
    head: bytes
    schema: bytes
    rows: bytes


class Packer:
    """Makes entries. It remembers the last schema: nearly every batch has the same."""

    def __init__(self) -> None:
        self._codec = pa.Codec("lz4")
        self._seen: pa.Schema | None = None
        self._plain: pa.Schema | None = None  # what to cast to; None where it is plain as it comes
        self._digest = b""
        self.schema = b""  # IPC message of the last entry's schema

    def pack(self, rows: pa.RecordBatch, journal: str, end: End) -> Entry:
        """The entry of rows that go on from `end`.

        Raises:
            OutOfStep: they do not.
        """
        last, head = _checked(rows, journal, end)
        if self._seen is None or not rows.schema.equals(self._seen):
            self._learn(rows.schema)
        if self._plain is not None:
            rows = rows.cast(self._plain)
        message = rows.serialize()
        packed = self._codec.compress(message, asbytes=True)
        opening = _OPENING.pack(zlib.crc32(packed), message.size)
        return Entry(first=end.sequence + 1, last=last, head=head, schema=self._digest, rows=opening + packed)

    def _learn(self, schema: pa.Schema) -> None:
        # A batch's IPC message leaves its dictionaries out, so what is kept has none.
        plain = pa.schema([pa.field(field.name, _plain(field.type), field.nullable) for field in schema])
        self._plain = None if plain.equals(schema) else plain
        self._seen = schema
        self.schema = plain.serialize().to_pybytes()
        self._digest = hashlib.sha256(self.schema).digest()


def unpack(rows: bytes, schema: pa.Schema, where: str) -> pa.RecordBatch:
    """The batch of an entry.

    Args:
        rows: as packed.
        schema: the schema that the entry names.
        where: what to call the entry in an error.

    Raises:
        Unreachable: the bytes are not those that were written.
    """
    packed = memoryview(rows)[_OPENING.size :]
    if len(rows) < _OPENING.size or zlib.crc32(packed) != _OPENING.unpack_from(rows)[0]:
        raise Unreachable(
            f"{where}: rows: got bytes that differ from those written, expected their CRC-32. The store is "
            "damaged: put this journal back from a copy"
        )
    size = _OPENING.unpack_from(rows)[1]
    return pa.ipc.read_record_batch(pa.Codec("lz4").decompress(packed, size), schema)


def read_schema(message: bytes) -> pa.Schema:
    """A schema of its IPC message."""
    return pa.ipc.read_schema(pa.py_buffer(message))


def first_moment(batch: pa.RecordBatch) -> datetime:
    """`scored_at` of a batch's first row, UTC. Asked for as a datetime, Arrow would import pandas."""
    return _EPOCH + timedelta(microseconds=batch.column("scored_at")[0].value)


def within(batch: pa.RecordBatch, first: int, after: int, through: int) -> Iterator[pa.RecordBatch]:
    """The rows of a batch, numbered from `first`, that lie above `after` and not above `through`; none or one
    batch.
    """
    start = max(0, after + 1 - first)
    stop = min(batch.num_rows, through + 1 - first)
    if start < stop:
        yield batch.slice(start, stop - start)


def _checked(rows: pa.RecordBatch, journal: str, end: End) -> tuple[int, bytes]:
    """Number and chain of the last row. Only ends of columns are looked at: whoever drains links every row."""
    numbers, first, last = rows.column("journal_sequence"), end.sequence + 1, end.sequence + rows.num_rows
    if numbers.null_count or numbers[0].as_py() != first or numbers[-1].as_py() != last:
        raise OutOfStep(
            f"journal {journal}: journal_sequence: got {numbers[0]} to {numbers[-1]} in {rows.num_rows} rows, "
            f"expected {first} to {last}. Number the rows from where it ends now"
        )
    if rows.column("journal")[0].as_py() != journal:
        raise OutOfStep(f"journal {journal}: got rows of another journal, expected its own")
    chain = rows.column("chain")
    head = b"" if chain.null_count else _hex(chain[-1].as_py())
    if len(head) != _DIGEST_BYTES:
        raise OutOfStep(f"journal {journal}: chain: got no SHA-256 in hex, expected one in each row")
    return last, head


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(part.name, _plain(part.type), part.nullable) for part in kind])
    return kind
