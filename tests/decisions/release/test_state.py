"""Whatever people do in whatever order, the rules leave a state that can be released from and rolled back."""

import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.release import acts
from fielded.decisions.release.acts import Pinned, ReleaseEvent
from fielded.decisions.release.state import ReleaseState, after, check, fold, seen
from fielded.words.errors import Refused

START = datetime(2026, 3, 2, tzinfo=UTC)
PEOPLE = ("os:ada", "os:ben", "os:cleo")
VERSIONS = tuple(Pinned(version, sha * 64) for version in "123" for sha in "ab")
FINDING = {"name": "shift/score[overall]", "outcome": "failed", "got": "0.5", "expected": "at most 0.3"}
KINDS = sorted(
    {value for name, value in vars(acts).items() if name.isupper() and isinstance(value, str)}
)  # every kind there is


def event(state: ReleaseState, kind: str, actor: str = PEOPLE[0], **details: Any) -> ReleaseEvent:
    turn = state.count + 1
    return ReleaseEvent(
        turn=turn, event_id=f"e{turn}", kind=kind, actor=actor, at=START + timedelta(hours=turn), details=details
    )


def do(state: ReleaseState, kind: str, actor: str = PEOPLE[0], **details: Any) -> ReleaseState:
    return after(state, event(state, kind, actor, **details))


def comparison(pinned: Pinned, against: Pinned | None, **changes: Any) -> dict[str, Any]:
    return {
        **pinned.as_dict(),
        "against": None if against is None else against.as_dict(),
        "report_sha256": "c" * 64,
        "definition_sha256": "d" * 64,
        "holds": False,
        "findings": [FINDING],
        **changes,
    }


def move(left: Pinned | None, to: Pinned) -> dict[str, Any]:
    return {"from": left and left.as_dict(), "to": to.as_dict(), "reason": "why"}


def adopted() -> ReleaseState:
    """Versions 1 and 2 (bytes a) adopted; 2 is in production."""
    told = {"production": Pinned("2", "a" * 64).as_dict(), "previous": Pinned("1", "a" * 64).as_dict()}
    return do(ReleaseState(), acts.ADOPTED, **told)


NEW = Pinned("3", "a" * 64)
YES = {**NEW.as_dict(), "definition_sha256": "d" * 64, "roles": ["release"]}


def proposed() -> ReleaseState:
    return do(adopted(), acts.PROPOSED, PEOPLE[0], **NEW.as_dict(), why="better")


def details_for(kind: str, state: ReleaseState, chance: random.Random) -> dict[str, Any]:
    """Details that are often right for the state, and often not."""
    known = [pinned for pinned in (state.production, state.previous) if pinned is not None]
    known += [candidate.pinned for candidate in state.candidates.values()]
    one = chance.choice([*known, chance.choice(VERSIONS)])
    other = chance.choice([state.production, state.production, one, None])
    moving = move(other, chance.choice([one, state.previous or one]))
    open_one = state.open.details if state.open is not None and chance.random() < 0.8 else moving
    return {
        **one.as_dict(),
        **comparison(one, other),
        **(open_one if kind in acts_of_moves() else {}),
        "production": one.as_dict(),
        "previous": chance.choice([None, chance.choice(VERSIONS).as_dict()]),
        "why": "why",
        "roles": ["release"],
        "definition_sha256": chance.choice(["d" * 64, "e" * 64]),
        "finding": chance.choice([FINDING["name"], "shift/other"]),
        "reason": chance.choice(["known and explained", " "]),
        "until": str((START + timedelta(days=chance.choice([-3, 400]))).date()),
        "mode": chance.choice(["shadow", "canary", "dance"]),
        "share": chance.choice([0.0, 0.05, 1.0, 3.0]),
        "passed": True,
    }


def acts_of_moves() -> set[str]:
    return {kind for kind in KINDS if kind.startswith(("promot", "roll"))}


def invariants(state: ReleaseState) -> None:
    if state.production is not None:
        assert state.previous is None or state.production.version != state.previous.version
    else:
        assert state.previous is None
    for version, candidate in state.candidates.items():
        assert candidate.pinned.version == version
        people = [(approval.by, approval.definition_sha256) for approval in candidate.approvals]
        assert len(set(people)) == len(people)
        assert candidate.proposed_by not in {approval.by for approval in candidate.approvals}
        for waiver in candidate.waivers:
            assert waiver.by != candidate.proposed_by
            assert waiver.reason.strip()
            assert waiver.until >= waiver.at.date()
    if state.open is not None:
        assert state.open.left == state.production
        assert state.open.to != state.production
    if state.trial is not None:
        assert state.candidates[state.trial.pinned.version].pinned == state.trial.pinned
    assert state.count == len(state.history)


