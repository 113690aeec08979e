"""Documents as values: sections of sentences, tables and drawings, before they have a face.

1. Whatever has a number in it is a sentence that cites its source (`statements`). A heading, the name of a column
   or of a row is plain text and has no number of its own.
2. The first section says what the document does not show and what it takes on another's word. It has no number, so
   that those of the other sections are the ones that whoever asked for the document gave them.
3. How many sentences are evidenced, attested and not evidenced is counted here, never told.
4. A drawing has the same in words beside it: who cannot see it misses nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from fielded.decisions.assurance.statements import Said, State, has_number


def _plain(text: str, where: str) -> None:
    """Rule 1.

    Raises:
        ValueError: the text has a number.
    """
    if has_number(text):
        raise ValueError(f"{where}: got a number in {text!r}, expected a sentence that cites its source")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences that belong together."""

    said: tuple[Said, ...]

    def sentences(self) -> Iterator[Said]:
        """All of it."""
        yield from self.said

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"kind": "paragraph", "said": [one.as_dict() for one in self.said]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows below a heading.

    Attributes:
        caption: what they show.
        columns: names.
        rows: a cell for each column; plain text without a number, or a sentence.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Said | str, ...], ...]

    def __post_init__(self) -> None:
        for text in (self.caption, *self.columns):
            _plain(text, "table")
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.caption!r}: got a row of {len(row)} cells, expected {len(self.columns)}"
                )
            for cell in row:
                if isinstance(cell, str):
                    _plain(cell, f"table {self.caption!r}")

    def sentences(self) -> Iterator[Said]:
        """Those of its cells that are sentences."""
        yield from (cell for row in self.rows for cell in row if isinstance(cell, Said))

    def as_dict(self) -> dict[str, Any]:
        """JSON values: a cell is a text or a sentence's values."""
        return {
            "kind": "table",
            "caption": self.caption,
            "columns": list(self.columns),
            "rows": [[cell if isinstance(cell, str) else cell.as_dict() for cell in row] for row in self.rows],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A drawing.

    Attributes:
        title: what it shows.
        words: the same in short; the table or the sentences beside it have it whole (rule 4).
        svg: the drawing, without a script, a link or a style of its own.
    """

    title: str
    words: str
    svg: str

    def __post_init__(self) -> None:
        for text in (self.title, self.words):
            _plain(text, "figure")

    def sentences(self) -> Iterator[Said]:
        """None: what it shows is drawn from the values beside it."""
        yield from ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"kind": "figure", "title": self.title, "words": self.words, "svg": self.svg}


Block = Paragraph | Table | Figure


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a document below one heading.

    Attributes:
        number: as it is printed; empty for the first (rule 2).
        title: of the heading.
        blocks: what it holds.
    """

    number: str
    title: str
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        _plain(self.title, "section")

    def sentences(self) -> Iterator[Said]:
        """All of it, in reading order."""
        for block in self.blocks:
            yield from block.sentences()

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"number": self.number, "title": self.title, "blocks": [block.as_dict() for block in self.blocks]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What people print, sign and file.

    Attributes:
        name: stable, `model_card`: of its files and its signature.
        title: for people.
        as_of: UTC; when the newest of what it rests on was put on record.
        sections: in reading order; see rule 2.
    """

    name: str
    title: str
    as_of: datetime
    sections: tuple[Section, ...]

    def __post_init__(self) -> None:
        _plain(self.title, "document")
        if not self.sections or self.sections[0].number:
            raise ValueError(f"document {self.name}: got no first section on its limits, expected one")

    def sentences(self) -> Iterator[Said]:
        """All of it, in reading order."""
        for section in self.sections:
            yield from section.sentences()

    def counts(self) -> dict[State, int]:
        """How many sentences there are of each state (rule 3)."""
        found = [one.state for one in self.sentences()]
        return {state: found.count(state) for state in get_args(State)}

    def as_dict(self) -> dict[str, Any]:
        """JSON values, as the package's file holds them."""
        return {
            "name": self.name,
            "title": self.title,
            "as_of": self.as_of.isoformat(),
            "counts": self.counts(),
            "sections": [section.as_dict() for section in self.sections],
        }


def sentences_in(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The values of each sentence (`Said.as_dict`) in those of a document (`Document.as_dict`).

    Raises:
        KeyError: they are not those of a document.
        TypeError: nor is their kind.
    """
    for section in values["sections"]:
        for block in section["blocks"]:
            if block["kind"] == "paragraph":
                yield from block["said"]
            elif block["kind"] == "table":
                yield from (cell for row in block["rows"] for cell in row if not isinstance(cell, str))
