"""What can be told of the rows of a data file whose bytes are not the sealed ones (rule 15).

The digest says that a file changed, not where. Where is told, as far as it can be, by the checksums of its pages,
by ids that come twice or out of order, and by the gold table, which has a copy of what a run scored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fielded.decisions.seals import Broken, SealedFile

MOST = 50  # rows of one kind that are named; of more, only how many

_ID = "request_id"
_COMPARED = ("subject", "score", "flag", "decision", "threshold", "model_name", "model_version", "scored_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a run's rows were, from elsewhere.

    Attributes:
        name: where they are from.
        rows: `request_id` and the columns to compare, all rows that the file should have.
        whole: the file should have every one of them.
    """

    name: str
    rows: pa.Table
    whole: bool


def look_into(table: str, folder: Path, file: SealedFile, references: Sequence[Reference]) -> list[Broken]:
    """What of a changed file's rows can be told."""
    path = folder / file.path
    where: dict[str, Any] = {"rule": 15, "table": table, "file": file.path}
    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        got = "no footer at its end: it was cut off, or something else put in its place"
        return [Broken(**where, got=got, expected=f"a Parquet file of {file.rows} rows")]
    broken = []
    if footer.num_rows != file.rows:
        broken.append(Broken(**where, got=f"{footer.num_rows} rows", expected=f"{file.rows} rows"))
    damaged = list(_damaged(path, footer))
    broken += [Broken(**where, got=got, expected="pages as they were written") for got in damaged]
    if damaged or _ID not in footer.schema.to_arrow_schema().names:
        return broken
    names = [name for name in (_ID, *_COMPARED) if name in footer.schema.to_arrow_schema().names]
    try:
        rows = pq.read_table(path, columns=names, partitioning=None)
        broken += _limited(where, list(_out_of_place(where, rows)))
        for reference in references:
            broken += _limited(where, list(_differing(where, rows, reference)))
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        got = f"rows that cannot be compared ({type(error).__name__})"
        broken.append(Broken(**where, got=got, expected="columns as they were written"))
    return broken


def _limited(where: dict[str, Any], found: list[Broken]) -> list[Broken]:
    if len(found) <= MOST:
        return found
    rest = Broken(**where, got=f"{len(found) - MOST} rows more like these", expected="none")
    return [*found[:MOST], rest]


def _damaged(path: Path, footer: pq.FileMetaData) -> Iterator[str]:
    """Column chunks whose pages fail their checksum or cannot be read."""
    start = 0
    with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
        for group in range(footer.num_row_groups):
            count = footer.row_group(group).num_rows
            for column in dict.fromkeys(_tops(footer)):
                try:
                    file.read_row_group(group, columns=[column], use_threads=False)
                except (OSError, pa.ArrowException):
                    yield f"a page of column {column} that is damaged, in rows {start + 1} to {start + count}"
            start += count


def _tops(footer: pq.FileMetaData) -> Iterator[str]:
    for place in range(footer.num_columns):
        yield footer.schema.column(place).path.split(".")[0]


def _out_of_place(where: dict[str, Any], rows: pa.Table) -> Iterator[Broken]:
    """Ids that are there twice, and those below the one before them although both rows are of one moment."""
    ids = rows.column(_ID).combine_chunks()
    counted = pc.value_counts(ids)
    twice = set(counted.filter(pc.greater(counted.field("counts"), 1)).field("values").to_pylist())
    seen: set[str] = set()
    texts = ids.to_pylist()
    for place in (
        np.flatnonzero(pc.is_in(ids, value_set=pa.array(sorted(twice), pa.string()))).tolist() if twice else ()
    ):
        if texts[place] in seen:
            yield _at(where, rows, place, "a request id that is there already", "each once")
        seen.add(texts[place])
    if "scored_at" not in rows.column_names or rows.num_rows < 2:  # noqa: PLR2004 - a pair
        return
    moments = rows.column("scored_at").combine_chunks()
    same = pc.equal(moments[1:], moments[:-1])
    falls = pc.and_(pc.less(ids[1:], ids[:-1]), same)
    for place in np.flatnonzero(falls.to_numpy(zero_copy_only=False)).tolist():
        yield _at(where, rows, place + 1, "a request id below that of the row before it", "ids that ascend")


def _differing(where: dict[str, Any], rows: pa.Table, reference: Reference) -> Iterator[Broken]:
    """Rows that differ from the reference's, and those that only one of them has."""
    ids, theirs = rows.column(_ID).combine_chunks(), reference.rows.column(_ID).combine_chunks()
    places = pc.index_in(ids, value_set=theirs)
    for place in np.flatnonzero(places.is_null().to_numpy(zero_copy_only=False)).tolist():
        yield _at(where, rows, place, f"a row that {reference.name} does not have", "none such")
    both = places.is_valid()
    here, there = rows.filter(both), reference.rows.take(places.drop_null())
    origins = np.flatnonzero(both.to_numpy(zero_copy_only=False))
    names = [name for name in rows.column_names if name != _ID and name in there.column_names]
    differing: dict[int, list[str]] = {}
    for name in names:
        other = there.column(name).cast(here.column(name).type)
        unlike = pc.fill_null(pc.not_equal(here.column(name), other), fill_value=True)
        for place in np.flatnonzero(unlike.to_numpy()).tolist():
            differing.setdefault(int(origins[place]), []).append(name)
    for place, columns in sorted(differing.items()):
        yield _at(where, rows, place, f"another {', '.join(columns)} than in {reference.name}", "the same")
    if reference.whole:
        gone = reference.rows.filter(pc.invert(pc.is_in(theirs, value_set=ids)))
        for row in gone.select([_ID, "subject"]).slice(0, MOST + 1).to_pylist():
            yield Broken(
                **where, request_id=row[_ID], subject=row["subject"], got="no such row",
                expected=f"the row that {reference.name} has",
            )  # fmt: skip


def _at(where: dict[str, Any], rows: pa.Table, place: int, got: str, expected: str) -> Broken:
    subject = rows.column("subject")[place].as_py() if "subject" in rows.column_names else None
    return Broken(
        **where,
        row=place + 1,
        request_id=rows.column(_ID)[place].as_py(),
        subject=subject,
        got=got,
        expected=expected,
    )
