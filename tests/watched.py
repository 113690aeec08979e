"""A made-up watch: sixty days of orders against training, of which one feature drifts and one class is new."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from fielded.decisions.monitoring.histograms import OVERALL, Place
from fielded.decisions.monitoring.instances import Measurer
from fielded.decisions.monitoring.labelled_window import LabelledScores, Scored
from fielded.decisions.monitoring.measure import DayRun, Decided, Sources, Tally
from fielded.decisions.monitoring.profile import Profile, counted, profile_of
from fielded.decisions.monitoring.report import About, Json, Seen, report_of, shown
from fielded.decisions.monitoring.triggers import Evaluation, Key, Look, TriggerState, evaluate, moved
from fielded.decisions.release.acts import Pinned
from fielded.definition.deployment import Feature
from fielded.definition.monitoring import Labels, Monitoring, Significance, Trigger, Window

LAST = date(2026, 3, 1)
THRESHOLD = 0.65
CLASSES = ("DDG", "LSD", "LCS", "CVN", "SSN")
KINDS = ("corrective", "preventive", "emergent")
EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "$\\frac{1}{2}$",
    "a\u202egnp.exe",
    "{{ 7 * 7 }}",
    "x" * 200,
)
FEATURES: Mapping[str, Feature] = {
    "labor_hours_estimated": Feature(type="float", min=0.0),
    "ship_age_years": Feature(type="float", nullable=True),
    "prior_work_order_count": Feature(type="int", min=0.0),
    "hull_class": Feature(type="category"),
    "maintenance_category": Feature(type="category"),
}
SLICES = ("hull_class", "maintenance_category")
MONITORING = Monitoring(
    triggers=(
        Trigger(
            id="score-drift", metric="psi(score)", when="> 0.10", significance=Significance(),
            breaches="2 of 2", then=("open_retraining_request", "notify_owner"),
        ),
        Trigger(id="age-drift", metric="psi(ship_age_years)", when="> 0.10", significance=Significance()),
        Trigger(
            id="missed", metric="fnr[hull_class=*]", when="> 0.60", significance=Significance(), min_sample=100,
        ),
        Trigger(id="silence", metric="volume", when="< 1", no_data_after=timedelta(days=3)),
    ),
    labels=Labels(maturity=timedelta(days=14), min_coverage=0.5),
    window=Window(last=600, max_age=timedelta(days=60)),
)  # fmt: skip


def orders(count: int, seed: int, *, age: float = 0.0, classes: tuple[str, ...] = CLASSES) -> pa.Table:
    """Orders whose ships are `age` years older than in training."""
    rng = np.random.default_rng(seed)
    years = rng.gamma(6, 3.5, count) + age
    hours = rng.lognormal(3, 0.8, count)
    odds = 0.05 * (years - 20) + 0.02 * (hours - 25) + rng.normal(0, 0.6, count)
    return pa.table(
        {
            "labor_hours_estimated": hours,
            "ship_age_years": pa.array(years, mask=rng.random(count) < (0.03 if not age else 0.08)),
            "prior_work_order_count": rng.poisson(4, count),
            "hull_class": pa.array(rng.choice(np.array(classes, dtype=object), count).tolist(), pa.string()),
            "maintenance_category": pa.array(rng.choice(np.array(KINDS, dtype=object), count).tolist()),
            "score": 1 / (1 + np.exp(-odds)),
        }
    )


def profile(classes: tuple[str, ...] = CLASSES, slices: tuple[str, ...] = SLICES) -> Profile:
    """Of 4,000 training orders."""
    training = orders(4000, 1, classes=classes)
    return profile_of(FEATURES, slices, training, training.column("score").to_numpy())


def sources(days: int = 60, rows: int = 40, classes: tuple[str, ...] = CLASSES, *, labels: bool = True) -> Sources:
    """What was read: from the thirtieth day on ships are four years older, and FFG joins training's classes."""
    reference = profile(classes)
    on = [LAST - timedelta(days=days - 1 - number) for number in range(days)]
    drawn = {}
    for number, day in enumerate(on):
        late = number >= 30
        drawn[day] = orders(
            rows if number % 7 else rows * 3, 100 + number, age=4.0 if late else 0.0,
            classes=(*classes, "FFG") if late else classes,
        )  # fmt: skip
    return Sources(
        as_of=LAST,
        moment=datetime(2026, 3, 2, 6, 30, tzinfo=UTC),
        version="3",
        since=on[0] if on else None,
        profile=reference,
        daily=MappingProxyType({day: counted(reference, table) for day, table in drawn.items()}),
        tallies=MappingProxyType({day: _tallies(table) for day, table in drawn.items()}),
        last_scored_at=datetime(2026, 3, 1, 2, 0, tzinfo=UTC),
        runs=tuple(
            DayRun(day=day, population=table.num_rows + number % 3, quarantined=number % 3, flagged=3, review=2,
                   seconds=1.5)
            for number, (day, table) in enumerate(drawn.items())
        ),
        overrides=MappingProxyType({day: {OVERALL: Decided(4, 1)} for day in on[:20]}),
        labelled=_labelled(drawn) if labels and drawn else None,
    )  # fmt: skip


