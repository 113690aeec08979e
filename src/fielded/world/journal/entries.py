"""Entries: what one append puts into a store, and rows read back from it. The same bytes in every store.

An entry's `rows` are a CRC-32 and the length of what follows unpacked (u32 LE each), then the Arrow IPC message
of the batch without its schema, as an LZ4 frame: rows of one moment are so alike that a third to a sixth of the
pages is written and flushed. Schemas are kept apart, once, by the SHA-256 of their IPC message.

What comes back from a store is not believed: it is measured before it is unpacked and validated after.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from fielded.words.errors import Refused
from fielded.world.journal.port import Damaged, End, OutOfStep

_OPENING = struct.Struct("<II")
_DIGEST_BYTES = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_PACKED = 64 << 20  # bytes of one entry; SQLite takes a GB, but a reader holds many at once
_MOST_UNPACKED = 1 << 30
_MOST_TO_ONE = 256  # LZ4 packs no tighter (its block format spends a byte on 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The rows of one append.

    Attributes:
        first: number of the first row.
        last: number of the last row.
        head: the chain's head after the last row, 32 bytes.
        schema: SHA-256 of the schema's IPC message.
        at: `scored_at` of the first row, microseconds since the epoch; it is kept beside the rows, so that nobody
            unpacks them to know how long they wait.
        rows: the packed rows, as this module's opening says.
    """

    first: int
    last: int
    head: bytes
    schema: bytes
    at: int | None
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
            Refused: they are too large for one entry.
        """
        last, head = _checked(rows, journal, end)
        if self._seen is None or not rows.schema.equals(self._seen):
            self._learn(rows.schema)
        if self._plain is not None:
            rows = rows.cast(self._plain)
        message = rows.serialize()
        packed = self._codec.compress(message, asbytes=True)
        if len(packed) > _MOST_PACKED or message.size > _MOST_UNPACKED:
            raise Refused(
                f"journal {journal}: got {rows.num_rows} rows of {len(packed) >> 20} MiB packed, "
                f"{message.size >> 20} MiB unpacked, expected at most {_MOST_PACKED >> 20} and "
                f"{_MOST_UNPACKED >> 20} at once. Send fewer or shorter rows"
            )
        return Entry(
            first=end.sequence + 1,
            last=last,
            head=head,
            schema=self._digest,
            at=rows.column("scored_at")[0].value,
            rows=_OPENING.pack(zlib.crc32(packed), message.size) + packed,
        )

    def _learn(self, schema: pa.Schema) -> None:
        # A batch's IPC message leaves its dictionaries out, so what is kept has none.
        plain = pa.schema([pa.field(field.name, _plain(field.type), field.nullable) for field in schema])
        self._plain = None if plain.equals(schema) else plain
        self._seen = schema
        self.schema = plain.serialize().to_pybytes()
        self._digest = hashlib.sha256(self.schema).digest()


def unpack(rows: bytes, schema: pa.Schema, count: int, where: str) -> pa.RecordBatch:
    """The batch of an entry.

    Args:
        rows: as packed.
        schema: the schema that the entry names.
        count: how many rows there are by the entry's numbers.
        where: what to call the entry in an error.

    Raises:
        Damaged: the bytes are not those that were written.
    """
    packed = memoryview(rows)[_OPENING.size :] if isinstance(rows, bytes) else b""
    if not packed or zlib.crc32(packed) != _OPENING.unpack_from(rows)[0]:
        raise damaged(where, "bytes that differ from those written, expected their CRC-32")
    size = _OPENING.unpack_from(rows)[1]
    if size > min(_MOST_UNPACKED, len(packed) * _MOST_TO_ONE):
        raise damaged(where, f"{size} bytes unpacked, expected no more than LZ4 can have packed")
    try:
        batch = pa.ipc.read_record_batch(pa.Codec("lz4").decompress(packed, size), schema)
        batch.validate(full=True)
    except (pa.ArrowException, ValueError, OSError, EOFError):  # without Arrow's words: they may quote values
        raise damaged(where, "bytes that are no Arrow record batch, expected one") from None
    if batch.num_rows != count:
        raise damaged(where, f"{batch.num_rows} rows, expected {count}")
    return batch


def read_schema(message: object, digest: bytes, where: str) -> pa.Schema:
    """A schema of its IPC message.

    Args:
        message: as kept; None where the store has none.
        digest: SHA-256 that the entry gives.
        where: what to call the entry in an error.

    Raises:
        Damaged: the message is not the one that was written.
    """
    if not isinstance(message, bytes) or hashlib.sha256(message).digest() != digest:
        raise damaged(where, "a schema that differs from the one written, expected its SHA-256")
    try:
        return pa.ipc.read_schema(pa.py_buffer(message))
    except (pa.ArrowException, ValueError, OSError, EOFError):
        raise damaged(where, "bytes that are no Arrow schema, expected one") from None


def damaged(where: str, found: str) -> Damaged:
    """The error of an entry that is not what was written."""
    return Damaged(
        f"{where}: rows: got {found}. The store is damaged: put this journal back from a copy, or aside, where it "
        "is kept but no longer drained"
    )


def moment(at: object) -> datetime | None:
    """A moment of its microseconds since the epoch, UTC; None where there are none that make sense."""
    try:
        return _EPOCH + timedelta(microseconds=at) if isinstance(at, int) else None
    except OverflowError:
        return None


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
