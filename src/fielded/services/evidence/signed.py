"""What both documents that people sign are asked: is the file whole, who stands for it, and is it for this model.

1. The file lies beside the definition, and every passage in it has a part, a person and a day that is not to come.
2. It has no words of intent without a number in the same sentence (`decisions.assurance.intent`).
3. Somebody stands for its bytes as they are, for the model's files, its training data and the definition as they
   are, on this day: not whoever proposed the version.
4. A sentence that nothing stands behind because the evidence of another item does not hold is that item's: it is
   told there, and counted here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from fielded.decisions.assurance.documents import Document
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.assurance.intent import intent_words
from fielded.decisions.assurance.statements import Said, Sources
from fielded.decisions.readiness.items import ITEMS
from fielded.decisions.release.acts import PROPOSED, Pinned
from fielded.decisions.release.state import ReleaseState
from fielded.definition.prose import Prose, read_prose
from fielded.services.documents.values import definition_values, site_values, sources_of
from fielded.services.evidence.collect import of_this, on_record, scope_of
from fielded.services.release.sign import Meant, SignedDocument, meant_now, nearest, signatures
from fielded.words.digests import file_sha256
from fielded.words.errors import DefinitionError
from fielded.world.workplace import Workplace

_SHOWN = 3  # findings that a check names


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A document's file as it is now.

    Attributes:
        name: as `ato.documents` names it.
        file: its name; empty where the definition names none.
        sha256: of its bytes; empty where they cannot be read.
        prose: what is in it; None where it cannot be read.
        checks: rule 1 and 2.
    """

    name: str
    file: str
    sha256: str
    prose: Prose | None
    checks: tuple[Check, ...]

    def facts(self) -> dict[str, Any]:
        """JSON values: how much of it there is, never what it says."""
        sections = {} if self.prose is None else self.prose.sections
        passages = [passage for part in sections.values() for passage in part]
        return {
            "file": self.file,
            "sha256": self.sha256,
            "passages": len(passages),
            "written_parts": list(sections),
            "authors": sorted({one.author for one in passages}),
            "newest": max((one.date.isoformat() for one in passages), default=None),
        }


def written(workplace: Workplace, name: str) -> Written:
    """Read a document's file, by rules 1 and 2."""
    file = workplace.deployment.ato.documents.get(name, "")
    there, expected = "its file can be read", f"a file beside deployment.yaml that ato.documents.{name} names"
    step = f"Write it (docs/documents.md), and name it in ato.documents.{name}"
    if not file:
        check = Check.of(there, False, got="ato.documents names none", expected=expected, step=step)
        return Written(name=name, file="", sha256="", prose=None, checks=(check,))
    path = workplace.deployment.folder / file
    try:
        prose = read_prose(path, name)
        sha256 = file_sha256(path)
    except DefinitionError as error:
        told = "; ".join(str(finding) for finding in error.findings[:_SHOWN])
        check = Check.of(there, False, got=told, expected=expected, step=f"Mend {file}, and sign it again")
        return Written(name=name, file=file, sha256=_digest(path), prose=None, checks=(check,))
    except OSError as error:
        got = f"{file}: {error.strerror or type(error).__name__}"
        check = Check.of(there, False, got=got, expected=expected, step=step)
        return Written(name=name, file=file, sha256="", prose=None, checks=(check,))
    checks = (
        Check.of(there, True, got=file, expected=expected),
        _dated(prose, file, workplace.clock().date()),
        _plain_words(prose, file),
    )
    return Written(name=name, file=file, sha256=sha256, prose=prose, checks=checks)


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError:
        return ""


def _dated(prose: Prose, file: str, today: date) -> Check:
    """Rule 1."""
    to_come = [name for name, part in prose.sections.items() for one in part if one.date > today]
    return Check.of(
        "no passage is dated to come",
        not to_come,
        got=f"to come in {', '.join(dict.fromkeys(to_come))}" if to_come else "every day is over or today",
        expected="the day on which each passage was written",
        step=f"Put the days right in {file}",
    )


def _plain_words(prose: Prose, file: str) -> Check:
    """Rule 2."""
    found = [
        f"{name}: `{words}`"
        for name, part in prose.sections.items()
        for one in part
        for words, _ in intent_words(one.text)
    ]
    more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return Check.of(
        "no words of intent without a number beside them",
        not found,
        got=f"{'; '.join(found[:_SHOWN])}{more}" if found else "none",
        expected="what was done and what came of it, with its number",
        step=f"Say in {file} what was measured, or take the sentence out",
    )


