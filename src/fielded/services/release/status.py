"""Where releases stand, what is in the way of each candidate, and what the registry has otherwise."""

from dataclasses import dataclass

from fielded.decisions.release.acts import Candidate, ReleaseEvent
from fielded.decisions.release.drill import drill_finding
from fielded.decisions.release.findings import Finding
from fielded.decisions.release.state import ReleaseState
from fielded.services.approve import check_approved
from fielded.services.release.asked import asked
from fielded.services.release.observe import observe, told
from fielded.services.release.record import released_under_another_name, state_of
from fielded.services.release.rollback import not_done
from fielded.services.seal import seal
from fielded.words.errors import NotApproved, Unreachable
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateStatus:
    """A candidate and all that a promotion asks of it.

    Attributes:
        candidate: as proposed, compared, approved.
        findings: what is in the way and what is not.
    """

    candidate: Candidate
    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether it may be promoted now."""
        return all(finding.holds for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseStatus:
    """The whole of it.

    Attributes:
        state: by the ledger.
        candidates: in the order of their proposals.
        problems: what is not as it should be, in words, each with its next step.
    """

    state: ReleaseState
    candidates: tuple[CandidateStatus, ...]
    problems: tuple[str, ...]


def status(workplace: Workplace) -> ReleaseStatus:
    """Look at everything. What differs in the registry is put on record, once.

    Raises:
        Refused: the ledger's events break a rule.
        Unreachable: the ledger.
    """
    problems: list[str] = []
    try:
        seen = observe(workplace, files=True)
        problems += [told(item) for item in seen]
        if seen:
            seal(workplace)
    except Unreachable as error:
        problems.append(f"The registry was not compared with the ledger: {error}")
    state = state_of(workplace)
    return ReleaseStatus(
        state=state,
        candidates=tuple(_candidate(workplace, state, candidate) for candidate in state.candidates.values()),
        problems=(
            *_of_state(workplace, state),
            *_of_approvals(workplace, state),
            *problems,
            *_of_drill(workplace, state),
        ),
    )


def history(workplace: Workplace) -> tuple[ReleaseEvent, ...]:
    """Every act and observation, oldest first.

    Raises:
        Refused: the ledger's events break a rule.
        Unreachable: the ledger.
    """
    return state_of(workplace).history


def _candidate(workplace: Workplace, state: ReleaseState, candidate: Candidate) -> CandidateStatus:
    return CandidateStatus(candidate=candidate, findings=tuple(asked(workplace, candidate, state.production)))


def _of_state(workplace: Workplace, state: ReleaseState) -> list[str]:
    problems = []
    others = released_under_another_name(workplace, state)
    if others is not None:
        problems.append(str(others))
    elif state.production is None:
        problems.append(
            "Nothing was adopted or promoted: the registry's alias decides, without a record of who moved it. "
            "Run `fielded release adopt`"
        )
    elif state.previous is None:
        problems.append("There is no previous version: a rollback has nothing to go back to")
    if state.open is not None:
        problems.append(
            f"A {state.open.kind.removesuffix('_started')} to {state.open.to} that {state.open.by} began at "
            f"{state.open.at:%Y-%m-%d %H:%M:%S} UTC is open. If nobody is at it, run `fielded release reconcile`"
        )
    if state.aliases_due:
        problems.append(not_done(state))
    return problems


def _of_approvals(workplace: Workplace, state: ReleaseState) -> list[str]:
    """What production and the way back rest on: files that are approved to be loaded."""
    problems = []
    for pinned in filter(None, (state.production, state.previous)):
        model = RegisteredVersion(workplace.deployment.model.name, pinned.version)
        try:
            check_approved(workplace.ledger, model, pinned.sha256)
        except NotApproved as refusal:
            lost = "nothing is scored" if pinned == state.production else "a rollback to it is refused"
            problems.append(f"{refusal}. Until then {lost}")
    return problems


def _of_drill(workplace: Workplace, state: ReleaseState) -> list[str]:
    """Where there is a way back, it must have been rehearsed."""
    finding = drill_finding(state, workplace.deployment.release, workplace.clock())
    if state.previous is None or finding.holds:
        return []
    return [f"Drill: got {finding.got}, expected {finding.expected}. {finding.step}"]
