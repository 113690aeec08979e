"""The data files of a sealed ledger, one by one (rules 9 to 15 of `decisions.seal_rules`).

Files are taken by several threads, each with one row group in memory at a time. Rows are read only where there is
something to see that the file's digest does not say: rows of a journal, a rewrite's rows, or a file that changed.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fielded.decisions.journal_rules import ALTERED, ANSWERED, Run, check_runs, check_stretch_of_file
from fielded.decisions.rows import PARTITION
from fielded.decisions.seal_rules import NumberedLeaf, replaced_files
from fielded.decisions.seals import Broken, LogEntry, RowName, SealedFile
from fielded.words.overlap import ordered_map
from fielded.world.changed_files import MOST, Reference, look_into
from fielded.world.journaled_rows import JournaledRows, has_journaled_rows, read_journaled_rows
from fielded.world.regular_files import irregular, open_regular
from fielded.world.row_digests import RowsDigest

Referring = Callable[[SealedFile, list[str]], Reference | None]  # a changed file, the others of its partition


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFiles:
    """A table's files.

    Attributes:
        name: the table.
        folder: where it lies.
        leaves: its leaves.
        unsealed: its log entries after the last sealed one.
        paths: of every file that a log entry ever named.
    """

    name: str
    folder: Path
    leaves: Sequence[NumberedLeaf]
    unsealed: Sequence[LogEntry]
    paths: frozenset[str]


@dataclass(slots=True)
class FilesReport:
    """What came of them.

    Attributes:
        broken: findings.
        notes: what is as it may be.
        files: how many were checked.
        rows: that readers see.
        octets: bytes hashed.
    """

    broken: list[Broken] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: int = 0
    rows: int = 0
    octets: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """The files of one leaf, or of one commit that is not sealed yet.

    Attributes:
        files: of one partition.
        day: that partition, ISO; empty where it is of no day of scoring.
        rule: that a changed file breaks.
        replaced: path -> number of the rewrite leaf that took its place.
        rows_sha256: of a rewrite.
    """

    files: Sequence[SealedFile]
    day: str
    rule: int
    replaced: Mapping[str, int]
    rows_sha256: str = ""


@dataclass(slots=True)
class _Result:
    """What came of a task."""

    task: _Task
    broken: list[Broken] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)  # numbers of the leaves that replaced what is no more
    runs: list[tuple[str, Run]] = field(default_factory=list)
    changed: list[SealedFile] = field(default_factory=list)


def check_files(
    table: LedgerFiles, workers: int, refer: Referring, progress: Callable[[int], None]
) -> FilesReport:
    """Check every data file of a table.

    Args:
        table: whose.
        workers: threads.
        refer: what a changed file's rows were, from elsewhere.
        progress: told of rows done, each time how many more.
    """
    report, runs, gone = FilesReport(), list[tuple[str, Run]](), Counter[int]()
    tasks = list(_tasks(table))
    checking = _Checking(table)
    for result in ordered_map(checking.check, tasks, workers=workers, depth=2 * workers):
        report.broken += result.broken
        runs += result.runs
        gone.update(result.gone)
        for file in result.changed:
            siblings = [one.path for task in tasks for one in task.files if task.day == result.task.day]
            report.broken += _look_into(table, file, siblings, refer)
        _count(report, result.task)
        progress(sum(file.rows for file in result.task.files))
    try:
        report.broken += check_runs(runs, _befores(table.leaves))
    except Exception as error:  # noqa: BLE001 - what was found so far must not be lost
        report.broken.append(_unchecked(13, table.name, "", error))
    report.notes += [
        f"{table.name}: {count} old files are gone, replaced by rewrite leaf {place}"
        for place, count in sorted(gone.items())
    ]
    report.notes += _strays(table)
    return report


def _look_into(table: LedgerFiles, file: SealedFile, siblings: Sequence[str], refer: Referring) -> list[Broken]:
    """Rule 15; neighbours that are no regular files are not read for it."""
    try:
        others = [
            path for path in siblings if path != file.path and not irregular(table.folder / path, table.folder)
        ]
        reference = None if table.name != "predictions" else refer(file, others)
        return look_into(table.name, table.folder, file, [] if reference is None else [reference])
    except Exception as error:  # noqa: BLE001 - what was found so far must not be lost
        return [_unchecked(15, table.name, file.path, error)]


def _unchecked(rule: int, table: str, file: str, error: Exception) -> Broken:
    got = f"could not be checked ({type(error).__name__})"
    return Broken(rule=rule, table=table, file=file, got=got, expected="a file as it was sealed")


def _tasks(table: LedgerFiles) -> Iterator[_Task]:
    replaced = replaced_files(table.leaves)
    for one in table.leaves:
        leaf = one.leaf
        if leaf.files:
            yield _Task(
                files=leaf.files, day=leaf.partition.get(PARTITION) or "", rule=10, replaced=replaced,
                rows_sha256=leaf.rows_sha256,
            )  # fmt: skip
    for entry in table.unsealed:
        for added in entry.added:
            recorded = entry.recorded.get(added.path)
            if recorded is not None:
                file = SealedFile(
                    path=added.path, size=added.size, rows=recorded["rows"], sha256=recorded["sha256"],
                    chain=entry.stretches.get(added.path),
                )  # fmt: skip
                yield _Task(files=(file,), day=added.partition.get(PARTITION) or "", rule=9, replaced=replaced)


def _count(report: FilesReport, task: _Task) -> None:
    report.files += len(task.files)
    report.rows += sum(file.rows for file in task.files if file.path not in task.replaced)
    report.octets += sum(file.size for file in task.files)


class _Checking:
    """Checks one task after the other; several threads call it."""

    def __init__(self, table: LedgerFiles) -> None:
        self._table = table

    def check(self, task: _Task) -> _Result:
        """Rules 9 to 14 for the files of a task. An error that nobody thought of is a finding of the task."""
        result = _Result(task)
        try:
            self._check(result)
        except Exception as error:  # noqa: BLE001 - what was found so far must not be lost
            paths = ", ".join(str(file.path) for file in task.files)
            result.broken.append(_unchecked(task.rule, self._table.name, paths, error))
        return result

    def _check(self, result: _Result) -> None:
        task = result.task
        digest = RowsDigest() if task.rows_sha256 else None
        for file in task.files:
            if not self._same_bytes(result, file):
                digest = None
            elif file.path not in task.replaced:
                self._rows(result, file, digest)
            elif digest is not None:
                digest = None  # its rows are checked where they are now
        if digest is not None and digest.hexdigest() != task.rows_sha256:
            paths = ", ".join(file.path for file in task.files)
            got = f"rows with the digest {digest.hexdigest()} in {paths}"
            result.broken.append(Broken(rule=11, table=self._table.name, got=got, expected=task.rows_sha256))

    def _same_bytes(self, result: _Result, file: SealedFile) -> bool:
        """Rule 10 (9 before the seal). A changed file's rows are looked at all the same."""
        task, path = result.task, self._table.folder / file.path
        try:
            with open_regular(path, self._table.folder) as opened:
                sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
                size = os.fstat(opened.fileno()).st_size
        except OSError as error:
            self._missing(result, file, error)
            return False
        if (sha256, size) == (file.sha256, file.size):
            return True
        got, expected = f"{size} bytes, SHA-256 {sha256}", f"{file.size} bytes, SHA-256 {file.sha256}"
        result.broken.append(
            Broken(rule=task.rule, table=self._table.name, file=file.path, got=got, expected=expected)
        )
        result.changed.append(file)
        if file.path not in task.replaced:
            self._rows(result, file, None)
        return False

    def _missing(self, result: _Result, file: SealedFile, error: OSError) -> None:
        task = result.task
        if file.path in task.replaced and isinstance(error, FileNotFoundError):
            result.gone.append(task.replaced[file.path])
            return
        got = (
            f"no such file, {file.rows} rows gone" if isinstance(error, FileNotFoundError) else str(error.strerror)
        )
        expected = f"{file.size} bytes, SHA-256 {file.sha256}"
        result.broken.append(
            Broken(rule=task.rule, table=self._table.name, file=file.path, got=got, expected=expected)
        )
        result.runs += _as_sealed(file)

    def _rows(self, result: _Result, file: SealedFile, digest: RowsDigest | None) -> None:
        """Rules 13 and 14, and the rows' part of 10 and 11."""
        name, path = self._table.name, self._table.folder / file.path
        try:
            footer = pq.read_metadata(path)
            if footer.num_rows != file.rows and file not in result.changed:
                got, expected = f"{footer.num_rows} rows", f"{file.rows} rows"
                result.broken.append(Broken(rule=10, table=name, file=file.path, got=got, expected=expected))
            if digest is None and file.chain is None and not has_journaled_rows(footer):
                return
            rows = read_journaled_rows(path, result.task.day or None, digest)
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            if file not in result.changed:  # of those it is told already
                got = f"rows that cannot be read ({type(error).__name__})"
                result.broken.append(Broken(rule=13, table=name, file=file.path, got=got, expected="rows"))
            result.runs += _as_sealed(file)
            return
        result.broken += _told(name, file, rows)
        if file.chain is None:
            result.runs += [(file.path, run) for run in rows.runs]
        else:
            result.broken += check_stretch_of_file(file, rows.runs)
            result.runs += _as_sealed(file)


