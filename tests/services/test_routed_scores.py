"""What goes to a person is decided by one function, for batch, live and replay alike."""

import shutil
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from books import PREDICTIONS, read
from conftest import DAY, DEFINITION, KINDS, Store, World, make_orders, make_pipeline
from fielded.decisions.chain import canonical_rows
from fielded.decisions.monitoring.profile import profile_of
from fielded.decisions.routing import Routing, reasons
from fielded.definition.loading import parse_document
from fielded.services import check as checking
from fielded.services.approve import approve
from fielded.services.prepare_scorer import Scorers
from fielded.services.replay import replay
from fielded.services.score_day import score_day
from fielded.services.score_live import LiveAnswer
from fielded.words.errors import Refused
from fielded.world.fitting import read_routing
from fielded.world.model_files import describe
from fielded.world.profiles import profile_metadata
from live import ask, request, serving

BEFORE = DEFINITION.replace(", unseen: quarantine", ", unseen: score")
REVIEWED = (
    BEFORE
    + """\
review:
  outside_training: review
  unseen_category: review
  audit_share: 0.25
  on_hold: [{feature: kind, value: valve, reason: A new supplier since May}]
"""
)
SEED = 7


@cache
def trained_on() -> dict[str, tuple[float, float]]:
    """Smallest and largest number of each feature in training."""
    _, frame = make_pipeline(SEED)
    return {name: (frame[name].min(), frame[name].max()) for name in ("hours", "age", "earlier", "month")}


@pytest.fixture(scope="session")
def profiled(store: Store) -> str:
    """A registered model, version 1 with a profile of its training data, version 2 without."""
    pipeline, frame = make_pipeline(SEED)
    features = parse_document(BEFORE).features
    profile = profile_of(features, ["kind"], pa.Table.from_pandas(frame), pipeline.predict_proba(frame)[:, 1])
    store.log("profiled", SEED, metadata=profile_metadata(profile))
    store.log("profiled", SEED)
    store.client.set_registered_model_alias("profiled", "production", "1")
    store.client.set_registered_model_alias("profiled", "previous", "2")
    return "profiled"


@pytest.fixture
def reviewed(world: World, profiled: str) -> World:
    """The world with a definition that routes by everything there is, and its production version approved."""
    shutil.rmtree(Path(world.site.root) / "ledger")
    made = replace(world, model=profiled)
    made.define(REVIEWED)
    approve(made.open(), "1")
    return made


def odd_orders(rows: int) -> pa.Table:
    """Of four orders one has far more hours than training, one a kind that it never saw."""
    orders = make_orders(rows)
    hours, kinds = orders["hours"].to_numpy().copy(), np.array(orders["kind"].to_pylist(), object)
    hours[::4], kinds[1::4] = 1e6, "sonar"
    orders = orders.set_column(orders.column_names.index("hours"), "hours", pa.array(hours))
    return orders.set_column(orders.column_names.index("kind"), "kind", pa.array(kinds))


def expected(row: dict) -> tuple[str, list[str], float]:
    """Decision, reasons and propensity of a ledger row."""
    features = row["features"]
    found = ["band"] if 0.55 <= row["score"] <= 0.75 else []
    for name, (low, high) in trained_on().items():
        known = features[name] is not None
        found += [f"range:{name}"] if known and not low <= features[name] <= high else []
    found += ["unseen:kind"] if features["kind"] == "sonar" else []
    found += ["hold:kind=valve"] if features["kind"] == "valve" else []
    if found:
        return "review", found, 1.0
    audit = int(row["request_id"][-12:], 16) / 16**12 < 0.25
    return "flagged" if row["score"] >= 0.65 else "clear", ["audit"] if audit else [], 0.25


def told(row: dict) -> tuple[str, list[str], float]:
    return row["decision"], reasons(row["routed_by"]), row["review_propensity"]


