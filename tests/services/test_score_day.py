"""A day is scored: every row accounted for, the ledger and the gold table agree, and running again is safe."""

import re
import shutil
from collections import Counter
from datetime import UTC, date, timedelta
from pathlib import Path

import mlflow.pyfunc
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from books import (
    EVENTS,
    GOLD,
    PREDICTIONS,
    Crash,
    assert_run,
    assert_shown,
    bits,
    clean,
    crash,
    events,
    faulty,
    gold,
    read,
    runs_of,
    tables_bytes,
)
from conftest import DAY, DEFINITION, POPULATION, Spare, Ticking, World, make_orders
from fielded.services.approve import approve
from fielded.services.publish import publish
from fielded.services.score_day import score_day
from fielded.words.digests import folder_sha256
from fielded.words.errors import ArtifactChanged, DefinitionError, NotApproved, RunRefused, Unreachable, WrongUse
from fielded.world.ledger import Ledger
from fielded.world.registry import NotRegistered

STRICTER = DEFINITION.replace("threshold: 0.65", "threshold: 0.7")


def test_every_row_of_the_population_is_scored_or_quarantined(world: World) -> None:
    expected = faulty()
    world.write("silver.orders", expected.orders)
    summary = score_day(*world.scorers(), DAY)
    assert summary.state == "published"
    assert expected.orders.num_rows == expected.population == 2005
    assert (summary.population, summary.scored, summary.quarantined) == (2005, 1935, 70)
    assert_run(world, summary.run_id, expected)
    assert_shown(world, summary.run_id, expected)
    decided = Counter(row["decision"] for row in gold(world))
    assert decided == {"flagged": summary.flagged, "clear": summary.clear, "review": summary.review}
    assert all(decided.values())  # else the counts above show little


def test_scores_are_what_the_model_gives_and_decisions_what_the_definition_says(world: World) -> None:
    score_day(*world.scorers(), DAY)
    model = mlflow.pyfunc.load_model(f"models:/{world.model}/2").get_raw_model()
    rows = read(world, PREDICTIONS)
    table = pa.Table.from_pylist([row["features"] for row in rows])
    wanted = model.predict_proba(table.to_pandas())[:, 1]
    assert [bits(row["score"]) for row in rows] == [bits(score) for score in wanted]
    for row in rows:
        in_band = 0.55 <= row["score"] <= 0.75
        assert row["flag"] is (row["score"] >= 0.65)
        assert row["decision"] == ("review" if in_band else "flagged" if row["score"] >= 0.65 else "clear")


def test_features_are_those_of_the_day(world: World) -> None:
    earlier = date(2025, 3, 2)  # when no ship is from the future
    world.write("silver.orders", make_orders(300, opened_on=earlier))
    workplace, scorers = world.scorers()
    for day in (DAY, earlier):
        score_day(workplace, scorers, day)
    orders = {row["order_id"]: row for row in make_orders(300).to_pylist()}
    for row in read(world, PREDICTIONS):
        order = orders[row["subject"]]
        built = order["hull"] + 1975 if order["hull"] < 50 else None
        assert row["features"] == {
            **{name: order[name] for name in ("hours", "earlier", "month", "kind")},
            "age": None if built is None else float(row["scored_date"].year - built),
        }


def test_a_row_says_who_asked_what_scored_it_and_when(world: World) -> None:
    definition_digest = folder_sha256(world.folder)
    source = mlflow.artifacts.download_artifacts(f"models:/{world.model}/2")
    (artifact_digest,) = {
        path.name for path in (world.site.cache / "models").iterdir() if _same_files(path, Path(source))
    }
    began = Ticking()()
    summary = score_day(*world.scorers(), DAY)
    rows = read(world, PREDICTIONS)
    shared = {
        "run_id": summary.run_id, "channel": "batch", "requested_by": "os:tester", "client_address": None,
        "threshold": 0.65, "band_low": 0.55, "band_high": 0.75, "model_name": world.model, "model_version": "2",
        "artifact_sha256": artifact_digest, "definition_sha256": definition_digest, "scored_date": DAY,
    }  # fmt: skip
    assert len(rows) == 2000
    for row in rows:
        assert {name: row[name] for name in shared} == shared
        assert row["scored_at"].tzinfo is not None
        assert timedelta(0) <= row["scored_at"].astimezone(UTC) - began < timedelta(minutes=1)
        assert re.fullmatch(
            r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", row["request_id"]
        )
    assert len({row["request_id"] for row in rows}) == 2000


