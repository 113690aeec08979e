"""Release state: a fold over the release events of one model. Nothing that matters lives elsewhere.

What may follow what:

1. turns are 1, 2, 3, ... without a gap or a repeat, and every kind is known;
2. while a transition is open, only its own completion or undoing follows, and it names the same versions;
3. what was released before fielded is adopted once, before anything was released, with a previous version that
   is another than production;
4. a version that is in production is not proposed, whatever its bytes are now: a registry's version is one model.
   The same bytes of a version are proposed once until they are withdrawn or promoted; other bytes of it replace
   the proposal, with all that was said about it;
5. comparisons, approvals, waivers, withdrawals and trials are about a proposed version and the bytes proposed;
6. an approval is not the proposer's, and each person's counts once under one definition (AC-5: separation of
   duties);
7. a waiver is not the proposer's, names a finding that stands in the way in the last comparison, gives a reason
   and ends on a day that is not over;
8. a promotion starts from what is in production, goes to a proposed version of another number, and somebody has
   approved that version;
9. a rollback starts from what is in production and goes to what was there before it;
10. one trial runs at a time; it ends with a promotion, a rollback or the withdrawal of its version at the latest;
11. observations and drills change nothing of what is in production.

What follows from them, and is tested for every sequence that they allow: `production` and `previous` are never
one version; approvals are of the bytes proposed, by different people, never the proposer's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from types import MappingProxyType
from typing import Any

from fielded.decisions.release import acts
from fielded.decisions.release.acts import (
    Candidate,
    Comparison,
    Drill,
    Intent,
    Pinned,
    ReleaseApproval,
    ReleaseEvent,
    Trial,
    Waiver,
    pinned_or_none,
)
from fielded.words.errors import Refused

_CLOSED_BY = {
    acts.PROMOTION_STARTED: (acts.PROMOTED, acts.PROMOTION_UNDONE),
    acts.ROLLBACK_STARTED: (acts.ROLLED_BACK, acts.ROLLBACK_UNDONE),
}
_CLOSING = frozenset(kind for pair in _CLOSED_BY.values() for kind in pair)
_COMPLETING = frozenset({acts.PROMOTED, acts.ROLLED_BACK})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseState:
    """Where the releases of one model stand.

    Attributes:
        count: events folded; the turn of the next is one more.
        production: what is served; None where nothing was adopted or promoted.
        previous: what a rollback goes to.
        candidates: version -> proposal.
        open: a transition that was begun and not ended.
        trial: running on live requests.
        drill: the last.
        aliases_due: the registry's aliases could not be moved and are to follow.
        observed: observations since production last changed or the aliases were set.
        history: all events, oldest first.
    """

    count: int = 0
    production: Pinned | None = None
    previous: Pinned | None = None
    candidates: Mapping[str, Candidate] = field(default_factory=lambda: MappingProxyType({}))
    open: Intent | None = None
    trial: Trial | None = None
    drill: Drill | None = None
    aliases_due: bool = False
    observed: tuple[ReleaseEvent, ...] = ()
    history: tuple[ReleaseEvent, ...] = ()


def fold(events: Sequence[ReleaseEvent]) -> ReleaseState:
    """The state that events, in their order, lead to.

    Raises:
        Refused: they break a rule; names it. Such a ledger was not written by fielded, or by a newer one.
    """
    state = ReleaseState()
    for event in events:
        state = _moved(state, event)
    return replace(state, history=tuple(events))  # once: a longer one for each event would cost their square


def after(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    """The state once `event` has happened.

    Raises:
        Refused: it must not follow.
    """
    return replace(_moved(state, event), history=(*state.history, event))


def _moved(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    """The state with `event`, but for its history."""
    check(state, event)
    with _readable(event):
        return replace(_APPLIED[event.kind](state, event), count=event.turn)


def check(state: ReleaseState, event: ReleaseEvent) -> None:
    """Whether an event may follow.

    Raises:
        Refused: it must not; the message names the rule.
    """
    if event.turn != state.count + 1:
        raise _broken(1, event, f"turn {event.turn}", f"turn {state.count + 1}. Run `fielded audit verify`")
    if event.kind not in _APPLIED:
        raise _broken(1, event, "an unknown kind of event", "one that this release of fielded knows")
    if state.open is not None and event.kind not in _CLOSED_BY[state.open.kind]:
        got = f"an open {state.open.kind} to {state.open.to} by {state.open.by}"
        raise _broken(2, event, got, "none. Run `fielded release reconcile`")
    with _readable(event):
        if event.kind in _CLOSING:
            _check_closing(state, event)
        _CHECKED.get(event.kind, _nothing)(state, event)


@contextmanager
def _readable(event: ReleaseEvent) -> Iterator[None]:
    """What a forger or a newer fielded wrote is refused, and never a fault of whoever reads it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(1, event, f"details without a readable {error}", "the details of this kind") from None


