"""One run of the watch.

1. everything is read and measured as it was up to a day (`look`, which changes nothing);
2. its report is written;
3. `monitor_ran` is on record, onto the state that the run rests on: of two that run at once, the second is told;
4. what changed is on record, a retraining request is opened where an alarm asks for one, and people are told;
5. all of it is sealed.

A process that dies after 3 has run; the next run does what is left of 4, for it follows from what is on record.
Nothing here ever retrains a model or promotes one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from fielded.decisions.monitoring import watch
from fielded.decisions.monitoring.instances import Measurer
from fielded.decisions.monitoring.triggers import (
    Change,
    Evaluation,
    Key,
    Look,
    TriggerState,
    changes,
    evaluate,
    moved,
)
from fielded.decisions.monitoring.watch import Request, WatchState
from fielded.services.authority import require_role
from fielded.services.monitoring.notify import Told, notify
from fielded.services.monitoring.record import about, append, watch_state
from fielded.services.monitoring.retraining import open_where_asked
from fielded.services.monitoring.schedule_reviews import schedule_reviews
from fielded.services.monitoring.sources import read_sources
from fielded.services.seal import seal
from fielded.words.errors import WrongUse
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

_DAY = timedelta(days=1)
_SHORTEST = 3  # characters of a reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """All that one look saw. Nothing was written.

    Attributes:
        as_of: last whole day that was looked at.
        at: when, UTC.
        model: in production.
        sha256: of its approved files.
        measurer: what was read, ready to measure more of.
        evaluations: of every instance, in the order of the definition.
        before: where the watch stood.
        states: of every instance, after this look.
        changes: of states.
        look_back: whether a later day was looked at before; such a look changes no state.
        buckets: of the API's latency, for the next look.
    """

    as_of: date
    at: datetime
    model: RegisteredVersion
    sha256: str
    measurer: Measurer
    evaluations: tuple[Evaluation, ...]
    before: WatchState
    states: Mapping[Key, TriggerState]
    changes: tuple[Change, ...]
    look_back: bool
    buckets: Mapping[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorRun:
    """What a run did.

    Attributes:
        looked: what it saw.
        event_id: of `monitor_ran`.
        number: of the run.
        report_sha256: of its report; empty where none was written.
        request: to retrain, that is open now; None where none is.
        told: who was told, and who could not be.
    """

    looked: Looked
    event_id: str
    number: int
    report_sha256: str
    request: Request | None
    told: tuple[Told, ...]


Report = Callable[[Looked], str]  # writes the report and gives its SHA-256


def no_report(_looked: Looked) -> str:
    """For who wants none."""
    return ""


def last_whole_day(workplace: Workplace) -> date:
    """Yesterday, UTC."""
    return workplace.clock().date() - _DAY


def look(workplace: Workplace, as_of: date | None = None) -> Looked:
    """Read and measure everything.

    Args:
        workplace: the deployment at its site.
        as_of: last day that is looked at; None is the last whole day, which is yesterday (UTC).

    Raises:
        WrongUse: the day is not over.
        Refused: what is in production is not approved, or the monitor's events break a rule.
        Unreachable: a table cannot be read.
    """
    now = workplace.clock()
    day = as_of or last_whole_day(workplace)
    if day >= now.date():
        raise WrongUse(f"--as-of: got {day}, expected a day that is over: at the latest {now.date() - _DAY}")
    before = watch_state(workplace)
    monitoring = workplace.deployment.monitoring
    moment = now if as_of is None else datetime.combine(day + _DAY, time(), UTC)
    read = read_sources(workplace, day, moment, _buckets(before))
    measurer = Measurer(read.sources, monitoring.labels)
    evaluations = tuple(
        evaluate(trigger, measured) for trigger in monitoring.triggers for measured in measurer.measure(trigger)
    )
    look_back = before.looked is not None and day < before.looked.as_of
    states: Mapping[Key, TriggerState] = before.states
    if not look_back:
        this = Look(day, read.model.version, str(before.count + 1))
        states = moved(before.states, monitoring.triggers, evaluations, this)
    return Looked(
        as_of=day,
        at=now,
        model=read.model,
        sha256=read.sha256,
        measurer=measurer,
        evaluations=evaluations,
        before=before,
        states=states,
        changes=changes(before.states, states, evaluations),
        look_back=look_back,
        buckets=read.buckets,
    )


def run(workplace: Workplace, as_of: date | None = None, report: Report = no_report) -> MonitorRun:
    """Look, put on record what was seen, and do what triggers ask for. Reviews that are due and that no promotion
    came to schedule are scheduled.

    Args:
        workplace: the deployment at its site.
        as_of: see `look`.
        report: writes the report before the run is on record, which holds its SHA-256.

    Raises:
        WrongUse, Refused, Unreachable: as `look`; or another run was first.
    """
    schedule_reviews(workplace)
    looked = look(workplace, as_of)
    sha256 = report(looked)
    event_id = append(workplace, looked.before.count, watch.RAN, _details(workplace, looked, sha256))
    now = watch_state(workplace)
    _record_changes(workplace, now)
    request = open_where_asked(workplace, now)
    told = notify(workplace, now, request)
    seal(workplace)
    return MonitorRun(
        looked=looked,
        event_id=event_id,
        number=looked.before.count + 1,
        report_sha256=sha256,
        request=request,
        told=told,
    )


def acknowledge(workplace: Workplace, named: str, reason: str) -> tuple[TriggerState, ...]:
    """Put on record that the asking person knows of an alarm.

    Args:
        workplace: the deployment at its site.
        named: a trigger's id, or `ID/INSTANCE` for one instance.
        reason: what they make of it.

    Returns:
        The instances, as they stand now.

    Raises:
        WrongUse: no reason.
        Refused: the person may not review, or nothing so named fires.
    """
    require_role(workplace, "review")
    text = given(reason)
    state = watch_state(workplace)
    found = watch.firing_of(state, named)
    details = {"trigger": found[0].trigger, "instances": [one.instance for one in found], "reason": text}
    append(workplace, state.count, watch.ACKNOWLEDGED, details)
    seal(workplace)
    now = watch_state(workplace)
    return tuple(now.states[one.key] for one in found)


def given(reason: str) -> str:
    """A reason without space around it.

    Raises:
        WrongUse: it says nothing.
    """
    text = reason.strip()
    if len(text) < _SHORTEST:
        raise WrongUse(f"-m: got {len(text)} characters, expected a reason that others can follow")
    return text


def _buckets(state: WatchState) -> dict[float, float]:
    held = {} if state.ran is None else state.ran.details.get("latency_buckets", {})
    return {float(bound): float(count) for bound, count in held.items()}


def _details(workplace: Workplace, looked: Looked, report_sha256: str) -> dict[str, Any]:
    return {
        "as_of": looked.as_of.isoformat(),
        "version": looked.model.version,
        "sha256": looked.sha256,
        "definition_sha256": workplace.deployment.sha256,
        "report_sha256": report_sha256,
        "look_back": looked.look_back,
        "instances": [_instance(one) for one in looked.evaluations],
        "states": [state.as_dict() for state in looked.states.values()],
        "changes": [watch.change_told(change) for change in looked.changes],
        "latency_buckets": {str(bound): count for bound, count in looked.buckets.items()},
    }


def _instance(evaluation: Evaluation) -> dict[str, Any]:
    measured = evaluation.measured
    numbers = ("value", "low", "high", "chance_limit", "rows", "reference_rows")
    return {
        "trigger": evaluation.trigger,
        "instance": str(measured.metric),
        "outcome": evaluation.outcome,
        "why": evaluation.why,
        **{name: getattr(measured, name) for name in numbers},
        "first_day": None if measured.first_day is None else measured.first_day.isoformat(),
        "last_day": None if measured.last_day is None else measured.last_day.isoformat(),
    }


def _record_changes(workplace: Workplace, state: WatchState) -> None:
    """`trigger_changed` for each trigger that the last run changed; once, whoever comes after a run that died."""
    if state.ran is None:
        return
    by_trigger: dict[str, list[Mapping[str, Any]]] = {}
    for change in state.ran.details["changes"]:
        by_trigger.setdefault(change["trigger"], []).append(change)
    model = workplace.deployment.model.name
    for trigger, changed in by_trigger.items():
        details = {"run": state.ran.number, "trigger": trigger, "changes": changed}
        once = f"trigger_changed/{model}/{state.ran.number}/{trigger}"
        workplace.record(watch.CHANGED, about(workplace), details, once=once)
