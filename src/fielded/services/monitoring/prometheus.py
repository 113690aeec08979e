"""A run's numbers as Prometheus reads them: a text file for the node exporter's textfile collector, or any server.

No label holds a subject, an identity or free text: labels are names of the definition and values of its slices.
What was not measured has no sample, for a zero would be a lie.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fielded.definition.monitoring import LABELLED
from fielded.services.pages.page import write_files

# What a trigger's state is as a number: the larger, the more it wants somebody.
STATE_NUMBERS: Mapping[str, int] = {
    "insufficient_data": -1,
    "ok": 0,
    "cleared": 0,
    "pending": 1,
    "acknowledged": 2,
    "firing": 3,
}

Json = dict[str, Any]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """Samples of one name.

    Attributes:
        name: of all of them.
        help: what they are.
        labels: names of the labels that each has beside `model` and `version`.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()


FAMILIES: tuple[Family, ...] = (
    Family("fielded_monitor_last_run_timestamp_seconds", "When the monitor ran last, Unix time."),
    Family(
        "fielded_monitor_as_of_timestamp_seconds",
        "End of the last day that it looked at, Unix time (00:00 of that day).",
    ),
    Family(
        "fielded_trigger_state",
        "State of a trigger: -1 insufficient data, 0 ok or cleared, 1 pending, 2 acknowledged, 3 firing.",
        ("id", "instance"),
    ),
    Family("fielded_trigger_value", "What a trigger looks at, in its metric's unit.", ("id", "instance")),
    Family("fielded_trigger_bound", "What a trigger's value is held against.", ("id",)),
    Family("fielded_drift_psi_ratio", "Population stability index against training.", ("feature",)),
    Family("fielded_drift_psi_chance_ratio", "What chance alone keeps that index below.", ("feature",)),
    Family("fielded_missing_ratio", "Share of missing values.", ("feature",)),
    Family("fielded_out_of_range_ratio", "Share of values outside the range of training.", ("feature",)),
    Family("fielded_new_categories_ratio", "Share of values that training had not.", ("feature",)),
    Family("fielded_score_mean_ratio", "Mean score in the window."),
    Family("fielded_flag_ratio", "Share of rows flagged in the window."),
    Family("fielded_review_ratio", "Share of rows that went to a person in the window."),
    Family("fielded_override_ratio", "Share of decided cases in which a person overrode the model."),
    Family("fielded_quarantine_ratio", "Share of the population that was refused."),
    Family("fielded_rows_per_day", "Rows scored a day."),
    Family("fielded_score_age_seconds", "Age of the newest score when the monitor ran."),
    Family("fielded_performance_ratio", "Performance on matured labels.", ("metric", "slice")),
    Family("fielded_performance_low_ratio", "Lower end of its 95% interval.", ("metric", "slice")),
    Family("fielded_performance_high_ratio", "Upper end of its 95% interval.", ("metric", "slice")),
    Family("fielded_labels_coverage_ratio", "Share of matured scores that have a label."),
    Family("fielded_labels_matured_rows", "Matured labels in the window."),
    Family("fielded_review_queue_items", "Cases that wait for a person."),
    Family("fielded_review_oldest_age_seconds", "Age of the oldest of them."),
    Family("fielded_review_overdue_items", "Cases past their due time."),
    Family("fielded_retraining_requests_open", "Requests to retrain that nobody has closed."),
    Family("fielded_retraining_due_timestamp_seconds", "When the first of them is due, Unix time."),
    Family("fielded_release_reviews_waiting", "Reviews after promotion that somebody is to do now."),
    Family("fielded_release_reviews_overdue", "Of them, those that are overdue."),
)

_OF_FEATURE = {
    "psi": "fielded_drift_psi_ratio",
    "missing": "fielded_missing_ratio",
    "out_of_range": "fielded_out_of_range_ratio",
    "new_categories": "fielded_new_categories_ratio",
}
_OF_ROWS = {
    "mean_score": "fielded_score_mean_ratio",
    "flag_rate": "fielded_flag_ratio",
    "review_rate": "fielded_review_ratio",
    "override_rate": "fielded_override_ratio",
    "quarantine_rate": "fielded_quarantine_ratio",
    "volume": "fielded_rows_per_day",
}
_OF_QUEUE = {
    "items": "fielded_review_queue_items",
    "oldest_age_seconds": "fielded_review_oldest_age_seconds",
    "overdue": "fielded_review_overdue_items",
}

