"""What ends a trial: people, other acts, limits, missing metrics, a process that died."""

import shutil
from dataclasses import replace

import pyarrow as pa
import pytest

from conftest import Spare
from fielded.decisions.release import acts
from fielded.services.approve import approve as approve_files
from fielded.services.release.candidates import withdraw
from fielded.services.release.promote import promote
from fielded.services.release.record import append, state_of
from fielded.services.release.rollback import rollback
from fielded.services.release.trial import end_trial
from fielded.words.errors import Refused, Unreachable
from live import serving
from releases import AUTHOR, FIRST, compared, ready
from trials import OPERATOR, Ticks, acting, ask_many, begin, candidate_of, third_version, versions


@pytest.fixture
def candidate(spare: Spare) -> str:
    return candidate_of(spare)


def test_a_trial_whose_candidate_ended_a_process_is_ended_by_the_next_one(spare: Spare, candidate: str) -> None:
    salt = begin(spare, candidate, "shadow")
    marks = spare.site.cache / "trials" / "overrun"
    with serving(spare) as (live, told):
        live.follow_once()
        assert live.scoring.candidate is not None
        (mark,) = marks.glob("*.tried")
        kept = mark.with_name(mark.name.replace(".tried", ".kept"))
        shutil.copy(mark, kept)
    assert not list(marks.glob("*.tried")), "a process that ends in order leaves none"
    kept.rename(mark)  # as a killed one leaves it
    ticks = Ticks()
    with serving(spare, ticks=ticks) as (live, told):
        live.follow_once()
        assert live.scoring.candidate is None, "not loaded once more"
        assert set(versions(live, told, "a")) == {"2"}
        ticks.now = 3.0
        assert (live.judge_once() or "").startswith("died: got 1 processes on ")
    assert state_of(spare.open()).trial is None
    assert begin(spare, candidate, "shadow") != salt
    with serving(spare) as (live, told):
        live.follow_once()
        assert live.scoring.candidate is not None, "another trial is another try"
        assert len(list(marks.glob("*.tried"))) == 1


