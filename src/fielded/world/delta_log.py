"""The log of a Delta table, entry by entry, as its bytes are.

Readers of a table take a short cut through checkpoints and remember nothing of the entries. Sealing needs the
entries themselves: which commit added which file, and the exact bytes that say so.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fielded.decisions.seals import Added, LogEntry, Removed
from fielded.decisions.stretch import Stretch
from fielded.words.errors import Refused, Unreachable
from fielded.world.tables import METADATA

_LOG = "_delta_log"
_DIGITS = 20


def entry_path(folder: Path, version: int) -> Path:
    """Where a table's log entry of a version lies."""
    return folder / _LOG / f"{version:0{_DIGITS}d}.json"


def versions(folder: Path) -> list[int]:
    """Versions that have an entry, ascending."""
    names = (path.stem for path in (folder / _LOG).glob("*.json"))
    return sorted(int(name) for name in names if len(name) == _DIGITS and name.isdecimal())


def entry_sha256(folder: Path, version: int) -> str | None:
    """SHA-256 of an entry's bytes; None where there is no such entry."""
    octets = _read(folder, version)
    return None if octets is None else hashlib.sha256(octets).hexdigest()


def read_entry(folder: Path, version: int) -> LogEntry | None:
    """A log entry; None where there is no such version.

    Raises:
        Refused: it is not what the Delta protocol writes.
        Unreachable: it is there but cannot be read.
    """
    octets = _read(folder, version)
    return None if octets is None else parse_entry(version, octets, folder.name)


def entries_after(folder: Path, version: int) -> Iterator[LogEntry]:
    """Entries of `version + 1` and on, as far as they follow each other.

    Raises:
        Refused: one is not what the Delta protocol writes.
    """
    while (entry := read_entry(folder, version + 1)) is not None:
        yield entry
        version += 1


def parse_entry(version: int, octets: bytes, table: str) -> LogEntry:
    """A log entry from its bytes.

    Raises:
        Refused: it is not what the Delta protocol writes.
    """
    try:
        actions = tuple(dict(json.loads(line).items()) for line in octets.splitlines() if line.strip())
        info: Mapping[str, Any] = next((one["commitInfo"] for one in actions if "commitInfo" in one), {})
        ours = json.loads(info.get(METADATA, "{}"))
        return LogEntry(
            version=version,
            sha256=hashlib.sha256(octets).hexdigest(),
            unix_ms=int(info.get("timestamp") or 0),
            added=tuple(_added(one["add"]) for one in actions if "add" in one),
            removed=tuple(
                Removed(unquote(one["remove"]["path"]), bool(one["remove"]["dataChange"]))
                for one in actions
                if "remove" in one
            ),
            recorded={
                path: {"sha256": str(one["sha256"]), "rows": int(one["rows"])}
                for path, one in ours.get("files", {}).items()
            },
            stretches={path: Stretch(**stretch) for path, stretch in ours.get("chains", {}).items()},
            actions=actions,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused(
            f"{table}: log entry {version}: got lines that are no actions of the Delta protocol, expected JSON. "
            "Run `fielded audit verify`"
        ) from None


def _read(folder: Path, version: int) -> bytes | None:
    try:
        return entry_path(folder, version).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unreachable(
            f"{folder.name}: log entry {version} cannot be read ({error.strerror or error})"
        ) from error


def _added(action: Mapping[str, Any]) -> Added:
    statistics = json.loads(action["stats"]) if action.get("stats") else {}
    return Added(
        path=unquote(action["path"]),  # the log has it as a URI
        partition=dict(action["partitionValues"]),
        size=int(action["size"]),
        rows=statistics.get("numRecords"),
        data_change=bool(action["dataChange"]),
        masked=bool(action.get("deletionVector")),
    )
