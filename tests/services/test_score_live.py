"""Live scores: answered only once durable, together where they come together, each failing for itself."""

import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from books import bits
from conftest import Spare, World
from fielded.decisions.chain import link, row_digests, start_of
from fielded.services.approve import approve
from fielded.services.audit import Books, find_subject, show
from fielded.services.replay import replay
from fielded.services.score_live import Busy, LiveAnswer
from fielded.words.errors import NotApproved, Refused
from fielded.world.journal import End, JournalDown
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import open_workplace
from live import ROW, ask, request, serving


def books(world: World) -> Books:
    workplace = world.open()
    return Books(workplace.tables, workplace.ledger.predictions, workplace.journals)


def journaled(world: World) -> list[dict]:
    journals = world.open().journals
    found = (journals.read(backlog.journal, 0) for backlog in journals.backlogs())
    return [row for batches in found for batch in batches for row in batch.to_pylist()]


def test_an_answer_is_what_the_ledger_holds(world: World) -> None:
    with serving(world) as (live, told):
        ask(live.scoring, told, [request("one", [ROW, (2.0, None, 0, 1, "hull")], by="cert:CN=A")])
        answer = told.of("one")
        assert isinstance(answer, LiveAnswer)
        rows = journaled(world)
    assert [row["request_id"] for row in rows] == list(answer.request_ids)
    assert [bits(row["score"]) for row in rows] == [bits(score) for score in answer.scores]
    assert [row["decision"] for row in rows] == list(answer.decisions)
    assert [row["flag"] for row in rows] == list(answer.flags)
    assert [tuple(row["features"].values()) for row in rows] == [ROW, (2.0, None, 0, 1, "hull")]
    assert {(row["requested_by"], row["client_address"], row["channel"], row["run_id"]) for row in rows} == {
        ("cert:CN=A", "10.1.2.3", "api", None)
    }
    assert {row["scored_at"] for row in rows} == {answer.scored_at}
    assert {(row["model_version"], row["artifact_sha256"]) for row in rows} == {
        (answer.model_version, answer.artifact_sha256)
    }


def test_live_and_batch_give_the_same_bits(world: World) -> None:
    workplace, scorers = world.scorers()
    with serving(world) as (live, told):
        ask(live.scoring, told, [request("one")])
        answer = told.of("one")
        version = workplace.registry.version(world.model, answer.model_version)
        scorer = scorers.get(version, answer.artifact_sha256)
        columns = [pa.array([value]) for value in ROW]
        batch = pa.RecordBatch.from_arrays(columns, names=list(workplace.deployment.features))
        assert bits(scorer.score(batch).column("score")[0].as_py()) == bits(answer.scores[0])


def test_requests_that_wait_together_are_scored_together(world: World) -> None:
    with serving(world) as (live, told):
        held = threading.Event()
        scorer = live.scoring.scorer

        def slowly(features: pa.RecordBatch) -> object:
            held.wait(10)
            return scorer.predict(features)

        live.scoring.swap(replace(scorer, predict=slowly))
        for number in range(41):
            live.scoring.submit(request(number))
        held.set()
        told.wait(41)
        assert len(told.groups) <= 3, "the first may be alone, the others came while it was held"
        numbers = [told.of(number).first_sequence for number in range(41)]
    assert numbers == list(range(1, 42)), "in the order of their coming"
    assert [row["journal_sequence"] for row in journaled(world)] == numbers


def test_a_group_is_no_larger_than_the_site_allows(world: World) -> None:
    world.site = replace(world.site, api=replace(world.site.api, max_group_rows=10))
    with serving(world) as (live, told):
        ask(live.scoring, told, [request(n, [ROW] * 4) for n in range(20)] + [request("large", [ROW] * 25)])
        assert max(told.groups) <= 2
        assert len(told.of("large").scores) == 25, "one request is never torn"


def test_the_chain_links_every_row_to_the_one_before(world: World) -> None:
    with serving(world) as (live, told):
        for number in range(5):
            ask(live.scoring, told, [request(f"{number}-{part}", [ROW] * 2) for part in range(3)])
        journal = live.scoring._journal.id
    batches = list(world.open().journals.read(journal, 0))
    table = pa.Table.from_batches(batches)
    heads = link(start_of(journal), row_digests(table))
    assert [head.hex() for head in heads] == table.column("chain").to_pylist()
    assert len(heads) == 30


