"""What only journals in SQLite files can meet: full and read-only disks, files that vanish or are damaged."""

import contextlib
import logging
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from journal_stores import (
    LEDGER,
    MOMENT,
    append,
    beginning,
    check_chain,
    make_journals,
    make_rows,
    numbers_of,
    start_appending,
)

from fielded.world.journal import Damaged, Journal, JournalDown, OutOfStep
from fielded.world.journal.slots import move_out
from fielded.world.journal.sqlite import SqliteJournals


@pytest.fixture
def journals(tmp_path: Path) -> SqliteJournals:
    return SqliteJournals(tmp_path, "overrun", os.urandom, patience=0.3)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system can be mounted only by root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def append_for_ever(journal: Journal) -> None:
    while True:
        append(journal, 20)


def file_of(journals: SqliteJournals, slot: int = 1) -> Path:
    return journals._folder / f"journal-{slot:03d}.sqlite"


def test_a_full_disk_stops_appends_until_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500_000))
    journals = make_journals(f"sqlite:///{small_disk / 'journal'}")
    with closing(journals.claim(LEDGER)) as journal:
        with pytest.raises(JournalDown, match="full"):
            append_for_ever(journal)
        with pytest.raises(JournalDown):
            append(journal, 20)
        ballast.unlink()
        reached = journal.end.sequence
        append(journal, 20)
        assert journal.end.sequence == reached + 20 > 20
        assert check_chain(journals.read(journal.id, 0), beginning(journal.id)) == journal.end


def test_a_read_only_disk_gives_no_journal_until_it_is_writable(small_disk: Path) -> None:
    journals = make_journals(f"sqlite:///{small_disk}")
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 3)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(JournalDown, match="Read-only"):
        journals.claim(LEDGER)
    with pytest.raises(JournalDown):
        journals.trim(journal.id, 3)
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    with closing(journals.claim(LEDGER)) as again:
        assert again.id == journal.id
        append(again, 1)
        assert numbers_of(journals.read(again.id, 0)) == [1, 2, 3, 4]


def test_a_database_that_somebody_locks_is_down_until_it_is_freed(journals: SqliteJournals) -> None:
    with (
        closing(journals.claim(LEDGER)) as journal,
        closing(sqlite3.connect(file_of(journals), isolation_level=None)) as other,
    ):
        append(journal, 2)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalDown, match="locked"):
            append(journal, 2)
        with pytest.raises(JournalDown, match="locked"):
            journal.probe()
        other.execute("ROLLBACK")
        journal.probe()
        append(journal, 2)
        assert numbers_of(journals.read(journal.id, 0)) == [1, 2, 3, 4]


def test_a_short_lock_is_waited_for(tmp_path: Path) -> None:
    journals = SqliteJournals(tmp_path, "overrun", os.urandom)
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 1)
        other = sqlite3.connect(file_of(journals), isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.3, other.rollback).start()
        append(journal, 1)
        other.close()


def test_rows_are_not_taken_into_a_deleted_file(journals: SqliteJournals, tmp_path: Path) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 3)
        journals._folder.rename(tmp_path / "elsewhere")
        for _ in range(2):
            with pytest.raises(JournalDown):
                journal.append(make_rows(journal.id, beginning(journal.id), 1))
        (tmp_path / "elsewhere").rename(journals._folder)
        append(journal, 3)
        assert numbers_of(journals.read(journal.id, 0)) == [1, 2, 3, 4, 5, 6]


def test_rows_are_not_taken_into_another_journals_file(journals: SqliteJournals) -> None:
    with closing(journals.claim(LEDGER)) as one, closing(journals.claim(LEDGER)) as other:
        append(one, 1)
        append(other, 1)
        rows = make_rows(one.id, one.end, 1)
        for path in journals._folder.glob("journal-001.sqlite*"):
            path.unlink()
        with pytest.raises(JournalDown, match="deleted"):
            one.append(rows)
        file_of(journals).hardlink_to(file_of(journals, 2))
        with pytest.raises(JournalDown, match=f"got another journal, expected {one.id}"):
            one.append(rows)
        file_of(journals).unlink()


