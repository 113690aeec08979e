"""A store that does not hold what it was given: rows that are gone, changed or somebody else's. Both stores."""

import os
import random
import sqlite3
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_stores import LEDGER, MOMENT, append, beginning, check_chain, make_journals, make_rows, numbers_of

from fielded.words.errors import Refused, Unreachable
from fielded.world.journal import Damaged, JournalDown, Journals, OutOfStep, entries, find_live_rows
from fielded.world.journal.writer import Writer


@dataclass
class Opened:
    """A store and a way behind its back.

    Attributes:
        url: for `journal_url`.
        run: a statement on the store; `{entries}`, `{schemas}` and `{journals}` stand for its tables, `?` for a
            value.
    """

    url: str
    run: Callable[..., list[tuple[Any, ...]]]

    def journals(self, deployment: str = "overrun") -> Journals:
        return make_journals(self.url, deployment)

    def lose_connection(self, journal: object) -> None:
        assert isinstance(journal, Writer)
        journal._failed(RuntimeError("connection lost"))


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    if request.param == "sqlite":

        def run_in_file(statement: str, *values: object) -> list[tuple[Any, ...]]:
            file = tmp_path / "journal" / "overrun" / "journal-001.sqlite"
            tables = {"entries": "entries", "schemas": "schemas", "journals": "journal"}
            with closing(sqlite3.connect(file, isolation_level=None)) as connection:
                return connection.execute(statement.format(**tables), values).fetchall()

        return Opened(f"sqlite:///{tmp_path / 'journal'}", run_in_file)
    url = request.getfixturevalue("postgres_url")

    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        tables = {
            "entries": "fielded.journal_entries",
            "schemas": "fielded.journal_schemas",
            "journals": "fielded.journals",
        }
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement.format(**tables).replace("?", "%s"), values)
            return cursor.fetchall() if cursor.description else []

    return Opened(url, run)


def changed_last(octets: bytes) -> bytes:
    return octets[:-9] + bytes([octets[-9] ^ 1]) + octets[-8:]


def put_rows(store: Opened, first: int, rows: bytes) -> None:
    store.run("UPDATE {entries} SET rows = ? WHERE first = ?", rows, first)


@pytest.mark.parametrize(
    "loss",
    [
        "DELETE FROM {entries} WHERE first = 3",
        "DELETE FROM {entries}",
        "UPDATE {entries} SET head = schema WHERE first = 3",
        "UPDATE {entries} SET last = 5 WHERE first = 3",
    ],
    ids=["last entry", "all entries", "another head", "more rows"],
)
def test_a_store_that_fell_back_takes_no_number_a_second_time(
    store: Opened, loss: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 2)
        append(journal, 2)
        rows = make_rows(journal.id, journal.end, 1)
        store.run(loss)
        before = store.run("SELECT first, last FROM {entries} ORDER BY first")
        store.lose_connection(journal)
        for call in (lambda: journal.append(rows), journal.probe, lambda: journal.end, lambda: append(journal, 1)):
            with pytest.raises(OutOfStep, match=r"expected 4 \(.*which it had confirmed"):
                call()
        assert store.run("SELECT first, last FROM {entries} ORDER BY first") == before
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "expected 4" in caplog.text


@pytest.mark.parametrize("done", [True, False])
def test_an_append_of_unknown_outcome_is_found_out_and_then_held_to(
    store: Opened, done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        assert isinstance(journal, Writer)
        append(journal, 2)
        append(journal, 2)
        insert = journal._insert

        def fail(*given: Any) -> None:
            if done:
                insert(*given)
            raise OSError("answer lost")

        with monkeypatch.context() as patch:
            patch.setattr(journal, "_insert", fail)
            with pytest.raises(JournalDown):
                append(journal, 3)
        store.lose_connection(journal)
        assert journal.end.sequence == (7 if done else 4)
        append(journal, 1)
        assert check_chain(store.journals().read(journal.id, 0), beginning(journal.id)) == journal.end
        store.run("DELETE FROM {entries} WHERE first > 4")
        store.lose_connection(journal)
        with pytest.raises(OutOfStep):
            append(journal, 1)


def test_a_journal_that_was_trimmed_to_its_end_is_no_loss(store: Opened) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 4)
        store.journals().trim(journal.id, 4)
        store.lose_connection(journal)
        append(journal, 1)
        assert journal.end.sequence == 5


def test_one_damaged_entry_stops_only_its_own_journal(store: Opened, caplog: pytest.LogCaptureFixture) -> None:
    journals = store.journals()
    with closing(journals.claim(LEDGER)) as one, closing(journals.claim(LEDGER)) as other:
        append(one, 2)
        append(one, 2)
        append(one, 2)
        append(other, 9)
        query = "SELECT rows FROM {entries} WHERE first = 3"
        put_rows(store, 3, changed_last(bytes(store.run(query)[0][0])))
        assert [log.rows for log in journals.backlogs()] == [6, 9]
        assert {log.oldest for log in journals.backlogs()} == {MOMENT.replace(second=1)}
        reading = journals.read(one.id, 0)
        assert numbers_of([next(reading)]) == [1, 2]
        with pytest.raises(Damaged, match="rows 3 to 4: rows: got bytes that differ"):
            next(reading)
        assert numbers_of(journals.read(one.id, 4)) == [5, 6]
        found = find_live_rows(journals, "subject", "WO-00001")
        assert sorted(row["request_id"] for row in found) == sorted(
            [f"{one.id}/1", f"{other.id}/1", f"{other.id}/8"]
        )
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert one.id in caplog.text
        with pytest.raises(Damaged, match=f"could not read all journals:\njournal {one.id}"):
            find_live_rows(journals, "subject", "nobody")
        with pytest.raises(Damaged):
            find_live_rows(journals, "subject", "WO-00001", MOMENT.date().replace(day=1))
        journals.trim(one.id, 4)
        assert find_live_rows(journals, "subject", "nobody") == []


