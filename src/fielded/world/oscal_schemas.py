"""NIST's JSON schemas of OSCAL, which the user has and this package does not carry, and what they say of it.

They are looked for in a folder or a zip file, by the names that NIST gives them. The validator is jsonschema-rs:
it takes their regular expressions, which have Unicode classes, as they are, where others fail on them.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fielded.words.errors import Finding, WrongUse

_MOST = 20  # faults told of one document
_NAMES = ("complete_schema.json", "oscal_complete_schema.json")


def schema_findings(
    documents: Mapping[str, Any], schemas: Path | None
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """What is wrong with documents by the schemas, and what could not be looked at.

    Args:
        documents: file -> OSCAL document.
        schemas: folder or zip file; None looks at nothing.

    Raises:
        WrongUse: no schema is there, or it is none.
    """
    if schemas is None:
        return (), ("schemas: NIST's were not given; name their folder with --schemas",)
    try:
        import jsonschema_rs  # noqa: PLC0415 - an extra
    except ImportError:
        return (), ('schemas: jsonschema-rs is not installed; pip install "fielded[ato]"',)
    schema = _complete(schemas)
    try:
        validator = jsonschema_rs.validator_for(schema, validate_formats=False)
    except ValueError as error:
        raise WrongUse(f"--schemas: got a schema of no use ({type(error).__name__}), expected NIST's") from None
    return tuple(_faults(validator, documents)), ()


def _faults(validator: Any, documents: Mapping[str, Any]) -> Iterator[Finding]:
    for name, document in documents.items():
        for number, error in enumerate(validator.iter_errors(document)):
            if number == _MOST:
                break
            place = "/".join(str(part) for part in error.instance_path)
            yield Finding(name, place or "(document)", str(error.message)[:160], "what NIST's schema takes")


def _complete(schemas: Path) -> Any:
    """The schema of all kinds of documents."""
    try:
        if schemas.is_dir():
            return json.loads(
                next(path for name in _NAMES for path in sorted(schemas.rglob(name))).read_text("utf-8")
            )
        with zipfile.ZipFile(schemas) as held:
            found = next(one for name in _NAMES for one in held.namelist() if one.endswith(name))
            return json.loads(held.read(found))
    except StopIteration:
        raise WrongUse(f"--schemas: got {schemas.name} without {_NAMES[1]}, expected NIST's schemas") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WrongUse(f"--schemas: got {schemas.name}, which cannot be read ({type(error).__name__})") from None
