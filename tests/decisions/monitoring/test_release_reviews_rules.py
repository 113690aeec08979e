"""Reviews after promotion, by their rules."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import pytest

from fielded.decisions.monitoring import release_reviews as rules
from fielded.decisions.release import acts
from fielded.decisions.release.acts import Pinned, ReleaseEvent
from fielded.words.errors import Refused

DAYS = (30, 90, 180)
START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ONE, TWO = Pinned("1", "a" * 64), Pinned("2", "b" * 64)


def event(turn: int, kind: str, after_days: float, **details: Any) -> ReleaseEvent:
    at = START + timedelta(days=after_days)
    return ReleaseEvent(turn=turn, event_id=f"e{turn}", kind=kind, actor="os:x", at=at, details=details)


def promoted(turn: int, after_days: float, to: Pinned, left: Pinned | None = None) -> ReleaseEvent:
    return event(
        turn, acts.PROMOTED, after_days, **{"from": left and left.as_dict(), "to": to.as_dict(), "reason": ""}
    )  # fmt: skip


def rolled_back(turn: int, after_days: float, to: Pinned, left: Pinned) -> ReleaseEvent:
    return event(turn, acts.ROLLED_BACK, after_days, **{"from": left.as_dict(), "to": to.as_dict(), "reason": ""})


def asked(history: Sequence[ReleaseEvent]) -> list[rules.ReleaseReview]:
    return rules.asked_for(history, DAYS, 14, "Blair Example")


def scheduled(review: rules.ReleaseReview) -> dict[str, Any]:
    return {"kind": rules.SCHEDULED, "actor": "os:x", "occurred_at": START, "details": review.details()}


def test_a_promotion_asks_for_a_review_on_each_day_due_two_weeks_later() -> None:
    found = asked([promoted(4, 0, ONE)])
    assert [(one.id, str(one.opens), str(one.due)) for one in found] == [
        ("v1-4-30d", "2026-01-31", "2026-02-14"),
        ("v1-4-90d", "2026-04-01", "2026-04-15"),
        ("v1-4-180d", "2026-06-30", "2026-07-14"),
    ]
    assert {one.owner for one in found} == {"Blair Example"}


def test_an_adoption_asks_for_them_too_and_nothing_in_production_for_none() -> None:
    adopted = event(1, acts.ADOPTED, 0, production=ONE.as_dict(), previous=None)
    assert [one.version for one in asked([adopted])] == [ONE] * 3
    assert asked([]) == []
    assert asked([event(1, acts.PROPOSED, 0, version="1", sha256="a")]) == []


def test_a_second_promotion_of_a_version_has_reviews_of_its_own() -> None:
    first = [promoted(4, 0, ONE), promoted(8, 5, TWO, ONE)]
    again = [*first, promoted(12, 9, ONE, TWO)]
    assert {one.id for one in asked(first)} == {"v2-8-30d", "v2-8-90d", "v2-8-180d"}
    assert {one.id for one in asked(again)} == {"v1-12-30d", "v1-12-90d", "v1-12-180d"}


def test_a_rollback_goes_on_with_the_reviews_of_what_it_brings_back() -> None:
    history = [promoted(4, 0, ONE), promoted(8, 5, TWO, ONE), rolled_back(10, 6, ONE, TWO)]
    assert [one.id for one in asked(history)] == ["v1-4-30d", "v1-4-90d", "v1-4-180d"]


def test_other_bytes_under_a_number_are_another_version() -> None:
    other = Pinned("1", "c" * 64)
    history = [promoted(4, 0, other), promoted(8, 5, TWO, other), rolled_back(9, 6, ONE, TWO)]
    assert asked(history) == []


@pytest.mark.parametrize(
    ("days", "state"),
    [(0, "scheduled"), (29, "scheduled"), (30, "open"), (44, "open"), (45, "overdue"), (400, "overdue")],
)
def test_states_follow_the_calendar(days: int, state: str) -> None:
    history = [promoted(4, 0, ONE)]
    assert rules.state_of(asked(history)[0], history, START.date() + timedelta(days=days)) == state


def test_a_version_that_left_before_its_day_is_overtaken_and_one_that_left_after_is_not() -> None:
    before, after = promoted(8, 29, TWO, ONE), promoted(8, 31, TWO, ONE)
    review = asked([promoted(4, 0, ONE)])[0]
    today = date(2026, 2, 5)
    assert rules.state_of(review, [promoted(4, 0, ONE), before], today) == "overtaken"
    assert rules.state_of(review, [promoted(4, 0, ONE), after], today) == "open"
    back = [promoted(4, 0, ONE), promoted(8, 3, TWO, ONE), rolled_back(9, 4, ONE, TWO)]
    assert rules.state_of(review, back, today) == "open", "a rollback brought it back in time"
    assert rules.state_of(review, back[:2], START.date() + timedelta(days=3)) == "overtaken"


def test_what_was_looked_at_ends_on_the_day_another_version_came() -> None:
    review = asked([promoted(4, 0, ONE)])[0]
    assert rules.left_on(review, [promoted(4, 0, ONE)]) is None
    assert rules.left_on(review, [promoted(4, 0, ONE), promoted(8, 40, TWO, ONE)]) == date(2026, 2, 10)


class TestFolding:
    review = asked([promoted(4, 0, ONE)])[0]
    closing: ClassVar = {
        "kind": rules.CLOSED, "actor": "os:first", "occurred_at": START,
        "details": {"id": "v1-4-30d", "text": "it holds", "evidence_sha256": "e1"},
    }  # fmt: skip

    def test_reviews_come_in_the_order_in_which_they_open_and_once(self) -> None:
        events = [scheduled(one) for one in reversed(asked([promoted(4, 0, ONE)]))]
        found = rules.fold([*events, *events])
        assert list(found) == ["v1-4-30d", "v1-4-90d", "v1-4-180d"]
        assert found["v1-4-30d"] == self.review

    def test_the_first_that_closed_it_did(self) -> None:
        second = {**self.closing, "actor": "os:second", "details": {**self.closing["details"], "text": "no"}}
        (found,) = rules.fold([scheduled(self.review), self.closing, second]).values()
        assert (found.closed_by, found.text, found.evidence) == ("os:first", "it holds", "e1")

    def test_the_last_evidence_counts_until_it_is_closed(self) -> None:
        opened = [
            {**self.closing, "kind": rules.OPENED, "details": {"id": "v1-4-30d", "evidence_sha256": evidence}}
            for evidence in ("e1", "e2")
        ]
        (found,) = rules.fold([scheduled(self.review), *opened]).values()
        assert found.evidence == "e2"

    @pytest.mark.parametrize(
        "details", [{}, {"id": "v9"}, {"id": "v1-4-30d"}, None, {"id": "v1-4-30d", "text": "x", "evidence": 1}]
    )
    def test_what_fielded_did_not_write_is_refused(self, details: Any) -> None:
        with pytest.raises(Refused, match="audit verify"):
            rules.fold([scheduled(self.review), {**self.closing, "details": details, "sequence": 7}])


class TestClosing:
    review = asked([promoted(4, 0, ONE)])[0]

    def check(
        self, text: str = "calibration holds in every class", state: rules.State = "open", **changes: Any
    ) -> None:
        rules.check_closing(replace(self.review, **{"evidence": "e1", **changes}), state, text)

    def test_an_open_one_with_evidence_and_a_text_may_be_closed_also_late_and_when_overtaken(self) -> None:
        for state in ("open", "overdue", "overtaken"):
            self.check(state=state)

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"closed_by": "os:first"}, "os:first closed"),
            ({"state": "scheduled"}, "opens on 2026-01-31"),
            ({"evidence": ""}, "review-open"),
            ({"text": "  ok      "}, "got a text of 2 characters"),
        ],
    )
    def test_anything_else_may_not(self, given: dict[str, Any], told: str) -> None:
        with pytest.raises(Refused, match=told):
            self.check(**given)
