"""Rows with a feature of each type, nulls, ties and odd categories: as training and as a ledger has them."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time

import numpy as np
import pyarrow as pa

from fielded.decisions.rows import predictions_schema
from fielded.definition.deployment import Feature

FEATURES = {
    "hours": Feature(type="float", min=0.0),
    "age": Feature(type="float", nullable=True),
    "orders": Feature(type="int", min=0.0),
    "urgent": Feature(type="bool"),
    "kind": Feature(type="category", nullable=True),
}
SLICES = ("kind", "age", "urgent")
KINDS = ("engine", "hull", "other", "null", "it's", "\u00e9\u202e'\"\\\n")
MODEL, SHA256 = "1", "a" * 64
FIRST = date(2026, 3, 2)


def rows(count: int, seed: int, shift: float = 0.0) -> pa.Table:
    """Features and scores that may be drawn apart from training's by `shift`."""
    rng = np.random.default_rng(seed)
    kinds = (*KINDS, "new") if shift else KINDS
    age = rng.integers(1, 60, count) + shift * 10
    return pa.table(
        {
            "hours": rng.lognormal(3 + shift, 1, count),
            "age": pa.array(age.astype(float), mask=rng.random(count) < 0.1),
            "orders": rng.poisson(4, count),
            "urgent": rng.random(count) < 0.3,
            "kind": pa.array(np.array(kinds, dtype=object)[rng.integers(0, len(kinds), count)], pa.string()),
            "score": rng.beta(2 + shift, 5, count),
        }
    )


def scores(table: pa.Table) -> np.ndarray:
    """The scores among `rows`."""
    found: np.ndarray = table.column("score").to_numpy()
    return found


def written(
    table: pa.Table, day: date, run_id: str | None = "run", channel: str = "batch", version: str = MODEL,
    sha256: str = SHA256, features: Mapping[str, Feature] = FEATURES,
) -> pa.Table:  # fmt: skip
    """Ledger rows of them; columns that nobody counts are null."""
    schema = predictions_schema(features)
    count = table.num_rows
    held = {
        "features": pa.chunked_array(table.select(list(features)).to_struct_array()).combine_chunks(),
        "score": table.column("score"),
        "channel": pa.array([channel] * count, pa.string()),
        "run_id": pa.array([run_id] * count, pa.string()),
        "model_version": pa.array([version] * count, pa.string()),
        "artifact_sha256": pa.array([sha256] * count, pa.string()),
        "scored_at": pa.array([datetime.combine(day, time(2), UTC)] * count, pa.timestamp("us", tz="UTC")),
        "scored_date": pa.array([day] * count, pa.date32()),
    }
    return pa.table([held.get(field.name, pa.nulls(count, field.type)) for field in schema], schema=schema)
