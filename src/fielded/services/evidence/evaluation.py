"""Evidence of how well the version in production does: measured now, overall and in every slice (MEASURE 2.3,
2.11).

1. The rows are those of the hold-out and of the ledger's own outcomes that the version cannot have learned from
   (`services.release.holdout`). Too few overall, and nothing was measured.
2. Limits are those of the performance gate. A slice whose rows are enough and that misses one is a failed check;
   one with too few rows is named, never passed over, and in nobody's way: more labels come by waiting. Where no
   slice could be measured, or a limit could not be overall, that was not checked.
3. Ratios between groups are measured and told with their limits. Whether one is acceptable is the RAI approver's
   to say, in the assessment and in a waiver of the release, and not a number's.
4. Files that differ from what was approved are not measured: loading them is refused.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.measuring.accuracy import metrics
from fielded.decisions.measuring.calibration import in_the_large
from fielded.decisions.measuring.labelled import everywhere
from fielded.decisions.measuring.slices import OVERALL
from fielded.decisions.release.fairness import fairness_findings
from fielded.decisions.release.findings import Finding
from fielded.decisions.release.performance import performance_findings
from fielded.definition.release import FairnessGate
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.labelled import CONFIDENCE, Evaluated, evaluated, gate_of, numbers_of
from fielded.world.workplace import Workplace

_EXPECTED = "labelled rows that the version in production was not trained on, enough to measure it"
_MOST_NAMED = 8


def look(bench: Bench) -> Found:
    """Rules 1 to 3.

    Raises:
        FieldedError: see `evaluated`.
    """
    workplace = bench.workplace
    made = evaluated(workplace)
    enough = _enough(workplace, made)
    if enough.outcome != "held":
        return Found((enough,), _facts(workplace, made, measured=False))
    return Found(
        (enough, *_limits(workplace, made), _groups(workplace, made)), _facts(workplace, made, measured=True)
    )


def _enough(workplace: Workplace, made: Evaluated) -> Check:
    """Rule 1."""
    gate = gate_of(workplace)
    rows, events = len(made.read.labels), int(made.read.labels.sum())
    least = gate.minimum_of_each_class
    return Check.of(
        "labelled rows are enough",
        rows >= gate.minimum_rows and min(events, rows - events) >= least,
        got=f"{rows:,} rows, {events:,} of them with the event" + "".join(f"; {note}" for note in made.read.notes),
        expected=f"at least {gate.minimum_rows} rows, and {least} with and without the event",
        step="Name a hold-out under release.holdout, or load outcomes with `fielded outcomes load FILE`",
    )


def _limits(workplace: Workplace, made: Evaluated) -> Iterable[Check]:
    """Rule 2."""
    gate = workplace.deployment.release.gates.performance
    overall, by_slice = "limits hold overall", "limits hold in every slice with rows enough"
    if gate is None or not gate.limits:
        step = "Choose limits under release.gates.performance"
        yield Check.missing(overall, why="the definition has no limits", expected="limits that hold", step=step)
        return
    findings = performance_findings(made.labelled, workplace.deployment.slices, gate)
    everything = [one for one in findings if one.item.endswith(f"[{OVERALL}]")]
    slices = [one for one in findings if one not in everything]
    unknown = sum(one.outcome == "not enough evidence" for one in everything)
    yield _held(overall, everything, "all limits of release.gates.performance", unknown=unknown > 0)
    nowhere = all(one.outcome == "not enough evidence" for one in slices)
    yield _held(by_slice, slices, "the same in every slice that has rows enough", unknown=nowhere)


def _held(name: str, findings: list[Finding], expected: str, *, unknown: bool) -> Check:
    failed = [one for one in findings if one.outcome == "failed"]
    open_ = [one for one in findings if one.outcome == "not enough evidence"]
    told = f"{len(findings) - len(failed) - len(open_)} of {len(findings)} hold"
    if failed:
        told += "; failed: " + ", ".join(f"{one.item} {one.got}" for one in failed[:_MOST_NAMED])
    if open_:
        told += f"; not enough evidence for {len(open_)}: " + ", ".join(one.item for one in open_[:_MOST_NAMED])
    if unknown and not failed:
        return Check.missing(name, why=told, expected=expected, step="Load more outcomes, or a larger hold-out")
    step = "Look at the slice with `fielded release compare`, retrain, or roll back"
    return Check.of(name, not failed, got=told, expected=expected, step=step)


def _groups(workplace: Workplace, made: Evaluated) -> Check:
    """Rule 3."""
    name, expected = (
        "ratios between groups were measured",
        "a ratio of each slice or protected column, with its interval",
    )
    ratios = [one for one in _fairness(workplace, made) if not one["item"].startswith("proxy[")]
    found = [one for one in ratios if one["value"] is not None]
    if not found:
        why = ", ".join(f"{one['item']}: {one['got']}" for one in ratios[:_MOST_NAMED]) or "no groups are named"
        step = "Name `slices` in the definition, and load outcomes of each group"
        return Check.missing(name, why=why, expected=expected, step=step)
    told = "; ".join(f"{one['item']} {one['value']:.3f}, {one['outcome']}" for one in found[:_MOST_NAMED])
    return Check.of(name, True, got=told, expected=expected)


def _fairness(workplace: Workplace, made: Evaluated) -> list[dict[str, Any]]:
    gate = workplace.deployment.release.gates.fairness or FairnessGate()
    return [
        {
            "item": one.item,
            "outcome": one.outcome,
            "got": one.got,
            **{end: one.numbers.get(end) for end in ("value", "low", "high", "rows", "limit")},
        }
        for one in fairness_findings(made.labelled, workplace.deployment.slices, gate)
    ]


def _facts(workplace: Workplace, made: Evaluated, *, measured: bool) -> dict[str, Any]:
    places = list(_places(workplace, made)) if measured else []
    read = made.read
    return {
        "version": made.version,
        "artifact_sha256": made.sha256,
        "rows": {
            "all": len(read.labels), "holdout": read.holdout, "outcomes": read.outcomes, "refused": read.refused,
        },
        "rows_sha256": made.rows_sha256,
        "holdout": _holdout(workplace, made),
        "notes": list(read.notes),
        "confidence": CONFIDENCE,
        "overall": places[0] if places else None,
        "slices": places[1:],
        "unmeasured": [one["slice"] for one in places if one["rows"] == 0],
        "limits": dict(gate.limits) if (gate := workplace.deployment.release.gates.performance) else {},
        "fairness": _fairness(workplace, made) if measured else [],
    }  # fmt: skip


def _places(workplace: Workplace, made: Evaluated) -> Iterable[dict[str, Any]]:
    """Every metric with its interval: all rows first, then the slices in the definition's order."""
    labelled = made.labelled
    for place, mask in everywhere(labelled, workplace.deployment.slices):
        labels, scores, flags = labelled.labels[mask], labelled.scores[mask], labelled.flags[mask]
        found = metrics(labels, scores, flags, CONFIDENCE)
        estimates: Mapping[str, Any] = {name: numbers_of(estimate) for name, estimate in found.items()}
        yield {
            "slice": str(place),
            "rows": int(mask.sum()),
            "events": int(labels.sum()),
            "flagged": int(flags.sum()),
            **estimates,
            "calibration": numbers_of(in_the_large(labels, scores, CONFIDENCE)),
        }


def _holdout(workplace: Workplace, made: Evaluated) -> dict[str, Any] | None:
    """The hold-out that was read; None where none was: named nowhere, or learned from."""
    holdout = workplace.deployment.release.holdout
    if holdout is None or made.read.version is None:
        return None
    return {"table": holdout.table, "version": made.read.version, "label": holdout.label}


COLLECTOR: Collector[Bench] = Collector(
    id="evaluation",
    title="The version in production, measured on labelled rows overall and in every slice",
    look=look,
    holds_for=timedelta(days=90),
    expected=_EXPECTED,
)
