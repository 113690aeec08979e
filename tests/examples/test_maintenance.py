"""The made-up work orders: seeded, faulty like real ones, and without a look into the future."""

import runpy
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from fielded.definition import load_deployment, load_site
from fielded.world.engines import load_population
from fielded.world.engines.duckdb import DuckDBEngine
from fielded.world.tables import DeltaTables

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "maintenance_overrun"
AS_OF = date(2026, 3, 31)
make = runpy.run_path(str(EXAMPLE / "make_data.py"))["make"]
DEPLOYMENT = load_deployment(EXAMPLE)
ORDERS = DEPLOYMENT.population.tables["work_orders"]


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    site = load_site({}, tmp_path)
    tables = DeltaTables(site)
    make(tables.uri, seed=5, as_of=AS_OF, open_orders=3000, history_orders=4000)
    return tables


def population(tables: DeltaTables, tmp_path: Path, day: date) -> pa.Table:
    inputs = {name: tables.pin(table) for name, table in DEPLOYMENT.population.tables.items()}
    with DuckDBEngine(load_site({}, tmp_path)).open(load_population(DEPLOYMENT), inputs, day) as found:
        columns = [DEPLOYMENT.subject, *DEPLOYMENT.features]
        schema = pa.schema([found.schema.field(name) for name in columns])
        return pa.Table.from_batches([b.cast(schema) for b in found.batches(columns, 1000)], schema)


def test_the_same_seed_makes_the_same_rows(tables: DeltaTables, tmp_path: Path) -> None:
    again = DeltaTables(load_site({}, tmp_path / "again"))
    make(again.uri, seed=5, as_of=AS_OF, open_orders=3000, history_orders=4000)
    assert tables.open(ORDERS).to_pyarrow_table().equals(again.open(ORDERS).to_pyarrow_table())


def test_as_many_orders_are_open_as_were_asked_for_and_some_ships_are_not_registered(
    tables: DeltaTables, tmp_path: Path
) -> None:
    found = population(tables, tmp_path, AS_OF)
    assert found.num_rows == 3000
    assert 0 < found.column("ship_age_years").null_count < 600


def test_a_past_day_does_not_change_when_later_completions_become_known(
    tables: DeltaTables, tmp_path: Path
) -> None:
    past = AS_OF - timedelta(days=60)
    before = population(tables, tmp_path, past).sort_by(DEPLOYMENT.subject)
    orders = tables.open(ORDERS).to_pyarrow_table()
    column = orders.column("completed_on").combine_chunks()
    known = [AS_OF if value is None else value for value in column.to_pylist()]
    changed = orders.set_column(orders.schema.get_field_index("completed_on"), "completed_on", pa.array(known))
    write_deltalake(tables.uri(ORDERS), changed, mode="overwrite")
    assert population(tables, tmp_path, past).sort_by(DEPLOYMENT.subject).equals(before)
    assert DeltaTable(tables.uri(ORDERS)).version() == 1
    assert population(tables, tmp_path, AS_OF).num_rows == 0, "today all of them are completed"
