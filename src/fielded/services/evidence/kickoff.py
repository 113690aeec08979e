"""Readiness item 1: the authorization began no later than the model (RMF Prepare; PM-10, SA-3).

1. The model began when its first version was registered, by the registry; or when the first of its versions was
   approved for loading, by the ledger, where that was earlier: a registry that was copied has later times.
2. A kickoff that was recorded on its day counts from that moment. One that was recorded later is a person's word
   for a day: it counts as that day, needs a reference, and the evidence is attested by who recorded it.
3. Days lost are those between the two. They cannot be made up for, only be told.
"""

import math
from datetime import UTC, datetime

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.ato.advice import days
from fielded.decisions.ato.progress import Kickoff, Progress, check_kickoff
from fielded.services.approve import APPROVED
from fielded.services.ato.progress import progress_of
from fielded.services.evidence.collect import Bench
from fielded.services.release.record import about
from fielded.words.errors import Refused, Unreachable
from fielded.world.workplace import Workplace

_EXPECTED = "a kickoff of the authorization no later than the first registered version"
_DAY = 86_400  # seconds
# When a model began of which nothing was registered yet: whatever is before that is in time.
_NEVER = datetime.max.replace(tzinfo=UTC)


def look(bench: Bench) -> Found:
    """When the authorization began, and when the model did."""
    workplace = bench.workplace
    progress = progress_of(workplace)
    kickoff = progress.kickoff
    if kickoff is None:
        step = "Run `fielded ato kickoff -m WHY`"
        return Found(
            (Check.of("kickoff is on record", False, got="none", expected="one", step=step),), {"kickoff": None}
        )
    on_record = Check.of("kickoff is on record", True, got=str(kickoff), expected="one")
    known, facts = _began(workplace)
    facts["kickoff"] = kickoff.as_dict()
    checks = (
        on_record,
        _dated(kickoff),
        _second_is_refused(workplace, progress),
        *_compared(kickoff, known, facts),
    )
    return Found(checks, facts, attested_by=kickoff.recorded_by if kickoff.days_later else "")


def _dated(kickoff: Kickoff) -> Check:
    """Rule 2."""
    later = kickoff.days_later
    got = "recorded that day"
    if later:
        got = f"recorded {days(abs(later))} {'later' if later > 0 else 'before'}, reference: "
        got += kickoff.reference or "none"
    return Check.of(
        "kickoff has a reference where it was recorded later",
        not later or (later > 0 and bool(kickoff.reference)),
        got=got,
        expected="a record on its day, or a later one with a reference",
        step="The first kickoff counts and stays. Waive the item with what shows the day",
    )


def _second_is_refused(workplace: Workplace, progress: Progress) -> Check:
    """A kickoff cannot be made earlier by another one."""
    today = workplace.clock().date()
    try:
        check_kickoff(progress, today, today, "", "probe of readiness")
    except Refused:
        refused = True
    else:
        refused = False
    got = "refused" if refused else "allowed"
    return Check.of("second kickoff is refused", refused, got=got, expected="refused", negative=True)


def _began(workplace: Workplace) -> tuple[datetime | str, dict[str, object]]:
    """Rule 1: when, or why that is not known; `_NEVER` where nothing was registered. And the facts."""
    name = workplace.deployment.model.name
    versions = f"{about(workplace)} version "
    approved = [
        event["occurred_at"]
        for event in workplace.ledger.events_of(APPROVED)
        if str(event["about"]).startswith(versions)
    ]
    facts: dict[str, object] = {"first_approved": min(approved).isoformat() if approved else None}
    try:
        registered = workplace.registry.first_registered(name)
    except Unreachable as error:
        return str(error), facts
    facts["first_registered"] = None if registered is None else registered.isoformat()
    if registered is None and approved:
        return f"the registry knows no version of {name}, of which the ledger has approvals: it is another", facts
    times = [*approved, *([] if registered is None else [registered])]
    return min(times, default=_NEVER), facts


def _compared(kickoff: Kickoff, began: datetime | str, facts: dict[str, object]) -> tuple[Check, ...]:
    """Rule 3; the days go to the facts."""
    name = "kickoff is no later than the first version"
    if isinstance(began, str):
        step = "Check tracking_uri in site.yaml and collect again"
        return (Check.missing(name, why=began, expected=_EXPECTED, step=step),)
    if began == _NEVER:
        facts |= {"first_version": None, "days_lost": 0.0, "days_ahead": None}
        return (Check.of(name, True, got="no version is registered yet", expected=_EXPECTED),)
    if kickoff.days_later:
        late = float((kickoff.on - began.date()).days)
    else:
        late = (kickoff.recorded_at - began).total_seconds() / _DAY
    lost = math.ceil(max(late, 0.0) * 10) / 10  # upwards: an hour is not nothing
    ahead = math.floor(max(-late, 0.0) * 10) / 10
    facts |= {"first_version": began.isoformat(), "days_lost": lost, "days_ahead": ahead}
    told = f"{lost:g} days lost" if late > 0 else f"{ahead:g} days ahead"
    return (
        Check.of(
            name,
            late <= 0,
            got=f"first version at {began:%Y-%m-%d %H:%M} UTC, {kickoff}: {told}",
            expected=_EXPECTED,
            step="The days are lost: waive the item, saying why it began late",
        ),
    )


COLLECTOR: Collector[Bench] = Collector(
    id="kickoff",
    title="The authorization began no later than the model",
    look=look,
    holds_for=None,
    expected=_EXPECTED,
)
