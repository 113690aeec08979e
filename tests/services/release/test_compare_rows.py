"""Which rows two versions are compared on: the newest, one a subject, in bounded memory, nothing learned from."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from books import read
from conftest import DAY, DEFINITION, World, make_orders
from fielded.decisions.rows import TIMESTAMP
from fielded.services.drain import drain
from fielded.services.outcomes import load_outcomes
from fielded.services.release.holdout import labelled_rows
from fielded.services.release.recent_rows import recent_rows
from fielded.services.score_day import score_day
from fielded.words.errors import Refused, WrongUse
from fielded.world.provenance import content_of
from live import ROW, ask, request, serving

FEATURES = ["hours", "age", "earlier", "month", "kind"]
HOLDOUT = DEFINITION + "release:\n  holdout: {table: silver.holdout, label: overran}\n"


def held_out(rows: int = 500, **columns: object) -> pa.Table:
    orders = make_orders(rows, 7).drop_columns(["hull", "opened_on"])
    rng = np.random.default_rng(7)
    made = orders.append_column("age", pa.array(rng.integers(1, 50, rows).astype(float)))
    made = made.append_column("overran", pa.array(rng.random(rows) < 0.4))
    for name, values in columns.items():
        made = made.set_column(made.schema.get_field_index(name), name, pa.array(values))
    return made


class TestRecentRows:
    def test_every_subject_is_there_once_with_the_features_that_were_scored(self, world: World) -> None:
        orders = pa.concat_tables([make_orders(2000), make_orders(1)])  # one twice: quarantined
        world.write("silver.orders", orders)
        score_day(*world.scorers(), DAY)
        rows = recent_rows(world.open(), 10_000)
        assert rows.column_names == FEATURES
        assert rows.num_rows == 1999
        stored = {row["features"]["hours"] for row in read(world, "ledger.overrun.predictions")}
        assert set(rows["hours"].to_pylist()) == stored

    def test_a_newer_day_comes_before_an_older_one_and_a_subject_counts_once(self, world: World) -> None:
        for back in (3, 2, 1):
            day = DAY - timedelta(days=back)
            world.write("silver.orders", make_orders(300, seed=back, opened_on=day))
            score_day(*world.scorers(), day)
        newest = set(make_orders(300, seed=1)["hours"].to_pylist())
        rows = recent_rows(world.open(), 300)
        assert set(rows["hours"].to_pylist()) == newest
        assert recent_rows(world.open(), 10_000).num_rows == 300  # the same subjects on all three days

    def test_of_the_day_that_the_limit_cuts_every_part_of_the_population_is_sampled(self, world: World) -> None:
        orders = make_orders(4000, 3).sort_by("kind")
        world.write("silver.orders", orders)
        score_day(*world.scorers(), DAY)
        rows = recent_rows(world.open(), 400)
        counts = {item["values"]: item["counts"] for item in rows["kind"].value_counts().to_pylist()}
        assert rows.num_rows == 400
        assert min(counts.values()) > 70
        assert recent_rows(world.open(), 400).equals(rows)

    def test_live_rows_are_among_them_once_they_are_drained(self, world: World) -> None:
        with serving(world) as (live, told):
            ask(live.scoring, told, [request("R-1", [ROW])])
        drain(world.open())
        rows = recent_rows(world.open(), 10)
        assert rows.to_pylist() == [dict(zip(FEATURES, ROW, strict=True))]

    def test_rows_from_before_a_feature_was_there_are_left_out(self, world: World) -> None:
        score_day(*world.scorers(), DAY)
        text = DEFINITION.replace("  kind:", "  draught: {type: float}\n  kind:")
        (world.folder / "deployment.yaml").write_text(text.replace("MODEL", world.model))
        assert recent_rows(world.open(), 100).num_rows == 0
        (world.folder / "deployment.yaml").write_text(
            text.replace("draught: {type: float}", "draught: {type: float, nullable: true}").replace(
                "MODEL", world.model
            )
        )
        rows = recent_rows(world.open(), 100)
        assert rows.num_rows == 100
        assert rows["draught"].null_count == 100

    def test_a_ledger_without_rows_has_none(self, bare: World) -> None:
        assert recent_rows(bare.open(), 10).num_rows == 0


class TestTheHoldOut:
    def test_its_rows_keep_the_rules_or_are_counted(self, world: World) -> None:
        world.define(HOLDOUT)
        month = [13, 0, *([6] * 498)]
        labels = [None, True, None, *([True] * 497)]
        world.write("silver.holdout", held_out(month=month, overran=labels))
        rows = labelled_rows(world.open(), None)
        assert (rows.holdout, rows.refused, rows.outcomes) == (497, 2, 0)
        assert rows.features.column_names == FEATURES
        assert rows.labels.all()
        assert any("2 of 500 hold-out rows break a rule" in note for note in rows.notes)
        assert any("1 of 500 hold-out rows have no label" in note for note in rows.notes)

    def test_a_table_that_the_candidate_learned_from_is_no_hold_out(self, world: World) -> None:
        world.define(HOLDOUT)
        world.write("silver.holdout", held_out(100))
        rows = labelled_rows(world.open(), None, frozenset({"silver.holdout", "silver.orders"}))
        assert rows.holdout == 0
        assert any("the candidate was trained on that table" in note for note in rows.notes)
        assert labelled_rows(world.open(), None, frozenset({"silver.orders"})).holdout == 100

    def test_two_rows_about_one_subject_are_one(self, world: World) -> None:
        world.define(HOLDOUT)
        world.write("silver.holdout", pa.concat_tables([held_out(100), held_out(100)]))
        assert labelled_rows(world.open(), None).holdout == 100

    @pytest.mark.parametrize("labels", [[0, 1] * 50, ["0", "1"] * 50, [0.0, 1.0] * 50])
    def test_a_label_may_be_0_and_1(self, world: World, labels: list) -> None:
        world.define(HOLDOUT)
        world.write("silver.holdout", held_out(100, overran=labels))
        assert labelled_rows(world.open(), None).labels.sum() == 50

    def test_another_label_is_refused_by_name(self, world: World) -> None:
        world.define(HOLDOUT)
        world.write("silver.holdout", held_out(100, overran=[2] * 100))
        with pytest.raises(Refused, match=r"silver\.holdout\.overran: got another number than 0 and 1"):
            labelled_rows(world.open(), None)

    def test_a_column_that_is_missing_is_named(self, world: World) -> None:
        world.define(HOLDOUT)
        world.write("silver.holdout", held_out(100).drop_columns(["kind", "month"]))
        with pytest.raises(Refused, match="without month, kind"):
            labelled_rows(world.open(), None)


class TestOutcomes:
    def load(self, world: World, subjects: list[str], labels: list[bool], at: datetime) -> None:
        file = Path(world.site.root).parent / "outcomes.parquet"
        times = pa.array([at] * len(subjects), TIMESTAMP)
        pq.write_table(pa.table({"subject": subjects, "label": labels, "known_at": times}), file)
        workplace = world.open()
        late = datetime(2026, 4, 1, tzinfo=UTC)
        given = {name: getattr(workplace, name) for name in workplace.__dataclass_fields__}
        load_outcomes(type(workplace)(**{**given, "clock": lambda: late}), file)

    def test_a_label_meets_the_features_that_were_scored_before_it_was_known(self, world: World) -> None:
        score_day(*world.scorers(), DAY)
        self.load(
            world,
            ["WO-00000003", "WO-00000005", "WO-unknown"],
            [True, False, True],
            datetime(2026, 3, 20, tzinfo=UTC),
        )
        rows = labelled_rows(world.open(), date(2026, 1, 1))
        assert (rows.outcomes, rows.holdout) == (2, 0)
        hours = {row["subject"]: row["features"]["hours"] for row in read(world, "ledger.overrun.predictions")}
        met = dict(zip(rows.features["hours"].to_pylist(), rows.labels.tolist(), strict=True))
        assert met == {hours["WO-00000003"]: True, hours["WO-00000005"]: False}
        assert "1 outcomes are about subjects not scored before them" in rows.notes
        assert f"2 outcomes loaded by {world.open().user}" in rows.notes

    def test_what_was_known_before_the_score_labels_nothing(self, world: World) -> None:
        score_day(*world.scorers(), DAY)
        self.load(world, ["WO-00000003"], [True], datetime(2026, 2, 20, tzinfo=UTC))
        assert labelled_rows(world.open(), date(2026, 1, 1)).outcomes == 0

    def test_a_label_that_the_candidate_may_have_learned_from_proves_nothing(self, world: World) -> None:
        score_day(*world.scorers(), DAY)
        self.load(world, ["WO-00000003"], [True], datetime(2026, 3, 20, tzinfo=UTC))
        rows = labelled_rows(world.open(), DAY)
        assert rows.outcomes == 0
        assert "1 outcomes left out: scored on or before 2026-03-02, when the candidate was trained" in rows.notes

    def test_where_the_training_period_is_not_known_no_outcome_counts(self, world: World) -> None:
        score_day(*world.scorers(), DAY)
        self.load(world, ["WO-00000003"], [True], datetime(2026, 3, 20, tzinfo=UTC))
        rows = labelled_rows(world.open(), None)
        assert rows.outcomes == 0
        assert "1 outcomes left out: the candidate's training period is not known" in rows.notes

    def test_a_subject_of_the_hold_out_is_not_counted_twice(self, world: World) -> None:
        world.define(HOLDOUT)
        world.write("silver.holdout", held_out(100))
        score_day(*world.scorers(), DAY)
        self.load(world, ["WO-00000003", "WO-00000500"], [True, False], datetime(2026, 3, 20, tzinfo=UTC))
        rows = labelled_rows(world.open(), date(2026, 1, 1))
        assert (rows.holdout, rows.outcomes) == (100, 1)


class TestContent:
    @given(st.permutations(range(12)), st.integers(1, 5))
    def test_it_is_the_same_in_whichever_order_and_parts_the_rows_come(self, order: list[int], size: int) -> None:
        rows = make_orders(12).drop_columns(["opened_on"])
        mixed = rows.take(pa.array(order))
        parts = [mixed.slice(start, size) for start in range(0, 12, size)]
        assert content_of(parts) == content_of([rows])

    def test_one_changed_value_in_the_last_of_many_rows_changes_it(self) -> None:
        rows = make_orders(20_000)
        hours = rows["hours"].to_pylist()
        hours[-1] += 1e-9
        changed = rows.set_column(rows.schema.get_field_index("hours"), "hours", pa.array(hours))
        assert content_of([rows]).sha256 != content_of([changed]).sha256
        assert content_of([rows]).rows == 20_000

    @pytest.mark.parametrize(
        "rows", [pa.table({"scored_date": ["x"]}), pa.table({"x": pa.array([1.0], pa.float32())})]
    )
    def test_a_column_that_the_digest_does_not_cover_is_refused(self, rows: pa.Table) -> None:
        with pytest.raises(WrongUse, match=r"scored_date|float"):
            content_of([rows])
