"""The profile: which controls the plan is about, as the definition and the site chose them, with their parameters.

1. Each control of the package is in it, and no other. Controls of SP 800-53 rev. 5 come from NIST's catalog,
   others from the file that the site added them by, which the package names and does not carry.
2. A parameter stands in it if its control does: another would be declared nowhere.
"""

from typing import Any

from fielded.decisions.ato.baselines import controls
from fielded.decisions.ato.oscal.common import Making, kept, line
from fielded.definition.ato import control_of

NAME = "profile"
CATALOG = (
    "https://raw.githubusercontent.com/usnistgov/oscal-content/main/nist.gov/SP800-53/rev5/json/"
    "NIST_SP-800-53_rev5_catalog.json"
)
_ADDED = "Catalog of added controls"


def made(making: Making) -> dict[str, Any]:
    """The document."""
    known = controls()
    ids = [record.id for record in making.assurance.controls]
    added = [key for key in ids if key not in known]
    imports = [_import(CATALOG, [key for key in ids if key in known])]
    resources = []
    if added:
        own = making.uuid("resource", "additions")
        imports.append(_import(f"#{own}", added))
        resources.append(
            {"uuid": own, "title": _ADDED, "description": "A file that the site's authorization names."}
        )
    parameters = [
        {"param-id": key, "values": [line(value)]}
        for key, value in sorted(parameters_of(making).items())
        if control_of(key) in ids
    ]
    return making.document("profile", "Tailored baseline", kept({
        "imports": [one for one in imports if one["include-controls"][0]["with-ids"]],
        "merge": {"as-is": True},
        "modify": {"set-parameters": parameters} if parameters else {},
        "back-matter": {"resources": resources} if resources else {},
    }))  # fmt: skip


def parameters_of(making: Making) -> dict[str, str]:
    """Values of organization-defined parameters, as the definition sets them."""
    return dict((making.assurance.definition.get("ato") or {}).get("parameters") or {})


def _import(href: str, ids: list[str]) -> dict[str, Any]:
    return {"href": href, "include-controls": [{"with-ids": ids}]}
