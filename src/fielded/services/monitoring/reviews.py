"""Reviews after promotion: listed, looked at, closed. The rules are in `decisions.monitoring.release_reviews`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fielded.decisions.monitoring import release_reviews as rules
from fielded.decisions.monitoring.release_reviews import ReleaseReview, State
from fielded.decisions.release.acts import ReleaseEvent
from fielded.services.authority import require_role
from fielded.services.monitoring.review_evidence import evidence_of
from fielded.services.monitoring.review_report import write_review
from fielded.services.monitoring.schedule_reviews import scheduled_reviews
from fielded.services.release.record import about, state_of
from fielded.services.seal import seal
from fielded.words.errors import Refused, WrongUse
from fielded.world.ledger import Event
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Standing:
    """A review and where it stands today."""

    review: ReleaseReview
    state: State

    @property
    def waits(self) -> bool:
        """Whether somebody is to do it now."""
        return self.state in ("open", "overdue")

    def as_dict(self) -> dict[str, Any]:
        """For a report or a machine."""
        one = self.review
        told = {name: value for name, value in one.details().items() if name != "sha256"}
        closed = {
            "closed_by": one.closed_by,
            "closed_at": None if one.closed_at is None else one.closed_at.isoformat(),
            "text": one.text,
        }
        return {**told, "state": self.state, "evidence_sha256": one.evidence, **closed}


def reviews_of(workplace: Workplace, *, all_of_them: bool = True) -> list[Standing]:
    """Every review, in the order in which they open.

    Args:
        workplace: the deployment at its site.
        all_of_them: also those that are closed or overtaken.

    Raises:
        Refused: the ledger's events break a rule.
        Unreachable: the ledger.
    """
    reviews = scheduled_reviews(workplace)
    history = state_of(workplace).history if reviews else ()
    today = workplace.clock().date()
    standing = [Standing(one, rules.state_of(one, history, today)) for one in reviews.values()]
    return [one for one in standing if all_of_them or one.state not in ("closed", "overtaken")]


@dataclass(frozen=True, slots=True)
class Opened:
    """A review with its evidence.

    Attributes:
        standing: where it stands.
        folder: with `review.json` and `review.html`.
        sha256: of `review.json`.
        evidence: what is in it.
    """

    standing: Standing
    folder: Path
    sha256: str
    evidence: Mapping[str, Any]


def open_review(workplace: Workplace, review_id: str, folder: Path) -> Opened:
    """Make the evidence of a review, as of now, and put its digest on record.

    Args:
        workplace: the deployment at its site.
        review_id: see `rules`, rule 1.
        folder: for the two files; made where it is not there.

    Raises:
        WrongUse: there is no such review.
        Refused: it has not opened yet.
        Unreachable: the ledger, or the folder.
    """
    history = state_of(workplace).history
    standing = _standing(workplace, review_id, history)
    review = standing.review
    if standing.state == "scheduled":
        raise Refused(f"review {review.id}: got one that opens on {review.opens}, expected an open one")
    left, today = rules.left_on(review, history), workplace.clock().date()
    evidence = evidence_of(workplace, standing.as_dict(), review, today if left is None else min(left, today))
    sha256 = write_review(folder, evidence)
    workplace.record(rules.OPENED, about(workplace), {"id": review.id, "evidence_sha256": sha256})
    seal(workplace)
    return Opened(standing, folder, sha256, evidence)


def close_review(workplace: Workplace, review_id: str, text: str) -> Standing:
    """Close a review with what was found. The asking person stands for it by name.

    Raises:
        WrongUse: there is no such review.
        Refused: the asking person has not the role `review`; it may not be closed (rule 4); somebody was first.
        Unreachable: the ledger.
    """
    require_role(workplace, "review")
    standing = _standing(workplace, review_id, state_of(workplace).history)
    review = standing.review
    rules.check_closing(review, standing.state, text)
    event = Event(
        kind=rules.CLOSED,
        about=about(workplace),
        actor=workplace.user,
        occurred_at=workplace.clock(),
        details={"id": review.id, "text": text.strip(), "evidence_sha256": review.evidence},
    )
    application = f"release-review/{about(workplace)}/{review.id}"
    if not workplace.ledger.append_if(event, workplace.random_bytes, application, 0):
        raise Refused(f"review {review.id}: somebody else closed it first. Look at `fielded monitor reviews`")
    seal(workplace)
    return _standing(workplace, review_id, state_of(workplace).history)


def _standing(workplace: Workplace, review_id: str, history: tuple[ReleaseEvent, ...]) -> Standing:
    reviews = scheduled_reviews(workplace)
    if review_id not in reviews:
        known = ", ".join(reviews) or "none is on record; `fielded monitor run` schedules them"
        raise WrongUse(f"review: got {review_id}, expected one of: {known}")
    review = reviews[review_id]
    return Standing(review, rules.state_of(review, history, workplace.clock().date()))
