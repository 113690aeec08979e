"""What comes of a drill: each rule alone fails it, and what was not measured is no pass."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fielded.decisions.release.acts import Drill, Pinned
from fielded.decisions.release.drill import Answers, Books, Measured, RolledBack, drill_finding, drill_verdict
from fielded.decisions.release.state import ReleaseState
from fielded.definition.release import Release

LEFT, TO = Pinned("2", "b" * 64), Pinned("1", "a" * 64)
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)

ROLLED_BACK = RolledBack(
    exit_code=0, said="", seconds=4.0, followed=4, gone=0, followed_seconds=1.5, replayed=20, not_done=()
)
ANSWERS = Answers(requests=1000, failures={}, by_left=600, by_now=400, last_by_left=1.4, late=0, per_second=200.0)
BOOKS = Books(answered_not_in_ledger=0, rows_not_answered=0, broken=0, production=TO, previous=LEFT, alias="1")
GOOD = Measured(
    left=LEFT, to=TO, workers=4, connections=8, replayed=20, api="", ready_seconds=9.0, rollback=ROLLED_BACK,
    answers=ANSWERS, books=BOOKS, stopped=0,
)  # fmt: skip


def in_the_way(measured: Measured, limit: float = 60.0) -> dict[str, str]:
    verdict = drill_verdict(measured, limit)
    assert verdict.holds == (not verdict.in_the_way)
    assert all(finding.step for finding in verdict.in_the_way)
    return {finding.item: finding.outcome for finding in verdict.in_the_way}


def test_a_good_drill_passes_with_eleven_findings() -> None:
    verdict = drill_verdict(GOOD, 60.0)
    assert verdict.holds
    assert len({finding.item for finding in verdict.findings}) == 11


@pytest.mark.parametrize(
    ("changes", "item"),
    [
        ({"way_back": "files changed"}, "way back"),
        ({"rollback": replace(ROLLED_BACK, exit_code=1)}, "command"),
        ({"rollback": replace(ROLLED_BACK, exit_code=None)}, "command"),
        ({"rollback": replace(ROLLED_BACK, not_done=("aliases",))}, "command"),
        ({"rollback": replace(ROLLED_BACK, followed=3)}, "workers"),
        ({"rollback": replace(ROLLED_BACK, gone=1)}, "workers"),
        ({"rollback": replace(ROLLED_BACK, followed_seconds=60.5)}, "seconds"),
        ({"answers": replace(ANSWERS, last_by_left=60.5)}, "seconds"),
        ({"answers": replace(ANSWERS, failures={"503": 1})}, "requests"),
        ({"answers": replace(ANSWERS, by_left=0)}, "requests"),
        ({"answers": replace(ANSWERS, by_now=0)}, "requests"),
        ({"answers": replace(ANSWERS, late=1)}, "late answers"),
        ({"books": replace(BOOKS, answered_not_in_ledger=1)}, "ledger"),
        ({"books": replace(BOOKS, rows_not_answered=1)}, "ledger"),
        ({"books": replace(BOOKS, broken=1)}, "seals"),
        ({"books": replace(BOOKS, production=LEFT)}, "state"),
        ({"books": replace(BOOKS, previous=None)}, "state"),
        ({"books": replace(BOOKS, alias="2")}, "state"),
        ({"books": replace(BOOKS, alias=None)}, "state"),
        ({"stopped": 3}, "stop"),
        ({"stopped": None}, "stop"),
    ],
)
def test_each_rule_alone_fails_it(changes: dict[str, Any], item: str) -> None:
    assert in_the_way(replace(GOOD, **changes)) == {item: "failed"}


def test_a_row_of_a_failed_request_is_no_fault_of_the_ledger() -> None:
    one_failed = replace(ANSWERS, failures={"ConnectionResetError": 1})
    found = in_the_way(replace(GOOD, answers=one_failed, books=replace(BOOKS, rows_not_answered=1)))
    assert found == {"requests": "failed"}


def test_what_was_not_come_to_is_not_enough_evidence() -> None:
    begun = Measured(left=LEFT, to=TO, workers=4, connections=8, way_back="no approval")
    found = in_the_way(begun)
    assert found.pop("way back") == "failed"
    assert found.pop("api") == "not enough evidence"
    assert set(found.values()) == {"not enough evidence"}
    assert len(found) == 9
    not_up = replace(begun, way_back="", api="it ended with exit code 3", stopped=3)
    assert in_the_way(not_up)["api"] == "failed"


def test_a_worker_that_did_not_follow_leaves_seconds_and_late_answers_unmeasured() -> None:
    late = replace(ROLLED_BACK, followed=3, followed_seconds=None, not_done=("worker a/1 did not follow",))
    assert in_the_way(replace(GOOD, rollback=late)) == {
        "command": "failed", "workers": "failed", "seconds": "not enough evidence",
        "late answers": "not enough evidence",
    }  # fmt: skip


def test_no_recorded_rows_are_told_and_do_not_fail_a_drill() -> None:
    verdict = drill_verdict(replace(GOOD, replayed=0), 60.0)
    assert verdict.holds
    assert "no recorded rows" in next(one.got for one in verdict.findings if one.item == "way back")


@given(
    st.floats(0, 100, allow_nan=False), st.floats(0, 100, allow_nan=False), st.floats(0.001, 100, allow_nan=False)
)
def test_the_slower_of_both_is_held_to_the_limit(followed: float, last: float, limit: float) -> None:
    measured = replace(
        GOOD,
        rollback=replace(ROLLED_BACK, followed_seconds=followed),
        answers=replace(ANSWERS, last_by_left=last),
    )
    assert drill_verdict(measured, limit).holds == (max(followed, last) <= limit)


def after_drill(age: timedelta, *, passed: bool = True) -> ReleaseState:
    drill = Drill(at=NOW - age, by="os:tester", passed=passed, details={})
    return ReleaseState(count=2, production=LEFT, previous=TO, drill=drill)


def test_a_drill_counts_as_long_as_the_definition_says() -> None:
    release = Release(drill_max_age_days=30)
    assert drill_finding(after_drill(timedelta(days=30)), release, NOW).holds
    old = drill_finding(after_drill(timedelta(days=30, seconds=1)), release, NOW)
    assert (old.outcome, old.step) == ("failed", "Run `fielded release drill`")
    assert "30 days ago" in old.got


def test_the_last_drill_counts_also_where_it_failed() -> None:
    found = drill_finding(after_drill(timedelta(hours=1), passed=False), Release(), NOW)
    assert (found.name, found.outcome) == ("drill/age", "failed")
    assert "history --json" in found.step


def test_no_drill_is_not_enough_evidence_and_says_what_is_needed_first() -> None:
    with_way_back = drill_finding(ReleaseState(production=LEFT, previous=TO), Release(), NOW)
    assert (with_way_back.outcome, with_way_back.step) == ("not enough evidence", "Run `fielded release drill`")
    without = drill_finding(ReleaseState(production=LEFT), Release(), NOW)
    assert "Promote a second version" in without.step
