"""The monitoring owner acknowledges by an identity that the site says is theirs; it is of one name, for a year."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from conftest import DEFINITION, Ticking, World
from fielded.definition.authorization import Authorization
from fielded.services.readiness.acknowledge import (
    ACKNOWLEDGED,
    LASTS,
    acknowledge,
    anybody,
    identities_of,
    last_acknowledgement,
)
from fielded.services.release.record import about
from fielded.services.verify import verify
from fielded.words.errors import Refused
from fielded.world.workplace import Workplace

ALEX = "alex.example@example.mil"
START = datetime(2026, 3, 2, 2, tzinfo=UTC)


def at_site(
    world: World,
    user: str,
    persons: Mapping[str, tuple[str, ...]] | None = None,
    environment: str = "development",
    when: datetime = START,
) -> Workplace:
    workplace = replace(world.open(user), clock=Ticking(when))
    authorization = Authorization(persons=persons or {})
    return replace(workplace, site=replace(workplace.site, authorization=authorization, environment=environment))


def count(world: World) -> int:
    workplace = world.open()
    return len(workplace.ledger.events_of(ACKNOWLEDGED, about(workplace)))


def test_the_owner_does_and_it_is_on_record_sealed(world: World) -> None:
    said = acknowledge(at_site(world, "os:alex", {ALEX: ("os:alex", "oidc:alex")}))
    assert (said.name, said.email, said.by, said.mapped) == ("Alex Example", ALEX, "os:alex", True)
    assert said.until == said.at + LASTS
    assert last_acknowledgement(world.open()) == said
    assert said.as_dict()["until"] == said.until.isoformat()
    assert verify(world.open()).findings == []


def test_any_identity_of_theirs_will_do_and_nobody_elses(world: World) -> None:
    persons = {ALEX: ("os:alex", "oidc:alex"), "blair.example@example.mil": ("os:blair",)}
    assert acknowledge(at_site(world, "oidc:alex", persons)).mapped
    for user in ("os:blair", "os:Alex", "os:alex ", "os:nobody"):
        with pytest.raises(Refused) as caught:
            acknowledge(at_site(world, user, persons))
        assert f"got {user}, expected an identity of Alex Example" in str(caught.value)
        assert f"authorization.persons.{ALEX}" in str(caught.value)
    assert count(world) == 1, "a refusal leaves nothing"


def test_a_development_site_that_maps_nobody_takes_anybody_and_says_so(world: World) -> None:
    assert not acknowledge(at_site(world, "os:whoever")).mapped
    with pytest.raises(Refused):  # it maps somebody, so it knows
        acknowledge(at_site(world, "os:whoever", {"blair.example@example.mil": ("os:blair",)}))


def test_a_production_site_that_maps_nobody_takes_nobody(world: World) -> None:
    with pytest.raises(Refused, match="expected an identity of Alex Example"):
        acknowledge(at_site(world, "os:alex", environment="production"))
    assert count(world) == 0
    assert acknowledge(at_site(world, "os:alex", {ALEX: ("os:alex",)}, "production")).mapped


def test_the_last_counts_and_all_stay(world: World) -> None:
    assert last_acknowledgement(world.open()) is None
    first = acknowledge(at_site(world, "os:alex"))
    second = acknowledge(at_site(world, "os:ben", when=START + timedelta(days=40)))
    assert last_acknowledgement(world.open()) == second
    assert second.at - first.at > timedelta(days=39)
    assert count(world) == 2


def test_it_is_of_one_name_and_address_and_one_model(world: World) -> None:
    said = acknowledge(at_site(world, "os:alex"))
    owner = world.open().deployment.people.monitoring_owner
    assert said.of(owner)
    assert not said.of(replace(owner, name="Alexis Example"))
    assert not said.of(replace(owner, email="alexis.example@example.mil"))
    world.define(DEFINITION.replace("name: MODEL", "name: another_model"))
    assert last_acknowledgement(world.open()) is None


def test_an_event_that_fielded_would_not_have_written_is_refused_and_only_true_is_true(world: World) -> None:
    workplace = world.open()
    details = {"name": "Alex Example", "email": ALEX}
    for mapped in ("true", 1, None):
        workplace.record(ACKNOWLEDGED, about(workplace), {**details, "mapped": mapped})
        said = last_acknowledgement(world.open())
        assert said is not None
        assert said.mapped is False
    for less in ({}, details):
        workplace.record(ACKNOWLEDGED, about(workplace), less)
        with pytest.raises(Refused, match=r"without a readable .*fielded audit verify"):
            last_acknowledgement(world.open())


def test_who_is_whose_is_the_sites_to_say(world: World) -> None:
    owner = world.open().deployment.people.monitoring_owner
    mapped = at_site(world, "os:x", {ALEX: ("os:alex",)}).site
    assert (identities_of(mapped, owner), anybody(mapped)) == (("os:alex",), False)
    assert (identities_of(world.site, owner), anybody(world.site)) == ((), True)
    assert not anybody(replace(world.site, environment="production"))
