"""The schedule of an authorization: earliest and latest, slack, what is critical, and what a late start costs.

1. Days are whole and in UTC. An item that starts on a day and takes seven ends seven days later, and what waits
   for it starts on that day. The authorization is there on the day on which the decision ends.
2. What is done has its own days. What was started has its own start, whatever it should have waited for, and
   takes as long as its range says, but never ends before today. What is not started starts when all that it waits
   for has ended, and never before today: nothing is done in the past.
3. Two passes forward: all items at their low ends give the earliest authorization, all at their high ends the
   latest. The pass backward gives the slack: days by which an item may end later and the authorization does not.
4. Between the ends each item's days are drawn from a triangle that is highest in the middle: nobody said more
   than the ends. Of what was started, only draws count in which it is not done yet. It is done twice: each item
   by itself (`apart`), and all with the same luck (`together`), for one team that is late is late in everything.
   The truth lies between; with `together` the far percentiles are further away.
5. An item is critical as often as it has no slack in the draws of `apart`.
6. A late start costs what the authorization moves when one item alone starts a week later than it could: its
   slack is what it costs nothing of.
7. `start_by` is the last day on which an item can start for the need date to be met with every item at its high
   end, `last_start` the same at the low ends: after that the date is lost, unless something goes faster than
   ever.
8. What was planned at the kickoff is reckoned from that day as if nothing were on record.
9. The same seed gives the same draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from fielded.decisions.ato.progress import Kickoff, Progress, Standing
from fielded.decisions.ato.work import DECISION, WEEK, Work

PERCENTILES = (10, 50, 80, 95)
DRAWS = 20_000

_NONE = 1e-6  # days of slack that are none
_MIDDLE = 0.5

State = Literal["open", "started", "done"]
Days = np.ndarray  # ordinal days or spans of days, one for each way in which things may go


@dataclass(frozen=True, slots=True)
class Span:
    """From the day on which something starts to the day on which it has ended."""

    start: date
    end: date

    def as_dict(self) -> dict[str, str]:
        """JSON values."""
        return {"start": self.start.isoformat(), "end": self.end.isoformat()}


@dataclass(frozen=True, slots=True)
class Costs:
    """Days by which the authorization moves when an item starts a week later; see rule 6.

    Attributes:
        low: with all items at their low ends.
        high: at their high ends.
        mean: over the draws.
    """

    low: int
    high: int
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One item in the schedule.

    Attributes:
        work: what it is.
        state: how far it has come.
        low: when it is done, all items at their low ends.
        high: the same at their high ends.
        slack: days, at the low and at the high ends; None where it is done.
        critical: share of the draws in which it has no slack; 0 where it is done.
        start_by: see rule 7; None where it was started or nobody said a need date.
        last_start: see rule 7.
        week_late: see rule 6; None where it was started.
        overdue: days since it should have been done at its high end; 0 where it is not.
        said: what is on record of it.
    """

    work: Work
    state: State
    low: Span
    high: Span
    slack: tuple[int, int] | None
    critical: float
    start_by: date | None
    last_start: date | None
    week_late: Costs | None
    overdue: int
    said: Standing

    def can_start(self, today: date) -> bool:
        """Whether it can be started in the seven days from today."""
        return self.state == "open" and (self.low.start - today).days < WEEK

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        late, said = self.week_late, self.said
        return {
            **self.work.as_dict(),
            "state": self.state,
            "low": self.low.as_dict(),
            "high": self.high.as_dict(),
            "slack_days": None if self.slack is None else {"low": self.slack[0], "high": self.slack[1]},
            "critical_share": self.critical,
            "start_by": _iso(self.start_by),
            "last_start": _iso(self.last_start),
            "week_late_days": None if late is None else {"low": late.low, "high": late.high, "mean": late.mean},
            "overdue_days": self.overdue,
            "said_by": said.by,
            "said_at": None if said.recorded_at is None else said.recorded_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Spread:
    """How the authorization's day is spread over the draws.

    Attributes:
        percentiles: of a hundred -> first day by which so many draws have ended.
        chance: share of draws that meet the need date; None where nobody said one.
    """

    percentiles: Mapping[int, date]
    chance: float | None

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        days = {f"p{key}": day.isoformat() for key, day in self.percentiles.items()}
        return {"percentiles": days, "chance": self.chance}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The whole.

    Attributes:
        today: that it was reckoned on.
        kickoff: None before there is one; then everything starts today at the earliest.
        need: day on which the authorization is needed; None where nobody said.
        items: each after those that it waits for.
        earliest: day of the authorization, all items at their low ends.
        latest: all at their high ends.
        planned: the same two days as they were at the kickoff; None before it.
        apart: see rule 4.
        together: see rule 4.
        draws: of each.
        seed: of both.
    """

    today: date
    kickoff: Kickoff | None
    need: date | None
    items: tuple[Planned, ...]
    earliest: date
    latest: date
    planned: tuple[date, date] | None
    apart: Spread
    together: Spread
    draws: int
    seed: int

    @property
    def authorized(self) -> bool:
        """Whether the decision was made."""
        return self.items[-1].state == "done"

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        planned = None if self.planned is None else [day.isoformat() for day in self.planned]
        return {
            "today": self.today.isoformat(),
            "kickoff": None if self.kickoff is None else self.kickoff.as_dict(),
            "need_date": _iso(self.need),
            "earliest": self.earliest.isoformat(),
            "latest": self.latest.isoformat(),
            "planned_at_kickoff": planned,
            "authorized": self.authorized,
            "simulated": {
                "draws": self.draws,
                "seed": self.seed,
                "apart": self.apart.as_dict(),
                "together": self.together.as_dict(),
            },
            "items": [one.as_dict() for one in self.items],
        }


@dataclass(frozen=True, slots=True)
class _Run:
    """One pass over all items: when each starts and ends, in each of several ways."""

    starts: Mapping[str, Days]
    ends: Mapping[str, Days]

    def takes(self, item: str) -> Days:
        """Days from its start to its end."""
        days: Days = self.ends[item] - self.starts[item]
        return days


@dataclass(frozen=True, slots=True)
class _Case:
    """What is reckoned: the items, what is on record, and today as an ordinal day."""

    plan: Sequence[Work]
    progress: Progress
    now: int


def reckon(
    work: Sequence[Work], progress: Progress, today: date, need: date | None, *, draws: int = DRAWS, seed: int = 0
) -> Schedule:
    """The schedule as it stands on a day.

    Args:
        work: see `work.work_of`; each after those that it waits for, the decision last.
        progress: what is on record.
        today: UTC.
        need: day on which the authorization is needed; None where nobody said.
        draws: how often the simulation draws.
        seed: of the draws.
    """
    plan = tuple(one.estimated(progress.of(one.id).estimate, progress.of(one.id).by) for one in work)
    case = _Case(plan, progress, today.toordinal())
    ends = _forward(case, _ends(plan))
    apart = _forward(case, _drawn(case, _luck(plan, draws, seed, together=False)))
    together = _forward(case, _drawn(case, _luck(plan, draws, seed, together=True)))
    slack, drawn_slack = _slack(case, ends), _slack(case, apart)
    earliest, latest = _dates(ends.ends[DECISION])
    return Schedule(
        today=today,
        kickoff=progress.kickoff,
        need=need,
        items=tuple(
            _Item(one, case, ends).planned(slack[one.id], drawn_slack[one.id], apart, need) for one in plan
        ),
        earliest=earliest,
        latest=latest,
        planned=_at_kickoff(work, progress.kickoff),
        apart=_spread(apart, need),
        together=_spread(together, need),
        draws=draws,
        seed=seed,
    )


def _ends(plan: Sequence[Work]) -> dict[str, Days]:
    return {one.id: np.array([one.low, one.high], dtype=float) for one in plan}


def _forward(case: _Case, takes: Mapping[str, Days], late: Mapping[str, int] | None = None) -> _Run:
    """Rule 2.

    Args:
        case: what is reckoned.
        takes: item -> days, in each way.
        late: item -> days by which it starts later than it could.
    """
    starts: dict[str, Days] = {}
    ends: dict[str, Days] = {}
    for one in case.plan:
        said, days = case.progress.of(one.id), takes[one.id]
        if said.started is not None:
            start = np.full_like(days, said.started.toordinal())
        else:
            start = np.full_like(days, case.now)
            for before in one.after:
                start = np.maximum(start, ends[before])
            start = start + (late or {}).get(one.id, 0)
        starts[one.id] = start
        if said.done is not None:
            ends[one.id] = np.full_like(days, said.done.toordinal())
        else:
            ends[one.id] = np.maximum(start + days, case.now)
    return _Run(starts, ends)


def _backward(case: _Case, run: _Run, target: Days) -> dict[str, Days]:
    """The last day on which each item may end for the authorization to be there on `target`.

    What was started waits for nothing any more.
    """
    last: dict[str, Days] = {}
    for one in reversed(case.plan):
        end = target
        for later in case.plan:
            if one.id in later.after and case.progress.of(later.id).started is None:
                end = np.minimum(end, last[later.id] - run.takes(later.id))
        last[one.id] = end
    return last


def _slack(case: _Case, run: _Run) -> dict[str, Days]:
    """Rule 3."""
    last = _backward(case, run, run.ends[DECISION])
    return {one.id: last[one.id] - run.ends[one.id] for one in case.plan}


def _luck(plan: Sequence[Work], draws: int, seed: int, *, together: bool) -> dict[str, Days]:
    """Item -> numbers from 0 to 1, the higher the longer it takes."""
    generator = np.random.default_rng(seed)
    if together:
        return dict.fromkeys((one.id for one in plan), generator.random(draws))
    return {one.id: generator.random(draws) for one in plan}


def _drawn(case: _Case, luck: Mapping[str, Days]) -> dict[str, Days]:
    """Rule 4: item -> days that it takes in each draw; of what is under way, more than it took until now."""
    takes = {}
    for one in case.plan:
        said, chance = case.progress.of(one.id), luck[one.id]
        low, width = float(one.low), float(one.high - one.low)
        if said.started is not None and said.done is None and width:
            passed = min(max((case.now - said.started.toordinal() - low) / width, 0.0), 1.0)
            before = 2 * passed**2 if passed < _MIDDLE else 1 - 2 * (1 - passed) ** 2
            chance = before + (1 - before) * chance
        place = np.where(chance < _MIDDLE, np.sqrt(chance / 2), 1 - np.sqrt((1 - chance) / 2))
        takes[one.id] = low + width * place
    return takes


def _spread(run: _Run, need: date | None) -> Spread:
    # What ends in the middle of a day is there in its evening: whole days, upwards, but for what floats add.
    days = np.ceil(run.ends[DECISION] - _NONE)
    found = np.percentile(days, PERCENTILES, method="inverted_cdf")
    chance = None if need is None else float(np.mean(days <= need.toordinal()))
    return Spread(MappingProxyType(dict(zip(PERCENTILES, _dates(found), strict=True))), chance)


@dataclass(frozen=True, slots=True)
class _Item:
    """One item, while its line is made."""

    work: Work
    case: _Case
    ends: _Run

    def planned(self, slack: Days, drawn_slack: Days, apart: _Run, need: date | None) -> Planned:
        """Its line.

        Args:
            slack: days, at the low and the high ends.
            drawn_slack: days, in the draws.
            apart: the draws.
            need: see `Schedule`.
        """
        key, said = self.work.id, self.case.progress.of(self.work.id)
        state: State = "done" if said.done is not None else "open" if said.started is None else "started"
        starts, ends = _dates(self.ends.starts[key]), _dates(self.ends.ends[key])
        last_start, start_by = self._last_starts(need) if state == "open" else (None, None)
        return Planned(
            work=self.work,
            state=state,
            low=Span(starts[0], ends[0]),
            high=Span(starts[1], ends[1]),
            slack=None if state == "done" else (int(slack[0]), int(slack[1])),
            critical=0.0 if state == "done" else float(np.mean(drawn_slack < _NONE)),
            start_by=start_by,
            last_start=last_start,
            week_late=self._week_late(apart) if state == "open" else None,
            overdue=self._overdue(said) if state == "started" else 0,
            said=said,
        )

    def _last_starts(self, need: date | None) -> tuple[date | None, date | None]:
        """Rule 7: at the low ends, at the high ends."""
        if need is None:
            return None, None
        target = np.full_like(self.ends.ends[DECISION], need.toordinal())
        last = _backward(self.case, self.ends, target)[self.work.id] - self.ends.takes(self.work.id)
        low, high = _dates(last)
        return low, high

    def _week_late(self, apart: _Run) -> Costs:
        """Rule 6."""
        moved = []
        for run in (self.ends, apart):
            takes = {one.id: run.takes(one.id) for one in self.case.plan}
            later = _forward(self.case, takes, {self.work.id: WEEK})
            moved.append(later.ends[DECISION] - run.ends[DECISION])
        return Costs(int(moved[0][0]), int(moved[0][1]), round(float(np.mean(moved[1])), 2))

    def _overdue(self, said: Standing) -> int:
        began = self.case.now if said.started is None else said.started.toordinal()
        return max(0, self.case.now - began - self.work.high)


def _at_kickoff(work: Sequence[Work], kickoff: Kickoff | None) -> tuple[date, date] | None:
    """Rule 8."""
    if kickoff is None:
        return None
    run = _forward(_Case(work, Progress(), kickoff.on.toordinal()), _ends(work))
    earliest, latest = _dates(run.ends[DECISION])
    return earliest, latest


def _dates(days: Days) -> list[date]:
    return [date.fromordinal(int(day)) for day in days]


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
