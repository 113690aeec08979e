"""The system security plan.

1. Each control of the package is one implemented requirement, and has a by-component for each that answers for it.
2. Implemented is what all evidence shows, partial what could not be seen to, planned what did not hold or what
   nobody answers for. What others answer for alone has no status here: that is theirs to give.
3. Nobody authorized the system by this: there is no date of it.
4. Organization-defined parameters stand at their control; those of a control that is not here are told as such.
5. A leveraged authorization needs the day on which it was given; a platform whose day the site does not say is a
   component with its authorization's name, level and last day.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fielded.decisions.assurance.controls import ControlRecord
from fielded.decisions.ato.origins import COMPONENT
from fielded.decisions.ato.oscal.common import Making, kept, line, prop, prose, role_id, role_title
from fielded.decisions.ato.oscal.components import SYSTEM, answering, components, inventory, state, uuid_of
from fielded.decisions.ato.oscal.profile import NAME as PROFILE
from fielded.decisions.ato.oscal.profile import parameters_of
from fielded.definition.ato import control_of

NAME = "system-security-plan"
_LEVELS = ("low", "moderate", "high")
_OBJECTIVES = ("confidentiality", "integrity", "availability")
_OTHERS = frozenset({"inherited", "organization"})
_NOBODY = "Nobody answers for this control yet."


def made(making: Making) -> dict[str, Any]:
    """The document."""
    assurance = making.assurance
    by_control: dict[str, dict[str, str]] = {}
    for key, value in sorted(parameters_of(making).items()):
        by_control.setdefault(control_of(key), {})[key] = value
    requirements = [_requirement(making, one, by_control.pop(one.id, {})) for one in assurance.controls]
    strays = [one for values in by_control.values() for one in _parameters(values, stray=True)]
    return making.document("system-security-plan", "System security plan", {
        "import-profile": {"href": f"{PROFILE}.json"},
        "system-characteristics": _characteristics(making),
        "system-implementation": _implementation(making),
        "control-implementation": kept({
            "description": "Each sentence is in the package's controls.json too, with the evidence that it cites.",
            "set-parameters": strays,
            "implemented-requirements": requirements,
        }),
        **making.back_matter(assurance.evidence, documents=True),
    })  # fmt: skip


def system_id(making: Making) -> list[dict[str, str]]:
    """Of the system: that of its registry, where the site has one, and ours."""
    known = str(making.assurance.site.get("system_id") or "")
    own = {"identifier-type": "http://ietf.org/rfc/rfc4122", "id": making.uuid("system")}
    return [{"id": line(known)}, own] if known else [own]


def _characteristics(making: Making) -> dict[str, Any]:
    definition, site = making.assurance.definition, making.assurance.site
    ato = definition["ato"]
    levels: Mapping[str, str] = ato["categorization"]
    highest = max((levels[name] for name in _OBJECTIVES), key=_LEVELS.index)
    diagram = _diagram(making)
    return kept({
        "system-ids": system_id(making),
        "system-name": line(making.system),
        "system-name-short": line(str(definition["name"])),
        "description": prose(str(definition["purpose"])),
        "props": list(_site_props(making)),
        "security-sensitivity-level": highest,
        "system-information": {"information-types": list(_information(making, levels))},
        "security-impact-level": {
            f"security-objective-{name}": f"fips-199-{levels[name]}" for name in _OBJECTIVES
        },
        "status": {"state": state(making), "remarks": "As the site's environment says."},
        "authorization-boundary": {"description": prose(_boundary(site))},
        "data-flow": {
            "description": "Where data comes from, where it goes, and what is recorded on the way.",
            "diagrams": [diagram],
        } if diagram else {},
    })  # fmt: skip


def _site_props(making: Making) -> Iterator[dict[str, str]]:
    """What an authorizing official of the DoD asks first, as far as definition and site say it."""
    site, ato = making.assurance.site, making.assurance.definition["ato"]
    secret = {True: "yes", False: "no"}.get(site.get("national_security"))  # type: ignore[arg-type]
    told = {
        "impact-level": ato.get("impact_level"),
        "baseline": ato.get("chosen"),
        "national-security-system": secret,
        "cssp": site.get("cssp"),
        "fips-module": site.get("fips_module"),
        "stig": site.get("stig"),
        "incident-path": site.get("incident_path"),
    }
    yield from (prop(name, value) for name, value in told.items() if value)
    yield from (prop("trusted-authority", one) for one in site.get("pki") or ())


def _information(making: Making, levels: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    named = making.assurance.definition["ato"].get("cui") or ()
    for title in named or ("Information of the deployment",):
        kind = (
            "Controlled unclassified information of this category." if named else "No category of CUI was named."
        )
        yield {
            "uuid": making.uuid("information", str(title)),
            "title": line(str(title)),
            "description": kind,
            **{f"{name}-impact": {"base": f"fips-199-{levels[name]}"} for name in _OBJECTIVES},
        }


def _boundary(site: Mapping[str, Any]) -> str:
    platforms = ", ".join(str(one["name"]) for one in site.get("platforms") or ()) or "no platform that was named"
    ports = ", ".join(str(one) for one in site.get("ports") or ()) or "none was named"
    access = str(site.get("boundary_access") or "nobody said by which path")
    return f"The system stands on {platforms}. Users cross the boundary: {access}. Registered ports: {ports}."


def _diagram(making: Making) -> dict[str, Any]:
    document = making.assurance.documents.get("data_flow")
    if document is None:
        return {}
    return {
        "uuid": making.uuid("diagram", "data_flow"),
        "description": line(document.title),
        "links": [{"href": f"#{making.uuid('resource', 'document/data_flow')}", "rel": "diagram"}],
        "caption": line(document.title),
    }


def _implementation(making: Making) -> dict[str, Any]:
    users = [
        {"uuid": making.uuid("user", role), "title": role_title(role), "role-ids": [role_id(role)]}
        for role in making.assurance.definition["people"]
    ]
    return kept({
        "leveraged-authorizations": list(_leveraged(making)),
        "users": users,
        "components": components(making),
        "inventory-items": list(inventory(making)),
    })  # fmt: skip


def _leveraged(making: Making) -> Iterator[dict[str, Any]]:
    """Rule 5."""
    for platform in making.platforms:
        if platform.get("authorized"):
            yield {
                "uuid": making.uuid("leveraged", str(platform["name"])),
                "title": line(f"{platform['name']} ({platform['authorization']})"),
                "party-uuid": making.uuid("provider", platform["name"]),
                "date-authorized": platform["authorized"],
            }


def _requirement(making: Making, record: ControlRecord, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Rule 1."""
    return kept({
        "uuid": requirement_uuid(making, record.id),
        "control-id": record.id,
        "props": [
            prop("origin", record.origin),
            prop("result", record.result),
            prop("in-baseline", "yes" if record.in_baseline else "no"),
        ],
        "set-parameters": list(_parameters(parameters)),
        "by-components": [_by_component(making, record, key) for key in answering(making, record)],
        "remarks": prose(record.reason),
    })  # fmt: skip


