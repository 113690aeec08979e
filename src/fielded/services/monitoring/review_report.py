"""The evidence of a review after promotion: `review.json`, the record, and `review.html`, which people read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fielded.services.monitoring.labelled_shown import labelled_shown, labels_drawn
from fielded.services.monitoring.wording import PACKAGE, filters, svg_of
from fielded.services.pages.page import Plot, render, write_pair
from fielded.services.pages.plots import plain
from fielded.services.pages.watch_plots import Bar, bars_by_row

NAME = "review"  # of both files
JSON_FILE, HTML_FILE = f"{NAME}.json", f"{NAME}.html"

_DRAWN = 16
_LISTED = 200

Json = dict[str, Any]


def write_review(folder: Path, evidence: Json) -> str:
    """Write both files, each whole or not at all.

    Args:
        folder: made where it is not there; evidence in it is replaced.
        evidence: see `review_evidence`.

    Returns:
        SHA-256 of `review.json`.

    Raises:
        Unreachable: the folder cannot be written.
    """
    return write_pair(folder, NAME, evidence, page_of)


def page_of(evidence: Json, sha256: str) -> str:
    """The evidence as a page.

    Args:
        evidence: see `review_evidence`.
        sha256: of the JSON file.
    """
    labelled = labelled_shown(evidence["measured"])
    review = evidence["review"]
    return render(
        PACKAGE,
        "review.html.j2",
        filters(),
        evidence=evidence,
        review=review,
        sha256=sha256,
        title=f"Version {plain(evidence['version']['version'])}, {review['day']} days after its promotion",
        labelled=labelled,
        plots={"labels": list(labels_drawn(labelled, {})), "needed": list(_needed(evidence["labels_needed"]))},
        table_rows=_LISTED,
    )


def _needed(needed: list[Json]) -> Iterator[Plot]:
    lacking = [one for one in needed if one["still"]][:_DRAWN]
    if not lacking:
        return
    bars = [Bar(one["slice"], one["still"], None, None) for one in lacking]
    first = lacking[0]
    words = (
        f"Labels that {len(lacking)} slices still need. {plain(first['slice'])}: {first['still']:,}. "
        "All numbers are in the table."
    )
    yield Plot("Labels still needed", words, svg_of(bars_by_row("needed", bars, axis="labels still needed")))
