"""What a trigger's metric is now: one value for each instance, with what chance makes of it, or what is lacking.

1. Days are whole days (UTC) up to `as_of`. A window is the newest days that together hold `last` rows of the place
   that is looked at, none older than `max_age`.
2. Fewer rows than `min_sample` have a value that is shown and decides nothing: `lacking` says so.
3. Drift is more than chance where it exceeds the limit that rows without drift keep to with probability
   1 - alpha; a rate or a performance is where the interval's end nearer to the bound has crossed it. That end is
   a one-sided bound of the same alpha, so the interval's confidence is 1 - 2 alpha.
4. `*` is each feature, or each part of a slice, by itself; `bonferroni` divides alpha by their number.
5. Rows (or matured labels) that stay away for longer than `no_data_after` are silence, which is no lack of data
   but a breach.
6. Performance is measured on matured labels alone. What is estimated without labels is never looked at here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from fielded.decisions.monitoring.histograms import OVERALL, Histograms, Place
from fielded.definition.monitoring import Metric

if TYPE_CHECKING:
    from fielded.decisions.monitoring.labelled_window import LabelledScores
    from fielded.decisions.monitoring.profile import Profile

_NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One instance of a metric, as it is now.

    Attributes:
        metric: without `*`: what exactly was measured.
        value: in the metric's unit; None where there are no rows to measure it on.
        low: lower end of the value's interval; None for what has none (drift, flow).
        high: upper end.
        rows: that the value rests on.
        reference_rows: of what drift is measured against; 0 for other metrics.
        chance_limit: drift above it is more than chance makes; None where the trigger asks for no significance,
            or the metric is not drift.
        first_day: of the window; None without rows.
        last_day: of the window.
        lacking: why the value decides nothing, with the next step; empty where it decides.
        silent: that rows stay away for longer than the trigger allows; empty where they do not.
        numbers: what else a reader wants to know, by name: `p` of a chi-squared, `coverage` of labels, ...
    """

    metric: Metric
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    reference_rows: int = 0
    chance_limit: float | None = None
    first_day: date | None = None
    last_day: date | None = None
    lacking: str = ""
    silent: str = ""
    numbers: Mapping[str, float] = field(default_factory=lambda: _NOTHING)

    @property
    def place(self) -> Place:
        """Which rows it is of."""
        return Place(self.metric.column, self.metric.value) if self.metric.column else OVERALL


@dataclass(frozen=True, slots=True)
class Tally:
    """What the scores of some rows came to.

    Attributes:
        rows: how many.
        flagged: with the flag.
        review: whose decision is a person's.
        score: sum of the scores.
        squares: sum of their squares.
    """

    rows: int
    flagged: int
    review: int
    score: float
    squares: float

    def __add__(self, other: "Tally") -> "Tally":
        """Of both."""
        return Tally(
            self.rows + other.rows,
            self.flagged + other.flagged,
            self.review + other.review,
            self.score + other.score,
            self.squares + other.squares,
        )


@dataclass(frozen=True, slots=True)
class Decided:
    """Reviewed cases.

    Attributes:
        cases: that a person decided.
        overridden: of them, against the model.
    """

    cases: int
    overridden: int

    def __add__(self, other: "Decided") -> "Decided":
        """Of both."""
        return Decided(self.cases + other.cases, self.overridden + other.overridden)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRun:
    """A day's batch run that counts.

    Attributes:
        day: it scored.
        population: rows that it was given.
        quarantined: of them, refused.
        flagged: of the others.
        review: of the others.
        seconds: it took.
    """

    day: date
    population: int
    quarantined: int
    flagged: int
    review: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the API's answers took since it was last looked at.

    Attributes:
        milliseconds: 95th percentile, interpolated within the histogram's bucket; None without requests.
        requests: that it rests on.
        lacking: why it is not known, with the next step; empty where it is.
    """

    milliseconds: float | None = None
    requests: int = 0
    lacking: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that is measured on, as it was read.

    Attributes:
        as_of: last whole day that is looked at.
        moment: when it was looked at, UTC: what staleness is measured to.
        version: in production.
        since: day from which this version is in production, or its first scores; None where neither is known.
        profile: of the version's training data; None where its files have none.
        daily: counts of each day's rows, on the profile's grids; empty without a profile.
        first_month: counts of the version's first 30 days; None until they are over.
        tallies: what each day's scores came to, by place.
        last_scored_at: of the version's newest row; None without rows.
        runs: batch runs that count, by day, ascending.
        overrides: what reviewers decided, by the day of the score and place.
        labelled: scores with the labels that were known; None where labels cannot be read or no metric needs them.
        latency: of the API.
        notes: what could not be read, each with its next step.
    """

    as_of: date
    moment: datetime
    version: str
    since: date | None = None
    profile: "Profile | None" = None
    daily: Mapping[date, Histograms] = field(default_factory=lambda: MappingProxyType({}))
    first_month: Histograms | None = None
    tallies: Mapping[date, Mapping[Place, Tally]] = field(default_factory=lambda: MappingProxyType({}))
    last_scored_at: datetime | None = None
    runs: tuple[DayRun, ...] = ()
    overrides: Mapping[date, Mapping[Place, Decided]] = field(default_factory=lambda: MappingProxyType({}))
    labelled: "LabelledScores | None" = None
    latency: Latency = field(default_factory=Latency)
    notes: tuple[str, ...] = ()
