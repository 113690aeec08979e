"""The numbers of a watch as Markdown between the markers of docs/flights_watched.md, and as pictures."""

import re
from collections.abc import Iterator
from datetime import date

import numpy as np
from account import Numbers
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from report import share, table

from fielded.definition.monitoring import When
from fielded.services.pages.plots import INK, LIMIT, LINES, NEW, OLD, drawing, legend
from fielded.services.pages.watch_plots import Bar, bars_by_row

PICTURES = {
    "flights_watched_promised.svg": "Mean score and share of late flights, week by week",
    "flights_watched_drift.svg": "How far each input and the score moved, at most",
    "flights_watched_origins.svg": "AUC by origin over four weeks, as the trigger saw it",
    "flights_watched_triggers.svg": "What stood where at each look",
}
_OF_WEEKS = (
    "Each row is one look. Its seven days of scores end on the day named, its seven days of labels two days "
    "earlier. In brackets stand 95% intervals."
)
_OF_TRIGGERS = (
    "The training months were looked at in the same way, once a week, wherever a window had all its days. An "
    "alarm is counted for each instance, each time that it fires."
)
_BY_ORIGIN = "order-by-origin"
_HEIGHT = 2.9  # inches
_ROW = 0.3
_STYLES = (("o", "-", NEW), ("s", (0, (5, 2)), INK), ("^", (0, (1, 1)), OLD))  # marker, dashes, colour
_SYMBOLS = {
    "firing": ("in alarm", {"marker": "s", "color": LIMIT, "markersize": 8}),
    "pending": ("one breach so far", {"marker": "D", "color": LIMIT, "markersize": 6, "fillstyle": "none"}),
    "insufficient_data": ("too little to say", {"marker": "x", "color": INK, "markersize": 5}),
    "cleared": ("cleared", {"marker": "o", "color": NEW, "markersize": 7, "fillstyle": "none"}),
    "ok": ("ok", {"marker": ".", "color": OLD, "markersize": 5}),
}  # fmt: skip


def markdown(numbers: Numbers) -> str:
    """All sections, without the markers."""
    return "\n\n".join(
        [
            "### Every flight that arrived has its label",
            _account(numbers),
            "### Week by week",
            _OF_WEEKS,
            _weeks(numbers["weeks"]),
            *_picture("promised"),
            *_picture("drift"),
            "### The triggers",
            _OF_TRIGGERS,
            _triggers(numbers),
            *_picture("triggers"),
            "### When each alarm began, and when it was over",
            _alarms(numbers),
            *_picture("origins"),
        ]
    )


def draw(numbers: Numbers) -> dict[str, str]:
    """The pictures: name of the file -> SVG."""
    made = (_promised(numbers), _drift(numbers), _origins(numbers), _states(numbers))
    return {name: _alone(svg, title) for (name, title), svg in zip(PICTURES.items(), made, strict=True)}


def _picture(name: str) -> Iterator[str]:
    file = f"flights_watched_{name}.svg"
    yield f"![{PICTURES[file]}](images/{file})"


def _account(numbers: Numbers) -> str:
    account, weeks, loads = numbers["account"], numbers["weeks"], numbers["loads"]
    lines = (
        ("flights in the package's file, counted with pandas", account["file"]),
        ("scored", account["scored"]),
        ("of them arrived, by the file", account["scored_arrived"]),
        ("of them without a label in the ledger", account["without_label"]),
        ("with another label than the file says", account["other_label"]),
        ("with a label, though cancelled or diverted", account["label_without_arrival"]),
        ("scored and cancelled, which never get a label", account["scored_cancelled"]),
        ("scored and diverted, likewise", account["scored_diverted"]),
        ("weekly files of outcomes", len(loads)),
        ("rows in them", sum(one["rows"] for one in loads)),
        ("of flights that were in quarantine, so of no score", sum(one["unmatched"] for one in loads)),
        ("looks of the monitor", len(weeks)),
        ("of them with a request to retrain open", sum(week["request"] is not None for week in weeks)),
        (
            "largest difference between a number of the monitor and pandas or scikit-learn",
            f"{max(week['apart'] for week in weeks):.0e}",
        ),
    )
    return table((" to ".join(numbers["period"]), ""), lines)


