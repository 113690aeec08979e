"""What a crash leaves is one of a few states, and reconcile ends each of them."""

import pytest

from books import crash
from conftest import DAY, Spare
from fielded.decisions.release import acts
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.release.promote import promote
from fielded.services.release.reconcile import reconcile
from fielded.services.release.record import Lost, state_of
from fielded.services.release.rollback import rollback
from fielded.services.release.status import history, status
from fielded.services.score_day import score_day
from fielded.words.errors import Refused, Unreachable
from fielded.world.ledger import Ledger
from fielded.world.registry import Registry
from releases import aliases, another_version, compared, problems, ready


def _candidate(spare: Spare) -> str:
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)
    return version


def _promote(spare: Spare, version: str) -> None:
    workplace = spare.open("os:promoter")
    promote(workplace, Scorers(workplace), version)


def _kind(kind: str):  # noqa: ANN202
    return lambda _ledger, event, *_: event.kind == kind


def _settled(spare: Spare, production: str, previous: str) -> None:
    state = state_of(spare.open())
    assert (state.production.version, state.previous.version) == (production, previous)
    assert (state.open, state.aliases_due) == (None, False)
    assert aliases(spare) == {"production": production, "previous": previous}
    assert problems(spare.open()) == []
    assert reconcile(spare.open()).done == ()
    assert score_day(*spare.scorers(), DAY).model_version == production


def test_a_promotion_that_died_before_any_alias_moved_is_undone(spare: Spare) -> None:
    version = _candidate(spare)
    with crash(Registry, "point"):
        _promote(spare, version)
    assert "open" in status(spare.open()).problems[0]
    assert score_day(*spare.scorers(), DAY).model_version == "2"
    assert "undid the promotion" in reconcile(spare.open()).done[0]
    _settled(spare, "2", "1")
    _promote(spare, version)
    _settled(spare, version, "2")


def test_a_promotion_that_died_between_the_aliases_is_undone(spare: Spare) -> None:
    version = _candidate(spare)
    with crash(Registry, "point", after=True):
        _promote(spare, version)
    assert aliases(spare) == {"production": "2", "previous": "2"}
    assert "undid the promotion" in reconcile(spare.open()).done[0]
    _settled(spare, "2", "1")


def test_a_promotion_that_died_after_the_aliases_is_finished(spare: Spare) -> None:
    version = _candidate(spare)
    with crash(Ledger, "append_if", matches=_kind(acts.PROMOTED)):
        _promote(spare, version)
    assert aliases(spare) == {"production": version, "previous": "2"}
    assert score_day(*spare.scorers(), DAY).model_version == "2", "the ledger decides"
    assert "finished the promotion" in reconcile(spare.open()).done[0]
    _settled(spare, version, "2")


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_a_rollback_that_died_anywhere_is_finished(spare: Spare, calls: int, after: bool) -> None:
    adopt(spare.open())
    with crash(Registry, "point", calls=calls, after=after):
        rollback(*spare.scorers(), "too many flags")
    assert score_day(*spare.scorers(), DAY).model_version == "2"
    assert "finished the rollback" in reconcile(spare.open()).done[0]
    _settled(spare, "1", "2")


def test_a_rollback_over_a_rollback_that_died_completes_it(spare: Spare) -> None:
    adopt(spare.open())
    with crash(Ledger, "append_if", matches=_kind(acts.ROLLED_BACK)):
        rollback(*spare.scorers(), "too many flags")
    assert rollback(*spare.scorers(), "once more").now.version == "1"
    (done,) = spare.open().ledger.events_of(acts.ROLLED_BACK)
    assert done["details"]["reason"] == "too many flags"
    _settled(spare, "1", "2")


