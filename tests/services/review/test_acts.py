"""What people do about cases, on a real ledger."""

from dataclasses import replace
from datetime import timedelta

import pytest

from conftest import DAY, World
from fielded.services.review.act import (
    appeal,
    claim,
    decide,
    escalate,
    judge,
    judge_second,
    reassign,
    release,
)
from fielded.services.review.cases import list_cases, show_case
from fielded.services.score_day import score_day
from fielded.words.errors import Refused, WrongUse
from reviews import ADA, BEN, CLEO, DAN, START, at, defined, gold_by_id, waiting

TEXT = "the yard has the part"


def scored(world: World, **settings: object) -> None:
    world.define(defined(**settings))
    score_day(*world.scorers(), DAY)


def test_the_queue_is_the_rows_for_review_and_a_decision_is_shown_to_analysts(world: World) -> None:
    scored(world)
    gold = gold_by_id(world)
    routed = {key for key, row in gold.items() if row["decision"] == "review"}
    assert len(routed) > 20
    assert {row["final_decision"] for key, row in gold.items() if key in routed} == {"review"}
    assert all(row["final_decision"] == row["decision"] and row["decided_by"] is None for row in gold.values())
    cases = waiting(world)
    assert {case.request_id for case in cases} == routed
    assert [case.due_at for case in cases] == sorted(case.due_at for case in cases)
    one = cases[0]
    assert (one.stage, one.holder, one.hidden, one.routed_by) == ("open", None, False, ("band",))
    assert one.due_at == one.scored_at + timedelta(hours=72)
    claim(at(world, ADA), one.request_id)
    done = decide(at(world, ADA, 2), one.request_id, "override", "record_is_wrong", TEXT)
    assert (done.shown, done.not_done) == ((DAY,), ())
    after = gold_by_id(world)
    changed = after.pop(one.request_id)
    final = "clear" if gold[one.request_id]["overrun_flag"] else "flagged"
    assert (changed["final_decision"], changed["decided_by"]) == (final, ADA)
    assert (changed["review_reason"], changed["decision"]) == ("record_is_wrong", "review")
    assert START < changed["decided_at"] < START + timedelta(hours=3)
    gold.pop(one.request_id)
    assert after == gold, "no other row was touched"
    assert one.request_id not in {case.request_id for case in waiting(world)}


def test_nobody_decides_a_case_twice(world: World) -> None:
    scored(world)
    one = waiting(world)[0].request_id
    claim(at(world, ADA), one)
    decide(at(world, ADA), one, "keep", "agrees_with_record", TEXT)
    for person in (ADA, BEN):
        with pytest.raises(Refused, match="os:ada decided on 2026-03-02"):
            claim(at(world, person, 2), one)
        with pytest.raises(Refused, match="nobody holds"):
            decide(at(world, person, 2), one, "keep", "agrees_with_record", TEXT)
    assert len(at(world, ADA).ledger.events_of("case_decided")) == 1


def test_a_claim_keeps_others_out_until_it_ends(world: World) -> None:
    scored(world, claim_hours=4.0)
    one, two = (case.request_id for case in waiting(world)[:2])
    claim(at(world, ADA, 1), one)
    with pytest.raises(Refused, match="os:ada holds until 2026-03-02 07:00"):
        claim(at(world, BEN, 2), one)
    seen = {case.request_id: case for case in waiting(world, BEN, 2)}
    assert (seen[one].holder, seen[two].holder) == (ADA, None)
    assert one not in {case.request_id for case in list_cases(at(world, BEN, 2), free=True).cases}
    with pytest.raises(Refused, match="nobody holds"):
        decide(at(world, ADA, 5.1), one, "keep", "agrees_with_record", TEXT)
    claim(at(world, BEN, 5.1), one)
    release(at(world, BEN, 5.2), one)
    assert {case.request_id: case.holder for case in waiting(world, BEN, 5.3)}[one] is None


