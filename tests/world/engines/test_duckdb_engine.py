"""Population queries on real Delta tables, in bounded batches, without a network."""

import functools
import inspect
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from ibis import _

from conftest import NOWHERE
from fielded.decisions.columns import check_columns
from fielded.decisions.rules import Rules
from fielded.definition import Deployment, Site, load_deployment
from fielded.definition.deployment import Feature
from fielded.words.errors import DefinitionError, Unreachable
from fielded.world.engines import duckdb as engine_module
from fielded.world.engines import load_population
from fielded.world.engines.duckdb import DuckDBEngine
from fielded.world.engines.repeats import Repeats
from fielded.world.tables import DeltaTables

DAY = date(2026, 3, 2)
Query = Callable[[Any, date], Any]


class Bench:
    """An engine over one table `orders`."""

    def __init__(self, folder: Path, **settings: int) -> None:
        root = folder / "engine"  # beside the tables of `world`, which may share the folder
        root.mkdir()
        self.cache = folder / "engine-cache"
        self.site = Site(
            root=str(root), tracking_uri="none", artifact_root="none", cache=self.cache,
            **NOWHERE, **settings,
        )  # fmt: skip
        self.tables = DeltaTables(self.site)
        self.engine = DuckDBEngine(self.site)

    def write(self, **columns: Any) -> None:
        uri = self.tables.uri("silver.orders")
        write_deltalake(uri, pa.table(columns), mode="overwrite", schema_mode="overwrite")

    def open(self, query: Query) -> Any:
        return self.engine.open(query, {"orders": self.tables.pin("silver.orders")}, DAY)

    def read(self, query: Query, rows: int = 100) -> list[dict[str, Any]]:
        with self.open(query) as population:
            return [
                row for batch in population.batches(population.schema.names, rows) for row in batch.to_pylist()
            ]

    def duplicates(self, query: Query = lambda tables, _day: tables.orders) -> list[str]:
        with self.open(query) as population:
            return sorted(population.size("subject").duplicates.to_pylist())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.write(subject=[f"s{number}" for number in range(10)], hours=[float(number) for number in range(10)])
    return made


class TestSize:
    @pytest.mark.parametrize(
        ("column", "twice"),
        [
            (pa.array(["a", "b", "b", "c", "b", None, None, ""]), ["b"]),
            (pa.array([1, -2, -2, None, None, 2**62, 2**62, -1]), ["-2", str(2**62)]),
            (pa.array([1, 1, 2], pa.int8()), ["1"]),
            (pa.array(["", "", "x"]), [""]),
            (pa.array([None, None], pa.string()), []),
            (pa.array(["a", "A", "a ", "ä", "a\u0308"]), []),
            (pa.array([date(2026, 3, 2)] * 2), ["2026-03-02"]),
        ],
        ids=["text", "int64", "int8", "empty text", "only null", "nearly alike", "date"],
    )
    def test_finds_exactly_the_duplicates(self, bench: Bench, column: pa.Array, twice: list[str]) -> None:
        bench.write(subject=column)
        with bench.open(lambda tables, _day: tables.orders) as population:
            size = population.size("subject")
        assert size.rows == len(column)
        assert sorted(size.duplicates.to_pylist()) == twice

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([7.0, 7.0, 2.5, 2.5, 3e20, 3e20, 1.0]),
            pa.array([datetime(2026, 3, 2, 1, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC")),
            pa.array([10, 10, 11]),
            pa.array(["x", "x", None]),
        ],
        ids=["float", "timestamp", "int", "text"],
    )
    def test_the_rules_know_a_duplicate_again_whatever_its_type(self, bench: Bench, column: pa.Array) -> None:
        """Both write a subject as text; were the texts different, both of two rows would be scored."""
        bench.write(subject=column, hours=[1.0] * len(column))
        with bench.open(lambda tables, _day: tables.orders) as population:
            rules = Rules("subject", {"hours": Feature(type="float")}, population.size("subject").duplicates)
            parted = [rules.apply(batch) for batch in population.batches(["subject", "hours"], 100)]
        counts = Counter(column.to_pylist())
        once = sum(times == 1 and value is not None for value, times in counts.items())
        assert sum(item.features.num_rows for item in parted) == once

    def test_finds_them_among_more_rows_than_memory_holds(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine_module, "Repeats", functools.partial(Repeats, held=1000))
        monkeypatch.setattr(engine_module, "_MARKS", 256)
        numbers = [*range(20_000), *range(0, 20_000, 97)]
        random.Random(1).shuffle(numbers)
        wanted = sorted(str(number) for number in range(0, 20_000, 97))
        bench.write(subject=numbers)
        assert bench.duplicates() == wanted
        bench.write(subject=[str(number) for number in numbers])
        assert bench.duplicates() == wanted
        assert list((bench.cache / "spill").glob("repeats-*")) == []

    def test_two_subjects_of_one_mark_are_told_apart(self, bench: Bench) -> None:
        class Blunt(Repeats):
            """Calls every mark a repeat, as if all subjects had collided."""

            def add(self, marks: Any) -> None:
                super().add(marks)
                super().add(marks)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine_module, "Repeats", Blunt)
            bench.write(subject=["a", "b", "c", "b"])
            assert bench.duplicates() == ["b"]

    def test_an_empty_population_has_none(self, bench: Bench) -> None:
        with bench.open(lambda tables, _day: tables.orders.filter(ibis.literal(False))) as population:
            size = population.size("subject")
            assert (size.rows, len(size.duplicates)) == (0, 0)
            assert list(population.batches(["subject"], 10)) == []


