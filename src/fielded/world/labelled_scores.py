"""Scores of one version with what came true of them, joined by one DuckDB query that spills to disk.

1. A score is looked at by the day of its prediction. Batch rows are those of the run that counts of their day;
   live rows all count; what a candidate scored in the shadow, and what was scored to probe, never does.
2. One row a subject: its first in the days that are asked for. An order that is scored every night is one order.
3. Its label is the last that was known at `known_by`, whatever was told before it, and only where that became
   known after the score (`score_moments`): what was known before is no outcome of it. When it was loaded makes no
   difference.
4. At most `MOST_ROWS` rows come back, the newest days first; of the day that the limit cuts, a sample by a hash of
   the subject, so that the share with a label stays what it is.

Rows that still wait in a journal are not among them: drain it first to have the last minutes too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from fielded.decisions.monitoring.labelled_window import LabelledScores, Scored
from fielded.decisions.rows import PARTITION, UNCOUNTED
from fielded.decisions.rules import ARROW_TYPES
from fielded.definition.deployment import Deployment
from fielded.world.counted_runs import counted_runs
from fielded.world.delta_reading import StreamedDataset, dataset_of
from fielded.world.engines.asking import needs_more, query_errors, spilling
from fielded.world.outcomes import Outcomes
from fielded.world.score_moments import moment_of
from fielded.world.workplace import Workplace

MOST_ROWS = 1_000_000

_BATCH_ROWS = 131_072
_JOINED = "joined"
_IBIS = {"float": "float64", "int": "int64", "category": "string", "bool": "boolean"}
_FIRST = (PARTITION, "scored_at", "request_id")
_LATEST = ("known_at", "loaded_at", "source_sha256")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for; see `labelled_scores`."""

    deployment: Deployment
    version: str
    sha256: str
    first_day: date
    last_day: date
    known_by: datetime


def labelled_scores(
    workplace: Workplace, version: str, sha256: str, first_day: date, last_day: date, known_by: datetime
) -> LabelledScores:
    """A version's scores of some days with the labels that were known at a moment.

    Args:
        workplace: the deployment at its site.
        version: of its model.
        sha256: digest of the version's approved files; rows that other files scored under its number are not its.
        first_day: of the predictions, inclusive.
        last_day: inclusive. Scores after it could not have matured: see `labelled_window.edges`.
        known_by: labels that became known later are not looked at; UTC.

    Raises:
        Unreachable: a table cannot be read, or the query finds no room to spill to.
    """
    deployment = workplace.deployment
    table = workplace.tables.find(workplace.ledger.predictions)
    asked = _Asked(deployment, version, sha256, first_day, last_day, known_by)
    if table is None:
        return _scores(asked, None, {})
    outcomes = workplace.tables.find(Outcomes(workplace.tables, workplace.site, deployment.name).name)
    with (
        query_errors("predictions or outcomes", needs_more("labels")),
        spilling(workplace.site, "labels-") as connection,
    ):
        # As a table, for it is read twice; past its memory DuckDB keeps it in the folder to spill to.
        made = connection.compile(_joined(connection, asked, table, outcomes))
        connection.con.execute(f"CREATE TABLE {_JOINED} AS {made}")
        return _read(connection, asked)


def _joined(
    connection: ibis.BaseBackend, asked: _Asked, table: DeltaTable, outcomes: DeltaTable | None
) -> ir.Table:
    """Every subject's first score with its label, or null."""
    connection.con.register("ledger", dataset_of(table, StreamedDataset))
    runs = list(counted_runs(table, asked.first_day, asked.last_day).values())
    first = _first_scores(connection.table("ledger"), asked, runs)
    if outcomes is None:
        return first.mutate(label=ibis.null("boolean")).drop("subject", "moment")
    connection.con.register("outcomes", dataset_of(outcomes, StreamedDataset))
    latest = _latest_labels(connection.table("outcomes"), asked)
    both = first.left_join(latest, first.subject == latest.told_of)
    after = both.known_at.cast("timestamp") > both.moment
    label = ibis.ifelse(after, both.told, ibis.null("boolean"))
    return both.mutate(label=label).drop("subject", "moment", "told_of", "told", "known_at")


