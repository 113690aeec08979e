"""What live scoring is asked, and what it answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from fielded.decisions.rows import Asked
from fielded.decisions.scoring import Scorer
from fielded.words.errors import FieldedError

Value = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One row to score.

    Attributes:
        subject: what the score is about.
        features: values in the definition's order, already checked against its rules.
    """

    subject: str
    features: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRequest:
    """Rows that are answered together or not at all.

    Attributes:
        rows: at least one.
        requested_by: authenticated identity.
        client_address: where the request came from.
        ticket: the caller's own, handed back with the answer.
        untried: it asks for the version in production by its number, so no candidate answers it.
    """

    rows: Sequence[LiveRow]
    requested_by: str
    client_address: str | None
    ticket: Any
    untried: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """What scored a row.

    Attributes:
        version: concrete version.
        artifact_sha256: digest of its files.
    """

    version: str
    artifact_sha256: str

    @classmethod
    def of(cls, scorer: Scorer) -> "Model":
        """The model of a scorer."""
        return cls(scorer.model_version, scorer.artifact_sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAnswer:
    """The scores of one request, durable; each sequence has one entry a row, in the request's order.

    Attributes:
        request_ids: UUIDv7 texts.
        scores: probabilities.
        flags: score at or above the threshold.
        decisions: `flagged`, `clear` or `review`.
        routed_by: what has a person look at the row (`decisions.routing`); None where nothing has.
        model_name: registered name.
        models: of each row, the version that scored it; one for all rows unless a canary is on trial.
        scored_at: UTC.
        journal: id of the journal that holds the rows.
        first_sequence: number in it of the first row.
        chains: head of the journal's chain after each row, hexadecimal: whoever keeps one can prove later that the
            row was not dropped or changed on its way to the ledger.
    """

    request_ids: Sequence[str]
    scores: Sequence[float]
    flags: Sequence[bool]
    decisions: Sequence[str]
    routed_by: Sequence[str | None]
    model_name: str
    models: Sequence[Model]
    scored_at: datetime
    journal: str
    first_sequence: int
    chains: Sequence[str]

    @property
    def model_version(self) -> str:
        """Concrete version of the first row."""
        return self.models[0].version

    @property
    def artifact_sha256(self) -> str:
        """Digest of the files of the first row's model."""
        return self.models[0].artifact_sha256


Settled = Sequence[tuple[LiveRequest, LiveAnswer | FieldedError]]


def features_of(rows: Iterable[LiveRow], schema: pa.Schema) -> pa.RecordBatch:
    """Columns of the rows' features.

    Args:
        rows: at least one.
        schema: of the features, in the definition's order.
    """
    columns = zip(*(row.features for row in rows), strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def asked_of(requests: Sequence[LiveRequest], schema: pa.Schema) -> Asked:
    """All rows of some requests, in their order."""
    rows = [row for request in requests for row in request.rows]
    return Asked(
        subjects=[row.subject for row in rows],
        features=features_of(rows, schema),
        requested_by=[request.requested_by for request in requests for _ in request.rows],
        client_addresses=[request.client_address for request in requests for _ in request.rows],
    )
