"""Tell people of alarms: the site's webhook, and mail to the monitoring owner.

1. A channel is told of each alarm once. What could not be told is told at the next run, while it still fires.
2. Both are on record: `notified`, or `notification_failed` with its reason.
3. A message has a trigger's id, its metric, its numbers and what is asked of the owner; nothing of a row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fielded.decisions.monitoring import watch
from fielded.decisions.monitoring.triggers import TriggerState
from fielded.decisions.monitoring.watch import Request, WatchState
from fielded.services.monitoring.record import about
from fielded.world.notices import NotTold, post, send
from fielded.world.workplace import Workplace

WEBHOOK, MAIL = "webhook", "mail"

Message = Mapping[str, Any]
Send = Callable[[Message, str], None]  # a message, and what names it


@dataclass(frozen=True, slots=True)
class Told:
    """A channel that was told, or could not be.

    Attributes:
        channel: `webhook` or `mail`; empty where the site names neither.
        alarms: that it was about.
        failed: why it did not arrive; empty where it did.
    """

    channel: str
    alarms: tuple[str, ...]
    failed: str = ""


def notify(workplace: Workplace, state: WatchState, request: Request | None) -> tuple[Told, ...]:
    """Tell each channel of the alarms that it does not know of.

    Args:
        workplace: the deployment at its site.
        state: of the watch.
        request: to retrain, that is open; None where none is.

    Raises:
        Unreachable: the ledger cannot be read or written.
    """
    firing = _asking(workplace, state)
    if not firing or state.looked is None:
        return ()
    channels = _channels(workplace)
    if not channels:
        nobody = "the site names neither a webhook nor mail. Set `notify` in site.yaml"
        return (Told("", tuple(one.alarm for one in firing), nobody),)
    known = _known(workplace)
    told = []
    for channel, tell in channels.items():
        new = [one for one in firing if (channel, one.alarm) not in known]
        if new:
            message = _message(workplace, state.looked.details, new, request)
            told.append(_tell(workplace, channel, tell, message))
    return tuple(told)


def _tell(workplace: Workplace, channel: str, tell: Send, message: Message) -> Told:
    alarms = tuple(one["alarm"] for one in message["alarms"])
    details = {"channel": channel, "notice": message["notice"], "alarms": list(alarms)}
    try:
        tell(message, message["notice"])
    except NotTold as failure:
        workplace.record(watch.NOT_NOTIFIED, about(workplace), {**details, "reason": failure.reason})
        return Told(channel, alarms, failure.reason)
    workplace.record(watch.NOTIFIED, about(workplace), details)
    return Told(channel, alarms)


def _asking(workplace: Workplace, state: WatchState) -> list[TriggerState]:
    """What fires, that nobody acknowledged, and whose trigger asks for the owner to be told."""
    asks = {trigger.id for trigger in workplace.deployment.monitoring.triggers if "notify_owner" in trigger.then}
    return [one for one in state.states.values() if one.state == "firing" and one.trigger in asks]


def _known(workplace: Workplace) -> set[tuple[str, str]]:
    events = workplace.ledger.events_of(watch.NOTIFIED, about(workplace))
    return {(event["details"]["channel"], alarm) for event in events for alarm in event["details"]["alarms"]}


def _channels(workplace: Workplace) -> dict[str, Send]:
    settings, found = workplace.site.notify, dict[str, Send]()
    webhook, mail = settings.webhook, settings.mail
    if webhook is not None:
        found[WEBHOOK] = lambda message, notice: post(webhook, message, notice, workplace.clock())
    if mail is not None:
        to = [workplace.deployment.people.monitoring_owner.email]
        found[MAIL] = lambda message, _: send(mail, to, _subject(message), _text(message), workplace.clock())
    return found


def _message(
    workplace: Workplace, ran: Message, alarms: list[TriggerState], request: Request | None
) -> dict[str, Any]:
    deployment = workplace.deployment
    seen = {(one["trigger"], one["instance"]): one for one in ran["instances"]}
    bounds = {trigger.id: trigger.when for trigger in deployment.monitoring.triggers}
    return {
        "notice": f"{deployment.model.name}/{ran['number']}",
        "deployment": deployment.name,
        "model": deployment.model.name,
        "version": ran["version"],
        "as_of": ran["as_of"],
        "owner": deployment.people.monitoring_owner.name,
        "report_sha256": ran["report_sha256"],
        "alarms": [
            {
                "alarm": one.alarm,
                "trigger": one.trigger,
                "instance": one.instance,
                "since": one.since.isoformat(),
                "when": bounds[one.trigger],
                "value": seen.get(one.key, {}).get("value"),
                "rows": seen.get(one.key, {}).get("rows"),
                "why": seen.get(one.key, {}).get("why", "it was not measured in this run"),
            }
            for one in alarms
        ],
        "retraining": None
        if request is None
        else {"request": request.id, "due": request.due.isoformat(), "owner": request.owner, "why": request.why},
    }


def _subject(message: Message) -> str:
    triggers = ", ".join(dict.fromkeys(one["trigger"] for one in message["alarms"]))
    return f"{message['deployment']}: {triggers} fires"


def _text(message: Message) -> str:
    lines = [
        f"{message['deployment']}, version {message['version']}, up to {message['as_of']}:",
        "",
        *(
            f"- {one['trigger']}, {one['instance']}, since {one['since']}: {one['why']}"
            for one in message["alarms"]
        ),
        "",
        "`fielded monitor status` has all of it; `fielded monitor ack TRIGGER -m REASON` says that you know.",
    ]
    request = message["retraining"]
    if request is not None:
        asked = (
            f"{request['request']} is open and due on {request['due']}: decide whether to retrain. Nothing was "
            "retrained or promoted. `fielded monitor close-retraining -m WHAT_WAS_DONE` closes it."
        )
        lines += ["", asked]
    return "\n".join(lines) + "\n"
