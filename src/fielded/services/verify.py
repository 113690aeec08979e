"""Verify a sealed ledger: everything is computed again, every difference is named, nothing stops it.

The rules and their numbers are in `decisions.seal_rules`; here is what they are given. Files are read by several
threads, one row group in memory at a time.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from fielded.decisions.checkpoints import SignedCheckpoint, origin_of
from fielded.decisions.journal_rules import check_stretches
from fielded.decisions.log_rules import check_history
from fielded.decisions.merkle import Tree
from fielded.decisions.seal_rules import (
    SEALS,
    LeafRow,
    NumberedLeaf,
    Trusts,
    check_checkpoints,
    check_copies,
    check_entries,
    check_leaves,
)
from fielded.decisions.seals import Broken, LogEntry, SealedFile
from fielded.services.seal import LedgerBooks, table_folders, table_id
from fielded.services.verify_anchors import check_anchors, read_receipts
from fielded.services.verify_files import LedgerFiles, Referring, check_files
from fielded.services.verify_unsealed import Unsealed, check_unsealed
from fielded.words.errors import FieldedError, Refused, WrongUse
from fielded.world.changed_files import Reference
from fielded.world.checkpoint_copies import Copy, read_copies
from fielded.world.delta_log import entry_sha256, read_entry, versions
from fielded.world.gold_reference import gold_reference
from fielded.world.keys import trusted_keys, verify_checkpoint
from fielded.world.readers_view import Replay, compare_views
from fielded.world.regular_files import open_regular
from fielded.world.seals import Seals, Stored
from fielded.world.tables import METADATA

Progress = Callable[[int, int], None]  # rows done, rows in all

_SHOWN = 10  # versions that a note names


@dataclass(slots=True)
class Report:
    """What verifying found.

    Attributes:
        findings: where the ledger is not what was sealed.
        notes: what is as it may be, and worth knowing.
        tables: table -> how much was checked: leaves, checkpoints, copies, files, rows, bytes.
        newest: time of the newest checkpoint, UTC; None where there is none.
        foreign: table -> versions with data files that fielded did not commit.
    """

    findings: list[Broken] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    newest: datetime | None = None
    foreign: dict[str, list[int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Log:
    """A table's log.

    Attributes:
        entries: version -> entry, without its actions; of one that cannot be read, the SHA-256 of its bytes.
        replay: what they come to.
        table_id: as its first entry says; empty where it does not.
        foreign: versions with data files that fielded did not commit.
    """

    entries: dict[int, LogEntry | str] = field(default_factory=dict)
    replay: Replay = field(default_factory=Replay)
    table_id: str = ""
    foreign: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Table:
    """One table while it is verified."""

    name: str
    folder: Path
    tree: Tree = field(default_factory=Tree)
    leaves: list[NumberedLeaf] = field(default_factory=list)
    log: _Log = field(default_factory=_Log)
    origin: str = ""
    counts: dict[str, int] = field(default_factory=dict)

    def read_leaves(self, rows: Sequence[LeafRow]) -> list[Broken]:
        """Rules 2 and 5."""
        self.tree, self.leaves, broken = check_leaves(self.name, rows)
        return broken

    def read_log(self) -> Iterator[Broken]:
        """Its entries, as far as they can be read."""
        return _read_log(self.name, self.folder, self.log)

    def name_log(self, deployment: str) -> list[Broken]:
        """Work out the name that its checkpoints must have, where the log says what it needs."""
        self.origin = origin_of(deployment, self.name, self.log.table_id) if self.log.table_id else ""
        return []

    @property
    def sealed_through(self) -> int:
        return self.leaves[-1].leaf.version if self.leaves else -1

    @property
    def unsealed(self) -> list[LogEntry]:
        return [
            entry for version, entry in sorted(self.log.entries.items())
            if version > self.sealed_through and isinstance(entry, LogEntry)
        ]  # fmt: skip

    @property
    def paths(self) -> frozenset[str]:
        """Of every data file that an entry ever added."""
        entries = (entry for entry in self.log.entries.values() if isinstance(entry, LogEntry))
        sealed = (file.path for one in self.leaves for file in one.leaf.files)
        return frozenset(file.path for entry in entries for file in entry.added) | frozenset(sealed)


def verify_all(
    books: LedgerBooks,
    outside: Sequence[Path] = (),
    receipts: Sequence[Path] = (),
    *,
    strict: bool = False,
    progress: Progress = lambda *_: None,
) -> Report:
    """`verify`, and what is known of journals from outside them (rule 16), in one report whatever happens.

    Args:
        books: see `verify`.
        outside: see `verify`.
        receipts: files of receipts that callers kept, or of the API's log.
        strict: see `verify`.
        progress: see `verify`.

    Raises:
        WrongUse: an outside copy or a file of receipts is not there, no key is trusted, or there is no ledger.
    """
    known = [anchor for file in receipts for anchor in read_receipts(file)]
    report = verify(books, outside, strict=strict, progress=progress)
    _guarded(report, 16, "predictions", lambda: check_anchors(books, known))
    return report


def verify(
    books: LedgerBooks, outside: Sequence[Path] = (), *, strict: bool = False, progress: Progress = lambda *_: None
) -> Report:
    """Compute everything again.

    A check that fails for a reason nobody thought of is a finding, and hides no other.

    Args:
        books: the deployment at its site. Nothing is written, and no private key is needed.
        outside: checkpoints kept elsewhere, or folders of them; the site's own copies are looked at in any case.
        strict: a commit that is not sealed yet is a finding, however young.
        progress: told rows done and rows in all.

    Raises:
        WrongUse: an outside copy is not there, no key is trusted, or there is no ledger.
    """
    report = Report()
    # Copies, then seals, then the tables: what others commit meanwhile is newer than what it is compared with.
    copies = _Copies(books, outside)
    folders = table_folders(books)
    seals = Seals(books.tables, books.site, books.deployment.name)
    _check_there([seals.folder, *folders.values()], copies)
    stored = _read_seals(seals, report)
    tables: list[_Table] = []
    for name, folder in folders.items():
        table = _Table(name=name, folder=folder)
        tables.append(table)
        report.tables[name] = table.counts
        _check_table(books, table, stored, copies, report, strict=strict)
    _guarded(report, 4, SEALS, lambda: copies.unclaimed({table.name for table in tables}))
    report.notes += copies.notes({table.name for table in tables if len(table.tree)})
    _check_files(books, tables, report, progress)
    return report


def _check_table(
    books: LedgerBooks, table: _Table, stored: Stored, copies: "_Copies", report: Report, *, strict: bool
) -> None:
    """Rules 1 to 9, 12 and 17 to 19, each in its own guard."""
    trusts = copies.trusts

    def guarded(rule: int, check: Callable[[], Iterable[Broken]]) -> None:
        _guarded(report, rule, table.name, check)

    guarded(2, lambda: table.read_leaves(stored.leaves.get(table.name, [])))
    guarded(6, table.read_log)
    guarded(1, lambda: table.name_log(books.deployment.name))
    guarded(3, lambda: _check_seals(stored, table, trusts, report))
    guarded(4, lambda: _check_copies(table, copies.of(table.name), trusts))
    guarded(6, lambda: check_entries(table.name, table.leaves, table.log.entries))
    unsealed = Unsealed(
        table=table.name, folder=table.folder, entries=table.log.entries, sealed_through=table.sealed_through
    )
    told = len(report.findings)
    guarded(9, lambda: check_unsealed(unsealed, books.clock(), report.notes.append, strict=strict))
    young = len(report.findings) == told
    guarded(3, lambda: _no_seals(stored, table, young=young))
    guarded(8, lambda: compare_views(table.name, table.folder, table.log.replay))
    guarded(12, lambda: check_stretches(table.leaves))
    guarded(17, lambda: check_history(table.name, table.leaves, table.log.entries))
    report.notes += _foreign(table.name, table.log)
    report.foreign[table.name] = table.log.foreign


def _guarded(report: Report, rule: int, table: str, check: Callable[[], Iterable[Broken]]) -> None:
    """Take in what a check finds; that it cannot be carried out is a finding too, and ends nothing."""
    try:
        report.findings.extend(check())
    except Exception as error:  # noqa: BLE001 - whoever tampers must not choose what is told by what raises
        got = f"could not be checked ({type(error).__name__})"
        report.findings.append(Broken(rule=rule, table=table, got=got, expected="a ledger as it was sealed"))


def _check_there(folders: Iterable[Path], copies: "_Copies") -> None:
    """Somewhere is a ledger, or something that says there was one.

    Raises:
        WrongUse: nowhere.
    """
    places = list(folders)
    if not copies.any and not any((folder / "_delta_log").exists() for folder in places):
        raise WrongUse(
            f"nothing to verify: no table of this ledger at {places[0].parent}. "
            "Check root, ledger and the deployment's name"
        )


def _read_seals(seals: Seals, report: Report) -> Stored:
    """Leaves and checkpoints as they are stored, and whether readers see them as the table's log has them."""
    found, log = _guarded_read(seals), _Log()
    checks: tuple[Callable[[], Iterable[Broken]], ...] = (
        lambda: _unreadable(found),
        lambda: _read_log(SEALS, seals.folder, log),
        lambda: compare_views(SEALS, seals.folder, log.replay),
        lambda: _changed_since_commit(seals.folder, log),
        lambda: check_history(SEALS, (), log.entries),
    )
    for check in checks:
        _guarded(report, 2, SEALS, check)
    return found


