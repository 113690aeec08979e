"""Everything that is wrong is said, all at once, and nothing is written."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from books import tables_bytes
from conftest import DAY, DEFINITION, POPULATION, Spare, Store, World, make_orders
from fielded.services.check import Check, check

NAMES = ["definition", "people", "model", "tables", "population"]


def _check(world: World) -> dict[str, Check]:
    before = tables_bytes(world)
    checks = check(world.open(), DAY)
    assert [item.name for item in checks] == NAMES
    assert tables_bytes(world) == before
    return {item.name: item for item in checks}


def _failed(checks: dict[str, Check]) -> set[str]:
    return {name for name, item in checks.items() if not item.passed}


def _fields(item: Check) -> list[str]:
    return [finding.field for finding in item.findings]


def test_a_sound_deployment_passes_and_says_what_was_seen(world: World) -> None:
    checks = _check(world)
    assert _failed(checks) == set()
    assert f"model {world.model} version 2, approved digest" in checks["model"].note
    assert "replays to the last bit" in checks["model"].note
    assert checks["tables"].note == "silver.orders at version 0; reference.ships at version 0"
    assert checks["population"].note == f"2000 rows on {DAY}"
    assert "authorizing official: Blair Example" in checks["people"].note


def test_a_model_that_is_not_approved_yet_passes_with_the_next_step(bare: World) -> None:
    checks = _check(bare)
    assert _failed(checks) == set()
    assert "not approved yet: run `fielded release approve 2`" in checks["model"].note


def test_names_and_types_that_differ_from_the_signature_are_all_said(world: World) -> None:
    world.define(
        DEFINITION.replace("  hours:   {type: float, unit: hours, min: 0}\n", "").replace(
            "  earlier: {type: int, min: 0}", "  earlier: {type: float, min: 0}\n  hours: {type: int, min: 0}"
        )
    )
    checks = _check(world)
    assert _failed(checks) == {"model"}
    assert set(_fields(checks["model"])) == {"features", "features.hours.type", "features.earlier.type"}
    (order,) = (item for item in checks["model"].findings if item.field == "features")
    assert (order.got, order.expected) == ("age, earlier, hours, month, kind", "hours, age, earlier, month, kind")


def test_a_classifier_that_gives_labels_is_found(world: World, store: Store) -> None:
    version = store.log("check_labels", pyfunc_predict_fn="predict")
    store.client.set_registered_model_alias("check_labels", "production", version)
    world.model = "check_labels"
    world.define()
    checks = _check(world)
    assert _failed(checks) == {"model"}
    assert _fields(checks["model"]) == ["python_function.predict_fn"]


def test_files_changed_since_the_approval_are_found_and_not_loaded(spare: Spare) -> None:
    text = (spare.files["2"] / "MLmodel").read_text()
    armed = text.replace("loader_module: mlflow.sklearn", "code: code\n    loader_module: armed")
    (spare.files["2"] / "MLmodel").write_text(armed)
    (spare.files["2"] / "code").mkdir()
    sign = spare.folder / "loaded"
    (spare.files["2"] / "code" / "armed.py").write_text(f"open({str(sign)!r}, 'w')\n")
    checks = _check(spare)
    assert _failed(checks) == {"model"}
    (finding,) = checks["model"].findings
    assert (finding.field, finding.next_step) == (
        "artifact",
        "Find out who changed the files; nothing was loaded",
    )
    assert not sign.exists()


def test_what_cannot_be_looked_at_is_said_in_its_own_words(spare: Spare) -> None:
    shutil.rmtree(spare.files["2"])
    checks = _check(spare)
    assert _failed(checks) == {"model"}
    assert checks["model"].errors == (f"model {spare.model} version 2: its files are not where the registry says",)


def test_an_alias_that_is_not_there_is_said_with_the_next_step(world: World) -> None:
    world.define(DEFINITION.replace("alias: production", "alias: champion"))
    checks = _check(world)
    (error,) = checks["model"].errors
    assert error.startswith(f"model {world.model}: got no alias `champion`, expected one in sqlite://")
    assert error.count("expected") == 1  # one error, not one in another


def test_every_table_that_is_missing_is_named_once(world: World) -> None:
    for name in ("silver", "reference"):
        shutil.rmtree(Path(world.site.root) / name)
    checks = _check(world)
    assert _failed(checks) == {"tables", "population"}
    first, second = checks["tables"].errors
    assert first.startswith("table silver.orders: got no Delta table at ")
    assert second.startswith("table reference.ships: got no Delta table at ")


def test_a_root_that_is_not_there_is_said_once(world: World) -> None:
    away = replace(world, site=replace(world.site, root=str(world.folder / "nowhere")))
    checks = {item.name: item for item in check(away.open(), DAY)}
    assert _failed(checks) == {"model", "tables", "population"}
    assert len(checks["tables"].errors) == 1
    assert "root: got no folder" in checks["tables"].errors[0]


def test_columns_that_the_population_lacks_are_all_said(world: World) -> None:
    select = POPULATION.replace('"order_id", "hours", ', "").replace('"month", ', "")
    world.define(population=select.replace("age=", "month=_.opened_on, age="))
    checks = _check(world)
    assert _failed(checks) == {"population"}
    assert set(_fields(checks["population"])) == {"order_id", "hours", "month"}


@pytest.mark.parametrize(
    ("body", "got"),
    [
        ("    return tables.orders.missing", "missing"),
        ("    return 3", "int"),
        ("    raise ValueError('a reason')", "ValueError: a reason"),
        ("    return tables.orders.mutate(now=__import__('ibis').now())", "TimestampNow"),
    ],
)
def test_a_population_that_is_no_query_is_said(world: World, body: str, got: str) -> None:
    world.define(population=f"def pending(tables, as_of):\n{body}\n")
    checks = _check(world)
    assert _failed(checks) == {"population"}
    (finding,) = checks["population"].findings
    assert finding.field == "population.query"
    assert got in finding.got


def test_a_few_subjects_twice_pass_with_a_note_and_many_do_not(world: World) -> None:
    orders = make_orders(100)
    world.write("silver.orders", pa.concat_tables([orders, orders.slice(0, 2)]))
    checks = _check(world)
    assert _failed(checks) == set()
    assert checks["population"].note == f"102 rows on {DAY}; 2 subjects more than once will be quarantined"
    world.write("silver.orders", pa.concat_tables([orders, orders.slice(0, 60)]))
    checks = _check(world)
    assert _failed(checks) == {"population"}
    (finding,) = checks["population"].findings
    assert (finding.field, finding.expected) == ("order_id", "one row for each subject")
    assert finding.got == "60 subjects more than once"


def test_everything_that_fails_is_said_at_once(spare: Spare) -> None:
    spare.define(
        DEFINITION.replace("hours:   {type: float", "hours:   {type: int"),
        POPULATION.replace('"month", ', ""),
    )
    orders = Path(spare.site.root) / "silver" / "orders"
    assert _failed(_check(spare)) == {"model", "population"}
    shutil.rmtree(orders)
    assert _failed(_check(spare)) == {"model", "tables", "population"}


def test_the_day_is_the_one_asked_for(world: World) -> None:
    (*_, population) = check(world.open(), DAY - timedelta(days=1))
    assert population.note == f"0 rows on {DAY - timedelta(days=1)}"
