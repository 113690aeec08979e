"""Where the live score of a subject and its latest batch score tell two stories.

Rules:

1. scores that are more than a limit apart are a discrepancy;
2. so are two decisions that differ where the definitions behind them do (its digest, its threshold or its review
   band), however near the scores are: the rule changed between them, not the subject;
3. a discrepancy names its reasons. Scores differ by `other version` (of the model, or its name or bytes) and by
   `other features`; decisions by `other definition`. Where nothing of this is so, the reason is `neither`: the
   same bytes gave two scores for the same features, and somebody should find out why (SI-7).
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Reason = Literal["other version", "other features", "other definition", "neither"]

_MODEL = ("model_name", "model_version", "artifact_sha256")
_RULE = ("definition_sha256", "threshold", "band_low", "band_high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One of the two scores: columns of its ledger row."""

    request_id: str
    scored_date: date
    scored_at: datetime
    score: float
    decision: str
    threshold: float
    band_low: float
    band_high: float
    model_name: str
    model_version: str
    artifact_sha256: str
    definition_sha256: str


# Columns of the `predictions` table that a pair is made of, beside `subject`.
COMPARED = (*Scored.__dataclass_fields__, "features")


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """A subject whose two scores do not fit together.

    Attributes:
        subject: what was scored.
        live: its latest live score.
        batch: its latest batch score.
        reasons: why they differ, at least one.
        features: those that differ -> (live value, batch value); None is a missing one.
    """

    subject: str
    live: Scored
    batch: Scored
    reasons: tuple[Reason, ...]
    features: dict[str, tuple[Any, Any]]

    @property
    def apart(self) -> float:
        """How far the scores are from each other."""
        return abs(self.live.score - self.batch.score)


def discrepancies_of(pairs: pa.RecordBatch, limit: float) -> list[Discrepancy]:
    """Those of the pairs that are discrepancies, in their order.

    Args:
        pairs: columns `subject` (text), `live` and `batch` (structs of `COMPARED`), one row a subject.
        limit: scores that are exactly this far apart still fit.
    """
    apart = np.abs(_numbers(pairs, "live", "score") - _numbers(pairs, "batch", "score")) > limit
    turned = _differ(pairs, ("decision",)) & _differ(pairs, _RULE)
    rows = pairs.filter(pa.array(apart | turned)).to_pylist()
    return [_discrepancy(row) for row in rows]


def _numbers(pairs: pa.RecordBatch, side: str, name: str) -> np.ndarray:
    return np.asarray(pc.struct_field(pairs.column(side), name))


def _differ(pairs: pa.RecordBatch, names: tuple[str, ...]) -> np.ndarray:
    """Whether the two sides of a pair differ in any of some columns that are never null."""
    found = np.zeros(pairs.num_rows, dtype=bool)
    live, batch = pairs.column("live"), pairs.column("batch")
    for name in names:
        other = pc.not_equal(pc.struct_field(live, name), pc.struct_field(batch, name))
        found |= other.to_numpy(zero_copy_only=False)
    return found


def _discrepancy(row: dict[str, Any]) -> Discrepancy:
    live, batch = row["live"], row["batch"]
    live_features, batch_features = live.pop("features"), batch.pop("features")
    features = {
        name: (value, batch_features[name])
        for name, value in live_features.items()
        if value != batch_features[name]
    }
    reasons: list[Reason] = []
    if live["score"] != batch["score"]:
        reasons += ["other version"] if any(live[name] != batch[name] for name in _MODEL) else []
        reasons += ["other features"] if features else []
    if live["decision"] != batch["decision"] and any(live[name] != batch[name] for name in _RULE):
        reasons.append("other definition")
    return Discrepancy(
        subject=row["subject"],
        live=Scored(**live),
        batch=Scored(**batch),
        reasons=tuple(reasons) or ("neither",),
        features=features,
    )
