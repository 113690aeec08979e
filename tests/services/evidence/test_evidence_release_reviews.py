"""Evidence of the reviews after promotion, from a real ledger."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from conftest import DEFINITION, Spare, Ticking
from fielded.decisions.assurance.collector import Found
from fielded.decisions.monitoring import release_reviews as rules
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.release_reviews import COLLECTOR
from fielded.services.monitoring.reviews import close_review, reviews_of
from fielded.services.monitoring.schedule_reviews import schedule_reviews
from fielded.services.release.adopt import adopt
from fielded.services.release.record import about
from fielded.world.workplace import Workplace

TAKEN_OVER = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
DAYS, PRODUCTION = "the definition asks for all of them", "a version is in production by the ledger"
SCHEDULED, OWNED = "each is on record with its day", "each has an owner"
OVERDUE, CLOSED = "none is overdue", "what is closed says what was found"


@pytest.fixture
def adopted(spare: Spare) -> Spare:
    adopt(spare.open())
    assert schedule_reviews(spare.open()) == 3
    return spare


def later(spare: Spare, days: float) -> Workplace:
    return replace(spare.open(), clock=Ticking(TAKEN_OVER + timedelta(days=days)))


def looked(spare: Spare, days: float = 1) -> Found:
    return COLLECTOR.look(Bench(later(spare, days)))


def failed(found: Found) -> set[str]:
    return {check.name for check in found.checks if check.outcome != "held"}


def forged(spare: Spare, kind: str, **changes: object) -> None:
    """An event that fielded does not write."""
    review = reviews_of(spare.open())[0].review
    spare.open().record(kind, about(spare.open()), {**review.details(), **changes})


def test_three_with_owners_hold(adopted: Spare) -> None:
    found = looked(adopted)
    assert failed(found) == set(), found.checks
    assert found.facts["days"] == [30, 90, 180]
    assert found.facts["counts"] == {"scheduled": 3, "open": 0, "overdue": 0, "closed": 0, "overtaken": 0}
    assert {one["owner"] for one in found.facts["reviews"]} == {"Alex Example"}
    assert not any(letter.isdigit() for check in found.checks for letter in check.name)


def test_nothing_in_production_is_seen(spare: Spare) -> None:
    assert failed(looked(spare)) == {PRODUCTION, SCHEDULED, OWNED}


def test_what_nobody_scheduled_is_seen(spare: Spare) -> None:
    adopt(spare.open())
    found = looked(spare)
    assert failed(found) == {SCHEDULED, OWNED}
    schedule_reviews(later(spare, 1))
    assert failed(looked(spare)) == set(), "the next run of the monitor mends it"


def test_a_definition_that_asks_for_less_is_seen(adopted: Spare) -> None:
    adopted.define(DEFINITION + "monitoring: {reviews: [30, 180]}\n")
    found = looked(adopted)
    assert failed(found) == {DAYS}
    assert "Add 90 to monitoring.reviews" in [check.step for check in found.checks]
    adopted.define(DEFINITION + "monitoring: {reviews: [7, 30, 90, 180]}\n")
    assert failed(looked(adopted)) == {SCHEDULED}, "the one after a week is not on record"


def test_one_that_is_overdue_fails_on_the_day_after_its_last(adopted: Spare) -> None:
    assert failed(looked(adopted, 44.5)) == set(), "30 days, and 14 to do it in"
    assert failed(looked(adopted, 45)) == {OVERDUE}


def test_one_that_a_person_closed_in_time_does_not(adopted: Spare) -> None:
    review = reviews_of(adopted.open())[0].review
    # As `fielded monitor review-open` does at its end; what it makes is tested where it is made.
    later(adopted, 31).record(rules.OPENED, about(adopted.open()), {"id": review.id, "evidence_sha256": "ab" * 32})
    close_review(later(adopted, 32), review.id, "it does as well as in training")
    found = looked(adopted, 60)
    assert failed(found) == set()
    assert found.facts["counts"]["closed"] == 1


def test_a_day_that_somebody_moved_is_seen(spare: Spare) -> None:
    adopt(spare.open())
    schedule_reviews(spare.open())
    review = reviews_of(spare.open())[0].review
    moved = replace(spare.open())
    details = {**review.details(), "id": "v2-1-7d", "day": 7, "opens": "2030-01-01", "due": "2030-01-15"}
    moved.record(rules.SCHEDULED, about(moved), details)  # before the definition asks for it
    spare.define(DEFINITION + "monitoring: {reviews: [7, 30, 90, 180]}\n")
    found = looked(spare)
    assert failed(found) == {SCHEDULED}
    assert "opens on 2030-01-01" in next(check.got for check in found.checks if check.name == SCHEDULED)


def test_one_without_an_owner_is_seen(adopted: Spare) -> None:
    forged(adopted, rules.SCHEDULED, id="v2-9-30d", owner=" ")
    assert failed(looked(adopted)) == {OWNED}


def test_one_closed_without_a_word_is_seen(adopted: Spare) -> None:
    forged(adopted, rules.CLOSED, text="", evidence_sha256="")
    assert failed(looked(adopted)) == {CLOSED}
