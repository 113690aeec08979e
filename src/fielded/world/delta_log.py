"""The log of a Delta table, entry by entry, as its bytes are.

Readers of a table take a short cut through checkpoints and remember nothing of the entries. Sealing needs the
entries themselves: which commit added which file, and the exact bytes that say so.
"""

import hashlib
import json
import os
import re
import stat
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
_LARGEST = 64 << 20  # bytes of an entry; fielded's own have some kilobytes for each file
_MOST = 2**53  # beyond it readers of JSON do not agree about a number

_ENTRY = re.compile(r"[0-9]{20}\.json", re.ASCII)
_BESIDE = re.compile(
    r"_last_checkpoint|_commits|_staged_commits|_sidecars|_commit_.*\.json\.tmp|\..*|.*#[0-9]+"
    r"|[0-9]{20}\.(crc|checkpoint\.parquet|checkpoint\.[0-9]{10}\.[0-9]{10}\.parquet"
    r"|checkpoint\.[0-9a-f-]{36}\.(json|parquet))",
    re.ASCII | re.DOTALL,
)  # checkpoints and their parts, check sums, what writers stage or left when they died
_ESCAPED = re.compile(rb"\\u[dD][89a-fA-F]")

NEXT_STEP = (
    "Run `fielded audit verify`, compare with the copies of the checkpoints, and restore the table from a backup "
    "to the last sealed version (docs/ledger.md, When sealing refuses)"
)


def entry_path(folder: Path, version: int) -> Path:
    """Where a table's log entry of a version lies."""
    return folder / _LOG / f"{version:0{_DIGITS}d}.json"


def versions(folder: Path) -> list[int]:
    """Versions that something has the name of an entry of, ascending; whether it is one is another matter."""
    return sorted(int(name[:_DIGITS]) for name in _names(folder) if _ENTRY.fullmatch(name))


def odd_names(folder: Path) -> list[str]:
    """What lies in a table's log and is no part of one, by name: no reader should ever take it for one."""
    return sorted(name for name in _names(folder) if not _ENTRY.fullmatch(name) and not _BESIDE.fullmatch(name))


def entry_sha256(folder: Path, version: int) -> str | None:
    """SHA-256 of an entry's bytes; None where there is none, empty where what is there is no file of entries.

    Raises:
        Unreachable: it is there but cannot be read.
    """
    try:
        octets = _read(folder, version)
    except Refused:
        return ""
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
        actions = tuple(_action(line) for line in octets.splitlines() if line.strip())
        info: dict[str, Any] = next((one["commitInfo"] for one in actions if "commitInfo" in one), {})
        ours = _tree(_json(_text(info.get(METADATA, "{}"))))
        return LogEntry(
            version=version,
            sha256=hashlib.sha256(octets).hexdigest(),
            unix_ms=_whole(info.get("timestamp", 0)),
            added=tuple(_added(one["add"]) for one in actions if "add" in one),
            removed=tuple(_removed(one["remove"]) for one in actions if "remove" in one),
            recorded={
                path: {"sha256": _text(one["sha256"]), "rows": _whole(one["rows"])}
                for path, one in ours.get("files", {}).items()
            },
            stretches={path: Stretch(**stretch) for path, stretch in ours.get("chains", {}).items()},
            settings=tuple(one for one in actions if "metaData" in one or "protocol" in one),
            actions=actions,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise Refused(
            f"{table}: log entry {version}: got lines that are no actions of the Delta protocol, expected JSON. "
            f"{NEXT_STEP}"
        ) from None


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in (folder / _LOG).iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Unreachable(f"{folder.name}: its log cannot be read ({error.strerror or error})") from error


def _read(folder: Path, version: int) -> bytes | None:
    """An entry's bytes. Neither a link nor a pipe is followed: what one reader sees must be what every one sees.

    Raises:
        Refused: what is there is no file, or too large for an entry.
        Unreachable: it cannot be read.
    """
    path = entry_path(folder, version)
    try:
        kind = path.lstat().st_mode
        if not stat.S_ISREG(kind):
            raise Refused(f"{folder.name}: log entry {version}: got no regular file, expected one. {NEXT_STEP}")
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            octets = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unreachable(
            f"{folder.name}: log entry {version} cannot be read ({error.strerror or error})"
        ) from error
    if len(octets) > _LARGEST:
        raise Refused(
            f"{folder.name}: log entry {version}: got more than {_LARGEST} bytes, expected less. {NEXT_STEP}"
        )
    return octets


def _action(line: bytes) -> dict[str, Any]:
    action = _tree(_json(line.decode("utf-8")))
    if _ESCAPED.search(line):  # half a character has no UTF-8: no other reader could take it
        json.dumps(action, ensure_ascii=False).encode()
    ((kind, value),) = action.items()
    value = _tree(value)
    if kind == "txn":
        _text(value["appId"])
        _whole(value["version"])
    return {_text(kind): value}


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=_no_number, object_pairs_hook=_once)


def _no_number(name: str) -> None:
    raise ValueError(f"got {name}, expected a number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, if no key comes twice: readers differ in which of two they take."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("got a key twice, expected it once")
    return found


def _added(action: Mapping[str, Any]) -> Added:
    uri = _text(action["path"])
    text = action.get("stats") or ""
    statistics = _tree(_json(_text(text))) if text else {}
    rows = statistics.get("numRecords")
    return Added(
        path=unquote(uri),  # the log has it as a URI
        uri=uri,
        partition={column: _text_or_none(value) for column, value in _tree(action["partitionValues"]).items()},
        size=_whole(action["size"]),
        rows=None if rows is None else _whole(rows),
        data_change=_truth(action["dataChange"]),
        masked=bool(action.get("deletionVector")),
        statistics=text,
    )


def _removed(action: Mapping[str, Any]) -> Removed:
    uri = _text(action["path"])
    return Removed(unquote(uri), _truth(action["dataChange"]), uri)


def _tree(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("got no object")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("got no text")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError("got no whole number, or one that JSON readers do not agree about")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("got neither true nor false")
    return value
