"""Ways to break a ready site, items 7 to 12: each does one thing to a copy; its docstring says which."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from breaking import FOLDER, MODELS, OWNED, RELEASES, SITE, TABLES, WATCH, ago, breaks, redefine, said
from fielded.decisions.monitoring import release_reviews, watch
from fielded.decisions.release import acts
from fielded.services.monitoring.record import append_request
from fielded.services.monitoring.schedule_reviews import scheduled_reviews
from fielded.services.readiness.acknowledge import ACKNOWLEDGED, acknowledge
from fielded.services.release.record import append, state_of
from fielded.services.seal import seal
from ready_site import FIRST, HOLDOUT, MODEL, OWNER, SECOND, Ready, settle, sign_one, work_orders

# Item 7


@breaks("threshold")
def _placeholder(site: Ready) -> None:
    """its rationale is still to be written."""
    redefine(site, _RATIONALE, "To be determined once somebody knows what a missed overrun costs.")


@breaks("threshold")
def _no_price(site: Ready) -> None:
    """its rationale does not say what being wrong costs."""
    redefine(site, _RATIONALE, "Half is what the shops have taken for as long as anybody remembers.")


@breaks("threshold", TABLES)
def _beaten(site: Ready) -> None:
    """another threshold costs less on the rows of the hold-out."""
    frame = work_orders(6000, 903, more=1.0)
    site.write(HOLDOUT, pa.Table.from_pandas(frame, preserve_index=False))


_RATIONALE = "A needless visit costs as much as a missed overrun, so a visit pays from a probability of one half."

# Item 8


@breaks("review-path")
def _nobody_reviews(site: Ready) -> None:
    """nobody has the role to review."""
    text = site.site_file.read_text().replace("[audit, release, review, score]", "[audit, release, score]")
    site.site_file.write_text(text.replace('"os:reviewer": [review]', '"os:reviewer": [score]'))
    site.replace_in(site.site_file, '"os:owner": [review]', '"os:owner": [audit]')


@breaks("review-path")
def _overdue_case(site: Ready) -> None:
    """cases are overdue."""
    redefine(site, "due_hours: 240", "due_hours: 1")


@breaks("review-path")
def _empty_band(site: Ready) -> None:
    """no score that there is lies in the band."""
    redefine(site, "review_band: [0.4, 0.6]", "review_band: [0.5, 0.5]")


# Item 9


@breaks("monitoring-owner")
def _another_owner(site: Ready) -> None:
    """the definition names somebody who has not acknowledged."""
    site.replace_in(site.site_file, "blair.example@", "finley.example@")
    redefine(
        site,
        "{name: Blair Example, email: blair.example@example.mil}",
        "{name: Finley Example, email: finley.example@example.mil}",
    )


@breaks("monitoring-owner", SITE)
def _not_theirs(site: Ready) -> None:
    """the identity that acknowledged is somebody else's."""
    site.replace_in(site.site_file, '["os:owner"]', '["os:first"]')


@breaks("monitoring-owner", OWNED)
def _long_ago(site: Ready) -> None:
    """the owner acknowledged more than a year ago."""
    said(site, ACKNOWLEDGED, {**_BLAIR, "mapped": True}, by=OWNER, at=ago(400))


@breaks("monitoring-owner", OWNED)
def _by_another(site: Ready) -> None:
    """somebody else acknowledged in the owner's name."""
    said(site, ACKNOWLEDGED, {**_BLAIR, "mapped": True}, by=SECOND)


@breaks("monitoring-owner")
def _private_address(site: Ready) -> None:
    """the owner's address is at no agency."""
    site.replace_in(site.site_file, "blair.example@example.mil", "blair.example@mail.example.net")
    site.replace_in(site.definition_file, "blair.example@example.mil", "blair.example@mail.example.net")
    acknowledge(site.open(OWNER))
    settle(site)


_BLAIR = {"name": "Blair Example", "email": "blair.example@example.mil"}

# Item 10


@breaks("retraining-trigger")
def _trigger_without_request(site: Ready) -> None:
    """no trigger asks for retraining."""
    redefine(site, "then: [open_retraining_request, notify_owner]", "then: [notify_owner]")


