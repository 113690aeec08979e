"""Requests to retrain: opened by an alarm whose trigger asks for one, closed by a named person.

A request is a question to the monitoring owner, with a day. Nobody and nothing is retrained or promoted by it.
"""

from datetime import timedelta

from fielded.decisions.monitoring import watch
from fielded.decisions.monitoring.triggers import TriggerState
from fielded.decisions.monitoring.watch import Request, WatchState, open_request, unanswered
from fielded.services.authority import require_role
from fielded.services.monitoring.record import append_request, requests, watch_state
from fielded.services.seal import seal
from fielded.words.errors import Refused, WrongUse
from fielded.world.workplace import Workplace

_SHORTEST = 3  # characters of a reason


def open_where_asked(workplace: Workplace, state: WatchState) -> Request | None:
    """Open a request where an alarm asks for one that no request has answered; the open one is returned.

    Args:
        workplace: the deployment at its site.
        state: of the watch.

    Raises:
        Unreachable: the ledger cannot be written.
    """
    known = requests(workplace)
    alarms = unanswered(_asking(workplace, state), known)
    if not alarms or state.ran is None:
        return open_request(known)
    deployment = workplace.deployment
    due = workplace.clock().date() + timedelta(days=deployment.monitoring.retraining_due_days)
    numbered = len(known) + sum(one.closed_at is not None for one in known)
    details = {
        "request": f"retraining-{len(known) + 1}",
        "alarms": [one.alarm for one in alarms],
        "version": alarms[0].version,
        "owner": deployment.people.monitoring_owner.name,
        "due": due.isoformat(),
        "why": "; ".join(f"{one.trigger}: {one.instance} fires since {one.since}" for one in alarms),
    }
    append_request(workplace, numbered, watch.REQUESTED, details)  # lost: another run opened one
    return open_request(requests(workplace))


def close_retraining(workplace: Workplace, reason: str) -> Request:
    """Close the open request, saying what was done or why nothing is. It answers all alarms up to now.

    Raises:
        WrongUse: no reason.
        Refused: the asking person may not release, or no request is open.
        Unreachable: the ledger.
    """
    require_role(workplace, "release")
    text = reason.strip()
    if len(text) < _SHORTEST:
        raise WrongUse(f"-m: got {len(text)} characters, expected what was done, or why nothing is")
    known = requests(workplace)
    opened = open_request(known)
    if opened is None:
        raise Refused("close-retraining: got no open request, expected one. Look at `fielded monitor status`")
    alarms = sorted(one.alarm for one in _asking(workplace, watch_state(workplace)))
    numbered = 2 * len(known) - 1
    details = {"request": opened.id, "alarms": alarms, "reason": text}
    if not append_request(workplace, numbered, watch.CLOSED, details):
        raise Refused(f"close-retraining: lost {opened.id} to somebody who closed it first. Nothing was changed")
    seal(workplace)
    return next(one for one in requests(workplace) if one.id == opened.id)


def _asking(workplace: Workplace, state: WatchState) -> list[TriggerState]:
    """Alarms of triggers that ask for a request."""
    asks = {
        trigger.id
        for trigger in workplace.deployment.monitoring.triggers
        if "open_retraining_request" in trigger.then
    }
    return [one for one in state.states.values() if one.alarm and one.trigger in asks]
