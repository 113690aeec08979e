"""From the definition's alias to a scorer of approved bytes."""

from fielded.decisions.scoring import Scorer
from fielded.services.approve import approved_digest
from fielded.world.model_files import check_fits
from fielded.world.models import load_model
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace


def resolve(workplace: Workplace) -> tuple[RegisteredVersion, str]:
    """The version that the alias stands for now, and its approved digest. Asked once a run."""
    ref = workplace.deployment.model
    model = workplace.registry.resolve(ref.name, ref.alias)
    return model, approved_digest(workplace.ledger, model)


class Scorers:
    """Loads scorers, and keeps the last one: a back-fill of a month loads its model once.

    Args:
        workplace: the deployment at its site.
    """

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._last: Scorer | None = None

    def get(self, model: RegisteredVersion, sha256: str) -> Scorer:
        """A scorer of the approved bytes of a version.

        Raises:
            ArtifactChanged: the files are not the approved ones; nothing was loaded.
            Refused: the model does not fit the definition, or its fast path and pyfunc disagree.
        """
        last = self._last
        if last is None or (last.model_version, last.artifact_sha256) != (model.version, sha256):
            last = self._last = _load(self._workplace, model, sha256)
        return last


def _load(workplace: Workplace, model: RegisteredVersion, sha256: str) -> Scorer:
    deployment = workplace.deployment
    folder = workplace.artifacts.approved(model, sha256)
    check_fits(folder, model, deployment)
    loaded = load_model(folder, deployment.model)
    return Scorer(
        model_name=model.name,
        model_version=model.version,
        artifact_sha256=sha256,
        definition_sha256=deployment.sha256,
        threshold=deployment.decision.threshold,
        band=deployment.decision.review_band,
        predict=loaded.predict,
        background=loaded.background,
    )
