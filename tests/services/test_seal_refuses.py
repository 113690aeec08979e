"""What a log may say that no reader of a file's bytes would see: nothing of it is sealed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from fielded.decisions.log_rules import check_history
from fielded.decisions.seals import Broken, LogEntry
from fielded.words.errors import Refused
from fielded.world.delta_log import read_entry, versions
from fielded.world.readers_view import Replay, compare_views
from sealed_books import Books, make_books

TABLE = "predictions"
CHAIN = {"journal": "x", "first": 1, "last": 1, "before": "0" * 64, "after": "0" * 64}
Actions = list[dict[str, Any]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return make_books(tmp_path_factory.mktemp("original") / "books")


@pytest.fixture
def books(original: Books, tmp_path: Path) -> Books:
    return original.copied(tmp_path / "books")


def actions_of(books: Books) -> Actions:
    return [
        json.loads(line)
        for version in range(books.last(TABLE) + 1)
        for line in books.log(TABLE, version).read_text(encoding="utf-8").splitlines()
    ]


def added(books: Books, containing: str = "run-a") -> dict[str, Any]:
    return next(one["add"] for one in actions_of(books) if "add" in one and containing in one["add"]["path"])


def metadata(books: Books) -> dict[str, Any]:
    return [one for one in actions_of(books) if "metaData" in one][-1]


def write(books: Books, *actions: dict[str, Any]) -> int:
    version = books.last(TABLE) + 1
    lines = [{"commitInfo": {"timestamp": 1772442000000}}, *actions]
    books.log(TABLE, version).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return version


def findings(books: Books) -> list[Broken]:
    folder = books.table(TABLE)
    entries: dict[int, LogEntry | str] = {}
    replay = Replay()
    for version in versions(folder):
        entry = read_entry(folder, version)
        assert entry is not None
        entries[version] = entry
        replay.take(entry, version)
    return check_history(TABLE, [], entries) + compare_views(TABLE, folder, replay)


def refused(books: Books, match: str) -> None:
    sealed = books.last("seals")
    with pytest.raises(Refused, match=match) as caught:
        books.seal()
    assert "nothing is sealed" in str(caught.value)
    assert "When sealing refuses" in str(caught.value)
    assert books.last("seals") == sealed


def test_what_is_as_it_was_made_has_no_finding(books: Books) -> None:
    assert findings(books) == []


class TestPaths:
    @pytest.mark.parametrize(
        "alias",
        [lambda path: f"./{path}", lambda path: path.replace("/", "//"), lambda path: f"../predictions/{path}",
         lambda path: path.replace("run", "%72un"), lambda path: f"{path}\0", lambda path: f"file:{path}",
         lambda path: path.replace("/", "\\"), lambda path: path.replace("2026-03-01", "2026-03-02")],
    )  # fmt: skip
    def test_another_spelling(self, books: Books, alias: Callable[[str], str]) -> None:
        file = added(books)
        write(books, {"add": {**file, "path": alias(file["path"])}})
        refused(books, "names files in another way")

    def test_a_file_added_once_more_to_another_partition(self, books: Books) -> None:
        write(books, {"add": {**added(books), "partitionValues": {"scored_date": "2020-01-01"}}})
        refused(books, "outside scored_date=2020-01-01/")

    def test_a_file_added_once_more_with_other_ranges(self, books: Books) -> None:
        file = added(books)
        statistics = json.loads(file["stats"])
        statistics["minValues"]["subject"] = statistics["maxValues"]["subject"] = "~~~"
        write(books, {"add": {**file, "stats": json.dumps(statistics)}})
        refused(books, "a range of subject that its rows are not in")
        assert {(17, file["path"]), (19, file["path"])} <= {(one.rule, one.file) for one in findings(books)}

    def test_a_file_added_once_more(self, books: Books) -> None:
        write(books, {"add": added(books)})
        refused(books, "a path that was added before")
        assert any("added once more" in one.got for one in findings(books))

    def test_a_copy_of_a_file_under_another_name(self, books: Books) -> None:
        file = added(books)
        other = file["path"].replace("run-a", "run-z")
        shutil.copy(books.table(TABLE) / file["path"], books.table(TABLE) / other)
        write(books, {"add": {**file, "path": other}})
        refused(books, "once more")

    def test_a_replaced_file_comes_back(self, books: Books) -> None:
        """Else it could be deleted as a replaced one while it is the table."""
        file = added(books)
        other = file["path"].replace("run-a", "run-z")
        shutil.copy(books.table(TABLE) / file["path"], books.table(TABLE) / other)
        gone = {"dataChange": False, "deletionTimestamp": 1}
        write(
            books,
            {"add": {**file, "path": other, "dataChange": False}},
            {"remove": {"path": file["path"], **gone}},
        )
        books.seal()
        write(books, {"add": {**file, "dataChange": False}}, {"remove": {"path": other, **gone}})
        refused(books, "a path that was added before")

    def test_a_file_is_replaced_twice(self, books: Books) -> None:
        file = added(books)
        names = [file["path"].replace("run-a", name) for name in ("run-y", "run-z")]
        for other in names:
            shutil.copy(books.table(TABLE) / file["path"], books.table(TABLE) / other)
            write(
                books,
                {"add": {**file, "path": other, "dataChange": False}},
                {"remove": {"path": file["path"], "dataChange": False, "deletionTimestamp": 1}},
            )
            if other == names[0]:
                books.seal()
        refused(books, "once more")
        assert any("a removal of what is not there" in one.got for one in findings(books))

    def test_nulls_that_are_none(self, books: Books) -> None:
        path = books.files(TABLE, "run-a")[0]
        version = next(
            one
            for one in range(books.last(TABLE) + 1)
            if path in books.log(TABLE, one).read_text(encoding="utf-8")
        )

        def lie(actions: Actions) -> Actions:
            for action in actions:
                if action.get("add", {}).get("path") == path:
                    statistics = json.loads(action["add"]["stats"])
                    statistics["nullCount"]["subject"] = statistics["numRecords"]
                    action["add"]["stats"] = json.dumps(statistics)
            return actions

        books.edit_log(TABLE, version, lie)
        assert [(one.rule, one.file) for one in findings(books)] == [(19, path)]


def _fields(change: Callable[[Actions], Actions]) -> Callable[[dict[str, Any]], None]:
    def to(metadata: dict[str, Any]) -> None:
        schema = json.loads(metadata["schemaString"])
        schema["fields"] = change(schema["fields"])
        metadata["schemaString"] = json.dumps(schema)

    return to


def _swapped(fields: Actions) -> Actions:
    other = {"score": "threshold", "threshold": "score"}
    return [
        {**one, "metadata": {"delta.columnMapping.physicalName": other.get(one["name"], one["name"])}}
        for one in fields
    ]


class TestSettings:
    @pytest.mark.parametrize(
        ("change", "match"),
        [
            (_fields(lambda all_of: [one for one in all_of if one["name"] != "decision"]), "no column decision"),
            (
                _fields(
                    lambda all_of: [{**one, "type": "string"} if one["name"] == "score" else one for one in all_of]
                ),
                "another type of column score",
            ),
            (_fields(_swapped), "column score under another name"),
            (
                _fields(
                    lambda all_of: [*all_of, {"name": "x", "type": "long", "nullable": False, "metadata": {}}]
                ),
                "new column x that may not be null",
            ),
            (lambda meta: meta.update(configuration={}), "delta.appendOnly None"),
            (lambda meta: meta["configuration"].update({"delta.columnMapping.mode": "name"}), "column mapping"),
            (lambda meta: meta.update(partitionColumns=[]), "another partitionColumns"),
            (lambda meta: meta.update(id="other"), "another id"),
            (lambda meta: meta.update(schemaString="{"), "none of the Delta protocol"),
        ],
    )
    def test_anything_but_a_new_column(
        self, books: Books, change: Callable[[dict[str, Any]], None], match: str
    ) -> None:
        action = metadata(books)
        change(action["metaData"])
        version = write(books, action)
        refused(books, match)
        folder = books.table(TABLE)
        entries = {one: entry for one in range(version + 1) if (entry := read_entry(folder, one)) is not None}
        assert {one.rule for one in check_history(TABLE, [], entries)} == {18}

    def test_another_protocol(self, books: Books) -> None:
        write(books, {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}})
        refused(books, "another protocol")


class TestEntries:
    @pytest.mark.parametrize(
        "text",
        [
            '{"commitInfo":{"timestamp":1e400}}', '{"commitInfo":{"timestamp":true}}',
            '{"commitInfo":{"timestamp":-1}}', '{"commitInfo":{"timestamp":NaN}}',
            '{"txn":{"appId":"\\ud800","version":1}}', '{"txn":{"appId":["x"]}}', '{"metaData":5}', '{"add":null}',
            '{"add":{},"remove":{}}', '{"txn":{"appId":"a","appId":"b","version":1}}',
            json.dumps({"commitInfo": {"fielded": json.dumps({"chains": {"x": {**CHAIN, "after": "zz"}}})}}),
            json.dumps({"commitInfo": {"fielded": json.dumps({"chains": {"x": {**CHAIN, "first": True}}})}}),
        ],
    )  # fmt: skip
    def test_that_say_something_else(self, books: Books, text: str) -> None:
        books.log(TABLE, books.last(TABLE) + 1).write_text(text)
        with pytest.raises(Refused, match="no actions of the Delta protocol"):
            books.seal()

    def test_a_folder_a_link_and_a_pipe(self, books: Books) -> None:
        path = books.log(TABLE, books.last(TABLE) + 1)
        path.mkdir()
        with pytest.raises(Refused, match="no regular file"):
            books.seal()
        path.rmdir()
        path.symlink_to(books.log(TABLE, 0))
        with pytest.raises(Refused, match="no regular file"):
            books.seal()

    def test_a_digit_of_another_script_is_no_version(self, books: Books) -> None:
        last = books.last(TABLE)
        name = books.log(TABLE, last + 5).name.replace("0", "\u0660", 1)
        (books.table(TABLE) / "_delta_log" / name).write_text("x")
        DeltaTable(books.table(TABLE)).create_checkpoint()
        assert versions(books.table(TABLE))[-1] == last
        assert [(one.rule, one.file) for one in findings(books)] == [(8, f"_delta_log/{name}")]

    def test_a_gap_is_told(self, books: Books) -> None:
        books.log(TABLE, 3).unlink()
        assert (8, f"_delta_log/{4:020d}.json") in {(one.rule, one.file) for one in findings(books)}
