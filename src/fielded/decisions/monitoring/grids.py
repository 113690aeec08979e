"""How the bins of a column are made from training data, and how a slice's parts are made of its bins.

1. A number of at most `MOST_BINS` different values gets a bin for each of them. With more, the edges are quantiles
   (inverted distribution function): bins of equal counts, fewer where values tie, and no value is ever split. One
   that two bins' rows have, such as the zeros of a count, has a bin to itself.
2. Edges between the first and the last are rounded to the fewest digits that move at most a twentieth of a bin's
   rows over them: a description stays readable, and no inner edge has to be some row's exact value.
3. A category of the `MOST_CATEGORIES` most frequent ones gets a bin, in descending order of its rows, then by its
   text. All others fall into `other`. Truth values are `false` and `true`, whichever training had.
4. A score has 50 bins of equal width in [0, 1].
5. A slice's parts are unions of its column's bins: each category, `other` and `null`; for a number four groups cut
   at the inner edges closest to the quartiles of training, and `null`.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.measuring.slices import quoted
from fielded.decisions.monitoring.histograms import NULL, OTHER, Grid
from fielded.words.errors import WrongUse

MOST_BINS = 40  # of a number, between below and above
MOST_CATEGORIES = 50
SCORE_BINS = 50
QUARTILES = (0.25, 0.5, 0.75)
ANY = "any"  # the one part of a number that nothing can cut

_MOVED = 0.05  # of a bin's rows, over a rounded edge
_ALONE = 2  # bins of rows from which a value stands alone
_EXACT = 17  # significant digits that name any float64
_PLAIN_DIGITS = (1e-5, 1e15)  # numbers outside are written with an exponent


@dataclass(frozen=True, eq=False, slots=True)
class Parts:
    """The parts of a slice.

    Attributes:
        column: the slice's feature.
        names: of the parts.
        of_bin: place in `names` for each bin of the column's grid, int64.
        cuts: first values of all groups of a number but the lowest, ascending; empty for categories.
    """

    column: str
    names: tuple[str, ...]
    of_bin: np.ndarray
    cuts: tuple[float, ...] = ()


def number_grid(name: str, values: pa.Array) -> Grid:
    """Bins of a number. See rules 1 and 2.

    Args:
        name: a feature.
        values: float64, those of training; null and NaN are missing.

    Raises:
        WrongUse: a value is infinite.
    """
    numbers = values.fill_null(np.nan).to_numpy(zero_copy_only=False)
    known = np.sort(numbers[~np.isnan(numbers)]) + 0.0  # no negative zero
    if not known.size:
        return Grid(name, "number", np.array([], dtype=np.float64))
    last = np.nextafter(known[-1], np.inf)
    if not np.isfinite(known[0]) or not np.isfinite(last):
        raise WrongUse(f"features.{name}: got an infinite value, expected finite numbers. Leave such rows out")
    distinct = np.unique(known)
    inner = distinct[1:] if len(distinct) <= MOST_BINS else _quantiles(known)
    return Grid(name, "number", np.concatenate([known[:1], inner, [last]]))


def category_grid(name: str, values: pa.Array) -> Grid:
    """Bins of a text. See rule 3."""
    counts: Counter[str] = Counter()
    for item in pc.value_counts(values.drop_null()).to_pylist():
        counts[item["values"]] += item["counts"]
    order = sorted(counts, key=lambda text: (-counts[text], text))
    return Grid(name, "category", np.array([], dtype=np.float64), tuple(order[:MOST_CATEGORIES]))


def truth_grid(name: str) -> Grid:
    """Bins of a truth value."""
    return Grid(name, "category", np.array([], dtype=np.float64), ("false", "true"))


def score_grid(name: str) -> Grid:
    """Bins of a score. See rule 4."""
    edges = np.arange(SCORE_BINS + 1) / SCORE_BINS
    edges[-1] = np.nextafter(1.0, np.inf)
    return Grid(name, "number", edges)


def parts_of(grid: Grid, counts: np.ndarray) -> Parts:
    """The parts of a slice. See rule 5.

    Args:
        grid: of the slice's column.
        counts: of all training rows.
    """
    if grid.kind == "category":
        names = [_named(category) for category in grid.categories]
        return Parts(grid.name, (*names, OTHER, NULL), np.arange(grid.bins))
    cuts = tuple(dict.fromkeys(_cuts(grid.edges, counts)))
    texts = [_short(cut) for cut in cuts]
    middle = [f"[{low}, {high})" for low, high in pairwise(texts)]
    names = [f"under {texts[0]}", *middle, f"{texts[-1]} and over"] if texts else [ANY]
    of_bin = np.zeros(grid.bins, dtype=np.int64)
    of_bin[1:-1] = np.searchsorted(np.array(cuts), grid.edges, side="right")
    of_bin[-1] = len(names)
    return Parts(grid.name, (*names, NULL), of_bin, cuts)


def _quantiles(known: np.ndarray) -> np.ndarray:
    """Inner edges, ascending; `known` is sorted."""
    quantiles = np.quantile(known, np.arange(1, MOST_BINS) / MOST_BINS, method="inverted_cdf")
    distinct, rows = np.unique(known, return_counts=True)
    after = distinct[1:][rows[:-1] >= _ALONE * len(known) / MOST_BINS]  # there are two quantiles in such a value
    exact = np.unique(np.concatenate([quantiles, after]))
    exact = exact[exact > known[0]]
    rounded, below = exact.copy(), np.searchsorted(known, exact)
    waiting = np.ones(len(exact), dtype=bool)
    for digits in range(1, _EXACT):
        tried = np.array([float(f"{edge:.{digits}g}") for edge in exact])
        moved = np.abs(np.searchsorted(known, tried) - below)
        fits = waiting & (moved <= _MOVED * len(known) / MOST_BINS) & (tried > known[0]) & (tried <= known[-1])
        rounded[fits] = tried[fits]
        waiting &= ~fits
    return np.unique(rounded)


def _cuts(edges: np.ndarray, counts: np.ndarray) -> Iterator[float]:
    """The inner edge closest to each quartile of the known values."""
    inner = edges[1:-1]
    below = np.cumsum(counts)[1 : 1 + len(inner)]
    known = counts[:-1].sum()
    for share in QUARTILES if len(inner) else ():
        yield float(inner[np.argmin(np.abs(below - share * known))])


def _named(category: str) -> str:
    """A category as a part's name, which none of the parts that are no category has."""
    return json.dumps(category) if category in (OTHER, NULL) else quoted(category)


def _short(value: float) -> str:
    smallest, largest = _PLAIN_DIGITS
    if value and not smallest <= abs(value) < largest:
        return repr(value)
    return np.format_float_positional(value, trim="-")
