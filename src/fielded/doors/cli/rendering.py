"""How results and errors look."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from rich.console import Console

from fielded.words.errors import DefinitionError, FieldedError, Finding, Refused

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """JSON on standard output, exact numbers."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain, ensure_ascii=False) + "\n")


def print_json_line(value: Any) -> None:
    """JSON on one line, at once: for output that goes on without end."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_json_array(values: Iterable[Any]) -> None:
    """One JSON array, an element a line, written as they come: there may be more than memory holds."""
    before = "[\n"
    for value in values:
        sys.stdout.write(before + json.dumps(value, default=_plain, ensure_ascii=False))
        before = ",\n"
    sys.stdout.write("\n]\n" if before != "[\n" else "[]\n")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def findings_json(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Findings for a machine."""
    return [{name: getattr(finding, name) for name in Finding.__dataclass_fields__} for finding in findings]


def error_json(error: FieldedError) -> dict[str, Any]:
    """An error for a machine."""
    findings = error.findings if isinstance(error, DefinitionError | Refused) else ()
    return {"error": type(error).__name__, "message": str(error), "findings": findings_json(findings)}


def render_error(error: FieldedError, *, as_json: bool) -> None:
    """An error for whoever asked."""
    if as_json:
        print_json(error_json(error))
    else:
        err.print(str(error), markup=False)


def print_fields(title: str, fields: Mapping[str, Any]) -> None:
    """A title and a block of names with values."""
    out.print(title, markup=False)
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        out.print(f"  {name:<{width}}  {value}", markup=False)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Aligned columns. Nothing is cut to a terminal's width: an id that is cut cannot be copied."""
    lines = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        text = "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        out.print(text.rstrip(), markup=False)
