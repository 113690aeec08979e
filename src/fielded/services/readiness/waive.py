"""Set an item of readiness aside, by name and for a time; and read whose waivers count.

The rules are in `decisions.readiness.items`. Here stands who is who: an identity is a person of the definition
where `authorization.persons` of the site says so.
"""

from datetime import date

from fielded.decisions.readiness.items import (
    ITEMS,
    LONGEST,
    WAIVED,
    Item,
    Waiver,
    items_of,
    what_is_in_the_way,
)
from fielded.decisions.release.state import ReleaseState
from fielded.services.authority import require_release, without_release
from fielded.services.evidence.collect import of_this, on_record, scope_of
from fielded.services.evidence.signed import proposer_of
from fielded.services.readiness.acknowledge import identities_of
from fielded.services.release.record import about, state_of
from fielded.services.seal import seal
from fielded.words.errors import Refused, WrongUse
from fielded.world.workplace import Workplace

_SHORTEST = 10  # characters of a reason


def waive(workplace: Workplace, number: int, reason: str, until: date) -> Waiver:
    """Answer for an item that failed, until a day.

    Args:
        workplace: whose `user` answers for it, at its `clock`.
        number: of the item.
        reason: why it may be set aside.
        until: last day on which it is (UTC).

    Raises:
        WrongUse: there is no such item, the reason says nothing, or the day is over or too far away.
        Refused: the asking person may not release, or the item is theirs; it was never collected, or nothing is in
            its way.
        Unreachable: the ledger.
    """
    require_release(workplace)
    (item,) = items_of((number,))
    now = workplace.clock()
    text = reason.strip()
    if len(text) < _SHORTEST:
        raise WrongUse(f"-m: got {len(text)} characters, expected a reason that others can follow")
    latest = now.date() + LONGEST
    if not now.date() <= until <= latest:
        raise WrongUse(f"--until: got {until}, expected a day from {now.date()} to {latest}")
    state = state_of(workplace)
    own = why_own(workplace, item, workplace.user, state)
    if own:
        raise Refused(f"waive item {number}: got {workplace.user}, who {own}, expected somebody else (AC-5)")
    collected = on_record(workplace).get(item.key)
    if collected is None:
        raise Refused(
            f"waive item {number}: got no evidence of it, expected what is to be set aside. "
            f"Run `fielded ready --item {number}`"
        )
    in_the_way = what_is_in_the_way(of_this(collected, scope_of(workplace)), now)
    if not in_the_way:
        raise Refused(f"waive item {number}: got one that is passed, expected something in its way")
    waiver = Waiver(
        item=number,
        by=workplace.user,
        at=now,
        until=until,
        reason=text,
        in_the_way=in_the_way,
        model=_model(state),
    )
    details = {**waiver.as_dict(), "key": item.key, "evidence_sha256": collected.sha256}
    workplace.record(WAIVED, about(workplace), details)
    seal(workplace)
    mine = [one for one in _all(workplace) if (one.item, one.by) == (number, workplace.user)]
    return mine[-1]  # at the ledger's own moment


def waivers_that_count(workplace: Workplace, state: ReleaseState) -> tuple[Waiver, ...]:
    """Waivers of people who may still release, and whose own the item is not now; oldest first.

    Raises:
        Refused: an event cannot be read.
        Unreachable: the ledger.
    """
    found = _all(workplace)
    no_more = without_release(workplace.site, {one.by for one in found})
    items = {item.number: item for item in ITEMS}
    return tuple(
        one
        for one in found
        if one.by not in no_more and one.item in items
        if not why_own(workplace, items[one.item], one.by, state)
    )


def _all(workplace: Workplace) -> list[Waiver]:
    """Every waiver on record, oldest first."""
    found = []
    for event in workplace.ledger.events_of(WAIVED, about(workplace)):
        try:
            found.append(Waiver.read(event))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(
                f"event {event['sequence']}: got a waiver without a readable {error}, expected what fielded "
                "writes. Run `fielded audit verify`"
            ) from None
    return found


def why_own(workplace: Workplace, item: Item, identity: str, state: ReleaseState) -> str:
    """Why an item is somebody's own (rule 4); empty where it is not.

    Args:
        workplace: whose definition and site count.
        item: that would be waived.
        identity: who would.
        state: of the releases.
    """
    if identity == proposer_of(state, state.production):
        return "proposed the version in production"
    person = getattr(workplace.deployment.people, item.asked_of)
    if identity in identities_of(workplace.site, person):
        return f"is the {item.asked_of.replace('_', ' ')}, of whom the item asks something"
    return ""


def _model(state: ReleaseState) -> str:
    return "" if state.production is None else state.production.sha256
