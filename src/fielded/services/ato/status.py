"""Where an authorization stands today: time left, readiness, evidence, weaknesses, and what was changed since.

Everything is read from the ledger, the definition and the site; nothing is collected and nothing is written.

1. Readiness and evidence are judged as they are on record. What is over, or of another model, is told.
2. Changes are those since the last package (`decisions.ato.changes`). Where none was built there is nothing to
   compare with, and that is told instead.
3. Weaknesses are those that a package built now would have. Where none could be built, that is told.
4. Somebody is waited for where an item fails, evidence does not stand, a change asks a question, or the day of a
   weakness is over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any

from fielded.decisions.assurance.controls import Weakness
from fielded.decisions.ato.changes import (
    ABOUT_THE_MODEL,
    DEFINITION_RECORDED,
    SITE_RECORDED,
    Change,
    Package,
    Question,
    acts_since,
    definition_changes,
    in_order,
    last_package,
    put_on_record,
    questions_of,
    site_changes,
    touched,
)
from fielded.decisions.ato.implementations import evidence_of_control
from fielded.decisions.readiness.items import ItemResult
from fielded.definition.deployment import Document
from fielded.definition.loading import FILE, parse_document
from fielded.services.ato.assurance import assemble
from fielded.services.ato.collect import Kept, kept
from fielded.services.ato.plan import Plan, plan_of
from fielded.services.ato.site_parts import site_parts
from fielded.services.readiness.ready import on_record_now
from fielded.services.release.record import about
from fielded.words.errors import DefinitionError, Refused, WrongUse
from fielded.world.workplace import Workplace

_DRAWS = 2000  # of the schedule's simulation; enough for a percentage that is read, not relied on

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where the authorization stands.

    Attributes:
        deployment: its name.
        at: UTC.
        plan: the schedule.
        items: of readiness, by what is on record.
        evidence: all of it, by id.
        package: the last one; None where none was built.
        changes: since then, oldest first.
        questions: that they ask.
        weaknesses: open ones, by id; see rule 3.
        no_package: why no package could be built now; empty where one could.
    """

    deployment: str
    at: datetime
    plan: Plan
    items: tuple[ItemResult, ...]
    evidence: tuple[Kept, ...]
    package: Package | None
    changes: tuple[Change, ...]
    questions: tuple[Question, ...]
    weaknesses: tuple[Weakness, ...]
    no_package: str

    @property
    def need_date(self) -> date | None:
        """Day on which the authorization is needed."""
        return self.plan.schedule.need

    @property
    def days_left(self) -> int | None:
        """Days to it; negative where it is over."""
        return None if self.need_date is None else (self.need_date - self.at.date()).days

    @property
    def waits(self) -> tuple[str, ...]:
        """Rule 4: what somebody is waited for, in words."""
        failed = [str(one.item.number) for one in self.items if not one.holds]
        over = [one.id for one in self.evidence if not one.stands]
        told = {
            "readiness items fail": failed,
            "evidence does not stand": over,
            "questions of changes": [one.key for one in self.questions],
            "weaknesses are open beyond their day": [one.id for one in self.weaknesses if self.overdue(one)],
        }
        return tuple(f"{what}: {', '.join(which)}" for what, which in told.items() if which)

    @property
    def touched(self) -> dict[str, list[str]]:
        """All that the changes touch: `evidence`, with that of the controls, `documents`, `controls`."""
        found = touched(self.changes)
        known = {one.id for one in self.evidence}
        of_controls = {key for control in found["controls"] for key in evidence_of_control(control)}
        return {**found, "evidence": sorted({*found["evidence"], *(of_controls & known)})}

    def overdue(self, weakness: Weakness) -> bool:
        """Whether the day of a weakness is over."""
        return weakness.due is not None and weakness.due < self.at.date()

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        package = self.package
        return {
            "deployment": self.deployment,
            "at": self.at.isoformat(),
            "need_date": None if self.need_date is None else self.need_date.isoformat(),
            "days_left": self.days_left,
            "standing": self.plan.standing,
            "items": [one.brief() for one in self.items],
            "evidence": [one.as_dict() for one in self.evidence],
            "package": None
            if package is None
            else {
                "as_of": package.as_of.isoformat(),
                "built_at": package.built_at.isoformat(),
                "sha256": package.sha256,
                "age_days": (self.at - package.as_of).days,
            },
            "changes": [one.as_dict() for one in self.changes],
            "touched": self.touched,
            "questions": [one.as_dict() for one in self.questions],
            "weaknesses": [
                {"id": one.id, "title": one.title, "owner": one.owner, "since": one.since.isoformat(),
                 "due": None if one.due is None else one.due.isoformat(), "overdue": self.overdue(one),
                 "controls": len(one.controls), "step": one.step}
                for one in self.weaknesses
            ],
            "no_package": self.no_package,
            "waits": list(self.waits),
        }  # fmt: skip


