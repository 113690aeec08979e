"""The state of a trigger follows its numbered rules, and nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.monitoring.measure import Measured
from fielded.decisions.monitoring.triggers import (
    IN_ALARM,
    Evaluation,
    Key,
    Look,
    TriggerState,
    acknowledged,
    changes,
    evaluate,
    moved,
)
from fielded.definition.monitoring import Clear, Metric, Significance, Trigger
from fielded.words.errors import Refused

START = date(2026, 3, 1)
PSI = Metric.parse("psi(score)")
KEY = ("drift", "psi(score)")


def trigger(**changed: Any) -> Trigger:
    options = {
        "id": "drift",
        "metric": "psi(score)",
        "when": "> 0.10",
        "breaches": "2 of 2",
        "clear": Clear(**{"when": "< 0.08", "for": 2}),
        "significance": Significance(),
        **changed,
    }
    return Trigger(**options)


def seen(value: float | None, day: int, **changed: Any) -> Measured:
    made = Measured(
        metric=PSI,
        value=value,
        rows=300,
        chance_limit=0.05,
        first_day=START + timedelta(days=day),
        last_day=START + timedelta(days=day),
        lacking="" if value is not None else "got 12 rows within 90 days, expected at least 300",
    )
    return replace(made, **changed)


def walk(
    values: Sequence[Measured], asked: Trigger | None = None, states: dict[Key, TriggerState] | None = None
) -> list[TriggerState]:
    """The states that looks on days in a row lead to."""
    one, found = asked or trigger(), []
    held = dict(states or {})
    for day, measured in enumerate(values):
        look = Look(START + timedelta(days=day), "3", str(day + 1))
        held = moved(held, [one], [evaluate(one, measured)], look)
        found.append(held[KEY])
    return found


def names(values: Sequence[float | None], asked: Trigger | None = None) -> list[str]:
    return [state.state for state in walk([seen(value, day) for day, value in enumerate(values)], asked)]


def test_it_fires_after_as_many_breaches_as_asked_and_is_pending_before() -> None:
    assert names([0.02, 0.2, 0.2]) == ["ok", "pending", "firing"]
    assert names([0.2, 0.02, 0.2, 0.2]) == ["pending", "ok", "pending", "firing"]
    assert names([0.2], trigger(breaches="1 of 1")) == ["firing"]


@pytest.mark.parametrize(
    ("breaches", "values", "expected"),
    [
        ("2 of 3", [0.2, 0.02, 0.2], ["pending", "pending", "firing"]),
        ("2 of 3", [0.2, 0.02, 0.02, 0.2], ["pending", "pending", "ok", "pending"]),
        ("2 of 5", [0.2, 0.02, 0.02, 0.02, 0.02], ["pending", "pending", "pending", "pending", "ok"]),
    ],
)
def test_a_breach_is_pending_while_it_still_counts(
    breaches: str, values: list[float], expected: list[str]
) -> None:
    assert names(values, trigger(breaches=breaches)) == expected


def test_too_few_rows_are_neither_ok_nor_the_end_of_an_alarm() -> None:
    assert names([None]) == ["insufficient_data"]
    assert names([0.02, None]) == ["ok", "insufficient_data"]
    assert names([0.2, 0.2, None, None, None]) == ["pending", "firing", "firing", "firing", "firing"]
    assert names([0.2, None, 0.2]) == ["pending", "insufficient_data", "firing"], "what was counted stays counted"


def test_an_alarm_ends_only_after_so_many_calm_looks_in_a_row() -> None:
    assert names([0.2, 0.2, 0.07, 0.09, 0.07, 0.07, 0.02]) == [
        "pending", "firing", "firing", "firing", "firing", "cleared", "ok",
    ]  # fmt: skip
    assert names([0.2, 0.2, 0.07, None, 0.07])[-1] == "cleared", "what lacks something is not counted either way"


def test_after_an_alarm_it_is_as_if_nothing_had_been_counted() -> None:
    assert names([0.2, 0.2, 0.02, 0.02, 0.2])[-1] == "pending"


def test_a_window_counts_once() -> None:
    breach = seen(0.2, 1)
    assert [state.state for state in walk([breach, breach, breach])] == ["pending"] * 3
    assert [state.state for state in walk([breach, seen(0.2, 2)])] == ["pending", "firing"]
    between = walk([breach, seen(None, 1), breach])
    assert [state.state for state in between] == ["pending", "insufficient_data", "pending"]


def test_looks_at_nearly_the_same_rows_count_once() -> None:
    def three_weeks(day: int) -> Measured:
        return seen(0.2, day, first_day=START + timedelta(days=day - 20))

    nightly = walk([three_weeks(day) for day in range(4)])
    assert [state.state for state in nightly] == ["pending", "pending", "pending", "firing"], "three of 21 days"
    assert nightly[3].counted_to == START + timedelta(days=3)
    late = walk([seen(0.2, 1), seen(0.2, 1, rows=900)])
    assert [state.state for state in late] == ["pending", "pending"], (
        "rows of a day that was counted are no new day"
    )


def test_volume_and_latency_count_once_a_day() -> None:
    asked = trigger(metric="volume", when="< 50", significance=None, clear=None)
    key = ("drift", "volume")
    held: dict[Key, TriggerState] = {}
    states = []
    for day in (0, 0, 1):
        last = START + timedelta(days=day)
        measured = Measured(
            metric=Metric.parse("volume"), value=3.0, rows=9, first_day=last - timedelta(days=89), last_day=last
        )
        held = moved(held, [asked], [evaluate(asked, measured)], Look(last, "3", str(day)))
        states.append(held[key].state)
    assert states == ["pending", "pending", "firing"]


def test_rows_that_come_back_after_silence_count_at_once() -> None:
    silent = seen(None, 0, silent="got no rows for 15 days, expected some within 14 days")
    long_ago = seen(0.02, -20, first_day=START - timedelta(days=60))
    assert [state.state for state in walk([long_ago, silent, silent, seen(0.02, 3), seen(0.02, 4)])] == [
        "ok", "pending", "firing", "firing", "cleared",
    ]  # fmt: skip


def test_what_chance_makes_is_no_breach_and_does_not_clear() -> None:
    outcome = evaluate(trigger(), seen(0.2, 1, chance_limit=0.25))
    assert outcome.outcome == "between"
    assert "chance" in outcome.why
    assert evaluate(trigger(significance=None), seen(0.2, 1, chance_limit=None)).outcome == "breach"
    assert evaluate(trigger(), seen(0.09, 1)).outcome == "between"
    assert evaluate(trigger(clear=None), seen(0.09, 1)).outcome == "calm"


def test_a_rate_must_have_crossed_with_its_whole_interval() -> None:
    rate = trigger(metric="flag_rate", when="> 0.30", clear=None)
    value = Measured(metric=Metric.parse("flag_rate"), value=0.35, low=0.28, high=0.42, rows=300, last_day=START)
    assert evaluate(rate, value).outcome == "between"
    assert evaluate(rate, replace(value, low=0.31)).outcome == "breach"
    falling = trigger(metric="auc", when="< 0.70", clear=None)
    area = Measured(metric=Metric.parse("auc"), value=0.66, low=0.6, high=0.72, rows=300, last_day=START)
    assert evaluate(falling, area).outcome == "between"
    assert evaluate(falling, replace(area, high=0.69)).outcome == "breach"


def test_silence_is_a_breach_that_counts_once_a_day() -> None:
    silent = seen(None, 0, silent="got no rows for 15 days, expected some within 14 days")
    assert [state.state for state in walk([silent, silent])] == ["pending", "firing"]
    one = trigger()
    look = Look(START, "3", "1")
    held = moved({}, [one], [evaluate(one, silent)], look)
    assert moved(held, [one], [evaluate(one, silent)], look)[KEY].state == "pending"


def test_only_what_fires_is_acknowledged_and_it_stays_an_alarm() -> None:
    firing = walk([seen(0.2, 0), seen(0.2, 1)])[-1]
    known = acknowledged(firing, "os:owner", "a new class of ship", START)
    assert (known.state, known.alarm, known.acknowledged_by) == ("acknowledged", firing.alarm, "os:owner")
    with pytest.raises(Refused, match="acknowledged, expected firing"):
        acknowledged(known, "os:owner", "again", START)
    states = walk([seen(0.2, 5), seen(None, 6), seen(0.02, 7), seen(0.02, 8)], None, {KEY: known})
    assert [state.state for state in states] == ["acknowledged", "acknowledged", "acknowledged", "cleared"]
    assert states[-1].acknowledged_by == ""
    assert states[-1].alarm == ""


def test_each_alarm_has_a_name_of_its_own() -> None:
    states = walk([seen(value, day) for day, value in enumerate([0.2, 0.2, 0.02, 0.02, 0.2, 0.2])])
    assert states[1].alarm == "drift/psi(score)/2"
    assert states[5].alarm == "drift/psi(score)/6"


def test_another_version_begins_anew() -> None:
    firing = walk([seen(0.2, 0), seen(0.2, 1)])[-1]
    one, look = trigger(), Look(START + timedelta(days=9), "4", "9")
    after = moved({KEY: firing}, [one], [evaluate(one, seen(0.02, 9))], look)
    assert (after[KEY].state, after[KEY].version) == ("ok", "4")
    gone = moved({KEY: firing}, [one], [], look)
    assert gone == {}
    (change,) = changes({KEY: firing}, gone, [])
    assert (change.before, change.after, change.fired) == (firing, None, False)


def test_an_alarm_that_was_not_measured_stays_and_a_withdrawn_trigger_does_not() -> None:
    firing = walk([seen(0.2, 0), seen(0.2, 1)])[-1]
    look = Look(START + timedelta(days=9), "3", "9")
    assert moved({KEY: firing}, [trigger()], [], look) == {KEY: firing}
    assert moved({KEY: firing}, [], [], look) == {}


def test_what_is_not_measured_any_more_and_in_no_alarm_is_forgotten() -> None:
    calm = walk([seen(0.02, 0)])[-1]
    assert moved({KEY: calm}, [trigger()], [], Look(START, "3", "2")) == {}
    assert changes({KEY: calm}, {}, []) == ()


def test_a_state_survives_its_event() -> None:
    for state in walk([seen(0.2, 0), seen(0.2, 1), seen(0.02, 2)]):
        assert TriggerState.read(state.as_dict()) == state
    with pytest.raises(ValueError, match="expected one of insufficient_data"):
        TriggerState.read({**state.as_dict(), "state": "fine"})


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(st.one_of(st.none(), st.floats(0, 0.4)), min_size=1, max_size=40),
    of=st.integers(1, 3),
    more=st.integers(0, 2),
    clear_for=st.integers(1, 3),
)
def test_whatever_comes_the_rules_hold(values: list[float | None], of: int, more: int, clear_for: int) -> None:
    asked = trigger(breaches=f"{of} of {of + more}", clear=Clear(**{"when": "< 0.08", "for": clear_for}))
    states = walk([seen(value, day) for day, value in enumerate(values)], asked)
    counted: list[float] = []
    for before, value, state in zip([None, *states], values, states, strict=False):
        in_alarm = before is not None and before.state in IN_ALARM
        if value is None:
            assert state.state == (before.state if in_alarm and before else "insufficient_data")
            continue
        counted.append(value)
        last = counted[-(of + more) :]
        if state.state == "firing" and not in_alarm:
            assert sum(one > 0.10 for one in last) >= of
        if state.state == "cleared":
            assert in_alarm
            assert all(one < 0.08 for one in counted[-clear_for:])
            counted = []
        if in_alarm and state.state not in IN_ALARM:
            assert state.state == "cleared"


def test_an_evaluation_names_its_instance() -> None:
    made = Evaluation(trigger="drift", measured=seen(0.2, 1), outcome="breach", why="")
    assert made.key == KEY
