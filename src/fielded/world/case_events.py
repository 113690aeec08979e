"""Events about cases, read from the files that have them and from no others.

Each event is a file of its own until its day is over and compacted (`services.compact`), and a day of a busy
office has thousands. The Delta log knows what each of them is about, so the rest are not opened. For lists, which
would open all of a day's each time, what was read stays beside the site's other copies (`site.cache`), file by
file: a data file never changes. What is done about a case, and what the gold table says, rests on the ledger's own
files alone.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fielded.decisions.review.acts import ABOUT, KINDS, CaseEvent
from fielded.words.errors import Refused, Unreachable
from fielded.world.tables import DeltaTables

_COLUMNS = ("sequence", "event_id", "kind", "about", "actor", "occurred_at", "details")
_CHECKED = ("sequence", "event_id", "kind", "about", "actor")  # of a copy, against the log
_DAY = "occurred_date"
_SEQUENCE = "events"  # application transaction that numbers all events
_THREADS = 4

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReadEvents:
    """Events of cases, all from one version of the events table.

    Attributes:
        sequence: number of the table's last event, of whatever kind.
        events: request id -> events, in the order of their turns.
    """

    sequence: int
    events: Mapping[str, list[CaseEvent]]


def case_application(request_id: str) -> str:
    """The application transaction that counts a case's events."""
    return f"case/{request_id}"


class CaseEvents:
    """The events about cases of one ledger.

    Args:
        tables: the site's tables.
        name: of the events table.
        cache: folder for copies.
    """

    def __init__(self, tables: DeltaTables, name: str, cache: Path) -> None:
        self._tables = tables
        self._name = name
        self._cache = cache / "review"

    def of(self, request_id: str, since: date) -> list[CaseEvent]:
        """All events of one case, in the order of their turns.

        Args:
            request_id: of the case.
            since: no event of it is of an earlier day.

        Raises:
            Refused: there are not as many as were appended, or one cannot be read.
            Unreachable: the table cannot be read.
        """
        table = self._tables.find(self._name)
        if table is None:
            return []
        count = table.transaction_version(case_application(request_id)) or 0
        files = _Files(table).having(KINDS, since, {f"{ABOUT}{request_id}"}) if count else []
        events = _sorted(self._rows(table, files), f"{ABOUT}{request_id}").get(request_id, [])
        if len(events) != count:
            raise Refused(
                f"case {request_id}: got {len(events)} events, expected {count}, as many as were appended. "
                "Run `fielded audit verify`"
            )
        return events

    def since(
        self, day: date, kinds: AbstractSet[str] = KINDS, *, after: int = 0, copies: bool = False
    ) -> ReadEvents:
        """Events of all cases.

        Args:
            day: the earliest whose events are read.
            kinds: of event.
            after: only events with a larger number than this.
            copies: whether copies of files that were read before may stand in for them.

        Raises:
            Refused: an event cannot be read.
            Unreachable: the table cannot be read.
        """
        table = self._tables.find(self._name)
        if table is None:
            return ReadEvents(0, {})
        files = _Files(table).having(kinds, day, after=after)
        rows = self._with_copies(table, files) if copies else self._rows(table, files)
        wanted = (row for row in rows if row["kind"] in kinds and row["sequence"] > after)
        return ReadEvents(table.transaction_version(_SEQUENCE) or 0, _sorted(wanted))

    def of_these(self, request_ids: AbstractSet[str], since: date) -> Mapping[str, list[CaseEvent]]:
        """All events of some cases; as `of`, but for their count."""
        table = self._tables.find(self._name)
        if table is None or not request_ids:
            return {}
        about = {f"{ABOUT}{request_id}" for request_id in request_ids}
        rows = self._rows(table, _Files(table).having(KINDS, since, about))
        return _sorted(row for row in rows if row["about"] in about)

    def _rows(self, table: DeltaTable, files: Sequence[Row]) -> list[Row]:
        root = Path(unquote(table.table_uri.removeprefix("file://")))
        try:
            with ThreadPoolExecutor(_THREADS) as pool:
                found = list(pool.map(lambda file: _read(root / unquote(file["path"])), files))
        except (OSError, pa.ArrowException, DeltaError) as error:
            raise Unreachable(
                f"table {self._name}: cannot be read ({type(error).__name__}). Run `fielded audit verify`"
            ) from error
        return [row for rows in found for row in rows if str(row["about"]).startswith(ABOUT)]

    def _with_copies(self, table: DeltaTable, files: Sequence[Row]) -> list[Row]:
        place = self._cache / f"{table.metadata().id}.jsonl"
        kept = _kept(place)
        held = {file["path"]: kept[file["path"]] for file in files if _same(kept.get(file["path"]), file)}
        single = [file for file in files if file["path"] not in held and file["num_records"] == 1]
        many = [file for file in files if file["num_records"] != 1]
        read = self._rows(table, single)
        by_number = {row["sequence"]: row for row in read}
        fresh = {
            file["path"]: by_number[file["min.sequence"]] for file in single if file["min.sequence"] in by_number
        }
        if fresh:
            _keep(place, {**held, **fresh})
        return [*held.values(), *read, *self._rows(table, many)]


