"""The assessment results: what the system saw of itself. Nobody independent has looked, and the document says so.

1. A control that is satisfied by evidence, attested, or not satisfied has a finding. One that was not checked has
   none: it is neither, and is counted in the result.
2. A finding of what a person said is marked as attested.
3. All evidence is there as observations, and so is what was cited and not collected; risks are the weaknesses.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fielded.decisions.assurance.controls import ControlRecord, Origin
from fielded.decisions.assurance.evidence import Outcome
from fielded.decisions.ato.baselines import controls, name_of
from fielded.decisions.ato.oscal.assessment_plan import NAME as PLAN
from fielded.decisions.ato.oscal.assessment_plan import applying, reviewed_controls
from fielded.decisions.ato.oscal.common import Making, kept, line, prop, prose
from fielded.decisions.ato.oscal.observations import (
    lacking,
    observation,
    origins,
    related_observations,
    risk,
    risk_uuid,
)
from fielded.decisions.ato.oscal.security_plan import requirement_uuid

NAME = "assessment-results"
STATES: Mapping[Outcome, str] = {
    "satisfied": "satisfied", "attested": "satisfied", "not satisfied": "not-satisfied",
}  # fmt: skip
_ORIGINS: tuple[Origin, ...] = ("implemented", "shared", "inherited", "organization", "unassigned")


def made(making: Making) -> dict[str, Any]:
    """The document."""
    return making.document("assessment-results", "Results of the self-check", {
        "import-ap": {"href": f"{PLAN}.json"},
        "results": [_result(making)],
        **making.back_matter(making.assurance.evidence),
    })  # fmt: skip


def _result(making: Making) -> dict[str, Any]:
    assurance = making.assurance
    reviewed = applying(making)
    start = min((one.at for one in assurance.evidence.values()), default=assurance.as_of)
    absent = sorted({key for one in reviewed for key in one.evidence} - set(assurance.evidence))
    return kept({
        "uuid": making.uuid("result", making.as_of),
        "title": "Self-check",
        "description": "What the system found when it looked at itself. It is no assessment.",
        "start": start.isoformat(),
        "end": making.as_of,
        "props": _counts(reviewed),
        "reviewed-controls": reviewed_controls([record.id for record in reviewed]),
        "observations": [
            *(observation(making, one) for _, one in sorted(assurance.evidence.items())),
            *(lacking(making, key) for key in absent),
        ],
        "risks": [risk(making, one) for one in assurance.weaknesses],
        "findings": [_finding(making, record) for record in reviewed if record.result in STATES],
        "remarks": _not_checked(reviewed),
    })  # fmt: skip


def _counts(reviewed: list[ControlRecord]) -> list[dict[str, str]]:
    results = Counter(record.result for record in reviewed)
    names: tuple[Outcome, ...] = ("satisfied", "attested", "not satisfied", "not checked")
    return [
        prop("controls", len(reviewed)),
        *(prop(name.replace(" ", "-"), results[name]) for name in names),
    ]


def _not_checked(reviewed: list[ControlRecord]) -> str:
    """Rule 1: how many, of how many, and whose."""
    left = [record for record in reviewed if record.result == "not checked"]
    whose = Counter(record.origin for record in left)
    parts = ", ".join(f"{whose[name]} {name}" for name in _ORIGINS)
    return (
        f"{len(left)} of {len(reviewed)} controls that apply were not checked, which is no pass: {parts}. "
        "They have no finding."
    )


def finding_uuid(making: Making, control: str) -> str:
    """Of a control."""
    return making.uuid("finding", control)


def _finding(making: Making, record: ControlRecord) -> dict[str, Any]:
    own = [one.id for one in making.assurance.weaknesses if record.id in one.controls]
    return kept({
        "uuid": finding_uuid(making, record.id),
        "title": line(f"{name_of(record.id)} {record.title}"),
        "description": prose(f"{name_of(record.id)} is {record.result} by what the system saw of itself."),
        "props": [prop("result", record.result)],
        "origins": origins(making),
        "target": _target(record),
        "implementation-statement-uuid": requirement_uuid(making, record.id),
        "related-observations": related_observations(making, record.evidence),
        "related-risks": [{"risk-uuid": risk_uuid(making, key)} for key in own],
    })  # fmt: skip


def _target(record: ControlRecord) -> dict[str, Any]:
    """The control's objective in SP 800-53A; of an added control, whose catalog is another, its statement."""
    ours = record.id in controls()
    note = {"remarks": "Attested by a person; no machine saw it."} if record.result == "attested" else {}
    return {
        "type": "objective-id" if ours else "statement-id",
        "target-id": f"{record.id}_{'obj' if ours else 'smt'}",
        "status": {"state": STATES[record.result], **note},
    }
