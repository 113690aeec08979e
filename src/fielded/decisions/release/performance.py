"""Performance on labelled rows: limits overall and for every value of every slice.

1. A limit holds overall and in every slice. A slice that nobody could measure is not passed over: it is a
   finding, also where rows of it are scored every day and none of them is labelled (`Labelled.scored`).
2. Enough rows is `minimum_rows` labelled ones with `minimum_of_each_class` of each outcome. A precision rests on
   the flagged rows alone, so it needs `minimum_of_each_class` of those too.
3. Passed, failed or not enough evidence is decided by `limits`, the margin being `MARGIN`.
4. No limits at all is a failure: an empty set of checks has checked nothing.
5. The worst comes first: failed before not enough evidence before passed, then by how far the limit is missed.

"""

from collections.abc import Mapping, Sequence
from itertools import starmap
from types import MappingProxyType

import numpy as np

from fielded.decisions.measuring.accuracy import metrics
from fielded.decisions.measuring.intervals import Estimate, corrected
from fielded.decisions.measuring.labelled import Labelled, everywhere
from fielded.decisions.measuring.slices import OVERALL, Slice
from fielded.decisions.release.findings import Finding, Verdict
from fielded.decisions.release.limits import Measured, finding
from fielded.definition.release import AT_LEAST, METRICS, Limit, Metric, PerformanceGate

# By how much the interval's worse end may miss a limit. The Brier score of a useful model lies between 0 and 0.25,
# where the others range over most of [0, 1].
MARGIN: Mapping[Metric, float] = MappingProxyType({**dict.fromkeys(METRICS, 0.10), "brier": 0.03})

_MEND = "Mend the version where it is weak, or withdraw it"


def performance_findings(labelled: Labelled, slices: Sequence[str], gate: PerformanceGate) -> list[Finding]:
    """Every limit of the gate, overall and in every slice, worst first."""
    if not gate.limits:
        return [_no_limits()]
    places = list(everywhere(labelled, slices))
    enough = [
        (mask, metric)
        for _, mask in places
        for metric in gate.limits
        if not _lacking(labelled, mask, metric, gate)
    ]
    together = corrected(gate.confidence, len(enough))
    findings = [one for place, mask in places for one in _of_place(labelled, place, mask, gate, together)]
    return list(Verdict.of(findings).findings)


def _of_place(
    labelled: Labelled, place: Slice, mask: np.ndarray, gate: PerformanceGate, together: float
) -> list[Finding]:
    columns = (labelled.labels[mask], labelled.scores[mask], labelled.flags[mask])
    alone, all_at_once = metrics(*columns, gate.confidence), metrics(*columns, together)
    more: dict[str, float | None] = {"labelled": int(mask.sum()), "events": int(columns[0].sum())}
    return [
        finding(
            Measured(
                gate="performance",
                item=f"{metric}[{place}]",
                limit=Limit.parse(text),
                margin=MARGIN[metric],
                estimate=alone[metric],
                together=all_at_once[metric],
                lacking=_lacking(labelled, mask, metric, gate),
                mend=_MEND,
                more=more,
            )
        )
        for metric, text in gate.limits.items()
    ]


def _lacking(labelled: Labelled, mask: np.ndarray, metric: Metric, gate: PerformanceGate) -> str:
    """Why the rows of a slice are too few for a metric; empty where they are enough; see rule 2."""
    rows, events = int(mask.sum()), int(labelled.labels[mask].sum())
    needed = [
        ("labelled rows", rows, gate.minimum_rows),
        ("events", events, gate.minimum_of_each_class),
        ("rows without the event", rows - events, gate.minimum_of_each_class),
    ]
    if metric == "precision":
        needed.append(("flagged rows", int(labelled.flags[mask].sum()), gate.minimum_of_each_class))
    return ", ".join(f"{got} {what} where {least} are needed" for what, got, least in needed if got < least)


def _no_limits() -> Finding:
    return Finding(
        gate="performance",
        item="limits",
        outcome="failed",
        got="none",
        expected="a limit on at least one metric",
        step="Set `release.gates.performance.limits` in the definition",
    )


def by_slice(
    labelled: Labelled, slices: Sequence[str], confidence: float = 0.95, worst_by: Metric = "auc"
) -> list[tuple[Slice, Mapping[Metric, Estimate]]]:
    """Every metric overall, which stands first, and in every slice, worst first.

    Args:
        labelled: rows of one version.
        slices: columns of its features.
        confidence: of each interval by itself.
        worst_by: the metric that orders the slices; those that do not define it stand last.
    """
    found = [
        (place, metrics(labelled.labels[mask], labelled.scores[mask], labelled.flags[mask], confidence))
        for place, mask in everywhere(labelled, slices)
    ]
    sign = 1 if worst_by in AT_LEAST else -1

    def rank(place: Slice, values: Mapping[Metric, Estimate]) -> tuple[bool, bool, float, str]:
        value = values[worst_by].value
        return (place != OVERALL, value is None, 0.0 if value is None else sign * value, str(place))

    return [found[index] for index in sorted(range(len(found)), key=list(starmap(rank, found)).__getitem__)]
