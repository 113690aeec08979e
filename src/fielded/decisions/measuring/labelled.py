"""Rows whose outcome is known, with what a version made of them; and rows whose outcome is not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fielded.decisions.measuring.slices import OVERALL, Slice, absent, listed


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows whose outcome is known, as one version scored them.

    Attributes:
        features: a row for each label; has the columns that slices name.
        labels: bool, whether the event came true.
        scores: float64 in [0, 1].
        flags: bool, whether the version's decision flagged the row.
        scored: rows that are scored in earnest, with the same columns; None where none are known. A vessel class
            among them of which no row is labelled is a slice without rows here, and none that may be passed over.

    Raises:
        ValueError: a column is of another length or type than the rest.
    """

    features: pa.Table
    labels: np.ndarray
    scores: np.ndarray
    flags: np.ndarray
    scored: pa.Table | None = None

    def __post_init__(self) -> None:
        rows = self.features.num_rows
        for name, kind in (("labels", "b"), ("scores", "f"), ("flags", "b")):
            column = getattr(self, name)
            if column.shape != (rows,) or column.dtype.kind != kind:
                expected = "bool" if kind == "b" else "float64"
                raise ValueError(f"{name}: got {column.dtype} {column.shape}, expected {expected} ({rows},)")
        if not np.all((self.scores >= 0) & (self.scores <= 1)):  # NaN fails both comparisons
            raise ValueError("scores: got a value outside [0, 1] or not a number, expected probabilities")


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """Rows whose outcome is not known yet.

    Attributes:
        features: has the columns that slices name.
        flags: bool, one per row.
    """

    features: pa.Table
    flags: np.ndarray


def everywhere(rows: Labelled, slices: Sequence[str]) -> Iterator[tuple[Slice, np.ndarray]]:
    """All rows first, then every value of every slice, as bool masks over the rows; see `Labelled.scored`."""
    yield OVERALL, np.ones(rows.features.num_rows, dtype=bool)
    yield from parts_of(rows, slices)


def parts_of(rows: Labelled | Unlabelled, slices: Sequence[str]) -> Iterator[tuple[Slice, np.ndarray]]:
    """Every value of every slice, those too that only rows without labels have."""
    yield from listed(rows.features, slices)
    if isinstance(rows, Labelled) and rows.scored is not None:
        nothing = np.zeros(rows.features.num_rows, dtype=bool)
        yield from ((place, nothing) for place in absent(rows.features, rows.scored, slices))
