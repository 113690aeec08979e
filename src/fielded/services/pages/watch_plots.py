"""Plots of a watch: what days brought, and how far each column moved. See `services.pages.plots`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from fielded.services.pages.plots import INK, LIMIT, LINES, NEW, OLD, Interval, drawing, legend, short

_HEIGHT = 2.6  # inches of a plot over days
_ROW, _EXTRA = 0.3, 1.0
_DOTS = 45  # days up to which each has a dot


@dataclass(frozen=True, slots=True)
class Bar:
    """How far one column moved.

    Attributes:
        name: of the column.
        value: None where it was not measured.
        chance: what chance alone stays below; None where that is not known.
        limit: what a trigger allows; None where none asks.
    """

    name: str
    value: float | None
    chance: float | None
    limit: float | None


def over_days(
    name: str, days: Sequence[date], points: Sequence[Interval], *, axis: str, limits: Sequence[float] = ()
) -> str:
    """A line over days with its interval; a day without a value is a gap.

    Args:
        name: of the drawing, for its ids.
        days: ascending.
        points: one for each day.
        axis: what the values are.
        limits: that triggers set.
    """
    with drawing(name, _HEIGHT) as (axes, made):
        at, values, low, high = _whole_days(days, points)
        axes.fill_between(at, low, high, color=NEW, alpha=0.18, linewidth=0, label="95% interval")
        dots = {"marker": "o", "markersize": 3.5} if len(days) <= _DOTS else {}
        axes.plot(at, values, color=NEW, linewidth=1.6, label=axis, **dots)  # type: ignore[arg-type]
        for limit in limits:
            axes.axhline(limit, color=LIMIT, linewidth=1, linestyle=(0, (4, 2)), label="limit of a trigger")
        if len(at) == 1:  # a day alone has no breadth to be filled
            axes.vlines(at, low, high, color=NEW, alpha=0.4, linewidth=3)
        _dates(axes, at)
        axes.set_ylim(bottom=min(0.0, float(np.nanmin([*values, 0.0]))))
        legend(axes)
    return made.text


def bars_over_days(name: str, days: Sequence[date], values: Sequence[float | None], *, axis: str) -> str:
    """A bar for each day.

    Args:
        name: of the drawing.
        days: ascending.
        values: one for each day; None is a day without one.
        axis: what they are.
    """
    with drawing(name, _HEIGHT) as (axes, made):
        heights = [0.0 if value is None else float(value) for value in values]
        at = date2num(list(days))
        axes.bar(at, heights, color=NEW, width=0.8)
        _dates(axes, at)
        axes.set_ylabel(axis)
        axes.set_ylim(bottom=0)
    return made.text


def bars_by_row(name: str, bars: Sequence[Bar], *, axis: str) -> str:
    """A bar for each column, with marks at what chance makes and at what a trigger allows.

    Args:
        name: of the drawing.
        bars: the first on top.
        axis: what their lengths are.
    """
    with drawing(name, _EXTRA + _ROW * max(len(bars), 1)) as (axes, made):
        places = np.arange(len(bars), dtype=float)
        lengths = np.array([0.0 if bar.value is None else bar.value for bar in bars])
        axes.barh(places, lengths, height=0.62, color=[_color(bar) for bar in bars])
        chance = [bar.chance for bar in bars]
        _marks(axes, chance, color=INK, style=(0, (1, 1)), label="what chance alone stays below")
        limits = [bar.limit for bar in bars]
        _marks(axes, limits, color=LIMIT, style="solid", label="limit of a trigger")
        axes.set_yticks(places, [short(bar.name) for bar in bars], fontsize=9)
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(axis)
        legend(axes)
    return made.text


def _whole_days(
    days: Sequence[date], points: Sequence[Interval]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every day from the first to the last, those too on which nothing came: a line must not pass over a gap."""
    if not days:
        nothing = np.empty(0)
        return nothing, nothing, nothing, nothing
    numbers = date2num(list(days))
    at = np.arange(numbers[0], numbers[-1] + 1)
    values, low, high = (np.full(len(at), np.nan) for _ in range(3))
    for number, point in zip(numbers, points, strict=True):
        place = int(number - numbers[0])
        if point.value is not None:
            values[place], low[place], high[place] = point.value, point.low, point.high
    return at, values, low, high


def _dates(axes: Axes, at: np.ndarray) -> None:
    """An axis of days, with a day to spare at both ends."""
    if len(at):
        axes.set_xlim(at[0] - 1, at[-1] + 1)
    locator = AutoDateLocator(minticks=2, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.set_tick_params(labelsize=9)


def _color(bar: Bar) -> str:
    """Blue beyond chance, grey below it: the mark says the same in shape."""
    beyond = bar.value is not None and (bar.chance is None or bar.value > bar.chance)
    return NEW if beyond else (OLD if bar.value is not None else LINES)


def _marks(
    axes: Axes, values: Sequence[float | None], *, color: str, style: str | tuple[int, tuple[int, int]], label: str
) -> None:
    held = [(place, value) for place, value in enumerate(values) if value is not None]
    if held:
        rows = np.array([place for place, _ in held])
        at = np.array([value for _, value in held])
        axes.vlines(
            at, rows - 0.42, rows + 0.42, color=color, linestyle=style, linewidth=1.8, label=label,
        )  # fmt: skip
