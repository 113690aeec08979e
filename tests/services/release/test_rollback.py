"""Rollback puts the previous version into production, and nothing but who asks and what it finds is in its way."""

import shutil
from dataclasses import replace

import pytest

from books import PREDICTIONS, assert_shown, clean, events, gold, read
from conftest import DAY, DEFINITION, Spare
from fielded.decisions.release import acts
from fielded.services.approve import WITHDRAWN
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.release.candidates import approve, propose
from fielded.services.release.promote import promote
from fielded.services.release.reconcile import reconcile
from fielded.services.release.record import Lost, state_of
from fielded.services.release.rollback import rollback
from fielded.services.score_day import score_day
from fielded.words.errors import ArtifactChanged, NotApproved, Refused, Unreachable
from fielded.world.ledger import Ledger
from fielded.world.registry import NotRegistered, Registry
from releases import AUTHOR, FIRST, aliases, another_version, problems, ready


def test_the_previous_version_scores_from_now_on_and_the_reason_is_kept(spare: Spare) -> None:
    workplace, scorers = spare.scorers()
    score_day(workplace, scorers, DAY)
    done = rollback(workplace, scorers, "too many flags")
    assert (done.model, done.left.version, done.now.version, done.not_done) == (spare.model, "2", "1", ())
    assert aliases(spare) == {"production": "1", "previous": "2"}
    (event,) = workplace.ledger.events_of("rolled_back")
    assert (event["about"], event["actor"]) == (f"model {spare.model}", "os:tester")
    told = event["details"]
    assert (told["from"]["version"], told["to"]["version"], told["reason"]) == ("2", "1", "too many flags")
    after = score_day(workplace, scorers, DAY)
    assert (after.state, after.model_version) == ("published", "1")
    assert_shown(spare, after.run_id, clean(2000))
    assert {row["model_version"] for row in read(spare, PREDICTIONS, ("model_version",))} == {"1", "2"}


def test_a_rollback_can_be_rolled_back_and_then_replays_recorded_rows(spare: Spare) -> None:
    workplace, scorers = spare.scorers()
    score_day(workplace, scorers, DAY)
    assert rollback(workplace, scorers, "there").replayed == 0  # version 1 has not scored anything yet
    score_day(workplace, scorers, DAY)
    assert rollback(workplace, scorers, "and back", leave="1").replayed == 20
    assert aliases(spare) == {"production": "2", "previous": "1"}
    summary = score_day(workplace, scorers, DAY)
    assert_shown(spare, summary.run_id, clean(2000))
    assert {row["model_version"] for row in gold(spare)} == {"2"}
    assert len(events(spare, "rolled_back")) == 2


def _refused(spare: Spare, error: type[Exception], match: str) -> None:
    before = aliases(spare)
    workplace = spare.open()
    with pytest.raises(error, match=match):
        rollback(workplace, Scorers(workplace), "why not")
    assert aliases(spare) == before
    assert events(spare, "rolled_back") == []
    assert state_of(spare.open()).open is None


def test_without_another_version_there_is_nothing_to_go_back_to(spare: Spare) -> None:
    spare.store.client.set_registered_model_alias(spare.model, "previous", "2")
    _refused(spare, Refused, "expected another version")


def test_without_a_previous_version_in_the_ledger_there_is_nothing_to_go_back_to(spare: Spare) -> None:
    spare.store.client.delete_registered_model_alias(spare.model, "previous")
    assert adopt(spare.open()).previous is None
    spare.store.client.set_registered_model_alias(spare.model, "previous", "1")  # nobody recorded that
    _refused(spare, Refused, "no previous version")


def test_a_version_that_nobody_approved_is_not_gone_back_to(spare: Spare) -> None:
    spare.store.client.create_model_version(spare.model, spare.files["1"].as_uri())
    spare.store.client.set_registered_model_alias(spare.model, "previous", "3")
    _refused(spare, NotApproved, "version 3")


