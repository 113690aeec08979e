"""A candidate on trial beside production: unseen in the shadow, and for its share of subjects as a canary."""

import threading
import time
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest

from books import PREDICTIONS, bits, read
from conftest import DAY, Spare
from fielded.decisions.release.trial import place_of
from fielded.services.approve import approve as approve_files
from fielded.services.audit import Books, find_subject, show
from fielded.services.discrepancies import find_discrepancies
from fielded.services.publish import publish
from fielded.services.release.adopt import adopt
from fielded.services.release.candidates import propose
from fielded.services.release.trial import end_trial
from fielded.services.replay import replay
from fielded.services.score_day import score_day
from fielded.services.score_live import LiveAnswer
from fielded.words.errors import NotApproved, Refused, WrongUse
from fielded.world.latest_scores import Days
from fielded.world.recent_rows import recent_features
from live import ROW, ask, request, serving
from releases import AUTHOR, FIRST, compared
from trials import OPERATOR, Held, Ticks, ask_many, begin, candidate_of, drained, failing, third_version, versions


@pytest.fixture
def candidate(spare: Spare) -> str:
    return candidate_of(spare)


def test_in_the_shadow_callers_get_production_and_the_candidates_rows_are_on_record(
    spare: Spare, candidate: str
) -> None:
    begin(spare, candidate, "shadow")
    with serving(spare) as (live, told):
        live.follow_once()
        answers = ask_many(live, told, 12)
        ask(live.scoring, told, [request("pair", [ROW, (2.0, None, 0, 1, "hull")])])
        live.scoring.finish()
        rows = drained(spare, live)
        assert {answer.model_version for answer in answers.values()} == {"2"}
        counted = live.scoring.candidate.counts()
    by_channel = Counter(row["channel"] for row in rows)
    assert by_channel == {"api": 14, "shadow": 14}
    told_ids = {one for answer in answers.values() for one in answer.request_ids} | set(
        told.of("pair").request_ids
    )
    shadow = [row for row in rows if row["channel"] == "shadow"]
    real = {(row["subject"], row["scored_at"]): row for row in rows if row["channel"] == "api"}
    assert told_ids == {row["request_id"] for row in real.values()}
    for row in shadow:
        beside = real[row["subject"], row["scored_at"]]
        assert (row["model_version"], beside["model_version"]) == (candidate, "2")
        assert row["features"] == beside["features"]
        assert row["artifact_sha256"] != beside["artifact_sha256"]
        assert (row["requested_by"], row["client_address"]) == (beside["requested_by"], beside["client_address"])
        assert replay(spare.open(), row["request_id"]).outcome == "exact"
    assert (counted.production.rows, counted.candidate.rows) == (14, 14)


def test_what_reads_scores_does_not_take_a_shadow_for_one(spare: Spare, candidate: str) -> None:
    workplace, scorers = spare.scorers()
    summary = score_day(workplace, scorers, DAY)
    subject = next(row["subject"] for row in read(spare, PREDICTIONS))
    features = next(row["features"] for row in read(spare, PREDICTIONS) if row["subject"] == subject)
    begin(spare, candidate, "shadow")
    with serving(spare) as (live, told):
        live.follow_once()
        asked = request("x", [tuple(features.values())])
        ask(live.scoring, told, [replace(asked, rows=[replace(asked.rows[0], subject=subject)])])
        live.scoring.finish()
        books = Books(workplace.tables, workplace.ledger.predictions, workplace.journals)
        for _ in ("journaled", "drained"):
            found = find_subject(books, subject)
            assert [row["channel"] for row in found].count("shadow") == 1, "it is found, and marked"
            marked = next(row for row in found if row["channel"] == "shadow")
            assert show(books, marked["request_id"])["channel"] == "shadow"
            pairs = list(find_discrepancies(books, spare.site, 0.0, Days()))
            assert pairs == [], "live and batch agree; the shadow differs from both"
            live.drain_once()
    publish(spare.open(), summary.run_id, DAY)
    shown = [row for row in read(spare, "gold.overrun_scores") if row["order_id"] == subject]
    assert [row["model_version"] for row in shown] == ["2"]
    recent = recent_features(workplace.tables.open(PREDICTIONS), workplace.deployment, 10_000)
    assert recent.column("subject").to_pylist().count(subject) == 1


def test_a_canary_answers_its_share_of_subjects_and_nobody_else(spare: Spare, candidate: str) -> None:
    salt = begin(spare, candidate, "canary", 0.3)
    expected = {f"S{number}-0": candidate if place_of(salt, f"S{number}-0") < 0.3 else "2" for number in range(60)}
    assert len(set(expected.values())) == 2
    for _ in ("one worker", "another, after a restart"):
        with serving(spare) as (live, told), serving(spare) as (second, told_second):
            live.follow_once()
            second.follow_once()
            for one, heard in ((live, told), (second, told_second)):
                answers = ask_many(one, heard, 60)
                assert {name: answer.model_version for name, answer in answers.items()} == expected
            live.drain_once()
    rows = read(spare, PREDICTIONS)
    assert {row["channel"] for row in rows} == {"api"}
    assert {row["subject"]: row["model_version"] for row in rows} == expected
    assert len(rows) == 240
    for row in rows[:20]:
        assert replay(spare.open(), row["request_id"]).outcome == "exact"