def test_a_first_judgement_comes_before_the_score(world: World) -> None:
    scored(world, first_judgement="[[0.0, 1.0]]")
    case = waiting(world)[0]
    one = case.request_id
    assert case.hidden
    assert (case.score, case.flag, case.decision, case.routed_by, case.audit) == (None,) * 5
    shown = show_case(at(world, ADA), one)
    assert (shown.view.score, shown.judge_first, shown.standing) == (None, True, None)
    assert set(shown.features) == {"hours", "age", "earlier", "month", "kind"}
    claim(at(world, ADA), one)
    assert show_case(at(world, ADA), one).view.score is None
    with pytest.raises(Refused, match="fielded review judge"):
        decide(at(world, ADA), one, "keep", "agrees_with_record", TEXT)
    judge(at(world, ADA, 1.1), one, flag=True)
    seen = show_case(at(world, ADA, 1.2), one)
    row = gold_by_id(world)[one]
    assert (seen.view.score, seen.own_judgement, seen.judge_first) == (row["overrun_probability"], True, False)
    other = show_case(at(world, BEN, 1.2), one)
    assert (other.view.score, other.own_judgement) == (None, None)
    assert all("flag" not in event.details for event in other.history), "nor what she judged"
    with pytest.raises(Refused, match="has seen the score since"):
        judge(at(world, ADA, 1.3), one, flag=False)
    decide(at(world, ADA, 1.3), one, "keep", "agrees_with_record", TEXT)
    assert show_case(at(world, BEN, 2), one).view.score == row["overrun_probability"]


def test_the_second_person_is_another_and_sees_nothing_of_the_first(world: World) -> None:
    scored(world, second_share=1.0)
    one = waiting(world)[0].request_id
    row = gold_by_id(world)[one]
    assert all(case.hidden for case in waiting(world)), "any of them could be the second person of each"
    claim(at(world, CLEO), one)
    release(at(world, CLEO), one)  # she has seen the score
    claim(at(world, ADA, 2), one)
    assert show_case(at(world, ADA, 2), one).view.score == row["overrun_probability"]
    assert show_case(at(world, BEN, 2), one).view.score is None
    decide(at(world, ADA, 2), one, "keep", "agrees_with_record", TEXT)
    kept = "flagged" if row["overrun_flag"] else "clear"
    assert gold_by_id(world)[one]["final_decision"] == kept, "a second judgement holds up nothing"
    seen = {case.request_id: case for case in waiting(world, BEN, 3)}[one]
    assert (seen.stage, seen.score, seen.flag, seen.decision) == ("second", None, None, None)
    for person in (ADA, CLEO):
        with pytest.raises(Refused, match="has had a part in it"):
            claim(at(world, person, 3), one)
    claim(at(world, BEN, 3), one)
    detail = show_case(at(world, BEN, 3), one)
    assert (detail.view.score, detail.standing) == (None, None)
    assert all(
        not {"final", "outcome", "flag", "reason", "text", "score"} & set(e.details) for e in detail.history
    )
    judge_second(at(world, BEN, 4), one, flag=not row["overrun_flag"])
    assert gold_by_id(world)[one]["final_decision"] == "review", "they differ: a third person decides"
    for person in (ADA, BEN):
        with pytest.raises(Refused, match="has had a part in it"):
            claim(at(world, person, 5), one)
    claim(at(world, CLEO, 5), one)
    decide(at(world, CLEO, 5), one, "override", "knows_more", TEXT)
    final = gold_by_id(world)[one]
    assert final["final_decision"] == ("clear" if row["overrun_flag"] else "flagged")
    assert final["decided_by"] == CLEO
    assert show_case(at(world, DAN, 6), one).view.stage == "settled"


def test_a_second_person_who_agrees_settles_it(world: World) -> None:
    scored(world, second_share=1.0)
    one = waiting(world)[0].request_id
    row = gold_by_id(world)[one]
    claim(at(world, ADA), one)
    decide(at(world, ADA), one, "override", "knows_more", TEXT)
    claim(at(world, BEN, 2), one)
    with pytest.raises(Refused, match="rule 5"):
        decide(at(world, BEN, 2), one, "keep", "knows_more", TEXT)
    done = judge_second(at(world, BEN, 2), one, flag=not row["overrun_flag"])
    assert done.state.stage == "settled"
    assert gold_by_id(world)[one]["decided_by"] == ADA


