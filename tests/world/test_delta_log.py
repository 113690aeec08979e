"""Log entries as bytes, and the digest of rows in files."""

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from fielded.decisions.chain import row_digests, unordered_digest
from fielded.decisions.stretch import Stretch
from fielded.definition import Site
from fielded.words.errors import Refused
from fielded.world.checkpoint_copies import read_copies, write_copy
from fielded.world.data_files import DataFiles
from fielded.world.delta_log import entries_after, entry_path, entry_sha256, read_entry, versions
from fielded.world.row_digests import RowsDigest, rows_sha256
from fielded.world.tables import DeltaTables

DAY = date(2026, 3, 2)
SCHEMA = pa.schema([("text", pa.string()), ("day", pa.date32())])


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    (tmp_path / "tables").mkdir()
    site = Site(
        root=str(tmp_path / "tables"), tracking_uri="none", artifact_root="none", cache=tmp_path,
        journal_url="sqlite:///none", signing_key="file:none",
    )  # fmt: skip
    made = DeltaTables(site)
    made.ensure("ledger.t", SCHEMA, partition="day", append_only=True)
    return made


def commit(tables: DeltaTables, name: str, stretch: Stretch | None = None, rows_per_file: int = 2) -> DataFiles:
    with DataFiles(tables.uri("ledger.t"), ("day", DAY), name, rows_per_file=rows_per_file) as files:
        for text in ("a", "b", "c"):
            files.write(pa.RecordBatch.from_pydict({"text": [text]}))
        files.close()
        files.stretch = stretch
        tables.commit_files("ledger.t", files, lambda _: {"app": 1})
    return files


class TestEntries:
    def test_what_a_commit_adds_and_what_it_recorded_of_it(self, tables: DeltaTables) -> None:
        files = commit(tables, "one")
        folder = Path(tables.uri("ledger.t"))
        entry = read_entry(folder, 1)
        assert entry is not None
        assert [(file.path, file.rows, file.size) for file in entry.added] == [
            (action.path, rows, action.size) for action, rows in zip(files.added, (2, 1), strict=True)
        ]
        assert all(file.partition == {"day": "2026-03-02"} and file.data_change for file in entry.added)
        for file in entry.added:
            octets = (folder / file.path).read_bytes()
            assert entry.recorded[file.path] == {"sha256": hashlib.sha256(octets).hexdigest(), "rows": file.rows}
        assert entry.sha256 == hashlib.sha256(entry_path(folder, 1).read_bytes()).hexdigest()
        assert entry.sha256 == entry_sha256(folder, 1)
        assert entry.unix_ms > 0
        assert entry.stretches == {}

    def test_the_stretch_of_a_drained_file(self, tables: DeltaTables) -> None:
        stretch = Stretch(journal="j", first=4, last=6, before="00" * 32, after="11" * 32)
        files = commit(tables, "one", stretch, rows_per_file=9)
        entry = read_entry(Path(tables.uri("ledger.t")), 1)
        assert entry is not None
        assert entry.stretches == {files.added[0].path: stretch}

    def test_a_commit_by_another_tool_has_nothing_recorded(self, tables: DeltaTables) -> None:
        write_deltalake(tables.uri("ledger.t"), pa.table({"text": ["x"], "day": [DAY]}), mode="append")
        entry = read_entry(Path(tables.uri("ledger.t")), 1)
        assert entry is not None
        assert (len(entry.added), entry.recorded) == (1, {})

    def test_a_rewrite_removes_without_a_change_of_data(self, tables: DeltaTables) -> None:
        for name in ("one", "two"):
            commit(tables, name)
        DeltaTable(tables.uri("ledger.t")).optimize.compact()
        entry = read_entry(Path(tables.uri("ledger.t")), 3)
        assert entry is not None
        assert len(entry.removed) == 4
        assert not any(file.data_change for file in (*entry.removed, *entry.added))

    def test_they_follow_each_other_until_one_is_missing(self, tables: DeltaTables) -> None:
        for name in ("one", "two", "three"):
            commit(tables, name)
        folder = Path(tables.uri("ledger.t"))
        assert [entry.version for entry in entries_after(folder, -1)] == [0, 1, 2, 3]
        assert [entry.version for entry in entries_after(folder, 1)] == [2, 3]
        assert versions(folder) == [0, 1, 2, 3]
        entry_path(folder, 2).unlink()
        assert [entry.version for entry in entries_after(folder, -1)] == [0, 1]
        assert read_entry(folder, 2) is entry_sha256(folder, 2) is None

    def test_names_that_are_no_versions_are_passed_over(self, tables: DeltaTables) -> None:
        folder = Path(tables.uri("ledger.t"))
        for name in ("00000000000000000000.00000000000000000001.compacted.json", "1.json", "x.json"):
            (folder / "_delta_log" / name).write_text("{}")
        assert versions(folder) == [0]

    @pytest.mark.parametrize(
        "text",
        ["{", "[]", "7", '{"add": {}}', '{"add": null}', '{"remove": {"path": 7}}', '{"commitInfo": 7}',
         '{"commitInfo": {"fielded": "{"}}', '{"commitInfo": {"fielded": "[]"}}', "\xff"],
    )  # fmt: skip
    def test_garbage_is_refused_by_name(self, tables: DeltaTables, text: str) -> None:
        folder = Path(tables.uri("ledger.t"))
        entry_path(folder, 1).write_bytes(text.encode("latin-1"))
        with pytest.raises(Refused, match="t: log entry 1: got lines that are no actions"):
            read_entry(folder, 1)


