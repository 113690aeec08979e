"""What reviewers decided, by the day of the score: how often they overrode the model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from fielded.decisions.monitoring.histograms import NULL, OVERALL, Place
from fielded.decisions.monitoring.instances import part_named
from fielded.decisions.monitoring.measure import Decided
from fielded.decisions.monitoring.profile import Profile
from fielded.decisions.review.acts import DECIDED
from fielded.world.workplace import Workplace

_OVERRIDE = "override"


@dataclass(frozen=True, slots=True)
class OverridesOf:
    """Which decisions count.

    Attributes:
        version: of the model that scored.
        first: day of the scores.
        last: day of the scores, inclusive; what was decided after it is not looked at.
        profile: of the version; None where it has none.
    """

    version: str
    first: date
    last: date
    profile: Profile | None


def daily_overrides(workplace: Workplace, wanted: OverridesOf) -> Mapping[date, Mapping[Place, Decided]]:
    """Decided cases overall and by slice. Of a case that was decided again, the first decision: what a person made
    of the model's, before others looked at it.

    Raises:
        Unreachable: the ledger cannot be read.
    """
    end = datetime.combine(wanted.last + timedelta(days=1), time(), UTC)
    decided: dict[str, Mapping[str, Any]] = {}
    for event in workplace.ledger.events_of(DECIDED):
        if event["occurred_at"] < end:
            decided.setdefault(event["about"], event["details"])
    found: dict[date, dict[Place, Decided]] = {}
    for details in decided.values():
        day = date.fromisoformat(details["scored_date"])
        if str(details["model_version"]) != wanted.version or not wanted.first <= day <= wanted.last:
            continue
        one = Decided(1, int(details["outcome"] == _OVERRIDE))
        held = found.setdefault(day, {})
        for place in _places(details["slices"], wanted.profile):
            held[place] = held[place] + one if place in held else one
    return MappingProxyType({day: MappingProxyType(held) for day, held in sorted(found.items())})


def _places(slices: Mapping[str, Any], profile: Profile | None) -> Iterator[Place]:
    """Where a row is, its parts named as those of the other metrics are."""
    yield OVERALL
    for column, value in slices.items():
        if profile is not None and column in profile.slices:
            parts = profile.parts(column)
            (place,) = profile.grids[column].place(pa.array([value]))
            yield Place(column, parts.names[parts.of_bin[place]])
        elif value is None:
            yield Place(column, NULL)
        elif isinstance(value, str | bool):
            yield Place(column, part_named(value))
