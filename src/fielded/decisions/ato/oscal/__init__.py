"""OSCAL's face of the package: documents of NIST's models, made of the one internal model. Nobody edits them."""

from collections.abc import Mapping
from typing import Any

from fielded.decisions.assurance.controls import Assurance
from fielded.decisions.ato.oscal import (
    assessment_plan,
    assessment_results,
    component_definition,
    poam,
    profile,
    security_plan,
)
from fielded.decisions.ato.oscal.common import Making


def documents(assurance: Assurance, attached: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Every document by the name of its file, without the ending.

    Where no weakness is open there is no plan of action and milestones: its schema knows no empty one.

    Args:
        assurance: what the package says.
        attached: file of the package -> its SHA-256; those that the documents point to are among them.
    """
    making = Making.of(assurance, attached)
    made = {
        profile.NAME: profile.made(making),
        component_definition.NAME: component_definition.made(making),
        security_plan.NAME: security_plan.made(making),
        assessment_plan.NAME: assessment_plan.made(making),
        assessment_results.NAME: assessment_results.made(making),
    }
    return {**made, poam.NAME: poam.made(making)} if assurance.weaknesses else made
