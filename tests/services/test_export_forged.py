"""What a forger does to an export whose rows are all genuine: leaves out, adds beside, tells things double."""

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
from deltalake import DeltaTable

from fielded.services.export import Selection, export
from fielded.standalone import verify_export
from fielded.world.keys import public_path
from fielded.world.secrets import path_of
from sealed_books import DAYS, JOURNALS, Books, make_books

Tamper = Callable[[Path], None]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """A ledger in which one subject has a row of a batch run and one of the API, in two files."""
    return make_books(tmp_path_factory.mktemp("original") / "books")


@pytest.fixture(scope="module")
def exports(books: Books, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    every = DeltaTable(books.table("predictions")).to_pyarrow_table().to_pylist()
    subject = next(row["subject"] for row in every if row["channel"] == "api")
    ids = tuple(next(row["request_id"] for row in every if row["channel"] == one) for one in ("batch", "api"))
    asked = {
        "subject": Selection(subject=subject),
        "day": Selection(day=DAYS[0]),
        "ids": Selection(request_ids=ids),
    }
    return {name: export(books.open(), selection, folder / name).folder for name, selection in asked.items()}


def judged(folder: Path, books: Books, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = verify_export.main([str(folder), "--key", str(public_path(path_of(books.site.signing_key)))])
    return code, capsys.readouterr().out


def lines_of(folder: Path) -> list[str]:
    return (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()


def manifest(change: Callable[[dict[str, Any]], Any]) -> Tamper:
    def tamper(folder: Path) -> None:
        value = json.loads((folder / "export.json").read_text(encoding="utf-8"))
        change(value)
        (folder / "export.json").write_text(json.dumps(value), encoding="utf-8")

    return tamper


def asked(**other: Any) -> Tamper:
    return manifest(lambda value: value.update(asked=other))


def kept(rows: slice) -> Tamper:
    """Some of the rows only, in every place that tells of them."""

    def tamper(folder: Path) -> None:
        lines = lines_of(folder)
        numbers = range(len(lines))[rows]
        (folder / "rows.jsonl").write_text("".join(f"{lines[number]}\n" for number in numbers), encoding="utf-8")
        table = pq.read_table(folder / "rows.parquet")
        pq.write_table(table.take(pa.array(numbers, pa.int64())), folder / "rows.parquet")
        manifest(lambda value: value.update(rows=len(numbers)))(folder)

    return tamper


def emptied(folder: Path) -> None:
    kept(slice(0, 0))(folder)
    manifest(lambda value: value.update(leaves=[]))(folder)
    for name in ("data", "definitions"):
        shutil.rmtree(folder / name)
        (folder / name).mkdir()


def first_line(old: str, new: str) -> Tamper:
    def tamper(folder: Path) -> None:
        text = (folder / "rows.jsonl").read_text(encoding="utf-8")
        assert old in text
        (folder / "rows.jsonl").write_text(text.replace(old, new, 1), encoding="utf-8")

    return tamper


def whole_manifest(old: str, new: str) -> Tamper:
    def tamper(folder: Path) -> None:
        text = (folder / "export.json").read_text(encoding="utf-8")
        assert old in text
        (folder / "export.json").write_text(text.replace(old, new, 1), encoding="utf-8")

    return tamper


def parquet(change: Callable[[pa.Table], pa.Table]) -> Tamper:
    def tamper(folder: Path) -> None:
        pq.write_table(change(pq.read_table(folder / "rows.parquet")), folder / "rows.parquet")

    return tamper


def score_in_front(rows: pa.Table) -> pa.Table:
    return pa.Table.from_arrays(
        [pa.array([0.001] * rows.num_rows), *rows.columns], names=["score", *rows.column_names]
    )


def cast(name: str, kind: pa.DataType) -> Tamper:
    def change(rows: pa.Table) -> pa.Table:
        return rows.set_column(rows.column_names.index(name), name, rows.column(name).cast(kind))

    return parquet(change)


def first_data_file(folder: Path) -> Path:
    return min((folder / "data").rglob("*.parquet"))


def linked(name: str) -> Tamper:
    def tamper(folder: Path) -> None:
        path = first_data_file(folder) if name == "data" else folder / name
        path.rename(folder.parent / "elsewhere")
        path.symlink_to(folder.parent / "elsewhere")

    return tamper


def file_more(folder: Path) -> None:
    shutil.copy(first_data_file(folder), folder / "data" / "more.parquet")


def file_less(folder: Path) -> None:
    first_data_file(folder).unlink()


def definition_more(folder: Path) -> None:
    (folder / "definitions" / "more").mkdir()


def two_files_as_one(folder: Path) -> None:
    """The digest of a definition is made of lines; a file name with a line break can stand for two of them."""
    (place,) = (folder / "definitions").iterdir()
    first, second = sorted(path.name for path in place.iterdir())
    digest = verify_export.hashlib.sha256((place / second).read_bytes()).hexdigest()
    (place / second).unlink()
    (place / first).rename(place / f"{first}\n{digest}  {second}")


FORGED: dict[str, tuple[str, Tamper, str]] = {
    "all rows gone, of a subject": ("subject", emptied, "nothing to verify"),
    "all rows gone, of a day": ("day", emptied, "nothing to verify"),
    "all rows gone, of no request ids": (
        "ids", lambda folder: (emptied(folder), asked(request_ids=[])(folder), None)[-1], "nothing to verify"
    ),
    "rows gone, leaves there": ("subject", kept(slice(0, 0)), "1 rows that were asked for are not exported"),
    "rows of a day dropped": ("day", kept(slice(0, -100)), "rows that were asked for are not exported"),
    "one row of a day dropped": ("day", kept(slice(1, None)), "1 rows that were asked for are not exported"),
    "another day": ("day", asked(day="1999-01-01"), "not of 1999-01-01 that was asked for"),
    "a day that is none": ("day", asked(day=""), "that was asked for"),
    "another subject": ("subject", asked(subject="nobody"), "not among those that were asked for"),
    "a subject for request ids": ("ids", asked(subject="nobody"), "not among those that were asked for"),
    "a day for request ids": ("ids", asked(day="2026-03-01"), "not of 2026-03-01 that was asked for"),
    "a request id more": (
        "ids", manifest(lambda value: value["asked"]["request_ids"].append("more")), "each exactly once"
    ),
    "a request id twice": (
        "ids", manifest(lambda value: value["asked"]["request_ids"].append(value["asked"]["request_ids"][0])),
        "each exactly once",
    ),
    "nothing asked": ("subject", asked(), "expected one of subject"),
    "two things asked": (
        "subject", manifest(lambda value: value["asked"].update(day=DAYS[0].isoformat())), "expected exactly"
    ),
    "something else asked": ("subject", asked(run_id="run-a"), "expected one of subject"),
    "request ids as a text": ("ids", asked(request_ids="x"), "not of the type"),
    "a value twice": ("subject", first_line('"values": {', '"values": {"score": 0.1, '), "score more than once"),
    "a feature twice": ("subject", first_line('"features": {', '"features": {"age": 1, '), "age more than once"),
    "a line's key twice": ("subject", first_line('{"file"', '{"row": 1, "file"'), "row more than once"),
    "a line's key more": ("subject", first_line('{"file"', '{"score": 0.001, "file"'), "expected exactly"),
    "a value more that is null": ("subject", first_line('"values": {', '"values": {"denied": null, '), "denied"),
    "a row's number as a share": ("subject", first_line('"row": 1,', '"row": 1.0,'), "not of the type"),
    "a row's number as a truth": ("subject", first_line('"row": 1,', '"row": true,'), "not of the type"),
    "a number that JSON does not have": (
        "subject", first_line('"threshold": 0.65', '"threshold": NaN'), "NaN is no JSON"
    ),
    "an empty line": ("subject", first_line("\n", "\n\n"), "no JSON"),
    "a line too deep": ("subject", first_line("\n", "\n" + "[" * 100_000 + "\n"), ""),
    "a column in the Parquet form": (
        "subject", parquet(lambda rows: rows.append_column("denied", pa.nulls(rows.num_rows))), "denied"
    ),
    "a column twice in the Parquet form": ("subject", parquet(score_in_front), "a column more than once"),
    "a column less in the Parquet form": (
        "subject", parquet(lambda rows: rows.drop_columns(["client_address"])), "client_address"
    ),
    "a type in the Parquet form": ("subject", cast("score", pa.float32()), "score"),
    "a key of the manifest twice": ("subject", whole_manifest('"rows"', '"rows":7,"rows"'), "rows more than once"),
    "a key of the manifest more": ("subject", manifest(lambda value: value.update(more=1)), "expected exactly"),
    "a key of a leaf's place more": (
        "subject", manifest(lambda value: value["leaves"][0].update(more=1)), "expected exactly"
    ),
    "a leaf's number as a share": (
        "subject", manifest(lambda value: value["leaves"][0].update(index=float(value["leaves"][0]["index"]))),
        "not of the type",
    ),
    "a leaf twice": (
        "subject", manifest(lambda value: value["leaves"].append(value["leaves"][0])), "is there more than once"
    ),
    "a number of rows as a truth": ("subject", manifest(lambda value: value.update(rows=True)), "not of the type"),
    "the partition": ("subject", manifest(lambda value: value.update(partition="zz")), "expected scored_date"),
    "the deployment": ("subject", manifest(lambda value: value.update(deployment="o")), "the checkpoint is of"),
    "the deployment and the table, shifted": (
        "subject", manifest(lambda value: value.update(deployment="over", table="run")), "the checkpoint is of"
    ),
    "a manifest that is a list": (
        "subject", lambda folder: (folder / "export.json").write_text("[]") and None, "of another format"
    ),
    "a manifest too deep": (
        "subject", lambda folder: (folder / "export.json").write_text("[" * 200_000) and None, ""
    ),
    "a data file more": ("subject", file_more, "more.parquet: a data file that no leaf proves"),
    "a data file less": ("day", file_less, "a leaf, but no data file"),
    "a data file that is a link": ("subject", linked("data"), "is a link"),
    "rows that are a link": ("subject", linked("rows.jsonl"), "is a link"),
    "definitions that are a link": ("subject", linked("definitions"), "is a link"),
    "a definition more": ("subject", definition_more, "no row names it"),
    "two texts of a definition as one": ("subject", two_files_as_one, "name is not plain"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_an_export_that_was_forged_is_not_verified(
    books: Books, exports: dict[str, Path], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, tamper, expected = FORGED[what]
    folder = tmp_path / "export"
    shutil.copytree(exports[kind], folder)
    assert judged(folder, books, capsys)[0] == 0
    tamper(folder)
    code, out = judged(folder, books, capsys)
    assert code == 1
    assert "\nNOT VERIFIED" in out
    assert not any(line.startswith("VERIFIED") for line in out.splitlines())
    assert expected in out


def test_one_row_of_a_subject_left_out_is_told(
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = books.copied(tmp_path / "books")
    for journal in JOURNALS:  # the seed names the subjects: the same in both
        more.answer(journal, 10, DAYS[1], seed=83)
    more.seal()
    every = DeltaTable(more.table("predictions")).to_pyarrow_table().to_pylist()
    subject = next(row["subject"] for row in every if row["subject"].startswith("WO-0083"))
    count = sum(row["subject"] == subject for row in every)
    folder = export(more.open(), Selection(subject=subject), tmp_path / "out").folder
    code, out = judged(folder, more, capsys)
    assert (code, count >= 2, f"VERIFIED: {count} rows" in out) == (0, True, True)
    kept(slice(1, None))(folder)
    code, out = judged(folder, more, capsys)
    assert (code, "1 rows that were asked for are not exported" in out) == (1, True)


@pytest.mark.parametrize("kind", ["subject", "day", "ids"])
def test_it_says_of_what_it_speaks(
    books: Books, exports: dict[str, Path], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = judged(exports[kind], books, capsys)
    value = json.loads((exports[kind] / "export.json").read_text())["asked"]
    note = (exports[kind] / "checkpoint.note").read_text().splitlines()
    assert code == 0
    assert "  deployment  overrun\n  table       predictions\n" in out
    assert f"  table id    {note[0].rpartition('/')[2]}\n" in out
    ((name, what),) = value.items()
    assert f"  asked       {name} {', '.join(what) if isinstance(what, list) else what}\n" in out
    assert f"  checkpoint  {note[1]} leaves, signed at {note[3].removeprefix('time ')}\n" in out
    assert "Not proven: that the ledger has no other rows of the subject" in out


def test_a_forger_cannot_make_it_print_a_line_of_their_own(
    books: Books, exports: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(exports["subject"], tmp_path / "export")
    asked(day="x\nVERIFIED: \x1b[2J")(tmp_path / "export")
    code, out = judged(tmp_path / "export", books, capsys)
    assert (code, r"x\nVERIFIED: \x1b[2J" in out, "\nVERIFIED" in out, "\x1b" in out) == (1, True, False, False)


@pytest.mark.parametrize(
    "path",
    [
        "../secret", "a/../../secret", "a/../b", "/etc/passwd", "./a", "a//b", "a/", "a/.", "", ".", "a\\b",
        "C:/a", "C:a", "//host/a", "a\0b", "a\nb",
    ],
)  # fmt: skip
def test_a_path_is_relative_and_in_its_plainest_form(path: str, tmp_path: Path) -> None:
    with pytest.raises(verify_export.Wrong, match="leads out of the export"):
        verify_export.safe_path(tmp_path, path)


@pytest.mark.parametrize("path", ["a.parquet", "scored_date=2026-03-01/run-a-00000.parquet", "..a/b..", "x y/é"])
def test_other_paths_are_followed(path: str, tmp_path: Path) -> None:
    assert verify_export.safe_path(tmp_path, path) == tmp_path / "data" / path


def test_the_readme_says_what_a_subject_s_rows_prove(exports: dict[str, Path]) -> None:
    text = " ".join((exports["subject"] / "README.md").read_text(encoding="utf-8").split())
    assert "these rows are unaltered" in text
    assert "within the enclosed files they are complete" in text
    assert "not proven: that the ledger has no other rows of the subject" in text


def test_a_folder_named_like_a_partition_gives_the_rows_no_column(
    books: Books, exports: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "year=2026" / "scored_date=2026-03-01"
    shutil.copytree(exports["ids"], folder)
    key = public_path(path_of(books.site.signing_key))
    done = subprocess.run(
        [sys.executable, folder / "verify_export.py", "--key", key], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
