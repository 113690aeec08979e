"""Promote a candidate: gates, then intent, aliases, completion.

1. nothing is open, and nothing that the rules ask for is missing (`decisions.release.rules`);
2. the candidate's approved bytes load;
3. what becomes `previous` still loads and scores its recorded rows to the last bit: there is a way back;
4. the intent is on record;
5. `previous_alias` moves to what was in production, then `alias` to the candidate;
6. the completion is on record: from here on it is served;
7. its reviews after 30, 90 and 180 days are on record.

A process that dies after 4 leaves an open transition, which `fielded release reconcile` ends. Of two that promote
at once, the second to reach 4 is told who was first, and has changed nothing.
"""

from dataclasses import dataclass

from fielded.decisions.release import acts
from fielded.decisions.release.acts import Candidate, Pinned
from fielded.decisions.release.state import ReleaseState
from fielded.services.authority import require_release
from fielded.services.monitoring.schedule_reviews import not_scheduled
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.aliases import DELETED, set_aliases, settle_aliases
from fielded.services.release.asked import asked
from fielded.services.release.await_served import Followed
from fielded.services.release.record import Lost, append, state_of
from fielded.services.release.rollback import Wait, followed_by, no_wait, not_done, sealed
from fielded.services.release.verified import verified
from fielded.words.errors import Finding, Refused, Unreachable
from fielded.world.registry import NotRegistered
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What moved.

    Attributes:
        model: registered name.
        left: what was in production and is `previous` now; None at a first release.
        now: what is in production.
        replayed: recorded rows that `left` scored again to the last bit.
        seconds: from the start to its completion.
        followed: each running API's worker, and how long it took to serve `now`.
        served: whether every running API serves `now`; not where one was late or could not be asked.
        not_done: what could not be done or did not follow; empty where all was.
    """

    model: str
    left: Pinned | None
    now: Pinned
    replayed: int
    seconds: float
    followed: tuple[Followed, ...]
    served: bool
    not_done: tuple[str, ...]


def promote(workplace: Workplace, scorers: Scorers, version: str, *, wait: Wait = no_wait) -> Promotion:
    """Put a proposed version into production.

    Args:
        workplace: the deployment at its site.
        scorers: where models come from.
        version: proposed, compared, approved.
        wait: waits until all that run serve a version.

    Raises:
        Refused: the asking person may not release; a transition is open; a gate says no (with all findings); what
            would become `previous` does not replay.
        Lost: somebody else's act came first.
        Unreachable: the ledger or the registry; nothing was changed, or the transition is open and told of.
    """
    started = workplace.clock()
    require_release(workplace)
    state = state_of(workplace)
    candidate = _ready(workplace, state, version)
    workplace.registry.version(workplace.deployment.model.name, version)  # or its alias could not be set later
    verified(workplace, scorers, candidate.pinned)
    replayed = 0 if state.production is None else verified(workplace, scorers, state.production)
    left = None if state.production is None else state.production.as_dict()
    reason = {"reason": candidate.why, "comparison": candidate.comparison and candidate.comparison.event_id}
    intended = append(
        workplace, state, acts.PROMOTION_STARTED, {"from": left, "to": candidate.pinned.as_dict(), **reason}
    )
    completed = complete_promotion(workplace, intended)
    seconds = (workplace.clock() - started).total_seconds()
    late, followed = followed_by(wait, candidate.pinned)
    return Promotion(
        model=workplace.deployment.model.name,
        left=state.production,
        now=candidate.pinned,
        replayed=replayed,
        seconds=seconds,
        followed=followed,
        served=not late,
        not_done=tuple(
            item for item in (*late, not_done(completed), not_scheduled(workplace), sealed(workplace)) if item
        ),
    )


def complete_promotion(workplace: Workplace, intended: ReleaseState) -> ReleaseState:
    """Steps 5 and 6, for an open promotion."""
    intent = intended.open
    if intent is None:
        raise Refused("promotion: got none that is open, expected one. Look at `fielded release status`")
    alias: dict[str, str] = {}
    try:
        set_aliases(workplace, intent.to, intent.left)
    except NotRegistered:  # what was in production was deleted meanwhile; the site has its copy of it
        alias = {"alias": DELETED}
    except Unreachable as error:
        raise Unreachable(f"{error}. The promotion is open; `fielded release reconcile` ends it") from error
    try:
        return append(workplace, intended, acts.PROMOTED, {**intent.details, **alias})
    except Lost:  # to somebody who took us for dead and reconciled, while we moved aliases
        settle_aliases(workplace, intent.to)
        raise


def _ready(workplace: Workplace, state: ReleaseState, version: str) -> Candidate:
    """Rule 1, with every finding that is in the way."""
    if state.open is not None:
        raise Refused(
            f"promote: got an open {state.open.kind} to {state.open.to} by {state.open.by} at "
            f"{state.open.at:%Y-%m-%d %H:%M:%S} UTC, expected none. Run `fielded release reconcile`"
        )
    candidate = state.candidates.get(version)
    if candidate is None:
        raise Refused(_no_proposal(state, version))
    ref = workplace.deployment.model
    if state.production is None and (stands := workplace.registry.aliases(ref.name).get(ref.alias)) is not None:
        raise Refused(
            f"promote: got `{ref.alias}` on version {stands} and nothing in production by the ledger, expected "
            "what is served to be adopted first. Run `fielded release adopt`"
        )
    missing = [
        Finding(f"version {version}", finding.name, finding.got, finding.expected, finding.step)
        for finding in asked(workplace, candidate, state.production)
        if not finding.holds
    ]
    if missing:
        raise Refused(f"promote: got {len(missing)} findings in the way of version {version}:", missing)
    return candidate


def _no_proposal(state: ReleaseState, version: str) -> str:
    if state.production is not None and state.production.version == version:
        last = next(event for event in reversed(state.history) if event.kind in acts.INTO_PRODUCTION)
        return f"version {version}: got it in production already ({last}), expected a proposed version"
    return (
        f"version {version}: got no proposal of it, expected one of: {', '.join(state.candidates) or 'none'}. "
        f"Run `fielded release propose {version} -m WHY`"
    )
