"""The state of one case: a fold over its events. Nothing that matters lives elsewhere.

A case waits for a person at one of four stages: `open` (nobody has decided it), `second` (decided, and a second
person is to judge it without seeing how), `escalated` (another person than those before is to decide it) and
`appealed` (decided, and somebody disagrees). At the fifth, `settled`, it waits for nobody. What may follow what:

1. turns are 1, 2, 3, ... without a gap or a repeat, and every kind is known;
2. a case that waits is claimed by one person at a time, until a stated time; who claims again what is his
   prolongs it;
3. who releases, judges, decides or escalates holds the claim at that time;
4. a first judgement is given once by a person, while the score is hidden from him, and never in place of a second
   judgement;
5. a decision keeps or overrides the model's, names a reason and says more in words; where the claim asks for a
   first judgement, its holder has given one;
6. only the first decision of a case is judged by a second person. Where that person differs, a third one decides;
7. who decided, judged second, escalated or appealed does not take the case again, nor give it to somebody; and a
   second judgement is by nobody who has held the case, for he may have seen the score;
8. whoever may take a case may give it to somebody else who may, and says why;
9. a holder who cannot decide escalates, and says why; not from a second judgement;
10. a decision that stands is appealed, with a reason, by whoever: it stands no more, and others decide anew.

What follows from them, and is tested for every sequence that they allow: nobody decides a case twice, and nobody
decides what he appealed or escalated; the last decision stands unless it was appealed or a second person differed;
a second person is always another one and has never held the case.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, get_args

from fielded.decisions.review import acts
from fielded.decisions.review.acts import CaseEvent, Final, Outcome, final_of
from fielded.words.errors import Refused

Stage = Literal["open", "second", "escalated", "appealed", "settled"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Whose case it is for now.

    Attributes:
        by: who.
        until: UTC; from then on it is nobody's.
        judge_first: whether he judges before the score is shown to him.
    """

    by: str
    until: datetime
    judge_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What somebody decided.

    Attributes:
        by: who.
        at: UTC.
        outcome: whether the model's flag was kept or overridden.
        final: what holds instead of the model's decision.
        reason: a code of the definition.
        text: why, in words.
        event: all of its event.
    """

    by: str
    at: datetime
    outcome: Outcome
    final: Final
    reason: str
    text: str
    event: CaseEvent

    @classmethod
    def read(cls, event: CaseEvent) -> "Decision":
        """From a `case_decided`."""
        details = event.details
        return cls(
            by=event.actor,
            at=event.at,
            outcome=details["outcome"],
            final=details["final"],
            reason=str(details["reason"]),
            text=str(details["text"]),
            event=event,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a person would decide without having seen the score, or without what another decided.

    Attributes:
        by: who.
        at: UTC.
        flag: whether he would flag it.
    """

    by: str
    at: datetime
    flag: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseState:
    """Where one case stands.

    Attributes:
        count: events folded; the turn of the next is one more.
        stage: what it waits for.
        since: when this stage began, UTC; None while it is `open`: since its score.
        claim: the last one that was neither released nor used; it may have ended.
        judgements: person -> first judgement.
        decisions: all, oldest first.
        second: judgement of the second person.
        held: who has held the case otherwise than to judge it second.
        barred: who may not take the case again: rule 7.
        history: all events, oldest first.
    """

    count: int = 0
    stage: Stage = "open"
    since: datetime | None = None
    claim: Claim | None = None
    judgements: Mapping[str, Judgement] = field(default_factory=lambda: MappingProxyType({}))
    decisions: tuple[Decision, ...] = ()
    second: Judgement | None = None
    held: frozenset[str] = frozenset()
    barred: frozenset[str] = frozenset()
    history: tuple[CaseEvent, ...] = ()

    @property
    def standing(self) -> Decision | None:
        """The decision that counts; None where there is none, or it is contested."""
        return self.decisions[-1] if self.stage in ("second", "settled") else None

    def holder(self, now: datetime) -> str | None:
        """Whose case it is at a moment (UTC); None where it is nobody's."""
        return None if self.claim is None or now >= self.claim.until else self.claim.by

    def may_take(self, person: str) -> bool:
        """Whether rule 7 lets somebody have the case at this stage."""
        return person not in self.barred and (self.stage != "second" or person not in self.held)


def fold(events: Sequence[CaseEvent]) -> CaseState:
    """The state that a case's events, in their order, lead to.

    Raises:
        Refused: they break a rule; names it. Such a ledger was not written by fielded, or by a newer one.
    """
    state = CaseState()
    for event in events:
        state = after(state, event)
    return state