def _broken(rule: int, event: ReleaseEvent, got: str, expected: str) -> Refused:
    return Refused(f"{event.kind} (rule {rule} of release state): got {got}, expected {expected}")


def _nothing(_state: ReleaseState, _event: ReleaseEvent) -> None:
    """No rule of its own."""


def _candidate(state: ReleaseState, event: ReleaseEvent) -> Candidate:
    """Rule 5: the proposal that an event is about."""
    pinned = Pinned.read(event.details)
    candidate = state.candidates.get(pinned.version)
    if candidate is None:
        step = f"Run `fielded release propose {pinned.version} -m WHY`"
        raise _broken(5, event, f"version {pinned.version}, which nobody proposed", f"a proposed version. {step}")
    if candidate.pinned != pinned:
        step = "If the change is meant, propose the version again"
        raise _broken(5, event, f"{pinned}", f"{candidate.pinned} as proposed. {step}")
    return candidate


def _check_closing(state: ReleaseState, event: ReleaseEvent) -> None:
    if state.open is None:
        raise _broken(2, event, "no open transition", "the one that this ends")
    named = (pinned_or_none(event.details["from"]), Pinned.read(event.details["to"]))
    if named != (state.open.left, state.open.to):
        raise _broken(2, event, f"{named[0]} to {named[1]}", f"{state.open.left} to {state.open.to}")


def _check_adopted(state: ReleaseState, event: ReleaseEvent) -> None:
    if state.production is not None:
        raise _broken(3, event, f"{state.production} in production already", "nothing released yet")
    production, previous = Pinned.read(event.details["production"]), pinned_or_none(event.details["previous"])
    if previous is not None and previous.version == production.version:
        raise _broken(3, event, f"{previous} as production and as previous", "two versions, or no previous")


def _check_proposed(state: ReleaseState, event: ReleaseEvent) -> None:
    pinned = Pinned.read(event.details)
    if state.production is not None and pinned.version == state.production.version:
        raise _broken(4, event, f"{pinned} while {state.production} is in production", "another version")
    held = state.candidates.get(pinned.version)
    if held is not None and held.pinned == pinned:
        got = f"{pinned}, which {held.proposed_by} proposed on {held.proposed_at:%Y-%m-%d}"
        raise _broken(4, event, got, "a version that is not proposed yet")


def _check_compared(state: ReleaseState, event: ReleaseEvent) -> None:
    _candidate(state, event)
    Comparison.read(event)


def _check_approved(state: ReleaseState, event: ReleaseEvent) -> None:
    candidate = _candidate(state, event)
    if event.actor == candidate.proposed_by:
        raise _broken(6, event, f"{event.actor}, who proposed it", "somebody else")
    definition = str(event.details["definition_sha256"])
    if any((one.by, one.definition_sha256) == (event.actor, definition) for one in candidate.approvals):
        raise _broken(6, event, f"{event.actor}, who has approved it", "another person")


