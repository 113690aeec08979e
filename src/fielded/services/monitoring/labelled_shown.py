"""Metrics on labels as people look at them: a row for each slice, and a plot for each metric."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fielded.services.monitoring.wording import METRICS, interval, svg_of
from fielded.services.pages.page import Plot, number, opened
from fielded.services.pages.plots import Series, intervals_by_row, plain

_DRAWN = 16  # rows of one plot
_PLOTTED = ("auc", "fnr", "fpr", "calibration")

Json = dict[str, Any]


def labelled_shown(measured: Sequence[Json]) -> Json:
    """Metrics with labels as a table: a row for each place, all rows first, and the worst by their first metric.

    Args:
        measured: measurements, of which those with labels are taken.
    """
    places: dict[tuple[str, str], dict[str, Json]] = {}
    for one in measured:
        if one["name"] in METRICS:
            places.setdefault((one["column"], one["part"]), {})[one["name"]] = one
    names = [name for name in METRICS if any(name in held for held in places.values())]
    rows = [
        {
            "slice": f"{column}={part}" if column else "overall",
            "rows": max(one["rows"] for one in held.values()),
            "lacking": next((one["lacking"] for one in held.values() if one["lacking"]), ""),
            "cells": [held.get(name) for name in names],
        }
        for (column, part), held in places.items()
    ]
    rows.sort(key=lambda row: (row["slice"] != "overall", -row["rows"], row["slice"]))
    if not any(_known(cell) for row in rows for cell in row["cells"]):
        rows = []
    return {
        "names": names,
        "columns": ["Slice", "Labels", *(opened(METRICS[name]) for name in names)],
        "rows": rows,
    }


def labels_drawn(labelled: Json, limits: Mapping[tuple[str, str], Sequence[float]]) -> Iterator[Plot]:
    """A plot for each metric with labels, by slice; a calibration has its zero.

    Args:
        labelled: see `labelled_shown`.
        limits: (metric, feature) -> bounds that triggers set.
    """
    drawn = [name for name in _PLOTTED if name in labelled["names"]]
    for name in drawn:
        place = labelled["names"].index(name)
        rows = [
            row for row in labelled["rows"] if row["cells"][place] and row["cells"][place]["value"] is not None
        ]
        if not rows:
            continue
        rows = rows[:1] + sorted(rows[1:], key=lambda row: _badness(name, row["cells"][place]["value"]))
        rows = rows[:_DRAWN]
        points = [interval(row["cells"][place]) for row in rows]
        what = METRICS[name]
        series = [Series(label="on matured labels", new=True, points=points)]
        svg = intervals_by_row(
            f"labels-{name}", [row["slice"] for row in rows], series,
            axis=what, limits=limits.get((name, ""), ()), middle=0.0 if name == "calibration" else None,
        )  # fmt: skip
        first = f"{plain(rows[0]['slice'])}: {number(points[0].value)}"
        words = f"{opened(what)} of {len(rows)} slices. {first}. All numbers are in the table."
        yield Plot(opened(what), words, svg_of(svg))


def _known(cell: Json | None) -> bool:
    return cell is not None and cell["value"] is not None


def _badness(name: str, value: float) -> float:
    return value if name == "auc" else -abs(value)