def _tallies(table: pa.Table) -> Mapping[Place, Tally]:
    scores = table.column("score").to_numpy()
    kinds = np.array(table.column("hull_class").to_pylist(), dtype=object)
    places = {OVERALL: np.ones(len(scores), bool)} | {
        Place("hull_class", kind): kinds == kind for kind in sorted(set(kinds))
    }
    return {place: _tally(scores[mask]) for place, mask in places.items()}


def _tally(scores: np.ndarray) -> Tally:
    review = int(((scores >= 0.55) & (scores <= 0.75)).sum())
    return Tally(
        len(scores), int((scores >= THRESHOLD).sum()), review, float(scores.sum()), float((scores**2).sum())
    )


def _labelled(drawn: Mapping[date, pa.Table]) -> LabelledScores:
    rng = np.random.default_rng(9)
    newest = sorted(drawn, reverse=True)
    table = pa.concat_tables([drawn[day] for day in newest])
    days = np.repeat(np.array(newest, dtype="datetime64[D]"), [drawn[day].num_rows for day in newest])
    scores = table.column("score").to_numpy()
    known = (days <= np.datetime64(LAST - timedelta(days=10))) & (rng.random(len(days)) < 0.9)
    labels = (rng.random(len(scores)) < scores) & known
    return LabelledScores(
        version="3",
        days=days,
        slices=table.select(SLICES),
        scores=scores,
        flags=scores >= THRESHOLD,
        labels=labels,
        known=known,
        by_day={day: Scored(int((days == day).sum()), int(known[days == day].sum())) for day in sorted(drawn)},
    )


def evaluated(read: Sources) -> tuple[Measurer, tuple[Evaluation, ...]]:
    """Every trigger's instances."""
    measurer = Measurer(read, MONITORING.labels)
    return measurer, tuple(
        evaluate(trigger, measured) for trigger in MONITORING.triggers for measured in measurer.measure(trigger)
    )


def report(read: Sources | None = None, **changes: Any) -> Json:
    """The report of a second look, a day after one that saw nothing wrong."""
    read = read or sources()
    measurer, evaluations = evaluated(read)
    before: dict[Key, TriggerState] = {
        one.key: TriggerState(
            trigger=one.trigger, instance=str(one.measured.metric), version="3", state="ok",
            since=LAST - timedelta(days=9), window="before",
            recent=(True,) if one.trigger == "score-drift" else (),
        )
        for one in evaluations
    }  # fmt: skip
    states = moved(before, MONITORING.triggers, evaluations, Look(LAST, "3", "7"))
    seen = Seen(
        evaluations=evaluations,
        states=states,
        before=before,
        measured=[one for trigger in shown(MONITORING, SLICES) for one in measurer.measure(trigger)],
        matured=None if read.labelled is None else measurer.matured(OVERALL, MONITORING.window, MONITORING.labels),
        estimated=changes.get("estimated", {"auc": 0.81, "accuracy": 0.74, "fnr": None}),
        queue=changes.get("queue", {"items": 14, "oldest_age_seconds": 190_000, "overdue": 2, "decided": None}),
        retraining=changes.get("retraining", [_REQUEST]),
        release_reviews=changes.get("release_reviews", [_REVIEW]),
    )
    about = About(
        deployment="maintenance_overrun",
        model="maintenance_overrun_classifier",
        version=Pinned("3", "ab" * 32),
        definition_sha256="cd" * 32,
        made_by="os:watcher",
        owner="Blair Example",
        threshold=THRESHOLD,
        slices=SLICES,
        profile_rows=None if read.profile is None else read.profile.rows,
        previous=changes.get("previous", _PREVIOUS),
    )
    return report_of(about, changes.get("monitoring", MONITORING), read, seen)


_PREVIOUS = {"at": "2026-03-01T06:30:00+00:00", "event_id": "e", "report_sha256": "12" * 32}
_REQUEST = {
    "request": "retraining-1", "why": "score-drift: psi(score) fires since 2026-03-01",
    "opened_at": "2026-03-01T06:30:00+00:00", "due": "2026-03-31", "owner": "Blair Example",
}  # fmt: skip
_REVIEW = {
    "id": "v3-12-30d", "version": "3", "day": 30, "opens": "2026-02-14", "due": "2026-02-28",
    "owner": "Blair Example", "state": "overdue",
}  # fmt: skip