def test_an_end_that_could_not_be_put_on_record_is_tried_again(
    spare: Spare, candidate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(spare, candidate, "canary", 0.5, silent_seconds=30.0)
    ticks = Ticks()
    with serving(spare, ticks=ticks) as (live, told):
        live.follow_once()
        ticks.now = 61.0
        live.report_once()
        with monkeypatch.context() as patch:
            patch.setattr("fielded.services.serve.end_by_itself", _down)
            for _ in range(2):
                with pytest.raises(Unreachable, match="no ledger today"):
                    live.judge_once()
            assert set(versions(live, told, "a")) == {"2"}, "ended here all the same"
            assert state_of(spare.open()).trial is not None
        assert "no row in any worker" in (live.judge_once() or "")
        assert live.judge_once() is None
    assert len(spare.open().ledger.events_of("trial_ended", f"model {spare.model}")) == 1


def _down(*_: object) -> bool:
    raise Unreachable("no ledger today")


def test_a_canary_that_must_end_while_a_promotion_is_open_is_put_on_record_after_it(
    spare: Spare, candidate: str
) -> None:
    begin(spare, candidate, "canary", 0.5, silent_seconds=30.0)
    state = state_of(spare.open())
    pinned = {"from": state.production.as_dict(), "to": state.candidates[candidate].pinned.as_dict()}
    state = append(spare.open(OPERATOR), state, acts.PROMOTION_STARTED, {**pinned, "reason": ""})
    ticks = Ticks()
    with serving(spare, ticks=ticks) as (live, told):
        live.follow_once()
        ticks.now = 61.0
        live.report_once()
        with pytest.raises(Refused, match="rule 2"):
            live.judge_once()
        assert set(versions(live, told, "a")) == {"2"}
        append(spare.open(OPERATOR), state, acts.PROMOTION_UNDONE, {**pinned, "reason": "a test"})
        assert live.judge_once() is not None
    assert state_of(spare.open()).trial is None


def test_a_promotion_and_a_rollback_end_the_trial_before_they_are_told_to_be_followed(
    spare: Spare, candidate: str
) -> None:
    other = third_version(spare)
    approve_files(spare.open(FIRST), other)
    ready(spare, other)
    begin(spare, other, "canary", 1.0)
    with serving(spare) as (live, told):
        live.follow_once()
        assert set(versions(live, told, "a")) == {other}
        heard: list[tuple[str, bool]] = []
        report = live.report_once

        def note() -> None:
            heard.append((live.scoring.scorer.model_version, live.scoring.candidate is None))
            report()

        live.report_once = note
        promote(*acting(spare), candidate)
        live.follow_if_due()
        assert set(versions(live, told, "b")) == {candidate}
        compared(spare.open(AUTHOR), other)
        begin(spare, other, "canary", 1.0)
        live.follow_if_due()
        assert set(versions(live, told, "c")) == {other}
        rollback(*acting(spare), "a test")
        live.follow_if_due()
        assert set(versions(live, told, "d")) == {"2"}
        assert heard == [(candidate, True), ("2", True)]


def test_a_candidate_ends_with_its_trial_also_where_production_cannot_be_followed(
    spare: Spare, candidate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = third_version(spare)
    approve_files(spare.open(FIRST), other)
    ready(spare, other)
    begin(spare, other, "canary", 1.0)
    with serving(spare) as (live, told):
        live.follow_once()
        promote(*acting(spare), candidate)

        def refuse(*_: object) -> object:
            raise Refused("does not load here")

        monkeypatch.setattr(live._following._scorers, "get", refuse)
        with pytest.raises(Refused, match="does not load here"):
            live.follow_if_due()
        assert set(versions(live, told, "a")) == {"2"}, "production as it was, and no candidate"


def test_other_bytes_of_a_candidate_are_not_tried(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "canary", 1.0)
    files = spare.files["1"] / "registered_note"
    files.write_text("other bytes")
    shutil.rmtree(spare.site.cache / "models")
    with serving(spare) as (live, told):
        live.follow_once()
        assert live.scoring.candidate is None
        assert set(versions(live, told, "a")) == {"2"}
        assert live._following.counts().running is False, "so a canary ends"


def test_a_trial_ends_everywhere_when_it_is_ended(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "canary", 1.0)
    with serving(spare) as (live, told):
        live.follow_once()
        assert ask_many(live, told, 1, "a")["a0-0"].model_version == candidate
        assert live.follow_if_due() is None
        end_trial(spare.open(OPERATOR), "seen enough")
        live.follow_if_due()
        assert ask_many(live, told, 1, "b")["b0-0"].model_version == "2"
        with pytest.raises(Refused, match="none that runs"):
            end_trial(spare.open(OPERATOR), "again")
    events = spare.open().ledger.events_of({"trial_started", "trial_ended"}, f"model {spare.model}")
    assert [(event["kind"], event["actor"]) for event in events] == [
        ("trial_started", OPERATOR), ("trial_ended", OPERATOR),
    ]  # fmt: skip


def test_a_canary_that_breaks_a_limit_ends_by_itself_in_every_worker(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "canary", 0.5, flag_rate=0.05, minimum_rows=60)
    ticks = Ticks()
    with serving(spare, ticks=ticks) as (live, told), serving(spare, ticks=ticks) as (other, told_other):
        for one in (live, other):
            one.follow_once()
            held = one.scoring.candidate
            held.scorer = replace(
                held.scorer, predict=lambda features: pa.array([0.99] * features.num_rows).to_numpy()
            )
        assert live.judge_once() is None, "asked too soon"
        for one, heard in ((live, told), (other, told_other)):
            ask_many(one, heard, 100)
            one.report_once()
        ticks.now = 3.0
        reason = live.judge_once()
        assert reason is not None
        assert reason.startswith("flag_rate: got ")
        assert set(versions(live, told, "after")) == {"2"}, "here at once"
        assert other.follow_if_due() is None
        assert set(versions(other, told_other, "after")) == {"2"}
        assert live.judge_once() is None
        live.follow_once()
        assert live.scoring.candidate is None
    (ended,) = spare.open().ledger.events_of("trial_ended", f"model {spare.model}")
    assert (ended["details"]["reason"], ended["details"]["by_itself"], ended["actor"]) == (
        reason,
        True,
        "os:server",
    )
    assert state_of(spare.open()).trial is None


def test_a_canary_without_metrics_ends_by_itself(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "canary", 0.5, silent_seconds=30.0)
    ticks = Ticks()
    with serving(spare, ticks=ticks) as (live, told):
        live.follow_once()
        ask_many(live, told, 20)
        ticks.now = 29.0
        live.report_once()
        assert live.judge_once() is None
        ticks.now = 61.0
        live.report_once()
        assert "no row in any worker" in (live.judge_once() or "")
    assert state_of(spare.open()).trial is None


def test_a_canary_ends_where_a_worker_cannot_load_the_candidate(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "canary", 0.5, silent_seconds=30.0)
    ticks = Ticks()
    with serving(spare, ticks=ticks) as (live, told):

        def refuse(*_: object) -> object:
            raise Refused("no model today")

        live._following._scorers.get = refuse
        live.follow_once()
        assert live.scoring.candidate is None
        assert set(versions(live, told, "meanwhile")) == {"2"}
        ticks.now = 31.0
        live._following.since = live._following.since.replace(year=2025)
        live.report_once()
        assert "has not loaded" in (live.judge_once() or "")


def test_a_candidate_whose_approval_is_withdrawn_answers_no_more(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "canary", 1.0)
    with serving(spare) as (live, told):
        live.follow_once()
        assert set(versions(live, told, "a")) == {candidate}
        sha256 = state_of(spare.open()).candidates[candidate].pinned.sha256
        details = {"artifact_sha256": sha256, "reason": "a test"}
        spare.open().record("approval_withdrawn", f"model {spare.model} version {candidate}", details)
        live.follow_if_due()
        assert set(versions(live, told, "b")) == {"2"}


def test_a_withdrawn_proposal_ends_its_trial(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "canary", 1.0)
    with serving(spare) as (live, told):
        live.follow_once()
        withdraw(spare.open(AUTHOR), candidate, "a mistake")
        live.follow_if_due()
        assert set(versions(live, told, "b")) == {"2"}
