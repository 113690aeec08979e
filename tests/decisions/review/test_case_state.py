"""Whatever people try in whatever order, nobody decides a case twice or his own appeal."""

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.review import acts
from fielded.decisions.review.acts import CaseEvent, final_of
from fielded.decisions.review.state import STAGES, CaseState, after, fold, standing_of
from fielded.words.errors import Refused

START = datetime(2026, 3, 2, tzinfo=UTC)
PEOPLE = ("os:ada", "os:ben", "os:cleo", "os:dan", "os:eve")
HOUR = timedelta(hours=1)


def event(state: CaseState, kind: str, actor: str, at: datetime = START, **details: Any) -> CaseEvent:
    turn = state.count + 1
    return CaseEvent(turn=turn, event_id=f"e{turn}", kind=kind, actor=actor, at=at, details=details)


def do(state: CaseState, kind: str, actor: str, hours: float = 0.0, **details: Any) -> CaseState:
    return after(state, event(state, kind, actor, START + hours * HOUR, **details))


def taking(state: CaseState, *, judge_first: bool = False, hours: float = 8.0) -> dict[str, Any]:
    return {"stage": state.stage, "until": (START + hours * HOUR).isoformat(), "judge_first": judge_first}


def verdict(*, flag: bool = True, keep: bool = True, second: bool = False) -> dict[str, Any]:
    outcome = "keep" if keep else "override"
    told = {"reason": "knows_more", "text": "why", "second_due": second, "flag": flag}
    return {**told, "outcome": outcome, "final": final_of(flag is keep)}


def claimed(state: CaseState, by: str, *, judge_first: bool = False, hours: float = 8.0) -> CaseState:
    return do(state, acts.CLAIMED, by, **taking(state, judge_first=judge_first, hours=hours))


def decided(*, second: bool = False) -> CaseState:
    return do(claimed(CaseState(), PEOPLE[0]), acts.DECIDED, PEOPLE[0], **verdict(second=second))


def details_for(kind: str, state: CaseState, at: datetime, chance: random.Random) -> dict[str, Any]:
    """Details that are often right for the state, and often not."""
    flag, keep = chance.random() < 0.5, chance.random() < 0.5
    stage = state.stage if chance.random() < 0.9 else chance.choice(STAGES)
    final = final_of(flag is keep) if chance.random() < 0.9 else chance.choice(["flagged", "clear", "review"])
    agrees = bool(state.decisions) and final_of(flag) == state.decisions[-1].final
    return {
        "stage": stage,
        "until": (at + chance.choice([-1, 2, 5]) * HOUR).isoformat(),
        "judge_first": chance.random() < 0.3,
        "flag": flag,
        "outcome": "keep" if keep else "override",
        "final": final,
        "reason": chance.choice(["knows_more", "because", " "]) if kind == acts.DECIDED else "because",
        "text": chance.choice(["why", "why", ""]),
        "second_due": chance.random() < 0.4,
        "agrees": agrees if chance.random() < 0.9 else not agrees,
        "to": chance.choice(PEOPLE),
    }


def invariants(state: CaseState) -> None:
    """From the history alone, not from what the fold made of it."""
    history = state.history
    deciders = [past.actor for past in history if past.kind == acts.DECIDED]
    assert len(deciders) == len(set(deciders)), "somebody decided twice"
    holder, until = "", START - HOUR
    judged: set[str] = set()
    must_judge = False
    out: set[str] = set()  # who may decide no more
    had: set[str] = set()
    for past in history:
        live = holder if past.at < until else ""
        if past.kind in (acts.CLAIMED, acts.REASSIGNED):
            to = past.details.get("to", past.actor) if past.kind == acts.REASSIGNED else past.actor
            assert past.kind == acts.REASSIGNED or live in ("", past.actor), "a claim was taken from its holder"
            assert to not in out
            assert past.actor not in out
            holder, until = to, datetime.fromisoformat(past.details["until"])
            must_judge = past.details["judge_first"]
            if past.details["stage"] == "second":
                assert to not in had, "a second person who may have seen the score"
            else:
                had.add(to)
        elif past.kind == acts.APPEALED:
            out.add(past.actor)
            holder = ""
        else:
            assert live == past.actor, f"{past.kind} by somebody who did not hold it"
            if past.kind == acts.JUDGED:
                assert past.actor not in judged
                judged.add(past.actor)
                continue
            if past.kind == acts.DECIDED:
                assert past.actor in judged or not must_judge
                assert past.details["text"].strip()
                assert past.actor not in out
            if past.kind in (acts.DECIDED, acts.SECOND_JUDGED, acts.ESCALATED):
                assert past.actor not in out
                out.add(past.actor)
            holder = ""


