"""Values with what is known of them: an interval that says how far the sample may mislead.

1. A proportion has the Wilson interval: close to its nominal coverage from a handful of rows on, never outside
   [0, 1], never of no width (Brown, Cai and DasGupta 2001, Interval estimation for a binomial proportion).
2. A difference of two proportions has Newcombe's hybrid of two Wilson intervals: method 10 for separate rows and
   method 10 for the same rows (Newcombe 1998, Statistics in Medicine 17:873-890 and 17:2635-2650).
3. A mean of bounded values has Student's interval, cut to what is possible. Where all values are alike the
   sample says nothing of their spread: the widest spread that such a mean allows is taken instead (rule 1).
4. What cannot be measured has no value, and the interval of all that is possible. It is never zero or one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value of a sample, with its interval.

    Attributes:
        value: as measured; None where these rows do not define it.
        low: lower end of the interval.
        high: upper end.
        rows: that the value rests on, such as the flagged ones of a precision.
    """

    value: float | None
    low: float
    high: float
    rows: int

    def __str__(self) -> str:
        value = "no value" if self.value is None else f"{self.value:.{_DECIMALS}f}"
        return f"{value} [{self.low:.{_DECIMALS}f}, {self.high:.{_DECIMALS}f}] of {self.rows} rows"


def normal_quantile(confidence: float) -> float:
    """Half the width of a two-sided interval, in standard errors.

    Raises:
        ValueError: `confidence` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: got {confidence}, expected a number between 0 and 1, neither included")
    return float(ndtri((1 + confidence) / 2))


def corrected(confidence: float, tested: int) -> float:
    """The confidence of each of `tested` intervals with which all hold together (Bonferroni)."""
    return 1 - (1 - confidence) / max(tested, 1)


def proportion(hits: float, rows: int, confidence: float) -> Estimate:
    """Share of `hits` among `rows`, with its Wilson interval; see rule 1."""
    if rows == 0:
        return Estimate(None, 0.0, 1.0, 0)
    z = normal_quantile(confidence)
    share = hits / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    # At the ends the interval closes exactly; the formula there leaves a rounding error.
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    high = 1.0 if hits == rows else min(1.0, middle + half)
    return Estimate(share, low, high, rows)


def difference(second: Estimate, first: Estimate, correlation: float = 0.0) -> Estimate:
    """`second` less `first`, from the intervals of both; see rule 2.

    Args:
        second: with an interval of the confidence that the difference shall have.
        first: likewise.
        correlation: of the two values; 0 for separate rows.
    """
    rows = min(second.rows, first.rows)
    if second.value is None or first.value is None:
        return Estimate(None, second.low - first.high, second.high - first.low, rows)
    down, up = second.value - second.low, second.high - second.value
    first_down, first_up = first.value - first.low, first.high - first.value
    found = second.value - first.value
    low = found - math.sqrt(max(0.0, down**2 - 2 * correlation * down * first_up + first_up**2))
    high = found + math.sqrt(max(0.0, up**2 - 2 * correlation * up * first_down + first_down**2))
    return Estimate(found, low, high, rows)


def paired_difference(second: np.ndarray, first: np.ndarray, confidence: float) -> Estimate:
    """Share of `second` less share of `first`, both said of the same rows: McNemar's question with an interval.

    Args:
        second: bool, one per row.
        first: bool, one per row, in the same order.
        confidence: of the interval.
    """
    rows = len(second)
    both, neither = int((second & first).sum()), int((~second & ~first).sum())
    only_second, only_first = int((second & ~first).sum()), int((first & ~second).sum())
    return difference(
        proportion(both + only_second, rows, confidence),
        proportion(both + only_first, rows, confidence),
        _phi(both, only_second, only_first, neither),
    )


def _phi(both: int, only_second: int, only_first: int, neither: int) -> float:
    """Correlation of two yes-or-no columns, corrected for continuity as Newcombe's method 10 does."""
    spread = (both + only_second) * (only_first + neither) * (both + only_first) * (only_second + neither)
    if spread == 0:
        return 0.0
    excess = float(both * neither - only_second * only_first)
    if excess > 0:
        excess = max(0.0, excess - (both + only_second + only_first + neither) / 2)
    return excess / math.sqrt(spread)


def mean(values: np.ndarray, confidence: float, bounds: tuple[float, float] = (0.0, 1.0)) -> Estimate:
    """Mean of values that lie within `bounds`; see rule 3."""
    low, high = bounds
    rows = len(values)
    if rows == 0:
        return Estimate(None, low, high, 0)
    found = float(values.mean())
    spread = float(values.std(ddof=1)) if rows > 1 else 0.0
    if spread == 0.0:
        share = proportion(rows * (found - low) / (high - low), rows, confidence)
        return Estimate(found, low + (high - low) * share.low, low + (high - low) * share.high, rows)
    half = float(stdtrit(rows - 1, (1 + confidence) / 2)) * spread / math.sqrt(rows)
    return Estimate(found, max(low, found - half), min(high, found + half), rows)


def smallest_of(estimates: Sequence[Estimate]) -> Estimate:
    """The smallest of several values, with an interval that holds where theirs hold together."""
    values = [one.value for one in estimates if one.value is not None]
    return Estimate(
        min(values) if len(values) == len(estimates) else None,
        min(one.low for one in estimates),
        min(one.high for one in estimates),
        min(one.rows for one in estimates),
    )
