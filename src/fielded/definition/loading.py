"""A deployment folder to one frozen `Deployment`, or every error in it."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fielded.definition.consistency import problems
from fielded.definition.deployment import Deployment, Document
from fielded.definition.reading import findings_of, line_of, plain, read_yaml
from fielded.words.digests import files_sha256
from fielded.words.errors import DefinitionError, Finding

FILE = "deployment.yaml"

_DOCUMENT = TypeAdapter(Document)


def load_deployment(folder: Path) -> Deployment:
    """Read, check and freeze the deployment in `folder`.

    Raises:
        DefinitionError: all that is wrong with it, each with file, line, field, got, expected.
    """
    source = read_yaml(folder / FILE)
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
    digest = files_sha256(folder, [FILE, document.population.file])
    return Deployment(**vars_of(document), folder=folder.resolve(), sha256=digest)


def vars_of(document: Document) -> dict[str, Any]:
    """The document's fields by name, values as they are (not copied, not turned into dicts)."""
    return {name: getattr(document, name) for name in document.__dataclass_fields__}
