"""Many small files become few; no row, no seal and no look-up changes."""

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from conftest import DEFINITION, POPULATION
from fielded.decisions.seals import Leaf
from fielded.services.compact import FEW, Compacted, compact
from fielded.services.seal import seal
from fielded.words.errors import Refused, WrongUse
from fielded.world.data_files import DataFiles
from fielded.world.lookup import find_rows
from fielded.world.seals import Seals
from sealed_books import DAYS, JOURNALS, Books, make_books

LATER = datetime(2026, 3, 9, tzinfo=UTC)
DAY = DAYS[1]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """Twelve drains of two journals beside a batch run, sealed three at a time."""
    books = make_books(tmp_path_factory.mktemp("original") / "books")
    for seed in range(60, 72):
        books.answer(JOURNALS[seed % 2], 1 + seed % 5, DAY, seed)
        if seed % 3 == 2:
            books.seal()
    return books


@pytest.fixture
def books(original: Books, tmp_path: Path) -> Books:
    return original.copied(tmp_path / "books")


def every_row(books: Books) -> list[dict[str, Any]]:
    rows = DeltaTable(books.table("predictions")).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: row["request_id"])


def by_fielded(books: Books) -> None:
    assert compact(books.open(LATER), DAY)


def by_delta(books: Books) -> None:
    DeltaTable(books.table("predictions")).optimize.compact(partition_filters=[("scored_date", "=", str(DAY))])
    seal(books.open(LATER))


def leaves(books: Books) -> list[Leaf]:
    opened = books.open()
    stored = Seals(opened.tables, opened.site, "overrun").stored()
    return [Leaf.parse(row.body) for row in stored.leaves["predictions"]]


@pytest.mark.parametrize("rewrite", [by_fielded, by_delta])
class TestWhoeverRewrites:
    def test_no_row_changes_and_everything_verifies(self, books: Books, rewrite: Callable[[Books], None]) -> None:
        before, files = every_row(books), len(books.files("predictions", str(DAY)))
        rewrite(books)
        assert every_row(books) == before
        assert len(books.files("predictions", str(DAY))) <= files - 12
        report = books.verify()
        assert report.findings == []
        assert report.tables["predictions"]["rows"] == len(before)

    def test_the_rewrite_is_a_leaf_that_binds_new_files_to_old(
        self, books: Books, rewrite: Callable[[Books], None]
    ) -> None:
        old = set(books.files("predictions"))
        sealed = len(leaves(books))
        rewrite(books)
        new = leaves(books)[sealed:]
        assert [leaf.kind for leaf in new] == ["rewrite"]
        assert set(new[0].removed) == old - set(books.files("predictions"))
        for file in new[0].files:
            octets = (books.table("predictions") / file.path).read_bytes()
            assert file.sha256 == hashlib.sha256(octets).hexdigest()

    def test_every_row_is_still_found(self, books: Books, rewrite: Callable[[Books], None]) -> None:
        rewrite(books)
        table = DeltaTable(books.table("predictions"))
        for row in every_row(books)[::7]:
            for column in ("request_id", "subject"):
                hits = find_rows(table, column, row[column])
                assert row["request_id"] in {hit["request_id"] for hit in hits}

    def test_old_files_may_be_cleaned_up(self, books: Books, rewrite: Callable[[Books], None]) -> None:
        rewrite(books)
        (rewritten,) = [leaf for leaf in leaves(books) if leaf.kind == "rewrite"]
        for path in rewritten.removed:
            (books.table("predictions") / path).unlink()
        report = books.verify()
        assert report.findings == []
        count, place = len(rewritten.removed), len(leaves(books)) - 1
        *others, gone = report.notes
        assert gone == f"predictions: {count} old files are gone, replaced by rewrite leaf {place}"
        by_another = ["not by fielded but by another tool" in note for note in others]
        assert by_another == ([True] if rewrite is by_delta else [])

    def test_a_journaled_row_in_a_rewritten_file_is_named_when_it_changes(
        self, books: Books, rewrite: Callable[[Books], None]
    ) -> None:
        rewrite(books)
        (rewritten,) = [leaf for leaf in leaves(books) if leaf.kind == "rewrite"]
        changed: list[dict[str, Any]] = []

        def change(rows: pa.Table) -> pa.Table:
            values = rows.to_pylist()
            place = next(place for place, row in enumerate(values) if row["journal_sequence"] == 52)
            values[place]["requested_by"] = "somebody else"
            changed.append({**values[place], "row": place + 1})
            return pa.Table.from_pylist(values, schema=rows.schema)

        file = next(
            file.path for file in rewritten.files
            if 52 in pa.parquet.read_table(books.table("predictions") / file.path, partitioning=None)
            .column("journal_sequence").to_pylist()
        )  # fmt: skip
        books.rewrite("predictions", file, change)
        findings = [one for one in books.verify().findings if one.rule == 13]
        assert [(one.row, one.request_id) for one in findings] == [
            (row["row"], row["request_id"]) for row in changed
        ]

    def test_a_row_lost_in_a_rewrite_after_it_was_sealed(
        self, books: Books, rewrite: Callable[[Books], None]
    ) -> None:
        rewrite(books)
        (rewritten,) = [leaf for leaf in leaves(books) if leaf.kind == "rewrite"]
        books.rewrite("predictions", rewritten.files[-1].path, lambda rows: rows.slice(0, rows.num_rows - 1))
        findings = books.verify().findings
        assert {10, 13, 15} & {one.rule for one in findings} >= {10}
        assert all(one.file == rewritten.files[-1].path for one in findings if one.rule == 10)


