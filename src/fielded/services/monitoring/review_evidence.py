"""What a review after promotion is done with: how the version did since, where labels lack, what fired."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np

from fielded.decisions.monitoring import labels_needed as needing
from fielded.decisions.monitoring.histograms import OVERALL, Place
from fielded.decisions.monitoring.instances import places_of
from fielded.decisions.monitoring.labelled_window import LabelledScores, matured_window
from fielded.decisions.monitoring.profile import Profile
from fielded.decisions.monitoring.release_reviews import ReleaseReview
from fielded.decisions.monitoring.report import finite
from fielded.decisions.monitoring.watch import CHANGED, RAN
from fielded.decisions.review import acts as cases
from fielded.definition.monitoring import Window
from fielded.services.release.record import about
from fielded.services.review.stats import review_stats
from fielded.words.errors import Refused, Unreachable
from fielded.world.labelled_scores import labelled_scores
from fielded.world.profiles import read_profile
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

FORMAT = 1
_MOST_ROWS = 10_000_000  # all that there are
_TOLD = 200  # alarms

Json = dict[str, Any]


def evidence_of(workplace: Workplace, standing: Mapping[str, Any], review: ReleaseReview, until: date) -> Json:
    """The evidence as one JSON value.

    Args:
        workplace: the deployment at its site.
        standing: the review as reports tell it.
        review: which version, since when.
        until: last day that is looked at.

    Raises:
        Unreachable: the ledger.
    """
    deployment, now = workplace.deployment, workplace.clock()
    since = review.promoted_at.date()
    version = review.version
    labelled = labelled_scores(workplace, version.version, version.sha256, since, until, now)
    places = places_of(labelled, _profile(workplace, review))
    maturity = deployment.monitoring.labels.maturity
    return {
        "format": FORMAT,
        "deployment": deployment.name,
        "model": deployment.model.name,
        "version": version.as_dict(),
        "definition_sha256": deployment.sha256,
        "review": dict(standing),
        "since": since.isoformat(),
        "until": until.isoformat(),
        "made_at": now.isoformat(),
        "made_by": workplace.user,
        "scored": int(sum(day.scored for day in labelled.by_day.values())),
        "labelled": int(labelled.known.sum()),
        "mean_score": finite(float(labelled.scores.mean())) if labelled.rows else None,
        "flag_rate": finite(float(labelled.flags.mean())) if labelled.rows else None,
        "maturity_days": maturity.total_seconds() / 86400,
        **_measured(workplace, labelled, places, (until - since).days + 1),
        "labels_needed": _needed(workplace, labelled, places),
        **_fired(workplace, review),
        "cases": _cases(workplace, review),
        "people": _people(workplace, since),
        "notes": list(labelled.notes),
    }


def _profile(workplace: Workplace, review: ReleaseReview) -> Profile | None:
    """Of the version's training data; None where its approved files are not to be had, or have none."""
    model = RegisteredVersion(workplace.deployment.model.name, review.version.version)
    try:
        return read_profile(workplace.artifacts.approved(model, review.version.sha256))
    except (Refused, Unreachable):
        return None


def _measured(
    workplace: Workplace, labelled: LabelledScores, places: Mapping[Place, np.ndarray], days: int
) -> Json:
    """Metrics of the cohorts that have matured, overall and by slice, as a monitor's report tells them."""
    watch, today = workplace.deployment.monitoring, workplace.clock().date()
    window = Window(last=_MOST_ROWS, max_age=timedelta(days=max(days, 1)))
    measured: list[Json] = []
    matured = None
    for place, mask in places.items():
        found = matured_window(labelled, (place, mask), window, watch.labels, today)
        matured = found if place == OVERALL else matured
        measured += [
            {
                "name": name,
                "column": place.column,
                "part": place.part,
                "value": finite(one.value),
                "low": finite(one.low),
                "high": finite(one.high),
                "rows": one.rows,
                "lacking": found.lacking,
            }
            for name, one in found.metrics.items()
        ]
    return {
        "measured": measured,
        "matured_labels": 0 if matured is None else matured.rows,
        "coverage": None if matured is None else finite(matured.coverage.value),
        "lacking": "" if matured is None else matured.lacking,
    }


