"""What a candidate needs before it may be promoted, each as a finding.

1. the last comparison holds, with waivers that are in force: it has findings, and each passed or is waived today.
   A waiver from before that comparison is there only where the comparison found that it still covers
   (`decisions.release.waivers`), for a finding can get worse;
2. it is not older than the definition allows, and not from a time that has not come: a clock was wrong then;
3. it was made against what is in production now;
4. it was made with the definition as it is now (that it is about these bytes is rule 5 of release state);
5. as many different people as the definition asks for, none of them the proposer, approved these bytes, to run
   under the definition as it is now (AC-5): who approved has seen its gates, threshold and rules, and no others.

What somebody approved or waived who may release no more does not count (AC-2, AC-3): an account that was closed
for cause does not go on releasing.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta

from fielded.decisions.release.acts import Candidate, Comparison, Pinned
from fielded.decisions.release.findings import Finding
from fielded.definition.release import Release

_SKEW = timedelta(hours=1)  # hosts whose clocks differ by more have another problem


def promotion_findings(
    candidate: Candidate,
    production: Pinned | None,
    release: Release,
    definition_sha256: str,
    now: datetime,
    without_role: AbstractSet[str] = frozenset(),
) -> list[Finding]:
    """All that a promotion asks for, what is in the way and what is not.

    Args:
        candidate: to be promoted.
        production: in production now; None before a first release.
        release: the definition's section.
        definition_sha256: digest of the definition as it is.
        now: UTC.
        without_role: people who may not release now.
    """
    candidate = replace(
        candidate, waivers=tuple(waiver for waiver in candidate.waivers if waiver.by not in without_role)
    )
    step = f"Run `fielded release compare {candidate.pinned.version}`"
    comparison = candidate.comparison
    if comparison is None:
        found = [_finding("comparison", "verdict", holds=False, got="none", expected="one that holds", step=step)]
    else:
        found = [
            *_verdict(comparison, candidate, now),
            _age(comparison, release, now, step),
            _finding(
                "comparison",
                "against",
                holds=comparison.against == production,
                got=str(comparison.against or "nothing"),
                expected=f"{production or 'nothing'}, which is in production",
                step=step,
            ),
            _finding(
                "comparison",
                "definition",
                holds=comparison.definition_sha256 == definition_sha256,
                got=f"definition {comparison.definition_sha256[:12]}",
                expected=f"definition {definition_sha256[:12]}, as it is now",
                step=step,
            ),
        ]
    return [*found, _approvals(candidate, release, definition_sha256, without_role)]


def approved_by(candidate: Candidate, definition_sha256: str, without_role: AbstractSet[str]) -> frozenset[str]:
    """The people whose approvals count: rule 5.

    Args:
        candidate: that was approved.
        definition_sha256: digest of the definition as it is.
        without_role: people who may not release now.
    """
    approved = {one.by for one in candidate.approvals if one.definition_sha256 == definition_sha256}
    return frozenset(approved - {candidate.proposed_by} - without_role)


def _finding(gate: str, item: str, *, holds: bool, got: str, expected: str, step: str) -> Finding:
    return Finding(
        gate=gate,
        item=item,
        outcome="passed" if holds else "failed",
        got=got,
        expected=expected,
        step="" if holds else step,
    )


def _verdict(comparison: Comparison, candidate: Candidate, now: datetime) -> Iterator[Finding]:
    waived = candidate.waived(now)
    in_the_way = [item for item in comparison.findings if item.outcome != "passed" and item.name not in waived]
    for item in in_the_way:
        got = f"{item.outcome}: {item.got}"
        step = (
            "Mend it and compare again, or have it waived: "
            f"`fielded release waive {candidate.pinned.version} --finding NAME --until YYYY-MM-DD -m WHY`"
        )
        yield _finding("comparison", item.name, holds=False, got=got, expected=item.expected, step=step)
    if in_the_way:
        return
    # Where nothing is in the way but the verdict did not hold, it held back for what is not on record here.
    unexplained = not comparison.holds and all(item.outcome == "passed" for item in comparison.findings)
    holds = bool(comparison.findings) and not unexplained
    count = len(comparison.findings)
    aside = sum(item.outcome != "passed" for item in comparison.findings)
    got = f"{count} findings, {aside} of them waived" if holds else f"{count} findings, which do not make it hold"
    step = "Choose gates under `release:` in deployment.yaml, and compare again"
    yield _finding("comparison", "verdict", holds=holds, got=got, expected="findings, all passed", step=step)


def _age(comparison: Comparison, release: Release, now: datetime, step: str) -> Finding:
    age, limit = now - comparison.at, timedelta(days=release.comparison_max_age_days)
    return _finding(
        "comparison",
        "age",
        holds=-_SKEW <= age <= limit,
        got=f"{age.days} days" if age >= -_SKEW else f"one of {comparison.at:%Y-%m-%d %H:%M} UTC, still to come",
        expected=f"at most {limit.days} days",
        step=step,
    )


def _approvals(
    candidate: Candidate, release: Release, definition_sha256: str, without_role: AbstractSet[str]
) -> Finding:
    counted = approved_by(candidate, definition_sha256, without_role)
    people = dict.fromkeys(approval.by for approval in candidate.approvals)
    why = {name: "may release no more" if name in without_role else "another definition" for name in people}
    told = [name if name in counted else f"{name} ({why[name]})" for name in people]
    version = candidate.pinned.version
    return _finding(
        "approvals",
        "people",
        holds=len(counted) >= release.approvals,
        got=", ".join(told) or "nobody",
        expected=f"{release.approvals} different people, none of them {candidate.proposed_by}, for the definition "
        "as it is now",
        step=f"Have others run `fielded release approve {version}`",
    )