def _same_files(copy: Path, source: Path) -> bool:
    names = [path.relative_to(copy) for path in copy.rglob("*") if path.is_file()]
    return all(
        (source / name).is_file() and (source / name).read_bytes() == (copy / name).read_bytes() for name in names
    )


def test_the_text_of_the_definition_is_kept_under_the_digest_that_rows_carry(world: World) -> None:
    score_day(*world.scorers(), DAY)
    (kept,) = world.open().ledger.events_of("definition_recorded")
    assert {row["definition_sha256"] for row in read(world, PREDICTIONS)} == {kept["about"]}
    for name in ("deployment.yaml", "population.py"):
        assert kept["details"][name] == (world.folder / name).read_text()


def test_progress_ends_at_the_population(world: World) -> None:
    seen: list[tuple[int, int]] = []
    score_day(*world.scorers(), DAY, progress=lambda done, rows: seen.append((done, rows)))
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == (2000, 2000)


# Running again


def test_a_finished_day_is_left_as_it_is(world: World) -> None:
    first = score_day(*world.scorers(), DAY)
    before = tables_bytes(world)
    second = score_day(*world.scorers(), DAY)
    assert second.state == "already done"
    assert tables_bytes(world) == before
    apart = {"state": 0, "seconds": 0}
    assert {**second.as_dict(), **apart} == {**first.as_dict(), **apart}


def test_asking_again_makes_a_second_run_and_gold_shows_it(world: World) -> None:
    workplace, scorers = world.scorers()
    expected = clean(2000)
    first = score_day(workplace, scorers, DAY)
    second = score_day(workplace, scorers, DAY, again="once more")
    assert second.state == "published"
    assert runs_of(world) == {first.run_id, second.run_id}
    for run in (first, second):
        assert_run(world, run.run_id, expected)
    assert_shown(world, second.run_id, expected)


def test_changed_input_replaces_the_day_and_only_the_day(world: World) -> None:
    workplace, scorers = world.scorers()
    yesterday = DAY - timedelta(days=1)
    world.write("silver.orders", make_orders(600, opened_on=yesterday))
    kept = score_day(workplace, scorers, yesterday)
    first = score_day(workplace, scorers, DAY)
    later = clean(400, first=500, seed=9)
    world.write("silver.orders", later.orders)
    second = score_day(workplace, scorers, DAY)
    assert second.run_id != first.run_id
    assert_shown(world, second.run_id, later)
    assert_shown(world, kept.run_id, clean(600), yesterday)
    assert_run(world, first.run_id, clean(600))  # the ledger forgets nothing


def test_an_empty_population_is_an_empty_day(world: World) -> None:
    summary = score_day(*world.scorers(), DAY - timedelta(days=1))
    assert summary.state == "published"
    assert (summary.population, summary.scored, summary.quarantined) == (0, 0, 0)
    assert gold(world, DAY - timedelta(days=1)) == []
    assert len(events(world, "day_scored", summary.run_id)) == 1
    assert score_day(*world.scorers(), DAY - timedelta(days=1)).state == "already done"


def test_a_day_that_became_empty_is_emptied_and_filled_again(world: World) -> None:
    workplace, scorers = world.scorers()
    score_day(workplace, scorers, DAY)
    assert len(gold(world)) == 2000
    world.write("silver.orders", make_orders(0))
    assert score_day(workplace, scorers, DAY).state == "published"
    assert gold(world) == []
    world.write("silver.orders", make_orders(30))
    assert_shown(world, score_day(workplace, scorers, DAY).run_id, clean(30))


def test_a_run_that_publishes_late_does_not_overwrite_a_later_one(world: World) -> None:
    workplace, scorers = world.scorers()
    with crash(Ledger, "commit_predictions", after=True):
        score_day(workplace, scorers, DAY)
    (late,) = runs_of(world)
    world.define(STRICTER)
    later = score_day(*world.scorers(), DAY)
    assert publish(world.open(), late, DAY) is False
    assert_shown(world, later.run_id, clean(2000))


def test_going_back_to_an_earlier_definition_shows_its_scores_again(world: World) -> None:
    first = score_day(*world.scorers(), DAY)
    world.define(STRICTER)
    second = score_day(*world.scorers(), DAY)
    world.define(DEFINITION)
    third = score_day(*world.scorers(), DAY)
    assert third.state == "published"
    assert len({first.run_id, second.run_id, third.run_id}) == 3
    assert_shown(world, third.run_id, clean(2000))
    again = score_day(*world.scorers(), DAY)
    assert (again.run_id, again.state) == (third.run_id, "already done")