def _needed(workplace: Workplace, labelled: LabelledScores, places: Mapping[Place, np.ndarray]) -> list[Json]:
    """What each slice has and needs, those that lack most first after all rows."""
    edge = workplace.clock().date() - workplace.deployment.monitoring.labels.maturity
    late = labelled.days <= np.datetime64(edge)
    known, labels, flags = labelled.known, labelled.labels, labelled.flags
    held = [
        needing.Place(
            name=str(place),
            labelled=int((mask & known).sum()),
            events=int((mask & known & labels).sum()),
            missed=int((mask & known & labels & ~flags).sum()),
            false_alarms=int((mask & known & ~labels & flags).sum()),
            immature=int((mask & ~known & ~late).sum()),
            overdue=int((mask & ~known & late).sum()),
        )
        for place, mask in places.items()
    ]
    needed = needing.labels_needed(held, needing.asked_by(workplace.deployment))
    rest = sorted(needed[1:], key=lambda one: (-one.still, one.place.name))
    return [
        {
            "slice": one.place.name,
            "labelled": one.place.labelled,
            "events": one.place.events,
            "needed": one.needed,
            "still": one.still,
            "on_their_way": one.place.immature,
            "overdue": one.place.overdue,
            "enough_coming": one.coming,
        }
        for one in [*needed[:1], *rest]
    ]


def _fired(workplace: Workplace, review: ReleaseReview) -> Json:
    """Alarms of the version since its promotion, and how often it was looked at."""
    fired: list[Json] = []
    ran: list[Json] = []
    for event in workplace.ledger.events_of({CHANGED, RAN}, about(workplace)):
        if event["occurred_at"] < review.promoted_at:
            continue
        if event["kind"] == RAN:
            if str(event["details"]["version"]) == review.version.version:
                ran.append(event)
            continue
        fired += [
            {
                "at": event["occurred_at"].isoformat(),
                **{name: change[name] for name in ("trigger", "instance", "why")},
            }
            for change in event["details"]["changes"]
            if change["to"] == "firing"
        ]
    return {
        "runs": len(ran),
        "last_report_sha256": ran[-1]["details"]["report_sha256"] if ran else None,
        "fired": fired[-_TOLD:],
    }


def _cases(workplace: Workplace, review: ReleaseReview) -> Json:
    """Decided cases of the version since its promotion, by outcome and reason."""
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for event in workplace.ledger.events_of(cases.DECIDED):
        details = event["details"]
        if event["occurred_at"] < review.promoted_at or details.get("model_version") != review.version.version:
            continue
        outcomes[str(details["outcome"])] += 1
        reasons[str(details["reason"])] += 1
    return {
        "decided": sum(outcomes.values()),
        "overridden": outcomes["override"],
        "reasons": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
    }


def _people(workplace: Workplace, since: date) -> Json:
    """How people decided since the promotion, whichever version made the score."""
    found = review_stats(workplace, max((workplace.clock().date() - since).days, 1))
    estimates = {
        "decisions that override the model": found.overrides.get("overall"),
        "agreement of a first and a second person (Cohen's kappa)": found.agreement.kappa,
        "right first judgements given up for a wrong score": found.bias.given_up,
        "wrong first judgements put right by the score": found.bias.put_right,
        "wrong decisions of the model, by those whom people looked at": found.errors.wrong,
        "events that the model misses, by those whom people looked at": found.errors.missed,
    }
    return {
        "waiting": found.queue.waiting,
        "overdue": found.queue.overdue,
        "late": found.late,
        "expired": found.expired,
        "estimates": [
            {
                "what": what,
                "value": finite(one.value),
                "low": finite(one.low),
                "high": finite(one.high),
                "rows": one.rows,
            }
            for what, one in estimates.items()
            if one is not None
        ],
    }
