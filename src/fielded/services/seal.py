"""Seal what was committed since the last time: new leaves, and a signed checkpoint over each table's tree.

Cost follows what is new: the new log entries, the bytes of the files that they add, and a logarithm of hashes.

1. where a tree ends is read from the `seals` table, and is believed only with a trusted signature over it;
2. the last sealed log entry must still be as it was: onto a table that was rolled back nothing is sealed;
3. each new entry becomes leaves, by the rules of `decisions.seals` and `decisions.log_rules`, with its files'
   digests taken anew;
4. leaves and checkpoints of all tables get in with one commit; of two that seal at once, the second goes on from
   the first;
5. each tree's checkpoint is copied to the site's `checkpoints` folder.

A process that dies before 4 has sealed nothing, one that dies before 5 has: the next sealing makes up for both.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from fielded.decisions.checkpoints import Checkpoint, origin_of, parse
from fielded.decisions.log_rules import live_files, odd_path, settings_changes
from fielded.decisions.merkle import leaf_hash
from fielded.decisions.seals import (
    Added,
    Leaf,
    LogEntry,
    SealedFile,
    by_partition,
    leaves_of,
    not_sealable,
    partition_key,
)
from fielded.definition.deployment import Deployment
from fielded.definition.site import Site
from fielded.words.errors import Finding, Refused
from fielded.words.identifiers import RandomBytes
from fielded.world.checkpoint_copies import write_copy
from fielded.world.delta_log import NEXT_STEP, entries_after, entry_path, entry_sha256, read_entry
from fielded.world.file_ranges import narrow_ranges
from fielded.world.keys import PublicKey, Signer, open_signer, public_key, sign_checkpoint, verify_checkpoint
from fielded.world.ledger_tables import ledger_tables
from fielded.world.row_digests import rows_sha256
from fielded.world.sealed_names import leaves_naming
from fielded.world.seals import TREES, End, Growth, Seals
from fielded.world.tables import DeltaTables


class LedgerBooks(Protocol):
    """What sealing and verifying need; a `Workplace` is one, and so is less than it."""

    @property
    def deployment(self) -> Deployment: ...
    @property
    def site(self) -> Site: ...
    @property
    def tables(self) -> DeltaTables: ...
    @property
    def random_bytes(self) -> RandomBytes: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a sealing did.

    Attributes:
        leaves: new ones.
        checkpoints: table -> size of its tree, for each that grew.
    """

    leaves: int
    checkpoints: Mapping[str, int]


def seal(books: LedgerBooks) -> Sealed:
    """Seal what was committed to the ledger's tables since the last sealing.

    Raises:
        Refused: something was changed between commit and now, or the ledger is not what was sealed before; says
            which file or entry. Nothing is sealed.
        WrongUse: the site has no key to sign with.
        Unreachable: a table, the key or the folder for copies cannot be reached.
    """
    sealing = _Sealing(books)
    if not sealing.folders:
        return Sealed(0, {})
    grown = sealing.seals.append(tuple(sealing.folders), sealing.grow, books.random_bytes)
    sealing.copy(grown)
    leaves = sum(len(growth.leaves) for growth in grown.values())
    return Sealed(leaves, {tree: growth.frontier.size for tree, growth in grown.items()})


def table_folders(books: LedgerBooks) -> dict[str, Path]:
    """Where the ledger's tables lie."""
    names = ledger_tables(books.site, books.deployment.name)
    return {tree: Path(books.tables.uri(getattr(names, tree))) for tree in TREES}


