"""What makes a case, when it is due, what covers it, and what of it is hidden from whom."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from fielded.decisions.review import acts
from fielded.decisions.review.acts import CaseEvent
from fielded.decisions.review.case import Case, drawn_for_second, due_at, expires_at, first_open_day
from fielded.decisions.review.queue import Settled
from fielded.decisions.review.state import CaseState, Decision, fold
from fielded.decisions.review.view import is_hidden
from fielded.definition.review import Carry, Review

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROW = {
    "request_id": "r", "subject": "s", "run_id": None, "channel": "api", "score": 0.6, "flag": False,
    "decision": "review", "threshold": 0.65, "model_version": "2", "scored_at": NOON, "scored_date": NOON.date(),
}  # fmt: skip


def case(**changes: Any) -> Case:
    made = Case.read({**ROW, **changes})
    assert made is not None
    return made


def test_what_routed_a_row_makes_it_a_case() -> None:
    assert case(routed_by="band;range:age", review_propensity=1.0).routed_by == ("band", "range:age")
    audit = case(decision="clear", routed_by="audit", review_propensity=0.02)
    assert (audit.routed_by, audit.propensity, audit.decision) == (("audit",), 0.02, "clear")
    assert (case().routed_by, case().propensity) == (("band",), 1.0), "a row of before"
    assert case(routed_by=None, review_propensity=None).propensity == 1.0
    for nothing in (
        {"decision": "clear"},
        {"channel": "shadow"},
        {"channel": "probe"},
        {"decision": "flagged", "routed_by": None},
    ):
        assert Case.read({**ROW, **nothing}) is None
    assert Case.read({**ROW, "channel": "probe"}, probes=True) is not None
    assert Case.read({**ROW, "channel": "shadow"}, probes=True) is None


def test_a_case_is_due_and_expires_by_its_score_or_by_what_reopened_it() -> None:
    review = Review(due_hours=72.0, expire_hours=720.0)
    assert due_at(case(), None, review) == NOON + 72 * HOUR
    assert expires_at(case(), None, review) == NOON + 720 * HOUR
    assert due_at(case(), NOON + 10 * HOUR, review) == NOON + 82 * HOUR
    backfill = case(scored_date=date(2026, 2, 20))
    assert expires_at(backfill, None, review) == datetime(2026, 2, 21, tzinfo=UTC) + 720 * HOUR
    assert due_at(case(), None, Review(due_hours=72.0, expire_hours=24.0)) == NOON + 24 * HOUR
    for days in range(40):  # nothing that is open lies on a day before the first that is read
        now = NOON + days * 24 * HOUR
        open_days = [
            day for day in (date(2026, 2, 1) + timedelta(days=n) for n in range(40))
            if now < expires_at(case(scored_date=day, scored_at=NOON + 900 * HOUR), None, review)
        ]  # fmt: skip
        assert all(day >= first_open_day(now, review) for day in open_days)


def test_seconds_are_drawn_by_the_id_alone() -> None:
    ids = [f"0195{n:04d}-0000-7000-8000-000000000000" for n in range(4000)]
    share = sum(drawn_for_second(one, 0.1) for one in ids) / len(ids)
    assert 0.08 < share < 0.12
    assert all(drawn_for_second(one, 1.0) for one in ids)
    assert not any(drawn_for_second(one, 0.0) for one in ids)
    assert all(drawn_for_second(one, 0.5) for one in ids if drawn_for_second(one, 0.1)), (
        "a larger share has them too"
    )


def settled(score: float = 0.6, at: datetime = NOON) -> Settled:
    details = {
        "subject": "s", "score": score, "scored_at": NOON.isoformat(), "scored_date": "2026-03-02",
        "outcome": "keep", "final": "clear", "reason": "r", "text": "t",
    }  # fmt: skip
    event = CaseEvent(turn=1, event_id="e", kind=acts.DECIDED, actor="os:ada", at=at, details=details)
    return Settled.read("r", Decision.read(event))


@pytest.mark.parametrize(
    ("hours", "score", "covered"),
    [(24, 0.6, True), (24, 0.69, True), (24, 0.71, False), (240, 0.6, True), (241, 0.6, False), (-1, 0.6, False)],
)
def test_a_decision_covers_later_scores_that_are_near(hours: float, score: float, *, covered: bool) -> None:
    at = NOON + hours * HOUR
    place = (at.date(), at, "later")
    assert settled().covers(score, place, Carry(days=10, score_change=0.1)) is covered


def test_a_backfill_of_an_earlier_day_is_not_covered_though_it_is_scored_later() -> None:
    place = (date(2026, 2, 1), NOON + HOUR, "later")
    assert not settled().covers(0.6, place, Carry())


def event(turn: int, kind: str, actor: str, **details: Any) -> CaseEvent:
    return CaseEvent(turn=turn, event_id="e", kind=kind, actor=actor, at=NOON, details=details)


def claimed(by: str, *, judge_first: bool) -> CaseEvent:
    until = (NOON + 8 * HOUR).isoformat()
    return event(1, acts.CLAIMED, by, stage="open", until=until, judge_first=judge_first)


JUDGED_FIRST = Review(first_judgement=((0.55, 0.75),), second_share=0.0)


def test_the_score_is_hidden_from_whoever_is_to_judge_first() -> None:
    now = NOON + HOUR
    assert is_hidden(case(), CaseState(), "os:ada", JUDGED_FIRST, now)
    assert not is_hidden(case(score=0.9), CaseState(), "os:ada", JUDGED_FIRST, now), "outside the bands"
    held = [claimed("os:ada", judge_first=True)]
    assert is_hidden(case(), fold(held), "os:ada", JUDGED_FIRST, now)
    judged = fold([*held, event(2, acts.JUDGED, "os:ada", flag=True)])
    assert not is_hidden(case(), judged, "os:ada", JUDGED_FIRST, now)
    assert is_hidden(case(), judged, "os:ben", JUDGED_FIRST, now)


def test_what_a_second_person_judges_is_shown_to_the_holder_only() -> None:
    review, now = Review(second_share=1.0), NOON + HOUR
    assert is_hidden(case(), CaseState(), "os:ada", review, now)
    held = [claimed("os:ada", judge_first=False)]
    assert not is_hidden(case(), fold(held), "os:ada", review, now)
    assert is_hidden(case(), fold(held), "os:ada", review, NOON + 9 * HOUR), "a claim that has ended"
    verdict = {"outcome": "keep", "final": "clear", "reason": "r", "text": "t", "flag": False}
    second = [*held, event(2, acts.DECIDED, "os:ada", **verdict, second_due=True)]
    assert is_hidden(case(), fold(second), "os:ben", review, now)
    assert not is_hidden(case(), fold(second), "os:ada", review, now)
    settled_now = [*held, event(2, acts.DECIDED, "os:ada", **verdict, second_due=False)]
    assert not is_hidden(case(), fold(settled_now), "os:ben", review, now)
