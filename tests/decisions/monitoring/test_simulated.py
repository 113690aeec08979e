"""A simulation follows the very rules of triggers, and the example's trigger keeps quiet without drift."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from test_at_once import column

from fielded.decisions.monitoring.at_once import drift_statistic, share_statistic
from fielded.decisions.monitoring.measure import Measured
from fielded.decisions.monitoring.simulate import Instance, Plan, _Calendar, _policy, simulate
from fielded.decisions.monitoring.triggers import Look, evaluate, moved
from fielded.definition.monitoring import Clear, Metric, Significance, Trigger, When, Window
from fielded.words.errors import WrongUse

AGE = Metric.parse("psi(ship_age_years)")


def trigger(**changed: Any) -> Trigger:
    """The example's."""
    options = {
        "id": "age",
        "metric": str(AGE),
        "when": "> 0.10",
        "significance": Significance(),
        "window": Window(last=300, max_age=timedelta(days=90)),
        "min_sample": 300,
        "breaches": "2 of 2",
        "clear": Clear(**{"when": "< 0.08", "for": 2}),
        **changed,
    }
    return Trigger(**options)


def instance(share: float = 1.0, shifted: np.ndarray | None = None) -> Instance:
    grid, reference = column("ship_age_years")
    return Instance(
        metric=AGE,
        quiet=reference / reference.sum(),
        shifted=shifted,
        reference=reference,
        share=share,
        statistic=drift_statistic("psi", grid, reference, 0.05),
    )


def rolled(by: int) -> np.ndarray:
    """The quiet shares, that many bins further up."""
    quiet = instance().quiet
    known = np.roll(quiet[:-1], by)
    known[:by] = 0
    known[-1] += quiet[-1 - by : -1].sum()
    return np.append(known / known.sum() * (1 - quiet[-1]), quiet[-1])


def test_sixty_quiet_years_at_a_hundred_rows_a_week_have_hardly_an_alarm() -> None:
    found = simulate(Plan(trigger(), [instance()], 100.0), 60, np.random.default_rng(1))
    assert found.noisy_years.value is not None
    assert found.noisy_years.value <= 0.05
    loose = trigger(window=Window(last=100), min_sample=100, breaches="1 of 1", significance=None, clear=None)
    noisy = simulate(Plan(loose, [instance()], 100.0), 60, np.random.default_rng(1))
    assert (noisy.noisy_years.value or 0) > 0.9, "a bare bound on a hundred rows alarms every year"


def test_a_large_shift_is_seen_and_none_is_not() -> None:
    plan = Plan(trigger(), [instance(shifted=rolled(8))], 100.0)
    found = simulate(plan, 60, np.random.default_rng(2), "ship_age_years +9")
    assert found.soon is not None
    assert (found.soon.value or 0) > 0.95
    assert (found.median_weeks or 99) <= 4
    same = replace(instance(), shifted=instance().quiet)
    none = simulate(Plan(trigger(), [same], 100.0), 60, np.random.default_rng(3), "nothing")
    assert none.seen is not None
    assert (none.seen.value or 0) < 0.1
    assert none.median_weeks is None


def test_the_policy_is_that_of_the_trigger_rules() -> None:
    rng = np.random.default_rng(4)
    for breaches, clear_for in (("1 of 1", 1), ("2 of 2", 2), ("2 of 3", 1), ("3 of 5", 3)):
        asked = trigger(breaches=breaches, clear=Clear(**{"when": "< 0.08", "for": clear_for}), significance=None)
        values = rng.choice([0.02, 0.09, 0.2], size=(8, 60))
        fired = _policy(asked, values > 0.10, values < 0.08)
        for year in range(8):
            assert np.flatnonzero(fired[year]).tolist() == fires(asked, values[year])


def fires(asked: Trigger, values: np.ndarray) -> list[int]:
    """Looks at which the fold fires."""
    states, found = {}, []
    for number, value in enumerate(values.tolist()):
        day = date(2026, 1, 1) + timedelta(days=number)
        measured = Measured(metric=AGE, value=value, rows=300, first_day=day, last_day=day)
        after = moved(states, [asked], [evaluate(asked, measured)], Look(day, "1", str(number)))
        (state,) = after.values()
        before = next(iter(states.values()), None)
        if state.state == "firing" and (before is None or before.state != "firing"):
            found.append(number)
        states = after
    return found


def test_windows_hold_what_the_trigger_asks_for_and_no_day_more() -> None:
    for rows_per_week, share, every in ((100.0, 1.0, 7), (40.0, 0.5, 1), (5000.0, 1.0, 7), (333.3, 0.7, 3)):
        asked = trigger(window=Window(last=300, max_age=timedelta(days=120)))
        calendar = _Calendar.of(Plan(asked, [], rows_per_week, every), instance(share))
        held = np.concatenate([[0], np.cumsum(calendar.rows)])
        assert calendar.looks
        for end, first in calendar.looks:
            assert held[end] - held[first] >= 300
            assert held[end] - held[first + 1] < 300
            assert end - first <= 121


def test_rows_that_never_suffice_are_said_before_anything_is_drawn() -> None:
    with pytest.raises(WrongUse, match="never leave insufficient_data"):
        simulate(Plan(trigger(), [instance()], 10.0), 10, np.random.default_rng(5))
    found = simulate(Plan(trigger(), [instance(), instance(share=0.05)], 100.0), 10, np.random.default_rng(5))
    assert (found.instances, found.notes) == (1, ("1 instances never have 300 rows",))


def test_a_rate_is_simulated_too() -> None:
    asked = trigger(metric="flag_rate", when="> 0.35", clear=None)
    hits = np.array([False, True])
    statistic = share_statistic(hits, np.ones(2, dtype=bool), When.parse("> 0.35"), 0.05)
    rate = Instance(
        metric=Metric.parse("flag_rate"), quiet=np.array([0.7, 0.3]), shifted=np.array([0.45, 0.55]),
        reference=np.zeros(1), share=1.0, statistic=statistic,
    )  # fmt: skip
    found = simulate(Plan(asked, [rate], 300.0), 40, np.random.default_rng(6), "more hours")
    assert (found.noisy_years.value or 0) < 0.2
    assert (found.soon.value if found.soon else 0) == 1.0


def test_the_same_seed_says_the_same_and_its_words_say_it() -> None:
    plan = Plan(trigger(), [instance(shifted=rolled(8))], 100.0)
    first, again = (simulate(plan, 20, np.random.default_rng(7), "age +9") for _ in range(2))
    assert first.as_dict() == again.as_dict()
    text = "\n".join(first.lines())
    assert "100 rows a week" in text
    assert "age +9" in text
    assert "false alarms a year" in text
