"""`fielded ready`: do what the twelve items ask for, put on record what was found, and judge.

1. evidence that a document is written from, and that is missing, over or of another scope, is collected first;
2. then what is looked at by doing, then the documents;
3. each is on record before the next is begun that rests on it;
4. all of it is judged at once, and the judgement is on record (`readiness_checked`), sealed.

Who reads from the record alone (`on_record_now`) writes nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fielded.decisions.assurance.evidence import Evidence
from fielded.decisions.readiness.items import CHECKED, Item, ItemResult, all_hold, items_of, judge
from fielded.services.ato.collect import collect_evidence
from fielded.services.evidence.collect import Bench, of_this, on_record, scope_of, tool
from fielded.services.readiness.waive import waivers_that_count
from fielded.services.release.record import about, state_of
from fielded.services.release.rollback import sealed
from fielded.world.workplace import Workplace

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Where the items stand that were asked for.

    Attributes:
        deployment: its name.
        model: registered name.
        at: UTC.
        by: authenticated identity of who asked.
        tool: program and version.
        scope: what it is about, as of evidence.
        results: of each item, in their order.
        collected: whether evidence was collected for it; else it was read from the record.
    """

    deployment: str
    model: str
    at: datetime
    by: str
    tool: str
    scope: Mapping[str, str]
    results: tuple[ItemResult, ...]
    collected: bool

    @property
    def holds(self) -> bool:
        """Whether nothing that was asked for is in the way."""
        return all_hold(self.results)

    @property
    def counts(self) -> dict[str, int]:
        """How many are in each state."""
        return {name: sum(one.state == name for one in self.results) for name in ("passed", "failed", "waived")}

    def as_dict(self) -> dict[str, Any]:
        """JSON values, with the evidence."""
        return {**self._head(), "items": [one.as_dict() for one in self.results]}

    def details(self) -> dict[str, Any]:
        """What the event says: evidence by digest."""
        kept = {name: value for name, value in self._head().items() if name not in ("at", "by")}
        return {**kept, "items": [one.brief() for one in self.results]}

    def _head(self) -> dict[str, Any]:
        return {
            "deployment": self.deployment,
            "model": self.model,
            "at": self.at.isoformat(),
            "by": self.by,
            "tool": self.tool,
            "scope": dict(self.scope),
            "collected": self.collected,
            "asked": [one.item.number for one in self.results],
            "holds": self.holds,
            "counts": self.counts,
        }


def _silent(_text: str) -> None:
    """For who wants to hear nothing."""


def ready(bench: Bench, numbers: Sequence[int] = (), tell: Tell = _silent) -> Readiness:
    """Collect the evidence of items now, put it on record, and judge.

    Args:
        bench: what is looked at; without a door the API is not checked.
        numbers: of the items; none is all twelve.
        tell: told what is being done.

    Raises:
        WrongUse: there is no such item.
        Refused: the ledger's events break a rule.
        Unreachable: the ledger. What a collector could not reach is a check of its evidence instead.
    """
    workplace = bench.workplace
    items = items_of(numbers)
    collect_evidence(bench, [*_missing(workplace, items), *(item.key for item in items)], tell)
    found = _judged(workplace, items, on_record(workplace), collected=True)
    workplace.record(CHECKED, about(workplace), found.details())
    sealed(workplace)  # where it cannot be, the evidence of audit logging says so
    return found


def on_record_now(workplace: Workplace, numbers: Sequence[int] = (), until: datetime | None = None) -> Readiness:
    """Judge items by the evidence that is on record; nothing is collected or written.

    Args:
        workplace: the deployment at its site.
        numbers: of the items; none is all twelve.
        until: UTC; judged as of this moment, without evidence and waivers that came later. None is now.

    Raises:
        WrongUse, Refused, Unreachable: as `ready`.
    """
    return _judged(workplace, items_of(numbers), on_record(workplace, until), collected=False, until=until)


def _missing(workplace: Workplace, items: Iterable[Item]) -> list[str]:
    """Evidence that items rest on, that is not collected for itself, and that does not hold as it is."""
    items = tuple(items)
    asked = {item.key for item in items}
    needed = dict.fromkeys(key for item in items for key in item.rests_on if key not in asked)
    if not needed:
        return []
    known, scope, now = on_record(workplace), scope_of(workplace), workplace.clock()
    return [key for key in needed if key not in known or not _stands(of_this(known[key], scope), now)]


def _stands(evidence: Evidence, now: datetime) -> bool:
    return evidence.holds and evidence.current(now)


def _judged(
    workplace: Workplace,
    items: Sequence[Item],
    evidence: Mapping[str, Evidence],
    *,
    collected: bool,
    until: datetime | None = None,
) -> Readiness:
    scope, state = scope_of(workplace), state_of(workplace)
    now = workplace.clock() if until is None else until
    counting = {key: of_this(one, scope) for key, one in evidence.items()}
    waivers = [one for one in waivers_that_count(workplace, state) if until is None or one.at <= until]
    model = "" if state.production is None else state.production.sha256
    return Readiness(
        deployment=workplace.deployment.name,
        model=workplace.deployment.model.name,
        at=now,
        by=workplace.user,
        tool=tool(),
        scope=scope,
        results=judge(items, counting, waivers, model, now),
        collected=collected,
    )
