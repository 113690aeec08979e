"""Which waivers a new comparison keeps: a waiver sets aside what its signer was shown, and nothing that got worse.

1. A waiver is about one finding of one comparison: the last before it, of the same proposal.
2. In a later comparison it still covers the finding of that name if the comparison is against the same version in
   production, the outcome is no worse ("not enough evidence" is not yet "failed"), and it is no further from
   passing (`Finding.severity`).
   A finding that measured nothing, such as a digest, says the very same.
3. Anything else has to be signed again. Who explained a shift of 0.4 has not explained one of 1.5, and who
   accepted that too few rows were labelled has not accepted what they say once they are.
4. A comparison says of each finding that is set aside what it was (`Finding.set_aside`), so that the same can be
   asked of the next.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fielded.decisions.release.acts import (
    COMPARED,
    PROPOSED,
    WAIVED,
    Candidate,
    Pinned,
    ReleaseEvent,
    pinned_or_none,
)
from fielded.decisions.release.findings import Finding

_RANK = {"not enough evidence": 0, "failed": 1}

_Seen = tuple[Pinned | None, Mapping[str, Any]]  # what was in production, and a finding as it is on record


def kept(
    history: Sequence[ReleaseEvent],
    candidate: Candidate,
    against: Pinned | None,
    findings: Sequence[Finding],
    now: datetime,
) -> frozenset[str]:
    """Names of the findings of a new comparison that an earlier waiver still sets aside.

    Args:
        history: all release events of the model.
        candidate: that was compared.
        against: what it was held against.
        findings: as the gates gave them.
        now: UTC.
    """
    in_force = candidate.waived(now)
    shown = _shown(history, candidate.pinned)
    return frozenset(
        one.name
        for one in findings
        if one.name in in_force and any(_covers(seen, against, one) for seen in shown.get(one.name, ()))
    )


def _shown(history: Sequence[ReleaseEvent], pinned: Pinned) -> dict[str, list[_Seen]]:
    """Finding by name -> what was on record of it each time that somebody waived it; see rule 1."""
    shown: dict[str, list[_Seen]] = {}
    last: Mapping[str, Any] = {}
    for event in history:
        if event.kind not in (PROPOSED, COMPARED, WAIVED) or Pinned.read(event.details) != pinned:
            continue
        if event.kind == PROPOSED:
            shown, last = {}, {}
        elif event.kind == COMPARED:
            last = event.details
        else:
            name = event.details["finding"]
            against = pinned_or_none(last["against"])
            shown.setdefault(name, []).extend((against, one) for one in last["findings"] if one["name"] == name)
    return shown


def _covers(seen: _Seen, against: Pinned | None, new: Finding) -> bool:
    """Rule 2. A finding without a distance is covered by none: nothing says that it is no worse."""
    held_against, old = seen
    outcome = old.get("set_aside") or old["outcome"]
    distance = old.get("severity")
    if held_against != against or distance is None or outcome not in _RANK or new.outcome not in _RANK:
        return False
    if not new.numbers and new.got != old["got"]:
        return False
    return _RANK[new.outcome] <= _RANK[outcome] and new.severity <= distance
