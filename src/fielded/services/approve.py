"""Approve a version's bytes: the digest that is compared before anything is loaded (SI-7, CM-5)."""

from dataclasses import dataclass

from fielded.words.errors import NotApproved, Refused
from fielded.world.ledger import Event, Ledger
from fielded.world.models import describe, load_model, signature_findings
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

KIND = "artifact_approved"


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval of exact bytes.

    Attributes:
        model: the version.
        sha256: digest of its files.
        row_exact: whether its scores replay to the last bit.
    """

    model: RegisteredVersion
    sha256: str
    row_exact: bool


def approve(workplace: Workplace, version: str) -> Approval:
    """Record that the asking person approves the files of `version` as they are now.

    The files are copied to the site first; the copy is hashed, checked against the definition and loaded, so
    what is approved is known to score.

    Raises:
        NotRegistered: no such version.
        Refused: the version does not fit the definition.
    """
    deployment = workplace.deployment
    model = workplace.registry.version(deployment.model.name, version)
    folder, sha256 = workplace.artifacts.take(model)
    findings = signature_findings(describe(folder), deployment)
    if findings:
        raise Refused(f"{model}: does not fit the definition", findings)
    loaded = load_model(folder, deployment.model)
    workplace.ledger.record(
        Event(
            kind=KIND,
            about=str(model),
            actor=workplace.user,
            occurred_at=workplace.clock(),
            details={"artifact_sha256": sha256, "row_exact": loaded.row_exact},
        ),
        workplace.random_bytes,
    )
    return Approval(model, sha256, loaded.row_exact)


def approved_digest(ledger: Ledger, model: RegisteredVersion) -> str:
    """The digest approved last for a version.

    Raises:
        NotApproved: nobody approved it.
    """
    events = ledger.events_of(KIND, str(model))
    if not events:
        raise NotApproved(
            f"{model}: got no approval in the ledger, expected one of its digest. "
            f"Run `fielded release approve {model.version}`"
        )
    return str(events[-1]["details"]["artifact_sha256"])
