"""Journals in SQLite: a file for each process that writes, on a local disk.

`FOLDER/<deployment>/journal-001.sqlite` is a slot, and `journal-001.lock` beside it is locked (`flock`) by the
process that writes it; the operating system frees that lock however the process ends. A slot's journal keeps its
id and goes on when another process of the same ledger claims it. One that is damaged, or was put aside, lies in
a folder of its own beside the slots (`slots`).

An append is one INSERT and one flush of the write-ahead log (WAL, synchronous=FULL). What SQLite itself cannot
see is looked at here: a file that was deleted takes writes as if nothing were wrong, and pages whose flush
failed look clean to the next reader. So the file's place is checked at each write, and whoever opens a journal
first has the whole log written into the file and flushed.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa

from fielded.decisions.chain import start_of
from fielded.words.errors import Refused, Unreachable
from fielded.words.identifiers import RandomBytes, uuid7
from fielded.world.data_files import sync
from fielded.world.journal.entries import Entry, damaged, moment, read_schema, unpack, within
from fielded.world.journal.port import Backlog, End, Journal, JournalDown, OutOfStep, Serving
from fielded.world.journal.slots import finish_moves, lock, make_folder, make_private, move_out
from fielded.world.journal.tellings import Telling, told
from fielded.world.journal.writer import Writer

_APPLICATION = 0x666C646A  # "fldj", in the header of our files
_FORMAT = 2  # format 1 had neither `ledger` nor `at`: it is read, and made format 2 when it is claimed
_SLOTS = 4096
_PAGES = 2000  # of the log before it is written into the file: 8 MiB, more of them make that pause longer
_READ_ENTRIES = 64
_TRIM_ENTRIES = 64
_TRY_SECONDS = 0.02  # between two tries at a lock that SQLite itself does not wait for
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY = 0xFF  # an SQLite error code without its extension

_TABLES = """
CREATE TABLE journal (id TEXT NOT NULL, trimmed INTEGER NOT NULL, gone INTEGER NOT NULL, head BLOB NOT NULL,
                      ledger TEXT NOT NULL);
CREATE TABLE schemas (digest BLOB PRIMARY KEY, message BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, head BLOB NOT NULL, schema BLOB NOT NULL,
                      at INTEGER, rows BLOB NOT NULL);