def approvals_are_of_the_bytes_proposed(state: ReleaseState) -> None:
    """From the history alone, not from what the fold made of it."""
    proposal: dict[str, str] = {}
    for past in state.history:
        if past.kind == acts.PROPOSED:
            proposal[past.details["version"]] = past.details["sha256"]
        if past.kind in (acts.APPROVED, acts.WAIVED, acts.COMPARED):
            assert proposal[past.details["version"]] == past.details["sha256"]


def transitions_are_closed_first(state: ReleaseState) -> None:
    open_kind = ""
    for past in state.history:
        if open_kind:
            assert past.kind in {"promotion": ("promoted", "promotion_undone")}.get(
                open_kind, ("rolled_back", "rollback_undone")
            )
            open_kind = ""
        elif past.kind.endswith("_started") and past.kind != acts.TRIAL_STARTED:
            open_kind = past.kind.removesuffix("_started")


def previous_is_what_was_left(state: ReleaseState) -> None:
    """Replay transitions by themselves: each puts what was in production into `previous`."""
    production: Any = None
    previous: Any = None
    for past in state.history:
        if past.kind == acts.ADOPTED:
            production, previous = past.details["production"], past.details["previous"]
        if past.kind in (acts.PROMOTED, acts.ROLLED_BACK):
            assert past.details["from"] == production
            if past.kind == acts.ROLLED_BACK:
                assert past.details["to"] == previous
            production, previous = past.details["to"], production
    assert (production and production["version"]) == (state.production and state.production.version)
    assert (previous and previous["version"]) == (state.previous and state.previous.version)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 150))
def test_any_sequence_that_the_rules_allow_keeps_the_invariants(seed: int, tries: int) -> None:
    chance = random.Random(seed)
    state = chance.choice([ReleaseState, adopted, proposed])()
    for _ in range(tries):
        kind = chance.choice(KINDS)
        attempt = event(state, kind, chance.choice(PEOPLE), **details_for(kind, state, chance))
        try:
            state = after(state, attempt)
        except Refused:
            continue
        invariants(state)
    approvals_are_of_the_bytes_proposed(state)
    transitions_are_closed_first(state)
    previous_is_what_was_left(state)
    assert fold(state.history) == state


def test_the_walk_reaches_every_kind_of_event() -> None:
    """Else the test above would say nothing of those that it never sees."""
    reached: set[str] = set()
    for seed in range(150):
        chance = random.Random(seed)
        state = chance.choice([ReleaseState, adopted, proposed])()
        for _ in range(150):
            kind = chance.choice(KINDS)
            attempt = event(state, kind, chance.choice(PEOPLE), **details_for(kind, state, chance))
            try:
                state = after(state, attempt)
            except Refused:
                continue
        reached |= {past.kind for past in state.history}
    assert reached == set(KINDS)


def refused(state: ReleaseState, rule: int, kind: str, actor: str = PEOPLE[0], **details: Any) -> str:
    with pytest.raises(Refused, match=rf"rule {rule} of release state") as caught:
        check(state, event(state, kind, actor, **details))
    return str(caught.value)


def test_rule_1_turns_have_no_gap_and_kinds_are_known() -> None:
    late = replace(event(ReleaseState(), acts.DRILLED), turn=2)
    with pytest.raises(Refused, match=r"rule 1 .*got turn 2, expected turn 1"):
        fold([late])
    refused(ReleaseState(), 1, "made_up")
    refused(ReleaseState(), 1, acts.PROPOSED, version="1")


def test_rule_2_an_open_transition_is_closed_before_anything_else() -> None:
    state = do(adopted(), acts.ROLLBACK_STARTED, **move(Pinned("2", "a" * 64), Pinned("1", "a" * 64)))
    for kind in KINDS:
        if kind not in (acts.ROLLED_BACK, acts.ROLLBACK_UNDONE):
            assert "fielded release reconcile" in refused(state, 2, kind, **NEW.as_dict())
    refused(state, 2, acts.ROLLED_BACK, **move(Pinned("2", "a" * 64), NEW))
    done = do(state, acts.ROLLED_BACK, **state.open.details)
    assert (done.production, done.previous) == (Pinned("1", "a" * 64), Pinned("2", "a" * 64))
    undone = do(state, acts.ROLLBACK_UNDONE, **state.open.details)
    assert (undone.production, undone.previous, undone.open) == (state.production, state.previous, None)
    refused(undone, 2, acts.ROLLED_BACK, **state.open.details)


