"""Sealing: once, in order, onto nothing that was tampered with, and at the cost of what is new."""

import json
import multiprocessing
import shutil
import threading
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from conftest import DAY, World
from fielded.decisions.checkpoints import parse
from fielded.decisions.merkle import Tree, leaf_hash, verify_consistency
from fielded.decisions.seals import Leaf
from fielded.services.approve import approve
from fielded.services.release.rollback import rollback
from fielded.services.score_day import score_day
from fielded.services.seal import Sealed, seal
from fielded.services.verify import verify
from fielded.words.errors import Refused, Unreachable, WrongUse
from fielded.world import delta_log
from fielded.world.keys import public_path
from fielded.world.seals import Seals
from fielded.world.secrets import path_of
from sealed_books import DAYS, JOURNALS, Books, make_books


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return make_books(tmp_path_factory.mktemp("original") / "books")


@pytest.fixture
def books(original: Books, tmp_path: Path) -> Books:
    return original.copied(tmp_path / "books")


def stored(books: Books) -> Any:
    opened = books.open()
    return Seals(opened.tables, opened.site, "overrun").stored()


def leaves(books: Books, tree: str = "predictions") -> list[Leaf]:
    return [Leaf.parse(row.body) for row in stored(books).leaves[tree]]


class TestWhatIsSealed:
    def test_one_leaf_for_each_file_and_one_for_a_commit_without_files(self, books: Books) -> None:
        sealed = leaves(books)
        assert [leaf.kind for leaf in sealed] == ["commit"] + ["file"] * 9
        assert sorted(leaf.files[0].path for leaf in sealed[1:]) == books.files("predictions")
        assert [leaf.version for leaf in sealed] == [0, 1, 1, 2, 3, 4, 5, 5, 5, 6]

    def test_a_drained_file_has_its_stretch(self, books: Books) -> None:
        chains = [leaf.files[0].chain for leaf in leaves(books) if leaf.files and leaf.files[0].chain]
        assert [(chain.journal, chain.first, chain.last) for chain in chains] == [
            (JOURNALS[0], 1, 40),
            (JOURNALS[0], 41, 70),
            (JOURNALS[1], 1, 50),
            (JOURNALS[0], 71, 130),
        ]
        assert chains[1].before == chains[0].after

    def test_each_checkpoint_goes_on_from_the_one_before(self, books: Books) -> None:
        rows = stored(books)
        tree = Tree(leaf_hash(leaf.body.encode()) for leaf in rows.leaves["predictions"])
        checkpoints = [parse(row.body).checkpoint for row in rows.checkpoints["predictions"]]
        assert [one.size for one in checkpoints] == [3, 4, 6, 10]
        for old, new in pairwise(checkpoints):
            proof = tree.consistency_proof(old.size, new.size)
            assert verify_consistency(old.size, new.size, proof, old.root, new.root)

    def test_copies_are_the_notes_themselves(self, books: Books) -> None:
        for tree, checkpoints in stored(books).checkpoints.items():
            for row in checkpoints:
                copy = books.folder / "copies" / "overrun" / tree / f"{row.place}.note"
                assert copy.read_text(encoding="utf-8") == row.body

    def test_a_new_column_is_sealed_as_a_commit_without_files(self, books: Books) -> None:
        text = (books.folder / "deployment" / "deployment.yaml").read_text()
        crew = "  crew:    {type: int, min: 0, nullable: true}\n  month: "
        (books.folder / "deployment" / "deployment.yaml").write_text(text.replace("  month: ", crew))
        opened = books.open()
        opened.ledger.prepare(opened.deployment)
        books.answer(JOURNALS[0], 3, DAYS[1], 77, crew=9)
        books.seal()
        assert [leaf.kind for leaf in leaves(books)[10:]] == ["commit", "file"]
        assert books.verify().findings == []