def walk(chance: random.Random) -> Iterator[CaseState]:
    """The states that random people bring a case to, where the rules let them."""
    state, at = CaseState(), START
    for _ in range(60):
        at += chance.choice([0.2, 0.2, 3]) * HOUR
        likely = {"second": [acts.SECOND_JUDGED, acts.CLAIMED], "settled": [acts.APPEALED]}.get(
            state.stage, [acts.CLAIMED, acts.DECIDED, acts.JUDGED]
        )
        kind = chance.choice(likely if chance.random() < 0.7 else [*sorted(acts.KINDS), "nonsense"])
        holder = state.holder(at)
        actor = holder if holder is not None and chance.random() < 0.6 else chance.choice(PEOPLE)
        with suppress(Refused):
            state = after(state, event(state, kind, actor, at, **details_for(kind, state, at, chance)))
        yield state


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False))
def test_no_sequence_that_the_rules_allow_breaks_what_follows_from_them(chance: random.Random) -> None:
    for state in walk(chance):
        invariants(state)
        settling = [past for past in state.history if past.kind in acts.SETTLING]
        assert standing_of(settling) == state.standing, "gold and queue tell the same"
    assert fold(state.history) == state
    assert state.count == len(state.history)


def test_random_people_get_everywhere() -> None:
    """Or the test above would say little."""
    states = [state for seed in range(40) for state in walk(random.Random(seed))]
    assert {state.stage for state in states} == set(STAGES)
    assert {past.kind for state in states for past in state.history} == acts.KINDS
    assert max(len(state.decisions) for state in states) >= 2


@pytest.mark.parametrize(
    ("rule", "state", "kind", "actor", "details"),
    [
        (1, CaseState(), "case_closed", PEOPLE[0], {}),
        (1, CaseState(), acts.CLAIMED, PEOPLE[0], {"stage": "open"}),
        (1, CaseState(), acts.CLAIMED, PEOPLE[0], taking(CaseState(), hours=0)),
        (2, claimed(CaseState(), PEOPLE[0]), acts.CLAIMED, PEOPLE[1], taking(CaseState())),
        (2, decided(), acts.CLAIMED, PEOPLE[1], taking(CaseState())),
        (2, decided(second=True), acts.CLAIMED, PEOPLE[1], taking(CaseState())),
        (3, CaseState(), acts.RELEASED, PEOPLE[0], {}),
        (3, claimed(CaseState(), PEOPLE[0]), acts.DECIDED, PEOPLE[1], verdict()),
        (4, claimed(CaseState(), PEOPLE[0]), acts.JUDGED, PEOPLE[0], {"flag": True}),
        (5, claimed(CaseState(), PEOPLE[0], judge_first=True), acts.DECIDED, PEOPLE[0], verdict()),
        (5, claimed(CaseState(), PEOPLE[0]), acts.DECIDED, PEOPLE[0], {**verdict(), "final": "clear"}),
        (5, claimed(CaseState(), PEOPLE[0]), acts.DECIDED, PEOPLE[0], {**verdict(), "text": " "}),
        (6, claimed(CaseState(), PEOPLE[0]), acts.SECOND_JUDGED, PEOPLE[0], {"flag": True, "agrees": True}),
        (7, decided(second=True), acts.CLAIMED, PEOPLE[0], taking(decided(second=True))),
        (8, CaseState(), acts.REASSIGNED, PEOPLE[0], {**taking(CaseState()), "to": PEOPLE[1], "reason": ""}),
        (9, claimed(CaseState(), PEOPLE[0]), acts.ESCALATED, PEOPLE[0], {"reason": " "}),
        (10, CaseState(), acts.APPEALED, PEOPLE[0], {"reason": "no"}),
    ],
)
def test_what_must_not_follow_is_refused_by_its_rule(
    rule: int, state: CaseState, kind: str, actor: str, details: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match=rf"rule {rule} of a case"):
        do(state, kind, actor, **details)


def test_a_gap_or_a_repeat_is_refused() -> None:
    state = claimed(CaseState(), PEOPLE[0])
    for turn in (1, 3):
        wrong = CaseEvent(turn=turn, event_id="e", kind=acts.RELEASED, actor=PEOPLE[0], at=START, details={})
        with pytest.raises(Refused, match="rule 1 of a case"):
            after(state, wrong)


def test_a_claim_ends_at_its_time_and_is_prolonged_by_its_holder() -> None:
    state = claimed(CaseState(), PEOPLE[0], hours=8)
    assert state.holder(START + 7.99 * HOUR) == PEOPLE[0]
    assert state.holder(START + 8 * HOUR) is None
    state = claimed(state, PEOPLE[0], hours=12)
    assert state.holder(START + 11 * HOUR) == PEOPLE[0]


def test_a_third_person_decides_where_the_second_differs() -> None:
    state = decided(second=True)
    assert state.standing is not None
    state = claimed(state, PEOPLE[1])
    state = do(state, acts.SECOND_JUDGED, PEOPLE[1], flag=False, agrees=False)
    assert (state.stage, state.standing) == ("escalated", None)
    state = do(claimed(state, PEOPLE[2]), acts.DECIDED, PEOPLE[2], **verdict(keep=False))
    assert state.standing is not None
    assert (state.standing.by, state.standing.final, state.stage) == (PEOPLE[2], "clear", "settled")
    again = claimed(do(state, acts.APPEALED, PEOPLE[3], reason="no"), PEOPLE[4])
    with pytest.raises(Refused, match="rule 6"):
        do(again, acts.DECIDED, PEOPLE[4], **verdict(second=True))
