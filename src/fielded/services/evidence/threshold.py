"""Evidence that the threshold was chosen and not left over: its rationale, and what each threshold costs.

1. The rationale is a sentence of somebody's about what a missed event costs against a needless one. What a
   template leaves behind is none.
2. The cost curve is drawn on labelled rows of the version in production, with the prices that the threshold itself
   implies (`decisions.release.cost`).
3. The threshold lies among those that chance does not tell from the cheapest. Where it does not, the scores are
   not calibrated near it, and the prices that it stands for are not the ones that are paid. No explanation makes
   up for that: another threshold, or a calibrated model, does.
"""

import re
from datetime import timedelta
from typing import Any

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.release.cost import CostCurve, cost_by_slice, cost_curve
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.labelled import CONFIDENCE, Evaluated, evaluated, gate_of, numbers_of
from fielded.world.workplace import Workplace

_EXPECTED = "a rationale, and a cost curve on labelled rows"
_SHORTEST = 40  # characters
_PLACEHOLDER = re.compile(
    r"\b(todo|tbd|tba|fixme|xxx|lorem|placeholder|to be (determined|defined|decided))\b", re.IGNORECASE
)
_PRICE = re.compile(
    r"\b(cost(s|ly)?|price[sd]?|worth|expens\w*|harm\w*|burden\w*|capacity|budget|pays?|consequence\w*|loss(es)?|"
    r"sav(e|es|ed|ing|ings)|spen[dt]\w*)\b",
    re.IGNORECASE,
)
_SLICES = 20  # told, those first in which most could be saved


def look(bench: Bench) -> Found:
    """Rules 1 to 3.

    Raises:
        FieldedError: the version in production cannot be used, or a table cannot be read.
    """
    workplace = bench.workplace
    decision = workplace.deployment.decision
    said = _rationale(decision.rationale)
    made = evaluated(workplace)
    curve = cost_curve(made.read.labels, made.labelled.scores, decision.threshold, CONFIDENCE)
    drawn = _drawn(workplace, made)
    checks = [*said, drawn]
    if drawn.outcome == "held":
        checks.append(_cheapest(curve))
    return Found(tuple(checks), _facts(workplace, made, curve))


def _rationale(text: str) -> tuple[Check, Check]:
    """Rule 1."""
    stub = len(text.strip()) < _SHORTEST or _PLACEHOLDER.search(text) is not None
    step = "Say in decision.rationale what a missed event costs against a needless intervention"
    return (
        Check.of(
            "the rationale is a sentence of somebody's",
            not stub,
            got=f"{len(text.strip())} characters" + (", with a placeholder" if _PLACEHOLDER.search(text) else ""),
            expected=f"at least {_SHORTEST} characters and no placeholder",
            step=step,
        ),
        Check.of(
            "the rationale speaks of what being wrong costs",
            _PRICE.search(text) is not None,
            got="it does" if _PRICE.search(text) else "no word of cost, harm, worth or capacity",
            expected="what a missed event costs against a needless intervention",
            step=step,
        ),
    )


def _drawn(workplace: Workplace, made: Evaluated) -> Check:
    """Rule 2."""
    gate = gate_of(workplace)
    rows, events = len(made.read.labels), int(made.read.labels.sum())
    return Check.of(
        "the cost curve is drawn on labelled rows",
        rows >= gate.minimum_rows and min(events, rows - events) >= gate.minimum_of_each_class,
        got=f"{rows:,} rows, {events:,} of them with the event",
        expected=f"at least {gate.minimum_rows} rows, and {gate.minimum_of_each_class} with and without the event",
        step="Name a hold-out under release.holdout, or load outcomes with `fielded outcomes load FILE`",
    )


def _cheapest(curve: CostCurve) -> Check:
    """Rule 3."""
    best = curve.best
    told = "none" if best.value is None else f"{best.value:g}, and possibly from {best.low:g} to {best.high:g}"
    return Check.of(
        "no other threshold surely costs less",
        best.low <= curve.threshold <= best.high,
        got=f"{curve.threshold:g} is used; by its own prices the cheapest is {told}",
        expected="the threshold among those that chance does not tell from the cheapest",
        step="Calibrate the model, or choose the threshold anew and say why (docs/band.md has the arithmetic)",
    )


def _facts(workplace: Workplace, made: Evaluated, curve: CostCurve) -> dict[str, Any]:
    drawn = len(made.read.labels) > 0
    by_slice = cost_by_slice(made.labelled, workplace.deployment.slices, curve.threshold, CONFIDENCE)
    return {
        "version": made.version,
        "threshold": curve.threshold,
        "rationale": workplace.deployment.decision.rationale,
        "missed": curve.missed,
        "needless": curve.needless,
        "rows": len(made.read.labels),
        "rows_sha256": made.rows_sha256,
        "events": int(made.read.labels.sum()),
        "at_threshold": numbers_of(curve.at_threshold),
        "best": numbers_of(curve.best),
        "saved": numbers_of(curve.saved),
        "curve": [
            {"threshold": float(at), "cost": float(cost)}
            for at, cost in zip(curve.thresholds, curve.costs, strict=True)
        ] if drawn else [],
        "slices": [
            {"slice": str(place), "best": numbers_of(one.best), "saved": numbers_of(one.saved)}
            for place, one in by_slice[1 : _SLICES + 1]
        ],
    }  # fmt: skip


COLLECTOR: Collector[Bench] = Collector(
    id="threshold",
    title="The threshold, its rationale and what it costs",
    look=look,
    holds_for=timedelta(days=90),
    expected=_EXPECTED,
)
