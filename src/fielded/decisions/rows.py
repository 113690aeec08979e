"""The rows of the ledger and of the gold table: their schemas, and Arrow batches of them.

Columns that hold one value for a whole batch are dictionary arrays of one entry: they cost nothing to make
and almost nothing on disk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.rules import QUARANTINED, Sorted, feature_schema
from fielded.decisions.scoring import Scorer
from fielded.decisions.small_batches import SmallBatches
from fielded.definition.deployment import Deployment, Feature
from fielded.words.identifiers import RandomBytes, uuid7_array

# Channels. A row of `SHADOW` was scored by a candidate beside production and told to nobody. One of `PROBE` was
# scored to see that scoring works, about a subject that nobody has (`services.probe`): it is as real as any other,
# and says nothing of anybody. Whoever looks for scores that were given out leaves the `UNCOUNTED` out.
BATCH, API, SHADOW, PROBE = "batch", "api", "shadow", "probe"
UNCOUNTED = (SHADOW, PROBE)

TIMESTAMP = pa.timestamp("us", tz="UTC")
PARTITION = "scored_date"

# Of rows that went through a journal: which one, their place in it from 1, and the head of its hash chain after
# them (`decisions.chain`). Null in rows of a batch run.
JOURNALED = pa.schema([("journal", pa.string()), ("journal_sequence", pa.int64()), ("chain", pa.string())])

# Of the gold table's rows: what holds after people decided (`decisions.review.finals`). A table from before there
# were these columns has nulls in its older days.
FINAL = pa.schema(
    [
        ("final_decision", pa.string()),
        ("decided_by", pa.string()),
        ("decided_at", TIMESTAMP),
        ("review_reason", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What all rows of one batch share beside the scorer.

    Attributes:
        run_id: the batch run; None for a live score.
        channel: `batch`, `api`, `shadow`, `probe` or `foundry`.
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
    """Schema of the `predictions` table; `features` is a struct typed by the definition.

    `routed_by` and `review_propensity` are null in rows from before there were these columns; see
    `decisions.routing`.
    """
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
            ("routed_by", pa.string()),
            ("review_propensity", pa.float64()),
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
            *JOURNALED,
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
            *FINAL,
            (PARTITION, pa.date32()),
        ]
    )


def prediction_rows(parted: Sorted, scorer: Scorer, stamp: Stamp, random_bytes: RandomBytes) -> pa.RecordBatch:
    """Score the accepted rows of a batch and make their ledger rows (all columns but the partition)."""
    count = parted.features.num_rows
    request_ids = uuid7_array(count, int(stamp.scored_at.timestamp() * 1000), random_bytes)
    scored = scorer.score(parted.features, request_ids)
    columns = {
        "request_id": request_ids,
        "run_id": _same(stamp.run_id, count),
        "channel": _same(stamp.channel, count),
        "subject": parted.subjects,
        "features": parted.features.to_struct_array(),
        "score": scored.column("score"),
        "flag": scored.column("flag"),
        "decision": scored.column("decision"),
        "routed_by": scored.column("routed_by"),
        "review_propensity": scored.column("review_propensity"),
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


class LiveRows:
    """Makes the rows of live scores (all columns but `chain` and the partition).

    What all of a scorer's rows share is made once: a group of one request must cost little.

    Args:
        scorer: what scores.
        journal: id of the journal that the rows go to.
        channel: `API`, or one of `UNCOUNTED`.
    """

    def __init__(self, scorer: Scorer, journal: str, channel: str = API) -> None:
        self.scorer = scorer
        self._shared = {
            "run_id": pa.scalar(None, pa.string()),
            "channel": pa.scalar(channel),
            "threshold": pa.scalar(scorer.threshold),
            "band_low": pa.scalar(float(scorer.band[0])),
            "band_high": pa.scalar(float(scorer.band[1])),
            "model_name": pa.scalar(scorer.model_name),
            "model_version": pa.scalar(scorer.model_version),
            "artifact_sha256": pa.scalar(scorer.artifact_sha256),
            "definition_sha256": pa.scalar(scorer.definition_sha256),
            "journal": pa.scalar(journal),
        }
        self._chained: SmallBatches | None = None

    def digests(self, rows: pa.RecordBatch) -> list[bytes]:
        """See `decisions.chain.row_digests`; of rows that `of` has made."""
        if self._chained is None:
            self._chained = SmallBatches(rows.schema, self._shared)
        return self._chained.digests(rows)

    def of(self, asked: "Asked", scored_at: datetime, first: int, random_bytes: RandomBytes) -> pa.RecordBatch:
        """Score what was asked and make its rows.

        Args:
            asked: one entry per row.
            scored_at: UTC.
            first: number in the journal of the first row.
            random_bytes: source of randomness.

        Raises:
            Refused: the model could not score them.
        """
        return self.made(asked, self.scorer.score(asked.features), scored_at, first, random_bytes)

    def made(
        self, asked: "Asked", scored: pa.RecordBatch, scored_at: datetime, first: int, random_bytes: RandomBytes
    ) -> pa.RecordBatch:
        """The rows of what this scorer made of `asked`, with their audits drawn. See `of`.

        Args:
            asked: one entry per row.
            scored: as `Scorer.score` gave it without request ids, which are made here. Rows of it may be another
                version's: the audit share is the definition's.
            scored_at: UTC.
            first: number in the journal of the first row.
            random_bytes: source of randomness.
        """
        count = asked.features.num_rows
        shared = {name: pa.repeat(value, count) for name, value in self._shared.items()}
        request_ids = uuid7_array(count, int(scored_at.timestamp() * 1000), random_bytes)
        columns = {
            "request_id": request_ids,
            "subject": pa.array(asked.subjects, pa.string()),
            "features": asked.features.to_struct_array(),
            "score": scored.column("score"),
            "flag": scored.column("flag"),
            "decision": scored.column("decision").dictionary_decode(),
            "routed_by": self.scorer.routing.audited(scored.column("routed_by"), request_ids),
            "review_propensity": scored.column("review_propensity"),
            "requested_by": pa.array(asked.requested_by, pa.string()),
            "client_address": pa.array(asked.client_addresses, pa.string()),
            "scored_at": pa.repeat(pa.scalar(scored_at, TIMESTAMP), count),
            "journal_sequence": pa.array(np.arange(first, first + count)),
            **shared,
        }
        return pa.RecordBatch.from_arrays([columns[name] for name in _LIVE], names=list(_LIVE))


def answered_by(rows: pa.RecordBatch, other: np.ndarray, scorer: Scorer) -> pa.RecordBatch:
    """Live rows of which some were scored by another version than the rest.

    Args:
        rows: as `LiveRows` made them.
        other: bool, which of them.
        scorer: of those; its threshold and band are the definition's, as everybody's.
    """
    for name, value in (("model_version", scorer.model_version), ("artifact_sha256", scorer.artifact_sha256)):
        place = rows.schema.get_field_index(name)
        column = pc.if_else(pa.array(other), pa.scalar(value), rows.column(place))
        rows = rows.set_column(place, rows.schema.field(place), column)
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Rows that several requests ask a live score for; every sequence has one entry a row.

    Attributes:
        subjects: texts.
        features: columns in the definition's order and types.
        requested_by: authenticated identities.
        client_addresses: where the requests came from.
    """

    subjects: Sequence[str]
    features: pa.RecordBatch
    requested_by: Sequence[str]
    client_addresses: Sequence[str | None]


