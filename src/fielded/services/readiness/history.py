"""How readiness went: each time that somebody looked, each waiver, and what changed from one to the next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fielded.decisions.readiness.items import CHECKED, WAIVED
from fielded.services.release.record import about
from fielded.words.errors import Refused
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A look at readiness, or a waiver.

    Attributes:
        at: UTC.
        by: authenticated identity.
        kind: of the event.
        event_id: in the ledger.
        states: item's number -> its state then; of a waiver the one item, `waived`.
        holds: whether all that was asked for held; None for a waiver.
        changed: item's number -> (state at the last look before, state then), where they differ.
        told: of a waiver its reason and last day; empty for a look.
    """

    at: datetime
    by: str
    kind: str
    event_id: str
    states: Mapping[int, str]
    holds: bool | None
    changed: Mapping[int, tuple[str, str]]
    told: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "at": self.at.isoformat(),
            "by": self.by,
            "kind": self.kind,
            "event_id": self.event_id,
            "states": {str(number): state for number, state in self.states.items()},
            "holds": self.holds,
            "changed": {str(number): list(pair) for number, pair in self.changed.items()},
            "told": self.told,
        }


def history(workplace: Workplace) -> tuple[Entry, ...]:
    """Every look and every waiver, oldest first.

    Raises:
        Refused: an event cannot be read.
        Unreachable: the ledger.
    """
    found: list[Entry] = []
    last: dict[int, str] = {}
    for event in workplace.ledger.events_of({CHECKED, WAIVED}, about(workplace)):
        try:
            found.append(_looked(event, last) if event["kind"] == CHECKED else _waived(event))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(
                f"event {event['sequence']}: got a {event['kind']} without a readable {error}, expected what "
                "fielded writes. Run `fielded audit verify`"
            ) from None
    return tuple(found)


def _looked(event: Mapping[str, Any], last: dict[int, str]) -> Entry:
    """A look; `last` has the states of the looks before, and these after it."""
    details = event["details"]
    states = {int(one["number"]): str(one["state"]) for one in details["items"]}
    changed = {
        number: (last[number], state)
        for number, state in states.items()
        if number in last and last[number] != state
    }
    last.update(states)
    return Entry(
        at=event["occurred_at"],
        by=str(event["actor"]),
        kind=CHECKED,
        event_id=str(event["event_id"]),
        states=states,
        holds=bool(details["holds"]),
        changed=changed,
    )


def _waived(event: Mapping[str, Any]) -> Entry:
    details = event["details"]
    return Entry(
        at=event["occurred_at"],
        by=str(event["actor"]),
        kind=WAIVED,
        event_id=str(event["event_id"]),
        states={int(details["item"]): "waived"},
        holds=None,
        changed={},
        told=f"until {details['until']}: {details['reason']}",
    )
