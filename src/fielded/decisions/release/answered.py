"""What labels say to a shift: a candidate that differs from production in one slice may be right there.

1. A shift found in a slice is answered where labelled rows of that slice say that the candidate is right: its
   calibration in the large there passed, and so did every limit of the performance gate.
2. Both gates must have been asked. Ranking alone does not see a bias: the area under the ROC curve of a slice
   stays the same when all its scores are lowered.
3. A shift that *failed* is known: one of the two versions is wrong there, and limits that leave room for either
   do not say which. A class whose events are rare can lose 0.8 of its log-odds and keep a calibration limit of
   0.10. So the labels must also prefer the candidate: on the same labelled rows of that slice its Brier score is
   below production's, with the whole interval of the difference.
4. Only the same slice answers, by its description. A slice that was searched and found is answered once it is
   among the definition's `slices` and labelled; until then it takes a signed waiver.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from fielded.decisions.measuring.intervals import Estimate
from fielded.decisions.release.findings import Finding

_ITEM = re.compile(r"(?P<what>\w+)\[(?P<slice>.*)\]", re.DOTALL)


def answered_by_labels(
    shift: Sequence[Finding], labelled: Sequence[Finding], brier: Mapping[str, Estimate]
) -> list[Finding]:
    """The findings of the shift gate, those that labels answer passed.

    Args:
        shift: of the shift gate.
        labelled: of the calibration and performance gates.
        brier: description of a slice -> Brier score of the candidate less that of production, on the same rows.
    """
    calibrated, limits = _by_slice(labelled, "calibration"), _by_slice(labelled, "performance")
    return [
        _answered(one, calibrated.get(_slice(one), []), limits.get(_slice(one), []), brier.get(_slice(one)))
        for one in shift
    ]


def _answered(
    shift: Finding, calibrated: Sequence[Finding], limits: Sequence[Finding], brier: Estimate | None
) -> Finding:
    of_slice = [*calibrated, *limits]
    if shift.outcome == "passed" or not calibrated or not limits:
        return shift
    if any(one.outcome != "passed" for one in of_slice):
        return shift
    told = list(_told(of_slice))
    if shift.outcome == "failed":
        if brier is None or brier.value is None:
            return shift
        told.append(f"Brier score less production's {brier}")
        if brier.high >= 0:
            return replace(
                shift, got=f"{shift.got}; labels keep every limit and prefer neither: {', '.join(told)}"
            )
    return replace(shift, outcome="passed", got=f"{shift.got}; answered by labels: {', '.join(told)}", step="")


def _told(findings: Sequence[Finding]) -> Iterator[str]:
    for one in findings:
        found = _ITEM.fullmatch(one.item)
        yield f"{found['what'] if found else one.item} {one.got}"


def _by_slice(findings: Sequence[Finding], gate: str) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for one in findings:
        if one.gate == gate and _slice(one):
            found.setdefault(_slice(one), []).append(one)
    return found


def _slice(finding: Finding) -> str:
    """Description of the slice that a finding is about; empty where it is about none."""
    found = _ITEM.fullmatch(finding.item)
    return found["slice"] if found else ""
