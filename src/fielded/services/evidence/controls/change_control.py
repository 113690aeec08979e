"""Evidence that nothing comes into production by itself, or by one person (CM-3, CM-5, AC-5, SA-10).

1. What is in production was promoted: proposed by one, compared with what was there, approved by as many others
   as the definition asks for, each on record. What was there before fielded was adopted, and that is told.
2. On a scratch site: who may not release cannot propose; the proposer's own approval does not count; a proposal
   without comparison and approvals is held back; and the ledger itself refuses a promotion that nobody approved,
   also from a program that steps around the command.
3. The registry's alias stands where the ledger says: moved by somebody else it is no release.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.release import acts
from fielded.decisions.release.acts import Pinned, ReleaseEvent
from fielded.decisions.release.state import ReleaseState
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.controls.scratch import WHY, acting, proposable, scratch_site
from fielded.services.release.asked import asked
from fielded.services.release.candidates import approve, propose
from fielded.services.release.record import append, state_of
from fielded.words.errors import FieldedError, Refused
from fielded.world.workplace import Workplace

_REPORT = "Do not release here before this is understood. Report it to those who maintain fielded"
_AUTHOR, _READER = "os:scratch-author", "os:scratch-reader"
_TRIED = {
    "who may not release cannot propose": "refused",
    "the proposer's own approval does not count": "not counted",
    "a proposal without comparison and approvals is held back": "findings in the way",
    "the ledger refuses a promotion that nobody approved": "refused",
}


@dataclass(frozen=True, slots=True)
class _Came:
    """How a version came into production.

    Attributes:
        how: kind of the event; empty where there was none.
        proposed_by: who; empty where nobody.
        approved_by: others than the proposer, for these bytes.
        compared: whether a comparison is on record.
    """

    how: str
    proposed_by: str
    approved_by: tuple[str, ...]
    compared: bool


def look(bench: Bench) -> Found:
    """Rules 1 to 3.

    Raises:
        FieldedError: the ledger cannot be read, or its events break a rule.
    """
    workplace = bench.workplace
    state = state_of(workplace)
    came = _came(state)
    asks = workplace.deployment.release.approvals
    checks = (*_in_production(state, came, asks), *_tried(workplace), _alias(workplace, state))
    counts = {
        kind: sum(event.kind == kind for event in state.history)
        for kind in (acts.PROPOSED, acts.COMPARED, acts.APPROVED, acts.PROMOTED, acts.ROLLED_BACK, acts.ADOPTED)
    }
    facts: dict[str, object] = {
        "production": None if state.production is None else state.production.as_dict(),
        "came_by": came.how,
        "approvals": len(came.approved_by),
        "approvals_asked": asks,
        "compared": came.compared,
        "events": len(state.history),
        "counts": counts,
        "tried": len(_TRIED),
    }
    return Found(checks, facts)


def _came(state: ReleaseState) -> _Came:
    """By the events before the last one that brought production."""
    how, proposed_by, approved, compared = "", "", dict[str, None](), False
    target = state.production
    for event in state.history:
        if target is None or not _is_about(event, target):
            continue
        if event.kind == acts.PROPOSED:
            how, proposed_by, approved, compared = "", event.actor, {}, False
        elif event.kind == acts.COMPARED:
            compared = True
        elif event.kind == acts.APPROVED and event.actor != proposed_by:
            approved[event.actor] = None
        elif event.kind in (acts.PROMOTED, acts.ROLLED_BACK, acts.ADOPTED):
            how = event.kind if event.kind != acts.ROLLED_BACK or not how else how
    return _Came(how, proposed_by, tuple(approved), compared)


def _is_about(event: ReleaseEvent, target: Pinned) -> bool:
    """Whether an event is about these bytes of this version."""
    named = event.details.get("to") or event.details.get("production") or event.details
    return (named.get("version"), named.get("sha256")) == (target.version, target.sha256)


def _in_production(state: ReleaseState, came: _Came, asks: int) -> Iterator[Check]:
    """Rule 1."""
    name, expected = (
        "what is in production was proposed, compared and approved by others",
        (f"a promotion with a comparison and {asks} approvals"),
    )
    if state.production is None:
        yield Check.of(
            name,
            False,
            got="nothing is in production",
            expected=expected,
            step="Run `fielded release propose`, and what it says next",
        )
    elif came.how == acts.ADOPTED or not came.how:
        yield Check.missing(
            name,
            why="it was adopted: what was decided before fielded is on no record here",
            expected=expected,
            step="Promote the next version by `fielded release promote`",
        )
    else:
        holds = came.compared and len(came.approved_by) >= max(1, asks)
        got = f"{'compared' if came.compared else 'not compared'}, {len(came.approved_by)} approvals of others"
        yield Check.of(name, holds, got=got, expected=expected, step=_REPORT)


def _tried(workplace: Workplace) -> Iterator[Check]:
    """Rule 2. Nothing of the registry is moved: what would move it is asked, not done."""
    try:
        version = proposable(workplace)
        with scratch_site(workplace) as copy:
            results = _on_scratch(copy, version)
    except FieldedError as error:
        for name, expected in _TRIED.items():
            yield Check.missing(
                name, why=str(error), expected=expected, step="Mend it, and collect again", negative=True
            )
        return
    for (name, expected), got in zip(_TRIED.items(), results, strict=True):
        yield Check.of(name, got == expected, got=got, expected=expected, step=_REPORT, negative=True)


def _on_scratch(copy: Workplace, version: str) -> Sequence[str]:
    """What came of each attempt, in the order of `_TRIED`."""
    author, reader = acting(copy, _AUTHOR, "release"), acting(copy, _READER, "audit")
    try:
        propose(reader, version, WHY)
        by_reader = "done"
    except Refused:
        by_reader = "refused"
    candidate = propose(author, version, WHY)
    own = approve(author, version)
    state = state_of(author)
    missing = [one for one in asked(author, state.candidates[version], state.production) if not one.holds]
    left = None if state.production is None else state.production.as_dict()
    intent = {"from": left, "to": candidate.pinned.as_dict(), "reason": WHY, "comparison": None}
    try:
        append(author, state, acts.PROMOTION_STARTED, intent)
        by_ledger = "written"
    except Refused:
        by_ledger = "refused"
    return (
        by_reader,
        "not counted" if not own.release and own.not_counted else "counted",
        "findings in the way" if missing else "nothing in the way",
        by_ledger,
    )


def _alias(workplace: Workplace, state: ReleaseState) -> Check:
    """Rule 3."""
    ref = workplace.deployment.model
    name, expected = "the registry's alias stands where the ledger says", "the version in production"
    stands = workplace.registry.aliases(ref.name).get(ref.alias)
    version = None if state.production is None else state.production.version
    return Check.of(
        name,
        stands == version,
        got=f"version {stands}" if stands else "no alias",
        expected=expected,
        step="Run `fielded release reconcile`, and find out who moved it",
    )


COLLECTOR: Collector[Bench] = Collector(
    id="change-control",
    title="How the version in production came there, and what does not come there",
    look=look,
    holds_for=timedelta(days=30),
    expected="a ledger with releases",
)
