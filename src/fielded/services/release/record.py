"""Read the release state from the ledger, and append to it only onto what was read.

Two that act at once both read a state; the first to append changes it, and the second is told what it lost to.
"""

from collections.abc import Mapping
from typing import Any

from fielded.decisions.release import acts
from fielded.decisions.release.acts import ReleaseEvent
from fielded.decisions.release.state import ReleaseState, after, fold
from fielded.words.errors import Refused
from fielded.words.identifiers import uuid7
from fielded.world.ledger import Event, ReleaseEvents, release_application
from fielded.world.workplace import Workplace

# Acts that stay what they are whatever else happened, as far as the rules still allow them.
_ANY_TIME = frozenset(
    {
        acts.PROPOSED, acts.COMPARED, acts.APPROVED, acts.WAIVED, acts.WITHDRAWN, acts.DRILLED,
        acts.TRIAL_STARTED, acts.TRIAL_ENDED,
    }
)  # fmt: skip
_HARMLESS = acts.OBSERVATIONS | {acts.DRILLED}  # what changes no decision that another act rests on
# What rests on production and previous alone: a rollback does not fail because somebody approves in that moment.
_ON_PRODUCTION = frozenset({acts.ROLLBACK_STARTED, acts.ALIASES_SET})


class Lost(Refused):
    """Somebody else acted on the same state first."""


def about(workplace: Workplace) -> str:
    """What release events are about."""
    return f"model {workplace.deployment.model.name}"


def state_of(workplace: Workplace) -> ReleaseState:
    """Where the releases of the deployment's model stand, by the ledger.

    Raises:
        Refused: its events break a rule; names it.
        Unreachable: the ledger cannot be read.
    """
    return state_from(workplace.ledger.release_events(about(workplace)))


def released_under_another_name(workplace: Workplace, state: ReleaseState) -> Refused | None:
    """Why the registry's alias must not decide, although nothing of this model was released: the ledger has
    releases of another. Whoever renames a model in deployment.yaml would else step around every gate.
    """
    if state.production is not None:
        return None
    own = about(workplace)
    found = workplace.ledger.events_of({acts.ADOPTED, acts.PROMOTED, acts.ROLLED_BACK})
    others = sorted({event["about"] for event in found if event["about"] != own and "turn" in event["details"]})
    if not others:
        return None
    return Refused(
        f"model.name: got {own}, of which nothing was adopted or promoted, expected {', '.join(others)}, of which "
        "this ledger has releases. If the change is meant, run `fielded release adopt`"
    )


def state_from(read: ReleaseEvents) -> ReleaseState:
    """The state that events lead to, all of them there.

    Raises:
        Refused: see `state_of`.
    """
    try:
        events = [ReleaseEvent.read(row) for row in read.events]
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(
            f"release events (rule 1 of release state): got one without a readable {error}, expected what fielded "
            "writes. Run `fielded audit verify`"
        ) from None
    state = fold(events)
    if state.count != read.count:
        raise Refused(
            f"release events (rule 1 of release state): got {state.count}, expected {read.count}, as many as were "
            "appended. Run `fielded audit verify`"
        )
    return state


def append(workplace: Workplace, state: ReleaseState, kind: str, details: Mapping[str, Any]) -> ReleaseState:
    """Append an act or observation of the asking person onto the state that it rests on.

    Comparisons, approvals and the like are tried again on what others made of the state meanwhile, as far as the
    rules still allow them; so is a rollback, where nothing of what is in production was touched. A promotion and
    what completes it are not, unless only observations came between.

    Args:
        workplace: whose `user` acts, at its `clock`.
        state: as it was read before.
        kind: see `decisions.release.acts`.
        details: see there; the turn is added.

    Returns:
        The state with it, and nothing of what others did later.

    Raises:
        Refused: the rules do not allow it.
        Lost: somebody acted first; says who, and what.
        Unreachable: the ledger cannot be written.
    """
    at = workplace.clock()
    event_id = uuid7(int(at.timestamp() * 1000), workplace.random_bytes)
    lost_to: tuple[ReleaseEvent, ...] = ()
    while True:
        turn = state.count + 1
        event = ReleaseEvent(
            turn=turn, event_id=event_id, kind=kind, actor=workplace.user, at=at, details={**details, "turn": turn}
        )
        try:
            reached = after(state, event)
        except Refused as refusal:
            if lost_to:
                raise _lost(lost_to, kind, str(refusal)) from None
            raise
        if _append(workplace, event, state.count):
            return reached
        seen = state.count
        state = state_of(workplace)
        lost_to = state.history[seen:]
        if kind == acts.WAIVED and any(event.kind == acts.COMPARED for event in lost_to):
            raise _lost(lost_to, kind, "Its signer has not seen that comparison. Look at `fielded release status`")
        if not _still_stands(kind, lost_to):
            raise _lost(lost_to, kind, "Look at `fielded release status` and decide anew")


def _append(workplace: Workplace, event: ReleaseEvent, expected: int) -> bool:
    subject = about(workplace)
    entry = Event(
        kind=event.kind,
        about=subject,
        actor=event.actor,
        occurred_at=event.at,
        details=event.details,
        id=event.event_id,
    )
    return workplace.ledger.append_if(entry, workplace.random_bytes, release_application(subject), expected)


def _still_stands(kind: str, lost_to: tuple[ReleaseEvent, ...]) -> bool:
    """Whether an act is tried again on what others did first."""
    if kind in acts.OBSERVATIONS:
        return False  # what was seen may be over
    if kind in _ON_PRODUCTION:
        return not any(event.kind in acts.TRANSITIONS for event in lost_to)
    return kind in _ANY_TIME or all(event.kind in _HARMLESS for event in lost_to)


def _lost(events: tuple[ReleaseEvent, ...], kind: str, step: str) -> Lost:
    weighty = [event for event in events if event.kind not in _HARMLESS] or list(events)
    first = next((event for event in weighty if event.kind in acts.TRANSITIONS), weighty[0])
    version = first.details.get("to", first.details)
    of = f" of version {version['version']}" if isinstance(version, Mapping) and "version" in version else ""
    return Lost(f"{kind}: lost to {first}{of}, which was first. Nothing was changed. {step}")
