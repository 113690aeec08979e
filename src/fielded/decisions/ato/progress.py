"""When the authorization began, and how far its work has come: what the events say.

1. The first kickoff counts, and there is one. Its day is the one that its event names. Where that is an earlier
   day than the event's own, somebody remembered it: it needs a reference, such as the minutes of a meeting, and
   whoever tells the day tells that it was recorded later.
2. An item of work is started, then done. A day to come is refused, and so is one before the kickoff, or an end
   before its start.
3. What was said of an item last counts; all of it stays on record. An item that is started anew after it was done
   is open again: an assessor sent it back.
4. Whoever does an item may say how long it takes (`estimated`); until then the schedule's own range counts.

Events are about `model NAME`:

| kind | details |
|---|---|
| `ato_started` | `on`, `reference`, `reason` |
| `ato_item_started` | `item`, `on`, `reason` |
| `ato_item_done` | `item`, `on`, `reason` |
| `ato_item_estimated` | `item`, `low_days`, `high_days`, `reason` |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from fielded.words.errors import Refused

STARTED = "ato_started"
ITEM_STARTED = "ato_item_started"
ITEM_DONE = "ato_item_done"
ITEM_ESTIMATED = "ato_item_estimated"
KINDS = frozenset({STARTED, ITEM_STARTED, ITEM_DONE, ITEM_ESTIMATED})

_SHORTEST_TEXT = 10  # characters of a reason or a reference
_LONGEST = 3660  # days that anybody may estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Kickoff:
    """The day on which the authorization began.

    Attributes:
        on: the day (UTC).
        recorded_at: UTC; when that was put on record.
        recorded_by: authenticated identity of who did.
        reference: what shows the day, where it was recorded later.
        event_id: of the event.
    """

    on: date
    recorded_at: datetime
    recorded_by: str
    reference: str
    event_id: str

    @property
    def days_later(self) -> int:
        """Days between the kickoff and its record; 0 where it was recorded on the day."""
        return (self.recorded_at.date() - self.on).days

    def __str__(self) -> str:
        told = f"kickoff on {self.on}, recorded"
        if not self.days_later:
            return f"{told} that day by {self.recorded_by}"
        days = f"{self.days_later} day{'s' * (self.days_later > 1)} later, on {self.recorded_at.date()}"
        return f"{told} {days}, by {self.recorded_by} (reference: {self.reference or 'none'})"

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "on": self.on.isoformat(),
            "recorded_at": self.recorded_at.isoformat(),
            "recorded_by": self.recorded_by,
            "recorded_days_later": self.days_later,
            "reference": self.reference,
            "event_id": self.event_id,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far one item has come.

    Attributes:
        started: the day; None while it is not.
        done: the day; None while it is not.
        estimate: days, low and high, where somebody said so.
        by: who said so last; empty where nobody said anything.
        recorded_at: UTC; when.
    """

    started: date | None = None
    done: date | None = None
    estimate: tuple[int, int] | None = None
    by: str = ""
    recorded_at: datetime | None = None


NOTHING = Standing()


@dataclass(frozen=True, slots=True)
class Progress:
    """All that is on record.

    Attributes:
        kickoff: None while there is none.
        items: item -> how far it has come; one of which nothing was said is absent.
        acts: how many events said so.
    """

    kickoff: Kickoff | None = None
    items: Mapping[str, Standing] = field(default_factory=lambda: MappingProxyType({}))
    acts: int = 0

    def of(self, item: str) -> Standing:
        """How far an item has come."""
        return self.items.get(item, NOTHING)


