"""Whatever is done to a sealed ledger behind fielded's back is found, and named: table, file and row."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from deltalake import DeltaTable

from fielded.decisions.chain import link, row_digests, start_of
from fielded.decisions.checkpoints import parse
from fielded.decisions.merkle import Tree, leaf_hash
from fielded.decisions.seals import Broken
from fielded.world.keys import FileSigner, sign_checkpoint
from sealed_books import DAYS, JOURNALS, Books, elsewhere, make_books

BATCH = f"scored_date={DAYS[0]}/run-a-00000.parquet"
LIVE = f"scored_date={DAYS[0]}/journal-1111-21-00000.parquet"
OTHER = f"scored_date={DAYS[1]}/run-b-00000.parquet"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return make_books(tmp_path_factory.mktemp("original") / "books")


@pytest.fixture
def books(original: Books, tmp_path: Path) -> Iterator[Books]:
    """A copy to tamper with, and its checkpoints' copies at another office."""
    yield original.copied(tmp_path / "books")
    shutil.rmtree(tmp_path, ignore_errors=True)


def found(books: Books, *outside: Path) -> list[Broken]:
    return books.verify(*outside).findings


def named(findings: list[Broken], rule: int, table: str, file: str = "", row: int | None = None) -> Broken:
    """The finding that names this; fails with all of them."""
    for one in findings:
        if one.rule == rule and one.table == table and file in one.file and row in (None, one.row):
            return one
    pytest.fail(f"nothing about {table} {file} row {row} by rule {rule} in:\n" + "\n".join(map(str, findings)))


def only_about(findings: list[Broken], *files: str) -> None:
    """Nothing is blamed that was left alone."""
    assert {one.file for one in findings} <= set(files), "\n".join(map(str, findings))


def row_of(books: Books, file: str, row: int) -> dict[str, Any]:
    return pq.read_table(books.table("predictions") / file, partitioning=None).slice(row - 1, 1).to_pylist()[0]


def assert_row(finding: Broken, row: dict[str, Any]) -> None:
    assert (finding.request_id, finding.subject) == (row["request_id"], row["subject"])


def with_value(column: str, row: int, value: Any) -> Callable[[pa.Table], pa.Table]:
    def change(rows: pa.Table) -> pa.Table:
        values = rows.column(column).to_pylist()
        values[row - 1] = value
        place = rows.column_names.index(column)
        return rows.set_column(place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type))

    return change


def without(row: int) -> Callable[[pa.Table], pa.Table]:
    return lambda rows: pa.concat_tables([rows.slice(0, row - 1), rows.slice(row)])


def swapped(row: int) -> Callable[[pa.Table], pa.Table]:
    """Rows `row` and `row + 1` in each other's place."""
    return lambda rows: pa.concat_tables(
        [rows.slice(0, row - 1), rows.slice(row, 1), rows.slice(row - 1, 1), rows.slice(row + 1)]
    )


def doubled(row: int) -> Callable[[pa.Table], pa.Table]:
    return lambda rows: pa.concat_tables([rows.slice(0, row), rows.slice(row - 1)])


def inserted(row: int) -> Callable[[pa.Table], pa.Table]:
    """A made-up row in place `row`."""

    def change(rows: pa.Table) -> pa.Table:
        forged = with_value("request_id", 1, "01890000-0000-7000-8000-00000000000f")(rows.slice(row - 1, 1))
        return pa.concat_tables([rows.slice(0, row - 1), forged, rows.slice(row - 1)])

    return change


def test_an_untouched_ledger_has_no_findings(original: Books) -> None:
    report = original.verify()
    assert report.findings == []
    assert report.notes == []
    assert {name: counts["rows"] for name, counts in report.tables.items()} == {
        "predictions": 1415,
        "quarantine": 65,
        "events": 4,
        "outcomes": 0,
    }


