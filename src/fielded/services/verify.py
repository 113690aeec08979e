"""Verify a sealed ledger: everything is computed again, every difference is named, nothing stops it.

The rules and their numbers are in `decisions.seal_rules`; here is what they are given. Files are read by several
threads, one row group in memory at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from fielded.decisions.checkpoints import SignedCheckpoint, origin_of
from fielded.decisions.journal_rules import check_stretches
from fielded.decisions.merkle import Tree
from fielded.decisions.seal_rules import (
    SEALS,
    NumberedLeaf,
    Trusts,
    check_checkpoints,
    check_copies,
    check_entries,
    check_leaves,
)
from fielded.decisions.seals import Broken, LogEntry, SealedFile
from fielded.services.seal import LedgerBooks, table_folders, table_id
from fielded.services.verify_files import LedgerFiles, check_files
from fielded.words.digests import file_sha256
from fielded.words.errors import Refused, Unreachable
from fielded.world.changed_files import Reference
from fielded.world.checkpoint_copies import Copy, read_copies
from fielded.world.delta_log import entry_sha256, read_entry, versions
from fielded.world.gold_reference import gold_reference
from fielded.world.keys import trusted_keys, verify_checkpoint
from fielded.world.readers_view import Replay, compare_views
from fielded.world.seals import Seals, Stored

Progress = Callable[[int, int], None]  # rows done, rows in all

_YOUNG = timedelta(
    minutes=15
)  # a commit may wait so long for its seal: three times what a journal waits to be drained


@dataclass(slots=True)
class Report:
    """What verifying found.

    Attributes:
        findings: where the ledger is not what was sealed.
        notes: what is as it may be, and worth knowing.
        tables: table -> how much was checked: leaves, checkpoints, copies, files, rows, bytes.
        newest: time of the newest checkpoint, UTC; None where there is none.
    """

    findings: list[Broken] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    newest: datetime | None = None


@dataclass(slots=True)
class _Log:
    """A table's log.

    Attributes:
        entries: version -> entry, without its actions; of one that cannot be read, the SHA-256 of its bytes.
        replay: what they come to.
        table_id: as its first entry says; empty where it does not.
    """

    entries: dict[int, LogEntry | str] = field(default_factory=dict)
    replay: Replay = field(default_factory=Replay)
    table_id: str = ""


@dataclass(slots=True, kw_only=True)
class _Table:
    """One table while it is verified."""

    name: str
    folder: Path
    tree: Tree
    leaves: list[NumberedLeaf]
    log: _Log
    origin: str
    counts: dict[str, int] = field(default_factory=dict)

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


def verify(
    books: LedgerBooks, outside: Sequence[Path] = (), *, strict: bool = False, progress: Progress = lambda *_: None
) -> Report:
    """Compute everything again.

    Args:
        books: the deployment at its site. Nothing is written, and no private key is needed.
        outside: checkpoints kept elsewhere, or folders of them; the site's own copies are looked at in any case.
        strict: a commit that is not sealed yet is a finding, however young.
        progress: told rows done and rows in all.

    Raises:
        WrongUse: an outside copy is not there, or no key is trusted.
        Unreachable: something is there and cannot be read.
    """
    report = Report()
    trusts = _trusts(books)
    # Copies, then seals, then the tables: what others commit meanwhile is newer than what it is compared with.
    kept = [books.site.checkpoints] if books.site.checkpoints and books.site.checkpoints.exists() else []
    copies = list(read_copies([*kept, *outside], books.deployment.name))
    stored = _read_seals(Seals(books.tables, books.site, books.deployment.name), report)
    tables = [_open(books, stored, name, folder, report) for name, folder in table_folders(books).items()]
    for table in tables:
        _check_seals(stored, table, trusts, report)
        _check_copies(table, copies, trusts, report)
        report.findings += check_entries(table.name, table.leaves, table.log.entries)
        _check_unsealed(books, table, report, strict=strict)
        report.findings += compare_views(table.name, table.folder, table.log.replay)
        report.findings += check_stretches(table.leaves)
    _unknown_copies(tables, copies, report)
    _check_files(books, tables, report, progress)
    return report


def _read_seals(seals: Seals, report: Report) -> Stored:
    """Leaves and checkpoints as they are stored, and whether readers see them as the table's log has them."""
    log = _read_log(seals.folder)
    report.findings += compare_views(SEALS, seals.folder, log.replay)
    report.findings += _changed_since_commit(seals.folder, log)
    try:
        stored = seals.stored()
    except Unreachable as error:
        report.findings.append(Broken(rule=2, table=SEALS, got=str(error), expected="a table that can be read"))
        return Stored()
    report.findings += [
        Broken(rule=2, table=SEALS, file=name, got="a file that cannot be read", expected="leaves and checkpoints")
        for name in stored.unreadable
    ]
    return stored


