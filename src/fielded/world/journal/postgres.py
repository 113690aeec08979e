"""Journals in PostgreSQL, for replicas whose disks do not outlast them. Needs the extra `postgres`.

Each claim makes a new journal; what a dead process left is drained like the rest, and a journal that is finished
stays as one small row. Its writer holds a session advisory lock on it, so a writer that lost its connection
cannot go on before the server has ended the old session: only then is it certain whether its last append is in.
(A pooler in front must pool sessions, not transactions.) Numbers are a primary key besides.

An append is one INSERT, one round trip. Everything is bounded in time on both sides, since a server that hangs
keeps accepting bytes.
"""

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast

import psycopg
import pyarrow as pa
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8

from fielded.decisions.chain import start_of
from fielded.words.errors import Refused, Unreachable, WrongUse
from fielded.words.identifiers import RandomBytes, uuid7
from fielded.world.journal.entries import Entry, moment, read_schema, unpack, within
from fielded.world.journal.port import Backlog, End, Journal, JournalDown, OutOfStep, Serving
from fielded.world.journal.postgres_errors import said
from fielded.world.journal.reports import read_report, report_text
from fielded.world.journal.writer import Writer

_T = TypeVar("_T")

_PATIENCE = 4.0  # seconds for any answer
_LOCK_MS = 2000
_READ_ENTRIES = 64
_TRIM_ENTRIES = 1000
_TOLD = 3  # format from which on it is told what is served
_MAKING = int.from_bytes(hashlib.sha256(b"fielded journal tables").digest()[:8], "big") >> 1

_CONNECTION = {
    "connect_timeout": "3",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "4000",
    "application_name": "fielded",
}  # unless the URL says otherwise

_SESSION = f"""
SET synchronous_commit = on;
SET statement_timeout = 3000;
SET lock_timeout = {_LOCK_MS};
SET idle_in_transaction_session_timeout = 10000;
SET tcp_keepalives_idle = 5;
SET tcp_keepalives_interval = 2;
SET tcp_keepalives_count = 3;
"""

_TABLES = """
CREATE SCHEMA IF NOT EXISTS fielded;
CREATE TABLE IF NOT EXISTS fielded.journals (
    id uuid PRIMARY KEY, deployment text NOT NULL, trimmed bigint NOT NULL, gone bigint NOT NULL,
    head bytea NOT NULL, probes bigint NOT NULL);
ALTER TABLE fielded.journals ADD COLUMN IF NOT EXISTS ledger text NOT NULL DEFAULT '';
ALTER TABLE fielded.journals ADD COLUMN IF NOT EXISTS aside boolean NOT NULL DEFAULT false;
CREATE INDEX IF NOT EXISTS journals_of_deployment ON fielded.journals (deployment, id);
CREATE TABLE IF NOT EXISTS fielded.journal_schemas (digest bytea PRIMARY KEY, message bytea NOT NULL);
CREATE TABLE IF NOT EXISTS fielded.journal_entries (
    journal uuid NOT NULL, first bigint NOT NULL, last bigint NOT NULL, head bytea NOT NULL, schema bytea NOT NULL,
    rows bytea NOT NULL, PRIMARY KEY (journal, first));
ALTER TABLE fielded.journal_entries ALTER COLUMN rows SET STORAGE EXTERNAL;
ALTER TABLE fielded.journal_entries ADD COLUMN IF NOT EXISTS at bigint;
CREATE UNLOGGED TABLE IF NOT EXISTS fielded.serving (
    journal uuid PRIMARY KEY, deployment text NOT NULL, report text NOT NULL, told timestamptz NOT NULL);
"""
# `gone` and `head` are the end of the last entry that was deleted; `rows` is packed already. What is served is
# told anew every second: unlogged, it costs no flush, and a server that crashed has ended those who told it.

_FORMAT = """
SELECT CASE WHEN to_regclass('fielded.journal_entries') IS NULL THEN 0 WHEN NOT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = to_regclass('fielded.journal_entries') AND attname = 'at'
    AND NOT attisdropped) THEN 1 WHEN to_regclass('fielded.serving') IS NULL THEN 2 ELSE 3 END
"""  # 0: no tables; 1: without `ledger`, `aside` and `at`; 2: without `serving`. The next claim adds what lacks

_STANDING = """
SELECT j.id::text, j.trimmed, coalesce(e.last, j.gone), coalesce(e.head, j.head), {ledger}, {at}
FROM fielded.journals j LEFT JOIN LATERAL (
    SELECT last, head FROM fielded.journal_entries WHERE journal = j.id ORDER BY first DESC LIMIT 1) e ON true
LEFT JOIN LATERAL (
    SELECT * FROM fielded.journal_entries WHERE journal = j.id AND last > j.trimmed ORDER BY first LIMIT 1
) o ON true
WHERE j.deployment = %s AND {used}
"""
_STANDINGS = {
    1: _STANDING.format(ledger="''", at="NULL", used="true"),
    2: _STANDING.format(ledger="j.ledger", at="o.at", used="NOT j.aside"),
}
_STANDINGS[3] = _STANDINGS[2]

