"""What processes tell of what they serve, whichever store their journal lies in (SQLite, PostgreSQL)."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_stores import LEDGER, append, make_journals

from fielded.decisions.release.acts import Pinned
from fielded.decisions.release.tallies import Counts, Tally
from fielded.world.journal import Journal, JournalDown, Journals, Serving
from fielded.world.journal.reports import read_report, report_text

MOMENT = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
COUNTS = Counts(
    trial="salt", running=True, production=Tally(rows=3, flagged=1, log_odds=-1 / 3, squares=0.2), idle_seconds=1.5
)


def telling(journal: str, version: str = "2", pid: int = 1) -> Serving:
    return Serving(
        journal=journal, ledger=LEDGER, host="here", pid=pid, model_version=version, artifact_sha256="ab" * 32,
        withheld=False, standby=Pinned("1", "cd" * 32), replayed=20, since=MOMENT,
        seen_at=MOMENT + timedelta(seconds=3), trial=COUNTS,
    )  # fmt: skip


def heard(journals: Journals) -> list[tuple[str, str]]:
    return [(one.journal, one.model_version) for one in journals.serving()]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"sqlite:///{tmp_path / 'journal'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )


def test_nothing_is_listed_where_nothing_was_ever_journaled(url: str) -> None:
    assert make_journals(url).serving() == []


def test_what_was_told_last_is_listed_as_it_was_told(url: str) -> None:
    journals = make_journals(url)
    with closing(journals.claim(LEDGER)) as journal:
        assert journals.serving() == [], "a journal is held, but nothing is told"
        journal.report(telling(journal.id, "1"))
        journal.report(telling(journal.id, "2"))
        (found,) = make_journals(url).serving()
        assert replace(found, silent_seconds=0.0) == telling(journal.id, "2")
        assert 0 <= found.silent_seconds < 60


def test_a_telling_ages_by_the_stores_clock(url: str) -> None:
    with closing(make_journals(url).claim(LEDGER)) as journal:
        journal.report(telling(journal.id))
        first = make_journals(url).serving()[0].silent_seconds
        time.sleep(0.3)
        assert make_journals(url).serving()[0].silent_seconds >= first + 0.25
        journal.report(telling(journal.id))
        assert make_journals(url).serving()[0].silent_seconds < first + 0.25


def test_several_are_listed_and_one_that_closes_is_gone(url: str) -> None:
    journals = make_journals(url)
    with closing(journals.claim(LEDGER)) as one:
        one.report(telling(one.id))
        with closing(journals.claim(LEDGER)) as other:
            other.report(telling(other.id, "1"))
            assert heard(journals) == sorted([(one.id, "2"), (other.id, "1")])
        assert heard(journals) == [(one.id, "2")]
    assert heard(journals) == []
    with pytest.raises(JournalDown, match="closed"):
        one.report(telling(one.id))


def test_deployments_do_not_hear_each_other(url: str) -> None:
    with closing(make_journals(url, "overrun").claim(LEDGER)) as journal:
        journal.report(telling(journal.id))
        assert heard(make_journals(url, "delay")) == []


def test_a_new_holder_has_told_nothing_yet(url: str) -> None:
    journals = make_journals(url)
    with closing(journals.claim(LEDGER)) as first:
        first.report(telling(first.id))
    with closing(journals.claim(LEDGER)) as second:
        assert heard(journals) == []
        second.report(telling(second.id, "1"))
        assert heard(journals) == [(second.id, "1")]


def test_telling_does_not_disturb_appending(url: str) -> None:
    with closing(make_journals(url).claim(LEDGER)) as journal:
        done = threading.Event()

        def tell() -> None:
            while not done.is_set():
                journal.report(telling(journal.id))

        thread = threading.Thread(target=tell)
        thread.start()
        for _ in range(40):
            append(journal, 3)
        done.set()
        thread.join()
        assert journal.end.sequence == 120
        assert heard(make_journals(url)) == [(journal.id, "2")]


def test_looking_keeps_nobody_from_claiming_or_telling(url: str) -> None:
    done = threading.Event()
    faults: list[Exception] = []

    def look() -> None:
        journals = make_journals(url)
        while not done.is_set():
            try:
                assert all(one.artifact_sha256 == "ab" * 32 for one in journals.serving())
            except Exception as error:  # noqa: BLE001 - told below
                faults.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    ids = set()
    for turn in range(8):
        with closing(make_journals(url).claim(LEDGER)) as journal:
            ids.add(journal.id)
            for _ in range(20):
                journal.report(telling(journal.id, str(turn)))
    done.set()
    for thread in threads:
        thread.join()
    assert not faults
    if url.startswith("sqlite"):
        assert len(ids) == 1, "the slot was claimed each time, whoever looked"


def start_telling(url: str) -> subprocess.Popen[str]:
    """A process that holds a journal, has told, and waits."""
    process = subprocess.Popen([sys.executable, __file__, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_killed_process_is_gone_at_once_and_a_stopped_one_is_not(url: str) -> None:
    journals = make_journals(url)
    with closing(journals.claim(LEDGER)) as own:
        own.report(telling(own.id, "1", pid=os.getpid()))
        process = start_telling(url)
        try:
            assert {one.pid for one in journals.serving()} == {os.getpid(), process.pid}
            process.send_signal(signal.SIGSTOP)
            assert len(journals.serving()) == 2, "it may go on at any moment"
            process.kill()
            process.wait()
            gone = time.monotonic() + 5  # the database learns of it by the connection's end
            while len(journals.serving()) > 1 and time.monotonic() < gone:
                time.sleep(0.01)
            assert [one.pid for one in journals.serving()] == [os.getpid()]
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_a_file_that_somebody_deleted_is_told_anew(tmp_path: Path) -> None:
    journals = make_journals(f"sqlite:///{tmp_path / 'journal'}")
    with closing(journals.claim(LEDGER)) as journal:
        journal.report(telling(journal.id))
        for path in (tmp_path / "journal" / "overrun").glob("*.alive"):
            path.unlink()
        assert journals.serving() == []
        journal.report(telling(journal.id))
        assert heard(journals) == [(journal.id, "2")]


def test_only_its_owner_reads_what_is_told(tmp_path: Path) -> None:
    with closing(make_journals(f"sqlite:///{tmp_path / 'journal'}").claim(LEDGER)) as journal:
        journal.report(telling(journal.id))
        for path in (tmp_path / "journal" / "overrun").glob("journal-*"):
            assert path.stat().st_mode & 0o077 == 0, path.name


def test_tellings_in_postgresql_are_not_flushed_and_survive_a_lost_connection(postgres_url: str) -> None:
    journals = make_journals(postgres_url)
    with closing(journals.claim(LEDGER)) as journal:
        journal.report(telling(journal.id))
        with psycopg.connect(postgres_url, autocommit=True) as other:
            kind = other.execute("SELECT relpersistence FROM pg_class WHERE relname = 'serving'").fetchone()
            assert kind in (("u",), (b"u",))
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND application_name = 'fielded'"
            )
        assert heard(journals) == [], "without its session it holds nothing"
        with pytest.raises(JournalDown):
            journal.report(telling(journal.id))
        journal.report(telling(journal.id))
        assert heard(journals) == [(journal.id, "2")]


@given(
    st.builds(
        Tally, rows=st.integers(0), refused=st.integers(0), flagged=st.integers(0), review=st.integers(0),
        log_odds=st.floats(allow_nan=False), squares=st.floats(0, allow_nan=False),
    ),
    st.text(),
    st.none() | st.builds(Pinned, st.text(), st.text()),
)  # fmt: skip
def test_a_report_is_read_as_it_was_written(tally: Tally, host: str, standby: Pinned | None) -> None:
    counts = Counts(trial=host, running=False, production=tally, candidate=tally, idle_seconds=0.1)
    one = replace(telling("j"), host=host, standby=standby, trial=counts)
    assert read_report(report_text(one), 0.0) == one
    assert read_report(report_text(replace(one, trial=None)), -1.0) == replace(one, trial=None)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"trial": 3}', "{", '"x"'])
def test_a_report_of_another_form_is_passed_over(text: str) -> None:
    assert read_report(text, 0.0) is None


def _tell_and_wait(url: str) -> None:
    journal: Journal = make_journals(url).claim(LEDGER)
    journal.report(telling(journal.id, pid=os.getpid()))
    sys.stdout.write("told\n")
    sys.stdout.flush()
    time.sleep(600)


if __name__ == "__main__":
    _tell_and_wait(sys.argv[1])
