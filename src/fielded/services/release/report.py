"""The report of a comparison: `comparison.json`, which is the record, and `comparison.html`, which people read.

What a page is like is said in `services.pages`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from fielded.decisions.measuring.accuracy import NAMES
from fielded.decisions.measuring.slices import OVERALL
from fielded.definition.release import AT_LEAST, Metric
from fielded.services.pages.page import Plot, number, opened, render, write_pair
from fielded.services.pages.plots import Interval, Line, Series, curves, intervals_by_row, plain, reliability

NAME = "comparison"  # of both files
JSON_FILE, HTML_FILE = f"{NAME}.json", f"{NAME}.html"

_OVERALL = str(OVERALL)
_PLACES = re.compile(r"([/_\[=])")
_DRAWN = 16  # slices in one plot
_LISTED = 200  # rows of one table
_CLASSES = {"failed": "failed", "not enough evidence": "lacking", "waived": "waived", "passed": "passed"}
_STATISTICS = {"score": "shift of mean log-odds", "flag_rate": "change of the share flagged"}

Json = dict[str, Any]


def write_report(folder: Path, report: Json) -> str:
    """Write both files, each whole or not at all.

    Args:
        folder: made where it is not there; a report in it is replaced.
        report: see `decisions.release.report`.

    Returns:
        SHA-256 of `comparison.json`.

    Raises:
        Unreachable: the folder cannot be written.
    """
    return write_pair(folder, NAME, report, page_of)


def page_of(report: Json, sha256: str) -> str:
    """The report as a page.

    Args:
        report: see `decisions.release.report`.
        sha256: of the JSON file.
    """
    findings = report["findings"]
    return render(
        "fielded.services.release",
        "comparison.html.j2",
        {
            "metric": NAMES.__getitem__,
            "worst_by": _worst_by,
            "breakable": _breakable,
            "outcome_class": _CLASSES.__getitem__,
        },
        report=report,
        sha256=sha256,
        title=_title(report),
        summary=_summary(report),
        in_the_way=[one for one in findings if one["outcome"] in ("failed", "not enough evidence")],
        aside=[one for one in findings if one["outcome"] == "waived"],
        passed=[one for one in findings if one["outcome"] == "passed"],
        plots={
            "metrics": list(_metrics(report)),
            "shift": list(_shift(report)),
            "calibration": list(_calibration(report)),
            "cost": list(_cost(report)),
        },
        table_rows=_LISTED,
    )


def _title(report: Json) -> str:
    new = f"Version {plain(report['candidate']['version'])}"
    return f"{new} against version {plain(report['production']['version'])}" if report["production"] else new


def _summary(report: Json) -> str:
    told = [f"{count} {outcome}" for outcome in _CLASSES if (count := report["outcomes"].get(outcome))]
    return f"{', '.join(told)} of {len(report['findings'])} findings." if told else "No gate was chosen."


def _names(report: Json) -> dict[str, str]:
    """Both versions as legends call them, production first."""
    names = {"candidate": f"candidate, version {plain(report['candidate']['version'])}"}
    if report["production"]:
        names = {"production": f"production, version {plain(report['production']['version'])}", **names}
    return names


def _metrics(report: Json) -> Iterator[Plot]:
    found = report["metrics"]
    for metric in found["drawn"] if found["slices"] else []:
        slices = _worst_by(found["slices"], metric)[:_DRAWN]
        series = [
            Series(
                label=label,
                new=name == "candidate",
                points=[_interval((one[name] or {}).get(metric)) for one in slices],
            )
            for name, label in _names(report).items()
        ]
        bounds = [found["bounds"][metric]] if metric in found["bounds"] else []
        limit = f", limit {found['limits'][metric]}" if bounds else ""
        words = _words(NAMES[metric], [one["slice"] for one in slices], series)
        rows = [one["slice"] for one in slices]
        svg = intervals_by_row(f"metric-{metric}", rows, series, axis=NAMES[metric], limits=bounds)
        yield Plot(f"{opened(NAMES[metric])}{limit}", words, Markup(svg))  # noqa: S704 - ours, escaped


def _shift(report: Json) -> Iterator[Plot]:
    for statistic, what in _STATISTICS.items():
        opening = f"{statistic}["
        measured = [
            one
            for one in report["shift"]
            if one["item"].startswith(opening) and one["numbers"].get("low") is not None
        ]
        measured.sort(key=lambda one: -abs(one["numbers"]["shift"] or 0.0))
        if not measured:
            continue
        shown = measured[:_DRAWN]
        numbers = [one["numbers"] for one in shown]
        points = [Interval(one["shift"], one["low"], one["high"]) for one in numbers]
        rows = [one["item"][len(opening) : -1] for one in shown]
        series = [Series(label="candidate less production", new=True, points=points)]
        tolerance = min(one["tolerance"] for one in numbers)
        limits = [-tolerance, tolerance]
        svg = intervals_by_row(
            f"shift-{statistic.replace('_', '-')}", rows, series, axis=what, limits=limits, middle=0.0
        )
        yield Plot(opened(what), _words(what, rows, series), Markup(svg))  # noqa: S704 - ours, escaped


def _calibration(report: Json) -> Iterator[Plot]:
    found = report["calibration"]
    slices = found["slices"][:_DRAWN]
    if not slices:
        return
    names = _names(report)
    rows = [one["slice"] for one in slices]
    series = [
        Series(label=label, new=name == "candidate", points=[_interval(one[name]) for one in slices])
        for name, label in names.items()
    ]
    what = "mean score less share of events"
    svg = intervals_by_row("calibration-slices", rows, series, axis=what, middle=0.0)
    yield Plot(opened(what), _words(what, rows, series), Markup(svg))  # noqa: S704 - ours, escaped
    bins = [
        (label, name == "candidate", [(one["score"], _interval(one["events"])) for one in found[name]])
        for name, label in names.items()
    ]
    words = "Share of events against mean score, in tenths of the rows, for " + " and ".join(names.values())
    yield Plot("Events against scores", words, Markup(reliability("calibration-bins", bins)))  # noqa: S704 - ours


def _cost(report: Json) -> Iterator[Plot]:
    found = report["cost"]
    if not found["candidate"]:
        return
    lines, at = [], [(found["threshold"], f"threshold {found['threshold']:g}", True)]
    for name, label in _names(report).items():
        curve = found[name]
        lines.append(Line(label=label, new=name == "candidate", x=curve["thresholds"], y=curve["costs"]))
    best = found["candidate"]["best"]["value"]
    at.append((best, f"candidate costs least at {best:g}", False))
    told = [
        f"{label}: {number(found[name]['at_threshold']['value'])} at the threshold, least at "
        f"{found[name]['best']['value']:g}"
        for name, label in _names(report).items()
    ]
    svg = curves("cost", lines, axes_names=("threshold", "cost per row"), at=at)
    yield Plot("Cost per row by threshold", f"Cost per row. {', '.join(told)}", Markup(svg))  # noqa: S704 - ours, escaped


def _words(what: str, rows: Sequence[str], series: Sequence[Series]) -> str:
    """What a plot by slices shows, for who does not see it: its first row, and where the rest is."""
    told = [
        f"{one.label}: {'no value' if one.points[0].value is None else f'{one.points[0].value:.3f}'}"
        for one in series
    ]
    first = f"{plain(rows[0])}: {'; '.join(told)}"
    return f"{opened(what)} of {len(rows)} slices. {first}. All numbers are in the table."


def _worst_by(slices: Sequence[Json], metric: Metric) -> list[Json]:
    """All rows first, then the slices by what the candidate is there; those without a value last."""
    sign = 1.0 if metric in AT_LEAST else -1.0

    def rank(one: Json) -> tuple[bool, bool, float]:
        value = one["candidate"][metric]["value"]
        return one["slice"] != _OVERALL, value is None, 0.0 if value is None else sign * value

    return sorted(slices, key=rank)


def _breakable(name: str) -> Markup:
    """A finding's name, escaped, with places where a line may end."""
    return Markup(_PLACES.sub(r"\1<wbr>", str(escape(plain(name)))))  # noqa: S704 - escaped, then our own tag


def _interval(one: Mapping[str, Any] | None) -> Interval:
    return Interval(None, 0.0, 0.0) if one is None else Interval(one["value"], one["low"], one["high"])
