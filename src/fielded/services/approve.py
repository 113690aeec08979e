"""Approve a version's bytes: the digest that is compared before anything is loaded (SI-7, CM-5)."""

from dataclasses import dataclass

from fielded.words.errors import NotApproved, Refused
from fielded.world.ledger import Event, Ledger
from fielded.world.model_files import describe, look_before_loading, signature_findings
from fielded.world.models import load_model
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

APPROVED = "artifact_approved"
WITHDRAWN = "approval_withdrawn"


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

    The files are copied to the site first; the copy is hashed and looked at without loading; then the approval
    is written, and only then is the copy loaded and tried. If it cannot be scored, the approval is withdrawn.

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
    look_before_loading(folder, deployment.model)
    # On record before it is loaded: loading may run the model's own code, and somebody answers for that.
    _record(workplace, APPROVED, model, {"artifact_sha256": sha256})
    try:
        loaded = load_model(folder, deployment.model)
    except Refused as refusal:
        _record(workplace, WITHDRAWN, model, {"artifact_sha256": sha256, "reason": str(refusal)})
        raise
    return Approval(model, sha256, loaded.row_exact)


def _record(workplace: Workplace, kind: str, model: RegisteredVersion, details: dict[str, str]) -> None:
    event = Event(
        kind=kind, about=str(model), actor=workplace.user, occurred_at=workplace.clock(), details=details
    )
    workplace.ledger.record(event, workplace.random_bytes)


def approved_digest(ledger: Ledger, model: RegisteredVersion) -> str:
    """The digest approved last for a version.

    Raises:
        NotApproved: nobody approved it, or the approval was withdrawn because it did not load.
    """
    events = ledger.events_of({APPROVED, WITHDRAWN}, str(model))
    if not events or events[-1]["kind"] == WITHDRAWN:
        raise NotApproved(
            f"{model}: got no approval in the ledger, expected one of its digest. "
            f"Run `fielded release approve {model.version}`"
        )
    return str(events[-1]["details"]["artifact_sha256"])
