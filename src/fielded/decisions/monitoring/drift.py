"""How far the counts of a window lie from a reference on the same grid. Formulas, sources: `docs/profile.md`.

1. PSI, Jensen-Shannon and chi-squared are taken over groups of bins: at most ten of equal reference counts, for
   the usual bounds of PSI mean ten, then `other` of categories, then null. Values below training's smallest are in
   the first group, those above its largest in the last. Of more than ten categories the nine most frequent stand
   alone and the rest together.
2. A group that has no row on one side counts as half a row there, or PSI would be infinite; Jensen-Shannon and
   chi-squared need no such thing. A group without a row on either side is left out.
3. Kolmogorov-Smirnov and Wasserstein are taken over all bins, of the known values: nulls have no place among
   numbers, and categories have no order.
4. `limit` is what rows without a difference stay at or below with the chance `1 - alpha`, so a small window is not
   taken for a drift. It is asymptotic: trust it from some hundred rows on.
5. Where one side has no rows there is no value. It is never zero.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy import special

from fielded.decisions.monitoring.histograms import Grid
from fielded.definition.monitoring import Drift as Name

GROUPS = 10
EMPTY = 0.5  # rows that an empty group counts as


@dataclass(frozen=True, slots=True)
class Drift:
    """One distance of a window from a reference.

    Attributes:
        value: None where these rows do not define it; `lacking` says why.
        rows: of the window, that it rests on.
        reference_rows: likewise of the reference.
        limit: see rule 4; None where the value has none.
        error: how far the value may lie from that of the rows before binning, at most; 0 for what is defined by
            groups.
        p: chance of a value at least as large without a difference; None where it is not worked out.
        lacking: why there is no value; empty where there is one.
    """

    value: float | None
    rows: int
    reference_rows: int
    limit: float | None = None
    error: float = 0.0
    p: float | None = None
    lacking: str = ""


def psi(grid: Grid, reference: np.ndarray, current: np.ndarray, alpha: float = 0.05) -> Drift:
    """Population stability index, natural logarithm.

    Args:
        grid: of both.
        reference: rows in each bin.
        current: rows in each bin.
        alpha: see rule 4.
    """
    first, second = _grouped(grid, reference, current)
    if not first.sum() or not second.sum():
        return _none(first, second)
    p, q = (np.maximum(counts, EMPTY) / counts.sum() for counts in (first, second))
    return _with_limit(float(np.sum((q - p) * np.log(q / p))), first, second, psi_limit(first, second, alpha))


def js(grid: Grid, reference: np.ndarray, current: np.ndarray, alpha: float = 0.05) -> Drift:
    """Jensen-Shannon distance, base 2: the root of the divergence, from 0 to 1. Arguments as of `psi`."""
    first, second = _grouped(grid, reference, current)
    if not first.sum() or not second.sum():
        return _none(first, second)
    p, q = first / first.sum(), second / second.sum()
    middle = (p + q) / 2
    divergence = float(np.sum(special.rel_entr(p, middle) + special.rel_entr(q, middle))) / 2 / math.log(2)
    # Close to each other, the divergence in nats is an eighth of the PSI.
    limit = math.sqrt(psi_limit(first, second, alpha) / 8 / math.log(2))
    return _with_limit(math.sqrt(max(divergence, 0.0)), first, second, limit)


def chi2(grid: Grid, reference: np.ndarray, current: np.ndarray, alpha: float = 0.05) -> Drift:
    """Cramer's V of the table of both, from 0 to 1, with the p of Pearson's test. Arguments as of `psi`."""
    first, second = _grouped(grid, reference, current)
    rows = first.sum() + second.sum()
    if not first.sum() or not second.sum():
        return _none(first, second)
    statistic, freedom = 0.0, len(first) - 1
    for counts in (first, second):
        expected = (first + second) * (counts.sum() / rows)
        statistic += float(np.sum((counts - expected) ** 2 / expected))
    limit = math.sqrt(special.chdtri(freedom, alpha) / rows) if freedom else 0.0
    p = float(special.chdtrc(freedom, statistic)) if freedom else 1.0
    return _with_limit(math.sqrt(statistic / rows), first, second, limit, p=p)


def ks(grid: Grid, reference: np.ndarray, current: np.ndarray, alpha: float = 0.05) -> Drift:
    """Kolmogorov-Smirnov distance of the known values, from 0 to 1. Arguments as of `psi`.

    It is looked for at the bins' edges, so it is never larger than that of the rows; `error` is how much smaller
    it may be. A bin of one value hides nothing.
    """
    first, second, lacking = _known(grid, reference, current)
    if lacking:
        return _none(first, second, lacking)
    p, q = first / first.sum(), second / second.sum()
    ahead = np.cumsum(p) - np.cumsum(q)
    value = float(np.abs(ahead).max())
    before = ahead - p + q  # at the bin's lower edge
    highest = float(max((before + p).max(), (q - before).max()))
    # Smirnov's asymptotic distribution, its first term.
    limit = math.sqrt(-math.log(alpha / 2) / 2 * _noise(first, second))
    return _with_limit(value, first, second, min(limit, 1.0), error=max(highest - value, 0.0))


def wasserstein(grid: Grid, reference: np.ndarray, current: np.ndarray, alpha: float = 0.05) -> Drift:
    """Wasserstein distance of the known values, in the feature's own unit. Arguments as of `psi`.

    Each row is taken to be at its bin's lower edge: exact where a bin has one value, else off by no more than the
    widest bin that has rows. Values outside the range of training are taken to be at its end.
    """
    first, second, lacking = _known(grid, reference, current)
    if lacking:
        return _none(first, second, lacking)
    if len(grid.edges) == 0:
        return _none(first, second, "training had no values")
    # Below goes to the first edge; above is left out: it is what the others do not add up to.
    p, q = (np.append(counts[0] + counts[1], counts[2:-1]) / counts.sum() for counts in (first, second))
    widths = np.diff(grid.edges)
    ahead = np.abs(np.cumsum(p) - np.cumsum(q))
    largest = np.maximum(p, q)
    error = min(float(np.sum(largest * widths)), float(widths[largest > 0].max(initial=0.0)))
    limit = _wasserstein_limit(np.cumsum(first + second)[1:-1] / (first + second).sum(), widths,
                               _noise(first, second), alpha)  # fmt: skip
    return _with_limit(float(np.sum(ahead * widths)), first, second, limit, error=error)


METRICS: Mapping[Name, Callable[[Grid, np.ndarray, np.ndarray, float], Drift]] = MappingProxyType(
    {"psi": psi, "js": js, "ks": ks, "wasserstein": wasserstein, "chi2": chi2}
)


def psi_limit(reference: np.ndarray, current: np.ndarray, alpha: float) -> float:
    """PSI that rows without a difference exceed with the chance `alpha`.

    Without a difference PSI is close to chi-squared with one degree of freedom less than there are groups, times
    1/n + 1/m (B. Yurdakul, Statistical properties of population stability index, 2018).

    Args:
        reference: rows in each group, of which none is empty on both sides.
        current: rows in each group.
        alpha: chance.
    """
    freedom = len(reference) - 1
    return float(special.chdtri(freedom, alpha)) * _noise(reference, current) if freedom else 0.0


def missing(grid: Grid, counts: np.ndarray) -> tuple[int, int]:
    """Rows without a value, of how many."""
    del grid  # null has the last bin of every grid
    return int(counts[-1]), int(counts.sum())


def out_of_range(grid: Grid, counts: np.ndarray) -> tuple[int, int] | None:
    """Rows below training's smallest value or above its largest, of those with a value; None of categories."""
    return (int(counts[0] + counts[-2]), int(counts[:-1].sum())) if grid.kind == "number" else None