class _Sealing:
    """One sealing; what it has hashed is kept while it waits its turn."""

    def __init__(self, books: LedgerBooks) -> None:
        self._books = books
        self._signer: Signer = open_signer(books.site)
        self.seals = Seals(books.tables, books.site, books.deployment.name)
        sealed = self.seals.folder.exists()
        self.folders = {
            tree: folder
            for tree, folder in table_folders(books).items()
            if sealed or (folder / "_delta_log").exists()
        }
        self._ends: Mapping[str, End] = {}
        self._made: dict[tuple[str, int, str], list[Leaf]] = {}

    def grow(self, ends: Mapping[str, End]) -> dict[str, Growth]:
        """What is new of each tree."""
        self._ends = ends
        grown = {}
        for tree, end in ends.items():
            self._check_end(tree, end)
            fresh = list(entries_after(self.folders[tree], end.version))
            if not fresh:
                continue
            leaves: list[Leaf] = []
            for entry in fresh:
                leaves += self._leaves(tree, entry, leaves)
            grown[tree] = self._growth(tree, end, leaves, fresh[0])
        return grown

    def copy(self, grown: Mapping[str, Growth]) -> None:
        """Keep every tree's newest checkpoint, also one that an earlier sealing did not come to copy."""
        folder = self._books.site.checkpoints
        if folder is None:
            return
        for tree, end in self._ends.items():
            growth = grown.get(tree)
            size, note = (end.frontier.size, end.note) if growth is None else (growth.frontier.size, growth.note)
            if note:
                write_copy(folder, self._books.deployment.name, tree, size, note)

    def _growth(self, tree: str, end: End, leaves: Sequence[Leaf], first: LogEntry) -> Growth:
        frontier = end.frontier
        for leaf in leaves:
            frontier = frontier.appended(leaf_hash(leaf.text().encode()))
        origin = parse(end.note).checkpoint.origin if end.note else self._origin(tree, first)
        now = self._books.clock()
        checkpoint = Checkpoint(origin, frontier.size, frontier.root(), now)
        note = sign_checkpoint(checkpoint, self._signer).to_note()
        return Growth(leaves=leaves, note=note, frontier=frontier, sealed_at=now)

    def _origin(self, tree: str, first: LogEntry) -> str:
        return origin_of(self._books.deployment.name, tree, table_id(first))

    def _check_end(self, tree: str, end: End) -> None:
        """The tree's end is signed by somebody trusted, and the table still has what it sealed last."""
        if not end.note:
            return
        where = f"checkpoint {end.frontier.size} of {tree}"
        signed = parse(end.note, where)
        verify_checkpoint(signed, self._trusted(), where)
        checkpoint = signed.checkpoint
        findings = []
        if (checkpoint.size, checkpoint.root) != (end.frontier.size, end.frontier.root()):
            got = f"{end.frontier.size} leaves, root {end.frontier.root().hex()}"
            expected = f"{checkpoint.size} leaves, root {checkpoint.root.hex()}, as signed"
            findings.append(Finding(self.seals.name, where, got, expected))
        sha256 = entry_sha256(self.folders[tree], end.version)
        if sha256 != end.log_sha256:
            name = entry_path(self.folders[tree], end.version).name
            got = "no such log entry" if sha256 is None else f"SHA-256 {sha256}"
            findings.append(Finding(tree, f"_delta_log/{name}", got, f"SHA-256 {end.log_sha256}, as sealed"))
        if findings:
            raise Refused(f"{tree}: not what was sealed before; nothing is sealed. {NEXT_STEP}", findings)

    def _trusted(self) -> list[PublicKey]:
        return [self._signer.public_key, *(public_key(uri) for uri in self._books.site.trusted_keys)]

    def _leaves(self, tree: str, entry: LogEntry, before: Sequence[Leaf]) -> list[Leaf]:
        made = self._made.get((tree, entry.version, entry.sha256))
        if made is not None:
            return made
        reasons = not_sealable(entry)
        if reasons:
            findings = [Finding(tree, f"version {entry.version}", reason, "rows added only") for reason in reasons]
            message = f"{tree}: version {entry.version} takes rows away; nothing is sealed. {NEXT_STEP}"
            raise Refused(message, findings)
        folder = self.folders[tree]
        self._check_settings(tree, entry)
        _check_paths(tree, entry)
        files = hash_files(tree, folder, entry, self._books.site.workers)
        self._check_once(tree, entry, files, before)
        rewrites = {} if not entry.removed else self._rewrites(tree, entry, before)
        leaves = leaves_of(tree, entry, files, rewrites)
        self._made[tree, entry.version, entry.sha256] = leaves
        return leaves

    def _check_settings(self, tree: str, entry: LogEntry) -> None:
        """Rule 18. What was before is read from the whole log: an entry that says so comes with a new column."""
        if entry.version and not entry.settings:
            return
        metadata: Mapping[str, Any] | None = None
        for version in range(entry.version):
            one = read_entry(self.folders[tree], version)
            if one is None:
                raise Refused(f"{tree}: got no log entry {version}, expected all; nothing is sealed. {NEXT_STEP}")
            metadata, _ = settings_changes(metadata, one)
        _, wrong = settings_changes(metadata, entry)
        if wrong:
            findings = [Finding(tree, f"version {entry.version}", one, "new columns only") for one in wrong]
            message = f"{tree}: version {entry.version} changes what the table is; nothing is sealed. {NEXT_STEP}"
            raise Refused(message, findings)

    def _check_once(
        self, tree: str, entry: LogEntry, files: Mapping[str, SealedFile], before: Sequence[Leaf]
    ) -> None:
        """Rule 17: no path comes again, and no bytes while those that had them before are live."""
        if not files:
            return
        texts = [*files, *(file.sha256 for file in files.values() if file.rows)]
        named = [*before]
        size = self._ends[tree].frontier.size
        if size:
            try:
                named = [*leaves_naming(self._books.tables, self.seals.name, tree, size, texts), *named]
            except (ValueError, OSError, pa.ArrowException):
                raise Refused(f"{tree}: leaves that cannot be read; nothing is sealed. {NEXT_STEP}") from None
        ever = {path for leaf in named for path in (*leaf.removed, *(file.path for file in leaf.files))}
        gone = {file.path for file in entry.removed}
        standing = [file for path, file in live_files(named).items() if path not in gone and path not in files]
        first = {(file.sha256, file.size): file.path for file in standing}
        findings = [
            Finding(tree, path, "a path that was added before", "a new one") for path in files if path in ever
        ]
        for path, file in files.items():
            other = first.setdefault((file.sha256, file.size), path)
            if other != path and file.rows:
                findings.append(Finding(tree, path, f"the bytes of {other} once more", "each file once"))
        if findings:
            raise Refused(
                f"{tree}: version {entry.version} adds files again; nothing is sealed. {NEXT_STEP}", findings
            )

    def _rewrites(
        self, tree: str, entry: LogEntry, before: Sequence[Leaf]
    ) -> dict[str, tuple[Mapping[str, str], str]]:
        """What each partition of a rewriting entry replaced, and the digest of its rows, equal on both sides."""
        folder = self.folders[tree]
        size = self._ends[tree].frontier.size  # leaves past it are of somebody who sealed meanwhile
        stored = self.seals.stored().leaves.get(tree, [])
        sealed = _files_by_path([*(Leaf.parse(row.body) for row in stored if row.place < size), *before])
        removed: dict[str, dict[str, str]] = {}
        findings = []
        for file in entry.removed:
            if file.path not in sealed:
                got = "a file that was never sealed, or replaced already"
                findings.append(Finding(tree, file.path, got, "a sealed file of the table"))
                continue
            partition, standing = sealed[file.path]
            removed.setdefault(partition, {})[file.path] = standing.sha256
            findings += _changed(tree, folder / file.path, file.path, standing.sha256)
        if findings:
            message = (
                f"{tree}: version {entry.version} rewrites what is not as sealed; nothing is sealed. {NEXT_STEP}"
            )
            raise Refused(message, findings)
        added = by_partition(entry.added)
        rewrites: dict[str, tuple[Mapping[str, str], str]] = {}
        for partition in sorted({*removed, *added}):
            old = rows_sha256(folder / path for path in removed.get(partition, {}))
            new = rows_sha256(folder / file.path for file in added.get(partition, ()))
            if old != new:
                finding = Finding(tree, f"version {entry.version} {partition}", f"rows {new}", f"rows {old}")
                raise Refused(f"{tree}: a rewrite changed rows; nothing is sealed. {NEXT_STEP}", [finding])
            rewrites[partition] = (removed.get(partition, {}), new)
        return rewrites