Sample = tuple[str, Labels, float]


def write_metrics(file: Path, report: Json) -> None:
    """Write the file, whole or not at all, so that a scrape never reads half of it.

    Raises:
        Unreachable: it cannot be written.
    """
    write_files(file.parent, {file.name: metrics_text(report)})


def metrics_text(report: Json) -> str:
    """A report's numbers in the Prometheus text format."""
    shared = {"model": report["model"], "version": report["version"]["version"]}
    found: dict[str, list[tuple[Labels, float]]] = {}
    for name, labels, value in _samples(report):
        found.setdefault(name, []).append((labels, value))
    lines: list[str] = []
    for family in FAMILIES:
        samples = found.pop(family.name, [])
        if not samples:
            continue
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} gauge"]
        lines += [f"{family.name}{{{_labels({**shared, **labels})}}} {value!r}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def selector(model: str) -> str:
    """What picks a model's series, within braces."""
    return f'model="{_escaped(model)}"'


def _samples(report: Json) -> Iterator[Sample]:
    yield "fielded_monitor_last_run_timestamp_seconds", {}, datetime.fromisoformat(report["made_at"]).timestamp()
    yield "fielded_monitor_as_of_timestamp_seconds", {}, _day_seconds(report["as_of"])
    yield from _of_triggers(report["triggers"])
    for one in report["measured"]:
        yield from _of_measured(one)
    if (labels := report["labels"]) is not None:
        yield "fielded_labels_matured_rows", {}, float(labels["labelled"])
        if labels["coverage"] is not None:
            yield "fielded_labels_coverage_ratio", {}, labels["coverage"]
    for name, value in (report["queue"] or {}).items():
        if name in _OF_QUEUE and value is not None:
            yield _OF_QUEUE[name], {}, float(value)
    yield "fielded_retraining_requests_open", {}, float(len(report["retraining"]))
    if report["retraining"]:
        due = min(one["due"] for one in report["retraining"])
        yield "fielded_retraining_due_timestamp_seconds", {}, _day_seconds(due)
    states = [one["state"] for one in report["release_reviews"]]
    yield "fielded_release_reviews_waiting", {}, float(sum(state in ("open", "overdue") for state in states))
    yield "fielded_release_reviews_overdue", {}, float(states.count("overdue"))


def _of_triggers(triggers: Iterable[Json]) -> Iterator[Sample]:
    for trigger in triggers:
        yield "fielded_trigger_bound", {"id": trigger["id"]}, float(trigger["bound"])
        for one in trigger["instances"]:
            labels = {"id": trigger["id"], "instance": one["metric"]}
            yield "fielded_trigger_state", labels, float(STATE_NUMBERS[one["state"]])
            if one["value"] is not None:
                yield "fielded_trigger_value", labels, one["value"]


def _of_measured(one: Json) -> Iterator[Sample]:
    if one["value"] is None:
        return
    if one["name"] in LABELLED:
        labels = {"metric": one["name"], "slice": f"{one['column']}={one['part']}" if one["column"] else "overall"}
        for name, end in (("", "value"), ("_low", "low"), ("_high", "high")):
            if one[end] is not None:
                yield f"fielded_performance{name}_ratio", labels, one[end]
    elif one["column"]:
        return  # slices times features are too many series for a server that all share; triggers have theirs
    elif one["name"] in _OF_FEATURE:
        yield _OF_FEATURE[one["name"]], {"feature": one["of"]}, one["value"]
        if one["name"] == "psi" and one["chance_limit"] is not None:
            yield "fielded_drift_psi_chance_ratio", {"feature": one["of"]}, one["chance_limit"]
    elif one["name"] in _OF_ROWS:
        yield _OF_ROWS[one["name"]], {}, one["value"]
    elif one["name"] == "staleness":
        yield "fielded_score_age_seconds", {}, one["value"] * 3600


def _day_seconds(day: str) -> float:
    return datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", " ")
