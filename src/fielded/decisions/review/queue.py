"""The queue: a view of the predictions and of what people did. Nobody puts a case into it or takes it out.

1. Of each subject the newest case waits, unless somebody has decided it or it has expired;
2. a case that somebody holds, or that is escalated, appealed or waits for a second person, stays in the queue
   although a newer one of its subject is there; until it is decided the newer one waits outside (but for a second
   judgement, which holds up nothing);
3. a decision that stands covers later cases of its subject: those scored until `review.carry.days` after it, with
   a score no further away than `review.carry.score_change`;
4. what is due first comes first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from fielded.decisions.review.case import Case, due_at, expires_at
from fielded.decisions.review.state import CaseState, Decision
from fielded.definition.review import Carry, Review

_NOTHING = CaseState()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A case whose decision stands, by its events alone.

    Attributes:
        request_id: of the case.
        subject: what it is about.
        score: that was decided about.
        place: see `Case.place`.
        decision: that stands.
    """

    request_id: str
    subject: str
    score: float
    place: tuple[date, datetime, str]
    decision: Decision

    @classmethod
    def read(cls, request_id: str, decision: Decision) -> "Settled":
        """From the decision that stands.

        Raises:
            KeyError, TypeError, ValueError: its event does not say what it is about.
        """
        details = decision.event.details
        scored_at = datetime.fromisoformat(details["scored_at"])
        return cls(
            request_id=request_id,
            subject=str(details["subject"]),
            score=float(details["score"]),
            place=(date.fromisoformat(details["scored_date"]), scored_at, request_id),
            decision=decision,
        )

    def covers(self, score: float, place: tuple[date, datetime, str], carry: Carry) -> bool:
        """Whether it covers a score of the same subject: rule 3.

        Args:
            score: the other score.
            place: see `Case.place`.
            carry: the definition's section.
        """
        in_time = self.place <= place and place[1] <= self.decision.at + timedelta(days=carry.days)
        return in_time and abs(score - self.score) <= carry.score_change


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A case in the queue.

    Attributes:
        case: the case.
        state: of it.
        due_at: UTC.
        expires_at: UTC.
    """

    case: Case
    state: CaseState
    due_at: datetime
    expires_at: datetime

    def is_overdue(self, now: datetime) -> bool:
        """Whether it should have been decided by a moment (UTC)."""
        return now >= self.due_at


def waiting(case: Case, state: CaseState, review: Review) -> Waiting:
    """A case with its times."""
    return Waiting(
        case=case,
        state=state,
        due_at=due_at(case, state.since, review),
        expires_at=expires_at(case, state.since, review),
    )


def queue(
    newest: Iterable[Case],
    begun: Iterable[Case],
    states: Mapping[str, CaseState],
    settled: Mapping[str, Sequence[Settled]],
    review: Review,
    now: datetime,
) -> list[Waiting]:
    """Who waits, what is due first before the rest.

    Args:
        newest: of each subject.
        begun: all that people did something about and that are not settled.
        states: request id -> state, of those that people did something about.
        settled: subject -> decisions that stand.
        review: the definition's section.
        now: UTC.
    """
    found: dict[str, Waiting] = {}
    held_up: set[str] = set()
    for case in begun:
        item = waiting(case, states[case.request_id], review)
        if is_under_way(item, now):
            found[case.request_id] = item
            if item.state.stage != "second":
                held_up.add(case.subject)
    for case in newest:
        state = states.get(case.request_id, _NOTHING)
        if case.request_id in found or state.decisions or case.subject in held_up:
            continue
        item = waiting(case, state, review)
        if now < item.expires_at and not is_covered(case, settled, review.carry):
            found[case.request_id] = item
    return sorted(found.values(), key=lambda item: (item.due_at, item.case.place))


def is_under_way(item: Waiting, now: datetime) -> bool:
    """Rule 2."""
    return now < item.expires_at and (
        item.state.stage in ("second", "escalated", "appealed") or item.state.holder(now) is not None
    )


def is_covered(case: Case, settled: Mapping[str, Sequence[Settled]], carry: Carry) -> bool:
    """Whether an earlier decision about its subject covers a case: rule 3."""
    return any(
        one.request_id != case.request_id and one.covers(case.score, case.place, carry)
        for one in settled.get(case.subject, ())
    )


def by_subject(settled: Iterable[Settled]) -> dict[str, list[Settled]]:
    """Decisions that stand, by subject."""
    found: dict[str, list[Settled]] = {}
    for one in settled:
        found.setdefault(one.subject, []).append(one)
    return found