def _check_waived(state: ReleaseState, event: ReleaseEvent) -> None:
    candidate = _candidate(state, event)
    if event.actor == candidate.proposed_by:
        raise _broken(7, event, f"{event.actor}, who proposed it", "somebody else")
    finding, until = event.details["finding"], date.fromisoformat(event.details["until"])
    in_the_way = (
        [item.name for item in candidate.comparison.findings if item.outcome != "passed"]
        if candidate.comparison
        else []
    )
    if finding not in in_the_way:
        known = ", ".join(in_the_way) or "none: compare it first, or there is nothing to waive"
        raise _broken(7, event, f"finding {finding}", f"one that stands in the way: {known}")
    if not str(event.details["reason"]).strip():
        raise _broken(7, event, "no reason", "why this may be set aside")
    if until < event.at.date():
        raise _broken(7, event, f"an end on {until}", "a day that is not over")


def _check_proposal_named(state: ReleaseState, event: ReleaseEvent) -> None:
    _candidate(state, event)


def _check_promotion(state: ReleaseState, event: ReleaseEvent) -> None:
    left, to = pinned_or_none(event.details["from"]), Pinned.read(event.details["to"])
    candidate = _candidate(state, replace(event, details=to.as_dict()))
    if left != state.production or (left is not None and to.version == left.version):
        raise _broken(8, event, f"{left} to {to}", f"from {state.production} to another version")
    if not candidate.approvals:
        raise _broken(8, event, "no approval", "at least one")


def _check_rollback(state: ReleaseState, event: ReleaseEvent) -> None:
    left, to = pinned_or_none(event.details["from"]), Pinned.read(event.details["to"])
    if state.production is None or state.previous is None:
        raise _broken(9, event, "no previous version", "one to go back to")
    if (left, to) != (state.production, state.previous):
        raise _broken(9, event, f"{left} to {to}", f"{state.production} to {state.previous}")


def _check_trial(state: ReleaseState, event: ReleaseEvent) -> None:
    _candidate(state, event)
    if state.trial is not None:
        got = f"a {state.trial.mode} of {state.trial.pinned} that runs"
        raise _broken(10, event, got, "none. Run `fielded release trial-end -m WHY`")
    if event.details["mode"] not in ("shadow", "canary"):
        raise _broken(10, event, f"mode {event.details['mode']}", "shadow or canary")
    if not 0 <= float(event.details.get("share", 0.0)) <= 1:
        raise _broken(10, event, f"share {event.details['share']}", "0 to 1")


def _check_trial_end(state: ReleaseState, event: ReleaseEvent) -> None:
    if state.trial is None or state.trial.pinned != Pinned.read(event.details):
        raise _broken(10, event, "no such trial", "the one that runs")


