"""What each day's scores came to (rows, flags, reviews, sums of the score), by one grouped query.

The same rows are looked at as in `world.window_counts`: one version's, those of the batch run that counts of their
day and all live ones, no shadows and no probes. A slice's parts are the profile's; without a profile they are the
values of its categories and truth values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

import ibis
import ibis.expr.types as ir

from fielded.decisions.measuring.slices import MOST_PARTS
from fielded.decisions.monitoring.grids import Parts
from fielded.decisions.monitoring.histograms import NULL, OVERALL, Place
from fielded.decisions.monitoring.instances import part_named
from fielded.decisions.monitoring.measure import Tally
from fielded.decisions.monitoring.profile import Profile
from fielded.decisions.rows import PARTITION, UNCOUNTED
from fielded.definition.deployment import Deployment
from fielded.world.counted_runs import counted_runs
from fielded.world.delta_reading import StreamedDataset, dataset_of
from fielded.world.engines.asking import needs_more, query_errors, spilling
from fielded.world.workplace import Workplace

_BATCH_ROWS = 16_384
_BY_VALUE = frozenset({"category", "bool"})
_SUMS = ("rows", "flagged", "review", "score", "squares")


@dataclass(frozen=True, slots=True)
class Tallies:
    """What was found.

    Attributes:
        daily: day -> place -> what its scores came to; days without rows are not there.
        last_scored_at: of the newest row, UTC; None without rows.
        notes: slices that were left out, and why.
    """

    daily: Mapping[date, Mapping[Place, Tally]]
    last_scored_at: datetime | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TallyOf:
    """Which rows are tallied.

    Attributes:
        version: of the deployment's model.
        sha256: of its files.
        first: day.
        last: day, inclusive.
        profile: of the version; None where it has none.
    """

    version: str
    sha256: str
    first: date
    last: date
    profile: Profile | None


def daily_tallies(workplace: Workplace, wanted: TallyOf) -> Tallies:
    """Tallies of each day that has rows, overall and by slice.

    Raises:
        Unreachable: the table cannot be read, or the query finds no room to spill to.
    """
    table = workplace.tables.find(workplace.ledger.predictions)
    if table is None:
        return Tallies(MappingProxyType({}), None, ())
    with (
        query_errors(f"table {workplace.ledger.predictions}", needs_more("monitor")),
        spilling(workplace.site, "tallies-") as connection,
    ):
        connection.con.register("ledger", dataset_of(table, StreamedDataset))
        runs = list(counted_runs(table, wanted.first, wanted.last).values())
        rows = _rows(connection.table("ledger"), workplace.deployment, wanted, runs)
        slices, notes = _slices(workplace.deployment, wanted.profile)
        found = _grouped(rows, slices, wanted.profile)
        reader = connection.con.sql(connection.compile(found)).to_arrow_reader(_BATCH_ROWS)
        return _read((row for batch in reader for row in batch.to_pylist()), slices, wanted.profile, notes)


def _rows(ledger: ir.Table, deployment: Deployment, wanted: TallyOf, runs: list[str]) -> ir.Table:
    live, day = ledger.run_id.isnull(), ledger[PARTITION]
    return ledger.filter(
        day >= wanted.first,
        day <= wanted.last,
        ledger.model_name == deployment.model.name,
        ledger.model_version == wanted.version,
        ledger.artifact_sha256 == wanted.sha256,
        ledger.channel.notin(UNCOUNTED),
        (live | ledger.run_id.isin(runs)) if runs else live,
    )


def _slices(deployment: Deployment, profile: Profile | None) -> tuple[list[str], list[str]]:
    """Slices that have parts, and why others have none."""
    held = () if profile is None else profile.slices
    known = [name for name in deployment.slices if name in held or deployment.features[name].type in _BY_VALUE]
    notes = [
        f"slice {name}: got numbers without a profile to cut them, expected one. It is left out of flag rates and "
        "mean scores"
        for name in deployment.slices
        if name not in known
    ]
    return known, notes


def _grouped(rows: ir.Table, slices: list[str], profile: Profile | None) -> ir.Table:
    """One row for each day and place. A place is the slice's number and the part, as one text; `-` is all rows."""
    keys = [ibis.literal("-"), *(_key(rows, number, name, profile) for number, name in enumerate(slices))]
    needed = rows.select(
        "scored_at",
        "score",
        day=rows[PARTITION],
        flagged=rows.flag.cast("int64"),
        review=(rows.decision == "review").cast("int64"),
        place=ibis.array(keys).unnest(),
    )
    return needed.group_by("day", "place").aggregate(
        rows=needed.count(),
        flagged=needed.flagged.sum(),
        review=needed.review.sum(),
        score=needed.score.sum(),
        squares=(needed.score * needed.score).sum(),
        newest=needed.scored_at.max(),
    )