def _unreadable(found: "_Found") -> Iterator[Broken]:
    """What of the `seals` table says nothing (rule 2)."""
    if found.closed:
        yield Broken(rule=2, table=SEALS, got=found.closed, expected="a table that can be read")
    for name in found.unreadable:
        got, expected = "a file that cannot be read", "leaves and checkpoints"
        yield Broken(rule=2, table=SEALS, file=name, got=got, expected=expected)
    for name, row in found.odd:
        got, expected = "a row with nothing or something else in a column", "a leaf or a checkpoint of a table"
        yield Broken(rule=2, table=SEALS, file=name, row=row, got=got, expected=expected)


@dataclass(slots=True)
class _Found(Stored):
    """What the table has, and why it has nothing where it cannot be opened."""

    closed: str = ""


def _guarded_read(seals: Seals) -> _Found:
    try:
        stored = seals.stored()
    except Exception as error:  # noqa: BLE001 - see `_guarded`
        return _Found(closed=str(error) if isinstance(error, FieldedError) else type(error).__name__)
    return _Found(
        leaves=stored.leaves, checkpoints=stored.checkpoints, unreadable=stored.unreadable, odd=stored.odd
    )


def _changed_since_commit(folder: Path, log: _Log) -> Iterator[Broken]:
    """Data files of the `seals` table that are not as their commits recorded them (rule 2).

    What the leaves and checkpoints in them say is checked by itself; this names the file.
    """
    entries = (entry for entry in log.entries.values() if isinstance(entry, LogEntry))
    for path, recorded in (item for entry in entries for item in entry.recorded.items()):
        expected = f"SHA-256 {recorded['sha256']}"
        try:
            with open_regular(folder / path, folder) as file:
                got = f"SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
        except FileNotFoundError:
            continue  # then its leaves are missing
        except OSError as error:
            got = error.strerror or type(error).__name__
        if got != expected:
            yield Broken(rule=2, table=SEALS, file=path, got=got, expected=expected)


