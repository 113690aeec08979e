"""Drill a rollback: the whole of it at a copy of the site, measured, judged, and put on record with its day.

Production is not touched: nothing of the site is written but the one event at the end.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fielded
from fielded.decisions.release import acts
from fielded.decisions.release.acts import Pinned
from fielded.decisions.release.drill import Measured, drill_verdict
from fielded.decisions.release.findings import Verdict
from fielded.decisions.release.state import ReleaseState
from fielded.services.authority import require_release
from fielded.services.release.record import append, state_of
from fielded.services.release.rehearse import Script, Tell, rehearse
from fielded.services.seal import seal
from fielded.words.errors import Refused
from fielded.world.first_rows import SUBJECT
from fielded.world.recent_rows import recent_features
from fielded.world.rehearsal import Rehearsal, copy_site, rehearsal_folder
from fielded.world.workplace import Workplace, open_workplace

_BODIES = 500  # different requests that callers send, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the asking person chose.

    Attributes:
        command: what `fielded` is as a process: program and arguments.
        workers: of the rehearsal's API; None takes the site's.
        connections: callers that ask all the while.
        folder: where the copy lies while it is needed; None takes the site's cache.
        ticks: seconds that only go up.
        sleep: waits so many seconds.
        tell: told what is being done.
    """

    command: tuple[str, ...]
    workers: int | None = None
    connections: int = 8
    folder: Path | None = None
    ticks: Callable[[], float]
    sleep: Callable[[float], None]
    tell: Tell = lambda _text: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """A drill that is on record.

    Attributes:
        verdict: all findings.
        measured: what they rest on.
        limit_seconds: that the definition allows.
        replaced: what the copy had in place of the site's own, and so was not rehearsed.
        state: the release state with it.
    """

    verdict: Verdict
    measured: Measured
    limit_seconds: float
    replaced: tuple[str, ...]
    state: ReleaseState

    def as_details(self) -> dict[str, Any]:
        """What its event says."""
        return _details(self.measured, self.verdict, self.limit_seconds, self.replaced)


def drill(workplace: Workplace, plan: Plan) -> Drilled:
    """Rehearse a rollback from what is in production to what was there before it.

    A rehearsal that fails is evidence too, and put on record.

    Args:
        workplace: the deployment at its site; its user must have the role `release`.
        plan: how.

    Raises:
        Refused: the asking person may not release; there is no previous version; a transition is open; no recorded
            row to ask for; another drill runs.
        Unreachable: the site cannot be read, or the copy not be written. Nothing is on record then.
    """
    require_release(workplace)
    state = state_of(workplace)
    left, to = _versions(state)
    limit = workplace.deployment.release.rollback_seconds
    with rehearsal_folder(workplace.site, plan.folder) as folder:
        plan.tell("copying what a rollback needs of the site")
        ref = workplace.deployment.model
        trial = () if state.trial is None else (state.trial.pinned,)
        rehearsal = copy_site(
            workplace,
            folder,
            (left, to, *trial),
            {ref.alias: left, ref.previous_alias: to},
            plan.workers or workplace.site.api.workers,
        )
        copy = _open(workplace, rehearsal, state)
        script = Script(
            command=plan.command,
            workers=rehearsal.site.api.workers,
            connections=plan.connections,
            bodies=_bodies(copy),
            limit_seconds=limit,
            ticks=plan.ticks,
            sleep=plan.sleep,
            tell=plan.tell,
        )
        measured = rehearse(copy, rehearsal, left, to, script)
    verdict = drill_verdict(measured, limit)
    state = append(workplace, state, acts.DRILLED, _details(measured, verdict, limit, rehearsal.replaced))
    seal(workplace)
    return Drilled(
        verdict=verdict, measured=measured, limit_seconds=limit, replaced=rehearsal.replaced, state=state
    )


def _versions(state: ReleaseState) -> tuple[Pinned, Pinned]:
    if state.open is not None:
        raise Refused(
            f"drill: got an open {state.open.kind} to {state.open.to} by {state.open.by}, expected none. "
            "Run `fielded release reconcile`, then this again"
        )
    if state.production is None:
        raise Refused(
            "drill: got nothing in production by the ledger, expected a version to leave. "
            "Run `fielded release adopt`"
        )
    if state.previous is None:
        raise Refused(
            f"drill: got no previous version of {state.production} in the ledger, expected one to go back to. "
            "The first that is promoted over it makes it the previous one"
        )
    return state.production, state.previous


def _open(workplace: Workplace, rehearsal: Rehearsal, state: ReleaseState) -> Workplace:
    """The copy, by the same person at the same clock, and sealed: a rollback seals no more there than at the site.

    Raises:
        Refused: somebody released something while it was made.
    """
    copy = open_workplace(
        rehearsal.deployment,
        rehearsal.site,
        user=workplace.user,
        clock=workplace.clock,
        random_bytes=workplace.random_bytes,
    )
    found = state_of(copy)
    if (found.production, found.previous, found.open) != (state.production, state.previous, state.open):
        raise Refused(
            f"drill: got {found.production} in production of the copy, expected {state.production}: somebody "
            "released meanwhile. Run it again"
        )
    seal(copy)
    return copy


def _bodies(copy: Workplace) -> list[bytes]:
    """Requests to score what was scored before, as far as it keeps the rules of today."""
    features = recent_features(copy.tables.find(copy.ledger.predictions), copy.deployment, _BODIES)
    bodies = [json.dumps({"subject": row.pop(SUBJECT), "features": row}).encode() for row in features.to_pylist()]
    if not bodies:
        raise Refused(
            "drill: got no recorded row of the versions in production and before it that keeps the definition's "
            "rules, expected some to ask for. Score a day first: `fielded score`"
        )
    return bodies


def _details(
    measured: Measured, verdict: Verdict, limit_seconds: float, replaced: tuple[str, ...]
) -> dict[str, Any]:
    shown = ("name", "outcome", "got", "expected")
    return {
        "passed": verdict.holds,
        "from": measured.left.as_dict(),
        "to": measured.to.as_dict(),
        **measured.as_details(),
        "limit_seconds": limit_seconds,
        "replaced": list(replaced),
        "fielded": fielded.__version__,
        "findings": [{name: getattr(finding, name) for name in shown} for finding in verdict.findings],
    }