def _adopt(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    return replace(
        state,
        production=Pinned.read(event.details["production"]),
        previous=pinned_or_none(event.details["previous"]),
    )


def _propose(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    made = Candidate(
        pinned=Pinned.read(event.details),
        proposed_by=event.actor,
        proposed_at=event.at,
        why=str(event.details.get("why", "")),
    )
    trial = state.trial
    if trial is not None and trial.pinned.version == made.pinned.version:
        trial = None  # of bytes that are proposed no more
    return replace(_with(state, made), trial=trial)


def _with(state: ReleaseState, candidate: Candidate) -> ReleaseState:
    kept = {**state.candidates, candidate.pinned.version: candidate}
    return replace(state, candidates=MappingProxyType(kept))


def _without(state: ReleaseState, version: str) -> Mapping[str, Candidate]:
    return MappingProxyType({name: held for name, held in state.candidates.items() if name != version})


def _compare(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    candidate, comparison = _candidate(state, event), Comparison.read(event)
    # What the comparison found in the way again, it found not covered by what somebody signed before.
    open_again = {item.name for item in comparison.findings if item.outcome not in ("passed", "waived")}
    waivers = tuple(waiver for waiver in candidate.waivers if waiver.finding not in open_again)
    return _with(state, replace(candidate, comparison=comparison, waivers=waivers))


def _approve(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    candidate = _candidate(state, event)
    roles = tuple(str(role) for role in event.details.get("roles", ()))
    made = ReleaseApproval(
        by=event.actor, at=event.at, definition_sha256=str(event.details["definition_sha256"]), roles=roles
    )
    return _with(state, replace(candidate, approvals=(*candidate.approvals, made)))


def _waive(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    candidate = _candidate(state, event)
    made = Waiver(
        finding=str(event.details["finding"]),
        by=event.actor,
        at=event.at,
        reason=str(event.details["reason"]),
        until=date.fromisoformat(event.details["until"]),
    )
    return _with(state, replace(candidate, waivers=(*candidate.waivers, made)))


def _withdraw(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    version = Pinned.read(event.details).version
    trial = state.trial
    if trial is not None and trial.pinned.version == version:
        trial = None
    return replace(state, candidates=_without(state, version), trial=trial)


def _begin(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    intent = Intent(
        kind=event.kind,
        left=pinned_or_none(event.details["from"]),
        to=Pinned.read(event.details["to"]),
        by=event.actor,
        at=event.at,
        reason=str(event.details.get("reason", "")),
    )
    return replace(state, open=intent)


def _complete(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    to = Pinned.read(event.details["to"])
    return replace(
        state,
        production=to,
        previous=pinned_or_none(event.details["from"]),
        candidates=_without(state, to.version) if event.kind == acts.PROMOTED else state.candidates,
        open=None,
        trial=None,
        aliases_due="alias" in event.details,
        observed=(),
    )


def _undo(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    return replace(state, open=None, aliases_due=state.aliases_due or "alias" in event.details)


def _aliases_set(state: ReleaseState, _event: ReleaseEvent) -> ReleaseState:
    return replace(state, aliases_due=False, observed=())


def _drill(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    passed = event.details.get("passed") is True
    return replace(state, drill=Drill(at=event.at, by=event.actor, passed=passed, details=event.details))


def _try(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    made = Trial(
        pinned=Pinned.read(event.details),
        mode=event.details["mode"],
        share=float(event.details.get("share", 0.0)),
        by=event.actor,
        at=event.at,
        details=event.details,
    )
    return replace(state, trial=made)


def _end_trial(state: ReleaseState, _event: ReleaseEvent) -> ReleaseState:
    return replace(state, trial=None)


def _observe(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    return replace(state, observed=(*state.observed, event))


def seen(state: ReleaseState, kind: str, details: Mapping[str, Any]) -> bool:
    """Whether the same was observed since production last changed: it is on record once, not each second."""
    told = {name: value for name, value in details.items() if name != "turn"}
    return any(
        event.kind == kind and told == {name: value for name, value in event.details.items() if name != "turn"}
        for event in state.observed
    )


_CHECKED: Mapping[str, Callable[[ReleaseState, ReleaseEvent], None]] = {
    acts.ADOPTED: _check_adopted,
    acts.PROPOSED: _check_proposed,
    acts.COMPARED: _check_compared,
    acts.APPROVED: _check_approved,
    acts.WAIVED: _check_waived,
    acts.WITHDRAWN: _check_proposal_named,
    acts.PROMOTION_STARTED: _check_promotion,
    acts.ROLLBACK_STARTED: _check_rollback,
    acts.TRIAL_STARTED: _check_trial,
    acts.TRIAL_ENDED: _check_trial_end,
}

_APPLIED: Mapping[str, Callable[[ReleaseState, ReleaseEvent], ReleaseState]] = {
    acts.ADOPTED: _adopt,
    acts.PROPOSED: _propose,
    acts.COMPARED: _compare,
    acts.APPROVED: _approve,
    acts.WAIVED: _waive,
    acts.WITHDRAWN: _withdraw,
    acts.PROMOTION_STARTED: _begin,
    acts.ROLLBACK_STARTED: _begin,
    **dict.fromkeys(_COMPLETING, _complete),
    acts.PROMOTION_UNDONE: _undo,
    acts.ROLLBACK_UNDONE: _undo,
    acts.ALIASES_SET: _aliases_set,
    acts.DRILLED: _drill,
    acts.TRIAL_STARTED: _try,
    acts.TRIAL_ENDED: _end_trial,
    **dict.fromkeys(acts.OBSERVATIONS, _observe),
}
