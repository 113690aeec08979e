"""A drill rehearses a rollback at a copy of the site: it measures, judges and leaves evidence."""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from books import PREDICTIONS, read
from conftest import DAY, DEFINITION, Spare
from fielded.decisions.release import acts
from fielded.definition.site import load_site
from fielded.services.approve import WITHDRAWN
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.release.drill import Plan, drill
from fielded.services.release.record import append, state_of
from fielded.services.release.rollback import rollback
from fielded.services.release.status import status
from fielded.services.score_day import score_day
from fielded.services.verify import verify
from fielded.words.digests import folder_listing
from fielded.words.errors import FieldedError, Refused
from fielded.world import rehearsal
from fielded.world.journal import open_journals
from fielded.world.workplace import Workplace
from releases import aliases

COMMAND = (sys.executable, "-c", "from fielded.doors.cli import main; main()")
PLAN = Plan(command=COMMAND, workers=2, connections=4, ticks=time.monotonic, sleep=time.sleep)
NO_SERVER = replace(PLAN, command=(sys.executable, "-c", "raise SystemExit(5)"))


def now(spare: Spare, user: str = "os:tester") -> Workplace:
    """At today's time, as the commands that a drill starts have it."""
    return replace(spare.open(user), clock=lambda: datetime.now(UTC))


@pytest.fixture
def scored(spare: Spare) -> Spare:
    """Version 2 in production, 1 before it, and both have scored a day."""
    workplace = now(spare)
    adopt(workplace)
    scorers = Scorers(workplace)
    score_day(workplace, scorers, DAY)
    rollback(workplace, scorers, "so that version 1 has recorded rows too")
    score_day(workplace, scorers, DAY)
    rollback(workplace, scorers, "and back", leave="1")
    assert state_of(workplace).production.version == "2"
    return spare


def everything(spare: Spare) -> Mapping[str, str]:
    """Every file of the site and its registry, with its digest."""
    return {
        f"{top.name}/{name}": digest
        for top in (Path(spare.site.root), spare.site.cache, spare.folder, spare.folder.parent / "registry")
        for name, digest in folder_listing(top).items()
    }


def findings(details: Mapping[str, Any]) -> dict[str, str]:
    return {item["name"]: item["outcome"] for item in details["findings"]}


def last(spare: Spare) -> Mapping[str, Any]:
    state = state_of(spare.open())
    assert state.history[-1].kind == acts.DRILLED
    return state.history[-1].details


def test_a_drill_passes_and_leaves_evidence_and_nothing_else(scored: Spare) -> None:
    before, stood = everything(scored), aliases(scored)
    told: list[str] = []
    done = drill(now(scored), replace(PLAN, tell=told.append))
    details = last(scored)
    assert done.verdict.holds, details
    assert set(findings(details).values()) == {"passed"}
    assert len(details["findings"]) == 11
    assert details["passed"] is True
    assert (details["from"]["version"], details["to"]["version"]) == ("2", "1")
    assert (details["workers"], details["connections"], details["replayed"]) == (2, 4, 20)
    assert details["requests"] > 20
    assert details["failed"] == 0
    assert 0 < details["seconds"]["all_followed"] <= details["seconds"]["command"]
    assert any("signing key" in line for line in details["replaced"])
    json.dumps(details)  # the event is what was handed back
    assert done.as_details() == {name: value for name, value in details.items() if name != "turn"}
    after = everything(scored)
    new = {name for name in after if name not in before}
    assert {name: after.get(name) for name in before if "/_last_checkpoint" not in name} == {
        name: digest for name, digest in before.items() if "/_last_checkpoint" not in name
    }
    assert {name.split("/")[3] for name in new} <= {"events", "seals"}, new
    assert sum("/events/" in name and name.endswith(".parquet") and "_delta_log" not in name for name in new) == 1
    assert aliases(scored) == stood
    assert list(scored.site.cache.glob("fielded-drill-*")) == []
    assert not {row["channel"] for row in read(scored, PREDICTIONS, ("channel",))} - {"batch"}
    assert verify(now(scored)).findings == []
    assert status(now(scored)).problems == ()
    assert any("rolling back" in line for line in told)


def test_a_rollback_that_takes_longer_than_the_definition_allows_fails_the_drill(scored: Spare) -> None:
    scored.define(f"{DEFINITION}release: {{rollback_seconds: 0.001}}\n")
    done = drill(now(scored), replace(PLAN, workers=1, connections=2))
    assert not done.verdict.holds
    assert [finding.name for finding in done.verdict.in_the_way] == ["drill/seconds"]
    assert last(scored)["passed"] is False
    (told,) = status(now(scored)).problems
    assert "that failed" in told


def test_a_worker_that_is_killed_fails_requests_and_with_them_the_drill(scored: Spare) -> None:
    def kill(text: str) -> None:
        if text == "rolling back":
            (folder,) = scored.site.cache.glob("fielded-drill-*")
            site = load_site({}, folder, folder / "site.yaml")
            told = open_journals(site, scored.open().deployment.name, os.urandom).serving()
            assert len(told) == 2
            os.kill(told[0].pid, signal.SIGKILL)

    done = drill(now(scored), replace(PLAN, tell=kill))
    in_the_way = {finding.item: finding.got for finding in done.verdict.in_the_way}
    assert "requests" in in_the_way, in_the_way
    assert in_the_way.keys() <= {"requests", "command", "workers", "seconds", "late answers"}, "rows are all there"
    assert last(scored)["failed"] == done.measured.answers.failed > 0
    assert done.measured.books.production.version == "1", "the rollback itself worked"


