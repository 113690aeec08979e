"""A case: one prediction that a person looks at. Its id is the prediction's request id.

1. A prediction opens a case where its `routed_by` says why or, in a row from before that column, its `decision` is
   `review`. What a candidate scored in the shadow opens none: nobody was told. Nor does a probe, for anybody.
2. A case is due `review.due_hours` after its score, and expires `review.expire_hours` after it. A back-fill scores
   days that are over: its cases expire as if they had been scored at the end of their day.
3. What was reopened, or waits for a second person, is due and expires as long after that as if it had been scored
   then.
4. A second person judges a case where the SHA-256 of its request id, as a share of all that there are, is below
   `review.second_share`: whoever has the id can draw again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Self

from fielded.decisions.rows import SHADOW, UNCOUNTED
from fielded.definition.review import Review

REVIEW = "review"  # a decision that a person is to make
_BAND = ("band",)  # what routed every row from before rows said so
_DRAW_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One routed prediction.

    Attributes:
        request_id: of the prediction.
        subject: what it is about.
        run_id: batch run; None of a live score.
        channel: `batch`, `api` or `foundry`.
        score: probability.
        flag: whether the score is at or above the threshold.
        decision: `review`, or `flagged` or `clear` where only an audit looks at it.
        threshold: that it was compared with.
        routed_by: why it is a case: `band`, `range:FEATURE`, `audit`, ...
        propensity: how probable it was to be one: 1 but for audits.
        model_version: that scored it.
        scored_at: UTC.
        scored_date: the day scored.
    """

    request_id: str
    subject: str
    run_id: str | None
    channel: str
    score: float
    flag: bool
    decision: str
    threshold: float
    routed_by: tuple[str, ...]
    propensity: float
    model_version: str
    scored_at: datetime
    scored_date: date

    @classmethod
    def read(cls, row: Mapping[str, Any], *, probes: bool = False) -> Self | None:
        """From a row of the ledger's predictions; None where it is no case: rule 1.

        Args:
            row: of the ledger.
            probes: whether a probe is one too, to see that it would be.
        """
        routed_by, left_out = row.get("routed_by"), (SHADOW,) if probes else UNCOUNTED
        if row["channel"] in left_out or (not routed_by and row["decision"] != REVIEW):
            return None
        propensity = row.get("review_propensity")
        return cls(
            **{name: row[name] for name in _SAME},
            routed_by=tuple(routed_by.split(";")) if routed_by else _BAND,
            propensity=1.0 if propensity is None else float(propensity),
        )

    @property
    def place(self) -> tuple[date, datetime, str]:
        """Where it stands among its subject's: that of the later day is later, then that scored later."""
        return (self.scored_date, self.scored_at, self.request_id)


_SAME = tuple(name for name in Case.__dataclass_fields__ if name not in ("routed_by", "propensity"))


def due_at(case: Case, since: datetime | None, review: Review) -> datetime:
    """When a case is due, UTC: rules 2 and 3.

    Args:
        case: the case.
        since: when it was reopened or began to wait for a second person; None before.
        review: the definition's section.
    """
    due = (since or case.scored_at) + timedelta(hours=review.due_hours)
    return min(due, expires_at(case, since, review))


def expires_at(case: Case, since: datetime | None, review: Review) -> datetime:
    """When a case that nobody decided has expired, UTC: rules 2 and 3. Arguments as of `due_at`."""
    day_is_over = datetime.combine(case.scored_date + timedelta(days=1), time(), UTC)
    return (since or min(case.scored_at, day_is_over)) + timedelta(hours=review.expire_hours)


def first_open_day(now: datetime, review: Review) -> date:
    """The earliest day whose cases may be open that nobody has touched: rule 2."""
    return (now - timedelta(hours=review.expire_hours)).date()


def drawn_for_second(request_id: str, share: float) -> bool:
    """Whether a second person judges a case: rule 4.

    Args:
        request_id: of the case.
        share: `review.second_share`.
    """
    draw = hashlib.sha256(request_id.encode()).digest()[:_DRAW_BYTES]
    return int.from_bytes(draw, "big") < share * (1 << (8 * _DRAW_BYTES))