def test_a_version_whose_files_changed_is_not_gone_back_to(spare: Spare) -> None:
    (spare.files["1"] / "more").write_text("changed")
    shutil.rmtree(spare.site.cache)
    _refused(spare, ArtifactChanged, "version 1")


def test_a_previous_alias_that_is_not_there_is_named(spare: Spare) -> None:
    spare.define(DEFINITION.replace("previous_alias: previous", "previous_alias: fallback"))
    _refused(spare, NotRegistered, "`fallback`")


def test_a_version_that_no_longer_scores_its_recorded_rows_is_not_gone_back_to(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace, scorers = spare.scorers()
    score_day(workplace, scorers, DAY)
    rollback(workplace, scorers, "there")
    before = aliases(spare)
    get = Scorers.get

    def another_bit(self: Scorers, *what: object) -> object:
        """What a changed library does to a model: the last bit of a score."""
        scorer = get(self, *what)
        return replace(scorer, predict=lambda batch: scorer.predict(batch) * (1 - 2**-53))

    monkeypatch.setattr(Scorers, "get", another_bit)
    with pytest.raises(Refused, match=r"replay: got \d+ of 20 recorded rows with another score.*audit replay"):
        rollback(*spare.scorers(), "and back", leave="1")
    assert aliases(spare) == before
    assert state_of(spare.open()).open is None


def test_without_a_reason_nothing_moves(spare: Spare) -> None:
    with pytest.raises(Refused, match="reason: got nothing"):
        rollback(*spare.scorers(), "  ")
    assert state_of(spare.open()).count == 0


def test_whoever_names_the_version_to_leave_does_not_bring_it_back(spare: Spare) -> None:
    rollback(*spare.scorers(), "it drifts", leave="2")
    with pytest.raises(Refused, match=r"expected version 2. What put it there was rolled_back by os:tester"):
        rollback(*spare.scorers(), "it drifts", leave="2")
    assert state_of(spare.open()).production.version == "1"


def test_a_registry_that_cannot_be_reached_does_not_keep_production_on_the_bad_version(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(spare.open())
    score_day(*spare.scorers(), DAY)
    with monkeypatch.context() as patch:
        for name in ("resolve", "version", "aliases", "point", "download"):
            patch.setattr(Registry, name, _out_of_reach)
        done = rollback(*spare.scorers(), "too many flags")
        (said,) = done.not_done
        assert "registry unreachable" in said
        assert "`fielded release reconcile`" in said
        summary = score_day(*spare.scorers(), DAY)
        assert summary.model_version == "1"
        assert state_of(spare.open()).aliases_due
        still = reconcile(spare.open())
        assert still.not_done
    assert aliases(spare) == {"production": "2", "previous": "1"}
    done = reconcile(spare.open())
    assert aliases(spare) == {"production": "1", "previous": "2"}
    assert len(done.done) == 2
    state = state_of(spare.open())
    assert not state.aliases_due
    assert [event.kind for event in state.history if event.kind in acts.OBSERVATIONS] == []


def _out_of_reach(*_args: object) -> object:
    raise Unreachable("registry: does not answer")


def test_a_version_deleted_from_the_registry_is_gone_back_to_from_the_copy_of_the_site(spare: Spare) -> None:
    adopt(spare.open())
    spare.store.client.delete_model_version(spare.model, "1")
    done = rollback(*spare.scorers(), "too many flags")
    assert "has a version no more" in done.not_done[0]
    assert score_day(*spare.scorers(), DAY).model_version == "1"
    found = reconcile(spare.open())
    assert "no version 1 any more" in found.done[0]
    assert aliases(spare) == {"production": "2", "previous": "2"}, "of what is left, what belongs there"
    assert not state_of(spare.open()).aliases_due


def test_a_rollback_after_a_promotion_goes_back_to_what_was_there(spare: Spare) -> None:
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)
    promote(*spare.scorers(), version)
    assert rollback(*spare.scorers(), "it flags everything").now.version == "2"
    state = state_of(spare.open())
    assert (state.production.version, state.previous.version) == ("2", version)
    assert aliases(spare) == {"production": "2", "previous": version}


def test_what_cannot_be_sealed_is_said_and_the_rollback_stands(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fielded.services.release.rollback.seal", _not_now)
    done = rollback(*spare.scorers(), "it drifts")
    assert done.not_done == ("The ledger was not sealed: keys: out of reach",)
    assert state_of(spare.open()).production.version == "1"


def _not_now(_workplace: object) -> None:
    raise Unreachable("keys: out of reach")


def test_an_old_ledger_that_wrote_rollbacks_without_turns_is_read(spare: Spare) -> None:
    workplace = spare.open()
    told = {"from": "1", "to": "2", "reason": "long ago"}
    for kind in (acts.ROLLBACK_STARTED, acts.ROLLED_BACK):
        workplace.record(kind, f"model {spare.model}", told)
    assert state_of(workplace).count == 0
    rollback(*spare.scorers(), "today")
    assert isinstance(workplace.ledger, Ledger)
    assert [event.turn for event in state_of(spare.open()).history] == [1, 2, 3]


def test_a_second_rollback_does_not_bring_the_bad_version_back_by_accident(spare: Spare) -> None:
    """Two people are called, and each does what the runbook says."""
    rollback(*spare.scorers(), "it drifts")
    with pytest.raises(Refused, match=r"through rolled_back by os:tester .*`--leave 1`.*bring version 2 .* back"):
        rollback(*spare.scorers(), "it drifts")
    assert state_of(spare.open()).production.version == "1"
    assert aliases(spare) == {"production": "1", "previous": "2"}
    assert rollback(*spare.scorers(), "version 1 is worse", leave="1").now.version == "2"


def test_after_a_promotion_a_rollback_needs_no_name_again(spare: Spare) -> None:
    rollback(*spare.scorers(), "it drifts")
    version = another_version(spare)
    ready(spare, version)
    promote(*spare.scorers(), version)
    assert rollback(*spare.scorers(), "this one too").now.version == "1"


def test_somebody_who_approves_in_that_moment_does_not_make_a_rollback_fail(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(spare.open())
    version = another_version(spare)
    propose(spare.open(AUTHOR), version, "better")

    def meanwhile(*_args: object) -> int:
        monkeypatch.undo()
        approve(spare.open(FIRST), version)
        return 0

    monkeypatch.setattr("fielded.services.release.rollback.verified", meanwhile)
    assert rollback(*spare.scorers(), "it drifts").now.version == "1"
    kinds = [event.kind for event in state_of(spare.open()).history]
    assert kinds[-3:] == [acts.APPROVED, acts.ROLLBACK_STARTED, acts.ROLLED_BACK]


def test_a_promotion_in_that_moment_does(spare: Spare, monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)

    def meanwhile(*_args: object) -> int:
        monkeypatch.undo()
        promote(*spare.scorers(), version)
        withdrawn = propose(spare.open(AUTHOR), "1", "another idea")
        assert withdrawn.pinned.version == "1"
        return 0

    monkeypatch.setattr("fielded.services.release.rollback.verified", meanwhile)
    with pytest.raises(Lost, match=rf"lost to promotion_started by os:tester .* of version {version}"):
        rollback(*spare.scorers(), "it drifts")
    assert state_of(spare.open()).production.version == version


def test_status_says_that_the_way_back_is_not_approved_any_more_before_it_is_needed(spare: Spare) -> None:
    state = adopt(spare.open())
    told = {"artifact_sha256": state.previous.sha256, "reason": "found out"}
    spare.open().record(WITHDRAWN, f"model {spare.model} version 1", told)
    (problem,) = problems(spare.open())
    assert "release approve 1" in problem
    assert "a rollback to it is refused" in problem
    _refused(spare, NotApproved, "version 1")
