"""Which days a window has, and how long nothing has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from fielded.definition.monitoring import Window

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Days:
    """The days of a window.

    Attributes:
        days: newest first; those with rows.
        rows: they hold.
    """

    days: tuple[date, ...]
    rows: int

    @property
    def first(self) -> date | None:
        """The oldest."""
        return self.days[-1] if self.days else None

    @property
    def last(self) -> date | None:
        """The newest."""
        return self.days[0] if self.days else None


def newest(rows: Mapping[date, int], window: Window, as_of: date) -> Days:
    """The newest days that together hold `window.last` rows, none of them older than `window.max_age`.

    Args:
        rows: of each day.
        window: how many, and how old.
        as_of: last day that is looked at.
    """
    oldest = as_of - window.max_age
    found: list[date] = []
    held = 0
    for day in sorted((day for day, count in rows.items() if count and oldest <= day <= as_of), reverse=True):
        found.append(day)
        held += rows[day]
        if held >= window.last:
            break
    return Days(tuple(found), held)


def silence(newest_day: date | None, since: date | None, until: date, allowed: timedelta | None, what: str) -> str:
    """That nothing came for longer than is allowed, in words; empty where it is not so.

    Args:
        newest_day: with rows; None for none.
        since: day from which there could have been some; None where that is not known: then nothing is late.
        until: last day that is looked at.
        allowed: so long; None for ever.
        what: is missed, such as `rows` or `labels`.
    """
    start = newest_day or since
    if allowed is None or start is None or until - start <= allowed:
        return ""
    last = f"the last of {newest_day}" if newest_day else f"none since {since}"
    return f"got no {what} for {(until - start) / _DAY:g} days ({last}), expected some within {_told(allowed)}"


def _told(allowed: timedelta) -> str:
    return f"{allowed / _DAY:g} days" if allowed >= _DAY else f"{allowed / timedelta(hours=1):g} hours"