def table_id(first: LogEntry) -> str:
    """The Delta id of a table, from its first log entry.

    Raises:
        Refused: the entry has none.
    """
    found = next((action["metaData"]["id"] for action in first.actions if "metaData" in action), None)
    if not isinstance(found, str):
        raise Refused(
            f"log entry {first.version}: got no metaData, expected the table's. Run `fielded audit verify`"
        )
    return found


def hash_files(table: str, folder: Path, entry: LogEntry, workers: int) -> dict[str, SealedFile]:
    """The files that an entry adds, as they are now, by path.

    Raises:
        Refused: one is not as its commit recorded it; with all that are not.
    """
    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(lambda added: _hash(table, folder, entry, added), entry.added))
    findings = [result for result in results if isinstance(result, Finding)]
    if findings:
        raise Refused(f"{table}: changed between commit and seal; nothing is sealed. {NEXT_STEP}", findings)
    return {result.path: result for result in results if isinstance(result, SealedFile)}


def _hash(table: str, folder: Path, entry: LogEntry, added: Added) -> SealedFile | Finding:
    path = folder / added.path
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        footer = pq.read_metadata(path)
        size, rows = path.stat().st_size, footer.num_rows
        narrow = narrow_ranges(path, footer, added.statistics)
    except (OSError, pa.ArrowException) as error:
        return Finding(table, added.path, f"a file that cannot be read ({type(error).__name__})", "as committed")
    recorded = entry.recorded.get(added.path, {"sha256": sha256, "rows": rows})
    if (sha256, rows) != (recorded.get("sha256"), recorded.get("rows")):
        got, expected = f"SHA-256 {sha256}, {rows} rows", f"{recorded.get('sha256')}, {recorded.get('rows')} rows"
        return Finding(table, added.path, got, expected)
    if size != added.size or added.rows not in (None, rows):
        return Finding(table, added.path, f"{size} bytes, {rows} rows", f"{added.size} bytes, {added.rows} rows")
    if narrow:
        return Finding(table, added.path, "; ".join(narrow), "ranges in the log that enclose its rows")
    return SealedFile(path=added.path, size=size, rows=rows, sha256=sha256, chain=entry.stretches.get(added.path))