def test_a_day_is_routed_by_every_rule_and_replays(reviewed: World) -> None:
    reviewed.write("silver.orders", odd_orders(400))
    score_day(*reviewed.scorers(), DAY)
    rows = read(reviewed, PREDICTIONS)
    assert len(rows) == 400
    assert [told(row) for row in rows] == [expected(row) for row in rows]
    seen: dict[str, dict] = {token: row for row in rows for token in reasons(row["routed_by"])}
    assert {"band", "range:hours", "unseen:kind", "hold:kind=valve", "audit"} <= set(seen)
    several = next(row for row in rows if len(reasons(row["routed_by"])) > 1)
    nothing = next(row for row in rows if row["routed_by"] is None)
    for row in (*seen.values(), several, nothing):
        assert replay(reviewed.open(), row["request_id"]).outcome == "exact"


def test_live_and_batch_route_alike(reviewed: World) -> None:
    reviewed.write("silver.orders", odd_orders(60))
    score_day(*reviewed.scorers(), DAY)
    batch = read(reviewed, PREDICTIONS)
    with serving(reviewed) as (live, settled):
        ask(live.scoring, settled, [request("all", [tuple(row["features"].values()) for row in batch])])
        answer = settled.of("all")
        assert isinstance(answer, LiveAnswer)
        journals = reviewed.open().journals
        found = (journals.read(backlog.journal, 0) for backlog in journals.backlogs())
        rows = [row for batches in found for one in batches for row in one.to_pylist()]
    assert [told(row) for row in rows] == [expected(row) for row in rows]
    assert list(answer.routed_by) == [row["routed_by"] for row in rows]
    assert {"audit"} < {reason for row in rows for reason in reasons(row["routed_by"])}
    by_rule = [told(row) if row["review_propensity"] == 1.0 else None for row in rows]
    assert by_rule == [told(row) if row["review_propensity"] == 1.0 else None for row in batch]
    assert {replay(reviewed.open(), row["request_id"]).outcome for row in rows[:5]} == {"exact"}


@pytest.mark.parametrize(
    ("column", "value"),
    [("routed_by", None), ("routed_by", "band"), ("review_propensity", 0.5), ("decision", "clear")],
)
def test_a_row_whose_routing_was_altered_differs(
    reviewed: World, tmp_path: Path, column: str, value: object
) -> None:
    reviewed.write("silver.orders", odd_orders(12))
    score_day(*reviewed.scorers(), DAY)
    rows = read(reviewed, PREDICTIONS)
    place = next(place for place, row in enumerate(rows) if row["features"]["hours"] == 1e6)
    row = rows[place]
    assert replay(reviewed.open(), row["request_id"]).outcome == "exact"
    copied = tmp_path / "copied"
    shutil.copytree(reviewed.site.root, copied)
    folder = copied.joinpath(*PREDICTIONS.split("."))
    schema = pa.schema(DeltaTable(folder).schema().to_arrow())
    rows[place] = {**row, column: value}
    shutil.rmtree(folder)
    write_deltalake(folder, pa.Table.from_pylist(rows, schema=schema), partition_by=["scored_date"])
    elsewhere = replace(reviewed, site=replace(reviewed.site, root=str(copied)))
    assert replay(elsewhere.open(), row["request_id"]).outcome == "differs"


def test_a_version_without_a_profile_does_not_fit_and_is_told_what_to_do(reviewed: World) -> None:
    workplace = reviewed.open()
    with pytest.raises(Refused, match=r"does not fit the definition(.|\n)*profile: got none") as caught:
        approve(workplace, "2")
    assert "profile_metadata" in caught.value.findings[0].next_step
    assert not workplace.ledger.events_of("artifact_approved", f"model {reviewed.model} version 2")


def test_check_finds_that_production_has_no_profile(reviewed: World) -> None:
    workplace = reviewed.open()
    assert next(one for one in checking.check(workplace, DAY) if one.name == "model").passed
    reviewed.store.client.set_registered_model_alias(reviewed.model, "production", "2")
    try:
        (finding,) = next(one for one in checking.check(workplace, DAY) if one.name == "model").findings
    finally:
        reviewed.store.client.set_registered_model_alias(reviewed.model, "production", "1")
    assert (finding.field, finding.got) == ("profile", "none")


