"""Files are compared with the approved digest before anything in them is loaded.

The model here is pickled, the worst case: loading it runs what the file says. A changed pickle of this test
writes a marker, so that a load cannot go unseen.
"""

import os
import pickle
import random
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature

from conftest import NOWHERE
from fielded.definition import Site
from fielded.definition.deployment import ModelRef
from fielded.words.digests import folder_sha256
from fielded.words.errors import ArtifactChanged
from fielded.world.artifacts import Artifacts
from fielded.world.models import load_model
from fielded.world.registry import ArtifactGone, RegisteredVersion, Registry

CHANCE = random.Random(0)


class Marking:
    """Its unpickling makes a folder."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.makedirs, (str(self._marker), 0o777, True))


@pytest.fixture(scope="module")
def pickled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pickled") / "model"
    frame = pd.DataFrame({"hours": [1.0, 2.0]})
    with warnings.catch_warnings():  # MLflow's hints to the author of a model
        warnings.simplefilter("ignore")

        class Half(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):  # noqa: ANN001, ANN202, ARG002 - it reads hints
                return np.full(len(model_input), 0.5)

        mlflow.pyfunc.save_model(
            str(folder),
            python_model=Half(),
            signature=infer_signature(frame, np.array([0.5])),
            input_example=frame,
            pip_requirements=["numpy"],
        )
    return folder


@pytest.fixture
def registered(store: Any, pickled: Path, tmp_path: Path) -> SimpleNamespace:
    """A registered version, its files in the registry, the digest approved, and a site without copies."""
    source = tmp_path / "registry" / "model"
    shutil.copytree(pickled, source)
    name = f"pickled_{tmp_path.parent.name}_{tmp_path.name}"
    store.client.create_registered_model(name)
    store.client.create_model_version(name, source.as_uri())
    site = Site(
        root=str(tmp_path), tracking_uri=store.uri, artifact_root="none", cache=tmp_path / "cache", **NOWHERE
    )
    return SimpleNamespace(
        source=source,
        site=site,
        model=RegisteredVersion(name, "1"),
        approved=folder_sha256(source),
        artifacts=Artifacts(site, Registry(site), CHANCE.randbytes),
        marker=tmp_path / "was-unpickled",
    )


def load(registered: Any) -> Any:
    return load_model(
        registered.artifacts.approved(registered.model, registered.approved),
        ModelRef(name=registered.model.name, alias="production", previous_alias="previous"),
    )


def copies(registered: Any) -> list[str]:
    return sorted(path.name for path in (registered.site.cache / "models").iterdir())


def evil(registered: Any) -> bytes:
    return pickle.dumps(Marking(registered.marker))


def test_unchanged_files_are_held_under_their_digest_and_load(registered: Any) -> None:
    assert load(registered).row_exact
    assert copies(registered) == [registered.approved]


def test_the_marker_of_these_tests_would_be_seen(registered: Any) -> None:
    """A control: without the comparison the changed pickle runs."""
    (registered.source / "python_model.pkl").write_bytes(evil(registered))
    folder, _ = registered.artifacts.take(registered.model)
    with pytest.raises(Exception, match=r".*"):
        load_model(folder, ModelRef(name="m", alias="production", previous_alias="previous"))
    assert registered.marker.exists()


def _changed(registered: Any) -> None:
    (registered.source / "python_model.pkl").write_bytes(evil(registered))


def _added(registered: Any) -> None:
    (registered.source / "added.pkl").write_bytes(evil(registered))


def _removed(registered: Any) -> None:
    _stand_in(registered)
    (registered.source / "requirements.txt").unlink()


def _renamed(registered: Any) -> None:
    (registered.source / "requirements.txt").rename(registered.source / "requirement.txt")


def _swapped(registered: Any) -> None:
    one, two = registered.source / "requirements.txt", registered.source / "conda.yaml"
    texts = one.read_bytes(), two.read_bytes()
    two.write_bytes(texts[0])
    one.write_bytes(texts[1])


def _linked(registered: Any) -> None:
    """A link to another file of the folder, in place of the pickle."""
    (registered.source / "other.pkl").write_bytes(evil(registered))
    (registered.source / "python_model.pkl").unlink()
    (registered.source / "python_model.pkl").symlink_to("other.pkl")


def _one_byte(registered: Any) -> None:
    path = registered.source / "MLmodel"
    path.write_bytes(path.read_bytes() + b"\n")


def _stand_in(registered: Any) -> None:
    (registered.source / "python_model.pkl").write_bytes(evil(registered))


CHANGES = [_changed, _added, _removed, _renamed, _swapped, _linked, _one_byte]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_any_change_is_refused_before_anything_is_unpickled(
    registered: Any, change: Callable[[Any], None]
) -> None:
    change(registered)
    with pytest.raises(ArtifactChanged) as caught:
        load(registered)
    assert not registered.marker.exists()
    assert copies(registered) == []
    assert str(registered.model) in str(caught.value)
    assert registered.approved in str(caught.value)
    assert "Nothing was loaded" in str(caught.value)
    assert caught.value.exit_code == 1


def test_a_link_out_of_the_folder_is_refused_before_anything_is_unpickled(registered: Any, tmp_path: Path) -> None:
    (tmp_path / "outside.pkl").write_bytes(evil(registered))
    (registered.source / "python_model.pkl").unlink()
    (registered.source / "python_model.pkl").symlink_to(tmp_path / "outside.pkl")
    with pytest.raises((ArtifactChanged, ArtifactGone)):  # MLflow itself does not follow it
        load(registered)
    assert not registered.marker.exists()
    assert copies(registered) == []


class TestTheSitesOwnCopy:
    def test_stands_in_where_the_registrys_files_changed_or_went(self, registered: Any) -> None:
        load(registered)
        _changed(registered)
        load(registered)
        shutil.rmtree(registered.source)
        load(registered)
        assert not registered.marker.exists()

    @pytest.mark.parametrize("how", ["changed", "added", "removed", "linked"])
    def test_is_evicted_when_tampered_with_and_fetched_anew(self, registered: Any, how: str) -> None:
        folder = registered.artifacts.approved(registered.model, registered.approved)
        self._tamper(folder, how, registered)
        load(registered)
        assert not registered.marker.exists()
        assert folder_sha256(folder) == registered.approved

    @pytest.mark.parametrize("how", ["changed", "added", "removed", "linked"])
    def test_that_was_tampered_with_is_never_what_take_gives(self, registered: Any, how: str) -> None:
        """`take` is how a version is approved and replayed: what it gives is loaded next."""
        folder, _ = registered.artifacts.take(registered.model)
        self._tamper(folder, how, registered)
        given, found = registered.artifacts.take(registered.model)
        assert found == registered.approved == folder_sha256(given)

    def test_that_was_tampered_with_is_gone_where_the_registry_is_too(self, registered: Any) -> None:
        folder = registered.artifacts.approved(registered.model, registered.approved)
        self._tamper(folder, "changed", registered)
        shutil.rmtree(registered.source)
        with pytest.raises(ArtifactGone):
            load(registered)
        assert registered.artifacts.held(registered.approved) is None
        assert not registered.marker.exists()
        assert [name.partition("-")[0] for name in copies(registered)] == ["altered"], "kept aside as evidence"

    def _tamper(self, folder: Path, how: str, registered: Any) -> None:
        pickled = folder / "python_model.pkl"
        if how == "added":
            (folder / "added.py").write_text("")
        elif how == "removed":
            (folder / "requirements.txt").unlink()
        elif how == "linked":
            outside = folder.parent.parent / "outside.pkl"
            shutil.copy(pickled, outside)  # the same bytes, for now
            pickled.unlink()
            pickled.symlink_to(outside)
        else:
            pickled.write_bytes(evil(registered))


FETCH = """
import os, sys, time
from pathlib import Path
from fielded.definition import Site
from fielded.world.artifacts import Artifacts
from fielded.world.registry import RegisteredVersion, Registry
uri, cache, name, sha256 = sys.argv[1:]
site = Site(root=cache, tracking_uri=uri, artifact_root="none", cache=Path(cache),
            journal_url="sqlite:///none", signing_key="file:none")
artifacts = Artifacts(site, Registry(site), os.urandom)
Path(cache, f"ready-{os.getpid()}").touch()
while len(list(Path(cache).glob("ready-*"))) < 2:
    time.sleep(0)
for _ in range(3):
    print(artifacts.approved(RegisteredVersion(name, "1"), sha256))
"""


def test_two_processes_that_fetch_at_once_keep_one_copy(registered: Any) -> None:
    site, model = registered.site, registered.model
    site.cache.mkdir()
    command = [sys.executable, "-c", FETCH, site.tracking_uri, str(site.cache), model.name, registered.approved]
    racers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for racer in racers:
        said, complaint = racer.communicate(timeout=90)
        assert racer.returncode == 0, complaint
        assert set(said.split()) == {str(site.cache / "models" / registered.approved)}
    assert copies(registered) == [registered.approved]
    assert folder_sha256(site.cache / "models" / registered.approved) == registered.approved
