"""The report of a study of review bands: `band.json`, which is the record, and `band.html`, which people read."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fielded.services.pages.page import Plot, number, render, write_pair
from fielded.services.pages.plots import Interval, plain, reliability
from fielded.services.review.band_plots import Curve, Mark, against_reviewed

NAME = "band"  # of both files
JSON_FILE, HTML_FILE = f"{NAME}.json", f"{NAME}.html"

Json = dict[str, Any]

_FEW = 20  # rows that are left, below which their errors say nothing in a drawing
_PLACES = {"overall": "all rows", "below": "below the band", "inside": "in the band", "above": "above the band"}


def write_band(folder: Path, report: Json) -> str:
    """Write both files, each whole or not at all.

    Args:
        folder: made where it is not there; a report in it is replaced.
        report: see `services.review.band`.

    Returns:
        SHA-256 of `band.json`.

    Raises:
        Unreachable: the folder cannot be written.
    """
    return write_pair(folder, NAME, report, page_of)


def page_of(report: Json, sha256: str) -> str:
    """The report as a page.

    Args:
        report: see `services.review.band`.
        sha256: of the JSON file.
    """
    return render(
        "fielded.services.review",
        "band.html.j2",
        {"band": band_of, "share": share, "cases": cases},
        report=report,
        sha256=sha256,
        title=f"Review band of {plain(report['deployment'])}",
        summary=summary(report),
        verdict=verdict(report),
        calibration=calibration(report),
        queue=queue(report),
        named=named(report),
        places=[(words, report["calibration"][name]) for name, words in _PLACES.items()],
        plots=list(_plots(report)),
    )


def named(report: Json) -> list[tuple[str, Json]]:
    """The bands that are spoken of, with what each is."""
    points = report["points"]
    return [
        ("nothing is reviewed", points["nothing"]),
        ("the definition's band", points["in_force"]),
        ("Chow's band", points["chosen"]),
    ]


def summary(report: Json) -> str:
    """What was asked, with its prices."""
    costs = report["costs"]
    whose = "as asked" if report["cost_given"] else "as the definition's band implies"
    return (
        f"At the threshold {report['threshold']:g} a missed event costs {number(costs['missed'])} where a "
        f"needless flag costs {number(costs['needless'])}. A review costs {number(costs['review'])}, {whose}: "
        f"{number(costs['review'] / costs['needless'])} of a needless flag. It pays up to {number(costs['most'])}."
    )


def verdict(report: Json) -> str:
    """What Chow's rule says, and what the definition's band says of itself."""
    low, high = report["implied"]
    told = (
        "No review pays at that price: the band is empty."
        if report["band"] is None
        else f"Chow's band is {band_of(report['band'])}."
    )
    return (
        f"{told} The definition has {band_of(report['definition_band'])}: its lower end is right for reviews that "
        f"cost {number(low)}, its upper end for those that cost {number(high)}."
    )


def calibration(report: Json) -> str:
    """Whether the rule may be believed."""
    found = report["calibration"]
    told = f"Mean score less share of events: {_estimate(found['overall'])} overall, {_estimate(found['inside'])} "
    told += "in the band. "
    if not found["off"]:
        return f"{told}No difference is beyond chance, so the scores may be taken as probabilities here."
    places = ", ".join(_PLACES[name] for name in found["off"])
    return (
        f"{told}Beyond chance: {places}. Chow's rule takes scores for probabilities: an end of the band that lies "
        "where they are off is off by about as much. Calibrate the model first, or go by what costs least here."
    )


def queue(report: Json) -> str:
    """What the queue is counted on."""
    recent = report["recent"]
    if recent is None:
        return "The ledger has no scores yet: how long the queue would be is not known."
    carry = recent["carry"]
    told = (
        f"Cases a week by {recent['scores']:,} scores of {recent['first']} to {recent['last']}: one for a subject "
        f"until {carry['days']} days have passed or its score has moved by more than {carry['score_change']:g}, "
        "with what other rules and audits sent."
    )
    if recent["share"] < 1:
        told += f" A sample of {100 * recent['share']:.2g}% of the subjects was looked at."
    if recent["backlog"]:
        told += (
            " The ledger begins there, so that its first day's cases are a backlog: later weeks will have fewer."
        )
    return told


def band_of(band: Sequence[float] | None) -> str:
    """A band as people read it."""
    return "none" if band is None else f"{band[0]:.3f} to {band[1]:.3f}"


def share(one: Json) -> str:
    """A share of a hundred."""
    return "none" if one["value"] is None else f"{100 * one['value']:.1f}%"


def cases(one: Json | None) -> str:
    """A queue's length."""
    return "not known" if one is None else f"{one['a_week']:,.0f}"


def _estimate(one: Json) -> str:
    if one["value"] is None:
        return "no value"
    return f"{number(one['value'])} ({number(one['low'])} to {number(one['high'])})"


def _plots(report: Json) -> Iterator[Plot]:
    points = report["points"]
    words = {
        "errors": ("Errors of what is not reviewed", "errors of the rest"),
        "cost": ("Cost per row, with reviews", "cost per row"),
    }
    for name, (title, axis) in words.items():
        lines = [
            Curve("Chow's bands", True, _line(points["chow"], name)),
            Curve("one width about the threshold", False, _line(points["symmetric"], name)),
        ]
        marks = [_mark("definition's band", points["in_force"], name)]
        if report["band"] is not None:
            marks.append(_mark("Chow's band", points["chosen"], name))
        svg = against_reviewed(f"band-{name}", lines, marks, axis=axis)
        told = "; ".join(
            f"{mark.label}: {number(mark.value)} at {100 * mark.reviewed:.1f}% reviewed" for mark in marks
        )
        none = number(points["nothing"][name]["value"])
        yield Plot(title, f"{title}: {none} without reviews; {told}. All numbers are in the table.", Markup(svg))  # noqa: S704 - ours, escaped
    if report["recent"] is not None:
        yield _queue_plot(report)
    bins = [(one["score"], _interval(one["events"])) for one in report["calibration"]["bins"]]
    svg = reliability("band-calibration", [("rows with a label", True, bins)])
    yield Plot(
        "Events against scores", "Share of events against mean score, in tenths of the rows.", Markup(svg)  # noqa: S704 - ours
    )  # fmt: skip


def _queue_plot(report: Json) -> Plot:
    points = report["points"]

    def line(found: Sequence[Json]) -> list[tuple[float, Interval]]:
        return [
            (one["reviewed"]["value"], Interval(*(one["queue"][name] for name in ("a_week", "fewest", "most"))))
            for one in found
        ]

    marks = [
        Mark("definition's band", points["in_force"]["reviewed"]["value"], points["in_force"]["queue"]["a_week"])
    ]
    curve = Curve("Chow's bands, with the range of whole weeks", True, line(points["chow"]))
    svg = against_reviewed("band-queue", [curve], marks, axis="cases a week")
    words = f"Cases a week against the share reviewed. The definition's band: {marks[0].value:,.0f}."
    return Plot("The queue", words, Markup(svg))  # noqa: S704 - ours


def _line(points: Sequence[Json], name: str) -> list[tuple[float, Interval]]:
    return [(one["reviewed"]["value"], _interval(one[name])) for one in points if one[name]["rows"] >= _FEW]


def _mark(label: str, one: Json, name: str) -> Mark:
    return Mark(label, one["reviewed"]["value"], one[name]["value"])


def _interval(one: Json) -> Interval:
    return Interval(one["value"], one["low"], one["high"])