def status(workplace: Workplace) -> Status:
    """Where the authorization stands now.

    Raises:
        Refused: an event cannot be read.
        Unreachable: the ledger.
    """
    events = workplace.ledger.events_of(ABOUT_THE_MODEL, about(workplace))
    package, changes = changes_since_package(workplace, events)
    weaknesses, no_package = _weaknesses(workplace)
    return Status(
        deployment=workplace.deployment.name,
        at=workplace.clock(),
        plan=plan_of(workplace, draws=_DRAWS),
        items=on_record_now(workplace).results,
        evidence=kept(workplace),
        package=package,
        changes=changes,
        questions=questions_of(changes),
        weaknesses=weaknesses,
        no_package=no_package,
    )


def _weaknesses(workplace: Workplace) -> tuple[tuple[Weakness, ...], str]:
    """Rule 3: the weaknesses, and why there is no telling."""
    try:
        return assemble(workplace).assurance.weaknesses, ""
    except (Refused, DefinitionError, WrongUse) as error:
        return (), str(error)


def changes_since_package(
    workplace: Workplace, events: Sequence[Event] | None = None
) -> tuple[Package | None, tuple[Change, ...]]:
    """The last package and what was changed since; nothing where there is none.

    Args:
        workplace: the deployment at its site.
        events: of `ABOUT_THE_MODEL`, where they were read already.

    Raises:
        Refused: an event cannot be read.
        Unreachable: the ledger.
    """
    if events is None:
        events = workplace.ledger.events_of(ABOUT_THE_MODEL, about(workplace))
    try:
        package = last_package(events)
        if package is None:
            return None, ()
        changes = acts_since(events, package.as_of)
        changes += _of_the_site(events, package, workplace)
        return package, in_order([*changes, *_of_the_definition(workplace, package)])
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(
            f"{about(workplace)}: got an event without a readable {error}, expected what fielded writes. "
            "Run `fielded audit verify`"
        ) from None


def _of_the_site(events: Sequence[Event], package: Package, workplace: Workplace) -> Iterator[Change]:
    """Each record of the site since the package, which has the site of when it was built, and what it is now."""
    recorded = [event for event in events if event["kind"] == SITE_RECORDED]
    before = [event for event in recorded if event["occurred_at"] <= package.built_at][-1:] or recorded[:1]
    if not before:
        return
    later = [event for event in recorded if event["occurred_at"] > package.built_at and event is not before[0]]
    for was, event in pairwise([before[0], *later]):
        yield from put_on_record(site_changes(was["details"]["parts"], event["details"]["parts"]), event)
    last = [before[0], *later][-1]
    yield from site_changes(last["details"]["parts"], site_parts(workplace.site))


def _of_the_definition(workplace: Workplace, package: Package) -> Iterator[Change]:
    """Each definition that was put on record since the package was built, and the one that counts now."""
    recorded = workplace.ledger.events_of(DEFINITION_RECORDED)
    texts = {str(event["about"]): event["details"] for event in recorded}
    later = [event for event in recorded if event["occurred_at"] > package.built_at]
    was = package.definition_sha256 or next(
        (str(event["about"]) for event in reversed(recorded) if event["occurred_at"] <= package.built_at), ""
    )
    for event in later:
        sha256 = str(event["about"])
        if was and sha256 != was:
            yield from put_on_record(_between(texts.get(was), texts[sha256]), event)
        was = sha256
    now = workplace.deployment
    if was and was != now.sha256:
        yield from _between(texts.get(was), now.texts)


def _between(before: Mapping[str, str] | None, now: Mapping[str, str]) -> list[Change]:
    document = _parsed(now)
    if document is None:
        return [Change(subject="definition", told="a text that this release cannot read was on record for a time")]
    was = None if before is None else _parsed(before)
    other = before is not None and {**before, FILE: ""} != {**now, FILE: ""}
    return definition_changes(was, document, other_query=other)


def _parsed(texts: Mapping[str, str]) -> Document | None:
    try:
        return parse_document(texts[FILE])
    except DefinitionError:
        return None
