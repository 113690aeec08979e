"""How documents are written here: sentences, tables of evidence, and what people wrote."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fielded.decisions.assurance.documents import Block, Document, Paragraph, Section, Table
from fielded.decisions.assurance.statements import Absent, Attested, Said, Sources, Statement, look_up, said_by
from fielded.definition.prose import Prose
from fielded.services.documents.values import RECKONED, with_reckoned

LIMITS = "Limits, and what is taken on another's word"
_NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table whose rows are values of a source.

    Attributes:
        title: of the column.
        template: of a cell; `{it}` is the value.
        at: where the value is, below the row; several are named by `{name}` in the template.
        optional: whether a row may have no such value: it is shown as "none".
    """

    title: str
    at: str | Mapping[str, str]
    template: str = "{it}"
    optional: bool = False


class Writer:
    """Writes one document.

    Args:
        sources: what sentences are made of.
        prose: what people wrote for it; None where nobody did.
        as_of: UTC; when the newest of what it rests on was put on record.
    """

    def __init__(self, sources: Sources, prose: Prose | None, as_of: datetime) -> None:
        self.sources = with_reckoned(sources)
        self.as_of = as_of
        self._prose = prose

    def say(self, template: str, *rests_on: str, **references: str) -> Said:
        """A sentence: `{name}` in the template is the value at the reference of that name."""
        return self.sources.say(Statement(template=template, references=references, rests_on=rests_on))

    def value(self, reference: str) -> Any:
        """What is at a reference; None where nothing is. Only for deciding what is said, never for saying it."""
        source, _, pointer = reference.partition("#")
        try:
            return look_up(self.sources.documents.get(source, {}), pointer)
        except Absent:
            return None

    def written(self, part: str) -> tuple[Block, ...]:
        """What people wrote under a part, in their words, with name and date."""
        if self._prose is None:
            return ()
        return tuple(
            Paragraph((said_by(Attested(text=text, author=one.author, date=one.date.isoformat())),))
            for one in self._prose.sections.get(part, ())
            for text in _paragraphs(one.text)
        )

    def table(self, caption: str, rows: str, columns: Sequence[Column], empty: str = "") -> Block:
        """Rows of a list, or of a mapping by name, in a source.

        Args:
            caption: what they show.
            rows: reference to the list or mapping.
            columns: of each row. A column at the empty place is the row itself.
            empty: a sentence for a list without rows; where there is none, it is not evidenced.
        """
        source, _, pointer = rows.partition("#")
        found = self.value(rows)
        if empty and found is not None and not found:
            return Paragraph((self.say(empty, source),))
        held = self.say(f"{caption}: {{it}}.", it=rows)
        if held.state != "evidenced" or not isinstance(found, list | tuple | Mapping):
            return Paragraph((held,))
        keys = list(found) if isinstance(found, Mapping) else list(range(len(found)))
        made = tuple(
            tuple(self._cell(column, f"{source}#{pointer}/{_escaped(str(key))}") for column in columns)
            for key in keys
        )
        return Table(caption=caption, columns=tuple(one.title for one in columns), rows=made)

    def _cell(self, column: Column, row: str) -> Said | str:
        places = {"it": column.at} if isinstance(column.at, str) else dict(column.at)
        references = {name: f"{row}/{at}" if at else row for name, at in places.items()}
        if column.optional and any(self.value(one) in (None, "", []) for one in references.values()):
            return _NONE
        return self.say(column.template, **references)

    def limits(self, *more: Block) -> Section:
        """The first section: what is not shown, and what is taken on another's word.

        Args:
            more: what this document has to add to it.
        """
        return Section("", LIMITS, (*self._checks(), *self._taken(), *more))

    def _checks(self) -> tuple[Block, ...]:
        counted = self.say(
            "Of {checks} checks behind the {collected} pieces of evidence, {held} held, {failed} failed and "
            "{not_checked} could not be made; the time of {current} pieces is not over.",
            **{name: f"{RECKONED}#/{name}" for name in
               ("checks", "collected", "held", "failed", "not_checked", "current")},
        )  # fmt: skip
        if not self.value(f"{RECKONED}#/weak"):
            return (Paragraph((counted,)),)
        weak = self.table(
            "Checks that did not hold or could not be made",
            f"{RECKONED}#/weak",
            (
                Column(title="Evidence", at="evidence"),
                Column(title="Check", at="name"),
                Column(title="Result", at="outcome"),
                Column(title="Got", at="got"),
                Column(title="Expected", at="expected"),
                Column(title="Next step", at="step", optional=True),
            ),
        )
        return Paragraph((counted,)), weak

    def _taken(self) -> tuple[Block, ...]:
        """What other parties answer for: nothing of it was looked at here."""
        if not self.value(f"{RECKONED}#/platforms"):
            none = "The site names {it} platforms that answer for controls: nothing is taken on a provider's word."
            return (Paragraph((self.say(none, it=f"{RECKONED}#/platforms"),)),)
        return (
            Paragraph((self.say(
                "Controls of {it} platforms are inherited or shared; that they work was not looked at here.",
                it=f"{RECKONED}#/platforms",
            ),)),
            self.table("Taken on a provider's authorization", "site#/platforms", (
                Column(title="Provider", at="name"),
                Column(title="Authorization", at={"id": "authorization", "level": "level"},
                       template="{id}, {level}"),
                Column(title="Ends on", at="expires"),
                Column(title="Inherited", at="inherited", optional=True),
            )),
        )  # fmt: skip

    def document(self, name: str, title: str, sections: Sequence[Section]) -> Document:
        """The whole."""
        return Document(name=name, title=title, as_of=self.as_of, sections=tuple(sections))


def paragraph(*said: Said) -> Paragraph:
    """Sentences that belong together."""
    return Paragraph(said)


def _paragraphs(text: str) -> list[str]:
    """At blank lines; a line's end within one is a space."""
    parts = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return [part for part in parts if part]


def _escaped(key: str) -> str:
    """As a part of a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")
