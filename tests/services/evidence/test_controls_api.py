"""The API's controls are looked at by asking a scratch site, and a site that is wrong is told."""

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import DAY, World
from fielded.decisions.assurance.collector import Collector
from fielded.decisions.assurance.evidence import Evidence
from fielded.definition.serving import Identity, Proxy
from fielded.definition.watching import Notify, Webhook
from fielded.doors.serving.probing import open_door
from fielded.services.evidence.collect import Answer, Bench, collect
from fielded.services.evidence.controls import access, audit_failure, identification, limits, requests
from fielded.services.score_day import score_day
from fielded.world.identity.trial_provider import TrialProvider
from fielded.world.workplace import Workplace


@pytest.fixture
def scored(world: World, tmp_path: Path) -> World:
    """A day was scored; callers are known by a provider's tokens, and requests are limited."""
    secret = tmp_path / "secret"
    secret.write_text("a-secret-of-these-tests-only")
    world.site = replace(
        world.site,
        identity=Identity(oidc=TrialProvider(tmp_path, world.open().clock).oidc()),
        api=replace(world.site.api, rate_per_minute=600),
        notify=Notify(webhook=Webhook(url="https://alarms.example.mil/in", secret=f"file:{secret}")),
    )
    workplace, scorers = world.scorers()
    score_day(workplace, scorers, DAY)
    return world


def looked(world: World, collector: Collector[Bench], door: type | None = None) -> Evidence:
    workplace = world.open("os:prober")
    with open_door(workplace) as own:
        opener = open_door if door is None else opened_by(door)
        return collect(Bench(workplace, own, opener), collector, f"fielded ato collect --evidence {collector.id}")


class Wrapped:
    """A real door that answers some questions wrongly, as an API with a fault in it would."""

    def __init__(self, door: Any) -> None:
        self.door = door

    @property
    def credentials(self) -> Mapping[str, str]:
        return dict(self.door.credentials)

    def ask(self, method: str, path: str, **more: Any) -> Answer:
        self.path = path
        return self.changed(self.door.ask(method, path, **more))

    def changed(self, answer: Answer) -> Answer:
        return answer


class LetsAllIn(Wrapped):
    """Who has another role gets what they asked for."""

    def changed(self, answer: Answer) -> Answer:
        return replace(answer, status=200) if answer.status == 403 else answer


class KeepsAllOut(Wrapped):
    """Who has the role gets nothing."""

    def changed(self, answer: Answer) -> Answer:
        return replace(answer, status=403) if self.path.startswith("/review") and answer.status != 401 else answer


class BelievesAll(Wrapped):
    """Any token is a good one."""

    def changed(self, answer: Answer) -> Answer:
        return replace(answer, status=200) if answer.status == 401 else answer


class TakesAll(Wrapped):
    """Nothing is malformed."""

    def changed(self, answer: Answer) -> Answer:
        return replace(answer, status=200) if answer.status == 422 else answer


class TellsAll(Wrapped):
    """What was sent, and a stack, are in the answer."""

    def changed(self, answer: Answer) -> Answer:
        return replace(answer, text=f"{answer.text} {requests.CANARY} Traceback (most recent call last)")


class TellsNothing(Wrapped):
    """An answer without a request id."""

    def changed(self, answer: Answer) -> Answer:
        return replace(answer, body={}) if answer.status >= 400 else answer


class Endless(Wrapped):
    """No limit holds."""

    def changed(self, answer: Answer) -> Answer:
        return replace(answer, status=200) if answer.status in (413, 422, 429, 503) else answer


def opened_by(kind: type) -> Any:
    @contextmanager
    def opened(workplace: Workplace) -> Any:
        with open_door(workplace) as door:
            yield kind(door)

    return opened


def wrong(evidence: Evidence) -> dict[str, str]:
    return {check.name: check.outcome for check in evidence.checks if check.outcome != "held"}


GOOD = (
    access.COLLECTOR,
    identification.COLLECTOR,
    requests.INPUT,
    requests.ERRORS,
    limits.COLLECTOR,
    audit_failure.COLLECTOR,
)


def test_an_api_as_it_should_be_has_nothing_wrong(scored: World) -> None:
    for collector in GOOD:
        evidence = looked(scored, collector)
        assert (collector.id, evidence.outcome, wrong(evidence)) == (collector.id, "satisfied", {})
        assert any(check.negative for check in evidence.checks), collector.id
    assert list(Path(scored.site.cache).glob("fielded-drill-*")) == [], "nothing is left of the scratch sites"
    rows = scored.rows("ledger.overrun.predictions")
    assert {row["channel"] for row in rows} == {"batch"}, "nothing was written at the site"


