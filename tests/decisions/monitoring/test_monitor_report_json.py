"""A run's report as a value: whole, finite, in one order, and with nothing of a row in it."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

import watched
from fielded.decisions.monitoring.measure import Measured
from fielded.decisions.monitoring.report import STATES, finite, report_of, shown
from fielded.definition.monitoring import DRIFT, EVERY, FLOW, LABELLED, QUALITY, RATES, Metric, Monitoring
from fielded.words.digests import canonical_json


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return watched.report()


def test_everything_that_can_be_measured_is_shown_whether_a_trigger_asks_or_not() -> None:
    texts = [Metric.parse(one.metric) for one in shown(Monitoring(), ["kind"])]
    assert {metric.name for metric in texts if not metric.column} == DRIFT | QUALITY | RATES | FLOW | LABELLED
    assert all(metric.of in ("", EVERY) for metric in texts)
    by_slice = {metric.name for metric in texts if metric.column == "kind"}
    assert by_slice >= LABELLED | {"psi", "flag_rate"}
    assert all(one.then == () for one in shown(Monitoring(), ["kind"])), "a report calls nobody"


def test_it_is_json_that_has_one_text(report: dict[str, Any]) -> None:
    assert json.loads(canonical_json(report)) == report


def test_every_measurement_is_there_once(report: dict[str, Any]) -> None:
    names = [one["metric"] for one in report["measured"]]
    assert len(names) == len(set(names))
    assert {one["name"] for one in report["measured"]} >= DRIFT | QUALITY | LABELLED
    psi = next(one for one in report["measured"] if one["metric"] == "psi(ship_age_years)")
    assert psi["value"] > psi["chance_limit"] > 0
    assert psi["rows"] >= watched.MONITORING.window.last


def test_the_state_is_the_worst_and_states_are_counted(report: dict[str, Any]) -> None:
    assert report["state"] == "firing"
    instances = [one["state"] for trigger in report["triggers"] for one in trigger["instances"]]
    assert {state: instances.count(state) for state in STATES} == report["states"]
    unwatched = watched.report(watched.sources(days=3, labels=False), monitoring=Monitoring())
    assert (unwatched["state"], unwatched["triggers"]) == ("unwatched", [])


@pytest.mark.parametrize("state", STATES)
def test_each_state_outweighs_those_after_it(state: str) -> None:
    read = watched.sources(days=5, labels=False)
    _, evaluations = watched.evaluated(read)
    made = watched.report(read)
    keys = [one.key for one in evaluations]
    states = {}
    for number, key in enumerate(keys):
        chosen = state if number == 0 else "ok"
        states[key] = watched.TriggerState(
            trigger=key[0], instance=key[1], version="3", state=chosen, since=watched.LAST
        )  # fmt: skip
    about = watched.About(
        deployment="d", model="m", version=watched.Pinned("3", "a"), definition_sha256="c", made_by="x", owner="o",
        threshold=0.5, slices=(), profile_rows=None,
    )  # fmt: skip
    found = report_of(about, watched.MONITORING, read, watched.Seen(evaluations=evaluations, states=states))
    assert found["state"] == state
    assert made["format"] == found["format"]


def test_what_changed_is_what_differs_from_the_run_before_worst_first(report: dict[str, Any]) -> None:
    changed = report["changed"]
    assert [one["to"] for one in changed] == ["firing", "insufficient_data"]
    assert all(one["from"] == "ok" for one in changed)


def test_days_have_what_they_brought_with_intervals(report: dict[str, Any]) -> None:
    assert len(report["days"]) == 60
    assert [one["day"] for one in report["days"]] == sorted(one["day"] for one in report["days"])
    for day in report["days"]:
        for name in ("mean_score", "flag_rate", "review_rate"):
            assert 0 <= day[name]["low"] <= day[name]["value"] <= day[name]["high"] <= 1
    first = report["days"][0]
    assert (first["rows"], first["population"], first["quarantined"]) == (120, 120, 0)
    assert (first["decided"], first["overridden"]) == (4, 1)


def test_a_day_that_refused_all_it_was_given_is_a_day_without_a_score() -> None:
    read = watched.sources(days=3, labels=False)
    read = replace(read, tallies={day: held for day, held in read.tallies.items() if day != watched.LAST})
    last = watched.report(read)["days"][-1]
    assert (last["day"], last["rows"], last["mean_score"]["value"]) == (watched.LAST.isoformat(), 0, None)
    assert last["population"] > 0


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_null(value: float | None) -> None:
    assert finite(value) is None
    read = watched.sources(days=2, labels=False)
    measured = Measured(metric=Metric("psi", "score"), value=value, rows=3, lacking="why", numbers={"p": math.nan})
    about = watched.About(
        deployment="d", model="m", version=watched.Pinned("3", "a"), definition_sha256="c", made_by="x", owner="o",
        threshold=0.5, slices=(), profile_rows=None,
    )  # fmt: skip
    seen = watched.Seen(evaluations=(), states={}, measured=[measured])
    (told,) = report_of(about, Monitoring(), read, seen)["measured"]
    assert (told["value"], told["lacking"], told["numbers"]) == (None, "why", {"p": None})


def test_it_has_nothing_of_a_row(report: dict[str, Any]) -> None:
    assert not {"subject", "request_id", "features", "client"} & set(re_keys(report))


def re_keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for one in value.values() for key in re_keys(one))]
    return [key for one in value for key in re_keys(one)] if isinstance(value, list) else []
