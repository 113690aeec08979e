"""Put on record that the authorization began, and how far its work has come, by `decisions.ato.progress`."""

from datetime import date

from fielded.decisions.ato import progress as rules
from fielded.decisions.ato.progress import Kickoff, Progress
from fielded.decisions.ato.work import Work, left_out, work_of
from fielded.services.authority import require_release
from fielded.services.release.record import about
from fielded.services.seal import seal
from fielded.words.errors import Refused, WrongUse
from fielded.words.identifiers import uuid7
from fielded.world.ledger import Event
from fielded.world.workplace import Workplace


def progress_of(workplace: Workplace) -> Progress:
    """All that is on record of the authorization's work.

    Raises:
        Refused: an event cannot be read.
        Unreachable: the ledger.
    """
    return rules.fold(workplace.ledger.events_of(rules.KINDS, about(workplace)))


def kickoff(workplace: Workplace, reason: str, *, on: date | None = None, reference: str = "") -> Kickoff:
    """Record that the authorization began. There is one kickoff for a model.

    Args:
        workplace: whose `user` says so.
        reason: why the authorization is asked for.
        on: the day it began; None is today (UTC).
        reference: what shows the day, where it is an earlier one.

    Raises:
        Refused: the asking person may not; there is a kickoff; see `decisions.ato.progress`, rule 1.
        Unreachable: the ledger.
    """
    require_release(workplace)
    at = workplace.clock()
    day = on or at.date()
    # Nothing is read before it is written: a kickoff may be the first that a site's ledger hears of.
    rules.check_kickoff(Progress(), day, at.date(), reference, reason)
    details = {"on": day.isoformat(), "reference": reference.strip(), "reason": reason.strip()}
    event = Event(
        kind=rules.STARTED,
        about=about(workplace),
        actor=workplace.user,
        occurred_at=at,
        details=details,
        id=uuid7(int(at.timestamp() * 1000), workplace.random_bytes),
    )
    workplace.ledger.append_if(event, workplace.random_bytes, f"ato-kickoff/{about(workplace)}", 0)
    counts = progress_of(workplace).kickoff
    if counts is None or counts.event_id != event.id:
        raise Refused(f"kickoff: got a second one, expected none after the first, which counts ({counts})")
    seal(workplace)
    return counts


def start_item(workplace: Workplace, item: str, reason: str, on: date | None = None) -> Progress:
    """Record that an item of work was begun; one that was done is open again.

    Args:
        workplace: whose `user` says so.
        item: see `decisions.ato.work`.
        reason: what was begun, or why anew.
        on: the day; None is today (UTC).

    Raises:
        WrongUse: the plan has no such item.
        Refused: the asking person may not; see `decisions.ato.progress`, rule 2.
        Unreachable: the ledger.
    """
    return _said(workplace, rules.ITEM_STARTED, item, reason, on)


def finish_item(workplace: Workplace, item: str, reason: str, on: date | None = None) -> Progress:
    """Record that an item of work is done: arguments and errors as those of `start_item`."""
    return _said(workplace, rules.ITEM_DONE, item, reason, on)


def estimate_item(workplace: Workplace, item: str, low_days: int, high_days: int, reason: str) -> Progress:
    """Record how long an item takes, by whoever does it.

    Args:
        workplace: whose `user` says so.
        item: see `decisions.ato.work`.
        low_days: at least.
        high_days: at most.
        reason: whose estimate it is.

    Raises:
        WrongUse: the plan has no such item.
        Refused: the asking person may not; the range is none.
        Unreachable: the ledger.
    """
    require_release(workplace)
    work = _item(workplace, item)
    rules.check_estimate(low_days, high_days, reason)
    details = {"item": work.id, "low_days": low_days, "high_days": high_days, "reason": reason.strip()}
    workplace.record(rules.ITEM_ESTIMATED, about(workplace), details)
    seal(workplace)
    return progress_of(workplace)


def _said(workplace: Workplace, kind: str, item: str, reason: str, on: date | None) -> Progress:
    require_release(workplace)
    work, today = _item(workplace, item), workplace.clock().date()
    day = on or today
    rules.check_progress(progress_of(workplace), work.id, kind, day, today, reason)
    details = {"item": work.id, "on": day.isoformat(), "reason": reason.strip()}
    workplace.record(kind, about(workplace), details)
    seal(workplace)
    return progress_of(workplace)


def _item(workplace: Workplace, item: str) -> Work:
    ato = workplace.deployment.ato
    work = {one.id: one for one in work_of(ato)}
    if item in work:
        return work[item]
    absent = left_out(ato)
    why = f" ({absent[item]})" if item in absent else ""
    raise WrongUse(f"item: got {item}{why}, expected one of the plan: {', '.join(work)}")