CREATE TABLE probe (turn INTEGER NOT NULL);
INSERT INTO probe VALUES (0);
"""
_TO_FORMAT_2 = (
    "ALTER TABLE journal ADD COLUMN ledger TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE entries ADD COLUMN at INTEGER",
    "PRAGMA user_version=2",
)
# journal: one row. `trimmed` is the last number forgotten; `gone` and `head` are the last deleted entry's end.

_LOG = logging.getLogger("fielded.journal")


class SqliteJournals:
    """The journals of a deployment in one folder.

    Args:
        folder: of all journals of the site.
        deployment: its name.
        random_bytes: source of randomness.
        patience: seconds to wait for a lock that somebody else holds.
    """

    def __init__(self, folder: Path, deployment: str, random_bytes: RandomBytes, *, patience: float = 2.0) -> None:
        self._folder = folder / deployment
        self._random_bytes = random_bytes
        self._patience = patience

    @property
    def damaged(self) -> list[Path]:
        """Damaged journals that `claim` has moved away: rows in them not yet drained are in no other place."""
        return sorted(self._folder.glob("damaged-*/*.sqlite"))

    def claim(self, ledger: str) -> Journal:
        try:
            make_folder(self._folder)
            for slot in range(1, _SLOTS + 1):
                held = lock(self._folder / f"journal-{slot:03d}.lock")
                if held is None:
                    continue
                path, journal = self._folder / f"journal-{slot:03d}.sqlite", None
                try:
                    journal = self._ready(path, ledger)
                finally:
                    if journal is None:
                        os.close(held)
                if journal is not None:
                    return SqliteJournal(path, journal, held, self._patience)
        except (sqlite3.Error, OSError) as error:
            raise JournalDown(_said(self._folder, error)) from error
        raise JournalDown(f"{self._folder}: got {_SLOTS} journals in use, expected fewer. Stop processes")

    def _ready(self, path: Path, ledger: str) -> str | None:
        """The id of the journal in a slot whose lock is held, sound and of this ledger; a new one where there is
        none or it is damaged. None where it is another ledger's.
        """
        finish_moves(path)
        make_private(path)
        try:
            journal = self._sound(path, ledger)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            away = move_out(path, "damaged", self._random_bytes(8).hex())
            _LOG.error("%s: damaged (%s), moved to %s. Rows not yet drained are only there", path, error, away)
            journal = ""
        return self._make(path, ledger) if journal == "" else journal

    def _sound(self, path: Path, ledger: str) -> str | None:
        """The id of the journal in a file, all of whose pages hang together; empty where there is none yet, None
        where it is another ledger's.
        """
        if not path.exists():
            return ""
        with closing(_connect(path, self._patience)) as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                return ""  # its maker was stopped before the one transaction that fills it
            journal, version, bound = _identity(connection)
            if bound not in {"", ledger}:
                return None
            findings = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if findings != "ok":
                raise _damage(findings)
            _log_ahead(connection, path)
            if not bound:
                connection.execute("BEGIN IMMEDIATE")
                for change in _TO_FORMAT_2 if version == 1 else ():
                    connection.execute(change)
                connection.execute("UPDATE journal SET ledger = ?", (ledger,))
                connection.execute("COMMIT")
            return journal

    def _make(self, path: Path, ledger: str) -> str:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(_connect(path, self._patience)) as connection:
            _log_ahead(connection, path)
            now = connection.execute("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)")
            journal = uuid7(now.fetchone()[0], self._random_bytes)
            connection.executescript(
                f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id={_APPLICATION}; PRAGMA user_version={_FORMAT};"
            )
            connection.execute("INSERT INTO journal VALUES (?, 0, 0, ?, ?)", (journal, start_of(journal), ledger))
            connection.execute("COMMIT")
        sync(path)
        sync(path.parent)
        return journal

    def backlogs(self) -> list[Backlog]:
        found = []
        for path in sorted(self._folder.glob("journal-*.sqlite")):
            try:
                with closing(_connect(path, self._patience)) as connection:
                    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                        found.append(_backlog(connection))
            except sqlite3.Error as error:
                if not _is_damage(error):
                    raise JournalDown(_said(path, error)) from error
                _LOG.error("%s: damaged (%s). It is put aside when it is claimed next", path, error)
        return sorted(found, key=lambda backlog: backlog.journal)

    def serving(self) -> list[Serving]:
        try:
            return told(self._folder)
        except OSError as error:
            raise JournalDown(_said(self._folder, error)) from error

    def read(self, journal: str, after: int) -> Iterator[pa.RecordBatch]:
        path = self._place(journal)
        try:
            with closing(_connect(path, self._patience)) as connection:
                yield from _rows(connection, path, after)
        except sqlite3.Error as error:
            if _is_damage(error):
                raise damaged(
                    f"{path}: after row {after}", f"pages that do not hang together ({error})"
                ) from error
            raise JournalDown(_said(path, error)) from error

    def trim(self, journal: str, through: int) -> None:
        path = self._place(journal)
        try:
            with closing(_connect(path, self._patience)) as connection:
                # A trim that a power cut undoes is done again; the writer's flushes carry it along.
                connection.execute("PRAGMA synchronous=NORMAL")
                end = _end(connection)
                if through > end.sequence:
                    raise _lost(path, end, through)
                if through <= connection.execute("SELECT trimmed FROM journal").fetchone()[0]:
                    return  # nothing to forget: the writer is not held up
                while _trim_some(connection, through):
                    time.sleep(0.002)  # longer than a waiting writer sleeps between two tries
        except sqlite3.Error as error:
            raise JournalDown(_said(path, error)) from error

    def put_aside(self, journal: str) -> str:
        path = self._place(journal)
        try:
            held = lock(path.with_suffix(".lock"))
            if held is None:
                raise Refused(f"journal {journal}: got a process that writes it, expected none. Stop it first")
            try:
                self._close_for_all(path)
                return str(move_out(path, "aside", self._random_bytes(8).hex()))
            finally:
                os.close(held)
        except (sqlite3.Error, OSError) as error:
            raise JournalDown(_said(path, error)) from error

    def _close_for_all(self, path: Path) -> None:
        """Make a journal one file that nobody has open: whoever closes one that was moved away deletes the log of
        the journal that is then in its slot.

        Raises:
            sqlite3.OperationalError: somebody reads it now.
        """
        with closing(_connect(path, self._patience)) as connection:
            try:
                connection.execute("PRAGMA journal_mode=DELETE").fetchone()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise

    def _place(self, journal: str) -> Path:
        """The file that holds a journal."""
        for path in sorted(self._folder.glob("journal-*.sqlite")):
            try:
                with closing(_connect(path, self._patience)) as connection:
                    if _identity(connection)[0] == journal:
                        return path
            except sqlite3.Error as error:
                if not _is_damage(error):
                    raise JournalDown(_said(path, error)) from error
        raise Unreachable(f"journal {journal}: got none in {self._folder}, expected one that is listed there")


class SqliteJournal(Writer):
    """A journal in a slot that this process holds.

    Args:
        path: its file.
        journal: its id.
        lock: open descriptor of the slot's lock file; closed with the journal.
        patience: seconds to wait for somebody else's lock.
    """

    _failures = (sqlite3.Error, OSError, JournalDown)

    def __init__(self, path: Path, journal: str, lock: int, patience: float) -> None:
        super().__init__(journal)
        self._path = path
        self._files = (str(path), f"{path}-wal")  # looked at before each write: texts are quicker than paths
        self._lock = lock
        self._telling = Telling(path)
        self._patience = patience
        self._connection: sqlite3.Connection | None = None
        self._nodes = (0, 0)  # inodes of the file and of its log
        self._stored: set[bytes] = set()

    def _open(self) -> End:
        connection = self._connection = _connect(self._path, self._patience)
        if _identity(connection)[0] != self.id:
            raise JournalDown(f"{self._path}: got another journal, expected {self.id}. Start this process again")
        self._start_log_anew(connection)
        self._stored = {digest for (digest,) in connection.execute("SELECT digest FROM schemas")}
        end = _end(connection)
        self._nodes = self._nodes_now()
        return end

    def _start_log_anew(self, connection: sqlite3.Connection) -> None:
        """Write the whole log into the file. SQLite waits for readers, but not for another's checkpoint."""
        for _ in range(max(1, int(self._patience / _TRY_SECONDS))):
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            if not busy:
                return
            time.sleep(_TRY_SECONDS)
        raise JournalDown(f"{self._path}: got somebody who keeps it locked, expected a moment alone with it")

    def _insert(self, entry: Entry, schema: bytes) -> None:
        connection = self._in_place()
        values = (entry.first, entry.last, entry.head, entry.schema, entry.at, entry.rows)
        if entry.schema in self._stored:
            connection.execute(_INSERT, values)
            return
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT OR IGNORE INTO schemas VALUES (?, ?)", (entry.schema, schema))
        connection.execute(_INSERT, values)
        connection.execute("COMMIT")
        self._stored.add(entry.schema)

    def report(self, serving: Serving) -> None:
        if self._lock < 0:
            raise self._ended()
        try:
            self._telling.tell(serving)
        except OSError as error:
            raise JournalDown(_said(self._path, error)) from error

    def _touch(self) -> None:
        self._in_place().execute("UPDATE probe SET turn = turn + 1")

    def _in_place(self) -> sqlite3.Connection:
        try:
            moved = self._nodes_now() != self._nodes
        except FileNotFoundError:
            moved = True
        if moved or self._connection is None:
            raise JournalDown(f"{self._path}: got a file that was deleted or replaced, expected it in its place")
        return self._connection

    def _nodes_now(self) -> tuple[int, int]:
        file, log = self._files
        return os.stat(file).st_ino, os.stat(log).st_ino  # noqa: PTH116

    def _shut(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()  # without a COMMIT: what was begun is rolled back

    def _said(self, error: Exception) -> str:
        return str(error) if isinstance(error, JournalDown) else _said(self._path, error)

    def close(self) -> None:
        super().close()
        self._telling.end()
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)  # only now may others claim the slot


