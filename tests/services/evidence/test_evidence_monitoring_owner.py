"""Readiness item 9: the owner of the watch is a person at the agency who has acknowledged; each part can fail."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from conftest import DEFINITION, Ticking, World
from fielded.decisions.assurance.evidence import Evidence
from fielded.definition.authorization import Authorization
from fielded.services.evidence.collect import Bench, collect, on_record, put_on_record
from fielded.services.evidence.monitoring_owner import COLLECTOR
from fielded.services.readiness.acknowledge import ACKNOWLEDGED, LASTS, acknowledge
from fielded.services.release.record import about
from fielded.words.errors import DefinitionError
from fielded.world.workplace import Workplace

START = datetime(2026, 3, 2, 2, tzinfo=UTC)
OWNER = "{name: Alex Example, email: alex.example@example.mil}"
AGENCY = "alex.example@ships.navy.mil"
ADDRESS = "the address is at an agency"
ACK = "the owner has acknowledged"
THEIRS = "the identity that acknowledged is the owner's"
PERSONS = {AGENCY: ("os:alex",)}


def owned_by(world: World, name: str = "Alex Example", email: str = AGENCY) -> None:
    world.define(DEFINITION.replace(OWNER, f"{{name: {name}, email: {email}}}"))


def at_site(
    world: World,
    user: str = "os:ada",
    persons: Mapping[str, tuple[str, ...]] = PERSONS,
    environment: str = "production",
    when: datetime = START,
) -> Workplace:
    workplace = replace(world.open(user), clock=Ticking(when))
    authorization = Authorization(persons=persons)
    return replace(workplace, site=replace(workplace.site, authorization=authorization, environment=environment))


def collected(workplace: Workplace) -> Evidence:
    return collect(Bench(workplace), COLLECTOR, "fielded ready --item 9")


def failed(evidence: Evidence) -> set[str]:
    assert all(check.step for check in evidence.checks if check.outcome != "held")
    return {check.name for check in evidence.checks if check.outcome != "held"}


def got(evidence: Evidence, name: str) -> str:
    (check,) = (check for check in evidence.checks if check.name == name)
    return check.got


def test_a_person_at_the_agency_who_has_acknowledged_holds(world: World) -> None:
    owned_by(world)
    acknowledge(at_site(world, "os:alex"))
    found = collected(at_site(world))
    assert (found.outcome, found.attested_by) == ("attested", "os:alex")
    assert found.facts["owner"] == {"name": "Alex Example", "email": AGENCY}
    assert found.facts["acknowledgement"]["by"] == "os:alex"
    assert (found.facts["lasts_days"], found.facts["mapped"]) == (365, ["os:alex"])
    assert found.valid_until is not None
    assert [check.name for check in found.checks if check.negative] == ["a team or its mailbox is refused"]
    put_on_record(world.open(), [found])
    assert on_record(world.open())["monitoring-owner"] == found


def test_one_that_nobody_has_acknowledged_fails(world: World) -> None:
    owned_by(world)
    found = collected(at_site(world))
    assert failed(found) == {ACK, THEIRS}
    assert (found.outcome, found.attested_by, found.facts["acknowledgement"]) == ("not satisfied", "", None)
    assert "fielded ready acknowledge" in next(one.step for one in found.checks if one.name == ACK)


def test_the_address_is_the_agencys(world: World) -> None:
    for email, environment, holds in (
        (AGENCY, "production", True),
        ("alex.example@office.gov", "production", True),
        ("alex.example@OFFICE.GOV", "production", True),
        ("alex.example@example.mil", "development", True),
        ("alex.example@example.mil", "production", False),
        ("alex.example@sub.example.gov", "production", False),
        ("alex.example@example.com", "development", False),
        ("alex.example@contractor.com", "production", False),
        ("alex.example@contractor.com", "development", False),
        ("alex.example@navy.mil.attacker.net", "production", False),
    ):
        owned_by(world, email=email)
        mapped = {email: ("os:alex",)}
        acknowledge(at_site(world, "os:alex", mapped, environment))
        found = collected(at_site(world, persons=mapped, environment=environment))
        assert failed(found) == (set() if holds else {ADDRESS}), email
        assert ("an example domain" in got(found, ADDRESS)) is ("example." in email.partition("@")[2])
    with pytest.raises(DefinitionError):  # of no domain: the definition refuses it already
        owned_by(world, email="alex.example@mil")


def test_it_lasts_a_year_and_not_a_moment_more(world: World) -> None:
    owned_by(world)
    acknowledge(at_site(world, "os:alex"))
    over = START + LASTS
    assert failed(collected(at_site(world, when=over - timedelta(seconds=1)))) == set()
    late = collected(at_site(world, when=over + timedelta(seconds=1)))
    assert failed(late) == {ACK}
    assert "on 2026-03-02, by os:alex" in got(late, ACK)
    acknowledge(at_site(world, "os:alex", when=over))
    assert failed(collected(at_site(world, when=over + LASTS - timedelta(days=1)))) == set()


def test_another_owner_acknowledges_anew(world: World) -> None:
    owned_by(world)
    acknowledge(at_site(world, "os:alex"))
    for name, email in (("Alexis Example", AGENCY), ("Alexis Example", "a.example@ships.navy.mil")):
        owned_by(world, name, email)
        persons = {AGENCY: ("os:alex",), email: ("os:alex",)}
        assert failed(collected(at_site(world, persons=persons))) == {ACK}
        acknowledge(at_site(world, "os:alex", persons))
        assert failed(collected(at_site(world, persons=persons))) == set()


def test_an_identity_that_is_not_theirs_any_more_counts_no_more(world: World) -> None:
    owned_by(world)
    acknowledge(at_site(world, "os:alex"))
    assert failed(collected(at_site(world, persons={AGENCY: ("os:alexandra",)}))) == {THEIRS}
    assert failed(collected(at_site(world, persons={}))) == {THEIRS}


def test_one_that_was_written_past_the_command_by_somebody_else_is_seen(world: World) -> None:
    owned_by(world)
    workplace = world.open("os:mallory")
    details = {"name": "Alex Example", "email": AGENCY, "mapped": True}
    workplace.record(ACKNOWLEDGED, about(workplace), details)
    assert failed(collected(at_site(world))) == {THEIRS}


def test_a_development_site_that_maps_nobody_says_so(world: World) -> None:
    acknowledge(at_site(world, "os:whoever", {}, "development"))
    found = collected(at_site(world, persons={}, environment="development"))
    assert (found.outcome, found.attested_by) == ("attested", "os:whoever")
    assert "this development site maps nobody" in got(found, THEIRS)
    assert failed(collected(at_site(world, persons={}))) == {THEIRS, ADDRESS}, "the same in production"


def test_an_event_that_cannot_be_read_fails_the_look(world: World) -> None:
    workplace = world.open()
    workplace.record(ACKNOWLEDGED, about(workplace), {"name": "Alex Example"})
    found = collected(at_site(world))
    assert (found.outcome, [check.name for check in found.checks]) == ("not satisfied", ["looked"])
