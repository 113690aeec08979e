"""The reference profile in a model's own files: in `MLmodel`, so hashed, approved and moved with them.

A training script gives it to MLflow with the model:

    held_out_scores = model.predict_proba(held_out)[:, 1]
    profile = profile_of(deployment.features, deployment.slices, training, held_out_scores, held_out)
    mlflow.sklearn.log_model(..., metadata=profile_metadata(profile))
"""

from pathlib import Path

from fielded.decisions.monitoring.profile import Profile
from fielded.words.errors import Refused
from fielded.world import mlflow_parts  # noqa: F401 - switches MLflow's telemetry off before its import

from mlflow.models import Model  # isort: skip

KEY = "fielded_profile"  # of the metadata


def profile_metadata(profile: Profile) -> dict[str, str]:
    """What to give to `mlflow.*.log_model(metadata=...)`; other entries may stand beside it."""
    return {KEY: profile.to_text()}


def read_profile(folder: Path) -> Profile | None:
    """The profile in a version's files; None where it was logged without one. Nothing of the model is loaded.

    Args:
        folder: the version's files, whose digest the caller has compared with the approved one.

    Raises:
        Refused: `MLmodel` cannot be read, or what stands there is no profile.
    """
    try:
        metadata = Model.load(str(folder)).metadata
    except Exception as error:  # whatever a damaged file makes YAML's or MLflow's parser raise
        raise Refused(f"MLmodel: cannot be read ({type(error).__name__})") from error
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if text is None:
        return None
    if not isinstance(text, str):
        raise Refused(
            f"MLmodel: metadata.{KEY}: got {type(text).__name__}, expected a text. "
            "Log the model again with profile_metadata(...)"
        )
    return Profile.parse(text)
