"""The rows of the ledger and of the gold table: their schemas, and Arrow batches of them.

Columns that hold one value for a whole batch are dictionary arrays of one entry: they cost nothing to make
and almost nothing on disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from fielded.decisions.rules import QUARANTINED, Sorted, feature_schema
from fielded.decisions.scoring import Scorer
from fielded.definition.deployment import Deployment, Feature
from fielded.words.identifiers import RandomBytes, uuid7_array

TIMESTAMP = pa.timestamp("us", tz="UTC")
PARTITION = "scored_date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What all rows of one batch share beside the scorer.

    Attributes:
        run_id: the batch run; None for a live score.
        channel: `batch`, `api` or `foundry`.
        requested_by: authenticated identity, never from a request's body.
        client_address: network address of the caller; None for a batch run.
        scored_at: UTC.
    """

    run_id: str | None
    channel: str
    requested_by: str
    client_address: str | None
    scored_at: datetime


def predictions_schema(features: Mapping[str, Feature]) -> pa.Schema:
    """Schema of the `predictions` table; `features` is a struct typed by the definition."""
    return pa.schema(
        [
            ("request_id", pa.string()),
            ("run_id", pa.string()),
            ("channel", pa.string()),
            ("subject", pa.string()),
            ("features", pa.struct(list(feature_schema(features)))),
            ("score", pa.float64()),
            ("flag", pa.bool_()),
            ("decision", pa.string()),
            ("threshold", pa.float64()),
            ("band_low", pa.float64()),
            ("band_high", pa.float64()),
            ("model_name", pa.string()),
            ("model_version", pa.string()),
            ("artifact_sha256", pa.string()),
            ("definition_sha256", pa.string()),
            ("requested_by", pa.string()),
            ("client_address", pa.string()),
            ("scored_at", TIMESTAMP),
            (PARTITION, pa.date32()),
        ]
    )


def quarantine_schema() -> pa.Schema:
    """Schema of the `quarantine` table: one row per refused row of a population, with all its reasons."""
    return pa.schema(
        [("run_id", pa.string()), *QUARANTINED, ("quarantined_at", TIMESTAMP), (PARTITION, pa.date32())]
    )


def scores_schema(deployment: Deployment, subject_type: pa.DataType) -> pa.Schema:
    """Schema of the gold table that analysts query."""
    return pa.schema(
        [
            (deployment.subject, subject_type),
            (deployment.decision.score, pa.float64()),
            (deployment.decision.flag, pa.bool_()),
            ("decision", pa.string()),
            ("threshold", pa.float64()),
            ("model_name", pa.string()),
            ("model_version", pa.string()),
            ("request_id", pa.string()),
            ("run_id", pa.string()),
            ("scored_at", TIMESTAMP),
            (PARTITION, pa.date32()),
        ]
    )


def prediction_rows(parted: Sorted, scorer: Scorer, stamp: Stamp, random_bytes: RandomBytes) -> pa.RecordBatch:
    """Score the accepted rows of a batch and make their ledger rows (all columns but the partition)."""
    scored = scorer.score(parted.features)
    count = scored.num_rows
    columns = {
        "request_id": uuid7_array(count, int(stamp.scored_at.timestamp() * 1000), random_bytes),
        "run_id": _same(stamp.run_id, count),
        "channel": _same(stamp.channel, count),
        "subject": parted.subjects,
        "features": parted.features.to_struct_array(),
        "score": scored.column("score"),
        "flag": scored.column("flag"),
        "decision": scored.column("decision"),
        "threshold": _number(scorer.threshold, count),
        "band_low": _number(scorer.band[0], count),
        "band_high": _number(scorer.band[1], count),
        "model_name": _same(scorer.model_name, count),
        "model_version": _same(scorer.model_version, count),
        "artifact_sha256": _same(scorer.artifact_sha256, count),
        "definition_sha256": _same(scorer.definition_sha256, count),
        "requested_by": _same(stamp.requested_by, count),
        "client_address": _same(stamp.client_address, count),
        "scored_at": pa.repeat(pa.scalar(stamp.scored_at, TIMESTAMP), count),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def quarantine_rows(parted: Sorted, stamp: Stamp) -> pa.RecordBatch:
    """The quarantine rows of a batch (all columns but the partition)."""
    count = parted.quarantined.num_rows
    return pa.RecordBatch.from_arrays(
        [
            _same(stamp.run_id, count),
            *parted.quarantined.columns,
            pa.repeat(pa.scalar(stamp.scored_at, TIMESTAMP), count),
        ],
        names=["run_id", *QUARANTINED.names, "quarantined_at"],
    )


def gold_rows(ledger: pa.RecordBatch, deployment: Deployment, subject_type: pa.DataType) -> pa.RecordBatch:
    """Gold rows of ledger rows: the gold table is a view of the ledger."""
    names = {
        "subject": deployment.subject,
        "score": deployment.decision.score,
        "flag": deployment.decision.flag,
    }
    columns = [
        ledger.column(name).cast(subject_type) if name == "subject" else ledger.column(name)
        for name in GOLD_SOURCE
    ]
    return pa.RecordBatch.from_arrays(columns, names=[names.get(name, name) for name in GOLD_SOURCE])


GOLD_SOURCE = (
    "subject", "score", "flag", "decision", "threshold", "model_name", "model_version", "request_id", "run_id",
    "scored_at",
)  # fmt: skip


def _same(text: str | None, count: int) -> pa.Array:
    if text is None:
        return pa.nulls(count, pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), [text])


def _number(value: float, count: int) -> pa.Array:
    return pa.array(np.full(count, value))
