"""The component definition: what fielded itself implements, for whoever writes another system's plan with it.

Only controls of SP 800-53 rev. 5 are in it, for its one source is NIST's catalog.
"""

from collections.abc import Iterator
from typing import Any

from fielded.decisions.assurance.controls import ControlRecord
from fielded.decisions.ato.baselines import controls
from fielded.decisions.ato.origins import COMPONENT
from fielded.decisions.ato.oscal.common import Making, kept, prop, prose
from fielded.decisions.ato.oscal.components import fielded
from fielded.decisions.ato.oscal.profile import CATALOG

NAME = "component-definition"


def made(making: Making) -> dict[str, Any]:
    """The document. It claims no result: that is of a system and of a day."""
    known = controls()
    own = [
        record
        for record in making.assurance.controls
        if record.component == COMPONENT and record.said and record.id in known
    ]
    component = {key: value for key, value in fielded(making).items() if key not in ("status", "protocols")}
    implementation = {
        "uuid": making.uuid("component-control-implementation", CATALOG),
        "source": CATALOG,
        "description": "Controls that fielded implements alone or in part, with the code and the tests of each.",
        "implemented-requirements": [_requirement(making, record) for record in own],
    }
    return making.document("component-definition", "Component definition of fielded", {
        "components": [{**component, **({"control-implementations": [implementation]} if own else {})}],
        **making.back_matter(key for record in own for key in record.evidence),
    })  # fmt: skip


def _requirement(making: Making, record: ControlRecord) -> dict[str, Any]:
    return kept({
        "uuid": making.uuid("component-requirement", record.id),
        "control-id": record.id,
        "description": prose(" ".join(one.text for one in record.said)),
        "props": list(_props(record)),
        "links": making.evidence_links(record.evidence),
        "remarks": prose(record.reason),
    })  # fmt: skip


def _props(record: ControlRecord) -> Iterator[dict[str, str]]:
    yield from (prop("code", file) for file in record.code)
    yield from (prop("test", file) for file in record.tests)
