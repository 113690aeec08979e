"""Metrics of the rows of a window, from what `Sources` holds. The rules are in `decisions.monitoring.measure`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import reduce
from typing import cast

import numpy as np
from scipy.special import stdtrit

from fielded.decisions.measuring.intervals import Estimate, proportion
from fielded.decisions.monitoring import drift
from fielded.decisions.monitoring.histograms import NO_ROWS, OVERALL, Grid, Histograms, Place
from fielded.decisions.monitoring.measure import Decided, Measured, Sources, Tally
from fielded.decisions.monitoring.windows import Days, newest, silence
from fielded.definition.monitoring import Drift, Metric, Trigger, Window

FIRST_DAYS = timedelta(days=30)  # what `reference: first_month` is made of
NO_PROFILE = (
    "the model's files have no profile, expected one of its training data. Log the model with "
    "`metadata=profile_metadata(...)` and promote that version"
)
_OF_QUALITY: Mapping[str, Callable[[Grid, np.ndarray], tuple[int, int] | None]] = {
    "missing": drift.missing, "out_of_range": drift.out_of_range, "new_categories": drift.new_categories,
}  # fmt: skip
_NONE = Tally(0, 0, 0, 0.0, 0.0)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """One instance, and how it is asked for.

    Attributes:
        metric: without `*`.
        trigger: that asks.
        alpha: chance of a false breach in this instance; None where no significance is asked for.
        confidence: of the value's interval.
    """

    metric: Metric
    trigger: Trigger
    alpha: float | None
    confidence: float

    @property
    def place(self) -> Place:
        """Which rows."""
        return Place(self.metric.column, self.metric.value) if self.metric.column else OVERALL

    @property
    def window(self) -> Window:
        """Which of them."""
        return self.trigger.window


class Counts:
    """Rows of windows, each added up once however many metrics look at it.

    Args:
        sources: what was read.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._held: dict[tuple[Place, int, timedelta], tuple[Days, Histograms]] = {}

    def of(self, place: Place, window: Window) -> tuple[Days, Histograms]:
        """The days of a window at a place, and the counts of their rows there."""
        key = (place, window.last, window.max_age)
        if key not in self._held:
            daily = self._sources.daily
            days = newest({day: found.rows(place) for day, found in daily.items()}, window, self._sources.as_of)
            at_place = (Histograms({place: daily[day].counts[place]}) for day in days.days)
            self._held[key] = days, reduce(Histograms.__add__, at_place, NO_ROWS)
        return self._held[key]


def drifted(asked: Asked, sources: Sources, counts: Counts) -> Measured:
    """PSI, Jensen-Shannon, Kolmogorov-Smirnov, Wasserstein or chi-squared, against the trigger's reference."""
    metric, place = asked.metric, asked.place
    if sources.profile is None:
        return Measured(metric=metric, lacking=f"got no value: {NO_PROFILE}")
    grid = sources.profile.grids.get(metric.of)
    if grid is None:
        return Measured(metric=metric, lacking=_not_in_profile(metric.of))
    lacking = _reference_lacks(asked, sources)
    held = sources.profile.reference if asked.trigger.reference == "training" else sources.first_month
    reference = None if held is None else held.of(place, metric.of)
    days, current = counts.of(place, asked.window)
    found = current.of(place, metric.of)
    base = _base(asked, sources, days, {day: one.rows(place) for day, one in sources.daily.items()})
    if lacking or reference is None or not reference.sum():
        where = f"{asked.trigger.reference} at {place}"
        return replace(base, lacking=lacking or f"got no rows of {metric.of} in {where}, expected some")
    if found is None:
        return replace(base, reference_rows=int(reference.sum()))
    alpha = asked.alpha if asked.alpha is not None else 1 - asked.confidence
    value = drift.METRICS[cast("Drift", metric.name)](grid, reference, found, alpha)
    numbers = {"error": value.error}
    numbers |= {"p": value.p} if value.p is not None else {}
    numbers |= {"limit": value.limit} if value.limit is not None else {}
    unlimited = asked.alpha is not None and value.value is not None and value.limit is None
    return replace(
        base,
        value=value.value,
        rows=value.rows,
        reference_rows=value.reference_rows,
        chance_limit=value.limit if asked.alpha is not None else None,
        lacking=base.lacking
        or value.lacking
        or (f"got no limit of chance for {metric.name}, expected one. Ask for psi" if unlimited else ""),
        numbers=numbers,
    )


