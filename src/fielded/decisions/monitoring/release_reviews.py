"""Reviews of what was put into production: 30, 90 and 180 days later a named person looks at how it does.

1. What put the version in production there, a promotion or an adoption, has a review for each of the definition's
   `monitoring.reviews`. Its id is made of the version, the turn of that event and the day, so that whoever schedules
   it again schedules the same.
2. It opens so many days after the event, and is due `review_due_days` later.
3. A version that is not in production on the day on which its review opens is not reviewed: it is `overtaken`,
   unless somebody closed it. One that left production later still is: what it decided is out in the world.
4. It is closed once, after it opened, by a named person, with a text, and with the evidence that was made for it,
   whose digest the closing names.

Events are about `model NAME`:

| kind | details |
|---|---|
| `release_review_scheduled` | `id`, `version`, `sha256`, `day`, `opens`, `due`, `owner`, `promotion` (id of the event), `promoted_at` |
| `release_review_opened` | `id`, `evidence_sha256` (of `review.json`) |
| `release_review_closed` | `id`, `text`, `evidence_sha256` |
"""  # noqa: E501 - a table

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal

from fielded.decisions.release import acts
from fielded.decisions.release.acts import Pinned, ReleaseEvent
from fielded.words.errors import Refused

SCHEDULED = "release_review_scheduled"
OPENED = "release_review_opened"
CLOSED = "release_review_closed"

State = Literal["scheduled", "open", "overdue", "closed", "overtaken"]

_SHORTEST_TEXT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseReview:
    """A review of one version.

    Attributes:
        id: see rule 1.
        version: that is reviewed.
        day: days after its promotion.
        promotion: id of the event that put it into production.
        promoted_at: UTC.
        opens: the day it opens.
        due: last day on which it is in time.
        owner: name of who is to do it.
        evidence: SHA-256 of what was made for it last; empty before.
        closed_by: who closed it; empty before.
        closed_at: UTC.
        text: what they found.
    """

    id: str
    version: Pinned
    day: int
    promotion: str
    promoted_at: datetime
    opens: date
    due: date
    owner: str
    evidence: str = ""
    closed_by: str = ""
    closed_at: datetime | None = None
    text: str = ""

    def details(self) -> dict[str, Any]:
        """What the event that schedules it says."""
        return {
            "id": self.id,
            **self.version.as_dict(),
            "day": self.day,
            "opens": self.opens.isoformat(),
            "due": self.due.isoformat(),
            "owner": self.owner,
            "promotion": self.promotion,
            "promoted_at": self.promoted_at.isoformat(),
        }

    @classmethod
    def read(cls, details: Mapping[str, Any]) -> "ReleaseReview":
        """From an event that schedules one.

        Raises:
            KeyError, TypeError, ValueError: fielded did not write it.
        """
        return cls(
            id=str(details["id"]),
            version=Pinned.read(details),
            day=int(details["day"]),
            promotion=str(details["promotion"]),
            promoted_at=datetime.fromisoformat(details["promoted_at"]),
            opens=date.fromisoformat(details["opens"]),
            due=date.fromisoformat(details["due"]),
            owner=str(details["owner"]),
        )


def asked_for(
    history: Sequence[ReleaseEvent], days: Sequence[int], due_days: int, owner: str
) -> list[ReleaseReview]:
    """The reviews of what is in production, by rules 1 and 2; none where nothing is.

    Args:
        history: all release events, oldest first.
        days: `monitoring.reviews`.
        due_days: `monitoring.review_due_days`.
        owner: name of who watches.
    """
    into = [event for event in history if event.kind in acts.INTO_PRODUCTION]
    if not into:
        return []
    now = _put(into[-1])
    # A rollback brings back what was promoted before, and what was begun then goes on.
    brought = [event for event in into if event.kind != acts.ROLLED_BACK and _put(event) == now]
    if not brought:
        return []
    event = brought[-1]
    return [_review(event, now, day, due_days, owner) for day in days]


def _review(event: ReleaseEvent, version: Pinned, day: int, due_days: int, owner: str) -> ReleaseReview:
    opens = event.at.date() + timedelta(days=day)
    return ReleaseReview(
        id=f"v{version.version}-{event.turn}-{day}d",
        version=version,
        day=day,
        promotion=event.event_id,
        promoted_at=event.at,
        opens=opens,
        due=opens + timedelta(days=due_days),
        owner=owner,
    )


def _put(event: ReleaseEvent) -> Pinned:
    return Pinned.read(event.details["production" if event.kind == acts.ADOPTED else "to"])


def fold(events: Sequence[Mapping[str, Any]]) -> dict[str, ReleaseReview]:
    """Reviews by id, in the order in which they open.

    Args:
        events: rows of the events table of the three kinds, in their order, with `details` read.

    Raises:
        Refused: one cannot be read.
    """
    found: dict[str, ReleaseReview] = {}
    for event in events:
        try:
            _apply(found, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(
                f"event {event.get('sequence')}: got a {event.get('kind')} without a readable {error}, expected "
                "what fielded writes. Run `fielded audit verify`"
            ) from None
    return dict(sorted(found.items(), key=lambda item: (item[1].opens, item[0])))


def _apply(found: dict[str, ReleaseReview], event: Mapping[str, Any]) -> None:
    details = event["details"]
    if event["kind"] == SCHEDULED:
        found.setdefault(details["id"], ReleaseReview.read(details))
        return
    review = found[details["id"]]
    if event["kind"] == OPENED:
        found[review.id] = replace(review, evidence=str(details["evidence_sha256"]))
    elif not review.closed_by:  # rule 4: the first that closed it did
        found[review.id] = replace(
            review,
            closed_by=str(event["actor"]),
            closed_at=event["occurred_at"],
            text=str(details["text"]),
            evidence=str(details["evidence_sha256"]),
        )


def state_of(review: ReleaseReview, history: Sequence[ReleaseEvent], today: date) -> State:
    """Where a review stands on a day (UTC); see rule 3."""
    if review.closed_by:
        return "closed"
    if in_production(history, min(review.opens, today)) != review.version:
        return "overtaken"
    if today < review.opens:
        return "scheduled"
    return "open" if today <= review.due else "overdue"


def in_production(history: Sequence[ReleaseEvent], day: date) -> Pinned | None:
    """What was in production at the end of a day (UTC); None where nothing was."""
    into = [event for event in history if event.kind in acts.INTO_PRODUCTION and event.at.date() <= day]
    return _put(into[-1]) if into else None


def left_on(review: ReleaseReview, history: Sequence[ReleaseEvent]) -> date | None:
    """The day on which another version first took its place since its promotion; None where none did."""
    return next(
        (
            event.at.date()
            for event in history
            if event.kind in acts.INTO_PRODUCTION
            and event.at > review.promoted_at
            and _put(event) != review.version
        ),
        None,
    )


def check_closing(review: ReleaseReview, state: State, text: str) -> None:
    """Rule 4.

    Raises:
        Refused: it is not open, it was closed, there is no evidence, or nothing was said.
    """
    if review.closed_by:
        raise Refused(f"review {review.id}: got one that {review.closed_by} closed, expected an open one")
    if state == "scheduled":
        raise Refused(
            f"review {review.id}: got one that opens on {review.opens}, expected an open one. Wait until then"
        )
    if not review.evidence:
        raise Refused(
            f"review {review.id}: got no evidence, expected some. Run `fielded monitor review-open {review.id}` "
            "and read it"
        )
    if len(text.strip()) < _SHORTEST_TEXT:
        raise Refused(
            f"review {review.id}: got a text of {len(text.strip())} characters, expected what you found, in a "
            "sentence"
        )
