"""From journal to ledger: exactly once, in order, and only what was answered."""

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from books import PREDICTIONS, read
from conftest import World
from fielded.decisions.chain import link, row_digests
from fielded.services import drain as drain_module
from fielded.services.audit import Books, find_subject, show
from fielded.services.drain import drain
from fielded.services.score_day import score_day
from fielded.services.serve import open_live
from fielded.services.verify import verify
from fielded.words.errors import Refused
from fielded.world.journal import Damaged, Journal
from fielded.world.turns import turn
from fielded.world.workplace import Workplace, open_workplace
from live import ROW, ask, request, serving


def at(world: World, clock: Callable[[], datetime]) -> Workplace:
    one = world.open()
    return open_workplace(one.deployment, world.site, user="os:server", clock=clock, random_bytes=one.random_bytes)


def answered(world: World, count: int, rows: int = 3) -> None:
    with serving(world) as (live, told):
        ask(live.scoring, told, [request(f"{count}-{n}", [ROW] * rows) for n in range(count)])


def live_rows(world: World) -> list[dict]:
    rows = [row for row in read(world, PREDICTIONS) if row["channel"] == "api"]
    return sorted(rows, key=lambda row: (row["journal"], row["journal_sequence"]))


def test_moves_every_row_once_and_empties_the_journal(world: World) -> None:
    answered(world, 20)
    drained = drain(world.open())
    assert (drained.rows, drained.files, drained.journals, drained.failures) == (60, 1, 1, {})
    rows = live_rows(world)
    assert [row["journal_sequence"] for row in rows] == list(range(1, 61))
    assert {row["scored_date"] for row in rows} == {row["scored_at"].date() for row in rows}
    assert sum(backlog.rows for backlog in world.open().journals.backlogs()) == 0
    assert drain(world.open()).rows == 0


def test_goes_on_where_the_last_one_ended(world: World) -> None:
    for number in range(3):
        answered(world, number + 2)
        drain(world.open())
    assert [row["journal_sequence"] for row in live_rows(world)] == list(range(1, 28))


def test_drains_beside_a_batch_run_of_the_same_day(world: World) -> None:
    workplace, scorers = world.scorers()
    score_day(workplace, scorers, workplace.clock().date())
    answered(world, 4)
    drain(world.open())
    channels = Counter(row["channel"] for row in read(world, PREDICTIONS))
    assert channels["api"] == 12
    assert channels["batch"] > 1000