def new_categories(grid: Grid, counts: np.ndarray) -> tuple[int, int] | None:
    """Rows with a category that has no bin, of those with a value; None of numbers."""
    return (int(counts[-2]), int(counts[:-1].sum())) if grid.kind == "category" else None


def mean_in_bins(grid: Grid, counts: np.ndarray) -> float | None:
    """Mean of the known values, each taken to be in the middle of its bin: off by at most half a bin.

    Values outside the grid are taken to be at its end. None where there is no known value, and of categories.
    """
    known = counts[:-1].sum()
    if grid.kind == "category" or not known or len(grid.edges) == 0:
        return None
    middles = np.concatenate([grid.edges[:1], (grid.edges[1:] + grid.edges[:-1]) / 2, grid.edges[-1:]])
    return float(np.sum(middles * counts[:-1]) / known)


def groups(grid: Grid, reference: np.ndarray) -> np.ndarray:
    """The group of each bin, numbered from 0 without gaps. See rule 1."""
    if grid.kind == "category":
        named = min(len(grid.categories), GROUPS)
        order = np.argsort(-reference[: len(grid.categories)], kind="stable")
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.minimum(np.arange(len(order)), max(named - 1, 0))
        return np.append(place, [named, named + 1])
    inner = reference[:-1]
    total = inner.sum()
    if not total:
        return np.append(np.zeros(len(inner), dtype=np.int64), 1)
    middle = np.cumsum(inner) - inner / 2
    tenth = np.minimum((GROUPS * middle / total).astype(np.int64), GROUPS - 1)
    # A bin without training rows goes with its neighbour below, the very first ones with the next that has some.
    tenth = np.maximum.accumulate(np.where(inner > 0, tenth, -1))
    tenth = np.where(tenth < 0, tenth[inner > 0][0], tenth)
    _, place = np.unique(tenth, return_inverse=True)
    return np.append(place, place.max() + 1)


