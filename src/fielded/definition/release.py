"""The `release:` section: which gates a candidate passes before production, and how strict they are.

A gate that is not named is not chosen. Where none is chosen no candidate passes: an empty set of gates fails.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple, Self, get_args

from pydantic import AfterValidator, ConfigDict, Field, StrictBool
from pydantic.dataclasses import dataclass

from fielded.definition.names import Name, TableName

_CONFIG = ConfigDict(extra="forbid")

Metric = Literal["auc", "precision", "recall", "fnr", "fpr", "brier"]
METRICS: tuple[Metric, ...] = get_args(Metric)
AT_LEAST: frozenset[Metric] = frozenset({"auc", "precision", "recall"})  # of the others, less is better

_LIMIT = re.compile(r"^(>=|<=)\s*(0(?:\.\d+)?|1(?:\.0+)?|\.\d+)$")


class Limit(NamedTuple):
    """A bound of a metric.

    Attributes:
        at_least: whether values at or above `bound` pass; else those at or below it.
        bound: between 0 and 1.
    """

    at_least: bool
    bound: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """`>= 0.70` or `<= 0.30`.

        Raises:
            ValueError: it is none.
        """
        found = _LIMIT.match(text.strip())
        if found is None:
            raise ValueError("a limit such as `>= 0.70` or `<= 0.30`, with a number from 0 to 1")
        return cls(found[1] == ">=", float(found[2]))

    def holds(self, value: float) -> bool:
        """Whether a value is within it; a value that is not a number never is."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"


def _limits(texts: Mapping[Metric, str]) -> Mapping[Metric, str]:
    for metric, text in texts.items():
        limit = Limit.parse(text)
        if limit.at_least != (metric in AT_LEAST):
            better = ">=" if metric in AT_LEAST else "<="
            raise ValueError(f'`{metric}: "{better} NUMBER"`, for that is its better side')
    return MappingProxyType(dict(texts))


_Rows = Annotated[int, Field(strict=True, ge=1)]
_Days = Annotated[int, Field(strict=True, ge=1, le=3660)]
_Confidence = Annotated[float, Field(strict=True, ge=0.5, lt=1)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1)]
_Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
_Limits = Annotated[Mapping[Metric, str], Field(min_length=1), AfterValidator(_limits)]


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Holdout:
    """Labelled rows that no version was trained on.

    Attributes:
        table: has the definition's subject and features by name, and the label.
        label: column with what came true: a bool, or 0 and 1.
    """

    table: TableName
    label: Name


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class EvidenceGate:
    """What must be on record of a candidate.

    Attributes:
        documents: names of documents that must be current, such as `model_card`.
        provenance: whether the training data's table, version, rows, digest and period must be known.
    """

    documents: tuple[Name, ...] = ()
    provenance: StrictBool = True


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class PerformanceGate:
    """Limits on labelled rows, held overall and by every slice.

    Attributes:
        limits: metric -> `>= NUMBER` (auc, precision, recall) or `<= NUMBER` (fnr, fpr, brier).
        minimum_rows: fewer labelled rows of a slice are not enough evidence.
        minimum_of_each_class: fewer of the rarer label are not enough either.
        confidence: of the intervals.
    """

    limits: _Limits
    minimum_rows: _Rows = 100
    minimum_of_each_class: _Rows = 10
    confidence: _Confidence = 0.95


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class ShiftGate:
    """How far a candidate's scores may lie from production's, on the same recent rows, without labels.

    Attributes:
        score: largest shift in mean log-odds that is tolerated.
        flag_rate: largest shift in the share of flagged rows that is tolerated.
        recent_rows: rows of the ledger that both score, newest first.
        minimum_rows: a slice with fewer is not tested.
        confidence: of the whole family of tests.
        search_depth: columns that a searched slice may combine.
    """

    score: _Positive = 0.3
    flag_rate: _Share = 0.10
    recent_rows: _Rows = 20_000
    minimum_rows: _Rows = 30
    confidence: _Confidence = 0.95
    search_depth: Annotated[int, Field(strict=True, ge=1, le=3)] = 2


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class FairnessGate:
    """Ratios between slices, and features that stand for a protected column.

    Attributes:
        demographic_parity: smallest ratio of flag rates that passes.
        equalized_odds: smallest ratio of true and of false positive rates that passes.
        protected: features whose values are groups that must be treated alike; empty takes the slices.
        proxy: strongest association (0 to 1) of another feature with a protected one that passes.
        minimum_rows: fewer rows of a group are not enough evidence.
    """

    demographic_parity: _Share = 0.8
    equalized_odds: _Share = 0.8
    protected: tuple[Name, ...] = ()
    proxy: _Share = 0.5
    minimum_rows: _Rows = 100


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class CalibrationGate:
    """Calibration in the large: mean score against the share that came true, by slice.

    Attributes:
        in_the_large: largest difference that is tolerated.
        minimum_rows: fewer labelled rows of a slice are not enough evidence.
        confidence: of the intervals.
    """

    in_the_large: _Share = 0.05
    minimum_rows: _Rows = 100
    confidence: _Confidence = 0.95


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class BudgetGate:
    """What a candidate may cost.

    Attributes:
        row_milliseconds: to score one row alone, at the 95th percentile.
        memory_mib: that loading it may add, in MiB.
    """

    row_milliseconds: _Positive
    memory_mib: _Positive


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Gates:
    """The gates that were chosen; None is not chosen."""

    evidence: EvidenceGate | None = None
    performance: PerformanceGate | None = None
    shift: ShiftGate | None = None
    fairness: FairnessGate | None = None
    calibration: CalibrationGate | None = None
    budget: BudgetGate | None = None


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Release:
    """How a version gets into production.

    Attributes:
        approvals: different people who must approve, none of them the one who proposed (AC-5, AC-3(2)).
        comparison_max_age_days: an older comparison with production does not count.
        drill_max_age_days: an older rollback drill is no evidence.
        rollback_seconds: a drill whose rollback takes longer, until all workers follow, fails.
        holdout: labelled rows; None where there are only outcomes.
        gates: what a candidate must pass.
    """

    approvals: Annotated[int, Field(strict=True, ge=1, le=10)] = 2
    comparison_max_age_days: _Days = 30
    drill_max_age_days: _Days = 90
    rollback_seconds: _Positive = 60.0
    holdout: Holdout | None = None
    gates: Gates = Field(default_factory=Gates)
