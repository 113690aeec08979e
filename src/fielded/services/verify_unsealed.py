"""Commits that are not sealed yet (rule 9 of `decisions.seal_rules`).

Nobody has signed for them, so what they say of themselves is not believed where it would excuse them: a young
commit is only a note, but its age is its own word. What no seal will ever take in is told at once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

from fielded.decisions.seals import Broken, LogEntry, by_partition, not_sealable, partition_key
from fielded.world.regular_files import irregular
from fielded.world.row_digests import rows_sha256

_RULE = 9
_YOUNG = timedelta(minutes=15)  # so long a commit may wait for its seal: three times what a journal waits to drain
_AHEAD = timedelta(minutes=2)  # so far may a writer's clock be ahead of this one
_SHOWN = 30  # digits of a number that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """What is looked at.

    Attributes:
        table: its name.
        folder: where it lies.
        entries: version -> entry, of the whole log; a text in place of one that cannot be read.
        sealed_through: last version that is sealed; -1 where none is.
    """

    table: str
    folder: Path
    entries: Mapping[int, LogEntry | str]
    sealed_through: int


def check_unsealed(log: Unsealed, now: datetime, note: Callable[[str], None], *, strict: bool) -> Iterator[Broken]:
    """Rule 9, but for the bytes of the files.

    Args:
        log: of one table.
        now: by this machine's clock.
        note: told of what is as it may be.
        strict: age excuses nothing.
    """
    for version in sorted(version for version in log.entries if version > log.sealed_through):
        entry = log.entries[version]
        name = f"_delta_log/{version:020d}.json"
        if isinstance(entry, str):
            got = "lines that are no actions of the Delta protocol"
            yield Broken(rule=_RULE, table=log.table, file=name, got=got, expected="a log entry")
            continue
        reasons = _reasons(log, entry)
        for reason in reasons:
            yield Broken(rule=_RULE, table=log.table, file=name, got=reason, expected="what a seal can be put on")
        odd = "" if reasons else _odd_time(entry.unix_ms, now)
        if odd:
            yield Broken(rule=_RULE, table=log.table, file=name, got=odd, expected="the time of the commit")
        elif not reasons and (strict or _millis(now) - entry.unix_ms > _YOUNG // timedelta(milliseconds=1)):
            got, expected = f"version {version}, not sealed", "a seal over it (`fielded audit seal`)"
            yield Broken(rule=_RULE, table=log.table, file=name, got=got, expected=expected)
        elif not reasons:
            note(f"{log.table}: version {version} is not sealed yet")


def _millis(now: datetime) -> int:
    return int(now.timestamp() * 1000)


def _odd_time(unix_ms: int, now: datetime) -> str:
    """Why an entry's own time is not believed; empty where it is."""
    if isinstance(unix_ms, bool) or not isinstance(unix_ms, int) or unix_ms <= 0:
        return "no time of the commit in its commitInfo"
    ahead = unix_ms - _millis(now)
    if ahead > _AHEAD // timedelta(milliseconds=1):
        return f"a commit {str(ahead // 1000)[:_SHOWN]} seconds in the future"
    return ""


def _reasons(log: Unsealed, entry: LogEntry) -> list[str]:
    """Why no seal can be put on an entry."""
    reasons = not_sealable(entry)
    if entry.removed and not reasons:
        reasons = [*reasons, *_rewrite(log, entry)]
    return reasons


def _rewrite(log: Unsealed, entry: LogEntry) -> Iterator[str]:
    """Whether an entry that removes files puts the same rows in their place, partition by partition."""
    known = {
        file.path: partition_key(file.partition)
        for version, other in log.entries.items()
        if version < entry.version and isinstance(other, LogEntry)
        for file in other.added
    }
    removed: dict[str, list[str]] = {}
    for file in entry.removed:
        if file.path not in known:
            yield f"{file.path} removed, which no entry before added"
            return
        removed.setdefault(known[file.path], []).append(file.path)
    added = {key: [file.path for file in files] for key, files in by_partition(entry.added).items()}
    for partition in sorted({*removed, *added}):
        old, new = removed.get(partition, []), added.get(partition, [])
        if not new:
            yield f"{', '.join(old)} removed and nothing in its place"
            continue
        try:
            for path in (*old, *new):
                why = irregular(log.folder / path, log.folder)
                if why:
                    raise OSError(0, why)  # noqa: TRY301 - told with the others
            same = _digest(log, old) == _digest(log, new)
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            yield f"a rewrite of {', '.join(old)} whose rows cannot be compared ({type(error).__name__})"
            continue
        if not same:
            yield f"a rewrite of {', '.join(old)} with other rows in {', '.join(new)}"


def _digest(log: Unsealed, paths: list[str]) -> str:
    return rows_sha256(log.folder / path for path in paths)
