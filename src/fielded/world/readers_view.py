"""What readers of a table see, against what its log says (rule 8).

Readers do not read the log from its beginning: they take the newest of its checkpoints (Parquet) and go on from
there. A checkpoint that was tampered with hides files from them, or shows them wrong ranges, while every log
entry is as it was. So the log is replayed into a table of one entry, and both are asked the same questions.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fielded.decisions.seals import Broken, LogEntry
from fielded.world.delta_log import entry_path, odd_names
from fielded.world.file_ranges import narrow_ranges

_RULE = 8


class Replay:
    """What the entries of a log come to. It holds what is left of them, not the entries."""

    def __init__(self) -> None:
        self.version = -1
        self.whole = True  # every entry was there and could be read
        self.wrong: list[tuple[int, str]] = []  # version, and what is wrong there
        self._last: dict[str, Any] = {}
        self._adds: dict[str, Any] = {}
        self._transactions: dict[str, Any] = {}

    def take(self, entry: LogEntry | None, version: int) -> None:
        """Go on with the next entry; None where it cannot be read."""
        if entry is None or version != self.version + 1:
            self.whole = False
            self.wrong.append((version, "an entry that cannot be read" if entry is None else "a gap before it"))
        self.version = version
        for action in () if entry is None else entry.actions:
            for kind, value in action.items():
                if kind == "add":
                    self._adds[value["path"]] = {"add": value}
                elif kind == "remove":
                    self._adds.pop(value["path"], None)
                elif kind == "txn":
                    self._transactions[value["appId"]] = {"txn": value}
                elif kind in ("protocol", "metaData"):
                    self._last[kind] = {kind: value}

    def transactions(self) -> list[str]:
        """Ids of all application transactions."""
        return sorted(self._transactions)

    def statistics(self) -> Iterator[tuple[str, str]]:
        """Path and statistics (JSON text) of every live file."""
        for path, action in self._adds.items():
            yield path, action["add"].get("stats") or ""

    def table(self, folder: Path) -> DeltaTable:
        """A table whose only entry says what all entries come to."""
        path = entry_path(folder, 0)
        path.parent.mkdir(parents=True)
        lines = [*self._last.values(), *self._transactions.values(), *self._adds.values()]
        # Not escaped: deltalake reads the escapes of characters past U+1FFFF as other characters.
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        path.write_text(text, encoding="utf-8")
        return DeltaTable(folder)


def compare_views(table: str, folder: Path, replay: Replay) -> list[Broken]:
    """Differences between what a reader sees and what the log says.

    Args:
        table: whose log it is.
        folder: where it lies.
        replay: of its log. One with gaps or with entries that cannot be read says nothing for certain: that is a
            finding, and so is what lies in the log and is no part of one.
    """
    broken = [
        Broken(rule=_RULE, table=table, file=f"_delta_log/{name}", got="a name that no log has",
               expected="entries and checkpoints only")
        for name in odd_names(folder)
    ]  # fmt: skip
    broken += [
        Broken(rule=_RULE, table=table, file=f"_delta_log/{version:020d}.json", got=got,
               expected="every entry of the log: what readers see cannot be compared with it")
        for version, got in replay.wrong
    ]  # fmt: skip
    if replay.version < 0 or not replay.whole:
        return broken
    return broken + _compare(table, folder, replay) + list(_check_ranges(table, folder, replay))


def _check_ranges(table: str, folder: Path, replay: Replay) -> Iterator[Broken]:
    """Rule 19, of every live file whose footer can be read; of others it is told by their digest."""
    for path, statistics in replay.statistics():
        file = folder / unquote(path)
        try:
            if not file.is_file():
                continue
            wrong = narrow_ranges(file, pq.read_metadata(file), statistics)
        except (OSError, ValueError, pa.ArrowException):
            continue
        for got in wrong:
            expected = "what its footer says, for readers pass over files by it"
            yield Broken(rule=19, table=table, file=path, got=f"{got}, by the log", expected=expected)


def _compare(table: str, folder: Path, replay: Replay) -> list[Broken]:
    try:
        seen = _seen(folder, replay.version)
    except (DeltaError, OSError) as error:
        got = f"a table that readers cannot open ({type(error).__name__})"
        return [Broken(rule=_RULE, table=table, got=got, expected=f"version {replay.version}")]
    if seen.version() != replay.version:
        got = f"version {seen.version()} for readers"
        return [
            Broken(rule=_RULE, table=table, got=got, expected=f"version {replay.version}, the last of the log")
        ]
    with tempfile.TemporaryDirectory() as scratch:
        told = replay.table(Path(scratch))
        broken = _compare_files(table, _files(seen), _files(told))
        broken += _compare_rest(table, seen, told, replay.transactions())
    return broken


def _seen(folder: Path, version: int) -> DeltaTable:
    """The table as readers open it; at `version` where others committed since the log was read."""
    seen = DeltaTable(folder)
    newer = range(version + 1, seen.version() + 1)
    if newer and all(entry_path(folder, one).exists() for one in newer):
        return DeltaTable(folder, version=version)
    return seen


def _files(table: DeltaTable) -> dict[str, dict[str, Any]]:
    actions = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()
    return {unquote(row["path"]): row for row in actions.to_pylist()}


def _compare_files(table: str, seen: Mapping[str, Any], told: Mapping[str, Any]) -> list[Broken]:
    broken = []
    for path in sorted(seen.keys() | told.keys()):
        if path not in seen:
            got, expected = "a file that readers do not see", "one that they see, as the log says"
        elif path not in told:
            got, expected = "a file that readers see", "none, as the log says"
        else:
            names = sorted(
                name
                for name in seen[path].keys() | told[path].keys()
                if seen[path].get(name) != told[path].get(name)
            )
            if not names:
                continue
            got = f"another {', '.join(names)} for readers, who pass over files by such ranges"
            expected = "what the log says"
        broken.append(Broken(rule=_RULE, table=table, file=path, got=got, expected=expected))
    return broken


def _compare_rest(table: str, seen: DeltaTable, told: DeltaTable, applications: Sequence[str]) -> list[Broken]:
    """Columns, settings and application transactions."""
    views = [
        ("columns", seen.schema().to_json(), told.schema().to_json()),
        ("id", seen.metadata().id, told.metadata().id),
        ("partition columns", seen.metadata().partition_columns, told.metadata().partition_columns),
        ("settings", seen.metadata().configuration, told.metadata().configuration),
    ]
    views += [
        (f"application transaction {one}", seen.transaction_version(one), told.transaction_version(one))
        for one in applications
    ]
    return [
        Broken(rule=_RULE, table=table, got=f"other {what} for readers", expected="what the log says")
        for what, got, expected in views
        if got != expected
    ]
