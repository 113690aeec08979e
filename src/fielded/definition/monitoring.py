"""The `monitoring:` section: what is watched, what is too much, and who looks when.

A trigger is a metric with a number. Its metric is written as one of

    flag_rate                   of all rows
    psi(ship_age_years)         of a feature, or of `score`
    psi(*)                      of the score and every feature, each by itself
    fnr[hull_class=LSD]         in one slice
    fnr[hull_class=*]           in every value of a slice, each by itself
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass as plain_dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.dataclasses import dataclass

_CONFIG = ConfigDict(extra="forbid")

Drift = Literal["psi", "js", "ks", "wasserstein", "chi2"]
Quality = Literal["missing", "out_of_range", "new_categories"]
Rate = Literal["flag_rate", "review_rate", "override_rate", "quarantine_rate", "mean_score"]
Flow = Literal["volume", "staleness", "latency"]
Labelled = Literal["auc", "precision", "recall", "fnr", "fpr", "brier", "calibration"]

DRIFT: frozenset[str] = frozenset(get_args(Drift))  # against a reference
QUALITY: frozenset[str] = frozenset(get_args(Quality))  # of one feature
RATES: frozenset[str] = frozenset(get_args(Rate))  # of rows
FLOW: frozenset[str] = frozenset(get_args(Flow))  # volume: rows a day; staleness: hours; latency: milliseconds
LABELLED: frozenset[str] = frozenset(get_args(Labelled))  # of rows whose labels have matured

SCORE = "score"
EVERY = "*"

Action = Literal["open_retraining_request", "notify_owner"]

_METRIC = re.compile(
    r"^(?P<name>[a-z0-9_]+)\s*(?:\(\s*(?P<of>\*|[a-z][a-z0-9_]*)\s*\))?"
    r"\s*(?:\[\s*(?P<column>[a-z][a-z0-9_]*)\s*=\s*(?P<value>[^\[\]]+?)\s*\])?$"
)
_WHEN = re.compile(r"^(?P<sign><=|>=|<|>)\s*(?P<bound>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)$")
_BREACHES = re.compile(r"^(?P<of>\d{1,2}) of (?P<last>\d{1,2})$")
_DURATION = re.compile(r"^(?P<number>\d{1,5}) ?(?P<unit>[hd])$")


@plain_dataclass(frozen=True, slots=True)
class Metric:
    """What is measured, and where.

    Attributes:
        name: one of `DRIFT`, `QUALITY`, `RATES`, `FLOW` or `LABELLED`.
        of: a feature, `score`, `*`, or empty where the metric is about rows.
        column: the slice's feature; empty for all rows.
        value: the slice's value, or `*` for each.
    """

    name: str
    of: str = ""
    column: str = ""
    value: str = ""

    @classmethod
    def parse(cls, text: str) -> "Metric":
        """Read a metric as a definition writes it.

        Raises:
            ValueError: it is none; says what would be.
        """
        found = _METRIC.match(text.strip())
        if found is None:
            raise ValueError("a metric such as `psi(score)`, `flag_rate` or `fnr[hull_class=*]`")
        metric = cls(found["name"], found["of"] or "", found["column"] or "", found["value"] or "")
        if metric.name not in DRIFT | QUALITY | RATES | FLOW | LABELLED:
            known = ", ".join(sorted(DRIFT | QUALITY | RATES | FLOW | LABELLED))
            raise ValueError(f"one of the metrics {known}")
        if metric.name in DRIFT | QUALITY and not metric.of:
            raise ValueError(
                f"`{metric.name}(FEATURE)`, `{metric.name}(*)`{' or the score' * (metric.name in DRIFT)}"
            )
        if metric.name not in DRIFT | QUALITY and metric.of:
            raise ValueError(f"`{metric.name}` without brackets: it is about rows")
        if metric.name in QUALITY and metric.of == SCORE:
            raise ValueError(f"a feature in `{metric.name}(...)`: a score is never missing")
        if metric.name in FLOW and metric.column:
            raise ValueError(f"`{metric.name}` of all rows: it is not kept by slice")
        return metric

    @property
    def needs_labels(self) -> bool:
        """Whether it can be measured only once outcomes are known."""
        return self.name in LABELLED

    def __str__(self) -> str:
        of = f"({self.of})" if self.of else ""
        return f"{self.name}{of}" + (f"[{self.column}={self.value}]" if self.column else "")


@plain_dataclass(frozen=True, slots=True)
class When:
    """A bound that a value crosses.

    Attributes:
        sign: `>`, `>=`, `<` or `<=`.
        bound: in the metric's own unit.
    """

    sign: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> "When":
        """Read `> 0.10`.

        Raises:
            ValueError: it is none.
        """
        found = _WHEN.match(text.strip())
        if found is None:
            raise ValueError("a comparison such as `> 0.10` or `< 0.70`")
        return cls(found["sign"], float(found["bound"]))

    @property
    def above(self) -> bool:
        """Whether large values cross it."""
        return self.sign in (">", ">=")

    def crossed(self, value: float) -> bool:
        """Whether a value crosses it; a value that is not a number does not."""
        return {
            ">": value > self.bound, ">=": value >= self.bound, "<": value < self.bound, "<=": value <= self.bound,
        }[self.sign]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


@plain_dataclass(frozen=True, slots=True)
class Breaches:
    """How many of the last evaluations must breach before a trigger fires.

    Attributes:
        of: so many at least.
        last: of so many.
    """

    of: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "Breaches":
        """Read `2 of 3`.

        Raises:
            ValueError: it is none.
        """
        found = _BREACHES.match(text.strip())
        if found is None or not 1 <= int(found["of"]) <= int(found["last"]):
            raise ValueError("`2 of 3`: how many, of how many of the last evaluations")
        return cls(int(found["of"]), int(found["last"]))

    def __str__(self) -> str:
        return f"{self.of} of {self.last}"


def _duration(text: Any) -> timedelta:
    if isinstance(text, timedelta):
        return text
    found = _DURATION.match(text.strip()) if isinstance(text, str) else None
    if found is None or not int(found["number"]):
        raise ValueError("a time such as `90d` or `12h`")
    number = int(found["number"])
    return timedelta(days=number) if found["unit"] == "d" else timedelta(hours=number)


def _as_text(kind: Any) -> AfterValidator:
    """Checked here, kept as written: a frozen text is what a digest and an event hold."""

    def check(text: str) -> str:
        kind.parse(text)
        return text

    return AfterValidator(check)


Duration = Annotated[timedelta, BeforeValidator(_duration)]
_Rows = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
_Days = Annotated[int, Field(strict=True, ge=1, le=3660)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
_MetricText = Annotated[str, _as_text(Metric)]
_WhenText = Annotated[str, _as_text(When)]
_BreachesText = Annotated[str, _as_text(Breaches)]
TriggerId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Significance:
    """What a difference must also be: more than chance makes.

    Attributes:
        alpha: chance that rows without a difference are taken for some with one, in one evaluation.
        correction: `bonferroni` divides `alpha` by the number of features and slices that the trigger looks at.
    """

    alpha: Annotated[float, Field(strict=True, gt=0, lt=0.5)] = 0.05
    correction: Literal["bonferroni", "none"] = "bonferroni"

    def of_each(self, looked_at: int) -> float:
        """`alpha` of each of several looks."""
        return self.alpha / max(looked_at, 1) if self.correction == "bonferroni" else self.alpha


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Window:
    """Which rows are looked at: the newest whole days that together hold `last` rows.

    Attributes:
        last: rows, at least, where there are so many.
        max_age: days older than this are not looked at.
    """

    last: _Rows = 300
    max_age: Duration = timedelta(days=90)


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Labels:
    """When labels are looked at.

    Attributes:
        maturity: age of a score at which its label should have come.
        min_coverage: share of the scores of that age whose label has.
    """

    maturity: Duration = timedelta(days=90)
    min_coverage: _Share = 0.8


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Clear:
    """When an alarm is over.

    Attributes:
        when: what the value must do.
        for_: in so many evaluations in a row. Written `for`.
    """

    when: _WhenText
    for_: Annotated[int, Field(strict=True, ge=1, le=99, alias="for")] = 1


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Trigger:
    """A metric with a number, and what follows where it is crossed.

    Attributes:
        id: how events and alarms name it.
        metric: what is measured.
        reference: what drift is measured against: `training`, the profile in the model's files, or `first_month`,
            the production version's own scores of its first 30 days.
        when: what is a breach, such as `> 0.10`.
        significance: what a breach must be besides; None asks for nothing.
        window: which rows.
        min_sample: fewer rows are `insufficient_data`, never `ok`.
        breaches: how many evaluations of the last ones must breach.
        labels: when labels count; only for metrics that need them.
        no_data_after: rows (or matured labels) that stay away longer are a breach; None lets them.
        clear: when the alarm is over; None: as soon as `when` is not crossed any more.
        then: what follows when it fires.
    """

    id: TriggerId
    metric: _MetricText
    reference: Literal["training", "first_month"] = "training"
    when: _WhenText
    significance: Significance | None = None
    window: Window = Field(default_factory=Window)
    min_sample: _Rows = 300
    breaches: _BreachesText = "1 of 1"
    labels: Labels | None = None
    no_data_after: Duration | None = None
    clear: Clear | None = None
    then: tuple[Action, ...] = ("notify_owner",)

    @model_validator(mode="after")
    def _parts_fit(self) -> "Trigger":
        metric, when = Metric.parse(self.metric), When.parse(self.when)
        if self.labels is not None and not metric.needs_labels:
            raise ValueError(f"`labels` only on a metric that needs them, which {metric.name} does not")
        if self.significance is not None and metric.name in FLOW:
            raise ValueError(f"no `significance` on {metric.name}: it is not a sample of anything")
        if self.window.last < self.min_sample and metric.name not in FLOW:
            raise ValueError("`window.last` of at least `min_sample`, or there would never be enough rows")
        if self.clear is not None and When.parse(self.clear.when).above == when.above:
            raise ValueError("`clear.when` on the other side of `when`")
        return self


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Monitoring:
    """The watch.

    Attributes:
        triggers: what fires.
        labels: when labels count, where a trigger does not say.
        window: what the report shows, where a trigger does not say.
        reviews: days after each promotion on which the monitoring owner looks at it.
        review_due_days: so long a review may be open.
        retraining_due_days: so long a retraining request may be open.
    """

    triggers: tuple[Trigger, ...] = ()
    labels: Labels = Field(default_factory=Labels)
    window: Window = Field(default_factory=Window)
    reviews: tuple[_Days, ...] = (30, 90, 180)
    review_due_days: _Days = 14
    retraining_due_days: _Days = 30

    @model_validator(mode="after")
    def _ids_once(self) -> "Monitoring":
        ids = [trigger.id for trigger in self.triggers]
        if len(set(ids)) < len(ids):
            raise ValueError("each trigger's `id` once")
        if list(self.reviews) != sorted(set(self.reviews)):
            raise ValueError("`reviews` ascending, each day once")
        return self


def metric_problems(raw: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Triggers whose metric names something that the definition has not: path of the field, got, expected."""
    features, slices = raw.get("features"), raw.get("slices")
    section = raw.get("monitoring")
    triggers = section.get("triggers") if isinstance(section, Mapping) else None
    if not isinstance(triggers, list) or not isinstance(features, Mapping):
        return
    for place, trigger in enumerate(triggers):
        text = trigger.get("metric") if isinstance(trigger, Mapping) else None
        try:
            metric = Metric.parse(text) if isinstance(text, str) else None
        except ValueError:
            continue  # pydantic's to say
        if metric is None:
            continue
        path = ("monitoring", "triggers", str(place), "metric")
        if metric.of not in ("", EVERY, SCORE) and metric.of not in features:
            yield path, metric.of, f"`score`, `*`, or one of the features {', '.join(map(str, features))}"
        if metric.column and metric.column not in (slices or ()):
            yield (
                path,
                metric.column,
                "one of `slices`: " + (", ".join(map(str, slices or ())) or "there are none"),
            )