_STANDBYS = """
SELECT current_setting('synchronous_standby_names') = ''
    OR current_setting('synchronous_commit') IN ('off', 'local')
FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup' LIMIT 1
"""

_INSERT = (
    "INSERT INTO fielded.journal_entries (journal, first, last, head, schema, at, rows) "
    "VALUES (%s, %s, %s, %b, %b, %s, %b)"
)

_REPORT = """
INSERT INTO fielded.serving (journal, deployment, report, told) VALUES (%s, %s, %s, clock_timestamp())
ON CONFLICT (journal) DO UPDATE SET report = excluded.report, told = excluded.told
"""
_REPORTS = """
SELECT journal::text, report, extract(epoch FROM clock_timestamp() - told)::float8
FROM fielded.serving WHERE deployment = %s ORDER BY journal
"""
_FORGET = "DELETE FROM fielded.serving WHERE deployment = %s AND told < clock_timestamp() - interval '1 day'"
_HELD = """
SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

_LOG = logging.getLogger("fielded.journal")


class PostgresJournals:
    """The journals of a deployment in one database.

    A row is durable on the server that confirmed it. Where standbys follow that server asynchronously
    (`synchronous_standby_names` is empty), a failover can lose answered rows: set it, so that a commit waits for a
    standby. Where it is not set, the log says so once. A writer that outlives such a failover finds its journal
    shorter than was confirmed and takes nothing more (`OutOfStep`).

    Args:
        url: `postgresql://...`; never repeated in an error.
        deployment: its name.
        random_bytes: source of randomness.
        forgiving: take a server that does not flush (`fsync`, `full_page_writes`) as well.
        patience: seconds to wait for any answer.

    Raises:
        WrongUse: the URL cannot be read.
    """

    def __init__(
        self,
        url: str,
        deployment: str,
        random_bytes: RandomBytes,
        *,
        forgiving: bool = False,
        patience: float = _PATIENCE,
    ) -> None:
        try:
            self._parameters: dict[str, Any] = {**_CONNECTION, **conninfo_to_dict(url)}
        except psycopg.Error:
            raise WrongUse(
                "journal_url: got a PostgreSQL URL that its client library cannot read, expected "
                "postgresql://USER@HOST:PORT/DATABASE with special characters percent-encoded"
            ) from None
        self._deployment = deployment
        self._random_bytes = random_bytes
        self._forgiving = forgiving
        self._patience = patience
        self._warned = False

    def claim(self, ledger: str) -> Journal:
        with self._connected() as connection:
            self._check_durable(connection)
            _make_tables(connection)
            now = connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").fetchone()
            journal = uuid7(_only(now), self._random_bytes)
            connection.execute(
                "INSERT INTO fielded.journals (id, deployment, trimmed, gone, head, probes, ledger) "
                "VALUES (%s, %s, 0, 0, %b, 0, %s)",
                (journal, self._deployment, start_of(journal), ledger),
            )
            connection.execute(_FORGET, (self._deployment,))
        claimed = PostgresJournal(self, journal)
        _ = claimed.end  # takes the lock
        return claimed

    def backlogs(self) -> list[Backlog]:
        with self._connected() as connection:
            found = _format(connection)
            if not found:
                return []
            rows = connection.execute(f"{_STANDINGS[found]} ORDER BY j.id", (self._deployment,)).fetchall()
            return [
                Backlog(journal, sequence - trimmed, moment(at), End(sequence, bytes(head)), ledger)
                for journal, trimmed, sequence, head, ledger, at in rows
            ]

    def serving(self) -> list[Serving]:
        with self._connected() as connection:
            if _format(connection) < _TOLD:
                return []
            # The locks first: one that is held when its report is read was held by whoever told it, for a journal
            # is claimed once.
            held = {key for (key,) in connection.execute(_HELD).fetchall()}
            rows = connection.execute(_REPORTS, (self._deployment,)).fetchall()
        read = (read_report(report, silent) for journal, report, silent in rows if _key(journal) in held)
        return [serving for serving in read if serving is not None]

    def report(self, connection: psycopg.Connection, serving: Serving) -> None:
        """Keep what the holder of a journal serves."""
        values = (serving.journal, self._deployment, report_text(serving))
        connection.execute(_REPORT, values, prepare=True)

    def read(self, journal: str, after: int) -> Iterator[pa.RecordBatch]:
        with self._connected() as connection:
            trimmed, sequence, head = self._standing(connection, journal)
            if after > sequence:
                raise _lost(journal, End(sequence, head), after)
            yield from _rows(connection, journal, max(after, trimmed), sequence)

    def trim(self, journal: str, through: int) -> None:
        with self._connected() as connection:
            connection.execute("SET synchronous_commit = off")  # a trim that a crash undoes is done again
            trimmed, sequence, head = self._standing(connection, journal)
            if through > sequence:
                raise _lost(journal, End(sequence, head), through)
            while through > trimmed and _trim_some(connection, journal, through):
                pass

    def put_aside(self, journal: str) -> str:
        with self._connected() as connection:
            self._standing(connection, journal)
            if not _only(connection.execute("SELECT pg_try_advisory_lock(%s)", (_key(journal),)).fetchone()):
                raise Refused(f"journal {journal}: got a process that writes it, expected none. Stop it first")
            _make_tables(connection)
            connection.execute("UPDATE fielded.journals SET aside = true WHERE id = %s", (journal,))
        return f"fielded.journals, id {journal}, marked `aside`"

    def _standing(self, connection: psycopg.Connection, journal: str) -> tuple[int, int, bytes]:
        """Number of the last row trimmed, of the last row, and the chain's head after it."""
        row, found = None, _format(connection)
        if found:
            where = f"{_STANDINGS[found]} AND j.id::text = %s"
            row = connection.execute(where, (self._deployment, journal)).fetchone()
        if row is None:
            raise Unreachable(
                f"journal {journal}: got none in the PostgreSQL database of `journal_url`, expected one that is "
                "listed there"
            )
        return row[1], row[2], bytes(row[3])

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        """A connection for one piece of work, and one kind of error."""
        try:
            connection = self.connect()
            try:
                yield connection
            finally:
                connection.close()
        except (psycopg.Error, OSError) as error:
            raise JournalDown(said(error)) from None

    def connect(self) -> psycopg.Connection:
        """A connection on which every statement is a transaction, none of them for ever.

        Raises:
            psycopg.Error: the server does not answer.
        """
        connection = _Bounded.connect(**self._parameters, autocommit=True)
        connection.patience = self._patience
        try:
            connection.execute(_SESSION)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_durable(self, connection: psycopg.Connection) -> None:
        for setting in () if self._forgiving else ("fsync", "full_page_writes"):
            value = _only(connection.execute("SELECT current_setting(%s)", (setting,)).fetchone())
            if value != "on":
                raise JournalDown(
                    f"journal: PostgreSQL setting {setting}: got {value}, expected on: a power cut would lose "
                    "rows that were answered. Turn it on and reload the server"
                )

    def hold(self, connection: psycopg.Connection, journal: str) -> End:
        """Take a journal for a session, once no other has it, and say where its chain stands."""
        self._check_durable(connection)
        self._warn_of_failover(connection)
        # The only other that can have it is our own session from before a broken connection.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND objsubid = 1 AND (classid::bigint << 32) | objid::bigint = %s AND pid <> pg_backend_pid() "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            (_key(journal),),
        )
        connection.execute("SELECT pg_advisory_lock(%s)", (_key(journal),))
        _, sequence, head = self._standing(connection, journal)
        return End(sequence, head)

    def _warn_of_failover(self, connection: psycopg.Connection) -> None:
        if self._warned:
            return
        with suppress(psycopg.errors.InsufficientPrivilege):
            self._warned = bool(_only(connection.execute(_STANDBYS).fetchone()))
        if self._warned:
            _LOG.warning(
                "journal: PostgreSQL has standbys that commits do not wait for: "
                "a failover can lose answered rows. Set synchronous_standby_names"
            )


