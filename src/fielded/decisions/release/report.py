"""What a comparison says, as one JSON value: the report that is kept. The page that people read is made of it.

Slices stand worst first, by the candidate; every number comes with its interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fielded.decisions.measuring.calibration import calibration_by_slice, reliability
from fielded.decisions.measuring.intervals import Estimate
from fielded.decisions.measuring.labelled import Labelled
from fielded.decisions.measuring.slices import Slice
from fielded.decisions.release.acts import Pinned
from fielded.decisions.release.cost import CostCurve, cost_curve
from fielded.decisions.release.differences import differences_by_slice
from fielded.decisions.release.findings import Finding, Verdict
from fielded.decisions.release.performance import by_slice
from fielded.definition.release import METRICS, Limit, Metric, PerformanceGate

FORMAT = 1
_CONFIDENCE = 0.95
_SHOWN: tuple[Metric, ...] = ("auc", "recall", "fpr")  # metrics that are drawn where no gate sets a limit

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What was compared, by whom, when.

    Attributes:
        deployment: its name.
        model: registered name.
        candidate: version and digest.
        production: what it was held against; None where nothing is in production.
        proposed_by: who proposed the candidate.
        compared_by: who had this made.
        compared_at: UTC.
        definition_sha256: of the definition whose gates were asked.
        slices: columns that the definition lists.
        threshold: of the decision.
        gates: names of the gates that the definition chose.
        rows: how many rows of which source.
        notes: what was left out, and why.
    """

    deployment: str
    model: str
    candidate: Pinned
    production: Pinned | None
    proposed_by: str
    compared_by: str
    compared_at: datetime
    definition_sha256: str
    slices: Sequence[str]
    threshold: float
    gates: Sequence[str]
    rows: Mapping[str, int]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """What was measured.

    Attributes:
        candidate: labelled rows, scored by it.
        production: the same rows, scored by it; None where nothing is in production.
        shift: findings of the shift gate with its limits, whether it was chosen or not.
        performance: the gate, where it was chosen: which limits are drawn.
    """

    candidate: Labelled
    production: Labelled | None
    shift: Sequence[Finding]
    performance: PerformanceGate | None


def report_of(about: About, verdict: Verdict, measured: Measurements) -> Json:
    """The report, JSON values only: a number that is none is null."""
    outcomes = [one.outcome for one in verdict.findings]
    report = {
        "format": FORMAT,
        "deployment": about.deployment,
        "model": about.model,
        "candidate": about.candidate.as_dict(),
        "production": None if about.production is None else about.production.as_dict(),
        "proposed_by": about.proposed_by,
        "compared_by": about.compared_by,
        "compared_at": about.compared_at.isoformat(),
        "definition_sha256": about.definition_sha256,
        "slices": list(about.slices),
        "gates": list(about.gates),
        "rows": dict(about.rows),
        "notes": list(about.notes),
        "holds": verdict.holds,
        "outcomes": {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))},
        "findings": [_finding(one) for one in verdict.findings],
        "metrics": _metrics(about, measured),
        "shift": [_finding(one) for one in _worst_first(measured.shift)],
        "calibration": _calibration(about, measured),
        "cost": _cost(about, measured),
    }
    return dict(_finite(report))


def _finding(one: Finding) -> Json:
    return {
        "name": one.name,
        "gate": one.gate,
        "item": one.item,
        "outcome": one.outcome,
        "got": one.got,
        "expected": one.expected,
        "step": one.step,
        "numbers": dict(one.numbers),
        "severity": one.severity,
        "set_aside": one.set_aside,
    }


def _worst_first(findings: Sequence[Finding]) -> Sequence[Finding]:
    return Verdict.of(findings).findings


def _metrics(about: About, measured: Measurements) -> Json:
    """Every metric by slice, old and new, and the limits that the gate sets."""
    gate = measured.performance
    drawn = tuple(gate.limits) if gate else _SHOWN
    confidence = gate.confidence if gate else _CONFIDENCE
    limits = {metric: Limit.parse(text) for metric, text in gate.limits.items()} if gate else {}
    found: Json = {
        "drawn": [metric for metric in METRICS if metric in drawn],
        "limits": {metric: str(limit) for metric, limit in limits.items()},
        "bounds": {metric: limit.bound for metric, limit in limits.items()},
        "confidence": confidence,
        "slices": [],
    }
    if not len(measured.candidate.labels):
        return found
    new = by_slice(measured.candidate, about.slices, confidence, found["drawn"][0])
    old: dict[Slice, Mapping[Metric, Estimate]] = {}
    apart: dict[Slice, Mapping[Metric, Estimate]] = {}
    if measured.production is not None:
        old = dict(by_slice(measured.production, about.slices, confidence))
        apart = dict(differences_by_slice(measured.production, measured.candidate, about.slices, confidence))
    found["slices"] = [
        {
            "slice": str(place),
            "rows": values["brier"].rows,
            "candidate": _estimates(values),
            "production": _estimates(old.get(place)),
            "difference": _estimates(apart.get(place)),
        }
        for place, values in new
    ]
    return found


def _calibration(about: About, measured: Measurements) -> Json:
    found: Json = {"slices": [], "candidate": [], "production": []}
    if not len(measured.candidate.labels):
        return found
    old = {} if measured.production is None else dict(calibration_by_slice(measured.production, about.slices))
    found["slices"] = [
        {"slice": str(place), "candidate": _estimate(new), "production": _estimate(old.get(place))}
        for place, new in calibration_by_slice(measured.candidate, about.slices)
    ]
    for name, rows in (("candidate", measured.candidate), ("production", measured.production)):
        if rows is not None:
            bins = reliability(rows.labels, rows.scores)
            found[name] = [{"score": one.score, "events": _estimate(one.events)} for one in bins]
    return found


def _cost(about: About, measured: Measurements) -> Json:
    found: Json = {"threshold": about.threshold, "candidate": None, "production": None}
    for name, rows in (("candidate", measured.candidate), ("production", measured.production)):
        if rows is not None and len(rows.labels):
            curve = cost_curve(rows.labels, rows.scores, about.threshold)
            found |= {"missed": curve.missed, "needless": curve.needless, name: _curve(curve)}
    return found


def _curve(curve: CostCurve) -> Json:
    return {
        "at_threshold": _estimate(curve.at_threshold),
        "best": _estimate(curve.best),
        "saved": _estimate(curve.saved),
        "thresholds": curve.thresholds.tolist(),
        "costs": curve.costs.tolist(),
    }


def _estimates(values: Mapping[Metric, Estimate] | None) -> Json | None:
    return None if values is None else {metric: _estimate(one) for metric, one in values.items()}


def _estimate(one: Estimate | None) -> Json | None:
    return None if one is None else {"value": one.value, "low": one.low, "high": one.high, "rows": one.rows}


def _finite(value: Any) -> Any:
    """JSON has no infinity and nothing that is not a number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