def _weeks(weeks: list[Numbers]) -> str:
    headings = ("up to", "flights", "PSI of the score", "farthest input", "flagged", "mean score", "late",
                "calibration in the large", "AUC", "in alarm")  # fmt: skip
    return table(headings, (_week(week) for week in weeks))


def _week(week: Numbers) -> list[object]:
    psi, flagged, mean = week["psi"]["score"], week["flag_rate"], week["mean_score"]
    far, too_few = week["farthest"], "" if week["farthest_counts"] else " (too few flights)"
    firing = {name.partition("/")[0] for name, one in week["instances"].items() if one["state"] == "firing"}
    return [
        week["as_of"],
        f"{flagged['rows']:,}",
        _number(psi["value"]),
        "none" if far is None else f"{far}: {_number(week['psi'][far]['value'])}" + too_few,
        "none" if flagged["value"] is None else share(flagged["value"]),
        "none" if mean["value"] is None else share(mean["value"]),
        "none" if week["late"] is None else share(week["late"]),
        _with_interval(week["calibration"], "+.3f"),
        _with_interval(week["auc"], ".3f"),
        ", ".join(name for name in dict.fromkeys(n.partition("/")[0] for n in week["instances"]) if name in firing)
        or "none",
    ]


def _triggers(numbers: Numbers) -> str:
    past = {one["id"]: one for one in numbers["past"]}
    began = _began(numbers)
    rows = []
    for trigger in numbers["triggers"]:
        before = past.get(trigger["id"])
        values = [
            one["value"]
            for week in numbers["weeks"]
            for name, one in week["instances"].items()
            if name.startswith(f"{trigger['id']}/") and one["value"] is not None and not one["lacking"]
        ]
        rows.append(
            [
                trigger["id"],
                f"`{trigger['metric']}`",
                f"`{trigger['when']}`",
                trigger["days"],
                "none" if before is None or before["low"] is None else _range(before["low"], before["high"]),
                "none" if before is None else before["alarms"],
                _range(min(values), max(values)) if values else "none",
                sum(one["trigger"] == trigger["id"] for one in began),
            ]
        )
    headings = ("trigger", "metric", "breach", "days in a window", "training months", "alarms in them",
                "in the watch", "alarms")  # fmt: skip
    return table(headings, rows)


def _began(numbers: Numbers) -> list[Numbers]:
    return [one for one in numbers["changes"] if one["to"] == "firing"]


def _alarms(numbers: Numbers) -> str:
    rows = []
    for one in _began(numbers):
        over = next(
            (
                later["as_of"]
                for later in numbers["changes"]
                if later["instance"] == one["instance"] and later["trigger"] == one["trigger"]
                and later["to"] == "cleared" and later["as_of"] > one["as_of"]
            ),
            "not yet",
        )  # fmt: skip
        rows.append([one["as_of"], one["trigger"], f"`{one['instance']}`", one["why"], over])
    return table(("look up to", "trigger", "instance", "what it saw", "over at"), rows)


def _promised(numbers: Numbers) -> str:
    weeks = [week for week in numbers["weeks"] if week["late"] is not None]
    at = [_day(week["auc"]["last_day"]) for week in weeks]
    late = np.array([week["late"] for week in weeks])
    promised = np.array([week["late"] + week["calibration"]["value"] for week in weeks])
    low, high = (np.array([week["calibration"][end] for week in weeks]) for end in ("low", "high"))
    with drawing("promised", _HEIGHT) as (axes, made):
        axes.fill_between(at, promised - high, promised - low, color=NEW, alpha=0.18, linewidth=0)
        axes.plot(at, late, color=NEW, marker="o", markersize=4, label="late: share of flights")
        axes.plot(at, promised, color=INK, linestyle=(0, (5, 2)), marker="s", markersize=4,
                  markerfacecolor="white", label="promised: mean score")  # fmt: skip
        _dates(axes)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("seven days of flights")
        legend(axes)
    return made.text