def sources_now(workplace: Workplace) -> Sources:
    """What documents are made of now: evidence on record as it counts for this scope, definition and site.

    Raises:
        Refused, Unreachable: as `on_record`.
    """
    scope = scope_of(workplace)
    known = [of_this(one, scope) for one in on_record(workplace).values()]
    deployment, site = definition_values(workplace.deployment), site_values(workplace.site)
    return sources_of(known, workplace.clock(), deployment, site)


def of_other_items(sources: Sources, own: str) -> frozenset[str]:
    """Rule 4: evidence of items that does not hold, and the item's own, which is being made."""
    return frozenset(
        item.key
        for item in ITEMS
        if item.key == own
        or item.key not in sources.documents
        or item.key in sources.unfit
        or item.key in sources.failed
    )


def stands(one: Said, elsewhere: frozenset[str]) -> bool:
    """Whether something stands behind a sentence, or what is missing is another item's."""
    return one.state != "not evidenced" or not elsewhere.isdisjoint(one.cites)


def all_evidenced(document: Document, elsewhere: frozenset[str], own: str) -> Check:
    """Whether a document has no sentence that nothing stands behind; see rule 4."""
    found = [one for one in document.sentences() if one.state == "not evidenced"]
    lacking = list(dict.fromkeys(one.lacking for one in found if not stands(one, elsewhere)))
    others = sum(stands(one, elsewhere) and own not in one.cites for one in found)
    more = f", and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
    told = f"{'; '.join(lacking[:_SHOWN])}{more}" if lacking else "none"
    return Check.of(
        "no sentence is without evidence",
        not lacking,
        got=f"{told}; {others} for other items" if others else told,
        expected="every sentence rests on evidence that holds, or on a person's word",
        step="Collect what is missing: `fielded ready`, or `fielded ato collect`",
    )


def proposer_of(state: ReleaseState, production: Pinned | None) -> str:
    """Who proposed what is in production, last; empty where it was adopted."""
    if production is None:
        return ""
    found = [one for one in state.history if one.kind == PROPOSED and Pinned.read(one.details) == production]
    return found[-1].actor if found else ""


def standing_signature(
    workplace: Workplace, document: Written, production: Pinned | None, proposer: str
) -> tuple[SignedDocument | None, Meant, list[Check]]:
    """Rule 3: the signature that comes nearest, what a document is about now, and what is to be said of both.

    Raises:
        Unreachable: the ledger or the registry.
    """
    now, today = meant_now(workplace, production), workplace.clock().date()
    found = nearest(signatures(workplace, document.name), document.sha256, now, proposer)
    command = f"`fielded release sign {document.name} {document.file or 'FILE'} --until YYYY-MM-DD`"
    if found is None:
        names = ("somebody stands for it", "the signature is of these bytes", "the signature is for this model",
                 "the signature is not over")  # fmt: skip
        lacking = [
            Check.missing(name, why="no signature", expected="one", step=f"Run {command}") for name in names[1:]
        ]
        first = Check.of(names[0], False, got="no signature", expected="one", step=f"Run {command}")
        return None, now, [first, *lacking]
    changed = found.meant.changed_since(now)
    model = f"{', '.join(changed)} changed since" if changed else f"version {now.version or 'none'}, unchanged"
    vouched = found.by != proposer
    return found, now, [
        Check.of(
            "somebody stands for it",
            vouched,
            got=f"{found.by}{'' if vouched else ', who proposed the version'}",
            expected=f"somebody other than {proposer or 'the proposer'}",
            step=f"Somebody else: run {command}",
        ),
        Check.of(
            "the signature is of these bytes",
            found.sha256 == document.sha256,
            got=f"sha256 {found.sha256[:12]}",
            expected=f"sha256 {document.sha256[:12]}, as {document.file or 'the file'} is now",
            step=f"Read it as it is now, and run {command}",
        ),
        Check.of(
            "the signature is for this model",
            not changed,
            got=model,
            expected="the model's files, the training data and the definition as they were signed for",
            step=f"Assess what changed, and run {command}",
        ),
        Check.of(
            "the signature is not over",
            found.until >= today,
            got=f"until {found.until}",
            expected=f"a day from {today} on",
            step=f"Run {command}",
        ),
    ]  # fmt: skip


def signature_facts(found: SignedDocument | None) -> Mapping[str, Any] | None:
    """JSON values of a signature; None where there is none."""
    return None if found is None else found.as_dict()


def parts_without(parts: Sequence[str], lacking: Sequence[str]) -> str:
    """How many parts have what is asked for, and which have not."""
    done = len(parts) - len(lacking)
    told = f"{done} of {len(parts)}"
    return f"{told}; not {', '.join(lacking)}" if lacking else told
