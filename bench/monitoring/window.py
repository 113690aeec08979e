"""Rows for the benchmarks of drift: the maintenance example's eight features, never all of them in memory."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from fielded.decisions.rows import predictions_schema
from fielded.definition.deployment import Deployment

FIRST = date(2026, 1, 1)
DAYS = 10
VERSION, SHA256, RUN = "1", "a" * 64, "run"
SHIFT = 0.1  # standard deviations; the window has drifted a little
_CHUNK = 100_000


def training(deployment: Deployment, rows: int = 200_000) -> tuple[pa.Table, np.ndarray]:
    """Rows of training and their scores."""
    rng = np.random.default_rng(1)
    return features(deployment, rng, rows, 0.0), rng.beta(2, 5, rows)


def features(deployment: Deployment, rng: np.random.Generator, rows: int, shift: float) -> pa.Table:
    """The definition's features, each number skewed or whole as such columns are."""
    columns: dict[str, Any] = {}
    for name, rule in deployment.features.items():
        if rule.type == "category":
            values = np.array(rule.values or [f"{name}-{number}" for number in range(12)], dtype=object)
            columns[name] = pa.array(values).take(pa.array(rng.integers(0, len(values), rows)))
        elif rule.type == "int":
            low, high = int(rule.min or 0), int(rule.max or 40)
            drawn = rng.normal((low + high) / 2 + shift, (high - low) / 4, rows)
            columns[name] = np.clip(drawn, low, high).astype(np.int64)
        else:
            values = rng.lognormal(2 + shift, 0.8, rows)
            columns[name] = values if rule.max is None else np.minimum(values / 40, rule.max)
    return pa.table(columns)


def window(deployment: Deployment, rows: int) -> Iterator[tuple[date, pa.RecordBatch]]:
    """Ledger rows of ten days, some at a time, with their day."""
    rng = np.random.default_rng(2)
    for number in range(DAYS):
        day, left = FIRST + timedelta(days=number), rows // DAYS
        while left:
            count = min(left, _CHUNK)
            left -= count
            yield day, _written(deployment, features(deployment, rng, count, SHIFT), rng.beta(2.1, 5, count), day)


def _written(deployment: Deployment, table: pa.Table, scores: np.ndarray, day: date) -> pa.RecordBatch:
    count = table.num_rows
    moment = datetime.combine(day, time(2), UTC)
    same = {"channel": "batch", "run_id": RUN, "model_version": VERSION, "artifact_sha256": SHA256}
    held = {
        "features": pa.chunked_array(table.to_struct_array()).combine_chunks(),
        "score": pa.array(scores),
        "scored_at": pa.repeat(pa.scalar(moment, pa.timestamp("us", tz="UTC")), count),
        **{name: pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), [text]) for name, text in same.items()},
    }
    schema = [field for field in predictions_schema(deployment.features) if field.name != "scored_date"]
    columns = [held.get(field.name, pa.nulls(count, field.type)) for field in schema]
    return pa.RecordBatch.from_arrays(columns, names=[field.name for field in schema])
