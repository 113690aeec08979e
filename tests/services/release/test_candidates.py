"""Who may say what about a candidate, and what is put on record of it."""

import warnings
from dataclasses import replace
from datetime import date

import pytest

from conftest import DEFINITION, Spare, World
from fielded.decisions.release import acts
from fielded.definition.site import Site
from fielded.services.approve import approved_digest
from fielded.services.authority import roles_of
from fielded.services.release.adopt import adopt
from fielded.services.release.candidates import approve, propose, waive, withdraw
from fielded.services.release.promote import promote
from fielded.services.release.reconcile import reconcile
from fielded.services.release.record import Lost, state_of
from fielded.services.release.rollback import rollback
from fielded.words.errors import Refused
from fielded.world.registry import NotRegistered, RegisteredVersion
from releases import AUTHOR, FAILED, FIRST, SECOND, compared


def test_a_proposal_pins_the_files_as_they_are(spare: Spare) -> None:
    candidate = propose(spare.open(AUTHOR), "1", "better on engines")
    assert candidate.pinned.sha256 == approved_digest(spare.open().ledger, RegisteredVersion(spare.model, "1"))
    assert (candidate.proposed_by, candidate.why) == (AUTHOR, "better on engines")
    with pytest.raises(Refused, match="rule 4"):
        propose(spare.open(FIRST), "1", "again")


def test_a_proposal_of_nothing_or_for_nothing_is_refused(spare: Spare) -> None:
    with pytest.raises(NotRegistered, match="no version 99"):
        propose(spare.open(), "99", "better")
    with pytest.raises(Refused, match="why: got nothing"):
        propose(spare.open(), "1", " ")
    assert state_of(spare.open()).count == 0


def test_approvals_of_others_count_with_their_roles_and_those_of_the_proposer_do_not(spare: Spare) -> None:
    propose(spare.open(AUTHOR), "1", "better")
    own = approve(spare.open(AUTHOR), "1")
    assert (own.release, own.not_counted) == (0, "you proposed it")
    assert approve(spare.open(FIRST), "1").release == 1
    assert approve(spare.open(FIRST), "1").not_counted == "you have approved it before"
    assert approve(spare.open(SECOND), "1").release == 2
    approvals = state_of(spare.open()).candidates["1"].approvals
    assert [approval.by for approval in approvals] == [FIRST, SECOND]
    assert approvals[0].roles == ("audit", "release", "review", "score")


def test_a_version_may_be_written_as_the_registry_takes_it(spare: Spare) -> None:
    propose(spare.open(AUTHOR), "1", "better")
    assert approve(spare.open(FIRST), "01").release == 1


def test_an_approval_of_what_nobody_proposed_is_of_the_files_alone(spare: Spare) -> None:
    assert approve(spare.open(FIRST), "1").release is None
    assert state_of(spare.open()).count == 0


def test_an_approval_of_files_that_changed_since_the_proposal_is_not_one_of_the_release(spare: Spare) -> None:
    propose(spare.open(AUTHOR), "1", "better")
    (spare.files["1"] / "notes.txt").write_text("mended")
    with pytest.raises(Refused, match=r"as proposed\. They may be loaded now"):
        approve(spare.open(FIRST), "1")
    assert state_of(spare.open()).candidates["1"].approvals == ()
    propose(spare.open(AUTHOR), "1", "mended")
    assert approve(spare.open(FIRST), "1").release == 1


def test_two_people_who_approve_at_once_both_count(spare: Spare, monkeypatch: pytest.MonkeyPatch) -> None:
    propose(spare.open(AUTHOR), "1", "better")
    read = state_of

    def then_another(workplace: object) -> object:
        """Somebody else is faster, each time after the state was read."""
        state = read(workplace)
        monkeypatch.setattr("fielded.services.release.candidates.state_of", read)
        approve(spare.open(SECOND), "1")
        return state

    monkeypatch.setattr("fielded.services.release.candidates.state_of", then_another)
    assert approve(spare.open(FIRST), "1").release == 2


