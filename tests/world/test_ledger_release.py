"""Compare and append: of those that append onto the same count one does, and all events keep their order."""

import itertools
import os
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conftest import NOWHERE
from fielded.definition.site import Site
from fielded.world.ledger import Event, Ledger, release_application
from fielded.world.tables import DeltaTables

ABOUT = "model m"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    site = Site(root=str(tmp_path), tracking_uri="none", artifact_root="none", cache=tmp_path, **NOWHERE)
    return Ledger(DeltaTables(site), site, "overrun")


def event(turn: int | None, about: str = ABOUT, actor: str = "os:a", kind: str = "release_proposed") -> Event:
    details = {} if turn is None else {"turn": turn}
    return Event(
        kind=kind, about=about, actor=actor, occurred_at=datetime(2026, 3, 2, tzinfo=UTC), details=details
    )


def append(ledger: Ledger, turn: int, about: str = ABOUT, actor: str = "os:a") -> bool:
    return ledger.append_if(event(turn, about, actor), os.urandom, release_application(about), turn - 1)


def test_an_event_is_appended_only_onto_the_count_it_expects(ledger: Ledger) -> None:
    assert not append(ledger, 2)
    assert append(ledger, 1)
    assert not append(ledger, 1)
    assert append(ledger, 2)
    read = ledger.release_events(ABOUT)
    assert read.count == 2
    assert [item["details"]["turn"] for item in read.events] == [1, 2]


def test_nothing_is_there_before_the_first(ledger: Ledger) -> None:
    assert (ledger.release_events(ABOUT).count, ledger.release_events(ABOUT).events) == (0, [])
    assert not ledger.events_stand_at(ledger.release_events(ABOUT).version)


def test_each_model_has_a_count_of_its_own_in_one_sequence_of_events(ledger: Ledger) -> None:
    for turn, about in itertools.product((1, 2), (ABOUT, "model other", "model m version 3")):
        assert append(ledger, turn, about)
    ledger.record(event(None, kind="day_scored", about="run"), os.urandom)
    assert ledger.release_events("model other").count == 2
    found = ledger.events_of({"release_proposed", "day_scored"})
    assert [item["sequence"] for item in found] == list(range(1, 8))


def test_events_about_the_model_that_were_not_counted_are_not_read_as_acts(ledger: Ledger) -> None:
    ledger.record(event(None, kind="rolled_back"), os.urandom)
    append(ledger, 1)
    read = ledger.release_events(ABOUT)
    assert (read.count, len(read.events)) == (1, 1)


def test_a_version_of_the_table_stands_until_the_next_event(ledger: Ledger) -> None:
    append(ledger, 1)
    version = ledger.release_events(ABOUT).version
    assert ledger.events_stand_at(version)
    ledger.record(event(None, kind="day_scored", about="run"), os.urandom)
    assert not ledger.events_stand_at(version)
    assert ledger.events_stand_at(version + 1)


def test_a_table_that_is_gone_does_not_stand_at_a_version(ledger: Ledger, tmp_path: Path) -> None:
    append(ledger, 1)
    version = ledger.release_events(ABOUT).version
    (tmp_path / "ledger").rename(tmp_path / "unmounted")
    assert not ledger.events_stand_at(version)


def test_of_many_that_append_at_once_one_gets_each_turn(ledger: Ledger) -> None:
    append(ledger, 1, actor="os:setup")
    writers, turns = 4, 6

    def compete(writer: int) -> list[int]:
        chance = random.Random(writer)
        won = []
        for turn in range(2, 2 + turns):
            while (count := ledger.release_events(ABOUT).count) < turn:
                if append(ledger, turn, actor=f"os:{writer}"):
                    won.append(turn)
                elif chance.random() < 0.3:
                    ledger.record(event(None, kind="day_scored", about="run"), os.urandom)
            assert count >= turn
        return won

    with ThreadPoolExecutor(writers) as pool:
        won = list(pool.map(compete, range(writers)))
    assert sorted(itertools.chain(*won)) == list(range(2, 2 + turns))
    read = ledger.release_events(ABOUT)
    assert read.count == 1 + turns
    assert [item["details"]["turn"] for item in read.events] == list(range(1, 2 + turns))
    for writer, turns_won in enumerate(won):
        assert [item["details"]["turn"] for item in read.events if item["actor"] == f"os:{writer}"] == turns_won
    sequences = [item["sequence"] for item in ledger.events_of({"release_proposed", "day_scored"})]
    assert sequences == list(range(1, len(sequences) + 1))


def test_an_event_that_brings_its_id_keeps_it(ledger: Ledger) -> None:
    given = Event(
        kind="release_proposed", about=ABOUT, actor="os:a", occurred_at=datetime(2026, 3, 2, tzinfo=UTC),
        details={"turn": 1}, id="0195564c-0000-7000-8000-000000000000",
    )  # fmt: skip
    assert ledger.append_if(given, os.urandom, release_application(ABOUT), 0)
    assert ledger.release_events(ABOUT).events[0]["event_id"] == given.id