class TestRowsOfABatch:
    def test_a_changed_score(self, books: Books) -> None:
        row = row_of(books, BATCH, 37)
        books.rewrite("predictions", BATCH, with_value("score", 37, 0.123))
        findings = found(books)
        named(findings, 10, "predictions", BATCH)
        finding = named(findings, 15, "predictions", BATCH, 37)
        assert_row(finding, row)
        assert finding.got == "another score than in gold.overrun_scores"
        assert [one.row for one in findings if one.rule == 15] == [37]
        only_about(findings, BATCH)

    def test_a_changed_feature_is_found_though_nothing_tells_the_row(self, books: Books) -> None:
        def change(rows: pa.Table) -> pa.Table:
            features = rows.column("features").to_pylist()
            features[3]["hours"] += 1
            place = rows.column_names.index("features")
            return rows.set_column(
                place, rows.schema.field(place), pa.array(features, rows.schema.field(place).type)
            )

        books.rewrite("predictions", BATCH, change)
        findings = found(books)
        named(findings, 10, "predictions", BATCH)
        only_about(findings, BATCH)

    def test_a_flipped_byte(self, books: Books) -> None:
        path = books.table("predictions") / BATCH
        column = pq.read_metadata(path).row_group(1).column(0)
        octets = bytearray(path.read_bytes())
        octets[column.data_page_offset + column.total_compressed_size // 2] ^= 1
        path.write_bytes(octets)
        findings = found(books)
        named(findings, 10, "predictions", BATCH)
        finding = named(findings, 15, "predictions", BATCH)
        assert finding.got.startswith("a page of column request_id that is damaged, in rows 96 to 190")
        only_about(findings, BATCH)

    def test_a_deleted_row(self, books: Books) -> None:
        row = row_of(books, BATCH, 37)
        books.rewrite("predictions", BATCH, without(37))
        findings = found(books)
        assert any(one.rule == 15 and one.got == "284 rows" and one.expected == "285 rows" for one in findings)
        (gone,) = [one for one in findings if one.got == "no such row"]
        assert_row(gone, row)
        only_about(findings, BATCH)

    def test_an_inserted_row(self, books: Books) -> None:
        books.rewrite("predictions", BATCH, inserted(37))
        finding = named(found(books), 15, "predictions", BATCH, 37)
        assert finding.request_id == "01890000-0000-7000-8000-00000000000f"

    def test_swapped_rows(self, books: Books) -> None:
        row = row_of(books, BATCH, 37)
        books.rewrite("predictions", BATCH, swapped(37))
        findings = found(books)
        finding = named(findings, 15, "predictions", BATCH, 38)
        assert_row(finding, row)
        assert "below that of the row before it" in finding.got

    def test_a_doubled_row(self, books: Books) -> None:
        row = row_of(books, BATCH, 37)
        books.rewrite("predictions", BATCH, doubled(37))
        finding = named(found(books), 15, "predictions", BATCH, 38)
        assert_row(finding, row)
        assert finding.got == "a request id that is there already"

    def test_of_very_many_changed_rows_some_are_named_and_the_rest_counted(self, books: Books) -> None:
        def halved(rows: pa.Table) -> pa.Table:
            place = rows.column_names.index("score")
            return rows.set_column(place, rows.schema.field("score"), pc.multiply(rows.column("score"), 0.5))

        books.rewrite("predictions", BATCH, halved)
        findings = [one for one in found(books) if one.rule == 15]
        assert len(findings) == 51
        assert findings[-1].got == "235 rows more like these"


class TestJournaledRows:
    """The chain names the row itself."""

    def test_a_changed_value(self, books: Books) -> None:
        row = row_of(books, LIVE, 17)
        books.rewrite("predictions", LIVE, with_value("score", 17, 0.123))
        findings = found(books)
        named(findings, 10, "predictions", LIVE)
        finding = named(findings, 13, "predictions", LIVE, 17)
        assert_row(finding, row)
        assert [one.row for one in findings if one.rule == 13] == [17]
        only_about(findings, LIVE)

    @pytest.mark.parametrize("row", [1, 40], ids=["first", "last"])
    def test_a_changed_value_at_an_end_of_the_file(self, books: Books, row: int) -> None:
        books.rewrite("predictions", LIVE, with_value("requested_by", row, "somebody else"))
        findings = found(books)
        assert [one.row for one in findings if one.rule == 13] == [row]
        only_about(findings, LIVE)

    def test_a_deleted_row(self, books: Books) -> None:
        row = row_of(books, LIVE, 18)
        books.rewrite("predictions", LIVE, without(17))
        findings = found(books)
        finding = named(findings, 13, "predictions", LIVE, 17)
        assert_row(finding, row)
        assert (finding.got, finding.expected) == (
            f"row 18 of journal {JOURNALS[0]}",
            f"row 17 of journal {JOURNALS[0]}",
        )
        only_about(findings, LIVE)

    def test_the_last_row_deleted(self, books: Books) -> None:
        books.rewrite("predictions", LIVE, without(40))
        finding = named(found(books), 13, "predictions", LIVE)
        assert finding.got.startswith("row 39 with head")
        assert finding.expected.startswith(f"row 40 of journal {JOURNALS[0]} with head")

    def test_an_inserted_row(self, books: Books) -> None:
        books.rewrite("predictions", LIVE, inserted(17))
        finding = named(found(books), 13, "predictions", LIVE, 18)
        assert finding.got == f"row 17 of journal {JOURNALS[0]}"

    def test_swapped_rows(self, books: Books) -> None:
        books.rewrite("predictions", LIVE, swapped(17))
        findings = found(books)
        assert named(findings, 13, "predictions", LIVE, 17).got == f"row 18 of journal {JOURNALS[0]}"
        assert named(findings, 13, "predictions", LIVE, 18).got == f"row 17 of journal {JOURNALS[0]}"

    def test_a_doubled_row(self, books: Books) -> None:
        books.rewrite("predictions", LIVE, doubled(17))
        assert named(found(books), 13, "predictions", LIVE, 18).got == f"row 17 of journal {JOURNALS[0]}"

    def test_a_chain_that_is_made_anew_after_a_change(self, books: Books) -> None:
        """Whoever knows how chains are made can make one; the sealed end is another."""

        def change(rows: pa.Table) -> pa.Table:
            rows = with_value("score", 17, 0.123)(rows)
            heads = [head.hex() for head in link(start_of(JOURNALS[0]), row_digests(rows))]
            return rows.set_column(rows.column_names.index("chain"), "chain", pa.array(heads))

        books.rewrite("predictions", LIVE, change)
        findings = found(books)
        named(findings, 10, "predictions", LIVE)
        assert "at its end" in named(findings, 13, "predictions", LIVE).expected

    def test_renumbered_rows(self, books: Books) -> None:
        def change(rows: pa.Table) -> pa.Table:
            place = rows.column_names.index("journal_sequence")
            return rows.set_column(place, "journal_sequence", pc.add(rows.column(place), 1))

        books.rewrite("predictions", LIVE, change)
        finding = named(found(books), 13, "predictions", LIVE, 1)
        assert finding.got == f"row 2 of journal {JOURNALS[0]}"

    def test_a_chain_that_is_no_digest(self, books: Books) -> None:
        books.rewrite("predictions", LIVE, with_value("chain", 17, None))
        assert named(found(books), 13, "predictions", LIVE, 17).got == "no number or no chain"

    def test_a_row_that_is_moved_to_another_day(self, books: Books) -> None:
        row = row_of(books, LIVE, 17)
        books.rewrite("predictions", LIVE, with_value("scored_at", 17, row["scored_at"] + timedelta(days=1)))
        findings = found(books)
        assert_row(named(findings, 14, "predictions", LIVE, 17), row)
        named(findings, 13, "predictions", LIVE, 17)

    def test_rows_cut_from_the_journal_between_two_drains(self, books: Books) -> None:
        """They were answered, and never came to the ledger; what did come is sealed in good faith."""
        books.journaled(JOURNALS[1], 5, DAYS[1], seed=41)
        books.answer(JOURNALS[1], 8, DAYS[1], seed=42)
        books.seal()
        findings = found(books)
        (finding,) = findings
        assert finding.rule == 12
        assert finding.file == f"scored_date={DAYS[1]}/journal-2222-42-00000.parquet"
        assert finding.got == f"rows 56 to 63 of journal {JOURNALS[1]}"
        assert finding.expected == "rows 51 to 55 before them, which no file has"

    def test_a_row_changed_in_the_journal_before_it_was_drained(self, books: Books) -> None:
        before = books.heads[JOURNALS[1]][1]
        rows = books.journaled(JOURNALS[1], 8, DAYS[1], seed=42)
        table = with_value("score", 3, 0.123)(pa.Table.from_batches([rows]))
        books.drain(table.combine_chunks().to_batches()[0], before, "changed")
        books.seal()
        findings = found(books)
        (finding,) = findings
        assert (finding.rule, finding.row) == (13, 3)
        assert_row(finding, rows.slice(2, 1).to_pylist()[0])

    def test_a_stretch_that_is_drained_twice(self, books: Books) -> None:
        before = books.heads[JOURNALS[1]][1]
        rows = books.journaled(JOURNALS[1], 8, DAYS[1], seed=42)
        books.drain(rows, before, "once")
        books.drain(rows.slice(0, 7), before, "twice")  # all 8 were the same bytes, which are not sealed twice
        books.seal()
        (finding,) = found(books)
        assert finding.rule == 12
        assert finding.expected == "rows from 58 on: others are there already"


class TestFiles:
    def test_a_deleted_file(self, books: Books) -> None:
        (books.table("predictions") / BATCH).unlink()
        findings = found(books)
        assert named(findings, 10, "predictions", BATCH).got == "no such file, 285 rows gone"
        only_about(findings, BATCH)

    def test_a_deleted_file_of_journaled_rows_is_not_blamed_on_those_that_follow(self, books: Books) -> None:
        (books.table("predictions") / LIVE).unlink()
        findings = found(books)
        assert [one.rule for one in findings] == [10]
        only_about(findings, LIVE)

    @pytest.mark.parametrize("file", [BATCH, LIVE])
    def test_a_truncated_file(self, books: Books, file: str) -> None:
        path = books.table("predictions") / file
        path.write_bytes(path.read_bytes()[:-200])
        findings = found(books)
        named(findings, 10, "predictions", file)
        assert "no footer at its end" in named(findings, 15, "predictions", file).got
        only_about(findings, file)

    def test_an_emptied_file(self, books: Books) -> None:
        (books.table("predictions") / BATCH).write_bytes(b"")
        findings = found(books)
        assert named(findings, 10, "predictions", BATCH).got.startswith("0 bytes")

    def test_a_replaced_file(self, books: Books) -> None:
        shutil.copy(books.table("predictions") / OTHER, books.table("predictions") / BATCH)
        findings = found(books)
        named(findings, 10, "predictions", BATCH)
        only_about(findings, BATCH)

    def test_swapped_files(self, books: Books) -> None:
        one, two = (books.table("predictions") / name for name in (BATCH, LIVE))
        octets = one.read_bytes()
        one.write_bytes(two.read_bytes())
        two.write_bytes(octets)
        findings = found(books)
        named(findings, 10, "predictions", BATCH)
        named(findings, 10, "predictions", LIVE)

    @pytest.mark.parametrize("table", ["quarantine", "events"])
    def test_a_changed_file_of_another_table(self, books: Books, table: str) -> None:
        file = books.files(table)[0]
        books.rewrite(table, file, lambda rows: rows.slice(1))
        named(found(books), 10, table, file)

    def test_a_changed_file_that_is_not_sealed_yet(self, books: Books) -> None:
        books.answer(JOURNALS[1], 8, DAYS[1], seed=42)
        file = f"scored_date={DAYS[1]}/journal-2222-42-00000.parquet"
        books.rewrite("predictions", file, with_value("score", 3, 0.123))
        findings = books.verify(strict=False).findings
        named(findings, 9, "predictions", file)
        named(findings, 13, "predictions", file, 3)


class TestLog:
    def test_the_last_entries_deleted(self, books: Books) -> None:
        last = books.last("predictions")
        for version in (last, last - 1):
            books.log("predictions", version).unlink()
        findings = found(books)
        for version in (last, last - 1):
            finding = named(findings, 6, "predictions", f"{version:020d}.json")
            assert finding.got == "no such log entry"
            assert "which adds scored_date=" in finding.expected

    def test_an_entry_deleted_in_the_middle(self, books: Books) -> None:
        books.log("predictions", 2).unlink()
        named(found(books), 6, "predictions", f"{2:020d}.json")

    def test_a_table_that_was_rolled_back_and_went_on(self, books: Books) -> None:
        last = books.last("predictions")
        books.log("predictions", last).unlink()
        books.heads.pop(JOURNALS[0])
        books.answer(JOURNALS[0], 5, DAYS[1], seed=43)
        assert books.last("predictions") == last
        findings = found(books)
        named(findings, 6, "predictions", f"{last:020d}.json")
        named(findings, 7, "predictions", "journal-1111-24")
        named(findings, 7, "predictions", "journal-1111-43")

    def test_statistics_that_hide_a_file_from_a_lookup(self, books: Books) -> None:
        def change(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
            for action in actions:
                if "add" in action and action["add"]["path"] == BATCH:
                    known = json.loads(action["add"]["stats"])
                    known["maxValues"]["subject"] = known["minValues"]["subject"]
                    action["add"]["stats"] = json.dumps(known)
            return actions

        books.edit_log("predictions", 1, change)
        named(found(books), 6, "predictions", f"{1:020d}.json")

    def test_another_path(self, books: Books) -> None:
        shutil.copy(books.table("predictions") / BATCH, books.table("predictions") / "elsewhere.parquet")

        def change(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
            for action in actions:
                if "add" in action and action["add"]["path"] == BATCH:
                    action["add"]["path"] = "elsewhere.parquet"
            return actions

        books.edit_log("predictions", 1, change)
        findings = found(books)
        named(findings, 6, "predictions", f"{1:020d}.json")
        named(findings, 7, "predictions", BATCH)
        named(findings, 7, "predictions", "elsewhere.parquet")

    def test_a_dropped_file(self, books: Books) -> None:
        books.edit_log(
            "predictions", 1,
            lambda actions: [one for one in actions if one.get("add", {}).get("path") != BATCH],
        )  # fmt: skip
        findings = found(books)
        named(findings, 6, "predictions", f"{1:020d}.json")
        named(findings, 7, "predictions", BATCH)

    def test_a_smuggled_file(self, books: Books) -> None:
        shutil.copy(books.table("predictions") / BATCH, books.table("predictions") / "smuggled.parquet")

        def change(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
            (add,) = [action["add"] for action in actions if action.get("add", {}).get("path") == BATCH]
            return [*actions, {"add": {**add, "path": "smuggled.parquet"}}]

        books.edit_log("predictions", 1, change)
        named(found(books), 7, "predictions", "smuggled.parquet")

    def test_an_entry_that_is_garbage(self, books: Books) -> None:
        books.log("predictions", 2).write_text("{garbage")
        named(found(books), 6, "predictions", f"{2:020d}.json")

    @pytest.mark.parametrize("change", ["drop", "statistics", "transaction"])
    def test_a_checkpoint_of_the_log(self, books: Books, change: str) -> None:
        """Readers believe it in place of the entries that it sums up."""
        folder = books.table("predictions")
        DeltaTable(folder).create_checkpoint()
        (path,) = (folder / "_delta_log").glob("*.checkpoint.parquet")
        assert found(books) == []
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            if row["add"] is not None and row["add"]["path"] == BATCH:
                if change == "drop":
                    row["add"] = None
                elif change == "statistics":
                    known = json.loads(row["add"]["stats"])
                    known["maxValues"]["subject"] = known["minValues"]["subject"]
                    row["add"]["stats"] = json.dumps(known)
            if change == "transaction" and row["txn"] is not None and row["txn"]["appId"] == "run/run-b":
                row["txn"]["appId"] = "run/run-x"
        kept = [row for row in rows if any(value is not None for value in row.values())]
        pq.write_table(pa.Table.from_pylist(kept, schema=pq.read_schema(path)), path)
        size = path.stat().st_size
        last = json.loads((folder / "_delta_log" / "_last_checkpoint").read_text())
        last["size_in_bytes"] = last["sizeInBytes"] = size
        (folder / "_delta_log" / "_last_checkpoint").write_text(json.dumps(last))
        findings = found(books)
        named(findings, 8, "predictions", "" if change == "transaction" else BATCH)
        only_about(findings, BATCH, "")


class TestAnything:
    """Whatever happens to a byte, verifying ends with findings, not with an error."""

    @pytest.mark.parametrize("seed", range(40))
    def test_a_damaged_file_anywhere_is_found(self, books: Books, seed: int) -> None:
        chance = random.Random(seed)
        folders = [books.table(name) for name in ("predictions", "quarantine", "events")]
        paths = sorted(
            path for folder in folders for path in folder.rglob("*") if path.suffix in (".parquet", ".json")
        )
        paths += sorted(books.table("seals").rglob("*.parquet"))
        path = chance.choice(paths)
        octets = bytearray(path.read_bytes())
        how = chance.choice(["flip", "flip", "flip", "cut", "grow", "delete", "blank"])
        if how == "flip":
            octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
        elif how == "cut":
            del octets[chance.randrange(len(octets)) :]
        elif how == "grow":
            octets += b" "
        elif how == "blank":
            start = chance.randrange(len(octets))
            octets[start : start + 100] = bytes(min(100, len(octets) - start))
        path.write_bytes(octets)
        if how == "delete":
            path.unlink()
        findings = found(books)
        place = path.relative_to(books.table("seals").parent).as_posix().partition("/")
        assert any(one.file == place[2] or one.table == place[0] for one in findings), (path, how, findings)

    @pytest.mark.parametrize("seed", range(10))
    def test_a_damaged_log_of_the_seals_breaks_nothing_off(self, books: Books, seed: int) -> None:
        chance = random.Random(seed)
        path = books.log("seals", chance.randrange(books.last("seals") + 1))
        octets = bytearray(path.read_bytes())
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
        path.write_bytes(octets)
        assert books.verify().tables["predictions"]["files"] in (
            0,
            9,
        )  # without its leaves nothing is known of them

    @pytest.mark.parametrize("table", ["predictions", "quarantine", "events"])
    def test_a_table_that_is_gone(self, books: Books, table: str) -> None:
        shutil.rmtree(books.table(table))
        named(found(books), 6, table)

    @pytest.mark.parametrize(
        "change",
        [
            lambda rows: rows.drop_columns(["scored_at"]),
            lambda rows: rows.set_column(0, "request_id", pa.array(range(rows.num_rows))),
            lambda rows: rows.drop_columns(rows.column_names[-1]).append_column("chain", rows.column("score")),
            lambda rows: rows.drop_columns(rows.column_names[-2]).append_column("journal", rows.column("score")),
            lambda _: pa.table({"x": [1]}),
        ],
        ids=["without a column", "another type", "another last type", "another last type but one", "other rows"],
    )  # fmt: skip
    @pytest.mark.parametrize("file", [BATCH, LIVE])
    def test_columns_that_are_not_those_that_were_written(
        self, books: Books, file: str, change: Callable[[pa.Table], pa.Table]
    ) -> None:
        books.rewrite("predictions", file, change)
        findings = found(books)
        named(findings, 10, "predictions", file)
        only_about(findings, file)


class TestSeals:
    def seals(self, books: Books, tree: str, kind: str, place: int) -> tuple[str, int]:
        """The file and row (from 0) of the `seals` table that has a leaf or a checkpoint."""
        for file in books.files("seals"):
            rows = pq.read_table(books.table("seals") / file, partitioning=None).to_pylist()
            for number, row in enumerate(rows):
                if (row["tree"], row["kind"], row["place"]) == (tree, kind, place):
                    return file, number
        raise AssertionError

    def edit(self, books: Books, tree: str, kind: str, place: int, **values: Any) -> None:
        file, number = self.seals(books, tree, kind, place)
        for column, value in values.items():
            books.rewrite("seals", file, with_value(column, number + 1, value))

    def leaf(self, books: Books, place: int) -> str:
        file, number = self.seals(books, "predictions", "leaf", place)
        return pq.read_table(books.table("seals") / file, partitioning=None).column("body")[number].as_py()

    def test_an_edited_leaf(self, books: Books) -> None:
        self.edit(books, "predictions", "leaf", 3, body=self.leaf(books, 3).replace('"rows":', '"rows":1'))
        findings = found(books)
        named(findings, 2, "seals", "leaf 3 of predictions")
        assert "leaves 3 to 3 is another one" in named(findings, 3, "seals", "checkpoint 4 of predictions").got

    def test_an_edited_leaf_with_its_hash(self, books: Books) -> None:
        body = self.leaf(books, 2).replace(BATCH.replace("00000", "00001"), "scored_date=2026-03-01/other.parquet")
        assert body != self.leaf(books, 2)
        self.edit(books, "predictions", "leaf", 2, body=body, hash=leaf_hash(body.encode()).hex())
        findings = found(books)
        assert "leaves 0 to 2 is another one" in named(findings, 3, "seals", "checkpoint 3 of predictions").got
        named(findings, 7, "predictions", "scored_date=2026-03-01/other.parquet")

    def test_a_leaf_that_is_none(self, books: Books) -> None:
        self.edit(books, "predictions", "leaf", 3, body="{}")
        named(found(books), 2, "seals", "leaf 3 of predictions")

    def test_a_leaf_dropped_in_the_middle(self, books: Books) -> None:
        file, number = self.seals(books, "predictions", "leaf", 3)
        books.rewrite("seals", file, without(number + 1))
        findings = found(books)
        finding = named(findings, 2, "seals", "predictions: leaf 3")
        assert finding.got == "leaf 4"
        named(findings, 3, "seals", "checkpoint 4 of predictions")

    def test_a_checkpoint_signed_by_another_key(self, books: Books) -> None:
        """An attacker makes a history of their own, whole in itself."""
        other = books.folder / "other.pem"
        other.write_bytes(
            Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        signer = FileSigner(other, development=True)
        body = self.leaf(books, 9).replace('"rows":60', '"rows":61')
        self.edit(books, "predictions", "leaf", 9, body=body, hash=leaf_hash(body.encode()).hex())
        tree = Tree(leaf_hash(self.leaf(books, place).encode()) for place in range(10))
        file, number = self.seals(books, "predictions", "checkpoint", 10)
        note = pq.read_table(books.table("seals") / file, partitioning=None).column("body")[number].as_py()
        forged = sign_checkpoint(replace(parse(note).checkpoint, root=tree.root()), signer).to_note()
        self.edit(books, "predictions", "checkpoint", 10, body=forged, hash=tree.root().hex())
        findings = found(books)
        named(findings, 1, "seals", "checkpoint 10 of predictions")
        named(findings, 4, "predictions", "copies/overrun/predictions/10.note")

    def test_an_edited_time(self, books: Books) -> None:
        file, number = self.seals(books, "predictions", "checkpoint", 4)
        row = pq.read_table(books.table("seals") / file, partitioning=None).slice(number, 1).to_pylist()[0]
        other = row["body"].replace("time 2026-03-02", "time 2026-03-01")
        assert other != row["body"]
        self.edit(books, "predictions", "checkpoint", 4, body=other)
        findings = found(books)
        named(findings, 1, "seals", "checkpoint 4 of predictions")
        only_about(findings, "checkpoint 4 of predictions", file)

    def test_an_edited_time_beside_the_note(self, books: Books) -> None:
        file, number = self.seals(books, "predictions", "checkpoint", 4)
        row = pq.read_table(books.table("seals") / file, partitioning=None).slice(number, 1).to_pylist()[0]
        self.edit(books, "predictions", "checkpoint", 4, sealed_at=row["sealed_at"] - timedelta(days=1))
        named(found(books), 1, "seals", "checkpoint 4 of predictions")

    def test_a_note_of_another_table(self, books: Books) -> None:
        file, number = self.seals(books, "quarantine", "checkpoint", 2)
        note = pq.read_table(books.table("seals") / file, partitioning=None).column("body")[number].as_py()
        self.edit(books, "predictions", "checkpoint", 4, body=note)
        finding = named(found(books), 1, "seals", "checkpoint 4 of predictions")
        assert "fielded/overrun/quarantine/" in finding.got

    def test_a_damaged_file_hides_no_other(self, books: Books) -> None:
        file, _ = self.seals(books, "predictions", "leaf", 3)
        (books.table("seals") / file).write_bytes(b"PAR1")
        findings = found(books)
        named(findings, 2, "seals", file)
        named(findings, 2, "seals", "predictions: leaf 3")

    def test_the_whole_table_gone(self, books: Books) -> None:
        shutil.rmtree(books.table("seals"))
        findings = found(books)
        named(findings, 9, "predictions")
        named(findings, 4, "predictions", "10.note")

    def roll_back(self, books: Books) -> None:
        """Ledger and seals as they were before the last sealing: whole in themselves."""
        for table, versions in (("seals", 1), ("predictions", 2), ("quarantine", 1), ("events", 1)):
            last = books.last(table)
            for version in range(last - versions + 1, last + 1):
                for line in books.log(table, version).read_text(encoding="utf-8").splitlines():
                    added = json.loads(line).get("add")
                    if added:
                        (books.table(table) / added["path"]).unlink()
                books.log(table, version).unlink()

    def test_the_tail_of_ledger_and_seals_together_is_found_by_an_outside_copy(
        self, books: Books, tmp_path: Path
    ) -> None:
        outside = elsewhere(books, tmp_path / "office")
        self.roll_back(books)
        assert found(books) == []  # nothing inside can tell
        findings = found(books, outside)
        finding = named(findings, 4, "predictions", "10.note")
        assert finding.got == "6 leaves: those from 6 to 9 are gone"
        assert "of 10 leaves, signed at 2026-03-02" in finding.expected
        assert named(found(books, outside / "overrun" / "predictions" / "10.note"), 4, "predictions") == finding

    def test_a_ledger_that_was_cut_and_went_on_is_found_by_an_outside_copy(
        self, books: Books, tmp_path: Path
    ) -> None:
        outside = elsewhere(books, tmp_path / "office")
        self.roll_back(books)
        for seed in range(50, 56):
            books.answer(JOURNALS[1], 2, DAYS[1], seed=seed)
        books.seal()
        assert found(books) == []
        findings = found(books, outside)
        assert "one of the leaves 6 to 9 is another one" in named(findings, 4, "predictions", "10.note").got

    def test_a_copy_that_was_tampered_with(self, books: Books, tmp_path: Path) -> None:
        outside = elsewhere(books, tmp_path / "office")
        note = outside / "overrun" / "predictions" / "4.note"
        note.write_text(note.read_text(encoding="utf-8").replace("\n4\n", "\n5\n"), encoding="utf-8")
        (outside / "overrun" / "predictions" / "6.note").write_text("nothing")
        findings = found(books, outside)
        named(findings, 4, "predictions", "4.note")
        named(findings, 4, "seals", "6.note")
