"""The report of one run of the monitor: `monitor.json`, the record, and `monitor.html`, which people read.

What the values are is said in `decisions.monitoring.report`, what a page is like in `services.pages`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from fielded.services.monitoring.drift_shown import Drift, drift_shown, limits_of, moved
from fielded.services.monitoring.labelled_shown import labelled_shown, labels_drawn
from fielded.services.monitoring.wording import PACKAGE, filters, interval, svg_of, words_of
from fielded.services.pages.page import Plot, number, opened, render, write_pair
from fielded.services.pages.plots import plain
from fielded.services.pages.watch_plots import Bar, bars_by_row, bars_over_days, over_days

NAME = "monitor"  # of both files
JSON_FILE, HTML_FILE = f"{NAME}.json", f"{NAME}.html"

_DRAWN = 16  # rows of one plot
_LISTED = 200  # rows of one table
_RATES = {
    "mean_score": "mean score",
    "flag_rate": "share flagged",
    "review_rate": "share that went to a person",
    "override_rate": "share of decided cases in which a person overrode the model",
    "quarantine_rate": "share of the population that was refused",
    "volume": "rows a day",
    "staleness": "hours since the newest score",
    "latency": "milliseconds of an API answer, 95th percentile",
}
_BANNERS = {
    "firing": ("no", "A trigger fires"),
    "acknowledged": ("no", "A trigger fires, and somebody knows"),
    "pending": ("wait", "A trigger is about to fire"),
    "insufficient_data": ("wait", "Not all can be seen"),
    "cleared": ("yes", "Nothing fires any more"),
    "ok": ("yes", "Nothing fires"),
    "unwatched": ("wait", "Nothing is watched"),
}
_OVER_DAYS = {"mean_score": "mean score", "flag_rate": "share flagged", "review_rate": "share reviewed"}
_STRANGE = ("missing", "out_of_range", "new_categories")
_QUEUE = {
    "items": "waiting",
    "oldest_age_seconds": "oldest, hours",
    "overdue": "overdue",
    "decided": "decided in 90 days",
    "late": "of those, late",
    "expired": "expired in 90 days",
}

Json = dict[str, Any]


def write_monitor_report(folder: Path, report: Json) -> str:
    """Write both files, each whole or not at all.

    Args:
        folder: made where it is not there; a report in it is replaced.
        report: see `decisions.monitoring.report`.

    Returns:
        SHA-256 of `monitor.json`.

    Raises:
        Unreachable: the folder cannot be written.
    """
    return write_pair(folder, NAME, report, page_of)


def page_of(report: Json, sha256: str) -> str:
    """The report as a page.

    Args:
        report: see `decisions.monitoring.report`.
        sha256: of the JSON file.
    """
    drift = drift_shown(report)
    labelled = labelled_shown(report["measured"])
    return render(
        PACKAGE,
        "monitor.html.j2",
        filters(),
        report=report,
        sha256=sha256,
        title=f"Version {plain(report['version']['version'])} up to {report['as_of']}",
        banner=_banner(report),
        changed=[
            f"{plain(one['id'])}, {plain(one['instance'])}: {words_of(one['from'])} before, {words_of(one['to'])} "
            f"now ({plain(one['why'])})"
            for one in report["changed"]
        ],
        moved=list(moved(report, drift)),
        instances=_worst_first(report),
        drift=drift,
        rates=[{**one, "title": _RATES[one["name"]]} for one in report["measured"]
               if one["name"] in _RATES and not one["column"]],
        labelled=labelled,
        queue=_queue(report["queue"] or {}),
        plots={
            "drift": list(_drift(drift)),
            "days": list(_days(report)),
            "labels": list(labels_drawn(labelled, limits_of(report, of_slices=True))),
        },
        table_rows=_LISTED,
    )  # fmt: skip


def _banner(report: Json) -> Json:
    style, title = _BANNERS[report["state"]]
    told = [f"{count} {words_of(state)}" for state, count in report["states"].items() if count]
    told_of = f"{', '.join(told)}." if told else "The definition has no trigger."
    return {"style": style, "title": title, "words": f"{opened(told_of)}"}


def _worst_first(report: Json) -> list[tuple[Json, Json]]:
    order = list(report["states"])
    found = [(trigger, one) for trigger in report["triggers"] for one in trigger["instances"]]
    return sorted(found, key=lambda pair: order.index(pair[1]["state"]))


def _queue(queue: Mapping[str, float | None]) -> list[tuple[str, str]]:
    shown = []
    for name, value in queue.items():
        hours = name == "oldest_age_seconds" and value is not None
        text = "none" if value is None else f"{value / 3600:.1f}" if hours else f"{value:,.0f}"
        shown.append((_QUEUE.get(name, words_of(name)), text))
    return shown


def _drift(drift: Drift) -> Iterator[Plot]:
    measured = [row for row in drift["columns"] if row["psi"] is not None][:_DRAWN]
    if not measured:
        return
    bars = [Bar(row["of"], row["psi"], row["chance"], row["limit"]) for row in measured]
    first = measured[0]
    beyond = sum(row["beyond"] for row in measured)
    words = (
        f"Population stability index of {len(measured)} columns, farthest first. {plain(first['of'])}: "
        f"{number(first['psi'])}. {beyond} of them moved by more than chance. All numbers are in the table."
    )
    yield Plot("How far each column moved", words, svg_of(bars_by_row("psi", bars, axis="PSI against training")))
    gone = [row for row in drift["columns"] if row["missing"] is not None][:_DRAWN]
    if any(row[name] for row in gone for name in _STRANGE):
        rows = [plain(row["of"]) for row in gone]
        lost = [
            max(row["missing"] or 0.0, row["out_of_range"] or 0.0, row["new_categories"] or 0.0) for row in gone
        ]
        bars = [Bar(name, value, None, None) for name, value in zip(rows, lost, strict=True)]
        words = (
            "Share of values that are missing, out of range or new: the largest of the three, of "
            f"{len(rows)} features. All numbers are in the table."
        )
        svg = bars_by_row("strange", bars, axis="share missing, out of range or new")
        yield Plot("Values that are missing or new", words, svg_of(svg))


def _days(report: Json) -> Iterator[Plot]:
    days = report["days"]
    if not days:
        return
    on = [date.fromisoformat(one["day"]) for one in days]
    limits = limits_of(report)
    for name, what in (
        ("mean_score", "mean score"),
        ("flag_rate", "share flagged"),
        ("review_rate", "share reviewed"),
    ):
        points = [interval(one[name]) for one in days]
        svg = over_days(name.replace("_", "-"), on, points, axis=what, limits=limits.get((name, ""), ()))
        yield Plot(opened(what), _over(what, days, name), svg_of(svg))
    svg = bars_over_days("volume", on, [one["rows"] for one in days], axis="rows")
    least, most = min(one["rows"] for one in days), max(one["rows"] for one in days)
    words = (
        f"Rows scored on each of {len(days)} days: from {least:,} to {most:,}, {days[-1]['rows']:,} on the last."
    )
    yield Plot("Rows a day", words, svg_of(svg))


def _over(what: str, days: Sequence[Json], name: str) -> str:
    values = [one[name]["value"] for one in days if one[name]["value"] is not None]
    if not values:
        return f"{opened(what)} of {len(days)} days: no value."
    return (
        f"{opened(what)} of {len(days)} days, with intervals: from {number(min(values))} to "
        f"{number(max(values))}, {number(values[0])} on the first and {number(values[-1])} on the last. "
        "All numbers are in the table."
    )