def test_rule_3_one_adopts_once_and_two_versions() -> None:
    told = {"production": NEW.as_dict(), "previous": None}
    refused(adopted(), 3, acts.ADOPTED, **told)
    refused(ReleaseState(), 3, acts.ADOPTED, production=NEW.as_dict(), previous=NEW.as_dict())
    assert do(ReleaseState(), acts.ADOPTED, **told).production == NEW


def test_rule_4_what_is_in_production_or_proposed_is_not_proposed() -> None:
    for sha in "ab":
        refused(adopted(), 4, acts.PROPOSED, **Pinned("2", sha * 64).as_dict())
    assert "os:ada proposed" in refused(proposed(), 4, acts.PROPOSED, PEOPLE[1], **NEW.as_dict())


def test_other_bytes_of_a_version_are_another_proposal() -> None:
    state = do(proposed(), acts.APPROVED, PEOPLE[1], **YES)
    state = do(state, acts.PROPOSED, PEOPLE[2], version="3", sha256="b" * 64, why="mended")
    assert state.candidates["3"].approvals == ()
    refused(state, 5, acts.APPROVED, PEOPLE[1], **NEW.as_dict())


def test_rule_5_all_is_about_what_was_proposed() -> None:
    for kind in (acts.COMPARED, acts.APPROVED, acts.WAIVED, acts.WITHDRAWN, acts.TRIAL_STARTED):
        assert "fielded release propose 1" in refused(proposed(), 5, kind, version="1", sha256="a" * 64)
        assert "as proposed" in refused(proposed(), 5, kind, version="3", sha256="b" * 64)


def test_rule_6_the_proposer_does_not_approve_and_nobody_does_twice() -> None:
    assert "who proposed it" in refused(proposed(), 6, acts.APPROVED, PEOPLE[0], **NEW.as_dict())
    state = do(proposed(), acts.APPROVED, PEOPLE[1], **YES)
    assert "who has approved it" in refused(state, 6, acts.APPROVED, PEOPLE[1], **YES)
    assert state.candidates["3"].approvals[0].roles == ("release",)
    state = do(state, acts.APPROVED, PEOPLE[1], **{**YES, "definition_sha256": "e" * 64})
    assert [one.definition_sha256[0] for one in state.candidates["3"].approvals] == ["d", "e"]


def test_rule_7_a_waiver_is_another_persons_names_a_finding_has_a_reason_and_an_end() -> None:
    state = do(proposed(), acts.COMPARED, **comparison(NEW, Pinned("2", "a" * 64)))
    told = {
        **NEW.as_dict(),
        "finding": FINDING["name"],
        "reason": "a refit changed that class",
        "until": "2026-04-01",
    }
    refused(proposed(), 7, acts.WAIVED, PEOPLE[1], **told)
    refused(state, 7, acts.WAIVED, PEOPLE[0], **told)
    refused(state, 7, acts.WAIVED, PEOPLE[1], **{**told, "finding": "shift/made_up"})
    refused(state, 7, acts.WAIVED, PEOPLE[1], **{**told, "reason": ""})
    refused(state, 7, acts.WAIVED, PEOPLE[1], **{**told, "until": "2026-03-01"})
    state = do(state, acts.WAIVED, PEOPLE[1], **told)
    assert state.candidates["3"].waived(START) == {FINDING["name"]}
    assert state.candidates["3"].waived(datetime(2026, 4, 1, 23, 59, tzinfo=UTC)) == {FINDING["name"]}
    assert state.candidates["3"].waived(datetime(2026, 4, 2, tzinfo=UTC)) == frozenset()


@pytest.mark.parametrize(
    ("outcome", "kept"), [("failed", 0), ("not enough evidence", 0), ("waived", 1), ("passed", 1)]
)
def test_a_waiver_does_not_outlive_a_comparison_that_it_does_not_cover(outcome: str, kept: int) -> None:
    told = {**NEW.as_dict(), "finding": FINDING["name"], "reason": "a refit", "until": "2026-04-01"}
    state = do(proposed(), acts.COMPARED, **comparison(NEW, Pinned("2", "a" * 64)))
    state = do(state, acts.WAIVED, PEOPLE[1], **told)
    later = comparison(NEW, Pinned("2", "a" * 64), findings=[{**FINDING, "outcome": outcome}])
    assert len(do(state, acts.COMPARED, **later).candidates["3"].waivers) == kept


