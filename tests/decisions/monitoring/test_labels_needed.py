"""How many labels a slice needs: the Wilson interval's own arithmetic, and what nobody can know."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.measuring.intervals import proportion
from fielded.decisions.monitoring.labels_needed import Asked, Place, asked_by, labels_needed, rows_for
from fielded.definition.monitoring import Monitoring, Trigger
from fielded.definition.release import Gates, PerformanceGate, Release

ASKED = Asked(rows=0, of_each=10, triggers={})
NOTHING = Place(name="x", labelled=0, events=0, missed=0, false_alarms=0, immature=0, overdue=0)


@given(rate=st.floats(0, 1), width=st.floats(0.02, 0.9))
@settings(deadline=None, max_examples=60)
def test_rows_for_are_the_fewest_that_are_narrow_enough(rate: float, width: float) -> None:
    rows = rows_for(rate, width)

    def wide(count: int) -> float:
        found = proportion(rate * count, count, 0.95)
        return found.high - found.low

    assert wide(rows) <= width
    assert rows == 1 or wide(rows - 1) > width


def test_a_rate_of_a_half_within_ten_points_either_way_takes_93_rows() -> None:
    assert [rows_for(rate) for rate in (0.5, 0.1, 0.0)] == [93, 37, 16]


def test_a_slice_that_has_enough_needs_nothing() -> None:
    rich = Place(name="overall", labelled=1000, events=400, missed=120, false_alarms=60, immature=0, overdue=0)
    (found,) = labels_needed([rich], ASKED)
    assert (found.still, found.needed, found.coming) == (0, -(-rows_for(0.3) // 0.4), True)


def test_what_a_slice_lacks_comes_at_its_own_share_of_events() -> None:
    place = Place(name="overall", labelled=200, events=20, missed=10, false_alarms=9, immature=900, overdue=5)
    (found,) = labels_needed([place], ASKED)
    assert found.events == rows_for(0.5)
    assert found.still == -(-(found.events - 20) // 0.1)
    assert found.needed == 200 + found.still
    assert found.coming


def test_what_is_overdue_is_not_on_its_way() -> None:
    place = Place(name="overall", labelled=200, events=20, missed=10, false_alarms=9, immature=0, overdue=10_000)
    assert not labels_needed([place], ASKED)[0].coming


def test_a_slice_without_events_takes_the_share_of_all_rows_and_hopes_for_nothing() -> None:
    overall = Place(name="overall", labelled=1000, events=250, missed=50, false_alarms=50, immature=0, overdue=0)
    bare = replace(NOTHING, name="hull_class=LSD", labelled=12, immature=40)
    _, found = labels_needed([overall, bare], ASKED)
    assert found.still == int(np.ceil(93 / 0.25))
    assert not found.coming


def test_where_nobody_knows_the_share_it_is_not_known_but_at_least_both_outcomes() -> None:
    (found,) = labels_needed([replace(NOTHING, labelled=9, events=3)], ASKED)
    assert (found.needed, found.still, found.coming) == (None, 2 * 93 - 9, False)


def test_nothing_scored_is_no_place() -> None:
    assert labels_needed([], ASKED) == []


def test_a_gate_and_triggers_with_labels_ask_for_their_rows_too() -> None:
    rich = Place(name="overall", labelled=1000, events=400, missed=120, false_alarms=60, immature=0, overdue=0)
    (found,) = labels_needed([rich], replace(ASKED, rows=5000))
    assert found.still == 4000
    (found,) = labels_needed([rich], replace(ASKED, of_each=500))
    assert found.still == 250, "a hundred events more come with 250 rows"


class TestWhatADefinitionAsks:
    class Told:
        """As much of a deployment as is looked at."""

        def __init__(self, gates: Gates, triggers: tuple[Trigger, ...]) -> None:
            self.release, self.monitoring = Release(gates=gates), Monitoring(triggers=triggers)

    def test_nothing_where_it_says_nothing(self) -> None:
        assert asked_by(self.Told(Gates(), ())) == Asked(rows=0, of_each=10, triggers={})  # type: ignore[arg-type]

    def test_the_most_that_any_part_of_it_asks(self) -> None:
        gate = PerformanceGate(limits={"auc": ">= 0.6"}, minimum_rows=200, minimum_of_each_class=25)
        labels = Trigger(id="missed", metric="fnr", when="> 0.5", min_sample=250)
        drift = Trigger(id="drift", metric="psi(score)", when="> 0.1", min_sample=300)
        found = asked_by(self.Told(Gates(performance=gate), (labels, drift)))  # type: ignore[arg-type]
        assert found == Asked(rows=250, of_each=25, triggers={"missed": 250})


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_rare_outcomes_are_reckoned_without_overflow(share: float) -> None:
    rows = 100_000
    events = int(rows * share)
    place = replace(NOTHING, labelled=rows, events=events, missed=events // 2, false_alarms=0)
    (found,) = labels_needed([place], ASKED)
    assert 0 <= found.still < 1_000_000
