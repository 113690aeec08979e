"""Tables whose log knows little, or knows it inexactly: no filter may lose a row."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.transaction import AddAction
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from fielded.world.delta_reading import StreamedDataset, dataset_of, stream

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")


def add_file(uri: Path, name: str, rows: pa.Table, statistics: dict[str, Any] | None) -> None:
    """Commit one file with the statistics given, as another writer would leave them."""
    if not DeltaTable.is_deltatable(str(uri)):
        DeltaTable.create(str(uri), schema=rows.schema)
    path = uri / f"{name}.parquet"
    pq.write_table(rows, path)
    stats = None if statistics is None else json.dumps({"numRecords": rows.num_rows, **statistics})
    action = AddAction(
        path=path.name, size=path.stat().st_size, partition_values={}, modification_time=0, data_change=True,
        stats=stats,
    )  # fmt: skip
    table = DeltaTable(str(uri))
    table.create_write_transaction([action], mode="append", schema=table.schema())


def streamed(dataset: ds.Dataset, wanted: ds.Expression | None, columns: list[str] | None = None) -> list[dict]:
    return [row for batch in stream(dataset, columns, wanted) for row in batch.to_pylist()]


@pytest.fixture
def as_spark_writes(tmp_path: Path) -> DeltaTable:
    """Bounds for `number`, none for the boolean, none for a column past the 32nd."""
    rows = pa.table({"number": [1, 2, 3], "open": [True, False, True], "late": ["a", "b", None]})
    known = {"minValues": {"number": 1}, "maxValues": {"number": 3}, "nullCount": {"number": 0, "open": 0}}
    full = {
        "minValues": {"number": 7, "late": "q"},
        "maxValues": {"number": 7, "late": "q"},
        "nullCount": {"number": 0, "open": 0, "late": 0},
    }
    add_file(tmp_path / "t", "one", rows, known)
    add_file(tmp_path / "t", "two", pa.table({"number": [7], "open": [True], "late": ["q"]}), full)
    return DeltaTable(str(tmp_path / "t"))


@pytest.mark.parametrize(("wanted", "rows"), [(ds.field("open") == True, 3), (ds.field("late") <= "b", 2)])  # noqa: E712
def test_rows_that_deltalakes_own_dataset_loses_are_found(
    as_spark_writes: DeltaTable, wanted: ds.Expression, rows: int
) -> None:
    own = as_spark_writes.to_pyarrow_dataset()
    assert own.to_table(filter=wanted).num_rows < rows  # once this fails, deltalake is mended and we are spared
    assert dataset_of(as_spark_writes).to_table(filter=wanted).num_rows == rows
    assert len(streamed(dataset_of(as_spark_writes), wanted)) == rows


def test_a_file_is_passed_over_where_the_log_has_its_bounds(as_spark_writes: DeltaTable) -> None:
    dataset = dataset_of(as_spark_writes)
    assert len(list(dataset.get_fragments(ds.field("number") >= 5))) == 1
    assert len(list(dataset.get_fragments(ds.field("number") > 7))) == 0
    assert len(list(dataset.get_fragments(ds.field("late") == "a"))) == 1


@pytest.mark.parametrize("statistics", [None, {}, {"nullCount": {"number": 0}}], ids=["none", "count", "nulls"])
def test_a_file_without_bounds_is_always_read(tmp_path: Path, statistics: dict[str, Any] | None) -> None:
    add_file(tmp_path / "t", "one", pa.table({"number": [1, -5, None]}), statistics)
    dataset = dataset_of(DeltaTable(str(tmp_path / "t")))
    assert dataset.to_table(filter=ds.field("number") == -5).num_rows == 1
    assert dataset.to_table(filter=ds.field("number").is_null()).num_rows == 1


@pytest.mark.parametrize("texts", [["\U00020000"], ["a", "b\U00020000", "b\U0010ffff"]])
def test_texts_that_other_writers_escape_are_read_as_they_are(tmp_path: Path, texts: list[str]) -> None:
    """deltalake reads the JSON escape of U+20000 as U+10000; add_file escapes."""
    bounds = {"minValues": {"text": min(texts)}, "maxValues": {"text": max(texts)}, "nullCount": {"text": 0}}
    add_file(tmp_path / "t", "one", pa.table({"text": texts}), bounds)
    dataset = dataset_of(DeltaTable(str(tmp_path / "t")))
    assert dataset.to_table().column("text").to_pylist() == texts
    for text in texts:
        assert streamed(dataset, ds.field("text") == text) == [{"text": text}]


def test_nulls_are_found_where_the_log_does_not_count_them(tmp_path: Path) -> None:
    bounds = {"minValues": {"number": 1}, "maxValues": {"number": 1}}
    add_file(tmp_path / "t", "one", pa.table({"number": [1, None]}), bounds)
    dataset = dataset_of(DeltaTable(str(tmp_path / "t")))
    assert dataset.to_table(filter=ds.field("number").is_null()).num_rows == 1


@pytest.mark.parametrize("zone", ["UTC", None])
def test_a_bound_that_was_cut_to_the_millisecond_hides_nothing(tmp_path: Path, zone: str | None) -> None:
    kind = pa.timestamp("us", tz=zone)
    moment = datetime(2026, 3, 2, 1, 2, 3, 456_789, tzinfo=UTC if zone else None)
    cut = "2026-03-02T01:02:03.456Z" if zone else "2026-03-02T01:02:03.456"
    bounds = {"minValues": {"at": cut}, "maxValues": {"at": cut}, "nullCount": {"at": 0}}
    add_file(tmp_path / "t", "one", pa.table({"at": pa.array([moment], kind)}), bounds)
    dataset = dataset_of(DeltaTable(str(tmp_path / "t")))
    for wanted in (ds.field("at") == pa.scalar(moment, kind), ds.field("at") >= pa.scalar(moment, kind)):
        assert dataset.to_table(filter=wanted).num_rows == 1
        assert len(streamed(dataset, wanted)) == 1
    later = pa.scalar(moment + timedelta(milliseconds=1), kind)
    assert list(dataset.get_fragments(ds.field("at") >= later)) == []


@pytest.mark.parametrize(
    "moment", [datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)]
)
def test_the_ends_of_the_calendar_are_ordinary_moments(tmp_path: Path, moment: datetime) -> None:
    """`9999-12-31` is how many systems write `never`."""
    rows = pa.table({"at": pa.array([moment, datetime(2026, 1, 1, tzinfo=UTC)], UTC_MICROSECONDS)})
    write_deltalake(str(tmp_path / "t"), rows)
    dataset = dataset_of(DeltaTable(str(tmp_path / "t")))
    assert dataset.to_table(filter=ds.field("at") == pa.scalar(moment, UTC_MICROSECONDS)).num_rows == 1


def test_negative_numbers_and_dates_before_1970(tmp_path: Path) -> None:
    rows = {"number": [-(2**63), -7, 2**63 - 1], "on": [date(1, 1, 1), date(1969, 12, 31), date(9999, 12, 31)]}
    for number, on in zip(rows["number"], rows["on"], strict=True):
        write_deltalake(str(tmp_path / "t"), pa.table({"number": [number], "on": [on]}), mode="append")
    dataset = dataset_of(DeltaTable(str(tmp_path / "t")))
    for number, on in zip(rows["number"], rows["on"], strict=True):
        wanted = ds.field("number") == pa.scalar(number, pa.int64())
        assert dataset.to_table(filter=wanted).to_pylist() == [{"number": number, "on": on}]
        assert dataset.to_table(filter=ds.field("on") == on).to_pylist() == [{"number": number, "on": on}]
        assert len(list(dataset.get_fragments(ds.field("on") == on))) == 1


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.int64(), [-1, None, 3]),
        (pa.date32(), [date(2026, 3, 2), None, date(1960, 1, 1)]),
        (pa.string(), ["DDG 51", None, "a/b:c", "50%", "%20", "Zürich", "a=b"]),
        (pa.bool_(), [True, False, None]),
        (UTC_MICROSECONDS, [datetime(2026, 3, 2, 1, 2, 3, 456_789, tzinfo=UTC), None]),
    ],
    ids=str,
)
def test_partition_values_of_every_kind(tmp_path: Path, kind: pa.DataType, values: list[Any]) -> None:
    rows = pa.table({"part": pa.array(values, kind), "number": range(len(values))})
    write_deltalake(str(tmp_path / "t"), rows, partition_by=["part"])
    dataset = dataset_of(DeltaTable(str(tmp_path / "t")))
    assert dataset.to_table().sort_by("number").to_pylist() == rows.to_pylist()
    for number, value in enumerate(values):
        same = ds.field("part").is_null() if value is None else ds.field("part") == pa.scalar(value, kind)
        assert dataset.to_table(filter=same).to_pylist() == [{"part": value, "number": number}]
        assert streamed(dataset, same, ["number"]) == [{"number": number}]
        assert streamed(dataset, ds.field("number") == number, ["part"]) == [{"part": value}]
        assert len(list(dataset.get_fragments(same))) == 1


def test_a_column_that_older_files_lack_reads_as_null(tmp_path: Path) -> None:
    uri = str(tmp_path / "t")
    write_deltalake(uri, pa.table({"number": [1]}))
    write_deltalake(uri, pa.table({"number": [2], "new": ["x"]}), mode="append", schema_mode="merge")
    dataset = dataset_of(DeltaTable(uri))
    assert streamed(dataset, ds.field("new").is_null()) == [{"number": 1, "new": None}]
    assert streamed(dataset, ds.field("new") == "x") == [{"number": 2, "new": "x"}]


def test_a_table_without_files_has_no_rows(tmp_path: Path) -> None:
    DeltaTable.create(str(tmp_path / "t"), schema=pa.schema([("number", pa.int64())]))
    dataset = dataset_of(DeltaTable(str(tmp_path / "t")))
    assert dataset.schema.names == ["number"]
    assert streamed(dataset, None) == []


def test_what_was_removed_after_the_version_is_still_there(tmp_path: Path) -> None:
    uri = str(tmp_path / "t")
    write_deltalake(uri, pa.table({"number": [1, 2]}))
    held = DeltaTable(uri)
    write_deltalake(uri, pa.table({"number": [3]}), mode="overwrite")
    assert len(streamed(dataset_of(held), None)) == 2
    assert streamed(dataset_of(DeltaTable(uri)), None) == [{"number": 3}]


class TestStream:
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> ds.Dataset:
        """Two files of 10,000 rows in row groups of 1,000."""
        for first in (0, 10_000):
            rows = pa.table({"number": range(first, first + 10_000), "text": ["x" * 100] * 10_000})
            path = tmp_path / "t" / f"{first}.parquet"
            add_file(tmp_path / "t", str(first), rows, None)
            pq.write_table(rows, path, row_group_size=1000)
        # The sizes in the log are those of the first writing; only the test's own files can differ so.
        return ds.dataset(sorted((tmp_path / "t").glob("*.parquet")), format="parquet")

    def test_gives_one_row_group_at_a_time(self, dataset: ds.Dataset) -> None:
        sizes = [batch.num_rows for batch in stream(dataset)]
        assert sizes == [1000] * 20

    def test_holds_no_more_than_one(self, dataset: ds.Dataset) -> None:
        before = pa.total_allocated_bytes()
        group = dataset.to_table(filter=ds.field("number") < 1000).nbytes
        most = 0
        for batch in stream(dataset):
            most = max(most, pa.total_allocated_bytes() - before)
            del batch
        assert most < 5 * group  # of twenty

    def test_equals_reading_the_table(self, dataset: ds.Dataset) -> None:
        assert pa.Table.from_batches(list(stream(dataset))).equals(dataset.to_table().combine_chunks())

    def test_skips_row_groups_that_cannot_match(self, dataset: ds.Dataset) -> None:
        wanted = (ds.field("number") >= 2500) & (ds.field("number") < 3500)
        assert [batch.num_rows for batch in stream(dataset, ["number"], wanted)] == [500, 500]


def test_duckdb_reads_through_it_with_its_filters_and_columns(as_spark_writes: DeltaTable) -> None:
    connection = duckdb.connect()
    connection.register("t", dataset_of(as_spark_writes, StreamedDataset))
    count = "select count(*), sum(number) from t where open and (late is null or late >= 'a')"
    assert connection.sql(count).fetchall() == [(3, 11)]
    assert connection.sql("select late from t where number = 2").fetchall() == [("b",)]


# A random small table in random files with random gaps in what the log knows, and a random predicate.

KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "whole": (pa.int64(), st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1))),
    "share": (pa.float64(), st.floats(-10, 10)),
    "text": (pa.string(), st.one_of(st.sampled_from(["", "a", "b", "ä"]), st.text(st.characters(codec="utf-8")))),
    "flag": (pa.bool_(), st.booleans()),
    "on": (pa.date32(), st.dates()),
    "at": (UTC_MICROSECONDS, st.datetimes(timezones=st.just(UTC))),
}
ROWS = st.fixed_dictionaries({name: st.none() | values for name, (_, values) in KINDS.items()})
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@st.composite
def simple(draw: st.DrawFn, rows: list[dict[str, Any]]) -> tuple[ds.Expression, Callable[[dict], bool]]:
    name = draw(st.sampled_from(sorted(KINDS)))
    field, (kind, values) = ds.field(name), KINDS[name]
    if draw(st.integers(0, 4)) == 0:
        null = draw(st.booleans())
        return (field.is_null() if null else field.is_valid()), lambda row: (row[name] is None) == null
    present = [row[name] for row in rows if row[name] is not None]
    value = draw(st.sampled_from(present) if present and draw(st.booleans()) else values)
    compare = COMPARISONS[draw(st.sampled_from(sorted(COMPARISONS)))]
    return compare(field, pa.scalar(value, kind)), lambda row: row[name] is not None and compare(row[name], value)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[list[dict]], list[set[str]], ds.Expression, Callable[[dict], bool]]:
    files = draw(st.lists(st.lists(ROWS, min_size=1, max_size=5), min_size=1, max_size=3))
    unknown = [draw(st.sets(st.sampled_from(sorted(KINDS)))) for _ in files]
    rows = [row for file in files for row in file]
    (one, is_one), (two, is_two) = draw(simple(rows)), draw(simple(rows))
    if draw(st.booleans()):
        return files, unknown, one & two, lambda row: is_one(row) and is_two(row)
    return files, unknown, one | two, lambda row: is_one(row) or is_two(row)


def bounds_of(rows: Iterable[dict[str, Any]], leave_out: set[str]) -> dict[str, Any]:
    """What Spark would write: timestamps cut to the millisecond, no booleans."""
    known: dict[str, dict[str, Any]] = {"minValues": {}, "maxValues": {}, "nullCount": {}}
    for name in KINDS.keys() - leave_out:
        values = [row[name] for row in rows if row[name] is not None]
        known["nullCount"][name] = sum(row[name] is None for row in rows)
        if values and name != "flag":
            known["minValues"][name], known["maxValues"][name] = _text(min(values)), _text(max(values))
    return known


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    return value.isoformat() if isinstance(value, date) else value


@given(cases())
@settings(max_examples=100, deadline=None)
def test_a_filter_finds_what_plain_python_finds(case: tuple) -> None:
    files, unknown, expression, matches = case
    schema = pa.schema([(name, kind) for name, (kind, _) in KINDS.items()])
    with TemporaryDirectory() as folder:
        uri = Path(folder) / "t"
        for number, (rows, leave_out) in enumerate(zip(files, unknown, strict=True)):
            add_file(uri, f"f{number}", pa.Table.from_pylist(rows, schema), bounds_of(rows, leave_out))
        dataset = dataset_of(DeltaTable(str(uri)))
        found = streamed(dataset, expression)
        whole = dataset.to_table(filter=expression).to_pylist()
    rows = [row for file in files for row in pa.Table.from_pylist(file, schema).to_pylist()]
    wanted = sorted(repr(row) for row in rows if matches(row))
    assert sorted(map(repr, found)) == wanted
    assert sorted(map(repr, whole)) == wanted


def test_arrow_opens_local_files_by_itself(tmp_path: Path) -> None:
    """Through deltalake's file system, which is Python, one process in ten that read a table and ended was aborted
    by a thread that still closed a file.
    """
    write_deltalake(tmp_path / "a table", pa.table({"a": [1]}))
    for uri in (str(tmp_path / "a table"), (tmp_path / "a table").as_uri()):
        dataset = dataset_of(DeltaTable(uri))
        assert isinstance(dataset.filesystem, SubTreeFileSystem)
        assert isinstance(dataset.filesystem.base_fs, LocalFileSystem)
        assert dataset.to_table(filter=ds.field("a") == 1).to_pydict() == {"a": [1]}
