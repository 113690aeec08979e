"""How well the version in production does: measured on a real hold-out, and computed by hand here."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import brier_score_loss, precision_score, recall_score, roc_auc_score

from conftest import KINDS, World
from fielded.decisions.assurance.collector import Found
from fielded.services.evidence.collect import Bench, collect
from fielded.services.evidence.evaluation import COLLECTOR
from fielded.services.prepare_scorer import Scorers, resolve
from held_out import TABLE, definition, labelled_orders

ENOUGH, OVERALL, SLICES, RATIOS = (
    "labelled rows are enough",
    "limits hold overall",
    "limits hold in every slice with rows enough",
    "ratios between groups were measured",
)
ROWS = 3000


@pytest.fixture
def measured(world: World) -> World:
    """A world with a hold-out from the model's own world."""
    world.write(TABLE, labelled_orders(ROWS))
    world.define(definition())
    return world


def looked(world: World) -> Found:
    return COLLECTOR.look(Bench(world.open()))


def outcomes(found: Found) -> dict[str, str]:
    return {check.name: check.outcome for check in found.checks}


def scores(world: World, rows: pa.Table) -> np.ndarray:
    """What the version in production says, by the scorer and with nothing of the collector."""
    workplace = world.open()
    scorer = Scorers(workplace).get(*resolve(workplace))
    features = workplace.deployment.features
    batch = rows.select(list(features)).combine_chunks().to_batches()[0]
    return np.asarray(scorer.score(batch).column("score"))


def test_numbers_are_those_of_the_rows(measured: World) -> None:
    found = looked(measured)
    assert set(outcomes(found).values()) == {"held"}, found.checks
    assert list(outcomes(found)) == [ENOUGH, OVERALL, SLICES, RATIOS]
    assert not any(letter.isdigit() for name in outcomes(found) for letter in name)

    rows = labelled_orders(ROWS)
    given, said = rows.column("overran").to_numpy(), scores(measured, rows)
    flags = said >= 0.65
    facts = found.facts
    assert facts["rows"] == {"all": ROWS, "holdout": ROWS, "outcomes": 0, "refused": 0}
    assert facts["holdout"] == {"table": TABLE, "version": 0, "label": "overran"}
    assert facts["version"] == "2"
    assert facts["limits"] == {"auc": ">= 0.6", "brier": "<= 0.3"}
    overall = facts["overall"]
    assert (overall["rows"], overall["events"], overall["flagged"]) == (ROWS, given.sum(), flags.sum())
    by_hand = {
        "auc": roc_auc_score(given, said),
        "brier": brier_score_loss(given, said),
        "precision": precision_score(given, flags),
        "recall": recall_score(given, flags),
        "fnr": 1 - recall_score(given, flags),
        "fpr": (flags & ~given).sum() / (~given).sum(),
    }
    for name, value in by_hand.items():
        assert overall[name]["value"] == pytest.approx(value, abs=1e-9), name
        assert overall[name]["low"] < value < overall[name]["high"], name

    assert [one["slice"] for one in facts["slices"]] == [f"kind={kind}" for kind in sorted(KINDS)]
    for one in facts["slices"]:
        mask = pc.equal(rows.column("kind"), one["slice"].removeprefix("kind=")).to_numpy()
        assert one["rows"] == mask.sum()
        assert one["auc"]["value"] == pytest.approx(roc_auc_score(given[mask], said[mask]), abs=1e-9)
    ratio = next(one for one in facts["fairness"] if one["item"].startswith("demographic_parity"))
    assert 0 <= ratio["low"] <= ratio["value"] <= ratio["high"]


def test_a_slice_that_misses_a_limit_is_named_and_the_rest_holds(measured: World) -> None:
    measured.write(TABLE, labelled_orders(ROWS, wrong=("hull",)))
    measured.define(definition("{performance: {limits: {auc: '>= 0.55'}}}"))
    found = looked(measured)
    assert outcomes(found) == {ENOUGH: "held", OVERALL: "held", SLICES: "failed", RATIOS: "held"}
    (check,) = (one for one in found.checks if one.outcome == "failed")
    assert "auc[kind=hull]" in check.got
    assert "kind=radar" not in check.got
    assert check.step


