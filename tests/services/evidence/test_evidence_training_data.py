"""What the version in production learned from: read from a real registry, counted again in real tables."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from mlflow.entities import Param

from conftest import Spare, make_orders
from fielded.decisions.assurance.collector import Found
from fielded.decisions.release.provenance import PREFIX, Recorded, TrainingData
from fielded.services.approve import approve
from fielded.services.evidence.collect import Bench, collect
from fielded.services.evidence.training_data import COLLECTOR
from fielded.world.provenance import content_of, content_of_version, log_training_data

HISTORY = "silver.history"
PERIOD = (date(2024, 1, 1), date(2025, 12, 31))
DATASET, TABLES, ROWS, DIGEST, KNOWN, HERE, REFUSED = (
    "an input data set is on record",
    "source tables are named with their versions",
    "the rows are counted",
    "their content has a digest",
    "their period is known",
    "a source table that is here has rows at that version",
    "a version without a record is not passed",
)


def log_run(spare: Spare, log: Callable[[str], object]) -> None:
    """A run that logs what it learned from, and the version in production made by it."""
    client = spare.store.client
    found = client.get_experiment_by_name("tests")
    experiment = found.experiment_id if found else client.create_experiment("tests")
    run = client.create_run(experiment).info.run_id
    log(run)
    version = str(client.create_model_version(spare.model, spare.files["2"].as_uri(), run_id=run).version)
    client.set_registered_model_alias(spare.model, "production", version)
    approve(spare.open(), version)


def learned(spare: Spare, tables: dict[str, int], content: tuple[int, str] | None = None) -> None:
    def log(run: str) -> TrainingData:
        found = content_of_version(spare.open().tables.open(HISTORY))
        if content is not None:
            found = type(found)(*content)
        return log_training_data(spare.store.client, run, found, tables=tables, period=PERIOD)

    log_run(spare, log)


@pytest.fixture
def known(spare: Spare) -> Spare:
    """Version 3 in production, which learned from all of a table's first version; the table went on."""
    spare.write(HISTORY, make_orders(500, seed=3))
    learned(spare, {HISTORY: 0})
    spare.write(HISTORY, make_orders(70, seed=4, first=500), mode="append")
    return spare


def looked(spare: Spare) -> Found:
    return COLLECTOR.look(Bench(spare.open()))


def failed(found: Found) -> set[str]:
    assert all(check.step for check in found.checks if check.outcome != "held")
    return {check.name for check in found.checks if check.outcome != "held"}


def test_what_is_on_record_holds_and_is_counted_again(known: Spare) -> None:
    found = looked(known)
    assert failed(found) == set(), found.checks
    assert [check.name for check in found.checks] == [DATASET, TABLES, ROWS, DIGEST, KNOWN, HERE, REFUSED]
    assert [check.name for check in found.checks if check.negative] == [REFUSED]
    facts = found.facts
    assert facts["version"] == "3"
    assert facts["tables"] == [{"table": HISTORY, "version": 0, "rows": 500}], "of the version, and not of now"
    assert facts["rows"] == 500
    assert facts["content_sha256"] == content_of([make_orders(500, seed=3)]).sha256
    assert facts["content_again"] == "the same digest"
    assert facts["period"] == {"first": "2024-01-01", "last": "2025-12-31"}
    assert [one["name"] for one in facts["datasets"]] == [f"{HISTORY}@0"]


def test_a_table_that_is_not_here_is_told_and_in_nobodys_way(known: Spare) -> None:
    shutil.rmtree(Path(known.site.root) / "silver" / "history")
    found = looked(known)
    assert failed(found) == set()
    assert HERE not in [check.name for check in found.checks]
    assert found.facts["tables"] == [{"table": HISTORY, "version": 0, "rows": None}]
    assert found.facts["content_again"] is None


def test_a_version_whose_files_are_gone_is_not_counted(known: Spare) -> None:
    known.write(HISTORY, make_orders(10))
    table = known.open().tables.open(HISTORY)
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    assert looked(known).facts["tables"] == [{"table": HISTORY, "version": 0, "rows": None}]


def test_rows_that_were_made_of_a_table_have_another_digest(spare: Spare) -> None:
    spare.write(HISTORY, make_orders(50))
    learned(spare, {HISTORY: 0}, (50, "ab" * 32))
    found = looked(spare)
    assert failed(found) == set(), "features may be made of its rows"
    assert found.facts["content_again"] == "another digest: what was learned is made of these rows"
    learned(spare, {HISTORY: 0, "silver.orders": 0}, (50, "ab" * 32))
    found = looked(spare)
    assert failed(found) == set()
    assert found.facts["content_again"] is None, "of two tables no digest can be made again"
    assert [one["rows"] for one in found.facts["tables"]] == [50, 2000]


def test_an_empty_table_taught_nobody_anything(spare: Spare) -> None:
    spare.write(HISTORY, make_orders(50).slice(0, 0))
    learned(spare, {HISTORY: 0}, (50, "ab" * 32))
    assert failed(looked(spare)) == {HERE}


def test_each_part_that_is_missing_or_unreadable_is_seen(spare: Spare) -> None:
    good = TrainingData(tables={HISTORY: 0}, rows=5, content_sha256="ab" * 32, first=PERIOD[0], last=PERIOD[1])
    cases: list[tuple[str, str | None, str]] = [
        ("tables", None, TABLES),
        ("tables", HISTORY, TABLES),
        ("rows", None, ROWS),
        ("rows", "0", ROWS),
        ("rows", "many", ROWS),
        ("content_sha256", "ab" * 16, DIGEST),
        ("from", "2030-01-01", KNOWN),
        ("to", None, KNOWN),
    ]
    for name, text, check in cases:
        texts = {key: value for key, value in good.texts().items() if key != f"{PREFIX}{name}"}
        if text is not None:
            texts[f"{PREFIX}{name}"] = text
        params = [Param(key, value) for key, value in texts.items()]
        log_run(spare, lambda run, params=params: spare.store.client.log_batch(run, params=params))
        assert failed(looked(spare)) == {DATASET, check}, (name, text)


def test_a_version_without_a_run_has_no_record(spare: Spare) -> None:
    made = collect(Bench(spare.open()), COLLECTOR, "fielded ready --item 4")
    assert made.outcome == "not satisfied"
    assert {check.name for check in made.checks if check.outcome == "failed"} == {
        DATASET,
        TABLES,
        ROWS,
        DIGEST,
        KNOWN,
    }
    assert made.checks[0].got == "a version without a run"
    assert made.valid_until is None, "a record stands as long as the version does"


def test_names_that_are_no_tables_are_left_out() -> None:
    texts = {f"{PREFIX}tables": "silver.history@4, ../etc@1, reference.ships@x, b@07"}
    assert Recorded(texts=texts).versions == (("silver.history", 4), ("b", 7))
    assert Recorded(texts=texts).tables == {"silver.history", "b"}
    assert Recorded().versions == ()
