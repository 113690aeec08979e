"""Whether a version's files fit the definition, and how its scores are routed: read as text, nothing is loaded."""

from collections.abc import Mapping
from pathlib import Path

from fielded.decisions.monitoring.histograms import Grid
from fielded.decisions.routing import Routing, needs_profile, profile_findings, routing_of
from fielded.definition.deployment import Deployment, Document
from fielded.words.errors import Finding, Refused
from fielded.world.model_files import describe, signature_findings
from fielded.world.profiles import read_profile
from fielded.world.registry import RegisteredVersion


def fit_findings(folder: Path, deployment: Deployment) -> list[Finding]:
    """What the definition asks of a version's files, and they lack: signature, output, example, profile.

    Raises:
        Refused: they cannot be read.
    """
    return [
        *signature_findings(describe(folder), deployment),
        *profile_findings(deployment, _grids(folder, deployment)),
    ]


def check_fits(folder: Path, model: RegisteredVersion, deployment: Deployment) -> None:
    """Whether the definition can use a version.

    Args:
        folder: the version's files.
        model: the version, for the message.
        deployment: what its features, types, output and profile are held against.

    Raises:
        Refused: it cannot be read, or does not fit; with all findings.
    """
    findings = fit_findings(folder, deployment)
    if findings:
        raise Refused(f"{model}: does not fit the definition", findings)


def read_routing(folder: Path, document: Document) -> Routing:
    """How the definition routes the scores of a version.

    Args:
        folder: the version's files.
        document: the definition.

    Raises:
        Refused: the definition routes by what the training data had, and the files do not say it.
    """
    grids = _grids(folder, document)
    findings = profile_findings(document, grids)
    if findings:
        raise Refused(f"model {document.model.name}: does not fit the definition", findings)
    return routing_of(document, grids or {})


def _grids(folder: Path, document: Document) -> Mapping[str, Grid] | None:
    """Grids of the version's profile; None where it has none, or the definition does not ask for it."""
    if not needs_profile(document):
        return None
    profile = read_profile(folder)
    return None if profile is None else profile.grids
