"""A threshold with a reason and a price: on real labelled rows."""

import numpy as np
import pytest

from conftest import DEFINITION, World
from fielded.decisions.assurance.collector import Found
from fielded.services.evidence.collect import Bench, collect
from fielded.services.evidence.evaluation import COLLECTOR as EVALUATION
from fielded.services.evidence.threshold import COLLECTOR
from held_out import TABLE, definition, labelled_orders

SENTENCE, PRICE, DRAWN, CHEAPEST = (
    "the rationale is a sentence of somebody's",
    "the rationale speaks of what being wrong costs",
    "the cost curve is drawn on labelled rows",
    "no other threshold surely costs less",
)
RATIONALE = "A missed overrun costs more than a needless visit."
ROWS = 3000


@pytest.fixture
def measured(world: World) -> World:
    world.write(TABLE, labelled_orders(ROWS))
    world.define(definition())
    return world


def looked(world: World) -> Found:
    return COLLECTOR.look(Bench(world.open()))


def failed(found: Found) -> set[str]:
    return {check.name for check in found.checks if check.outcome != "held"}


def test_a_threshold_with_a_reason_and_a_curve_holds(measured: World) -> None:
    found = looked(measured)
    assert failed(found) == set(), found.checks
    assert [check.name for check in found.checks] == [SENTENCE, PRICE, DRAWN, CHEAPEST]
    assert not any(letter.isdigit() for check in found.checks for letter in check.name)
    facts = found.facts
    assert (facts["threshold"], facts["needless"], facts["rows"]) == (0.65, 0.65, ROWS)
    assert facts["missed"] == pytest.approx(0.35)
    assert facts["rationale"] == RATIONALE
    assert facts["rows_sha256"] == EVALUATION.look(Bench(measured.open())).facts["rows_sha256"]


def test_costs_are_those_of_the_flags(measured: World) -> None:
    facts = looked(measured).facts
    overall = EVALUATION.look(Bench(measured.open())).facts["overall"]
    missed = overall["events"] * overall["fnr"]["value"]
    needless = (ROWS - overall["events"]) * overall["fpr"]["value"]
    by_hand = (0.35 * missed + 0.65 * needless) / ROWS
    assert facts["at_threshold"]["value"] == pytest.approx(by_hand, abs=1e-9)
    here = next(one for one in facts["curve"] if one["threshold"] == 0.65)
    assert here["cost"] == pytest.approx(by_hand, abs=1e-9)
    assert facts["best"]["value"] == min(facts["curve"], key=lambda one: one["cost"])["threshold"]
    assert facts["saved"]["value"] == pytest.approx(by_hand - min(one["cost"] for one in facts["curve"]), abs=1e-9)
    assert {one["slice"] for one in facts["slices"]} == {
        f"kind={kind}" for kind in ("engine", "hull", "radar", "valve")
    }


RATIONALES: dict[str, set[str]] = {
    "To be determined when somebody knows what a missed overrun costs.": {SENTENCE},
    "TODO say here what a missed overrun costs against a visit.": {SENTENCE},
    "It costs less.": {SENTENCE},
    "Half is what the shops have always taken, as everybody there knows.": {PRICE},
    "It was chosen in May.": {SENTENCE, PRICE},
    "An overrun holds a ship in the yard for a month, which is worth two visits.": set(),
}


def test_a_rationale_is_a_sentence_about_costs(measured: World) -> None:
    for rationale, names in RATIONALES.items():
        measured.define(definition(text=DEFINITION.replace(RATIONALE, rationale)))
        assert failed(looked(measured)) == names, rationale


def test_a_threshold_that_is_surely_beaten_fails(measured: World) -> None:
    measured.write(TABLE, labelled_orders(ROWS, more=2.0))
    found = looked(measured)
    assert failed(found) == {CHEAPEST}
    facts = found.facts
    assert facts["best"]["high"] < 0.65, "where the event comes more often, a lower score is worth a visit"
    assert facts["saved"]["low"] > 0


def test_without_rows_enough_there_is_no_curve_to_rest_on(measured: World) -> None:
    for rows, points in ((0, 0), (50, 99)):
        measured.write(TABLE, labelled_orders(rows))
        evidence = collect(Bench(measured.open()), COLLECTOR, "-")
        assert [check.name for check in evidence.checks if check.outcome != "held"] == [DRAWN]
        assert CHEAPEST not in [check.name for check in evidence.checks]
        assert len(evidence.facts["curve"]) == points
        assert len(evidence.sha256) == 64, "without rows no number is NaN, which JSON does not have"


def test_without_a_hold_out_the_next_step_is_told(world: World) -> None:
    found = looked(world)
    assert failed(found) == {DRAWN}
    assert "release.holdout" in next(check.step for check in found.checks if check.name == DRAWN)


def test_numbers_follow_the_rows(measured: World) -> None:
    first = looked(measured).facts
    measured.write(TABLE, labelled_orders(ROWS, seed=6))
    second = looked(measured).facts
    for name in ("at_threshold", "saved"):
        assert first[name]["value"] != second[name]["value"]
    assert not np.array_equal([one["cost"] for one in first["curve"]], [one["cost"] for one in second["curve"]])
