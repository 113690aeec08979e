"""What a row is, byte for byte, and the hash chain over rows of a journal.

The canonical bytes of a row, version 1. An outside verifier must come to the same ones, so they depend on
nothing but the values:

1. a leaf is a column without parts, or a part of a struct; its path is the names from the column down, joined
   by `.`; a name with a dot of its own is refused, for two paths could then read alike;
2. leaves that are null (or whose struct is) are left out, so a column added later changes no old row;
3. leaves are ordered by the bytes of their path (UTF-8);
4. each is: u16 length of the path, path, one tag byte, value:
       `d` float64       its 8 bytes as stored: -0.0 is not 0.0, and one NaN is not another
       `q` whole number  8 bytes; date: the days since 1970-01-01
       `?` boolean       one byte, 0 or 1
       `t` timestamp     8 bytes, microseconds since 1970-01-01 UTC
       `s` text          u32 length in bytes, UTF-8
       `l` list          u32 count, then each element: u32 length, and its canonical bytes as if it were a row
                         (a struct's parts are its columns; anything else is one column with an empty name);
5. all numbers are little-endian, whole ones in two's complement;
6. the columns `chain` (it is made from these bytes) and the partition (it is made from a column that is there)
   are no part of it.

Arrow's ways of storing one value (dictionary, large or view text, chunks, slices) make no difference. A table
is encoded without a step of Python for each value: fixed-width leaves are written side by side into one
matrix, and Arrow joins those with the texts.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LEFT_OUT = frozenset({"chain", "scored_date", "occurred_date"})

_OPENING = b"fielded journal v1\n"
_ROWS = 8192  # encoded at once: their bytes stay in the processor's cache
_TEXT_LENGTH = 4  # bytes
_MOST_BYTES = (1 << 31) - 1  # of one of Arrow's binary arrays
_LONGEST_PATH = (1 << 16) - 1  # bytes

# Arrow's ids of types: asking for them is many times faster than `pa.types.is_...`.
_TEXTS: dict[int, type[np.signedinteger]] = {
    pa.lib.Type_STRING: np.int32,
    pa.lib.Type_LARGE_STRING: np.int64,
}  # width of their offsets
_LISTS: dict[int, type[np.signedinteger]] = {pa.lib.Type_LIST: np.int32, pa.lib.Type_LARGE_LIST: np.int64}


def row_digests(rows: pa.RecordBatch | pa.Table) -> list[bytes]:
    """SHA-256 of each row's canonical bytes, 32 bytes each, in order.

    Raises:
        ValueError: a column has a type without canonical bytes, or a name with a dot.
    """
    return [digest for encoded in _encoded(rows) for digest in _each_sha256(encoded)]


def canonical_rows(rows: pa.RecordBatch | pa.Table) -> list[bytes]:
    """The canonical bytes themselves, for somebody who looks for what differs.

    Raises:
        ValueError: as `row_digests`.
    """
    return [row for encoded in _encoded(rows) for row in encoded.to_pylist()]


def start_of(journal: str) -> bytes:
    """Head of an empty journal's chain, 32 bytes: no two journals have one in common."""
    return hashlib.sha256(_OPENING + journal.encode()).digest()


def link(head: bytes, digests: Sequence[bytes]) -> list[bytes]:
    """The chain's head after each row: SHA-256 of the head before it and the row's digest.

    Args:
        head: where the chain stands, 32 bytes.
        digests: of the rows that follow, in order, 32 bytes each.
    """
    heads = []
    for digest in digests:
        head = hashlib.sha256(head + digest).digest()
        heads.append(head)
    return heads


