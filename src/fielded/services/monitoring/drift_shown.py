"""Drift as people look at it: a row for each column, the farthest first, and the slices that moved most."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

from fielded.definition.monitoring import DRIFT, QUALITY
from fielded.services.pages.plots import plain

_SLICES = 12  # of the heat table
_COLUMNS = 10
_TOLD = 5  # columns that the summary names
_SOME, _MUCH = 0.10, 0.25  # of PSI: the usual words for a moderate and a large shift

Json = dict[str, Any]


class Drift(TypedDict):
    """What the page shows.

    Attributes:
        columns: a row for each, with every drift metric.
        heat: a row for each slice that moved, with a cell for each of `heat_columns`.
        heat_columns: names.
        slices: how many slices were measured.
    """

    columns: list[Json]
    heat: list[Json]
    heat_columns: list[str]
    slices: int


def drift_shown(report: Json) -> Drift:
    """The measurements of a report against its reference."""
    measured = [one for one in report["measured"] if one["name"] in DRIFT | QUALITY]
    columns = _columns([one for one in measured if not one["column"]], limits_of(report))
    by_slice: dict[str, dict[str, Json]] = {}
    for one in measured:
        if one["column"] and one["name"] == "psi":
            by_slice.setdefault(f"{one['column']}={one['part']}", {})[one["of"]] = one
    heat_columns = [row["of"] for row in columns][:_COLUMNS]
    heat = [
        {
            "slice": name,
            "rows": max(one["rows"] for one in held.values()),
            "cells": [_cell(held.get(column)) for column in heat_columns],
            "worst": max((one["value"] or 0.0 for one in held.values() if beyond_chance(one)), default=0.0),
        }
        for name, held in by_slice.items()
        if any(one["value"] is not None for one in held.values())
    ]
    heat.sort(key=lambda row: (-row["worst"], row["slice"]))
    return Drift(columns=columns, heat=heat[:_SLICES], heat_columns=heat_columns, slices=len(heat))


def beyond_chance(one: Mapping[str, Any]) -> bool:
    """Whether a measurement is more than chance makes of rows without drift; without a limit nobody can say so."""
    return one["value"] is not None and one["chance_limit"] is not None and one["value"] > one["chance_limit"]


def limits_of(report: Json, *, of_slices: bool = False) -> dict[tuple[str, str], list[float]]:
    """(metric, feature) -> bounds that triggers of all rows set, or those of all rows and of slices."""
    found: dict[tuple[str, str], list[float]] = {}
    for trigger in report["triggers"]:
        for one in trigger["instances"]:
            if one["column"] and not of_slices:
                continue
            held = found.setdefault((one["name"], one["of"]), [])
            if trigger["bound"] not in held:
                held.append(trigger["bound"])
    return found


def moved(report: Json, drift: Drift) -> Iterator[str]:
    """Sentences about what lies elsewhere than in training, as plain text."""
    columns = [row for row in drift["columns"] if row["beyond"]]
    if columns:
        named = ", ".join(f"{plain(row['of'])} (PSI {row['psi']:.3f})" for row in columns[:_TOLD])
        rest = f" and {len(columns) - _TOLD} more" if len(columns) > _TOLD else ""
        yield f"Moved by more than chance against training: {named}{rest}."
    elif drift["columns"] and any(row["psi"] is not None for row in drift["columns"]):
        yield "No column moved by more than chance against training."
    for one in report["measured"]:
        if one["name"] == "new_categories" and not one["column"] and one["value"]:
            seen = f"{one['value']:.2%} of {one['rows']:,} rows"
            yield f"{plain(one['of'])} has values that training had not: {seen}."


def _columns(measured: Sequence[Json], limits: Mapping[tuple[str, str], Sequence[float]]) -> list[Json]:
    rows: dict[str, Json] = {}
    for one in measured:
        row = rows.setdefault(one["of"], {**dict.fromkeys(sorted(DRIFT | QUALITY)), "of": one["of"], "rows": 0})
        row[one["name"]] = one["value"]
        row["rows"] = max(row["rows"], one["rows"])
        if one["name"] == "psi":
            bounds = limits.get(("psi", one["of"]), ())
            row |= {
                "chance": one["chance_limit"],
                "beyond": beyond_chance(one),
                "lacking": one["lacking"],
                "limit": min(bounds) if bounds else None,
            }
    for row in rows.values():
        for name, nothing in (("chance", None), ("beyond", False), ("lacking", ""), ("limit", None)):
            row.setdefault(name, nothing)
    return sorted(rows.values(), key=lambda row: (row["psi"] is None, not row["beyond"], -(row["psi"] or 0.0)))


def _cell(one: Mapping[str, Any] | None) -> Json:
    if one is None or one["value"] is None:
        return {"value": None, "style": "none"}
    if not beyond_chance(one):
        return {"value": one["value"], "style": "calm"}
    style = "much" if one["value"] > _MUCH else "some" if one["value"] > _SOME else "little"
    return {"value": one["value"], "style": style}
