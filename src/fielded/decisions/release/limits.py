"""Whether a measured value keeps a limit: three answers, not two.

1. Too few rows, or no value: "not enough evidence". Nothing else is looked at.
2. *Failed* is a claim about the version, so it is made only where it is shown: even the better end of the
   interval misses the limit. A gate looks at many slices, and of thirty sound ones one or two would miss at 95%
   by chance; the interval is therefore widened so that all of one gate hold together (Bonferroni). A gate claims
   a failure that is none at most once in twenty comparisons at 95%.
3. *Passed* needs two things. The value itself keeps the limit: whoever sets ">= 0.70" wants to read 0.70 or
   more. And the worse end of the interval, not widened, misses the limit by no more than a stated margin: an
   interval that reaches far past a limit says nothing about it. No correction here: every limit must pass, so
   more limits make the gate harder to pass, not easier (an intersection-union test; Berger 1982, Technometrics
   24:295-300).
4. Anything between is "not enough evidence", which stands in the way as a failure does but asks for labels, not
   for another model. The step says how many rows would settle it, by the square law of standard errors.

Proof that the worse end keeps the limit would be the stricter rule 3. It would ask for some 750 events of a
slice for a recall of 0.78 to show 0.75, and what can't be passed gets waived: the margin is the price of a gate
that is kept. It is stated in every finding that it decides.
"""

import math
from dataclasses import dataclass

from fielded.decisions.measuring.intervals import Estimate
from fielded.decisions.release.findings import Finding, Outcome
from fielded.definition.release import Limit

_OUT_OF_REACH = 1_000_000  # rows; nobody will label more to settle one limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured against a limit.

    Attributes:
        gate: whose finding it is.
        item: `auc[hull_class=DDG-51]`.
        limit: what is allowed.
        margin: by how much the interval's worse end may miss `limit`; see rule 3.
        estimate: the value with its interval.
        together: the same with an interval that holds for all of the gate's items at once; see rule 2.
        lacking: why these rows are too few; empty where they are enough.
        mend: what to do where it failed.
        more: numbers behind it, by name, beside the value's own.
    """

    gate: str
    item: str
    limit: Limit
    margin: float
    estimate: Estimate
    together: Estimate
    lacking: str
    mend: str
    more: dict[str, float | None]


def finding(measured: Measured) -> Finding:
    """What the gate says of it, by the rules above."""
    outcome = _outcome(measured)
    estimate, limit = measured.estimate, measured.limit
    within = f", with an interval that misses it by no more than {measured.margin:g}"
    return Finding(
        gate=measured.gate,
        item=measured.item,
        outcome=outcome,
        got=f"{estimate}; {measured.lacking}" if measured.lacking else str(estimate),
        expected=f"{limit}{within}",
        step=_step(measured, outcome),
        numbers={
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "rows": estimate.rows,
            "limit": limit.bound,
            "low_together": measured.together.low,
            "high_together": measured.together.high,
            **measured.more,
        },
        severity=0.0 if estimate.value is None else severity(estimate.value, limit),
    )


def severity(value: float, limit: Limit) -> float:
    """How far `value` misses `limit`, in units of it; below zero where it keeps it."""
    miss = limit.bound - value if limit.at_least else value - limit.bound
    return miss / limit.bound if limit.bound else miss


def _outcome(measured: Measured) -> Outcome:
    limit, value = measured.limit, measured.estimate.value
    if measured.lacking or value is None:
        return "not enough evidence"
    better = measured.together.high if limit.at_least else measured.together.low
    if not limit.holds(value) and not limit.holds(better):
        return "failed"
    return "passed" if limit.holds(value) and _reach(measured) <= measured.margin else "not enough evidence"


def _reach(measured: Measured) -> float:
    """By how much the interval's worse end misses the limit."""
    limit, estimate = measured.limit, measured.estimate
    return limit.bound - estimate.low if limit.at_least else estimate.high - limit.bound


def _step(measured: Measured, outcome: Outcome) -> str:
    if outcome == "passed":
        return ""
    if outcome == "failed":
        return measured.mend
    if measured.lacking:
        return "Label more rows of it, or sign a waiver that says how it will be watched"
    needed = _needed(measured)
    if needed is None:
        return f"More labels would not settle it: the value lies at the limit. {measured.mend}"
    return f"About {needed:,} rows of it would settle it. Label them, or treat it as failed. {measured.mend}"


def _needed(measured: Measured) -> int | None:
    """Rows with which the interval would be narrow enough, were the value to stay; None: more than can be had."""
    limit, estimate = measured.limit, measured.estimate
    value = limit.bound if estimate.value is None else estimate.value
    miss = limit.bound - value if limit.at_least else value - limit.bound
    if miss > 0:  # it must come to exclude the limit
        allowed = miss
        half = measured.together.high - value if limit.at_least else value - measured.together.low
    else:  # it must come within the margin
        allowed = measured.margin - miss
        half = value - estimate.low if limit.at_least else estimate.high - value
    if allowed <= 0:
        return None
    needed = estimate.rows * (half / allowed) ** 2
    if needed > _OUT_OF_REACH:
        return None
    step: int = 10 ** max(0, math.floor(math.log10(max(needed, 1))) - 1)
    return int(math.ceil(needed / step) * step)