@pytest.mark.parametrize(
    "damage",
    [b"this is no database at all, though it is long enough to hold the header of one" * 20, b"SQLite format 3\0"],
    ids=["text", "torn header"],
)
def test_a_damaged_journal_is_put_aside_and_a_new_one_made(
    journals: SqliteJournals, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 3)
    file_of(journals).write_bytes(damage)
    assert journals.backlogs() == []
    with caplog.at_level(logging.ERROR, "fielded.journal"), closing(journals.claim(LEDGER)) as fresh:
        assert fresh.id != journal.id
        append(fresh, 1)
    (aside,) = journals.damaged
    assert aside.read_bytes() == damage
    assert str(aside) in caplog.text
    assert "WO-0000" not in caplog.text
    assert [log.journal for log in journals.backlogs()] == [fresh.id]


def test_a_journal_with_one_damaged_page_is_put_aside(journals: SqliteJournals) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        for _ in range(40):
            append(journal, 40)
    with file_of(journals).open("r+b") as file:
        file.seek(file.seek(0, os.SEEK_END) // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    with closing(journals.claim(LEDGER)) as fresh:
        assert fresh.id != journal.id
    assert len(journals.damaged) == 1


def test_a_database_of_somebody_else_is_left_as_it_is(journals: SqliteJournals) -> None:
    journals._folder.mkdir()
    with closing(sqlite3.connect(file_of(journals))) as other:
        other.execute("CREATE TABLE theirs (value)")
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 1)
    (aside,) = journals.damaged
    with closing(sqlite3.connect(aside)) as other:
        assert other.execute("SELECT count(*) FROM theirs").fetchone() == (0,)


def test_a_journal_of_a_later_format_is_not_touched(journals: SqliteJournals) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 1)
    with closing(sqlite3.connect(file_of(journals))) as other:
        other.execute("PRAGMA user_version=3")
    with pytest.raises(JournalDown, match="format: got 3, expected 1 to 2"):
        journals.claim(LEDGER)
    assert journals.damaged == []


def test_a_file_whose_maker_was_stopped_is_filled(journals: SqliteJournals) -> None:
    journals._folder.mkdir()
    file_of(journals).touch()
    assert journals.backlogs() == []
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 1)
    assert journals.damaged == []
    assert [log.rows for log in journals.backlogs()] == [1]


def test_changed_bytes_of_rows_are_named_and_not_parsed(journals: SqliteJournals) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        for _ in range(3):
            append(journal, 2)
    with closing(sqlite3.connect(file_of(journals), isolation_level=None)) as other:
        rows = bytearray(other.execute("SELECT rows FROM entries WHERE first = 3").fetchone()[0])
        rows[-9] ^= 1
        other.execute("UPDATE entries SET rows = ? WHERE first = 3", (bytes(rows),))
    with pytest.raises(Damaged, match=r"rows 3 to 4: rows: got bytes that differ"):
        list(journals.read(journal.id, 0))
    assert numbers_of(journals.read(journal.id, 4)) == [5, 6]


def test_a_killed_process_frees_its_slot(journals: SqliteJournals, tmp_path: Path) -> None:
    with start_appending(f"sqlite:///{tmp_path}", pause=0.05) as process:
        assert process.stdout is not None
        held = process.stdout.readline().strip()
        with closing(journals.claim(LEDGER)) as second:
            assert second.id != held
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            with closing(journals.claim(LEDGER)) as third:
                assert third.id == held
                append(third, 2)


