"""The schedule against the longest path by hand, against delays that are tried, and against SciPy's triangle."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fielded.decisions.ato.progress import Kickoff, Progress, Standing
from fielded.decisions.ato.schedule import DRAWS, PERCENTILES, Planned, Schedule, reckon
from fielded.decisions.ato.work import (
    AI_DOCUMENTATION,
    ASSESSMENT,
    CONTROLS_DOCUMENTATION,
    DECISION,
    MONITORING_PLAN,
    PENETRATION_TEST,
    Work,
    work_of,
)
from fielded.definition.ato import Ato

TODAY = date(2026, 3, 2)
NEED = date(2026, 9, 1)
FEW = 500
EXISTING, NEW = work_of(Ato()), work_of(Ato(boundary="new"))


def day(days: float) -> date:
    return TODAY + timedelta(days=days)


def on_record(**items: Standing) -> Progress:
    return Progress(items=MappingProxyType({key.replace("_", "-"): one for key, one in items.items()}))


def by_id(schedule: Schedule) -> dict[str, Planned]:
    return {one.work.id: one for one in schedule.items}


@st.composite
def plans(draw: st.DrawFn) -> tuple[Work, ...]:
    """Any work: each item waits for some of those before it, the decision for all that nothing else waits for."""
    count = draw(st.integers(1, 7))
    work: list[Work] = []
    for number in range(count):
        after = tuple(one.id for one in work if draw(st.booleans()))
        low = draw(st.integers(1, 60))
        work.append(Work(
            id=f"item-{number}", title=f"Item {number}", step="Implement", after=after, low=low,
            high=low + draw(st.integers(0, 60)), source="experience",
        ))  # fmt: skip
    waited = {before for one in work for before in one.after}
    last = replace(work[-1], id=DECISION, after=tuple(one.id for one in work if one.id not in waited))
    return (*work, last)


def longest(work: Sequence[Work], takes: Mapping[str, int], item: str = DECISION) -> int:
    """Days from the start to an item's end, by the definition of it."""
    (one,) = (one for one in work if one.id == item)
    return takes[item] + max((longest(work, takes, before) for before in one.after), default=0)


@settings(deadline=None, max_examples=40)
@given(plans())
def test_earliest_and_latest_are_the_longest_paths(work: tuple[Work, ...]) -> None:
    found = reckon(work, Progress(), TODAY, None, draws=FEW)
    assert found.earliest == day(longest(work, {one.id: one.low for one in work}))
    assert found.latest == day(longest(work, {one.id: one.high for one in work}))
    for one in found.items:
        assert one.low.end == day(longest(work, {item.id: item.low for item in work}, one.work.id))


@settings(deadline=None, max_examples=40)
@given(plans())
def test_slack_is_what_an_item_may_take_longer_and_not_a_day_more(work: tuple[Work, ...]) -> None:
    found = reckon(work, Progress(), TODAY, None, draws=FEW)
    for place, ends in enumerate(("low", "high")):
        takes = {one.id: int(getattr(one, ends)) for one in work}
        for one in found.items:
            assert one.slack is not None
            slack, before = one.slack[place], longest(work, takes)
            assert longest(work, {**takes, one.work.id: takes[one.work.id] + slack}) == before
            assert longest(work, {**takes, one.work.id: takes[one.work.id] + slack + 1}) == before + 1
            assert one.week_late is not None
            assert getattr(one.week_late, ends) == max(0, 7 - slack)


@settings(deadline=None, max_examples=40)
@given(plans(), st.integers(0, 400))
def test_an_item_that_starts_on_its_last_day_meets_the_need_date_and_a_day_later_does_not(
    work: tuple[Work, ...], within: int
) -> None:
    need = day(within)
    found = reckon(work, Progress(), TODAY, need, draws=FEW)
    for one in found.items:
        for ends, last in (("low", one.last_start), ("high", one.start_by)):
            takes = {item.id: int(getattr(item, ends)) for item in work}
            rest = longest(_turned(work), takes, one.work.id)  # from its start to the decision's end
            assert last is not None
            assert last + timedelta(days=rest) == need


