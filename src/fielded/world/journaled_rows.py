"""Rows of a data file that went through a journal: each row's digest and chain, computed again.

A run is rows of one journal that follow each other in the file with ascending numbers. Inside a run every row is
checked against the one before it; how runs join, within and across files, is for `decisions.seal_rules`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fielded.decisions.chain import row_digests
from fielded.decisions.journal_rules import Run
from fielded.decisions.rows import JOURNALED
from fielded.decisions.seals import RowName
from fielded.world.row_digests import RowsDigest, batches

_HEX = 64  # digits of a chain's head
_DIGEST = 32  # bytes


@dataclass(slots=True)
class JournaledRows:
    """What a file's journaled rows came to.

    Attributes:
        rows: how many there are.
        runs: in the file's order.
        broken: rows whose chain does not follow from the row before them and their own values.
        unreadable: rows whose chain is no digest or whose number is missing.
        displaced: rows that were not scored on the day that their partition says.
    """

    rows: int = 0
    runs: list[Run] = field(default_factory=list)
    broken: list[RowName] = field(default_factory=list)
    unreadable: list[RowName] = field(default_factory=list)
    displaced: list[RowName] = field(default_factory=list)


def has_journaled_rows(footer: pq.FileMetaData) -> bool:
    """Whether a file may hold rows of a journal, by its own statistics."""
    names = footer.schema.to_arrow_schema().names
    if not set(JOURNALED.names) <= set(names):
        return False
    place = next(i for i in range(footer.num_columns) if footer.schema.column(i).path == "journal")
    groups = (footer.row_group(group).column(place) for group in range(footer.num_row_groups))
    return any(
        column.statistics is None
        or not column.statistics.has_null_count
        or column.statistics.null_count < column.num_values
        for column in groups
    )


def read_journaled_rows(path: Path, day: str | None, digest: RowsDigest | None = None) -> JournaledRows:
    """Check a file's journaled rows.

    Args:
        path: the file.
        day: its partition, ISO; None checks no day.
        digest: takes in every row of the file, where it is given.

    Raises:
        OSError, pyarrow.ArrowException: it cannot be read.
        ValueError: a column has a type that no digest knows.
    """
    found = JournaledRows()
    start = 0
    for batch in batches(path):
        computed = None
        if digest is not None:
            computed = row_digests(batch)
            digest.add(computed)
        _check_batch(found, batch, start, day, computed)
        start += batch.num_rows
    return found


def _check_batch(
    found: JournaledRows, batch: pa.RecordBatch, start: int, day: str | None, digests: list[bytes] | None
) -> None:
    """Add what a batch has; its first row is the file's row `start + 1`."""
    if not set(JOURNALED.names) <= set(batch.schema.names):
        return
    journal = batch.column("journal")
    if journal.null_count == batch.num_rows:
        return
    numbers = np.arange(start + 1, start + batch.num_rows + 1)
    if journal.null_count:
        kept = journal.is_valid()
        batch = batch.filter(kept)
        mask = np.asarray(kept.to_numpy(zero_copy_only=False))
        numbers = numbers[mask]
        digests = None if digests is None else [digests[i] for i in np.flatnonzero(mask)]
    rows = _Rows(batch, numbers)
    found.rows += batch.num_rows
    found.displaced += [rows.name(i) for i in rows.displaced(day)]
    whole, odd = rows.well_formed()
    if odd:
        found.unreadable += [rows.name(i) for i in odd]
        batch, numbers = batch.filter(pa.array(whole)), numbers[whole]
        rows, digests = _Rows(batch, numbers), None
    if batch.num_rows:
        _link(found, rows, row_digests(batch) if digests is None else digests)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Journaled rows of one batch and their numbers in the file."""

    batch: pa.RecordBatch
    numbers: np.ndarray

    def name(self, place: int) -> RowName:
        return RowName(
            number=int(self.numbers[place]),
            request_id=self._text("request_id", place),
            subject=self._text("subject", place),
        )

    def _text(self, column: str, place: int) -> str | None:
        return self.batch.column(column)[place].as_py() if column in self.batch.schema.names else None

    def displaced(self, day: str | None) -> list[int]:
        if day is None:
            return []
        scored = pc.cast(self.batch.column("scored_at"), pa.date32())
        other = pc.fill_null(pc.not_equal(scored, pa.scalar(day).cast(pa.date32())), fill_value=True)
        return [int(i) for i in np.flatnonzero(other.to_numpy(zero_copy_only=False))]

    def well_formed(self) -> tuple[np.ndarray, list[int]]:
        """Which rows have a number and 64 hexadecimal digits as their chain, and the places of the others."""
        chain, sequence = self.batch.column("chain"), self.batch.column("journal_sequence")
        good = pc.fill_null(pc.match_substring_regex(chain, rf"^[0-9a-f]{{{_HEX}}}$"), fill_value=False)
        good = pc.and_(good, sequence.is_valid()).to_numpy(zero_copy_only=False)
        return good, [int(i) for i in np.flatnonzero(~good)]

    def heads(self) -> bytes:
        """The chain of all rows, 32 bytes each, one after the other."""
        chain = self.batch.column("chain").cast(pa.string())
        _, offsets, digits = chain.buffers()
        ends = np.frombuffer(offsets, np.int32)[chain.offset : chain.offset + len(chain) + 1]
        return bytes.fromhex(str(memoryview(digits)[ends[0] : ends[-1]], "ascii"))


def _link(found: JournaledRows, rows: _Rows, digests: list[bytes]) -> None:
    """Check each row against the one before it where they are of one run; open runs elsewhere."""
    heads = rows.heads()
    for begin, end, journal, first in _stretches(rows.batch):
        place = begin
        run = found.runs[-1] if found.runs else None
        if run is None or run.journal != journal or run.last + 1 != first:
            head = heads[begin * _DIGEST : (begin + 1) * _DIGEST]
            run = Run(
                journal=journal, first=first, last=first, digest=digests[begin], head=head, end=head,
                opening=rows.name(begin),
            )  # fmt: skip
            found.runs.append(run)
            place = begin + 1
        stored = heads[place * _DIGEST : end * _DIGEST]
        before = run.end + stored[:-_DIGEST] if stored else b""
        sha256 = hashlib.sha256
        computed = b"".join(
            [
                sha256(before[i * _DIGEST : (i + 1) * _DIGEST] + digest).digest()
                for i, digest in enumerate(digests[place:end])
            ]
        )
        if computed != stored:
            found.broken += [
                rows.name(place + i)
                for i in range(end - place)
                if computed[i * _DIGEST : (i + 1) * _DIGEST] != stored[i * _DIGEST : (i + 1) * _DIGEST]
            ]
        run.last, run.end = first + (end - begin) - 1, heads[(end - 1) * _DIGEST : end * _DIGEST]


def _stretches(batch: pa.RecordBatch) -> Iterator[tuple[int, int, str, int]]:
    """Begin, end, journal and first number of rows that follow each other in one journal."""
    codes = batch.column("journal").dictionary_encode()
    names: list[Any] = codes.dictionary.to_pylist()
    journal = codes.indices.to_numpy(zero_copy_only=False)
    number = batch.column("journal_sequence").to_numpy(zero_copy_only=False)
    cuts = np.flatnonzero((np.diff(journal) != 0) | (np.diff(number) != 1)) + 1
    begins = [0, *cuts.tolist()]
    for begin, end in zip(begins, [*begins[1:], batch.num_rows], strict=True):
        yield begin, end, names[journal[begin]], int(number[begin])
