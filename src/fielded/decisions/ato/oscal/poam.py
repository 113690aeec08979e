"""The plan of action and milestones: every open weakness under its stable identifier."""

from typing import Any

from fielded.decisions.assurance.controls import Weakness
from fielded.decisions.ato.baselines import name_of
from fielded.decisions.ato.oscal.assessment_plan import tool
from fielded.decisions.ato.oscal.common import Making, kept, line, prop, prose, role_title
from fielded.decisions.ato.oscal.observations import observation, origins, related_observations, risk, risk_uuid
from fielded.decisions.ato.oscal.security_plan import NAME as PLAN
from fielded.decisions.ato.oscal.security_plan import system_id

NAME = "plan-of-action-and-milestones"


def made(making: Making) -> dict[str, Any]:
    """The document; there must be a weakness."""
    weak = making.assurance.weaknesses
    cited = sorted({key for one in weak for key in one.evidence} & set(making.assurance.evidence))
    return making.document("plan-of-action-and-milestones", "Plan of action and milestones", kept({
        "import-ssp": {"href": f"{PLAN}.json"},
        "system-id": system_id(making)[0],
        "local-definitions": {"components": [tool(making)]},
        "observations": [observation(making, making.assurance.evidence[key]) for key in cited],
        "risks": [risk(making, one) for one in weak],
        "poam-items": [_item(making, one) for one in weak],
        **making.back_matter(cited),
    }))  # fmt: skip


def _item(making: Making, one: Weakness) -> dict[str, Any]:
    held = [key for key in one.evidence if key in making.assurance.evidence]
    return kept({
        "uuid": making.uuid("poam-item", one.id),
        "title": line(one.title),
        "description": prose(f"{one.found} Next step: {one.step}"),
        "props": [
            prop("weakness", one.id),
            prop("since", one.since.isoformat()),
            *(prop("control", key) for key in one.controls),
        ],
        "links": making.evidence_links(held),
        "origins": origins(making),
        "related-observations": related_observations(making, held),
        "related-risks": [{"risk-uuid": risk_uuid(making, one.id)}],
        "remarks": prose(
            f"Touches {', '.join(name_of(key) for key in one.controls) or 'no single control'}. "
            f"Answered for by: {role_title(one.owner).lower()}."
        ),
    })  # fmt: skip
