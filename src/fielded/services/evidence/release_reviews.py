"""Evidence that what is in production is looked at again: reviews after promotion, with owners, none overdue.

1. The definition asks for a review after 30, 90 and 180 days, whatever others it asks for.
2. Each that the version in production asks for is on record, opening on the day that its promotion says.
3. Each names who is to do it.
4. None is overdue, of whatever version: one that left production late is still reviewed.
5. What was closed was closed by a person, with what was found and with the evidence it rests on.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.monitoring.release_reviews import ReleaseReview, asked_for
from fielded.decisions.release.acts import Pinned
from fielded.services.evidence.collect import Bench
from fielded.services.monitoring.reviews import Standing, reviews_of
from fielded.services.monitoring.schedule_reviews import scheduled_reviews
from fielded.services.release.record import state_of

DAYS = (30, 90, 180)  # after a promotion
_SCHEDULE = "Run `fielded monitor`: it schedules what is not on record"


def look(bench: Bench) -> Found:
    """Rules 1 to 5.

    Raises:
        FieldedError: the ledger's events break a rule, or it cannot be read.
    """
    workplace = bench.workplace
    watch, owner = workplace.deployment.monitoring, workplace.deployment.people.monitoring_owner.name
    state = state_of(workplace)
    asked = asked_for(state.history, watch.reviews, watch.review_due_days, owner)
    known, standing = scheduled_reviews(workplace), reviews_of(workplace)
    checks = (
        _days(watch.reviews),
        _in_production(state.production),
        _scheduled(asked, known),
        _owned(standing),
        _none_overdue(standing),
        _closed_well(standing),
    )
    facts = {
        "days": list(watch.reviews),
        "due_days": watch.review_due_days,
        "owner": owner,
        "model_version": None if state.production is None else state.production.version,
        "reviews": [one.as_dict() for one in standing],
        "counts": {name: sum(one.state == name for one in standing)
                   for name in ("scheduled", "open", "overdue", "closed", "overtaken")},
    }  # fmt: skip
    return Found(checks, facts)


def _days(days: Sequence[int]) -> Check:
    """Rule 1."""
    lacking = [day for day in DAYS if day not in days]
    return Check.of(
        "the definition asks for all of them",
        not lacking,
        got=f"monitoring.reviews: {', '.join(map(str, days)) or 'none'}",
        expected=f"{', '.join(map(str, DAYS))} among them",
        step=f"Add {', '.join(map(str, lacking))} to monitoring.reviews",
    )


def _in_production(production: Pinned | None) -> Check:
    return Check.of(
        "a version is in production by the ledger",
        production is not None,
        got="none" if production is None else str(production),
        expected="one that was adopted or promoted: reviews count from there",
        step="Run `fielded release adopt`, or promote a version",
    )


def _scheduled(asked: Sequence[ReleaseReview], known: Mapping[str, ReleaseReview]) -> Check:
    """Rule 2."""
    wrong = []
    for one in asked:
        found = known.get(one.id)
        if found is None:
            wrong.append(f"{one.id} is not on record")
        elif (found.opens, found.version, found.promotion) != (one.opens, one.version, one.promotion):
            wrong.append(f"{one.id} opens on {found.opens} for {found.version}, not on {one.opens}")
    told = ", ".join(f"{one.id} opens on {one.opens}" for one in asked)
    return Check.of(
        "each is on record with its day",
        bool(asked) and not wrong,
        got="; ".join(wrong) or told or "none is asked for",
        expected=told or "reviews of the version in production",
        step=_SCHEDULE,
    )


def _owned(standing: Sequence[Standing]) -> Check:
    """Rule 3."""
    without = [one.review.id for one in standing if not one.review.owner.strip()]
    owners = sorted({one.review.owner for one in standing if one.review.owner.strip()})
    return Check.of(
        "each has an owner",
        bool(standing) and not without,
        got=f"without one: {', '.join(without)}" if without else ", ".join(owners) or "no review",
        expected="a person for every review",
        step=_SCHEDULE,
    )


def _none_overdue(standing: Sequence[Standing]) -> Check:
    """Rule 4."""
    late = [one.review for one in standing if one.state == "overdue"]
    first = late[0].id if late else ""
    return Check.of(
        "none is overdue",
        not late,
        got=", ".join(f"{one.id} was due on {one.due}, of {one.owner}" for one in late) or "none",
        expected="every review closed by its due day",
        step=f"Run `fielded monitor review-open {first}`, read it, and close it with what you found",
    )


def _closed_well(standing: Sequence[Standing]) -> Check:
    """Rule 5."""
    closed = [one.review for one in standing if one.state == "closed"]
    wrong = [one.id for one in closed if not (one.closed_by and one.text.strip() and one.evidence)]
    return Check.of(
        "what is closed says what was found",
        not wrong,
        got=f"without text or evidence: {', '.join(wrong)}" if wrong else f"{len(closed)} closed",
        expected="a person, what was found and the evidence's digest for each that is closed",
        step="Run `fielded audit verify`: fielded closes none without them",
    )


COLLECTOR: Collector[Bench] = Collector(
    id="release-reviews",
    title="Reviews after promotion are scheduled with owners, and none is overdue",
    look=look,
    holds_for=timedelta(days=7),
    expected="reviews of the version in production, on record and in time",
)