def _first_scores(ledger: ir.Table, asked: _Asked, runs: list[str]) -> ir.Table:
    """Rules 1 and 2."""
    deployment, day = asked.deployment, ledger[PARTITION]
    counts = ledger.run_id.isnull()
    rows = ledger.filter(
        day >= asked.first_day,
        day <= asked.last_day,
        ledger.model_name == deployment.model.name,
        ledger.model_version == asked.version,
        ledger.artifact_sha256 == asked.sha256,
        ledger.channel.notin(UNCOUNTED),
        (counts | ledger.run_id.isin(runs)) if runs else counts,
    )
    held = rows.features.type()
    slices = {
        f"slice_{name}": rows.features[name]
        if name in held.names
        else ibis.null(_IBIS[deployment.features[name].type])
        for name in deployment.slices
    }
    needed = rows.select("subject", *_FIRST, "score", "flag", moment=moment_of(rows), **slices)
    place = ibis.row_number().over(group_by="subject", order_by=list(_FIRST))
    first = needed.mutate(place=place)
    first = first.filter(first.place == 0)
    left_out = ("place", PARTITION, "scored_at", "request_id")
    return first.mutate(day=first[PARTITION], mixed=first.subject.hash()).drop(*left_out)


def _latest_labels(outcomes: ir.Table, asked: _Asked) -> ir.Table:
    """Rule 3, but for the time of the score: where the last label is not after it, none is."""
    known = outcomes.filter(outcomes.known_at <= asked.known_by)
    ranked = known.mutate(
        place=ibis.row_number().over(group_by="subject", order_by=[ibis.desc(name) for name in _LATEST])
    )
    return ranked.filter(ranked.place == 0).select(told_of="subject", told="label", known_at="known_at")


def _read(connection: ibis.BaseBackend, asked: _Asked) -> LabelledScores:
    """Rule 4, and the counts of all days."""
    joined = connection.table(_JOINED)
    counted = joined.group_by("day").aggregate(scored=joined.count(), labelled=joined.label.count())
    by_day = {
        row["day"]: Scored(row["scored"], row["labelled"])
        for row in sorted(_table_of(connection, counted).to_pylist(), key=lambda row: row["day"])
    }
    cut, room = _cut(by_day)
    kept = joined.filter(joined.day > cut) if cut else joined
    if cut and room:
        sample = joined.filter(joined.day == cut).order_by("mixed").limit(room)
        kept = ibis.union(kept, sample)
    rows = _table_of(connection, kept)
    rows = rows.take(
        pc.sort_indices(rows.select(["day", "mixed"]), [("day", "descending"), ("mixed", "ascending")])
    )
    return _scores(asked, rows.combine_chunks(), by_day)


def _cut(by_day: Mapping[date, Scored]) -> tuple[date | None, int]:
    """The newest day that is not whole any more, and how many of its rows there is room for."""
    room = MOST_ROWS
    for day in sorted(by_day, reverse=True):
        if by_day[day].scored > room:
            return day, room
        room -= by_day[day].scored
    return None, 0


def _table_of(connection: ibis.BaseBackend, expression: ir.Table) -> pa.Table:
    return connection.con.sql(connection.compile(expression)).to_arrow_reader(_BATCH_ROWS).read_all()


def _scores(asked: _Asked, rows: pa.Table | None, by_day: Mapping[date, Scored]) -> LabelledScores:
    deployment = asked.deployment
    schema = pa.schema([(name, ARROW_TYPES[deployment.features[name].type]) for name in deployment.slices])
    if rows is None:
        plain = [("day", pa.date32()), ("score", pa.float64()), ("flag", pa.bool_()), ("label", pa.bool_())]
        rows = pa.schema([*plain, *(field.with_name(f"slice_{field.name}") for field in schema)]).empty_table()
    scored = sum(one.scored for one in by_day.values())
    notes = []
    if scored > rows.num_rows:
        left_out = scored - rows.num_rows
        notes.append(f"{left_out:,} of {scored:,} scores left out: the newest {MOST_ROWS:,} are looked at")
    labels = rows.column("label")
    return LabelledScores(
        version=asked.version,
        days=rows.column("day").cast(pa.date32()).to_numpy(),
        slices=pa.table([rows.column(f"slice_{field.name}").cast(field.type) for field in schema], schema=schema),
        scores=rows.column("score").to_numpy(),
        flags=rows.column("flag").to_numpy(),
        labels=pc.fill_null(labels, False).to_numpy(),
        known=labels.is_valid().to_numpy(),
        by_day=MappingProxyType(dict(by_day)),
        notes=tuple(notes),
    )
