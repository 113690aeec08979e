"""What a promotion asks for, at this site and now: `promote` goes by it, `status` lists it, a canary needs it."""

from collections.abc import Iterator
from dataclasses import replace

from fielded.decisions.release.acts import Candidate, Pinned
from fielded.decisions.release.findings import Finding
from fielded.decisions.release.rules import approved_by, promotion_findings
from fielded.services.authority import without_release
from fielded.services.release.sign import document_findings
from fielded.world.workplace import Workplace


def asked(workplace: Workplace, candidate: Candidate, production: Pinned | None) -> list[Finding]:
    """All that a promotion of `candidate` asks for, what is in the way and what is not.

    Args:
        workplace: whose definition, site and clock count.
        candidate: to be promoted.
        production: in production now; None before a first release.
    """
    definition, without_role = workplace.deployment, _without_role(workplace, candidate)
    found = promotion_findings(
        candidate, production, definition.release, definition.sha256, workplace.clock(), without_role
    )
    waivers = tuple(waiver for waiver in candidate.waivers if waiver.by not in without_role)
    return [*found, *_ended(workplace, replace(candidate, waivers=waivers))]


def approvers(workplace: Workplace, candidate: Candidate) -> frozenset[str]:
    """The people whose approvals of `candidate` count, at this site and under this definition."""
    return approved_by(candidate, workplace.deployment.sha256, _without_role(workplace, candidate))


def _without_role(workplace: Workplace, candidate: Candidate) -> frozenset[str]:
    people = {one.by for one in candidate.approvals} | {one.by for one in candidate.waivers}
    return without_release(workplace.site, people)


def _ended(workplace: Workplace, candidate: Candidate) -> Iterator[Finding]:
    """Documents that were current when the versions were compared, and are not now."""
    gate, comparison = workplace.deployment.release.gates.evidence, candidate.comparison
    if gate is None or comparison is None:
        return
    waived = candidate.waived(workplace.clock())
    passed = {item.name for item in comparison.findings if item.outcome == "passed"} - waived
    for finding in document_findings(workplace, gate.documents, candidate.proposed_by):
        if not finding.holds and finding.name in passed:
            yield finding