def test_rule_8_a_promotion_starts_from_production_and_needs_an_approved_proposal() -> None:
    production = Pinned("2", "a" * 64)
    assert "no approval" in refused(proposed(), 8, acts.PROMOTION_STARTED, **move(production, NEW))
    state = do(proposed(), acts.APPROVED, PEOPLE[1], **YES)
    refused(state, 8, acts.PROMOTION_STARTED, **move(None, NEW))
    refused(state, 8, acts.PROMOTION_STARTED, **move(Pinned("1", "a" * 64), NEW))
    state = do(state, acts.PROMOTION_STARTED, **move(production, NEW))
    state = do(state, acts.PROMOTED, **move(production, NEW))
    assert (state.production, state.previous, dict(state.candidates)) == (NEW, production, {})


def test_rule_9_a_rollback_goes_to_what_was_there_before() -> None:
    production, previous = Pinned("2", "a" * 64), Pinned("1", "a" * 64)
    refused(ReleaseState(), 9, acts.ROLLBACK_STARTED, **move(production, previous))
    refused(adopted(), 9, acts.ROLLBACK_STARTED, **move(production, NEW))
    refused(adopted(), 9, acts.ROLLBACK_STARTED, **move(previous, production))


def test_rule_10_one_trial_runs_and_ends_with_its_version_or_with_production() -> None:
    trial = {**NEW.as_dict(), "mode": "canary", "share": 0.05}
    state = do(proposed(), acts.TRIAL_STARTED, **trial)
    refused(state, 10, acts.TRIAL_STARTED, **trial)
    refused(proposed(), 10, acts.TRIAL_ENDED, **NEW.as_dict())
    refused(proposed(), 10, acts.TRIAL_STARTED, **{**trial, "mode": "dance"})
    refused(proposed(), 10, acts.TRIAL_STARTED, **{**trial, "share": 2})
    assert do(state, acts.TRIAL_ENDED, **NEW.as_dict()).trial is None
    assert do(state, acts.WITHDRAWN, **NEW.as_dict()).trial is None
    assert do(state, acts.PROPOSED, version="3", sha256="b" * 64, why="mended").trial is None
    moving = move(Pinned("2", "a" * 64), Pinned("1", "a" * 64))
    back = do(do(state, acts.ROLLBACK_STARTED, **moving), acts.ROLLED_BACK, **moving)
    assert back.trial is None


def test_rule_11_observations_and_drills_move_nothing() -> None:
    state = adopted()
    for kind in (*acts.OBSERVATIONS, acts.DRILLED):
        told = do(state, kind, alias="production", got="1", expected="2", version="2", passed=True)
        assert (told.production, told.previous, told.open) == (state.production, state.previous, None)
    assert do(state, acts.DRILLED, passed=True).drill.passed


def test_what_was_observed_counts_as_seen_until_production_changes() -> None:
    told = {"alias": "production", "got": "1", "expected": "2"}
    state = do(adopted(), acts.ALIAS_MOVED, **told, turn=2)
    assert seen(state, acts.ALIAS_MOVED, told)
    assert not seen(state, acts.ALIAS_MOVED, {**told, "got": "7"})
    assert not seen(do(state, acts.ALIASES_SET, aliases={}), acts.ALIAS_MOVED, told)


def test_a_history_fifty_times_as_long_costs_about_fifty_times_as_much() -> None:
    def seconds(count: int) -> float:
        state, events = adopted(), list(adopted().history)
        told = {"alias": "production", "got": "1", "expected": "2"}
        for turn in range(state.count + 1, count + 1):
            kind = acts.ALIASES_SET if turn % 5 == 0 else acts.ALIAS_MOVED
            events.append(replace(event(state, kind, **told), turn=turn))

        def once() -> float:
            begun = time.process_time()
            assert fold(events).count == count
            return time.process_time() - begun

        return min(once() for _ in range(5))

    assert seconds(5000) < 4 * 50 * max(seconds(100), 1e-4)


def test_aliases_that_were_not_moved_are_due_until_they_are_set() -> None:
    moving = move(Pinned("2", "a" * 64), Pinned("1", "a" * 64))
    state = do(adopted(), acts.ROLLBACK_STARTED, **moving)
    state = do(state, acts.ROLLED_BACK, **moving, alias="not moved: registry unreachable")
    assert state.aliases_due
    assert not do(state, acts.ALIASES_SET, aliases={}).aliases_due
