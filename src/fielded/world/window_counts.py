"""Counts of the ledger's predictions on a profile's grids, day by day, by one grouped query.

1. Counted is what was given to somebody: no shadow, no probe; of batch runs only those that the caller names, for
   a day may have been scored several times; of the API every row. Rows that wait in a journal are not yet in the
   ledger, and are counted once they are drained.
2. The query is written once, in Ibis: DuckDB and PySpark run the same. Each row becomes a list of numbers, one for
   each column and each place that it is in; the numbers are counted by day. Only counts come back.
3. Memory has a bound, whatever the number of rows: the table is read a row group at a time, and there are no more
   groups than days x places x bins.
4. A feature that the ledger does not have yet counts as null, and so does a row from before it had it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.monitoring.grids import Parts
from fielded.decisions.monitoring.histograms import Grid, Histograms
from fielded.decisions.monitoring.profile import Profile
from fielded.decisions.rows import BATCH, PARTITION, UNCOUNTED
from fielded.definition.monitoring import SCORE
from fielded.definition.site import Site
from fielded.world.delta_reading import StreamedDataset, dataset_of
from fielded.world.engines.asking import query_errors, spilling
from fielded.world.tables import DeltaTables

_RESULT_ROWS = 131_072  # groups given back at once

_STEP = "Run `fielded audit verify`, or raise engine_memory_mib"


@dataclass(frozen=True, slots=True)
class CountSource:
    """Where predictions are counted.

    Attributes:
        tables: the site's tables.
        predictions: name of the ledger's table.
        site: memory before spilling, threads, and the folder to spill to.
    """

    tables: DeltaTables
    predictions: str
    site: Site


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which predictions count.

    Attributes:
        model_version: concrete version.
        artifact_sha256: of its files.
        first: day.
        last: day, inclusive.
        runs: ids of the batch runs that count; None takes all.
    """

    model_version: str
    artifact_sha256: str
    first: date
    last: date
    runs: AbstractSet[str] | None = None


def daily_counts(source: CountSource, profile: Profile, wanted: Wanted) -> dict[date, Histograms]:
    """Counts of each day that has rows, in the order of the days.

    Args:
        source: of the predictions.
        profile: of the version's files: grids and slices.
        wanted: which rows.

    Raises:
        Unreachable: the table cannot be read, or the query finds no room to spill to.
    """
    table = source.tables.find(source.predictions)
    if table is None:
        return {}
    with (
        query_errors(f"table {source.predictions}", failed="cannot be counted", step=_STEP),
        spilling(source.site, "counts-") as connection,
    ):
        connection.con.register("predictions", dataset_of(table, StreamedDataset))
        query = count_query(connection.table("predictions"), profile, wanted)
        # A relation streams; what Ibis itself offers goes through a result that DuckDB 2 holds whole.
        return collected(profile, connection.con.sql(connection.compile(query)).to_arrow_reader(_RESULT_ROWS))


def count_query(predictions: ir.Table, profile: Profile, wanted: Wanted) -> ir.Table:
    """The query: `day`, `code`, `rows`. See rule 2, and `collected` for what a code is.

    Args:
        predictions: a table of the ledger's predictions, in any of Ibis's engines.
        profile: grids and slices.
        wanted: which rows.
    """
    rows = _rows(predictions, wanted)
    values = {name: _value(rows, name) for name in profile.grids}
    bins = {name: _bin(values[name], grid) for name, grid in profile.grids.items()}
    parts = [profile.parts(name) for name in profile.slices]
    binned = rows.select(
        day=rows[PARTITION],
        codes=ibis.array([bins[name] + start for name, start in _starts(profile).items()]),
        places=ibis.array(list(_places(profile, parts, values, bins))),
    )
    by_place = binned.select("day", "codes", place=binned.places.unnest())
    by_code = by_place.select("day", "place", code=by_place.codes.unnest())
    coded = by_code.select("day", code=by_code.place * _width(profile) + by_code.code)
    return coded.group_by("day", "code").aggregate(rows=coded.count())


