"""Replay a prediction: load its version, feed its features, compare to the last bit (AU-10, AU-12)."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from fielded.decisions.routing import Routing
from fielded.decisions.scoring import Scorer
from fielded.definition.deployment import Document
from fielded.definition.loading import FILE, parse_document
from fielded.services.audit import Books, show
from fielded.words.digests import texts_sha256
from fielded.words.errors import Refused, Unreachable
from fielded.world.fitting import read_routing
from fielded.world.models import features_of, load_model, one_native_thread
from fielded.world.registry import ArtifactGone, NotRegistered, RegisteredVersion
from fielded.world.workplace import Workplace

Outcome = Literal["exact", "differs", "artifact gone", "artifact changed"]

_DECIDED_BEFORE = ("flag", "decision", "threshold", "band_low", "band_high")
_DECIDED = (*_DECIDED_BEFORE, "routed_by", "review_propensity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay found.

    Attributes:
        request_id: of the prediction.
        outcome: `exact` only if the score is the same to the last bit, and flag, decision, threshold, band and
            what had a person look at it are those of the definition that the row names.
        model: version that scored it.
        stored: score in the ledger.
        replayed: score now; None where there was nothing to load.
        registry: what the registry holds of that version today.
    """

    request_id: str
    outcome: Outcome
    model: str
    stored: float
    replayed: float | None
    registry: str


def replay(workplace: Workplace, request_id: str) -> Replay:
    """Score a prediction's stored features again with the version that scored them.

    The site's verified copy of the files stands in where the registry's are gone or changed; the result says
    so. Without such a copy the outcome is `artifact gone` or `artifact changed`, and nothing is loaded.

    Raises:
        WrongUse: no such prediction.
        Unreachable: the registry does not answer, and the site has no copy.
        Refused: the files are the right ones, but cannot be scored any more.
    """
    books = Books(workplace.tables, workplace.ledger.predictions, workplace.journals)
    row = show(books, request_id)
    model = RegisteredVersion(row["model_name"], row["model_version"])
    folder, registry, lacking = _files(workplace, model, row["artifact_sha256"])
    if folder is None:
        return Replay(
            request_id=request_id, outcome=lacking, model=str(model), stored=row["score"], replayed=None,
            registry=registry,
        )  # fmt: skip
    recorded = _recorded(workplace, row)
    loaded = load_model(folder, recorded.model)
    scorer = Scorer(
        model_name=model.name,
        model_version=model.version,
        artifact_sha256=row["artifact_sha256"],
        definition_sha256=row["definition_sha256"],
        routing=_routing(row, recorded, folder),
        predict=loaded.predict,
    )
    features, request_ids = features_of(row["features"], loaded.described.inputs), pa.array([row["request_id"]])
    with one_native_thread():
        again = scorer.score(features, request_ids).to_pylist()[0]
    again |= {"threshold": scorer.threshold, "band_low": scorer.band[0], "band_high": scorer.band[1]}
    same = _bits(again["score"]) == _bits(row["score"])
    same &= all(again[name] == row[name] for name in (_DECIDED if _is_routed(row) else _DECIDED_BEFORE))
    return Replay(
        request_id=request_id,
        outcome="exact" if same else "differs",
        model=str(model),
        stored=row["score"],
        replayed=again["score"],
        registry=registry,
    )


def _is_routed(row: dict[str, Any]) -> bool:
    """Whether the ledger says how the row was routed; rows from before it did were routed by the band alone."""
    return row.get("review_propensity") is not None


def _routing(row: dict[str, Any], recorded: Document, folder: Path) -> Routing:
    if _is_routed(row):
        return read_routing(folder, recorded)
    return Routing(threshold=recorded.decision.threshold, band=recorded.decision.review_band)


def _bits(score: float) -> bytes:
    return struct.pack(">d", score)


def _files(workplace: Workplace, model: RegisteredVersion, sha256: str) -> tuple[Path | None, str, Outcome]:
    """Files with the row's digest if they can be had, what the registry holds, and what to say if not."""
    lacking: Outcome = "artifact gone"
    try:
        folder, found = workplace.artifacts.take(model)
    except (ArtifactGone, NotRegistered):
        registry = "gone from the registry"
    except Unreachable:
        held = workplace.artifacts.held(sha256)
        if held is None:
            raise
        return held, "registry not reached; the site's verified copy was used", lacking
    else:
        if found == sha256:
            return folder, "the same files", lacking
        registry, lacking = f"other files, digest {found}", "artifact changed"
    held = workplace.artifacts.held(sha256)
    return held, f"{registry}; the site's verified copy was used" if held else registry, lacking


def _recorded(workplace: Workplace, row: dict[str, Any]) -> Document:
    """The definition that the row names, as the ledger recorded it."""
    sha256 = row["definition_sha256"]
    for event in workplace.ledger.events_of("definition_recorded", sha256):
        if texts_sha256(event["details"]) == sha256:
            return parse_document(event["details"][FILE])
    if workplace.deployment.sha256 == sha256:
        return workplace.deployment
    raise Refused(f"definition {sha256}: got no text of it in the ledger, expected the one that scored this row")
