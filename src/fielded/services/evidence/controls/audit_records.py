"""Evidence of what the ledger records, of what each record holds (AU-2, AU-3, AU-12), and of its clock (AU-8).

1. The kinds of events that fielded writes are counted, and those that are on record here.
2. The newest rows of predictions, and every event, say what, when, where, by whom, from which inputs and with
   what outcome; none lacks a part that it must have. Rows from before a column came are not asked for it.
3. Events are numbered without a gap. Times are UTC, to the microsecond, and none is in the future.
4. The kernel says that its clock is kept to a reference. Where it does not say so, that is up to the platform.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.rows import PARTITION
from fielded.services.evidence.collect import Bench
from fielded.world.host_state import clock_state
from fielded.world.ledger import EVENTS
from fielded.world.recent_rows import days_of
from fielded.world.workplace import Workplace

NEWEST = 10_000  # rows of predictions that are looked at
_STEP = "Run `fielded audit verify`, and find out what wrote these records"

# What a row must say (AU-3 a to f) -> the columns that say it.
ROW_PARTS: Mapping[str, tuple[str, ...]] = {
    "what was scored": ("request_id", "subject", "features"),
    "when": ("scored_at",),
    "where": ("channel",),
    "by whom": ("requested_by",),
    "by what": ("model_name", "model_version", "artifact_sha256", "definition_sha256"),
    "with what outcome": ("score", "decision", "threshold"),
}
EVENT_PARTS: Mapping[str, tuple[str, ...]] = {
    "what was done": ("event_id", "kind", "about", "details"),
    "when": ("occurred_at",),
    "by whom": ("actor",),
    "in which order": ("sequence",),
}


def look(bench: Bench) -> Found:
    """Rules 1 to 4.

    Raises:
        FieldedError: the ledger cannot be read.
    """
    workplace = bench.workplace
    rows, events = _newest(workplace), _events(workplace)
    kinds = Counter(events.column("kind").to_pylist())
    checks = (
        *_whole("row", rows, ROW_PARTS),
        *_whole("event", events, EVENT_PARTS),
        _numbered(events),
        *_times(rows, events, workplace.clock()),
    )
    facts = {
        "rows": rows.num_rows,
        "events": events.num_rows,
        "kinds": dict(sorted(kinds.items())),
        "kinds_seen": len(kinds),
        "row_parts": {what: list(columns) for what, columns in ROW_PARTS.items()},
        "event_parts": {what: list(columns) for what, columns in EVENT_PARTS.items()},
        "oldest_event": _text(pc.min(events.column("occurred_at")).as_py()),
        "newest_row": _text(pc.max(rows.column("scored_at")).as_py()),
        "actors": len(set(events.column("actor").to_pylist())),
    }
    return Found(checks, facts)


def look_at_clock(_bench: Bench) -> Found:
    """Rule 4."""
    return Found((_kept_to_a_reference(),), _clock())


def _newest(workplace: Workplace) -> pa.Table:
    """Rows of the newest days, as many as are looked at."""
    columns = sorted({column for part in ROW_PARTS.values() for column in part})
    table = workplace.tables.open(workplace.ledger.predictions)
    dataset = table.to_pyarrow_dataset()
    found: list[pa.Table] = []
    for day in sorted(days_of(table), reverse=True):
        found.append(dataset.filter(ds.field(PARTITION) == day).head(NEWEST, columns=columns))
        if sum(rows.num_rows for rows in found) >= NEWEST:
            break
    return pa.concat_tables(found) if found else dataset.head(0, columns=columns)


def _events(workplace: Workplace) -> pa.Table:
    table = workplace.tables.open(workplace.ledger.events)
    return table.to_pyarrow_dataset().to_table(columns=EVENTS.names).sort_by("sequence")


def _whole(what: str, rows: pa.Table, parts: Mapping[str, Sequence[str]]) -> Iterator[Check]:
    """Rule 2."""
    if not rows.num_rows:
        yield Check.missing(
            f"every {what} is whole",
            why=f"there is no {what} yet",
            expected="some, and each whole",
            step="Score a day: `fielded score`",
        )
        return
    for part, columns in parts.items():
        lacking = {column: _lacking(rows.column(column)) for column in columns}
        short = [f"{count} lack {column}" for column, count in lacking.items() if count]
        yield Check.of(
            f"every {what} says {part}",
            not short,
            got="; ".join(short) or "all do",
            expected=f"{', '.join(columns)} in each",
            step=_STEP,
        )


def _lacking(column: pa.ChunkedArray) -> int:
    """How many are null, or an empty text."""
    nulls = int(column.null_count)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return nulls + int(pc.sum(pc.equal(column, "")).as_py() or 0)
    return nulls


def _numbered(events: pa.Table) -> Check:
    """In the order of the commits, without a gap."""
    numbers = events.column("sequence").to_pylist()
    return Check.of(
        "events are numbered without a gap",
        numbers == list(range(1, len(numbers) + 1)),
        got=f"{len(numbers)} events",
        expected="each number once, from the first",
        step=_STEP,
    )


def _times(rows: pa.Table, events: pa.Table, now: datetime) -> Iterator[Check]:
    """Rule 3."""
    columns = {"rows": rows.column("scored_at"), "events": events.column("occurred_at")}
    zones = {str(column.type.tz) for column in columns.values()}
    units = {column.type.unit for column in columns.values()}
    yield Check.of(
        "times are UTC, to the microsecond",
        zones <= {"UTC", "+00:00"} and units <= {"us", "ns"},
        got=f"zone {', '.join(sorted(zones))}, unit {', '.join(sorted(units))}",
        expected="UTC, microseconds",
        step=_STEP,
    )
    late = [name for name, column in columns.items() if len(column) and pc.max(column).as_py() > now + _AHEAD]
    yield Check.of(
        "no time lies in the future",
        not late,
        got=", ".join(late) or "none does",
        expected="none",
        step="Compare the clocks of the hosts that write with a reference",
    )


_AHEAD = timedelta(minutes=1)  # that clocks of two hosts may differ


def _clock() -> dict[str, Any]:
    state = clock_state()
    if state is None:
        return {"synchronized": None, "most_wrong_seconds": None}
    return {"synchronized": state.synchronized, "most_wrong_seconds": round(state.most_wrong, 6)}


def _kept_to_a_reference() -> Check:
    """Rule 4."""
    name, expected = "the clock is kept to a reference", "synchronized, by the kernel (adjtimex)"
    step = "Run a time service here (chrony, or the platform's), or name the platform that does under `shared`"
    state = clock_state()
    if state is None:
        return Check.missing(name, why="the kernel does not say", expected=expected, step=step)
    if not state.synchronized:
        return Check.missing(
            name, why="nothing here tells the kernel that it keeps it", expected=expected, step=step
        )
    return Check.of(name, True, got=f"synchronized, off by at most {state.most_wrong:.3f} s", expected=expected)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


COLLECTOR: Collector[Bench] = Collector(
    id="audit-records",
    title="What the ledger records, and whether each record is whole",
    look=look,
    holds_for=timedelta(days=30),
    expected="a ledger with rows and events",
)
CLOCK: Collector[Bench] = Collector(
    id="clock",
    title="What keeps this host's clock",
    look=look_at_clock,
    holds_for=timedelta(days=7),
    expected="a kernel that says how its clock is kept",
)
