"""What readers of a table see, against what its log says (rule 8).

Readers do not read the log from its beginning: they take the newest of its checkpoints (Parquet) and go on from
there. A checkpoint that was tampered with hides files from them, or shows them wrong ranges, while every log
entry is as it was. So the log is replayed into a table of one entry, and both are asked the same questions.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fielded.decisions.seals import Broken, LogEntry
from fielded.world.delta_log import entry_path

_RULE = 8


def compare_views(table: str, folder: Path, entries: Mapping[int, LogEntry | str]) -> list[Broken]:
    """Differences between what a reader sees and what the log says.

    Args:
        table: whose log it is.
        folder: where it lies.
        entries: version -> entry; a log with gaps or with entries that cannot be read is not compared, for it says
            nothing for certain.
    """
    log = [entries.get(version) for version in range(len(entries))]
    whole = [entry for entry in log if isinstance(entry, LogEntry)]
    if not log or len(whole) != len(log):
        return []
    try:
        seen = DeltaTable(folder)
    except (DeltaError, OSError) as error:
        got = f"a table that readers cannot open ({type(error).__name__})"
        return [Broken(rule=_RULE, table=table, got=got, expected=f"version {len(log) - 1}")]
    if seen.version() != len(log) - 1:
        got = f"version {seen.version()} for readers"
        return [Broken(rule=_RULE, table=table, got=got, expected=f"version {len(log) - 1}, the last of the log")]
    with tempfile.TemporaryDirectory() as scratch:
        told = _replayed(Path(scratch), whole)
        broken = _compare_files(table, _files(seen), _files(told))
        broken += _compare_rest(table, seen, told, whole)
    return broken


def _replayed(folder: Path, entries: Sequence[LogEntry]) -> DeltaTable:
    """A table whose only log entry says what all entries come to."""
    last: dict[str, Any] = {}
    adds: dict[str, Any] = {}
    transactions: dict[str, Any] = {}
    for action in (action for entry in entries for action in entry.actions):
        for kind, value in action.items():
            if kind == "add":
                adds[value["path"]] = {"add": value}
            elif kind == "remove":
                adds.pop(value["path"], None)
            elif kind == "txn":
                transactions[value["appId"]] = {"txn": value}
            elif kind in ("protocol", "metaData"):
                last[kind] = {kind: value}
    path = entry_path(folder, 0)
    path.parent.mkdir(parents=True)
    lines = [*last.values(), *transactions.values(), *adds.values()]
    # Not escaped: deltalake reads the escapes of characters past U+1FFFF as other characters.
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    return DeltaTable(folder)


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


def _compare_rest(table: str, seen: DeltaTable, told: DeltaTable, entries: Sequence[LogEntry]) -> list[Broken]:
    """Columns, settings and application transactions."""
    broken = []
    views = [
        ("columns", seen.schema().to_json(), told.schema().to_json()),
        ("id", seen.metadata().id, told.metadata().id),
        ("partition columns", seen.metadata().partition_columns, told.metadata().partition_columns),
        ("settings", seen.metadata().configuration, told.metadata().configuration),
    ]
    applications = {action["txn"]["appId"] for entry in entries for action in entry.actions if "txn" in action}
    views += [
        (f"application transaction {one}", seen.transaction_version(one), told.transaction_version(one))
        for one in sorted(applications)
    ]
    for what, got, expected in views:
        if got != expected:
            broken.append(
                Broken(rule=_RULE, table=table, got=f"other {what} for readers", expected="what the log says")
            )
    return broken