def test_a_promotion_that_died_is_undone_without_the_registry_and_a_rollback_is_possible(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = _candidate(spare)
    with crash(Ledger, "append_if", matches=_kind(acts.PROMOTED)):
        _promote(spare, version)

    def out_of_reach(*_args: object) -> object:
        raise Unreachable("registry: does not answer")

    with monkeypatch.context() as patch:
        for name in ("resolve", "version", "aliases", "point", "download"):
            patch.setattr(Registry, name, out_of_reach)
        found = reconcile(spare.open())
        assert "undid" in found.done[0]
        assert found.not_done
        assert rollback(*spare.scorers(), "too many flags").now.version == "1"
    assert aliases(spare) == {"production": version, "previous": "2"}
    assert reconcile(spare.open()).done
    _settled(spare, "1", "2")


def test_a_registry_that_is_down_is_asked_once_and_not_for_each_thing(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question to one that hangs takes many seconds, and a rollback waits for this."""
    version = _candidate(spare)
    with crash(Ledger, "append_if", matches=_kind(acts.PROMOTED)):
        _promote(spare, version)
    asked = []

    def out_of_reach(*_args: object) -> object:
        asked.append(1)
        raise Unreachable("registry: does not answer")

    for name in ("resolve", "version", "aliases", "point", "download"):
        monkeypatch.setattr(Registry, name, out_of_reach)
    found = reconcile(spare.open())
    assert "undid" in found.done[0]
    assert "registry unreachable" in found.not_done
    assert len(asked) == 1


def test_a_promotion_while_aliases_are_put_back_leaves_them_right(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = _candidate(spare)
    spare.store.client.set_registered_model_alias(spare.model, "production", "1")
    point = Registry.point

    def slow(self: Registry, name: str, alias: str, to: str) -> None:
        monkeypatch.undo()
        _promote(spare, version)
        point(self, name, alias, to)

    monkeypatch.setattr(Registry, "point", slow)
    with pytest.raises(Lost, match=r"aliases_set: lost to promotion_started by os:promoter"):
        reconcile(spare.open())
    _settled(spare, version, "2")


def test_a_registry_that_fails_while_files_are_fetched_accuses_nobody(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(spare.open())

    def fails(*_args: object) -> object:
        raise Unreachable("registry: does not answer")

    monkeypatch.setattr(Registry, "download", fails)
    assert any("was not compared with the ledger" in told for told in status(spare.open()).problems)
    assert [event.kind for event in history(spare.open())] == [acts.ADOPTED]


def test_whoever_was_taken_for_dead_is_told_and_leaves_the_aliases_right(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = _candidate(spare)
    point = Registry.point

    def slow(self: Registry, name: str, alias: str, to: str) -> None:
        """Somebody reconciles while the first alias is on its way."""
        monkeypatch.undo()
        assert "undid" in reconcile(spare.open("os:impatient")).done[0]
        point(self, name, alias, to)

    monkeypatch.setattr(Registry, "point", slow)
    with pytest.raises(Lost, match="lost to promotion_undone by os:impatient"):
        _promote(spare, version)
    _settled(spare, "2", "1")


def test_an_alias_moved_by_hand_is_on_record_once_and_put_back(spare: Spare) -> None:
    adopt(spare.open())
    spare.store.client.set_registered_model_alias(spare.model, "production", "1")
    (told,) = problems(spare.open())
    assert "Alias `production`: got version 1, expected version 2" in told
    assert problems(spare.open()) == [told]
    (event,) = [event for event in history(spare.open()) if event.kind == acts.ALIAS_MOVED]
    assert (event.details["got"], event.details["expected"]) == ("1", "2")
    assert reconcile(spare.open()).done == ("set `production` from version 1 to version 2",)
    _settled(spare, "2", "1")


def test_an_alias_moved_again_is_on_record_again(spare: Spare) -> None:
    adopt(spare.open())
    for _ in range(2):
        spare.store.client.delete_registered_model_alias(spare.model, "previous")
        assert "set `previous` from nothing to version 1" in reconcile(spare.open()).done
    moved = [event for event in history(spare.open()) if event.kind == acts.ALIAS_MOVED]
    assert [event.details["got"] for event in moved] == [None, None]


def test_a_deleted_version_is_noticed(spare: Spare) -> None:
    adopt(spare.open())
    spare.store.client.delete_model_version(spare.model, "2")
    assert any("Somebody deleted it" in told for told in status(spare.open()).problems)
    assert [event.kind for event in history(spare.open())] == [acts.ADOPTED, acts.VERSION_MISSING]
    assert score_day(*spare.scorers(), DAY).model_version == "2", "from the site's copy"


def test_changed_files_are_noticed_and_not_loaded(spare: Spare) -> None:
    adopt(spare.open())
    (spare.files["2"] / "notes.txt").write_text("nobody approved this")
    (told,) = problems(spare.open())
    assert "got files with digest" in told
    (event,) = [event for event in history(spare.open()) if event.kind == acts.ARTIFACT_CHANGED]
    assert event.details["expected"] == state_of(spare.open()).production.sha256
    assert score_day(*spare.scorers(), DAY).model_version == "2"


def test_before_anything_is_adopted_status_says_who_decides(spare: Spare) -> None:
    (told,) = status(spare.open()).problems
    assert "fielded release adopt" in told
    assert reconcile(spare.open()).done == ()


def test_status_lists_what_each_candidate_lacks(spare: Spare) -> None:
    version = _candidate(spare)
    (item,) = status(spare.open()).candidates
    assert item.ready
    compared(spare.open(), version, [])
    (item,) = status(spare.open()).candidates
    assert not item.ready
    assert [finding.name for finding in item.findings if not finding.holds] == ["comparison/verdict"]


def test_events_that_break_a_rule_are_named(spare: Spare) -> None:
    adopt(spare.open())
    workplace = spare.open()
    workplace.record(acts.PROMOTED, f"model {spare.model}", {"turn": 2, "from": None, "to": {}})
    with pytest.raises(Refused, match=r"rule [12] of release state"):
        state_of(spare.open())
