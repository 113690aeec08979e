"""How the review goes: `decisions.review.statistics`, over the days up to now."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.measuring.intervals import Estimate
from fielded.decisions.review.finals import Finals
from fielded.decisions.review.queue import Waiting
from fielded.decisions.review.state import Stage
from fielded.decisions.review.statistics import (
    Agreement,
    AutomationBias,
    Drawn,
    ErrorRates,
    Reviewed,
    agreement,
    automation_bias,
    error_rates,
    override_rates,
)
from fielded.decisions.rows import PARTITION
from fielded.services.authority import require_role
from fielded.services.review.finals import unreadable
from fielded.services.review.queue import Known, look, what_is_known
from fielded.words.errors import WrongUse
from fielded.world.ledger_tables import ledger_tables
from fielded.world.review_rows import ROUTED, routed_rows
from fielded.world.reviewed_outcomes import outcomes_of
from fielded.world.workplace import Workplace

DAYS = 90  # that statistics are made over, unless others are asked for
CONFIDENCE = 0.95

_KEPT = ["request_id", "subject", "score", "flag", "decision", "review_propensity", "scored_at", PARTITION]


_COUNTS = ("routed", "cases", "decided", "late", "expired", "contested_expired", "seconds_missed")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """The queue as it is now.

    Attributes:
        waiting: cases.
        by_stage: of those, by what they wait for.
        claimed: of those, how many somebody holds.
        overdue: of those, how many should have been decided.
        oldest_seconds: how long the oldest has waited; None where none does.
    """

    waiting: int
    by_stage: Mapping[Stage, int]
    claimed: int
    overdue: int
    oldest_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewStats:
    """How the review goes.

    Attributes:
        at: UTC.
        first_day: of the scores that are counted.
        queue: as it is now.
        routed: scores that a person was to look at.
        cases: of those, the ones in whose place no newer one of their subject came in time.
        decided: cases whose decision was made in these days.
        late: of those, how many after they were due.
        expired: cases that nobody decided in time.
        contested_expired: cases whose decision was contested and not made anew in time.
        seconds_missed: second judgements that were due and not given in time.
        overrides: share of decisions that override the model, `overall` and by slice.
        agreement: of first and second persons.
        bias: what the model does to first judgements.
        errors: rates for all scores.
    """

    at: datetime
    first_day: date
    queue: QueueStats
    routed: int
    cases: int
    decided: int
    late: int
    expired: int
    contested_expired: int
    seconds_missed: int
    overrides: Mapping[str, Estimate]
    agreement: Agreement
    bias: AutomationBias
    errors: ErrorRates

    def as_dict(self) -> dict[str, Any]:
        """For a machine: plain values, days and times."""
        return {
            "at": self.at,
            "first_day": self.first_day,
            "queue": {
                "waiting": self.queue.waiting,
                "by_stage": dict(self.queue.by_stage),
                "claimed": self.queue.claimed,
                "overdue": self.queue.overdue,
                "oldest_seconds": self.queue.oldest_seconds,
            },
            **{name: getattr(self, name) for name in _COUNTS},
            "overrides": {name: asdict(one) for name, one in self.overrides.items()},
            "agreement": {"kappa": asdict(self.agreement.kappa), "observed": asdict(self.agreement.observed)},
            "automation_bias": {
                "given_up": asdict(self.bias.given_up),
                "put_right": asdict(self.bias.put_right),
                "known": self.bias.known,
            },
            "errors": {
                "wrong": asdict(self.errors.wrong),
                "wrong_flags": asdict(self.errors.wrong_flags),
                "missed": asdict(self.errors.missed),
                "decided": self.errors.decided,
                "drawn": self.errors.drawn,
                "stand_for": self.errors.stand_for,
            },
        }


def stats(workplace: Workplace, days: int = DAYS) -> ReviewStats:
    """`review_stats`, for a reviewer.

    Raises:
        Refused: the asking person may not review; otherwise as `review_stats`.
    """
    require_role(workplace, "review")
    return review_stats(workplace, days)


def review_stats(workplace: Workplace, days: int = DAYS) -> ReviewStats:
    """How the review goes.

    Args:
        workplace: the deployment at its site.
        days: up to now, whose scores and decisions are counted. Memory holds their routed rows.

    Raises:
        WrongUse: `days` is not positive.
        Refused: the events of a case break a rule.
        Unreachable: the ledger cannot be read.
    """
    if days < 1:
        raise WrongUse(f"days: got {days}, expected 1 or more")
    now, review = workplace.clock(), workplace.deployment.review
    first = (now - timedelta(days=days)).date()
    found = look(workplace)
    known = what_is_known(workplace, first - timedelta(days=review.carry.days))
    reviewed = _reviewed(known, first)
    rows = _routed(workplace, known, first)
    newest_wins = _newest_wins(rows, review.expire_hours)
    lapsed = _expires(rows, review.expire_hours) <= np.datetime64(now.replace(tzinfo=None))
    last = timedelta(hours=review.expire_hours)
    over = {key for key, state in known.states.items() if state.since is not None and now >= state.since + last}
    begun = {key for key, state in known.states.items() if state.decisions or (state.since and key not in over)}
    theirs = pc.is_in(rows.column("request_id"), value_set=pa.array(sorted(begun), pa.string()))
    untouched = ~_mask(rows.column("decided")) & ~_mask(theirs)
    overtime = [known.states[key] for key in over if known.states[key].decisions]
    return ReviewStats(
        at=now,
        first_day=first,
        queue=_queue_stats(found, now),
        routed=rows.num_rows,
        cases=int(newest_wins.sum()),
        decided=len(reviewed),
        late=sum(one.at > one.due_at for one in reviewed),
        expired=int((newest_wins & untouched & lapsed).sum()),
        contested_expired=sum(state.stage in ("escalated", "appealed") for state in overtime),
        seconds_missed=sum(state.stage == "second" for state in overtime),
        overrides=override_rates(reviewed, workplace.deployment.slices, CONFIDENCE),
        agreement=agreement(reviewed, CONFIDENCE),
        bias=automation_bias(reviewed, _outcomes(workplace, reviewed), CONFIDENCE),
        errors=error_rates(_strata(rows), CONFIDENCE),
    )


def _queue_stats(found: Sequence[Waiting], now: datetime) -> QueueStats:
    began = [item.state.since or item.case.scored_at for item in found]
    return QueueStats(
        waiting=len(found),
        by_stage=dict(Counter(item.state.stage for item in found)),
        claimed=sum(item.state.holder(now) is not None for item in found),
        overdue=sum(item.is_overdue(now) for item in found),
        oldest_seconds=(now - min(began)).total_seconds() if began else None,
    )


def _reviewed(known: Known, first: date) -> list[Reviewed]:
    """Cases that were decided since a day."""
    found: list[Reviewed] = []
    for request_id, state in known.states.items():
        if not state.decisions or state.decisions[0].at.date() < first:
            continue
        try:
            found.append(Reviewed.read(state))
        except (KeyError, TypeError, ValueError) as error:
            raise unreadable(request_id, error) from None
    return found


def _routed(workplace: Workplace, known: Known, first: date) -> pa.Table:
    """Routed rows since a day, with what people decided of them: `decided` and `final`."""
    table = workplace.tables.find(workplace.ledger.predictions)
    settled = tuple(one for group in known.settled.values() for one in group)
    standing = {one.request_id for one in settled}
    contested = frozenset(key for key, state in known.states.items() if state.decisions) - standing
    finals = Finals(settled, contested, 0)
    carry = workplace.deployment.review.carry
    parts: list[pa.Table] = []
    for batch in routed_rows(table, first) if table is not None else ():
        for day in pc.unique(batch.column(PARTITION)).to_pylist():
            rows = batch.filter(pc.equal(batch.column(PARTITION), pa.scalar(day, pa.date32())))
            made = finals.rows(rows, day, carry)
            kept = pa.Table.from_batches([rows.select(_KEPT)])
            kept = kept.append_column("decided", made.column("decided_by").is_valid())
            parts.append(kept.append_column("final", pc.equal(made.column("final_decision"), "flagged")))
    return pa.concat_tables(parts).combine_chunks() if parts else _nothing()


def _nothing() -> pa.Table:
    fields = [ROUTED.field(name) for name in _KEPT]
    return pa.schema([*fields, ("decided", pa.bool_()), ("final", pa.bool_())]).empty_table()


def _mask(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(column, False).to_numpy(), dtype=bool)


def _moments(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.cast(column, pa.int64()).to_numpy()).astype("datetime64[us]")


def _expires(rows: pa.Table, expire_hours: float) -> np.ndarray:
    """When each row's case expires: `decisions.review.case`, rule 2."""
    days = np.asarray(pc.cast(rows.column(PARTITION), pa.int32()).to_numpy()).astype("datetime64[D]")
    over = (days + np.timedelta64(1, "D")).astype("datetime64[us]")
    lasts = np.timedelta64(round(expire_hours * 3_600_000_000), "us")
    return np.asarray(np.minimum(_moments(rows.column("scored_at")), over) + lasts)


