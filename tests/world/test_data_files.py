"""Files that are written as a stream, and what is told of them to the Delta log."""

import json
import math
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from conftest import NOWHERE
from fielded.definition import Site
from fielded.words.errors import Unreachable
from fielded.world.data_files import DataFiles
from fielded.world.delta_reading import dataset_of
from fielded.world.tables import DeltaTables

DAY = date(2026, 3, 2)
STRUCT = pa.struct([("whole", pa.int64()), ("word", pa.string())])
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("long", pa.string()),
        ("flag", pa.bool_()),
        ("nothing", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("whole", pa.int64()),
        ("share", pa.float64()),
        ("on", pa.date32()),
        ("nested", STRUCT),
        ("reasons", pa.list_(pa.struct([("field", pa.string())]))),
        ("day", pa.date32()),
    ]
)
WRITTEN = pa.schema(list(SCHEMA)[:-1])


def row(number: int) -> dict[str, Any]:
    return {
        "text": None if number % 7 == 3 else f"t{number:02d}",
        "long": "x" * 90 + f"{number:02d}",  # differs only past what the log keeps
        "flag": None if number % 5 == 4 else number % 2 == 0,
        "nothing": None,
        "at": datetime(2026, 3, 2, 1, 1, 1, 999_000 + number * 7 % 1000, tzinfo=UTC),
        "whole": (-1) ** number * (2**62 + number),
        "share": None if number % 6 == 5 else number / 7 - 1,
        "on": date(1900 + number * 5, 1, 31),
        "nested": {"whole": -number, "word": None if number % 3 else f"w{number}"},
        "reasons": [{"field": f"f{number}"}] * (number % 3),
    }


ROWS = [row(number) for number in range(23)]


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    (tmp_path / "tables").mkdir()
    return DeltaTables(
        Site(root=str(tmp_path / "tables"), tracking_uri="none", artifact_root="none", cache=tmp_path, **NOWHERE)
    )


def write(tables: DeltaTables, batches: list[pa.RecordBatch], schema: pa.Schema, rows_per_file: int) -> DataFiles:
    tables.ensure("ledger.t", schema.append(pa.field("day", pa.date32())), partition="day")
    with DataFiles(tables.uri("ledger.t"), ("day", DAY), "name", rows_per_file=rows_per_file) as files:
        for batch in batches:
            files.write(batch)
        files.close()
        tables.commit_files("ledger.t", files, lambda _: {})
    return files


@pytest.fixture
def written(tables: DeltaTables) -> DataFiles:
    """23 rows in batches of 3, a new file from 6 rows on."""
    batch = pa.RecordBatch.from_pylist(ROWS, schema=WRITTEN)
    return write(tables, [batch.slice(start, 3) for start in range(0, 23, 3)], WRITTEN, 6)


def test_files_roll_over_at_their_size_and_their_counts_are_the_footers(
    tables: DeltaTables, written: DataFiles
) -> None:
    footers = [pq.read_metadata(Path(tables.uri("ledger.t")) / action.path) for action in written.added]
    assert [footer.num_rows for footer in footers] == [6, 6, 6, 5]
    assert written.rows == 23
    assert [json.loads(action.stats)["numRecords"] for action in written.added] == [6, 6, 6, 5]
    assert [footer.num_row_groups for footer in footers] == [2, 2, 2, 2]
    sizes = [(Path(tables.uri("ledger.t")) / action.path).stat().st_size for action in written.added]
    assert [action.size for action in written.added] == sizes


def test_what_was_written_is_read_back_by_any_reader(tables: DeltaTables, written: DataFiles) -> None:
    table = tables.open("ledger.t")
    wanted = [{**item, "day": DAY} for item in ROWS]
    assert table.to_pyarrow_table().sort_by("on").to_pylist() == wanted
    assert dataset_of(table).to_table().sort_by("on").to_pylist() == wanted
    assert len(table.file_uris()) == len(written.added)


