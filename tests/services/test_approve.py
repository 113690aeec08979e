"""An approval is of exact bytes that are known to score, by a named person."""

import json
import shutil

import pytest

from books import events, tables_bytes
from conftest import DEFINITION, Spare, Store, World
from fielded.services.approve import approve, approved_digest
from fielded.words.digests import folder_sha256
from fielded.words.errors import NotApproved, Refused
from fielded.world.registry import ArtifactGone, NotRegistered, RegisteredVersion


def test_an_approval_says_who_approved_which_bytes(spare: Spare) -> None:
    shutil.rmtree(f"{spare.site.root}/ledger")
    approval = approve(spare.open("os:approver"), "2")
    assert approval.sha256 == folder_sha256(spare.files["2"])
    assert approval.model == RegisteredVersion(spare.model, "2")
    (event,) = events(spare, "artifact_approved")
    assert (event["about"], event["actor"]) == (f"model {spare.model} version 2", "os:approver")
    assert json.loads(event["details"]) == {"artifact_sha256": approval.sha256}
    assert approved_digest(spare.open().ledger, approval.model) == approval.sha256


def test_one_version_approved_is_not_another(bare: World) -> None:
    approve(bare.open(), "1")
    with pytest.raises(NotApproved, match="fielded release approve 2"):
        approved_digest(bare.open().ledger, RegisteredVersion(bare.model, "2"))


def test_the_last_approval_counts(spare: Spare) -> None:
    first = folder_sha256(spare.files["2"])
    (spare.files["2"] / "notes.txt").write_text("meant")
    second = approve(spare.open(), "2").sha256
    assert second == folder_sha256(spare.files["2"]) != first
    assert approved_digest(spare.open().ledger, RegisteredVersion(spare.model, "2")) == second
    assert len(events(spare, "artifact_approved", f"model {spare.model} version 2")) == 2


def test_a_version_that_is_not_there_is_not_approved(world: World) -> None:
    before = tables_bytes(world)
    with pytest.raises(NotRegistered, match="no version 99"):
        approve(world.open(), "99")
    assert tables_bytes(world) == before


def test_a_version_without_files_is_not_approved(spare: Spare) -> None:
    shutil.rmtree(spare.files["2"])
    before = tables_bytes(spare)
    with pytest.raises(ArtifactGone, match="not where the registry says"):
        approve(spare.open(), "2")
    assert tables_bytes(spare) == before


def test_a_model_that_does_not_fit_the_definition_is_not_approved(bare: World) -> None:
    bare.define(DEFINITION.replace("hours:   {type: float, unit: hours", "hours:   {type: int, unit: hours"))
    before = tables_bytes(bare)
    with pytest.raises(Refused, match=r"features\.hours\.type"):
        approve(bare.open(), "2")
    assert tables_bytes(bare) == before


def test_an_approval_of_what_cannot_be_scored_is_withdrawn(world: World) -> None:
    version = RegisteredVersion(world.model, "2")
    digest = approved_digest(world.open().ledger, version)
    world.define(DEFINITION.replace("previous_alias: previous}", "previous_alias: previous, positive_class: 7}"))
    with pytest.raises(Refused, match="positive_class"):
        approve(world.open(), "2")
    with pytest.raises(NotApproved):
        approved_digest(world.open().ledger, version)
    world.define()
    assert approve(world.open(), "2").sha256 == approved_digest(world.open().ledger, version) == digest


def test_a_classifier_that_gives_class_labels_is_not_approved(bare: World, store: Store) -> None:
    bare.model = "labels"
    version = store.log("labels", pyfunc_predict_fn="predict")
    bare.define()
    with pytest.raises(Refused, match="expected predict_proba"):
        approve(bare.open(), version)
    assert events(bare, "artifact_approved") == []
