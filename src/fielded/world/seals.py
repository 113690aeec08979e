"""The `seals` table: leaves and signed checkpoints of one tree for each ledger table.

Append only, and only onto what was there: a commit carries, for each tree that grows, the application
transactions `tree/<table>` (its size) and `tree/<table>/at` (the version of `seals` that has its last
checkpoint). Two that seal at once therefore get in one after the other, the second with what the first left.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable

from fielded.decisions.merkle import Frontier, leaf_hash
from fielded.decisions.rows import TIMESTAMP
from fielded.decisions.seal_rules import CheckpointRow, LeafRow
from fielded.decisions.seals import Leaf
from fielded.definition.site import Site
from fielded.words.errors import Refused
from fielded.words.identifiers import RandomBytes
from fielded.world.data_files import DataFiles
from fielded.world.delta_log import read_entry
from fielded.world.delta_reading import dataset_of
from fielded.world.regular_files import open_regular
from fielded.world.tables import Commit, DeltaTables, metadata_of

SEALS = pa.schema(
    [
        ("tree", pa.string()),  # predictions, quarantine, events or outcomes
        ("kind", pa.string()),  # leaf or checkpoint
        ("place", pa.int64()),  # of a leaf: its number from 0; of a checkpoint: the tree's size
        ("version", pa.int64()),  # Delta version that the leaf seals, or the last that the checkpoint covers
        ("body", pa.string()),  # the leaf's text, or the signed note
        ("hash", pa.string()),  # the leaf's hash, or the root; 64 hexadecimal digits
        ("frontier", pa.string()),  # of a checkpoint: hashes to go on from, JSON; it proves nothing
        ("sealed_at", TIMESTAMP),
        ("sealed_date", pa.date32()),
    ]
)
SEALED = "sealed_date"
TREES = ("predictions", "quarantine", "events", "outcomes")  # ledger tables that have a tree

_COLUMNS = ["tree", "kind", "place", "version", "body", "hash", "sealed_at"]
_LEAF, _CHECKPOINT = "leaf", "checkpoint"


@dataclass(frozen=True, slots=True)
class End:
    """Where a tree stands.

    Attributes:
        frontier: of the tree.
        version: last Delta version that is sealed; -1 where none is.
        log_sha256: of that version's log entry.
        note: the last signed checkpoint; empty where there is none.
    """

    frontier: Frontier = field(default_factory=Frontier)
    version: int = -1
    log_sha256: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What one sealing adds to a tree.

    Attributes:
        leaves: new ones, in order; never empty.
        note: the checkpoint over the tree with them, signed.
        frontier: of that tree.
        sealed_at: time of the checkpoint, UTC.
    """

    leaves: Sequence[Leaf]
    note: str
    frontier: Frontier
    sealed_at: datetime