class PostgresJournal(Writer):
    """A journal that this process has made.

    Args:
        journals: where it lies.
        journal: its id.
    """

    _failures = (psycopg.Error, OSError, Unreachable)

    def __init__(self, journals: PostgresJournals, journal: str) -> None:
        super().__init__(journal)
        self._journals = journals
        self._connection: psycopg.Connection | None = None
        self._stored: set[bytes] = set()

    def _open(self) -> End:
        self._connection = self._journals.connect()
        self._stored = set()
        return self._journals.hold(self._connection, self.id)

    def _insert(self, entry: Entry, schema: bytes) -> None:
        connection = self._opened()
        # As bigint whatever their size, so that one prepared statement does for all.
        numbers = (None if number is None else Int8(number) for number in (entry.first, entry.last, entry.at))
        first, last, at = numbers
        values = (self.id, first, last, entry.head, entry.schema, at, entry.rows)
        if entry.schema in self._stored:
            connection.execute(_INSERT, values, prepare=True)
            return
        with connection.transaction():
            connection.execute(
                "INSERT INTO fielded.journal_schemas VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (entry.schema, schema),
            )
            connection.execute(_INSERT, values)
        self._stored.add(entry.schema)

    def report(self, serving: Serving) -> None:
        with self._turn:
            self._standing()
            try:
                self._journals.report(self._opened(), serving)
            except psycopg.errors.InsufficientPrivilege as error:  # rows can be journaled all the same
                raise JournalDown(said(error)) from None
            except BaseException as error:
                self._failed(error)
                raise

    def _touch(self) -> None:
        self._opened().execute(
            "UPDATE fielded.journals SET probes = probes + 1 WHERE id = %s", (self.id,), prepare=True
        )

    def _opened(self) -> psycopg.Connection:
        if self._connection is None:
            raise JournalDown(f"journal {self.id}: not open")
        return self._connection

    def _shut(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                connection.close()

    def _said(self, error: Exception) -> str:
        return str(error) if isinstance(error, Unreachable) else said(error)


class _Bounded(psycopg.Connection[Any]):
    """A connection that waits for an answer only so long."""

    patience = _PATIENCE  # seconds

    def wait(self, gen: PQGen[_T], *args: Any, **options: Any) -> _T:
        return super().wait(_in_time(gen, self.patience), *args, **options)


def _in_time(gen: PQGen[_T], patience: float) -> PQGen[_T]:
    """The same work, ended with an error where it takes too long. psycopg resumes it every tenth of a second."""
    until = time.monotonic() + patience
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > until:
                raise psycopg.OperationalError("timeout expired")
            wanted = gen.send(ready)
    except StopIteration as done:
        return cast("_T", done.value)


def _format(connection: psycopg.Connection) -> int:
    return int(_only(connection.execute(_FORMAT).fetchone()))


def _make_tables(connection: psycopg.Connection) -> None:
    """Make what is missing; two that start at once take turns. A role that may not needs to find the tables."""
    if _format(connection) < max(_STANDINGS):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
            connection.execute(_TABLES)


def _key(journal: str) -> int:
    """The advisory lock of a journal's writer."""
    return int.from_bytes(hashlib.sha256(journal.encode()).digest()[:8], "big") >> 1


def _rows(connection: psycopg.Connection, journal: str, after: int, through: int) -> Iterator[pa.RecordBatch]:
    """Rows above `after`, not above `through`; no transaction is open while they are used."""
    schemas: dict[bytes, pa.Schema] = {}
    query = (
        "SELECT first, last, schema, rows FROM fielded.journal_entries "
        "WHERE journal = %s AND first >= %s AND first <= %s ORDER BY first LIMIT %s"
    )
    found = connection.execute(
        "SELECT max(first) FROM fielded.journal_entries WHERE journal = %s AND first <= %s", (journal, after + 1)
    )
    start = _only(found.fetchone()) or 0
    while True:
        values = (journal, start, through, _READ_ENTRIES)
        entries = connection.execute(query, values, binary=True).fetchall()
        for first, last, digest, rows in entries:
            where = f"journal {journal}: rows {first} to {last}"
            if digest not in schemas:
                message = connection.execute(
                    "SELECT message FROM fielded.journal_schemas WHERE digest = %b", (digest,), binary=True
                )
                schemas[digest] = read_schema(_only(message.fetchone()), digest, where)
            batch = unpack(rows, schemas[digest], last - first + 1, where)
            yield from within(batch, first, after, through)
        if not entries:
            return
        start = entries[-1][1] + 1


def _trim_some(connection: psycopg.Connection, journal: str, through: int) -> bool:
    """Forget some entries; True while there are more."""
    with connection.transaction():
        # The row's lock makes those who trim one journal take turns. Its writer never touches that row for long.
        connection.execute("SELECT FROM fielded.journals WHERE id = %s FOR UPDATE", (journal,))
        found = connection.execute(
            "SELECT last, head FROM fielded.journal_entries WHERE journal = %s AND last <= %s "
            "ORDER BY first LIMIT %s",
            (journal, through, _TRIM_ENTRIES),
        ).fetchall()
        if found:
            last, head = found[-1]
            connection.execute(
                "DELETE FROM fielded.journal_entries WHERE journal = %s AND first <= %s", (journal, last)
            )
            connection.execute(
                "UPDATE fielded.journals SET gone = %s, head = %b WHERE id = %s", (last, head, journal)
            )
        more = len(found) == _TRIM_ENTRIES
        connection.execute(
            "UPDATE fielded.journals SET trimmed = greatest(trimmed, %s) WHERE id = %s",
            (found[-1][0] if more else through, journal),
        )
    return more


def _only(row: tuple[Any, ...] | None) -> Any:
    """The one value of a row."""
    return None if row is None else row[0]


def _lost(journal: str, end: End, number: int) -> OutOfStep:
    return OutOfStep(
        f"journal {journal}: got a journal that ends at row {end.sequence}, expected row {number}. It has lost "
        "rows: was the database put back from an older copy?"
    )
