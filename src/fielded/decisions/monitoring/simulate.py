"""What a trigger would do: false alarms in years without drift, and weeks until it sees a shift.

1. A simulated year is a world of its own. Its reference is drawn anew, as many rows as there were, from what the
   reference shows; then a year of days is drawn from the same, and looked at every few days by the very rules of
   `decisions.monitoring.triggers`.
2. A year begins once windows are full: what a trigger does before is `insufficient_data`.
3. A shift begins on one day and stays. It is seen at the first look at which the trigger fires.
4. Instances of one trigger are drawn without regard to each other. Real columns hang together, and give no more
   false alarms than that.
5. Rows come evenly, day by day.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from fielded.decisions.measuring.intervals import Estimate, proportion
from fielded.decisions.monitoring.at_once import Statistic, crossed
from fielded.decisions.monitoring.triggers import new_enough
from fielded.definition.monitoring import Breaches, Metric, Trigger, When
from fielded.words.errors import WrongUse

YEAR = 364  # days: 52 weeks
WEEK = 7
SEEN_WITHIN = 26  # weeks after a shift that are looked at
SOON = 4  # weeks
_CONFIDENCE = 0.95
_AT_ONCE = 4_000_000  # numbers in memory
_DAY = timedelta(days=1)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Instance:
    """One instance of a trigger, as cells that rows fall into.

    Attributes:
        metric: without `*`.
        quiet: share of the rows in each cell without drift.
        shifted: the same after the shift; None where none is asked about.
        reference: rows of the reference in each cell.
        share: of all rows, those that this instance looks at.
        statistic: what counts of the cells come to.
    """

    metric: Metric
    quiet: np.ndarray
    shifted: np.ndarray | None
    reference: np.ndarray
    share: float
    statistic: Statistic


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What came out.

    Attributes:
        trigger: its id.
        instances: how many were looked at.
        rows_per_week: that come.
        every: days between two looks.
        years: simulated.
        alarms: false ones, of all years.
        noisy_years: share of years with at least one, with its interval.
        shift: in words; empty where none was asked about.
        soon: share of shifts seen within `SOON` weeks, with its interval.
        seen: share seen within `SEEN_WITHIN` weeks.
        median_weeks: until the shift is seen; None where most are not.
        notes: what to know of it.
    """

    trigger: str
    instances: int
    rows_per_week: float
    every: int
    years: int
    alarms: int
    noisy_years: Estimate
    shift: str = ""
    soon: Estimate | None = None
    seen: Estimate | None = None
    median_weeks: float | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("noisy_years", "soon", "seen"):
            one = told[name]
            told[name] = None if one is None else {"value": one.value, "low": one.low, "high": one.high}
        return {**told, "alarms_a_year": self.alarms / self.years, "notes": list(self.notes)}

    def lines(self) -> Iterator[str]:
        """For a reader."""
        instances = f"{self.instances} instance{'s' * (self.instances > 1)}"
        looks = f"a look every {self.every} day{'s' * (self.every > 1)}"
        rows = f"{self.rows_per_week:,g} rows a week"
        yield f"{self.trigger}: {instances}, {rows}, {looks}, {self.years:,} simulated years"
        noisy = self.noisy_years
        quiet = f"{1 - (noisy.value or 0.0):.1%} of years have none [{1 - noisy.high:.1%}, {1 - noisy.low:.1%}]"
        yield f"  without drift: {self.alarms / self.years:.2g} false alarms a year; {quiet}"
        if self.soon is not None and self.seen is not None:
            median = (
                "more than half are never seen" if self.median_weeks is None else f"median {self.median_weeks:g}"
            )
            yield (
                f"  {self.shift}: {self.soon.value or 0.0:.1%} seen within {SOON} weeks "
                f"[{self.soon.low:.1%}, {self.soon.high:.1%}], {self.seen.value or 0.0:.1%} within {SEEN_WITHIN}; "
                f"weeks until seen: {median}"
            )
        yield from (f"  {note}" for note in self.notes)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated.

    Attributes:
        trigger: whose rules.
        instances: of it.
        rows_per_week: of all places together.
        every: days between two looks.
    """

    trigger: Trigger
    instances: Sequence[Instance]
    rows_per_week: float
    every: int = WEEK


def simulate(plan: Plan, years: int, random: np.random.Generator, shift: str = "") -> Simulated:
    """Simulate.

    Args:
        plan: what.
        years: how many of them, and as many shifts.
        random: chance.
        shift: in words; instances have shifted shares where one is asked about.

    Raises:
        WrongUse: no instance ever has enough rows.
    """
    watched = [one for one in plan.instances if _Calendar.of(plan, one).looks]
    if not watched:
        days = plan.trigger.window.max_age / _DAY
        raise WrongUse(
            f"simulate {plan.trigger.id}: got {plan.rows_per_week:g} rows a week, expected enough for "
            f"{plan.trigger.min_sample:,} within {days:g} days. The trigger would never leave insufficient_data"
        )
    alarms = np.zeros(years, dtype=np.int64)
    for one in watched:
        alarms += _fired(plan, one, None, years, random).sum(axis=1)
    noisy = proportion(int((alarms > 0).sum()), years, _CONFIDENCE)
    left_out = len(plan.instances) - len(watched)
    notes = (f"{left_out} instances never have {plan.trigger.min_sample:,} rows",) if left_out else ()
    quiet = Simulated(
        trigger=plan.trigger.id,
        instances=len(watched),
        rows_per_week=plan.rows_per_week,
        every=plan.every,
        years=years,
        alarms=int(alarms.sum()),
        noisy_years=noisy,
        notes=notes,
    )
    moved = [one for one in watched if one.shifted is not None]
    if not moved:
        return quiet
    weeks = np.full(years, np.inf)
    for one in moved:
        weeks = np.minimum(weeks, _weeks_until(plan, one, years, random))
    median = float(np.median(weeks))
    return replace(
        quiet,
        shift=shift,
        soon=proportion(int((weeks <= SOON).sum()), years, _CONFIDENCE),
        seen=proportion(int((weeks <= SEEN_WITHIN).sum()), years, _CONFIDENCE),
        median_weeks=median if math.isfinite(median) else None,
    )


@dataclass(frozen=True, slots=True)
class _Calendar:
    """When rows come and when they are looked at; the same in every year.

    Attributes:
        rows: of each day.
        start: first day after which windows are full.
        looks: (days so far, first day of the window) of each look that counts.
    """

    rows: np.ndarray
    start: int
    looks: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, plan: Plan, one: Instance, days: int = YEAR) -> "_Calendar":
        """The calendar of so many days after windows are full."""
        window, a_day = plan.trigger.window, plan.rows_per_week / WEEK * one.share
        oldest = max(window.max_age // _DAY, 1)
        warm = min(oldest, math.ceil(window.last / a_day) + 1 if a_day else oldest)
        warm = math.ceil(warm / plan.every) * plan.every
        rows = np.diff(np.floor(np.arange(warm + days + 1) * a_day)).astype(np.int64)
        held = np.concatenate([[0], np.cumsum(rows)])
        looks: list[tuple[int, int]] = []
        for end in range(warm, warm + days + 1, plan.every):
            first = int(np.searchsorted(held, held[end] - window.last, side="right")) - 1
            first = max(first, end - oldest - 1, 0)
            enough = held[end] - held[first] >= plan.trigger.min_sample
            if enough and (not looks or new_enough(end - looks[-1][0], end - first)):
                looks.append((end, first))
        return cls(rows, warm, tuple(looks))


def _fired(
    plan: Plan, one: Instance, shift_after: int | None, years: int, random: np.random.Generator
) -> np.ndarray:
    """Whether each year's instance fires at each look: bool, years by looks.

    Args:
        plan: whose rules.
        one: the instance.
        shift_after: days after windows are full from which the shift is there; None for none.
        years: how many.
        random: chance.
    """
    days = YEAR if shift_after is None else shift_after + SEEN_WITHIN * WEEK
    calendar = _Calendar.of(plan, one, days)
    of_each = max(1, _AT_ONCE // ((len(calendar.rows) + 1) * len(one.quiet)))
    parts = [
        _policy(
            plan.trigger, *_looked(plan.trigger, one, calendar, shift_after, min(of_each, years - done), random)
        )
        for done in range(0, years, of_each)
    ]
    return np.concatenate(parts)


def _looked(
    trigger: Trigger,
    one: Instance,
    calendar: _Calendar,
    shift_after: int | None,
    years: int,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each look is a breach, and whether it would clear: bool, years by looks."""
    reference_rows = int(one.reference.sum())
    reference = (
        random.multinomial(reference_rows, one.quiet, size=years) if reference_rows else np.zeros((years, 1))
    )
    drawn = _drawn(one, calendar, shift_after, years, random)
    held = np.concatenate([np.zeros((years, 1, len(one.quiet))), np.cumsum(drawn, axis=1)], axis=1)
    ends, firsts = (np.array(side, dtype=np.int64) for side in zip(*calendar.looks, strict=True))
    seen = one.statistic(held[:, ends] - held[:, firsts], reference[:, None, :].astype(np.float64))
    crosses = crossed(seen.value, When.parse(trigger.when))
    calm = (
        crossed(seen.value, When.parse(trigger.clear.when)) if trigger.clear else ~crosses & ~np.isnan(seen.value)
    )
    return crosses & seen.more, calm


