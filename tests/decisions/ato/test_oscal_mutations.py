"""Every reference of every document, pointed elsewhere in turn: nothing that leads nowhere, or to a thing of
another kind, goes unseen. What is rare in a package, such as text that looks like markup, is valid all the same.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from oscal_bindings.parser import parse_oscal

from assured import wide
from fielded.decisions.ato.oscal import documents
from fielded.decisions.ato.oscal.references import reference_findings
from fielded.world.oscal_schemas import schema_findings
from oscal_schemas import wheel

FILES = {f"evidence/{key}.json": "a" * 64 for key in wide().evidence} | {
    "documents/data_flow.html": "b" * 64,
    "controls.xlsx": "c" * 64,
    "attached/sbom.json": "e" * 64,
}
DOCUMENTS = {f"oscal/{name}.json": document for name, document in documents(wide(), FILES).items()}
NOBODY = "0f0e1d2c-3b4a-4596-8778-695a4b3c2d1e"
ELSEWHERE = {
    "control-id": "zz-77",
    "with-ids": "zz-77",
    "target-id": "zz-77_obj",
    "param-id": "zz-77_odp",
    "role-id": "emperor",
    "role-ids": "emperor",
    "href": "../evidence/nowhere.json",
    "source": "nowhere.json",
}
# A parameter of a control that the plan has not stands there on purpose, and says so.
STRAY = "oscal/system-security-plan.json /system-security-plan/control-implementation/set-parameters/"

Place = tuple[str | int, ...]


def leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*place, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from leaves(item, (*place, number))
    elif isinstance(value, str):
        yield place, value


def key_of(place: Place) -> str:
    """The field that a value is of, whether it stands alone or in a list."""
    return next(str(part) for part in reversed(place) if isinstance(part, str))


def among(place: Place) -> str:
    """The list that the object with this `uuid` is in."""
    names = [part for part in place[:-1] if isinstance(part, str)]
    return names[-1]


def defined(document: Mapping[str, Any]) -> dict[str, str]:
    return {value: among(place) for place, value in leaves(document) if place[-1] == "uuid"}


KINDS = {own: kind for document in DOCUMENTS.values() for own, kind in defined(document).items()}


@contextmanager
def changed(file: str, place: Place, value: str) -> Iterator[None]:
    """The documents with another value at one place, and after that as they were."""
    holder: Any = DOCUMENTS[file]
    for part in place[:-1]:
        holder = holder[part]
    before, holder[place[-1]] = holder[place[-1]], value
    try:
        yield
    finally:
        holder[place[-1]] = before


def references(file: str) -> Iterator[tuple[Place, str]]:
    """Values that are identifiers of something, but for the thing's own."""
    for place, value in leaves(DOCUMENTS[file]):
        if place[-1] != "uuid" and value.removeprefix("#") in KINDS:
            yield place, value


def nowhere(file: str) -> Iterator[tuple[Place, str]]:
    """Places, with values that lead nowhere."""
    for place, value in references(file):
        yield place, value.replace(value.removeprefix("#"), NOBODY)
    for place, _ in leaves(DOCUMENTS[file]):
        if key_of(place) in ELSEWHERE:
            yield place, ELSEWHERE[key_of(place)]
        if place[-1] == "value" and "hashes" in place:
            yield place, "9" * 64


def of_another_kind(file: str) -> Iterator[tuple[Place, str]]:
    """References, with one thing of each other kind in the same document."""
    one_of_each = {kind: own for own, kind in defined(DOCUMENTS[file]).items()}
    for place, value in references(file):
        own = value.removeprefix("#")
        for kind, other in one_of_each.items():
            if kind != KINDS[own]:
                yield place, value.replace(own, other)
    for place, value in leaves(DOCUMENTS[file]):
        if str(place[-2]).startswith("import-") and place[-1] == "href":
            for other in DOCUMENTS:
                if other != f"oscal/{value}":
                    yield place, other.removeprefix("oscal/")


def twice(file: str) -> Iterator[tuple[Place, str]]:
    """Identifiers, with that of another thing of the same document."""
    every = list(defined(DOCUMENTS[file]))
    for place, value in leaves(DOCUMENTS[file]):
        if place[-1] == "uuid" and len(every) > 1:
            yield place, next(one for one in every if one != value)


def test_they_are_whole_before_they_are_changed() -> None:
    assert reference_findings(DOCUMENTS, FILES) == ()


