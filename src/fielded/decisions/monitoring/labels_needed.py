"""How many labels each slice still needs before its error rates say something.

1. Enough is: the 95% interval of the false negative rate, and that of the false positive rate, no wider than
   `WIDTH`; and as many rows, and as many of each outcome, as the definition's performance gate and its triggers
   with labels ask for.
2. An interval's width is taken at the rate that the slice has shown, where it has `KNOWN` rows of that outcome,
   and else at one half, where it is widest: who knows nothing must not hope.
3. Rows of an outcome come at the slice's own share of it where it has `KNOWN` of each, and else at that of all
   rows. Where nobody knows that either, what is needed is not known, and at least the rows of both outcomes are.
4. What is on its way are scores whose label has not matured. Those whose label should have come and did not are
   not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fielded.decisions.measuring.intervals import proportion
from fielded.definition.deployment import Deployment
from fielded.definition.monitoring import Metric

WIDTH = 0.20  # of an interval, end to end: a rate of 0.3 is between 0.2 and 0.4
KNOWN = 10
CONFIDENCE = 0.95
_MOST = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The scores of one slice, or of all rows.

    Attributes:
        name: `overall`, or `hull_class=LSD`.
        labelled: scores with a label.
        events: of them, those that came true.
        missed: of the events, those that were not flagged.
        false_alarms: of the others, those that were flagged.
        immature: scores without a label whose label need not have come yet.
        overdue: scores without a label whose label should have.
    """

    name: str
    labelled: int
    events: int
    missed: int
    false_alarms: int
    immature: int
    overdue: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the definition asks for besides.

    Attributes:
        rows: labelled rows of each place.
        of_each: rows of each outcome.
        triggers: id -> rows, of triggers with labels.
    """

    rows: int = 0
    of_each: int = KNOWN
    triggers: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What a place has and needs.

    Attributes:
        place: what it has.
        needed: labelled rows that are or would be enough; None where nobody can know (rule 3).
        events: of them, events.
        others: of them, rows without the event.
        still: labels that are missing; with `needed` unknown, at least so many.
        coming: whether those on their way are enough.
    """

    place: Place
    needed: int | None
    events: int
    others: int
    still: int
    coming: bool


def asked_by(deployment: Deployment) -> Asked:
    """Rule 1, from a definition."""
    gate = deployment.release.gates.performance
    with_labels = [one for one in deployment.monitoring.triggers if Metric.parse(one.metric).needs_labels]
    return Asked(
        rows=max([0 if gate is None else gate.minimum_rows, *(one.min_sample for one in with_labels)]),
        of_each=KNOWN if gate is None else max(KNOWN, gate.minimum_of_each_class),
        triggers={one.id: one.min_sample for one in with_labels},
    )


def labels_needed(places: Sequence[Place], asked: Asked) -> list[Needed]:
    """For each place, in the order given; the first is all rows.

    Args:
        places: `overall` first.
        asked: see `asked_by`.
    """
    if not places:
        return []
    overall = _share(places[0].events, places[0].labelled)
    return [_needed(place, asked, overall) for place in places]


def rows_for(rate: float, width: float = WIDTH, confidence: float = CONFIDENCE) -> int:
    """Fewest rows of which a share `rate` has a Wilson interval no wider than `width`."""

    def narrow(rows: int) -> bool:
        found = proportion(rate * rows, rows, confidence)
        return found.high - found.low <= width

    low, high = 1, 2
    while not narrow(high):
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if narrow(middle) else (middle + 1, high)
    return low


def _needed(place: Place, asked: Asked, overall: float | None) -> Needed:
    others = place.labelled - place.events
    events_needed = max(asked.of_each, rows_for(_rate(place.missed, place.events)))
    others_needed = max(asked.of_each, rows_for(_rate(place.false_alarms, others)))
    share = _share(place.events, place.labelled)
    share = overall if share is None else share
    least = max(asked.rows, events_needed + others_needed)
    if share is None:
        still = max(0, least - place.labelled)
        return Needed(
            place=place, needed=None, events=events_needed, others=others_needed, still=still, coming=False
        )
    # Those that it has count; those that it lacks come at the share.
    lacking = max(
        math.ceil((events_needed - place.events) / share),
        math.ceil((others_needed - others) / (1 - share)),
        asked.rows - place.labelled,
        0,
    )
    lacking = min(lacking, _MOST)
    enough = max(math.ceil(events_needed / share), math.ceil(others_needed / (1 - share)), asked.rows)
    return Needed(
        place=place,
        needed=place.labelled + lacking if lacking else min(enough, place.labelled),
        events=events_needed,
        others=others_needed,
        still=lacking,
        coming=place.immature >= lacking,
    )


def _rate(hits: int, rows: int) -> float:
    """Rule 2."""
    return hits / rows if rows >= KNOWN else 0.5


def _share(events: int, labelled: int) -> float | None:
    """Rule 3: a share of neither none nor all."""
    return events / labelled if events >= KNOWN and labelled - events >= KNOWN else None
