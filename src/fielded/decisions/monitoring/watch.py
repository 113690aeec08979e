"""Where the watch of one model stands: a fold over the monitor's events.

Every event is about `model NAME`:

| kind | details |
|---|---|
| `monitor_ran` | `number` (1, 2, 3, ... together with acknowledgements), `as_of`, `version`, `sha256`, `definition_sha256`, `report_sha256`, `look_back`, `instances` [{trigger, instance, value, low, high, chance_limit, rows, first_day, last_day, outcome, why}], `states` (of every instance, after it), `changes` [{trigger, instance, from, to, alarm, why}], `latency_buckets` |
| `trigger_changed` | `run` (number), `trigger`, `changes` as above |
| `trigger_acknowledged` | `number`, `trigger`, `instances`, `reason` |
| `retraining_requested` | `number` (1, 2, 3, ... together with closings), `request`, `alarms`, `version`, `owner`, `due`, `why` |
| `retraining_closed` | `number`, `request`, `alarms` (those that it answers, also later ones), `reason` |
| `notified`, `notification_failed` | `channel` (`webhook` or `mail`), `notice`, `alarms`; a failure's `reason` |

1. Events are numbered without gaps; a state that misses one is refused.
2. A run's states stand for everything before it: they were made from what stood before by `decisions.monitoring.triggers`.
3. An acknowledgement is of instances that fire.
4. At most one retraining request is open. It answers every alarm from its opening to its closing.
"""  # noqa: E501 - a table

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from fielded.decisions.monitoring.triggers import Change, Key, TriggerState, acknowledged
from fielded.words.errors import Refused

RAN, CHANGED, ACKNOWLEDGED = "monitor_ran", "trigger_changed", "trigger_acknowledged"
REQUESTED, CLOSED = "retraining_requested", "retraining_closed"
NOTIFIED, NOT_NOTIFIED = "notified", "notification_failed"

_NO_STATES: Mapping[Key, TriggerState] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run of the monitor, as it is on record.

    Attributes:
        number: of the event.
        event_id: in the ledger.
        at: UTC.
        by: authenticated identity.
        as_of: last day that it looked at.
        version: that was in production.
        details: see the module.
    """

    number: int
    event_id: str
    at: datetime
    by: str
    as_of: date
    version: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchState:
    """Where the watch stands.

    Attributes:
        count: runs and acknowledgements so far.
        ran: the last run; None before the first.
        looked: the last run that was no look back.
        states: of every instance.
    """

    count: int = 0
    ran: Ran | None = None
    looked: Ran | None = None
    states: Mapping[Key, TriggerState] = field(default_factory=lambda: _NO_STATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to retrain. Nothing here ever retrains: a person does, or says why not.

    Attributes:
        id: names it.
        opened_at: UTC.
        due: day.
        owner: who is asked.
        why: alarms in words.
        alarms: that it answers.
        closed_at: UTC; None while it is open.
        closed_by: authenticated identity.
        reason: what they said.
    """

    id: str
    opened_at: datetime
    due: date
    owner: str
    why: str
    alarms: frozenset[str]
    closed_at: datetime | None = None
    closed_by: str = ""
    reason: str = ""


def fold(events: Iterable[Mapping[str, Any]], count: int) -> WatchState:
    """The state that runs and acknowledgements lead to.

    Args:
        events: rows of the events table of the kinds `RAN` and `ACKNOWLEDGED`, details read, in their order.
        count: as many as were appended.

    Raises:
        Refused: a rule is broken; names it.
    """
    state = WatchState()
    try:
        for event in events:
            if event["details"]["number"] != state.count + 1:
                raise _broken(f"number {event['details']['number']}", f"{state.count + 1}")
            state = _ran(state, event) if event["kind"] == RAN else _acknowledge(state, event)
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(f"an event without a readable {error}", "what fielded writes") from None
    if state.count != count:
        raise _broken(f"{state.count} of them", f"{count}, as many as were appended")
    return state


def _broken(got: str, expected: str) -> Refused:
    return Refused(
        f"monitor events (rule 1 of the watch): got {got}, expected {expected}. Run `fielded audit verify`"
    )


def _ran(state: WatchState, event: Mapping[str, Any]) -> WatchState:
    details = event["details"]
    ran = Ran(
        number=details["number"],
        event_id=str(event["event_id"]),
        at=event["occurred_at"],
        by=str(event["actor"]),
        as_of=date.fromisoformat(details["as_of"]),
        version=str(details["version"]),
        details=details,
    )
    states = (TriggerState.read(told) for told in details["states"])
    return WatchState(
        count=ran.number,
        ran=ran,
        looked=state.looked if details["look_back"] else ran,
        states=MappingProxyType({one.key: one for one in states}),
    )


def _acknowledge(state: WatchState, event: Mapping[str, Any]) -> WatchState:
    details = event["details"]
    states = dict(state.states)
    for instance in details["instances"]:
        key = (str(details["trigger"]), str(instance))
        states[key] = acknowledged(
            states[key], str(event["actor"]), str(details["reason"]), event["occurred_at"].date()
        )
    return replace(state, count=details["number"], states=MappingProxyType(states))


def firing_of(state: WatchState, named: str) -> tuple[TriggerState, ...]:
    """The instances that fire of what a person named: a trigger's id, or `ID/INSTANCE`.

    Raises:
        Refused: none of it fires; says what does.
    """
    found = tuple(
        one
        for one in state.states.values()
        if one.state == "firing" and named in (one.trigger, f"{one.trigger}/{one.instance}")
    )
    if not found:
        fires = ", ".join(sorted({one.trigger for one in state.states.values() if one.state == "firing"}))
        raise Refused(f"acknowledge: got {named}, expected a trigger that fires: {fires or 'none does'}")
    return found


def change_told(change: Change) -> dict[str, Any]:
    """A change for an event."""
    told = change.after or change.before
    if told is None:
        raise ValueError("change: got neither a state before nor after, expected one")
    return {
        "trigger": told.trigger,
        "instance": told.instance,
        "from": None if change.before is None else change.before.state,
        "to": None if change.after is None else change.after.state,
        "alarm": told.alarm,
        "why": change.why,
    }


def requests_of(events: Iterable[Mapping[str, Any]]) -> tuple[Request, ...]:
    """Requests to retrain, oldest first.

    Args:
        events: rows of the events table of the kinds `REQUESTED` and `CLOSED`, details read, in their order.
    """
    found: dict[str, Request] = {}
    for event in events:
        details = event["details"]
        if event["kind"] == REQUESTED:
            found[details["request"]] = Request(
                id=details["request"],
                opened_at=event["occurred_at"],
                due=date.fromisoformat(details["due"]),
                owner=details["owner"],
                why=details["why"],
                alarms=frozenset(details["alarms"]),
            )
        else:
            opened = found[details["request"]]
            found[opened.id] = replace(
                opened,
                alarms=opened.alarms | frozenset(details["alarms"]),
                closed_at=event["occurred_at"],
                closed_by=str(event["actor"]),
                reason=details["reason"],
            )
    return tuple(found.values())


def open_request(requests: Iterable[Request]) -> Request | None:
    """The one that is open, if one is."""
    return next((one for one in requests if one.closed_at is None), None)


def unanswered(alarms: Iterable[TriggerState], requests: Sequence[Request]) -> tuple[TriggerState, ...]:
    """Alarms for which a request is to be opened: none while one is open, and none that one has answered."""
    if open_request(requests) is not None:
        return ()
    answered = frozenset[str]().union(*(one.alarms for one in requests))
    return tuple(one for one in alarms if one.alarm and one.alarm not in answered)