def test_a_slice_with_few_rows_is_named_and_in_nobodys_way(measured: World) -> None:
    measured.write(TABLE, labelled_orders(ROWS, kinds={"valve": 0.01}))
    found = looked(measured)
    assert set(outcomes(found).values()) == {"held"}
    (check,) = (one for one in found.checks if one.name == SLICES)
    assert "not enough evidence for 2: " in check.got
    assert "auc[kind=valve]" in check.got


def test_where_no_slice_could_be_measured_that_was_not_checked(measured: World) -> None:
    measured.write(TABLE, labelled_orders(160))
    found = looked(measured)
    assert outcomes(found) == {ENOUGH: "held", OVERALL: "held", SLICES: "not checked", RATIOS: "not checked"}
    assert found.checks[-1].step
    assert collect(Bench(measured.open()), COLLECTOR, "-").outcome == "not checked"


def test_with_too_few_rows_of_either_kind_nothing_is_measured(measured: World) -> None:
    overran = labelled_orders(ROWS)
    overran = overran.filter(overran.column("overran"))
    for rows in (labelled_orders(0), labelled_orders(60), overran):
        measured.write(TABLE, rows)
        found = looked(measured)
        assert outcomes(found) == {ENOUGH: "failed"}
        assert (found.facts["overall"], found.facts["slices"], found.facts["fairness"]) == (None, [], [])
        assert found.facts["rows"]["all"] == rows.num_rows


def test_limits_that_are_missed_or_missing_are_seen(measured: World) -> None:
    measured.define(definition("{performance: {limits: {auc: '>= 0.99'}}}"))
    assert outcomes(looked(measured)) == {ENOUGH: "held", OVERALL: "failed", SLICES: "failed", RATIOS: "held"}
    measured.define(definition("{}"))
    assert outcomes(looked(measured)) == {ENOUGH: "held", OVERALL: "not checked", RATIOS: "held"}


def test_without_a_hold_out_or_outcomes_the_next_step_is_told(world: World) -> None:
    found = looked(world)
    assert outcomes(found) == {ENOUGH: "failed"}
    assert "release.holdout" in found.checks[0].step
    assert found.facts["holdout"] is None


def test_rows_that_break_a_rule_are_left_out_and_counted(measured: World) -> None:
    rows = labelled_orders(ROWS)
    bad = rows.slice(0, 40).set_column(1, "hours", pa.array([-1.0] * 40))
    measured.write(TABLE, pa.concat_tables([bad, rows.slice(40)]))
    facts = looked(measured).facts
    assert facts["rows"] == {"all": ROWS - 40, "holdout": ROWS - 40, "outcomes": 0, "refused": 40}
    assert any("40 of 3,000 hold-out rows break a rule" in note for note in facts["notes"])


def test_the_digest_is_of_the_rows_whatever_their_order(measured: World) -> None:
    first = looked(measured).facts
    rows = labelled_orders(ROWS)
    measured.write(TABLE, rows.take(pa.array(np.random.default_rng(1).permutation(ROWS))))
    again = looked(measured).facts
    assert again["holdout"]["version"] == first["holdout"]["version"] + 1
    assert again["rows_sha256"] == first["rows_sha256"]
    flipped = rows.column("overran").to_numpy().copy()
    flipped[7] = not flipped[7]
    measured.write(TABLE, rows.set_column(rows.column_names.index("overran"), "overran", pa.array(flipped)))
    assert looked(measured).facts["rows_sha256"] != first["rows_sha256"]


def test_files_that_nobody_approved_are_not_measured(measured: World) -> None:
    made = collect(Bench(measured.open()), COLLECTOR, "-")
    assert made.outcome == "satisfied"
    for part in Path(measured.site.root, "ledger").rglob("*"):
        if part.is_file():
            part.unlink()
    made = collect(Bench(measured.open()), COLLECTOR, "-")
    assert not made.holds
    assert made.facts == {}
