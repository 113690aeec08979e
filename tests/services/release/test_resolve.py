"""Where the ledger has something in production, it decides; the registry is looked at, not followed."""

import logging
import threading
from collections.abc import Callable

import pytest

from conftest import DAY, Spare
from fielded.decisions.release import acts
from fielded.services.approve import WITHDRAWN
from fielded.services.prepare_scorer import Production, resolve
from fielded.services.release.adopt import adopt
from fielded.services.release.record import state_of
from fielded.services.release.rollback import rollback
from fielded.services.score_day import score_day
from fielded.words.errors import NotApproved, Unreachable
from fielded.world.ledger import Ledger
from fielded.world.registry import Registry
from live import ask, request, serving


def _point(spare: Spare, version: str) -> None:
    spare.store.client.set_registered_model_alias(spare.model, "production", version)


def _moved(spare: Spare) -> list[tuple[str, str]]:
    found = spare.open().ledger.events_of(acts.ALIAS_MOVED)
    return [(event["actor"], event["details"]["got"]) for event in found]


def test_until_something_is_adopted_the_alias_decides(spare: Spare) -> None:
    assert resolve(spare.open())[0].version == "2"
    _point(spare, "1")
    assert resolve(spare.open())[0].version == "1"
    assert _moved(spare) == []


def test_an_alias_moved_by_hand_is_put_on_record_once_and_not_followed(spare: Spare) -> None:
    adopt(spare.open())
    _point(spare, "1")
    for _ in range(3):
        assert score_day(*spare.scorers(), DAY).model_version == "2"
    assert _moved(spare) == [("os:tester", "1")]
    assert state_of(spare.open()).production.version == "2"


def test_other_bytes_that_somebody_approved_later_are_not_what_was_released(spare: Spare) -> None:
    state = adopt(spare.open())
    told = {"artifact_sha256": "f" * 64}
    spare.open().record("artifact_approved", f"model {spare.model} version 2", told)
    assert resolve(spare.open())[1] == state.production.sha256


def test_where_the_approval_of_the_bytes_in_production_is_withdrawn_nothing_is_scored(spare: Spare) -> None:
    state = adopt(spare.open())
    told = {"artifact_sha256": state.production.sha256, "reason": "found out"}
    spare.open().record(WITHDRAWN, f"model {spare.model} version 2", told)
    with pytest.raises(NotApproved, match="release approve 2"):
        resolve(spare.open())


def test_a_registry_out_of_reach_is_not_needed(spare: Spare, monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(spare.open())

    def out_of_reach(*_args: object) -> object:
        raise Unreachable("registry: does not answer")

    for name in ("resolve", "version", "aliases", "point", "download"):
        monkeypatch.setattr(Registry, name, out_of_reach)
    assert score_day(*spare.scorers(), DAY).model_version == "2"


def test_a_registry_that_hangs_is_not_waited_for(
    spare: Spare, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    adopt(spare.open())
    over = threading.Event()

    def hang(*_args: object) -> object:
        over.wait(60)
        raise Unreachable("registry: does not answer")

    monkeypatch.setattr(Registry, "aliases", hang)
    monkeypatch.setattr("fielded.services.prepare_scorer._OBSERVE_SECONDS", 0.05)
    with caplog.at_level(logging.WARNING, "fielded.live"):
        assert resolve(spare.open())[0].version == "2"
    over.set()
    assert "not compared with the ledger: got no answer for 0.05 s" in caplog.text


def counting(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> Callable[[], int]:
    """Count calls of a method, which are made as ever."""
    calls: list[str] = []
    method = getattr(owner, name)

    def counted(*arguments: object, **options: object) -> object:
        calls.append(name)
        return method(*arguments, **options)

    monkeypatch.setattr(owner, name, counted)
    return lambda: len(calls)


def test_asking_again_reads_nothing_until_there_is_a_new_event(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(spare.open())
    workplace = spare.open()
    production = Production(workplace)
    first = production.model()
    sha256 = production.approved(first)
    reads = [counting(monkeypatch, Ledger, name) for name in ("release_events", "events_of")]
    asked = counting(monkeypatch, Registry, "resolve")
    for _ in range(50):
        assert (production.model(), production.approved(first)) == (first, sha256)
    assert [read() for read in reads] == [0, 0]
    assert asked() == 0
    rollback(*spare.scorers(), "too many flags")
    before = reads[0]()
    assert production.model().version == "1"
    assert reads[0]() == before + 1


def test_a_process_that_serves_notices_changed_files_and_a_deleted_version(spare: Spare) -> None:
    adopt(spare.open())
    with serving(spare) as (live, told):
        assert live.inspect_once() == []
        (spare.files["2"] / "notes.txt").write_text("nobody approved this")
        spare.store.client.delete_model_version(spare.model, "1")
        assert ["Somebody deleted it" in one for one in live.inspect_once()] == [False, True]
        live.inspect_once()
        ask(live.scoring, told, [request("a")])
        assert told.of("a").model_version == "2"
    kinds = [
        event["kind"] for event in spare.open().ledger.events_of({acts.ARTIFACT_CHANGED, acts.VERSION_MISSING})
    ]
    assert kinds == [acts.ARTIFACT_CHANGED, acts.VERSION_MISSING], "each once"


def test_a_process_that_serves_follows_the_ledger_and_not_the_alias(spare: Spare) -> None:
    adopt(spare.open())
    with serving(spare) as (live, told):
        _point(spare, "1")
        assert live.follow_once() is None
        ask(live.scoring, told, [request("a")])
        assert told.of("a").model_version == "2"
        assert _moved(spare) == [("os:server", "1")]
        rollback(*spare.scorers(), "too many flags")
        assert live.follow_once().version == "1"
        ask(live.scoring, told, [request("b")])
        assert told.of("b").model_version == "1"