def after(state: CaseState, event: CaseEvent) -> CaseState:
    """The state once `event` has happened.

    Raises:
        Refused: it must not follow; the message names the rule.
    """
    if event.turn != state.count + 1:
        raise _broken(1, event, f"turn {event.turn}", f"turn {state.count + 1}. Run `fielded audit verify`")
    if event.kind not in _RULES:
        raise _broken(1, event, "an unknown kind of event", "one that this release of fielded knows")
    check, apply = _RULES[event.kind]
    with _readable(event):
        check(state, event)
        return replace(apply(state, event), count=event.turn, history=(*state.history, event))


def standing_of(events: Iterable[CaseEvent]) -> Decision | None:
    """`fold(events).standing`, from no more than the `acts.SETTLING` among a case's events, in their order.

    Raises:
        Refused: one of them cannot be read.
    """
    standing: Decision | None = None
    for event in events:
        with _readable(event):
            if event.kind == acts.DECIDED:
                standing = Decision.read(event)
            elif event.kind == acts.APPEALED or (event.kind == acts.SECOND_JUDGED and not event.details["agrees"]):
                standing = None
    return standing


@contextmanager
def _readable(event: CaseEvent) -> Iterator[None]:
    """What a forger or a newer fielded wrote is refused, and never a fault of whoever reads it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(1, event, f"details without a readable {error}", "the details of this kind") from None


def _broken(rule: int, event: CaseEvent, got: str, expected: str) -> Refused:
    return Refused(f"{event.kind} (rule {rule} of a case): got {got}, expected {expected}")


def _until(event: CaseEvent) -> datetime:
    until = datetime.fromisoformat(event.details["until"])
    if until.tzinfo is None or until <= event.at:
        raise ValueError("until")
    return until


def _text(event: CaseEvent, rule: int, name: str) -> None:
    if not str(event.details[name]).strip():
        raise _broken(rule, event, f"no {name}", "why, in words. Give it with -m")


def _check_waiting(state: CaseState, event: CaseEvent, rule: int) -> None:
    if state.stage == "settled":
        decision = state.decisions[-1]
        got = f"a case that {decision.by} decided on {decision.at:%Y-%m-%d}: {decision.final}"
        raise _broken(rule, event, got, "one that waits. Whoever disagrees can run `fielded review appeal`")
    if event.details["stage"] != state.stage:
        raise _broken(rule, event, f"a case that is {state.stage}", f"one that is {event.details['stage']}")


def _check_may_take(state: CaseState, event: CaseEvent, person: str) -> None:
    if not state.may_take(person):
        got = f"{person}, who has had a part in it"
        raise _broken(7, event, got, "somebody who neither decided, judged, escalated nor appealed it")


def _check_claimed(state: CaseState, event: CaseEvent) -> None:
    _check_waiting(state, event, 2)
    _check_may_take(state, event, event.actor)
    holder = state.holder(event.at)
    if holder not in (None, event.actor) and state.claim is not None:
        got = f"a case that {holder} holds until {state.claim.until:%Y-%m-%d %H:%M} UTC"
        raise _broken(2, event, got, "one that nobody holds. Take another, or have it reassigned")


def _check_held(state: CaseState, event: CaseEvent) -> Claim:
    """Rule 3."""
    holder = state.holder(event.at)
    if state.claim is None or holder != event.actor:
        got = "a case that nobody holds" if holder is None else f"a case that {holder} holds"
        raise _broken(3, event, got, f"one that {event.actor} holds. Run `fielded review claim` first")
    return state.claim


def _check_released(state: CaseState, event: CaseEvent) -> None:
    _check_held(state, event)


def _check_judged(state: CaseState, event: CaseEvent) -> None:
    claim = _check_held(state, event)
    if state.stage == "second":
        raise _broken(4, event, "a case that waits for a second judgement", "one that is to be decided")
    if not claim.judge_first:
        raise _broken(4, event, "a case whose score is shown", "one that is judged before its score is shown")
    if event.actor in state.judgements:
        raise _broken(4, event, f"a second one by {event.actor}, who has seen the score since", "one")
    _flag(event)


def _flag(event: CaseEvent) -> bool:
    flag = event.details["flag"]
    if not isinstance(flag, bool):
        raise TypeError("flag")
    return flag


def _check_decided(state: CaseState, event: CaseEvent) -> None:
    claim, details = _check_held(state, event), event.details
    if state.stage == "second":
        raise _broken(5, event, "a case that waits for a second judgement", "one that is to be decided")
    if claim.judge_first and event.actor not in state.judgements:
        raise _broken(5, event, "no first judgement", "one. Run `fielded review judge`; then the score is shown")
    if details["outcome"] not in ("keep", "override"):
        raise ValueError("outcome")
    _text(event, 5, "reason")
    _text(event, 5, "text")
    expected = final_of(_flag(event) is (details["outcome"] == "keep"))
    if details["final"] != expected:
        raise _broken(5, event, f"{details['outcome']} and {details['final']}", f"{expected} as final")
    if not isinstance(details["second_due"], bool) or (details["second_due"] and state.decisions):
        raise _broken(6, event, "a second judgement of a later decision", "one of the first decision only")


def _check_second(state: CaseState, event: CaseEvent) -> None:
    _check_held(state, event)
    if state.stage != "second":
        raise _broken(6, event, f"a case that is {state.stage}", "one that waits for a second judgement")
    if event.details["agrees"] is not (final_of(_flag(event)) == state.decisions[-1].final):
        raise ValueError("agrees")


def _check_reassigned(state: CaseState, event: CaseEvent) -> None:
    _check_waiting(state, event, 8)
    to = str(event.details["to"])
    _check_may_take(state, event, event.actor)
    _check_may_take(state, event, to)
    _text(event, 8, "reason")
    if state.holder(event.at) == to:
        raise _broken(8, event, f"{to}, who holds it", "somebody else")


def _check_escalated(state: CaseState, event: CaseEvent) -> None:
    _check_held(state, event)
    if state.stage == "second":
        raise _broken(9, event, "a case that waits for a second judgement", "one that is to be decided")
    _text(event, 9, "reason")


def _check_appealed(state: CaseState, event: CaseEvent) -> None:
    if state.standing is None:
        raise _broken(10, event, f"a case that is {state.stage}", "one whose decision stands")
    _text(event, 10, "reason")


def _claim(state: CaseState, event: CaseEvent) -> CaseState:
    return _taken(state, event, event.actor)


def _taken(state: CaseState, event: CaseEvent, by: str) -> CaseState:
    judge_first = event.details["judge_first"]
    if not isinstance(judge_first, bool):
        raise TypeError("judge_first")
    held = state.held if state.stage == "second" else state.held | {by}
    return replace(state, claim=Claim(by=by, until=_until(event), judge_first=judge_first), held=held)


def _release(state: CaseState, _event: CaseEvent) -> CaseState:
    return replace(state, claim=None)


def _judgement(event: CaseEvent) -> Judgement:
    return Judgement(by=event.actor, at=event.at, flag=_flag(event))


def _judge(state: CaseState, event: CaseEvent) -> CaseState:
    kept = MappingProxyType({**state.judgements, event.actor: _judgement(event)})
    return replace(state, judgements=kept)


def _moved(state: CaseState, event: CaseEvent, stage: Stage, **changes: Any) -> CaseState:
    """At another stage, where whoever acted has had his part."""
    return replace(state, stage=stage, since=event.at, claim=None, barred=state.barred | {event.actor}, **changes)


def _decide(state: CaseState, event: CaseEvent) -> CaseState:
    stage: Stage = "second" if event.details["second_due"] else "settled"
    return _moved(state, event, stage, decisions=(*state.decisions, Decision.read(event)))


def _second(state: CaseState, event: CaseEvent) -> CaseState:
    stage: Stage = "settled" if event.details["agrees"] else "escalated"
    return _moved(state, event, stage, second=_judgement(event))


def _reassign(state: CaseState, event: CaseEvent) -> CaseState:
    return _taken(state, event, str(event.details["to"]))


def _escalate(state: CaseState, event: CaseEvent) -> CaseState:
    return _moved(state, event, "escalated")


def _appeal(state: CaseState, event: CaseEvent) -> CaseState:
    return _moved(state, event, "appealed")


_Check = Callable[[CaseState, CaseEvent], object]
_Apply = Callable[[CaseState, CaseEvent], CaseState]
_RULES: Mapping[str, tuple[_Check, _Apply]] = {
    acts.CLAIMED: (_check_claimed, _claim),
    acts.RELEASED: (_check_released, _release),
    acts.JUDGED: (_check_judged, _judge),
    acts.DECIDED: (_check_decided, _decide),
    acts.SECOND_JUDGED: (_check_second, _second),
    acts.REASSIGNED: (_check_reassigned, _reassign),
    acts.ESCALATED: (_check_escalated, _escalate),
    acts.APPEALED: (_check_appealed, _appeal),
}