def test_a_version_approved_before_the_definition_asked_for_a_profile_is_not_loaded(reviewed: World) -> None:
    reviewed.define(BEFORE)
    workplace = reviewed.open()
    sha256 = approve(workplace, "2").sha256
    model = workplace.registry.version(reviewed.model, "2")
    assert Scorers(workplace).get(model, sha256).routing == Routing(threshold=0.65, band=(0.55, 0.75))
    reviewed.define(REVIEWED)
    with pytest.raises(Refused, match="does not fit the definition"):
        Scorers(reviewed.open()).get(model, sha256)
    # Holds and audits need no profile.
    only = REVIEWED.replace("outside_training: review", "outside_training: score")
    reviewed.define(only.replace("unseen_category: review", "unseen_category: score"))
    routing = Scorers(reviewed.open()).get(model, sha256).routing
    assert (routing.holds, routing.audit_share, dict(routing.ranges)) == ((("kind", "valve"),), 0.25, {})


def test_a_damaged_profile_is_refused_not_ignored(reviewed: World, tmp_path: Path) -> None:
    workplace = reviewed.open()
    folder, _ = workplace.artifacts.take(workplace.registry.version(reviewed.model, "1"))
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    text = (folder / "MLmodel").read_text()
    assert text.count("fielded_profile:") == 1
    (damaged / "MLmodel").write_text(text.replace("fielded_profile:", "fielded_profile: 'no profile'\n  other:"))
    assert describe(damaged).inputs
    with pytest.raises(Refused):
        read_routing(damaged, workplace.deployment)
    assert set(read_routing(folder, workplace.deployment).categories["kind"]) == set(KINDS)


NEW = ("routed_by", "review_propensity")


def test_a_ledger_of_before_gets_the_columns_and_its_rows_stay_what_they_were(reviewed: World) -> None:
    reviewed.define(BEFORE)
    reviewed.write("silver.orders", make_orders(200))
    score_day(*reviewed.scorers(), DAY)
    folder = Path(reviewed.site.root).joinpath(*PREDICTIONS.split("."))
    rows = DeltaTable(folder).to_pyarrow_table().drop_columns(list(NEW))
    canonical = set(canonical_rows(rows))
    kept = DeltaTable(folder).metadata().configuration
    for name in ("ledger", "gold"):  # and the ledger again, as it was written before there were these columns
        shutil.rmtree(Path(reviewed.site.root) / name)
    write_deltalake(folder, rows, partition_by=["scored_date"], configuration=kept)
    old = rows.to_pylist()
    approve(reviewed.open(), "1")
    reviewed.define(REVIEWED)
    reviewed.write("silver.orders", odd_orders(200))
    score_day(*reviewed.scorers(), DAY + timedelta(days=1))
    table = DeltaTable(folder).to_pyarrow_table()
    assert set(NEW) <= set(table.column_names)
    of_before = table.filter(pa.compute.is_null(table["review_propensity"]))
    assert (of_before.num_rows, of_before["routed_by"].null_count) == (len(old), len(old))
    assert set(canonical_rows(of_before)) == canonical
    assert {row["routed_by"] is None for row in table.to_pylist() if row["review_propensity"] == 1.0} == {False}
    reviewed.define(BEFORE)  # the definition that they name
    decided = {row["decision"]: row for row in old}
    assert {replay(reviewed.open(), row["request_id"]).outcome for row in decided.values()} == {"exact"}


def test_a_row_of_before_with_another_decision_than_its_definition_gives_differs(reviewed: World) -> None:
    reviewed.define(BEFORE)
    reviewed.write("silver.orders", make_orders(1))
    score_day(*reviewed.scorers(), DAY)
    folder = Path(reviewed.site.root).joinpath(*PREDICTIONS.split("."))
    table = DeltaTable(folder).to_pyarrow_table()
    (row,) = table.to_pylist()
    for decision, outcome in (
        (row["decision"], "exact"),
        ({"clear": "flagged"}.get(row["decision"], "clear"), "differs"),
    ):
        altered = {**row, "routed_by": None, "review_propensity": None, "decision": decision}
        shutil.rmtree(folder)
        write_deltalake(folder, pa.Table.from_pylist([altered], schema=table.schema), partition_by=["scored_date"])
        assert replay(reviewed.open(), row["request_id"]).outcome == outcome
