"""The assessment plan: how anybody sees for himself, control by control.

1. Each control that applies has an activity: the procedure that the package names, else the methods that
   SP 800-53A has for it, else reading: OSCAL knows no activity without a method.
2. The first task is the self-check that the system makes of itself. The second is an assessor's; nobody named one.
"""

from collections.abc import Iterator
from typing import Any

from fielded.decisions.assurance.controls import ControlRecord
from fielded.decisions.ato.baselines import controls, name_of
from fielded.decisions.ato.origins import COMPONENT
from fielded.decisions.ato.oscal.common import ASSESSOR, Making, kept, line, prop, prose
from fielded.decisions.ato.oscal.components import SYSTEM, fielded, uuid_of
from fielded.decisions.ato.oscal.security_plan import NAME as PLAN

NAME = "assessment-plan"
METHODS = ("examine", "interview", "test")


def made(making: Making) -> dict[str, Any]:
    """The document."""
    reviewed = applying(making)
    return making.document("assessment-plan", "Assessment plan", {
        "import-ssp": {"href": f"{PLAN}.json"},
        "local-definitions": {"activities": [_activity(making, record) for record in reviewed]},
        "reviewed-controls": reviewed_controls([record.id for record in reviewed]),
        "assessment-subjects": [{
            "type": "component",
            "description": "The system, and what implements controls in it.",
            "include-subjects": [
                {"subject-uuid": uuid_of(making, key), "type": "component"} for key in (SYSTEM, COMPONENT)
            ],
        }],
        "assessment-assets": {
            "components": [tool(making)],
            "assessment-platforms": [{
                "uuid": making.uuid("assessment-platform"),
                "title": "The site on which the system runs",
                "uses-components": [{"component-uuid": tool_uuid(making)}],
            }],
        },
        "tasks": list(_tasks(making, reviewed)),
    })  # fmt: skip


def applying(making: Making) -> list[ControlRecord]:
    """Controls that apply here."""
    return [record for record in making.assurance.controls if record.origin != "not applicable"]


def reviewed_controls(ids: list[str]) -> dict[str, Any]:
    """Those controls, as OSCAL selects them."""
    return {"control-selections": [{"include-controls": [{"control-id": key} for key in ids]}]}


def tool_uuid(making: Making) -> str:
    """Of fielded as that which looks, beside fielded as that which implements."""
    return making.uuid("tool")


def tool(making: Making) -> dict[str, Any]:
    """What collected the evidence."""
    same = {key: value for key, value in fielded(making).items() if key in ("title", "props", "status")}
    return {
        "uuid": tool_uuid(making),
        "type": "software",
        "description": "Collects evidence by doing what it asks for. It is the system's own and not independent.",
        **same,
    }


def _activity(making: Making, record: ControlRecord) -> dict[str, Any]:
    """Rule 1."""
    steps = list(_steps(making, record))
    methods = [method for method in METHODS if any(method == found for found, _ in steps)]
    return kept({
        "uuid": activity_uuid(making, record.id),
        "title": line(f"{name_of(record.id)} {record.title}"),
        "description": _whose(record),
        "props": [prop("method", method.upper(), ours=False) for method in methods],
        "steps": [step for _, step in steps],
        "related-controls": reviewed_controls([record.id]),
    })  # fmt: skip


def activity_uuid(making: Making, control: str) -> str:
    """Of a control's activity."""
    return making.uuid("activity", control)


def _whose(record: ControlRecord) -> str:
    if record.provider:
        return prose(f"{record.provider} answers for it, or for a part: the evidence of that part is theirs.")
    return "Nobody answers for it yet." if record.origin == "unassigned" else "It is the system's own."


def _steps(making: Making, record: ControlRecord) -> Iterator[tuple[str, dict[str, Any]]]:
    procedure = record.procedure
    asked = [(method, text) for method in METHODS for text in getattr(procedure, method)]
    if not asked:
        known = controls().get(record.id)
        asked = [(method, "By SP 800-53A.") for method in (known.methods if known else ())]
        asked = asked or [("examine", "By the file that added the control; no procedure of it is known here.")]
    for place, (method, text) in enumerate(asked):
        told = f"Run `{text}`" if method == "test" and procedure.test else text
        yield (
            method,
            {
                "uuid": making.uuid("step", f"{record.id}/{method}/{place}"),
                "title": method.capitalize(),
                "description": prose(told),
            },
        )


def _tasks(making: Making, reviewed: list[ControlRecord]) -> Iterator[dict[str, Any]]:
    """Rule 2."""
    seen = [record for record in reviewed if record.evidence]
    if seen:
        yield {
            "uuid": making.uuid("task", "self-check"),
            "type": "action",
            "title": "Self-check",
            "description": "Collect all evidence with `fielded ready` and `fielded ato collect`. No assessment.",
            "associated-activities": [_associated(making, record) for record in seen],
        }
    yield {
        "uuid": making.uuid("task", "assessment"),
        "type": "action",
        "title": "Independent assessment",
        "description": "Who assesses, and when, is not for the system to say.",
        "associated-activities": [_associated(making, record) for record in reviewed],
        "responsible-roles": [{"role-id": ASSESSOR}],
    }


def _associated(making: Making, record: ControlRecord) -> dict[str, Any]:
    return {
        "activity-uuid": activity_uuid(making, record.id),
        "subjects": [{"type": "component", "include-all": {}}],
    }
