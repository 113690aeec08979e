"""Whether groups are treated alike, and whether a feature stands for a group.

1. *Demographic parity ratio*: the lowest flag rate of a column's groups over the highest. *Equalized odds
   ratio*: the same of the true positive rates and of the false positive rates, the smaller of the two. Both as
   fairlearn.metrics defines them, `between_groups` and `worst_case`. The first needs no labels.
2. The interval allows for the choice of the extremes: the groups' Wilson intervals hold together (Bonferroni),
   so the true lowest rate lies between the lowest lower and the lowest upper end, and the true highest likewise.
   A ratio of the least and greatest of many noisy rates is low also for a fair version, and the interval shows
   it.
3. *Failed*: the ratio is below its limit and the groups differ beyond chance (the interval, widened for all
   ratios of the gate together, ends below 1). That is the reading of the four-fifths rule in the Uniform
   Guidelines on Employee Selection Procedures, 29 CFR 1607.4(D): a ratio below it counts, unless it rests on
   small numbers and is not statistically significant.
4. *Passed*: the ratio keeps its limit and its interval does not reach below half of the limit.
5. *Not enough evidence*: anything else, and any column with a group of fewer than `minimum_rows`, with a single
   group, without labels where odds are asked for, or that the rows lack. Small groups take no part in a ratio; a
   group of which no row is labelled is the smallest (`Labelled.scored`).
6. The columns are `slices` and `protected`. Features that stand for a protected column are looked for in
   `proxies`.

Measured, limits 0.8, groups truly alike, 18% of rows flagged, a false positive rate of 9%. Parity: two groups
pass in 76% of samples with 300 rows each and 96% with 1,000; eight pass in 80% with 1,000 and always with 3,000.
Odds: two pass in 75% with 1,000 and 97% with 3,000, eight in 68% with 3,000. All others are not enough evidence;
none fails.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fielded.decisions.measuring.intervals import Estimate, corrected, proportion, smallest_of
from fielded.decisions.measuring.labelled import Labelled, Unlabelled, parts_of
from fielded.decisions.measuring.slices import Slice
from fielded.decisions.release.findings import Finding, Outcome, Verdict
from fielded.decisions.release.limits import severity
from fielded.decisions.release.proxies import proxy_findings
from fielded.definition.release import FairnessGate, Limit

CONFIDENCE = 0.95
_HALF = 0.5  # of a limit: how far down the interval of a passing ratio may reach; see rule 4
_SEVERAL = 2

Rates = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GroupRates:
    """What one group was given.

    Attributes:
        group: which rows.
        rows: how many.
        flagged: share of them that was flagged.
        true_positive: share of its events that was flagged; None without labels.
        false_positive: share of its other rows that was flagged; None without labels.
    """

    group: Slice
    rows: int
    flagged: Estimate
    true_positive: Estimate | None
    false_positive: Estimate | None


def group_rates(rows: Labelled | Unlabelled, column: str, confidence: float = CONFIDENCE) -> list[GroupRates]:
    """The rates of every group of a column, each interval by itself.

    Raises:
        WrongUse: the rows have no such column.
    """
    return [_rates(rows, group, mask, confidence) for group, mask in parts_of(rows, [column])]


def _rates(rows: Labelled | Unlabelled, group: Slice, mask: np.ndarray, confidence: float) -> GroupRates:
    flags = rows.flags[mask]
    flagged = proportion(int(flags.sum()), len(flags), confidence)
    if not isinstance(rows, Labelled):
        return GroupRates(group, len(flags), flagged, None, None)
    labels = rows.labels[mask]
    events = int(labels.sum())
    caught, needless = int((flags & labels).sum()), int((flags & ~labels).sum())
    return GroupRates(
        group,
        len(flags),
        flagged,
        proportion(caught, events, confidence),
        proportion(needless, len(flags) - events, confidence),
    )


def lowest_to_highest(rates: Sequence[Estimate], confidence: float) -> Estimate:
    """The lowest of several rates over the highest, with an interval that allows for their choice; see rule 2.

    Args:
        rates: of the groups. Their intervals are made anew.
        confidence: of the interval of the ratio.
    """
    rows = sum(rate.rows for rate in rates)
    values = [rate.value for rate in rates if rate.value is not None]
    if len(values) < max(len(rates), _SEVERAL):
        return Estimate(None, 0.0, 1.0, rows)
    each = corrected(confidence, len(rates))
    ends = [proportion(value * rate.rows, rate.rows, each) for value, rate in zip(values, rates, strict=True)]
    lowest, highest = (min(end.low for end in ends), min(end.high for end in ends)), max(end.high for end in ends)
    surely = max(end.low for end in ends)
    return Estimate(
        min(values) / max(values) if max(values) else None,
        lowest[0] / highest,
        min(1.0, lowest[1] / surely) if surely else 1.0,
        rows,
    )


def demographic_parity(groups: Sequence[GroupRates], confidence: float = CONFIDENCE) -> Estimate:
    """The lowest flag rate over the highest."""
    return lowest_to_highest([group.flagged for group in groups], confidence)


def equalized_odds(groups: Sequence[GroupRates], confidence: float = CONFIDENCE) -> Estimate:
    """The smaller of the ratios of true and of false positive rates; no value without labels."""
    both = corrected(confidence, 2)
    return smallest_of(
        [
            lowest_to_highest([group.true_positive or _UNKNOWN for group in groups], both),
            lowest_to_highest([group.false_positive or _UNKNOWN for group in groups], both),
        ]
    )


_UNKNOWN = Estimate(None, 0.0, 1.0, 0)


def fairness_findings(rows: Labelled | Unlabelled, slices: Sequence[str], gate: FairnessGate) -> list[Finding]:
    """Both ratios of every slice and protected column, and the features that stand for a protected one.

    Args:
        rows: as the candidate scored them.
        slices: the definition's; where no column is protected by name, they are.
        gate: limits.
    """
    columns = list(dict.fromkeys([*slices, *gate.protected]))
    if not columns:
        return [_nothing_to_compare()]
    known = [column for column in columns if column in rows.features.column_names]
    together = corrected(CONFIDENCE, 2 * len(known))
    found = [_no_such_column(column, rows.features) for column in columns if column not in known]
    for column in known:
        found.extend(_of_column(group_rates(rows, column), column, gate, together))
    protected = [column for column in gate.protected or slices if column in known]
    found.extend(proxy_findings(rows.features, protected, gate))
    return list(Verdict.of(found).findings)


def _of_column(groups: Sequence[GroupRates], column: str, gate: FairnessGate, together: float) -> list[Finding]:
    enough = [group for group in groups if group.rows >= gate.minimum_rows]
    few = _lacking(groups, enough, gate)
    no_odds = few or _no_odds(enough)
    flagged: list[tuple[str, Estimate | None]] = [(f"flags of {group.group}", group.flagged) for group in enough]
    true = [(f"true positives of {group.group}", group.true_positive) for group in enough]
    false = [(f"false positives of {group.group}", group.false_positive) for group in enough]
    ratios = [
        ("demographic_parity", gate.demographic_parity, demographic_parity, few, [flagged]),
        ("equalized_odds", gate.equalized_odds, equalized_odds, no_odds, [true, false]),
    ]
    return [
        _finding(
            f"{name}[{column}]",
            Limit(at_least=True, bound=bound),
            (ratio(enough), ratio(enough, together)),
            lacking,
            [{text: rate.value for text, rate in part if rate and rate.value is not None} for part in rates],
        )
        for name, bound, ratio, lacking, rates in ratios
    ]


def _finding(
    item: str, limit: Limit, estimates: tuple[Estimate, Estimate], lacking: str, rates: Sequence[Rates]
) -> Finding:
    estimate, together = estimates
    outcome = _outcome(limit, estimate, together, lacking)
    return Finding(
        gate="fairness",
        item=item,
        outcome=outcome,
        got="; ".join(text for text in (str(estimate), *map(_extremes, rates), lacking) if text),
        expected=f"{limit}, with an interval that does not reach below {_HALF * limit.bound:g}",
        step=_STEPS[outcome],
        numbers={
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "rows": estimate.rows,
            "limit": limit.bound,
            "high_together": together.high,
            **{f"rate[{text}]": rate for part in rates for text, rate in part.items()},
        },
        severity=0.0 if estimate.value is None else severity(estimate.value, limit),
    )


_STEPS: dict[Outcome, str] = {
    "passed": "",
    "waived": "",
    "failed": "Find what drives the difference (a proxy, few rows in training, another base rate) and mend it, or "
    "have the RAI approver sign why it is justified",
    "not enough evidence": "Gather more rows of the groups, or sign a waiver that says how they will be watched",
}


def _outcome(limit: Limit, estimate: Estimate, together: Estimate, lacking: str) -> Outcome:
    if estimate.value is None:
        return "not enough evidence"
    if not limit.holds(estimate.value):
        return "failed" if together.high < 1 else "not enough evidence"
    enough = not lacking and estimate.low >= _HALF * limit.bound
    return "passed" if enough else "not enough evidence"


def _extremes(rates: Rates) -> str:
    if len(rates) < _SEVERAL:
        return ""
    (low, lowest), *_, (high, highest) = sorted((rate, text) for text, rate in rates.items())
    return f"from {low:.3f} ({lowest}) to {high:.3f} ({highest})"


def _lacking(groups: Sequence[GroupRates], enough: Sequence[GroupRates], gate: FairnessGate) -> str:
    if len(groups) < _SEVERAL:
        return "one group, where two are needed to compare"
    if len(enough) == len(groups):
        return ""
    small = len(groups) - len(enough)
    return f"{small} of {len(groups)} groups with fewer than {gate.minimum_rows} rows"


def _no_odds(groups: Sequence[GroupRates]) -> str:
    rates = [rate for group in groups for rate in (group.true_positive, group.false_positive)]
    if any(rate is None for rate in rates):
        return "no labels"
    without = sum(rate is not None and rate.value is None for rate in rates)
    return f"{without} groups without events or without other rows" if without else ""


def _nothing_to_compare() -> Finding:
    return Finding(
        gate="fairness",
        item="columns",
        outcome="failed",
        got="none",
        expected="a column whose groups are compared",
        step="Name `slices`, or `release.gates.fairness.protected`, in the definition",
    )


def _no_such_column(column: str, features: pa.Table) -> Finding:
    return Finding(
        gate="fairness",
        item=f"groups[{column}]",
        outcome="not enough evidence",
        got="no such column",
        expected=f"a column of the rows, one of {', '.join(features.column_names)}",
        step="Name a feature, or add the column to the rows",
    )
