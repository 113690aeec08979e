"""Prometheus alerting rules for a deployment: its triggers, its people's due dates, and a watch that fell silent.

`fielded monitor run` already tells the owner; these are for who is on call, and for the day on which nothing runs.
"""

import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ruamel.yaml import YAML

from fielded.definition.deployment import Deployment
from fielded.definition.monitoring import Metric
from fielded.services.monitoring.prometheus import selector

_SILENT = timedelta(days=2)  # the monitor runs once a day
_STALE = timedelta(days=3)  # where no trigger says how long rows may stay away

Json = dict[str, Any]


def rules_text(deployment: Deployment, *, silent: timedelta = _SILENT) -> str:
    """A rule file, as `promtool check rules` takes it.

    Args:
        deployment: whose triggers.
        silent: so long may the monitor not have run.
    """
    of = selector(deployment.model.name)
    groups = [
        {"name": f"fielded-{deployment.name}-{part}", "rules": [_labelled(one, deployment.name) for one in rules]}
        for part, rules in (
            ("watch", _watch(deployment, of, silent)),
            ("triggers", _triggers(deployment, of)),
            ("api", _api()),
        )
    ]
    yaml = YAML()
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    out.write(f"# Made by `fielded monitor rules` from the definition with sha256 {deployment.sha256}.\n")
    yaml.dump({"groups": [group for group in groups if group["rules"]]}, out)
    return out.getvalue()


def _labelled(rule: Json, deployment: str) -> Json:
    """With the deployment's name: rules of several are told apart."""
    return {**rule, "labels": {"deployment": deployment, **rule["labels"]}}


def _alert(name: str, expression: str, severity: str, summary: str, step: str, wait: str = "") -> Json:
    return {
        "alert": name,
        "expr": expression,
        **({"for": wait} if wait else {}),
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": step},
    }


def _watch(deployment: Deployment, of: str, silent: timedelta) -> Iterator[Json]:
    seconds = int(silent.total_seconds())
    name = _plain(deployment.name)
    yield _alert(
        "FieldedMonitorSilent",
        f"time() - max(fielded_monitor_last_run_timestamp_seconds{{{of}}}) > {seconds} "
        f"or absent(fielded_monitor_last_run_timestamp_seconds{{{of}}})",
        "critical",
        f"{name}: the monitor has not run for {_told(silent)}, or never",
        "Nobody watches the model. Look at what calls `fielded monitor run`.",
        "10m",
    )
    stale = min(
        (one.no_data_after for one in deployment.monitoring.triggers if one.no_data_after is not None),
        default=_STALE,
    )
    yield _alert(
        "FieldedScoresStale",
        f"max(fielded_score_age_seconds{{{of}}}) > {int(stale.total_seconds())}",
        "warning",
        f"{name}: nothing was scored for {_told(stale)}",
        "Run `fielded score`, and look at what calls it.",
    )
    yield _alert(
        "FieldedLabelsLacking",
        f"min(fielded_labels_coverage_ratio{{{of}}}) < {deployment.monitoring.labels.min_coverage:g}",
        "warning",
        f"{name}: fewer labels have come than the definition asks for",
        "Without them nobody knows how often the model is right. Load them with `fielded outcomes load`.",
    )
    yield _alert(
        "FieldedReviewsOverdue",
        f"max(fielded_review_overdue_items{{{of}}}) > 0",
        "warning",
        f"{name}: cases are past their due time",
        "See `fielded review list`.",
    )
    yield _alert(
        "FieldedRetrainingOverdue",
        f"time() > min(fielded_retraining_due_timestamp_seconds{{{of}}}) + 86400",
        "warning",
        f"{name}: a request to retrain is overdue",
        "Decide it: `fielded monitor close-retraining -m WHY`.",
    )
    yield _alert(
        "FieldedReleaseReviewOverdue",
        f"max(fielded_release_reviews_overdue{{{of}}}) > 0",
        "warning",
        f"{name}: a review after promotion is overdue",
        "See `fielded monitor reviews`.",
    )


def _triggers(deployment: Deployment, of: str) -> Iterator[Json]:
    for trigger in deployment.monitoring.triggers:
        needs_labels = Metric.parse(trigger.metric).needs_labels
        by_id = f'{of},id="{trigger.id}"'
        firing = _alert(
            "FieldedTriggerFiring",
            f"fielded_trigger_state{{{by_id}}} == 3",
            "critical" if "open_retraining_request" in trigger.then else "warning",
            f"{_plain(deployment.name)}: {trigger.id} fires for {{{{ $labels.instance }}}}",
            f"{_plain(trigger.metric)} {trigger.when} in {trigger.breaches} evaluations. Look at the report, then "
            f"`fielded monitor ack {trigger.id} -m WHAT_YOU_DO`.",
        )
        blind = _alert(
            "FieldedTriggerBlind",
            f"fielded_trigger_state{{{by_id}}} == -1",
            "info",
            f"{_plain(deployment.name)}: {trigger.id} has too little data for {{{{ $labels.instance }}}}",
            "It says nothing either way. "
            + ("Labels lack." if needs_labels else f"It needs {trigger.min_sample} rows within its window."),
            "14d",
        )
        for one in (firing, blind):
            yield {**one, "labels": {"trigger": trigger.id, **one["labels"]}}


def _api() -> Iterator[Json]:
    """Of the metrics that `fielded serve` gives; where no API runs, they are silent."""
    yield _alert(
        "FieldedDrainFails",
        "increase(fielded_drain_failures_total[15m]) > 0",
        "warning",
        "Live rows cannot be moved from a journal to the ledger",
        "They are safe in the journal. Run `fielded drain` and read what it says.",
        "15m",
    )
    yield _alert(
        "FieldedFollowFails",
        "increase(fielded_alias_follow_failures_total[15m]) > 0",
        "warning",
        "An API cannot see which version is in production",
        "It goes on with the version that it has. Look at the ledger and the registry.",
        "15m",
    )
    yield _alert(
        "FieldedSlow",
        "histogram_quantile(0.95, sum by (le) (rate(fielded_prediction_duration_seconds_bucket[10m]))) > 1",
        "warning",
        "One answer in twenty takes longer than a second",
        "Look at the API's load and its journal's disk.",
        "10m",
    )


def _told(length: timedelta) -> str:
    days, hours = length // timedelta(days=1), length // timedelta(hours=1)
    return f"{days} days" if timedelta(days=days) == length and days > 1 else f"{hours} hours"


def _plain(text: str) -> str:
    """Without what Prometheus takes for a template."""
    return text.replace("{{", "{ {")