def test_the_numbers_are_those_of_what_was_asked(scored: World) -> None:
    facts = looked(scored, access.COLLECTOR).facts
    assert facts["operations"] == len(access.POLICY)
    assert facts["questions"] == 6 * len(access.POLICY) == facts["allowed"] + facts["refused"]
    assert len(facts["matrix"]) == facts["questions"]
    sent = looked(scored, requests.INPUT).facts
    assert sent["sent"] == sent["refused"] == len(sent["kinds"])
    assert looked(scored, audit_failure.COLLECTOR).facts["rows"] == [1, 0, 1]


FAULTS: tuple[tuple[Collector[Bench], type, set[str]], ...] = (
    (access.COLLECTOR, LetsAllIn, {"who is not known, or has another role, is refused",
                                   "the API's numbers are not for everybody elsewhere"}),
    (access.COLLECTOR, KeepsAllOut, {"each role is let in where it should be"}),
    (identification.COLLECTOR, BelievesAll, {"every forged token is refused"}),
    (requests.INPUT, TakesAll, {"what does not fit is refused"}),
    (requests.ERRORS, TellsAll, {"no answer shows what was sent, or names of this machine",
                                 "no answer shows a stack or an exception"}),
    (requests.ERRORS, TellsNothing, {"every refusal is a problem with a request id"}),
    (limits.COLLECTOR, Endless, {"a body beyond the limit is refused", "rows beyond the limit are refused",
                                 "a request beyond the rate is refused"}),
    (audit_failure.COLLECTOR, Endless, {"without its journal it gives no score"}),
)  # fmt: skip


def test_an_api_with_a_fault_is_told(scored: World) -> None:
    for collector, door, names in FAULTS:
        evidence = looked(scored, collector, door)
        assert (door.__name__, evidence.outcome, set(wrong(evidence))) == (door.__name__, "not satisfied", names)


def test_an_operation_that_nobody_decided_about_is_told(scored: World, monkeypatch: pytest.MonkeyPatch) -> None:
    short = {key: role for key, role in access.POLICY.items() if key != "POST /score"}
    monkeypatch.setattr(access, "POLICY", short)
    evidence = looked(scored, access.COLLECTOR)
    assert wrong(evidence) == {"every operation of the API has a role that was decided": "failed"}


def test_a_site_without_an_identity_is_told(scored: World) -> None:
    scored.site = replace(scored.site, identity=Identity())
    assert wrong(looked(scored, access.COLLECTOR))["the site tells callers apart"] == "failed"


def test_a_static_token_is_nobodys_name(scored: World, tmp_path: Path) -> None:
    assert wrong(looked(scored, identification.IDENTITY)) == {}
    scored.site = replace(scored.site, identity=Identity(development_token=f"file:{tmp_path / 'secret'}"))
    found = wrong(looked(scored, identification.IDENTITY))
    assert found == {"callers are persons and services, each known by name": "not checked"}
    scored.site = replace(scored.site, environment="production")
    assert wrong(looked(scored, identification.IDENTITY))["the site tells callers apart"] == "failed"


def test_a_proxy_is_a_way_to_know_callers(scored: World, tmp_path: Path) -> None:
    proxy = Proxy(addresses=("10.0.0.7",), secret=f"file:{tmp_path / 'secret'}", roles={"score": ("*",)})
    scored.site = replace(scored.site, identity=Identity(proxy=proxy))
    evidence = looked(scored, access.COLLECTOR)
    assert wrong(evidence) == {}, "certificate headers of somebody who is not the proxy are refused"


def test_a_lockout_is_never_claimed(scored: World) -> None:
    failures = looked(scored, identification.FAILURES)
    assert (failures.outcome, failures.facts["counted"]) == ("satisfied", 5)
    lockout = looked(scored, identification.LOCKOUT)
    assert lockout.outcome == "not checked"
    assert "tokens of an OpenID Connect provider" in lockout.checks[0].got
    deaf = looked(scored, identification.FAILURES, Deaf)
    assert wrong(deaf) == {"failed attempts are counted by their reason": "failed"}


class Deaf(Wrapped):
    """Its numbers stand still."""

    def changed(self, answer: Answer) -> Answer:
        return replace(answer, text="") if self.path == "/metrics" else answer


def test_without_limits_and_without_anybody_to_tell_it_is_not_checked(scored: World) -> None:
    assert wrong(looked(scored, limits.RATE)) == wrong(looked(scored, audit_failure.ALERTS)) == {}
    scored.site = replace(scored.site, api=replace(scored.site.api, rate_per_minute=0), notify=Notify())
    assert wrong(looked(scored, limits.RATE)) == {"requests of one identity are limited": "not checked"}
    assert wrong(looked(scored, audit_failure.ALERTS)) == {"somebody is told of a failure": "not checked"}


def test_without_a_way_to_an_api_nothing_is_claimed(scored: World) -> None:
    for collector in GOOD:
        evidence = collect(Bench(scored.open()), collector, "fielded ato collect")
        assert evidence.outcome == "not checked", collector.id
        assert "Run `fielded ato collect`" in evidence.checks[-1].got
