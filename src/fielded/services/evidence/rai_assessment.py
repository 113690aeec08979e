"""Evidence that the responsible AI assessment is done, or in progress with its approver (item 3).

1. It is done where its approver stands for it: the person that the definition names (`people.rai_approver`), by
   one of the identities that the site has of him (`authorization.persons`). A production site has to have them; in
   a development site that maps nobody any identity counts, and it is told which.
2. It is over 12 months after it was signed, whatever day the signature names, and when the model's files, the
   training data or the definition are others than those that were signed for.
3. When it is done, each of the twenty parts (five principles under four functions) says something, people wrote at
   least under each principle, and no sentence is without evidence.
4. Until then it counts as in progress where its approver put that on record (`fielded release sign ...
   --in-progress`) for this version: until the day that was named, and at most for 90 days since it was first begun
   for these files. Somebody has to have written under one principle at least: an empty file is not begun.
5. What people wrote: see `services.evidence.signed`.
"""

from datetime import date, timedelta
from typing import Any

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.documents import Document
from fielded.decisions.assurance.evidence import Check
from fielded.definition.prose import FUNCTIONS, PRINCIPLES
from fielded.services.documents.rai import NAME, rai_assessment
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.signed import (
    Written,
    all_evidenced,
    of_other_items,
    parts_without,
    proposer_of,
    signature_facts,
    sources_now,
    standing_signature,
    stands,
    written,
)
from fielded.services.readiness.acknowledge import anybody, identities_of
from fielded.services.release.record import state_of
from fielded.services.release.sign import BEGUN, LONGEST_WORK, Meant, SignedDocument, signatures
from fielded.world.workplace import Workplace

ID = "rai-assessment"
MONTHS = 12

_DONE, _IN_PROGRESS, _OPEN = "done", "in progress", "not done"


def look(bench: Bench) -> Found:
    """Rules 1 to 5.

    Raises:
        FieldedError: the ledger's events break a rule, or it or the registry cannot be read.
    """
    workplace = bench.workplace
    document = written(workplace, NAME)
    state = state_of(workplace)
    signed, now, about_it = standing_signature(
        workplace, document, state.production, proposer_of(state, state.production)
    )
    sources = sources_now(workplace)
    elsewhere = of_other_items(sources, ID)
    assessment = rai_assessment(sources, document.prose, workplace.clock())
    done = (*about_it, *_of_the_approver(workplace, signed), _not_over(workplace, signed))
    begun = None if all(check.outcome == "held" for check in done) else _begun(workplace, now)
    facts: dict[str, Any] = {
        **document.facts(),
        "approver": workplace.deployment.people.rai_approver.name,
        "months": MONTHS,
        "signature": signature_facts(signed),
        "begun": signature_facts(begun),
    }
    if begun is not None:
        checks = (*document.checks, _some_is_written(document), *_of_the_approver(workplace, begun))
        facts |= {"state": _IN_PROGRESS, "by": begun.by, "until": _latest(workplace, begun, now).isoformat()}
        return Found((*checks, _in_time(workplace, begun, now)), facts, attested_by=begun.by)
    complete = (_parts(assessment, elsewhere), _each_principle(document), all_evidenced(assessment, elsewhere, ID))
    checks = (*document.checks, *done, *complete)
    holds = all(check.outcome == "held" for check in checks)
    facts |= {
        "state": _DONE if holds else _OPEN,
        "by": None if signed is None else signed.by,
        "until": None if signed is None else min(signed.until, _anniversary(signed.at.date())).isoformat(),
    }
    return Found(checks, facts, attested_by="" if signed is None else signed.by)


def _of_the_approver(workplace: Workplace, signed: SignedDocument | None) -> tuple[Check, ...]:
    """Rule 1."""
    name, person = "its approver said so", workplace.deployment.people.rai_approver
    expected = f"{person.name}, by an identity that site.yaml has of {person.email}"
    step = f"Name it under authorization.persons in site.yaml, and have {person.name} sign"
    if signed is None:
        return (Check.missing(name, why="nobody did", expected=expected, step=step),)
    theirs, open_to_all = identities_of(workplace.site, person), anybody(workplace.site)
    got = f"{signed.by}; this development site maps nobody" if open_to_all else signed.by
    return (Check.of(name, open_to_all or signed.by in theirs, got=got, expected=expected, step=step),)


