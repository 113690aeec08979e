"""What one run of the monitor says, as one JSON value: the report that is kept. Pages and metrics are made of it.

1. Every measurement stands in `measured`, once, with its interval, its rows and what it lacks; nothing is rounded.
2. A number that is none (not measured, infinite, NaN) is null, and `lacking` says why.
3. `state` is the worst of all triggers: who looks at one word looks at the right one.
4. `changed` compares with the run before: states that differ, in the order of their weight.
5. Nothing of a row is in it: counts, shares and values of slices alone.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from fielded.decisions.measuring.intervals import proportion
from fielded.decisions.monitoring.estimated import ASSUMES
from fielded.decisions.monitoring.histograms import OVERALL
from fielded.decisions.monitoring.measure import Measured, Sources, Tally
from fielded.decisions.monitoring.metrics import mean_of
from fielded.decisions.monitoring.triggers import Evaluation, Name, TriggerState
from fielded.decisions.release.acts import Pinned
from fielded.definition.monitoring import (
    DRIFT,
    EVERY,
    Labels,
    Metric,
    Monitoring,
    Significance,
    Trigger,
    When,
    Window,
)

if TYPE_CHECKING:
    from fielded.decisions.monitoring.labelled_window import MaturedWindow

FORMAT = 1
_CONFIDENCE = 0.95

# By weight. A watch that cannot see is worse than one that sees nothing.
STATES: tuple[Name, ...] = ("firing", "acknowledged", "pending", "insufficient_data", "cleared", "ok")
UNWATCHED = "unwatched"  # the definition has no trigger

# What a report shows whether a trigger asks for it or not, in the order in which it is shown.
_OF_EACH = ("psi", "js", "ks", "wasserstein", "chi2")  # of the score and every feature
_OF_FEATURES = ("missing", "out_of_range", "new_categories")
_OF_ROWS = ("mean_score", "flag_rate", "review_rate", "override_rate", "quarantine_rate")
_OF_THE_FLOW = ("volume", "staleness", "latency")
_WITH_LABELS = ("auc", "precision", "recall", "fnr", "fpr", "brier", "calibration")
_BY_SLICE = ("psi", "missing", "mean_score", "flag_rate", *_WITH_LABELS)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What was looked at, by whom, when.

    Attributes:
        deployment: its name.
        model: registered name.
        version: in production.
        definition_sha256: of the definition whose triggers were asked.
        made_by: who had this made.
        owner: name of the person who watches.
        threshold: of the decision.
        slices: columns that the definition lists.
        profile_rows: training rows that the reference profile was made of; None where the model has no profile.
        previous: the run before, {at, event_id, report_sha256}; None where this is the first.
    """

    deployment: str
    model: str
    version: Pinned
    definition_sha256: str
    made_by: str
    owner: str
    threshold: float
    slices: Sequence[str]
    profile_rows: int | None
    previous: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a run of the monitor made of its sources.

    Attributes:
        evaluations: of every instance of every trigger.
        states: (trigger, instance) -> what it is now.
        before: the same of the run before.
        measured: what `shown` asked for.
        matured: the window that metrics with labels rest on, overall; None where no label can be read.
        estimated: metric -> value expected from the scores alone (CBPE); None where it was not estimated.
        queue: {items, oldest_age_seconds, overdue, expired, decided, ...} of cases; None where it is not kept.
        retraining: open requests, each {request, why, opened_at, due, owner}.
        release_reviews: each {id, version, day, opens, due, owner, state}.
    """

    evaluations: Sequence[Evaluation]
    states: Mapping[tuple[str, str], TriggerState]
    before: Mapping[tuple[str, str], TriggerState] = field(default_factory=dict)
    measured: Sequence[Measured] = ()
    matured: "MaturedWindow | None" = None
    estimated: Mapping[str, float | None] | None = None
    queue: Mapping[str, float | None] | None = None
    retraining: Sequence[Mapping[str, Any]] = ()
    release_reviews: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def shown(monitoring: Monitoring, slices: Sequence[str]) -> Iterator[Trigger]:
    """What a report shows besides what triggers ask for, each as a trigger that nobody armed.

    Args:
        monitoring: the definition's section, for its window and its labels.
        slices: columns that the definition lists.
    """
    texts = [
        *(f"{name}({EVERY})" for name in (*_OF_EACH, *_OF_FEATURES)),
        *_OF_ROWS,
        *_OF_THE_FLOW,
        *_WITH_LABELS,
    ]
    for column in slices:
        texts += [
            f"{name}({EVERY if name in _OF_EACH + _OF_FEATURES else ''})[{column}={EVERY}]".replace("()", "")
            for name in _BY_SLICE
        ]
    for text in texts:
        yield _unarmed(text, monitoring.window, monitoring.labels)


def _unarmed(text: str, window: Window, labels: Labels) -> Trigger:
    metric = Metric.parse(text)
    return Trigger(
        id="shown",
        metric=text,
        when="> 0",
        significance=Significance() if metric.name in DRIFT else None,
        window=window,
        min_sample=1,
        labels=labels if metric.needs_labels else None,
        then=(),
    )


def report_of(about: About, monitoring: Monitoring, sources: Sources, seen: Seen) -> Json:
    """The report.

    Args:
        about: what was looked at.
        monitoring: the definition's section.
        sources: what was measured on.
        seen: what the run made of it.
    """
    triggers = [_trigger(trigger, seen) for trigger in monitoring.triggers]
    states = Counter(one["state"] for trigger in triggers for one in trigger["instances"])
    return {
        "format": FORMAT,
        "deployment": about.deployment,
        "model": about.model,
        "version": about.version.as_dict(),
        "definition_sha256": about.definition_sha256,
        "as_of": sources.as_of.isoformat(),
        "made_at": sources.moment.isoformat(),
        "made_by": about.made_by,
        "owner": about.owner,
        "threshold": about.threshold,
        "slices": list(about.slices),
        "profile_rows": about.profile_rows,
        "in_production_since": _iso(sources.since),
        "previous": None if about.previous is None else dict(about.previous),
        "window": {"last": monitoring.window.last, "max_age_days": _days(monitoring.window.max_age)},
        "state": next((state for state in STATES if states[state]), UNWATCHED),
        "states": {state: states[state] for state in STATES},
        "triggers": triggers,
        "changed": sorted(_changed(triggers), key=lambda one: STATES.index(one["to"])),
        "measured": [_value(one) for one in seen.measured],
        "days": list(_by_day(sources)),
        "labels": None if seen.matured is None else _labels(seen.matured, monitoring.labels),
        "estimated": None if seen.estimated is None else _estimated(seen.estimated),
        "queue": None if seen.queue is None else {name: finite(value) for name, value in seen.queue.items()},
        "retraining": [dict(one) for one in seen.retraining],
        "release_reviews": [dict(one) for one in seen.release_reviews],
        "notes": list(sources.notes),
    }


def finite(value: float | None) -> float | None:
    """A number as JSON has it; None where it is none."""
    return None if value is None or not math.isfinite(value) else float(value)


def _value(one: Measured) -> Json:
    metric = one.metric
    return {
        "metric": str(metric),
        "name": metric.name,
        "of": metric.of,
        "column": metric.column,
        "part": metric.value,
        "value": finite(one.value),
        "low": finite(one.low),
        "high": finite(one.high),
        "rows": int(one.rows),
        "reference_rows": int(one.reference_rows),
        "chance_limit": finite(one.chance_limit),
        "first_day": _iso(one.first_day),
        "last_day": _iso(one.last_day),
        "lacking": one.lacking,
        "silent": one.silent,
        "numbers": {name: finite(value) for name, value in one.numbers.items()},
    }


def _trigger(trigger: Trigger, seen: Seen) -> Json:
    when = When.parse(trigger.when)
    instances = [_instance(one, seen) for one in seen.evaluations if one.trigger == trigger.id]
    return {
        "id": trigger.id,
        "metric": trigger.metric,
        "when": trigger.when,
        "bound": when.bound,
        "above": when.above,
        "reference": trigger.reference,
        "breaches": trigger.breaches,
        "last": trigger.window.last,
        "min_sample": trigger.min_sample,
        "then": list(trigger.then),
        "instances": sorted(instances, key=lambda one: STATES.index(one["state"])),
    }


def _instance(evaluation: Evaluation, seen: Seen) -> Json:
    state, before = seen.states.get(evaluation.key), seen.before.get(evaluation.key)
    return {
        **_value(evaluation.measured),
        "outcome": evaluation.outcome,
        "why": evaluation.why,
        "state": "insufficient_data" if state is None else state.state,
        "since": None if state is None else _iso(state.since),
        "before": None if before is None else before.state,
        "acknowledged_by": "" if state is None else state.acknowledged_by,
        "reason": "" if state is None else state.reason,
    }


def _changed(triggers: Sequence[Json]) -> Iterator[Json]:
    for trigger in triggers:
        for one in trigger["instances"]:
            if one["before"] is not None and one["before"] != one["state"]:
                yield {
                    "id": trigger["id"],
                    "instance": one["metric"],
                    "from": one["before"],
                    "to": one["state"],
                    "why": one["why"],
                }


def _by_day(sources: Sources) -> Iterator[Json]:
    """Every day on which something was scored, or a batch run refused all that it was given; oldest first."""
    runs = {run.day: run for run in sources.runs}
    for day in sorted({*sources.tallies, *runs}):
        tally = sources.tallies.get(day, {}).get(OVERALL, _NO_ROWS)
        run, decided = runs.get(day), sources.overrides.get(day, {}).get(OVERALL)
        yield {
            "day": day.isoformat(),
            "rows": tally.rows,
            "mean_score": _mean_score(tally),
            "flag_rate": _share(tally.flagged, tally.rows),
            "review_rate": _share(tally.review, tally.rows),
            "quarantined": None if run is None else run.quarantined,
            "population": None if run is None else run.population,
            "seconds": None if run is None else finite(run.seconds),
            "decided": 0 if decided is None else decided.cases,
            "overridden": 0 if decided is None else decided.overridden,
        }


_NO_ROWS = Tally(0, 0, 0, 0.0, 0.0)


def _mean_score(tally: Tally) -> Json:
    if not tally.rows:
        return {"value": None, "low": 0.0, "high": 1.0}
    found = mean_of(tally, _CONFIDENCE)
    return {"value": found.value, "low": found.low, "high": found.high}


def _share(hits: int, rows: int) -> Json:
    found = proportion(hits, rows, _CONFIDENCE)
    return {"value": found.value, "low": found.low, "high": found.high}


def _labels(matured: "MaturedWindow", labels: Labels) -> Json:
    return {
        "maturity_days": _days(labels.maturity),
        "min_coverage": labels.min_coverage,
        "first_day": _iso(matured.first_day),
        "last_day": _iso(matured.last_day),
        "labelled": matured.rows,
        "coverage": finite(matured.coverage.value),
        "lacking": matured.lacking,
    }


def _estimated(values: Mapping[str, float | None]) -> Json:
    return {"assumes": ASSUMES, "metrics": {name: finite(value) for name, value in values.items()}}


def _days(length: timedelta) -> float:
    return length.total_seconds() / 86400


def _iso(value: date | None) -> str | None:
    return None if value is None else value.isoformat()