_INSERT = "INSERT INTO entries (first, last, head, schema, at, rows) VALUES (?, ?, ?, ?, ?, ?)"


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    """A connection on which every statement is a transaction unless it says BEGIN."""
    uri = f"file:{quote(str(path))}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={_PAGES}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _log_ahead(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
        raise JournalDown(f"{path}: got a file system without shared memory, expected a local disk")


def _identity(connection: sqlite3.Connection) -> tuple[str, int, str]:
    """Id, format and ledger of the journal in a file.

    Raises:
        sqlite3.DatabaseError: with the code of damage, where the file is no journal.
    """
    kind, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if kind != _APPLICATION:
        raise _damage("not a journal of fielded")
    if not 1 <= version <= _FORMAT:
        raise JournalDown(
            f"journal: format: got {version}, expected 1 to {_FORMAT}. Use the fielded that wrote it"
        )
    query = "SELECT id, ledger FROM journal" if version > 1 else "SELECT id, '' FROM journal"
    row = connection.execute(query).fetchone()
    if row is None:
        raise _damage("a journal without an id")
    return str(row[0]), version, str(row[1])


def _end(connection: sqlite3.Connection) -> End:
    row = connection.execute("SELECT last, head FROM entries ORDER BY first DESC LIMIT 1").fetchone()
    return End(*(row or connection.execute("SELECT gone, head FROM journal").fetchone()))


