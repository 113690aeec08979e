"""Put the many small files of a past day into few, without touching a row.

A day of the API leaves some hundred small files, one for each drain. Readers open each of them.

1. what is there is sealed first, so that the small files' bytes are known;
2. their rows are copied to new files in the order of the log, and the digests of all rows compared on both sides;
3. one commit puts the new files in the place of the old;
4. it is sealed as a rewrite, for which the old files' bytes and all rows are compared once more.

Large files are left alone, and so is a day that has few small ones. The old files stay on disk until somebody
cleans up (`deltalake.DeltaTable.vacuum`): time travel needs them, verifying does not. Object stores and Databricks
may compact with their own `OPTIMIZE`: it is sealed in the same way, as long as that happens before a clean-up.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.transaction import RemoveAction

from fielded.decisions.chain import row_digests
from fielded.services.seal import LedgerBooks, seal
from fielded.words.errors import Refused, WrongUse
from fielded.world.data_files import DataFiles
from fielded.world.ledger_tables import ledger_tables
from fielded.world.row_digests import RowsDigest, batches, rows_sha256
from fielded.world.seals import Seals
from fielded.world.tables import Commit, metadata_of

SMALL = 16 << 20  # bytes; a larger file is left alone
FEW = 8  # so many small files are left alone, too
_LARGE = 128 << 20  # bytes of a new file, about
_GROUP_ROWS = 131_072  # rows of one row group, and in memory at once
_PLAIN = frozenset({"request_id", "subject", "score", "chain", "event_id", "body", "hash"})


@dataclass(frozen=True, slots=True)
class Compacted:
    """What became of one table's day.

    Attributes:
        table: its name.
        before: small files there were.
        after: files that took their place.
        rows: in them.
    """

    table: str
    before: int
    after: int
    rows: int


@dataclass(frozen=True, slots=True)
class _Small:
    """A small file, as the log has it."""

    path: str
    size: int
    rows: int


def compact(books: LedgerBooks, day: date) -> list[Compacted]:
    """Compact a past day of every table of the ledger, seals included.

    Args:
        books: the deployment at its site.
        day: before today (UTC): nothing is written to it any more but by a back-fill, which does not disturb.

    Returns:
        What was done; empty where there were few small files.

    Raises:
        WrongUse: the day is not over.
        Refused: something is not as it was sealed; nothing was changed.
    """
    today = books.clock().date()
    if day >= today:
        raise WrongUse(f"day: got {day}, expected a day before today, {today}")
    seal(books)
    names = ledger_tables(books.site, books.deployment.name)
    seals = Seals(books.tables, books.site, books.deployment.name).name
    done: list[Compacted] = []
    for name in (names.predictions, names.quarantine, names.events, names.outcomes, seals):
        table = books.tables.find(name)
        if table is not None:
            done += _compact(books, name, table, day)
    if done:
        seal(books)
    return done


def compact_past(books: LedgerBooks) -> list[Compacted]:
    """Compact every past day that has many small files in a table of the ledger; see `compact`."""
    today = books.clock().date()
    names = ledger_tables(books.site, books.deployment.name)
    counts: Counter[date] = Counter()
    for name in (names.predictions, names.quarantine, names.events, names.outcomes):
        table = books.tables.find(name)
        if table is None:
            continue
        (partition,) = table.metadata().partition_columns
        actions = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all().to_pylist()
        of_table = Counter(one[f"partition.{partition}"] for one in actions if one["size_bytes"] < SMALL)
        counts |= of_table  # the table with the most small files decides
    return [
        done
        for day, count in sorted(counts.items())
        if day < today and count > FEW
        for done in compact(books, day)
    ]


def _compact(books: LedgerBooks, name: str, table: DeltaTable, day: date) -> Iterator[Compacted]:
    """Compact one table's day, apart for each set of columns that its files have."""
    folder = Path(books.tables.uri(name))
    (partition,) = table.metadata().partition_columns
    alike: dict[str, list[_Small]] = {}
    for file in _small_files(table, partition, day):
        alike.setdefault(str(pq.read_schema(folder / file.path).remove_metadata()), []).append(file)
    for files in alike.values():
        if len(files) <= FEW:
            continue
        rows, size = sum(file.rows for file in files), sum(file.size for file in files)
        with DataFiles(
            str(folder),
            (partition, day),
            f"compacted-{books.random_bytes(12).hex()}",
            rows_per_file=max(_GROUP_ROWS, rows * _LARGE // max(size, 1)),
            plain=_PLAIN,
            rewrite=True,
        ) as new:
            _copy(folder, files, new)
            after = len(new.added)
            if _replace(books, name, files, new, (partition, day)):
                yield Compacted(name, len(files), after, rows)


def _small_files(table: DeltaTable, partition: str, day: date) -> list[_Small]:
    """Small files of a day, in the order in which they were committed."""
    actions = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all().to_pylist()
    ours = [one for one in actions if one[f"partition.{partition}"] == day and one["size_bytes"] < SMALL]
    ours.sort(key=lambda one: (one["modification_time"], one["path"]))
    return [_Small(one["path"], one["size_bytes"], one["num_records"] or 0) for one in ours]


def _copy(folder: Path, files: Sequence[_Small], new: DataFiles) -> None:
    """Copy all rows, and see that all of them arrived as they were."""
    digest = RowsDigest()
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in (batch for file in files for batch in batches(folder / file.path)):
        digest.add(row_digests(batch))
        if held and count + batch.num_rows > _GROUP_ROWS:
            new.write(_one(held))
            held, count = [], 0
        held.append(batch)
        count += batch.num_rows
    if held:
        new.write(_one(held))
    new.close()
    written = rows_sha256(folder / action.path for action in new.added)
    if written != digest.hexdigest():
        raise Refused(f"{folder.name}: got rows {written} in the new files, expected {digest.hexdigest()}")


def _one(held: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(held).combine_chunks().to_batches()[0]


def _replace(
    books: LedgerBooks, name: str, files: Sequence[_Small], new: DataFiles, partition: tuple[str, date]
) -> bool:
    """Put the new files in the place of the old; False (and the new deleted) where somebody else did so."""
    values: dict[str, str | None] = {partition[0]: partition[1].isoformat()}
    moment = int(books.clock().timestamp() * 1000)
    removed = [
        RemoveAction(
            file.path, data_change=False, deletion_timestamp=moment, size=file.size, partition_values=values
        )
        for file in files
    ]

    def decide(table: DeltaTable) -> Commit | None:
        present = set(pa.table(table.get_add_actions()).column("path").to_pylist())
        if not present.issuperset(file.path for file in files):
            return None
        return Commit(add=new.offer(), remove=removed, transactions={}, metadata=metadata_of(new))

    if books.tables.commit(name, decide) is not None:
        return True
    new.discard()
    return False
