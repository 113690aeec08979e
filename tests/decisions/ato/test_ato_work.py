"""Which work an authorization asks for, and how long each item takes."""

import pytest

from fielded.decisions.ato.work import (
    AI_DOCUMENTATION,
    ASSESSMENT,
    BOUNDARY,
    CONTROLS_DOCUMENTATION,
    DECISION,
    IDS,
    MONITORING_PLAN,
    PENETRATION_TEST,
    PHASES,
    asks_for_penetration_test,
    is_assumed,
    left_out,
    work_of,
)
from fielded.definition.ato import Ato, Categorization

LOW = Categorization(confidentiality="low", integrity="low", availability="low")


def ids(ato: Ato) -> list[str]:
    return [one.id for one in work_of(ato)]


def test_a_new_boundary_is_work_of_three_to_six_months_and_an_existing_one_none() -> None:
    (boundary,) = (one for one in work_of(Ato(boundary="new")) if one.id == BOUNDARY)
    assert (boundary.low, boundary.high) == (91, 183)
    assert BOUNDARY not in ids(Ato(boundary="existing"))
    assert BOUNDARY in left_out(Ato(boundary="existing"))
    assert BOUNDARY not in left_out(Ato(boundary="new"))


@pytest.mark.parametrize(
    ("item", "weeks"),
    [
        (CONTROLS_DOCUMENTATION, (4, 8)),
        (PENETRATION_TEST, (4, 6)),
        (AI_DOCUMENTATION, (2, 4)),
        (MONITORING_PLAN, (1, 2)),
    ],
)
def test_ranges_are_those_of_the_program(item: str, weeks: tuple[int, int]) -> None:
    (one,) = (one for one in work_of(Ato()) if one.id == item)
    assert (one.low, one.high) == (7 * weeks[0], 7 * weeks[1])
    assert one.source == "experience"


def test_only_what_nobody_gave_is_assumed_and_says_so() -> None:
    assert {one.id for one in work_of(Ato(boundary="new")) if is_assumed(one)} == {ASSESSMENT, DECISION}


@pytest.mark.parametrize(
    ("ato", "asked"),
    [
        (Ato(categorization=LOW), False),
        (Ato(categorization=LOW, impact_level="IL2"), False),
        (Ato(categorization=LOW, baseline="fedramp-class-b"), False),
        (
            Ato(categorization=Categorization(confidentiality="low", integrity="low", availability="moderate")),
            True,
        ),
        (Ato(categorization=LOW, impact_level="IL4"), True),
        (Ato(categorization=LOW, baseline="nist-moderate"), True),
        (Ato(categorization=LOW, baseline="fedramp-class-d"), True),
    ],
)
def test_a_penetration_test_is_asked_for_at_moderate_and_above(ato: Ato, asked: bool) -> None:
    assert (PENETRATION_TEST in ids(ato)) is asked
    assert bool(asks_for_penetration_test(ato)) is asked
    assert (PENETRATION_TEST in left_out(ato)) is not asked


@pytest.mark.parametrize("boundary", ["new", "existing"])
@pytest.mark.parametrize("level", [LOW, Categorization()])
def test_nothing_waits_for_what_is_absent_or_comes_later(boundary: str, level: Categorization) -> None:
    seen: set[str] = set()
    for one in work_of(Ato(boundary=boundary, categorization=level)):  # type: ignore[arg-type]
        assert set(one.after) <= seen
        seen.add(one.id)
    assert one.id == DECISION
    assert seen | set(left_out(Ato(boundary=boundary, categorization=level))) == set(IDS)  # type: ignore[arg-type]


def test_each_item_has_a_step_and_the_phase_that_takes_it_over() -> None:
    assert {one.phase for one in work_of(Ato(boundary="new"))} == {"Design", "Build", "Test", "Onboard"}
    assert set(PHASES.values()) == {"Design", "Build", "Test", "Onboard", "Operations"}
    steps = {one.id: one.step for one in work_of(Ato(boundary="new"))}
    assert (steps[BOUNDARY], steps[MONITORING_PLAN], steps[DECISION]) == ("Prepare", "Select", "Authorize")


def test_an_estimate_replaces_the_range_and_names_who_gave_it() -> None:
    (one,) = (one for one in work_of(Ato()) if one.id == ASSESSMENT)
    told = one.estimated((10, 20), "os:assessor")
    assert (told.low, told.high, told.source, is_assumed(told)) == (10, 20, "os:assessor", False)
    assert one.estimated(None, "os:assessor") == one
