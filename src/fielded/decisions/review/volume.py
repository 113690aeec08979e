"""How many cases a band would open a week, by the scores of late.

1. A row is routed if its score lies in the band, or if something else than a band routed it when it was scored: a
   value outside training, a slice on hold, an audit.
2. Of a subject that is scored again and again a routed row opens a case unless the last one about it was opened no
   more than `review.carry.days` before, at a score no further away than `review.carry.score_change`. That is the
   queue of an office that decides each case on the day of its score; one that is slower has fewer, for a newer
   score then takes the place of an older one (`decisions.review.queue`, rule 1).
3. The days before those that are counted only say what was open already. Where the ledger has none of them, the
   first days hold a backlog, and the week looks fuller than later ones will be.
4. Of very many rows those of a sample of subjects are looked at, each with all its rows, and counts are scaled up.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from fielded.decisions.review.band import Band
from fielded.definition.review import Carry

WEEK = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentScores:
    """Scores of late, in no order.

    Attributes:
        subjects: whole numbers that tell subjects apart.
        days: datetime64[D], the day scored.
        moments: int64, microseconds; orders the rows of one day.
        scores: float64.
        others: bool, whether something else than a band routed the row.
        first: first day that is counted; days before it are rule 3's.
        last: last day.
        begins: first day of which the ledger has rows.
        share: of the subjects that are looked at: rule 4.
    """

    subjects: np.ndarray
    days: np.ndarray
    moments: np.ndarray
    scores: np.ndarray
    others: np.ndarray
    first: date
    last: date
    begins: date
    share: float

    @property
    def counted_days(self) -> int:
        """How many days are counted."""
        return (self.last - self.first).days + 1

    def sorted(self) -> "RecentScores":
        """The same, each subject's rows together and in the order of their scores."""
        order = np.lexsort((self.moments, self.days, self.subjects))
        columns = {name: getattr(self, name)[order] for name in _COLUMNS}
        rest = {name: getattr(self, name) for name in ("first", "last", "begins", "share")}
        return RecentScores(**columns, **rest)


_COLUMNS = ("subjects", "days", "moments", "scores", "others")


@dataclass(frozen=True, slots=True)
class Queue:
    """Cases that a band would open.

    Attributes:
        a_week: on average; a ledger younger than a week counts as a week.
        fewest: in one of the whole weeks that are counted.
        most: likewise.
    """

    a_week: float
    fewest: float
    most: float


def queue_of(recent: RecentScores, band: Band | None, carry: Carry) -> Queue:
    """The queue of a band.

    Args:
        recent: scores, `sorted`.
        band: what would be reviewed; None counts what other rules send alone.
        carry: the definition's section.
    """
    routed = recent.others.copy()
    if band is not None:
        routed |= (recent.scores >= band[0]) & (recent.scores <= band[1])
    opened = np.flatnonzero(routed)[_opens(recent, routed, carry)]
    days = (np.datetime64(recent.last) - recent.days[opened]).astype(np.int64)
    days = days[days < recent.counted_days]
    weeks = max(1, recent.counted_days // WEEK)
    by_week = np.bincount(days // WEEK, minlength=weeks)[:weeks] / recent.share
    rate = len(days) / recent.share / max(recent.counted_days / WEEK, 1.0)
    return Queue(rate, float(by_week.min()), float(by_week.max()))


def _opens(recent: RecentScores, routed: np.ndarray, carry: Carry) -> np.ndarray:
    """Which of the routed rows open a case, bool: rule 2. All subjects are gone through at once, row by row."""
    subjects, days, scores = recent.subjects[routed], recent.days[routed], recent.scores[routed]
    opens = np.zeros(len(subjects), dtype=bool)
    if not len(subjects):
        return opens
    starts = np.flatnonzero(np.append(True, subjects[1:] != subjects[:-1]))
    lengths = np.diff(np.append(starts, len(subjects)))
    last = starts.copy()  # of each subject the row that opened the last case
    opens[starts] = True
    for place in range(1, int(lengths.max())):
        own = np.flatnonzero(lengths > place)
        rows, before = starts[own] + place, last[own]
        covered = (days[rows] - days[before]).astype(np.int64) <= carry.days
        covered &= np.abs(scores[rows] - scores[before]) <= carry.score_change
        fresh = rows[~covered]
        opens[fresh] = True
        last[own[~covered]] = fresh
    return opens