def collected(profile: Profile, found: Iterable[pa.RecordBatch]) -> dict[date, Histograms]:
    """What the query gave back, as counts of each day.

    A code is `place * width + start + bin`: the place's number among `Profile.places`, the bins of all columns
    together, the bins of the columns before this one, and the bin.

    Args:
        profile: that the query was made for.
        found: batches of `day`, `code` and `rows`.
    """
    width, places = _width(profile), list(profile.places())
    flat: dict[date, np.ndarray] = {}
    for batch in found:
        days = batch.column("day").cast(pa.date32())
        codes, rows = (batch.column(name).cast(pa.int64()).to_numpy() for name in ("code", "rows"))
        for day in days.unique().to_pylist():
            of_day = pc.equal(days, pa.scalar(day, pa.date32())).to_numpy(zero_copy_only=False)
            held = flat.setdefault(day, np.zeros(len(places) * width, dtype=np.int64))
            held[codes[of_day]] += rows[of_day]
    return {day: _unpacked(profile, flat[day].reshape(len(places), width)) for day in sorted(flat)}


def _unpacked(profile: Profile, flat: np.ndarray) -> Histograms:
    """Counts of one day: a row for each place, in it the bins of all columns."""
    starts = _starts(profile)
    counts = {
        place: MappingProxyType(
            {name: row[starts[name] : starts[name] + grid.bins] for name, grid in profile.grids.items()}
        )
        for place, row in zip(profile.places(), flat, strict=True)
        if row.any()
    }
    return Histograms(MappingProxyType(counts))


def _rows(predictions: ir.Table, wanted: Wanted) -> ir.Table:
    """The rows that count. See rule 1."""
    day = predictions[PARTITION]
    rows = predictions.filter(
        day >= wanted.first,
        day <= wanted.last,
        predictions.model_version == wanted.model_version,
        predictions.artifact_sha256 == wanted.artifact_sha256,
        predictions.channel.notin(UNCOUNTED),
    )
    if wanted.runs is None:
        return rows
    return rows.filter((rows.channel != BATCH) | rows.run_id.isin(sorted(wanted.runs)))


def _value(rows: ir.Table, name: str) -> ir.Value | None:
    """A column's values; None where the ledger has no such feature."""
    if name == SCORE:
        return rows.score
    return rows.features[name] if name in rows.features.type().names else None


def _bin(value: ir.Value | None, grid: Grid) -> ir.IntegerValue:
    """The bin of a value, as `Grid.place` has it."""
    null = grid.bins - 1
    if value is None:
        return ibis.literal(null)
    if grid.kind == "number":
        number = value.cast("float64")
        return ibis.ifelse(number.isnull() | number.isnan(), null, _between(number, grid.edges.tolist()))
    text = value.cast("string")
    if not grid.categories:
        return ibis.ifelse(text.isnull(), null, 0)
    known = [(text == category, place) for place, category in enumerate(grid.categories)]
    return ibis.cases((text.isnull(), null), *known, else_=len(grid.categories))


def _between(number: ir.FloatingValue, edges: Sequence[float], below: int = 0) -> ir.IntegerValue:
    """How many edges a number is not below, by halving: six comparisons for forty edges."""
    if not edges:
        return ibis.literal(below)
    middle = len(edges) // 2
    lower = _between(number, edges[:middle], below)
    upper = _between(number, edges[middle + 1 :], below + middle + 1)
    return ibis.ifelse(number < edges[middle], lower, upper)


def _places(
    profile: Profile,
    parts: Sequence[Parts],
    values: Mapping[str, ir.Value | None],
    bins: Mapping[str, ir.IntegerValue],
) -> Iterator[ir.IntegerValue]:
    """The numbers of all places that a row is in, as `Profile.places` counts them."""
    first = 1
    yield ibis.literal(0)
    for part in parts:
        name = part.column
        if profile.grids[name].kind == "category":
            yield bins[name] + first  # each bin is a part
        else:
            yield _bin(values[name], Grid(name, "number", np.array(part.cuts))) + first
        first += len(part.names)


def _starts(profile: Profile) -> dict[str, int]:
    """Bins of the columns before each column."""
    ends = np.cumsum([grid.bins for grid in profile.grids.values()])
    return {name: int(end) - grid.bins for (name, grid), end in zip(profile.grids.items(), ends, strict=True)}


def _width(profile: Profile) -> int:
    return sum(grid.bins for grid in profile.grids.values())