def test_a_waiver_is_not_put_on_a_comparison_that_its_signer_has_not_seen(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose(spare.open(AUTHOR), "1", "better")
    compared(spare.open(AUTHOR), "1", [FAILED])
    read = state_of

    def then_another(workplace: object) -> object:
        """Another comparison gets in just after the state was read."""
        state = read(workplace)
        monkeypatch.setattr("fielded.services.release.candidates.state_of", read)
        compared(spare.open(AUTHOR), "1", [{**FAILED, "got": "-3.0"}])
        return state

    monkeypatch.setattr("fielded.services.release.candidates.state_of", then_another)
    with pytest.raises(Lost, match=r"release_waived: lost to release_compared .* has not seen that comparison"):
        waive(spare.open(FIRST), "1", FAILED["name"], "explained", date(2026, 4, 1))
    assert state_of(spare.open()).candidates["1"].waivers == ()


def test_an_approval_is_for_the_definition_as_it_is_and_is_given_anew_for_another(spare: Spare) -> None:
    propose(spare.open(AUTHOR), "1", "better")
    assert approve(spare.open(FIRST), "1").release == 1
    assert approve(spare.open(FIRST), "1").not_counted == "you have approved it before"
    spare.define(DEFINITION.replace("0.65", "0.66", 1))
    assert approve(spare.open(SECOND), "1").release == 1
    assert approve(spare.open(FIRST), "1").release == 2


def test_a_waiver_names_a_finding_a_reason_and_a_day(spare: Spare) -> None:
    propose(spare.open(AUTHOR), "1", "better")
    compared(spare.open(AUTHOR), "1", [FAILED])
    told = (FAILED["name"], "refitted on purpose, labels agree", date(2026, 4, 1))
    with pytest.raises(Refused, match=r"rule 7.*who proposed it"):
        waive(spare.open(AUTHOR), "1", *told)
    with pytest.raises(Refused, match=r"rule 7.*shift/score\[kind=engine\]"):
        waive(spare.open(FIRST), "1", "shift/other", *told[1:])
    (waiver,) = waive(spare.open(FIRST), "1", *told).waivers
    assert (waiver.by, waiver.finding, waiver.until) == (FIRST, FAILED["name"], told[2])
    with pytest.raises(Refused, match="got no proposal"):
        waive(spare.open(FIRST), "2", *told)


def test_a_withdrawn_proposal_is_gone_with_what_was_said_about_it(spare: Spare) -> None:
    propose(spare.open(AUTHOR), "1", "better")
    approve(spare.open(FIRST), "1")
    assert withdraw(spare.open(SECOND), "1", "a label leaked").candidates == {}
    propose(spare.open(FIRST), "1", "without the leak")
    candidate = state_of(spare.open()).candidates["1"]
    assert (candidate.proposed_by, candidate.approvals) == (FIRST, ())
    with pytest.raises(Refused, match="expected one of: 1"):
        withdraw(spare.open(), "2", "a mistake")


def test_what_is_adopted_are_the_aliases_with_their_approved_digests(spare: Spare) -> None:
    state = adopt(spare.open())
    assert (state.production.version, state.previous.version) == ("2", "1")
    assert state.production.sha256 == approved_digest(spare.open().ledger, RegisteredVersion(spare.model, "2"))
    with pytest.raises(Refused, match="expected nothing released yet"):
        adopt(spare.open())


def _stage(spare: Spare, version: str) -> None:
    with warnings.catch_warnings():  # that stages are deprecated is why somebody moves off them
        warnings.simplefilter("ignore", FutureWarning)
        spare.store.client.transition_model_version_stage(spare.model, version, "Production")


def test_without_an_alias_the_stage_says_what_is_adopted(spare: Spare) -> None:
    client = spare.store.client
    client.delete_registered_model_alias(spare.model, "production")
    with pytest.raises(NotRegistered, match="`production`"):
        adopt(spare.open())
    _stage(spare, "2")
    state = adopt(spare.open())
    assert (state.production.version, state.previous.version) == ("2", "1")


def test_a_stage_on_another_version_than_the_alias_is_told_and_not_followed(spare: Spare) -> None:
    _stage(spare, "1")
    state = adopt(spare.open())
    assert state.production.version == "2"
    assert state.history[-1].details["staged"] == ["1"]


def test_two_versions_in_one_stage_are_not_adopted(spare: Spare) -> None:
    client = spare.store.client
    client.delete_registered_model_alias(spare.model, "production")
    for version in ("1", "2"):
        _stage(spare, version)
    with pytest.raises(Refused, match=r"expected one\. Set the alias"):
        adopt(spare.open())


def test_one_alias_on_one_version_adopts_no_previous_one(spare: Spare) -> None:
    spare.store.client.set_registered_model_alias(spare.model, "previous", "2")
    assert adopt(spare.open()).previous is None


def test_roles_are_the_sites(world: World) -> None:
    site = world.site
    assert set(roles_of(site, "os:anyone")) == {"score", "review", "audit", "release"}
    assert roles_of(replace(site, environment="production"), "os:anyone") == ()
    named = replace(site, roles={"os:ada": ("release", "audit")})
    assert roles_of(named, "os:ada") == ("audit", "release")
    assert roles_of(named, "os:anyone") == ()


def test_without_the_role_release_nothing_is_released(spare: Spare) -> None:
    site: Site = replace(spare.site, roles={"os:auditor": ("audit",)})
    spare.site = site
    workplace, scorers = spare.open("os:auditor"), spare.scorers()[1]
    verbs = (
        lambda: adopt(workplace),
        lambda: propose(workplace, "1", "better"),
        lambda: approve(workplace, "1"),
        lambda: waive(workplace, "1", "x", "y", date(2026, 4, 1)),
        lambda: withdraw(workplace, "1", "no"),
        lambda: promote(workplace, scorers, "1"),
        lambda: rollback(workplace, scorers, "no"),
        lambda: reconcile(workplace),
    )
    for verb in verbs:
        with pytest.raises(Refused, match="got os:auditor with audit, expected `release`"):
            verb()
    assert state_of(workplace).count == 0
    assert len(workplace.ledger.events_of(acts.ADOPTED)) == 0