def test_rows_of_one_request_are_each_on_their_side_in_its_order(spare: Spare, candidate: str) -> None:
    salt = begin(spare, candidate, "canary", 0.5)
    with serving(spare) as (live, told):
        rows = [(float(number), None, 3, 7, "hull") for number in range(40)]
        ask(live.scoring, told, [request("before", rows)])
        live.follow_once()
        ask(live.scoring, told, [request("mixed", rows), request("plain", [ROW])])
        answer = told.of("mixed")
        sides = [place_of(salt, f"mixed-{number}") < 0.5 for number in range(40)]
        assert [model.version for model in answer.models] == [candidate if side else "2" for side in sides]
        production = told.of("before").scores
        same = [bits(one) == bits(other) for one, other in zip(answer.scores, production, strict=True)]
        assert all(same[place] for place, side in enumerate(sides) if not side)
        assert not all(same[place] for place, side in enumerate(sides) if side)
        held = {row["request_id"]: row for row in drained(spare, live)}
    for place, name in enumerate(answer.request_ids):
        row = held[name]
        assert (row["subject"], row["features"]["hours"]) == (f"mixed-{place}", float(place))
        assert bits(row["score"]) == bits(answer.scores[place])
        assert (row["model_version"], row["artifact_sha256"]) == (
            answer.models[place].version,
            answer.models[place].artifact_sha256,
        )
        assert row["journal_sequence"] == answer.first_sequence + place
        assert row["chain"] == answer.chains[place]


def test_who_names_a_version_gets_that_one(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "canary", 1.0)
    with serving(spare) as (live, told):
        live.follow_once()
        ask(live.scoring, told, [request("any"), replace(request("named"), untried=True)])
        assert (told.of("any").model_version, told.of("named").model_version) == (candidate, "2")


@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_whatever_the_candidate_does_production_answers(spare: Spare, candidate: str, mode: str) -> None:
    begin(spare, candidate, mode, 1.0)
    with serving(spare) as (live, told):
        live.follow_once()
        calls = failing(live, lambda row: row["earlier"] != 13)
        bad = (31.5, 12.0, 13, 7, "engine")
        ask(live.scoring, told, [request(n, [bad if n % 8 == 0 else ROW]) for n in range(32)])
        assert all(isinstance(told.of(n), LiveAnswer) for n in range(32))
        live.scoring.finish()
        counted = live.scoring.candidate.counts()
        rows = drained(spare, live)
    assert counted.candidate.rows + counted.candidate.refused == 32
    assert counted.candidate.refused >= 4
    assert len(calls) <= 24 * len(told.groups), "not two for each request"
    by_candidate = [row for row in rows if row["model_version"] == candidate]
    assert len(by_candidate) == counted.candidate.rows
    assert all(row["features"]["earlier"] != 13 for row in by_candidate)
    if mode == "canary":
        assert {told.of(n).model_version for n in range(0, 32, 8)} == {"2"}
    assert live.scoring.candidate is not None


