"""What is counted of a trial, by one worker, over the last seconds. Small, for reports carry it."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

_PARTS = 12  # of a window; counts leave it a twelfth at a time
_SMALLEST = 1e-6  # a score nearer to 0 or 1 than this counts as this far away: log-odds of +-13.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of one side.

    Attributes:
        rows: scored.
        refused: rows of requests that the model did not take; not among `rows`.
        calls: groups for which an answer of the model was waited for, or would have been.
        late: of these, those whose answer did not come in time; their rows are not among `rows`.
        flagged: at or above the threshold.
        review: that go to a person.
        log_odds: sum over rows.
        squares: sum of the squares of the log-odds.
    """

    rows: int = 0
    refused: int = 0
    calls: int = 0
    late: int = 0
    flagged: int = 0
    review: int = 0
    log_odds: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, scores: np.ndarray, flags: np.ndarray, review: np.ndarray, refused: int = 0) -> "Tally":
        """Count rows.

        Args:
            scores: float64, in [0, 1].
            flags: bool, the same length.
            review: bool, the same length.
            refused: rows beside them that the model did not take.
        """
        clipped = np.clip(scores, _SMALLEST, 1 - _SMALLEST)
        odds = np.log(clipped / (1 - clipped))
        return cls(
            rows=len(scores),
            refused=refused,
            flagged=int(np.count_nonzero(flags)),
            review=int(np.count_nonzero(review)),
            log_odds=float(odds.sum()),
            squares=float((odds * odds).sum()),
        )

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(Tally)})

    @property
    def mean(self) -> float:
        """Mean log-odds; NaN of no row."""
        return self.log_odds / self.rows if self.rows else math.nan

    @property
    def mean_variance(self) -> float:
        """Squared standard error of the mean; NaN of fewer than two rows."""
        if self.rows < 2:  # noqa: PLR2004 - a variance takes two
            return math.nan
        return max(0.0, self.squares - self.rows * self.mean**2) / (self.rows - 1) / self.rows


NOTHING = Tally()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one worker has counted of a trial within its window, and how it stands with it.

    Attributes:
        trial: salt of the trial: which one.
        running: whether the candidate scores in this worker.
        production: rows of production; in shadow mode those that the candidate scored too.
        candidate: rows of the candidate.
        idle_seconds: since the last row of the candidate, or since the trial began here.
    """

    trial: str
    running: bool
    production: Tally = NOTHING
    candidate: Tally = NOTHING
    idle_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For a report; `of` reads it."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Counts":
        """The counts of a report."""
        sides = {side: Tally(**values[side]) for side in ("production", "candidate")}
        return cls(**{**values, **sides})


class Window:
    """Counts both sides over the last seconds; what is older falls out a part at a time.

    Args:
        seconds: how long.
        ticks: seconds that only go up.
    """

    def __init__(self, seconds: float, ticks: Callable[[], float]) -> None:
        self._part = seconds / _PARTS
        self._ticks = ticks
        self._held: deque[tuple[int, Tally, Tally]] = deque()
        self._last = ticks()

    def count(self, production: Tally, candidate: Tally) -> None:
        """Add rows that were just scored."""
        now = self._ticks()
        if candidate.rows or candidate.refused:
            self._last = now
        part = int(now // self._part)
        if self._held and self._held[-1][0] == part:
            _, held_production, held_candidate = self._held.pop()
            production, candidate = held_production + production, held_candidate + candidate
        self._held.append((part, production, candidate))
        self._forget(part)

    def counts(self, trial: str) -> Counts:
        """What is in the window now, of a trial that runs."""
        now = self._ticks()
        self._forget(int(now // self._part))
        production = sum((item[1] for item in self._held), NOTHING)
        candidate = sum((item[2] for item in self._held), NOTHING)
        return Counts(
            trial=trial, running=True, production=production, candidate=candidate, idle_seconds=now - self._last
        )

    def _forget(self, part: int) -> None:
        while self._held and self._held[0][0] <= part - _PARTS:
            self._held.popleft()
