"""The reference check: each way to point nowhere is found, and found once."""

from copy import deepcopy
from typing import Any

import pytest

from assured import assurance
from fielded.decisions.ato.oscal import documents
from fielded.decisions.ato.oscal.references import reference_findings

FILES = {f"evidence/{key}.json": "a" * 64 for key in assurance().evidence}
NOBODY = "0f0e1d2c-3b4a-4596-8778-695a4b3c2d1e"
PLAN, AP, AR, POAM, PROFILE, COMPONENT = (
    "system-security-plan",
    "assessment-plan",
    "assessment-results",
    "plan-of-action-and-milestones",
    "profile",
    "component-definition",
)
MADE = {f"oscal/{name}.json": document for name, document in documents(assurance(), FILES).items()}


GONE = object()


def put(values: Any, path: str, value: object) -> None:
    """Another value at a path; at one that ends in `+` one more."""
    *parts, last = path.split("/")
    for part in parts:
        values = values[int(part)] if isinstance(values, list) else values[part]
    if last == "+":
        values.append(value)
    elif value is GONE:
        del values[int(last) if isinstance(values, list) else last]
    else:
        values[int(last) if isinstance(values, list) else last] = value


def broken(name: str, path: str, value: object) -> list[str]:
    files = deepcopy(MADE)
    put(files[f"oscal/{name}.json"][name], path, value)
    found = reference_findings(files, FILES)
    return [f"{one.where.removeprefix('oscal/')} {one.field}: {one.got}" for one in found]


def test_all_is_there() -> None:
    assert reference_findings(MADE, FILES) == ()


REQUIREMENTS = "control-implementation/implemented-requirements"
FIRST = MADE[f"oscal/{PLAN}.json"][PLAN]["control-implementation"]["implemented-requirements"][0]
PERSON = MADE[f"oscal/{PLAN}.json"][PLAN]["metadata"]["parties"][0]
PART = FIRST["by-components"][0]
OTHER = "1a0e1d2c-3b4a-4596-8778-695a4b3c2d1e"
AGAIN = {**FIRST, "uuid": NOBODY, "by-components": [{**PART, "uuid": OTHER}]}
LEVERAGED = [{"name": "leveraged-authorization-uuid", "value": NOBODY}]
PARTS = f"{REQUIREMENTS}/0/by-components"
PACKAGE = "system-implementation/inventory-items/0"
RLINK = "back-matter/resources/0/rlinks/0"
RESULT = "results/0"

CASES: list[tuple[str, str, object, str]] = [
    (PLAN, f"{PARTS}/0/component-uuid", NOBODY, f"component-uuid: {NOBODY}, which nothing has"),
    (PLAN, f"{PARTS}/0/component-uuid", PERSON["uuid"], "which is one of parties"),
    (PLAN, PARTS, GONE, "ac-5 without a component"),
    (PLAN, f"{PARTS}/+", {**PART, "uuid": OTHER}, "ac-5 with one component twice"),
    (PLAN, f"{REQUIREMENTS}/+", AGAIN, "control-implementation: ac-5 2 times"),
    (PLAN, f"{REQUIREMENTS}/3", GONE, "control-implementation: nothing on pl-2"),
    (PLAN, f"{REQUIREMENTS}/0/anything-uuid", NOBODY, "anything-uuid: 0f0e1d2c"),
    (PLAN, "system-implementation/components/1", GONE, "component-uuid"),
    (PLAN, "system-implementation/components/0/props", LEVERAGED, "props/0/value: 0f0e1d2c"),
    (PLAN, f"{PACKAGE}/implemented-components/0/component-uuid", NOBODY, "nothing has"),
    (PLAN, "system-implementation/users/0/role-ids/+", "emperor", "role-id: emperor"),
    (PLAN, "metadata/responsible-parties/0/party-uuids/+", NOBODY, "party-uuids"),
    (PLAN, "metadata/roles/0", GONE, "model-owner"),
    (PLAN, "metadata/parties/+", PERSON, "2 times"),
    (PLAN, "metadata/parties/+", {**PERSON, "uuid": "not one"}, "'not one'"),
    (PLAN, "back-matter/resources/0", GONE, "links/0/href: #"),
    (PLAN, f"{RLINK}/href", "../evidence/none.json", "href: ../evidence/none.json"),
    (PLAN, f"{RLINK}/href", "../../etc/passwd", "href: ../../etc/passwd"),
    (PLAN, f"{RLINK}/hashes/0/value", "b" * 64, "1 digests that are not the file's"),
    (PLAN, f"{RLINK}/hashes", GONE, "0 digests that are not the file's"),
    (PLAN, "import-profile/href", "another.json", "import: oscal/another.json"),
    (PROFILE, "imports/0/include-controls/0/with-ids/0", GONE, "profile.json imports: nothing on ac-5"),
    (COMPONENT, "components/0/control-implementations/0/source", f"#{NOBODY}", "source: #0f0e1d2c"),
    (AP, "tasks/0/associated-activities/0/activity-uuid", NOBODY, "activity-uuid"),
    (AP, "assessment-subjects/0/include-subjects/0/subject-uuid", NOBODY, "subject-uuid"),
    (AP, "assessment-subjects/0/include-subjects/0/type", "party", "which is one of components"),
    (AP, "assessment-assets/components", GONE, "uses-components/0/component-uuid"),
    (AP, "reviewed-controls/control-selections/0/include-controls/+", {"control-id": "zz-9"}, "control-id: zz-9"),
    (AR, "import-ap/href", "../elsewhere.json", "import: elsewhere.json"),
    (AR, f"{RESULT}/observations/0", GONE, "observation-uuid"),
    (AR, f"{RESULT}/observations/0/origins/0/actors/0/actor-uuid", NOBODY, "actor-uuid"),
    (AR, f"{RESULT}/risks/0", GONE, "risk-uuid"),
    (AR, f"{RESULT}/findings/0/implementation-statement-uuid", NOBODY, "implementation-statement-uuid"),
    (AR, f"{RESULT}/findings/0/target/target-id", "zz-9_obj", "target-id: zz-9_obj"),
    (POAM, "risks/0", GONE, "risk-uuid"),
    (POAM, "observations/0", GONE, "observation-uuid"),
    (POAM, "local-definitions/components/0", GONE, "actor-uuid"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "value", "told"), CASES)
def test_what_points_nowhere_is_found(name: str, path: str, value: object, told: str) -> None:
    found = broken(name, path, value)
    assert any(told in one for one in found), found


def test_the_assessment_results_may_name_what_is_in_the_documents_they_import_and_in_no_other() -> None:
    """The tool is a component of the assessment plan; without it the results point nowhere."""
    files = deepcopy(MADE)
    del files["oscal/assessment-plan.json"]
    found = reference_findings(files, FILES)
    assert any("actor-uuid" in one.field for one in found)
    assert any(one.field == "import" for one in found)


def test_files_are_left_alone_where_nobody_gave_them() -> None:
    assert reference_findings(MADE) == ()
    assert reference_findings(MADE, {}) != ()


@pytest.mark.parametrize("document", [{}, {"a": 1}, {"a": {}, "b": {}}])
def test_what_is_no_document_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="got no OSCAL document"):
        reference_findings({"oscal/x.json": document})


def test_objects_in_objects_without_end_are_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="without end"):
        reference_findings({"oscal/x.json": {"profile": deep}})
