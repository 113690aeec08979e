"""`fielded audit verify`, `export`, `seal` and `compact`, as they are called."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fielded.doors.cli import main
from sealed_books import DAYS, JOURNALS, Books, make_books

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return make_books(tmp_path_factory.mktemp("original") / "books")


@pytest.fixture
def books(original: Books, tmp_path: Path) -> Books:
    return original.copied(tmp_path / "books")


@pytest.fixture
def call(books: Books, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`fielded audit` at the books' site; exit code, standard output, standard error."""
    names = ("root", "tracking_uri", "artifact_root", "cache", "journal_url", "signing_key", "checkpoints")
    for name in names:
        monkeypatch.setenv(f"FIELDED_{name.upper()}", str(getattr(books.site, name)))
    monkeypatch.chdir(books.folder / "deployment")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["fielded", "audit", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_verify_exits_with_nothing_where_nothing_is_broken(call: Call) -> None:
    code, out, _ = call("verify", "--strict")
    assert code == 0
    assert "predictions  10      4            4       9      1415" in out
    assert out.endswith("verified; newest checkpoint: 2026-03-02T02:00:00.002000+00:00\n")


def test_verify_names_what_is_broken_and_exits_with_one(books: Books, call: Call) -> None:
    file = f"scored_date={DAYS[0]}/journal-1111-21-00000.parquet"
    books.rewrite("predictions", file, lambda rows: rows.slice(1))
    code, out, _ = call("verify")
    assert code == 1
    assert f"BROKEN: predictions: {file}: got " in out
    assert f"BROKEN: predictions: {file}: row 1 (request " in out
    assert "findings; newest checkpoint" in out


def test_verify_as_json(books: Books, call: Call) -> None:
    file = f"scored_date={DAYS[0]}/journal-1111-21-00000.parquet"
    whole = json.loads(call("verify", "--json")[1])
    assert (whole["verified"], whole["findings"]) == (True, [])
    assert whole["tables"]["predictions"]["rows"] == 1415
    (books.table("predictions") / file).unlink()
    code, out, _ = call("verify", "--json")
    broken = json.loads(out)
    assert (code, broken["verified"]) == (1, False)
    (finding,) = broken["findings"]
    assert (finding["rule"], finding["table"], finding["file"]) == (10, "predictions", file)


def test_verify_against_an_outside_copy(books: Books, call: Call, tmp_path: Path) -> None:
    copies = books.folder / "copies"
    assert call("verify", "--outside", copies, "--outside", copies / "overrun" / "events" / "3.note")[0] == 0
    code, _, err = call("verify", "--outside", tmp_path / "nowhere")
    assert (code, "which is not there, expected a note or a folder" in err) == (2, True)


def test_seal_catches_up(books: Books, call: Call) -> None:
    assert call("seal")[1] == "Nothing new to seal.\n"
    books.answer(JOURNALS[0], 3, DAYS[1], 77)
    assert call("verify", "--strict")[0] == 1
    code, out, _ = call("seal")
    assert (code, out) == (0, "sealed 1 new leaves; size of each tree\n  predictions  11\n")
    assert call("verify", "--strict")[0] == 0
    assert json.loads(call("seal", "--json")[1]) == {"leaves": 0, "checkpoints": {}}


def test_compact_tells_what_it_did(books: Books, call: Call) -> None:
    for seed in range(60, 72):
        books.answer(JOURNALS[seed % 2], 2, DAYS[1], seed)
    code, out, _ = call("compact", DAYS[1], "--json")
    assert code == 0
    assert {"table": "ledger.overrun.predictions", "before": 14, "after": 1, "rows": 134} in json.loads(out)
    assert call("verify", "--strict")[0] == 0
    assert "has few small files" in call("compact", DAYS[1])[1]
    assert call("compact", "2999-01-01")[0] == 2


def test_export_writes_a_folder_that_verifies_itself(books: Books, call: Call, tmp_path: Path) -> None:
    code, out, _ = call("export", tmp_path / "out", "--day", DAYS[0], "--json")
    assert code == 0
    assert json.loads(out)["rows"] == 640
    public = books.folder / "keys" / "seal.pub.pem"
    done = subprocess.run(
        [sys.executable, tmp_path / "out" / "verify_export.py", "--key", public],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.startswith("VERIFIED: 640 rows")


def test_export_of_nothing_is_wrong_use(call: Call, tmp_path: Path) -> None:
    code, _, err = call("export", tmp_path / "out")
    assert (code, "expected one of a subject, request ids or a day" in err) == (2, True)


@pytest.mark.parametrize("command", ["verify", "export", "seal", "compact"])
def test_the_commands_are_listed(call: Call, command: str) -> None:
    assert command in call("--help")[1]
