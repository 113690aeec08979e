"""Two models on the same rows: how far the second's scores and flags lie from the first's, with intervals.

Each row is its own control, so what makes one work order riskier than another cancels out, and the interval is as
narrow as the two models are alike. Everything here is an array with one element a slice.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

CLIP = 1e-6  # probabilities are kept this far from 0 and 1: log-odds stay within 13.8 of zero
STEPS = 60  # halvings of an interval of length 2: to the last bits of a float64


class Statistic(Protocol):
    """Something estimated in each slice."""

    @property
    def value(self) -> np.ndarray:
        """The estimates."""

    @property
    def error(self) -> np.ndarray:
        """Their standard errors."""

    def interval(self, tail: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limits; each is on the wrong side of the truth with probability `tail`."""


@dataclass(frozen=True, slots=True)
class MeanShift:
    """Shift of the mean difference in log-odds.

    Attributes:
        value: mean inside the slice less mean of the rest; where there is no rest, the mean inside.
        error: standard error.
        degrees: degrees of freedom of Student's t.
    """

    value: np.ndarray
    error: np.ndarray
    degrees: np.ndarray

    def interval(self, tail: float) -> tuple[np.ndarray, np.ndarray]:
        """Student's t, which widens where there are few rows.

        The differences of two models trained on tables are skewed little and bounded by clipping. At 30 rows
        and the small tails of a corrected level t is wider than a bootstrap-t, so it errs on the side of no alarm.
        """
        half = -special.stdtrit(self.degrees, tail) * self.error
        return self.value - half, self.value + half


@dataclass(frozen=True, slots=True)
class FlagShift:
    """Change of the share of flagged rows.

    Attributes:
        rows: rows of the slice.
        gained: flagged by the second model only.
        lost: flagged by the first only.
    """

    rows: np.ndarray
    gained: np.ndarray
    lost: np.ndarray

    @property
    def value(self) -> np.ndarray:
        """Rate of the second less rate of the first."""
        return np.asarray((self.gained - self.lost) / np.maximum(self.rows, 1))

    @property
    def error(self) -> np.ndarray:
        """With half a discordant pair added on both sides (Agresti and Min 2005): never zero."""
        rows = self.rows + 2
        change = (self.gained - self.lost) / rows
        return np.asarray(np.sqrt(np.maximum((self.gained + self.lost + 1) / rows - change**2, 0) / rows))

    def interval(self, tail: float) -> tuple[np.ndarray, np.ndarray]:
        """The score interval for paired shares: T. Tango, Statistics in Medicine 17 (1998) 891-908.

        A Wald interval has no width where no pair is discordant, and the exact one is far too wide.
        """
        z = float(-special.ndtri(tail))
        upper = _score_limit(self.gained, self.lost, self.rows, z)
        lower = -_score_limit(self.lost, self.gained, self.rows, z)
        return lower, upper


def log_odds(scores: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities, clipped to [1e-6, 1 - 1e-6]: one row at 0 or 1 must not outvote the rest."""
    return np.asarray(special.logit(np.clip(scores, CLIP, 1 - CLIP)))


def mean_shift(inside: np.ndarray, outside: np.ndarray) -> MeanShift:
    """Welch's difference of two means, from sums.

    Args:
        inside: rows, sum and sum of squares of the differences inside each slice, shape (3, slices).
        outside: the same of the rows that it is compared with; where it has none, with zero.

    Returns:
        Not a number where a slice has fewer than two rows.
    """
    value, square, degrees = _mean(inside)
    other, other_square, other_degrees = _mean(outside)
    alone = outside[0] == 0
    other, other_square = np.where(alone, 0.0, other), np.where(alone, 0.0, other_square)
    total = square + other_square
    with np.errstate(invalid="ignore", divide="ignore"):
        shrunk = square**2 / degrees + np.where(alone, 0.0, other_square**2 / other_degrees)
        satterthwaite = np.where(total > 0, total**2 / shrunk, degrees)
    return MeanShift(value - other, np.sqrt(total), satterthwaite)


def _mean(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, its squared standard error and degrees of freedom."""
    rows, total, squares = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / rows
        variance = np.maximum(squares / rows - mean**2, 0.0) / (rows - 1)
    return mean, np.where(rows > 1, variance, np.nan), np.where(rows > 1, rows - 1, np.nan)


def _score_limit(gained: np.ndarray, lost: np.ndarray, rows: np.ndarray, z: float) -> np.ndarray:
    """The largest change that the score test keeps, by halving: the statistic falls as the change grows."""
    low = (gained - lost) / np.maximum(rows, 1)
    high = np.ones_like(low)
    for _ in range(STEPS):
        change = (low + high) / 2
        middle = 2 * rows - gained + lost
        linear = middle * change - gained - lost
        constant = -lost * change * (1 - change)
        lost_share = (np.sqrt(np.maximum(linear**2 - 8 * rows * constant, 0)) - linear) / (4 * np.maximum(rows, 1))
        variance = np.maximum(rows * (2 * lost_share + change * (1 - change)), 0)
        kept = rows * change - (gained - lost) <= z * np.sqrt(variance)
        low, high = np.where(kept, change, low), np.where(kept, high, change)
    return np.where(rows > 0, low, 1.0)
