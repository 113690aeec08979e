"""Try a candidate on live requests: in the shadow, or answering for a share of subjects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fielded.decisions.release import acts
from fielded.decisions.release.acts import Candidate, Mode, Pinned, Trial
from fielded.decisions.release.state import ReleaseState
from fielded.decisions.release.trial import Limits, Told, reason_to_end
from fielded.services.approve import check_approved
from fielded.services.authority import require_release
from fielded.services.release.asked import approvers, asked
from fielded.services.release.record import append, state_of
from fielded.services.seal import seal
from fielded.words.errors import Finding, Refused, WrongUse
from fielded.world.journal import Serving
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True)
class TrialRun:
    """A trial as it is run.

    Attributes:
        pinned: version and digest of the candidate.
        canary: whether it answers; else it scores in the shadow.
        share: of subjects.
        salt: which subjects; also the trial's name among counts.
        limits: what ends a canary.
    """

    pinned: Pinned
    canary: bool
    share: float
    salt: str
    limits: Limits


def run_of(trial: Trial) -> TrialRun:
    """How a trial is run, by its event.

    Raises:
        Refused: its limits cannot be read: a newer fielded wrote them.
    """
    try:
        limits = Limits.of(trial.details.get("limits", {}))
    except (ValueError, TypeError) as error:
        raise Refused(f"trial of {trial.pinned}: {error}") from None
    return TrialRun(trial.pinned, trial.mode == "canary", trial.share, salt_of(trial), limits)


def salt_of(trial: Trial) -> str:
    """What chooses a trial's subjects; no two trials have the same."""
    return str(trial.details.get("salt") or trial.details.get("turn"))


def start_trial(
    workplace: Workplace, version: str, mode: Mode, share: float | None, limits: Mapping[str, Any]
) -> ReleaseState:
    """Let every running API try a proposed version.

    Args:
        workplace: the deployment at its site; its user must have the role `release`.
        version: proposed, and its files approved.
        mode: `shadow` scores beside production, never returned; `canary` is returned, so it needs what a
            promotion needs, but for approvals one is enough.
        share: of subjects, above 0; None takes all in the shadow and a twentieth for a canary.
        limits: names and values that differ from `Limits`.

    Raises:
        WrongUse: a share or limit that makes no sense.
        NotApproved: nobody approved the proposed files.
        Refused: nothing is in production, the version is not proposed, or another trial runs.
    """
    require_release(workplace)
    chosen = (1.0 if mode == "shadow" else 0.05) if share is None else share
    if not 0 < chosen <= 1:
        raise WrongUse(f"--share: got {chosen:g}, expected a number above 0 and at most 1")
    try:
        wanted = Limits.of(limits)
    except ValueError as error:
        raise WrongUse(f"--{error}") from None
    state = state_of(workplace)
    if state.production is None:
        raise Refused(
            "production: got nothing adopted or promoted, expected a version to try another one beside. "
            "Run `fielded release adopt`"
        )
    candidate = state.candidates.get(version)
    if candidate is None:
        raise Refused(
            f"version {version}: got one that nobody proposed, expected a proposed one. "
            f"Run `fielded release propose {version} -m WHY`"
        )
    model = RegisteredVersion(workplace.deployment.model.name, version)
    check_approved(workplace.ledger, model, candidate.pinned.sha256)
    if mode == "canary":
        _check_may_answer(workplace, candidate, state.production)
    details = {
        **candidate.pinned.as_dict(),
        "mode": mode,
        "share": chosen,
        "salt": workplace.random_bytes(8).hex(),
        "limits": wanted.as_dict(),
    }
    state = append(workplace, state, acts.TRIAL_STARTED, details)
    seal(workplace)
    return state


def _check_may_answer(workplace: Workplace, candidate: Candidate, production: Pinned) -> None:
    """What a canary gives out are scores like any other: its candidate has passed the gates, and somebody beside
    the proposer has approved it.

    Raises:
        Refused: with every finding in the way.
    """
    found = asked(workplace, candidate, production)
    version = candidate.pinned.version
    missing = [
        Finding(f"version {version}", one.name, one.got, one.expected, one.step)
        for one in found
        if not one.holds and (one.gate != "approvals" or not approvers(workplace, candidate))
    ]
    if missing:
        raise Refused(
            f"canary: got {len(missing)} findings in the way of version {version}, expected none. It can be tried "
            "in the shadow:",
            missing,
        )


def end_trial(workplace: Workplace, reason: str) -> Trial:
    """End the trial that runs.

    Returns:
        What ran.

    Raises:
        Refused: none runs.
    """
    require_release(workplace)
    state = state_of(workplace)
    if state.trial is None:
        raise Refused("trial: got none that runs, expected one. See `fielded release status`")
    append(workplace, state, acts.TRIAL_ENDED, {**state.trial.pinned.as_dict(), "reason": reason})
    seal(workplace)
    return state.trial


def why_to_end(run: TrialRun, age_seconds: float, live: list[Serving]) -> str | None:
    """Why a canary must end by what the workers tell; None while it may go on.

    Args:
        run: the trial.
        age_seconds: since it was first seen here.
        live: what the live workers of this ledger told.
    """
    told = [
        Told(
            worker=f"{one.host}/{one.pid}",
            silent_seconds=one.silent_seconds,
            served_seconds=(one.seen_at - one.since).total_seconds(),
            counts=one.trial,
        )
        for one in live
    ]
    return reason_to_end(run.salt, run.limits, age_seconds, told)


def end_by_itself(workplace: Workplace, run: TrialRun, reason: str) -> bool:
    """Put on record that a trial ended because a limit was broken; by the service's own account.

    Returns:
        False where it was ended already.

    Raises:
        Refused: the rules do not allow it now: a promotion or rollback is open.
        Lost: somebody acted in this moment.
        Unreachable: the ledger cannot be written.
    """
    state = state_of(workplace)
    if state.trial is None or salt_of(state.trial) != run.salt:
        return False
    details = {**run.pinned.as_dict(), "reason": reason, "by_itself": True}
    append(workplace, state, acts.TRIAL_ENDED, details)
    seal(workplace)
    return True
