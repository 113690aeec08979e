"""The `ato:` section and the site's `authorization:`: what they may say, each mistake with its field."""

from datetime import date
from pathlib import Path

import pytest
from sections import load, one

from fielded.definition import load_site
from fielded.definition.ato import Ato, Categorization, control_of
from fielded.words.errors import DefinitionError

FULL = """
ato:
  need_date: 2027-03-01
  boundary: new
  categorization: {confidentiality: moderate, integrity: high, availability: low}
  impact_level: IL4
  cui: [Controlled technical information]
  high_impact: true
  tailored_in: {sr-4: Provenance of the training data is what the program is asked for}
  not_applicable: {ac-18: There is no wireless access to it}
  parameters: {ac-02_odp.05: one day}
  documents: {model_card: model_card.yaml}
  mend_days: 30
  report_max_age_days: 30
"""


def test_no_section_asks_for_the_moderate_baseline() -> None:
    ato = load("").ato
    assert ato == load("ato: {}\n").ato == Ato()
    assert ato.chosen == "nist-moderate"
    assert dict(ato.documents) == dict(ato.tailored_in) == {}


def test_a_full_section_is_read() -> None:
    ato = load(FULL).ato
    assert (ato.need_date, ato.boundary, ato.impact_level) == (date(2027, 3, 1), "new", "IL4")
    assert ato.categorization == Categorization(integrity="high")
    assert ato.chosen == "nist-high", "the highest of the three decides (FIPS 200)"
    assert dict(ato.documents) == {"model_card": "model_card.yaml"}
    with pytest.raises(TypeError):
        ato.documents["other"] = "other.yaml"  # type: ignore[index]


def test_a_baseline_that_is_named_counts() -> None:
    assert load("ato: {baseline: fedramp-class-c}\n").ato.chosen == "fedramp-class-c"


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ("ato: {kickoff: 2026-01-01}\n", "ato.kickoff"),
        ("ato: {need_date: soon}\n", "ato.need_date"),
        ("ato: {impact_level: IL3}\n", "ato.impact_level"),
        ("ato: {baseline: nist-medium}\n", "ato.baseline"),
        ("ato: {documents: {model_card: ../model_card.yaml}}\n", "ato.documents.model_card"),
        ("ato: {not_applicable: {ac-18: ''}}\n", "ato.not_applicable.ac-18"),
        ("ato: {parameters: {ac-2: one day}}\n", "ato.parameters.ac-2"),
        ("ato: {report_max_age_days: 0}\n", "ato.report_max_age_days"),
    ],
)
def test_a_mistake_is_told_with_its_field(section: str, field: str) -> None:
    assert one(section).field == field


@pytest.mark.parametrize(
    ("parameter", "control"), [("ac-02_odp.05", "ac-2"), ("ac-06.09_odp", "ac-6.9"), ("si-10_odp", "si-10")]
)
def test_a_parameter_belongs_to_a_control(parameter: str, control: str) -> None:
    assert control_of(parameter) == control


def test_a_control_has_one_answer() -> None:
    finding = one("ato: {tailored_in: {sr-4: asked for it}, not_applicable: {sr-4: nobody asks}}\n")
    assert "sr-4" in str(finding)


SITE = """
authorization:
  system: Maintenance analytics
  platforms:
    - {name: Hosting, authorization: PA-0001, level: IL4, expires: 2027-06-30, inherited: [pe-*], shared: {ac-2: accounts of the workspace}}
  ports: [tcp/8443]
  catalog: catalog.json
  additions: [overlay.json]
  persons: {blair.example@example.mil: ["os:blair"]}
"""  # noqa: E501 - as a site writes it


def test_what_a_site_stands_on_is_read_and_its_files_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    found = load_site({}, tmp_path).authorization
    (platform,) = found.platforms
    assert (platform.level, platform.expires, platform.inherited) == ("IL4", date(2027, 6, 30), ("pe-*",))
    assert found.catalog == tmp_path / "catalog.json"
    assert found.additions == (tmp_path / "overlay.json",)
    assert found.persons["blair.example@example.mil"] == ("os:blair",)


@pytest.mark.parametrize("inherited", ["PE-1", "pe", "pe-*-1", "*"])
def test_what_is_no_control_is_inherited_by_nobody(tmp_path: Path, inherited: str) -> None:
    (tmp_path / "site.yaml").write_text(SITE.replace("pe-*", f'"{inherited}"'))
    with pytest.raises(DefinitionError, match=r"authorization\.platforms\.0\.inherited"):
        load_site({}, tmp_path)
