"""Move the registry's aliases to where the ledger says. Who did it and why is the ledger's to know."""

from fielded.decisions.release.acts import Pinned
from fielded.services.release.record import state_of
from fielded.words.deadline import within
from fielded.words.errors import FieldedError, Unreachable
from fielded.world.registry import NotRegistered
from fielded.world.workplace import Workplace

UNREACHABLE = "not moved: registry unreachable"
DELETED = "not moved: the registry has a version no more"
LATER = "not moved yet: the APIs came first"
LATER_SECONDS = 60.0  # when nobody waits for them any more; a client takes seconds to start on a busy machine
SECONDS = 5.0  # a client of MLflow may try for minutes; what workers serve must not wait for that


def set_aliases(workplace: Workplace, production: Pinned, previous: Pinned | None) -> None:
    """Point `previous_alias` first and then `alias`, so that whoever sees the new version also sees the way back.

    Raises:
        NotRegistered: a version was deleted; the other alias was moved all the same.
        Unreachable: the registry.
    """
    ref = workplace.deployment.model
    gone: NotRegistered | None = None
    if previous is not None:
        try:
            workplace.registry.point(ref.name, ref.previous_alias, previous.version)
        except NotRegistered as error:
            gone = error
    workplace.registry.point(ref.name, ref.alias, production.version)
    if gone is not None:
        raise gone


def try_aliases(
    workplace: Workplace, production: Pinned, previous: Pinned | None, seconds: float = SECONDS
) -> dict[str, str]:
    """`set_aliases`, where going on matters more.

    Args:
        workplace: the deployment at its site.
        production: where `alias` goes.
        previous: where `previous_alias` goes; None leaves it.
        seconds: how long it may take.

    Returns:
        What a completion says of it: nothing where they were moved, else why not, under `alias`.
    """
    try:
        within(seconds, lambda: set_aliases(workplace, production, previous))
    except (Unreachable, TimeoutError):
        return {"alias": UNREACHABLE}
    except NotRegistered:
        return {"alias": DELETED}
    return {}


def settle_aliases(workplace: Workplace, moved_to: Pinned) -> None:
    """Put aliases back after losing to somebody who may have set them before we did; `moved_to` is where we put
    `alias`.

    Best effort: what is left is found by `fielded release status`.
    """
    try:
        state = state_of(workplace)
        if state.production is None or state.production == moved_to or state.open is not None:
            return
        set_aliases(workplace, state.production, state.previous)
    except FieldedError:
        return
