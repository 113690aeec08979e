"""Rollback exchanges the two aliases, after the previous version was seen to load."""

import json
import shutil

import pytest

from books import PREDICTIONS, assert_shown, clean, events, gold, read
from conftest import DAY, DEFINITION, Spare
from fielded.services.prepare_scorer import Scorers
from fielded.services.rollback import Rollback, rollback
from fielded.services.score_day import score_day
from fielded.words.errors import ArtifactChanged, NotApproved, Refused
from fielded.world.registry import NotRegistered


def _aliases(spare: Spare) -> dict[str, str]:
    return spare.open().registry.aliases(spare.model)


def test_the_previous_version_scores_from_now_on_and_the_reason_is_kept(spare: Spare) -> None:
    workplace, scorers = spare.scorers()
    score_day(workplace, scorers, DAY)
    assert rollback(workplace, scorers, "too many flags") == Rollback(spare.model, "2", "1")
    assert _aliases(spare) == {"production": "1", "previous": "2"}
    (event,) = events(spare, "rolled_back")
    assert (event["about"], event["actor"]) == (f"model {spare.model}", "os:tester")
    assert json.loads(event["details"]) == {"from": "2", "to": "1", "reason": "too many flags"}
    after = score_day(workplace, scorers, DAY)
    assert (after.state, after.model_version) == ("published", "1")
    assert_shown(spare, after.run_id, clean(2000))
    assert {row["model_version"] for row in read(spare, PREDICTIONS, ("model_version",))} == {"1", "2"}


def test_a_rollback_can_be_rolled_back(spare: Spare) -> None:
    workplace, scorers = spare.scorers()
    score_day(workplace, scorers, DAY)
    rollback(workplace, scorers, "there")
    score_day(workplace, scorers, DAY)
    rollback(workplace, scorers, "and back")
    assert _aliases(spare) == {"production": "2", "previous": "1"}
    summary = score_day(workplace, scorers, DAY)
    assert_shown(spare, summary.run_id, clean(2000))
    assert {row["model_version"] for row in gold(spare)} == {"2"}
    assert len(events(spare, "rolled_back")) == 2


def _refused(spare: Spare, error: type[Exception], match: str) -> None:
    before = _aliases(spare)
    workplace = spare.open()
    with pytest.raises(error, match=match):
        rollback(workplace, Scorers(workplace), "why not")
    assert _aliases(spare) == before
    assert events(spare, "rolled_back") == []


def test_without_another_version_there_is_nothing_to_go_back_to(spare: Spare) -> None:
    spare.store.client.set_registered_model_alias(spare.model, "previous", "2")
    _refused(spare, Refused, "expected another version")


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
