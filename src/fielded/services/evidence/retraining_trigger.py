"""Evidence that retraining has a trigger: a metric with a number, simulated, and armed (MEASURE 2.4, MANAGE 2.3).

1. A trigger of the definition opens a retraining request. A metric without a number cannot be written there.
2. One of them at least was simulated, as it is defined now and for the model in production; where none is on
   record it is done here, over a small number of years, and put on record.
3. The monitor ran with this definition over this version, and as often as the windows can count: a window counts
   once a tenth of its days is new, so that who looks at least so often misses nothing.
4. The watch knows a state of each of them. `insufficient_data` is such a state, and is told.
5. No request to retrain waits for longer than the definition allows: an alarm that nobody answers is none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.monitoring.triggers import TENTH, TriggerState
from fielded.decisions.monitoring.watch import Request, WatchState, open_request
from fielded.decisions.release.acts import Pinned
from fielded.definition.monitoring import Trigger
from fielded.services.evidence.collect import Bench
from fielded.services.monitoring.record import requests, watch_state
from fielded.services.monitoring.simulated import simulate_on_record, simulations, trigger_sha256
from fielded.services.prepare_scorer import resolve
from fielded.words.errors import Refused, WrongUse
from fielded.world.workplace import Workplace

YEARS = 50  # simulated where nobody simulated more
_ACTION = "open_retraining_request"
_LEAST = timedelta(days=2)  # a nightly run may be late
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Simulations:
    """What is known of each trigger: its simulation, or why there is none."""

    made: Mapping[str, Mapping[str, Any]]
    refused: Mapping[str, str]


def look(bench: Bench) -> Found:
    """Rules 1 to 5.

    Raises:
        FieldedError: what is in production cannot be told, or the ledger not be read.
    """
    workplace = bench.workplace
    triggers = [one for one in workplace.deployment.monitoring.triggers if _ACTION in one.then]
    asks = Check.of(
        "a metric with a number asks for retraining",
        bool(triggers),
        got=", ".join(f"{one.id}: {one.metric} {one.when}" for one in triggers) or "no such trigger",
        expected=f"at least one of monitoring.triggers whose `then` has `{_ACTION}`",
        step=f"Add a trigger with `then: [{_ACTION}, notify_owner]` to monitoring.triggers",
    )
    if not triggers:
        return Found((asks,), {"triggers": []})
    model, sha256 = resolve(workplace)
    known = _simulations(workplace, triggers, sha256)
    state, asked = watch_state(workplace), open_request(requests(workplace))
    states = {one.id: _states(state, one, model.version) for one in triggers}
    now, limit = workplace.clock(), _limit(workplace, triggers)
    checks = (
        asks,
        _simulated(known, triggers),
        _looked(workplace, state, Pinned(model.version, sha256)),
        _in_time(state, now, limit),
        _known(states),
        _answered(asked, now),
    )
    facts: dict[str, object] = {
        "triggers": [_trigger(one, known, states[one.id]) for one in triggers],
        "model_version": model.version,
        "looked_at": None if state.looked is None else state.looked.at.isoformat(),
        "looked_as_of": None if state.looked is None else state.looked.as_of.isoformat(),
        "look_limit_days": limit / _DAY,
        "owner": workplace.deployment.people.monitoring_owner.name,
        "request_due_days": workplace.deployment.monitoring.retraining_due_days,
        "open_request": None
        if asked is None
        else {"id": asked.id, "due": asked.due.isoformat(), "why": asked.why},
    }
    return Found(checks, facts)


def _simulations(workplace: Workplace, triggers: Sequence[Trigger], sha256: str) -> _Simulations:
    """Rule 2."""
    refused: dict[str, str] = {}
    if not simulations(workplace, sha256).keys() & {one.id for one in triggers}:
        for trigger in triggers:
            try:
                simulate_on_record(workplace, trigger.id, years=YEARS)
            except (Refused, WrongUse) as error:
                refused[trigger.id] = str(error)
    return _Simulations(simulations(workplace, sha256), refused)


def _simulated(known: _Simulations, triggers: Sequence[Trigger]) -> Check:
    made = {one.id: known.made[one.id] for one in triggers if one.id in known.made}
    got = [
        f"{name}: {told['alarms_a_year']:.2g} false alarms a year in {told['years']:,} simulated years"
        for name, told in made.items()
    ]
    return Check.of(
        "one is simulated as it is defined now",
        bool(made),
        got="; ".join([*got, *(f"{name}: {why}" for name, why in known.refused.items())]),
        expected="at least one with its false alarms a year, for the model in production",
        step=f"Run `fielded monitor simulate {triggers[0].id}`, and change what it names",
    )


def _looked(workplace: Workplace, state: WatchState, production: Pinned) -> Check:
    """Rule 3, what was looked at."""
    expected = f"definition {workplace.deployment.sha256[:12]} over {production}"
    ran, holds, got = state.looked, False, "the monitor never ran"
    if ran is not None:
        over = Pinned.read(ran.details)
        holds = ran.details["definition_sha256"] == workplace.deployment.sha256 and over == production
        got = f"definition {str(ran.details['definition_sha256'])[:12]} over {over}"
    return Check.of(
        "the monitor ran with this definition over this version",
        holds,
        got=got,
        expected=expected,
        step="Run `fielded monitor`",
    )


def _limit(workplace: Workplace, triggers: Sequence[Trigger]) -> timedelta:
    """How old the last look may be; see rule 3."""
    often = min(one.window.max_age for one in triggers) / TENTH
    return min(max(often, _LEAST), timedelta(days=workplace.deployment.ato.report_max_age_days))


def _in_time(state: WatchState, now: datetime, limit: timedelta) -> Check:
    ran = state.looked
    return Check.of(
        "the monitor ran as often as its windows count",
        ran is not None and now - ran.at <= limit,
        got="it never ran" if ran is None else f"it ran {(now - ran.at) / _DAY:.1f} days ago, up to {ran.as_of}",
        expected=f"at most {limit / _DAY:g} days ago",
        step="Run `fielded monitor` every night",
    )


def _states(state: WatchState, trigger: Trigger, version: str) -> list[TriggerState]:
    """Of the trigger's instances, over the version in production."""
    return [one for one in state.states.values() if one.trigger == trigger.id and one.version == version]


