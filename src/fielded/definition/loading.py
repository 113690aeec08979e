"""A deployment folder to one frozen `Deployment`, or every error in it."""

from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fielded.definition.consistency import problems
from fielded.definition.deployment import Deployment, Document
from fielded.definition.reading import findings_of, line_of, parse_yaml, plain, read_text
from fielded.words.digests import texts_sha256
from fielded.words.errors import DefinitionError, Finding

FILE = "deployment.yaml"

_DOCUMENT = TypeAdapter(Document)


def load_deployment(folder: Path) -> Deployment:
    """Read, check and freeze the deployment in `folder`.

    Raises:
        DefinitionError: all that is wrong with it, each with file, line, field, got, expected.
    """
    text = read_text(folder / FILE)
    source = parse_yaml(folder / FILE, text)
    raw = plain(source)
    findings: list[Finding] = []
    document: Document | None = None
    try:
        document = _DOCUMENT.validate_python(raw)
    except ValidationError as error:
        findings += findings_of(error, source, FILE, "Every deployment needs it: see docs/definition.md")
    findings += [
        Finding(f"{FILE}:{line_of(source, path)}", ".".join(path), got, expected)
        for path, got, expected in problems(raw)
    ]
    if document is not None and not (folder / document.population.file).is_file():
        where = f"{FILE}:{line_of(source, ('population', 'query'))}"
        findings.append(
            Finding(where, "population.query", "no such file", f"{document.population.file} beside it")
        )
    if findings or document is None:
        raise DefinitionError(findings)
    # Each file is read once: what is hashed is what is parsed, run and recorded, whatever happens to the folder.
    texts = {FILE: text, document.population.file: read_text(folder / document.population.file)}
    digest = texts_sha256(texts)
    return Deployment(**vars_of(document), folder=folder.resolve(), sha256=digest, texts=MappingProxyType(texts))


def parse_document(text: str) -> Document:
    """A deployment.yaml that was valid when it was recorded.

    Raises:
        DefinitionError: this release cannot read it any more.
    """
    source = parse_yaml(Path(FILE), text)
    try:
        return _DOCUMENT.validate_python(plain(source))
    except ValidationError as error:
        raise DefinitionError(findings_of(error, source, FILE, "")) from None


def vars_of(document: Document) -> dict[str, Any]:
    """The document's fields by name, values as they are (not copied, not turned into dicts)."""
    return {name: getattr(document, name) for name in document.__dataclass_fields__}
