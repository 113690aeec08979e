"""`fielded review band`: which scores are worth a person."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import out, print_json, print_table
from fielded.services.prepare_scorer import Scorers
from fielded.services.review.band import Drawn, draw_band
from fielded.services.review.band_report import (
    HTML_FILE,
    band_of,
    calibration,
    cases,
    named,
    queue,
    summary,
    verdict,
)

_EVERY = 5  # of the bands of one kind that a terminal shows


def band(
    cost: Annotated[
        float | None,
        typer.Option(
            "--cost",
            min=0.0,
            help="Of a review, where a missed event and a needless flag cost 1 together; else what the "
            "definition's band implies.",
        ),
    ] = None,
    into: Annotated[Path, typer.Option("--out", help="Folder for the report.")] = Path("band"),
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Draw error, cost and queue of review bands on labelled data, and say which Chow's rule takes."""
    workplace = open_from(deployment, site)
    drawn = draw_band(workplace, Scorers(workplace), cost, into)
    if as_json:
        print_json({**drawn.report, "report": str(drawn.folder), "report_sha256": drawn.sha256})
    else:
        _print(drawn)


def _print(drawn: Drawn) -> None:
    report = drawn.report
    version = report["version"]["version"]
    out.print(
        f"Version {version} on {report['labelled']:,} labelled rows, {report['events']:,} events", markup=False
    )
    for told in (summary(report), verdict(report), calibration(report)):
        out.print(told, markup=False)
    chow = report["points"]["chow"]
    rows = [(name, one) for name, one in named(report)]
    rows += [(f"right for reviews at {one['right_at']:.3f}", one) for one in chow[_EVERY:-1:_EVERY]]
    columns = ("", "band", "reviewed", "errors of the rest", "cost per row", "saved per row", "cases a week")
    print_table(columns, [_row(name, one) for name, one in rows])
    least = report["least"]
    out.print(
        f"Costs least on these rows: {band_of(least['band'])}; within chance from {band_of(least['narrowest'])} "
        f"to {band_of(least['widest'])}",
        markup=False,
    )
    for note in (queue(report), *report["notes"]):
        out.print(note, markup=False)
    out.print(f"Report: {drawn.folder / HTML_FILE}, sha256 of its record {drawn.sha256}", markup=False)


def _row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        band_of(one["band"]),
        *(_estimate(one[column]) for column in ("reviewed", "errors", "cost", "saved")),
        cases(one["queue"]),
    )


def _estimate(one: dict[str, Any]) -> str:
    if one["value"] is None:
        return "none"
    return f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