def _drift(numbers: Numbers) -> str:
    """The farthest week of each column that had rows enough for a trigger."""
    bounds = {one["id"]: When.parse(one["when"]).bound for one in numbers["triggers"]}
    bars = []
    for name in numbers["weeks"][0]["psi"]:
        held = [
            week["psi"][name]
            for week in numbers["weeks"]
            if not week["instances"][f"feature-drift/psi({name})"]["lacking"]
        ]
        worst = max(held, key=lambda one: one["value"], default={"value": None, "chance_limit": None})
        limit = bounds["score-drift" if name == "score" else "feature-drift"]
        bars.append(Bar(name, worst["value"], worst["chance_limit"], limit))
    bars.sort(key=lambda bar: -(bar.value or 0.0))
    return bars_by_row("drift", bars, axis="PSI of the farthest week against training")


def _origins(numbers: Numbers) -> str:
    weeks = numbers["weeks"]
    trigger = next(one for one in numbers["triggers"] if one["id"] == _BY_ORIGIN)
    names = [name for name in weeks[-1]["instances"] if name.startswith(f"{_BY_ORIGIN}/")]
    with drawing("origins", _HEIGHT) as (axes, made):
        for name, (marker, dashes, color) in zip(names, _STYLES, strict=False):
            held = [week["instances"][name] for week in weeks if name in week["instances"]]
            held = [one for one in held if one["value"] is not None and not one["lacking"]]
            at = [_day(one["last_day"]) for one in held]
            value, low, high = ([one[key] for one in held] for key in ("value", "low", "high"))
            origin = re.sub(r".*=(.*)\]", r"\1", name)
            axes.plot(at, value, color=color, linestyle=dashes, marker=marker, markersize=4, label=origin)
            axes.fill_between(at, low, high, color=color, alpha=0.12, linewidth=0)
        bound = When.parse(trigger["when"]).bound
        axes.axhline(bound, color=LIMIT, linewidth=1, linestyle=(0, (4, 2)), label="limit of a trigger")
        _dates(axes)
        axes.set_ylabel("AUC, four weeks of labels")
        legend(axes)
    return made.text


def _states(numbers: Numbers) -> str:
    triggers, weeks = numbers["triggers"], numbers["weeks"]
    at = [_day(week["as_of"]) for week in weeks]
    with drawing("states", 1.5 + _ROW * len(triggers)) as (axes, made):
        for state, (label, style) in _SYMBOLS.items():
            found = [
                (day, row)
                for row, trigger in enumerate(triggers)
                for day, one in zip(at, trigger["states"], strict=True)
                if one == state
            ]
            if found:
                axes.plot(*zip(*found, strict=True), linestyle="none", label=label, **style)
        axes.set_yticks(range(len(triggers)), [one["id"] for one in triggers], fontsize=9)
        axes.set_ylim(len(triggers) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=True, color=LINES)
        _dates(axes)
        legend(axes)
    return made.text


def _dates(axes: Axes) -> None:
    locator = AutoDateLocator(minticks=2, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.set_tick_params(labelsize=9)


def _day(text: str) -> float:
    return float(date2num(date.fromisoformat(text)))


def _alone(svg: str, title: str) -> str:
    """A drawing as a file of its own: with a size, a title, and a ground that is white in the dark too."""
    _, _, width, height = re.search(r'viewBox="([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+)"', svg).groups()
    opening, _, rest = svg.partition(">")
    opening = opening.replace(' aria-hidden="true"', ' role="img"').replace(' focusable="false"', "")
    size = f'width="{2 * float(width):.0f}" height="{2 * float(height):.0f}"'
    return f'{opening} {size}><title>{title}</title><rect width="100%" height="100%" fill="#ffffff"/>{rest}\n'


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _with_interval(one: Numbers, form: str) -> str:
    if one["value"] is None:
        return "none"
    return f"{one['value']:{form}} [{one['low']:{form}}, {one['high']:{form}}]"


def _range(low: float, high: float) -> str:
    return f"{low:,.3f} to {high:,.3f}" if max(abs(low), abs(high)) < 10 else f"{low:,.0f} to {high:,.0f}"
