"""An export proves its rows to somebody without this package, and stops proving them once anything is touched."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st
from test_compact import LATER

from fielded.decisions.chain import canonical_rows
from fielded.decisions.merkle import Tree, leaf_hash
from fielded.decisions.plain_rows import plain
from fielded.services.compact import compact
from fielded.services.export import Selection, export
from fielded.standalone import verify_export
from fielded.words.errors import Refused, WrongUse
from fielded.world.keys import public_path
from fielded.world.secrets import path_of
from sealed_books import DAYS, JOURNALS, Books, make_books


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return make_books(tmp_path_factory.mktemp("original") / "books")


@pytest.fixture
def books(original: Books, tmp_path: Path) -> Books:
    return original.copied(tmp_path / "books")


def rows(books: Books, **wanted: Any) -> list[dict[str, Any]]:
    every = DeltaTable(books.table("predictions")).to_pyarrow_table().to_pylist()
    return [row for row in every if all(row[name] == value for name, value in wanted.items())]


def key(books: Books) -> Path:
    return public_path(path_of(books.site.signing_key))


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The program that lies in the export, in a Python that does not find this package."""
    program = (
        "import sys, runpy\n"
        "class Without:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] == 'fielded': raise ImportError(name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = [sys.executable, "-I", "-c", program, folder / "verify_export.py", *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


@pytest.fixture
def exported(books: Books, tmp_path: Path) -> Path:
    """One row of a batch run and one of the API."""
    wanted = (rows(books, channel="batch")[5]["request_id"], rows(books, channel="api")[5]["request_id"])
    return export(books.open(), Selection(request_ids=wanted), tmp_path / "out").folder


def test_it_imports_nothing_but_the_standard_library_pyarrow_and_cryptography() -> None:
    tree = ast.parse(Path(verify_export.__file__).read_text(encoding="utf-8"))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert imported - set(sys.stdlib_module_names) == {"pyarrow", "cryptography"}


class TestWhatIsProven:
    def test_single_rows(self, books: Books, exported: Path) -> None:
        told = run(exported, "--key", key(books))
        assert told.stdout.startswith("VERIFIED: 2 rows in 2 data files, 60 rows of the API with their chain")
        assert (told.returncode, told.stderr) == (0, "")

    def test_a_subject(self, books: Books, tmp_path: Path) -> None:
        subject = rows(books, channel="api")[0]["subject"]
        done = export(books.open(), Selection(subject=subject), tmp_path / "out")
        assert done.rows == len(rows(books, subject=subject))
        assert run(done.folder, "--key", key(books)).returncode == 0

    @pytest.mark.parametrize("day", DAYS)
    def test_a_day(self, books: Books, tmp_path: Path, day: Any) -> None:
        done = export(books.open(), Selection(day=day), tmp_path / "out")
        assert done.rows == len(rows(books, scored_date=day))
        assert run(done.folder, "--key", key(books)).returncode == 0

    def test_rows_of_a_rewritten_file(self, books: Books, tmp_path: Path) -> None:
        for seed in range(60, 72):
            books.answer(JOURNALS[seed % 2], 2, DAYS[1], seed)
        compact(books.open(LATER), DAYS[1])
        wanted = (rows(books, journal=JOURNALS[1])[-1]["request_id"],)
        done = export(books.open(), Selection(request_ids=wanted), tmp_path / "out")
        (leaf,) = json.loads((done.folder / "export.json").read_text())["leaves"]
        assert json.loads(leaf["leaf"])["kind"] == "rewrite"
        told = run(done.folder, "--key", key(books))
        assert "1 rows in 1 data files, 134 rows of the API" in told.stdout
        assert told.returncode == 0

    def test_values_to_the_last_bit_in_both_forms(self, books: Books, exported: Path) -> None:
        lines = [json.loads(line) for line in (exported / "rows.jsonl").read_text().splitlines()]
        held = {row["request_id"]: row for row in rows(books)}
        parquet = {row["request_id"]: row for row in pq.read_table(exported / "rows.parquet").to_pylist()}
        for line in lines:
            source = held[line["values"]["request_id"]]
            assert line["values"]["score"] == source["score"] == parquet[source["request_id"]]["score"]
            assert line["values"]["features"] == source["features"] == parquet[source["request_id"]]["features"]
            stands = pq.read_table(exported / "data" / line["file"], partitioning=None).slice(line["row"] - 1, 1)
            assert stands.to_pylist()[0]["request_id"] == source["request_id"]

    def test_the_definition_s_texts_are_there(self, books: Books, exported: Path) -> None:
        deployment = books.open().deployment
        folder = exported / "definitions" / deployment.sha256
        assert {path.name: path.read_text() for path in folder.iterdir()} == dict(deployment.texts)

    def test_signed_by_a_key_of_the_other_kind(self, tmp_path: Path) -> None:
        folder = tmp_path / "books"
        (folder / "keys").mkdir(parents=True)
        private = ec.generate_private_key(ec.SECP256R1())
        (folder / "keys" / "seal.pem").write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (folder / "keys" / "seal.pem").chmod(0o600)
        public = tmp_path / "public.pem"
        public.write_bytes(
            private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        books = make_books(folder)
        assert books.verify().findings == []
        done = export(books.open(), Selection(day=DAYS[0]), tmp_path / "out")
        assert run(done.folder, "--key", public).returncode == 0


class TestTheKey:
    def test_without_one_the_program_says_loudly_what_it_does_not_show(self, exported: Path) -> None:
        told = run(exported)
        assert "!!! No --key was given" in told.stdout
        assert "FITS TOGETHER, SIGNER NOT CHECKED" in told.stdout
        assert "\nVERIFIED" not in told.stdout
        assert told.returncode == 0

    def test_of_somebody_else(self, exported: Path, tmp_path: Path) -> None:
        other = make_books(tmp_path / "other")
        told = run(exported, "--key", key(other))
        assert "not signed by the given key" in told.stdout
        assert told.returncode == 1

    def test_one_of_several_is_enough(self, books: Books, exported: Path, tmp_path: Path) -> None:
        other = make_books(tmp_path / "other")
        assert run(exported, "--key", key(other), "--key", key(books)).returncode == 0

    def test_that_is_none(self, exported: Path, tmp_path: Path) -> None:
        (tmp_path / "none.pem").write_text("none")
        told = run(exported, "--key", tmp_path / "none.pem")
        assert "is no public key" in told.stdout
        assert told.returncode == 1

    def test_a_folder_that_is_no_export(self, exported: Path, tmp_path: Path) -> None:
        assert run(exported, tmp_path / "nowhere").returncode == 2


def jsonl(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        lines = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
        change(lines)
        (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    return tamper


def manifest(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        value = json.loads((folder / "export.json").read_text())
        change(value)
        (folder / "export.json").write_text(json.dumps(value))

    return tamper


def data_file(change: Callable[[pa.Table], pa.Table], containing: str) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        (path,) = [path for path in (folder / "data").rglob("*.parquet") if containing in path.name]
        pq.write_table(change(pq.read_table(path, partitioning=None)), path)

    return tamper


def resealed(folder: Path) -> None:
    """A data file with another row, and the leaf made to fit."""
    data_file(lambda rows: rows.slice(1), "journal")(folder)

    def change(value: dict[str, Any]) -> None:
        for item in value["leaves"]:
            leaf = json.loads(item["leaf"])
            if "journal" in leaf["path"]:
                octets = (folder / "data" / leaf["path"]).read_bytes()
                leaf |= {
                    "size": len(octets),
                    "rows": leaf["rows"] - 1,
                    "sha256": verify_export.hashlib.sha256(octets).hexdigest(),
                }
                item["leaf"] = json.dumps(leaf, sort_keys=True, separators=(",", ":"))

    manifest(change)(folder)


def parquet_rows(folder: Path) -> None:
    table = pq.read_table(folder / "rows.parquet")
    place = table.column_names.index("score")
    pq.write_table(table.set_column(place, "score", pa.array([0.5] * table.num_rows)), folder / "rows.parquet")


def edited(name: str, old: str, new: str) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return tamper


def definition(folder: Path) -> None:
    (path,) = (folder / "definitions").rglob("population.py")
    path.write_text(path.read_text() + "# changed\n")


TAMPERING: dict[str, tuple[Callable[[Path], None], str]] = {
    "a score": (jsonl(lambda lines: lines[0]["values"].update(score=0.5)), "score differ from the data file"),
    "a score by one bit": (
        jsonl(lambda lines: lines[0]["values"].update(score=lines[0]["values"]["score"] * (1 + 2**-52))),
        "score differ from the data file",
    ),
    "a feature": (jsonl(lambda lines: lines[0]["values"]["features"].update(month=12.5)), "features differ"),
    "a flag that is a number": (
        jsonl(lambda lines: lines[0]["values"].update(flag=int(lines[0]["values"]["flag"]))), "flag differ"
    ),
    "a column more": (jsonl(lambda lines: lines[0]["values"].update(more=1)), "more differ"),
    "a row less": (jsonl(lambda lines: lines.pop()), "rows.jsonl has 1 rows, export.json says 2"),
    "a row twice": (jsonl(lambda lines: lines.append(lines[0])), "a row more than once"),
    "a row's place": (jsonl(lambda lines: lines[0].update(row=lines[0]["row"] + 1)), "differ from the data file"),
    "a row past the end": (jsonl(lambda lines: lines[0].update(row=10_000)), "past its"),
    "a row's file": (jsonl(lambda lines: lines[0].update(file="other.parquet")), "no proven data file"),
    "the Parquet form": (parquet_rows, "rows.parquet differs from rows.jsonl"),
    "a data file": (data_file(lambda rows: rows.slice(1), "run-"), "the leaf says"),
    "a journaled data file": (data_file(lambda rows: rows.slice(1), "journal"), "the leaf says"),
    "a data file and its leaf": (resealed, "does not lead to the signed root"),
    "a leaf's number": (
        manifest(lambda value: value["leaves"][0].update(index=value["leaves"][0]["index"] + 1)),
        "does not lead to the signed root",
    ),
    "a proof": (manifest(lambda value: value["leaves"][0]["proof"].reverse()), "does not lead to the signed root"),
    "a longer proof": (manifest(lambda value: value["leaves"][0]["proof"].append("00" * 32)), "does not lead"),
    "a shorter proof": (manifest(lambda value: value["leaves"][0]["proof"].pop()), "does not lead"),
    "no leaf": (manifest(lambda value: value["leaves"].clear()), "no proven data file"),
    "the table": (manifest(lambda value: value.update(table="events")), "the checkpoint is of"),
    "what was asked": (manifest(lambda value: value["asked"]["request_ids"].pop()), "that were asked for"),
    "the format": (manifest(lambda value: value.update(format="fielded export 2")), "this program knows"),
    "the checkpoint's size": (edited("checkpoint.note", "\n10\n", "\n11\n"), "not signed by the given key"),
    "the checkpoint's time": (edited("checkpoint.note", "time 2026", "time 2025"), "not signed by the given key"),
    "the checkpoint's log": (edited("checkpoint.note", "fielded/overrun", "fielded/other"), "not signed"),
    "the note's form": (edited("checkpoint.note", "\n\n", "\n"), "four lines"),
    "a definition": (definition, "its files have another digest"),
    "no definition": (lambda folder: shutil.rmtree(folder / "definitions"), "the export does not have it"),
    "no rows": (lambda folder: (folder / "rows.jsonl").unlink(), "rows.jsonl"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERING)
def test_whatever_is_touched_is_told(original: Books, what: str, tmp_path: Path) -> None:
    wanted = (rows(original, channel="batch")[5]["request_id"], rows(original, channel="api")[5]["request_id"])
    folder = export(original.open(), Selection(request_ids=wanted), tmp_path / "out").folder
    tamper, expected = TAMPERING[what]
    tamper(folder)
    findings = verify_export.Findings()
    try:
        verify_export.check(folder, [key(original)], findings)
    except (verify_export.Wrong, OSError) as error:
        findings.add(str(error))
    assert any(expected in text for text in findings.wrong), findings.wrong
    told = run(folder, "--key", key(original)) if what in ("a score", "a data file", "no rows") else None
    assert told is None or (told.returncode, "\nNOT VERIFIED" in told.stdout) == (1, True)


def test_a_path_that_leads_out_of_the_export_is_not_followed(tmp_path: Path) -> None:
    with pytest.raises(verify_export.Wrong, match="leads out"):
        verify_export.data_file(tmp_path, {"path": "../../secret"}, verify_export.Findings())


class TestTheProgramAgreesWithThePackage:
    @given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
    def test_on_inclusion(self, entries: list[bytes], data: st.DataObject) -> None:
        tree = Tree(leaf_hash(entry) for entry in entries)
        index = data.draw(st.integers(0, len(entries) - 1))
        proof = tree.inclusion_proof(index)
        assert verify_export.included(entries[index], index, len(entries), proof, tree.root())
        other = data.draw(st.integers(0, len(entries) + 1))
        right = other < len(entries) and tree.inclusion_proof(other) == proof and entries[other] == entries[index]
        if other != index and not right:
            assert not verify_export.included(entries[index], other, len(entries), proof, tree.root())

    @given(
        st.lists(
            st.fixed_dictionaries(
                {
                    "text": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
                    "number": st.none() | st.integers(-(2**63), 2**63 - 1),
                    "share": st.none() | st.floats(allow_nan=False),
                    "flag": st.none() | st.booleans(),
                    "at": st.none() | st.datetimes(timezones=st.just(LATER.tzinfo)),
                    "on": st.none() | st.dates(),
                    "features": st.none()
                    | st.fixed_dictionaries(
                        {"é": st.none() | st.floats(allow_nan=False), "b": st.none() | st.text("ab")}
                    ),
                }
            ),
            min_size=1,
            max_size=9,
        )
    )
    def test_on_the_bytes_of_a_row(self, values: list[dict[str, Any]]) -> None:
        schema = pa.schema(
            [
                ("text", pa.string()), ("number", pa.int64()), ("share", pa.float64()), ("flag", pa.bool_()),
                ("at", pa.timestamp("us", tz="UTC")), ("on", pa.date32()),
                ("features", pa.struct([("é", pa.float64()), ("b", pa.string())])),
            ]
        )  # fmt: skip
        table = pa.Table.from_pylist(values, schema=schema)
        assert verify_export.encoded_rows(table) == canonical_rows(table)
        assert [verify_export.as_json(row) for row in table.to_pylist()] == [
            plain(row) for row in table.to_pylist()
        ]

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_on_numbers_that_json_does_not_have(self, value: float) -> None:
        assert verify_export.as_json(value) == plain(value) in ("NaN", "Infinity", "-Infinity")


class TestWhatIsNotExported:
    def test_rows_that_are_not_sealed_yet(self, books: Books, tmp_path: Path) -> None:
        books.answer(JOURNALS[1], 2, DAYS[1], 99)
        (row,) = [row for row in rows(books, journal=JOURNALS[1]) if row["journal_sequence"] == 51]
        wanted = (row["request_id"],)
        with pytest.raises(Refused, match=r"not sealed yet.*fielded audit seal"):
            export(books.open(), Selection(request_ids=wanted), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_file_that_changed(self, books: Books, tmp_path: Path) -> None:
        file = books.files("predictions", "run-a")[0]
        books.rewrite("predictions", file, lambda table: table.slice(1))
        with pytest.raises(Refused, match=r"run-a-00000.parquet: got SHA-256.*fielded audit verify"):
            export(books.open(), Selection(day=DAYS[0]), tmp_path / "out")

    def test_a_row_that_is_not_there(self, books: Books, tmp_path: Path) -> None:
        for selection in (Selection(subject="nobody"), Selection(request_ids=("none",))):
            with pytest.raises(WrongUse, match=r"export: got no row|request ids: got 0 rows"):
                export(books.open(), selection, tmp_path / "out")

    def test_into_a_folder_that_has_something(self, books: Books) -> None:
        with pytest.raises(WrongUse, match="expected an empty one"):
            export(books.open(), Selection(day=DAYS[0]), books.folder)

    @pytest.mark.parametrize(
        "selection", [Selection(), Selection(subject="a", request_ids=("b",)), Selection(subject="a", day=DAYS[0])]
    )
    def test_nothing_or_several_things(self, books: Books, tmp_path: Path, selection: Selection) -> None:
        with pytest.raises(WrongUse, match="expected one of"):
            export(books.open(), selection, tmp_path / "out")
