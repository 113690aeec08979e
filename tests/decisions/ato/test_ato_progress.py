"""What events say of the authorization's work, and what may be put on record."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from fielded.decisions.ato import progress as rules
from fielded.decisions.ato.progress import Progress, check_estimate, check_kickoff, check_progress, fold
from fielded.words.errors import Refused

TODAY = date(2026, 3, 2)
WHY = "The program asks for it"


def event(
    kind: str, at: datetime = datetime(2026, 3, 2, 9, tzinfo=UTC), by: str = "os:ada", **details: Any
) -> dict:
    return {
        "sequence": 1,
        "event_id": f"{kind}-{by}",
        "kind": kind,
        "actor": by,
        "occurred_at": at,
        "details": details,
    }


def begun(on: str = "2026-03-02", by: str = "os:ada", reference: str = "") -> dict:
    return event(rules.STARTED, by=by, on=on, reference=reference, reason=WHY)


def item(kind: str, on: str, name: str = "assessment") -> dict:
    return event(kind, item=name, on=on, reason=WHY)


class TestFold:
    def test_nothing_is_on_record(self) -> None:
        assert fold([]) == Progress()
        assert fold([]).of("assessment").started is None

    def test_the_first_kickoff_counts(self) -> None:
        kickoff = fold([begun(), begun("2026-01-05", "os:eve", "a later idea")]).kickoff
        assert kickoff is not None
        assert (kickoff.on, kickoff.recorded_by) == (TODAY, "os:ada")

    def test_one_that_was_recorded_later_says_so_wherever_it_is_told(self) -> None:
        kickoff = fold([begun("2026-02-20", reference="minutes of a meeting")]).kickoff
        assert kickoff is not None
        assert kickoff.days_later == 10
        told = "kickoff on 2026-02-20, recorded 10 days later, on 2026-03-02, by os:ada"
        assert str(kickoff) == f"{told} (reference: minutes of a meeting)"
        assert "recorded that day" in str(fold([begun()]).kickoff)
        assert kickoff.as_dict()["recorded_days_later"] == 10

    def test_what_was_said_last_counts_and_what_is_started_anew_is_open_again(self) -> None:
        events = [begun(), item(rules.ITEM_STARTED, "2026-03-03"), item(rules.ITEM_DONE, "2026-03-20")]
        assert (fold(events).of("assessment").started, fold(events).of("assessment").done) == (
            date(2026, 3, 3), date(2026, 3, 20),
        )  # fmt: skip
        again = fold([*events, item(rules.ITEM_STARTED, "2026-03-25")]).of("assessment")
        assert (again.started, again.done) == (date(2026, 3, 25), None)
        corrected = fold([*events, item(rules.ITEM_DONE, "2026-03-22")]).of("assessment")
        assert corrected.done == date(2026, 3, 22)

    def test_an_estimate_leaves_the_rest_as_it_was(self) -> None:
        told = event(
            rules.ITEM_ESTIMATED, by="os:assessor", item="assessment", low_days=42, high_days=70, reason=WHY
        )
        found = fold([begun(), item(rules.ITEM_STARTED, "2026-03-03"), told])
        standing = found.of("assessment")
        assert (standing.estimate, standing.started, standing.by) == ((42, 70), date(2026, 3, 3), "os:assessor")
        assert found.acts == 3

    @pytest.mark.parametrize(
        "broken",
        [
            event(rules.STARTED, on="soon", reference="", reason=WHY),
            event(rules.STARTED, reference=""),
            event(rules.ITEM_DONE, item="assessment"),
            event(rules.ITEM_ESTIMATED, item="assessment", low_days="some", high_days=1),
            {**begun(), "details": None},
        ],
    )
    def test_an_event_that_cannot_be_read_is_refused_by_name(self, broken: dict) -> None:
        with pytest.raises(Refused, match=r"event 1: got a \w+ without a readable .*fielded audit verify"):
            fold([broken])


class TestKickoff:
    def test_today_needs_no_reference_and_an_earlier_day_does(self) -> None:
        check_kickoff(Progress(), TODAY, TODAY, "", WHY)
        check_kickoff(Progress(), date(2026, 2, 1), TODAY, "minutes of a meeting", WHY)
        with pytest.raises(Refused, match="--reference: got 0 characters for a day before today"):
            check_kickoff(Progress(), date(2026, 3, 1), TODAY, "  ", WHY)

    def test_a_day_to_come_a_second_one_and_one_without_a_reason_are_refused(self) -> None:
        with pytest.raises(Refused, match="--on: got 2026-03-03, which is to come"):
            check_kickoff(Progress(), date(2026, 3, 3), TODAY, "minutes of a meeting", WHY)
        with pytest.raises(Refused, match="second one"):
            check_kickoff(fold([begun()]), TODAY, TODAY, "", WHY)
        with pytest.raises(Refused, match="-m: got 2 characters"):
            check_kickoff(Progress(), TODAY, TODAY, "", "hm")


class TestItems:
    def test_the_order_is_kickoff_start_end(self) -> None:
        kicked = fold([begun("2026-02-20", reference="minutes of a meeting")])
        started = fold([begun("2026-02-20"), item(rules.ITEM_STARTED, "2026-02-25")])
        check_progress(kicked, "assessment", rules.ITEM_STARTED, date(2026, 2, 20), TODAY, WHY)
        check_progress(started, "assessment", rules.ITEM_DONE, date(2026, 2, 25), TODAY, WHY)
        for progress, kind, on, said in (
            (Progress(), rules.ITEM_STARTED, TODAY, "work without a kickoff"),
            (kicked, rules.ITEM_STARTED, date(2026, 2, 19), "from the kickoff on, 2026-02-20"),
            (kicked, rules.ITEM_STARTED, date(2026, 3, 3), "which is to come"),
            (kicked, rules.ITEM_DONE, TODAY, "got an end, expected a start"),
            (started, rules.ITEM_DONE, date(2026, 2, 24), "from the item's start on, 2026-02-25"),
        ):
            with pytest.raises(Refused, match=said):
                check_progress(progress, "assessment", kind, on, TODAY, WHY)

    @pytest.mark.parametrize(("low", "high"), [(0, 5), (6, 5), (1, 3661)])
    def test_a_range_that_is_none_is_refused(self, low: int, high: int) -> None:
        with pytest.raises(Refused, match=f"got {low} to {high} days"):
            check_estimate(low, high, WHY)
        check_estimate(5, 5, WHY)
