"""A profile as a text: JSON without spaces, of one version. `docs/profile.md` says what each part of it is.

What is read is checked as far as it can be: lengths, order of edges, and that every part's counts add up to those
of all rows. A profile that could only be read in part would be a reference that nobody approved.
"""

import json
import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from fielded.decisions.monitoring.grids import parts_of
from fielded.decisions.monitoring.histograms import OVERALL, Grid, Histograms, Place
from fielded.definition.monitoring import SCORE
from fielded.words.errors import Refused

VERSION = 1
_KEYS = {"fielded_profile", "rows", "columns", "slices", "overall", "parts"}
_MOST_ROWS = 2**53  # beyond it a JSON reader may round

Content = tuple[Mapping[str, Grid], tuple[str, ...], Histograms, int]


def written(grids: Mapping[str, Grid], slices: tuple[str, ...], reference: Histograms, rows: int) -> str:
    """The text of a profile; see `decisions.monitoring.profile.Profile` for what it is made of."""
    overall = [_listed(reference, OVERALL, grid) for grid in grids.values()]
    parts = {}
    for column in slices:
        names = parts_of(grids[column], np.array(overall[list(grids).index(column)])).names
        places = [Place(column, name) for name in names]
        parts[column] = [
            [_listed(reference, place, grid) for grid in grids.values()] if place in reference.counts else None
            for place in places
        ]
    content = {
        "fielded_profile": VERSION,
        "rows": rows,
        "columns": [_column(grid) for grid in grids.values()],
        "slices": list(slices),
        "overall": overall,
        "parts": parts,
    }
    return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def read(text: str) -> Content:
    """What a profile is made of.

    Raises:
        Refused: the text is no profile, or one of another version.
    """
    try:
        content = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _refused("a text that is no JSON", "what `Profile.to_text` writes") from error
    if not isinstance(content, dict) or "fielded_profile" not in content:
        raise _refused("something else", "what `Profile.to_text` writes")
    if content["fielded_profile"] != VERSION:
        raise Refused(f"profile: got another version, expected {VERSION}. Read it with the fielded that wrote it")
    try:
        return _content(content)
    except ValueError as error:
        raise _refused("a damaged one", str(error)) from error


def _refused(got: str, expected: str) -> Refused:
    return Refused(f"profile: got {got}, expected {expected}. Log the model again with profile_metadata(...)")


def _no_number(_: str) -> NoReturn:
    raise ValueError("no number of JSON")


def _column(grid: Grid) -> dict[str, Any]:
    if grid.kind == "category":
        return {"name": grid.name, "categories": list(grid.categories)}
    return {"name": grid.name, "edges": [_short(edge) for edge in grid.edges.tolist()]}


def _short(edge: float) -> float | int:
    return int(edge) if edge.is_integer() and abs(edge) < _MOST_ROWS else edge


def _listed(counts: Histograms, place: Place, grid: Grid) -> list[int]:
    held = counts.of(place, grid.name)
    return [0] * grid.bins if held is None else held.tolist()


def _content(raw: dict[str, Any]) -> Content:
    if set(raw) != _KEYS:
        raise ValueError(f"the keys {', '.join(sorted(_KEYS))}")
    rows = raw["rows"]
    if not _is_count(rows) or not rows:
        raise ValueError("a number of `rows`")
    grids = {grid.name: grid for grid in _grids(raw["columns"])}
    if not grids or list(grids)[-1] != SCORE or len(grids) < len(raw["columns"]):
        raise ValueError(f"`columns` with different names, the last of them `{SCORE}`")
    slices = _texts(raw["slices"], "slices")
    if not set(slices) <= set(grids) - {SCORE}:
        raise ValueError("`slices` that are columns")
    overall = _counts(raw["overall"], grids)
    if any(counts.sum() != rows for name, counts in overall.items() if name != SCORE):
        raise ValueError("`overall` counts that add up to `rows`")
    places = {OVERALL: MappingProxyType(overall), **dict(_places(raw["parts"], grids, slices, overall))}
    return MappingProxyType(grids), slices, Histograms(MappingProxyType(places)), rows


def _grids(columns: Any) -> Iterator[Grid]:
    if not isinstance(columns, list):
        raise ValueError("a list of `columns`")  # noqa: TRY004 - of a text, not of a caller
    for column in columns:
        if not isinstance(column, dict) or not isinstance(column.get("name"), str):
            raise ValueError("a `name` of each column")  # noqa: TRY004 - likewise
        if set(column) == {"name", "categories"}:
            yield Grid(column["name"], "category", np.array([]), _texts(column["categories"], "categories"))
        elif set(column) == {"name", "edges"}:
            yield Grid(column["name"], "number", _edges(column["edges"]))
        else:
            raise ValueError("`edges` or `categories` of each column")


def _edges(values: Any) -> np.ndarray:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise ValueError("`edges` that are numbers")
    try:
        edges = [float(value) for value in values]
    except OverflowError:
        raise ValueError("`edges` that are numbers") from None
    if not all(map(math.isfinite, edges)) or any(low >= high for low, high in pairwise(edges)):
        raise ValueError("`edges` that ascend")
    if len(edges) == 1:
        raise ValueError("no `edges`, or two at least")
    return np.array(edges, dtype=np.float64)


def _texts(values: Any, of: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"`{of}` that are texts")
    if len(set(values)) < len(values):
        raise ValueError(f"each of `{of}` once")
    return tuple(values)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST_ROWS


def _counts(values: Any, grids: Mapping[str, Grid]) -> dict[str, np.ndarray]:
    """Counts of every column at one place."""
    if not isinstance(values, list) or len(values) != len(grids):
        raise ValueError("counts of every column")
    counts = {}
    for grid, held in zip(grids.values(), values, strict=True):
        if not isinstance(held, list) or len(held) != grid.bins or not all(map(_is_count, held)):
            raise ValueError(f"a count for each of the {grid.bins} bins of {grid.name}")
        counts[grid.name] = np.array(held, dtype=np.int64)
    return counts


def _places(
    raw: Any, grids: Mapping[str, Grid], slices: tuple[str, ...], overall: Mapping[str, np.ndarray]
) -> Iterator[tuple[Place, Mapping[str, np.ndarray]]]:
    if not isinstance(raw, dict) or set(raw) != set(slices):
        raise ValueError("`parts` of each of `slices`")
    for column in slices:
        names = parts_of(grids[column], overall[column]).names
        if not isinstance(raw[column], list) or len(raw[column]) != len(names):
            raise ValueError(f"{len(names)} parts of {column}")
        left = {name: counts.copy() for name, counts in overall.items()}
        for name, held in zip(names, raw[column], strict=True):
            if held is None:
                continue
            counts = _counts(held, grids)
            for other, found in counts.items():
                left[other] -= found
            yield Place(column, name), MappingProxyType(counts)
        if any(counts.any() for counts in left.values()):
            raise ValueError(f"parts of {column} that add up to `overall`")
