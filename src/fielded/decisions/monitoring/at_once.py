"""The metrics of many windows at once, as a simulation needs them: each equal to that of one window by itself.

Counts are arrays whose last axis is cells (bins, groups of bins, or kinds of rows); all others are windows.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from fielded.decisions.measuring.intervals import normal_quantile
from fielded.decisions.monitoring.drift import EMPTY, groups, wasserstein
from fielded.decisions.monitoring.histograms import Grid
from fielded.definition.monitoring import When


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """What many windows come to.

    Attributes:
        value: float64, NaN where the rows do not define it.
        more: bool, whether it is more than chance makes; all True where nobody asks.
    """

    value: np.ndarray
    more: np.ndarray


# (counts of windows, reference counts that broadcast against them) -> what they come to
Statistic = Callable[[np.ndarray, np.ndarray], Seen]


def drift_statistic(name: str, grid: Grid, reference: np.ndarray, alpha: float | None) -> Statistic:
    """PSI, Jensen-Shannon, chi-squared, Kolmogorov-Smirnov or Wasserstein over a grid's bins.

    Args:
        name: as in a definition.
        grid: of the bins.
        reference: rows of training in each; groups are made of it.
        alpha: see `decisions.monitoring.drift`; None asks for no significance.
    """
    if name in ("psi", "js", "chi2"):
        place = groups(grid, reference)
        into = np.zeros((len(place), place.max() + 1))
        into[np.arange(len(place)), place] = 1.0
        of_groups = _OF_GROUPS[name]
        return lambda counts, held: _beyond(*of_groups(held @ into, counts @ into, alpha or 0.5), alpha)
    if name == "ks":
        return lambda counts, held: _beyond(*_ks(held[..., :-1], counts[..., :-1], alpha or 0.5), alpha)
    return _wasserstein(grid, reference, alpha)


def share_statistic(hits: np.ndarray, of: np.ndarray, when: When, alpha: float | None) -> Statistic:
    """A share of rows: those of some cells among those of others.

    Args:
        hits: bool, which cells are counted.
        of: bool, among which.
        when: what is a breach: the Wilson interval's end nearer to it must have crossed it.
        alpha: of that one-sided interval; None asks for no significance.
    """

    def statistic(counts: np.ndarray, _: np.ndarray) -> Seen:
        found, rows = counts[..., hits].sum(axis=-1), counts[..., of].sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            value = found / rows
        if alpha is None:
            return Seen(value, np.ones(value.shape, dtype=bool))
        low, high = wilson(found, rows, 1 - 2 * alpha)
        return Seen(value, _crossed(low if when.above else high, when))

    return statistic


def mean_statistic(values: np.ndarray, when: When, alpha: float | None) -> Statistic:
    """A mean of what each cell is worth; its interval as `share_statistic` has it, by Student.

    Args:
        values: of each cell.
        when: what is a breach.
        alpha: see `share_statistic`.
    """

    def statistic(counts: np.ndarray, _: np.ndarray) -> Seen:
        rows = counts.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            value = counts @ values / rows
            spread = np.sqrt(np.maximum(counts @ values**2 / rows - value**2, 0.0) / (rows - 1))
        if alpha is None:
            return Seen(value, np.ones(value.shape, dtype=bool))
        half = special.stdtrit(np.maximum(rows - 1, 1), 1 - alpha) * spread
        return Seen(value, _crossed(value - half if when.above else value + half, when))

    return statistic


def wilson(hits: np.ndarray, rows: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson intervals, as `measuring.intervals.proportion` has one."""
    z = normal_quantile(confidence)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hits / rows
        middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
        half = z / (1 + z * z / rows) * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return np.where(hits == 0, 0.0, middle - half), np.where(hits == rows, 1.0, middle + half)


def crossed(value: np.ndarray, when: When) -> np.ndarray:
    """`When.crossed`, of many; a value that is none has not."""
    return _crossed(value, when)


