"""Documents made of evidence: every number follows its source, and what nothing stands behind says so."""

import io
import json
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import docx
import pytest

import papers
from conftest import NOWHERE
from fielded.decisions.assurance.documents import Document, sentences_in
from fielded.decisions.assurance.statements import Sources, Statement, has_number
from fielded.definition import Deployment, load_deployment
from fielded.definition.prose import FUNCTIONS, PARTS, PRINCIPLES
from fielded.definition.site import Site
from fielded.services.documents.data_flow import drawn
from fielded.services.documents.every import NAMES, documents_of, prose_of
from fielded.services.documents.html import page_of
from fielded.services.documents.values import definition_values, site_values, sources_of, with_reckoned
from fielded.services.documents.word import word_of
from fielded.words.errors import WrongUse
from pages import can_be_read, nothing_runs, width_needed

EXAMPLE = Path(__file__).parents[3] / "examples" / "maintenance_overrun"
SITE = Site(
    root="/nowhere", tracking_uri="sqlite:///nowhere", artifact_root="/nowhere", cache=Path("/nowhere"), **NOWHERE
)


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    return load_deployment(EXAMPLE)


@pytest.fixture(scope="module")
def documents(deployment: Deployment) -> dict[str, Document]:
    return documents_of(papers.sources(deployment, SITE), prose_of(deployment), papers.AS_OF)


def texts(document: Document) -> list[str]:
    return [one.text for one in document.sentences()]


class TestComplete:
    def test_with_all_evidence_nothing_is_without(self, documents: dict[str, Document]) -> None:
        assert tuple(documents) == NAMES
        for made in documents.values():
            assert made.counts()["not evidenced"] == 0, made.name

    def test_without_evidence_every_sentence_that_needs_it_says_so(self, deployment: Deployment) -> None:
        bare = sources_of([], papers.AS_OF, definition_values(deployment), site_values(SITE))
        made = documents_of(bare, {}, papers.AS_OF)
        for name in ("model_card", "rai_assessment", "provenance", "monitoring_plan", "runbook"):
            evidenced = [one.cites for one in made[name].sentences() if one.state == "evidenced"]
            assert {source for cites in evidenced for source in cites} <= {"definition", "site", "reckoned"}, name
            assert made[name].counts()["not evidenced"] > 5

    def test_the_card_has_the_nine_sections_in_their_order(self, documents: dict[str, Document]) -> None:
        numbers = [section.number for section in documents["model_card"].sections]
        assert numbers == ["", *map(str, range(1, 10)), "A"]
        assert all(any(True for _ in section.sentences()) for section in documents["model_card"].sections[:-1])

    def test_the_assessment_has_each_principle_under_each_function(self, documents: dict[str, Document]) -> None:
        titles = {section.title for section in documents["rai_assessment"].sections}
        assert {f"{one.capitalize()}: {other}" for one in PRINCIPLES for other in FUNCTIONS} <= titles

    def test_page_one_tells_what_failed_and_on_whose_word_the_rest_stands(self, deployment: Deployment) -> None:
        weak = papers.sources(
            deployment, SITE, papers.found("rollback", "failed"), papers.found("audit-probe", "not checked")
        )
        made = documents_of(weak, {}, papers.AS_OF)["model_card"]
        told = " ".join(one.text for one in made.sections[0].sentences())
        assert "1 failed and 1 could not be made" in told
        assert "rollback" in told
        assert "audit-probe" in told
        assert "PA-0001, IL4" in told

    def test_what_people_wrote_is_printed_in_its_part_with_name_and_day(
        self, deployment: Deployment, documents: dict[str, Document]
    ) -> None:
        for name, prose in prose_of(deployment).items():
            wanted = [(one.author, one.date.isoformat()) for part in PARTS[prose.document]
                      for one in prose.sections.get(part, ())]  # fmt: skip
            found = [
                (one.attested.author, one.attested.date)
                for one in documents[name].sentences() if one.attested is not None
            ]  # fmt: skip
            assert sorted(found) == sorted(wanted), name

    def test_the_plan_names_the_person_and_the_trigger(self, documents: dict[str, Document]) -> None:
        told = " ".join(texts(documents["monitoring_plan"]))
        assert "Blair Example" in told
        assert "psi(score)" in told


