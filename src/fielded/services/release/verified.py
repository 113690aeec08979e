"""See that a version still loads and still scores its recorded rows, before production rests on it."""

from typing import Any

import numpy as np
import pyarrow as pa

from fielded.decisions.release.acts import Pinned
from fielded.decisions.rules import feature_schema
from fielded.decisions.scoring import Scorer
from fielded.services.approve import check_approved
from fielded.services.prepare_scorer import Scorers
from fielded.words.errors import Refused
from fielded.world.recorded_rows import recorded_rows
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

ROWS = 20
_CLOSE = 1e-9  # for a model whose own scores differ by more than nothing from one batch to the next


def verified(workplace: Workplace, scorers: Scorers, pinned: Pinned) -> int:
    """Load a version's approved bytes and replay some of its recorded rows.

    Returns:
        How many rows it scored to the last bit; 0 where it never scored any.

    Raises:
        NotApproved: these bytes are not approved, or no more.
        ArtifactChanged: the files are others, and the site holds no copy of the approved ones.
        Unreachable: neither a copy nor the registry is there.
        Refused: it does not load, or a row got another score.
    """
    model = RegisteredVersion(workplace.deployment.model.name, pinned.version)
    check_approved(workplace.ledger, model, pinned.sha256)
    scorer = scorers.get(model, pinned.sha256)
    table = workplace.tables.find(workplace.ledger.predictions)
    rows = [] if table is None else recorded_rows(table, pinned.version, pinned.sha256, ROWS)
    if rows:
        schema = feature_schema(workplace.deployment.features)
        by_name = [{name: row["features"].get(name) for name in schema.names} for row in rows]
        _replay(scorer, pa.RecordBatch.from_pylist(by_name, schema=schema), rows)
    return len(rows)


def _replay(scorer: Scorer, features: pa.RecordBatch, rows: list[dict[str, Any]]) -> None:
    """Every row alone, as live requests may come, and all together. Where a model's scores depend in their last
    bits on the rows beside them (`services.approve` says so of it), those bits are not asked for.
    """
    from fielded.world.models import one_native_thread  # noqa: PLC0415 - brings MLflow, like the model itself

    with one_native_thread():
        together = _scores(scorer, features)
        alone = np.concatenate([_scores(scorer, features.slice(place, 1)) for place in range(features.num_rows)])
    stored = np.array([row["score"] for row in rows], np.float64)
    bits = stored.view(np.int64)
    same = (bits == alone.view(np.int64)) | (bits == together.view(np.int64))
    if alone.tobytes() != together.tobytes():
        same |= np.abs(stored - alone) <= _CLOSE
    if not same.all():
        place = int(np.flatnonzero(~same)[0])
        raise Refused(
            f"model {scorer.model_name} version {scorer.model_version}: replay: got {int((~same).sum())} of "
            f"{len(rows)} recorded rows with another score, expected each to the last bit. Nothing was changed. "
            f"See `fielded audit replay {rows[place]['request_id']}`"
        )


def _scores(scorer: Scorer, features: pa.RecordBatch) -> np.ndarray:
    return np.asarray(scorer.score(features).column("score"))
