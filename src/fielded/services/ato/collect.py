"""`fielded ato collect`: collect again what is missing or does not hold any more.

1. Evidence is collected again where it was never collected, its time is over, it is about another definition or
   other model bytes, another version of fielded collected it, or it did not hold: what was mended is to be seen.
2. Somebody may name evidence or controls instead, or ask for all there is.
3. What is written from other evidence is collected after it, and each group is on record before the next.
4. The site's parts are put on record beside it, where they are others (`site_parts`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from fielded.decisions.assurance.evidence import Evidence
from fielded.decisions.ato.implementations import evidence_of_control
from fielded.decisions.readiness.items import ITEMS
from fielded.services.ato.site_parts import record_site
from fielded.services.evidence.collect import Bench, collect, of_this, on_record, put_on_record, scope_of, tool
from fielded.services.evidence.registry import COLLECTORS, collector_of, command_of
from fielded.words.errors import WrongUse
from fielded.world.workplace import Workplace

SOON = timedelta(days=30)  # before its end evidence is told of as ending

Standing = Literal[
    "current", "ends soon", "never collected", "over", "of another scope", "by another version", "does not hold",
    "not checked",
]  # fmt: skip
STANDS: frozenset[Standing] = frozenset({"current", "ends soon"})

_WRITTEN = frozenset(item.key for item in ITEMS if item.rests_on)  # from other evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where one evidence stands.

    Attributes:
        id: of the evidence.
        title: what is looked at.
        standing: see rule 1.
        evidence: as it is on record; None where it was never collected.
        command: collects it again.
    """

    id: str
    title: str
    standing: Standing
    evidence: Evidence | None
    command: str

    @property
    def stands(self) -> bool:
        """Whether it need not be collected again."""
        return self.standing in STANDS

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        evidence = self.evidence
        until = None if evidence is None else evidence.valid_until
        return {
            "id": self.id,
            "title": self.title,
            "standing": self.standing,
            "stands": self.stands,
            "outcome": "not collected" if evidence is None else evidence.outcome,
            "at": None if evidence is None else evidence.at.isoformat(),
            "valid_until": None if until is None else until.isoformat(),
            "sha256": "" if evidence is None else evidence.sha256,
            "command": self.command,
        }


def standing_of(evidence: Evidence | None, scope: Mapping[str, str], now: datetime) -> Standing:
    """Where evidence stands at a moment.

    Args:
        evidence: as it is on record; None where it was never collected.
        scope: what counts now.
        now: UTC.
    """
    if evidence is None:
        return "never collected"
    reasons: dict[Standing, bool] = {
        "of another scope": len(of_this(evidence, scope).checks) > len(evidence.checks),
        "over": not evidence.current(now),
        "does not hold": evidence.outcome == "not satisfied",
        "not checked": evidence.outcome == "not checked",
        "by another version": evidence.tool != tool(),
        "ends soon": _ends_soon(evidence, now),
    }
    return next((reason for reason, given in reasons.items() if given), "current")


def _ends_soon(evidence: Evidence, now: datetime) -> bool:
    """What holds for a week is not told of from its first day."""
    until = evidence.valid_until
    return until is not None and until - evidence.at > SOON and until <= now + SOON


def kept(workplace: Workplace) -> tuple[Kept, ...]:
    """Where all evidence stands that is collected here, and what else is on record, by id.

    Raises:
        Refused: evidence on record cannot be read.
        Unreachable: the ledger.
    """
    known, scope, now = on_record(workplace), scope_of(workplace), workplace.clock()
    return tuple(
        Kept(
            id=one,
            title=COLLECTORS[one].title if one in COLLECTORS else known[one].title,
            standing=standing_of(known.get(one), scope, now),
            evidence=known.get(one),
            command=command_of(one) if one in COLLECTORS else known[one].command,
        )
        for one in sorted({*COLLECTORS, *known})
    )


def wanted(
    workplace: Workplace, named: Sequence[str] = (), controls: Sequence[str] = (), *, every: bool = False
) -> tuple[str, ...]:
    """Ids of what is to be collected, in the order in which it is.

    Args:
        workplace: the deployment at its site.
        named: ids of evidence.
        controls: ids of controls, whose evidence is meant.
        every: all there is.

    Raises:
        WrongUse: nothing collects an evidence, or no evidence here is of a control.
        Refused, Unreachable: as `kept`.
    """
    if every:
        return _in_order(COLLECTORS)
    asked = [*(collector_of(one).id for one in named), *(key for one in controls for key in evidence_of(one))]
    if named or controls:
        return _in_order(asked)
    return _in_order(one.id for one in kept(workplace) if not one.stands and one.id in COLLECTORS)


def evidence_of(control: str) -> tuple[str, ...]:
    """Ids of the evidence that shows a control.

    Raises:
        WrongUse: none does.
    """
    found = tuple(dict.fromkeys(_shows(control.lower())))
    if not found:
        raise WrongUse(
            f"--control: got {control}, expected one of which evidence is collected here, such as au-9. "
            "See `fielded ato status --json`"
        )
    return found


def _shows(control: str) -> Iterator[str]:
    yield from (item.key for item in ITEMS if control in item.controls)
    yield from (one for one in evidence_of_control(control) if one in COLLECTORS)


def collect_evidence(
    bench: Bench, ids: Sequence[str], tell: Callable[[str], None] = lambda _text: None
) -> tuple[Evidence, ...]:
    """Collect, and put on record with the site's parts.

    Args:
        bench: what is looked at; without a door the API is not checked.
        ids: in the order of `wanted`.
        tell: told what is being done.

    Raises:
        WrongUse: nothing collects one.
        Unreachable: the ledger. What a collector could not reach is a check of its evidence instead.
    """
    record_site(bench.workplace)
    found: list[Evidence] = []
    for written in (False, True):
        group = []
        for one in ids:
            if (one in _WRITTEN) is written:
                collector = collector_of(one)
                tell(f"{one}: {collector.title}")
                group.append(collect(bench, collector, command_of(one)))
        if group:
            put_on_record(bench.workplace, group)
        found += group
    return tuple(found)


def _in_order(ids: Iterable[str]) -> tuple[str, ...]:
    """Each once, as the collectors are listed; what is written from others last."""
    asked = set(ids)
    return tuple(sorted((one for one in COLLECTORS if one in asked), key=lambda one: one in _WRITTEN))