def _not_over(workplace: Workplace, signed: SignedDocument | None) -> Check:
    """Rule 2. That it is for this model is asked where every signature is."""
    name, expected = "it is not older than its term", f"signed at most {MONTHS} months ago"
    step = f"Assess it again, and run `fielded release sign {NAME} FILE --until YYYY-MM-DD`"
    if signed is None:
        return Check.missing(name, why="no signature", expected=expected, step=step)
    on = signed.at.date()
    return Check.of(
        name, workplace.clock().date() <= _anniversary(on), got=f"signed on {on}", expected=expected, step=step
    )


def _anniversary(day: date) -> date:
    """The same day a year on; of a 29th of February the 28th."""
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return day.replace(year=day.year + 1, day=28)


def _begun(workplace: Workplace, now: Meant) -> SignedDocument | None:
    """Rule 4: what was last put on record of work on it, for these files."""
    found = [one for one in signatures(workplace, NAME, BEGUN) if not one.meant.changed_since(now)]
    return found[-1] if found else None


def _latest(workplace: Workplace, begun: SignedDocument, now: Meant) -> date:
    """Rule 4: the day until which work on it counts. Another definition does not begin it anew."""
    first = min(
        one.at for one in signatures(workplace, NAME, BEGUN) if one.meant.artifact_sha256 == now.artifact_sha256
    )
    return min(begun.until, first.date() + LONGEST_WORK)


def _in_time(workplace: Workplace, begun: SignedDocument, now: Meant) -> Check:
    """Rule 4."""
    today, latest = workplace.clock().date(), _latest(workplace, begun, now)
    return Check.of(
        "the work on it is in time",
        today <= latest,
        got=f"to be done by {latest}",
        expected=f"a day from {today} on, at most {LONGEST_WORK.days} days after it was first begun",
        step=f"Finish it, and have its approver run `fielded release sign {NAME} FILE --until YYYY-MM-DD`",
    )


def _some_is_written(document: Written) -> Check:
    """Rule 4."""
    told = [] if document.prose is None else list(document.prose.sections)
    return Check.of(
        "somebody has begun to write",
        bool(told),
        got=", ".join(told) or "nothing",
        expected="a passage under one part at least",
        step=f"Write in {document.file or 'the file'} (docs/documents.md)",
    )


def _parts(assessment: Document, elsewhere: frozenset[str]) -> Check:
    """Rule 3."""
    known = {section.title: section for section in assessment.sections}
    asked = [f"{principle.capitalize()}: {function}" for principle in PRINCIPLES for function in FUNCTIONS]
    empty = [title for title in asked if not any(stands(one, elsewhere) for one in known[title].sentences())]
    return Check.of(
        "each principle under each function says something",
        not empty,
        got=parts_without(asked, empty),
        expected="a sentence in each that is evidenced or that a person wrote",
        step="Collect the evidence (`fielded ready`), or write there (docs/documents.md)",
    )


def _each_principle(document: Written) -> Check:
    """Rule 3."""
    told = [] if document.prose is None else list(document.prose.sections)
    lacking = [one for one in PRINCIPLES if not any(part.startswith(f"{one}_") for part in told)]
    return Check.of(
        "people wrote under each principle",
        not lacking,
        got=parts_without(PRINCIPLES, lacking),
        expected="a passage with author and date under one function of each",
        step=f"Write them in {document.file or 'the file'} (docs/documents.md)",
    )


COLLECTOR = Collector[Bench](
    id=ID,
    title="The responsible AI assessment is done, or in progress with its approver",
    look=look,
    holds_for=timedelta(days=7),
    expected="an assessment that its approver stands for, for what is in production",
)
