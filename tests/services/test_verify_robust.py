"""Verifying beside somebody who does not want to be found: nothing stops it, and nothing excuses itself."""

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fielded.decisions.merkle import leaf_hash
from fielded.decisions.seals import Broken
from fielded.doors.cli import main
from fielded.services import verify as verifying
from fielded.services.verify import Report, verify, verify_all
from fielded.words.errors import WrongUse
from sealed_books import DAYS, JOURNALS, Books, elsewhere, make_books

BATCH = f"scored_date={DAYS[0]}/run-a-00000.parquet"
LIVE = f"scored_date={DAYS[0]}/journal-1111-21-00000.parquet"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return make_books(tmp_path_factory.mktemp("original") / "books")


@pytest.fixture
def books(original: Books, tmp_path: Path) -> Books:
    return original.copied(tmp_path / "books")


def report(books: Books, *outside: Path, strict: bool = False) -> Report:
    return books.verify(*outside, strict=strict)


def named(findings: list[Broken], rule: int, table: str, text: str = "") -> Broken:
    for one in findings:
        if one.rule == rule and one.table == table and text in str(one):
            return one
    pytest.fail(f"nothing about {table} by rule {rule} with {text!r} in:\n" + "\n".join(map(str, findings)))


def millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def commit(books: Books, table: str, actions: list[dict[str, Any]], time: Any = None) -> int:
    """A commit by another tool, at `time` by its own word."""
    version = books.last(table) + 1
    info = {"operation": "WRITE", "timestamp": millis(datetime.now(UTC)) if time is None else time}
    lines = [{"commitInfo": {name: value for name, value in info.items() if value != "absent"}}, *actions]
    books.log(table, version).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return version


def added(books: Books, table: str, path: str) -> dict[str, Any]:
    for version in range(books.last(table) + 1):
        for line in books.log(table, version).read_text(encoding="utf-8").splitlines():
            action = json.loads(line)
            if action.get("add", {}).get("path") == path:
                return dict(action["add"])
    raise KeyError(path)


def removal(path: str, *, data_change: bool = False) -> dict[str, Any]:
    return {"remove": {"path": path, "dataChange": data_change, "deletionTimestamp": 1}}


def copied(
    books: Books, path: str, to: str, change: Callable[[pa.Table], pa.Table] | None = None
) -> dict[str, Any]:
    """The `add` of a rewritten file."""
    folder = books.table("predictions")
    if change is None:
        shutil.copy(folder / path, folder / to)
    else:
        pq.write_table(change(pq.read_table(folder / path, partitioning=None)), folder / to)
    action = added(books, "predictions", path) | {"path": to, "dataChange": False}
    return {"add": action | {"size": (folder / to).stat().st_size, "stats": None}}


class TestCommitsThatAreNotSealed:
    def test_a_young_one_is_a_note(self, books: Books) -> None:
        version = commit(books, "events", [])
        found = report(books)
        assert found.findings == []
        assert found.notes == [f"events: version {version} is not sealed yet"]

    @pytest.mark.parametrize(
        ("time", "got"),
        [
            (millis(datetime(2099, 1, 1, tzinfo=UTC)), "seconds in the future"),
            (10**14, "seconds in the future"),
            ("absent", "no time of the commit"),
            (0, "no time of the commit"),
            (10**16, ""),
            (-5, ""),
            (1, "not sealed"),
            (True, ""),
            ("tomorrow", ""),
            (10**400, ""),
            (float("inf"), ""),
        ],
    )
    def test_an_odd_time_excuses_nothing(self, books: Books, time: Any, got: str) -> None:
        commit(books, "predictions", [], time)
        named(report(books).findings, 9, "predictions", got)

    def test_a_clock_a_minute_ahead_is_a_note(self, books: Books) -> None:
        commit(books, "events", [], millis(datetime.now(UTC) + timedelta(minutes=1)))
        assert report(books).findings == []

    @pytest.mark.parametrize("data_change", [True, False])
    def test_one_that_removes_files_is_found_at_once(self, books: Books, data_change: bool) -> None:
        commit(books, "predictions", [removal(BATCH, data_change=data_change)])
        named(report(books).findings, 9, "predictions", BATCH)

    def test_a_rewrite_of_the_same_rows_is_a_note_that_names_the_version(self, books: Books) -> None:
        other = BATCH.replace("run-a", "other")
        version = commit(books, "predictions", [copied(books, BATCH, other), removal(BATCH)])
        found = report(books)
        assert found.findings == []
        assert f"predictions: version {version} is not sealed yet" in found.notes
        assert f"predictions: 1 commits are not by fielded but by another tool: version {version}" in found.notes

    def test_a_rewrite_with_a_row_less_is_found_at_once(self, books: Books) -> None:
        other = BATCH.replace("run-a", "other")
        commit(books, "predictions", [copied(books, BATCH, other, lambda rows: rows.slice(1)), removal(BATCH)])
        named(report(books).findings, 9, "predictions", "with other rows")

    def test_a_rewrite_of_a_file_that_is_gone_is_found_at_once(self, books: Books) -> None:
        other = BATCH.replace("run-a", "other")
        commit(books, "predictions", [copied(books, BATCH, other), removal(BATCH)])
        (books.table("predictions") / BATCH).unlink()
        named(report(books).findings, 9, "predictions", "cannot be compared (FileNotFoundError)")


