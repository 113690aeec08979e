"""What a table's log may say: rules 17 and 18 of `decisions.seal_rules`, asked before sealing and by verifying.

The Delta protocol lets a commit do what no reader of a file's bytes would see: name a file a second time, by
another spelling, in another partition or with other ranges; take a column away, or show one under another's name.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fielded.decisions.seal_rules import NumberedLeaf
from fielded.decisions.seals import Added, Broken, Leaf, LogEntry, SealedFile

_PARTS = re.compile(r"[^/\\%:?#\x00-\x1f\x7f]+(/[^/\\%:?#\x00-\x1f\x7f]+)*")

# What deltalake writes for tables of our columns, when they are made and when a feature is added.
_PROTOCOLS = ({"minReaderVersion": 1, "minWriterVersion": 2},)
_SETTINGS = {"delta.appendOnly": "true", "delta.enableExpiredLogCleanup": "false"}


def odd_path(path: str, uri: str, partition: Mapping[str, str | None]) -> str:
    """Why a data file may not be named so; empty where it may.

    One file has one name: below the table, in the folder of its partition, nothing in it that is escaped or that
    a system of files takes for something else.
    """
    if uri not in ("", path):
        return "a path that is escaped"
    if not _PARTS.fullmatch(path) or {".", ".."} & set(path.split("/")):
        return "a path that is not in its normal form"
    if not partition or any(value is None for value in partition.values()):
        return "a file of no partition"
    folder = "".join(f"{column}={value}/" for column, value in partition.items())
    if not path.startswith(folder) or "/" in path.removeprefix(folder):
        return f"a path outside {folder}, its partition"
    return ""


class LiveFiles:
    """Which files are the table, from its log, entry by entry."""

    def __init__(self) -> None:
        self.live: dict[str, Added] = {}
        self._ever: set[str] = set()

    def take(self, entry: LogEntry) -> list[tuple[str, str]]:
        """Go on with the next entry.

        Returns:
            Path and what is wrong with it: a path is added once and never again, not even after its removal,
            and only what is live is removed.
        """
        wrong: list[tuple[str, str]] = []
        for gone in entry.removed:
            standing = self.live.pop(gone.path, None)
            if standing is None:
                wrong.append((gone.path, "a removal of what is not there"))
            elif gone.uri != standing.uri:
                wrong.append((gone.path, "a removal by another spelling"))
        for added in entry.added:
            why = odd_path(added.path, added.uri, added.partition)
            if why:
                wrong.append((added.path, why))
            if added.path in self._ever:
                wrong.append((added.path, "the same path added once more"))
            self._ever.add(added.path)
            self.live[added.path] = added
        return wrong


def live_files(leaves: Iterable[Leaf]) -> dict[str, SealedFile]:
    """Path -> the file, of those that are the table after the last leaf."""
    live: dict[str, SealedFile] = {}
    for one in leaves:
        for path in one.removed:
            live.pop(path, None)
        live |= {file.path: file for file in one.files}
    return live


def settings_changes(
    before: Mapping[str, Any] | None, entry: LogEntry
) -> tuple[Mapping[str, Any] | None, list[str]]:
    """What an entry changes of what the table is, and may not (rule 18).

    Args:
        before: the `metaData` that holds before it; None where there is none yet.
        entry: the entry.

    Returns:
        The `metaData` that holds after it, and what is wrong.
    """
    wrong: list[str] = []
    for action in entry.settings:
        if "protocol" in action and action["protocol"] not in _PROTOCOLS:
            wrong.append("another protocol of the table")
        if "metaData" in action:
            wrong += _metadata_changes(before, action["metaData"])
            before = action["metaData"]
    return before, wrong


def check_history(
    table: str, leaves: Sequence[NumberedLeaf], entries: Mapping[int, LogEntry | str]
) -> list[Broken]:
    """Rules 17 and 18 over the whole log.

    Args:
        table: whose log it is.
        leaves: its leaves; none for the `seals` table.
        entries: version -> the entry, or the SHA-256 of one that cannot be read.
    """
    broken: list[Broken] = []
    files, metadata = LiveFiles(), None
    sealed_through = max((one.leaf.version for one in leaves), default=-1)
    sealed: set[str] = set()
    for version in sorted(entries):
        entry = entries[version]
        if isinstance(entry, LogEntry):
            broken += [
                Broken(
                    rule=17, table=table, file=path, got=f"{why}, in version {version}", expected="each path once"
                )
                for path, why in files.take(entry)
            ]
            metadata, wrong = settings_changes(metadata, entry)
            broken += [
                Broken(
                    rule=18,
                    table=table,
                    file=f"_delta_log/{version:020d}.json",
                    got=why,
                    expected="new columns only",
                )
                for why in wrong
            ]
        if version <= sealed_through:
            sealed = set(files.live)
    if leaves:
        live = live_files(one.leaf for one in leaves)
        broken += [
            Broken(rule=17, table=table, file=path, got="a file of the table by the log or the leaves only",
                   expected="by both")
            for path in sorted(sealed ^ live.keys())
        ]  # fmt: skip
        broken += _copies(table, live)
    return broken


def _copies(table: str, live: Mapping[str, SealedFile]) -> list[Broken]:
    """Live files with the same bytes: their rows would count twice."""
    first: dict[tuple[str, int], str] = {}
    broken = []
    for path, file in live.items():
        other = first.setdefault((file.sha256, file.size), path)
        if other != path and file.rows:
            got = f"the bytes of {other} once more"
            broken.append(Broken(rule=17, table=table, file=path, got=got, expected="each file once"))
    return broken


def _metadata_changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    try:
        schema = _fields(after)
        configuration = dict(after.get("configuration") or {})
        wrong = [f"a column {path} under another name" for path, one in schema.items() if one["metadata"]]
        if any(name.startswith("delta.columnMapping") for name in configuration):
            wrong.append("columns under other names (column mapping)")
        if before is None:
            before = after
        wrong += [
            f"another {name} of the table" for name in ("id", "partitionColumns") if before[name] != after[name]
        ]
        if after["format"].get("provider") != "parquet" or before["format"] != after["format"]:
            wrong.append("another format of the table")
        old = dict(before.get("configuration") or {})
        wrong += [
            f"{name} {configuration.get(name)}, not {value}"
            for name, value in _SETTINGS.items()
            if configuration.get(name) != value
        ]
        wrong += [
            f"another {name}" for name in old if name not in _SETTINGS and configuration.get(name) != old[name]
        ]
        return wrong + _schema_changes(_fields(before), schema)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ["metaData that is none of the Delta protocol"]


def _schema_changes(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> list[str]:
    wrong = [f"no column {path} any more" for path in before if path not in after]
    for path, one in after.items():
        if path in before and before[path] != one:
            wrong.append(f"another type of column {path}")
        elif path not in before and not one["nullable"]:
            wrong.append(f"a new column {path} that may not be null")
    return wrong


def _fields(metadata: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Path -> type, nullable and metadata of every column and every part of a struct."""
    found: dict[str, dict[str, Any]] = {}

    def walk(fields: Sequence[Mapping[str, Any]], prefix: tuple[str, ...]) -> None:
        for one in fields:
            path = (*prefix, one["name"])
            name = json.dumps(path) if any("." in part for part in path) else ".".join(path)
            if name in found:
                raise ValueError(f"got column {name} twice, expected it once")
            kind = one["type"]
            struct = isinstance(kind, dict) and kind["type"] == "struct"
            found[name] = {
                "type": "struct" if struct else kind,
                "nullable": one["nullable"],
                "metadata": one.get("metadata") or {},
            }
            if struct:
                walk(kind["fields"], path)

    walk(json.loads(metadata["schemaString"])["fields"], ())
    return found
