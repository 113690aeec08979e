"""A document as a page that people print: the same values as its JSON, and nothing else."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fielded.decisions.assurance.documents import Document
from fielded.services.pages.page import render
from fielded.services.pages.plots import plain
from fielded.words.digests import value_sha256

_NUMBER = re.compile(r"^[-+]?[\d,.]+(%|e[-+]?\d+)?( to [-+]?[\d,.]+)?( .{1,9})?$")
_VIEW_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ')
_NARROW = 600  # of its own units
_UNSAID = "not evidenced: "

Cell = Mapping[str, Any] | str


def page_of(document: Document, subject: str) -> str:
    """The page.

    Args:
        document: made of sentences.
        subject: whose document it is, for the line above the title.
    """
    values = document.as_dict()
    return render(
        "fielded.services.documents",
        "document.html.j2",
        {
            "unsaid": lambda text: plain(str(text).removeprefix(_UNSAID)),
            "all_attested": lambda said: all(one["state"] == "attested" for one in said),
            "cited": cited,
            "is_number": _is_number,
            "drawing": _drawing,
            "is_wide": _is_wide,
        },
        document=values,
        sentences=sum(values["counts"].values()),
        subject=subject,
        sha256=value_sha256(values),
    )


def _drawing(svg: str) -> Markup:
    """Our own drawing, whose texts are escaped; the figure around it says in words what it shows."""
    hidden = svg if 'aria-hidden="true"' in svg else svg.replace("<svg ", '<svg aria-hidden="true" ', 1)
    return Markup(hidden)  # noqa: S704 - see there


def _is_wide(svg: str) -> bool:
    """Whether a drawing takes the page's whole width: one that is small is not blown up."""
    found = _VIEW_BOX.search(svg)
    return found is not None and float(found[1]) > _NARROW


def cited(rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Sources of a table's cells, each once, in their order."""
    return list(
        dict.fromkeys(
            source for row in rows for cell in row if not isinstance(cell, str) for source in cell["cites"]
        )
    )


def _is_number(cell: Cell) -> bool:
    return not isinstance(cell, str) and cell["state"] == "evidenced" and bool(_NUMBER.match(cell["text"]))