def _changed(table: str, path: Path, name: str, sha256: str) -> list[Finding]:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        step = "Seal before old files are cleaned up"
        return [Finding(table, name, f"no file ({error.strerror})", f"SHA-256 {sha256}", step)]
    return [] if found == sha256 else [Finding(table, name, f"SHA-256 {found}", f"SHA-256 {sha256}")]


def _check_paths(table: str, entry: LogEntry) -> None:
    """Rule 17, as far as one entry shows it."""
    findings = []
    for added in entry.added:
        why = odd_path(added.path, added.uri, added.partition)
        if why:
            findings.append(Finding(table, added.path, why, "one path in its normal form"))
    findings += [
        Finding(table, removed.path, "a path that is escaped", "the path as it was added")
        for removed in entry.removed
        if removed.uri != removed.path
    ]
    for named in ([file.path for file in entry.added], [file.path for file in entry.removed]):
        findings += [
            Finding(table, path, "a path that comes twice", "each path once")
            for path, times in Counter(named).items()
            if times > 1
        ]
    if findings:
        message = f"{table}: version {entry.version} names files in another way; nothing is sealed. {NEXT_STEP}"
        raise Refused(message, findings)


def _files_by_path(leaves: Iterable[Leaf]) -> dict[str, tuple[str, SealedFile]]:
    """Partition and file, of those that are live after the last leaf."""
    found: dict[str, tuple[str, SealedFile]] = {}
    for leaf in leaves:
        for path in leaf.removed:
            found.pop(path, None)
        found |= {file.path: (partition_key(leaf.partition), file) for file in leaf.files}
    return found