def _not_in_profile(column: str) -> str:
    return (
        f"got no {column} in the model's profile, expected it. Train the model with a profile of the "
        "definition as it is now"
    )


def _reference_lacks(asked: Asked, sources: Sources) -> str:
    if asked.trigger.reference == "training" or sources.first_month is not None:
        return ""
    since = sources.since
    until = "" if since is None else f": it ends on {since + FIRST_DAYS - timedelta(days=1)}"
    return (
        f"got no first month to compare with yet, expected {FIRST_DAYS.days} days of this version's scores{until}"
    )


def _base(asked: Asked, sources: Sources, days: Days, rows: Mapping[date, int], what: str = "rows") -> Measured:
    """The window of an instance, and whether it has enough rows."""
    known = [day for day, count in rows.items() if count and day <= sources.as_of]
    silent = silence(
        max(known, default=None), sources.since, sources.as_of, asked.trigger.no_data_after, what
    )  # fmt: skip
    return Measured(
        metric=asked.metric,
        rows=days.rows,
        first_day=days.first,
        last_day=days.last,
        lacking=too_few(days.rows, asked, what),
        silent=silent,
    )


def too_few(rows: int, asked: Asked, what: str = "rows") -> str:
    """That a window has fewer rows than the trigger's `min_sample`; empty where it has enough."""
    if rows >= asked.trigger.min_sample:
        return ""
    days = asked.window.max_age / timedelta(days=1)
    return f"got {rows:,} {what} within {days:g} days, expected at least {asked.trigger.min_sample:,}"


def quality(asked: Asked, sources: Sources, counts: Counts) -> Measured:
    """Share of values that are missing, outside the range of training, or of categories that training had not."""
    metric, place = asked.metric, asked.place
    if sources.profile is None:
        return Measured(metric=metric, lacking=f"got no value: {NO_PROFILE}")
    grid = sources.profile.grids.get(metric.of)
    if grid is None:
        return Measured(metric=metric, lacking=_not_in_profile(metric.of))
    days, current = counts.of(place, asked.window)
    base = _base(asked, sources, days, {day: one.rows(place) for day, one in sources.daily.items()})
    found = current.of(place, metric.of)
    if found is None:
        return base
    reference = sources.profile.reference.of(OVERALL, metric.of)
    if metric.name == "new_categories" and reference is not None and reference[-2]:
        beyond = (
            f"got {len(grid.categories)} categories and others in training, expected fewer to tell new ones by"
        )
        return replace(base, lacking=beyond)
    shares = _OF_QUALITY[metric.name](grid, found)
    if shares is None:
        return replace(base, lacking=f"got {metric.of}, a {grid.kind}, which has no {metric.name}. Leave it out")
    return _with(base, proportion(*shares, asked.confidence))


def _with(base: Measured, estimate: Estimate) -> Measured:
    return replace(base, value=estimate.value, low=estimate.low, high=estimate.high, rows=estimate.rows)


def rate(asked: Asked, sources: Sources) -> Measured:
    """Share of rows that were flagged, went to a person, were overridden or quarantined; or the mean score."""
    if asked.metric.name == "quarantine_rate":
        return _quarantine_rate(asked, sources)
    if asked.metric.name == "override_rate":
        return _override_rate(asked, sources)
    place = asked.place
    rows = {day: held[place].rows for day, held in sources.tallies.items() if place in held}
    days = newest(rows, asked.window, sources.as_of)
    tally = sum((sources.tallies[day][place] for day in days.days), _NONE)
    base = _base(asked, sources, days, rows)
    if not tally.rows:
        return base
    if asked.metric.name == "mean_score":
        return _with(base, mean_of(tally, asked.confidence))
    hits = tally.flagged if asked.metric.name == "flag_rate" else tally.review
    return _with(base, proportion(hits, tally.rows, asked.confidence))


