"""The parts of the system as OSCAL's plan lists them, and which of them answers for a control.

1. The system itself; what implements controls, `fielded`, with its version; the model in production; each
   platform; and, where it answers for something, the organization.
2. A control that is answered for by others besides has two that answer. One that nobody answers for is the
   system's, and planned.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fielded.decisions.assurance.controls import ControlRecord
from fielded.decisions.ato.origins import COMPONENT, ORGANIZATION
from fielded.decisions.ato.oscal.common import PROVIDER, Making, kept, line, prop, prose

SYSTEM = "this-system"


def uuid_of(making: Making, key: str) -> str:
    """Identifier of a component by its key: a platform's is its name."""
    return making.uuid("component", key)


def model_scope(making: Making) -> tuple[str, str]:
    """Version and digest of the model that the newest evidence about one is of; empty where there is none."""
    about = [one for one in making.assurance.evidence.values() if one.scope.get("artifact_sha256")]
    newest = max(about, key=lambda one: (one.at, one.id), default=None)
    if newest is None:
        return "", ""
    return newest.scope.get("model_version", ""), newest.scope["artifact_sha256"]


def components(making: Making) -> list[dict[str, Any]]:
    """Rule 1."""
    parts = [_system(making), fielded(making)]
    if model_scope(making)[1]:
        parts.append(_model(making))
    parts += [_platform(making, platform) for platform in making.platforms]
    if any(ORGANIZATION in answering(making, record) for record in making.assurance.controls):
        parts.append(_organization(making))
    return parts


def answering(making: Making, record: ControlRecord) -> tuple[str, ...]:
    """Rule 2: keys of the components that answer for a control, the one that implements it first."""
    own = record.component or SYSTEM
    others = record.provider if own == COMPONENT else ""
    if not others:
        return (own,)
    named = (
        str(one["name"])
        for one in making.platforms
        if others.startswith(f"{one['name']} ({one['authorization']}, ")  # names alone may begin alike
    )
    return own, next(named, ORGANIZATION)


def fielded(making: Making) -> dict[str, Any]:
    """What implements controls."""
    newest = making.newest
    version = "" if newest is None else newest.tool.rpartition(" ")[2]
    return kept({
        "uuid": uuid_of(making, COMPONENT),
        "type": "software",
        "title": "fielded",
        "description": "Scores, records, releases, reviews and watches the model, and collects the evidence here.",
        "props": [prop("version", version, ours=False)],
        "status": {"state": "operational"},
        "protocols": list(_protocols(making)),
    })  # fmt: skip


def _system(making: Making) -> dict[str, Any]:
    return {
        "uuid": uuid_of(making, SYSTEM),
        "type": SYSTEM,
        "title": line(making.system),
        "description": prose(str(making.assurance.definition["purpose"])),
        "status": {"state": state(making)},
    }


def state(making: Making) -> str:
    """Of the system: in operation where its site is one for production."""
    return "operational" if making.assurance.site.get("environment") == "production" else "under-development"


def _model(making: Making) -> dict[str, Any]:
    version, sha256 = model_scope(making)
    name = str((making.assurance.definition.get("model") or {}).get("name") or making.assurance.definition["name"])
    return {
        "uuid": uuid_of(making, f"model/{name}"),
        "type": "software",
        "title": line(f"Model {name}"),
        "description": "What computes the score, as its registry has it.",
        "props": [prop("version", version, ours=False), prop("artifact-sha256", sha256)],
        "status": {"state": "operational"},
    }


def _platform(making: Making, platform: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "uuid": uuid_of(making, str(platform["name"])),
        "type": "system",
        "title": line(str(platform["name"])),
        "description": "What the system stands on, under an authorization of its own.",
        "props": [
            prop("authorization", platform.get("authorization", "")),
            prop("level", platform.get("level", "")),
            prop("authorization-expires", platform.get("expires", "")),
        ],
        "status": {"state": "operational"},
        "responsible-roles": [{"role-id": PROVIDER, "party-uuids": [making.uuid("provider", platform["name"])]}],
    }


def _organization(making: Making) -> dict[str, Any]:
    return {
        "uuid": uuid_of(making, ORGANIZATION),
        "type": "process-procedure",
        "title": "Organization",
        "description": "What people of the organization answer for; the evidence of it is theirs.",
        "status": {"state": "operational"},
    }


def _protocols(making: Making) -> Iterator[dict[str, Any]]:
    """Registered ports, as far as they are written as `tcp/8443`."""
    for text in making.assurance.site.get("ports") or ():
        transport, mark, number = str(text).partition("/")
        known = transport.upper() in ("TCP", "UDP") and mark and number.isdigit()
        ports = [{"start": int(number), "end": int(number), "transport": transport.upper()}] if known else []
        yield kept({"uuid": making.uuid("port", str(text)), "name": line(str(text)), "port-ranges": ports})


def inventory(making: Making) -> Iterator[dict[str, Any]]:
    """What the inventory saw installed; nothing where it was not collected."""
    seen = making.assurance.evidence.get("inventory")
    for one in () if seen is None else seen.facts.get("distributions") or ():
        yield {
            "uuid": making.uuid("package", f"{one['name']} {one['version']}"),
            "description": "Python package that is installed.",
            "props": [
                prop("asset-type", "software", ours=False),
                prop("software-name", one["name"], ours=False),
                prop("software-version", one["version"], ours=False),
                prop("asset-id", f"python/{one['name']}", ours=False),
            ],
            "implemented-components": [{"component-uuid": uuid_of(making, COMPONENT)}],
        }
