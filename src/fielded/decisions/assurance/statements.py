"""Sentences of documents: each number in one comes from a source that it cites, or it is not said.

1. A sentence is a template without a number of its own, and references that fill it: `{rows:,} rows were drawn
   from {tables}`. A digit in a template is refused, unless it is part of a control's or a publication's name.
2. A reference names a source and a place in it (RFC 6901): `audit-probe#/facts/rows`. Sources are evidence by id,
   `definition`, `site`, and what the package reckons itself.
3. Where a source or a place is not there, or the evidence could not be checked or its time is over, the sentence
   is printed as "not evidenced", with what it would have said. So is one that rests on evidence that did not hold;
   a number may be taken from such.
4. What a person wrote is printed as theirs, with name and date, numbers and all.
5. Who has the sources can make each sentence anew and compare: `fielded ato verify` does.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from string import Formatter
from typing import Any, Literal, Self

from fielded.decisions.assurance.evidence import Evidence

State = Literal["evidenced", "attested", "not evidenced"]

# Names that have digits in them and say nothing of this deployment.
_NAMES = re.compile(
    r"(?<!\w)(?:[A-Z]{2}-\d+(?:\(\d+\))?|(?:NIST )?(?:SP|AI) \d{3}-\d+[A-Z]?|RFC \d+|FIPS \d+(?:-\d)?|IL\d|"
    r"SHA-256|Ed25519|P-256|TLS 1\.[23]|UTF-8|ISO \d+|HTTP/1\.1|UUIDv7|NIST AI RMF 1\.0|M-\d\d-\d\d|X\.509|"
    r"OSCAL 1\.2\.3|(?:GOVERN|MAP|MEASURE|MANAGE) \d\.\d{1,2})(?!\w)"
)
_DIGIT = re.compile(r"\d")


def has_number(text: str) -> bool:
    """Whether a text has a number of its own, beside those in names of controls and publications."""
    return _DIGIT.search(_NAMES.sub("", text)) is not None


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in a source.

    Attributes:
        source: evidence id, `definition`, `site`, ...
        pointer: JSON Pointer (RFC 6901) into it; empty is the whole.
    """

    source: str
    pointer: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `audit-probe#/facts/rows`.

        Raises:
            ValueError: it is none.
        """
        source, mark, pointer = text.partition("#")
        if not source or not mark or (pointer and not pointer.startswith("/")):
            raise ValueError(f"reference: got {text!r}, expected SOURCE#/POINTER")
        return cls(source, pointer)

    def __str__(self) -> str:
        return f"{self.source}#{self.pointer}"


class Absent(LookupError):
    """There is nothing at a place."""


def look_up(document: Any, pointer: str) -> Any:
    """What is at a JSON Pointer.

    Raises:
        Absent: nothing is.
    """
    found = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(name)] if isinstance(found, list | tuple) else found[name]
        except (KeyError, IndexError, ValueError, TypeError):
            raise Absent(pointer) from None
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A sentence before it is made.

    Attributes:
        template: `str.format` text; see rule 1.
        references: name in the template -> reference text.
        rests_on: evidence ids that must hold up although no number is taken from them.
    """

    template: str
    references: Mapping[str, str] = field(default_factory=dict)
    rests_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        plain = "".join(text for text, *_ in Formatter().parse(self.template))
        if has_number(plain):
            raise ValueError(f"statement: got a number in {self.template!r}, expected a reference in its place")
        names = {name for _, name, _, _ in Formatter().parse(self.template) if name}
        if names != set(self.references):
            raise ValueError(f"statement: got references {sorted(self.references)}, expected {sorted(names)}")
        if not self.references and not self.rests_on:
            raise ValueError(f"statement: got {self.template!r} that cites nothing, expected a source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What a person wrote.

    Attributes:
        text: as written.
        author: who.
        date: when, YYYY-MM-DD.
    """

    text: str
    author: str
    date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A sentence as it is printed, with all that is needed to make it anew.

    Attributes:
        text: what is printed.
        state: what stands behind it.
        cites: sources, in their order.
        statement: what it was made of; None where a person wrote it.
        attested: who wrote it; None where it was made.
        lacking: why it is not evidenced; empty where it is.
    """

    text: str
    state: State
    cites: tuple[str, ...] = ()
    statement: Statement | None = None
    attested: Attested | None = None
    lacking: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        made = self.statement
        return {
            "text": self.text,
            "state": self.state,
            "cites": list(self.cites),
            "template": "" if made is None else made.template,
            "references": {} if made is None else dict(made.references),
            "rests_on": [] if made is None else list(made.rests_on),
            "author": "" if self.attested is None else self.attested.author,
            "date": "" if self.attested is None else self.attested.date,
            "lacking": self.lacking,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What sentences are made of.

    Attributes:
        documents: source -> JSON values.
        unfit: evidence id -> why it carries nothing: not checked, or its time is over.
        failed: evidence ids that did not hold; see rule 3.
    """

    documents: Mapping[str, Any]
    unfit: Mapping[str, str] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, collected: Iterable[Evidence], now: datetime, others: Mapping[str, Any]) -> Self:
        """Sources from evidence as it counts at a moment.

        Args:
            collected: the last of each id.
            now: UTC.
            others: `definition`, `site` and the like, as JSON values.
        """
        evidence = {one.id: one for one in collected}
        unfit = {
            key: "could not be checked" if one.current(now) else f"its time was over on {one.valid_until:%Y-%m-%d}"
            for key, one in evidence.items()
            if one.outcome == "not checked" or not one.current(now)
        }
        failed = frozenset(key for key, one in evidence.items() if one.outcome == "not satisfied")
        documents = {**others, **{key: one.as_dict() for key, one in evidence.items()}}
        return cls(documents=documents, unfit=unfit, failed=failed)

    def say(self, statement: Statement) -> Said:
        """Make a sentence, or say why it cannot be made."""
        references = {name: Reference.parse(text) for name, text in statement.references.items()}
        cites = tuple(dict.fromkeys([*(one.source for one in references.values()), *statement.rests_on]))
        lacking = self._lacking(cites, statement.rests_on)
        values: dict[str, Any] = {}
        for name, reference in references.items():
            try:
                values[name] = look_up(self.documents.get(reference.source, {}), reference.pointer)
                lacking = lacking or ("" if _says_something(values[name]) else f"{reference} is empty")
            except Absent:
                lacking = lacking or f"{reference} is not there"
        if not lacking:
            try:
                text = statement.template.format(**{name: _shown(value) for name, value in values.items()})
                return Said(text=text, state="evidenced", cites=cites, statement=statement)
            except (ValueError, TypeError):
                lacking = "a value is of another kind"
        text = f"not evidenced: {statement.template.format_map(_Blanks())}"
        return Said(text=text, state="not evidenced", cites=cites, statement=statement, lacking=lacking)

    def _lacking(self, cites: tuple[str, ...], rests_on: tuple[str, ...]) -> str:
        for source in cites:
            if source not in self.documents:
                return f"{source} was not collected"
            if source in self.unfit:
                return f"{source}: {self.unfit[source]}"
        return next((f"{one} did not hold" for one in rests_on if one in self.failed), "")


def said_by(attested: Attested) -> Said:
    """A person's sentence as it is printed."""
    return Said(text=attested.text, state="attested", attested=attested)


def _says_something(value: Any) -> bool:
    """Whether a value can stand in a sentence: zero and "no" can, an empty text or list cannot."""
    return value is not None and (not isinstance(value, str | list | tuple | Mapping) or bool(value))


def _shown(value: Any) -> Any:
    """Lists as people read them; everything else as it is."""
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


class _Blank(str):
    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return "..."


class _Blanks(dict[str, Any]):
    def __missing__(self, name: str) -> _Blank:
        return _Blank(name)
