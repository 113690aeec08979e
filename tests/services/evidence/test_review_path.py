"""The human path is looked at by sending a probe down it, and by asking who is at its end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from conftest import DAY, DEFINITION, World
from fielded.decisions.assurance.evidence import Evidence
from fielded.definition.serving import Identity, Oidc, Proxy
from fielded.services.evidence.collect import Bench, collect
from fielded.services.evidence.review_path import COLLECTOR, reviewers_named
from fielded.services.probe.subjects import PREFIX
from fielded.services.review.act import claim, decide
from fielded.services.review.cases import list_cases
from fielded.services.score_day import score_day

ADA = "os:ada"
MANNED, USED, IN_TIME = "somebody has the role to review", "people have decided cases", "no case is overdue"
TEXT = "The record and the shop's plan agree with the score."


@pytest.fixture
def scored(world: World) -> World:
    """A day was scored, and one person may review."""
    world.site = replace(world.site, roles={ADA: ("review",)})
    workplace, scorers = world.scorers()
    score_day(workplace, scorers, DAY)
    return world


@pytest.fixture
def used(scored: World) -> World:
    """And she has decided a case."""
    by_ada(scored, ADA)
    return scored


def by_ada(world: World, identity: str) -> None:
    workplace = world.open(identity)
    first = list_cases(workplace).cases[0]
    claim(workplace, first.request_id)
    decide(workplace, first.request_id, "keep", "agrees_with_record", TEXT)


def looked(world: World, hours: float = 1.0) -> Evidence:
    at = datetime(2026, 3, 2, 2, tzinfo=UTC) + timedelta(hours=hours)
    return collect(Bench(replace(world.open(), clock=lambda: at)), COLLECTOR, "fielded ready --item 8")


def wrong(evidence: Evidence) -> dict[str, str]:
    return {check.name: check.outcome for check in evidence.checks if check.outcome != "held"}


def test_a_path_that_is_manned_and_used(used: World) -> None:
    evidence = looked(used)
    assert (evidence.outcome, wrong(evidence)) == ("satisfied", {})
    assert sum(check.negative for check in evidence.checks) == 2
    facts = evidence.facts
    assert facts["subject"].startswith(PREFIX)
    assert 0.55 <= float(facts["score"]) <= 0.75
    assert facts["routed_by"] == ["band"]
    assert (facts["reviewers"], facts["identities"]) == (1, [ADA])
    assert (facts["decided_ever"], facts["deciders"], facts["decided"], facts["overdue"]) == (1, 1, 1, 0)
    assert facts["waiting"] == len(list_cases(used.open(ADA)).cases), "probes are nobody's work"


def test_a_path_that_nobody_has_used_is_not_checked(scored: World) -> None:
    evidence = looked(scored)
    assert (evidence.outcome, wrong(evidence)) == ("not checked", {USED: "not checked"})


def test_a_development_site_that_names_nobody_has_no_reviewers(used: World) -> None:
    used.site = replace(used.site, roles={})
    assert wrong(looked(used)) == {MANNED: "failed"}
    used.site = replace(used.site, roles={"os:ben": ("release",)})
    assert wrong(looked(used)) == {MANNED: "failed"}


def test_overdue_cases_are_counted_and_fail(used: World) -> None:
    evidence = looked(used, hours=73.0)
    assert wrong(evidence) == {IN_TIME: "failed"}
    assert evidence.facts["overdue"] == evidence.facts["waiting"] > 0
    assert evidence.facts["expired"] == 0


def test_cases_that_expired_are_counted(used: World) -> None:
    evidence = looked(used, hours=800.0)
    assert (evidence.facts["overdue"], evidence.facts["waiting"]) == (0, 0)
    assert evidence.facts["expired"] > 0


def test_a_band_that_nothing_scores_in_is_not_checked(used: World) -> None:
    used.define(DEFINITION.replace("threshold: 0.65", "threshold: 0.9999").replace(
        "review_band: [0.55, 0.75]", "review_band: [0.9998, 1.0]"
    ))  # fmt: skip
    evidence = looked(used)
    assert evidence.outcome == "not checked"
    assert set(wrong(evidence)) >= {"a probe in the band is routed to a person", "the probe waits in the queue"}
    assert evidence.facts["request_id"] is None


def test_an_identity_provider_that_grants_is_believed_once_somebody_came(scored: World) -> None:
    oidc = Oidc(issuer="https://sso.example.mil", audience="fielded", jwks="file:/nowhere")
    scored.site = replace(scored.site, roles={}, identity=Identity(oidc=oidc))
    assert wrong(looked(scored)) == {MANNED: "not checked", USED: "not checked"}
    by_ada(scored, "oidc:ada")
    evidence = looked(scored)
    assert wrong(evidence) == {}
    assert evidence.facts["reviewers"] == 0, "it names nobody"


def test_a_proxy_names_subjects_or_lets_everybody(world: World) -> None:
    def site(*subjects: str) -> World:
        proxy = Proxy(addresses=("10.1.1.1",), secret="env:S", roles={"review": subjects})  # noqa: S106 - a name
        return replace(world, site=replace(world.site, identity=Identity(proxy=proxy)))

    assert reviewers_named(site("CN=ADA").site) == ("cert:CN=ADA",)
    assert reviewers_named(site("*").site) == ()


def test_audits_are_told_apart_from_what_the_band_routes(scored: World) -> None:
    scored.define(f"{DEFINITION}review:\n  audit_share: 1.0\n  second_share: 0.0\n")
    evidence = looked(scored)
    (check,) = [one for one in evidence.checks if one.name == "a probe outside the band waits for nobody"]
    assert (check.outcome, check.got) == ("held", "drawn for an audit, which may be any row")