def _key(rows: ir.Table, number: int, name: str, profile: Profile | None) -> ir.Value:
    """`NUMBER=VALUE` of a category, `NUMBER#PART` of a number that the profile cuts, `NUMBER` of a null."""
    nothing = ibis.literal(str(number))
    if name not in rows.features.type().names:
        return nothing
    value = rows.features[name]
    if profile is None or name not in profile.slices or profile.grids[name].kind == "category":
        return ibis.ifelse(value.notnull(), ibis.literal(f"{number}=") + value.cast("string"), nothing)
    amount = value.cast("float64")
    part = _part(amount, profile.parts(name))
    known = amount.notnull() & ~amount.isnan()
    return ibis.ifelse(known, ibis.literal(f"{number}#") + part.cast("string"), nothing)


def _part(value: ir.Value, parts: Parts) -> ir.Value:
    """How many cuts are not above a value: its part's place."""
    place = ibis.literal(0, "int64")
    for cut in parts.cuts:
        place += (value >= cut).cast("int64")
    return place


def _read(
    rows: Iterator[Mapping[str, Any]], slices: list[str], profile: Profile | None, notes: list[str]
) -> Tallies:
    daily: dict[date, dict[Place, Tally]] = {}
    newest: datetime | None = None
    for row in rows:
        place = _place(str(row["place"]), slices, profile)
        # DuckDB adds whole numbers up in 128 bits, which come as Decimal.
        counts = (int(row[name]) for name in _SUMS[:3])
        tally = Tally(*counts, *(float(row[name]) for name in _SUMS[3:]))
        held = daily.setdefault(row["day"], {})
        held[place] = held[place] + tally if place in held else tally
        if place == OVERALL:
            newest = max(row["newest"], newest or row["newest"])
    many = _too_many(daily)
    kept = {
        day: MappingProxyType({place: tally for place, tally in held.items() if place.column not in many})
        for day, held in sorted(daily.items())
    }
    left_out = (
        f"slice {name}: got more than {MOST_PARTS} values, expected groups. It is left out"
        for name in sorted(many)
    )
    return Tallies(MappingProxyType(kept), newest, (*notes, *left_out))


def _place(key: str, slices: list[str], profile: Profile | None) -> Place:
    if key == "-":
        return OVERALL
    if "=" not in key and "#" not in key:
        return Place(slices[int(key)], NULL)
    sign = min((sign for sign in "=#" if sign in key), key=key.index)
    number, _, rest = key.partition(sign)
    column = slices[int(number)]
    if sign == "#" and profile is not None:
        return Place(column, profile.parts(column).names[int(rest)])
    known = profile.grids[column].categories if profile is not None and column in profile.slices else None
    return Place(column, part_named(rest, known))


def _too_many(daily: Mapping[date, Mapping[Place, Tally]]) -> set[str]:
    parts: dict[str, set[str]] = {}
    for held in daily.values():
        for place in held:
            parts.setdefault(place.column, set()).add(place.part)
    return {column for column, names in parts.items() if column and len(names) > MOST_PARTS}
