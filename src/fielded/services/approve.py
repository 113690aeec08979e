"""Approve a version's bytes: the digest that is compared before anything is loaded (SI-7, CM-5)."""

from dataclasses import dataclass

from fielded.services.seal import seal
from fielded.words.errors import NotApproved, Refused
from fielded.world.ledger import Ledger
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
    # These bring MLflow and scikit-learn; who only asks what is approved does without.
    from fielded.world.fitting import check_fits  # noqa: PLC0415
    from fielded.world.model_files import look_before_loading  # noqa: PLC0415
    from fielded.world.models import load_model  # noqa: PLC0415

    deployment = workplace.deployment
    model = workplace.registry.version(deployment.model.name, version)
    folder, sha256 = workplace.artifacts.take(model)
    check_fits(folder, model, deployment)
    look_before_loading(folder, deployment.model)
    # On record before it is loaded: loading may run the model's own code, and somebody answers for that.
    workplace.record(APPROVED, str(model), {"artifact_sha256": sha256})
    try:
        loaded = load_model(folder, deployment.model)
    except Refused as refusal:
        workplace.record(WITHDRAWN, str(model), {"artifact_sha256": sha256, "reason": str(refusal)})
        seal(workplace)
        raise
    seal(workplace)
    return Approval(model, sha256, loaded.row_exact)


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


def check_approved(ledger: Ledger, model: RegisteredVersion, sha256: str) -> None:
    """Whether exactly these bytes of a version are approved, whatever was approved of it later.

    Raises:
        NotApproved: nobody approved them, or the approval was withdrawn because they did not load.
    """
    events = ledger.events_of({APPROVED, WITHDRAWN}, str(model))
    of_these = [event["kind"] for event in events if event["details"]["artifact_sha256"] == sha256]
    if not of_these or of_these[-1] == WITHDRAWN:
        raise NotApproved(
            f"{model}: got no approval of digest {sha256[:12]}... in the ledger, expected one. "
            f"Run `fielded release approve {model.version}`"
        )
