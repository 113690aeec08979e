"""The newest rows of the `predictions` table by their features: what two versions are compared on without labels.

Newest day first. Of the day that the limit cuts, a sample by a hash of the subject, not the rows written last: a
population is sorted by something, and its last rows may all be of one kind. Probes are left out: their subjects
are nobody's, and their features somebody else's.
"""

from collections.abc import Iterator
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from fielded.decisions.rows import PARTITION, PROBE, TIMESTAMP
from fielded.decisions.rules import Rules, feature_schema
from fielded.definition.deployment import Deployment
from fielded.world.delta_reading import dataset_of, stream
from fielded.world.first_rows import SUBJECT, FirstRows, mixed

_MIXED = "mixed"
_COLUMNS = (SUBJECT, "features", "scored_at")


def recent_features(table: DeltaTable | None, deployment: Deployment, limit: int) -> pa.Table:
    """Features of the newest rows, one row a subject; a quarantined row has no prediction and is not among them.

    Memory is bounded by `limit`, whatever the table's size. Rows that break the definition's rules of today, such
    as those written before a feature was there, are left out.

    Args:
        table: the ledger's predictions; None where there are none yet.
        deployment: for the features.
        limit: rows, at most.

    Returns:
        Table with `subject` and the features in the definition's order and types, newest day first.
    """
    schema = pa.schema([(SUBJECT, pa.string()), *feature_schema(deployment.features)])
    found = schema.empty_table()
    if table is None:
        return found
    for day in days_of(table):
        of_day = _of_day(table, deployment, day, limit)
        new = pc.invert(pc.is_in(of_day.column(SUBJECT), value_set=found.column(SUBJECT).combine_chunks()))
        found = pa.concat_tables([found, of_day.filter(new).slice(0, limit - found.num_rows)])
        if found.num_rows == limit:
            break
    return found.combine_chunks()


def features_before(table: DeltaTable | None, deployment: Deployment, moments: pa.Table) -> pa.Table:
    """For each subject the features of its newest prediction before a moment of its own.

    Args:
        table: the ledger's predictions; None where there are none yet.
        deployment: for the features.
        moments: `subject`, each once, and `known_at` (UTC).

    Returns:
        Table with `subject`, `scored_at` and the features; a subject without such a prediction has no row.
    """
    schema = _with_time(deployment)
    found = schema.empty_table()
    wanted = moments.select([SUBJECT, "known_at"])
    if table is None or not wanted.num_rows:
        return found
    for day in days_of(table):
        first = FirstRows(schema, [("scored_at", "descending")], wanted.num_rows)
        for batch in _rows(
            table, deployment, day, pc.field(SUBJECT).isin(wanted.column(SUBJECT).combine_chunks())
        ):
            first.add(batch.filter(_before(batch, wanted)))
        found = pa.concat_tables([found, first.table()])
        missing = pc.invert(pc.is_in(wanted.column(SUBJECT), value_set=found.column(SUBJECT).combine_chunks()))
        wanted = wanted.filter(missing)
        if not wanted.num_rows:
            break
    return found.combine_chunks()


def days_of(table: DeltaTable) -> list[date]:
    """Days that have rows, newest first."""
    actions = pa.table(table.get_add_actions(flatten=True))
    return sorted(set(actions.column(f"partition.{PARTITION}").to_pylist()), reverse=True)


def _of_day(table: DeltaTable, deployment: Deployment, day: date, limit: int) -> pa.Table:
    schema = _with_time(deployment).append(pa.field(_MIXED, pa.uint64()))
    first = FirstRows(schema, [(_MIXED, "ascending"), (SUBJECT, "ascending"), ("scored_at", "descending")], limit)
    for batch in _rows(table, deployment, day):
        first.add(batch.append_column(_MIXED, mixed(batch.column(SUBJECT))))
    return first.table().drop_columns(["scored_at", _MIXED])


def _rows(
    table: DeltaTable, deployment: Deployment, day: date, rows_where: ds.Expression | None = None
) -> Iterator[pa.RecordBatch]:
    """A day's rows that keep the definition's rules: subject, features, time."""
    of_day = (pc.field(PARTITION) == day) & (pc.field("channel") != PROBE)
    rules = Rules(SUBJECT, deployment.features, pa.array([], pa.string()))
    schema = _with_time(deployment)
    dataset = dataset_of(table)
    for batch in stream(dataset, _COLUMNS, of_day if rows_where is None else of_day & rows_where):
        structs = batch.column("features")
        held = {field.name: place for place, field in enumerate(structs.type)}
        columns = dict(zip(held, structs.flatten(), strict=True))
        absent = pa.nulls(batch.num_rows)
        numbers = pa.array(np.arange(batch.num_rows)).cast(pa.string())  # in the subject's place: which rows stay
        flat = pa.RecordBatch.from_arrays(
            [numbers, *(columns.get(name, absent) for name in deployment.features)],
            names=[SUBJECT, *deployment.features],
        )
        parted = rules.apply(flat)
        stay = parted.subjects.cast(pa.int64())
        subjects, times = batch.column(SUBJECT).take(stay), batch.column("scored_at").take(stay).cast(TIMESTAMP)
        yield pa.RecordBatch.from_arrays([subjects, *parted.features.columns, times], schema=schema)


def _before(batch: pa.RecordBatch, moments: pa.Table) -> pa.Array:
    """Which rows were scored before their subject's moment."""
    place = pc.index_in(batch.column(SUBJECT), value_set=moments.column(SUBJECT).combine_chunks())
    known = moments.column("known_at").combine_chunks().take(place)
    return pc.fill_null(pc.less(batch.column("scored_at"), known), False)


def _with_time(deployment: Deployment) -> pa.Schema:
    return pa.schema([(SUBJECT, pa.string()), *feature_schema(deployment.features), ("scored_at", TIMESTAMP)])