def unordered_digest(digests: Iterable[bytes]) -> bytes:
    """One digest of many rows, the same in whichever order they stand: SHA-256 of the sorted digests."""
    return hashlib.sha256(b"".join(sorted(digests))).digest()


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A column without parts, and its path (UTF-8)."""

    path: bytes
    values: pa.Array

    def opening(self, tag: bytes) -> bytes:
        if len(self.path) > _LONGEST_PATH:
            raise ValueError(f"name: got {len(self.path)} bytes, expected at most {_LONGEST_PATH}")
        return len(self.path).to_bytes(2, "little") + self.path + tag


@dataclass(frozen=True, slots=True)
class _Texts:
    """Byte strings of one column: those of row i are `data[offsets[i]:offsets[i + 1]]`."""

    offsets: np.ndarray
    data: pa.Buffer

    @property
    def lengths(self) -> np.ndarray:
        return np.asarray(self.offsets[1:] - self.offsets[:-1])

    def array(self, valid: pa.Buffer | None = None) -> pa.Array:
        """As a binary array; `valid` is a bitmap."""
        first, last = int(self.offsets[0]), int(self.offsets[-1])
        offsets = pa.py_buffer((self.offsets - first).astype(np.int32))
        data = self.data.slice(first, last - first)
        return pa.Array.from_buffers(pa.binary(), len(self.offsets) - 1, [valid, offsets, data])


@dataclass(slots=True)
class _Matrix:
    """Bytes that have one width in every row: a template, and the places where rows differ."""

    rows: int
    template: bytearray = field(default_factory=bytearray)
    places: list[tuple[int, np.ndarray]] = field(default_factory=list)

    def constant(self, octets: bytes) -> None:
        self.template += octets

    def numbers(self, values: np.ndarray) -> None:
        """One number for each row, or one row of bytes (uint8, rows x width)."""
        self.places.append((len(self.template), values))
        self.template += bytes(values.nbytes // self.rows)

    def array(self, valid: pa.Buffer | None = None) -> pa.Array:
        """As a binary array; `valid` is a bitmap."""
        width = len(self.template)
        if width * self.rows > _MOST_BYTES:
            raise OverflowError(f"rows: got {width * self.rows} bytes at once, expected at most {_MOST_BYTES}")
        out = np.empty((self.rows, width), dtype=np.uint8)
        out[:] = np.frombuffer(self.template, dtype=np.uint8)
        for place, values in self.places:
            if values.ndim == 2:  # noqa: PLR2004 - bytes
                out[:, place : place + values.shape[1]] = values
            else:
                np.ndarray(self.rows, values.dtype, out, place, (width,))[:] = values
        offsets = np.arange(self.rows + 1, dtype=np.int32) * np.int32(width)
        return pa.Array.from_buffers(pa.binary(), self.rows, [valid, pa.py_buffer(offsets), pa.py_buffer(out)])


class _Pieces:
    """Binary arrays that make up the rows once they are joined; what has a fixed width is gathered first."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._done: list[pa.Array] = []
        self._open = _Matrix(rows)

    @cached_property
    def joined(self) -> pa.Array:
        self._close()
        if not self._done:
            return _Matrix(self._rows).array()
        if len(self._done) == 1 and not self._done[0].null_count:
            return self._done[0]
        return pc.binary_join_element_wise(*self._done, _NOTHING, null_handling="replace", null_replacement="")

    def fixed(self, opening: bytes, values: np.ndarray | bytes, valid: pa.Buffer | None) -> None:
        """A value of one width in every row; where `valid` has a 0, the opening is left out too."""
        into = self._open if valid is None else _Matrix(self._rows)
        into.constant(opening)
        if isinstance(values, bytes):
            into.constant(values)
        else:
            into.numbers(values)
        if valid is not None:
            self._close()
            self._done.append(into.array(valid))

    def varying(self, texts: _Texts, valid: pa.Buffer | None) -> None:
        self._close()
        self._done.append(texts.array(valid))

    def _close(self) -> None:
        if self._open.template:
            self._done.append(self._open.array())
            self._open = _Matrix(self._rows)


def _nothing() -> pa.Scalar:
    """An empty binary scalar. Given a Python value, Arrow imports pandas to see what it was given."""
    return pa.Array.from_buffers(pa.binary(), 1, [None, pa.py_buffer(bytes(8)), pa.py_buffer(b"")])[0]


_NOTHING = _nothing()
_NO_BYTES = pa.py_buffer(b"")