def mean_of(tally: Tally, confidence: float) -> Estimate:
    """Mean score with Student's interval, as `measuring.intervals.mean` has it, from sums."""
    rows, found = tally.rows, tally.score / tally.rows
    spread = max(0.0, tally.squares / rows - found * found)
    if rows == 1 or spread == 0.0:
        share = proportion(tally.score, rows, confidence)
        return Estimate(found, share.low, share.high, rows)
    half = float(stdtrit(rows - 1, (1 + confidence) / 2)) * float(np.sqrt(spread / (rows - 1)))
    return Estimate(found, max(0.0, found - half), min(1.0, found + half), rows)


def _override_rate(asked: Asked, sources: Sources) -> Measured:
    place = asked.place
    rows = {day: held[place].cases for day, held in sources.overrides.items() if place in held}
    days = newest(rows, asked.window, sources.as_of)
    decided = sum((sources.overrides[day][place] for day in days.days), Decided(0, 0))
    base = _base(asked, sources, days, rows, "decided cases")
    return _with(base, proportion(decided.overridden, decided.cases, asked.confidence)) if decided.cases else base


def _quarantine_rate(asked: Asked, sources: Sources) -> Measured:
    if asked.place != OVERALL:
        return Measured(
            metric=asked.metric,
            lacking="got a slice, expected all rows: a quarantined row's values are not kept. Leave the slice out",
        )
    rows = {run.day: run.population for run in sources.runs}
    days = newest(rows, asked.window, sources.as_of)
    inside = [run for run in sources.runs if run.day in days.days]
    base = _base(asked, sources, days, rows, "rows of batch runs")
    if not inside or not days.rows:
        return base
    return _with(base, proportion(sum(run.quarantined for run in inside), days.rows, asked.confidence))


def flow(asked: Asked, sources: Sources) -> Measured:
    """Rows a day, hours since the last row, or milliseconds of the API."""
    return {"volume": _volume, "staleness": _staleness, "latency": _latency}[asked.metric.name](asked, sources)


def _volume(asked: Asked, sources: Sources) -> Measured:
    """Rows a day, over all days that the window may reach back to; days without rows count."""
    rows = {day: held[OVERALL].rows for day, held in sources.tallies.items() if OVERALL in held}
    start = max(sources.as_of - asked.window.max_age + timedelta(days=1), sources.since or date.min)
    if start > sources.as_of:
        lacking = f"got version {sources.version} in production from {start}, expected a whole day of it"
        return Measured(metric=asked.metric, lacking=lacking)
    inside = {day: count for day, count in rows.items() if start <= day <= sources.as_of}
    held, days = sum(inside.values()), (sources.as_of - start).days + 1
    until = max(rows, default=None)
    return Measured(
        metric=asked.metric,
        value=held / days,
        rows=held,
        first_day=start,
        last_day=sources.as_of,
        silent=silence(until, sources.since, sources.as_of, asked.trigger.no_data_after, "rows"),
        numbers={"days": days},
    )


def _staleness(asked: Asked, sources: Sources) -> Measured:
    at = sources.last_scored_at
    if at is None:
        silent = silence(None, sources.since, sources.as_of, asked.trigger.no_data_after, "rows")
        lacking = f"got no row of version {sources.version}, expected some. Run `fielded score`"
        return Measured(metric=asked.metric, lacking=lacking, silent=silent)
    hours = max(0.0, (sources.moment - at) / _HOUR)
    return Measured(metric=asked.metric, value=hours, rows=1, first_day=at.date(), last_day=sources.as_of)


def _latency(asked: Asked, sources: Sources) -> Measured:
    found = sources.latency
    lacking = found.lacking or too_few(found.requests, asked, "requests since the last look")
    return Measured(
        metric=asked.metric,
        value=found.milliseconds,
        rows=found.requests,
        first_day=sources.as_of,
        last_day=sources.as_of,
        lacking=lacking,
    )
