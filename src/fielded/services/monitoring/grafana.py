"""A Grafana dashboard for a deployment: what `fielded monitor run --metrics-file` and `fielded serve` give."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fielded.definition.deployment import Deployment
from fielded.services.monitoring.prometheus import STATE_NUMBERS, selector
from fielded.words.digests import value_sha256

_SCHEMA = 39  # of Grafana 10 and later, which read older ones too
_WIDTH = 24
_HEIGHT = 8
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_COLORS = {-1: "orange", 0: "green", 1: "yellow", 2: "purple", 3: "red"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Panel:
    """What a panel shows.

    Attributes:
        title: above it.
        told: what it is, for who asks.
        kind: of Grafana's panels.
        queries: (expression, legend).
        width: of 24.
        unit: of Grafana's units.
        bound: a line in it, where there is one.
    """

    title: str
    told: str
    kind: str
    queries: Sequence[tuple[str, str]]
    width: int = 12
    unit: str = "short"
    bound: float | None = None


def dashboard_text(deployment: Deployment) -> str:
    """The dashboard as Grafana imports it; the same definition gives the same text."""
    return json.dumps(dashboard(deployment), indent=2, ensure_ascii=False) + "\n"


def dashboard(deployment: Deployment) -> Json:
    """The dashboard as a value."""
    of = selector(deployment.model.name)
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": f"fielded-{value_sha256(deployment.name)[:16]}",
        "title": f"{deployment.name}: model in production",
        "tags": ["fielded"],
        "timezone": "utc",
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "refresh": "5m",
        "time": {"from": "now-90d", "to": "now"},
        "templating": {"list": [source]},
        "annotations": {"list": []},
        "panels": list(_placed(list(_panels(of, deployment)))),
    }


def _panels(of: str, deployment: Deployment) -> Iterator[_Panel]:
    psi = [one for one in deployment.monitoring.triggers if one.metric.startswith("psi(")]
    beyond = f"fielded_drift_psi_ratio{{{of}}} / fielded_drift_psi_chance_ratio{{{of}}}"
    seconds = "sum by (le) (rate(fielded_prediction_duration_seconds_bucket[5m]))"
    bound = min((float(one.when.split()[-1]) for one in psi), default=None)
    yield _Panel(
        "Triggers", "State of each trigger where it looks.", "state-timeline",
        [(f"max by (id, instance) (fielded_trigger_state{{{of}}})", "{{id}} {{instance}}")], width=16,
    )  # fmt: skip
    yield _Panel(
        "Since the monitor ran", "Nobody watches while this grows.", "stat",
        [(f"time() - max(fielded_monitor_last_run_timestamp_seconds{{{of}}})", "since the last run")],
        width=8, unit="s", bound=172800,
    )  # fmt: skip
    yield _Panel(
        "Drift by column", "PSI against training, of the score and each feature.", "timeseries",
        [(f"max by (feature) (fielded_drift_psi_ratio{{{of}}})", "{{feature}}")], bound=bound,
    )  # fmt: skip
    yield _Panel(
        "Drift beyond chance", "PSI over what chance alone keeps it below: above 1 is more.", "timeseries",
        [(f"max by (feature) ({beyond})", "{{feature}}")],
        bound=1.0,
    )  # fmt: skip
    yield _Panel(
        "Missing, out of range, new", "Shares of values that training had not.", "timeseries",
        [
            (f"max by (feature) (fielded_missing_ratio{{{of}}})", "missing: {{feature}}"),
            (f"max by (feature) (fielded_out_of_range_ratio{{{of}}})", "out of range: {{feature}}"),
            (f"max by (feature) (fielded_new_categories_ratio{{{of}}})", "new: {{feature}}"),
        ],
        unit="percentunit",
    )  # fmt: skip
    yield _Panel(
        "Scores and decisions", "Mean score, and shares flagged, reviewed, overridden and refused.", "timeseries",
        [
            (f"max(fielded_score_mean_ratio{{{of}}})", "mean score"),
            (f"max(fielded_flag_ratio{{{of}}})", "flagged"),
            (f"max(fielded_review_ratio{{{of}}})", "to a person"),
            (f"max(fielded_override_ratio{{{of}}})", "overridden"),
            (f"max(fielded_quarantine_ratio{{{of}}})", "refused"),
        ],
        unit="percentunit",
    )  # fmt: skip
    yield _Panel(
        "Performance on matured labels", "By day of the prediction, overall.", "timeseries",
        [(f'max by (metric) (fielded_performance_ratio{{{of},slice="overall"}})', "{{metric}}")],
        unit="percentunit",
    )  # fmt: skip
    yield _Panel(
        "Misses by slice", "False negative rate on matured labels.", "timeseries",
        [(f'max by (slice) (fielded_performance_ratio{{{of},metric="fnr"}})', "{{slice}}")], unit="percentunit",
    )  # fmt: skip
    yield _Panel(
        "Labels", "Share of matured scores that have one.", "timeseries",
        [(f"max(fielded_labels_coverage_ratio{{{of}}})", "coverage")],
        unit="percentunit", bound=deployment.monitoring.labels.min_coverage,
    )  # fmt: skip
    yield _Panel(
        "Waiting for somebody", "Cases, requests to retrain, reviews after promotion.", "timeseries",
        [
            (f"max(fielded_review_queue_items{{{of}}})", "cases"),
            (f"max(fielded_review_overdue_items{{{of}}})", "cases overdue"),
            (f"max(fielded_retraining_requests_open{{{of}}})", "requests to retrain"),
            (f"max(fielded_release_reviews_waiting{{{of}}})", "reviews after promotion"),
        ],
    )  # fmt: skip
    yield _Panel(
        "Rows", "Scored a day in the window; and answered by the API a second.", "timeseries",
        [
            (f"max(fielded_rows_per_day{{{of}}})", "a day"),
            (f"sum by (decision) (rate(fielded_predictions_total{{{of}}}[5m]))", "API, a second: {{decision}}"),
        ],
    )  # fmt: skip
    yield _Panel(
        "API answers", "From a request's arrival to its answer.", "timeseries",
        [
            (f"histogram_quantile({share}, {seconds})", told)
            for share, told in ((0.5, "half"), (0.95, "19 of 20"), (0.99, "99 of 100"))
        ],
        unit="s",
    )  # fmt: skip


def _placed(panels: Sequence[_Panel]) -> Iterator[Json]:
    x = y = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > _WIDTH:
            x, y = 0, y + _HEIGHT
        yield _panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": _HEIGHT})
        x += panel.width


def _panel(panel: _Panel, number: int, place: Json) -> Json:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.told,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for index, (expression, legend) in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": {},
    }


def _defaults(panel: _Panel) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    if panel.bound is not None:
        steps.append({"color": "red", "value": panel.bound})
    line = {"custom": {"thresholdsStyle": {"mode": "dashed" if panel.bound is not None else "off"}}}
    return {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        **(line if panel.kind == "timeseries" else {}),
        **({"mappings": [_states()]} if panel.kind == "state-timeline" else {}),
    }


def _states() -> Json:
    names: dict[int, list[str]] = {}
    for state, number in STATE_NUMBERS.items():
        names.setdefault(number, []).append(state.replace("_", " "))
    options = {
        str(number): {"text": " or ".join(states), "color": _COLORS[number], "index": index}
        for index, (number, states) in enumerate(names.items())
    }
    return {"type": "value", "options": options}
