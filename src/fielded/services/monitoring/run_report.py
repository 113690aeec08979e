"""From what a run of the monitor saw to its report. `reporter` is what `monitor.run` is given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fielded.decisions.monitoring.estimated import estimated_of_counts
from fielded.decisions.monitoring.histograms import OVERALL
from fielded.decisions.monitoring.measure import Sources
from fielded.decisions.monitoring.metrics import Counts
from fielded.decisions.monitoring.report import About, Json, Seen, report_of, shown
from fielded.decisions.monitoring.watch import Request
from fielded.decisions.release.acts import Pinned
from fielded.definition.monitoring import SCORE
from fielded.services.monitoring.monitor import Looked, Report
from fielded.services.monitoring.prometheus import write_metrics
from fielded.services.monitoring.record import requests
from fielded.services.monitoring.report import write_monitor_report
from fielded.services.monitoring.reviews import reviews_of
from fielded.services.review.stats import review_stats
from fielded.world.workplace import Workplace


def reporter(workplace: Workplace, folder: Path, metrics_file: Path | None = None) -> Report:
    """What writes a run's report, and its metrics where a file is given.

    Args:
        workplace: the deployment at its site.
        folder: for `monitor.json` and `monitor.html`.
        metrics_file: for Prometheus; None writes none.
    """

    def write(looked: Looked) -> str:
        report = report_from(workplace, looked)
        sha256 = write_monitor_report(folder, report)
        if metrics_file is not None:
            write_metrics(metrics_file, report)
        return sha256

    return write


def report_from(workplace: Workplace, looked: Looked) -> Json:
    """The report of what a run saw.

    Raises:
        Refused: the ledger's events break a rule.
        Unreachable: the ledger.
    """
    deployment, sources = workplace.deployment, looked.measurer.sources
    monitoring = deployment.monitoring
    about = About(
        deployment=deployment.name,
        model=deployment.model.name,
        version=Pinned(looked.model.version, looked.sha256),
        definition_sha256=deployment.sha256,
        made_by=workplace.user,
        owner=deployment.people.monitoring_owner.name,
        threshold=deployment.decision.threshold,
        slices=deployment.slices,
        profile_rows=None if sources.profile is None else sources.profile.rows,
        previous=_previous(looked),
    )
    matured = None
    if sources.labelled is not None:
        matured = looked.measurer.matured(OVERALL, monitoring.window, monitoring.labels)
    seen = Seen(
        evaluations=looked.evaluations,
        states=looked.states,
        before=looked.before.states,
        measured=[
            measured
            for trigger in shown(monitoring, deployment.slices)
            for measured in looked.measurer.measure(trigger)
        ],
        matured=matured,
        estimated=_estimated(workplace, sources),
        queue=_queue(workplace),
        retraining=[_request(one) for one in requests(workplace) if one.closed_at is None],
        release_reviews=[one.as_dict() for one in reviews_of(workplace, all_of_them=False)],
    )
    return report_of(about, monitoring, sources, seen)


def _estimated(workplace: Workplace, sources: Sources) -> Mapping[str, float | None] | None:
    """What the scores of the window promise; None where nobody counted them."""
    if sources.profile is None:
        return None
    _, found = Counts(sources).of(OVERALL, workplace.deployment.monitoring.window)
    counts = found.of(OVERALL, SCORE)
    if counts is None or not counts.sum():
        return None
    inside = np.asarray(counts[1:-2], dtype=float)  # without what lies below, above, and nulls: see `Grid`
    made = estimated_of_counts(sources.profile.grids[SCORE].edges, inside, workplace.deployment.decision.threshold)
    return {name: one.promised for name, one in made.metrics.items()}


def _queue(workplace: Workplace) -> Mapping[str, float | None]:
    """Cases as they are now, whatever day was looked at; what is counted is counted over 90 days."""
    found = review_stats(workplace)
    return {
        "items": found.queue.waiting,
        "oldest_age_seconds": found.queue.oldest_seconds,
        "overdue": found.queue.overdue,
        "decided": found.decided,
        "late": found.late,
        "expired": found.expired,
    }


def _previous(looked: Looked) -> Mapping[str, Any] | None:
    ran = looked.before.ran
    if ran is None:
        return None
    return {
        "at": ran.at.isoformat(),
        "event_id": ran.event_id,
        "report_sha256": str(ran.details["report_sha256"]),
    }


def _request(one: Request) -> Json:
    return {
        "request": one.id,
        "why": one.why,
        "opened_at": one.opened_at.isoformat(),
        "due": one.due.isoformat(),
        "owner": one.owner,
    }