class TestDigestOfRows:
    @given(st.lists(st.binary(min_size=32, max_size=32)), st.integers(1, 5))
    def test_is_that_of_the_chain_s_module_however_it_comes_in(self, digests: list[bytes], step: int) -> None:
        digest = RowsDigest()
        for start in range(0, len(digests), step):
            digest.add(digests[start : start + step])
        assert digest.hexdigest() == unordered_digest(digests).hex()

    @given(st.lists(st.sampled_from([bytes(32), bytes(31) + b"\1", b"\1" + bytes(31), b"\xff" * 32]), max_size=9))
    def test_zeros_at_an_end_are_bytes_like_others(self, digests: list[bytes]) -> None:
        digest = RowsDigest()
        digest.add(digests)
        assert digest.hexdigest() == unordered_digest(digests).hex()

    def test_order_and_files_make_no_difference(self, tmp_path: Path) -> None:
        rows = pa.table({"text": ["a", "b", None, "d"], "number": [1, 2, 3, 4]})
        pq.write_table(rows, tmp_path / "all.parquet")
        pq.write_table(rows.slice(2), tmp_path / "1.parquet")
        pq.write_table(rows.slice(0, 2), tmp_path / "2.parquet")
        one = rows_sha256([tmp_path / "all.parquet"])
        assert one == rows_sha256([tmp_path / "1.parquet", tmp_path / "2.parquet"])
        assert one == unordered_digest(row_digests(rows)).hex()
        assert one != rows_sha256([tmp_path / "all.parquet", tmp_path / "1.parquet"])


class TestCopiesOfCheckpoints:
    def test_are_written_once_and_read_back(self, tmp_path: Path) -> None:
        assert write_copy(tmp_path, "overrun", "events", 7, "note\n")
        assert not write_copy(tmp_path, "overrun", "events", 7, "note\n")
        (copy,) = read_copies([tmp_path], "overrun")
        assert (copy.path, copy.note) == (tmp_path / "overrun" / "events" / "7.note", b"note\n")
        assert [one.name for one in copy.path.parent.iterdir()] == ["7.note"]

    def test_another_note_never_takes_their_place(self, tmp_path: Path) -> None:
        write_copy(tmp_path, "overrun", "events", 7, "note\n")
        with pytest.raises(Refused, match="two histories"):
            write_copy(tmp_path, "overrun", "events", 7, "other\n")
        assert (tmp_path / "overrun" / "events" / "7.note").read_text() == "note\n"

    def test_are_written_where_the_store_has_no_links(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_links(*_: Any) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr("os.link", no_links)
        assert write_copy(tmp_path, "overrun", "events", 7, "note\n")
        assert not write_copy(tmp_path, "overrun", "events", 7, "note\n")

    def test_those_of_other_deployments_are_passed_over(self, tmp_path: Path) -> None:
        write_copy(tmp_path, "overrun", "events", 7, "note\n")
        write_copy(tmp_path, "other", "events", 8, "note\n")
        assert [copy.path.name for copy in read_copies([tmp_path], "overrun")] == ["7.note"]
        assert [copy.path.name for copy in read_copies([tmp_path / "other" / "events" / "8.note"], "overrun")] == [
            "8.note"
        ]