def _turned(work: Sequence[Work]) -> list[Work]:
    """The same work with every wait turned around: the longest path to an item is now that from it to the end."""
    return [replace(one, after=tuple(later.id for later in work if one.id in later.after)) for one in work]


@settings(deadline=None, max_examples=40)
@given(plans(), st.integers(0, 2**32 - 1))
def test_draws_lie_between_the_ends_in_their_order_and_the_same_seed_draws_the_same(
    work: tuple[Work, ...], seed: int
) -> None:
    found = reckon(work, Progress(), TODAY, NEED, draws=FEW, seed=seed)
    for spread in (found.apart, found.together):
        days = [spread.percentiles[key] for key in PERCENTILES]
        assert days == sorted(days)
        assert found.earliest <= days[0]
        assert days[-1] <= found.latest
        assert spread.chance is not None
        assert 0 <= spread.chance <= 1
    assert reckon(work, Progress(), TODAY, NEED, draws=FEW, seed=seed) == found


def chain(*ranges: tuple[int, int]) -> tuple[Work, ...]:
    """Items one after the other, the last of them the decision."""
    work: list[Work] = []
    for number, (low, high) in enumerate(ranges):
        last = number == len(ranges) - 1
        work.append(Work(
            id=DECISION if last else f"item-{number}", title="Item", step="Implement",
            after=(work[-1].id,) if work else (), low=low, high=high, source="experience",
        ))  # fmt: skip
    return tuple(work)


def test_one_item_is_drawn_from_the_triangle_between_its_ends() -> None:
    found = reckon(chain((100, 300)), Progress(), TODAY, day(180), draws=DRAWS)
    triangle = stats.triang(0.5, loc=100, scale=200)
    for key, drawn in found.apart.percentiles.items():
        assert (drawn - TODAY).days == pytest.approx(triangle.ppf(key / 100), abs=3)
    assert found.apart.chance == pytest.approx(triangle.cdf(180), abs=0.01)
    assert found.together.chance == pytest.approx(triangle.cdf(180), abs=0.01)


def test_what_is_under_way_is_drawn_from_what_is_left_of_the_triangle() -> None:
    begun = on_record(decision=Standing(started=day(-180)))
    found = reckon(chain((100, 300)), begun, TODAY, None, draws=DRAWS)
    triangle = stats.triang(0.5, loc=100, scale=200)
    gone = triangle.cdf(180)
    for key, drawn in found.apart.percentiles.items():
        expected = triangle.ppf(gone + (1 - gone) * key / 100)
        assert (drawn - day(-180)).days == pytest.approx(expected, abs=3)
    assert (found.earliest, found.latest) == (TODAY, day(120)), "no end lies in the past"


def test_all_late_together_is_spread_further_than_each_by_itself() -> None:
    found = reckon(chain(*[(10, 40)] * 6), Progress(), TODAY, None, draws=DRAWS)
    apart, together = found.apart.percentiles, found.together.percentiles
    assert (together[95] - together[10]).days > 2 * (apart[95] - apart[10]).days
    assert abs((together[50] - apart[50]).days) <= 3
    spread = np.sqrt(6) * np.std(stats.triang(0.5, loc=10, scale=30).rvs(20_000, random_state=1))
    assert (apart[95] - apart[50]).days == pytest.approx(1.645 * spread, abs=3)


def test_the_demo_s_schedule_by_hand() -> None:
    found = reckon(EXISTING, Progress(), TODAY, NEED, draws=FEW)
    assert (found.earliest, found.latest) == (day(28 + 28 + 14), day(56 + 56 + 42))
    items = by_id(found)
    assert items[AI_DOCUMENTATION].slack == (14, 28)
    assert items[PENETRATION_TEST].slack == (0, 14)
    assert items[CONTROLS_DOCUMENTATION].slack == (0, 0)
    assert items[ASSESSMENT].critical == 1.0
    critical = [items[name].critical for name in (CONTROLS_DOCUMENTATION, PENETRATION_TEST)]
    assert sum(critical) == pytest.approx(1.0)
    assert critical[0] > critical[1] > 0
    ready = {one.work.id for one in found.items if one.can_start(TODAY)}
    assert ready == {AI_DOCUMENTATION, MONITORING_PLAN, CONTROLS_DOCUMENTATION, PENETRATION_TEST}


