"""A stored prediction is scored again, and the answer says exactly what was found."""

import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from books import PREDICTIONS, bits, read
from conftest import DAY, DEFINITION, Spare, World, make_orders
from fielded.services.replay import Replay, replay
from fielded.services.score_day import score_day
from fielded.words.errors import Unreachable, WrongUse
from fielded.world.registry import ArtifactGone


def _small(world: World) -> dict[str, dict]:
    """Score thirty orders; subject -> ledger row."""
    world.write("silver.orders", make_orders(30))
    score_day(*world.scorers(), DAY)
    return {row["subject"]: row for row in read(world, PREDICTIONS)}


def _replay(world: World, row: dict) -> Replay:
    return replay(world.open(), row["request_id"])


def test_every_score_replays_to_the_last_bit(world: World) -> None:
    rows = sorted(_small(world).values(), key=lambda row: row["features"]["age"] is not None)
    assert rows[0]["features"]["age"] is None  # a missing value is among them
    for row in rows[:6]:
        found = _replay(world, row)
        assert (found.outcome, found.registry) == ("exact", "the same files")
        assert found.model == f"model {world.model} version 2"
        assert bits(found.replayed) == bits(row["score"]) == bits(found.stored)


def test_a_category_that_training_never_saw_replays(world: World) -> None:
    world.define(DEFINITION.replace(", values: [engine, hull, radar, valve], unseen: quarantine", ""))
    orders = make_orders(3).set_column(5, "kind", pa.array(["sonar", "engine", "été"]))
    world.write("silver.orders", orders)
    score_day(*world.scorers(), DAY)
    rows = read(world, PREDICTIONS)
    assert {row["features"]["kind"] for row in rows} == {"sonar", "engine", "été"}
    assert {_replay(world, row).outcome for row in rows} == {"exact"}


def test_an_old_score_replays_with_the_version_that_gave_it(spare: Spare) -> None:
    spare.store.client.set_registered_model_alias(spare.model, "production", "1")
    row = next(iter(_small(spare).values()))
    spare.store.client.set_registered_model_alias(spare.model, "production", "2")
    found = _replay(spare, row)
    assert (found.outcome, found.model) == ("exact", f"model {spare.model} version 1")
    score_day(*spare.scorers(), DAY)
    (newer,) = (
        r for r in read(spare, PREDICTIONS) if r["subject"] == row["subject"] and r["model_version"] == "2"
    )
    assert newer["score"] != row["score"]  # else the versions could not be told apart
    assert _replay(spare, newer).outcome == "exact"


def test_an_old_decision_replays_by_the_threshold_of_its_day(world: World) -> None:
    rows = _small(world)
    world.define(DEFINITION.replace("threshold: 0.65", "threshold: 0.9").replace("[0.55, 0.75]", "[0.8, 0.95]"))
    flagged = [row for row in rows.values() if row["decision"] != "clear"]
    assert {_replay(world, row).outcome for row in flagged[:3]} == {"exact"}


def test_without_the_registrys_files_the_sites_copy_stands_in(spare: Spare) -> None:
    row = next(iter(_small(spare).values()))
    shutil.rmtree(spare.files["2"])
    found = _replay(spare, row)
    assert found.outcome == "exact"
    assert found.registry == "gone from the registry; the site's verified copy was used"


def test_without_any_files_the_answer_says_so(spare: Spare) -> None:
    row = next(iter(_small(spare).values()))
    shutil.rmtree(spare.files["2"])
    shutil.rmtree(spare.site.cache)
    found = _replay(spare, row)
    assert (found.outcome, found.replayed, found.stored) == ("artifact gone", None, row["score"])
    assert found.registry == "gone from the registry"


def test_a_version_that_was_deleted_is_gone(spare: Spare) -> None:
    row = next(iter(_small(spare).values()))
    spare.store.client.delete_model_version(spare.model, "2")
    assert _replay(spare, row).outcome == "exact"
    shutil.rmtree(spare.site.cache)
    assert _replay(spare, row).outcome == "artifact gone"


def _change(folder: Path, sign: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "armed.py").write_text(f"from pathlib import Path\nPath({str(sign)!r}).touch()\n")
    text = (folder / "MLmodel").read_text()
    changed = text.replace("loader_module: mlflow.sklearn", "code: code\n    loader_module: armed")
    assert changed != text
    (folder / "MLmodel").write_text(changed)


@pytest.mark.parametrize("copy", [True, False])
def test_changed_files_are_never_loaded(spare: Spare, *, copy: bool, tmp_path: Path) -> None:
    row = next(iter(_small(spare).values()))
    _change(spare.files["2"], tmp_path / "loaded")
    if not copy:
        shutil.rmtree(spare.site.cache)
    found = _replay(spare, row)
    assert not (tmp_path / "loaded").exists()
    assert found.outcome == ("exact" if copy else "artifact changed")
    assert found.registry.startswith("other files, digest ")
    assert (found.replayed is None) is not copy


def test_a_registry_out_of_reach_is_told_from_one_without_the_files(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = next(iter(_small(spare).values()))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = replace(spare, site=replace(spare.site, tracking_uri="http://127.0.0.1:9"))
    found = _replay(away, row)
    assert found.outcome == "exact"
    assert found.registry == "registry not reached; the site's verified copy was used"
    shutil.rmtree(spare.site.cache)
    with pytest.raises(Unreachable, match="does not answer") as caught:
        _replay(away, row)
    assert not isinstance(caught.value, ArtifactGone)  # nobody knows whether it is


# How somebody who can write to the disk would alter a row of a copied ledger.
ALTERATIONS = {
    "score, in its last bit": ("score", lambda score: struct.unpack(">d", _next(score))[0]),
    "decision": ("decision", lambda decision: "clear" if decision != "clear" else "flagged"),
    "feature": ("features", lambda features: {**features, "hours": features["hours"] * 40 + 1000}),
}


def _next(score: float) -> bytes:
    return (int.from_bytes(bits(score), "big") + 1).to_bytes(8, "big")


@pytest.mark.parametrize("what", ALTERATIONS)
def test_an_altered_row_differs(world: World, tmp_path: Path, what: str) -> None:
    rows = _small(world)
    row = min(rows.values(), key=lambda row: row["score"])
    column, alter = ALTERATIONS[what]
    copied = tmp_path / "copied"
    shutil.copytree(world.site.root, copied)
    folder = copied.joinpath(*PREDICTIONS.split("."))
    altered = [*(other for other in rows.values() if other is not row), {**row, column: alter(row[column])}]
    schema = pa.schema(DeltaTable(folder).schema().to_arrow())
    shutil.rmtree(folder)
    write_deltalake(folder, pa.Table.from_pylist(altered, schema=schema), partition_by=["scored_date"])
    elsewhere = replace(world, site=replace(world.site, root=str(copied)))
    assert _replay(elsewhere, row).outcome == "differs"
    untouched = max(rows.values(), key=lambda row: row["score"])
    assert _replay(elsewhere, untouched).outcome == "exact"
    assert _replay(world, row).outcome == "exact"


def test_an_id_that_the_ledger_does_not_have_is_refused(world: World) -> None:
    with pytest.raises(WrongUse, match="not in ledger"):
        replay(world.open(), "0190a0a0-0000-7000-8000-000000000000")


def test_replay_writes_nothing(world: World) -> None:
    rows = _small(world)
    before = {path: path.stat().st_mtime_ns for path in Path(world.site.root).rglob("*")}
    _replay(world, next(iter(rows.values())))
    assert {path: path.stat().st_mtime_ns for path in Path(world.site.root).rglob("*")} == before