class TestNothingToCompareWith:
    def test_no_seals_at_all_is_no_verified_ledger(self, books: Books) -> None:
        shutil.rmtree(books.table("seals"))
        shutil.rmtree(books.folder / "copies")
        future = millis(datetime(2099, 1, 1, tzinfo=UTC))

        def later(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
            infos = [one["commitInfo"] for one in actions if "commitInfo" in one]
            for info in infos:
                info["timestamp"] = future
            return actions

        for table in ("predictions", "quarantine", "events"):
            for version in range(books.last(table) + 1):
                books.edit_log(table, version, later)
        findings = report(books).findings
        for table in ("predictions", "quarantine", "events"):
            named(findings, 3, table, "and no checkpoint")
            named(findings, 9, table, "in the future")

    def test_a_young_ledger_without_seals_has_notes_only(self, books: Books) -> None:
        shutil.rmtree(books.table("seals"))
        shutil.rmtree(books.folder / "copies")
        found = report(books)
        assert found.findings == []
        assert found.notes

    def test_no_ledger_is_wrong_use(self, books: Books) -> None:
        shutil.rmtree(books.table("seals").parent)
        named(report(books).findings, 4, "predictions", "are gone")  # the copies know that there was one
        shutil.rmtree(books.folder / "copies")
        with pytest.raises(WrongUse, match="nothing to verify: no table of this ledger at "):
            report(books)

    def test_an_outside_place_without_a_copy(self, books: Books, tmp_path: Path) -> None:
        empty = tmp_path / "empty"
        empty.mkdir()
        named(report(books, empty).findings, 4, "seals", "no checkpoint of this deployment")
        other = tmp_path / "office"
        shutil.copytree(books.folder / "copies" / "overrun", other / "another")
        for note in other.rglob("*.note"):
            note.write_bytes(note.read_bytes().replace(b"fielded/overrun/", b"fielded/another/"))
        named(report(books, other).findings, 4, "seals", f"{other}: got no checkpoint of this deployment")

    def test_a_table_without_a_copy_is_a_note(self, books: Books, tmp_path: Path) -> None:
        outside = elsewhere(books, tmp_path / "office")
        shutil.rmtree(outside / "overrun" / "events")
        found = report(books, outside)
        assert found.findings == []
        assert "events: no outside copy of a checkpoint, other tables have one" in found.notes
        assert any(note.startswith("checkpoints: no copy in ") for note in found.notes)


class TestThingsThatAreNoFiles:
    """A pipe would let its reader wait for ever: these tests end, or the suite's limit ends them."""

    @staticmethod
    def pipe(path: Path) -> None:
        path.unlink()
        os.mkfifo(path)

    @staticmethod
    def link(path: Path) -> None:
        elsewhere = path.parents[4] / f"moved-{path.name}"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)

    @pytest.mark.parametrize("change", ["pipe", "link"])
    @pytest.mark.parametrize("file", [BATCH, LIVE])
    def test_in_place_of_a_data_file(self, books: Books, change: str, file: str) -> None:
        getattr(self, change)(books.table("predictions") / file)
        found = verify_all(books.open(datetime.now(UTC)))
        assert "no regular file" in named(found.findings, 10, "predictions", file).got
        named(found.findings, 16, "predictions", file)

    @pytest.mark.parametrize("change", ["pipe", "link"])
    def test_in_place_of_seals(self, books: Books, change: str) -> None:
        file = books.files("seals")[1]
        getattr(self, change)(books.table("seals") / file)
        named(report(books).findings, 2, "seals", file)

    def test_a_folder_that_leads_elsewhere(self, books: Books, tmp_path: Path) -> None:
        folder = books.table("predictions") / f"scored_date={DAYS[0]}"
        folder.rename(tmp_path / "moved")
        folder.symlink_to(tmp_path / "moved")
        assert "out of the table's folder" in named(report(books).findings, 10, "predictions", BATCH).got

    @pytest.mark.parametrize("change", ["pipe", "link", "huge"])
    def test_in_place_of_a_note(self, books: Books, change: str) -> None:
        note = books.folder / "copies" / "overrun" / "predictions" / "4.note"
        if change == "huge":
            note.write_bytes(note.read_bytes() + b"x" * 65536)
        else:
            getattr(self, change)(note)
        got = named(report(books).findings, 4, "seals", "4.note").got
        assert got == ("a file of more than 65536 bytes" if change == "huge" else "no regular file")


