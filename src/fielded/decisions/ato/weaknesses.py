"""The plan of action and milestones: every check that did not hold, and every answer that is lacking (CA-5).

1. A check that failed or could not be made is a weakness, and so is what is wrong with the answers for controls
   (`origins.gaps`). Nobody opens one by hand, and nobody closes one: it is gone when the check holds.
2. Its id is made of what is weak, so the same weakness has the same id in the next package.
3. It is open since the first look of the last unbroken row of looks in which the check did not hold.
4. It is due so many days after that as `ato.mend_days` says; where it says nothing, nobody said.
5. Whoever an item of readiness asks something of answers for its evidence; for the rest the ISSO does.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

from fielded.decisions.assurance.controls import ControlRecord, Weakness
from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.decisions.ato.origins import Gap
from fielded.decisions.readiness.items import ITEMS

_ID_DIGITS = 12
_OWNERS: Mapping[str, str] = {item.key: item.asked_of for item in ITEMS}
_OTHERWISE = "isso"


def weaknesses_of(
    history: Sequence[Evidence],
    counting: Mapping[str, Evidence],
    controls: Iterable[ControlRecord],
    gaps: Iterable[Gap],
    today: date,
    mend_days: int | None,
) -> tuple[Weakness, ...]:
    """All open weaknesses, by id.

    Args:
        history: all evidence on record, oldest first.
        counting: the last of each id as it counts now.
        controls: what the package says of each.
        gaps: what is wrong with the answers themselves.
        today: day of the package (UTC): a gap is seen since then, for nobody keeps when it came about.
        mend_days: rule 4.
    """
    citing = _citing(controls)
    found = [
        _of_check(check, one, _since(history, one, check), citing.get(one.id, ()), mend_days)
        for one in counting.values()
        for check in one.checks
        if check.outcome != "held"
    ]
    found += [_of_gap(gap, today, mend_days) for gap in gaps]
    return tuple(sorted(found, key=lambda one: one.id))


def _citing(controls: Iterable[ControlRecord]) -> dict[str, tuple[str, ...]]:
    """Evidence id -> controls that cite it."""
    found: dict[str, list[str]] = {}
    for record in controls:
        for key in record.evidence:
            found.setdefault(key, []).append(record.id)
    return {key: tuple(ids) for key, ids in found.items()}


def weakness_id(*names: str) -> str:
    """Rule 2."""
    return f"w-{hashlib.sha256('/'.join(names).encode()).hexdigest()[:_ID_DIGITS]}"


def _of_check(
    check: Check, evidence: Evidence, since: date, controls: tuple[str, ...], mend_days: int | None
) -> Weakness:
    what = "did not hold" if check.outcome == "failed" else "could not be checked"
    return Weakness(
        id=weakness_id(evidence.id, check.name),
        title=f"{evidence.title}: {check.name} {what}",
        found=f"Got {check.got}. Expected {check.expected}.",
        controls=controls,
        evidence=(evidence.id,),
        step=check.step or f"Mend it and run `{evidence.command}`",
        since=since,
        due=_due(since, mend_days),
        owner=_OWNERS.get(evidence.id, _OTHERWISE),
    )


def _since(history: Sequence[Evidence], evidence: Evidence, check: Check) -> date:
    """Rule 3."""
    since = evidence.at.date()
    for one in reversed([one for one in history if one.id == evidence.id]):
        if not any(other.name == check.name and other.outcome != "held" for other in one.checks):
            break
        since = one.at.date()
    return since


def _of_gap(gap: Gap, today: date, mend_days: int | None) -> Weakness:
    return Weakness(
        id=weakness_id("gap", gap.id),
        title=gap.title,
        found=f"Got {gap.got}. Expected {gap.expected}.",
        controls=gap.controls,
        evidence=(),
        step=gap.step,
        since=today,
        due=_due(today, mend_days),
        owner=_OTHERWISE,
    )


def _due(since: date, mend_days: int | None) -> date | None:
    """Rule 4."""
    return None if mend_days is None else since + timedelta(days=mend_days)
