"""A promotion asks for a verdict that holds today, on what is in production today, and for other people's yes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from fielded.decisions.release.acts import Candidate, Compared, Comparison, Pinned, ReleaseApproval, Waiver
from fielded.decisions.release.rules import promotion_findings
from fielded.definition.release import Release

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
NEW, PRODUCTION = Pinned("3", "a" * 64), Pinned("2", "b" * 64)
PASSED = Compared(name="shift/score[overall]", outcome="passed", got="0.01", expected="at most 0.3")
FAILED = Compared(name="shift/score[kind=engine]", outcome="failed", got="-0.8", expected="at most 0.3")
LITTLE = replace(FAILED, name="performance/auc[kind=hull]", outcome="not enough evidence")
COMPARISON = Comparison(
    at=NOW - timedelta(days=1),
    event_id="e",
    by="os:ada",
    against=PRODUCTION,
    report_sha256="r",
    definition_sha256="d",
    holds=True,
    findings=(PASSED,),
)


def approval(name: str, definition: str = "d") -> ReleaseApproval:
    return ReleaseApproval(by=name, at=NOW, definition_sha256=definition, roles=("release",))


CANDIDATE = Candidate(
    pinned=NEW,
    proposed_by="os:ada",
    proposed_at=NOW - timedelta(days=2),
    why="better",
    comparison=COMPARISON,
    approvals=tuple(approval(name) for name in ("os:ben", "os:cleo")),
)


def in_the_way(candidate: Candidate, production: Pinned | None = PRODUCTION, definition: str = "d") -> set[str]:
    found = promotion_findings(candidate, production, Release(), definition, NOW)
    for finding in found:
        assert finding.holds or finding.step, "what is in the way says what to do"
        assert finding.got
        assert finding.expected
    return {finding.name for finding in found if not finding.holds}


def compared(**changes: object) -> Candidate:
    return replace(CANDIDATE, comparison=replace(COMPARISON, **changes))


def waived(finding: Compared, until: date) -> tuple[Waiver, ...]:
    return (Waiver(finding=finding.name, by="os:ben", at=NOW, reason="explained", until=until),)


def test_a_candidate_with_everything_is_ready() -> None:
    assert in_the_way(CANDIDATE) == set()


def test_without_a_comparison_there_is_no_verdict() -> None:
    assert in_the_way(replace(CANDIDATE, comparison=None)) == {"comparison/verdict"}


def test_a_comparison_without_findings_does_not_hold() -> None:
    assert in_the_way(compared(findings=())) == {"comparison/verdict"}


def test_a_verdict_that_did_not_hold_for_what_is_not_on_record_does_not_hold() -> None:
    assert in_the_way(compared(holds=False)) == {"comparison/verdict"}


@pytest.mark.parametrize("finding", [FAILED, LITTLE, replace(FAILED, outcome="waived")])
def test_each_finding_that_did_not_pass_is_in_the_way_until_it_is_waived(finding: Compared) -> None:
    candidate = compared(holds=False, findings=(PASSED, finding))
    assert in_the_way(candidate) == {f"comparison/{finding.name}"}
    assert in_the_way(replace(candidate, waivers=waived(finding, NOW.date()))) == set()
    assert in_the_way(replace(candidate, waivers=waived(PASSED, NOW.date()))) == {f"comparison/{finding.name}"}


def test_a_waiver_that_has_ended_no_longer_counts() -> None:
    ended = waived(FAILED, NOW.date() - timedelta(days=1))
    candidate = replace(compared(holds=True, findings=(replace(FAILED, outcome="waived"),)), waivers=ended)
    assert in_the_way(candidate) == {f"comparison/{FAILED.name}"}


def test_a_comparison_gets_old() -> None:
    assert in_the_way(compared(at=NOW - timedelta(days=30))) == set()
    assert in_the_way(compared(at=NOW - timedelta(days=30, seconds=1))) == {"comparison/age"}


def test_a_comparison_of_a_time_that_has_not_come_does_not_count_for_years() -> None:
    """A host's clock was wrong when it was made, or the ledger's event was."""
    assert in_the_way(compared(at=NOW + timedelta(minutes=5))) == set()
    assert in_the_way(compared(at=NOW + timedelta(days=365))) == {"comparison/age"}


def test_approvals_and_waivers_of_people_who_may_release_no_more_do_not_count() -> None:
    candidate = replace(compared(holds=False, findings=(PASSED, FAILED)), waivers=waived(FAILED, NOW.date()))

    def missing(*people: str) -> set[str]:
        found = promotion_findings(candidate, PRODUCTION, Release(), "d", NOW, frozenset(people))
        return {finding.name for finding in found if not finding.holds}

    assert missing() == set()
    assert missing("os:cleo") == {"approvals/people"}
    assert missing("os:ben") == {"approvals/people", f"comparison/{FAILED.name}"}  # he waived it, too


def test_a_comparison_is_with_what_is_in_production_now() -> None:
    assert in_the_way(CANDIDATE, Pinned("2", "c" * 64)) == {"comparison/against"}
    assert in_the_way(CANDIDATE, None) == {"comparison/against"}
    assert in_the_way(compared(against=None), None) == set()


def test_a_comparison_is_with_the_definition_as_it_is_now() -> None:
    assert in_the_way(CANDIDATE, definition="another") == {"comparison/definition", "approvals/people"}


@pytest.mark.parametrize("people", [(), ("os:ben",), ("os:ada", "os:ben"), ("os:ben", "os:ben")])
def test_two_different_people_neither_of_them_the_proposer_must_approve(people: tuple[str, ...]) -> None:
    approvals = tuple(approval(name) for name in people)
    assert in_the_way(replace(CANDIDATE, approvals=approvals)) == {"approvals/people"}


def test_who_approved_under_another_definition_has_not_approved_under_this_one() -> None:
    """A loosened gate needs the same people once more, although the comparison was made anew."""
    loosened = compared(definition_sha256="loosened")
    assert in_the_way(loosened, definition="loosened") == {"approvals/people"}
    again = tuple(approval(name, "loosened") for name in ("os:ben", "os:cleo"))
    assert in_the_way(replace(loosened, approvals=(*loosened.approvals, *again)), definition="loosened") == set()
    mixed = replace(loosened, approvals=(approval("os:ben", "loosened"), approval("os:cleo")))
    found = promotion_findings(mixed, PRODUCTION, Release(), "loosened", NOW)
    assert [one.got for one in found if not one.holds] == ["os:ben, os:cleo (another definition)"]


def test_everything_that_is_missing_is_told_at_once() -> None:
    candidate = replace(compared(findings=(FAILED, LITTLE), at=NOW - timedelta(days=99)), approvals=())
    assert in_the_way(candidate, Pinned("9", "c" * 64), "another") == {
        f"comparison/{FAILED.name}",
        f"comparison/{LITTLE.name}",
        "comparison/age",
        "comparison/against",
        "comparison/definition",
        "approvals/people",
    }
