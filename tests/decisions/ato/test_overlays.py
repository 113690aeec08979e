"""Catalogs and overlays that a site brings: what is read of them, and what is refused."""

from typing import Any

import pytest

from fielded.decisions.ato.overlays import control_texts, read_addition
from fielded.words.errors import WrongUse

PROFILE: dict[str, Any] = {
    "profile": {
        "metadata": {"title": "An overlay", "version": "0.3"},
        "imports": [{"href": "#catalog", "include-controls": [{"with-ids": ["ac-2", "sr-4", "ac-2.1"]}]}],
        "modify": {"set-parameters": [{"param-id": "au-11_odp", "values": ["three years"]}]},
    }
}
CATALOG: dict[str, Any] = {
    "catalog": {
        "metadata": {"title": "Additions", "version": "1"},
        "groups": [
            {
                "id": "xa",
                "controls": [
                    {
                        "id": "xa-1",
                        "title": "Something of an agency",
                        "params": [{"id": "xa-01_odp", "label": "frequency"}],
                        "parts": [
                            {
                                "name": "statement",
                                "prose": "The organization:",
                                "parts": [
                                    {
                                        "name": "item",
                                        "props": [{"name": "label", "value": "a."}],
                                        "prose": "Looks every {{ insert: param, xa-01_odp }}.",
                                    }
                                ],
                            },
                            {"name": "guidance", "prose": "Not the statement."},
                        ],
                        "controls": [{"id": "xa-1.1", "title": "More of it"}],
                    },
                    {"id": "xa-2", "title": "Gone", "props": [{"name": "status", "value": "withdrawn"}]},
                ],
            }
        ],
    }
}


def test_a_profile_adds_the_controls_that_it_names() -> None:
    found = read_addition(PROFILE, "overlay.json")
    assert (found.title, found.version) == ("An overlay", "0.3")
    assert found.controls == {
        "ac-2": "Account Management",
        "sr-4": "Provenance",
        "ac-2.1": found.controls["ac-2.1"],
    }
    assert found.parameters == {"au-11_odp": "three years"}


def test_a_catalog_adds_all_of_it_but_what_is_withdrawn() -> None:
    found = read_addition(CATALOG, "catalog.json")
    assert found.controls == {"xa-1": "Something of an agency", "xa-1.1": "More of it"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"component-definition": {}},
        {"profile": {"metadata": {}, "imports": [{"href": "#", "include-all": {}}]}},
        {"profile": {"imports": [{"include-controls": [{"with-ids": ["xa-1"]}]}]}},
        {"profile": {"imports": [{"include-controls": [{"with-ids": ["../etc"]}]}]}},
    ],
)
def test_what_is_none_is_refused(document: Any) -> None:
    with pytest.raises(WrongUse, match=r"overlay\.json: got .*, expected"):
        read_addition(document, "overlay.json")


def test_a_controls_text_is_its_statement_with_its_parameters() -> None:
    assert control_texts(CATALOG, {})["xa-1"] == "The organization:\na. Looks every [Assignment: frequency]."
    assert "every week." in control_texts(CATALOG, {"xa-01_odp": "week"})["xa-1"]
    with pytest.raises(WrongUse, match=r"authorization\.catalog"):
        control_texts(PROFILE, {})