def _changed_since_commit(folder: Path, log: _Log) -> Iterator[Broken]:
    """Data files of the `seals` table that are not as their commits recorded them (rule 2).

    What the leaves and checkpoints in them say is checked by itself; this names the file.
    """
    entries = (entry for entry in log.entries.values() if isinstance(entry, LogEntry))
    for path, recorded in (item for entry in entries for item in entry.recorded.items()):
        if (folder / path).is_file():
            sha256 = file_sha256(folder / path)
            if sha256 != recorded["sha256"]:
                got, expected = f"SHA-256 {sha256}", f"SHA-256 {recorded['sha256']}"
                yield Broken(rule=2, table=SEALS, file=path, got=got, expected=expected)


def _read_log(folder: Path) -> _Log:
    """A table's log, entry by entry."""
    log = _Log()
    for version in versions(folder):
        try:
            entry = read_entry(folder, version)
        except Refused:
            entry = None
            log.entries[version] = entry_sha256(folder, version) or ""
        log.replay.take(entry, version)
        if entry is None:
            continue
        if version == 0:
            with suppress(Refused):  # then the log is not what was sealed, which is told where that is checked
                log.table_id = table_id(entry)
        log.entries[version] = replace(entry, actions=())
    return log


def _trusts(books: LedgerBooks) -> Trusts:
    keys = trusted_keys(books.site)

    def why_not(signed: SignedCheckpoint) -> str:
        try:
            verify_checkpoint(signed, keys, f"checkpoint {signed.checkpoint.size}")
        except Refused as refusal:
            return "; ".join(str(finding.got) for finding in refusal.findings) or str(refusal)
        return ""

    return why_not


def _open(books: LedgerBooks, stored: Stored, name: str, folder: Path, report: Report) -> _Table:
    """A table's leaves and log entries, as far as they can be read."""
    tree, leaves, broken = check_leaves(name, stored.leaves.get(name, []))
    report.findings += broken
    log = _read_log(folder)
    origin = origin_of(books.deployment.name, name, log.table_id) if log.table_id else ""
    table = _Table(name=name, folder=folder, tree=tree, leaves=leaves, log=log, origin=origin)
    report.tables[name] = table.counts
    return table


def _check_seals(stored: Stored, table: _Table, trusts: Trusts, report: Report) -> None:
    """Rules 1 and 3."""
    rows = stored.checkpoints.get(table.name, [])
    report.findings += check_checkpoints(table.name, rows, table.tree, table.origin, trusts)
    table.counts |= {"leaves": len(table.tree), "checkpoints": len(rows)}
    if rows:
        newest = max(row.sealed_at for row in rows)
        report.newest = newest if report.newest is None else max(newest, report.newest)


def _check_copies(table: _Table, copies: Iterable[Copy], trusts: Trusts, report: Report) -> None:
    """Rule 4, for copies that say they are of this table."""
    mine = [copy for copy in copies if _claims(copy) == table.name]
    notes = {str(copy.path): copy.note for copy in mine}
    report.findings += check_copies(table.name, notes, table.tree, table.origin, trusts)
    table.counts["copies"] = len(mine)


def _claims(copy: Copy) -> str:
    """The table that a copy's first line names; a copy's place in a folder proves nothing."""
    parts = copy.note.partition(b"\n")[0].decode(errors="replace").split("/")
    return parts[2] if len(parts) == 4 else ""  # noqa: PLR2004 - fielded/deployment/table/id


def _unknown_copies(tables: Sequence[_Table], copies: Iterable[Copy], report: Report) -> None:
    names = {table.name for table in tables}
    for copy in copies:
        if _claims(copy) not in names:
            got = "no checkpoint of a table of this ledger"
            report.findings.append(Broken(rule=4, table=SEALS, file=str(copy.path), got=got, expected="one"))


def _check_unsealed(books: LedgerBooks, table: _Table, report: Report, *, strict: bool) -> None:
    """Rule 9: commits after the last sealed one."""
    now = books.clock().timestamp()
    fresh = [version for version in table.log.entries if version > table.sealed_through]
    for version in sorted(fresh):
        entry = table.log.entries[version]
        name = f"_delta_log/{version:020d}.json"
        if isinstance(entry, str):
            got = "lines that are no actions of the Delta protocol"
            report.findings.append(Broken(rule=9, table=table.name, file=name, got=got, expected="a log entry"))
            continue
        age = timedelta(seconds=max(0.0, now - entry.unix_ms / 1000))
        if strict or age > _YOUNG:
            got = f"version {version}, not sealed"
            expected = "a seal over it (`fielded audit seal`)"
            report.findings.append(Broken(rule=9, table=table.name, file=name, got=got, expected=expected))
        else:
            report.notes.append(f"{table.name}: version {version} is not sealed yet")


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

        files = LedgerFiles(
            name=table.name, folder=table.folder, leaves=table.leaves, unsealed=table.unsealed, paths=table.paths
        )
        found = check_files(files, books.site.workers, refer, more)
        report.findings += found.broken
        report.notes += found.notes
        table.counts |= {"files": found.files, "rows": found.rows, "bytes": found.octets}