def _as_sealed(file: SealedFile) -> list[tuple[str, Run]]:
    """A drained file's stretch as it was sealed, in place of its rows: what is wrong in the file is said of it,
    and not of those that follow.
    """
    if file.chain is None:
        return []
    opening = RowName(number=1, request_id=None, subject=None)
    stretch = file.chain
    run = Run(
        journal=stretch.journal, first=stretch.first, last=stretch.last, digest=b"", head=b"",
        end=bytes.fromhex(stretch.after), opening=opening,
    )  # fmt: skip
    return [(file.path, run)]


def _told(table: str, file: SealedFile, rows: JournaledRows) -> list[Broken]:
    """Findings of single rows, not more than can be read."""
    kinds = (
        (13, rows.broken, ALTERED, ANSWERED),
        (13, rows.unreadable, "no number or no chain", ANSWERED),
        (14, rows.displaced, "a row of another day", "rows scored on the day of the partition"),
    )
    broken = []
    for rule, names, got, expected in kinds:
        broken += [Broken.of_row(rule, table, file.path, row, got=got, expected=expected) for row in names[:MOST]]
        if len(names) > MOST:
            more = f"{len(names) - MOST} rows more with {got}"
            broken.append(Broken(rule=rule, table=table, file=file.path, got=more, expected=expected))
    return broken


def _befores(leaves: Sequence[NumberedLeaf]) -> dict[tuple[str, int], str]:
    """Head before the first row of every sealed stretch."""
    stretches = [file.chain for one in leaves for file in one.leaf.files if file.chain is not None]
    return {(stretch.journal, stretch.first): stretch.before for stretch in stretches}


def _strays(table: LedgerFiles) -> list[str]:
    """Files that no commit names: what attempts left that died."""
    found = (path.relative_to(table.folder).as_posix() for path in table.folder.rglob("*.parquet"))
    stray = sorted(path for path in found if not path.startswith("_delta_log/") and path not in table.paths)
    if not stray:
        return []
    shown = ", ".join(stray[:3]) + (" and more" if len(stray) > 3 else "")  # noqa: PLR2004
    return [f"{table.name}: {len(stray)} files that no commit names, and no reader sees: {shown}"]
