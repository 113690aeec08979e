"""Replay a prediction: load its version, feed its features, compare to the last bit (AU-10, AU-12)."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from ruamel.yaml import YAML

from fielded.decisions.scoring import DECISIONS, decide
from fielded.definition.deployment import ModelRef
from fielded.definition.loading import FILE
from fielded.services.audit import show
from fielded.words.errors import Unreachable
from fielded.world.ledger_tables import ledger_tables
from fielded.world.models import LoadedModel, load_model, one_native_thread
from fielded.world.registry import ArtifactGone, NotRegistered, RegisteredVersion
from fielded.world.workplace import Workplace

Outcome = Literal["exact", "differs", "artifact gone", "artifact changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay found.

    Attributes:
        request_id: of the prediction.
        outcome: `exact` only if score and decision are the same to the last bit.
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
    row = show(workplace.tables, ledger_tables(workplace.site, workplace.deployment.name), request_id)
    model = RegisteredVersion(row["model_name"], row["model_version"])
    folder, registry, lacking = _files(workplace, model, row["artifact_sha256"])
    if folder is None:
        return Replay(
            request_id=request_id, outcome=lacking, model=str(model), stored=row["score"], replayed=None,
            registry=registry,
        )  # fmt: skip
    loaded = load_model(folder, _model_ref(workplace, row))
    with one_native_thread():
        again = loaded.predict(_features(row["features"], loaded))
    band = (row["band_low"], row["band_high"])
    decision = DECISIONS[decide(again, row["threshold"], band)[0]]
    same = struct.pack(">d", again[0]) == struct.pack(">d", row["score"]) and decision == row["decision"]
    return Replay(
        request_id=request_id,
        outcome="exact" if same else "differs",
        model=str(model),
        stored=row["score"],
        replayed=float(again[0]),
        registry=registry,
    )


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


def _model_ref(workplace: Workplace, row: dict[str, Any]) -> ModelRef:
    """The model section of the definition that the row names, as the ledger recorded it."""
    recorded = workplace.ledger.events_of("definition_recorded", row["definition_sha256"])
    if not recorded:
        return workplace.deployment.model
    document = YAML(typ="safe", pure=True).load(recorded[-1]["details"][FILE])
    return ModelRef(**document["model"])


def _features(stored: dict[str, Any], loaded: LoadedModel) -> pa.RecordBatch:
    """One stored row in the model's order."""
    types = {"string": pa.string(), "boolean": pa.bool_(), "long": pa.int64(), "integer": pa.int64()}
    names = [name for name, _ in loaded.described.inputs]
    arrays = [pa.array([stored[name]], types.get(kind, pa.float64())) for name, kind in loaded.described.inputs]
    return pa.RecordBatch.from_arrays(arrays, names=names)
