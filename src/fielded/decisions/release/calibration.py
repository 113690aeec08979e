"""Calibration in the large: mean score less the share of events, overall and in every slice.

1. It is asked of every slice: a version that is right on average and wrong in one class is what the gate is for.
2. Its interval takes the scores as given and the events as uncertain: the mean score less the Wilson interval of
   the share. The chance of an event differs from row to row, which makes a sum of events vary less than Wilson
   assumes (Hoeffding 1956, Annals of Mathematical Statistics 27:713-721), so it covers at least as often as it
   says. Unlike the spread of score less label it does not close to nothing in a slice without events.
3. The larger side counts: what is held against the limit is the distance from zero. The margin of `limits` is
   the limit itself, so an interval may reach twice as far as the value.
4. The expected calibration error is no gate. It adds up absolute noise of its bins: a perfect version shows
   about 0.085 on 200 rows with 15 bins, and more bins show more (Roelofs et al. 2022, AISTATS). `reliability`
   gives the same bins to look at, each with its interval.

Measured: a perfectly calibrated slice with 30% events passes a limit of 0.05 in about 25% of samples of 100 rows,
93% of 300 and 99% of 600. A slice of 100 rows cannot settle it, and its finding says how many would.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fielded.decisions.measuring.calibration import in_the_large
from fielded.decisions.measuring.intervals import Estimate, corrected
from fielded.decisions.measuring.labelled import Labelled, everywhere
from fielded.decisions.measuring.slices import Slice
from fielded.decisions.release.findings import Finding, Verdict
from fielded.decisions.release.limits import Measured, finding
from fielded.definition.release import CalibrationGate, Limit

_MEND = "Recalibrate the version on rows of this slice, or withdraw it"


def calibration_findings(labelled: Labelled, slices: Sequence[str], gate: CalibrationGate) -> list[Finding]:
    """Overall and every slice, worst first."""
    places = list(everywhere(labelled, slices))
    enough = sum(int(mask.sum()) >= gate.minimum_rows for _, mask in places)
    together = corrected(gate.confidence, enough)
    found = [_of_place(labelled, place, mask, gate, together) for place, mask in places]
    return list(Verdict.of(found).findings)


def _of_place(
    labelled: Labelled, place: Slice, mask: np.ndarray, gate: CalibrationGate, together: float
) -> Finding:
    labels, scores = labelled.labels[mask], labelled.scores[mask]
    signed = in_the_large(labels, scores, gate.confidence)
    rows = len(labels)
    few = f"{rows} labelled rows where {gate.minimum_rows} are needed" if rows < gate.minimum_rows else ""
    found = finding(
        Measured(
            gate="calibration",
            item=f"in_the_large[{place}]",
            limit=Limit(at_least=False, bound=gate.in_the_large),
            margin=gate.in_the_large,
            estimate=_distance(signed),
            together=_distance(in_the_large(labels, scores, together)),
            lacking=few,
            mend=_MEND,
            more={
                "difference": signed.value,
                "difference_low": signed.low,
                "difference_high": signed.high,
                "mean_score": float(scores.mean()) if rows else None,
                "events": int(labels.sum()),
            },
        )
    )
    got = f"mean score less share of events {signed}{'; ' if few else ''}{few}"
    allowed = f"{gate.in_the_large:g} on either side of zero, with an interval within twice that"
    return replace(found, got=got, expected=allowed)


def _distance(signed: Estimate) -> Estimate:
    """The same from zero, whichever side; see rule 3."""
    ends = (abs(signed.low), abs(signed.high))
    nearest = 0.0 if signed.low <= 0 <= signed.high else min(ends)
    value = None if signed.value is None else abs(signed.value)
    return Estimate(value, nearest, max(ends), signed.rows)
