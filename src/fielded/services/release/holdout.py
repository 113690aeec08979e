"""Rows whose outcome is known, for both versions to be measured on: the hold-out's and the ledger's own.

1. A row that breaks a rule of the definition is no row that would be scored, and is left out and counted.
2. One row a subject: two rows about one order are not two pieces of evidence.
3. An outcome counts only for a row scored after the candidate's training period. A label that a model has seen
   proves nothing about it; where the period is not known, no outcome counts.
4. A subject of the hold-out is not taken from the outcomes again.
5. A hold-out table that the candidate's own record names among those it was trained on is none. Whether another
   table holds the same rows can't be seen: of the training rows only a digest is on record.
"""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.outcomes import labels_of
from fielded.decisions.rules import Rules, feature_schema
from fielded.definition.release import Holdout
from fielded.words.errors import Refused
from fielded.world.delta_reading import dataset_of, stream
from fielded.world.first_rows import SUBJECT, FirstRows, mixed
from fielded.world.outcomes import Outcomes
from fielded.world.recent_rows import features_before
from fielded.world.tables import TableVersion
from fielded.world.workplace import Workplace

MOST_ROWS = 100_000  # of each source; more sharpen no interval that matters

_LABEL, _MIXED = "label", "mixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledRows:
    """Rows with what came true.

    Attributes:
        features: in the definition's order and types.
        labels: bool, one per row.
        holdout: how many are from the hold-out.
        outcomes: how many are from the ledger's outcomes.
        refused: rows of the hold-out that break a rule.
        notes: what was left out, and why.
        version: of the hold-out table that was read; None where none was.
    """

    features: pa.Table
    labels: np.ndarray
    holdout: int
    outcomes: int
    refused: int
    notes: tuple[str, ...]
    version: int | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one source: `subject`, features, `label`; and what was left out."""

    rows: pa.Table
    refused: int = 0
    notes: tuple[str, ...] = ()
    version: int | None = None


def labelled_rows(
    workplace: Workplace, trained_until: date | None, trained_on: frozenset[str] = frozenset()
) -> LabelledRows:
    """The rows of the hold-out table, and those of the ledger whose outcome was loaded.

    Args:
        workplace: the deployment at its site.
        trained_until: last day of the candidate's training period; None where it is not known.
        trained_on: tables that the candidate was trained on, by its own record.

    Raises:
        Refused: the hold-out's label is neither yes nor no, or a column is missing.
        Unreachable: a table cannot be read.
    """
    holdout = workplace.deployment.release.holdout
    nothing = _schema(workplace).empty_table()
    if holdout is None:
        held_out = _Part(nothing)
    elif holdout.table in trained_on:
        note = f"hold-out {holdout.table} left out: by its own record the candidate was trained on that table"
        held_out = _Part(nothing, notes=(note,))
    else:
        held_out = _held_out(workplace, holdout)
    outcomes = _of_outcomes(workplace, trained_until)
    known = pc.is_in(outcomes.rows.column(SUBJECT), value_set=held_out.rows.column(SUBJECT).combine_chunks())
    outcomes = replace(outcomes, rows=outcomes.rows.filter(pc.invert(known)))
    rows = pa.concat_tables([held_out.rows, outcomes.rows]).combine_chunks()
    return LabelledRows(
        features=rows.select(list(workplace.deployment.features)),
        labels=rows.column(_LABEL).to_numpy(),
        holdout=held_out.rows.num_rows,
        outcomes=outcomes.rows.num_rows,
        refused=held_out.refused,
        notes=(*held_out.notes, *outcomes.notes),
        version=held_out.version,
    )


def _schema(workplace: Workplace) -> pa.Schema:
    features = feature_schema(workplace.deployment.features)
    return pa.schema([(SUBJECT, pa.string()), *features, (_LABEL, pa.bool_())])


def _held_out(workplace: Workplace, holdout: Holdout) -> _Part:
    deployment, schema = workplace.deployment, _schema(workplace)
    table = workplace.tables.pin(holdout.table)
    wanted = [deployment.subject, *deployment.features, holdout.label]
    dataset = dataset_of(table.table)
    missing = [name for name in wanted if name not in dataset.schema.names]
    if missing:
        raise Refused(
            f"release.holdout.table: got {holdout.table} without {', '.join(missing)}, expected the subject, "
            "every feature and the label by name"
        )
    rules = Rules(SUBJECT, deployment.features, pa.array([], pa.string()))
    first = FirstRows(schema.append(pa.field(_MIXED, pa.uint64())), [(_MIXED, "ascending")], MOST_ROWS)
    refused = unlabelled = seen = 0
    for batch in stream(dataset, wanted):
        labels = _labels(batch.column(holdout.label), table, holdout)
        subjects = batch.column(deployment.subject).cast(pa.string())
        numbers = pa.array(np.arange(batch.num_rows)).cast(pa.string())  # in the subject's place: which rows stay
        columns = [numbers, *(batch.column(name) for name in deployment.features)]
        parted = rules.apply(pa.RecordBatch.from_arrays(columns, names=[SUBJECT, *deployment.features]))
        stay = parted.subjects.cast(pa.int64())
        rows = pa.RecordBatch.from_arrays(
            [subjects.take(stay), *parted.features.columns, labels.take(stay)], schema=schema
        )
        told = rows.filter(pc.and_(rows.column(_LABEL).is_valid(), rows.column(SUBJECT).is_valid()))
        refused += parted.quarantined.num_rows
        unlabelled += rows.num_rows - told.num_rows
        seen += batch.num_rows
        first.add(told.append_column(_MIXED, mixed(told.column(SUBJECT))))
    kept = first.table().drop_columns([_MIXED])
    left_out = {"break a rule of the definition": refused, "have no label": unlabelled}
    notes = [f"{count:,} of {seen:,} hold-out rows {why}" for why, count in left_out.items() if count]
    again = seen - refused - unlabelled - kept.num_rows
    if again:
        notes.append(
            f"{again:,} of {seen:,} hold-out rows are about a subject that has another, or past the limit"
        )
    return _Part(kept, refused, (f"hold-out {holdout.table} at version {table.version}", *notes), table.version)


def _labels(column: pa.Array, table: TableVersion, holdout: Holdout) -> pa.Array:
    try:
        return labels_of(column)
    except ValueError as error:
        raise Refused(f"{table.name}.{holdout.label}: got {error}, expected a boolean, or 0 and 1") from None


def _of_outcomes(workplace: Workplace, trained_until: date | None) -> _Part:
    """What became of subjects that the ledger has scored."""
    deployment, schema = workplace.deployment, _schema(workplace)
    outcomes = Outcomes(workplace.tables, workplace.site, deployment.name).newest(MOST_ROWS)
    if not outcomes.num_rows:
        return _Part(schema.empty_table())
    if trained_until is None:
        note = f"{outcomes.num_rows:,} outcomes left out: the candidate's training period is not known"
        return _Part(schema.empty_table(), notes=(note,))
    scored = features_before(workplace.tables.find(workplace.ledger.predictions), deployment, outcomes)
    days = scored.column("scored_at").cast(pa.date32())
    fresh = scored.filter(pc.greater(days, pa.scalar(trained_until, pa.date32())))
    place = pc.index_in(fresh.column(SUBJECT), value_set=outcomes.column(SUBJECT).combine_chunks())
    labels = outcomes.column(_LABEL).take(place)
    told = pc.value_counts(outcomes.column("loaded_by").take(place)).to_pylist()
    people = sorted((one["values"], one["counts"]) for one in told)
    rows = fresh.drop_columns(["scored_at"]).append_column(_LABEL, labels).cast(schema)
    # Whoever loads labels decides what a version is measured by: it is said who did.
    notes = [f"{count:,} outcomes loaded by {who}" for who, count in people]
    if outcomes.num_rows > scored.num_rows:
        notes.append(f"{outcomes.num_rows - scored.num_rows:,} outcomes are about subjects not scored before them")
    if scored.num_rows > fresh.num_rows:
        old = scored.num_rows - fresh.num_rows
        notes.append(
            f"{old:,} outcomes left out: scored on or before {trained_until}, when the candidate was trained"
        )
    return _Part(rows, notes=tuple(notes))