def packed(message: bytes, size: int | None = None) -> bytes:
    octets = pa.Codec("lz4").compress(message, asbytes=True)
    return struct.pack("<II", zlib.crc32(octets), len(message) if size is None else size) + octets


def text_that_is_none() -> bytes:
    """A sound message of a batch whose text is no UTF-8."""
    rows = pa.RecordBatch.from_arrays([pa.array([b"\xff\xfe"]).view(pa.utf8())], names=["subject"])
    return rows.serialize().to_pybytes()


@pytest.mark.parametrize(
    "rows",
    [
        b"",
        b"abc",
        packed(b""),
        packed(b"no Arrow at all" * 9),
        packed(b"\0" * 4096),
        packed(b"\xff" * 64, size=2**32 - 1),
        packed(b"x" * 600, size=8),
        struct.pack("<II", zlib.crc32(b"no LZ4 frame"), 64) + b"no LZ4 frame",
        packed(text_that_is_none()),
    ],
    ids=["empty", "short", "nothing", "text", "zeros", "a bomb", "less than said", "no frame", "no UTF-8"],
)
def test_crafted_rows_are_damaged_and_nothing_else(store: Opened, rows: bytes) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 1)
        put_rows(store, 1, rows)
        with pytest.raises(Damaged, match="rows 1 to 1"):
            list(store.journals().read(journal.id, 0))
        assert [log.rows for log in store.journals().backlogs()] == [1]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(octets=st.binary(max_size=80), place=st.integers(0, 2000), size=st.none() | st.integers(0, 2**32 - 1))
def test_any_bytes_are_rows_or_damaged(octets: bytes, place: int, size: int | None) -> None:
    sound = make_rows("j", beginning("j"), 3)
    message = sound.serialize().to_pybytes()
    crafted = message[: place % len(message)] + octets + message[place % len(message) + len(octets) :]
    schema = pa.schema([(name, pa.string() if name == "channel" else sound.schema.field(name).type)
                        for name in sound.schema.names])  # fmt: skip
    try:
        batch = entries.unpack(packed(crafted, size), schema, 3, "here")
    except Damaged:
        return
    assert batch.num_rows == 3
    batch.validate(full=True)


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM {schemas}", "UPDATE {schemas} SET message = digest"],
    ids=["gone", "changed"],
)
def test_a_schema_that_is_not_the_one_written_is_damage(store: Opened, change: str) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 1)
        store.run(change)
        with pytest.raises(Damaged, match="schema"):
            list(store.journals().read(journal.id, 0))


def test_rows_too_large_for_one_entry_are_refused_and_others_go_on(
    store: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(1)
    noise = pa.array([chance.randbytes(3000).hex() for _ in range(40)])
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 1)
        monkeypatch.setattr(entries, "_MOST_PACKED", 1 << 16)
        with pytest.raises(Refused, match="Send fewer or shorter rows"):
            append(journal, 40, more={"noise": noise})
        append(journal, 40)
        assert journal.end.sequence == 41


def test_a_journal_serves_one_ledger(store: Opened) -> None:
    theirs = "8c9e1f34-77aa-4b1e-8a52-0d0c3c1e7b11"
    with closing(store.journals().claim(LEDGER)) as one:
        append(one, 2)
    with closing(store.journals().claim(theirs)) as other:
        assert other.id != one.id
        append(other, 3)
    assert [(log.journal, log.ledger, log.rows) for log in store.journals().backlogs()] == [
        (one.id, LEDGER, 2),
        (other.id, theirs, 3),
    ]
    (row,) = find_live_rows(store.journals(), "subject", "WO-00001", ledger=theirs)
    assert row["journal"] == other.id
    assert len(find_live_rows(store.journals(), "subject", "WO-00001")) == 2
    with closing(store.journals().claim(LEDGER)) as again:
        assert again.id != other.id


def test_a_journal_put_aside_is_passed_over_and_kept(store: Opened) -> None:
    journals = store.journals()
    with closing(journals.claim(LEDGER)) as journal:
        append(journal, 3)
        with pytest.raises(Refused, match="a process that writes it"):
            journals.put_aside(journal.id)
        append(journal, 1)
    where = journals.put_aside(journal.id)
    assert "aside" in where
    assert journals.backlogs() == []
    for call in (
        lambda: list(journals.read(journal.id, 0)),
        lambda: journals.trim(journal.id, 1),
        lambda: journals.put_aside(journal.id),
    ):
        with pytest.raises(Unreachable, match="got none"):
            call()
    with pytest.raises(Unreachable, match="got none"):
        store.journals("delay").put_aside(journal.id)
    with closing(journals.claim(LEDGER)) as fresh:
        assert fresh.id != journal.id
        append(fresh, 1)
    if os.path.exists(where):  # noqa: PTH110 - a text for people
        with closing(sqlite3.connect(where)) as kept:
            assert kept.execute("SELECT max(last) FROM entries").fetchone() == (4,)
    else:
        assert store.run("SELECT max(last) FROM {entries} WHERE journal = ?", journal.id) == [(4,)]


def test_another_deployments_journal_is_not_put_aside(store: Opened) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 1)
    with pytest.raises(Unreachable, match="got none"):
        store.journals("delay").put_aside(journal.id)
    assert [log.rows for log in store.journals().backlogs()] == [1]