def test_an_appeal_reopens_and_neither_side_decides_it(world: World) -> None:
    scored(world)
    one = waiting(world)[0].request_id
    with pytest.raises(Refused, match="whose decision stands"):
        appeal(at(world, BEN), one, "the engine was replaced")
    claim(at(world, ADA), one)
    decide(at(world, ADA), one, "keep", "agrees_with_record", TEXT)
    with pytest.raises(Refused, match="no reason"):
        appeal(at(world, BEN, 2), one, " ")
    appeal(at(world, BEN, 900), one, "the engine was replaced")  # long after it would have expired
    assert gold_by_id(world)[one]["final_decision"] == "review"
    assert gold_by_id(world)[one]["decided_by"] is None
    (case,) = [case for case in waiting(world, CLEO, 901) if case.request_id == one]
    assert (case.stage, case.overdue) == ("appealed", False)
    assert case.due_at == START.replace(microsecond=case.due_at.microsecond) + timedelta(hours=900 + 72)
    for person in (ADA, BEN):
        with pytest.raises(Refused, match="has had a part in it"):
            claim(at(world, person, 901), one)
        with pytest.raises(Refused, match="has had a part in it"):
            reassign(at(world, person, 901), one, CLEO, "she is free")
    claim(at(world, CLEO, 901), one)
    decide(at(world, CLEO, 901), one, "override", "record_is_wrong", TEXT)
    assert gold_by_id(world)[one]["decided_by"] == CLEO


def test_who_escalates_leaves_it_to_others_and_a_case_is_given_to_whom_may_have_it(world: World) -> None:
    scored(world)
    one = waiting(world)[0].request_id
    claim(at(world, ADA), one)
    reassign(at(world, DAN), one, BEN, "Ada is ill")
    with pytest.raises(Refused, match="os:ben holds"):
        decide(at(world, ADA, 2), one, "keep", "agrees_with_record", TEXT)
    escalate(at(world, BEN, 2), one, "a question for the engineers")
    with pytest.raises(Refused, match="os:ben, who has had a part"):
        reassign(at(world, DAN, 3), one, BEN, "he knows engines")
    reassign(at(world, DAN, 3), one, ADA, "she is back")
    done = decide(at(world, ADA, 4), one, "keep", "agrees_with_record", TEXT)
    assert done.state.decisions[0].by == ADA
    assert [event.kind for event in done.state.history] == [
        "case_claimed", "case_reassigned", "case_escalated", "case_reassigned", "case_decided",
    ]  # fmt: skip


def test_what_nobody_decided_in_time_has_expired(world: World) -> None:
    scored(world, expire_hours=100.0, claim_hours=50.0)
    one, two = (case.request_id for case in waiting(world, ADA, 99)[:2])
    assert all(case.overdue for case in waiting(world, ADA, 99))
    done = claim(at(world, ADA, 99), one)
    assert done.state.claim is not None
    assert done.state.claim.until < START + timedelta(hours=100.1), "no claim outlives its case"
    assert waiting(world, ADA, 100.1) == ()
    with pytest.raises(Refused, match="expired on 2026-03-06 06:00"):
        claim(at(world, ADA, 100.1), two)
    with pytest.raises(Refused, match="expired"):
        reassign(at(world, ADA, 100.1), two, BEN, "he is free")
    assert show_case(at(world, ADA, 101), two).expired


def test_only_reviewers_review(world: World) -> None:
    scored(world)
    one = waiting(world)[0].request_id
    ruled = {"os:ada": ("review",), "os:ben": ("release",)}

    def by(person: str) -> object:
        made = at(world, person)
        return replace(made, site=replace(made.site, roles=ruled))

    claim(by(ADA), one)
    for attempt in (
        lambda: claim(by(BEN), one),
        lambda: list_cases(by(BEN)),
        lambda: show_case(by(BEN), one),
        lambda: appeal(by(BEN), one, "no"),
    ):
        with pytest.raises(Refused, match="expected `review`"):
            attempt()
    with pytest.raises(Refused, match="os:ben, who may not review here"):
        reassign(by(ADA), one, BEN, "he is free")


def test_wrong_use_is_told_with_what_would_be_right(world: World) -> None:
    scored(world)
    one = waiting(world)[0].request_id
    claim(at(world, ADA), one)
    with pytest.raises(WrongUse, match="got because, expected one of agrees_with_record, record_is_wrong"):
        decide(at(world, ADA), one, "keep", "because", TEXT)
    with pytest.raises(Refused, match="no text"):
        decide(at(world, ADA), one, "keep", "knows_more", "  ")
    clear = next(key for key, row in gold_by_id(world).items() if row["decision"] == "clear")
    with pytest.raises(WrongUse, match="that no person was asked about"):
        claim(at(world, ADA), clear)
    with pytest.raises(WrongUse, match="not in the ledger"):
        show_case(at(world, ADA), "no-such-request")
