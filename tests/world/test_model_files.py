"""What is refused before anything of a model is loaded."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import World
from fielded.definition.deployment import ModelRef
from fielded.services.approve import approve, approved_digest
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.release.rollback import rollback
from fielded.words.errors import NotApproved, Refused
from fielded.world.model_files import describe, look_before_loading
from fielded.world.registry import RegisteredVersion, Registry

REF = ModelRef(name="shared", alias="production", previous_alias="previous")


@pytest.fixture
def files(world: World, tmp_path: Path) -> Path:
    """A copy of the approved model's files, to be spoilt."""
    workplace = world.open()
    held = workplace.artifacts.approved(*resolve(workplace))
    return Path(shutil.copytree(held, tmp_path / "spoilt"))


def edit(files: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = yaml.safe_load((files / "MLmodel").read_text())
    change(document)
    (files / "MLmodel").write_text(yaml.safe_dump(document))


def test_an_untouched_model_passes(files: Path) -> None:
    assert look_before_loading(files, REF).flavor == "sklearn"


@pytest.mark.parametrize("outside", ["/elsewhere/model.skops", "../model.skops", "a/../../model.skops"])
@pytest.mark.parametrize(("flavor", "field"), [("sklearn", "pickled_model"), ("python_function", "model_path")])
def test_a_path_outside_the_hashed_folder_is_refused(files: Path, outside: str, flavor: str, field: str) -> None:
    edit(files, lambda document: document["flavors"][flavor].update({field: outside}))
    with pytest.raises(Refused, match="outside the model's folder"):
        describe(files)


def test_the_file_that_is_loaded_is_the_one_looked_into_whatever_its_name(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "model.skops").rename(files / "model.bin")

    def rename(document: dict[str, Any]) -> None:
        document["flavors"]["sklearn"]["pickled_model"] = "model.bin"
        document["flavors"]["python_function"]["model_path"] = "model.bin"

    edit(files, rename)
    look_before_loading(files, REF)
    monkeypatch.setattr("fielded.world.model_files._TRUSTED_PREFIXES", ())
    with pytest.raises(Refused, match=r"model\.bin: got types"):
        look_before_loading(files, REF)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["sklearn"].update(serialization_format="cloudpickle"), "expected skops"),
        (lambda f: f["python_function"].update(loader_module="evil"), "a loader or code of its own"),
        (lambda f: f["python_function"].update(code="code"), "a loader or code of its own"),
        (lambda f: f["python_function"].update(model_path="other.skops"), "two model files"),
    ],
)
def test_what_could_run_code_is_refused(files: Path, change: Callable[[dict], None], message: str) -> None:
    edit(files, lambda document: change(document["flavors"]))
    with pytest.raises(Refused, match=message):
        look_before_loading(files, REF)


def test_a_pickle_is_taken_only_where_the_definition_says_so(files: Path) -> None:
    edit(files, lambda document: document["flavors"]["sklearn"].update(serialization_format="pickle"))
    unsafe = ModelRef(name="shared", alias="production", previous_alias="previous", unsafe_pickle=True)
    assert look_before_loading(files, unsafe).flavor == "sklearn"


def test_an_approval_whose_files_do_not_load_is_withdrawn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise Refused("would not load")

    monkeypatch.setattr("fielded.world.models.load_model", failing)
    with pytest.raises(Refused, match="would not load"):
        approve(world.open(), "2")
    with pytest.raises(NotApproved):
        approved_digest(world.open().ledger, RegisteredVersion(world.model, "2"))
    monkeypatch.undo()
    approval = approve(world.open(), "2")
    assert approved_digest(world.open().ledger, approval.model) == approval.sha256


def test_a_rollback_that_died_half_way_is_completed_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace = world.open()
    name, ref = world.model, workplace.deployment.model
    before = {alias: workplace.registry.resolve(name, alias).version for alias in (ref.alias, ref.previous_alias)}
    point = Registry.point
    calls: list[str] = []

    def dying(self: Registry, model: str, alias: str, version: str) -> None:
        calls.append(alias)
        if len(calls) == 2:
            raise KeyboardInterrupt
        point(self, model, alias, version)

    monkeypatch.setattr(Registry, "point", dying)
    with pytest.raises(KeyboardInterrupt):
        rollback(workplace, Scorers(workplace), "killed")
    monkeypatch.undo()
    try:
        done = rollback(world.open(), Scorers(world.open()), "once more")
        assert (done.left.version, done.now.version) == (before[ref.alias], before[ref.previous_alias])
        assert workplace.registry.resolve(name, ref.previous_alias).version == before[ref.alias]
        kinds = [e["kind"] for e in world.open().ledger.events_of({"rollback_started", "rolled_back"})]
        assert kinds == ["rollback_started", "rolled_back"]
    finally:
        for alias, version in before.items():
            workplace.registry.point(name, alias, version)
