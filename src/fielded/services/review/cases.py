"""List the queue, and show a case: without what a reviewer must not see yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from fielded.decisions.review import acts
from fielded.decisions.review.acts import CaseEvent
from fielded.decisions.review.case import Case
from fielded.decisions.review.queue import Waiting, waiting
from fielded.decisions.review.state import Decision, Stage
from fielded.decisions.review.view import is_hidden
from fielded.services.authority import require_role
from fielded.services.review.queue import look
from fielded.services.review.record import open_case
from fielded.world.workplace import Workplace

_ALWAYS_TOLD = frozenset({"turn", "stage", "until", "to", "judge_first", "subject", "scored_date"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """What a person sees of a case in the queue.

    Attributes:
        request_id: of the case.
        subject: what it is about.
        channel: `batch`, `api` or `foundry`.
        scored_at: UTC.
        scored_date: the day scored.
        stage: what it waits for: see `decisions.review.state`.
        audit: whether it was drawn by chance alone; None where that is hidden.
        holder: whose it is now.
        until: when the claim ends, UTC.
        due_at: UTC.
        expires_at: UTC; both say nothing of a settled case.
        overdue: whether it should have been decided by now.
        yours: whether the asking person may take it.
        hidden: whether score and all that tells of it are hidden; the rest is then None.
        score: probability.
        flag: what the model makes of it.
        decision: of the model, or `review`.
        routed_by: why it is a case.
    """

    request_id: str
    subject: str
    channel: str
    scored_at: datetime
    scored_date: date
    stage: Stage
    audit: bool | None
    holder: str | None
    until: datetime | None
    due_at: datetime
    expires_at: datetime
    overdue: bool
    yours: bool
    hidden: bool
    score: float | None
    flag: bool | None
    decision: str | None
    routed_by: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDetail:
    """All that a person may see of a case.

    Attributes:
        view: as in the queue.
        features: as they were scored.
        model: name, version and threshold; whatever is hidden.
        judge_first: whether the person has to judge before the score is shown.
        own_judgement: first judgement of the asking person.
        expired: whether it expired without a decision.
        standing: the decision that counts; None where there is none or it is hidden.
        history: every act; without details that would tell of what is hidden.
        reasons: code -> what it says, for a decision.
    """

    view: CaseView
    features: Mapping[str, Any]
    model: Mapping[str, Any]
    judge_first: bool
    own_judgement: bool | None
    expired: bool
    standing: Decision | None
    history: tuple[CaseEvent, ...]
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue, or its first cases.

    Attributes:
        cases: what is due first before the rest.
        waiting: how many wait in all.
        overdue: of those, how many are overdue.
    """

    cases: tuple[CaseView, ...]
    waiting: int
    overdue: int


def list_cases(workplace: Workplace, limit: int | None = None, *, free: bool = False) -> Queue:
    """The queue.

    Args:
        workplace: the deployment at its site.
        limit: cases, at most; None gives all.
        free: only cases that nobody holds and that the asking person may take.

    Raises:
        Refused: the asking person may not review, or the events of a case break a rule.
        Unreachable: the ledger cannot be read.
    """
    require_role(workplace, "review")
    now = workplace.clock()
    found = look(workplace)
    overdue = sum(item.is_overdue(now) for item in found)
    chosen: Sequence[Waiting] = found
    if free:
        chosen = [
            item
            for item in found
            if item.state.holder(now) in (None, workplace.user) and item.state.may_take(workplace.user)
        ]
    return Queue(tuple(view_of(workplace, item, now) for item in chosen[:limit]), len(found), overdue)


def show_case(workplace: Workplace, request_id: str) -> CaseDetail:
    """A case, as the asking person may see it.

    Raises:
        WrongUse: there is no such case.
        Refused: the asking person may not review, or the events of the case break a rule.
        Unreachable: the ledger cannot be read.
    """
    require_role(workplace, "review")
    opened, now = open_case(workplace, request_id), workplace.clock()
    case, state, review = opened.case, opened.state, workplace.deployment.review
    item = waiting(case, state, review)
    view = view_of(workplace, item, now)
    own = state.judgements.get(workplace.user)
    holds = state.claim is not None and state.holder(now) == workplace.user
    asked = state.claim.judge_first if holds and state.claim is not None else review.judged_first(case.score)
    return CaseDetail(
        view=view,
        features=opened.row["features"],
        model={
            "name": opened.row["model_name"],
            "version": case.model_version,
            "threshold": case.threshold,
        },
        judge_first=asked and own is None and state.stage not in ("second", "settled"),
        own_judgement=None if own is None else own.flag,
        expired=_expired(item, now),
        standing=None if view.hidden else state.standing,
        history=tuple(_told(event, hidden=view.hidden, person=workplace.user) for event in state.history),
        reasons=review.reasons,
    )


def view_of(workplace: Workplace, item: Waiting, now: datetime) -> CaseView:
    """What the asking person sees of a case in the queue."""
    case, state, review = item.case, item.state, workplace.deployment.review
    hidden = not _expired(item, now) and is_hidden(case, state, workplace.user, review, now)
    holder = state.holder(now)
    return CaseView(
        request_id=case.request_id,
        subject=case.subject,
        channel=case.channel,
        scored_at=case.scored_at,
        scored_date=case.scored_date,
        stage=state.stage,
        audit=None if hidden else is_audit(case),
        holder=holder,
        until=state.claim.until if state.claim is not None and holder is not None else None,
        due_at=item.due_at,
        expires_at=item.expires_at,
        overdue=state.stage != "settled" and item.is_overdue(now),
        yours=state.stage != "settled" and state.may_take(workplace.user),
        hidden=hidden,
        score=None if hidden else case.score,
        flag=None if hidden else case.flag,
        decision=None if hidden else case.decision,
        routed_by=None if hidden else case.routed_by,
    )


def is_audit(case: Case) -> bool:
    """Whether only chance made it a case: nobody waits for the decision."""
    return case.routed_by == ("audit",)


def _expired(item: Waiting, now: datetime) -> bool:
    return item.state.stage != "settled" and now >= item.expires_at


def _told(event: CaseEvent, *, hidden: bool, person: str) -> CaseEvent:
    if not hidden or (event.actor == person and event.kind == acts.JUDGED):
        return event
    told = {name: value for name, value in event.details.items() if name in _ALWAYS_TOLD}
    return CaseEvent(
        turn=event.turn,
        event_id=event.event_id,
        kind=event.kind,
        actor=event.actor,
        at=event.at,
        details=told,
        sequence=event.sequence,
    )
