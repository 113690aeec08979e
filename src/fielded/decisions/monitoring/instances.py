"""From a trigger to its instances, each measured. The rules are in `decisions.monitoring.measure`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import cache, cached_property

import numpy as np

from fielded.decisions.measuring.slices import quoted
from fielded.decisions.monitoring.histograms import NULL, OTHER, Place
from fielded.decisions.monitoring.labelled_window import (
    LabelledScores,
    MaturedWindow,
    edges,
    matured_window,
    places,
)
from fielded.decisions.monitoring.measure import Measured, Sources
from fielded.decisions.monitoring.metrics import NO_PROFILE, Asked, Counts, drifted, flow, quality, rate, too_few
from fielded.decisions.monitoring.profile import Profile
from fielded.decisions.monitoring.windows import silence
from fielded.definition.monitoring import (
    DRIFT,
    EVERY,
    LABELLED,
    QUALITY,
    RATES,
    SCORE,
    Labels,
    Metric,
    Monitoring,
    Trigger,
    Window,
)

CONFIDENCE = 0.95  # of intervals where a trigger asks for no significance
_GRID_KIND = {"out_of_range": "number", "new_categories": "category"}  # others are of both


class Measurer:
    """Measures what any number of triggers ask for, each window once.

    Args:
        sources: what was read.
        labels: when labels count, where a trigger does not say.
    """

    def __init__(self, sources: Sources, labels: Labels | None = None) -> None:
        self.sources = sources
        self._labels = labels or Labels()
        self._counts = Counts(sources)
        self._windows: dict[tuple[Place, int, timedelta, timedelta, float, float], MaturedWindow] = {}

    def measure(self, trigger: Trigger) -> tuple[Measured, ...]:
        """Every instance of a trigger, features in the profile's order and then parts in theirs."""
        metrics = tuple(self._expanded(Metric.parse(trigger.metric)))
        alpha = None if trigger.significance is None else trigger.significance.of_each(len(metrics))
        confidence = CONFIDENCE if alpha is None else 1 - 2 * alpha
        return tuple(self._measured(Asked(metric, trigger, alpha, confidence)) for metric in metrics)

    def _measured(self, asked: Asked) -> Measured:
        metric = asked.metric
        if EVERY in (metric.of, metric.value):
            nothing = NO_PROFILE if metric.of == EVERY else f"no row of any {metric.column}, expected some"
            return Measured(metric=metric, lacking=f"got {nothing}")
        if metric.name in DRIFT:
            return drifted(asked, self.sources, self._counts)
        if metric.name in QUALITY:
            return quality(asked, self.sources, self._counts)
        if metric.name in LABELLED:
            return self._labelled(asked)
        return rate(asked, self.sources) if metric.name in RATES else flow(asked, self.sources)

    def _expanded(self, metric: Metric) -> Iterator[Metric]:
        """Rule 4. What cannot be written out yet stays as it is, and lacks something."""
        columns = tuple(self._columns(metric)) if metric.of == EVERY else (metric.of,)
        parts = self.parts(metric.column, metric.name) if metric.value == EVERY else (metric.value,)
        for of in columns or (EVERY,):
            for part in parts or (EVERY,):
                yield replace(metric, of=of, value=part)

    def _columns(self, metric: Metric) -> Iterator[str]:
        profile = self.sources.profile
        if profile is None:
            return
        if metric.name in DRIFT:
            yield SCORE
        for name, grid in profile.grids.items():
            if name != SCORE and grid.kind == _GRID_KIND.get(metric.name, grid.kind):
                yield name

    def parts(self, column: str, name: str = "psi") -> tuple[str, ...]:
        """Parts of a slice with rows where a metric looks: in the profile's order, then others by their text."""
        if name in LABELLED:
            seen: set[str] = {place.part for place in self._masks if place.column == column}
        else:
            rows: Iterable[Mapping[Place, object]] = (
                *(day.counts for day in self.sources.daily.values()),
                *self.sources.tallies.values(),
                *self.sources.overrides.values(),
            )
            seen = {place.part for held in rows for place in held if place.column == column}
        profile = self.sources.profile
        known: tuple[str, ...] = ()
        if profile is not None and column in profile.slices:
            known = profile.parts(column).names
            seen |= {place.part for place in profile.reference.counts if place.column == column}
        return (*(part for part in known if part in seen), *sorted(seen - set(known)))

    def _labelled(self, asked: Asked) -> Measured:
        """Performance on matured labels, as `labelled_window` has it."""
        found, place = self.sources.labelled, asked.place
        if found is None:
            return Measured(metric=asked.metric, lacking="got no outcomes, expected some. Load outcomes")
        labels = asked.trigger.labels or self._labels
        mask = self._masks.get(place)
        edge = self.sources.as_of - labels.maturity
        silent = silence(
            _newest_label(found, mask, edge),
            self.sources.since,
            edge,
            asked.trigger.no_data_after,
            "matured labels",
        )
        if mask is None:
            return Measured(metric=asked.metric, lacking=f"got no scores of {place}, expected some", silent=silent)
        seen = self.matured(place, asked.window, labels, asked.confidence)
        estimate = seen.metrics[asked.metric.name]
        undefined = "got rows of one kind only, expected events and others" if estimate.value is None else ""
        return Measured(
            metric=asked.metric,
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            rows=seen.rows,
            first_day=seen.first_day,
            last_day=seen.last_day,
            lacking=seen.lacking or too_few(seen.rows, asked, "matured labels") or undefined,
            silent=silent,
            numbers={"coverage": seen.coverage.value or 0.0, "of": estimate.rows},
        )

    def matured(
        self, place: Place, window: Window, labels: Labels, confidence: float = CONFIDENCE
    ) -> MaturedWindow:
        """All metrics of the matured window at a place.

        Raises:
            KeyError: there are no labelled scores, or none at that place.
        """
        if self.sources.labelled is None:
            raise KeyError(str(place))
        key = (place, window.last, window.max_age, labels.maturity, labels.min_coverage, confidence)
        if key not in self._windows:
            at = (place, self._masks[place])
            as_of = self.sources.as_of
            self._windows[key] = matured_window(self.sources.labelled, at, window, labels, as_of, confidence)
        return self._windows[key]

    def rows_at(self, place: Place) -> np.ndarray | None:
        """Which labelled scores are at a place, as a bool mask; None where none is."""
        return self._masks.get(place)

    @cached_property
    def _masks(self) -> Mapping[Place, np.ndarray]:
        return {} if self.sources.labelled is None else places_of(self.sources.labelled, self.sources.profile)