def test_a_new_boundary_comes_before_all_but_the_model_s_own_documents() -> None:
    found = reckon(NEW, Progress(), TODAY, NEED, draws=FEW)
    assert found.earliest == day(91 + 28 + 28 + 14)
    assert found.latest == day(183 + 56 + 56 + 42)
    assert {one.work.id for one in found.items if one.can_start(TODAY)} == {"boundary", AI_DOCUMENTATION}


def test_what_is_done_replaces_its_range_and_what_was_started_keeps_its_start() -> None:
    said = on_record(
        controls_documentation=Standing(started=day(-60), done=day(-10)),
        penetration_test=Standing(started=day(-30)),
    )
    found = reckon(EXISTING, said, TODAY, None, draws=FEW)
    items = by_id(found)
    done, begun = items[CONTROLS_DOCUMENTATION], items[PENETRATION_TEST]
    assert (done.state, done.slack, done.week_late) == ("done", None, None)
    assert done.low == done.high
    assert (done.low.start, done.low.end) == (day(-60), day(-10))
    assert (begun.state, begun.low.start, begun.low.end, begun.high.end) == ("started", day(-30), TODAY, day(12))
    assert found.earliest == day(14 + 28 + 14), "the model's own documents are the longest now"


def test_nothing_starts_in_the_past_and_what_waits_costs_what_was_lost() -> None:
    kickoff = Kickoff(
        on=day(-40),
        recorded_at=datetime(2026, 1, 21, tzinfo=UTC),
        recorded_by="os:ada",
        reference="",
        event_id="1",
    )
    found = reckon(EXISTING, Progress(kickoff), TODAY, None, draws=FEW)
    assert found.planned == (day(70 - 40), day(154 - 40))
    assert (found.earliest, found.latest) == (day(70), day(154))
    assert reckon(EXISTING, Progress(), TODAY, None, draws=FEW).planned is None


def test_what_is_beyond_its_high_end_is_overdue_and_ends_today_at_the_earliest() -> None:
    found = reckon(EXISTING, on_record(monitoring_plan=Standing(started=day(-20))), TODAY, None, draws=FEW)
    late = by_id(found)[MONITORING_PLAN]
    assert (late.overdue, late.low.end, late.high.end) == (6, TODAY, TODAY)


def test_an_estimate_counts_in_every_number() -> None:
    said = on_record(assessment=Standing(estimate=(70, 70), by="os:assessor"))
    found = reckon(EXISTING, said, TODAY, None, draws=FEW)
    assert (found.earliest, found.latest) == (day(28 + 70 + 14), day(56 + 70 + 42))
    assert by_id(found)[ASSESSMENT].work.source == "os:assessor"


def test_all_done_is_authorized_on_the_day_of_the_decision() -> None:
    done = {one.id.replace("-", "_"): Standing(started=day(-9), done=day(-3)) for one in EXISTING}
    found = reckon(EXISTING, on_record(**done), TODAY, NEED, draws=FEW)
    assert found.authorized
    assert (found.earliest, found.latest) == (day(-3), day(-3))
    assert set(found.apart.percentiles.values()) == {day(-3)}
    assert found.apart.chance == 1.0


def test_the_need_date_itself_is_in_time() -> None:
    work = chain((10, 10))
    assert reckon(work, Progress(), TODAY, day(10), draws=FEW).apart.chance == 1.0
    assert reckon(work, Progress(), TODAY, day(9), draws=FEW).apart.chance == 0.0
    assert reckon(work, Progress(), TODAY, None, draws=FEW).apart.chance is None