class TestEvidenceThatCarriesNothing:
    def test_evidence_that_is_over_carries_no_number(self, deployment: Deployment) -> None:
        old = papers.found("evaluation", at=papers.AS_OF - timedelta(days=30))
        made = documents_of(papers.sources(deployment, SITE, old), {}, papers.AS_OF)["model_card"]
        of_it = [one for one in made.sentences() if "evaluation" in one.cites]
        assert of_it
        assert {one.state for one in of_it} == {"not evidenced"}
        assert "its time was over on" in of_it[0].lacking

    def test_a_drill_that_did_not_hold_is_no_way_back_that_works(self, deployment: Deployment) -> None:
        failed = papers.sources(deployment, SITE, papers.found("rollback", "failed"))
        made = documents_of(failed, {}, papers.AS_OF)["rai_assessment"]
        (sentence,) = [one for one in made.sentences() if "A runbook says how to go back" in one.text]
        assert sentence.state == "not evidenced"
        assert sentence.lacking == "rollback did not hold"

    def test_a_value_that_a_slice_may_lack_is_told_as_none(self, documents: dict[str, Document]) -> None:
        table = next(
            block for section in documents["model_card"].sections for block in section.blocks
            if getattr(block, "caption", "") == "Performance by slice"
        )  # fmt: skip
        assert table.rows[1][2] == "none"  # type: ignore[union-attr]


def changed(values: Any) -> Any:
    """The same values with another number wherever one is, also in texts."""
    if isinstance(values, bool) or values is None:
        return values
    if isinstance(values, int):
        return values + 11
    if isinstance(values, float):
        return values * 1.375 + 0.5
    if isinstance(values, str):
        return re.sub(r"\d", lambda digit: str((int(digit[0]) + 3) % 10), values)
    if isinstance(values, Mapping):
        return {name: changed(part) for name, part in values.items()}
    return [changed(part) for part in values]


class TestNumbersFollow:
    """No number is typed by hand: with other data every one of them is another."""

    @pytest.mark.parametrize("name", NAMES)
    def test_every_sentence_with_a_number_changes_with_its_sources(
        self, deployment: Deployment, documents: dict[str, Document], name: str
    ) -> None:
        sources = papers.sources(deployment, SITE)
        evidence = {key: {**one, "facts": changed(one["facts"]), "scope": changed(one["scope"])}
                    for key, one in sources.documents.items() if key in papers.FACTS}  # fmt: skip
        others = {key: changed(sources.documents[key]) for key in ("definition", "site", "reckoned")}
        moved = replace(sources, documents={**sources.documents, **evidence, **others})
        seen = 0
        for one in documents[name].sentences():
            if one.statement is None or not has_number(one.text):
                continue
            again = moved.say(one.statement)
            assert again.text != one.text, one.statement.template
            seen += 1
        assert seen >= 4

    @pytest.mark.parametrize("name", NAMES)
    def test_no_template_has_one(self, documents: dict[str, Document], name: str) -> None:
        for values in sentences_in(documents[name].as_dict()):
            if values["template"]:
                parts = {"references": values["references"], "rests_on": tuple(values["rests_on"])}
                Statement(template=values["template"], **parts)

    @pytest.mark.parametrize("name", NAMES)
    def test_whoever_has_the_sources_makes_every_sentence_anew(
        self, deployment: Deployment, documents: dict[str, Document], name: str
    ) -> None:
        again = with_reckoned(papers.sources(deployment, SITE))
        for one in documents[name].sentences():
            if one.statement is not None:
                assert again.say(one.statement).as_dict() == one.as_dict()

    def test_the_model_card_follows_one_fact(self, deployment: Deployment) -> None:
        facts = {**papers.FACTS["evaluation"], "rows": {"all": 9876, "holdout": 9000, "outcomes": 876}}
        made = documents_of(
            papers.sources(deployment, SITE, papers.found("evaluation", facts=facts)), {}, papers.AS_OF
        )["model_card"]
        assert any("9,876 rows" in text for text in texts(made))


HOSTILE = "<script>alert(1)</script>&\"'"


def hostile(deployment: Deployment) -> Sources:
    """Sources whose texts would do harm on a page that believed them."""

    def spoilt(values: Any) -> Any:
        if isinstance(values, str):
            return f"{values}{HOSTILE}"
        if isinstance(values, Mapping):
            return {name: spoilt(part) for name, part in values.items()}
        return [spoilt(part) for part in values] if isinstance(values, list | tuple) else values

    sources = papers.sources(deployment, SITE)
    evidence = {key: {**one, "facts": spoilt(one["facts"])} for key, one in sources.documents.items()
                if key in papers.FACTS}  # fmt: skip
    others = {key: spoilt(sources.documents[key]) for key in ("definition", "site")}
    return replace(sources, documents={**sources.documents, **evidence, **others})


