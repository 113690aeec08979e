"""Looking a prediction up: by subject and by request id, with every sieve on and off."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from conftest import NOWHERE
from fielded.decisions.rows import PARTITION, TIMESTAMP
from fielded.definition import Site
from fielded.words.errors import Unreachable
from fielded.world.data_files import DataFiles
from fielded.world.lookup import find_rows
from fielded.world.tables import DeltaTables

DAYS = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)]
SCHEMA = pa.schema(
    [
        ("request_id", pa.string()),
        ("subject", pa.string()),
        ("features", pa.struct([("subject", pa.string()), ("hours", pa.float64())])),  # a feature of the same name
        ("scored_at", TIMESTAMP),
        (PARTITION, pa.date32()),
    ]
)


def row(day: date, number: int) -> dict[str, Any]:
    return {
        "request_id": f"{day}-{number:04d}",
        "subject": f"WO-{number:04d}",
        "features": {"subject": "WO-0001", "hours": number / 3},
        "scored_at": datetime(day.year, day.month, day.day, 2, tzinfo=UTC) + timedelta(seconds=number),
    }


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    (tmp_path / "tables").mkdir()
    return DeltaTables(
        Site(root=str(tmp_path / "tables"), tracking_uri="none", artifact_root="none", cache=tmp_path, **NOWHERE)
    )


@pytest.fixture
def ledger(tables: DeltaTables) -> DeltaTable:
    """Three days of 300 rows each, in files of 100 and row groups of 20."""
    tables.ensure("ledger.p", SCHEMA, partition=PARTITION, append_only=True)
    for day in DAYS:
        with DataFiles(tables.uri("ledger.p"), (PARTITION, day), f"run{day}", rows_per_file=100) as files:
            for first in range(0, 300, 20):
                rows = [row(day, number) for number in range(first, first + 20)]
                files.write(pa.RecordBatch.from_pylist(rows, schema=pa.schema(list(SCHEMA)[:-1])))
            files.close()
            tables.commit_files("ledger.p", files, lambda _: {})
    return tables.open("ledger.p")


@pytest.mark.parametrize("number", [0, 19, 20, 99, 100, 157, 299])
def test_a_subject_is_found_on_every_day_newest_first(ledger: DeltaTable, number: int) -> None:
    found = find_rows(ledger, "subject", f"WO-{number:04d}")
    assert found == [{**row(day, number), PARTITION: day} for day in reversed(DAYS)]


def test_on_keeps_one_day(ledger: DeltaTable) -> None:
    assert find_rows(ledger, "subject", "WO-0157", DAYS[1]) == [{**row(DAYS[1], 157), PARTITION: DAYS[1]}]
    assert find_rows(ledger, "subject", "WO-0157", date(2025, 1, 1)) == []


def test_a_request_id_is_found_once(ledger: DeltaTable) -> None:
    found = find_rows(ledger, "request_id", "2026-03-02-0211")
    assert [item["subject"] for item in found] == ["WO-0211"]


@pytest.mark.parametrize("subject", ["WO-0300", "WO-0157x", "", "A", "Z", "WO-0157' or '1'='1"])
def test_an_absent_subject_gives_nothing(ledger: DeltaTable, subject: str) -> None:
    assert find_rows(ledger, "subject", subject) == []


def test_two_hits_on_a_day_are_both_given_newest_first(tables: DeltaTables, ledger: DeltaTable) -> None:
    again = {**row(DAYS[1], 5), "request_id": "again", "scored_at": datetime(2026, 3, 2, 9, tzinfo=UTC)}
    with DataFiles(tables.uri("ledger.p"), (PARTITION, DAYS[1]), "again", rows_per_file=9) as files:
        files.write(pa.RecordBatch.from_pylist([again], schema=pa.schema(list(SCHEMA)[:-1])))
        files.close()
        tables.commit_files("ledger.p", files, lambda _: {})
    found = find_rows(tables.open("ledger.p"), "subject", "WO-0005", DAYS[1])
    assert [item["request_id"] for item in found] == ["again", "2026-03-02-0005"]
    assert len(find_rows(ledger, "subject", "WO-0005", DAYS[1])) == 1  # a table is read at its version


def test_a_file_without_statistics_is_searched(tables: DeltaTables, ledger: DeltaTable) -> None:
    schema = pa.schema(list(SCHEMA)[:-1])
    path = f"{PARTITION}=2026-03-04/foreign.parquet"
    file = Path(tables.uri("ledger.p")) / path
    file.parent.mkdir()
    rows = pa.Table.from_pylist([row(DAYS[0], 5), {**row(DAYS[0], 6), "subject": None}], schema)
    pq.write_table(rows, file, write_statistics=False)
    action = AddAction(
        path=path, size=file.stat().st_size, partition_values={PARTITION: "2026-03-04"}, modification_time=0,
        data_change=True, stats=None,
    )  # fmt: skip
    ledger.create_write_transaction([action], "append", ledger.schema(), [PARTITION])
    found = find_rows(tables.open("ledger.p"), "subject", "WO-0005")
    assert len(found) == 4
    assert date(2026, 3, 4) in [item[PARTITION] for item in found]


def test_files_that_somebody_compacted_are_searched(tables: DeltaTables, ledger: DeltaTable) -> None:
    ledger.optimize.compact()
    compacted = tables.open("ledger.p")
    assert len(compacted.file_uris()) == 3
    assert find_rows(compacted, "subject", "WO-0157")[0] == {**row(DAYS[2], 157), PARTITION: DAYS[2]}
    assert len(find_rows(compacted, "request_id", "2026-03-02-0211")) == 1


def test_subjects_longer_than_what_the_log_keeps_are_told_apart(tables: DeltaTables) -> None:
    tables.ensure("ledger.p", SCHEMA, partition=PARTITION)
    subjects = ["s" * 100 + str(number) for number in range(5)] + ["\U00020000\U0010ffff"]
    with DataFiles(tables.uri("ledger.p"), (PARTITION, DAYS[0]), "long", rows_per_file=2) as files:
        for number, subject in enumerate(subjects):
            rows = [{**row(DAYS[0], number), "subject": subject}]
            files.write(pa.RecordBatch.from_pylist(rows, schema=pa.schema(list(SCHEMA)[:-1])))
        files.close()
        tables.commit_files("ledger.p", files, lambda _: {})
    for subject in subjects:
        assert len(find_rows(tables.open("ledger.p"), "subject", subject)) == 1


def test_only_files_that_may_hold_the_subject_are_opened(ledger: DeltaTable) -> None:
    for uri in ledger.file_uris():
        if not uri.endswith("00001.parquet"):  # rows 100 to 199
            Path(uri).unlink()
    assert len(find_rows(ledger, "subject", "WO-0150")) == 3
    with pytest.raises(Unreachable, match="FileNotFoundError"):
        find_rows(ledger, "subject", "WO-0001")