def _grouped(grid: Grid, reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows in each group that has any, float64."""
    place = groups(grid, reference)
    first, second = (np.bincount(place, weights=counts) for counts in (reference, current))
    there = first + second > 0
    return first[there], second[there]


def _known(grid: Grid, reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Counts without null, and why nothing can be said of them."""
    first, second = reference[:-1].astype(np.float64), current[:-1].astype(np.float64)
    if grid.kind == "category":
        return first, second, "categories have no order"
    return first, second, "" if first.sum() and second.sum() else "no rows on one side"


def _noise(first: np.ndarray, second: np.ndarray) -> float:
    return float(1 / first.sum() + 1 / second.sum())


def _wasserstein_limit(shares: np.ndarray, widths: np.ndarray, noise: float, alpha: float) -> float:
    """The distance of two samples of one distribution is the area under a Brownian bridge's absolute value, whose
    mean and variance are known exactly on a grid; its quantile is that of the gamma distribution of both.

    Args:
        shares: of both samples together, below the upper edge of each bin.
        widths: of the bins.
        noise: 1/n + 1/m.
        alpha: chance.
    """
    spread = np.sqrt(shares * (1 - shares))
    mean = math.sqrt(2 / math.pi) * float(np.sum(spread * widths))
    low, high = np.minimum.outer(shares, shares), np.maximum.outer(shares, shares)
    both = np.outer(spread, spread)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.clip(np.nan_to_num(low * (1 - high) / both), 0.0, 1.0)
    joint = np.sqrt(1 - correlation**2) + correlation * np.arcsin(correlation) - 1
    variance = 2 / math.pi * float(widths @ (both * joint) @ widths)
    if mean <= 0 or variance <= 0:
        return 0.0
    scale = variance / mean
    return float(special.gammainccinv(mean / scale, alpha)) * scale * math.sqrt(noise)


def _with_limit(
    value: float, first: np.ndarray, second: np.ndarray, limit: float, error: float = 0.0, p: float | None = None
) -> Drift:
    return Drift(value, int(second.sum()), int(first.sum()), limit, error, p)


def _none(first: np.ndarray, second: np.ndarray, lacking: str = "no rows on one side") -> Drift:
    return Drift(None, int(second.sum()), int(first.sum()), lacking=lacking)