def _read_log(table: str, folder: Path, log: _Log) -> Iterator[Broken]:
    """Take in a table's log, entry by entry; tells of entries that are nothing."""
    for version in versions(folder):
        entry = None
        try:
            entry = read_entry(folder, version)
            log.replay.take(entry, version)
        except Refused:
            log.replay.take(None, version)
        except Exception as error:  # noqa: BLE001 - see `_guarded`
            log.replay.whole, log.replay.version, entry = False, version, None
            got = f"an entry that cannot be read ({type(error).__name__})"
            name = f"_delta_log/{version:020d}.json"
            yield Broken(rule=6, table=table, file=name, got=got, expected="a log entry")
        if entry is None:
            log.entries[version] = _bytes_sha256(folder, version)
            continue
        if version == 0:
            with suppress(Refused):  # then the log is not what was sealed, which is told where that is checked
                log.table_id = table_id(entry)
        if (entry.added or entry.removed) and not _ours(entry):
            log.foreign.append(version)
        added = tuple(replace(file, statistics="") for file in entry.added)
        log.entries[version] = replace(entry, actions=(), added=added)  # the replay has what is left of them


def _bytes_sha256(folder: Path, version: int) -> str:
    try:
        return entry_sha256(folder, version) or ""
    except Exception:  # noqa: BLE001 - see `_guarded`; that it cannot be read is told already
        return ""


def _ours(entry: LogEntry) -> bool:
    """Whether fielded left its own word in the commit."""
    infos = (action.get("commitInfo") for action in entry.actions)
    return any(isinstance(info, dict) and METADATA in info for info in infos)


def _foreign(table: str, log: _Log) -> list[str]:
    """Versions that another tool wrote: their files have no digest from the moment that they were written."""
    if not log.foreign:
        return []
    shown = ", ".join(map(str, log.foreign[:_SHOWN])) + (" and more" if len(log.foreign) > _SHOWN else "")
    return [f"{table}: {len(log.foreign)} commits are not by fielded but by another tool: version {shown}"]


def _trusts(books: LedgerBooks) -> Trusts:
    keys = trusted_keys(books.site)

    def why_not(signed: SignedCheckpoint) -> str:
        try:
            verify_checkpoint(signed, keys, f"checkpoint {signed.checkpoint.size}")
        except Refused as refusal:
            return "; ".join(str(finding.got) for finding in refusal.findings) or str(refusal)
        return ""

    return why_not