def test_files_that_nobody_approved_are_no_way_back(scored: Spare) -> None:
    (kept,) = [
        folder
        for folder in (scored.site.cache / "models").iterdir()
        if folder.name == state_of(scored.open()).previous.sha256
    ]
    for place in (kept, scored.files["1"]):
        (place / "MLmodel").write_text("flavors: {}\n")
    before = everything(scored)
    done = drill(now(scored), NO_SERVER)
    assert done.verdict.in_the_way[0].name == "drill/way back"
    assert "expected" in done.measured.way_back
    assert last(scored)["passed"] is False
    assert findings(last(scored))["drill/seconds"] == "not enough evidence"
    assert {name: everything(scored)[name] for name in before if name.startswith("cache/")} == {
        name: digest for name, digest in before.items() if name.startswith("cache/")
    }, "not even the altered copy is moved"
    assert list(scored.site.cache.glob("fielded-drill-*")) == []


def test_the_sites_own_copy_lost_is_fetched_from_the_registry(scored: Spare) -> None:
    sha256 = state_of(scored.open()).previous.sha256
    kept = scored.site.cache / "models" / sha256
    kept.rename(scored.site.cache / "elsewhere")
    done = drill(now(scored), NO_SERVER)
    assert (done.measured.way_back, done.measured.replayed) == ("", 20)
    assert not kept.exists(), "the site's cache is left as it was"


def test_a_withdrawn_approval_is_no_way_back(scored: Spare) -> None:
    workplace = now(scored)
    previous = state_of(workplace).previous
    about = f"model {scored.model} version {previous.version}"
    workplace.record(WITHDRAWN, about, {"artifact_sha256": previous.sha256, "reason": "a test"})
    done = drill(workplace, NO_SERVER)
    assert "no approval" in done.measured.way_back
    assert not done.verdict.holds


def test_rows_that_get_another_score_are_no_way_back(scored: Spare, monkeypatch: pytest.MonkeyPatch) -> None:
    real = rehearsal.recorded_rows

    def off(*arguments: Any) -> list[dict[str, Any]]:
        return [{**row, "score": row["score"] / 2} for row in real(*arguments)]

    monkeypatch.setattr(rehearsal, "recorded_rows", off)
    done = drill(now(scored), NO_SERVER)
    assert "with another score" in done.measured.way_back
    assert not done.verdict.holds


def test_an_api_that_does_not_start_fails_the_drill(scored: Spare) -> None:
    done = drill(now(scored), NO_SERVER)
    assert done.measured.api == "it ended with exit code 5: nothing told"
    outcomes = findings(last(scored))
    assert (outcomes["drill/way back"], outcomes["drill/api"]) == ("passed", "failed")
    assert set(outcomes.values()) == {"passed", "failed", "not enough evidence"}


def refused(spare: Spare, match: str, user: str = "os:tester") -> None:
    before = everything(spare)
    with pytest.raises(FieldedError, match=match):
        drill(now(spare, user), NO_SERVER)
    assert everything(spare) == before
    assert list(spare.site.cache.glob("fielded-drill-*")) == []


def test_what_cannot_be_rehearsed_is_refused_and_leaves_nothing(spare: Spare) -> None:
    refused(spare, "nothing in production by the ledger")
    adopt(now(spare))
    refused(spare, "no recorded row")
    by_another = replace(spare, site=replace(spare.site, roles={"os:boss": ("release",)}))
    refused(by_another, "expected `release`")
    state = state_of(now(spare))
    details = {"from": state.production.as_dict(), "to": state.previous.as_dict(), "reason": "a crash"}
    append(now(spare), state, acts.ROLLBACK_STARTED, details)
    refused(spare, "open rollback_started")


def test_without_a_previous_version_there_is_nothing_to_rehearse_and_status_does_not_ask_for_it(
    spare: Spare,
) -> None:
    spare.store.client.delete_registered_model_alias(spare.model, "previous")
    adopt(now(spare))
    refused(spare, "no previous version")
    assert not [told for told in status(now(spare)).problems if "drill" in told]


def test_status_asks_for_a_drill_where_there_is_a_way_back(spare: Spare) -> None:
    adopt(now(spare))
    (told,) = status(now(spare)).problems
    assert told.endswith("Run `fielded release drill`")


def test_one_drill_at_a_time_and_what_a_killed_one_left_is_removed(scored: Spare) -> None:
    left_behind = scored.site.cache / "fielded-drill-left"
    left_behind.mkdir()
    (left_behind / "rows").write_text("of a drill that was killed")

    def another(text: str) -> None:
        if text.startswith("copying"):
            with pytest.raises(Refused, match="another drill"):
                drill(now(scored), NO_SERVER)

    drill(now(scored), replace(NO_SERVER, tell=another))
    assert not left_behind.exists()
