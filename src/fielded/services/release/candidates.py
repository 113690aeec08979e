"""What people do with a candidate before its promotion: propose, approve, waive, withdraw."""

from dataclasses import dataclass
from datetime import date

from fielded.decisions.release import acts
from fielded.decisions.release.acts import Candidate, Pinned
from fielded.decisions.release.state import ReleaseState
from fielded.services.approve import Approval
from fielded.services.approve import approve as approve_files
from fielded.services.authority import require_release
from fielded.services.release.asked import approvers
from fielded.services.release.record import append, state_of
from fielded.services.seal import seal
from fielded.words.errors import Refused
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Approved:
    """What an approval came to.

    Attributes:
        files: the approval of the version's bytes, so that they may be loaded.
        release: how many people's approvals count with it; None where the version is not proposed.
        not_counted: why this approval does not count toward the release; empty where it does, or none is proposed.
    """

    files: Approval
    release: int | None
    not_counted: str = ""


def propose(workplace: Workplace, version: str, why: str) -> Candidate:
    """Propose a version, with its files as they are now, for production.

    Raises:
        Refused: the asking person may not release, or this version is proposed or in production already.
        NotRegistered: no such version.
        Unreachable: its files cannot be had.
    """
    require_release(workplace)
    if not why.strip():
        raise Refused("why: got nothing, expected what the version is for and why now")
    state = state_of(workplace)
    model = workplace.registry.version(workplace.deployment.model.name, version)
    _, sha256 = workplace.artifacts.take(model)
    details = {**Pinned(model.version, sha256).as_dict(), "why": why.strip()}
    state = append(workplace, state, acts.PROPOSED, details)
    seal(workplace)
    return state.candidates[model.version]


def approve(workplace: Workplace, version: str) -> Approved:
    """Approve a version's files for loading and, where it is proposed, its release under this definition.

    The proposer's approval, and a second one of the same person, is of the files only.

    Raises:
        Refused: the asking person may not release, the version does not fit the definition, or its files are not
            the proposed ones.
        NotRegistered: no such version.
    """
    roles = require_release(workplace)
    files = approve_files(workplace, version)
    state = state_of(workplace)
    candidate = state.candidates.get(files.model.version)
    if candidate is None:
        return Approved(files, None)
    if candidate.pinned.sha256 != files.sha256:
        raise Refused(
            f"{files.model}: got files with digest {files.sha256}, expected {candidate.pinned.sha256} as "
            "proposed. They may be loaded now, but their release is not approved. If the change is meant, "
            "propose it again"
        )
    if workplace.user == candidate.proposed_by:
        return Approved(files, len(approvers(workplace, candidate)), "you proposed it")
    definition = workplace.deployment.sha256
    if any((one.by, one.definition_sha256) == (workplace.user, definition) for one in candidate.approvals):
        return Approved(files, len(approvers(workplace, candidate)), "you have approved it before")
    details = {**candidate.pinned.as_dict(), "definition_sha256": definition, "roles": list(roles)}
    state = append(workplace, state, acts.APPROVED, details)
    seal(workplace)
    return Approved(files, len(approvers(workplace, state.candidates[candidate.pinned.version])))


def waive(workplace: Workplace, version: str, finding: str, reason: str, until: date) -> Candidate:
    """Set one finding of the last comparison aside until a day, and answer for it.

    Raises:
        Refused: the asking person may not release or proposed the version; no such finding stands in the way;
            there is no reason, or the day is over.
    """
    require_release(workplace)
    state = state_of(workplace)
    pinned = _proposed(state, version).pinned
    details = {**pinned.as_dict(), "finding": finding, "reason": reason.strip(), "until": until.isoformat()}
    state = append(workplace, state, acts.WAIVED, details)
    seal(workplace)
    return state.candidates[version]


def withdraw(workplace: Workplace, version: str, reason: str) -> ReleaseState:
    """Take a proposal back, with all that was said about it.

    Raises:
        Refused: the asking person may not release, or the version is not proposed.
    """
    require_release(workplace)
    state = state_of(workplace)
    details = {**_proposed(state, version).pinned.as_dict(), "reason": reason.strip()}
    state = append(workplace, state, acts.WITHDRAWN, details)
    seal(workplace)
    return state


def _proposed(state: ReleaseState, version: str) -> Candidate:
    candidate = state.candidates.get(version)
    if candidate is None:
        known = ", ".join(state.candidates) or "none"
        raise Refused(
            f"version {version}: got no proposal of it, expected one of: {known}. "
            f"Run `fielded release propose {version} -m WHY`"
        )
    return candidate
