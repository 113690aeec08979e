"""The plan as a Gantt chart: SVG for a page and for a file of its own, and text for a terminal.

Each item has two bars: when it is done with every item at its low end, and with every item at its high end. What
is done has one.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from xml.etree import ElementTree as ET

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.patches import Patch

from fielded.decisions.ato.schedule import Planned, Schedule, Span
from fielded.services.pages.plots import INK, LIMIT, NEW, OLD, drawing

_ROW, _EXTRA = 0.52, 1.25  # inches
_BAR = 0.3  # of a row
_COLUMNS = 60  # of a chart on a terminal
_FONTS = "Source Sans 3, Source Sans Pro, Helvetica, Arial, sans-serif"  # a page's own, where there is no page
_SVG = "http://www.w3.org/2000/svg"

DONE, BOTH, LOW, HIGH, TODAY, NEED = "#", "=", "-", ".", "|", "!"


def gantt(name: str, schedule: Schedule) -> str:
    """The chart for a page.

    Args:
        name: of the drawing, for its ids.
        schedule: what it shows.
    """
    items = schedule.items
    with drawing(name, _EXTRA + _ROW * (len(items) + 1)) as (axes, made):
        for row, one in enumerate(items):
            _bars(axes, row, one)
        _spread(axes, len(items), schedule)
        _lines(axes, schedule)
        axes.set_yticks(np.arange(len(items) + 1), [*(_name(one) for one in items), "Authorization"], fontsize=9)
        axes.set_ylim(len(items) + 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        _dates(axes, schedule)
        axes.figure.legend(
            handles=_legend(schedule), loc="outside upper left", ncols=2, fontsize=8, borderaxespad=0
        )
    return made.text


def gantt_file(schedule: Schedule, title: str) -> str:
    """The chart as a file of its own, with its words for who does not see it.

    Args:
        schedule: what it shows.
        title: of the file.
    """
    ET.register_namespace("", _SVG)
    root = ET.fromstring(gantt("plan", schedule))  # noqa: S314 - our own drawing
    root.attrib.pop("aria-hidden", None)
    root.attrib |= {"role": "img", "aria-labelledby": "plan-title plan-words", "font-family": _FONTS}
    for place, (tag, text) in enumerate((("title", title), ("desc", words_of(schedule)))):
        element = ET.Element(f"{{{_SVG}}}{tag}", {"id": f"plan-{'words' if place else 'title'}"})
        element.text = text
        root.insert(place, element)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def words_of(schedule: Schedule) -> str:
    """The chart in words."""
    told = (
        f"{one.work.title} {one.low.start} to {one.low.end}"
        + (f", at the high ends {one.high.start} to {one.high.end}" if one.state != "done" else "")
        for one in schedule.items
    )
    return f"Items at the low ends: {'; '.join(told)}. Authorization {schedule.earliest} to {schedule.latest}."


def _name(one: Planned) -> str:
    return f"{one.work.title} ({one.state})" if one.state != "open" else one.work.title


def _bars(axes: Axes, row: int, one: Planned) -> None:
    if one.state == "done":
        _bar(axes, row, one.low, INK)
        return
    for shift, span, slack, hatch in (
        (-_BAR / 2, one.low, (one.slack or (0, 0))[0], ""),
        (_BAR / 2, one.high, (one.slack or (0, 0))[1], "////"),
    ):
        _bar(axes, row + shift, span, LIMIT if not slack else NEW, hatch)
        if slack:
            axes.hlines(row + shift, date2num(span.end), date2num(span.end) + slack, color=OLD, linewidth=1)


def _bar(axes: Axes, at: float, span: Span, color: str, hatch: str = "") -> None:
    start, end = date2num(span.start), date2num(span.end)
    # What was done on one day is seen too.
    axes.barh(
        at, max(end - start, 1), left=start, height=_BAR, color="white" if hatch else color, edgecolor=color,
        linewidth=1, hatch=hatch,
    )  # fmt: skip


def _spread(axes: Axes, row: int, schedule: Schedule) -> None:
    """The day of the authorization: all that is drawn, the middle of it, and four of five."""
    if schedule.authorized:
        axes.plot(date2num(schedule.earliest), row, marker="D", color=INK, markersize=7)
        return
    for shift, spread, color in ((-0.15, schedule.apart, NEW), (0.15, schedule.together, OLD)):
        days = {key: date2num(day) for key, day in spread.percentiles.items()}
        axes.hlines(row + shift, days[10], days[95], color=color, linewidth=2)
        axes.plot([days[50], days[80]], [row + shift] * 2, linestyle="none", marker="D", color=color, markersize=5)


def _lines(axes: Axes, schedule: Schedule) -> None:
    axes.axvline(date2num(schedule.today), color=INK, linewidth=1, linestyle=(0, (1, 2)))
    if schedule.need is not None:
        axes.axvline(date2num(schedule.need), color=LIMIT, linewidth=1.4, linestyle=(0, (4, 2)))


def _dates(axes: Axes, schedule: Schedule) -> None:
    first, last = _range(schedule)
    axes.set_xlim(date2num(first) - 3, date2num(last) + 3)
    locator = AutoDateLocator(minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.set_tick_params(labelsize=9)


def _legend(schedule: Schedule) -> list[Patch]:
    # Low and high, done and not differ in shape and filling too, not in colour alone.
    shown = [
        Patch(facecolor=LIMIT, edgecolor=LIMIT, label="low end, no slack"),
        Patch(facecolor=NEW, edgecolor=NEW, label="low end, with slack"),
        Patch(facecolor="white", edgecolor=OLD, hatch="////", label="the same at the high end"),
        Patch(facecolor=INK, edgecolor=INK, label="done"),
        Patch(facecolor="none", edgecolor="none", label=f"dotted: today, {schedule.today}"),
    ]
    if not schedule.authorized:
        told = "last row: 10 to 95 of 100 plans, marks at 50 and 80"
        shown.append(Patch(facecolor="none", edgecolor="none", label=told))
    if schedule.need is not None:
        shown.append(Patch(facecolor="none", edgecolor="none", label=f"dashed: needed on {schedule.need}"))
    return shown


def _range(schedule: Schedule) -> tuple[date, date]:
    """First and last day of the chart."""
    firsts = [schedule.today, *(one.low.start for one in schedule.items)]
    lasts = [schedule.today, schedule.latest, *(one.high.end for one in schedule.items)]
    if schedule.need is not None:
        lasts.append(schedule.need)
        firsts.append(schedule.need)
    return min(firsts), max(lasts)


def gantt_text(schedule: Schedule, columns: int = _COLUMNS) -> Iterator[str]:
    """The chart for a terminal, in letters that every terminal has.

    Args:
        schedule: what it shows.
        columns: of the chart itself.
    """
    first, last = _range(schedule)
    step = max(1.0, ((last - first).days + 1) / columns)
    width = max(len(_name(one)) for one in schedule.items)
    yield f"{'':<{width}}  {_scale(first, step, columns)}"
    for one in schedule.items:
        yield f"{_name(one):<{width}}  {''.join(_cells(one, schedule, first, step, columns)).rstrip()}"
    legend = f"{DONE} done  {BOTH} at both ends  {LOW} at the low ends  {HIGH} at the high ends  {TODAY} today"
    yield f"{'':<{width}}  {legend}{f'  {NEED} needed' if schedule.need is not None else ''}"


def _scale(first: date, step: float, columns: int) -> str:
    """The first day of each month that has room for its name."""
    line = [" "] * columns
    free = 0
    for column in range(columns):
        day, before = (first + timedelta(days=int((column + back) * step)) for back in (0, -1))
        name = f"{day:%Y-%m}"
        new = column == 0 or (day.year, day.month) != (before.year, before.month)
        if new and column >= free and column + len(name) <= columns:
            line[column : column + len(name)] = name
            free = column + len(name) + 1
    return "".join(line).rstrip()


def _cells(one: Planned, schedule: Schedule, first: date, step: float, columns: int) -> Sequence[str]:
    def column(day: date) -> int:
        return min(columns - 1, int((day - first).days / step))

    def covered(span: Span) -> range:
        start = column(span.start)
        return range(start, max(start + 1, column(span.end)))

    low, high = covered(one.low), covered(one.high)
    cells = [" "] * columns
    for place in range(columns):
        if one.state == "done":
            cells[place] = DONE if place in low else " "
        elif place in low or place in high:
            cells[place] = BOTH if place in low and place in high else LOW if place in low else HIGH
    for mark, day in ((TODAY, schedule.today), (NEED, schedule.need)):
        if day is not None and cells[column(day)] == " ":
            cells[column(day)] = mark
    return cells
