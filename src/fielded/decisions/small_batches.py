"""Digests of the rows of small batches: a live score must not wait for what pays only where rows are many.

The bytes are those of `decisions.chain`, version 1, written row by row from Python's values.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import repeat

import pyarrow as pa

from fielded.decisions.chain import LEFT_OUT, canonical_rows, row_digests

_SMALL = 96  # rows; of more at once, Arrow's ways are quicker
_LENGTH_BYTES = 4  # of a text

_Piece = Callable[[pa.Array], Iterable[bytes]]  # a leaf's bytes in each row; none where it is null
_TAGS = {
    pa.lib.Type_DOUBLE: b"d",
    pa.lib.Type_INT64: b"q",
    pa.lib.Type_TIMESTAMP: b"t",
    pa.lib.Type_BOOL: b"?",
    pa.lib.Type_STRING: b"s",
}


class SmallBatches:
    """`row_digests` of small batches that are alike, at a third of the cost: what follows from the schema, and
    from values that are the same in all of them, is made once.

    Args:
        schema: of the batches.
        shared: columns that have one value in every row of every batch, and that value.
    """

    def __init__(self, schema: pa.Schema, shared: Mapping[str, pa.Scalar]) -> None:
        self._plan: list[tuple[bytes, _Piece | None, tuple[int, int] | None]] = []  # constant, piece, its place
        constant = b""
        for path, kind, place in sorted(_places(schema)):
            name = path.decode()
            if name in shared:
                only = pa.RecordBatch.from_arrays([pa.array([shared[name]], shared[name].type)], [name])
                constant += canonical_rows(only)[0]
                continue
            self._plan.append((constant, _piece_of(_opening(path, kind), kind), place))
            constant = b""
        self._plan.append((constant, None, None))

    def digests(self, rows: pa.RecordBatch) -> list[bytes]:
        """As `row_digests`."""
        count = rows.num_rows
        if count > _SMALL:
            return row_digests(rows)
        parts: dict[int, list[pa.Array]] = {}
        pieces: list[Iterable[bytes]] = []
        for constant, piece, place in self._plan:
            if constant:
                pieces.append(repeat(constant, count))
            if piece is None or place is None:
                continue
            column, part = place
            if part < 0:
                pieces.append(piece(rows.column(column)))
                continue
            if column not in parts:
                parts[column] = rows.column(column).flatten()
            pieces.append(piece(parts[column][part]))
        sha256 = hashlib.sha256
        return [sha256(b"".join(row)).digest() for row in zip(*pieces, strict=True)]


def _places(schema: pa.Schema) -> Iterator[tuple[bytes, int, tuple[int, int]]]:
    """Path, Arrow's id of the type, and place (column, part or -1) of every leaf.

    Raises:
        ValueError: a type that only `row_digests` knows.
    """
    for column, field_ in enumerate(schema):
        if field_.name in LEFT_OUT:
            continue
        nested = isinstance(field_.type, pa.StructType)
        for part, leaf in enumerate(field_.type if nested else [field_]):
            kind = leaf.type
            if kind.id not in _TAGS or (
                kind.id == pa.lib.Type_TIMESTAMP and (kind.unit, kind.tz) != ("us", "UTC")
            ):
                raise ValueError(f"{leaf.name}: got {kind}, expected a float64, int64, boolean, text or timestamp")
            names = (field_.name, leaf.name) if nested else (leaf.name,)
            if any("." in name for name in names):
                raise ValueError(f"{'.'.join(names)}: got a name with a dot, expected none in it")
            yield ".".join(names).encode(), kind.id, (column, part if nested else -1)


def _opening(path: bytes, kind: int) -> bytes:
    return len(path).to_bytes(2, "little") + path + _TAGS[kind]


def _piece_of(opening: bytes, kind: int) -> _Piece:
    """What makes the bytes of one leaf, for each row; none where it is null."""
    if kind == pa.lib.Type_STRING:
        return lambda values: [
            b"" if text is None else opening + len(text).to_bytes(_LENGTH_BYTES, "little") + text
            for text in values.view(pa.binary()).to_pylist()
        ]
    if kind == pa.lib.Type_BOOL:
        either = {None: b"", False: opening + b"\x00", True: opening + b"\x01"}
        return lambda values: [either[value] for value in values.to_pylist()]

    def eights(values: pa.Array) -> list[bytes]:
        if values.null_count == len(values):
            return [b""] * len(values)
        octets = values.buffers()[1].to_pybytes()
        start = 8 * values.offset
        found = [opening + octets[at : at + 8] for at in range(start, start + 8 * len(values), 8)]
        if values.null_count:
            found = [
                one if valid else b"" for one, valid in zip(found, values.is_valid().to_pylist(), strict=True)
            ]
        return found

    return eights
