"""Choose a review band: what each would cost and catch on labelled rows, and the queue that it would make.

    labelled rows -> the scorer in production -> `decisions.review.band`
    scores of late -> `decisions.review.volume`      both -> `band.json` and `band.html`

1. The labelled rows are those that versions are compared on (`services.release.holdout`): the hold-out, and what
   the ledger scored after the training period and has an outcome for.
2. They are scored by what is in production, through the scorer that scores there.
3. Without a price of a review that of the definition's band is taken: the middle of those at which its two ends
   are right.
4. Nothing is changed. Whoever wants another band writes it into the definition.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fielded.decisions.measuring.intervals import Estimate
from fielded.decisions.review.band import Band, Point, Prices, Study, implied, study
from fielded.decisions.review.volume import Queue, RecentScores, queue_of
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.release.holdout import LabelledRows, labelled_rows
from fielded.services.release.scored_rows import scores_of
from fielded.services.review.band_report import write_band
from fielded.words.errors import Refused
from fielded.world.provenance import recorded_training_data
from fielded.world.recent_scores import recent_scores
from fielded.world.workplace import Workplace

FORMAT = 1
CONFIDENCE = 0.95
DAYS = 28  # of late, that the queue is counted over

_BATCH = 65_536  # rows scored at once

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A study that was made.

    Attributes:
        report: all of it, as `band.json` has it.
        folder: where it lies.
        sha256: of `band.json`.
    """

    report: Json
    folder: Path
    sha256: str


def draw_band(workplace: Workplace, scorers: Scorers, cost: float | None, folder: Path) -> Drawn:
    """Study review bands on labelled rows, and write the report.

    Args:
        workplace: the deployment at its site.
        scorers: where models come from.
        cost: of a review, in shares of (one missed event plus one needless flag); None: see rule 3.
        folder: for the report; made where it is not there.

    Raises:
        WrongUse: the cost is negative, or the threshold is 0 or 1.
        Refused: no row has a label, or the model in production cannot be used.
        Unreachable: a table, the registry, or the folder.
    """
    decision = workplace.deployment.decision
    ends = implied(decision.threshold, decision.review_band)
    prices = Prices(decision.threshold, sum(ends) / 2 if cost is None else cost)
    model, sha256 = resolve(workplace)
    recorded = recorded_training_data(workplace.site, model)
    labelled = labelled_rows(workplace, recorded.last_day, recorded.tables)
    if not labelled.features.num_rows:
        left_out = "".join(f". {note}" for note in labelled.notes)
        raise Refused(
            f"labelled rows: got none, expected some to draw error and cost on{left_out}. Name a hold-out under "
            "release.holdout, or load outcomes with `fielded outcomes load`"
        )
    scores = scores_of(scorers.get(model, sha256), labelled.features).scores
    found = study(labelled.labels, scores, prices, decision.review_band, CONFIDENCE)
    about = {
        "format": FORMAT,
        "deployment": workplace.deployment.name,
        "model": model.name,
        "version": {"version": model.version, "sha256": sha256},
        "definition_sha256": workplace.deployment.sha256,
        "made_at": workplace.clock().isoformat(),
        "made_by": workplace.user,
        "cost_given": cost is not None,
    }
    report = {**about, **_rows(labelled), **_told(workplace, found)}
    return Drawn(report, folder, write_band(folder, report))


def _rows(labelled: LabelledRows) -> Json:
    return {
        "rows": {"holdout": labelled.holdout, "outcomes": labelled.outcomes},
        "notes": list(labelled.notes),
    }


def _told(workplace: Workplace, found: Study) -> Json:
    """The study with the queue of each band."""
    carry = workplace.deployment.review.carry
    table = workplace.tables.find(workplace.ledger.predictions)
    recent = recent_scores(table, DAYS, carry.days)

    def point(one: Point) -> Json:
        queue = None if recent is None else _queue(queue_of(recent, one.band, carry))
        return {**_point(one), "queue": queue}

    prices, least = found.prices, found.least
    return {
        "threshold": prices.threshold,
        "costs": {
            "missed": prices.missed,
            "needless": prices.needless,
            "review": prices.review,
            "most": prices.most,
        },
        "confidence": CONFIDENCE,
        "labelled": found.rows,
        "events": found.events,
        "band": _band(found.chosen.band),
        "definition_band": _band(found.in_force.band),
        "implied": list(found.implied),
        "calibration": _calibration(found),
        "least": {name: _band(getattr(least, name)) for name in ("band", "narrowest", "widest")},
        "points": {
            "nothing": point(found.nothing),
            "in_force": point(found.in_force),
            "chosen": point(found.chosen),
            "chow": [point(one) for one in found.chow],
            "symmetric": [point(one) for one in found.symmetric],
        },
        "recent": None if recent is None else _recent(recent, carry.days, carry.score_change),
    }


def _point(one: Point) -> Json:
    estimates = ("reviewed", "errors", "missed", "needless", "cost", "saved")
    told: Mapping[str, Estimate] = {name: getattr(one, name) for name in estimates}
    return {
        "band": _band(one.band),
        "right_at": one.right_at,
        **{name: _estimate(estimate) for name, estimate in told.items()},
    }


def _calibration(found: Study) -> Json:
    calibration = found.calibration
    return {
        **{name: _estimate(getattr(calibration, name)) for name in ("overall", "below", "inside", "above")},
        "off": list(calibration.off),
        "bins": [{"score": one.score, "events": _estimate(one.events)} for one in calibration.bins],
    }


def _recent(recent: RecentScores, carry_days: int, score_change: float) -> Json:
    return {
        "first": recent.first.isoformat(),
        "last": recent.last.isoformat(),
        "days": recent.counted_days,
        "begins": recent.begins.isoformat(),
        "backlog": recent.begins == recent.first,
        "share": recent.share,
        "scores": int((recent.days >= np.datetime64(recent.first)).sum()),
        "carry": {"days": carry_days, "score_change": score_change},
    }


def _queue(queue: Queue) -> Json:
    return {"a_week": queue.a_week, "fewest": queue.fewest, "most": queue.most}


def _band(band: Band | None) -> list[float] | None:
    return None if band is None else [float(end) for end in band]


def _estimate(one: Estimate) -> Json:
    return {"value": one.value, "low": one.low, "high": one.high, "rows": one.rows}