class TestHowOften:
    def test_nothing_new_adds_nothing(self, books: Books) -> None:
        version = books.last("seals")
        assert seal(books.open()) == Sealed(0, {})
        assert books.last("seals") == version

    def test_a_ledger_that_is_not_there_yet_is_left_so(self, tmp_path: Path) -> None:
        books = Books.at(tmp_path / "books")
        books.define()
        assert seal(books.open()) == Sealed(0, {})
        assert not books.table("seals").exists()

    def test_only_tables_that_grew_get_a_checkpoint(self, books: Books) -> None:
        books.answer(JOURNALS[0], 3, DAYS[1], 77)
        assert seal(books.open()) == Sealed(1, {"predictions": 11})

    def test_only_new_log_entries_are_read(self, books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
        books.answer(JOURNALS[0], 3, DAYS[1], 77)
        read: list[Path] = []
        real = delta_log._read

        def counting(folder: Path, version: int) -> bytes | None:
            octets = real(folder, version)
            if octets is not None and folder.name != "seals":
                read.append(delta_log.entry_path(folder, version))
            return octets

        monkeypatch.setattr(delta_log, "_read", counting)
        books.seal()
        last = {name: books.last(name) for name in ("predictions", "quarantine", "events")}
        new = books.log("predictions", last["predictions"])
        assert set(read) == {
            new, books.log("predictions", last["predictions"] - 1),  # the one sealed last, to see that it stands
            books.log("quarantine", last["quarantine"]), books.log("events", last["events"]),
        }  # fmt: skip

    def test_what_a_dead_process_left_is_sealed_by_the_next(self, books: Books) -> None:
        books.answer(JOURNALS[0], 3, DAYS[1], 77)  # and dies before it seals
        assert books.verify(strict=False).notes == ["predictions: version 7 is not sealed yet"]
        assert [one.rule for one in books.verify(strict=True).findings] == [9]
        books.answer(JOURNALS[0], 4, DAYS[1], 78)
        books.seal()
        assert books.verify().findings == []

    def test_a_copy_that_a_dead_process_did_not_make_is_made_by_the_next(self, books: Books) -> None:
        copy = books.folder / "copies" / "overrun" / "predictions" / "10.note"
        note = copy.read_text(encoding="utf-8")
        copy.unlink()
        seal(books.open())
        assert copy.read_text(encoding="utf-8") == note

    def test_a_table_of_delta_s_own_checkpoints_goes_on(self, books: Books) -> None:
        for name in ("predictions", "seals"):
            DeltaTable(books.table(name)).create_checkpoint()
        books.answer(JOURNALS[0], 3, DAYS[1], 77)
        books.seal()
        assert books.verify().findings == []


def seal_many(folder: Path, seed: int, start: Any, count: int) -> None:
    books = Books.at(folder)
    books.seed = seed  # names of files are drawn: two processes that drew alike would write one file
    start.wait()
    for _ in range(count):
        seal(books.open())


def test_processes_that_seal_at_once_get_in_one_after_the_other(books: Books) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    sealers = [context.Process(target=seal_many, args=(books.folder, seed, start, 12)) for seed in (2000, 3000)]
    for sealer in sealers:
        sealer.start()
    start.set()
    for seed in range(200, 212):
        books.answer(JOURNALS[seed % 2], 2, DAYS[1], seed)
    for sealer in sealers:
        sealer.join(120)
        assert sealer.exitcode == 0
    books.seal()
    assert len(leaves(books)) == 22
    assert books.verify().findings == []
    named = set(books.files("seals"))
    on_disk = {
        path.relative_to(books.table("seals")).as_posix() for path in books.table("seals").glob("*/*.parquet")
    }
    assert on_disk == named  # what lost its race is deleted


def test_what_lost_its_only_race_is_deleted_though_nothing_is_left_to_seal(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.answer(JOURNALS[0], 2, DAYS[1], 200)
    real = Seals._write

    def write(self: Seals, *args: Any) -> Any:
        written = real(self, *args)
        monkeypatch.setattr(Seals, "_write", real)
        books.seal()  # another is first, and seals the same
        return written

    monkeypatch.setattr(Seals, "_write", write)
    books.seal()
    on_disk = {path.name for path in books.table("seals").glob("*/*.parquet")}
    assert on_disk == {Path(name).name for name in books.files("seals")}


class TestRefusals:
    """Nothing is sealed, and the place is named."""

    @pytest.fixture(autouse=True)
    def nothing_is_sealed(self, books: Books) -> Any:
        version = books.last("seals")
        yield
        assert books.last("seals") == version

    def test_a_file_changed_between_commit_and_seal(self, books: Books) -> None:
        books.answer(JOURNALS[0], 3, DAYS[1], 77)
        file = f"scored_date={DAYS[1]}/journal-1111-77-00000.parquet"
        path = books.table("predictions") / file
        octets = bytearray(path.read_bytes())
        octets[100] ^= 1
        path.write_bytes(octets)
        with pytest.raises(Refused, match="changed between commit and seal; nothing is sealed") as caught:
            books.seal()
        assert [finding.field for finding in caught.value.findings] == [file]

    def test_a_file_gone_between_commit_and_seal(self, books: Books) -> None:
        books.answer(JOURNALS[0], 3, DAYS[1], 77)
        (books.table("predictions") / f"scored_date={DAYS[1]}/journal-1111-77-00000.parquet").unlink()
        with pytest.raises(Refused, match="FileNotFoundError"):
            books.seal()

    def test_rows_removed(self, books: Books) -> None:
        path = books.files("predictions")[0]
        version = books.last("predictions") + 1
        action = {"remove": {"path": path, "dataChange": True, "deletionTimestamp": 0}}
        books.log("predictions", version).write_text(json.dumps(action))
        with pytest.raises(Refused, match=f"version {version} takes rows away") as caught:
            books.seal()
        assert path in caught.value.findings[0].got

    def test_rows_hidden(self, books: Books) -> None:
        add = {
            "path": "x.parquet", "size": 1, "partitionValues": {}, "modificationTime": 0, "dataChange": True,
            "deletionVector": {"storageType": "u"},
        }  # fmt: skip
        books.log("predictions", books.last("predictions") + 1).write_text(json.dumps({"add": add}))
        with pytest.raises(Refused, match="deletion vector"):
            books.seal()

    def test_a_log_entry_that_is_garbage(self, books: Books) -> None:
        books.log("predictions", books.last("predictions") + 1).write_text("{garbage")
        with pytest.raises(Refused, match="no actions of the Delta protocol"):
            books.seal()

    @pytest.mark.parametrize("how", ["deleted", "edited"])
    def test_a_table_that_was_rolled_back_since(self, books: Books, how: str) -> None:
        path = books.log("predictions", books.last("predictions"))
        path.unlink() if how == "deleted" else path.write_bytes(path.read_bytes() + b"\n")
        with pytest.raises(Refused, match="not what was sealed before"):
            books.seal()

    def test_a_table_that_is_gone(self, books: Books) -> None:
        shutil.rmtree(books.table("quarantine"))
        with pytest.raises(Refused, match="no such log entry"):
            books.seal()

    def test_a_last_checkpoint_signed_by_somebody_else(self, books: Books) -> None:
        key = path_of(books.site.signing_key)
        key.unlink()
        public_path(key).unlink()
        with pytest.raises(Refused, match="no trusted key signed this checkpoint"):
            books.seal()  # with a new key, made on first use

    def test_a_frontier_that_is_not_the_signed_tree_s(self, books: Books) -> None:
        def change(rows: Any) -> Any:
            values = rows.to_pylist()
            for row in values:
                if row["frontier"] is not None:
                    row["frontier"] = json.dumps(["00" * 32 for _ in json.loads(row["frontier"])])
            return type(rows).from_pylist(values, schema=rows.schema)

        for file in books.files("seals"):
            books.rewrite("seals", file, change)
        with pytest.raises(Refused, match="as signed"):
            books.seal()

    def test_a_copy_of_another_history(self, books: Books) -> None:
        copy = books.folder / "copies" / "overrun" / "predictions" / "10.note"
        copy.write_text("another")
        with pytest.raises(Refused, match="One ledger has two histories"):
            books.seal()


def test_production_without_a_key_is_told_before_anything_is_published(world: World) -> None:
    workplace, scorers = world.scorers()
    missing = replace(world.site, environment="production", signing_key="file:/nowhere/key.pem")
    with pytest.raises(WrongUse, match="expected a private key"):
        score_day(replace(workplace, site=missing), scorers, DAY)
    assert workplace.tables.find("gold.overrun_scores") is None


def test_a_folder_for_copies_that_cannot_be_written_is_told_and_made_up_for(books: Books) -> None:
    shutil.rmtree(books.folder / "copies")
    (books.folder / "copies").write_text("a file")
    books.answer(JOURNALS[0], 3, DAYS[1], 77)
    with pytest.raises(Unreachable, match="the next sealing copies it"):
        books.seal()
    (books.folder / "copies").unlink()
    books.seal()
    assert (books.folder / "copies" / "overrun" / "predictions" / "11.note").exists()


class TestRotation:
    @pytest.fixture
    def rotated(self, books: Books) -> Books:
        """A new key signs; the old public key is kept."""
        old = books.folder / "keys" / "old.pub.pem"
        key = path_of(books.site.signing_key)
        old.write_bytes(public_path(key).read_bytes())
        key.unlink()
        public_path(key).unlink()
        books.site = replace(books.site, trusted_keys=(f"file:{old}",))
        books.answer(JOURNALS[0], 3, DAYS[1], 77)
        books.seal()
        return books

    def test_old_and_new_checkpoints_verify(self, rotated: Books) -> None:
        assert rotated.verify().findings == []

    def test_a_key_that_is_not_trusted_any_more_is_named(self, rotated: Books) -> None:
        rotated.site = replace(rotated.site, trusted_keys=())
        findings = rotated.verify().findings
        # every checkpoint but the new one, and their copies
        assert {(one.rule, Path(one.file).stem == "11") for one in findings} == {(1, False), (4, False)}


class TestServicesSealWhatTheyDid:
    def verified(self, world: World) -> dict[str, dict[str, int]]:
        report = verify(world.open(), strict=True)
        assert report.findings == []
        return report.tables

    def test_a_scored_day(self, world: World) -> None:
        score_day(*world.scorers(), DAY)
        assert self.verified(world)["predictions"]["rows"] == 2000
        score_day(*world.scorers(), DAY)
        self.verified(world)

    def test_an_approval_and_a_rollback(self, spare: World) -> None:
        assert self.verified(spare)["events"]["rows"] == 4
        approve(spare.open(), "1")
        assert self.verified(spare)["events"]["rows"] == 5
        rollback(*spare.scorers(), "it drifts")
        assert self.verified(spare)["events"]["rows"] == 8, "adopted, begun, done"

    def test_a_dry_run_seals_nothing(self, world: World) -> None:
        sealed = self.verified(world)["events"]["checkpoints"]
        score_day(*world.scorers(), DAY, dry_run=True)
        assert self.verified(world)["events"]["checkpoints"] == sealed


def test_verifying_beside_drains_and_seals_finds_nothing(books: Books) -> None:
    done = threading.Event()

    def work() -> None:
        for seed in range(300, 320):
            books.answer(JOURNALS[seed % 2], 2, DAYS[1], seed)
            books.seal()
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    verified = 0
    reader = Books(books.folder, books.site, seed=10_000)
    while not done.is_set() or verified < 3:
        assert verify(reader.open(datetime.now(UTC)), strict=False).findings == []
        verified += 1
    worker.join()
    assert verify(reader.open(), strict=True).findings == []
