"""End what a crash left open, and put the aliases where the ledger says.

A rollback is finished: its version was seen to load, and who began it wanted production to change at once. A
promotion is finished where `alias` stands on its version already, and undone where it does not, or where the
registry cannot be asked: then production is what it was, and a rollback is possible again.
"""

from dataclasses import dataclass

from fielded.decisions.release import acts
from fielded.decisions.release.acts import Intent
from fielded.decisions.release.state import ReleaseState
from fielded.services.authority import require_release
from fielded.services.monitoring.schedule_reviews import not_scheduled
from fielded.services.release.aliases import UNREACHABLE, settle_aliases, try_aliases
from fielded.services.release.observe import observe
from fielded.services.release.promote import complete_promotion
from fielded.services.release.record import Lost, append, state_of
from fielded.services.release.rollback import complete_rollback, not_done
from fielded.services.seal import seal
from fielded.words.errors import Unreachable
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was done.

    Attributes:
        done: a sentence for each thing; empty where all was in order.
        not_done: what could not be done; empty where all was.
        state: by the ledger, afterwards.
    """

    done: tuple[str, ...]
    not_done: str
    state: ReleaseState


def reconcile(workplace: Workplace) -> Reconciled:
    """See the module.

    Raises:
        Refused: the asking person may not release.
        Lost: somebody else acted meanwhile.
        Unreachable: the ledger.
    """
    require_release(workplace)
    state = state_of(workplace)
    done: list[str] = []
    left = ""
    if state.open is not None:
        finished, state = _end(workplace, state, state.open)
        done.append(finished)
        left = not_done(state) if state.history[-1].details.get("alias") == UNREACHABLE else ""
    if state.production is not None and not left:  # a registry that was just seen to be down is not asked again
        try:
            done += _put_aliases(workplace)
        except Unreachable:
            left = not_done(state_of(workplace)) or "The registry cannot be reached"
    seal(workplace)
    return Reconciled(tuple(done), left, state_of(workplace))


def _end(workplace: Workplace, state: ReleaseState, intent: Intent) -> tuple[str, ReleaseState]:
    begun = f"that {intent.by} began at {intent.at:%Y-%m-%d %H:%M:%S} UTC"
    if intent.kind == acts.ROLLBACK_STARTED:
        return f"finished the rollback to {intent.to} {begun}", complete_rollback(workplace, state)
    moved = _alias_moved_by(workplace, intent)
    if moved:
        completed = complete_promotion(workplace, state)
        unscheduled = not_scheduled(workplace)
        return ". ".join(filter(None, (f"finished the promotion of {intent.to} {begun}", unscheduled))), completed
    alias: dict[str, str] = {}
    if intent.left is not None:
        known = moved is not None
        alias = try_aliases(workplace, intent.left, state.previous) if known else {"alias": UNREACHABLE}
    undone = append(workplace, state, acts.PROMOTION_UNDONE, {**intent.details, **alias})
    return f"undid the promotion of {intent.to} {begun}", undone


def _alias_moved_by(workplace: Workplace, intent: Intent) -> bool | None:
    """Whether `alias` stands where the intent puts it; None where the registry cannot be asked."""
    ref = workplace.deployment.model
    try:
        return workplace.registry.aliases(ref.name).get(ref.alias) == intent.to.version
    except Unreachable:
        return None


def _put_aliases(workplace: Workplace) -> list[str]:
    """Put differences on record, and then right."""
    ref = workplace.deployment.model
    missing = {str(told["version"]) for kind, told in observe(workplace) if kind == acts.VERSION_MISSING}
    state = state_of(workplace)
    if state.production is None or state.open is not None:
        return []
    named = {ref.previous_alias: state.previous, ref.alias: state.production}
    wanted = {
        alias: pinned.version
        for alias, pinned in named.items()
        if pinned is not None and pinned.version not in missing
    }
    standing = workplace.registry.aliases(ref.name)
    moved = {alias: version for alias, version in wanted.items() if standing.get(alias) != version}
    for alias, version in moved.items():
        workplace.registry.point(ref.name, alias, version)
    if moved or state.aliases_due:
        try:
            append(workplace, state, acts.ALIASES_SET, {"aliases": wanted})
        except Lost:  # production changed while we put aliases where it was
            settle_aliases(workplace, state.production)
            raise
    return [
        *(f"the registry has no version {version} any more; the site's copy is served" for version in missing),
        *(
            f"set `{alias}` from {_told(standing.get(alias))} to version {version}"
            for alias, version in moved.items()
        ),
    ]


def _told(version: str | None) -> str:
    return "nothing" if version is None else f"version {version}"
