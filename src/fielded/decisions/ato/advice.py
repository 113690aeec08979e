"""What a schedule tells people: where it stands, what to start this week, what waiting costs."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from fielded.decisions.ato.schedule import Planned, Schedule
from fielded.decisions.ato.work import WEEK, is_assumed


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to do in the seven days from today.

    Attributes:
        item: its id.
        text: what to do, and what a week's wait costs.
    """

    item: str
    text: str


def standing(schedule: Schedule) -> Iterator[str]:
    """Where the authorization stands, a sentence each."""
    yield _begun(schedule)
    if schedule.authorized:
        yield f"Authorized on {schedule.earliest}{_against(schedule, schedule.earliest)}."
        return
    yield (
        f"Authorization at the earliest on {schedule.earliest}, every item at its low end, and at the latest on "
        f"{schedule.latest}, every item at its high end."
    )
    yield _drawn(schedule)
    yield _needed(schedule)
    if schedule.planned is not None:
        yield _planned(schedule, schedule.planned)
    for one in schedule.items:
        if one.overdue:
            yield (
                f"{one.work.title} was started on {one.said.started} and is {days(one.overdue)} beyond its high "
                "end. Say when it is done, or how long it takes."
            )
    assumed = [one.work.title for one in schedule.items if is_assumed(one.work) and one.state != "done"]
    if assumed:
        yield (
            f"Assumed, for nobody gave a range: {', '.join(assumed)}. Ask who does it, and put the answer on "
            "record with `fielded ato estimate ITEM LOW..HIGH`."
        )


def _begun(schedule: Schedule) -> str:
    if schedule.kickoff is None:
        return (
            "No kickoff is on record. Nothing starts before it: each day without one is a day by which the "
            "authorization comes later. Run `fielded ato kickoff`."
        )
    told = str(schedule.kickoff)
    return f"{told[:1].upper()}{told[1:]}."


def _drawn(schedule: Schedule) -> str:
    apart, together = schedule.apart.percentiles, schedule.together.percentiles
    return (
        f"Of {schedule.draws:,} plans drawn between the ends, half are done by {apart[50]}, 80 of 100 by "
        f"{apart[80]} and 95 of 100 by {apart[95]} where each item has its own luck; by {together[50]}, "
        f"{together[80]} and {together[95]} where all are late together."
    )


def _needed(schedule: Schedule) -> str:
    need = schedule.need
    if need is None:
        return "The definition names no day on which the authorization is needed (`ato.need_date`)."
    if schedule.latest <= need:
        spare = days((need - schedule.latest).days)
        return f"Needed on {need}: met with every item at its high end, {spare} to spare."
    if schedule.earliest > need:
        late = days((schedule.earliest - need).days)
        return (
            f"Needed on {need}: not met with every item at its low end, {late} too late. Move the day, or ask the "
            "authorizing official what may be had before."
        )
    return (
        f"Needed on {need}: met in {chance(schedule.apart.chance)} of the plans where each item has its own luck, "
        f"in {chance(schedule.together.chance)} where all are late together."
    )


def _planned(schedule: Schedule, planned: tuple[date, date]) -> str:
    low, high = (
        (now - then).days for now, then in zip((schedule.earliest, schedule.latest), planned, strict=True)
    )
    if not low and not high:
        return "Nothing was lost since the kickoff."
    return (
        f"At the kickoff it was {planned[0]} to {planned[1]}: the earliest day moved by {low:+d} days since, the "
        f"latest by {high:+d}."
    )


def this_week(schedule: Schedule) -> list[Advice]:
    """What can be started in the seven days from today, the dearest wait first."""
    if schedule.authorized:
        return []
    ready = [one for one in schedule.items if one.can_start(schedule.today)]
    ready.sort(key=lambda one: (-_mean(one), one.work.id))
    return [Advice(one.work.id, f"{one.work.title}: {_cost(one)}{_by(one, schedule.today)}") for one in ready]


def _mean(one: Planned) -> float:
    return 0.0 if one.week_late is None else one.week_late.mean


def _cost(one: Planned) -> str:
    late, slack = one.week_late, one.slack
    if late is None or slack is None or not late.mean:
        spare = min(slack or (0, 0))
        return f"a week's wait costs nothing, {days(spare)} of slack at least"
    return (
        f"a week's wait costs {late.mean:.1f} days in the mean of the draws, {late.low} of {WEEK} at the low "
        f"ends, {late.high} at the high ends"
    )


def _by(one: Planned, today: date) -> str:
    if one.start_by is None or one.last_start is None:
        return ""
    if one.last_start < today:
        return f"; for the need date it was due by {one.last_start}, even at the low ends"
    if one.start_by < today:
        return f"; to be sure of the need date it was due by {one.start_by}, and the last day is {one.last_start}"
    return f"; to be sure of the need date, start it by {one.start_by}"


def days(count: int) -> str:
    """So many days, in words."""
    return f"{count} day{'' if count == 1 else 's'}"


def chance(share: float | None) -> str:
    """A share of the draws, never rounded to all or none of them."""
    if share is None:
        return "none"
    if 0 < share < 0.01:  # noqa: PLR2004 - one of a hundred
        return "less than 1%"
    if 0.99 < share < 1:  # noqa: PLR2004 - see above
        return "more than 99%"
    return f"{share:.0%}"


def _against(schedule: Schedule, day: date) -> str:
    if schedule.need is None:
        return ""
    late = (day - schedule.need).days
    return f", {days(late)} after it was needed" if late > 0 else f", {days(-late)} before it was needed"
