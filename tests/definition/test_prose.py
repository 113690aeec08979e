"""Files that people write: read into values, or every error with its line."""

from datetime import date
from pathlib import Path

import pytest

from fielded.definition.prose import FUNCTIONS, PARTS, PRINCIPLES, parse_prose, read_prose
from fielded.words.errors import DefinitionError

CARD = """\
document: model_card
sections:
  intended_use:
    - text: Planners look at flagged orders.
      author: Ada Example
      date: 2026-02-01
  limitations:
    - {text: A new class is scored blindly., author: Ada Example, date: 2026-02-02}
    - {text: Late bookings look like none., author: Ben Example, date: 2026-02-03}
"""
EXAMPLE = Path(__file__).parents[2] / "examples" / "maintenance_overrun"


def refused(text: str, document: str = "model_card") -> str:
    with pytest.raises(DefinitionError) as refusal:
        parse_prose(text, "card.yaml", document)
    return str(refusal.value)


def test_passages_keep_their_order_author_and_day() -> None:
    prose = parse_prose(CARD, "card.yaml", "model_card")
    assert [one.author for one in prose.sections["limitations"]] == ["Ada Example", "Ben Example"]
    assert prose.sections["intended_use"][0].date == date(2026, 2, 1)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("      author: Ada Example\n", "", r"card.yaml:4: sections.intended_use.0.author: got nothing"),
        ("author: Ada Example\n", "author: The Example Team\n", "not a team, list or office"),
        ("author: Ada Example\n", "author: Ada\n", "given and family name"),
        ("      date: 2026-02-01\n", "", "card.yaml:4: sections.intended_use.0.date: got nothing"),
        ("date: 2026-02-01", "date: soon", "card.yaml:6: sections.intended_use.0.date"),
        ("Planners look at flagged orders.", "TBD", "card.yaml:4: sections.intended_use.0.text"),
        ("  intended_use:", "  intended_usage:", "card.yaml:3: sections.intended_usage: got an unknown part"),
        ("document: model_card", "document: runbook", "card.yaml:1: document: got runbook, expected model_card"),
        ("document: model_card", "document: poem", "card.yaml:1: document"),
        ("Planners look at", r'"Planners \x07look at"', "YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(old: str, new: str, told: str) -> None:
    assert old in CARD
    assert told in refused(CARD.replace(old, new, 1))


def test_invisible_characters_are_refused() -> None:
    hidden = CARD.replace("Planners look at flagged orders.", '"Planners look at \\u200b\\u202eflagged orders."')
    assert "without control or invisible characters" in refused(hidden)


def test_every_error_is_told_at_once() -> None:
    text = refused(CARD.replace("date: 2026-02-01", "date: soon").replace("Ben Example", "Ben"))
    assert "intended_use.0.date" in text
    assert "limitations.1.author" in text


def test_a_part_without_a_passage_is_refused() -> None:
    assert "sections.fairness" in refused("document: model_card\nsections: {fairness: []}\n")


def test_a_document_that_people_do_not_write_is_refused() -> None:
    assert "expected one of: model_card" in refused(CARD, "poem")


def test_a_file_that_is_not_there_is_named_without_a_path(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as refusal:
        read_prose(tmp_path / "model_card.yaml", "model_card")
    assert str(refusal.value).startswith("model_card.yaml: (file): got nothing")
    assert str(tmp_path) not in str(refusal.value)


@pytest.mark.parametrize("document", ["model_card", "rai_assessment", "runbook"])
def test_the_example_has_each(document: str) -> None:
    assert read_prose(EXAMPLE / f"{document}.yaml", document).sections


def test_the_card_has_nine_parts_and_the_assessment_twenty() -> None:
    assert len(PARTS["model_card"]) == 9
    assert len(PARTS["rai_assessment"]) == len(PRINCIPLES) * len(FUNCTIONS) == 20
