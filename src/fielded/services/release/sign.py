"""Put on record who stands for a document about the model: which bytes, of what, until when (PL-2, GOVERN 1.4).

1. A signature is of a file's bytes, and for a version: its files, the digest of what it learned from, and the
   definition as they are at that moment. Nobody names a version, and it is the only one that is proposed, else the
   one in production; where there is none, the signature says so.
2. The evidence gate asks whether somebody stands for the document on this day. Readiness asks more: whether it is
   for what is in production now.
3. Of several signatures of a document the last counts at the gate; readiness takes the last that is for what is in
   production, so that signing for a candidate does not unsign what is served.
4. Work on a document can be put on record before it is done (`begin`). It counts only where readiness says so, and
   at most for `LONGEST_WORK` since it was first begun for this version.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from fielded.decisions.release.acts import Pinned
from fielded.decisions.release.findings import Finding
from fielded.decisions.release.provenance import CONTENT
from fielded.services.authority import require_release
from fielded.services.release.record import about, state_of
from fielded.services.seal import seal
from fielded.words.digests import file_sha256
from fielded.words.errors import WrongUse
from fielded.world.provenance import recorded_training_data
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

SIGNED = "document_signed"
BEGUN = "document_begun"
LONGEST_WORK = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What a document was about when somebody signed it; see rule 1.

    Attributes:
        version: in the registry; empty where none was proposed or in production.
        artifact_sha256: of its files; empty likewise.
        training_sha256: content of the rows that it learned from; empty where that is not known.
        definition_sha256: of the definition.
    """

    version: str = ""
    artifact_sha256: str = ""
    training_sha256: str = ""
    definition_sha256: str = ""

    @classmethod
    def read(cls, details: Mapping[str, Any]) -> "Meant":
        """From an event's details; what an older fielded did not write is empty."""
        return cls(**{name: str(details.get(name, "")) for name in cls.__dataclass_fields__})

    def as_dict(self) -> dict[str, str]:
        """As the events hold it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def changed_since(self, now: "Meant") -> list[str]:
        """What is another now, in words. The same bytes under another number are the same model.

        Training data of which nothing is known any more is not another: that it is unknown is told where it is
        asked for.
        """
        told = {
            "artifact_sha256": "the model's files",
            "training_sha256": "the training data",
            "definition_sha256": "the definition",
        }
        differs = [words for name, words in told.items() if getattr(self, name) != getattr(now, name)]
        return [words for words in differs if words != told["training_sha256"] or now.training_sha256]


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A document that somebody stands for.

    Attributes:
        name: as the definition names it.
        sha256: of its bytes.
        by: who.
        until: last day on which it counts.
        at: UTC.
        meant: what it is about.
    """

    name: str
    sha256: str
    by: str
    until: date
    at: datetime
    meant: Meant

    @classmethod
    def read(cls, event: Mapping[str, Any]) -> "SignedDocument":
        """From a row of the events table."""
        details = event["details"]
        until = date.fromisoformat(details["until"])
        meant = Meant.read(details)
        return cls(details["document"], details["sha256"], event["actor"], until, event["occurred_at"], meant)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        flat = {"name": self.name, "sha256": self.sha256, "by": self.by, "until": self.until.isoformat()}
        return {**flat, "at": self.at.isoformat(), **self.meant.as_dict()}


def sign(
    workplace: Workplace, document: str, file: Path, until: date, version: str | None = None
) -> SignedDocument:
    """Record that the asking person stands for a document as it is now, until a day.

    Args:
        workplace: whose `user` signs.
        document: one of `release.gates.evidence.documents` or of `ato.documents`.
        file: the document. Its bytes stay where they are; their digest is kept.
        until: last day on which it counts.
        version: that it is for; see rule 1.

    Raises:
        Refused: the asking person may not release.
        WrongUse: nothing asks for such a document, the file cannot be read or is empty, the day is over, or the
            version is neither proposed nor in production.
        Unreachable: the ledger or the registry.
    """
    return _put_on_record(workplace, SIGNED, document, file, until, version)


def begin(
    workplace: Workplace, document: str, file: Path, until: date, version: str | None = None
) -> SignedDocument:
    """Record that the asking person works on a document, or has it worked on, and by when it is done.

    Raises:
        WrongUse: as `sign`, or the day is more than `LONGEST_WORK` from now.
        Refused, Unreachable: as `sign`.
    """
    latest = workplace.clock().date() + LONGEST_WORK
    if until > latest:
        raise WrongUse(f"--until: got {until} for a document in progress, expected {latest} at the latest")
    return _put_on_record(workplace, BEGUN, document, file, until, version)


