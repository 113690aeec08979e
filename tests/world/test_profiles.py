"""A profile lies in the model's own files, comes back from an approved folder, and changes no score."""

import warnings
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from mlflow.models import Model

from conftest import FEATURES, Spare, Store, World, make_pipeline
from fielded.decisions.monitoring.profile import profile_of
from fielded.definition import load_deployment
from fielded.services.approve import approve
from fielded.words.errors import Refused
from fielded.world.profiles import KEY, profile_metadata, read_profile


def test_a_profile_travels_with_a_registered_model(world: World, store: Store) -> None:
    deployment = load_deployment(world.folder)
    pipeline, frame = make_pipeline(7)
    training = pa.Table.from_pandas(frame, preserve_index=False)
    profile = profile_of(deployment.features, deployment.slices, training, pipeline.predict_proba(frame)[:, 1])
    version = store.log("profiled", seed=7, metadata={**profile_metadata(profile), "author": "someone"})
    source = store.client.get_model_version_download_uri("profiled", version)
    folder = Path(mlflow.artifacts.download_artifacts(source, tracking_uri=store.uri, registry_uri=store.uri))
    found = read_profile(folder)
    assert found is not None
    assert found.to_text() == profile.to_text() == Model.load(str(folder)).metadata[KEY]
    assert list(found.grids) == [*FEATURES, "score"]
    assert found.rows == len(frame)
    world.model = "profiled"
    world.define()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        approve(world.open(), version)  # the files are hashed with the profile, loaded and scored
    row = mlflow.pyfunc.load_model(str(folder)).predict(frame.head(5))
    assert np.array_equal(row, pipeline.predict_proba(frame.head(5)))


def test_a_model_without_a_profile_has_none(spare: Spare) -> None:
    assert read_profile(spare.files["1"]) is None


def test_a_large_profile_goes_through_the_registry_whole(store: Store) -> None:
    """MLflow keeps what it is told of a model in its store too, where tags have a largest length."""
    text = '{"fielded_profile":1,' + '"é":"' + "0,1;" * 60_000 + '"}'
    version = store.log("large", metadata={KEY: text})
    source = store.client.get_model_version_download_uri("large", version)
    folder = mlflow.artifacts.download_artifacts(source, tracking_uri=store.uri, registry_uri=store.uri)
    assert Model.load(folder).metadata[KEY] == text


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (f"metadata:\n  {KEY}: '{{}}'\n", "profile: got something else"),
        (f"metadata:\n  {KEY}: 5\n", r"metadata\.fielded_profile: got int, expected a text"),
        (f"metadata:\n  {KEY}: '{{\"fielded_profile\":9}}'\n", "profile: got another version"),
        ("flavors: [\n", "MLmodel: cannot be read"),
    ],
)
def test_a_profile_that_cannot_be_read_is_refused(tmp_path: Path, metadata: str, message: str) -> None:
    (tmp_path / "MLmodel").write_text(f"flavors: {{}}\nmodel_uuid: a\nutc_time_created: b\n{metadata}")
    with pytest.raises(Refused, match=message):
        read_profile(tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="MLmodel: cannot be read"):
        read_profile(tmp_path)