def test_processes_that_start_at_once_get_journals_of_their_own(journals: SqliteJournals, tmp_path: Path) -> None:
    processes = [start_appending(f"sqlite:///{tmp_path}", rows=10) for _ in range(4)]
    try:
        held = [process.stdout.readline().strip() for process in processes if process.stdout]
    finally:
        for process in processes:
            process.communicate(timeout=60)
    # One that ended before another began passes its journal on; rows tell whether two ever shared one.
    logs = journals.backlogs()
    assert {log.journal for log in logs} == set(held)
    for log in logs:
        assert check_chain(journals.read(log.journal, 0), beginning(log.journal)) == log.end


def test_a_reader_in_the_middle_of_its_rows_stops_nobody(journals: SqliteJournals) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        for _ in range(200):
            append(journal, 1)
        reading = journals.read(journal.id, 0)
        next(reading)
        journals.trim(journal.id, 10)
        append(journal, 1)
        with closing(sqlite3.connect(file_of(journals))) as other:
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        assert numbers_of(reading)[-1] == 200


def test_the_log_is_bounded(journals: SqliteJournals) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        rows = make_rows(journal.id, journal.end, 1024)
        started = time.monotonic()
        while journal.end.sequence < 120 * 1024 and time.monotonic() - started < 60:
            journal.append(rows)
            rows = make_rows(journal.id, journal.end, 1024)
        log = file_of(journals).with_name("journal-001.sqlite-wal")
        assert file_of(journals).stat().st_size > 2 << 20
        assert log.stat().st_size < 16 << 20


FORMAT_1 = """
PRAGMA journal_mode=WAL; PRAGMA application_id=1718379626; PRAGMA user_version=1;
CREATE TABLE journal (id TEXT NOT NULL, trimmed INTEGER NOT NULL, gone INTEGER NOT NULL, head BLOB NOT NULL);
CREATE TABLE schemas (digest BLOB PRIMARY KEY, message BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, head BLOB NOT NULL, schema BLOB NOT NULL,
                      rows BLOB NOT NULL);
CREATE TABLE probe (turn INTEGER NOT NULL);
INSERT INTO probe VALUES (0);
"""


def test_a_journal_of_format_1_is_read_and_goes_on(journals: SqliteJournals) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 2)
        append(journal, 3)
    path = file_of(journals)
    new = path.rename(path.with_name("new"))
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(FORMAT_1)
        old.execute("ATTACH ? AS new", (str(new),))
        old.execute("INSERT INTO journal SELECT id, trimmed, gone, head FROM new.journal")
        old.execute("INSERT INTO schemas SELECT * FROM new.schemas")
        old.execute("INSERT INTO entries SELECT first, last, head, schema, rows FROM new.entries")
    (log,) = journals.backlogs()
    assert (log.journal, log.rows, log.oldest, log.ledger, log.end) == (
        journal.id, 5, None, "", check_chain(journals.read(journal.id, 0), beginning(journal.id)),
    )  # fmt: skip
    journals.trim(journal.id, 1)
    with closing(journals.claim(LEDGER)) as again:
        assert again.id == journal.id
        append(again, 1)
        assert numbers_of(journals.read(again.id, 0)) == [2, 3, 4, 5, 6]
        (log,) = journals.backlogs()
        assert (log.rows, log.oldest, log.ledger) == (5, None, LEDGER)
        journals.trim(again.id, 5)
        (log,) = journals.backlogs()
        assert log.oldest == MOMENT.replace(second=6)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_moment_that_makes_no_sense_stops_no_count(journals: SqliteJournals) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 1)
    for at in (2**62, "yesterday", None):
        with closing(sqlite3.connect(file_of(journals), isolation_level=None)) as other:
            other.execute("UPDATE entries SET at = ?", (at,))
        assert [(log.rows, log.oldest) for log in journals.backlogs()] == [(1, None)]