@pytest.mark.parametrize("moment", ["commit", "seal", "trim"])
def test_a_drain_that_dies_at_any_moment_is_finished_by_the_next(
    world: World, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(world, 10)
    workplace = world.open()

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if moment == "trim":
            patched.setattr(type(workplace.journals), "trim", die)
        elif moment == "seal":
            patched.setattr(drain_module, "seal", die)
        else:
            patched.setattr(type(workplace.ledger), "commit_drained", die)
        with pytest.raises(KeyboardInterrupt):
            drain(workplace)
    answered(world, 11)
    drain(world.open())
    assert [row["journal_sequence"] for row in live_rows(world)] == list(range(1, 64))


def test_two_drains_at_once_move_each_row_once(world: World) -> None:
    answered(world, 60)
    start = threading.Barrier(3)
    faults: list[BaseException] = []

    def run() -> None:
        workplace = world.open()
        start.wait()
        try:
            drain(workplace)
        except BaseException as fault:  # noqa: BLE001 - told to the test
            faults.append(fault)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert [row["journal_sequence"] for row in live_rows(world)] == list(range(1, 181))


def test_drains_while_answers_go_out(world: World) -> None:
    with serving(world) as (live, told):
        done = threading.Event()

        def load() -> None:
            for number in range(400):
                ask(live.scoring, told, [request(number)])
            done.set()

        caller = threading.Thread(target=load)
        caller.start()
        while not done.is_set():
            live.drain_once()
        caller.join()
        live.drain_once()
        told_ids = [told.of(number).request_ids[0] for number in range(400)]
    assert [row["request_id"] for row in live_rows(world)] == told_ids


def test_midnight_parts_the_rows_into_days(world: World) -> None:
    moment = datetime(2026, 3, 2, 23, 59, 59, 990_000, tzinfo=UTC)
    times = iter(moment + timedelta(milliseconds=number) for number in range(10**6))
    with serving(world, at(world, lambda: next(times))) as (live, told):
        for number in range(20):
            ask(live.scoring, told, [request(number)])
    drained = drain(world.open())
    assert drained.files == 2
    rows = live_rows(world)
    assert [row["journal_sequence"] for row in rows] == list(range(1, 21))
    assert all(row["scored_date"] == row["scored_at"].date() for row in rows)
    assert len({row["scored_date"] for row in rows}) == 2


def test_a_clock_put_back_loses_nothing(world: World) -> None:
    start = datetime(2026, 3, 3, 0, 0, 0, 5000, tzinfo=UTC)
    times = iter(start + timedelta(milliseconds=(number % 4) * 10 - 20) for number in range(10**6))
    with serving(world, at(world, lambda: next(times))) as (live, told):
        for number in range(12):
            ask(live.scoring, told, [request(number)])
    drain(world.open())
    assert [row["journal_sequence"] for row in live_rows(world)] == list(range(1, 13))


def test_of_processes_on_one_machine_one_drains_at_a_time(world: World) -> None:
    with serving(world) as (one, told_one), serving(world) as (two, told_two):
        ask(one.scoring, told_one, [request("one")])
        ask(two.scoring, told_two, [request("two")])
        with turn(world.site.cache / "drains" / one.workplace.deployment.name):
            assert one.drain_in_turn() is None
        drained = two.drain_in_turn()
        assert drained is not None
        assert drained.rows == 2


def test_replicas_with_one_postgresql_drain_alike(world: World, postgres_url: str) -> None:
    world.site = replace(world.site, journal_url=postgres_url)
    with serving(world) as (one, told_one), serving(world) as (two, told_two):
        for number in range(5):
            ask(one.scoring, told_one, [request(f"one-{number}", [ROW] * 2)])
            ask(two.scoring, told_two, [request(f"two-{number}")])
            if number == 2:
                assert one.drain_once().rows == 9, "also those of the other replica"
        ids = [told.of(f"{name}-4").request_ids[0] for name, told in (("one", told_one), ("two", told_two))]
        books = Books(world.open().tables, world.open().ledger.predictions, world.open().journals)
        assert [show(books, request_id)["subject"] for request_id in ids] == ["one-4-0", "two-4-0"]
    drained = drain(world.open())
    assert (drained.rows, drained.journals, drained.failures) == (6, 2, {})
    rows = live_rows(world)
    by_journal = Counter(row["journal"] for row in rows)
    assert sorted(by_journal.values()) == [5, 10]
    for journal in by_journal:
        numbers = [row["journal_sequence"] for row in rows if row["journal"] == journal]
        assert numbers == list(range(1, len(numbers) + 1))
    assert verify(world.open()).findings == []


class Cut:
    """Journals that give other rows than were written."""

    def __init__(self, journals: object, change: Callable[[pa.RecordBatch], pa.RecordBatch]) -> None:
        self._journals, self._change = journals, change

    def __getattr__(self, name: str) -> object:
        return getattr(self._journals, name)

    def read(self, journal: str, after: int) -> object:
        rows = pa.Table.from_batches(list(self._journals.read(journal, after))).combine_chunks().to_batches()[0]
        yield self._change(rows)


def _score_changed(rows: pa.RecordBatch) -> pa.RecordBatch:
    scores = rows.column("score").to_pylist()
    scores[3] = 0.5
    return rows.set_column(rows.schema.get_field_index("score"), "score", pa.array(scores))


BROKEN = {
    "a row dropped": (lambda rows: rows.take(pa.array([0, 1, 3, 4, 5])), 3),
    "a value changed": (_score_changed, 4),
    "two rows swapped": (lambda rows: rows.take(pa.array([0, 2, 1, 3, 4, 5])), 2),
    "a row doubled": (lambda rows: rows.take(pa.array([0, 1, 1, 2, 3, 4, 5])), 3),
    "the first row dropped": (lambda rows: rows.slice(1), 1),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_journal_that_was_changed_is_not_drained_and_the_row_is_named(world: World, name: str) -> None:
    change, first_wrong = BROKEN[name]
    answered(world, 6, rows=1)
    workplace = world.open()
    object.__setattr__(workplace, "journals", Cut(workplace.journals, change))
    drained = drain(workplace)
    assert drained.rows == 0
    (failure,) = drained.failures.values()
    assert isinstance(failure, Refused)
    assert f"row {first_wrong}:" in str(failure)
    assert live_rows(world) == []
    assert drain(world.open()).rows == 6, "nothing was trimmed: the untouched journal still drains"


def test_one_damaged_journal_does_not_keep_the_others_from_the_ledger(world: World) -> None:
    with serving(world) as (one, told_one), serving(world) as (two, told_two):
        ask(one.scoring, told_one, [request("a"), request("b")])
        ask(two.scoring, told_two, [request("c")])
        damaged = told_one.of("a").journal
    (file,) = [
        path
        for path in Path(world.site.journal_url.removeprefix("sqlite:///")).rglob("journal-*.sqlite")
        if damaged.encode() in path.read_bytes()
    ]
    with closing(sqlite3.connect(file)) as connection, connection:
        octets, first = connection.execute("SELECT rows, first FROM entries ORDER BY first").fetchone()
        flipped = octets[:40] + bytes([octets[40] ^ 1]) + octets[41:]
        connection.execute("UPDATE entries SET rows = ? WHERE first = ?", (flipped, first))
    drained = drain(world.open())
    assert (drained.rows, list(drained.failures)) == (1, [damaged])
    assert [row["subject"] for row in live_rows(world)] == ["c-0"]
    assert verify(world.open(), strict=True).findings == [], "what was committed is sealed"
    books = Books(world.open().tables, world.open().ledger.predictions, world.open().journals)
    assert [row["subject"] for row in find_subject(books, "c-0")] == ["c-0"]
    with pytest.raises(Damaged):
        find_subject(books, "a-0")


def test_a_journal_put_back_and_written_to_up_to_the_same_number_is_refused(world: World) -> None:
    answered(world, 2, rows=1)
    folder = Path(world.site.journal_url.removeprefix("sqlite:///"))
    copy = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    answered(world, 3, rows=1)
    drain(world.open())
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.unlink()
    for path, octets in copy.items():
        path.write_bytes(octets)
    workplace = world.open()
    journal = workplace.journals.claim(workplace.ledger.identity())
    rows = forged(journal, 3)
    journal.append(rows)
    journal.close()
    drained = drain(world.open())
    assert "another row 5" in str(next(iter(drained.failures.values())))
    (backlog,) = world.open().journals.backlogs()
    assert backlog.rows == 5, "nothing was trimmed"


def forged(journal: Journal, count: int) -> pa.RecordBatch:
    """Rows that go on from where a journal stands."""
    first = journal.end.sequence + 1
    rows = pa.record_batch(
        {
            "request_id": [f"forged-{number}" for number in range(count)],
            "scored_at": pa.array([datetime(2026, 3, 2, tzinfo=UTC)] * count, pa.timestamp("us", "UTC")),
            "journal": [journal.id] * count,
            "journal_sequence": pa.array(range(first, first + count), pa.int64()),
        }
    )
    heads = link(journal.end.head, row_digests(rows))
    return rows.append_column("chain", pa.array([head.hex() for head in heads]))


def test_an_older_copy_of_a_journal_is_refused(world: World) -> None:
    answered(world, 2)
    folder = Path(world.site.journal_url.removeprefix("sqlite:///"))
    copy = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    answered(world, 3)
    drain(world.open())
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    for path, octets in copy.items():
        path.write_bytes(octets)
    with pytest.raises(Refused, match="older copy"):
        open_live(world.open(), lambda _: None)
    drained = drain(world.open())
    assert "older copy" in str(next(iter(drained.failures.values())))
    assert len(live_rows(world)) == 15


def test_the_commit_says_which_stretch_of_the_chain_it_holds(world: World) -> None:
    answered(world, 5, rows=2)
    drain(world.open())
    folder = Path(world.site.root).joinpath(*PREDICTIONS.split(".")) / "_delta_log"
    newest = max(path for path in folder.iterdir() if path.suffix == ".json")
    info = next(
        line["commitInfo"] for line in map(json.loads, newest.read_text().splitlines()) if "commitInfo" in line
    )
    (chain,) = json.loads(info["fielded"])["chains"].values()
    rows = live_rows(world)
    assert (chain["first"], chain["last"], chain["after"]) == (1, 10, rows[-1]["chain"])