def _each_sha256(encoded: pa.Array) -> Iterator[bytes]:
    _, offsets, data = encoded.buffers()
    ends = np.frombuffer(offsets, np.int32)[encoded.offset : encoded.offset + len(encoded) + 1].tolist()
    octets = memoryview(data) if data is not None else memoryview(b"")
    sha256 = hashlib.sha256
    begin = ends[0]
    for end in ends[1:]:
        yield sha256(octets[begin:end]).digest()
        begin = end


def _encoded(rows: pa.RecordBatch | pa.Table) -> Iterator[pa.Array]:
    """Canonical bytes of rows, as binary arrays without nulls; none of them is empty."""
    for batch in rows.to_batches() if isinstance(rows, pa.Table) else (rows,):
        for first in range(0, batch.num_rows, _ROWS):
            yield from _encoded_block(batch if batch.num_rows <= _ROWS else batch.slice(first, _ROWS))


def _encoded_block(block: pa.RecordBatch) -> Iterator[pa.Array]:
    columns = zip(block.schema.names, block.columns, strict=True)
    leaves = _leaves((name, column) for name, column in columns if name not in LEFT_OUT)
    try:
        encoded = _encoded_leaves(leaves, block.num_rows)
    except (OverflowError, pa.ArrowCapacityError, pa.ArrowInvalid):  # long texts: fewer rows at once
        half = block.num_rows // 2
        if not half:
            raise
        yield from _encoded_block(block.slice(0, half))
        yield from _encoded_block(block.slice(half))
    else:
        yield encoded


def _leaves(columns: Iterable[tuple[str, pa.Array]], above: str = "") -> list[_Leaf]:
    """Every leaf, in no order."""
    found: list[_Leaf] = []
    for name, values in columns:
        if "." in name:
            raise ValueError(f"{above}{name}: got a name with a dot, expected none in it")
        if isinstance(values, pa.StructArray):
            names = [part.name for part in values.type]
            found += _leaves(zip(names, values.flatten(), strict=True), f"{above}{name}.")
        else:
            found.append(_Leaf(f"{above}{name}".encode(), values))
    return found


def _encoded_leaves(leaves: Sequence[_Leaf], rows: int) -> pa.Array:
    pieces = _Pieces(rows)
    before = None
    for leaf in sorted(leaves, key=attrgetter("path")):
        if leaf.path == before:
            raise ValueError(f"{leaf.path.decode()}: got two columns of this name, expected one")
        before = leaf.path
        if leaf.values.null_count < rows and not pa.types.is_null(leaf.values.type):
            _encode(leaf, pieces)
    return pieces.joined


def _encode(leaf: _Leaf, pieces: _Pieces) -> None:
    """Add one leaf, not null in all rows, to the pieces."""
    values = leaf.values
    if isinstance(values, pa.DictionaryArray):
        only = _only_value(values)
        if only is not None:
            pieces.fixed(leaf.opening(b"s"), len(only).to_bytes(_TEXT_LENGTH, "little") + only, None)
            return
        values = values.dictionary.take(values.indices)
        if values.null_count == len(values):
            return
    kind = values.type.id
    if kind == pa.lib.Type_STRING_VIEW:
        values, kind = values.cast(pa.string()), pa.lib.Type_STRING
    valid = _valid(values)
    if kind in _TEXTS:
        _encode_texts(leaf.opening(b"s"), _texts(values, _TEXTS[kind]), pieces, valid)
    elif kind == pa.lib.Type_BOOL:
        pieces.fixed(leaf.opening(b"?"), _booleans(values), valid)
    elif kind in _LISTS:
        _encode_lists(leaf.opening(b"l"), values, pieces, valid)
    else:
        tag, numbers = _numbers(leaf, values)
        pieces.fixed(leaf.opening(tag), numbers, valid)


def _only_value(values: pa.DictionaryArray) -> bytes | None:
    """The text that a dictionary array has in every row, if its dictionary shows it at once."""
    words = values.dictionary
    if len(words) != 1 or values.null_count or words.null_count or not pa.types.is_string(words.type):
        return None
    return bytes(words.view(pa.binary())[0].as_buffer())


def _valid(values: pa.Array) -> pa.Buffer | None:
    """Bitmap of the rows that are not null, from its first bit; None where none is null."""
    if not values.null_count:
        return None
    bits = values.is_valid()
    return pa.py_buffer(np.packbits(_booleans(bits), bitorder="little")) if bits.offset else bits.buffers()[1]