def test_what_was_done_is_told(books: Books) -> None:
    (done,) = [one for one in compact(books.open(LATER), DAY) if one.table.endswith("predictions")]
    assert done == Compacted("ledger.overrun.predictions", 14, 1, done.rows)
    journaled = [row for row in every_row(books) if row["scored_date"] == DAY and row["journal"] is not None]
    assert done.rows == len(journaled)  # a batch file has other columns, and stays


def test_a_second_compaction_finds_nothing_to_do(books: Books) -> None:
    compact(books.open(LATER), DAY)
    versions = {name: books.last(name) for name in ("predictions", "events", "seals")}
    assert compact(books.open(LATER), DAY) == []
    assert {name: books.last(name) for name in versions} == versions


def test_a_day_with_few_small_files_is_left_alone(books: Books) -> None:
    assert len(books.files("predictions", str(DAYS[0]))) <= FEW
    assert compact(books.open(LATER), DAYS[0]) == []


@pytest.mark.parametrize("day", [DAY, DAY + timedelta(days=1)])
def test_a_day_that_is_not_over_is_refused(books: Books, day: date) -> None:
    with pytest.raises(WrongUse, match="expected a day before today"):
        compact(books.open(datetime(2026, 3, 2, 23, 59, tzinfo=UTC)), day)


def test_files_with_and_without_a_later_column_stay_apart_and_verify(books: Books) -> None:
    text = DEFINITION.replace("  month: ", "  crew:    {type: int, min: 0, nullable: true}\n  month: ")
    (books.folder / "deployment" / "deployment.yaml").write_text(text.replace("MODEL", "made"))
    (books.folder / "deployment" / "population.py").write_text(POPULATION)
    opened = books.open()
    opened.ledger.prepare(opened.deployment)
    for seed in range(80, 90):
        books.answer(JOURNALS[0], 3, DAY, seed, crew=seed)
    before = every_row(books)
    assert len(compact(books.open(LATER), DAY)) >= 2
    assert every_row(books) == before
    assert books.verify().findings == []


def test_seals_can_be_compacted_too_and_go_on(books: Books) -> None:
    days = {name.split("/")[0] for name in books.files("seals")}
    assert days == {"sealed_date=2026-03-02"}
    done = {one.table for one in compact(books.open(LATER), DAY)}
    assert "ledger.overrun.seals" in done
    for path in books.table("seals").glob("*/seal-*.parquet"):
        if path.relative_to(books.table("seals")).as_posix() not in books.files("seals"):
            path.unlink()
    books.answer(JOURNALS[1], 2, DAY, 99)
    books.seal()
    assert books.verify().findings == []


def test_a_rewrite_that_loses_a_row_is_not_sealed(books: Books) -> None:
    table = DeltaTable(books.table("predictions"))
    table.optimize.compact(partition_filters=[("scored_date", "=", str(DAY))])
    (new,) = [name for name in books.files("predictions", str(DAY)) if "part-" in name]
    books.rewrite("predictions", new, lambda rows: rows.slice(1))
    version = books.last("predictions")

    def fitting(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for action in actions:
            if "add" in action:
                action["add"]["size"] = (books.table("predictions") / new).stat().st_size
                del action["add"]["stats"]
        return actions

    books.edit_log("predictions", version, fitting)
    sealed = books.last("seals")
    with pytest.raises(Refused, match="a rewrite changed rows; nothing is sealed"):
        books.seal()
    assert books.last("seals") == sealed


def test_a_rewrite_of_a_file_that_was_changed_before_is_not_sealed(books: Books) -> None:
    """Else a rewrite would make good what was tampered with."""
    tampered = books.files("predictions", "journal-1111-60")[0] if books.files("predictions", "1111-60") else None
    tampered = tampered or books.files("predictions", "journal-1111")[-1]
    table = DeltaTable(books.table("predictions"))
    octets = (books.table("predictions") / tampered).read_bytes()
    table.optimize.compact(partition_filters=[("scored_date", "=", str(DAY))])
    (books.table("predictions") / tampered).write_bytes(octets[:-9] + b"!" + octets[-8:])
    with pytest.raises(Refused, match="rewrites what is not as sealed"):
        books.seal()


def test_old_files_cleaned_up_before_the_rewrite_was_sealed_are_named(books: Books) -> None:
    table = DeltaTable(books.table("predictions"))
    gone = books.files("predictions", str(DAY))
    table.optimize.compact(partition_filters=[("scored_date", "=", str(DAY))])
    (books.table("predictions") / gone[0]).unlink()
    with pytest.raises(Refused, match="Seal before old files are cleaned up"):
        books.seal()


def test_what_arrived_otherwise_than_written_is_not_committed(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = books.last("predictions")
    monkeypatch.setattr(DataFiles, "write", _losing(DataFiles.write))
    files = set(books.table("predictions").rglob("*.parquet"))
    with pytest.raises(Refused, match="in the new files"):
        compact(books.open(LATER), DAY)
    assert books.last("predictions") == version
    assert set(books.table("predictions").rglob("*.parquet")) == files


def _losing(write: Callable[[DataFiles, pa.RecordBatch], None]) -> Callable[[DataFiles, pa.RecordBatch], None]:
    return lambda self, batch: write(self, batch.slice(1))