class TestBatches:
    def test_are_no_larger_than_asked_and_lose_nothing(self, bench: Bench) -> None:
        bench.write(subject=list(range(50_000)), hours=[0.5] * 50_000)
        with bench.open(lambda tables, _day: tables.orders) as population:
            batches = list(population.batches(["hours", "subject"], 700))
        assert max(batch.num_rows for batch in batches) <= 700
        assert batches[0].schema.names == ["hours", "subject"]
        assert sorted(number for batch in batches for number in batch.column("subject").to_pylist()) == list(
            range(50_000)
        )

    def test_are_made_as_they_are_asked_for(self, bench: Bench) -> None:
        bench.write(subject=pa.array([], pa.int64()), text=pa.array([], pa.string()))
        for first in range(0, 1_000_000, 100_000):
            rows = pa.table({"subject": range(first, first + 100_000), "text": ["x" * 40] * 100_000})
            write_deltalake(bench.tables.uri("silver.orders"), rows, mode="append")
        with bench.open(lambda tables, _day: tables.orders) as population:
            before = pa.total_allocated_bytes()
            batches = population.batches(["subject", "text"], 1000)
            next(batches)
            held = pa.total_allocated_bytes() - before
            batches.close()
        assert held < 30_000_000  # of 52 million

    def test_the_query_reads_the_pinned_version(self, bench: Bench) -> None:
        pinned = {"orders": bench.tables.pin("silver.orders")}
        bench.write(subject=["later"], hours=[0.0])
        with bench.engine.open(lambda tables, _day: tables.orders, pinned, DAY) as population:
            assert population.size("subject").rows == 10

    def test_the_day_is_passed_in(self, bench: Bench) -> None:
        bench.write(subject=["a", "b"], on=[date(2026, 3, 2), date(2026, 3, 3)])
        found = bench.read(lambda tables, as_of: tables.orders.filter(_.on <= as_of))
        assert [row["subject"] for row in found] == ["a"]

    def test_filters_on_columns_of_unknown_range_lose_no_row(self, bench: Bench) -> None:
        bench.write(subject=["a", "b", "c"], open=[True, False, None])
        assert [row["subject"] for row in bench.read(lambda tables, _day: tables.orders.filter("open"))] == ["a"]