def test_only_its_owner_may_look_into_a_journal(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        journals = SqliteJournals(tmp_path / "site", "overrun", os.urandom)
        with closing(journals.claim(LEDGER)) as journal:
            append(journal, 1)
            files = sorted(journals._folder.iterdir())
            assert [file.name.partition(".")[2] for file in files] == [
                "lock",
                "sqlite",
                "sqlite-shm",
                "sqlite-wal",
            ]
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
            assert journals._folder.stat().st_mode & 0o777 == 0o700
        journals._folder.chmod(0o755)
        file_of(journals).chmod(0o644)
        with closing(journals.claim(LEDGER)) as journal:
            append(journal, 1)
            files = sorted(journals._folder.iterdir())
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
            assert journals._folder.stat().st_mode & 0o777 == 0o700
        aside = Path(journals.put_aside(journal.id))
        assert (aside.stat().st_mode & 0o777, aside.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    finally:
        os.umask(before)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", range(5))
def test_a_move_cut_short_anywhere_is_finished_with_its_log(
    journals: SqliteJournals, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 3)
    path = file_of(journals)
    octets = {"": b"no database " * 40, "-wal": b"its log", "-shm": b"its index"}
    for ending, content in octets.items():
        path.with_name(path.name + ending).write_bytes(content)
    renames, rename = iter(range(5)), Path.rename

    def rename_until_killed(self: Path, target: Path) -> Path:
        if next(renames) == step:
            raise Killed
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename_until_killed)
        with contextlib.suppress(Killed):
            move_out(path, "damaged", "00")
    assert path.exists() == (step == 0)  # the main file goes first: nobody opens what is left
    with closing(journals.claim(LEDGER)) as fresh:
        append(fresh, 2)
        (away,) = journals.damaged
        assert {ending: away.with_name(away.name + ending).read_bytes() for ending in octets} == octets
        assert list(journals._folder.glob("moving-*")) == []
    with closing(journals.claim(LEDGER)) as again:
        assert again.id == fresh.id
        assert numbers_of(journals.read(again.id, 0)) == [1, 2]
    assert journals.damaged == [away]


def test_a_move_is_not_finished_with_a_journal_that_somebody_put_there(journals: SqliteJournals) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 3)
    moving = journals._folder / "moving-damaged-journal-001-00"
    moving.mkdir()
    (moving / file_of(journals).name).write_bytes(b"the damaged one")
    with closing(journals.claim(LEDGER)) as again:
        assert again.id == journal.id
    (away,) = journals.damaged
    assert away.read_bytes() == b"the damaged one"


def test_a_journal_is_not_put_aside_while_somebody_reads_it(journals: SqliteJournals) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        for _ in range(200):
            append(journal, 1)
    reading = journals.read(journal.id, 0)
    next(reading)
    with pytest.raises(JournalDown, match="locked"):
        journals.put_aside(journal.id)
    assert numbers_of(reading)[-1] == 200
    with closing(sqlite3.connect(file_of(journals))) as other:  # as when it was killed before the files moved
        assert other.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    with closing(journals.claim(LEDGER)) as again:
        assert again.id == journal.id
        append(again, 1)
    journals.put_aside(journal.id)
    assert journals.backlogs() == []


def test_a_journal_with_a_damaged_page_can_be_put_aside(journals: SqliteJournals) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        for _ in range(40):
            append(journal, 40)
    with file_of(journals).open("r+b") as file:
        file.seek(file.seek(0, os.SEEK_END) // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(Damaged):
        list(journals.read(journal.id, 0))
    assert Path(journals.put_aside(journal.id)).exists()
    assert journals.backlogs() == []


def test_an_older_copy_put_back_under_a_running_writer_stops_it(journals: SqliteJournals) -> None:
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 2)
    copy = file_of(journals).read_bytes()
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 2)
        for path in journals._folder.glob("journal-001.sqlite*"):
            path.unlink()
        file_of(journals).write_bytes(copy)
        rows = make_rows(journal.id, journal.end, 1)
        with pytest.raises(JournalDown, match="deleted or replaced"):
            journal.append(rows)
        for _ in range(2):
            with pytest.raises(OutOfStep, match=r"last row is 2 .*expected 4"):
                journal.append(rows)
