"""Outcomes that are about to be loaded, on disk, and what DuckDB can say of them beside the ledger.

Memory has a bound whatever their number: they are written to a file of this machine as they come, and what DuckDB
sorts and joins goes to disk past the site's `engine_memory_mib`.

1. An outcome is matched where a score of its subject was given out before it became known. Scores in the shadow
   were not, nor were probes.
2. It is late where the subject's first score was then older than the definition's `monitoring.labels.maturity`.
3. It is a correction where it says something else than the one about the same subject that became known before it,
   in the ledger or among those that are loaded with it.
4. It is on record where the ledger's last word about the same subject at the same time is the same.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fielded.decisions.outcomes import OUTCOME
from fielded.decisions.rows import UNCOUNTED
from fielded.definition.site import Site
from fielded.words.errors import Unreachable
from fielded.world.delta_reading import StreamedDataset, dataset_of
from fielded.world.engines.settings import duckdb_settings
from fielded.world.score_moments import moment_of

_BATCH_ROWS = 131_072
_STAGED, _FRESH = "staged", "fresh"


@dataclass(frozen=True, slots=True)
class Matches:
    """What outcomes are about; see the rules.

    Attributes:
        rows: how many.
        matched: about a subject that was scored before.
        corrected: that say something else than before.
        late: of the matched, those that came later than the definition expects.
    """

    rows: int
    matched: int
    corrected: int
    late: int


class StagedOutcomes:
    """See the module. Made by `staged`."""

    def __init__(self, connection: ibis.BaseBackend) -> None:
        self._connection = connection
        self._held = False

    def contradictions(self) -> int:
        """How often a subject has both labels at one time."""
        rows = self._connection.table(_STAGED)
        said = rows.group_by("subject", "known_at").aggregate(labels=rows.label.nunique())
        return self._number(said.filter(said.labels > 1).count())

    def hold(self, outcomes: DeltaTable | None, before: datetime, source_sha256: str) -> None:
        """Look at the ledger's outcomes that were loaded up to a moment (UTC), but for those of this source."""
        if outcomes is None:
            return
        self._register("outcomes", outcomes)
        told = self._connection.table("outcomes")
        told = told.filter(told.loaded_at <= before, told.source_sha256 != source_sha256)
        told = told.semi_join(self._connection.table(_STAGED), "subject")
        self._keep("told", told.select(*OUTCOME.names, "loaded_at"))
        self._held = True

    def choose(self, *, new_only: bool) -> None:
        """Say which rows are to be loaded: all of them, or only those that are not on record."""
        rows = self._connection.table(_STAGED)
        if new_only:
            rows = rows.distinct()
            if self._held:
                told = self._connection.table("told")
                order = ibis.row_number().over(group_by=["subject", "known_at"], order_by=ibis.desc("loaded_at"))
                last = told.mutate(place=order)
                rows = rows.anti_join(last.filter(last.place == 0), ["subject", "known_at", "label"])
        self._keep(_FRESH, rows)

    def matches(self, predictions: DeltaTable | None, before: datetime, maturity: timedelta) -> Matches:
        """What the chosen rows are about.

        Args:
            predictions: the ledger's; None where there are none yet.
            before: when the rows are, or were, loaded; UTC.
            maturity: see rule 2.
        """
        rows = self._connection.table(_FRESH)
        matched = late = 0
        if predictions is not None:
            self._register("predictions", predictions)
            first = _first_scores(self._connection.table("predictions"), rows)
            both = rows.inner_join(first, "subject")
            known = both.known_at.cast("timestamp")
            both = both.filter(both.first < known)
            after = both.first + ibis.interval(seconds=int(maturity.total_seconds()))
            counted = both.aggregate(matched=both.count(), late=(both.known_at.cast("timestamp") > after).sum())
            ((matched, late),) = self._rows(counted)
        return Matches(self._number(rows.count()), matched, self._corrections(rows, before), late or 0)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The chosen rows, of schema `OUTCOME`."""
        with _errors():
            for batch in self._relation(self._connection.table(_FRESH)).to_arrow_reader(_BATCH_ROWS):
                yield batch.cast(OUTCOME)

    def _corrections(self, rows: ir.Table, before: datetime) -> int:
        moment = ibis.literal(before).cast("timestamp('UTC', 6)")
        spoken = rows.mutate(loaded_at=moment, ours=ibis.literal(True))
        if self._held:
            told = self._connection.table("told")
            spoken = ibis.union(spoken, told.mutate(ours=ibis.literal(False)).select(spoken.columns))
        previous = spoken.label.lag().over(group_by="subject", order_by=["known_at", "loaded_at", "ours"])
        ordered = spoken.mutate(previous=previous)
        return self._number(ordered.filter(ordered.ours, ordered.previous != ordered.label).count())

    def _register(self, name: str, table: DeltaTable) -> None:
        with _errors():
            self._connection.con.register(name, dataset_of(table, StreamedDataset))

    def _keep(self, name: str, expression: ir.Table) -> None:
        with _errors():
            self._connection.con.execute(f"CREATE TABLE {name} AS {self._connection.compile(expression)}")

    def _relation(self, expression: ir.Expr) -> duckdb.DuckDBPyRelation:
        return self._connection.con.sql(self._connection.compile(expression))

    def _rows(self, expression: ir.Expr) -> list[tuple[int, ...]]:
        with _errors():
            return [tuple(row) for row in self._relation(expression).fetchall()]

    def _number(self, expression: ir.Expr) -> int:
        return self._rows(expression)[0][0]


@contextmanager
def staged(site: Site, batches: Iterable[pa.RecordBatch]) -> Iterator[StagedOutcomes]:
    """Write outcomes to a file that is gone afterwards, and open it.

    Args:
        site: memory before spilling, threads, and the folder to spill to.
        batches: of schema `OUTCOME`; read to their end before anything else happens.

    Raises:
        Unreachable: there is no room on disk, or a table cannot be read.
    """
    spill = site.cache / "spill"
    with _no_room():
        spill.mkdir(parents=True, exist_ok=True)
        scratch = TemporaryDirectory(dir=spill, prefix="outcomes-")
    with scratch:
        path = Path(scratch.name) / "staged.parquet"
        with _no_room(), pq.ParquetWriter(path, OUTCOME, compression="zstd", compression_level=1) as writer:
            for batch in batches:
                writer.write_batch(batch)
        connection = ibis.duckdb.connect(**duckdb_settings(site, Path(scratch.name)))
        try:
            connection.read_parquet(str(path), table_name=_STAGED)
            yield StagedOutcomes(connection)
        finally:
            connection.disconnect()


@contextmanager
def _no_room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Unreachable(f"cache: outcomes cannot be kept there ({reason})") from None


def _first_scores(predictions: ir.Table, rows: ir.Table) -> ir.Table:
    """When each subject of some rows was scored first."""
    told = predictions.filter(predictions.channel.notin(UNCOUNTED))
    made = told.select("subject", moment=moment_of(told)).semi_join(rows, "subject")
    return made.group_by("subject").aggregate(first=made.moment.min())


@contextmanager
def _errors() -> Iterator[None]:
    """What DuckDB said, without the values that may stand in it."""
    try:
        yield
    except DeltaError as error:
        raise Unreachable(f"outcomes: a table cannot be read ({str(error).splitlines()[0]})") from error
    except (duckdb.Error, pa.ArrowInvalid) as error:
        reason = str(error).partition(":")[0].strip()
        if reason == "Out of Memory Error":
            raise Unreachable(
                "outcomes: the query needs more than engine_memory_mib and cannot spill. Raise it in site.yaml"
            ) from error
        raise Unreachable(f"outcomes: a table cannot be read ({reason})") from error
