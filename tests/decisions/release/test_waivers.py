"""A waiver covers what its signer was shown; what got worse since has to be signed again."""

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from fielded.decisions.release import acts
from fielded.decisions.release.acts import Pinned, ReleaseEvent
from fielded.decisions.release.findings import Finding, Verdict
from fielded.decisions.release.rules import promotion_findings
from fielded.decisions.release.state import ReleaseState, fold
from fielded.decisions.release.waivers import kept
from fielded.definition.release import Release

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
UNTIL = date(2026, 4, 1)
NEW, PRODUCTION = Pinned("3", "a" * 64), Pinned("2", "b" * 64)
SHIFT = Finding(
    gate="shift", item="score[kind=LPD]", outcome="failed", got="-0.4", expected="0.3", numbers={"shift": -0.4},
    severity=1.3,
)  # fmt: skip


class History:
    """Release events of one model, an hour apart."""

    def __init__(self) -> None:
        self.events: list[ReleaseEvent] = []
        self._add(acts.ADOPTED, "os:ada", {"production": PRODUCTION.as_dict(), "previous": None})
        self.propose()

    @property
    def state(self) -> ReleaseState:
        return fold(self.events)

    @property
    def now(self) -> datetime:
        return START + timedelta(hours=len(self.events))

    def _add(self, kind: str, actor: str, details: dict[str, Any]) -> None:
        turn = len(self.events) + 1
        details = {"turn": turn, **details}
        self.events.append(
            ReleaseEvent(turn=turn, event_id=str(turn), kind=kind, actor=actor, at=self.now, details=details)
        )

    def propose(self) -> None:
        self._add(acts.PROPOSED, "os:ada", {**NEW.as_dict(), "why": "better"})

    def withdraw(self) -> None:
        self._add(acts.WITHDRAWN, "os:ada", {**NEW.as_dict(), "reason": "no"})

    def compare(self, *findings: Finding, against: Pinned = PRODUCTION) -> Verdict:
        """As `services.release.compare` does it."""
        names = kept(self.events, self.state.candidates["3"], against, findings, self.now)
        verdict = Verdict.of(findings, names)
        shown = ("name", "outcome", "got", "expected", "severity", "set_aside")
        details = {
            **NEW.as_dict(),
            "against": against.as_dict(),
            "report_sha256": "r",
            "definition_sha256": "d",
            "holds": verdict.holds,
            "findings": [
                {name: None if getattr(one, name) == math.inf else getattr(one, name) for name in shown}
                for one in verdict.findings
            ],
        }
        self._add(acts.COMPARED, "os:ada", details)
        return verdict

    def waive(self, finding: Finding = SHIFT, until: date = UNTIL) -> None:
        said = {"finding": finding.name, "reason": "explained", "until": until.isoformat()}
        self._add(acts.WAIVED, "os:ben", {**NEW.as_dict(), **said})

    def in_the_way(self, production: Pinned = PRODUCTION) -> set[str]:
        found = promotion_findings(self.state.candidates["3"], production, Release(approvals=1), "d", self.now)
        return {one.name for one in found if not one.holds} - {"approvals/people"}


def waived_once() -> History:
    history = History()
    assert not history.compare(SHIFT).holds
    assert history.in_the_way() == {f"comparison/{SHIFT.name}"}
    history.waive()
    assert history.in_the_way() == set()
    return history


@pytest.mark.parametrize(
    "found", [SHIFT, replace(SHIFT, severity=1.1), replace(SHIFT, outcome="not enough evidence", severity=0.2)]
)
def test_it_is_kept_where_the_finding_is_no_worse(found: Finding) -> None:
    history = waived_once()
    (finding,) = history.compare(found).findings
    assert (finding.outcome, finding.set_aside) == ("waived", found.outcome)
    assert history.in_the_way() == set()


def test_it_is_not_kept_where_the_same_finding_got_worse_until_somebody_signs_again() -> None:
    history = waived_once()
    worse = replace(SHIFT, got="-1.5", severity=5.0)
    assert not history.compare(worse).holds
    assert history.in_the_way() == {f"comparison/{SHIFT.name}"}
    history.waive()
    assert history.in_the_way() == set()
    assert history.compare(worse).holds


def test_what_was_waived_for_want_of_rows_is_not_waived_once_it_has_failed() -> None:
    history = History()
    history.compare(replace(SHIFT, outcome="not enough evidence", severity=9.0))
    history.waive()
    assert not history.compare(SHIFT).holds
    assert history.in_the_way() == {f"comparison/{SHIFT.name}"}


def test_a_finding_that_measured_nothing_is_kept_while_it_says_the_same() -> None:
    files = Finding(gate="evidence", item="artifact", outcome="failed", got="e" * 64, expected="as proposed")
    history = History()
    history.compare(files)
    history.waive(files)
    assert history.compare(files).holds
    assert not history.compare(replace(files, got="f" * 64)).holds


def test_it_does_not_creep_from_comparison_to_comparison() -> None:
    history = waived_once()
    assert history.compare(replace(SHIFT, severity=0.5)).holds
    assert history.compare(SHIFT).holds
    assert not history.compare(replace(SHIFT, severity=1.4)).holds


def test_it_is_not_kept_against_another_version_in_production() -> None:
    history = waived_once()
    assert not history.compare(SHIFT, against=Pinned("9", "c" * 64)).holds


def test_it_covers_no_other_finding_and_nothing_once_it_has_ended() -> None:
    history = waived_once()
    other = replace(SHIFT, item="score[kind=SSN]")
    assert [one.outcome for one in history.compare(SHIFT, other).findings] == ["failed", "waived"]
    ended = History()
    ended.compare(SHIFT)
    ended.waive(until=START.date())
    late = kept(ended.events, ended.state.candidates["3"], PRODUCTION, [SHIFT], START + timedelta(days=1))
    assert late == frozenset()


def test_it_ends_with_its_proposal() -> None:
    history = waived_once()
    history.withdraw()
    history.propose()
    assert not history.compare(SHIFT).holds


def test_a_comparison_that_says_no_distance_gives_nothing_to_hold_it_against() -> None:
    history = History()
    history.compare(replace(SHIFT, severity=math.inf))
    history.waive()
    assert history.in_the_way() == set()
    assert not history.compare(SHIFT).holds
