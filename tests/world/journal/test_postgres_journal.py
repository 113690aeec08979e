"""What only journals in PostgreSQL can meet: lost answers, servers that hang or do not flush, other sessions."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from journal_stores import (
    LEDGER,
    MOMENT,
    append,
    beginning,
    check_chain,
    make_journals,
    make_rows,
    make_site,
    numbers_of,
)

from fielded.words.errors import WrongUse
from fielded.world.journal import JournalDown, OutOfStep, open_journals
from fielded.world.journal.postgres import PostgresJournal, PostgresJournals
from postgres_server import PostgresServer, postgres_programs


class Proxy:
    """Stands between a client and the server, and can lose what either says.

    Attributes:
        lose: "", or "question" or "answer": everything after that is lost and the connection cut.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lose = ""
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                for source, sink, what in ((client, server, "question"), (server, client, "answer")):
                    threading.Thread(target=self._pass_on, args=(source, sink, what), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, what: str) -> None:
        with suppress(OSError):
            while octets := source.recv(65536):
                if self.lose == what:
                    break
                sink.sendall(octets)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for end in (self._listener, *self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[Proxy]:
    with closing(Proxy(postgres.port)) as made:
        yield made


def hasty(url: str, deployment: str = "overrun") -> PostgresJournals:
    return PostgresJournals(url, deployment, os.urandom, patience=1.0)


@contextmanager
def held_up(pid: int) -> Iterator[None]:
    """A server process that does not move, though the network still takes bytes for it."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(("lost", "durable"), [("question", 3), ("answer", 8)])
def test_a_connection_lost_in_an_append_leaves_it_done_or_not_and_the_end_tells(
    postgres: PostgresServer, postgres_url: str, proxy: Proxy, lost: str, durable: int
) -> None:
    journals = make_journals(postgres_url.replace(f":{postgres.port}/", f":{proxy.port}/"))
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 2)
        append(journal, 1)  # from here on an append is one question and one answer
        rows = make_rows(journal.id, journal.end, 5)
        proxy.lose = lost
        with pytest.raises(JournalDown):
            journal.append(rows)
        proxy.lose = ""
        assert journal.end.sequence == durable
        append(journal, 2)
        assert check_chain(journals.read(journal.id, 0), beginning(journal.id)) == journal.end


def test_a_server_that_hangs_is_down_within_seconds_and_nothing_is_twice(postgres_url: str) -> None:
    journals = hasty(postgres_url)
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 3)
        rows = make_rows(journal.id, journal.end, 5)
        assert isinstance(journal, PostgresJournal)
        assert journal._connection is not None
        with held_up(journal._connection.info.backend_pid):
            started = time.monotonic()
            with pytest.raises(JournalDown, match="timeout expired"):
                journal.append(rows)
            assert time.monotonic() - started < 3
            with pytest.raises(JournalDown):  # the old session may still do it: no new one until it is gone
                _ = journal.end
            assert time.monotonic() - started < 8
        reached = journal.end.sequence
        assert reached in {3, 8}
        append(journal, 1)
        assert check_chain(journals.read(journal.id, 0), beginning(journal.id)) == journal.end
        assert journal.end.sequence == reached + 1


def test_a_locked_table_is_down_within_seconds(postgres_url: str) -> None:
    with closing(make_journals(postgres_url).claim(LEDGER)) as journal, psycopg.connect(postgres_url) as other:
        append(journal, 1)
        other.execute("LOCK TABLE fielded.journal_entries")
        with pytest.raises(JournalDown, match="SQLSTATE 55P03"):
            append(journal, 1)
        other.rollback()
        append(journal, 1)
        assert journal.end.sequence == 2


def test_a_second_writer_of_one_journal_gets_nothing_in(postgres_url: str) -> None:
    journals = hasty(postgres_url)
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 2)
        with psycopg.connect(postgres_url, autocommit=True) as other:
            columns = "journal, %s, %s, head, schema, rows, at"
            insert = f"INSERT INTO fielded.journal_entries SELECT {columns} FROM fielded.journal_entries"
            other.execute(insert, (3, 4))
            with pytest.raises(JournalDown, match="UniqueViolation"):
                append(journal, 1)
        with pytest.raises(OutOfStep, match="rows of somebody else"):
            append(journal, 1)


def test_a_session_that_was_ended_by_the_server_is_replaced(postgres_url: str) -> None:
    with closing(make_journals(postgres_url).claim(LEDGER)) as journal:
        append(journal, 2)
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'fielded'"
            )
        with pytest.raises(JournalDown):
            append(journal, 1)
        append(journal, 1)
        assert numbers_of(make_journals(postgres_url).read(journal.id, 0)) == [1, 2, 3]


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_flush_is_refused_in_production(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, setting: str
) -> None:
    production = open_journals(make_site(tmp_path, postgres_url, "production"), "overrun", os.urandom)
    with closing(production.claim(LEDGER)) as journal:
        append(journal, 1)
        postgres.set(**{setting: "off"})
        try:
            with pytest.raises(JournalDown, match=f"{setting}: got off, expected on"):
                production.claim(LEDGER)
            with closing(make_journals(postgres_url).claim(LEDGER)) as forgiven:
                append(forgiven, 1)
        finally:
            postgres.set(**{setting: ""})
    production.claim(LEDGER).close()


def test_replicas_that_start_at_once_make_the_tables_once(postgres_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: make_journals(postgres_url).claim(LEDGER), range(8)))
    assert len({journal.id for journal in claimed}) == 8
    assert [log.journal for log in make_journals(postgres_url).backlogs()] == sorted(item.id for item in claimed)
    for journal in claimed:
        append(journal, 1)
        journal.close()


def test_two_may_trim_one_journal_at_once(postgres_url: str) -> None:
    journals = make_journals(postgres_url)
    with closing(journals.claim(LEDGER)) as journal:
        for _ in range(60):
            append(journal, 2)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda through: journals.trim(journal.id, through), [119, 40, 77, 118, 3]))
        assert numbers_of(journals.read(journal.id, 0)) == [120]
        assert [log.end for log in journals.backlogs()] == [journal.end]


def test_a_role_that_may_make_nothing_uses_the_tables_it_finds(
    postgres: PostgresServer, postgres_url: str
) -> None:
    make_journals(postgres_url).claim(LEDGER).close()
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(f"DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN PASSWORD '{postgres.password}'")
        owner.execute("GRANT USAGE ON SCHEMA fielded TO clerk")
        owner.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA fielded TO clerk")
    clerks = make_journals(postgres_url.replace("//fielded:", "//clerk:"))
    with closing(clerks.claim(LEDGER)) as journal:
        append(journal, 2)
        assert numbers_of(clerks.read(journal.id, 0)) == [1, 2]
        clerks.trim(journal.id, 2)
    elsewhere = postgres.fresh_url().replace("//fielded:", "//clerk:")
    with pytest.raises(JournalDown, match="permission denied"):
        make_journals(elsewhere).claim(LEDGER)
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute("DROP OWNED BY clerk; DROP ROLE clerk")


def test_no_error_tells_a_secret_or_an_address(postgres: PostgresServer, postgres_url: str) -> None:
    secret = secrets.token_urlsafe(12)
    for url, reason in (
        (postgres_url.replace(postgres.password, secret), "password authentication failed"),
        (f"postgresql://fielded:{secret}@127.0.0.1:1/nothing", "connection refused"),
        (f"postgresql://fielded:{secret}@127.0.0.1:{postgres.port}/no_database", "password authentication failed"),
        (f"postgresql://fielded:{secret}@no-such-host.invalid/nothing", "got "),
    ):
        with pytest.raises(JournalDown, match=reason) as caught:
            make_journals(url).claim(LEDGER)
        said = str(caught.value)
        assert not [word for word in (secret, "fielded:", "127.0.0.1", "invalid", "@") if word in said]
        assert caught.value.__suppress_context__
    with pytest.raises(WrongUse, match="percent-encoded") as refused:
        make_journals(f"postgresql://fielded:{secret}@host:no-port/x?y")
    assert secret not in str(refused.value)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fielded.world.journal.postgres")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(WrongUse, match=r"pip install 'fielded\[postgres\]'"):
        make_journals("postgresql://somewhere/x")


def test_a_finished_journal_is_one_small_row(postgres_url: str) -> None:
    journals = make_journals(postgres_url)
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 30)
    journals.trim(journal.id, 30)
    with psycopg.connect(postgres_url) as other:
        for table, rows in (("journals", 1), ("journal_entries", 0), ("journal_schemas", 1)):
            assert other.execute(f"SELECT count(*) FROM fielded.{table}").fetchone() == (rows,)
    assert [(log.rows, log.end.sequence) for log in journals.backlogs()] == [(0, 30)]


FORMAT_1 = """
ALTER TABLE fielded.journals DROP COLUMN ledger, DROP COLUMN aside;
ALTER TABLE fielded.journal_entries DROP COLUMN at;
"""


def test_tables_of_format_1_are_read_and_changed_by_the_next_claim(postgres_url: str) -> None:
    journals = make_journals(postgres_url)
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 3)
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(FORMAT_1)
    (log,) = journals.backlogs()
    assert (log.rows, log.oldest, log.ledger) == (3, None, "")
    assert check_chain(journals.read(journal.id, 0), beginning(journal.id)) == log.end
    journals.trim(journal.id, 1)
    with closing(journals.claim(LEDGER)) as fresh:
        append(fresh, 1)
        assert [(log.rows, log.oldest, log.ledger) for log in journals.backlogs()] == [
            (2, None, ""),
            (1, MOMENT.replace(second=1), LEDGER),
        ]
    journals.put_aside(journal.id)
    assert [log.journal for log in journals.backlogs()] == [fresh.id]


def test_a_writer_of_format_1_goes_on_in_changed_tables(postgres_url: str) -> None:
    journals = make_journals(postgres_url)
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 3)
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute(FORMAT_1)
            journals.claim(LEDGER).close()
            other.execute("CREATE TEMP TABLE kept AS SELECT * FROM fielded.journal_entries")
            other.execute("DELETE FROM fielded.journal_entries")
            columns = "journal, first, last, head, schema, rows"
            other.execute(f"INSERT INTO fielded.journal_entries SELECT {columns} FROM kept")
        assert numbers_of(journals.read(journal.id, 0)) == [1, 2, 3]


@contextmanager
def follower(server: PostgresServer, folder: Path) -> Iterator[None]:
    """Something that follows the server as a standby does."""
    programs = postgres_programs()
    assert programs is not None
    folder.mkdir()
    command = [programs / "pg_receivewal", "-D", folder, "--synchronous", "-d", server.url()]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            with psycopg.connect(server.url(), autocommit=True) as connection:
                until = time.monotonic() + 20
                query = "SELECT FROM pg_stat_replication WHERE state = 'streaming'"
                while connection.execute(query).fetchone() is None:
                    assert time.monotonic() < until
                    time.sleep(0.1)
            yield
        finally:
            process.terminate()


def test_standbys_that_commits_do_not_wait_for_are_told_once(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_journals(postgres_url).claim(LEDGER).close()
    assert caplog.records == []
    with follower(postgres, tmp_path / "wal"):
        journals = make_journals(postgres_url)
        for _ in range(2):
            journals.claim(LEDGER).close()
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("fielded.journal", "WARNING")
        assert "a failover can lose answered rows" in record.getMessage()
        caplog.clear()
        postgres.set(synchronous_standby_names="*")
        try:
            with closing(make_journals(postgres_url).claim(LEDGER)) as journal:
                append(journal, 1)
        finally:
            postgres.set(synchronous_standby_names="")
        assert caplog.records == []