def test_a_gold_table_that_was_lost_is_made_again_from_the_ledger(world: World) -> None:
    summary = score_day(*world.scorers(), DAY)
    shutil.rmtree(Path(world.site.root) / "gold")
    assert score_day(*world.scorers(), DAY).run_id == summary.run_id
    assert_shown(world, summary.run_id, clean(2000))


def test_a_gold_table_of_another_ledger_is_refused(world: World) -> None:
    score_day(*world.scorers(), DAY)
    before = world.rows("gold.overrun_scores")
    world.define(DEFINITION.replace("name: overrun\n", "name: other\n", 1))
    for version in ("1", "2"):
        approve(world.open(), version)
    with pytest.raises(WrongUse, match="another ledger"):
        score_day(*world.scorers(), DAY)
    assert world.rows("gold.overrun_scores") == before


def test_the_text_that_was_hashed_is_the_text_that_runs_and_is_recorded(world: World) -> None:
    workplace, scorers = world.scorers()
    (world.folder / "population.py").write_text("raise RuntimeError('edited while it was open')")
    summary = score_day(workplace, scorers, DAY)
    assert summary.population == 2000
    (event,) = workplace.ledger.events_of("definition_recorded")
    assert event["details"]["population.py"] == POPULATION
    assert event["about"] == workplace.deployment.sha256


def test_publishing_twice_changes_nothing(world: World) -> None:
    summary = score_day(*world.scorers(), DAY)
    before = tables_bytes(world)
    assert publish(world.open(), summary.run_id, DAY) is True
    assert tables_bytes(world) == before


def test_what_never_ran_is_not_published(world: World) -> None:
    score_day(*world.scorers(), DAY)
    with pytest.raises(WrongUse, match="no-such-run"):
        publish(world.open(), "no-such-run", DAY)


# What is refused, and when


def test_a_dry_run_writes_nothing_and_counts_the_same(world: World) -> None:
    world.write("silver.orders", faulty().orders)
    before = tables_bytes(world)
    dry = score_day(*world.scorers(), DAY, dry_run=True)
    assert tables_bytes(world) == before
    assert dry.state == "dry run"
    real = score_day(*world.scorers(), DAY)
    same = (
        "run_id",
        "population",
        "scored",
        "flagged",
        "clear",
        "review",
        "quarantined",
        "model_version",
        "inputs",
    )
    assert [getattr(dry, name) for name in same] == [getattr(real, name) for name in same]
    before = tables_bytes(world)
    assert score_day(*world.scorers(), DAY, dry_run=True).state == "dry run"
    assert tables_bytes(world) == before


def test_a_model_that_nobody_approved_scores_nothing(bare: World) -> None:
    before = tables_bytes(bare)
    with pytest.raises(NotApproved, match="fielded release approve 2"):
        score_day(*bare.scorers(), DAY)
    assert tables_bytes(bare) == before


def test_an_alias_that_is_not_there_is_named(world: World) -> None:
    world.define(DEFINITION.replace("alias: production", "alias: champion"))
    with pytest.raises(NotRegistered, match="no alias `champion`"):
        score_day(*world.scorers(), DAY)


def _arm(folder: Path, sign: Path) -> None:
    """Change a model so that loading it runs code of somebody else's, which leaves `sign`."""
    text = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(
        text.replace("loader_module: mlflow.sklearn", "code: code\n    loader_module: armed")
    )
    (folder / "code").mkdir()
    (folder / "code" / "armed.py").write_text(f"from pathlib import Path\nPath({str(sign)!r}).touch()\n")


def test_files_changed_after_approval_are_refused_before_anything_of_them_is_loaded(
    spare: Spare, tmp_path: Path
) -> None:
    sign = tmp_path / "loaded"
    _arm(spare.files["2"], sign)
    shutil.rmtree(spare.site.cache)
    before = tables_bytes(spare)
    with pytest.raises(ArtifactChanged, match="Nothing was loaded"):
        score_day(*spare.scorers(), DAY)
    assert not sign.exists()
    assert tables_bytes(spare) == before
    with pytest.raises(Exception):  # noqa: B017, PT011 - any: what matters is that loading would have run it
        mlflow.pyfunc.load_model(str(spare.files["2"]))
    assert sign.exists()


