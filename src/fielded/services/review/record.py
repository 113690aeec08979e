"""Read a case and its state from the ledger, and append to it only onto what was read.

Two that act on a case at once both read it; the first to append changes it, and the second is told what he lost
to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from fielded.decisions.review.acts import ABOUT, CaseEvent
from fielded.decisions.review.case import Case
from fielded.decisions.review.state import CaseState, after, fold
from fielded.services.review.finals import case_events
from fielded.words.errors import Refused, WrongUse
from fielded.words.identifiers import uuid7
from fielded.world.case_events import case_application
from fielded.world.ledger import Event
from fielded.world.lookup import find_rows
from fielded.world.workplace import Workplace

SKEW = timedelta(days=1)  # by which the clocks of hosts may differ


class Lost(Refused):
    """Somebody else acted on the same case first."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A case as it was read.

    Attributes:
        case: the case.
        row: its row in the ledger, with the features.
        state: by its events.
    """

    case: Case
    row: Mapping[str, Any]
    state: CaseState


def open_case(workplace: Workplace, request_id: str) -> Opened:
    """A case by its id.

    Raises:
        WrongUse: the ledger has no such prediction, or it was not for a person.
        Refused: its events break a rule; names it.
        Unreachable: the ledger cannot be read.
    """
    table = workplace.tables.find(workplace.ledger.predictions)
    rows = [] if table is None else find_rows(table, "request_id", request_id)
    case = Case.read(rows[0]) if rows else None
    if case is None:
        got = (
            "which is not in the ledger's predictions"
            if not rows
            else "a prediction that no person was asked about"
        )
        raise WrongUse(
            f"case: got {request_id}, {got}, expected one that `fielded review list` shows. A live score is there "
            "once it was drained"
        )
    return Opened(case, rows[0], state_of(workplace, case))


def state_of(workplace: Workplace, case: Case) -> CaseState:
    """Where a case stands, by the ledger.

    Raises:
        Refused: its events break a rule, or some are missing.
        Unreachable: the ledger cannot be read.
    """
    since: date = (case.scored_at - SKEW).date()
    return folded(case.request_id, case_events(workplace).of(case.request_id, since))


def folded(request_id: str, events: list[CaseEvent]) -> CaseState:
    """`fold`, which says of which case it was.

    Raises:
        Refused: the events break a rule.
    """
    try:
        return fold(events)
    except Refused as refusal:
        raise Refused(f"case {request_id}: {refusal}") from None


def append(
    workplace: Workplace, opened: Opened, kind: str, details: Mapping[str, Any], at: datetime | None = None
) -> CaseState:
    """Append an act of the asking person onto the state that it rests on.

    Args:
        workplace: whose `user` acts.
        opened: the case as it was read before.
        kind: see `decisions.review.acts`.
        details: see there; `turn`, `subject` and `scored_date` are added.
        at: UTC; None is now.

    Returns:
        The state with it.

    Raises:
        Refused: the rules do not allow it.
        Lost: somebody acted first; says who, and what.
        Unreachable: the ledger cannot be written.
    """
    case, state = opened.case, opened.state
    at = workplace.clock() if at is None else at
    turn = state.count + 1
    told = {**details, "turn": turn, "subject": case.subject, "scored_date": case.scored_date.isoformat()}
    event_id = uuid7(int(at.timestamp() * 1000), workplace.random_bytes)
    event = CaseEvent(turn=turn, event_id=event_id, kind=kind, actor=workplace.user, at=at, details=told)
    reached = after(state, event)
    entry = Event(
        kind=kind,
        about=f"{ABOUT}{case.request_id}",
        actor=event.actor,
        occurred_at=at,
        details=told,
        id=event_id,
    )
    application = case_application(case.request_id)
    if workplace.ledger.append_if(entry, workplace.random_bytes, application, state.count):
        return reached
    first = state_of(workplace, case).history[state.count]
    raise Lost(
        f"{kind}: lost to {first}, which was first. Nothing was changed. Look at `fielded review show "
        f"{case.request_id}`, or take another case"
    )