class TestPage:
    @pytest.mark.parametrize("name", NAMES)
    def test_texts_stay_texts(self, deployment: Deployment, name: str) -> None:
        page = page_of(documents_of(hostile(deployment), {}, papers.AS_OF)[name], f"overrun{HOSTILE}")
        nothing_runs(page)
        assert "&lt;script&gt;" in page

    @pytest.mark.parametrize("name", NAMES)
    def test_everybody_can_read_it(self, documents: dict[str, Document], name: str) -> None:
        can_be_read(page_of(documents[name], "overrun"))

    @pytest.mark.parametrize("name", ["model_card", "data_flow"])
    def test_it_fits_a_telephone(self, documents: dict[str, Document], name: str, tmp_path: Path) -> None:
        assert width_needed(page_of(documents[name], "overrun"), 320, tmp_path) <= 320

    def test_it_says_everything_that_the_document_says(self, documents: dict[str, Document]) -> None:
        for made in documents.values():
            page = re.sub(r"\s+", " ", page_of(made, "overrun"))
            for one in made.sentences():
                shown = one.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
                shown = shown.replace('"', "&#34;").replace("'", "&#39;")
                assert re.sub(r"\s+", " ", shown) in page, one.text

    def test_what_is_not_evidenced_is_marked_with_its_reason(self, deployment: Deployment) -> None:
        bare = sources_of([], papers.AS_OF, definition_values(deployment), site_values(SITE))
        page = page_of(documents_of(bare, {}, papers.AS_OF)["model_card"], "overrun")
        assert page.count("<b>not evidenced</b>") > 10
        assert "(evaluation was not collected)" in page

    def test_the_same_document_is_the_same_page(self, documents: dict[str, Document]) -> None:
        for made in documents.values():
            assert page_of(made, "overrun") == page_of(made, "overrun")


class TestWord:
    def test_the_same_document_is_the_same_bytes_whenever_it_is_written(
        self, documents: dict[str, Document]
    ) -> None:
        made = word_of(documents["model_card"], "overrun")
        assert made == word_of(documents["model_card"], "overrun")
        with zipfile.ZipFile(io.BytesIO(made)) as archive:
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            core = archive.read("docProps/core.xml").decode()
        assert "2026-03-02T12:00:00Z" in core
        assert "fielded" in core

    @pytest.mark.parametrize("name", NAMES)
    def test_it_says_everything_that_the_document_says(self, documents: dict[str, Document], name: str) -> None:
        file = docx.Document(io.BytesIO(word_of(documents[name], "overrun")))
        said = "\n".join(_everything(file))
        for one in documents[name].sentences():
            assert one.text in said
        for section in documents[name].sections:
            assert section.title in said

    def test_without_the_extra_it_names_it(
        self, documents: dict[str, Document], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "docx", None)
        with pytest.raises(WrongUse, match=r"fielded\[ato\]"):
            word_of(documents["runbook"], "overrun")


def _everything(file: Any) -> Iterator[str]:
    yield from (paragraph.text for paragraph in file.paragraphs)
    for table in file.tables:
        for row in table.rows:
            yield from (cell.text for cell in row.cells)


class TestDrawing:
    def test_it_is_well_formed_and_does_nothing(self, deployment: Deployment) -> None:
        svg = drawn(hostile(deployment))
        root = ET.fromstring(svg)  # noqa: S314 - our own
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert tags <= {"svg", "rect", "polygon", "defs", "marker", "path", "polyline", "text", "circle", "line"}
        names = {name for element in root.iter() for name in element.attrib}
        assert not {name for name in names if name.startswith("on") or name in ("style", "href")}

    def test_it_names_the_parts_of_this_deployment(self, deployment: Deployment) -> None:
        svg = drawn(papers.sources(deployment, SITE))
        for name in ("maintenance_work_orders", "maintenance_overrun_classifier", "tcp/8443", "Maintenance"):
            assert name in svg

    def test_every_arrow_is_a_row_of_the_table(self, documents: dict[str, Document]) -> None:
        flows = next(
            block for section in documents["data_flow"].sections for block in section.blocks
            if getattr(block, "caption", "") == "Flows by letter"
        )  # fmt: skip
        letters = [row[0] for row in flows.rows]  # type: ignore[union-attr]
        assert letters == sorted(letters)  # type: ignore[type-var]
        assert len(letters) == drawn(Sources(documents={})).count("<polyline")


class TestValues:
    def test_no_path_host_or_identity_of_the_site_is_among_them(self, tmp_path: Path) -> None:
        site = replace(
            SITE, root=str(tmp_path / "tables"), journal_url="postgresql://ada:hunter2@db.example/journal",
            roles={"os:ada": ("release",)},
            authorization=replace(SITE.authorization, catalog=tmp_path / "catalog.json",
                                  persons={"ada@example.mil": ("os:ada",)}),
        )  # fmt: skip
        told = json.dumps(site_values(site))
        for secret in (str(tmp_path), "hunter2", "db.example", "os:ada", "catalog"):
            assert secret not in told
        assert site_values(site)["journal"] == "postgresql"

    def test_a_definition_is_json_with_its_digest_and_baseline(self, deployment: Deployment) -> None:
        values = json.loads(json.dumps(definition_values(deployment)))
        assert values["sha256"] == deployment.sha256
        assert values["ato"]["chosen"] == "nist-moderate"
        assert [one["table"] for one in values["source_tables"]] == list(deployment.population.tables.values())
