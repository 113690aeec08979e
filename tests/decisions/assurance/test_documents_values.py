"""Documents as values: no number without a source, counts that are counted, sentences found again."""

from datetime import UTC, datetime

import pytest

from fielded.decisions.assurance.documents import (
    Document,
    Figure,
    Paragraph,
    Section,
    Table,
    sentences_in,
)
from fielded.decisions.assurance.statements import Attested, Said, Sources, Statement, said_by

AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
SOURCES = Sources(documents={"probe": {"rows": 12}})


def said(template: str = "{rows} rows were found.", **references: str) -> Said:
    return SOURCES.say(Statement(template=template, references=references or {"rows": "probe#/rows"}))


def document(*sections: Section) -> Document:
    return Document(name="card", title="Card", as_of=AS_OF, sections=sections)


class TestPlainTextHasNoNumber:
    @pytest.mark.parametrize("cell", ["12 rows", "0.94", "version 2"])
    def test_in_a_cell(self, cell: str) -> None:
        with pytest.raises(ValueError, match="expected a sentence that cites its source"):
            Table(caption="Rows", columns=("What",), rows=((cell,),))

    @pytest.mark.parametrize("caption", ["The 12 rows", "Rows of 2026"])
    def test_in_a_caption(self, caption: str) -> None:
        with pytest.raises(ValueError, match="got a number"):
            Table(caption=caption, columns=("What",), rows=())

    def test_in_the_name_of_a_column_a_heading_a_title_or_a_figure(self) -> None:
        with pytest.raises(ValueError, match="got a number"):
            Table(caption="Rows", columns=("30 days",), rows=())
        with pytest.raises(ValueError, match="got a number"):
            Section("1", "The 9 sections", ())
        with pytest.raises(ValueError, match="got a number"):
            Document(name="card", title="Card 2", as_of=AS_OF, sections=(Section("", "Limits", ()),))
        with pytest.raises(ValueError, match="got a number"):
            Figure(title="Flows", words="15 flows", svg="<svg/>")

    def test_names_of_controls_and_publications_are_none(self) -> None:
        Table(caption="AC-2 and MEASURE 2.4", columns=("SP 800-53A",), rows=(("IL4, by AI 600-1",),))


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="got a row of 1 cells, expected 2"):
        Table(caption="Rows", columns=("a", "b"), rows=(("one",),))


@pytest.mark.parametrize("sections", [(), (Section("1", "Description", ()),)])
def test_a_document_begins_with_its_limits(sections: tuple[Section, ...]) -> None:
    with pytest.raises(ValueError, match="no first section on its limits"):
        document(*sections)


def test_sentences_are_counted_by_what_stands_behind_them_wherever_they_are() -> None:
    person = said_by(Attested(text="It is 3 times as large.", author="Ada Example", date="2026-02-01"))
    missing = said("{rows} rows.", rows="probe#/none")
    rows = ((said(), "none"), (person, said()))
    made = document(
        Section("", "Limits", (Paragraph((said(), missing)),)),
        Section("1", "Table", (Table(caption="Rows", columns=("a", "b"), rows=rows),)),
    )
    assert made.counts() == {"evidenced": 3, "attested": 1, "not evidenced": 1}
    assert made.as_dict()["counts"] == made.counts()


def test_the_values_of_every_sentence_are_found_in_those_of_the_document() -> None:
    made = document(
        Section("", "Limits", (Paragraph((said(),)), Figure(title="Flows", words="They flow.", svg="<svg/>"))),
        Section("1", "Table", (Table(caption="Rows", columns=("a", "b"), rows=((said(), "none"),)),)),
    )
    assert list(sentences_in(made.as_dict())) == [one.as_dict() for one in made.sentences()]


def test_values_that_are_no_document_are_refused() -> None:
    with pytest.raises(KeyError):
        list(sentences_in({"title": "Card"}))