def _drawn(
    one: Instance, calendar: _Calendar, shift_after: int | None, years: int, random: np.random.Generator
) -> np.ndarray:
    """Counts of each day's rows by cell: years by days by cells."""
    size = (years, len(calendar.rows))
    quiet = random.multinomial(np.broadcast_to(calendar.rows, size), one.quiet)
    if shift_after is None or one.shifted is None:
        return quiet
    begins = calendar.start + shift_after
    later = np.broadcast_to(calendar.rows[begins:], (years, len(calendar.rows) - begins))
    return np.concatenate([quiet[:, :begins], random.multinomial(later, one.shifted)], axis=1)


def _policy(trigger: Trigger, breach: np.ndarray, calm: np.ndarray) -> np.ndarray:
    """Rules 5 and 7 of `decisions.monitoring.triggers`, for many years at once: at which looks it fires."""
    breaches, clear_for = Breaches.parse(trigger.breaches), trigger.clear.for_ if trigger.clear else 1
    years, looks = breach.shape
    recent = np.zeros((years, breaches.last), dtype=bool)
    alarm, in_a_row = np.zeros(years, dtype=bool), np.zeros(years, dtype=np.int64)
    fired = np.zeros((years, looks), dtype=bool)
    for look in range(looks):
        recent = np.concatenate([recent[:, 1:], breach[:, look : look + 1]], axis=1)
        in_a_row = np.where(calm[:, look], in_a_row + 1, 0)
        cleared = alarm & (in_a_row >= clear_for)
        fired[:, look] = ~alarm & (recent.sum(axis=1) >= breaches.of)
        alarm = (alarm & ~cleared) | fired[:, look]
        recent[cleared] = False
        in_a_row[cleared] = 0
    return fired


def _weeks_until(plan: Plan, one: Instance, years: int, random: np.random.Generator) -> np.ndarray:
    """Weeks from the shift to the look at which the instance fires; infinite where it does not."""
    quiet = (
        math.ceil(WEEK * SOON / plan.every) * plan.every
    )  # days before the shift, for what came before to count
    fired = _fired(plan, one, quiet, years, random)
    calendar = _Calendar.of(plan, one, quiet + SEEN_WITHIN * WEEK)
    ends = np.array([end for end, _ in calendar.looks]) - calendar.start - quiet
    after = fired & (ends > 0)
    first = np.argmax(after, axis=1)
    return np.where(after.any(axis=1), np.ceil(ends[first] / WEEK), np.inf)