def _put_on_record(
    workplace: Workplace, kind: str, document: str, file: Path, until: date, version: str | None
) -> SignedDocument:
    require_release(workplace)
    known = asked_for(workplace)
    if document not in known:
        told = ", ".join(known) or "none; name it in ato.documents or in release.gates.evidence.documents"
        raise WrongUse(f"document: got {document}, expected one that the definition asks for: {told}")
    if until < workplace.clock().date():
        raise WrongUse(f"--until: got {until}, which is over, expected a day to come")
    try:
        sha256, size = file_sha256(file), file.stat().st_size
    except OSError as error:
        raise WrongUse(f"{file.name}: cannot be read ({error.strerror or type(error).__name__})") from None
    if not size:
        raise WrongUse(f"{file.name}: got an empty file, expected the document")
    meant = meant_now(workplace, _chosen(workplace, version))
    details = {"document": document, "sha256": sha256, "until": until.isoformat(), **meant.as_dict()}
    workplace.record(kind, about(workplace), details)
    seal(workplace)
    return SignedDocument(document, sha256, workplace.user, until, workplace.clock(), meant)


def asked_for(workplace: Workplace) -> tuple[str, ...]:
    """Names of the documents that the definition asks for."""
    gate = workplace.deployment.release.gates.evidence
    return tuple(dict.fromkeys([*(() if gate is None else gate.documents), *workplace.deployment.ato.documents]))


def _chosen(workplace: Workplace, version: str | None) -> Pinned | None:
    """Rule 1."""
    state = state_of(workplace)
    proposed = {name: one.pinned for name, one in state.candidates.items()}
    if version is None:
        return next(iter(proposed.values())) if len(proposed) == 1 else state.production
    known = proposed if state.production is None else {state.production.version: state.production, **proposed}
    if version not in known:
        told = ", ".join(known) or "none is"
        raise WrongUse(f"--version: got {version}, expected one that is proposed or in production: {told}")
    return known[version]


def meant_now(workplace: Workplace, pinned: Pinned | None) -> Meant:
    """What a document about a version is about as things are now.

    Raises:
        Unreachable: the registry does not answer.
    """
    definition = workplace.deployment.sha256
    if pinned is None:
        return Meant(definition_sha256=definition)
    model = RegisteredVersion(workplace.deployment.model.name, pinned.version)
    texts = recorded_training_data(workplace.site, model).texts or {}
    return Meant(
        version=pinned.version,
        artifact_sha256=pinned.sha256,
        training_sha256=texts.get(CONTENT, ""),
        definition_sha256=definition,
    )


def signatures(workplace: Workplace, document: str, kind: str = SIGNED) -> tuple[SignedDocument, ...]:
    """Every signature of a document, oldest first; of `BEGUN`, every time that work on it was put on record."""
    found = (SignedDocument.read(event) for event in workplace.ledger.events_of(kind, about(workplace)))
    return tuple(one for one in found if one.name == document)


def signed_documents(workplace: Workplace) -> dict[str, SignedDocument]:
    """The signature that counts at the gate for each document: the last."""
    found = map(SignedDocument.read, workplace.ledger.events_of(SIGNED, about(workplace)))
    return {one.name: one for one in found}


def nearest(signed: Iterable[SignedDocument], sha256: str, now: Meant, not_by: str = "") -> SignedDocument | None:
    """The signature that comes nearest to standing for a file and a model as they are; the last of several.

    Args:
        signed: of one document, oldest first.
        sha256: of the file now.
        now: what is in production.
        not_by: identity that does not vouch for it, if another one did.
    """

    def distance(one: SignedDocument) -> tuple[int, bool]:
        return len(one.meant.changed_since(now)) + (one.sha256 != sha256), one.by == not_by

    return min(reversed(list(signed)), key=distance, default=None)


def document_findings(workplace: Workplace, names: Sequence[str], proposer: str) -> Iterator[Finding]:
    """Whether each document is signed and current today, by somebody other than the proposer.

    Args:
        workplace: whose ledger and clock count.
        names: of the documents.
        proposer: who proposed the version: he does not vouch for it (AC-5).
    """
    signed, today = signed_documents(workplace) if names else {}, workplace.clock().date()
    for name in names:
        document = signed.get(name)
        good = document is not None and document.until >= today and document.by != proposer
        got = "no signature"
        if document is not None:
            meant = f", for version {document.meant.version}" if document.meant.version else ""
            got = f"signed by {document.by} until {document.until}, sha256 {document.sha256}{meant}"
        yield Finding(
            gate="evidence",
            item=name,
            outcome="passed" if good else "failed" if document is not None else "not enough evidence",
            got=got,
            expected=f"signed by somebody other than {proposer}, who proposed the version, and current on {today}",
            step="" if good else f"Run `fielded release sign {name} FILE --until YYYY-MM-DD`",
        )
