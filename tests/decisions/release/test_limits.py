"""What passes, what fails and what is not known: by the numbers, and by how often each is wrong."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fielded.decisions.measuring.intervals import Estimate, proportion
from fielded.decisions.release.limits import Measured, finding, severity
from fielded.definition.release import Limit

AT_LEAST = Limit(at_least=True, bound=0.7)
AT_MOST = Limit(at_least=False, bound=0.3)


def measured(
    estimate: Estimate, limit: Limit = AT_LEAST, together: Estimate | None = None, lacking: str = ""
) -> Measured:
    return Measured(
        gate="performance",
        item="recall[overall]",
        limit=limit,
        margin=0.1,
        estimate=estimate,
        together=together or estimate,
        lacking=lacking,
        mend="Mend it",
        more={"events": 30},
    )


@pytest.mark.parametrize(
    ("value", "low", "high", "outcome"),
    [
        (0.80, 0.75, 0.85, "passed"),
        (0.70, 0.60, 0.80, "passed"),  # at the limit, and the worse end just within the margin
        (0.75, 0.55, 0.95, "not enough evidence"),  # too wide to say
        (0.69, 0.64, 0.74, "not enough evidence"),  # missed, but it may be chance
        (0.60, 0.50, 0.69, "failed"),
    ],
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_value_is_held_against_its_limit(
    value: float, low: float, high: float, outcome: str, *, mirrored: bool
) -> None:
    estimate = Estimate(value, low, high, 200)
    if mirrored:
        estimate = Estimate(1 - value, 1 - high, 1 - low, 200)
        limit = Limit(at_least=False, bound=1 - AT_LEAST.bound)
        assert finding(measured(estimate, limit)).outcome == outcome
    else:
        assert finding(measured(estimate)).outcome == outcome


def test_a_failure_is_claimed_only_where_it_holds_for_all_that_was_tested() -> None:
    estimate = Estimate(0.6, 0.52, 0.68, 150)
    assert finding(measured(estimate)).outcome == "failed"
    assert finding(measured(estimate, together=Estimate(0.6, 0.48, 0.72, 150))).outcome == "not enough evidence"


def test_too_few_rows_are_not_enough_evidence_whatever_they_show() -> None:
    for value in (0.0, 1.0):
        found = finding(measured(Estimate(value, value, value, 5), lacking="5 events where 10 are needed"))
        assert found.outcome == "not enough evidence"
        assert "5 events where 10 are needed" in found.got
        assert "Label more rows" in found.step


def test_no_value_is_never_a_pass() -> None:
    found = finding(measured(Estimate(None, 0.0, 1.0, 0)))
    assert found.outcome == "not enough evidence"
    assert found.numbers["value"] is None


def test_a_finding_has_the_numbers_and_the_words() -> None:
    found = finding(measured(Estimate(0.6, 0.5, 0.65, 200)))
    assert found.name == "performance/recall[overall]"
    assert found.got == "0.600 [0.500, 0.650] of 200 rows"
    assert found.expected == ">= 0.7, with an interval that misses it by no more than 0.1"
    assert found.step == "Mend it"
    assert (found.numbers["rows"], found.numbers["limit"], found.numbers["events"]) == (200, 0.7, 30)
    assert found.severity == pytest.approx(1 / 7)


def test_what_passed_asks_for_nothing() -> None:
    assert not finding(measured(Estimate(0.9, 0.85, 0.95, 200))).step


@given(st.integers(60, 95), st.integers(100, 400))
def test_as_many_rows_as_the_step_names_settle_it(percent: int, rows: int) -> None:
    hits = rows * percent // 100
    unsettled = measured(proportion(hits, rows, 0.95))
    found = finding(unsettled)
    if found.outcome != "not enough evidence" or "About" not in found.step:
        return
    named = int(found.step.split()[1].replace(",", ""))
    assert named > rows
    more = math.ceil(named * 1.2)  # the square law is that of a normal sample
    settled = finding(measured(proportion(more * hits / rows, more, 0.95)))
    assert settled.outcome != "not enough evidence"


def test_a_value_at_its_limit_is_said_not_to_be_settled_by_labels() -> None:
    step = finding(measured(Estimate(0.69999, 0.699, 0.701, 800_000))).step
    assert step == "More labels would not settle it: the value lies at the limit. Mend it"


@given(st.floats(0, 1), st.floats(0, 1))
def test_severity_is_above_zero_exactly_where_the_limit_is_missed(value: float, bound: float) -> None:
    for limit in (Limit(at_least=True, bound=bound), Limit(at_least=False, bound=bound)):
        assert (severity(value, limit) > 0) == (not limit.holds(value))


def test_a_limit_of_zero_has_a_severity_all_the_same() -> None:
    assert severity(0.2, Limit(at_least=False, bound=0.0)) == 0.2
    assert severity(0.4, AT_MOST) == pytest.approx(1 / 3)