def _booleans(values: pa.Array) -> np.ndarray:
    """0 or 1, uint8."""
    bits = np.frombuffer(values.buffers()[1], np.uint8)
    return np.unpackbits(bits, count=values.offset + len(values), bitorder="little")[values.offset :]


def _numbers(leaf: _Leaf, values: pa.Array) -> tuple[bytes, np.ndarray]:
    """The tag and the 8 bytes of each value, as int64: moving a float could quiet a NaN, moving an integer not."""
    kind = values.type
    if kind.id == pa.lib.Type_DOUBLE:
        tag = b"d"
    elif kind.id == pa.lib.Type_INT64:
        tag = b"q"
    elif kind.id == pa.lib.Type_TIMESTAMP and kind.tz is not None:
        tag, values = b"t", values if kind.unit == "us" else values.cast(pa.timestamp("us", kind.tz))
    elif kind.id == pa.lib.Type_DATE32:
        tag, values = b"q", values.view(pa.int32()).cast(pa.int64())
    elif pa.types.is_integer(kind) and kind.id != pa.lib.Type_UINT64:
        tag, values = b"q", values.cast(pa.int64())
    else:
        raise ValueError(
            f"{leaf.path.decode()}: got {kind}, expected float64, a signed whole number, boolean, text, date, "
            "a timestamp with a zone, or a struct or list of these"
        )
    every = np.frombuffer(values.buffers()[1], "<i8")
    return tag, every[values.offset : values.offset + len(values)]


def _texts(values: pa.Array, width: type[np.signedinteger]) -> _Texts:
    _, offsets, data = values.buffers()
    every = np.frombuffer(offsets, width)
    return _Texts(every[values.offset : values.offset + len(values) + 1], data or _NO_BYTES)


def _encode_texts(opening: bytes, texts: _Texts, pieces: _Pieces, valid: pa.Buffer | None) -> None:
    """Texts of one length are as good as numbers; others are a piece of their own behind their lengths."""
    lengths = texts.lengths
    width = int(lengths[0])
    if valid is None and width and bool((lengths == width).all()):
        pieces.fixed(opening + width.to_bytes(_TEXT_LENGTH, "little"), _side_by_side(texts, width), None)
        return
    pieces.fixed(opening, lengths.astype("<u4"), valid)
    pieces.varying(texts, valid)


def _side_by_side(texts: _Texts, width: int) -> np.ndarray:
    """Texts of one length as bytes, rows x width."""
    octets = np.frombuffer(texts.data, np.uint8)
    return octets[texts.offsets[0] : texts.offsets[-1]].reshape(-1, width)


def _encode_lists(opening: bytes, values: pa.Array, pieces: _Pieces, valid: pa.Buffer | None) -> None:
    """Elements are encoded as rows; one row's stand side by side, so a list is a stretch of their bytes."""
    offsets = np.frombuffer(values.buffers()[1], _LISTS[values.type.id])[
        values.offset : values.offset + len(values) + 1
    ]
    first, last = int(offsets[0]), int(offsets[-1])
    elements = values.values.slice(first, last - first)
    pieces.fixed(opening, np.diff(offsets).astype("<u4"), valid)
    if first == last:
        return
    if isinstance(elements, pa.StructArray):
        names = [part.name for part in elements.type]
        inner = _leaves(zip(names, elements.flatten(), strict=True))
    else:
        inner = [_Leaf(b"", elements)]
    encoded = _texts_of(_encoded_leaves(inner, last - first))
    each = _Pieces(last - first)
    each.fixed(b"", encoded.lengths.astype("<u4"), None)
    each.varying(encoded, None)
    stretches = _texts_of(each.joined)
    pieces.varying(_Texts(stretches.offsets[offsets - first], stretches.data), valid)


def _texts_of(encoded: pa.Array) -> _Texts:
    _, offsets, data = encoded.buffers()
    ends = np.frombuffer(offsets, np.int32)[encoded.offset : encoded.offset + len(encoded) + 1]
    return _Texts(ends, data or _NO_BYTES)
