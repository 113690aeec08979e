"""What was not written by fielded, or was put back or renamed, is refused with the next step and moves nothing."""

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from conftest import DAY, DEFINITION, Spare
from fielded.decisions.release import acts
from fielded.definition import Site
from fielded.services.prepare_scorer import Production, resolve
from fielded.services.release.adopt import adopt
from fielded.services.release.promote import promote
from fielded.services.release.record import state_of
from fielded.services.release.rollback import rollback
from fielded.services.release.status import status
from fielded.services.score_day import score_day
from fielded.words.errors import Refused, Unreachable
from fielded.world.ledger import EVENTS, Event, release_application
from live import ask, request, serving
from releases import another_version, ready


def _events(spare: Spare) -> Path:
    return Path(spare.site.root, "ledger", "overrun", "events")


def _forged(spare: Spare, **changes: Any) -> None:
    """A row written into the events by hand, past fielded."""
    at = datetime(2026, 3, 2, 3, tzinfo=UTC)
    row = {
        "sequence": 99, "event_id": "forged", "kind": acts.ROLLED_BACK, "about": f"model {spare.model}",
        "actor": "os:nobody", "occurred_at": at, "details": json.dumps({"turn": 2}), "occurred_date": at.date(),
        **changes,
    }  # fmt: skip
    write_deltalake(str(_events(spare)), pa.Table.from_pylist([row], schema=EVENTS), mode="append")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kind": acts.ALIAS_MOVED},
        {"kind": "made_up"},
        {"details": json.dumps({"turn": 1})},
        {"details": json.dumps({"turn": "second"})},
        {"details": json.dumps({"turn": None})},
        {"details": json.dumps({"turn": 2, "from": [], "to": 3})},
        {"details": "no JSON"},
        {"details": None},
        {"occurred_at": None},
        {"sequence": None},
        {
            "kind": acts.APPROVED,
            "details": json.dumps({"turn": 2, "version": "1", "sha256": "a" * 64, "roles": 5}),
        },
    ],
    ids=lambda changes: " ".join(f"{name}={value}" for name, value in changes.items()) or "uncounted",
)
def test_a_forged_event_is_refused_wherever_it_is_read_and_is_nobodys_fault(
    spare: Spare, changes: dict[str, Any]
) -> None:
    adopt(spare.open())
    _forged(spare, **changes)
    for verb in (
        lambda: state_of(spare.open()),
        lambda: status(spare.open()),
        lambda: resolve(spare.open()),
        lambda: rollback(*spare.scorers(), "why"),
    ):
        with pytest.raises(Refused, match=r"fielded audit verify|rule \d+ of release state"):
            verb()


def test_a_process_that_serves_goes_on_as_it_was_when_an_event_is_forged(spare: Spare) -> None:
    adopt(spare.open())
    with serving(spare) as (live, told):
        _forged(spare)
        with pytest.raises(Refused, match=r"fielded audit verify|release state"):
            live.follow_once()
        ask(live.scoring, told, [request("a")])
        assert told.of("a").model_version == "2"


def test_events_that_break_a_rule_are_read_once_and_not_at_each_look(
    spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(spare.open())
    workplace = spare.open()
    production = Production(workplace)
    assert production.model().version == "2"
    _forged(spare)
    read, calls = type(workplace.ledger).release_events, []
    monkeypatch.setattr(type(workplace.ledger), "release_events", lambda *a: calls.append(a) or read(*a))
    for _ in range(5):
        with pytest.raises(Refused):
            production.model()
    assert len(calls) == 1


def test_an_approval_forged_with_its_turn_does_not_count_where_its_maker_may_not_release(spare: Spare) -> None:
    """Whoever writes with fielded's own code can count the turn: the site is asked for roles, not the event."""
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)
    spare.site = _with_roles(spare, "os:author", "os:first", "os:tester")
    workplace = spare.open("os:outsider")
    state = state_of(workplace)
    told = {
        **state.candidates[version].pinned.as_dict(),
        "definition_sha256": workplace.deployment.sha256,
        "roles": ["release"],
        "turn": state.count + 1,
    }
    event = Event(
        kind=acts.APPROVED, about=f"model {spare.model}", actor="os:outsider", occurred_at=workplace.clock(),
        details=told,
    )  # fmt: skip
    assert workplace.ledger.append_if(event, os.urandom, release_application(event.about), state.count)
    with pytest.raises(
        Refused, match=r"os:first, os:second \(may release no more\), os:outsider \(may release no"
    ):
        promote(*spare.scorers(), version)
    (item,) = status(spare.open()).candidates
    assert not item.ready


def _with_roles(spare: Spare, *people: str) -> Site:
    return replace(spare.site, roles=dict.fromkeys(people, ("release",)))


def test_whoever_serves_does_not_follow_a_ledger_that_was_put_back(spare: Spare, tmp_path: Path) -> None:
    """Or a restored backup would bring back, without a word, what was rolled back since."""
    adopt(spare.open())
    backup = tmp_path / "backup"
    shutil.copytree(_events(spare), backup)
    with serving(spare) as (live, told):
        rollback(*spare.scorers(), "it is biased")
        assert live.follow_once().version == "1"
        shutil.rmtree(_events(spare))
        shutil.copytree(backup, _events(spare))
        with pytest.raises(Refused, match=r"got 1, expected all 3 .* after rolled_back by os:tester"):
            live.follow_once()
        ask(live.scoring, told, [request("a")])
        assert told.of("a").model_version == "1"
    with pytest.raises(Refused, match="not what was sealed before"):  # and a batch run finds it out by the seals
        score_day(*spare.scorers(), DAY)


def test_an_event_file_that_is_gone_is_told_and_no_fault(spare: Spare) -> None:
    adopt(spare.open())
    for path in _events(spare).rglob("*.parquet"):
        if "_delta_log" not in path.parts:
            path.unlink()
    for verb in (lambda: status(spare.open()), lambda: rollback(*spare.scorers(), "why")):
        with pytest.raises(Unreachable, match=r"events: cannot be read .*fielded audit verify"):
            verb()


def test_renaming_the_model_in_the_definition_does_not_step_around_the_gates(spare: Spare) -> None:
    adopt(spare.open())
    client, renamed = spare.store.client, f"{spare.model}_renamed"
    client.create_registered_model(renamed)
    client.create_model_version(renamed, spare.files["1"].as_uri())
    client.set_registered_model_alias(renamed, "production", "1")
    old, spare.model = spare.model, renamed
    spare.define(DEFINITION)
    with pytest.raises(Refused, match=rf"model\.name: got model {renamed}, .*expected model {old}.*release adopt"):
        resolve(spare.open())
    assert f"expected model {old}" in status(spare.open()).problems[0]