def _backlog(connection: sqlite3.Connection) -> Backlog:
    journal, version, ledger = _identity(connection)
    connection.execute("BEGIN")  # one moment's view of both tables
    trimmed = connection.execute("SELECT trimmed FROM journal").fetchone()[0]
    end = _end(connection)
    oldest = "SELECT at FROM entries WHERE last > ? ORDER BY first LIMIT 1"
    at = connection.execute(oldest, (trimmed,)).fetchone() if version > 1 else None
    connection.execute("COMMIT")
    return Backlog(journal, end.sequence - trimmed, None if at is None else moment(at[0]), end, ledger)


def _rows(connection: sqlite3.Connection, path: Path, after: int) -> Iterator[pa.RecordBatch]:
    """Rows above `after` that are there now; the file is never held open for reading while they are used."""
    end = _end(connection)
    if after > end.sequence:
        raise _lost(path, end, after)
    after = max(after, connection.execute("SELECT trimmed FROM journal").fetchone()[0])
    schemas: dict[bytes, pa.Schema] = {}
    query = "SELECT first, last, schema, rows FROM entries WHERE first >= ? ORDER BY first LIMIT ?"
    start = connection.execute("SELECT max(first) FROM entries WHERE first <= ?", (after + 1,)).fetchone()[0] or 0
    while True:
        entries = connection.execute(query, (start, _READ_ENTRIES)).fetchall()
        for first, last, digest, rows in entries:
            if first > end.sequence:
                return
            where = f"{path}: rows {first} to {last}"
            if digest not in schemas:
                found = connection.execute("SELECT message FROM schemas WHERE digest = ?", (digest,)).fetchone()
                schemas[digest] = read_schema(None if found is None else found[0], digest, where)
            batch = unpack(rows, schemas[digest], last - first + 1, where)
            yield from within(batch, first, after, end.sequence)
        if not entries:
            return
        start = entries[-1][1] + 1


def _trim_some(connection: sqlite3.Connection, through: int) -> bool:
    """Forget some entries; True while there are more."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = connection.execute(
            "SELECT last, head FROM entries WHERE last <= ? ORDER BY first LIMIT ?", (through, _TRIM_ENTRIES)
        ).fetchall()
        if found:
            connection.execute("DELETE FROM entries WHERE first <= ?", (found[-1][0],))
            connection.execute("UPDATE journal SET gone = ?, head = ?", found[-1])
        more = len(found) == _TRIM_ENTRIES
        trimmed = found[-1][0] if more else through
        connection.execute("UPDATE journal SET trimmed = max(trimmed, ?)", (trimmed,))
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return more


def _lost(path: Path, end: End, number: int) -> OutOfStep:
    return OutOfStep(
        f"{path}: got a journal that ends at row {end.sequence}, expected row {number}. It has lost rows: was it "
        "put back from an older copy?"
    )


def _damage(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _is_damage(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & _PRIMARY) in _DAMAGED


def _said(path: Path, error: Exception) -> str:
    reason = error.strerror or error if isinstance(error, OSError) else error
    return f"{path}: got {reason}, expected a write that reaches the disk. It goes on by itself once it can"
