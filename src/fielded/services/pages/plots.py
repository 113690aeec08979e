"""Plots as SVG text: drawn here by matplotlib, without a display, the same bytes for the same numbers.

A drawing goes into a page that allows no inline style and no script, and may hold several: style attributes are
turned into plain ones, ids get the drawing's name in front, text stays text. Whatever a text holds is escaped, is
no formula, and has no control characters.
"""

import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

NEW, OLD, LIMIT, INK, LINES = "#005ea2", "#71767a", "#b50909", "#1b1b1b", "#dfe1e2"
_WIDTH, _ROW, _EXTRA = 4.9, 0.36, 1.0  # inches; narrow, so that text is readable on a telephone
_NAME_LENGTH = 34  # characters of a slice's name beside a plot
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_FONTS = "Source Sans 3, Source Sans Pro, Helvetica, Arial, sans-serif"
_SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "axes.edgecolor": OLD,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINES,
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the ends of its interval; None where there is no value."""

    value: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The values of one version.

    Attributes:
        label: for the legend.
        new: whether it is the candidate.
        points: one for each row of the plot.
    """

    label: str
    new: bool
    points: Sequence[Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A curve of one version.

    Attributes:
        label: for the legend.
        new: whether it is the candidate.
        x: where.
        y: how high.
    """

    label: str
    new: bool
    x: Sequence[float]
    y: Sequence[float]


def plain(text: str) -> str:
    """A text without characters that steer: no page can hold them all, and some turn its order around."""
    return "".join(
        "\ufffd" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn") else char for char in text
    )


def intervals_by_row(
    name: str,
    rows: Sequence[str],
    series: Sequence[Series],
    *,
    axis: str,
    limits: Sequence[float] = (),
    middle: float | None = None,
) -> str:
    """A row for each slice, with a dot and an interval for each version.

    Args:
        name: of the drawing, for its ids.
        rows: names of the slices, the first on top.
        series: old and new.
        axis: what the values are.
        limits: values that a gate sets.
        middle: value at which nothing is wrong.
    """
    with drawing(name, _EXTRA + _ROW * max(len(rows), 1)) as (axes, made):
        places = np.arange(len(rows))
        for number, one in enumerate(series):
            shift = (number - (len(series) - 1) / 2) * 0.28
            _intervals(axes, places + shift, one)
        if middle is not None:
            axes.axvline(middle, color=OLD, linewidth=1)
        for limit in limits:
            axes.axvline(limit, color=LIMIT, linewidth=1, linestyle=(0, (4, 2)))
        axes.set_yticks(places, [short(row) for row in rows], fontsize=9)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(axis)
        legend(axes)
    return made.text


def curves(
    name: str, lines: Sequence[Line], *, axes_names: tuple[str, str], at: Sequence[tuple[float, str, bool]] = ()
) -> str:
    """Curves of both versions.

    Args:
        name: of the drawing.
        lines: old and new.
        axes_names: what runs to the right, what runs up.
        at: places on the lower axis to mark: where, its label, and whether it is a limit.
    """
    with drawing(name, 3.4) as (axes, made):
        for line in lines:
            axes.plot(
                line.x, line.y, color=NEW if line.new else OLD, linewidth=1.8,
                linestyle="-" if line.new else (0, (5, 2)), label=line.label,
            )  # fmt: skip
        for place, label, is_limit in at:
            color, dashes = (LIMIT, (4, 2)) if is_limit else (INK, (1, 2))
            axes.axvline(place, color=color, linewidth=1, linestyle=(0, dashes), label=label)
        axes.set_xlabel(axes_names[0])
        axes.set_ylabel(axes_names[1])
        axes.set_ylim(bottom=0)
        legend(axes)
    return made.text


def reliability(name: str, series: Sequence[tuple[str, bool, Sequence[tuple[float, Interval]]]]) -> str:
    """Share of events against mean score, with the line on which both are equal.

    Args:
        name: of the drawing.
        series: label, whether it is the candidate, and (mean score, share of events) of each bin.
    """
    with drawing(name, 3.8) as (axes, made):
        axes.plot([0, 1], [0, 1], color=LINES, linewidth=1.5)
        for label, new, bins in series:
            x = np.array([score for score, _ in bins])
            y = np.array([np.nan if one.value is None else one.value for _, one in bins])
            ends = np.array(
                [[max(v - one.low, 0), max(one.high - v, 0)] for v, (_, one) in zip(y, bins, strict=True)]
            )
            axes.errorbar(
                x, y, yerr=ends.T if len(bins) else None, label=label, color=NEW if new else OLD, linewidth=1.4,
                linestyle="-" if new else (0, (5, 2)), **_marker(new=new),
            )  # fmt: skip
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("mean score of a tenth of the rows")
        axes.set_ylabel("share of events")
        legend(axes)
    return made.text


@dataclass(slots=True)
class _Made:
    text: str = ""


@contextmanager
def drawing(name: str, height: float) -> Iterator[tuple[Axes, _Made]]:
    """Axes to draw on, `height` inches high; the SVG is there when the body is left."""
    made = _Made()
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure.subplots(), made
        octets = io.BytesIO()
        figure.savefig(octets, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    made.text = _for_a_page(octets.getvalue(), name)


def _intervals(axes: Axes, places: np.ndarray, series: Series) -> None:
    values = np.array([np.nan if one.value is None else one.value for one in series.points])
    low = np.array([one.low for one in series.points])
    high = np.array([one.high for one in series.points])
    color = NEW if series.new else OLD
    known = np.isfinite(values)
    axes.hlines(places[known], low[known], high[known], color=color, linewidth=1.6)
    style = _marker(new=series.new)
    axes.plot(values[known], places[known], linestyle="none", color=color, label=series.label, **style)


def _marker(*, new: bool) -> dict[str, Any]:
    """Old and new differ in shape too, not in colour alone."""
    return {"marker": "o" if new else "s", "markersize": 6, "markerfacecolor": NEW if new else "white"}


def legend(axes: Axes) -> None:
    """Labels above the drawing, where there are some."""
    if axes.get_legend_handles_labels()[1]:
        axes.figure.legend(
            *axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, fontsize=9, borderaxespad=0
        )


def short(name: str) -> str:
    """A name as it fits beside a plot."""
    text = plain(name)
    return text if len(text) <= _NAME_LENGTH else f"{text[: _NAME_LENGTH - 1]}\u2026"


def _for_a_page(octets: bytes, name: str) -> str:
    """The `svg` element alone, as a page with a strict content security policy takes it."""
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ET.fromstring(octets)  # noqa: S314 - see the import
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        for key, value in _plain_attributes(element.attrib.pop("style", "")):
            element.set(key, value)
        _name_apart(element, name)
    for key in ("width", "height"):
        root.attrib.pop(key, None)
    root.set("aria-hidden", "true")  # the figure around it has the words, and the table the numbers
    root.set("focusable", "false")
    return ET.tostring(root, encoding="unicode")


def _name_apart(element: ET.Element, name: str) -> None:
    """Put the drawing's name in front of an element's id, and of those that it refers to."""
    for key, value in list(element.attrib.items()):
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key == _XLINK:
            element.attrib.pop(key)
            element.set("href", f"#{name}-{value.removeprefix('#')}")
        elif "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{name}-"))


def _plain_attributes(style: str) -> Iterator[tuple[str, str]]:
    """Declarations of a style as attributes of their own."""
    for declaration in filter(str.strip, style.split(";")):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font":
            size = re.search(r"[\d.]+px", value)
            yield "font-size", size[0] if size else "10px"
        elif key == "font-size":
            yield key, value
        elif key == "font-family":
            continue
        else:
            yield key, value
        if key in ("font", "font-size"):
            yield "font-family", _FONTS