def test_one_request_that_the_model_cannot_take_fails_alone(world: World) -> None:
    with serving(world) as (live, told):
        scorer = live.scoring.scorer

        def choosy(features: pa.RecordBatch) -> object:
            if 13 in features.column("earlier").to_pylist():
                raise ValueError("13 of a person's secret")
            return scorer.predict(features)

        live.scoring.swap(replace(scorer, predict=choosy))
        bad = (31.5, 12.0, 13, 7, "engine")
        ask(live.scoring, told, [request(n, [bad if n == 4 else ROW]) for n in range(10)])
        refused = told.of(4)
        assert isinstance(refused, Refused)
        assert "secret" not in str(refused)
        assert all(isinstance(told.of(n), LiveAnswer) for n in range(10) if n != 4)
    assert sorted(row["subject"] for row in journaled(world)) == [f"{n}-0" for n in range(10) if n != 4]


class Failing:
    """A journal whose flush fails while `down` is set."""

    def __init__(self, journal: object) -> None:
        self._journal = journal
        self.down = False

    @property
    def id(self) -> str:
        return self._journal.id

    @property
    def end(self) -> End:
        return self._journal.end

    def append(self, rows: pa.RecordBatch) -> None:
        if self.down:
            raise JournalDown("journal: got no space, expected some. Free some")
        self._journal.append(rows)

    def probe(self) -> None:
        if self.down:
            raise JournalDown("journal: got no space, expected some. Free some")
        self._journal.probe()

    def close(self) -> None:
        self._journal.close()


def test_what_is_not_durable_is_not_answered_and_the_service_recovers(world: World) -> None:
    with serving(world) as (live, told):
        journal = live.scoring._journal = Failing(live.scoring._journal)
        ask(live.scoring, told, [request("before")])
        live.scoring.probe()
        journal.down = True
        ask(live.scoring, told, [request(f"lost {n}") for n in range(3)])
        assert all(isinstance(told.of(f"lost {n}"), JournalDown) for n in range(3))
        with pytest.raises(JournalDown):
            live.scoring.probe()
        journal.down = False
        live.scoring.probe()
        ask(live.scoring, told, [request("after")])
        assert (told.of("before").first_sequence, told.of("after").first_sequence) == (1, 2)
    assert [row["subject"] for row in journaled(world)] == ["before-0", "after-0"]


def test_a_fault_nobody_thought_of_does_not_end_the_service(world: World) -> None:
    with serving(world) as (live, told):
        real = live.scoring._asked
        live.scoring._asked = lambda _: 1 / 0
        ask(live.scoring, told, [request("fault")])
        assert "division" not in str(told.of("fault"))
        live.scoring._asked = real
        ask(live.scoring, told, [request("after")])
        assert isinstance(told.of("after"), LiveAnswer)


def test_stop_answers_what_was_submitted_and_takes_no_more(world: World) -> None:
    with serving(world) as (live, told):
        for number in range(50):
            live.scoring.submit(request(number))
        live.scoring.finish()
        assert len(told.settled) == 50
        assert all(isinstance(outcome, LiveAnswer) for _, outcome in told.settled)
        with pytest.raises(Busy):
            live.scoring.submit(request("late"))
        with pytest.raises(Busy):
            live.scoring.probe()


def test_a_new_process_goes_on_with_the_journal_of_the_last(world: World) -> None:
    for turn in range(3):
        with serving(world) as (live, told):
            ask(live.scoring, told, [request(turn)])
            assert told.of(turn).first_sequence == turn + 1


def test_two_processes_have_a_journal_each(world: World) -> None:
    with serving(world) as (one, told_one), serving(world) as (two, told_two):
        ask(one.scoring, told_one, [request("a")])
        ask(two.scoring, told_two, [request("b")])
        assert told_one.of("a").journal != told_two.of("b").journal
    assert sorted(row["subject"] for row in journaled(world)) == ["a-0", "b-0"]


def test_rows_in_the_journal_are_found_shown_and_replayed(world: World) -> None:
    with serving(world) as (live, told):
        ask(live.scoring, told, [request("wo"), request("other")])
        request_id = told.of("wo").request_ids[0]
        assert [row["request_id"] for row in find_subject(books(world), "wo-0")] == [request_id]
        assert show(books(world), request_id)["subject"] == "wo-0"
        assert replay(world.open(), request_id).outcome == "exact"
        live.drain_once()
        assert [row["request_id"] for row in find_subject(books(world), "wo-0")] == [request_id], "once, drained"
        assert replay(world.open(), request_id).outcome == "exact"


