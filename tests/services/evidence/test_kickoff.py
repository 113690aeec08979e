"""Readiness item 1 in a real ledger and registry: in time, late, told later, without a kickoff, out of reach."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from conftest import Spare, Ticking, World
from fielded.decisions.assurance.evidence import Evidence
from fielded.decisions.ato import progress as rules
from fielded.services.ato.progress import kickoff
from fielded.services.evidence.collect import Bench, collect, on_record, put_on_record
from fielded.services.evidence.kickoff import COLLECTOR
from fielded.services.release.record import about
from fielded.world.registry import Registry
from fielded.world.workplace import Workplace

APPROVED = datetime(2026, 3, 2, 2, tzinfo=UTC)  # when the world's versions were, by its own clock
WHY = "The program asks for it"
LATE = "kickoff is no later than the first version"


def at(world: World, when: datetime) -> Workplace:
    return replace(world.open("os:ada"), clock=Ticking(when))


def collected(world: World) -> Evidence:
    bench = Bench(at(world, APPROVED + timedelta(days=60)))
    return collect(bench, COLLECTOR, "fielded ready --item 1")


def failed(evidence: Evidence) -> list[str]:
    return [check.name for check in evidence.checks if check.outcome == "failed"]


def test_a_kickoff_before_the_first_version_holds_and_days_ahead_are_told(world: World) -> None:
    kickoff(at(world, APPROVED - timedelta(days=3)), WHY)
    found = collected(world)
    assert found.outcome == "satisfied"
    assert (found.facts["days_lost"], found.facts["days_ahead"]) == (0.0, 3.0)
    assert any(check.negative and check.outcome == "held" for check in found.checks)
    assert found.valid_until is None


@pytest.mark.parametrize(
    ("late", "lost"), [(timedelta(minutes=5), 0.1), (timedelta(hours=12), 0.5), (timedelta(days=40), 40.0)]
)
def test_one_after_it_fails_with_the_days_lost(world: World, late: timedelta, lost: float) -> None:
    kickoff(at(world, APPROVED + late), WHY)
    found = collected(world)
    assert failed(found) == [LATE]
    assert found.facts["days_lost"] == lost
    (check,) = (check for check in found.checks if check.name == LATE)
    assert f"{lost:g} days lost" in check.got
    assert "waive" in check.step


def test_without_one_the_step_says_what_to_run(world: World) -> None:
    found = collected(world)
    assert failed(found) == ["kickoff is on record"]
    assert "fielded ato kickoff" in found.checks[0].step


def test_one_that_was_recorded_later_is_attested_by_who_recorded_it(world: World) -> None:
    kickoff(at(world, APPROVED + timedelta(days=20)), WHY, on=date(2026, 2, 1), reference="minutes of a meeting")
    found = collected(world)
    assert (found.outcome, found.attested_by) == ("attested", "os:ada")
    assert found.facts["kickoff"]["recorded_days_later"] == 49
    assert any("recorded 49 days later" in check.got for check in found.checks)


def test_a_day_that_is_remembered_too_late_is_late_in_whole_days(world: World) -> None:
    kickoff(at(world, APPROVED + timedelta(days=20)), WHY, on=date(2026, 3, 7), reference="minutes of a meeting")
    found = collected(world)
    assert failed(found) == [LATE]
    assert found.facts["days_lost"] == 5.0


@pytest.mark.parametrize(("on", "reference"), [("2026-02-01", ""), ("2026-06-01", "minutes of a meeting")])
def test_an_event_that_fielded_would_not_have_written_fails(world: World, on: str, reference: str) -> None:
    workplace = at(world, APPROVED - timedelta(days=1))
    workplace.record(rules.STARTED, about(workplace), {"on": on, "reference": reference, "reason": WHY})
    assert "kickoff has a reference where it was recorded later" in failed(collected(world))


def test_a_registry_that_is_newer_than_the_ledger_does_not_make_a_kickoff_early(world: World) -> None:
    """The registry's store was made today; the ledger says that its versions were approved long ago."""
    registered = at(world, APPROVED).registry.first_registered(world.model)
    assert registered is not None
    assert registered > APPROVED + timedelta(days=30)
    kickoff(at(world, APPROVED + timedelta(days=30)), WHY)
    found = collected(world)
    assert failed(found) == [LATE]
    assert found.facts["first_version"] == found.facts["first_approved"]


def test_where_nothing_was_registered_any_kickoff_is_in_time(bare: World) -> None:
    bare.model = "a_model_to_come"
    bare.define()
    kickoff(at(bare, APPROVED), WHY)
    found = collected(bare)
    assert found.outcome == "satisfied"
    assert (found.facts["first_registered"], found.facts["first_version"]) == (None, None)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("carrier-pigeon://coop", "cannot be opened"),
        ("sqlite:///FOLDER/empty.db", "the registry knows no version of"),
    ],
)
def test_a_registry_out_of_reach_or_another_one_is_not_checked_and_never_a_pass(
    world: World, uri: str, why: str
) -> None:
    kickoff(at(world, APPROVED - timedelta(days=3)), WHY)
    uri = uri.replace("FOLDER", str(world.folder.parent))
    found = collected(replace(world, site=replace(world.site, tracking_uri=uri)))
    assert found.outcome == "not checked"
    assert why in found.checks[-1].got
    assert "days_lost" not in found.facts


def test_it_goes_on_record_and_comes_back_as_it_was(world: World) -> None:
    kickoff(at(world, APPROVED - timedelta(days=3)), WHY)
    found = collected(world)
    put_on_record(at(world, APPROVED), [found])
    assert on_record(world.open())["kickoff"].as_dict() == found.as_dict()


class TestFirstRegistered:
    def test_it_is_the_first_version_s_time(self, spare: Spare) -> None:
        versions = spare.store.client.search_model_versions(f"name = '{spare.model}'")
        first = min(version.creation_timestamp for version in versions)
        assert Registry(spare.site).first_registered(spare.model) == datetime.fromtimestamp(first / 1000, UTC)

    def test_where_the_first_was_deleted_it_is_the_model_s(self, spare: Spare) -> None:
        model = spare.store.client.get_registered_model(spare.model).creation_timestamp
        spare.store.client.delete_model_version(spare.model, "1")
        assert Registry(spare.site).first_registered(spare.model) == datetime.fromtimestamp(model / 1000, UTC)

    def test_of_a_model_that_never_was_there_is_none(self, world: World) -> None:
        assert Registry(world.site).first_registered("never_was") is None
