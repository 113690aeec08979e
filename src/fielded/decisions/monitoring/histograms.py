"""Histograms on edges that never change: counts of two windows are added, and no row is kept.

1. A number falls into the bin `edges[i - 1] <= x < edges[i]`. The first bin is what lies below everything that the
   training data had, the last but one what lies above it: in training both are empty.
2. A category or truth value has a bin of its own, or falls into `other`, the last but one.
3. Nulls and NaN have the last bin: a column that loses its values has not kept its distribution.
4. Counts are kept of all rows and of every part of every slice, on the same edges.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Place(NamedTuple):
    """All rows, or one part of a slice.

    Attributes:
        column: the slice's feature; empty for all rows.
        part: its value as text.
    """

    column: str = ""
    part: str = ""

    def __str__(self) -> str:
        return f"{self.column}={self.part}" if self.column else "overall"


OVERALL = Place()
OTHER, NULL = "other", "null"  # parts of a slice that no category names


@dataclass(frozen=True, eq=False, slots=True)
class Grid:
    """The bins of one column.

    Attributes:
        name: a feature, or `score`.
        kind: of its values.
        edges: of a number's bins, float64, ascending, each once: the first is the smallest value in training, the
            last the next float above the largest. Empty for categories.
        categories: that have bins, in their order; empty for numbers. Truth values are `false` and `true`.
    """

    name: str
    kind: Literal["number", "category"]
    edges: np.ndarray
    categories: tuple[str, ...] = ()

    @property
    def bins(self) -> int:
        """How many bins there are, with the one for nulls."""
        return (len(self.edges) + 1 if self.kind == "number" else len(self.categories) + 1) + 1

    def place(self, values: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """The bin of each value, int64."""
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if self.kind == "number":
            numbers = values.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
            found = np.searchsorted(self.edges, numbers, side="right")
            return np.where(np.isnan(numbers), self.bins - 1, found)
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        texts = values if pa.types.is_string(values.type) else pc.cast(values, pa.string())
        found = pc.index_in(texts, value_set=pa.array(self.categories, pa.string()), skip_nulls=True)
        places: np.ndarray = found.fill_null(len(self.categories)).to_numpy(zero_copy_only=False).astype(np.int64)
        if texts.null_count:
            places[texts.is_null().to_numpy(zero_copy_only=False)] = self.bins - 1
        return places


@dataclass(frozen=True, eq=False, slots=True)
class Histograms:
    """Counts of some rows.

    Attributes:
        counts: place -> column -> rows in each bin of the column's grid, int64.
    """

    counts: Mapping[Place, Mapping[str, np.ndarray]]

    def __add__(self, other: "Histograms") -> "Histograms":
        """The counts of both, as if their rows had been counted together."""
        counts: dict[Place, dict[str, np.ndarray]] = {place: dict(held) for place, held in self.counts.items()}
        for place, held in other.counts.items():
            mine = counts.setdefault(place, {})
            for column, added in held.items():
                mine[column] = mine[column] + added if column in mine else added
        return Histograms(MappingProxyType({place: MappingProxyType(held) for place, held in counts.items()}))

    def of(self, place: Place, column: str) -> np.ndarray | None:
        """Counts of a column at a place; None where there are none."""
        return self.counts.get(place, {}).get(column)

    def rows(self, place: Place = OVERALL) -> int:
        """Rows at a place; 0 where there are none."""
        held = self.counts.get(place, {})
        return max((int(counts.sum()) for counts in held.values()), default=0)


NO_ROWS = Histograms(MappingProxyType({}))
