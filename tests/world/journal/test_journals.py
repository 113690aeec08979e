"""What every journal does, whichever store it lies in: SQLite files and a real PostgreSQL server."""

import contextlib
import itertools
import os
import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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

from fielded.decisions.chain import start_of
from fielded.words.errors import Unreachable
from fielded.world.journal import End, JournalDown, Journals, OutOfStep, find_live_rows


@dataclass
class Store:
    """One kind of store.

    Attributes:
        url: for `journal_url`.
        trouble: while it lasts, nothing can be appended.
        keeps_journals: a process that starts again gets its journal back.
    """

    url: str
    trouble: Callable[[], AbstractContextManager[None]]
    keeps_journals: bool

    def journals(self, deployment: str = "overrun") -> Journals:
        return make_journals(self.url, deployment)


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    """As on a full disk: writes past a file's first page fail."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlite":
        return Store(f"sqlite:///{tmp_path / 'journal'}", no_file_may_grow, keeps_journals=True)
    server, url = request.getfixturevalue("postgres"), request.getfixturevalue("postgres_url")

    @contextmanager
    def stopped() -> Iterator[None]:
        server.stop("immediate")
        try:
            yield
        finally:
            server.start()

    return Store(url, stopped, keeps_journals=False)


def test_a_new_journal_stands_at_the_beginning_of_its_own_chain(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        assert journal.end == End(0, start_of(journal.id))
        assert [(log.journal, log.rows, log.oldest, log.end) for log in store.journals().backlogs()] == [
            (journal.id, 0, None, beginning(journal.id))
        ]


def test_what_was_appended_is_read_back_in_order(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        appended = [append(journal, count) for count in (1, 64, 3)]
        read = list(store.journals().read(journal.id, 0))
        assert [batch.num_rows for batch in read] == [1, 64, 3]
        for before, after in zip(appended, read, strict=True):
            assert after.to_pylist() == before.to_pylist()
        assert check_chain(read, beginning(journal.id)) == journal.end
        assert numbers_of(store.journals().read(journal.id, 40)) == list(range(41, 69))
        assert numbers_of(store.journals().read(journal.id, 68)) == []


def test_an_empty_append_changes_nothing(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 2)
        journal.append(make_rows(journal.id, journal.end, 2).slice(0, 0))
        assert journal.end.sequence == 2


def test_the_chain_goes_on_after_a_restart(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as first:
        append(first, 5)
        end = first.end
    with closing(store.journals().claim(LEDGER)) as second:
        assert (second.id == first.id) == store.keeps_journals
        append(second, 4)
        assert second.end.sequence == (9 if store.keeps_journals else 4)
        assert check_chain(store.journals().read(second.id, 0), beginning(second.id)) == second.end
        assert check_chain(store.journals().read(first.id, 0), beginning(first.id)).sequence >= end.sequence


def test_two_claims_give_two_journals_each_with_its_backlog(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as one, closing(store.journals().claim(LEDGER)) as other:
        assert one.id != other.id
        append(one, 3)
        append(other, 2)
        found = store.journals().backlogs()
    assert [(log.journal, log.rows, log.end) for log in found] == [
        (one.id, 3, found[0].end),
        (other.id, 2, found[1].end),
    ]
    assert [log.oldest for log in found] == [MOMENT.replace(second=1)] * 2


def test_deployments_are_apart(store: Store) -> None:
    with (
        closing(store.journals("overrun").claim(LEDGER)) as one,
        closing(store.journals("delay").claim(LEDGER)) as other,
    ):
        append(one, 3)
        assert [log.journal for log in store.journals("delay").backlogs()] == [other.id]
        with pytest.raises(Unreachable, match=f"{one.id}.*got none"):
            list(store.journals("delay").read(one.id, 0))


def test_looking_makes_nothing(store: Store, tmp_path: Path) -> None:
    assert store.journals().backlogs() == []
    with pytest.raises(Unreachable, match="got none"):
        list(store.journals().read("01900000-0000-7000-8000-000000000000", 0))
    with pytest.raises(Unreachable, match="got none"):
        store.journals().trim("no uuid at all", 0)
    assert list(tmp_path.iterdir()) == []
    assert store.journals().backlogs() == []


def test_trimmed_rows_are_forgotten_and_the_end_is_kept(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        for _ in range(4):
            append(journal, 10)
        end = journal.end
        journals = store.journals()
        journals.trim(journal.id, 25)  # in the middle of an append
        assert numbers_of(journals.read(journal.id, 0)) == list(range(26, 41))
        (log,) = journals.backlogs()
        assert (log.rows, log.oldest, log.end) == (
            15,
            MOMENT.replace(second=21),
            end,
        )  # of the append it came with
        journals.trim(journal.id, 7)  # an old one, repeated
        assert numbers_of(journals.read(journal.id, 30)) == list(range(31, 41))
        journals.trim(journal.id, 40)
        journals.trim(journal.id, 40)
        (log,) = journals.backlogs()
        assert (log.rows, log.oldest, log.end) == (0, None, end)
        append(journal, 3)
        assert check_chain(journals.read(journal.id, 0), end) == journal.end


def test_many_entries_are_trimmed_at_once(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        for _ in range(150):
            append(journal, 1)
        store.journals().trim(journal.id, 149)
        assert numbers_of(store.journals().read(journal.id, 0)) == [150]


def test_a_chain_goes_on_after_everything_was_trimmed_and_the_process_ended(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as first:
        append(first, 5)
        end = first.end
    store.journals().trim(first.id, 5)
    with closing(store.journals().claim(LEDGER)) as second:
        expected = end if store.keeps_journals else beginning(second.id)
        assert second.end == expected
        append(second, 1)
        assert check_chain(store.journals().read(second.id, 0), expected) == second.end


def test_a_journal_that_lost_rows_says_so(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 5)
        with pytest.raises(OutOfStep, match="ends at row 5, expected row 6"):
            list(store.journals().read(journal.id, 6))
        with pytest.raises(OutOfStep, match="ends at row 5, expected row 9"):
            store.journals().trim(journal.id, 9)


def test_rows_that_do_not_go_on_from_the_end_are_refused(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 5)
        end = journal.end
        for sequence in (4, 6, 0):
            with pytest.raises(OutOfStep, match="journal_sequence"):
                journal.append(make_rows(journal.id, End(sequence, end.head), 2))
        rows = make_rows(journal.id, end, 3)
        with pytest.raises(OutOfStep, match="journal_sequence"):
            journal.append(rows.take(pa.array([0, 2, 1])))
        with pytest.raises(OutOfStep, match="another journal"):
            journal.append(make_rows("01900000-0000-7000-8000-000000000000", end, 3))
        for chain in (["00" * 31] * 3, ["no hex"] * 3, [None, "00" * 32, "00" * 32]):
            place = rows.schema.get_field_index("chain")
            with pytest.raises(OutOfStep, match="chain"):
                journal.append(rows.set_column(place, "chain", pa.array(chain, pa.string())))
        assert journal.end == end
        assert numbers_of(store.journals().read(journal.id, 0)) == [1, 2, 3, 4, 5]
        append(journal, 1)


def test_schemas_may_change_between_appends(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 2)
        append(journal, 2, more={"new": pa.array([1.5, None])}, kind=pa.string())
        append(journal, 2)
        first, second, third = store.journals().read(journal.id, 0)
        assert "new" not in first.schema.names
        assert second.column("new").to_pylist() == [1.5, None]
        assert third.schema == first.schema
        assert first.schema.field("channel").type == pa.string()  # dictionaries come back as values
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 2, more={"new": pa.array([1.5, None])})
        (batch,) = store.journals().read(journal.id, journal.end.sequence - 2)
        assert batch.column("new").to_pylist() == [1.5, None]


def test_a_dictionary_inside_a_struct_is_kept_by_value(store: Store) -> None:
    kinds = pa.array(["hull", "radar", "hull"]).dictionary_encode()
    nested = pa.StructArray.from_arrays([kinds], names=["kind"])
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 3, more={"more": nested})
        (batch,) = store.journals().read(journal.id, 0)
    assert batch.column("more").to_pylist() == nested.to_pylist()


def test_a_failed_append_leaves_the_end_right_and_it_goes_on_once_the_cause_is_gone(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 3)
        end = journal.end
        rows = make_rows(journal.id, end, 50)
        with store.trouble():
            for _ in range(3):
                with pytest.raises(JournalDown) as caught:
                    journal.append(rows)
                assert "WO-00001" not in str(caught.value)
        assert journal.end == end
        journal.append(rows)
        append(journal, 2)
        assert check_chain(store.journals().read(journal.id, 0), beginning(journal.id)) == journal.end
        assert journal.end.sequence == 55


def test_a_probe_fails_when_an_append_would_and_leaves_nothing(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as journal:
        append(journal, 3)
        before = store.journals().backlogs()
        for _ in range(20):
            journal.probe()
        with store.trouble(), pytest.raises(JournalDown):
            journal.probe()
        journal.probe()
        assert store.journals().backlogs() == before


def test_a_claim_says_that_the_store_is_down(store: Store) -> None:
    with store.trouble(), pytest.raises(JournalDown), closing(store.journals().claim(LEDGER)) as journal:
        journal.probe()


def test_a_closed_journal_takes_nothing(store: Store) -> None:
    journal = store.journals().claim(LEDGER)
    append(journal, 1)
    rows = make_rows(journal.id, journal.end, 1)
    journal.close()
    journal.close()
    for call in (lambda: journal.append(rows), journal.probe, lambda: journal.end):
        with pytest.raises(JournalDown, match="was closed"):
            call()


def test_rows_are_read_and_trimmed_while_another_process_appends(store: Store) -> None:
    with start_appending(store.url, rows=2000) as process:
        assert process.stdout is not None
        journal = process.stdout.readline().strip()
        journals, reached = store.journals(), beginning(journal)
        while process.poll() is None or journals.backlogs()[0].rows:
            reached = check_chain(journals.read(journal, reached.sequence), reached)
            journals.trim(journal, reached.sequence)
            assert numbers_of(journals.read(journal, 0))[:1] in ([], [reached.sequence + 1])
        assert process.returncode == 0
    assert reached.sequence >= 2000
    assert journals.backlogs()[0].end == reached


def test_what_was_acknowledged_survives_being_killed(store: Store) -> None:
    chance, acknowledged = random.Random(4), {}
    for _ in range(6):
        with start_appending(store.url) as process:
            assert process.stdout is not None
            journal = process.stdout.readline().strip()
            for _ in range(chance.randint(1, 60)):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
            rest = process.stdout.read().split("\n")
        whole = [line for line in rest[:-1] if line]  # the last line may be torn, the rows may not
        acknowledged[journal] = max([acknowledged.get(journal, 0), *map(int, whole)])
    assert len(acknowledged) == (1 if store.keeps_journals else 6)
    ends = {log.journal: log.end for log in store.journals().backlogs()}
    for journal, last in acknowledged.items():
        assert check_chain(store.journals().read(journal, 0), beginning(journal)) == ends[journal]
        assert ends[journal].sequence >= last


def test_rows_in_a_journal_are_found_like_rows_of_the_ledger(store: Store) -> None:
    with closing(store.journals().claim(LEDGER)) as one, closing(store.journals().claim(LEDGER)) as other:
        append(one, 8)
        append(other, 9)
        journals = store.journals()
        found = find_live_rows(journals, "subject", "WO-00001")
        assert sorted(row["request_id"] for row in found) == sorted(
            f"{journal.id}/{number}" for journal in (one, other) for number in (1, 8)
        )
        assert [row["scored_at"].second for row in found] == [8, 8, 1, 1]
        (row,) = find_live_rows(journals, "request_id", f"{other.id}/9")
        assert row["features"] == {"hours": 3.0, "kind": "hull"}
        assert (row["journal_sequence"], row["scored_date"]) == (9, MOMENT.date())
        assert find_live_rows(journals, "subject", "WO-00001", MOMENT.date()) == found
        assert find_live_rows(journals, "subject", "WO-00001", MOMENT.date().replace(day=1)) == []
        journals.trim(other.id, 9)
        assert find_live_rows(journals, "request_id", f"{other.id}/9") == []


_NAMES = itertools.count()  # each example has journals of its own
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 12)),
        st.tuples(st.just("trim"), st.integers(0, 40)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS, after=st.integers(0, 60))
def test_a_journal_is_a_list_of_which_the_front_is_cut_off(
    store: Store, steps: list[tuple[str, int]], after: int
) -> None:
    journals = store.journals(f"d{next(_NAMES)}")
    journal, trimmed = journals.claim(LEDGER), 0
    with contextlib.ExitStack() as stack:
        for step, amount in steps:
            end = journal.end.sequence
            if step == "append":
                append(journal, amount)
            elif step == "trim":
                trimmed = max(trimmed, min(amount, end))
                journals.trim(journal.id, min(amount, end))
            elif store.keeps_journals:
                journal.close()
                journal = journals.claim(LEDGER)
                assert journal.end.sequence == end
        stack.callback(journal.close)
        end = journal.end.sequence
        wanted = list(range(max(trimmed, min(after, end)) + 1, end + 1))
        assert numbers_of(journals.read(journal.id, min(after, end))) == wanted
        assert [log.rows for log in journals.backlogs()] == [end - trimmed]
