"""Files in which people write what no machine can know: `model_card.yaml`, `rai_assessment.yaml`, `runbook.yaml`.

Each passage has an author and a date, and is printed with both, beside what is computed. The files lie beside
deployment.yaml, which names them under `ato.documents`; whoever stands for one signs its bytes. They are not part
of the definition's digest: another word in a model card is not another deployment.

    document: model_card
    sections:
      intended_use:
        - text: Planners look at flagged orders before the week's plan is fixed.
          author: Alex Example
          date: 2026-02-27
"""

import unicodedata
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from fielded.definition.deployment import person_name
from fielded.definition.names import Name
from fielded.definition.reading import findings_of, line_of, parse_yaml, plain, read_text
from fielded.words.errors import DefinitionError, Finding

_CONFIG = ConfigDict(extra="forbid")

DocumentName = Literal["model_card", "rai_assessment", "runbook", "monitoring_plan"]

PRINCIPLES = ("responsible", "equitable", "traceable", "reliable", "governable")  # DoD's five
FUNCTIONS = ("govern", "map", "measure", "manage")  # NIST AI RMF 1.0

# The parts that people may write in, in reading order. Of the RAI assessment: each principle under each function.
PARTS: Mapping[DocumentName, tuple[str, ...]] = MappingProxyType({
    "model_card": (
        "description", "intended_use", "out_of_scope", "training_data", "evaluation_data", "performance",
        "fairness", "limitations", "monitoring",
    ),
    "rai_assessment": tuple(f"{principle}_{function}" for principle in PRINCIPLES for function in FUNCTIONS),
    "runbook": ("when", "who", "steps", "afterwards"),
    "monitoring_plan": ("why", "who", "response", "limits"),
})  # fmt: skip


def _printable(text: str) -> str:
    if any(unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Cn") and sign != "\n" for sign in text):
        raise ValueError("text without control or invisible characters")
    return text


def _frozen(parts: "Mapping[str, tuple[Passage, ...]]") -> "Mapping[str, tuple[Passage, ...]]":
    return MappingProxyType(dict(parts))


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Passage:
    """What one person wrote on one day.

    Attributes:
        text: as it is printed; a blank line begins a paragraph.
        author: given and family name.
        date: day on which it was written.
    """

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=10), AfterValidator(_printable)]
    author: Annotated[str, AfterValidator(_printable), AfterValidator(person_name)]
    date: date


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Prose:
    """One file.

    Attributes:
        document: which document it belongs to.
        sections: part of it -> passages in reading order.
    """

    document: DocumentName
    sections: Annotated[
        Mapping[Name, Annotated[tuple[Passage, ...], Field(min_length=1)]], AfterValidator(_frozen)
    ]


_PROSE = TypeAdapter(Prose)


def read_prose(path: Path, document: str) -> Prose:
    """What people wrote for a document.

    Args:
        path: of the file.
        document: as `ato.documents` names it; the file has to be of that one.

    Raises:
        DefinitionError: all that is wrong with it, each with file, line, field, got, expected.
    """
    if not path.is_file():
        step = f"Write it (docs/documents.md), or take it out of ato.documents.{document}"
        raise DefinitionError([Finding(path.name, "(file)", "nothing", "a file beside deployment.yaml", step)])
    return parse_prose(read_text(path), path.name, document)


def parse_prose(text: str, file: str, document: str) -> Prose:
    """See `read_prose`; `file` is the name that errors give."""
    if document not in get_args(DocumentName):
        raise DefinitionError([
            Finding(file, f"ato.documents.{document}", document, f"one of: {', '.join(get_args(DocumentName))}")
        ])  # fmt: skip
    source = parse_yaml(Path(file), text)
    try:
        prose = _PROSE.validate_python(plain(source))
    except ValidationError as error:
        step = "Each passage has text, author and date: see docs/documents.md"
        raise DefinitionError(findings_of(error, source, file, step)) from None
    findings = []
    if prose.document != document:
        where = f"{file}:{line_of(source, ('document',))}"
        findings.append(
            Finding(where, "document", prose.document, f"{document}, as ato.documents names this file")
        )
    known = PARTS[prose.document]
    findings += [
        Finding(f"{file}:{line_of(source, ('sections', name))}", f"sections.{name}", "an unknown part",
                f"one of: {', '.join(known)}")
        for name in prose.sections if name not in known
    ]  # fmt: skip
    if findings:
        raise DefinitionError(findings)
    return prose
