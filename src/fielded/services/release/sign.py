"""Put on record who stands for a document about the model: which bytes, until when (PL-2, GOVERN 1.4)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from fielded.decisions.release.findings import Finding
from fielded.services.authority import require_release
from fielded.services.release.record import about
from fielded.services.seal import seal
from fielded.words.digests import file_sha256
from fielded.words.errors import WrongUse
from fielded.world.workplace import Workplace

SIGNED = "document_signed"


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A document that somebody stands for.

    Attributes:
        name: as the definition's gate names it.
        sha256: of its bytes.
        by: who.
        until: last day on which it counts.
    """

    name: str
    sha256: str
    by: str
    until: date


def sign(workplace: Workplace, document: str, file: Path, until: date) -> SignedDocument:
    """Record that the asking person stands for a document as it is now, until a day.

    Args:
        workplace: whose `user` signs.
        document: one of `release.gates.evidence.documents`.
        file: the document. Its bytes stay where they are; their digest is kept.
        until: last day on which it counts.

    Raises:
        Refused: the asking person may not release.
        WrongUse: no gate asks for such a document, the file cannot be read or is empty, or the day is over.
    """
    require_release(workplace)
    gate = workplace.deployment.release.gates.evidence
    asked = () if gate is None else gate.documents
    if document not in asked:
        known = ", ".join(asked) or "none; name it in release.gates.evidence.documents"
        raise WrongUse(f"document: got {document}, expected one that the definition asks for: {known}")
    if until < workplace.clock().date():
        raise WrongUse(f"--until: got {until}, which is over, expected a day to come")
    try:
        sha256, size = file_sha256(file), file.stat().st_size
    except OSError as error:
        raise WrongUse(f"{file.name}: cannot be read ({error.strerror or type(error).__name__})") from None
    if not size:
        raise WrongUse(f"{file.name}: got an empty file, expected the document")
    details = {"document": document, "sha256": sha256, "until": until.isoformat()}
    workplace.record(SIGNED, about(workplace), details)
    seal(workplace)
    return SignedDocument(document, sha256, workplace.user, until)


def signed_documents(workplace: Workplace) -> dict[str, SignedDocument]:
    """The signature that counts for each document: the last."""
    return {
        event["details"]["document"]: SignedDocument(
            event["details"]["document"],
            event["details"]["sha256"],
            event["actor"],
            date.fromisoformat(event["details"]["until"]),
        )
        for event in workplace.ledger.events_of(SIGNED, about(workplace))
    }


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
            got = f"signed by {document.by} until {document.until}, sha256 {document.sha256}"
        yield Finding(
            gate="evidence",
            item=name,
            outcome="passed" if good else "failed" if document is not None else "not enough evidence",
            got=got,
            expected=f"signed by somebody other than {proposer}, who proposed the version, and current on {today}",
            step="" if good else f"Run `fielded release sign {name} FILE --until YYYY-MM-DD`",
        )