def _check_seals(stored: Stored, table: _Table, trusts: Trusts, report: Report) -> Iterator[Broken]:
    """Rules 1 and 3."""
    rows = stored.checkpoints.get(table.name, [])
    table.counts |= {"leaves": len(table.tree), "checkpoints": len(rows)}
    if rows:
        newest = max(row.sealed_at for row in rows)
        report.newest = newest if report.newest is None else max(newest, report.newest)
    yield from check_checkpoints(table.name, rows, table.tree, table.origin, trusts)


def _no_seals(stored: Stored, table: _Table, *, young: bool) -> Iterator[Broken]:
    """A log without any checkpoint (rule 3), unless all of it is young."""
    if table.log.entries and not stored.checkpoints.get(table.name) and not young:
        got = f"{len(table.log.entries)} log entries and no checkpoint"
        yield Broken(rule=3, table=table.name, got=got, expected="a checkpoint over them (`fielded audit seal`)")


def _check_copies(table: _Table, copies: Sequence[Copy], trusts: Trusts) -> list[Broken]:
    """Rule 4, for copies that say they are of this table."""
    table.counts["copies"] = len(copies)
    notes = {str(copy.path): copy.note for copy in copies}
    return check_copies(table.name, notes, table.tree, table.origin, trusts)


class _Copies:
    """Checkpoints kept outside the ledger, and who is trusted to have signed them.

    Raises:
        WrongUse: a place is not there, or no key is trusted.
    """

    def __init__(self, books: LedgerBooks, outside: Sequence[Path]) -> None:
        self.trusts = _trusts(books)
        self._deployment = books.deployment.name
        self._home = books.site.checkpoints
        there = self._home is not None and self._home.exists()
        kept = [self._home] if self._home is not None and there else []
        self._kept = list(read_copies(kept, self._deployment))
        self._outside = {place: list(read_copies([place], self._deployment)) for place in outside}
        self._all = [*self._kept, *(copy for copies in self._outside.values() for copy in copies)]

    @property
    def any(self) -> bool:
        """Whether one of them says that there was a ledger."""
        return any(self._claims(copy) for copy in self._all)

    def of(self, table: str) -> list[Copy]:
        """Those that say they are of a table."""
        return [copy for copy in self._all if self._claims(copy) == table]

    def unclaimed(self, names: AbstractSet[str]) -> Iterator[Broken]:
        """Copies of nothing that is here, and places without a copy (rule 4)."""
        for copy in self._all:
            if self._claims(copy) not in names:
                got = copy.odd or "no checkpoint of a table of this ledger"
                yield Broken(rule=4, table=SEALS, file=str(copy.path), got=got, expected="one")
        for place, copies in self._outside.items():
            if not any(self._claims(copy) in names for copy in copies):
                got, expected = "no checkpoint of this deployment", "at least one, for it was given as a copy"
                yield Broken(rule=4, table=SEALS, file=str(place), got=got, expected=expected)

    def notes(self, sealed: AbstractSet[str]) -> list[str]:
        """What is sealed and has no copy, where others have one."""
        told = []
        if self._home is not None and not self._kept and sealed:
            told.append(f"checkpoints: no copy in {self._home}, where each sealing puts one")
        copies = [copy for some in self._outside.values() for copy in some] or self._kept
        held = {self._claims(copy) for copy in copies} & sealed
        missing = sorted(sealed - held) if held else []
        return told + [f"{table}: no outside copy of a checkpoint, other tables have one" for table in missing]

    def _claims(self, copy: Copy) -> str:
        """The table that a copy's first line names; a copy's place in a folder proves nothing."""
        parts = copy.note.partition(b"\n")[0].decode(errors="replace").split("/")
        whole = len(parts) == 4 and parts[:2] == ["fielded", self._deployment]  # noqa: PLR2004 - and table, id
        return parts[2] if whole else ""


def _check_files(books: LedgerBooks, tables: Sequence[_Table], report: Report, progress: Progress) -> None:
    """Rules 10 to 15: every data file of every table."""
    total = sum(file.rows for table in tables for one in table.leaves for file in one.leaf.files)
    done = 0

    def more(rows: int) -> None:
        nonlocal done
        done += rows
        progress(done, max(total, done))

    for table in tables:

        def refer(file: SealedFile, siblings: list[str], folder: Path = table.folder) -> Reference | None:
            return gold_reference(books.tables, books.deployment, folder, file, siblings)

        def check(table: _Table = table, refer: Referring = refer) -> list[Broken]:
            files = LedgerFiles(
                name=table.name, folder=table.folder, leaves=table.leaves, unsealed=table.unsealed,
                paths=table.paths,
            )  # fmt: skip
            found = check_files(files, books.site.workers, refer, more)
            report.notes.extend(found.notes)
            table.counts |= {"files": found.files, "rows": found.rows, "bytes": found.octets}
            return found.broken

        _guarded(report, 10, table.name, check)
