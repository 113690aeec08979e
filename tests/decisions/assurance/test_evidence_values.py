"""Evidence: its outcome is made of its checks, and it holds for a time and for what it is about."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.decisions.release.findings import Finding

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HELD = Check.of("asked", True, got="a row", expected="a row")
FAILED = Check.of("asked", False, got="none", expected="a row", step="Write one")
MISSING = Check.missing("asked", why="no API", expected="a row")


def evidence(*checks: Check, attested_by: str = "", valid_until: datetime | None = None) -> Evidence:
    return Evidence(
        id="audit-probe",
        title="Audit logging",
        checks=checks,
        facts={"rows": 2, "text": "é"},
        command="fielded ready --item 6",
        tool="fielded 0",
        by="os:ada",
        at=NOW,
        scope={"deployment": "overrun"},
        valid_until=valid_until,
        attested_by=attested_by,
    )


@pytest.mark.parametrize(
    ("checks", "outcome"),
    [
        ((), "not checked"),
        ((HELD,), "satisfied"),
        ((HELD, MISSING), "not checked"),
        ((HELD, MISSING, FAILED), "not satisfied"),
        ((FAILED,), "not satisfied"),
        ((MISSING,), "not checked"),
    ],
)
def test_the_worst_check_decides_and_what_was_not_checked_is_no_pass(
    checks: tuple[Check, ...], outcome: str
) -> None:
    assert evidence(*checks).outcome == outcome
    assert evidence(*checks).holds == (outcome == "satisfied")


def test_what_a_person_says_is_attested_unless_it_failed() -> None:
    assert evidence(HELD, attested_by="os:ada").outcome == "attested"
    assert evidence(FAILED, attested_by="os:ada").outcome == "not satisfied"


def test_a_step_is_told_only_where_something_is_to_be_done() -> None:
    assert (HELD.step, FAILED.step) == ("", "Write one")


def test_it_is_current_until_its_time_is_over() -> None:
    one = evidence(HELD, valid_until=NOW + timedelta(days=1))
    assert one.current(NOW + timedelta(days=1))
    assert not one.current(NOW + timedelta(days=1, microseconds=1))
    assert evidence(HELD).current(NOW + timedelta(days=4000))


def test_it_comes_back_from_json_with_the_same_digest() -> None:
    one = evidence(HELD, FAILED, MISSING, valid_until=NOW)
    again = Evidence.read(json.loads(json.dumps(one.as_dict())))
    assert again == one
    assert again.sha256 == one.sha256


def test_a_written_outcome_is_not_believed() -> None:
    forged = {**evidence(FAILED).as_dict(), "outcome": "satisfied"}
    assert Evidence.read(forged).outcome == "not satisfied"


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["id", "title", "command", "tool", "by", "attested_by"]), st.text(min_size=1))
def test_the_digest_covers_every_field(name: str, text: str) -> None:
    one = evidence(HELD)
    changed = replace(one, **{name: getattr(one, name) + text})
    assert changed.sha256 != one.sha256


def test_a_finding_that_was_waived_holds_and_says_so() -> None:
    finding = Finding(gate="shift", item="score", outcome="failed", got="0.4", expected="at most 0.3", step="Look")
    assert Check.from_finding(finding).outcome == "failed"
    assert Check.from_finding(finding.waived()).outcome == "held"
    assert "(waived)" in Check.from_finding(finding.waived()).got
    lacking = Finding(gate="shift", item="score", outcome="not enough evidence", got="3 rows", expected="30 rows")
    assert Check.from_finding(lacking).outcome == "not checked"