@pytest.mark.parametrize("file", DOCUMENTS)
@pytest.mark.parametrize("ways", [nowhere, of_another_kind, twice])
def test_no_reference_may_lead_elsewhere(file: str, ways: Any) -> None:
    unseen, tried = [], 0
    for place, value in list(ways(file)):
        told = f"{file} /{'/'.join(str(part) for part in place)}"
        if told.startswith(STRAY):
            continue
        tried += 1
        with changed(file, place, value):
            if not reference_findings(DOCUMENTS, FILES):
                unseen.append(f"{told} = {value}")
    assert unseen == []
    assert tried or (ways is not nowhere and file == "oscal/profile.json")
    assert reference_findings(DOCUMENTS, FILES) == ()


def test_every_kind_of_reference_was_tried() -> None:
    """What a document never has cannot be broken in it: the fixture has all that the writers write."""
    seen = {key_of(place) for file in DOCUMENTS for place, _ in [*nowhere(file), *references(file)]}
    assert seen >= {
        "activity-uuid", "actor-uuid", "component-uuid", "control-id", "href", "implementation-statement-uuid",
        "observation-uuid", "param-id", "party-uuids", "risk-uuid", "role-id", "role-ids", "source",
        "subject-uuid", "target-id", "value", "with-ids",
    }  # fmt: skip


def test_what_is_rare_is_valid_too() -> None:
    named = {name.removeprefix("oscal/").removesuffix(".json"): one for name, one in DOCUMENTS.items()}
    assert schema_findings(named, wheel()) == ((), ())
    for document in DOCUMENTS.values():
        parse_oscal(json.dumps(document))


def test_a_catalog_s_controls_alone_are_claimed_under_it() -> None:
    (component,) = DOCUMENTS["oscal/component-definition.json"]["component-definition"]["components"]
    (claimed,) = component["control-implementations"]
    ids = [one["control-id"] for one in claimed["implemented-requirements"]]
    assert "zz-1" not in ids
    assert {"ac-5", "ca-7"} <= set(ids)


def test_each_activity_has_a_method() -> None:
    """NIST asks for one, by a constraint that no schema has; a control of another catalog has no 53A methods."""
    activities = DOCUMENTS["oscal/assessment-plan.json"]["assessment-plan"]["local-definitions"]["activities"]
    methods = {one["title"]: [prop["value"] for prop in one["props"]] for one in activities}
    assert methods["ZZ-1 Of another catalog"] == ["EXAMINE"]
    assert all(methods.values())


def test_platforms_whose_names_begin_alike_are_told_apart() -> None:
    given = wide()
    short = {"name": "Hosting", "authorization": "PA-0002", "level": "IL4", "expires": "2027-06-30"}
    long = {**short, "name": "Hosting (Gov)", "authorization": "PA-0003"}
    shared = next(one for one in given.controls if one.id == "sc-8")
    shared = replace(shared, provider="Hosting (Gov) (PA-0003, IL4, until 2027-06-30)")
    site = {**given.site, "platforms": [short, long]}
    made = documents(replace(given, site=site, controls=(shared,)), FILES)
    plan = made["system-security-plan"]["system-security-plan"]
    (requirement,) = plan["control-implementation"]["implemented-requirements"]
    titles = {one["uuid"]: one["title"] for one in plan["system-implementation"]["components"]}
    assert [titles[one["component-uuid"]] for one in requirement["by-components"]] == ["fielded", "Hosting (Gov)"]


def test_a_person_s_word_and_the_organization_have_their_place_and_no_pass_is_made_of_either() -> None:
    plan = DOCUMENTS["oscal/system-security-plan.json"]["system-security-plan"]["control-implementation"]
    states = {
        one["control-id"]: [part.get("implementation-status", {}) for part in one["by-components"]]
        for one in plan["implemented-requirements"]
    }
    assert states["at-2"] == [{}], "theirs to say"
    assert states["ca-7"] == [{"state": "implemented", "remarks": "By a person's word, not by an assessment."}]
    assert states["au-10"][0]["state"] == "partial"
    (result,) = DOCUMENTS["oscal/assessment-results.json"]["assessment-results"]["results"]
    found = {one["target"]["target-id"]: one["target"]["status"] for one in result["findings"]}
    assert "Attested" in found["ca-7_obj"]["remarks"]
    assert not {"at-2_obj", "au-10_obj"} & set(found)
    assert found["zz-1_smt"]["state"] == "satisfied"
    assert "never-collected" in {
        prop["value"] for one in result["observations"] for prop in one["props"] if prop["name"] == "evidence"
    }
