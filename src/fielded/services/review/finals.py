"""Read from the ledger what people decided, for the rows of a day."""

from collections.abc import Mapping
from datetime import date, timedelta

from fielded.decisions.review import acts
from fielded.decisions.review.acts import CaseEvent
from fielded.decisions.review.finals import Finals
from fielded.decisions.review.queue import Settled
from fielded.decisions.review.state import standing_of
from fielded.services.seal import LedgerBooks
from fielded.words.errors import Refused
from fielded.world.case_events import CaseEvents
from fielded.world.ledger_tables import ledger_tables

_SKEW = timedelta(days=1)  # clocks of hosts differ; so do the days of a score and of what it is scored for


def case_events(books: LedgerBooks) -> CaseEvents:
    """The events about cases of a deployment's ledger."""
    name = ledger_tables(books.site, books.deployment.name).events
    return CaseEvents(books.tables, name, books.site.cache)


def read_finals(books: LedgerBooks, day: date) -> Finals:
    """Decisions that stand and may hold for rows of a day: made about them, or carried to them.

    A back-fill scores a past day now: only decisions from before that day are too old for sure.

    Raises:
        Refused: an event cannot be read.
        Unreachable: the ledger cannot be read.
    """
    review = books.deployment.review
    read = case_events(books).since(day - timedelta(days=review.carry.days) - _SKEW, acts.SETTLING)
    standing = settled(read.events)
    contested = frozenset(read.events) - {one.request_id for one in standing}
    return Finals(tuple(standing), contested, read.sequence)


def settled(events: Mapping[str, list[CaseEvent]]) -> list[Settled]:
    """Cases whose decision stands, by their events.

    Raises:
        Refused: an event cannot be read.
    """
    found: list[Settled] = []
    for request_id, own in events.items():
        decision = standing_of(own)
        if decision is None:
            continue
        try:
            found.append(Settled.read(request_id, decision))
        except (KeyError, TypeError, ValueError) as error:
            raise unreadable(request_id, error) from None
    return found


def unreadable(request_id: str, error: Exception) -> Refused:
    """Why a decision on record is not taken: `error` names what could not be read of it."""
    return Refused(
        f"case {request_id}: got a decision without a readable {error}, expected what fielded writes. "
        "Run `fielded audit verify`"
    )