def measure(trigger: Trigger, sources: Sources, labels: Labels | None = None) -> tuple[Measured, ...]:
    """Every instance of one trigger; see `Measurer`, which is for several."""
    return Measurer(sources, labels).measure(trigger)


def places_of(labelled: LabelledScores, profile: Profile | None) -> dict[Place, np.ndarray]:
    """Which labelled rows are where: parts of the profile's slices by its cuts, of others by these rows'."""
    by_profile = () if profile is None else profile.slices
    found = places(labelled, [name for name in labelled.slices.column_names if name not in by_profile])
    for column in labelled.slices.column_names:
        if profile is None or column not in by_profile:
            continue
        parts = profile.parts(column)
        part = parts.of_bin[profile.grids[column].place(labelled.slices.column(column))]
        for place in np.unique(part):
            found[Place(column, parts.names[place])] = part == place
    return found


def part_named(value: str | bool | None, categories: Iterable[str] | None = None) -> str:
    """The part of a category's value, as a profile names it.

    Args:
        value: of the slice's feature.
        categories: that have parts of their own; None where each has.
    """
    if value is None:
        return NULL
    text = str(value).lower() if isinstance(value, bool) else value
    if categories is not None and text not in categories:
        return OTHER
    return _named(text)


@cache
def _named(text: str) -> str:
    return f'"{text}"' if text in (OTHER, NULL) else quoted(text)


def read_from(monitoring: Monitoring, as_of: date) -> date:
    """First day of the scores that any trigger or the report looks at."""
    ages = [monitoring.window.max_age, *(trigger.window.max_age for trigger in monitoring.triggers)]
    return as_of - max(ages)


def labels_from(monitoring: Monitoring, as_of: date) -> tuple[date, date]:
    """First and last day of the scores whose labels any trigger or the report looks at."""
    asked = [(monitoring.labels, monitoring.window)]
    asked += [
        (trigger.labels or monitoring.labels, trigger.window)
        for trigger in monitoring.triggers
        if Metric.parse(trigger.metric).needs_labels
    ]
    looked_at = [edges(as_of, labels.maturity, window.max_age) for labels, window in asked]
    return min(oldest for oldest, _ in looked_at), max(newest for _, newest in looked_at)


def _newest_label(labelled: LabelledScores, mask: np.ndarray | None, edge: date) -> date | None:
    """Newest day up to `edge` with a label at a place."""
    if mask is None:
        return None
    days = labelled.days[mask & labelled.known & (labelled.days <= np.datetime64(edge))]
    return None if not len(days) else days.max().item()
