"""The `review:` section: which scores a person decides, and how the people who decide are checked.

Without it a person decides what lies in `decision.review_band`, and nothing else.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from pydantic.dataclasses import dataclass

from fielded.definition.names import Name

_CONFIG = ConfigDict(extra="forbid")

Route = Literal["review", "score"]
_Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
_Hours = Annotated[float, Field(strict=True, gt=0, le=87_600, allow_inf_nan=False)]
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]
_Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


def _ascending(band: tuple[float, float]) -> tuple[float, float]:
    if band[0] > band[1]:
        raise ValueError("[low, high], the low end first")
    return band


def _reasons(reasons: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(reasons))


# What a reviewer may say; a definition puts its own in their place.
REASONS: Mapping[str, str] = MappingProxyType(
    {
        "agrees_with_record": "The record behind the features supports the decision",
        "record_is_wrong": "A value that the model saw is wrong or out of date",
        "knows_more": "Something decides that no feature shows",
        "model_is_wrong": "The record is right and the score is not",
    }
)

_Band = Annotated[tuple[_Share, _Share], AfterValidator(_ascending)]


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Hold:
    """A slice whose scores a person decides, whatever they are.

    Attributes:
        feature: a feature of type category or bool.
        value: its value, as text (`LSD`, `true`).
        reason: why, for the reviewers.
    """

    feature: Name
    value: Annotated[str, StringConstraints(min_length=1)]
    reason: _Text


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Carry:
    """How long a decision covers later scores of the same subject, so that an order that is scored every day is
    decided once.

    Attributes:
        days: since the decision.
        score_change: a score further away than this from the one that was decided is a new case.
    """

    days: Annotated[int, Field(strict=True, ge=0, le=3660)] = 30
    score_change: _Share = 0.10


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Review:
    """Human review.

    Attributes:
        outside_training: what becomes of a row with a number outside the range of the training data.
        unseen_category: what becomes of a row with a category that the training data did not have.
        on_hold: slices that a person decides.
        audit_share: share of all other rows that a person looks at too, drawn by chance; their decision is not
            held up. Reviewed cases alone are a biased sample, and these are what makes it an honest one.
        first_judgement: score bands in which the reviewer judges before the score is shown.
        second_share: share of decided cases that a second reviewer judges, without seeing the first.
        claim_hours: a claim without a decision ends after this.
        due_hours: a case is to be decided this long after its score.
        expire_hours: a case that nobody decided this long after its score has expired: it is counted, and gone.
        reasons: code -> what it says; what a decision must name one of.
        carry: how long a decision covers later scores of the same subject.
    """

    outside_training: Route = "score"
    unseen_category: Route = "score"
    on_hold: tuple[Hold, ...] = ()
    audit_share: _Share = 0.0
    first_judgement: tuple[_Band, ...] = ()
    second_share: _Share = 0.10
    claim_hours: _Hours = 8.0
    due_hours: _Hours = 72.0
    expire_hours: _Hours = 720.0
    reasons: Annotated[Mapping[_Code, _Text], Field(min_length=1), AfterValidator(_reasons)] = Field(
        default_factory=lambda: REASONS
    )
    carry: Carry = Field(default_factory=Carry)

    def judged_first(self, score: float) -> bool:
        """Whether a case of this score is judged before the score is shown."""
        return any(low <= score <= high for low, high in self.first_judgement)