def fold(events: Sequence[Mapping[str, Any]]) -> Progress:
    """What events come to.

    Args:
        events: rows of the events table of `KINDS`, in their order, with `details` read.

    Raises:
        Refused: one cannot be read.
    """
    kickoff: Kickoff | None = None
    items: dict[str, Standing] = {}
    for event in events:
        try:
            if event["kind"] == STARTED:
                kickoff = kickoff or _kickoff(event)  # rule 1
            else:
                item = str(event["details"]["item"])
                items[item] = _after(items.get(item, NOTHING), event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(
                f"event {event.get('sequence')}: got a {event.get('kind')} without a readable {error}, expected "
                "what fielded writes. Run `fielded audit verify`"
            ) from None
    return Progress(kickoff, MappingProxyType(items), len(events))


def _kickoff(event: Mapping[str, Any]) -> Kickoff:
    details = event["details"]
    return Kickoff(
        on=date.fromisoformat(details["on"]),
        recorded_at=event["occurred_at"],
        recorded_by=str(event["actor"]),
        reference=str(details["reference"]),
        event_id=str(event["event_id"]),
    )


def _after(standing: Standing, event: Mapping[str, Any]) -> Standing:
    details = event["details"]
    said = replace(standing, by=str(event["actor"]), recorded_at=event["occurred_at"])
    if event["kind"] == ITEM_ESTIMATED:
        return replace(said, estimate=(int(details["low_days"]), int(details["high_days"])))
    on = date.fromisoformat(details["on"])
    if event["kind"] == ITEM_STARTED:
        return replace(said, started=on, done=None)  # rule 3
    return replace(said, done=on)


def check_kickoff(progress: Progress, on: date, today: date, reference: str, reason: str) -> None:
    """Whether a kickoff may be put on record; see rule 1.

    Raises:
        Refused: it may not.
    """
    if progress.kickoff is not None:
        raise Refused(
            f"kickoff: got a second one, expected none after the first, which counts ({progress.kickoff})"
        )
    _check_text("-m", reason, "why the authorization is asked for")
    if on > today:
        raise Refused(f"--on: got {on}, which is to come, expected a day up to {today} (UTC)")
    if on < today and len(reference.strip()) < _SHORTEST_TEXT:
        raise Refused(
            f"--reference: got {_length(reference)} for a day before today, expected what shows it in at "
            f"least {_SHORTEST_TEXT} characters, such as the minutes of a meeting"
        )


def check_progress(progress: Progress, item: str, kind: str, on: date, today: date, reason: str) -> None:
    """Whether a start or an end of an item may be put on record; see rule 2.

    Args:
        progress: what is on record.
        item: that is one of the plan's.
        kind: `ITEM_STARTED` or `ITEM_DONE`.
        on: the day it speaks of.
        today: UTC.
        reason: what was done, or begun.

    Raises:
        Refused: it may not.
    """
    _check_text("-m", reason, "what was begun or done")
    if progress.kickoff is None:
        raise Refused(f"{item}: got work without a kickoff, expected one on record. Run `fielded ato kickoff`")
    if on > today:
        raise Refused(f"--on: got {on}, which is to come, expected a day up to {today} (UTC)")
    if on < progress.kickoff.on:
        raise Refused(f"--on: got {on}, expected a day from the kickoff on, {progress.kickoff.on}")
    standing = progress.of(item)
    if kind == ITEM_DONE and standing.started is None:
        raise Refused(
            f"{item}: got an end, expected a start before it. Run `fielded ato progress {item} --started --on DAY`"
        )
    if kind == ITEM_DONE and standing.started is not None and on < standing.started:
        raise Refused(f"--on: got {on}, expected a day from the item's start on, {standing.started}")


def check_estimate(low: int, high: int, reason: str) -> None:
    """Whether an estimate in days may be put on record; see rule 4.

    Raises:
        Refused: it may not.
    """
    _check_text("-m", reason, "whose estimate it is")
    if not 1 <= low <= high <= _LONGEST:
        raise Refused(f"estimate: got {low} to {high} days, expected 1 <= low <= high <= {_LONGEST}")


def _check_text(option: str, text: str, what: str) -> None:
    if len(text.strip()) < _SHORTEST_TEXT:
        raise Refused(f"{option}: got {_length(text)}, expected {what} in at least {_SHORTEST_TEXT}")


def _length(text: str) -> str:
    return f"{len(text.strip())} characters"
