"""OSCAL's documents: valid by NIST's schemas and another reading, and saying what the records say, no more."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from oscal_bindings.parser import parse_oscal

from assured import AS_OF, assurance, evidence
from fielded.decisions.assurance.controls import Assurance, Outcome
from fielded.decisions.assurance.evidence import Evidence
from fielded.decisions.ato.oscal import documents
from fielded.decisions.ato.oscal.common import OURS
from fielded.decisions.ato.oscal.faithful import faithful_findings
from fielded.decisions.ato.oscal.references import reference_findings
from fielded.services.ato.package import control_values, weakness_values
from fielded.world.oscal_schemas import schema_findings
from oscal_schemas import wheel

FILES = {f"evidence/{key}.json": "a" * 64 for key in assurance().evidence}


def made(given: Assurance | None = None) -> dict[str, dict[str, Any]]:
    return documents(given or assurance(), FILES)


def placed(given: Assurance | None = None) -> dict[str, dict[str, Any]]:
    """By the names that they have in the package."""
    return {f"oscal/{name}.json": document for name, document in made(given).items()}


def body(name: str, given: Assurance | None = None) -> dict[str, Any]:
    found: dict[str, Any] = made(given)[name][name]
    return found


def tailored(**ato: object) -> Assurance:
    """The fixture's package with other values below `ato`."""
    given = assurance()
    return replace(given, definition={**given.definition, "ato": {**given.definition["ato"], **ato}})


def results(given: Assurance | None = None) -> dict[str, Any]:
    (one,) = body("assessment-results", given)["results"]
    found: dict[str, Any] = one
    return found