def with_body(change: Callable[[Any], Any]) -> Callable[[pa.Table], pa.Table]:
    """Another text of the first leaf of predictions, with its own hash beside it where it has one."""

    def edit(rows: pa.Table) -> pa.Table:
        values = rows.to_pylist()
        row = next(one for one in values if (one["tree"], one["kind"]) == ("predictions", "leaf"))
        row["body"] = change(row["body"])
        if row["body"] is not None:
            row["hash"] = leaf_hash(row["body"].encode()).hex()
        return pa.Table.from_pylist(values, rows.schema)

    return edit


def leaf_with(**values: Any) -> Callable[[pa.Table], pa.Table]:
    return with_body(
        lambda body: json.dumps(
            json.loads(body) | values, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
    )


def nulled(kind: str, column: str) -> Callable[[pa.Table], pa.Table]:
    def edit(rows: pa.Table) -> pa.Table:
        values = rows.to_pylist()
        next(one for one in values if (one["tree"], one["kind"]) == ("predictions", kind))[column] = None
        return pa.Table.from_pylist(values, rows.schema)

    return edit


def cast(column: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    return lambda rows: rows.set_column(rows.column_names.index(column), column, rows.column(column).cast(kind))


GARBAGE = {
    **{f"leaf without {one}": nulled("leaf", one) for one in ("body", "place", "tree", "version", "hash", "kind")},
    **{f"checkpoint without {one}": nulled("checkpoint", one) for one in ("body", "place", "hash", "sealed_at")},
    "version a text": leaf_with(version="3"),
    "version a list": leaf_with(version=[1]),
    "version below zero": leaf_with(version=-5),
    "partition a list": leaf_with(partition=[1]),
    "partition of numbers": leaf_with(partition={"scored_date": 1}),
    "path a number": leaf_with(path=5),
    "path elsewhere": leaf_with(path="/etc/passwd"),
    "path of no file": leaf_with(path="a\0b"),
    "rows a text": leaf_with(rows="x"),
    "rows past any number": leaf_with(rows=10**30),
    "chain of no heads": leaf_with(chain={"journal": "a", "first": 1, "last": 2, "before": "z", "after": "z"}),
    "nested": with_body(lambda _: "[" * 100_000),
    "numbers as texts": cast("place", pa.string()),
    "bytes as texts": cast("body", pa.binary()),
    "a column missing": lambda rows: rows.drop_columns(["hash"]),
    "nothing": lambda rows: rows.slice(0, 0),
}


@pytest.mark.parametrize("change", GARBAGE.values(), ids=GARBAGE)
def test_garbage_in_the_seals_is_a_finding_and_hides_no_other(
    books: Books, change: Callable[[pa.Table], pa.Table]
) -> None:
    file = books.files("seals")[1]
    books.rewrite("seals", file, change)
    (books.table("events") / books.files("events")[0]).unlink()
    findings = report(books).findings
    named(findings, 2, "seals", file)
    named(findings, 10, "events", "no such file")


CHECKS = (
    "check_leaves", "check_checkpoints", "check_copies", "check_entries", "check_unsealed", "compare_views",
    "check_stretches", "check_files", "versions", "check_anchors", "check_history",
)  # fmt: skip


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_that_fails_is_a_finding_and_hides_no_other(
    books: Books, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    (books.table("events") / books.files("events")[0]).unlink()
    commit(books, "predictions", [removal(BATCH, data_change=True)])
    monkeypatch.setattr(verifying, check, fail)
    findings = verify_all(books.open(datetime.now(UTC))).findings
    assert any("could not be checked (ZeroDivisionError)" in one.got for one in findings)
    if check != "check_files":
        rule = 9 if check == "check_leaves" else 10  # without leaves nothing is sealed
        named(findings, rule, "events", "no such file")
    if check not in ("check_unsealed", "versions"):
        named(findings, 9, "predictions", BATCH)


def test_an_interruption_is_no_finding(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verifying, "check_entries", interrupt)
    with pytest.raises(KeyboardInterrupt):
        verify(books.open())


class TestFromTheCommandLine:
    @pytest.fixture
    def call(
        self, books: Books, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., tuple[int, str]]:
        names = ("root", "tracking_uri", "artifact_root", "cache", "journal_url", "signing_key", "checkpoints")
        for name in names:
            monkeypatch.setenv(f"FIELDED_{name.upper()}", str(getattr(books.site, name)))
        monkeypatch.chdir(books.folder / "deployment")

        def run(*arguments: object) -> tuple[int, str]:
            monkeypatch.setattr("sys.argv", ["fielded", "audit", "verify", *map(str, arguments)])
            capsys.readouterr()
            with pytest.raises(SystemExit) as end:
                main()
            return int(end.value.code or 0), capsys.readouterr().out

        return run

    @staticmethod
    def closed(books: Books, details: dict[str, Any]) -> None:
        opened = books.open(datetime.now(UTC))
        opened.record("journal_closed", f"journal {JOURNALS[0]}", details)
        books.seal()

    @pytest.mark.parametrize("how", ["deleted", "truncated"])
    def test_findings_are_told_though_an_anchor_cannot_be_looked_up(
        self, books: Books, call: Callable[..., tuple[int, str]], how: str
    ) -> None:
        self.closed(books, {"sequence": 10, "chain": "0" * 64})
        path = books.table("predictions") / LIVE
        if how == "deleted":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-50])
        code, out = call()
        assert code == 1
        assert f"BROKEN: predictions: {LIVE}: got " in out
        assert f"journal {JOURNALS[0]} row 10, which event " in out
        assert "[rule 16]" in out

    @pytest.mark.parametrize("table", ["events", "predictions"])
    def test_findings_are_told_though_a_table_cannot_be_opened(
        self, books: Books, call: Callable[..., tuple[int, str]], table: str
    ) -> None:
        books.log(table, 0).write_text("garbage")
        code, out = call()
        assert code == 1
        assert f"BROKEN: {table}: _delta_log/{0:020d}.json: got SHA-256 " in out
        assert "[rule 16]" in out

    def test_an_event_with_nothing_in_it_is_named(
        self, books: Books, call: Callable[..., tuple[int, str]]
    ) -> None:
        self.closed(books, {})
        code, out = call()
        assert code == 1
        assert f"about journal {JOURNALS[0]}: could not be checked (KeyError)" in out

    def test_a_name_that_a_terminal_would_obey_is_shown_as_it_is_written(
        self, books: Books, call: Callable[..., tuple[int, str]]
    ) -> None:
        action = added(books, "predictions", BATCH) | {"path": "x\x1b[2Kverified\ny\ud800"}
        commit(books, "predictions", [{"add": action}, removal(BATCH, data_change=True)])
        code, out = call()
        assert code == 1
        assert "\x1b" not in out
        assert "\nverified" not in out
        assert call("--json")[0] == 1

    @pytest.mark.parametrize(
        "line", ["a/²/b", '{"chain": "x"}', '{"chain":"x","journal":"y","sequence":null}', "a/b"]
    )
    def test_receipts_that_are_none_are_wrong_use(
        self, books: Books, call: Callable[..., tuple[int, str]], line: str
    ) -> None:
        (books.folder / "receipts").write_text(line + "\n", encoding="utf-8")
        assert call("--receipts", books.folder / "receipts")[0] == 2

    def test_no_ledger_exits_with_two(self, books: Books, call: Callable[..., tuple[int, str]]) -> None:
        shutil.rmtree(books.table("seals").parent)
        shutil.rmtree(books.folder / "copies")
        assert call()[0] == 2
