"""A promotion passes every gate, keeps the way back, and of two at once one is told what it lost to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from books import Crash, crash
from conftest import DAY, DEFINITION, Spare, Ticking
from fielded.decisions.release import acts
from fielded.services.approve import WITHDRAWN
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.release.candidates import approve, propose, waive, withdraw
from fielded.services.release.promote import promote
from fielded.services.release.record import Lost, append, state_of
from fielded.services.release.rollback import rollback
from fielded.services.release.sign import sign
from fielded.services.score_day import score_day
from fielded.words.errors import NotApproved, Refused, Unreachable
from fielded.world.registry import Registry
from releases import AUTHOR, FAILED, FIRST, PASSED, SECOND, aliases, another_version, compared, ready


def _promoted(spare: Spare, version: str, user: str = "os:tester") -> object:
    workplace = spare.open(user)
    return promote(workplace, Scorers(workplace), version)


def test_a_candidate_that_passed_everything_goes_into_production_and_the_old_one_is_kept(spare: Spare) -> None:
    adopt(spare.open())
    score_day(*spare.scorers(), DAY)
    version = another_version(spare)
    ready(spare, version)
    done = _promoted(spare, version)
    assert (done.left.version, done.now.version, done.replayed, done.not_done) == ("2", version, 20, ())
    assert aliases(spare) == {"production": version, "previous": "2"}
    state = state_of(spare.open())
    assert (state.production.version, state.previous.version, dict(state.candidates)) == (version, "2", {})
    assert [event.kind for event in state.history[-2:]] == [acts.PROMOTION_STARTED, acts.PROMOTED]
    assert score_day(*spare.scorers(), DAY).model_version == version


def test_a_first_release_needs_nothing_to_compare_with(spare: Spare) -> None:
    for alias in ("production", "previous"):
        spare.store.client.delete_registered_model_alias(spare.model, alias)
    ready(spare, "1")
    assert _promoted(spare, "1").left is None
    state = state_of(spare.open())
    assert (state.production.version, state.previous) == ("1", None)
    assert aliases(spare) == {"production": "1"}
    ready(spare, "2")
    _promoted(spare, "2")
    assert aliases(spare) == {"production": "2", "previous": "1"}


def test_what_is_served_without_a_record_is_adopted_first(spare: Spare) -> None:
    version = another_version(spare)
    ready(spare, version)
    with pytest.raises(Refused, match="fielded release adopt"):
        _promoted(spare, version)
    assert aliases(spare) == {"production": "2", "previous": "1"}


def _refused(spare: Spare, version: str, match: str, error: type[Exception] = Refused) -> None:
    before, count = aliases(spare), state_of(spare.open()).count
    with pytest.raises(error, match=match):
        _promoted(spare, version)
    assert aliases(spare) == before
    assert state_of(spare.open()).count == count


def test_every_finding_in_the_way_is_told_at_once(spare: Spare) -> None:
    adopt(spare.open())
    version = another_version(spare)
    propose(spare.open(AUTHOR), version, "better")
    compared(spare.open(AUTHOR), version, [FAILED])
    with pytest.raises(Refused) as caught:
        _promoted(spare, version)
    assert {finding.field for finding in caught.value.findings} == {
        f"comparison/{FAILED['name']}",
        "approvals/people",
    }
    assert f"fielded release waive {version}" in str(caught.value)
    assert f"fielded release approve {version}" in str(caught.value)


def test_a_failed_finding_passes_with_a_waiver(spare: Spare) -> None:
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version, [FAILED])
    _refused(spare, version, r"shift/score\[kind=engine\]")
    today = spare.open().clock().date()
    waive(spare.open(FIRST), version, FAILED["name"], "labels agree: report 12", today)
    assert _promoted(spare, version).now.version == version


def test_a_comparison_with_what_is_no_longer_in_production_does_not_count(spare: Spare) -> None:
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)
    rollback(*spare.scorers(), "meanwhile")
    _refused(spare, version, r"comparison/against: got version 2 .*, expected version 1 .* in production")


def test_a_comparison_under_another_definition_does_not_count(spare: Spare) -> None:
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)
    spare.define(DEFINITION.replace("0.65", "0.66", 1))
    _refused(spare, version, "comparison/definition")


def test_a_document_that_has_ended_since_the_comparison_is_in_the_way(spare: Spare, tmp_path: Path) -> None:
    spare.define(DEFINITION + "release:\n  gates:\n    evidence: {documents: [model_card]}\n")
    adopt(spare.open())
    version = another_version(spare)
    card = tmp_path / "card.md"
    card.write_text("# card")
    today = spare.open().clock().date()
    sign(spare.open(FIRST), "model_card", card, today)
    passed = {**PASSED, "name": "evidence/model_card"}
    ready(spare, version, [passed])
    tomorrow = replace(spare.open(), clock=Ticking(datetime(2026, 3, 3, 2, 0, tzinfo=UTC)))
    with pytest.raises(Refused, match=r"evidence/model_card: got signed by os:first until"):
        promote(tomorrow, Scorers(tomorrow), version)
    sign(spare.open(FIRST), "model_card", card, today + timedelta(days=9))
    assert promote(tomorrow, Scorers(tomorrow), version).now.version == version


def test_what_nobody_proposed_is_not_promoted(spare: Spare) -> None:
    adopt(spare.open())
    _refused(spare, "1", "fielded release propose 1")
    _refused(spare, "2", "in production already")


def test_bytes_whose_approval_was_withdrawn_are_not_promoted(spare: Spare) -> None:
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)
    sha256 = state_of(spare.open()).candidates[version].pinned.sha256
    told = {"artifact_sha256": sha256, "reason": "it does not load any more"}
    spare.open().record(WITHDRAWN, f"model {spare.model} version {version}", told)
    _refused(spare, version, f"version {version}", NotApproved)


def test_without_a_way_back_nothing_is_promoted(spare: Spare, monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(spare.open())
    score_day(*spare.scorers(), DAY)
    version = another_version(spare)
    ready(spare, version)
    monkeypatch.setattr("fielded.services.release.verified.ROWS", 5)
    monkeypatch.setattr(
        "fielded.services.release.verified.recorded_rows",
        lambda *_: [{**row, "score": row["score"] / 2} for row in _rows(spare)],
    )
    _refused(spare, version, "5 of 5 recorded rows with another score")


def _rows(spare: Spare) -> list[dict]:
    table = spare.open().tables.open(spare.open().ledger.predictions)
    return table.to_pyarrow_table(columns=["request_id", "features", "score"]).slice(0, 5).to_pylist()


def test_the_second_of_two_promotions_at_once_is_told_what_it_lost_to(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(spare.open())
    first, second = another_version(spare), another_version(spare)
    for version in (first, second):
        ready(spare, version)

    def meanwhile(*_args: object) -> int:
        """The other one is done after we looked and before we begin."""
        monkeypatch.undo()
        _promoted(spare, first, "os:faster")
        return 0

    monkeypatch.setattr("fielded.services.release.promote.verified", meanwhile)
    with pytest.raises(Lost, match=rf"promotion_started: lost to promotion_started by os:faster at .*{first}"):
        _promoted(spare, second, "os:slower")
    assert aliases(spare) == {"production": first, "previous": "2"}
    _refused(spare, second, "comparison/against")


def test_a_withdrawal_just_before_the_intent_wins(spare: Spare, monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)

    def meanwhile(*_args: object) -> int:
        monkeypatch.undo()
        withdraw(spare.open(FIRST), version, "a label leaked")
        return 0

    monkeypatch.setattr("fielded.services.release.promote.verified", meanwhile)
    with pytest.raises(Lost, match=rf"lost to release_withdrawn by {FIRST}"):
        _promoted(spare, version)
    assert aliases(spare) == {"production": "2", "previous": "1"}


def test_an_observation_meanwhile_is_no_reason_to_lose(spare: Spare, monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)

    def meanwhile(*_args: object) -> int:
        monkeypatch.undo()
        workplace = spare.open("os:server")
        told = {"alias": "production", "got": "1", "expected": "2"}
        append(workplace, state_of(workplace), acts.ALIAS_MOVED, told)
        return 0

    monkeypatch.setattr("fielded.services.release.promote.verified", meanwhile)
    assert _promoted(spare, version).now.version == version


def test_an_interrupted_promotion_is_in_the_way_of_the_next_and_says_how_to_end_it(spare: Spare) -> None:
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)
    with crash(Registry, "point"):
        _promoted(spare, version)
    assert Crash.__doc__
    for verb in (lambda: _promoted(spare, version), lambda: rollback(*spare.scorers(), "why")):
        with pytest.raises(Refused, match=r"open promotion_started to version .*fielded release reconcile"):
            verb()


def test_what_a_promotion_could_not_do_is_said_and_it_stands(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)
    spare.store.client.delete_model_version(spare.model, "2")

    def not_now(_workplace: object) -> None:
        raise Unreachable("keys: out of reach")

    monkeypatch.setattr("fielded.services.release.rollback.seal", not_now)
    done = _promoted(spare, version)
    deleted, sealed = done.not_done
    assert "the registry has a version no more" in deleted
    assert sealed == "The ledger was not sealed: keys: out of reach"
    assert state_of(spare.open()).production.version == version


def test_who_lost_the_role_since_has_not_approved(spare: Spare) -> None:
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)
    spare.site = replace(spare.site, roles=dict.fromkeys((AUTHOR, FIRST, "os:tester"), ("release",)))
    _refused(spare, version, rf"approvals/people: got {FIRST}, {SECOND} \(may release no more\)")
    assert approve(spare.open("os:tester"), version).release == 2, "those that count"
    assert _promoted(spare, version).now.version == version