def test_nobody_waits_for_a_shadow_that_hangs_and_what_it_does_not_come_to_is_counted(
    spare: Spare, candidate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fielded.services.score_trial._WAITING_ROWS", 4)
    begin(spare, candidate, "shadow")
    with serving(spare) as (live, told):
        live.follow_once()
        held = Held(live)
        tried = live.scoring.candidate
        assert set(versions(live, told, "first")) == {"2"}
        assert held.entered.wait(30)
        for number in range(6):
            assert set(versions(live, told, f"while{number}-")) == {"2"}, "with the candidate in its first call"
        assert len(told.settled) == 140
        lost = tried.outcomes()["late"]
        assert 0 < lost < 140
        held.go.set()
        live.scoring.finish()
        rows = Counter(row["channel"] for row in drained(spare, live))
        assert rows == {"api": 140, "shadow": 140 - lost}
        assert tried.outcomes() == {"scored": 140 - lost}


def test_a_slow_shadow_rests_for_the_interpreter_is_everybodys(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "shadow", milliseconds=100.0)
    ticks = Ticks()
    with serving(spare, ticks=ticks) as (live, told):
        live.follow_once()
        calls = failing(live, lambda _: True)
        ask(live.scoring, told, [request("quick")])
        ask(live.scoring, told, [request("quick too")])
        tried = live.scoring.candidate
        assert tried._aside.wait(30)
        assert len(calls) == 2
        predict = tried.scorer.predict

        def slow(features: pa.RecordBatch) -> object:
            ticks.now += 0.5
            return predict(features)

        tried.scorer = replace(tried.scorer, predict=slow)
        ask(live.scoring, told, [request("slow")])
        ask(live.scoring, told, [request("later")])
        assert not tried._aside.wait(1.0)
        assert len(calls) == 3, "it rests for 5 s"
        live.scoring.finish()
        assert Counter(row["channel"] for row in drained(spare, live)) == {"api": 4, "shadow": 4}, (
            "and not at the end"
        )


def test_a_canary_that_hangs_is_waited_for_once_and_ends(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "canary", 1.0, milliseconds=200.0)
    ticks = Ticks()
    with serving(spare, ticks=ticks) as (live, told):
        live.follow_once()
        held = Held(live)
        tried = live.scoring.candidate
        begun = time.monotonic()
        for number in range(20):
            ask(live.scoring, told, [request(number)])
            assert told.of(number).model_version == "2"
        assert time.monotonic() - begun < 20 * 0.2, "each, and it would be more"
        counted = tried.counts().candidate
        assert (counted.calls, counted.late, counted.rows) == (20, 20, 0)
        assert tried.outcomes() == {"late": 20}
        live.report_once()
        ticks.now = 3.0
        assert (live.judge_once() or "").startswith(
            "late: got no answer of the candidate within 200 ms for 20 of 20"
        )
        held.go.set()
        live.scoring.finish()
        rows = drained(spare, live)
    assert {row["model_version"] for row in rows} == {"2"}
    assert len(rows) == 20, "what it answers too late is nowhere"


def test_a_canary_that_is_late_once_answers_again(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "canary", 1.0, milliseconds=50.0)
    with serving(spare) as (live, told):
        live.follow_once()
        held = Held(live)
        ask(live.scoring, told, [request("late")])
        held.go.set()
        versions = []
        for number in range(200):
            ask(live.scoring, told, [request(number)])
            versions.append(told.of(number).model_version)
            if versions[-1] == candidate:
                break
        assert (told.of("late").model_version, versions[-1]) == ("2", candidate)


def test_a_stop_does_not_wait_for_a_candidate_that_hangs(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "shadow")
    with serving(spare) as (live, told):
        live.follow_once()
        held = Held(live)
        assert set(versions(live, told, "a")) == {"2"}
        thread = threading.Thread(target=live.scoring.finish)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
        held.go.set()


def test_rows_scored_in_the_shadow_of_a_trial_that_has_ended_are_not_kept(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "shadow")
    with serving(spare) as (live, told):
        live.follow_once()
        held = Held(live)
        tried = live.scoring.candidate
        assert set(versions(live, told, "a")) == {"2"}
        end_trial(spare.open(OPERATOR), "enough")
        live.follow_if_due()
        held.go.set()
        tried.finish(30)
        live.scoring.finish()
        assert {row["channel"] for row in drained(spare, live)} == {"api"}


def test_a_request_that_production_refuses_fails_alone_also_beside_a_canary(spare: Spare, candidate: str) -> None:
    salt = begin(spare, candidate, "canary", 0.5)
    with serving(spare) as (live, told):
        live.follow_once()
        scorer = live.scoring.scorer

        def choosy(features: pa.RecordBatch) -> object:
            if 13 in features.column("earlier").to_pylist():
                raise ValueError
            return scorer.predict(features)

        live.scoring.swap(replace(scorer, predict=choosy))
        bad = (31.5, 12.0, 13, 7, "engine")
        ask(live.scoring, told, [request(n, [bad if n % 3 == 0 else ROW]) for n in range(30)])
        for n in range(30):
            ours = place_of(salt, f"{n}-0") < 0.5
            assert isinstance(told.of(n), Refused if n % 3 == 0 and not ours else LiveAnswer)
        assert any(isinstance(told.of(n), Refused) for n in range(30))


def test_a_shadow_that_cannot_be_written_harms_nobody(spare: Spare, candidate: str) -> None:
    begin(spare, candidate, "shadow")
    with serving(spare) as (live, told):
        live.follow_once()
        live.scoring.candidate.rows_for = lambda _: 1 / 0
        assert all(isinstance(one, LiveAnswer) for one in ask_many(live, told, 5).values())
        assert live.scoring.alive
        live.scoring.finish()
        assert {row["channel"] for row in drained(spare, live)} == {"api"}


def test_what_may_not_be_tried_is_told(spare: Spare) -> None:
    version = third_version(spare)
    with pytest.raises(Refused, match="nothing adopted"):
        begin(spare, version, "shadow")
    adopt(spare.open(OPERATOR))
    with pytest.raises(Refused, match="nobody proposed"):
        begin(spare, version, "shadow")
    propose(spare.open(AUTHOR), version, "newer")
    with pytest.raises(NotApproved):
        begin(spare, version, "shadow")
    approve_files(spare.open(FIRST), version)
    with pytest.raises(Refused, match=r"canary: got .* findings in the way") as refused:
        begin(spare, version, "canary")
    assert {finding.field for finding in refused.value.findings} == {"comparison/verdict", "approvals/people"}
    compared(spare.open(AUTHOR), version)
    for share in (0.0, -0.1, 1.5):
        with pytest.raises(WrongUse, match="--share"):
            begin(spare, version, "shadow", share)
    with pytest.raises(WrongUse, match="flag_rat: got an unknown limit"):
        begin(spare, version, "shadow", None, flag_rat=0.1)
    begin(spare, version, "shadow")
    with pytest.raises(Refused, match="rule 10"):
        begin(spare, version, "shadow")
