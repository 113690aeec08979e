"""How the pages of the watch say what they show."""

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from fielded.decisions.measuring.accuracy import NAMES
from fielded.services.pages.plots import Interval, plain

PACKAGE = "fielded.services.monitoring"

_PLACES = re.compile(r"([/_\[=(])")
METRICS: Mapping[str, str] = {
    **{str(name): text for name, text in NAMES.items()},
    "calibration": "mean score less share of events",
    "accuracy": "accuracy",
}
_CLASSES = {
    "firing": "failed",
    "overdue": "failed",
    "acknowledged": "waived",
    "pending": "lacking",
    "insufficient_data": "lacking",
    "cleared": "passed",
    "ok": "passed",
}

Json = dict[str, Any]


def filters() -> dict[str, Any]:
    """What templates of this package use beside what all pages have."""
    return {
        "metric": lambda name: METRICS.get(name, name),
        "measure": measure,
        "share": share,
        "words": words_of,
        "breakable": breakable,
        "state_class": lambda state: _CLASSES.get(state, "lacking"),
    }


def words_of(state: str) -> str:
    """A state as people say it."""
    return state.replace("_", " ")


def measure(value: float | None) -> str:
    """A number of any size: thousandths below ten, whole from ten thousand on; a dash where there is none."""
    if value is None:
        return "\u2013"
    if abs(value) >= 10_000:  # noqa: PLR2004 - see above
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"  # noqa: PLR2004


def share(value: float | None) -> str:
    """Of a hundred; a dash where there is none."""
    if value is None:
        return "\u2013"
    return f"{100 * value:.2f}%" if 0 < value < 0.1 else f"{100 * value:.3g}%"  # noqa: PLR2004


def breakable(name: str) -> Markup:
    """A name, escaped, with places where a line may end."""
    return Markup(_PLACES.sub(r"\1<wbr>", str(escape(plain(name)))))  # noqa: S704 - escaped, then our own tag


def interval(one: Mapping[str, Any] | None) -> Interval:
    """Of a measurement; of what has no interval, its value alone."""
    if one is None or one["value"] is None:
        return Interval(None, 0.0, 0.0)
    low, high = (one["value"] if one[end] is None else one[end] for end in ("low", "high"))
    return Interval(one["value"], low, high)


def svg_of(text: str) -> Markup:
    """A drawing as a page takes it."""
    return Markup(text)  # noqa: S704 - drawn by services.pages, escaped there
