"""Reads where the watch stands from the ledger, and appends to it only onto what was read."""

from collections.abc import Mapping
from typing import Any

from fielded.decisions.monitoring import watch
from fielded.decisions.monitoring.watch import Request, WatchState
from fielded.words.errors import Refused
from fielded.words.identifiers import uuid7
from fielded.world.ledger import Event
from fielded.world.workplace import Workplace


def about(workplace: Workplace) -> str:
    """What the monitor's events are about."""
    return f"model {workplace.deployment.model.name}"


def watch_state(workplace: Workplace) -> WatchState:
    """Where the watch stands, by the ledger.

    Raises:
        Refused: its events break a rule; names it.
        Unreachable: the ledger cannot be read.
    """
    return watch.fold(*workplace.ledger.counted_events(
        {watch.RAN, watch.ACKNOWLEDGED}, about(workplace), _monitor(workplace)
    ))  # fmt: skip


def requests(workplace: Workplace) -> tuple[Request, ...]:
    """Requests to retrain, oldest first.

    Raises:
        Unreachable: the ledger cannot be read.
    """
    return watch.requests_of(workplace.ledger.events_of({watch.REQUESTED, watch.CLOSED}, about(workplace)))


def append(workplace: Workplace, expected: int, kind: str, details: Mapping[str, Any]) -> str:
    """Append a run or an acknowledgement onto the state that it rests on; returns the event's id.

    Raises:
        Refused: somebody else appended first.
        Unreachable: the ledger cannot be written.
    """
    event_id = _append(workplace, _monitor(workplace), expected, kind, details)
    if event_id is None:
        raise Refused(
            f"{kind}: lost to another run or acknowledgement, which was first. Nothing was changed. "
            "Look at `fielded monitor status`"
        )
    return event_id


def append_request(workplace: Workplace, expected: int, kind: str, details: Mapping[str, Any]) -> bool:
    """Append an opening or closing of a request; False where somebody else was first.

    Raises:
        Unreachable: the ledger cannot be written.
    """
    return _append(workplace, f"retraining/{_model(workplace)}", expected, kind, details) is not None


def _append(
    workplace: Workplace, application: str, expected: int, kind: str, details: Mapping[str, Any]
) -> str | None:
    at = workplace.clock()
    event = Event(
        kind=kind,
        about=about(workplace),
        actor=workplace.user,
        occurred_at=at,
        details={**details, "number": expected + 1},
        id=uuid7(int(at.timestamp() * 1000), workplace.random_bytes),
    )
    return event.id if workplace.ledger.append_if(event, workplace.random_bytes, application, expected) else None


def _monitor(workplace: Workplace) -> str:
    return f"monitor/{_model(workplace)}"


def _model(workplace: Workplace) -> str:
    return workplace.deployment.model.name
