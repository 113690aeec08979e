"""Scores of the ledger's last days: of the batch runs that count and of live requests, no shadows, no probes.

What a queue would be is reckoned on them, so a subject is here with all its rows or with none. Of more than
`MOST_ROWS` rows those of a sample of subjects are read, by a hash of the subject. Memory is bounded by that.
"""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fielded.decisions.review.volume import RecentScores
from fielded.decisions.routing import BAND
from fielded.decisions.rows import PARTITION, UNCOUNTED
from fielded.words.errors import Unreachable
from fielded.world.counted_runs import counted_runs
from fielded.world.delta_reading import dataset_of, stream
from fielded.world.first_rows import SUBJECT, mixed

MOST_ROWS = 2_000_000

_ROUTED_BY = "routed_by"
_HASHES = 2**64
_EMPTY: dict[str, np.ndarray] = {
    "subjects": np.empty(0, dtype=np.uint64),
    "days": np.empty(0, dtype="datetime64[D]"),
    "moments": np.empty(0, dtype=np.int64),
    "scores": np.empty(0),
    "others": np.empty(0, dtype=bool),
}


def recent_scores(
    table: DeltaTable | None, counted: int, before: int, most: int = MOST_ROWS
) -> RecentScores | None:
    """Scores of the days up to the last one that has any.

    Args:
        table: the ledger's predictions; None where there are none yet.
        counted: days that are counted.
        before: days before those, which are read too.
        most: rows to be read, about.

    Returns:
        None where nothing was scored.

    Raises:
        Unreachable: the table cannot be read.
    """
    try:
        rows = {} if table is None else _rows_by_day(table)
        if table is None or not rows:
            return None
        last, begins = max(rows), min(rows)
        first = max(begins, last - timedelta(days=counted - 1))
        since = max(begins, first - timedelta(days=before))
        share = min(1.0, most / max(1, sum(count for day, count in rows.items() if day >= since)))
        columns = _read(table, since, last, share)
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise Unreachable(
            f"table predictions: cannot be read ({type(error).__name__}). Run `fielded audit verify`"
        ) from error
    return RecentScores(**columns, first=first, last=last, begins=begins, share=share).sorted()


def _rows_by_day(table: DeltaTable) -> dict[date, int]:
    found: dict[date, int] = {}
    for file in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        day, channel = file[f"partition.{PARTITION}"], file.get("min.channel")
        if channel in UNCOUNTED and channel == file.get("max.channel"):
            continue  # a day with nothing but probes has no scores
        found[day] = found.get(day, 0) + (file["num_records"] or 0)
    return {day: count for day, count in found.items() if count}


def _read(table: DeltaTable, since: date, last: date, share: float) -> dict[str, np.ndarray]:
    dataset = dataset_of(table)
    has_reasons = _ROUTED_BY in dataset.schema.names
    wanted = [SUBJECT, "score", "scored_at", PARTITION, *([_ROUTED_BY] if has_reasons else [])]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in _EMPTY}
    for batch in stream(dataset, wanted, _counting(table, since, last)):
        subjects = np.asarray(mixed(batch.column(SUBJECT).cast(pa.string())).to_numpy())
        kept = np.ones(len(subjects), dtype=bool) if share >= 1 else subjects < np.uint64(int(share * _HASHES))
        rows = batch.filter(pa.array(kept))
        parts["subjects"].append(subjects[kept])
        parts["days"].append(rows.column(PARTITION).to_numpy(zero_copy_only=False).astype("datetime64[D]"))
        parts["moments"].append(pc.cast(rows.column("scored_at"), pa.int64()).to_numpy(zero_copy_only=False))
        parts["scores"].append(rows.column("score").to_numpy(zero_copy_only=False))
        parts["others"].append(_by_others(rows) if has_reasons else np.zeros(rows.num_rows, dtype=bool))
    return {name: np.concatenate([*arrays, _EMPTY[name]]) for name, arrays in parts.items()}


def _by_others(rows: pa.RecordBatch) -> np.ndarray:
    """Whether something else than a band alone routed a row."""
    texts = rows.column(_ROUTED_BY).cast(pa.string())
    alone = pc.fill_null(pc.not_equal(texts, BAND), False)
    return np.asarray(alone.to_numpy(zero_copy_only=False), dtype=bool)


def _counting(table: DeltaTable, since: date, last: date) -> ds.Expression:
    runs = list(counted_runs(table, since, last).values())
    counts = ds.field("run_id").is_null()
    if runs:
        counts |= ds.field("run_id").isin(runs)
    days = (ds.field(PARTITION) >= since) & (ds.field(PARTITION) <= last)
    return days & counts & ~ds.field("channel").isin(UNCOUNTED)
