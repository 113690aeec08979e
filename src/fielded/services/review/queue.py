"""Look at the queue: which cases wait for a person now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from fielded.decisions.review.acts import CaseEvent
from fielded.decisions.review.case import Case, first_open_day
from fielded.decisions.review.queue import Settled, Waiting, by_subject, queue
from fielded.decisions.review.state import CaseState
from fielded.services.review.finals import case_events, settled
from fielded.services.review.record import SKEW, folded
from fielded.world.review_rows import newest_routed, rows_of
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Known:
    """What people did about cases, as far as it may matter now.

    Attributes:
        states: request id -> state.
        settled: decisions that stand, by subject.
        days: request id -> day of the case.
    """

    states: Mapping[str, CaseState]
    settled: Mapping[str, list[Settled]]
    days: Mapping[str, date]


def look(workplace: Workplace, subject: str | None = None, *, probes: bool = False) -> list[Waiting]:
    """The cases that wait, what is due first before the rest: `decisions.review.queue`.

    Reads the days on which a case may still be open and no others, whatever the size of the ledger.

    Args:
        workplace: the deployment at its site.
        subject: only cases about it; None looks at all.
        probes: with what was scored to probe, which is nobody's work.

    Raises:
        Refused: the events of a case break a rule; names it.
        Unreachable: the ledger cannot be read.
    """
    table = workplace.tables.find(workplace.ledger.predictions)
    if table is None:
        return []
    review, now = workplace.deployment.review, workplace.clock()
    first = first_open_day(now, review)
    rows = newest_routed(table, first, subject, probes=probes)
    known = what_is_known(workplace, min(first, (now - timedelta(days=review.carry.days)).date()))
    newest = cases_of(rows, probes=probes)
    begun = _begun(table, newest, known, now, subject)
    return queue(newest, begun, known.states, known.settled, review, now)


def what_is_known(workplace: Workplace, since: date) -> Known:
    """Read the acts since a day; of cases that were begun before it, all of them.

    Raises:
        Refused: the events of a case break a rule.
        Unreachable: the ledger cannot be read.
    """
    source = case_events(workplace)
    events = dict(source.since(since - SKEW, copies=True).events)
    earlier = {request_id: own[0] for request_id, own in events.items() if own[0].turn != 1}
    if earlier:
        oldest = min(_day(event) for event in earlier.values())
        events.update(source.of_these(frozenset(earlier), oldest - SKEW))
    return Known(
        states={request_id: folded(request_id, own) for request_id, own in events.items()},
        settled=by_subject(settled(events)),
        days={request_id: _day(own[0]) for request_id, own in events.items()},
    )


def _day(event: CaseEvent) -> date:
    return date.fromisoformat(event.details["scored_date"])


def cases_of(rows: pa.Table, *, probes: bool = False) -> list[Case]:
    """Cases of rows of schema `world.review_rows.ROUTED`."""
    found = (case for few in rows.to_batches(_AT_ONCE) for case in _cases_of(few, probes=probes))
    return [case for case in found if case is not None]


def _cases_of(rows: pa.RecordBatch, *, probes: bool) -> Iterable[Case | None]:
    moments = pc.cast(rows.column("scored_at"), pa.int64()).to_pylist()
    plain = rows.drop_columns(["scored_at"]).to_pylist()
    return (
        Case.read({**row, "scored_at": _moment(at)}, probes=probes) for row, at in zip(plain, moments, strict=True)
    )


_AT_ONCE = 256  # rows: nothing else of the process runs while Arrow makes Python's values of them
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _begun(
    table: DeltaTable, newest: Iterable[Case], known: Known, now: datetime, subject: str | None
) -> list[Case]:
    """Cases that somebody holds or that wait for a further person, from wherever their rows are."""
    wanted = {
        request_id
        for request_id, state in known.states.items()
        if (state.stage not in ("open", "settled") or state.holder(now) is not None)
        and subject in (None, state.history[0].details["subject"])
    }
    here = [case for case in newest if case.request_id in wanted]
    missing: dict[date, list[str]] = {}
    for request_id in sorted(wanted - {case.request_id for case in here}):
        missing.setdefault(known.days[request_id], []).append(request_id)
    there = [Case.read(row) for row in rows_of(table, missing)] if missing else []
    return [*here, *(case for case in there if case is not None)]