@dataclass(slots=True)
class Stored:
    """What the `seals` table has. Nothing of it is believed yet.

    Attributes:
        leaves: by tree, then by number.
        checkpoints: by tree, then by size.
        unreadable: data files that cannot be read.
        odd: file and number, from 1, of rows that are neither leaf nor checkpoint of a table of the ledger.
    """

    leaves: dict[str, list[LeafRow]] = field(default_factory=dict)
    checkpoints: dict[str, list[CheckpointRow]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    odd: list[tuple[str, int]] = field(default_factory=list)


class Seals:
    """The seals of one deployment's ledger.

    Args:
        tables: the site's tables.
        site: for the ledger's place.
        deployment: its name.
    """

    def __init__(self, tables: DeltaTables, site: Site, deployment: str) -> None:
        self._tables = tables
        self.name = f"{site.ledger}.{deployment}.seals"
        self.folder = Path(tables.uri(self.name))

    def ends(self, trees: Sequence[str]) -> dict[str, End]:
        """Where trees stand."""
        table = self._tables.find(self.name)
        return {tree: End() if table is None else self._end(table, tree) for tree in trees}

    def append(
        self, trees: Sequence[str], grow: Callable[[Mapping[str, End]], Mapping[str, Growth]], random: RandomBytes
    ) -> Mapping[str, Growth]:
        """Let trees grow, all in one commit.

        Args:
            trees: their names.
            grow: given where the trees stand, what is new of each; asked again where another was first.
            random: for file names.

        Returns:
            What was added; empty where `grow` found nothing new.

        Raises:
            Unreachable: others were first every time, or the store failed.
        """
        self._tables.ensure(self.name, SEALS, partition=SEALED, append_only=True)
        attempts: list[DataFiles] = []
        grown: dict[str, Growth] = {}

        def decide(table: DeltaTable) -> Commit | None:
            grown.clear()
            grown.update(grow({tree: self._end(table, tree) for tree in trees}))
            if not grown:
                return None
            attempts.append(self._write(grown, random))
            version = table.version() + 1
            transactions = {f"tree/{tree}": growth.frontier.size for tree, growth in grown.items()}
            transactions |= {f"tree/{tree}/at": version for tree in grown}
            return Commit(add=attempts[-1].offer(), transactions=transactions, metadata=metadata_of(attempts[-1]))

        committed = self._tables.commit(self.name, decide)
        if attempts[1:] or committed is None:
            self._discard(attempts)
        return grown

    def stored(self) -> Stored:
        """Everything that the table has, file by file, so that one damaged file hides no other.

        Raises:
            Unreachable: the table cannot be opened.
        """
        found = Stored()
        table = self._tables.find(self.name)
        if table is None:
            return found
        for name in sorted(pa.table(table.get_add_actions()).column("path").to_pylist()):
            try:
                rows = _read_rows(self.folder, unquote(name))
            except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, ArithmeticError):
                found.unreadable.append(name)
                continue
            for number, row in enumerate(rows, 1):
                _store(found, name, number, row)
        for leaves in found.leaves.values():
            leaves.sort(key=lambda leaf: leaf.place)
        for checkpoints in found.checkpoints.values():
            checkpoints.sort(key=lambda checkpoint: checkpoint.place)
        return found

    def _write(self, grown: Mapping[str, Growth], random: RandomBytes) -> DataFiles:
        """One file with all that is new: it lies in the partition of the newest checkpoint's day."""
        day = max(growth.sealed_at for growth in grown.values()).date()
        schema = pa.schema([one for one in SEALS if one.name != SEALED])
        rows = [row for tree, growth in grown.items() for row in _rows_of(tree, growth)]
        uri = self._tables.uri(self.name)
        with DataFiles(uri, (SEALED, day), f"seal-{random(12).hex()}", rows_per_file=len(rows)) as files:
            files.write(pa.RecordBatch.from_pylist(rows, schema=schema))
            files.close()
        return files

    def _discard(self, attempts: Sequence[DataFiles]) -> None:
        """Delete what lost its race. A commit that was told it failed may have happened all the same."""
        if not attempts:
            return
        present = {Path(uri).name for uri in self._tables.open(self.name).file_uris()}
        for files in attempts:
            if not any(Path(action.path).name in present for action in files.added):
                files.discard()

    def _end(self, table: DeltaTable, tree: str) -> End:
        size = table.transaction_version(f"tree/{tree}")
        if size is None:
            return End()
        last = (ds.field("kind") == _CHECKPOINT) & (ds.field("place") == size)
        last |= (ds.field("kind") == _LEAF) & (ds.field("place") == size - 1)
        wanted = (ds.field("tree") == tree) & last
        rows = {row["kind"]: row for row in self._tail(table, tree).to_table(filter=wanted).to_pylist()}
        try:
            checkpoint = rows[_CHECKPOINT]
            peaks = tuple(bytes.fromhex(peak) for peak in json.loads(checkpoint["frontier"]))
            leaf = Leaf.parse(rows[_LEAF]["body"])
            return End(Frontier(size, peaks), checkpoint["version"], leaf.log_sha256, checkpoint["body"])
        except (KeyError, ValueError, TypeError):
            raise Refused(
                f"table {self.name}: got no whole checkpoint of {tree} at size {size}, expected the last one. "
                "Nothing is sealed until this is known: run `fielded audit verify`"
            ) from None

    def _tail(self, table: DeltaTable, tree: str) -> ds.Dataset:
        """The rows of a tree's last sealing, without looking at any others as far as that can be."""
        at = table.transaction_version(f"tree/{tree}/at")
        entry = None if at is None else read_entry(self.folder, at)
        files = [] if entry is None else [self.folder / file.path for file in entry.added]
        if not files or not all(path.exists() for path in files):  # compacted, and the old files cleaned up
            return dataset_of(table)
        return ds.InMemoryDataset([pq.read_table(path, partitioning=None) for path in files])


def _read_rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """Rows of a data file, each value of the type that `SEALS` says, or null.

    Raises:
        OSError, pyarrow.ArrowException, ValueError: it cannot be read.
        KeyError: a column is missing.
        TypeError: a column has another type.
    """
    with open_regular(folder / name, folder) as opened, pq.ParquetFile(opened) as file:
        rows = file.read(columns=_COLUMNS, use_threads=False)
    columns: list[pa.ChunkedArray] = []
    for column in (rows.column(one) for one in _COLUMNS):
        wanted = SEALS.field(_COLUMNS[len(columns)]).type
        if not _kin(column.type, wanted):
            raise TypeError(f"got {column.type}, expected {wanted}")
        columns.append(column.cast(wanted))
    found: list[dict[str, Any]] = pa.table(columns, names=_COLUMNS).to_pylist()
    return found


def _kin(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of one type are those of the other: other writers choose other widths."""
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_string(wanted):
        texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
        return any(is_one(found) for is_one in texts)
    if pa.types.is_integer(wanted):
        return bool(pa.types.is_integer(found))
    return bool(pa.types.is_timestamp(found)) and found.tz is not None


def _store(found: Stored, name: str, number: int, row: dict[str, Any]) -> None:
    """Keep a row, or its number where it is none of ours."""
    tree, kind = row.pop("tree"), row.pop("kind")
    if tree not in TREES or kind not in (_LEAF, _CHECKPOINT) or None in row.values() or row["place"] < 0:
        found.odd.append((name, number))
    elif kind == _LEAF:
        del row["sealed_at"]
        found.leaves.setdefault(tree, []).append(LeafRow(**row))
    else:
        found.checkpoints.setdefault(tree, []).append(CheckpointRow(**row))


def _rows_of(tree: str, growth: Growth) -> Iterator[dict[str, Any]]:
    size = growth.frontier.size
    common = {"tree": tree, "sealed_at": growth.sealed_at}
    for place, leaf in enumerate(growth.leaves, start=size - len(growth.leaves)):
        body = leaf.text()
        yield common | {
            "kind": _LEAF,
            "place": place,
            "version": leaf.version,
            "body": body,
            "hash": leaf_hash(body.encode()).hex(),
        }
    yield common | {
        "kind": _CHECKPOINT,
        "place": size,
        "version": growth.leaves[-1].version,
        "body": growth.note,
        "hash": growth.frontier.root().hex(),
        "frontier": json.dumps([peak.hex() for peak in growth.frontier.peaks]),
    }
