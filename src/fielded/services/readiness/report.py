"""Readiness as two files: `ready.json`, the record, and `ready.html`, which people read and print."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fielded.services.pages.page import render, write_pair
from fielded.services.readiness.history import Entry
from fielded.services.readiness.ready import Readiness

PACKAGE = "fielded.services.readiness"
NAME = "ready"  # of both files
JSON_FILE, HTML_FILE = f"{NAME}.json", f"{NAME}.html"

_CLASSES = {
    "passed": "passed",
    "held": "passed",
    "failed": "failed",
    "waived": "waived",
    "not checked": "lacking",
}
_LISTED = 50  # of the history

Json = Mapping[str, Any]


def report_of(found: Readiness, entries: Sequence[Entry]) -> dict[str, Any]:
    """The record: JSON values.

    Args:
        found: where the items stand.
        entries: the history, oldest first.
    """
    return {**found.as_dict(), "history": [one.as_dict() for one in entries]}


def write_ready(folder: Path, found: Readiness, entries: Sequence[Entry]) -> str:
    """Write both files, each whole or not at all.

    Args:
        folder: made where it is not there; files of these names in it are replaced.
        found: where the items stand.
        entries: the history, oldest first.

    Returns:
        SHA-256 of the record.

    Raises:
        Unreachable: the folder cannot be written.
    """
    return write_pair(folder, NAME, report_of(found, entries), page_of)


def page_of(report: Json, sha256: str) -> str:
    """The record as a page.

    Args:
        report: see `report_of`.
        sha256: of the JSON file.
    """
    return render(
        PACKAGE,
        "ready.html.j2",
        {"state_class": lambda state: _CLASSES.get(state, "lacking")},
        report=report,
        sha256=sha256,
        title="Ready" if report["holds"] else "Not ready",
        newest=list(reversed(report["history"]))[:_LISTED],
        listed=_LISTED,
    )