def test_the_sites_verified_copy_is_used_while_it_is_whole(spare: Spare) -> None:
    approved = folder_sha256(spare.files["2"])
    _arm(spare.files["2"], spare.folder / "loaded")
    score_day(*spare.scorers(), DAY)
    assert not (spare.folder / "loaded").exists()
    assert {row["artifact_sha256"] for row in read(spare, PREDICTIONS)} == {approved}


def test_a_copy_that_was_tampered_with_is_fetched_anew(spare: Spare) -> None:
    approved = folder_sha256(spare.files["2"])
    _arm(spare.site.cache / "models" / approved, spare.folder / "loaded")
    score_day(*spare.scorers(), DAY)
    assert not (spare.folder / "loaded").exists()
    assert folder_sha256(spare.site.cache / "models" / approved) == approved


# A function of DuckDB's that Ibis cannot know to be another number in each query.
MOVING = "import ibis\n@ibis.udf.scalar.builtin\ndef txid_current() -> int: ...\n" + POPULATION.replace(
    "filter(", "filter(_.order_id[3:].cast('int64') > txid_current()).filter("
)


def test_a_population_that_has_other_rows_when_read_than_when_counted_is_refused(world: World) -> None:
    world.define(population=MOVING)
    for dry_run in (True, False):
        with pytest.raises(RunRefused, match=r"account: got \d+ scored \+ 0 quarantined = \d+, expected"):
            score_day(*world.scorers(), DAY, dry_run=dry_run)
    assert gold(world) == []
    assert read(world, PREDICTIONS) == []
    assert events(world, "day_scored") == []


def test_a_population_without_a_feature_is_refused_before_anything_is_written(world: World) -> None:
    world.define(population=POPULATION.replace('"month", ', ""))
    before = tables_bytes(world)
    with pytest.raises(DefinitionError, match="month"):
        score_day(*world.scorers(), DAY)
    assert tables_bytes(world) == before


def test_a_table_that_is_not_there_is_named(world: World) -> None:
    shutil.rmtree(Path(world.site.root) / "reference" / "ships")
    with pytest.raises(Unreachable, match=r"reference\.ships"):
        score_day(*world.scorers(), DAY)


def test_a_root_that_is_not_there_is_no_empty_ledger(world: World) -> None:
    shutil.move(world.site.root, f"{world.site.root}.elsewhere")
    with pytest.raises(Unreachable, match="root: got no folder"):
        score_day(*world.scorers(), DAY)


# Types


NUMBERED = POPULATION.replace('"order_id", ', "").replace("age=(", "order_id=_.order_id[3:].cast('int64'), age=(")


def test_a_numbered_subject_stays_a_number_in_gold(world: World) -> None:
    world.define(population=NUMBERED)
    score_day(*world.scorers(), DAY)
    folder = Path(world.site.root).joinpath(*GOLD.split("."))
    assert pa.schema(DeltaTable(folder).schema().to_arrow()).field("order_id").type == pa.int64()
    assert sorted(row["order_id"] for row in gold(world)) == list(range(2000))
    assert {row["subject"] for row in read(world, PREDICTIONS)} == {str(number) for number in range(2000)}


def test_a_gold_table_with_other_types_is_refused_before_any_row_is_written(world: World) -> None:
    score_day(*world.scorers(), DAY)
    world.define(population=NUMBERED)
    before = read(world, PREDICTIONS)
    with pytest.raises(WrongUse, match=r"order_id: got string, expected int64"):
        score_day(*world.scorers(), DAY)
    assert read(world, PREDICTIONS) == before


def test_the_ledger_and_its_events_cannot_be_deleted_from(world: World) -> None:
    score_day(*world.scorers(), DAY)
    for name in (PREDICTIONS, EVENTS):
        table = DeltaTable(Path(world.site.root).joinpath(*name.split(".")))
        with pytest.raises(Exception, match=r"appendOnly|append-only|append only"):
            table.delete()


def test_an_interrupted_progress_leaves_nothing_behind(world: World) -> None:
    def progress(done: int, _rows: int) -> None:
        if done > 600:
            raise Crash

    with pytest.raises(Crash):
        score_day(*world.scorers(), DAY, progress=progress)
    assert list(Path(world.site.root).glob("ledger/overrun/*/scored_date=*/*.parquet")) == []
    assert read(world, PREDICTIONS) == []