READERS = {"deltalake": DeltaTable.to_pyarrow_dataset, "fielded": dataset_of}


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("column", [name for name in WRITTEN.names if name not in ("nested", "reasons")])
def test_no_filter_on_any_column_loses_a_row(tables: DeltaTables, column: str, reader: str) -> None:
    dataset = READERS[reader](tables.open("ledger.t"))
    field, kind = ds.field(column), WRITTEN.field(column).type
    values = {item[column] for item in ROWS if item[column] is not None}
    for value in values:
        same = sum(item[column] == value for item in ROWS)
        below = sum(item[column] is not None and item[column] <= value for item in ROWS)
        scalar = pa.scalar(value, kind)
        assert dataset.to_table(filter=field == scalar).num_rows == same, value
        assert dataset.to_table(filter=field.isin(pa.array([value], kind))).num_rows == same, value
        if column != "flag":
            assert dataset.to_table(filter=field <= scalar).num_rows == below, value
            assert dataset.to_table(filter=field >= scalar).num_rows == len(
                [item for item in ROWS if item[column] is not None and item[column] >= value]
            )
    missing = sum(item[column] is None for item in ROWS)
    assert dataset.to_table(filter=field.is_null()).num_rows == missing
    assert dataset.to_table(filter=field.is_valid()).num_rows == len(ROWS) - missing


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("reader", READERS)
def test_no_filter_inside_a_struct_loses_a_row(tables: DeltaTables, reader: str) -> None:
    dataset = READERS[reader](tables.open("ledger.t"))
    for item in ROWS:
        assert dataset.to_table(filter=ds.field("nested", "whole") == item["nested"]["whole"]).num_rows == 1
        if item["nested"]["word"]:
            assert dataset.to_table(filter=ds.field("nested", "word") == item["nested"]["word"]).num_rows == 1
    words = sum(item["nested"]["word"] is None for item in ROWS)
    assert dataset.to_table(filter=ds.field("nested", "word").is_null()).num_rows == words


def test_statistics_are_strict_json_that_encloses_every_value(written: DataFiles) -> None:
    start = 0
    for action in written.added:
        known = json.loads(action.stats, parse_constant=pytest.fail)
        part = ROWS[start : start + known["numRecords"]]
        start += known["numRecords"]
        for column in ("text", "long", "whole", "share", "flag"):
            values = [item[column] for item in part if item[column] is not None]
            assert known["minValues"][column] <= min(values)
            assert known["maxValues"][column] >= max(values)
            assert known["nullCount"][column] == len(part) - len(values)
        assert known["minValues"]["on"] == min(item["on"] for item in part).isoformat()
        low, high = (datetime.fromisoformat(known[end]["at"]) for end in ("minValues", "maxValues"))
        assert low <= min(item["at"] for item in part)
        assert high >= max(item["at"] for item in part)
        assert known["nullCount"]["nothing"] == len(part)
        assert "nothing" not in known["minValues"]
        assert "reasons" not in known["minValues"]
        assert known["minValues"]["nested"]["whole"] == min(item["nested"]["whole"] for item in part)


def test_bounds_of_long_texts_are_cut(written: DataFiles) -> None:
    known = json.loads(written.added[0].stats)
    assert known["minValues"]["long"] == "x" * 64
    assert len(known["maxValues"]["long"]) == 65


ONE_TEXT = pa.schema([("text", pa.string())])


@pytest.mark.parametrize(
    "groups",
    [
        [["b", "c"], ["z" * 5000, "a" * 5000]],  # Parquet keeps no range of the second group
        [["a" * 5000], ["m"]],
        [["\U0010ffff" * 70, "a"]],
        [["\U00020000", "\U0001f600", "b\U0010ffff"], ["a"]],  # deltalake misreads them where they are escaped
        [["", None], [None]],
    ],
    ids=["very long", "very long first", "last character of all", "past the first plane", "empty"],
)
def test_texts_of_unusual_length_are_found(tables: DeltaTables, groups: list[list[str | None]]) -> None:
    batches = [pa.RecordBatch.from_pydict({"text": group}, schema=ONE_TEXT) for group in groups]
    write(tables, batches, ONE_TEXT, 100)
    dataset = dataset_of(tables.open("ledger.t"))
    for text in (text for group in groups for text in group):
        wanted = ds.field("text").is_null() if text is None else ds.field("text") == text
        assert dataset.to_table(filter=wanted).num_rows >= 1