def _newest_wins(rows: pa.Table, expire_hours: float) -> np.ndarray:
    """Rows in whose place no newer one of their subject came before they expired, bool."""
    if not rows.num_rows:
        return np.zeros(0, dtype=bool)
    subjects = _codes(rows)
    scored = _moments(rows.column("scored_at"))
    days = np.asarray(pc.cast(rows.column(PARTITION), pa.int32()).to_numpy())
    order = np.lexsort((scored, days, subjects))
    same = subjects[order][1:] == subjects[order][:-1]
    in_time = scored[order][1:] < _expires(rows, expire_hours)[order][:-1]
    stands = np.ones(rows.num_rows, dtype=bool)
    stands[order[:-1]] = ~(same & in_time)
    return stands


def _codes(rows: pa.Table) -> np.ndarray:
    column = rows.column("subject").combine_chunks().dictionary_encode()
    return np.asarray(column.indices.to_numpy(zero_copy_only=False))


def _strata(rows: pa.Table) -> list[Drawn]:
    """Rows by how probable it was that a person was asked about them."""
    if not rows.num_rows:
        return []
    propensity = np.asarray(pc.fill_null(rows.column("review_propensity"), 1.0).to_numpy())
    columns = {name: _mask(rows.column(name)) for name in ("flag", "decided", "final")}
    subjects = _codes(rows)
    found: list[Drawn] = []
    for value in np.unique(propensity[propensity > 0]):
        own = propensity == value
        found.append(
            Drawn(
                propensity=float(value),
                flags=columns["flag"][own],
                decided=columns["decided"][own],
                finals=columns["final"][own],
                subjects=subjects[own],
            )
        )
    return found


def _outcomes(workplace: Workplace, reviewed: Sequence[Reviewed]) -> dict[str, bool]:
    """What came true, where it became known after the decision."""
    name = ledger_tables(workplace.site, workplace.deployment.name).outcomes
    first_decided: dict[str, datetime] = {}
    for one in reviewed:
        first_decided[one.subject] = max(one.at, first_decided.get(one.subject, one.at))
    found = outcomes_of(workplace.tables.find(name), first_decided)
    return {subject: label for subject, (label, known_at) in found.items() if known_at > first_decided[subject]}