REFUSED: dict[str, tuple[Query, str]] = {
    "now": (lambda tables, _day: tables.orders.mutate(at=ibis.now()), "TimestampNow"),
    "today": (lambda tables, _day: tables.orders.filter(ibis.today() > date(2026, 1, 1)), "DateNow"),
    "random": (lambda tables, _day: tables.orders.filter(ibis.random() < 0.5), "RandomScalar"),
    "order by random": (lambda tables, _day: tables.orders.order_by(ibis.random()).limit(3), "RandomScalar"),
    "uuid": (lambda tables, _day: tables.orders.mutate(key=ibis.uuid()), "RandomUUID"),
    "sample": (lambda tables, _day: tables.orders.sample(0.5), "Sample"),
    "no table": (lambda tables, _day: tables.orders.hours, "FloatingColumn"),
    "nothing": (lambda *_: None, "NoneType"),
    "absent column": (lambda tables, _day: tables.orders.select("subject", "crew"), "crew"),
    "absent table": (lambda tables, _day: tables.ships, "ships"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_query_that_cannot_be_repeated_or_is_none_is_refused(bench: Bench, case: str) -> None:
    query, named = REFUSED[case]
    with pytest.raises(DefinitionError) as caught, bench.open(query):
        pytest.fail("was opened")
    assert named in str(caught.value)
    assert "population.query" in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_the_population_lacks_is_a_definition_error_naming_every_column(bench: Bench, world: Any) -> None:
    deployment = world.define()
    bench.write(order_id=["a"], hours=[1.0], kind=[date(2026, 3, 2)])
    with bench.open(lambda tables, _day: tables.orders) as population, pytest.raises(DefinitionError) as caught:
        check_columns(deployment, population.schema)
    fields = {finding.field for finding in caught.value.findings}
    assert fields == {"age", "earlier", "month", "kind"}


class TestQueriesThatFailWhileTheyRun:
    @pytest.mark.parametrize("rows", [10, 200_000], ids=["at once", "in the middle"])
    def test_a_value_that_does_not_fit_is_a_definition_error_without_the_value(
        self, bench: Bench, rows: int
    ) -> None:
        bench.write(subject=[*map(str, range(rows)), "123-45-6789"])
        with pytest.raises(DefinitionError) as caught:
            bench.read(lambda tables, _day: tables.orders.mutate(number=_.subject.cast("int64")), 1000)
        assert "Conversion Error" in str(caught.value)
        assert "6789" not in str(caught.value)

    def test_a_data_file_that_is_gone_is_unreachable_and_names_the_table(self, bench: Bench) -> None:
        pinned = {"orders": bench.tables.pin("silver.orders")}
        for uri in pinned["orders"].table.file_uris():
            Path(uri).unlink()
        with bench.engine.open(lambda tables, _day: tables.orders, pinned, DAY) as population:
            with pytest.raises(Unreachable, match="'orders'"):
                population.size("subject")
            with pytest.raises(Unreachable, match="'orders'"):
                list(population.batches(["subject"], 10))

    def test_too_little_memory_is_unreachable_and_names_the_setting(self, tmp_path: Path) -> None:
        small = Bench(tmp_path, engine_memory_mib=64)
        small.write(subject=list(range(200_000)))

        def hungry(tables: Any, _day: date) -> Any:
            return tables.orders.aggregate(subject=tables.orders.subject.cast("string").repeat(200).collect())

        with pytest.raises(Unreachable, match="engine_memory_mib"):
            small.read(hungry)


class TestNothingIsFetched:
    def test_no_extension_is_installed_or_loaded_by_itself(self, bench: Bench) -> None:
        with bench.open(lambda tables, _day: tables.orders) as population:
            connection = population._connection.con
            list(population.batches(["subject"], 10))
            for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):
                assert connection.sql(f"select current_setting('{setting}')").fetchall() == [(False,)]
            brought = (
                "select extension_name from duckdb_extensions() where loaded and install_mode not like 'STATIC%'"
            )
            assert connection.sql(brought).fetchall() == []

    @pytest.mark.parametrize("source", ["delta_scan('/nowhere')", "'https://example.invalid/x.parquet'"])
    def test_what_would_need_one_fails_at_once(self, bench: Bench, source: str) -> None:
        with bench.open(lambda tables, _day: tables.orders) as population:
            connection = population._connection.con
            with pytest.raises(duckdb.Error, match="extension"):
                connection.sql(f"select * from {source}")

    def test_a_population_is_read_without_opening_a_socket(self, bench: Bench) -> None:
        opened: list[str] = []
        watching = threading.Event()

        def hook(event: str, _arguments: Any) -> None:
            if watching.is_set() and event.startswith("socket.connect"):
                opened.append(event)

        sys.addaudithook(hook)
        watching.set()
        try:
            assert len(bench.read(lambda tables, _day: tables.orders)) == 10
        finally:
            watching.clear()
        assert opened == []


class TestLoadPopulation:
    @pytest.fixture
    def deployment(self, world: Any) -> Callable[[str], Deployment]:
        def define(text: str) -> Deployment:
            world.define()
            (world.folder / "population.py").write_text(text)
            return load_deployment(world.folder)

        return define

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("def pending(tables, as_of:\n", "SyntaxError"),
            ("import no_such_module_anywhere\n", "no_such_module_anywhere"),
            ("raise RuntimeError('at import')\n", "RuntimeError"),
            ("def other(tables, as_of):\n    return tables.orders\n", "no function pending"),
            ("pending = 3\n", "no function pending"),
        ],
        ids=["syntax", "import", "raises", "other name", "no function"],
    )
    def test_a_file_that_gives_no_function_is_named(
        self, deployment: Callable[[str], Deployment], text: str, named: str
    ) -> None:
        with pytest.raises(DefinitionError) as caught:
            load_population(deployment(text))
        assert "population.py" in str(caught.value)
        assert named in str(caught.value)

    def test_gives_the_function_that_the_definition_names(self, deployment: Callable[[str], Deployment]) -> None:
        function = load_population(deployment("def pending(tables, as_of):\n    return tables.orders\n"))
        assert function.__name__ == "pending"
        assert list(inspect.signature(function).parameters) == ["tables", "as_of"]

    def test_two_deployments_do_not_share_a_module(self, deployment: Callable[[str], Deployment]) -> None:
        one = load_population(deployment("def pending(tables, as_of):\n    return 1\n"))
        two = load_population(deployment("def pending(tables, as_of):\n    return 2\n"))
        assert (one(None, DAY), two(None, DAY)) == (1, 2)
