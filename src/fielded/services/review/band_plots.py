"""Curves against the share that is reviewed. See `services.pages.plots`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import PercentFormatter

from fielded.services.pages.plots import INK, NEW, OLD, Interval, drawing, legend

_HEIGHT = 3.4


@dataclass(frozen=True, slots=True)
class Curve:
    """A kind of band, narrow to wide.

    Attributes:
        label: for the legend.
        new: whether it is the one that is spoken of; its intervals are drawn.
        points: share reviewed, and the value there.
    """

    label: str
    new: bool
    points: Sequence[tuple[float, Interval]]


@dataclass(frozen=True, slots=True)
class Mark:
    """One band.

    Attributes:
        label: for the legend.
        reviewed: its share.
        value: there; None where it has none.
    """

    label: str
    reviewed: float
    value: float | None


def against_reviewed(name: str, curves: Sequence[Curve], marks: Sequence[Mark], *, axis: str) -> str:
    """Curves with intervals against the share reviewed, and single bands as marks.

    Args:
        name: of the drawing, for its ids.
        curves: kinds of bands.
        marks: single bands.
        axis: what runs up.
    """
    with drawing(name, _HEIGHT) as (axes, made):
        for curve in curves:
            known = [(share, one) for share, one in curve.points if one.value is not None]
            x = np.array([share for share, _ in known])
            y = np.array([one.value for _, one in known], dtype=float)
            color, style = (NEW, "-") if curve.new else (OLD, (0, (5, 2)))
            if curve.new:
                low, high = np.array([one.low for _, one in known]), np.array([one.high for _, one in known])
                axes.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
            axes.plot(x, y, color=color, linestyle=style, linewidth=1.8, label=curve.label)
        for mark, shape in zip(marks, ("s", "D"), strict=False):
            if mark.value is not None:
                axes.plot(
                    [mark.reviewed], [mark.value], linestyle="none", marker=shape, markersize=7, color=INK,
                    markerfacecolor="white" if shape == "s" else INK, label=mark.label,
                )  # fmt: skip
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("share of the rows that is reviewed")
        axes.set_ylabel(axis)
        legend(axes)
    return made.text