@breaks("retraining-trigger")
def _unwatched_definition(site: Ready) -> None:
    """the watch never ran with the trigger as it is."""
    site.replace_in(site.definition_file, 'when: "> 0.20"', 'when: "> 0.25"')
    settle(site, watched=False)


@breaks("retraining-trigger", WATCH)
def _unanswered_request(site: Ready) -> None:
    """a request to retrain waits beyond its day."""
    details = {
        "request": "retraining-1", "alarms": ["a"], "version": "2", "owner": "Blair Example",
        "due": ago(2).date().isoformat(), "why": "score-drift: psi(score) fires",
    }  # fmt: skip
    workplace = site.open(at=ago(40))
    assert append_request(workplace, 0, watch.REQUESTED, details)
    seal(site.open())


@breaks("retraining-trigger")
def _unknown_metric(site: Ready) -> None:
    """the trigger cannot be simulated."""
    redefine(site, "metric: psi(score)", "metric: override_rate")


# Item 11


@breaks("rollback")
def _deleted_version(site: Ready) -> None:
    """the previous version was deleted from the registry."""
    site.client().delete_model_version(MODEL, "1")


@breaks("rollback", MODELS)
def _lost_bytes(site: Ready) -> None:
    """the previous version's files were changed wherever they lie."""
    previous = state_of(site.open()).previous
    assert previous is not None
    places = [site.base / "cache" / "models" / previous.sha256]
    places.append(Path(site.client().get_model_version_download_uri(MODEL, "1").removeprefix("file://")))
    for place in places:
        (place / "MLmodel").write_text("flavors: {}\n")


@breaks("rollback", RELEASES)
def _stale_drill(site: Ready) -> None:
    """the last drill is too old."""
    _drilled(site, ago(100), passed=True)


@breaks("rollback", RELEASES)
def _failed_drill(site: Ready) -> None:
    """the last drill failed."""
    _drilled(site, ago(0), passed=False)


def _drilled(site: Ready, at: datetime, *, passed: bool) -> None:
    workplace = site.open(FIRST, at)
    append(workplace, state_of(workplace), acts.DRILLED, {"passed": passed})
    seal(site.open())


@breaks("rollback", FOLDER)
def _edited_runbook(site: Ready) -> None:
    """the runbook is another than the one that was signed."""
    site.replace_in(site.folder / "runbook.yaml", "wait for its answer", "do not wait")


@breaks("rollback", FOLDER)
def _runbook_without_command(site: Ready) -> None:
    """the runbook does not name the command."""
    site.replace_in(site.folder / "runbook.yaml", "Run `fielded rollback -m REASON`", "Call the desk")
    sign_one(site, "runbook")


@breaks("rollback", SITE)
def _nobody_releases(site: Ready) -> None:
    """nobody has the role to roll back."""
    text = site.site_file.read_text().replace("[release]", "[score]")
    site.site_file.write_text(text.replace("[audit, release, review, score]", "[audit, review, score]"))


# Item 12


@breaks("release-reviews")
def _too_few_reviews(site: Ready) -> None:
    """the definition asks for no review after half a year."""
    redefine(site, "monitoring:\n", "monitoring:\n  reviews: [30, 90]\n")


@breaks("release-reviews", WATCH)
def _overdue_review(site: Ready) -> None:
    """a review is overdue."""
    _scheduled(site, id="v2-0-1d", opens=ago(1).date(), due=ago(1).date())


@breaks("release-reviews", WATCH)
def _ownerless_review(site: Ready) -> None:
    """a review has no owner."""
    _scheduled(site, id="v2-0-60d", owner=" ")


@breaks("release-reviews")
def _misplaced_review(site: Ready) -> None:
    """a review is on record for another day than its promotion asks for."""
    known = _of_day(site, 90)
    _scheduled(site, id=known.id.replace("-90d", "-60d"), day=60, opens=known.opens, due=known.due)
    redefine(site, "monitoring:\n", "monitoring:\n  reviews: [30, 60, 90, 180]\n")


def _of_day(site: Ready, day: int) -> release_reviews.ReleaseReview:
    found = scheduled_reviews(site.open()).values()
    return next(one for one in found if one.day == day and one.version.version == "2")


def _scheduled(site: Ready, **changes: Any) -> None:
    """A review as it is on record, but for some of it."""
    said(site, release_reviews.SCHEDULED, replace(_of_day(site, 30), **changes).details())