class _Files:
    """The data files of the events table, by what the Delta log says of them."""

    def __init__(self, table: DeltaTable) -> None:
        self._actions = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()

    def having(
        self,
        kinds: AbstractSet[str],
        since: date,
        about: AbstractSet[str] = frozenset(),
        after: int = 0,
    ) -> list[Row]:
        """Files that may have such events; one without ranges may have any."""
        rows = self._actions
        day = rows.column(f"partition.{_DAY}")
        mask = _true(pc.greater_equal(day, pa.scalar(since, day.type)))
        mask &= self._overlaps("kind", min(kinds), max(kinds))
        if about:
            mask &= self._overlaps("about", min(about), max(about))
        else:
            mask &= self._overlaps("about", ABOUT, f"{ABOUT}~")
        if after and "max.sequence" in rows.column_names:
            mask &= _true(pc.greater(rows.column("max.sequence"), after))
        wanted = [name for name in _TOLD if name in rows.column_names]
        files = rows.select(wanted).filter(pa.array(mask)).to_pylist()
        return [
            file
            for file in files
            if _may_have(file, "kind", kinds) and (not about or _may_have(file, "about", about))
        ]

    def _overlaps(self, column: str, low: str, high: str) -> np.ndarray:
        names = self._actions.column_names
        if f"min.{column}" not in names or f"max.{column}" not in names:
            return np.ones(self._actions.num_rows, dtype=bool)
        mask = _true(pc.less_equal(self._actions.column(f"min.{column}"), high))
        mask &= _true(pc.greater_equal(self._actions.column(f"max.{column}"), low))
        return mask


_TOLD = ("path", "num_records", *(f"{end}.{name}" for name in _CHECKED for end in ("min", "max")))
_LONGEST = 64  # characters of a text's range that the log keeps


def _may_have(file: Row, column: str, values: AbstractSet[str]) -> bool:
    """Whether a file's range is no single value, or is one of `values`."""
    low, high = file.get(f"min.{column}"), file.get(f"max.{column}")
    return low is None or low != high or len(low) >= _LONGEST or low in values


def _true(mask: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(mask, True).to_numpy(), dtype=bool)


def _read(path: Path) -> list[Row]:
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
        return list(file.read(columns=list(_COLUMNS), use_threads=False).to_pylist())


def _sorted(rows: Iterable[Row], about: str = "") -> dict[str, list[CaseEvent]]:
    """Events by case, each case's in the order of their turns."""
    found: dict[str, list[CaseEvent]] = {}
    for row in rows:
        if about and row["about"] != about:
            continue
        try:
            event = CaseEvent.read({**row, "details": json.loads(row["details"])})
        except (KeyError, TypeError, ValueError):
            raise Refused(
                f"event {row['sequence']}: got an act about a case without readable details, expected what "
                "fielded writes. Run `fielded audit verify`"
            ) from None
        found.setdefault(row["about"].removeprefix(ABOUT), []).append(event)
    for events in found.values():
        events.sort(key=lambda event: event.turn)
    return found


def _same(copy: Row | None, file: Row) -> bool:
    """Whether a copy is of the event that the log says the file has."""
    return copy is not None and all(copy.get(name) == file.get(f"min.{name}") for name in _CHECKED)


def _kept(place: Path) -> dict[str, Row]:
    """What was kept; nothing where it cannot be read: it is read from the ledger again."""
    kept: dict[str, Row] = {}
    try:
        for line in place.read_text(encoding="utf-8").splitlines():
            path, row = json.loads(line)
            kept[path] = {**row, "occurred_at": datetime.fromisoformat(row["occurred_at"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return kept


def _keep(place: Path, rows: Mapping[str, Row]) -> None:
    """Put copies in the place of those that were there. They save time only: no room for them is no error."""
    lines = (
        json.dumps([path, {**row, "occurred_at": row["occurred_at"].isoformat()}]) for path, row in rows.items()
    )
    fresh = place.with_suffix(f".{os.getpid()}.new")
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.write_text("\n".join(lines), encoding="utf-8")
        fresh.replace(place)
    except OSError:
        fresh.unlink(missing_ok=True)
