"""A bill of materials in CycloneDX (JSON): which components somebody says are there."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fielded.words.errors import Unreachable, WrongUse

_DEEPEST = 20  # components within components that are read


def components_of(path: Path) -> dict[str, str]:
    """Name of a Python package (PEP 503) -> version. Components of other kinds are left out.

    Raises:
        WrongUse: it is no CycloneDX file.
        Unreachable: it cannot be read.
    """
    document = read_report(path, "authorization.sbom")
    if document.get("bomFormat") != "CycloneDX":
        raise WrongUse(
            f"{path.name}: got no `bomFormat: CycloneDX`, expected CycloneDX in JSON. Look at authorization.sbom"
        )
    return {normal_name(name): version for name, version in _packages(document, 0)}


def read_report(path: Path, field: str) -> Mapping[str, Any]:
    """A JSON object that somebody else's tool wrote.

    Raises:
        WrongUse: it is none.
        Unreachable: it cannot be read.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise Unreachable(
            f"{path.name}: got {error.strerror}, expected a file. Look at {field} in site.yaml"
        ) from error
    except ValueError:
        raise WrongUse(f"{path.name}: got no JSON, expected a report. Look at {field} in site.yaml") from None
    if not isinstance(document, dict):
        raise WrongUse(f"{path.name}: got no object, expected a report. Look at {field} in site.yaml")
    return document


def normal_name(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    parts = name.lower().replace("_", "-").replace(".", "-").split("-")
    return "-".join(part for part in parts if part)


def _packages(holder: Mapping[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    for one in holder.get("components", ()) if depth < _DEEPEST else ():
        if isinstance(one, Mapping):
            purl = str(one.get("purl", ""))
            if purl.startswith("pkg:pypi/") or (not purl and one.get("type") == "library"):
                yield str(one.get("name", "")), str(one.get("version", ""))
            yield from _packages(one, depth + 1)
