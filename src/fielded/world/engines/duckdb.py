"""DuckDB in this process, over Delta tables read through deltalake's dataset.

Filters and columns are pushed down into the dataset. DuckDB's own Delta reader is an extension that it would
download, so it is never asked; its automatic installation of extensions is switched off.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake.exceptions import DeltaError

from fielded.decisions.conversion import unpacked
from fielded.definition.site import Site
from fielded.words.errors import DefinitionError, Finding, Unreachable
from fielded.world.delta_reading import StreamedDataset, dataset_of
from fielded.world.engines.population import PopulationFunction, build
from fielded.world.engines.port import OpenPopulation, Size
from fielded.world.engines.repeats import Repeats
from fielded.world.engines.settings import duckdb_settings
from fielded.world.tables import TableVersion

_MARKS = 262_144  # marks of subjects looked at together

# How DuckDB's messages begin or read. Those about a query name columns; any other may hold a row's values.
_ABOUT_THE_QUERY = ("Binder Error", "Catalog Error", "Parser Error", "Not implemented Error")
_TABLE_FAILED = "reading the stream registered as"


class DuckDBEngine:
    """The embedded engine.

    Args:
        site: memory before spilling, threads, and the folder to spill to.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._scratch = site.cache / "spill"

    @contextmanager
    def open(
        self, function: PopulationFunction, tables: Mapping[str, TableVersion], as_of: date
    ) -> Iterator[OpenPopulation]:
        """See `Engine.open`."""
        connection = self._connect(self._scratch)
        try:
            named = {}
            for name, version in tables.items():
                connection.con.register(name, _dataset(version))
                named[name] = connection.table(name)
            yield _DuckDBPopulation(connection, build(function, named, as_of), self._scratch)
        finally:
            connection.disconnect()

    def _connect(self, scratch: Path) -> ibis.BaseBackend:
        scratch.mkdir(parents=True, exist_ok=True)
        return ibis.duckdb.connect(**duckdb_settings(self._site, scratch))


class _DuckDBPopulation:
    def __init__(self, connection: ibis.BaseBackend, expression: ir.Table, scratch: Path) -> None:
        self._connection = connection
        self._scratch = scratch
        self._expression = expression

    @property
    def schema(self) -> pa.Schema:
        return self._expression.schema().to_pyarrow()

    def size(self, subject: str) -> Size:
        column = self._expression[subject]
        marked = self._expression.select(subject=column, mark=column.hash())
        marks = marked.select(mark=ibis.ifelse(marked.subject.notnull(), marked.mark, ibis.null()))
        rows = 0
        with _query_errors(), Repeats(self._scratch) as repeats:
            for batch in self._run(marks).to_arrow_reader(_MARKS):
                rows += batch.num_rows
                repeats.add(batch.column(0).drop_null().to_numpy())
            twice = pa.array(repeats.found())
            if not len(twice):
                return Size(rows, pa.array([], pa.string()))
            # Two subjects may share a mark, so the few that do are counted by name.
            suspects = [
                # Written as text by Arrow, as the rules write it: DuckDB's 7.0 is Arrow's 7.
                pc.cast(unpacked(batch.column("subject")), pa.string()).filter(
                    pc.is_in(batch.column("mark"), value_set=twice)
                )
                for batch in self._run(marked).to_arrow_reader(_MARKS)
            ]
        counts = pc.value_counts(pa.chunked_array(suspects, pa.string()).drop_null())
        repeated = pc.greater(counts.field("counts"), 1)
        return Size(rows, counts.field("values").filter(repeated))

    def batches(self, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        with _query_errors():
            yield from self._run(self._expression.select(columns)).to_arrow_reader(rows)

    def _run(self, expression: ir.Table) -> duckdb.DuckDBPyRelation:
        # A relation streams; what Ibis itself offers goes through a result that DuckDB 2 holds whole.
        return self._connection.con.sql(self._connection.compile(expression))


def _dataset(version: TableVersion) -> ds.Dataset:
    try:
        return dataset_of(version.table, StreamedDataset)
    except DeltaError as error:
        reason = str(error).splitlines()[0]
        raise Unreachable(f"table {version.name}: cannot be read by this engine ({reason})") from error


@contextmanager
def _query_errors() -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, OSError, pa.ArrowInvalid) as error:  # in the middle of a stream Arrow passes them on
        raise _translated(error) from error


def _translated(error: Exception) -> DefinitionError | Unreachable:
    """What DuckDB said, without the values that stand in errors about values."""
    if isinstance(error, OSError) and error.errno is not None:
        return Unreachable(f"population: {error.strerror}")
    line = next(iter(str(error).splitlines()), "")
    kind = line.partition(":")[0]
    if kind == "Out of Memory Error":
        return Unreachable(
            "population: the query needs more than engine_memory_mib and cannot spill. Raise it in site.yaml"
        )
    if kind == "IO Error" or _TABLE_FAILED in line:
        return Unreachable(f"population: {line}")
    if kind in _ABOUT_THE_QUERY:
        return DefinitionError([Finding("population", "query", line, "a query that DuckDB can run")])
    step = "A value of its tables does not fit; it is not repeated here. `try_cast` gives null for such values"
    return DefinitionError([Finding("population", "query", kind, "a query that runs on every row", step)])
