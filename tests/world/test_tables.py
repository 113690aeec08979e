"""Commits that happen once, on real Delta tables; first the two traps of Delta that they are built around."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction

from conftest import NOWHERE
from fielded.definition import Site
from fielded.words.errors import Unreachable, WrongUse
from fielded.world import tables as tables_module
from fielded.world.data_files import DataFiles
from fielded.world.tables import Commit, DeltaTables, TableMissing

DAY = date(2026, 3, 2)
TODAY = ("day", "2026-03-02")
SCHEMA = pa.schema([("text", pa.string()), ("day", pa.date32())])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "tables").mkdir()
    return Site(
        root=str(tmp_path / "tables"),
        tracking_uri="none",
        artifact_root="none",
        cache=tmp_path / "cache",
        **NOWHERE,
    )


@pytest.fixture
def tables(site: Site) -> DeltaTables:
    made = DeltaTables(site)
    made.ensure("gold.scores", SCHEMA, partition="day")
    return made


def files_of(tables: DeltaTables, text: str, name: str = "gold.scores") -> DataFiles:
    files = DataFiles(tables.uri(name), ("day", DAY), text, rows_per_file=10)
    files.write(pa.RecordBatch.from_pydict({"text": [text]}))
    files.close()
    return files


def texts(tables: DeltaTables, name: str = "gold.scores") -> list[str]:
    return sorted(tables.open(name).to_pyarrow_table().column("text").to_pylist())


def on_disk(tables: DeltaTables, name: str = "gold.scores") -> int:
    return len(list(Path(tables.uri(name)).rglob("*.parquet")))


def overwrite(table: DeltaTable, add: list[AddAction], app: str, version: int) -> None:
    """As deltalake offers it, with its own retries."""
    table.create_write_transaction(
        add,
        mode="overwrite",
        schema=table.schema(),
        partition_by=["day"],
        partition_filters=[("day", "=", "2026-03-02")],
        commit_properties=CommitProperties(app_transactions=[Transaction(app, version)]),
    )


class TestTrapsOfDelta:
    """Facts about deltalake. Where one of these fails, Delta has changed and `tables` can be simplified."""

    def test_two_overwrites_of_an_empty_partition_at_once_both_succeed(self, tables: DeltaTables) -> None:
        one, two = tables.open("gold.scores"), tables.open("gold.scores")
        overwrite(one, files_of(tables, "one").added, "app-one", 1)
        overwrite(two, files_of(tables, "two").added, "app-two", 1)
        assert texts(tables) == ["one", "two"]

    def test_with_one_application_id_the_second_of_them_fails(self, tables: DeltaTables) -> None:
        one, two = tables.open("gold.scores"), tables.open("gold.scores")
        overwrite(one, files_of(tables, "one").added, "day", 1)
        with pytest.raises(CommitFailedError):
            overwrite(two, files_of(tables, "two").added, "day", 2)
        assert texts(tables) == ["one"]

    def test_a_repeated_application_transaction_is_not_skipped(self, tables: DeltaTables) -> None:
        for _ in range(2):
            write_deltalake(
                tables.uri("gold.scores"),
                pa.table({"text": ["x"], "day": [DAY]}),
                mode="append",
                commit_properties=CommitProperties(app_transactions=[Transaction("run", 1)]),
            )
        assert texts(tables) == ["x", "x"]


def test_of_two_commits_with_one_application_id_one_wins_and_the_other_is_asked_again(
    tables: DeltaTables,
) -> None:
    asked: dict[str, list[int | None]] = {"one": [], "two": []}
    both_looked = threading.Barrier(2)

    def decider(who: str) -> Callable[[DeltaTable], Commit | None]:
        files = files_of(tables, who)

        def decide(table: DeltaTable) -> Commit | None:
            seen = table.transaction_version("day/2026-03-02")
            asked[who].append(seen)
            if len(asked[who]) == 1:
                both_looked.wait()
            return (
                Commit(add=files.offer(), transactions={"day/2026-03-02": 1}, replace=TODAY)
                if seen is None
                else None
            )

        return decide

    results: dict[str, int | None] = {}

    def run(who: str) -> None:
        results[who] = tables.commit("gold.scores", decider(who))

    threads = [threading.Thread(target=run, args=(who,)) for who in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [who for who, version in results.items() if version is not None]
    (loser,) = set(asked) - {winner}
    assert results[winner] == 1
    assert texts(tables) == [winner]
    assert asked[winner] == [None]
    assert asked[loser] == [None, 1]


def test_a_commit_that_was_overtaken_is_decided_on_the_new_version(tables: DeltaTables) -> None:
    versions = []

    def decide(table: DeltaTable) -> Commit:
        versions.append(table.version())
        if len(versions) == 1:
            write_deltalake(tables.uri("gold.scores"), pa.table({"text": ["x"], "day": [DAY]}), mode="append")
        return Commit(add=files_of(tables, f"mine{len(versions)}").offer(), transactions={})

    assert tables.commit("gold.scores", decide) == 2
    assert versions == [0, 1]
    assert texts(tables) == ["mine2", "x"]


def test_a_replacing_commit_replaces_its_partition_and_no_other(tables: DeltaTables) -> None:
    other = pa.table({"text": ["old", "yesterday"], "day": [DAY, date(2026, 3, 1)]})
    write_deltalake(tables.uri("gold.scores"), other, mode="append")
    tables.commit_files("gold.scores", files_of(tables, "new"), lambda _: {"day": 1}, TODAY)
    assert texts(tables) == ["new", "yesterday"]


def test_gives_up_after_its_attempts_and_says_to_run_again(
    tables: DeltaTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables_module, "_ATTEMPTS", 3)

    def decide(table: DeltaTable) -> Commit:
        write_deltalake(tables.uri("gold.scores"), pa.table({"text": ["x"], "day": [DAY]}), mode="append")
        return Commit(add=files_of(tables, f"mine-{table.version()}").offer(), transactions={})

    with pytest.raises(Unreachable, match=r"gold\.scores: got 3 commits by others first.*Run again"):
        tables.commit("gold.scores", decide)
    assert texts(tables) == ["x", "x", "x"]


def test_a_file_is_never_written_over(tables: DeltaTables) -> None:
    tables.commit_files("gold.scores", files_of(tables, "mine"), lambda _: {"run": 1})
    with pytest.raises(Unreachable, match="File exists"):
        files_of(tables, "mine")
    assert texts(tables) == ["mine"]


class TestCommitFiles:
    def test_deletes_the_files_where_the_commit_is_not_to_be_made_any_more(self, tables: DeltaTables) -> None:
        assert tables.commit_files("gold.scores", files_of(tables, "first"), lambda _: {"run": 1})
        assert not tables.commit_files("gold.scores", files_of(tables, "second"), lambda _: None)
        assert texts(tables) == ["first"]
        assert on_disk(tables) == 1

    def test_keeps_them_where_the_commit_had_happened_although_it_was_called_failed(
        self, tables: DeltaTables, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = DeltaTable.create_write_transaction

        def happens_and_fails(self: DeltaTable, *args: object, **options: object) -> None:
            real(self, *args, **options)
            raise CommitFailedError("the answer was lost")

        monkeypatch.setattr(DeltaTable, "create_write_transaction", happens_and_fails)

        def once(table: DeltaTable) -> Mapping[str, int] | None:
            return {"run": 1} if table.transaction_version("run") is None else None

        assert tables.commit_files("gold.scores", files_of(tables, "mine"), once)
        assert texts(tables) == ["mine"]
        assert tables.open("gold.scores").version() == 1

    def test_keeps_them_where_the_store_failed_after_the_commit(
        self, tables: DeltaTables, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = DeltaTable.create_write_transaction

        def happens_and_fails(self: DeltaTable, *args: object, **options: object) -> None:
            real(self, *args, **options)
            raise DeltaError("connection reset\n   0: a stack")

        monkeypatch.setattr(DeltaTable, "create_write_transaction", happens_and_fails)
        with pytest.raises(Unreachable, match=r"gold\.scores: cannot be written \(connection reset\)$"):
            self._commit_in_context(tables)
        assert texts(tables) == ["mine"]  # readable: its file is still there

    def _commit_in_context(self, tables: DeltaTables) -> None:
        with DataFiles(tables.uri("gold.scores"), ("day", DAY), "mine", rows_per_file=1) as files:
            files.write(pa.RecordBatch.from_pydict({"text": ["mine"]}))
            files.close()
            tables.commit_files("gold.scores", files, lambda _: {"run": 1})


ENSURE = """
import sys, time
from pathlib import Path
import pyarrow as pa
from fielded.definition import Site
from fielded.world.tables import DeltaTables
import os
root = sys.argv[1]
tables = DeltaTables(Site(root=root, tracking_uri="none", artifact_root="none", cache=Path(root),
                         journal_url="sqlite:///none", signing_key="file:none"))
