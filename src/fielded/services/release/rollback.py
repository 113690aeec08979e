"""Go back to the previous version: one command, and no gate in its way but who asks.

1. the previous version's approved bytes load and score their recorded rows to the last bit;
2. the intent is on record;
3. the aliases are exchanged, as far as the registry can be reached;
4. the completion is on record: from here on it is served, and says so where an alias could not be moved;
5. every running API is waited for, and only then the ledger sealed.

Where every running API holds the previous version loaded and has replayed recorded rows with it, that is step 1:
nothing is loaded once more; and step 3 comes after 5, for a registry's client takes seconds to start.

The ledger decides what is served, so neither a registry that is down nor an alias that stands elsewhere keeps
production on the bad version.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from fielded.decisions.release import acts
from fielded.decisions.release.acts import Pinned, ReleaseEvent
from fielded.decisions.release.state import ReleaseState
from fielded.services.approve import check_approved
from fielded.services.authority import require_release
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt_aliases
from fielded.services.release.aliases import LATER, LATER_SECONDS, settle_aliases, try_aliases
from fielded.services.release.await_served import Followed, held_ready
from fielded.services.release.record import Lost, append, state_of
from fielded.services.release.verified import verified
from fielded.services.seal import seal
from fielded.words.errors import FieldedError, Refused
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

Wait = Callable[[Pinned], Sequence[Followed]]


def no_wait(_pinned: Pinned) -> Sequence[Followed]:
    """Wait for no API."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """What moved.

    Attributes:
        model: registered name.
        left: what was in production, and is `previous` now.
        now: what is in production.
        replayed: recorded rows that `now` scored again to the last bit.
        not_done: what could not be done, and what finishes it; empty where all was.
        seconds: from the start to its completion.
        followed: each running API's worker, and how long it took to serve `now`.
        served: whether every running API serves `now`; not where one was late or could not be asked.
    """

    model: str
    left: Pinned
    now: Pinned
    replayed: int
    not_done: tuple[str, ...]
    seconds: float
    followed: tuple[Followed, ...] = ()
    served: bool = True


def rollback(
    workplace: Workplace, scorers: Scorers, reason: str, *, leave: str | None = None, wait: Wait = no_wait
) -> Rollback:
    """Put the previous version back into production. One that died half-way is completed.

    Args:
        workplace: the deployment at its site.
        scorers: where models come from.
        reason: why the version in production must go.
        leave: what the asking person takes to be in production; None takes whatever is, unless a rollback put it
            there: of two who roll back one after the other, the second would bring the bad version back.
        wait: waits until all that run serve a version.

    Where nothing was adopted yet, what the aliases stand on is, so that the ledger decides from here on.

    Raises:
        Refused: the asking person may not release; `leave` is not in production, or is not given after a rollback;
            there is no previous version, or it does not load or replay; a promotion is open.
        NotApproved: the previous version's files are not approved.
        ArtifactChanged: they are others, and the site holds no copy of the approved ones.
        Lost: somebody else's act came first.
        Unreachable: the ledger; or the registry, where the site holds no copy of the files.
    """
    started = workplace.clock()
    require_release(workplace)
    if not reason.strip():
        raise Refused("reason: got nothing, expected why the version in production must go")
    state = state_of(workplace)
    if state.open is not None and state.open.kind != acts.ROLLBACK_STARTED:
        raise Refused(
            f"rollback: got an open {state.open.kind} to {state.open.to} by {state.open.by}, expected none. "
            "Run `fielded release reconcile`, then this again"
        )
    _check_leaves(state, leave)
    replayed, ready = 0, False
    if state.open is None:
        state, replayed, ready = _begin(workplace, scorers, state, reason.strip())
    intent = state.open
    if intent is None or intent.left is None:  # a rollback always leaves something
        raise Refused("rollback: got none that is open, expected the one just begun")
    completed = complete_rollback(workplace, state, aliases_later=ready)
    seconds = (workplace.clock() - started).total_seconds()
    late, followed = followed_by(wait, intent.to)
    if ready:
        completed = _aliases_after(workplace, completed)
    return Rollback(
        model=workplace.deployment.model.name,
        left=intent.left,
        now=intent.to,
        replayed=replayed,
        not_done=tuple(item for item in (*late, not_done(completed), sealed(workplace)) if item),
        seconds=seconds,
        followed=followed,
        served=not late,
    )


def followed_by(wait: Wait, pinned: Pinned) -> tuple[list[str], tuple[Followed, ...]]:
    """Who serves `pinned` after waiting, and a sentence for each who does not. The act stands all the same."""
    try:
        followed = tuple(wait(pinned))
    except FieldedError as error:
        return [f"The running APIs could not be asked what they serve: {error}"], ()
    return [
        f"{one}. It may still serve the version that was left" for one in followed if not one.follows
    ], followed


def _check_leaves(state: ReleaseState, leave: str | None) -> None:
    if state.production is None or state.production.version == leave:
        return
    last = _last(state, acts.INTO_PRODUCTION)
    if leave is not None:
        raise Refused(
            f"rollback: got {state.production} in production, expected version {leave}. What put it there was "
            f"{last}. Look at `fielded release status`"
        )
    if state.open is None and last is not None and last.kind == acts.ROLLED_BACK:
        raise Refused(
            f"rollback: got {state.production} in production through {last}, expected `--leave "
            f"{state.production.version}` from whoever means to undo that: it would bring {state.previous} back. "
            "Nothing was changed"
        )


def _last(state: ReleaseState, kinds: AbstractSet[str]) -> ReleaseEvent | None:
    return next((event for event in reversed(state.history) if event.kind in kinds), None)


def sealed(workplace: Workplace) -> str:
    """Why the act is not sealed yet; empty where it is. It stands, whatever the seals say."""
    try:
        seal(workplace)
    except FieldedError as error:
        return f"The ledger was not sealed: {error}"
    return ""


def not_done(state: ReleaseState) -> str:
    """What is left to do after a transition, for people; empty where nothing is."""
    if not state.aliases_due:
        return ""
    last = _last(state, acts.TRANSITIONS)
    why = "not moved" if last is None else str(last.details.get("alias", "not moved"))
    return (
        f"The registry's aliases were {why}. What is served is right all the same: the ledger decides. "
        "`fielded release reconcile` moves them once it can be reached"
    )


def complete_rollback(
    workplace: Workplace, intended: ReleaseState, *, aliases_later: bool = False
) -> ReleaseState:
    """Steps 3 and 4, for an open rollback; or 4 alone, which then says that the aliases are still to be moved."""
    intent = intended.open
    if intent is None:
        raise Refused("rollback: got none that is open, expected one. Look at `fielded release status`")
    alias = {"alias": LATER} if aliases_later else try_aliases(workplace, intent.to, intent.left)
    try:
        return append(workplace, intended, acts.ROLLED_BACK, {**intent.details, **alias})
    except Lost:
        settle_aliases(workplace, intent.to)
        raise


def _aliases_after(workplace: Workplace, completed: ReleaseState) -> ReleaseState:
    """Step 3 after the others. What could not be moved is told, and `fielded release reconcile` finishes it."""
    if completed.production is None:
        return completed
    if try_aliases(workplace, completed.production, completed.previous, LATER_SECONDS):
        return completed
    ref, pinned = workplace.deployment.model, {"alias": completed.production, "previous": completed.previous}
    names = {"alias": ref.alias, "previous": ref.previous_alias}
    aliases = {names[name]: one.version for name, one in pinned.items() if one is not None}
    try:
        return append(workplace, completed, acts.ALIASES_SET, {"aliases": aliases})
    except Lost:
        settle_aliases(workplace, completed.production)
        return replace(completed, aliases_due=False)
    except FieldedError:
        return completed


def _begin(
    workplace: Workplace, scorers: Scorers, state: ReleaseState, reason: str
) -> tuple[ReleaseState, int, bool]:
    """Steps 1 and 2; how many rows were replayed, and whether every running API holds the version."""
    if state.production is None:
        state = adopt_aliases(workplace, state)
    if state.production is None or state.previous is None:
        raise Refused(
            f"rollback: got no previous version of {state.production} in the ledger, expected one to go back to. "
            "The first that is promoted over it makes it the previous one"
        )
    check_approved(
        workplace.ledger,
        RegisteredVersion(workplace.deployment.model.name, state.previous.version),
        state.previous.sha256,
    )
    held = held_ready(workplace, state.previous)
    replayed = verified(workplace, scorers, state.previous) if held is None else held
    details = {
        "from": state.production.as_dict(),
        "to": state.previous.as_dict(),
        "reason": reason,
    }
    return append(workplace, state, acts.ROLLBACK_STARTED, details), replayed, held is not None
