"""The latest live score and the latest batch score of every subject that has both, by one DuckDB query.

Memory has a bound: Delta tables are read a row group at a time, and what DuckDB ranks and joins goes to
disk past the site's `engine_memory_mib`. Rows that are still in a journal are put beside the ledger's first.

Of two scores the later is the one of the later day, then the one scored later: a back-fill of a past day is not
the latest score of a subject.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.rows import API, BATCH, PARTITION
from fielded.definition.site import Site
from fielded.world.delta_reading import StreamedDataset, dataset_of
from fielded.world.engines.asking import needs_more, query_errors, spilling
from fielded.world.journal import Journals
from fielded.world.tables import DeltaTables

_LIVE, _BATCH = API, BATCH  # not what was scored in the shadow, or to probe: nobody was told
_RANKED = (PARTITION, "scored_at", "request_id")
_WAITING_ROWS = 32_768  # rows of journals given to DuckDB at once
_PAIR_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Days:
    """Days whose scores count, both inclusive; None is without end."""

    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class ScoreSource:
    """Where scores are read from.

    Attributes:
        tables: the site's tables.
        predictions: name of the ledger's table.
        journals: of the deployment.
        site: memory before spilling, threads, and the folder to spill to.
    """

    tables: DeltaTables
    predictions: str
    journals: Journals
    site: Site


def latest_pairs(source: ScoreSource, columns: Sequence[str], days: Days) -> Iterator[pa.RecordBatch]:
    """Pairs of latest scores, in no order.

    Args:
        source: of the scores.
        columns: of the `predictions` table, those to give of both scores.
        days: only scores of these days are looked at.

    Returns:
        Batches with the columns `subject`, `live` and `batch`, the latter two structs of `columns`.

    Raises:
        Unreachable: a table or journal cannot be read, or the query finds no room to spill to.
    """
    with (
        query_errors(f"table {source.predictions}", needs_more("discrepancies", ", or ask for fewer days")),
        spilling(source.site, "pairs-") as connection,
    ):
        # The journals first: a row that is drained meanwhile is then there twice, not missed.
        table = source.tables.find(source.predictions)
        if table is None:  # then there is no batch score
            return
        waiting = _load_waiting(connection, source.journals, str(table.metadata().id), columns)
        table = source.tables.open(source.predictions)
        connection.con.register("ledger", dataset_of(table, StreamedDataset))
        found = _pairs([connection.table("ledger"), *waiting], columns, days)
        # A relation streams; what Ibis itself offers goes through a result that DuckDB 2 holds whole.
        yield from connection.con.sql(connection.compile(found)).to_arrow_reader(_PAIR_ROWS)


def _load_waiting(
    connection: ibis.BaseBackend, journals: Journals, ledger: str, columns: Sequence[str]
) -> list[ir.Table]:
    """Rows that are in a ledger's journals, as one table for each type that `features` has in them."""
    kinds: list[pa.DataType] = []
    for rows in _gathered(journals, ledger):
        day = pc.cast(rows.column("scored_at"), pa.date32())
        dated = rows.append_column(PARTITION, day).select(_needed(columns))
        kind = dated.schema.field("features").type
        if kind in kinds:
            connection.con.from_arrow(dated).insert_into(f"waiting_{kinds.index(kind)}")
        else:
            connection.con.from_arrow(dated).create(f"waiting_{len(kinds)}")
            kinds.append(kind)
    return [connection.table(f"waiting_{number}") for number in range(len(kinds))]


def _gathered(journals: Journals, ledger: str) -> Iterator[pa.Table]:
    """All rows in a ledger's journals, many small batches as few larger ones of one schema."""
    held: list[pa.RecordBatch] = []
    for backlog in journals.backlogs():
        ours = backlog.rows and backlog.ledger in ("", ledger)
        for batch in journals.read(backlog.journal, 0) if ours else ():
            full = sum(part.num_rows for part in held) + batch.num_rows > _WAITING_ROWS
            if held and (full or batch.schema != held[0].schema):
                yield pa.Table.from_batches(held)
                held = []
            held.append(batch)
    if held:
        yield pa.Table.from_batches(held)


def _needed(columns: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(["channel", "subject", "features", *_RANKED, *columns]))


def _pairs(tables: list[ir.Table], columns: Sequence[str], days: Days) -> ir.Table:
    """The query over the ledger and what waits in journals."""
    # Definitions change: each table may have features that another one lacks.
    types = {name: kind for table in tables for name, kind in table.features.type().items()}
    alike = [_within(_with_features(table.select(_needed(columns)), types), days) for table in tables]
    rows = [table.filter(table.channel == _LIVE) for table in alike]
    live = ibis.union(rows[0], *rows[1:]) if len(rows) > 1 else rows[0]
    batch = alike[0].filter(alike[0].channel == _BATCH)
    batch = batch.semi_join(live, "subject")
    left, right = (_packed(_latest(side), columns, name) for side, name in ((live, "live"), (batch, "batch")))
    # Not sorted: rows this wide take DuckDB far more memory to sort than all the rest.
    return left.join(right, "subject").select("subject", "live", "batch")


def _with_features(table: ir.Table, types: dict[str, ibis.DataType]) -> ir.Table:
    held = table.features.type().names
    fields = {name: table.features[name] if name in held else ibis.null(kind) for name, kind in types.items()}
    return table.mutate(features=ibis.struct(fields))


def _within(table: ir.Table, days: Days) -> ir.Table:
    day = table[PARTITION]
    table = table if days.first is None else table.filter(day >= days.first)
    return table if days.last is None else table.filter(day <= days.last)


def _latest(table: ir.Table) -> ir.Table:
    """One row a subject. Ranked, not aggregated: past memory, arg_max of structs takes DuckDB twice as long."""
    order = [ibis.desc(name) for name in _RANKED]
    ranked = table.mutate(place=ibis.row_number().over(group_by="subject", order_by=order))
    return ranked.filter(ranked.place == 0)


def _packed(table: ir.Table, columns: Sequence[str], name: str) -> ir.Table:
    return table.select("subject", **{name: ibis.struct({column: table[column] for column in columns})})
