"""The plan as a calendar (RFC 5545), for whoever keeps one: whole days, no times, nobody's address.

1. An item that is not done is an event from the day on which it starts with every item at its low end to the day
   on which it has ended with every item at its high end. What was started begins on its own day.
2. The last day on which an item can start, to be sure of the need date, is an event with a reminder a week ahead.
3. The authorization is an event from the tenth to the ninety-fifth percentile of the draws; the need date is one.
4. Identifiers are made of names alone and the sequence counts what is on record, so that a calendar that takes a
   newer plan moves its events instead of having them twice.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from fielded.decisions.ato.advice import chance
from fielded.decisions.ato.schedule import Planned
from fielded.decisions.ato.work import WEEK
from fielded.services.ato.plan import Plan
from fielded.words.errors import WrongUse

_MADE_BY = "-//fielded//authorization plan//EN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event of the calendar.

    Attributes:
        name: stable, for its identifier.
        summary: its title.
        words: what it tells.
        first: first day.
        last: last day, included.
        reminder: days ahead on which it reminds; None where it does not.
        busy: whether it takes somebody's time: a day to remember takes none.
    """

    name: str
    summary: str
    words: str
    first: date
    last: date
    reminder: int | None = None
    busy: bool = False


def entries_of(plan: Plan) -> Iterator[Entry]:
    """The events by rules 1 to 3, without a calendar's library."""
    schedule = plan.schedule
    for one in schedule.items:
        if one.state != "done":
            yield _item(one)
        if one.start_by is not None and one.state == "open":
            yield Entry(
                name=f"start-by/{one.work.id}",
                summary=f"Start by today: {one.work.title}",
                words=f"Later, {schedule.need} is not sure any more. Past {one.last_start} it is lost.",
                first=one.start_by,
                last=one.start_by,
                reminder=WEEK,
            )
    if schedule.need is not None:
        chances = f"{chance(schedule.apart.chance)} of the plans meet it"
        yield Entry(
            name="need", summary="Authorization needed", words=chances, first=schedule.need, last=schedule.need,
            reminder=4 * WEEK,
        )  # fmt: skip
    if not schedule.authorized:
        spread = schedule.apart.percentiles
        yield Entry(
            name="authorization",
            summary="Authorization expected",
            words=f"Half of the plans are done by {spread[50]}, 80 of 100 by {spread[80]}.",
            first=spread[10],
            last=spread[95],
        )


def _item(one: Planned) -> Entry:
    slack = one.slack or (0, 0)
    return Entry(
        name=f"item/{one.work.id}",
        summary=one.work.title,
        words=(
            f"RMF {one.work.step}, CSRMC {one.work.phase}. At the low ends {one.low.start} to {one.low.end}, at "
            f"the high ends {one.high.start} to {one.high.end}; slack {slack[0]} and {slack[1]} days."
        ),
        first=one.low.start,
        last=max(one.low.start, one.high.end - timedelta(days=1)),
        busy=True,
    )


def calendar_of(plan: Plan) -> str:
    """The calendar file.

    Raises:
        WrongUse: the extra that writes it is not installed.
    """
    library = _icalendar()
    calendar = library.Calendar()
    calendar.add("prodid", _MADE_BY)
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"Authorization of {plan.deployment}")
    for entry in entries_of(plan):
        calendar.add_component(_event(library, plan, entry))
    return str(calendar.to_ical().decode())


def _event(library: Any, plan: Plan, entry: Entry) -> Any:
    event = library.Event()
    event.add("uid", str(uuid5(NAMESPACE_URL, f"fielded:{plan.deployment}:{plan.about}:{entry.name}")))
    event.add("dtstamp", plan.made_at.replace(microsecond=0))
    event.add("sequence", plan.acts)
    event.add("summary", entry.summary)
    event.add("description", entry.words)
    event.add("dtstart", entry.first)
    event.add("dtend", entry.last + timedelta(days=1))  # RFC 5545: the day after the last
    event.add("transp", "OPAQUE" if entry.busy else "TRANSPARENT")
    event.add("categories", ["authorization"])
    if entry.reminder is not None:
        alarm = library.Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", entry.summary)
        alarm.add("trigger", timedelta(days=-entry.reminder))
        event.add_component(alarm)
    return event


def _icalendar() -> Any:
    try:
        return importlib.import_module("icalendar")
    except ImportError:
        raise WrongUse(
            "plan.ics: got a calendar to write, expected the package icalendar, which is not installed. "
            'Install the extra: pip install "fielded[ato]"'
        ) from None