def requirement_uuid(making: Making, control: str) -> str:
    """Of a control's place in the plan."""
    return making.uuid("requirement", control)


def _parameters(values: Mapping[str, str], *, stray: bool = False) -> Iterator[dict[str, Any]]:
    """Rule 4."""
    note = {"remarks": "Of a control that this plan does not have."} if stray else {}
    for key, value in values.items():
        yield {"param-id": key, "values": [line(value)], **note}


def _by_component(making: Making, record: ControlRecord, key: str) -> dict[str, Any]:
    own = key in (record.component, SYSTEM)
    answers = (
        f"{record.provider} answers for {'the rest of ' if record.component == COMPONENT else ''}this control."
    )
    said = " ".join(one.text for one in record.said) if own else ""
    found = said or (answers if record.provider else _nothing(record))
    inherited = {"uuid": making.uuid("inherited", f"{record.id}/{key}"), "description": prose(answers)}
    return kept({
        "component-uuid": uuid_of(making, key),
        "uuid": making.uuid("by-component", f"{record.id}/{key}"),
        "description": prose(found),
        "implementation-status": _status(record) if own else {},
        "inherited": [inherited] if record.provider and key not in (COMPONENT, SYSTEM) else [],
        "links": making.evidence_links(record.evidence) if own else [],
    })  # fmt: skip


def _nothing(record: ControlRecord) -> str:
    if record.origin == "not applicable":
        return f"Not applicable: {record.reason}"
    return _NOBODY if record.origin == "unassigned" else "The evidence that it cites was not collected."


def _status(record: ControlRecord) -> dict[str, str]:
    """Rule 2."""
    if record.origin == "not applicable":
        return {"state": "not-applicable", "remarks": prose(record.reason) or "See the control's sentences."}
    if record.origin in _OTHERS:
        return {}
    if record.origin == "unassigned":
        return {"state": "planned", "remarks": _NOBODY}
    if record.result == "not satisfied":
        return {"state": "planned", "remarks": "Its evidence did not hold; see the plan of action and milestones."}
    if record.result == "not checked":
        return {"state": "partial", "remarks": "Not all of it could be checked, which is no pass."}
    by = "a person's word" if record.result == "attested" else "evidence"
    return {"state": "implemented", "remarks": f"By {by}, not by an assessment."}