def _known(states: Mapping[str, Sequence[TriggerState]]) -> Check:
    """Rule 4."""
    unknown = [name for name, found in states.items() if not found]
    told = {name: Counter(one.state for one in found) for name, found in states.items()}
    counts = {
        name: ", ".join(f"{number} {state}" for state, number in sorted(of.items())) for name, of in told.items()
    }
    return Check.of(
        "each has a state",
        not unknown,
        got="; ".join(f"{name}: {counts[name] or 'never looked at'}" for name in states),
        expected="a state of every such trigger, over the version in production",
        step="Run `fielded monitor`",
    )


def _answered(asked: Request | None, now: datetime) -> Check:
    """Rule 5."""
    late = asked is not None and asked.due < now.date()
    return Check.of(
        "no request to retrain is overdue",
        not late,
        got="none is open" if asked is None else f"{asked.id} is open, due on {asked.due}",
        expected="every request closed by its due day",
        step='Retrain, or say why not: `fielded monitor close-retraining -m "what was done"`',
    )


def _trigger(trigger: Trigger, known: _Simulations, states: Sequence[TriggerState]) -> dict[str, Any]:
    """One trigger's facts."""
    made = known.made.get(trigger.id)
    return {
        "id": trigger.id,
        "metric": trigger.metric,
        "when": trigger.when,
        "breaches": trigger.breaches,
        "window_rows": trigger.window.last,
        "window_days": trigger.window.max_age / _DAY,
        "min_sample": trigger.min_sample,
        "alpha": None if trigger.significance is None else trigger.significance.alpha,
        "then": list(trigger.then),
        "sha256": trigger_sha256(trigger),
        "simulated": None if made is None else dict(made),
        "not_simulated": known.refused.get(trigger.id, ""),
        "states": [
            {"instance": one.instance, "state": one.state, "since": one.since.isoformat()} for one in states
        ],
    }


COLLECTOR: Collector[Bench] = Collector(
    id="retraining-trigger",
    title="A metric with a number asks for retraining, was simulated, and is watched",
    look=look,
    holds_for=timedelta(days=7),
    expected="a trigger that opens a retraining request, simulated and watched",
)
