"""Where the watch stands follows from its events, all of them there."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from fielded.decisions.monitoring import watch
from fielded.decisions.monitoring.triggers import Change, TriggerState
from fielded.decisions.monitoring.watch import change_told, firing_of, fold, open_request, requests_of, unanswered
from fielded.words.errors import Refused

START = datetime(2026, 3, 2, 6, tzinfo=UTC)


def state(name: str = "firing", instance: str = "psi(score)") -> TriggerState:
    alarm = f"drift/{instance}/1" if name in ("firing", "acknowledged") else ""
    return TriggerState(
        trigger="drift", instance=instance, version="3", state=name, since=date(2026, 3, 1), alarm=alarm  # type: ignore[arg-type]
    )  # fmt: skip


def ran(number: int, *states: TriggerState, **changed: Any) -> dict[str, Any]:
    details = {
        "number": number,
        "as_of": "2026-03-01",
        "version": "3",
        "look_back": False,
        "states": [one.as_dict() for one in states],
        **changed,
    }
    return event(watch.RAN, number, details)


def event(kind: str, number: int, details: dict[str, Any], actor: str = "os:monitor") -> dict[str, Any]:
    at = START + timedelta(days=number)
    return {"kind": kind, "event_id": f"e{number}", "actor": actor, "occurred_at": at, "details": details}


def known(number: int, *instances: str) -> dict[str, Any]:
    details = {"number": number, "trigger": "drift", "instances": list(instances), "reason": "we know"}
    return event(watch.ACKNOWLEDGED, number, details, "os:owner")


def test_the_last_run_stands_for_all_before_and_acknowledgements_come_on_top() -> None:
    now = fold([ran(1, state("ok")), ran(2, state()), known(3, "psi(score)")], 3)
    (one,) = now.states.values()
    assert (one.state, one.acknowledged_by, one.reason, one.alarm) == (
        "acknowledged", "os:owner", "we know", "drift/psi(score)/1",
    )  # fmt: skip
    assert now.ran is not None
    assert (now.count, now.ran.number) == (3, 2)


def test_a_look_back_is_a_run_but_not_the_last_look() -> None:
    now = fold([ran(1, state("ok")), ran(2, state("ok"), look_back=True, as_of="2026-01-01")], 2)
    assert now.ran is not None
    assert now.looked is not None
    assert (now.ran.number, now.looked.number) == (2, 1)


@pytest.mark.parametrize(
    ("events", "count"),
    [
        ([ran(1), ran(3)], 2),
        ([ran(1)], 2),
        ([ran(2)], 1),
        ([ran(1), ran(1)], 2),
        ([ran(1, state()), known(2, "psi(other)")], 2),
        ([ran(1, state("ok")), known(2, "psi(score)")], 2),
        ([event(watch.RAN, 1, {"number": 1})], 1),
        ([ran(1, as_of="yesterday")], 1),
    ],
)
def test_an_event_that_is_missing_or_odd_is_refused(events: list[dict[str, Any]], count: int) -> None:
    with pytest.raises(Refused):
        fold(events, count)


def test_who_acknowledges_names_what_fires() -> None:
    now = fold([ran(1, state(), state("firing", "psi(age)"), state("ok", "psi(hours)"))], 1)
    assert len(firing_of(now, "drift")) == 2
    assert [one.instance for one in firing_of(now, "drift/psi(age)")] == ["psi(age)"]
    with pytest.raises(Refused, match="expected a trigger that fires: drift"):
        firing_of(now, "drift/psi(hours)")


def requested(number: int, *alarms: str) -> dict[str, Any]:
    details = {
        "request": f"retraining-{number}",
        "alarms": list(alarms),
        "owner": "A",
        "due": "2026-04-01",
        "why": "w",
    }
    return event(watch.REQUESTED, number, details)


def closed(number: int, request: str, *alarms: str) -> dict[str, Any]:
    details = {"request": request, "alarms": list(alarms), "reason": "retrained as version 4"}
    return event(watch.CLOSED, number, details, "os:owner")


def test_a_request_is_open_until_somebody_closes_it_and_answers_what_came_meanwhile() -> None:
    first, second = state(), state("firing", "psi(age)")
    assert unanswered([first, state("ok")], []) == (first,)
    opened = requests_of([requested(1, first.alarm)])
    assert open_request(opened) == opened[0]
    assert unanswered([first, second], opened) == (), "one is open"
    done = requests_of([requested(1, first.alarm), closed(2, "retraining-1", first.alarm, second.alarm)])
    assert open_request(done) is None
    assert (done[0].closed_by, done[0].reason) == ("os:owner", "retrained as version 4")
    third = state("firing", "psi(hours)")
    assert unanswered([first, second, third], done) == (third,)


def test_a_change_tells_both_states() -> None:
    told = change_told(Change(state("pending"), state(), "got 0.2"))
    assert (told["from"], told["to"], told["alarm"], told["why"]) == (
        "pending", "firing", "drift/psi(score)/1", "got 0.2",
    )  # fmt: skip
    assert change_told(Change(state(), None, "gone"))["to"] is None
    with pytest.raises(ValueError, match="neither"):
        change_told(Change(None, None, ""))