def test_follows_a_moved_alias_without_losing_a_request(spare: Spare) -> None:
    with serving(spare) as (live, told):
        assert live.follow_once() is None
        submitted = threading.Event()

        def load() -> None:
            for number in range(300):
                live.scoring.submit(request(number))
                submitted.set()

        caller = threading.Thread(target=load)
        caller.start()
        submitted.wait()
        spare.store.client.set_registered_model_alias(spare.model, "production", "1")
        assert live.follow_once().version == "1"
        caller.join()
        ask(live.scoring, told, [request("after")])
        told.wait(301)
        assert all(isinstance(outcome, LiveAnswer) for _, outcome in told.settled)
        assert told.of("after").model_version == "1"
        assert told.of(0).model_version == "2"
        assert live.follow_once() is None


def test_a_new_version_that_cannot_be_used_leaves_the_old_one(spare: Spare) -> None:
    with serving(spare) as (live, told):
        weights = next(path for path in spare.files["1"].rglob("*") if path.suffix == ".skops")
        with weights.open("ab") as file:
            file.write(b"changed")
        spare.store.client.set_registered_model_alias(spare.model, "production", "1")
        forget_copies(spare)
        with pytest.raises(Refused):
            live.follow_once()
        ask(live.scoring, told, [request("still")])
        assert told.of("still").model_version == "2"


def test_a_version_that_was_refused_is_not_fetched_again_at_once(spare: Spare) -> None:
    times = iter(datetime(2026, 3, 2, tzinfo=UTC) + timedelta(seconds=number) for number in range(10**6))
    one = spare.open()
    workplace = open_workplace(
        one.deployment, spare.site, user="os:server", clock=lambda: next(times), random_bytes=one.random_bytes
    )
    with serving(spare, workplace) as (live, _):
        tries: list[str] = []
        get = live._following._scorers.get

        def counted(model: RegisteredVersion, sha256: str) -> object:
            tries.append(model.version)
            if len(tries) < 3:
                raise Refused("no model today")
            return get(model, sha256)

        live._following._scorers.get = counted
        spare.store.client.set_registered_model_alias(spare.model, "production", "1")
        looks = 0
        while live.scoring.scorer.model_version != "1":
            looks += 1
            assert looks < 400
            with suppress(Refused):
                live.follow_once()
    assert tries == ["1", "1", "1"]
    assert looks > 60, "between two tries there is a minute of looks that only tell again"


def test_scores_are_withheld_while_the_approval_of_their_model_is_withdrawn(spare: Spare) -> None:
    with serving(spare) as (live, told):
        ask(live.scoring, told, [request("before")])
        spare.open().record("approval_withdrawn", f"model {spare.model} version 2", {"reason": "a test"})
        with pytest.raises(NotApproved):
            live.follow_once()
        with pytest.raises(Busy):
            live.scoring.submit(request("meanwhile"))
        with pytest.raises(NotApproved):
            live.scoring.probe()
        approve(spare.open(), "2")
        assert live.follow_once() is None
        live.scoring.probe()
        ask(live.scoring, told, [request("after")])
        assert told.of("after").model_version == "2"


def test_a_model_that_ends_the_process_does_not(world: World) -> None:
    with serving(world) as (live, told):
        scorer = live.scoring.scorer

        def leaving(_: pa.RecordBatch) -> object:
            raise SystemExit(1)

        live.scoring.swap(replace(scorer, predict=leaving))
        ask(live.scoring, told, [request("first")])
        assert not isinstance(told.of("first"), LiveAnswer)
        live.scoring.swap(scorer)
        ask(live.scoring, told, [request("second")])
        assert isinstance(told.of("second"), LiveAnswer)
        assert live.scoring.alive
    assert not live.scoring.alive


def test_rows_that_the_model_refuses_cost_no_flush_each(world: World) -> None:
    with serving(world) as (live, told):
        scorer, held = live.scoring.scorer, threading.Event()
        flushes: list[int] = []
        append = live.scoring._journal.append
        live.scoring._journal.append = lambda rows: (flushes.append(rows.num_rows), append(rows))

        def choosy(features: pa.RecordBatch) -> object:
            held.wait(10)
            if 13 in features.column("earlier").to_pylist():
                raise ValueError
            return scorer.predict(features)

        live.scoring.swap(replace(scorer, predict=choosy))
        for number in range(64):
            live.scoring.submit(request(number, [(1.0, None, 13 if number % 2 else 3, 7, "hull")]))
        held.set()
        told.wait(64)
        assert len(flushes) <= 3
        assert sum(flushes) == 32
        assert all(isinstance(told.of(n), Refused if n % 2 else LiveAnswer) for n in range(64))


def forget_copies(world: World) -> None:
    """Forget verified copies, so that the registry's changed files are what there is."""
    for path in sorted(Path(world.site.cache).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