def every(value: Any) -> Iterator[Mapping[str, Any]]:
    """All objects in a JSON value."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from every(item)
    elif isinstance(value, list):
        for item in value:
            yield from every(item)


def prop(holder: Mapping[str, Any], name: str) -> list[str]:
    return [one["value"] for one in holder.get("props", ()) if one["name"] == name]


def of_the_system(given: Assurance) -> Assurance:
    """Without what a platform answers for alone: where the site names no platform, no record does."""
    return replace(given, controls=tuple(one for one in given.controls if one.origin != "inherited"))


VARIANTS = {
    "as it is": assurance(),
    "no weakness": replace(assurance(), weaknesses=()),
    "no evidence": replace(assurance(), evidence={}),
    "nothing of the site": replace(of_the_system(assurance()), site={}),
    "markup and lines": replace(
        of_the_system(assurance(said="A <b>score</b> {{ insert }} \n* of a `row`.")),
        site={"system": "  <script>\n x", "ports": ["tcp/8443", "any port"], "cssp": "A\nB", "system_id": " 7 "},
    ),
    "parameters": tailored(parameters={"ac-05_odp": "the ISSO", "au-11_odp": "3 years"}, cui=["Example; ships"]),
    "an added control": replace(
        assurance(),
        controls=(*assurance().controls, replace(assurance().controls[0], id="ai-1", reason="Added by Overlay 1")),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_nist_s_schemas_take_every_document(name: str) -> None:
    found, unchecked = schema_findings(made(VARIANTS[name]), wheel())
    assert (found, unchecked) == ((), ())


def test_the_schemas_would_say_no() -> None:
    broken = made()
    broken["system-security-plan"]["system-security-plan"]["metadata"]["oscal-version"] = 3
    broken["profile"]["profile"]["editor"] = "x"
    found, _ = schema_findings(broken, wheel())
    assert {one.where for one in found} == {"system-security-plan", "profile"}


@pytest.mark.parametrize("name", VARIANTS)
def test_another_reading_of_oscal_takes_every_document(name: str) -> None:
    for root, document in made(VARIANTS[name]).items():
        read = parse_oscal(json.dumps(document))
        assert type(read.root).__name__ == f"{''.join(part.capitalize() for part in root.split('-'))}Document"


@pytest.mark.parametrize("name", VARIANTS)
def test_everything_that_is_pointed_at_is_there_and_the_records_say_the_same(name: str) -> None:
    given = VARIANTS[name]
    assert reference_findings(placed(given), FILES) == ()
    assert faithful_findings(placed(given), *records(given)) == ()


def records(given: Assurance) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return [control_values(one) for one in given.controls], [weakness_values(one) for one in given.weaknesses]


def test_the_same_package_has_the_same_documents() -> None:
    assert json.dumps(made()) == json.dumps(made())


def test_what_is_the_same_keeps_its_identifier_and_a_document_that_differs_has_another() -> None:
    later = replace(assurance(), as_of=AS_OF + timedelta(days=9))
    before, after = made(), made(later)
    for name, document in before.items():
        assert document[name]["uuid"] != after[name][name]["uuid"]
    for name in ("system-security-plan", "plan-of-action-and-milestones"):
        was, now = ({one["uuid"] for one in every(held[name][name]) if "uuid" in one} for held in (before, after))
        assert len(was & now) == len(was) - 1, "all but the document's own"
    other = replace(assurance(), definition={**assurance().definition, "name": "another"})
    inside = [{one["uuid"] for one in every(made(held)) if "uuid" in one} for held in (assurance(), other)]
    assert not inside[0] & inside[1], "two deployments have nothing in common"


def test_each_control_has_its_place_and_names_who_answers() -> None:
    plan = body("system-security-plan")
    parts = {one["uuid"]: one["title"] for one in plan["system-implementation"]["components"]}
    told = {
        one["control-id"]: [
            (parts[part["component-uuid"]], part.get("implementation-status", {}).get("state"))
            for part in one["by-components"]
        ]
        for one in plan["control-implementation"]["implemented-requirements"]
    }
    assert told == {
        "ac-5": [("fielded", "implemented")],
        "ia-2": [("fielded", "planned")],
        "pe-1": [("Hosting", None)],
        "pl-2": [("Maintenance analytics", "planned")],
        "sc-8": [("fielded", "partial"), ("Hosting", None)],
        "ac-18": [("Maintenance analytics", "not-applicable")],
        "sr-4": [("fielded", "implemented")],
    }
    inherited = [one for one in every(plan) if "inherited" in one]
    assert [one["inherited"][0]["description"] for one in inherited] == [
        "Hosting (PA-0001, IL4) answers for this control.",
        "Hosting (PA-0001, IL4) answers for the rest of this control.",
    ]


def test_the_organization_is_a_component_where_it_answers() -> None:
    given = assurance()
    own = replace(given.controls[3], origin="organization", component="organization", provider="training office")
    plan = body("system-security-plan", replace(given, controls=(own,)))
    assert [one["title"] for one in plan["system-implementation"]["components"]][-1] == "Organization"
    (one,) = plan["control-implementation"]["implemented-requirements"][0]["by-components"]
    assert one["description"] == "training office answers for this control."
    assert "implementation-status" not in one, "that is theirs to say"


def test_sentences_and_evidence_stand_at_their_control_with_the_digest_of_the_file() -> None:
    plan = body("system-security-plan")
    found = next(
        one for one in plan["control-implementation"]["implemented-requirements"] if one["control-id"] == "ac-5"
    )
    (part,) = found["by-components"]
    assert part["description"] == "Self-approval is refused. 3 attempts were refused."
    (link,) = part["links"]
    resource = next(one for one in plan["back-matter"]["resources"] if f"#{one['uuid']}" == link["href"])
    assert resource["rlinks"] == [
        {
            "href": "../evidence/separation.json",
            "media-type": "application/json",
            "hashes": [{"algorithm": "SHA-256", "value": "a" * 64}],
        }
    ]


def test_parameters_stand_at_their_control_and_strays_say_so() -> None:
    given = VARIANTS["parameters"]
    plan = body("system-security-plan", given)["control-implementation"]
    at = {one["control-id"]: one.get("set-parameters") for one in plan["implemented-requirements"]}
    assert at["ac-5"] == [{"param-id": "ac-05_odp", "values": ["the ISSO"]}]
    assert at["sr-4"] is None
    (stray,) = plan["set-parameters"]
    assert stray["param-id"] == "au-11_odp"
    assert "does not have" in stray["remarks"]
    assert [one["param-id"] for one in body("profile", given)["modify"]["set-parameters"]] == ["ac-05_odp"]


def test_the_profile_has_each_control_and_names_where_an_added_one_comes_from() -> None:
    imports = body("profile", VARIANTS["an added control"])["imports"]
    assert [len(one["include-controls"][0]["with-ids"]) for one in imports] == [7, 1]
    assert imports[0]["href"].startswith("https://raw.githubusercontent.com/usnistgov/")
    assert imports[1]["href"].startswith("#")


def test_nobody_has_assessed_or_authorized_it() -> None:
    for name, document in made().items():
        for one in every(document):
            assert not (one.get("role-id") == "assessor" and one.get("party-uuids")), name
            assert "date-authorized" not in one
    assert "It is no assessment" in results()["description"]
    assert {actor["type"] for one in every(made()) for actor in one.get("actors", ())} == {"tool"}


def test_a_finding_is_of_what_was_seen_and_not_checked_is_none() -> None:
    found = {one["target"]["target-id"]: one["target"]["status"]["state"] for one in results()["findings"]}
    assert found == {"ac-5_obj": "satisfied", "ia-2_obj": "not-satisfied", "sr-4_obj": "satisfied"}
    assert [prop(results(), name) for name in ("controls", "satisfied", "not-satisfied", "not-checked")] == [
        ["6"], ["2"], ["1"], ["3"],
    ]  # fmt: skip
    assert results()["remarks"].startswith(
        "3 of 6 controls that apply were not checked, which is no pass: 0 implemented, 1 shared, 1 inherited, "
        "0 organization, 1 unassigned."
    )


@pytest.mark.parametrize("result", ["satisfied", "not satisfied", "not checked", "attested"])
def test_a_finding_follows_the_record(result: Outcome) -> None:
    given = assurance()
    one = replace(given.controls[0], result=result)
    found = results(replace(given, controls=(one,))).get("findings", [])
    assert [(one["target"]["status"]["state"], *prop(one, "result")) for one in found] == {
        "satisfied": [("satisfied", "satisfied")],
        "attested": [("satisfied", "attested")],
        "not satisfied": [("not-satisfied", "not satisfied")],
        "not checked": [],
    }[result]
    assert any("no machine saw it" in one["target"]["status"].get("remarks", "") for one in found) == (
        result == "attested"
    )


def test_all_evidence_is_observed_and_what_was_not_collected_too() -> None:
    given = assurance()
    said = replace(evidence("separation"), attested_by="the ISSO")
    held: dict[str, Evidence] = {**given.evidence, "separation": said}
    del held["transport"]
    seen = {prop(one, "evidence")[0]: one for one in results(replace(given, evidence=held))["observations"]}
    assert set(seen) == {"separation", "identity", "inventory", "transport"}
    assert seen["separation"]["methods"] == ["EXAMINE"]
    assert seen["identity"]["methods"] == ["TEST"]
    assert prop(seen["identity"], "failed") == ["1"]
    assert "not collected" in seen["transport"]["description"]
    assert "relevant-evidence" not in seen["transport"]
    assert seen["identity"]["remarks"] == "- failed: asked. Got it. Expected it."


def test_a_weakness_is_an_item_with_its_risk_its_day_and_its_evidence() -> None:
    plan = body("plan-of-action-and-milestones")
    (item,), (risk,) = plan["poam-items"], plan["risks"]
    assert prop(item, "weakness") == ["w-1"]
    assert prop(item, "control") == ["ia-2"]
    assert risk["deadline"].startswith("2026-04-01")
    assert risk["status"] == "open"
    assert "characterizations" not in risk
    assert item["related-risks"] == [{"risk-uuid": risk["uuid"]}]
    assert {one["title"] for one in plan["observations"]} == {"Look at identity"}
    (found,) = [one for one in results()["findings"] if one["target"]["target-id"] == "ia-2_obj"]
    assert found["related-risks"] == item["related-risks"]
    nobody = replace(assurance(), weaknesses=(replace(assurance().weaknesses[0], due=None),))
    assert "deadline" not in body("plan-of-action-and-milestones", nobody)["risks"][0]


def test_where_nothing_is_weak_there_is_no_plan_of_action() -> None:
    assert "plan-of-action-and-milestones" not in made(VARIANTS["no weakness"])


def test_the_assessment_plan_says_how_to_see_for_oneself() -> None:
    activities = {
        one["related-controls"]["control-selections"][0]["include-controls"][0]["control-id"]: one
        for one in body("assessment-plan")["local-definitions"]["activities"]
    }
    assert "ac-18" not in activities, "it does not apply"
    assert [one["description"] for one in activities["ac-5"]["steps"]] == [
        "release history", "model owner", "Run `fielded release history`",
    ]  # fmt: skip
    assert prop(activities["ac-5"], "method") == ["EXAMINE", "INTERVIEW", "TEST"]
    assert {one["description"] for one in activities["pe-1"]["steps"]} == {"By SP 800-53A."}
    tasks = body("assessment-plan")["tasks"]
    assert [one["title"] for one in tasks] == ["Self-check", "Independent assessment"]
    assert len(tasks[0]["associated-activities"]) == 4


def test_a_platform_s_day_makes_it_a_leveraged_authorization() -> None:
    given = assurance()
    (platform,) = given.site["platforms"]
    assert "leveraged-authorizations" not in body("system-security-plan")["system-implementation"]
    dated = replace(given, site={**given.site, "platforms": [{**platform, "authorized": "2025-01-02"}]})
    (one,) = body("system-security-plan", dated)["system-implementation"]["leveraged-authorizations"]
    assert one["date-authorized"] == "2025-01-02"
    assert reference_findings(placed(dated), FILES) == ()


def test_what_is_written_is_text_and_no_markup() -> None:
    text = json.dumps(made(VARIANTS["markup and lines"]))
    assert "<script>" not in text.replace("\\\\<", "")
    assert "A \\\\<b>score" in text
    for one in every(made(VARIANTS["markup and lines"])):
        for held in one.get("props", ()):
            assert held["value"] == " ".join(held["value"].split())


def test_properties_of_ours_have_our_namespace() -> None:
    nist = {"version", "type", "method", "asset-type", "asset-id", "software-name", "software-version"}
    for one in every(made()):
        for held in one.get("props", ()):
            assert (held.get("ns") == OURS) != (held["name"] in nist)


PLAN = "system-security-plan/control-implementation/implemented-requirements"
RESULT = "assessment-results/results/0"
POAM = "plan-of-action-and-milestones"


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (f"{PLAN}/6", None, {"sr-4: nothing"}),
        (f"{PLAN}/1/props/1/value", "satisfied", {"ia-2: implemented, satisfied"}),
        (
            f"{PLAN}/0/by-components/0/description",
            "All is well.",
            {"ac-5: no 'Self-approval is refused.'", "ac-5: no '3 attempts were refused.'"},
        ),
        (f"{RESULT}/findings/1/target/status/state", "satisfied", {"ia-2: satisfied"}),
        (f"{RESULT}/findings/0", None, {"ac-5: no finding"}),
        (f"{RESULT}/props/4/value", "0", {"props: 0 not checked"}),
        (f"{POAM}/poam-items", None, {"w-1: 0 items"}),
    ],
)
def test_a_face_that_says_something_else_than_the_record_is_told(
    path: str, value: str | None, told: set[str]
) -> None:
    files = deepcopy(placed())
    root, *parts = path.split("/")
    holder: Any = files[f"oscal/{root}.json"][root]
    steps = [int(part) if part.isdigit() else part for part in parts]
    for step in steps[:-1]:
        holder = holder[step]
    if value is None:
        del holder[steps[-1]]
    else:
        holder[steps[-1]] = value
    assert {f"{one.field}: {one.got}" for one in faithful_findings(files, *records(assurance()))} == told


def test_a_package_without_a_plan_is_told() -> None:
    (one,) = faithful_findings({}, *records(assurance()))
    assert (one.where, one.got) == ("oscal/system-security-plan.json", "nothing")