_LIVE = tuple(name for name in predictions_schema({}).names if name not in ("chain", PARTITION))


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


def gold_rows(
    ledger: pa.RecordBatch,
    deployment: Deployment,
    subject_type: pa.DataType,
    finals: pa.RecordBatch | None = None,
) -> pa.RecordBatch:
    """Gold rows of ledger rows: the gold table is a view of the ledger.

    Args:
        ledger: has the columns `GOLD_SOURCE`.
        deployment: for the names of columns.
        subject_type: type of the subject in the gold table.
        finals: what people decided, of schema `FINAL`, a row for each; None where nobody decided anything.
    """
    names = {
        "subject": deployment.subject,
        "score": deployment.decision.score,
        "flag": deployment.decision.flag,
    }
    columns = [
        ledger.column(name).cast(subject_type) if name == "subject" else ledger.column(name)
        for name in GOLD_SOURCE
    ]
    if finals is None:
        nothing = [pa.nulls(ledger.num_rows, field.type) for field in FINAL]
        finals = pa.RecordBatch.from_arrays(
            [ledger.column("decision").cast(pa.string()), *nothing[1:]], schema=FINAL
        )
    return pa.RecordBatch.from_arrays(
        [*columns, *finals.columns], names=[*(names.get(name, name) for name in GOLD_SOURCE), *FINAL.names]
    )


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
