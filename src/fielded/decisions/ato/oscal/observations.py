"""Observations and risks, which the assessment results and the plan of action and milestones have both.

1. A piece of evidence is one observation: by test, or by examination where it is what a person said.
2. Evidence that a control cites and nobody collected is one too: that it is not there was seen.
3. A weakness is one risk, open, with its day where somebody named one. How likely and how bad it is nobody said,
   so nothing here characterizes it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from fielded.decisions.assurance.controls import Weakness
from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.decisions.ato.origins import COMPONENT
from fielded.decisions.ato.oscal.assessment_plan import tool_uuid
from fielded.decisions.ato.oscal.common import Making, kept, line, prop, prose, role_id
from fielded.decisions.ato.oscal.components import uuid_of


def origins(making: Making) -> list[dict[str, Any]]:
    """Who saw it: a tool, and nobody independent."""
    return [{"actors": [{"type": "tool", "actor-uuid": tool_uuid(making)}]}]


def observation_uuid(making: Making, evidence: str) -> str:
    """Of a piece of evidence."""
    return making.uuid("observation", evidence)


def observation(making: Making, one: Evidence) -> dict[str, Any]:
    """Rule 1."""
    until = None if one.valid_until is None else one.valid_until.isoformat()
    return kept({
        "uuid": observation_uuid(making, one.id),
        "title": line(one.title),
        "description": prose(f"{one.title}: {one.outcome}. Again with `{one.command}`."),
        "props": [
            prop("evidence", one.id),
            prop("outcome", one.outcome),
            *(prop(name, sum(check.outcome == outcome for check in one.checks))
              for name, outcome in (("held", "held"), ("failed", "failed"), ("not-checked", "not checked"))),
            prop("refusals-tried", sum(check.negative for check in one.checks)),
        ],
        "methods": ["EXAMINE" if one.attested_by else "TEST"],
        "types": ["control-objective"],
        "origins": origins(making),
        "subjects": [{"subject-uuid": uuid_of(making, COMPONENT), "type": "component"}],
        "relevant-evidence": [{"href": f"#{making.resource(one.id)}", "description": line(one.title)}],
        "collected": one.at.isoformat(),
        "expires": until,
        "remarks": prose("\n".join(_check(check) for check in one.checks)) or "It has no check.",
    })  # fmt: skip


def _check(check: Check) -> str:
    asked = f"{check.name} (must be refused)" if check.negative else check.name
    return f"- {check.outcome}: {line(asked)}. Got {line(check.got)}. Expected {line(check.expected)}."


def lacking(making: Making, evidence: str) -> dict[str, Any]:
    """Rule 2."""
    return {
        "uuid": observation_uuid(making, evidence),
        "title": line(f"Evidence {evidence}"),
        "description": "A control cites it and it was not collected. That is no pass.",
        "props": [prop("evidence", evidence), prop("outcome", "not checked")],
        "methods": ["EXAMINE"],
        "origins": origins(making),
        "collected": making.as_of,
    }


def related_observations(making: Making, ids: Iterable[str]) -> list[dict[str, str]]:
    """Of pieces of evidence."""
    return [{"observation-uuid": observation_uuid(making, key)} for key in ids]


def risk_uuid(making: Making, weakness: str) -> str:
    """Of a weakness: the same as long as it is open."""
    return making.uuid("risk", weakness)


def risk(making: Making, one: Weakness) -> dict[str, Any]:
    """Rule 3."""
    return kept({
        "uuid": risk_uuid(making, one.id),
        "title": line(one.title),
        "description": prose(f"{one.title}."),
        "statement": prose(one.found),
        "props": [prop("weakness", one.id), prop("since", one.since.isoformat())],
        "status": "open",
        "origins": origins(making),
        "deadline": "" if one.due is None else f"{one.due}T00:00:00+00:00",
        "remediations": [{
            "uuid": making.uuid("remediation", one.id),
            "lifecycle": "recommendation",
            "title": "Next step",
            "description": prose(one.step),
            **_milestone(making, one),
        }],
        "related-observations": related_observations(making, _held(making, one.evidence)),
    })  # fmt: skip


def _milestone(making: Making, one: Weakness) -> dict[str, Any]:
    if one.due is None:
        return {}
    return {"tasks": [{
        "uuid": making.uuid("milestone", one.id),
        "type": "milestone",
        "title": "Mended",
        "timing": {"on-date": {"date": f"{one.due}T00:00:00+00:00"}},
        "responsible-roles": [{"role-id": role_id(one.owner)}],
    }]}  # fmt: skip


def _held(making: Making, ids: Iterable[str]) -> Iterator[str]:
    return (key for key in ids if key in making.assurance.evidence)