def _crossed(value: np.ndarray, when: When) -> np.ndarray:
    compare = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}[when.sign]
    found: np.ndarray = compare(value, when.bound)
    return found


def _beyond(value: np.ndarray, limit: np.ndarray, alpha: float | None) -> Seen:
    return Seen(value, np.ones(value.shape, dtype=bool) if alpha is None else value > limit)


def _noise(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        noise: np.ndarray = 1 / first.sum(axis=-1) + 1 / second.sum(axis=-1)
    return noise


def _quantiles(freedom: np.ndarray, alpha: float) -> np.ndarray:
    """Of chi-squared; 0 without a degree of freedom."""
    table = np.append(0.0, special.chdtri(np.arange(1, max(int(freedom.max()), 1) + 1), alpha))
    found: np.ndarray = table[np.maximum(freedom, 0)]
    return found


def _psi(first: np.ndarray, second: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    there = first + second > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = (np.maximum(one, EMPTY) / one.sum(axis=-1, keepdims=True) for one in (first, second))
        value = np.sum(np.where(there, (q - p) * np.log(q / p), 0.0), axis=-1)
    return value, _quantiles(there.sum(axis=-1) - 1, alpha) * _noise(first, second)


def _js(first: np.ndarray, second: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = (one / one.sum(axis=-1, keepdims=True) for one in (first, second))
        middle = (p + q) / 2
        both = special.rel_entr(p, middle) + special.rel_entr(q, middle)
        value = np.sqrt(np.maximum(both.sum(axis=-1) / 2 / math.log(2), 0.0))
    freedom = (first + second > 0).sum(axis=-1) - 1
    return value, np.sqrt(_quantiles(freedom, alpha) * _noise(first, second) / 8 / math.log(2))


def _chi2(first: np.ndarray, second: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    rows = first.sum(axis=-1) + second.sum(axis=-1)
    statistic = np.zeros(rows.shape)
    for counts in (first, second):
        with np.errstate(invalid="ignore", divide="ignore"):
            expected = (first + second) * (counts.sum(axis=-1) / rows)[..., None]
            statistic += np.nansum((counts - expected) ** 2 / expected, axis=-1)
    freedom = (first + second > 0).sum(axis=-1) - 1
    return np.sqrt(statistic / rows), np.sqrt(_quantiles(freedom, alpha) / rows)


def _ks(first: np.ndarray, second: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = (np.cumsum(one, axis=-1) / one.sum(axis=-1, keepdims=True) for one in (first, second))
        value = np.abs(p - q).max(axis=-1)
        limit = np.minimum(np.sqrt(-math.log(alpha / 2) / 2 * _noise(first, second)), 1.0)
    return value, limit


def _wasserstein(grid: Grid, reference: np.ndarray, alpha: float | None) -> Statistic:
    widths = np.diff(grid.edges)
    # Its limit is that of windows which look like the reference: it hardly depends on what one of them has.
    limit = wasserstein(grid, reference, reference, alpha or 0.5).limit or 0.0
    scaled = limit / math.sqrt(2 / max(reference[:-1].sum(), 1))

    def at_lower_edges(counts: np.ndarray) -> np.ndarray:
        known = counts[..., :-1]
        joined = np.concatenate([known[..., :1] + known[..., 1:2], known[..., 2:-1]], axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found: np.ndarray = np.cumsum(joined, axis=-1) / known.sum(axis=-1, keepdims=True)
        return found

    def statistic(counts: np.ndarray, held: np.ndarray) -> Seen:
        value = np.abs(at_lower_edges(held) - at_lower_edges(counts)) @ widths
        return _beyond(value, scaled * np.sqrt(_noise(held[..., :-1], counts[..., :-1])), alpha)

    return statistic


_OF_GROUPS: Mapping[str, Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]] = {
    "psi": _psi, "js": _js, "chi2": _chi2,
}  # fmt: skip