names = [f"ledger.t{number}" for number in range(12)]
Path(root, f"ready-{os.getpid()}").touch()
while len(list(Path(root).glob("ready-*"))) < 2:
    time.sleep(0)
for name in names:
    tables.ensure(name, pa.schema([("text", pa.string())]), append_only=True)
"""


def test_two_processes_that_make_a_table_at_once_end_with_one(tables: DeltaTables, site: Site) -> None:
    command = [sys.executable, "-c", ENSURE, site.root]
    racers = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        for _ in range(2)
    ]
    for racer in racers:
        _, said = racer.communicate(timeout=60)
        assert racer.returncode == 0, said
    for number in range(12):
        table = tables.open(f"ledger.t{number}")
        assert table.version() == 0
        assert table.metadata().configuration["delta.appendOnly"] == "true"


def test_ensure_leaves_a_present_table_as_it_is(tables: DeltaTables) -> None:
    tables.commit_files("gold.scores", files_of(tables, "mine"), lambda _: {})
    assert tables.ensure("gold.scores", SCHEMA, partition="day").version() == 1
    assert texts(tables) == ["mine"]


def test_history_of_made_tables_is_never_cleaned_up(tables: DeltaTables) -> None:
    made = tables.ensure("ledger.t", SCHEMA, partition="day", append_only=True)
    for table in (made, tables.open("gold.scores")):
        assert table.metadata().configuration["delta.enableExpiredLogCleanup"] == "false"


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.delete("text = 'x'"),
        lambda table: table.update({"text": "'y'"}),
        lambda table: write_deltalake(table, pa.table({"text": ["y"], "day": [DAY]}), mode="overwrite"),
    ],
    ids=["delete", "update", "overwrite"],
)
def test_an_append_only_table_keeps_its_rows(tables: DeltaTables, change: Callable[[DeltaTable], object]) -> None:
    tables.ensure("ledger.t", SCHEMA, partition="day", append_only=True)
    tables.commit_files("ledger.t", files_of(tables, "x", "ledger.t"), lambda _: {})
    with pytest.raises(DeltaError, match="append-only"):
        change(tables.open("ledger.t"))
    assert texts(tables, "ledger.t") == ["x"]


def test_our_own_replacing_commit_to_an_append_only_table_fails_too(
    tables: DeltaTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables_module, "_ATTEMPTS", 2)
    tables.ensure("ledger.t", SCHEMA, partition="day", append_only=True)
    tables.commit_files("ledger.t", files_of(tables, "x", "ledger.t"), lambda _: {})
    with pytest.raises(Unreachable):
        tables.commit_files("ledger.t", files_of(tables, "y", "ledger.t"), lambda _: {}, TODAY)
    assert texts(tables, "ledger.t") == ["x"]


def test_a_missing_table_is_named_with_the_next_step(tables: DeltaTables) -> None:
    with pytest.raises(TableMissing) as caught:
        tables.open("silver.orders")
    assert "table silver.orders: got no Delta table" in str(caught.value)
    assert "population.tables in deployment.yaml and root in site.yaml" in str(caught.value)
    assert caught.value.exit_code == 3
    assert tables.find("silver.orders") is None


def test_a_table_with_a_damaged_log_is_not_taken_for_a_missing_one(tables: DeltaTables) -> None:
    log = Path(tables.uri("gold.scores")) / "_delta_log" / "00000000000000000000.json"
    log.write_text("{damaged")
    with pytest.raises(Unreachable, match=r"gold\.scores: cannot be read") as caught:
        tables.find("gold.scores")
    assert not isinstance(caught.value, TableMissing)


def test_a_pinned_table_stays_at_its_version(tables: DeltaTables) -> None:
    pinned = tables.pin("gold.scores")
    tables.commit_files("gold.scores", files_of(tables, "later"), lambda _: {})
    assert pinned.version == pinned.table.version() == 0
    assert pinned.table.to_pyarrow_table().num_rows == 0


def test_a_root_that_is_no_folder_is_wrong_use(site: Site) -> None:
    with pytest.raises(WrongUse, match="expected a folder or file:// URI"):
        DeltaTables(
            Site(root="s3://bucket/x", tracking_uri="none", artifact_root="none", cache=site.cache, **NOWHERE)
        )


def test_a_root_that_is_not_there_is_not_an_empty_ledger(site: Site) -> None:
    gone = DeltaTables(
        Site(
            root=f"{site.root}/not-mounted", tracking_uri="none", artifact_root="none", cache=site.cache, **NOWHERE
        )
    )
    with pytest.raises(Unreachable) as caught:
        gone.find("ledger.predictions")
    assert not isinstance(caught.value, TableMissing)