def test_an_infinite_or_unordered_number_leaves_the_table_readable(tables: DeltaTables) -> None:
    schema = pa.schema([("share", pa.float64())])
    values = [[math.inf, 1.0], [-math.inf, 0.0], [math.nan], [2.0]]
    batches = [pa.RecordBatch.from_pydict({"share": pair}, schema=schema) for pair in values]
    write(tables, batches, schema, 1)
    dataset = dataset_of(tables.open("ledger.t"))
    assert dataset.count_rows() == 6
    field = ds.field("share")
    for wanted, count in ((field == math.inf, 1), (field == -math.inf, 1), (pc.is_nan(field), 1), (field > 1, 2)):
        assert dataset.to_table(filter=wanted).num_rows == count


def test_what_hardly_repeats_is_written_without_a_dictionary(tables: DeltaTables) -> None:
    tables.ensure("ledger.t", SCHEMA, partition="day")
    plain = frozenset({"text", "nested"})
    with DataFiles(tables.uri("ledger.t"), ("day", DAY), "name", rows_per_file=9, plain=plain) as files:
        files.write(pa.RecordBatch.from_pylist(ROWS, schema=WRITTEN))
        files.close()
    group = pq.read_metadata(Path(tables.uri("ledger.t")) / files.added[0].path).row_group(0)
    with_dictionary = {
        group.column(place).path_in_schema
        for place in range(group.num_columns)
        if "RLE_DICTIONARY" in group.column(place).encodings
    }
    assert {"long", "whole"} <= with_dictionary
    assert not with_dictionary & {"text", "nested.whole", "nested.word"}


class TestFilesThatAreNotCommitted:
    def files(self, folder: Path) -> DataFiles:
        return DataFiles(str(folder), ("day", DAY), "name", rows_per_file=2)

    def batch(self, count: int) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict({"text": ["x"] * count}, schema=ONE_TEXT)

    def present(self, folder: Path) -> list[Path]:
        return list(folder.rglob("*.parquet"))

    def test_discard_deletes_finished_and_unfinished_ones(self, tmp_path: Path) -> None:
        files = self.files(tmp_path)
        for count in (2, 2, 1):
            files.write(self.batch(count))
        assert len(self.present(tmp_path)) == 3
        files.discard()
        assert self.present(tmp_path) == []
        assert (files.added, files.rows) == ([], 0)

    @pytest.mark.parametrize("count", [1, 2, 5], ids=["unfinished", "finished", "both"])
    def test_an_exception_in_the_block_leaves_none(self, tmp_path: Path, count: int) -> None:
        def scoring_fails() -> None:
            with self.files(tmp_path) as files:
                for _ in range(count):
                    files.write(self.batch(1))
                assert self.present(tmp_path)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            scoring_fails()
        assert self.present(tmp_path) == []

    def test_an_exception_after_they_were_offered_keeps_them(self, tmp_path: Path) -> None:
        def commit_fails() -> None:
            with self.files(tmp_path) as files:
                files.write(self.batch(2))
                files.close()
                files.offer()
                raise ConnectionError

        with pytest.raises(ConnectionError):
            commit_fails()
        assert len(self.present(tmp_path)) == 1

    def test_two_writers_of_different_names_never_meet(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            with DataFiles(str(tmp_path), ("day", DAY), name, rows_per_file=2) as files:
                files.write(self.batch(2))
        assert len(self.present(tmp_path)) == 2

    def test_no_rows_make_no_file(self, tmp_path: Path) -> None:
        with self.files(tmp_path) as files:
            files.write(self.batch(0))
            files.close()
        assert files.offer() == []
        assert self.present(tmp_path) == []

    def test_a_folder_that_cannot_be_written_is_unreachable(self, tmp_path: Path) -> None:
        (tmp_path / "day=2026-03-02").write_text("a file where the folder should be")
        with pytest.raises(Unreachable, match="cannot be written"):
            self.files(tmp_path).write(self.batch(1))
