"""A run of the watch on a real ledger: what it sees, what it puts on record, and whom it tells."""

import email
import email.policy
import json
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from conftest import Store, World
from fielded.decisions.monitoring import watch
from fielded.decisions.monitoring.histograms import OVERALL
from fielded.definition.site import Site
from fielded.definition.watching import Mail, Notify, Watching, Webhook
from fielded.services.approve import approve
from fielded.services.monitoring.monitor import Looked, MonitorRun, acknowledge, look, run
from fielded.services.monitoring.record import requests, watch_state
from fielded.services.monitoring.retraining import close_retraining
from fielded.services.monitoring.simulate import simulate
from fielded.services.outcomes import load_outcomes
from fielded.services.release.adopt import adopt
from fielded.services.verify import verify
from fielded.words.errors import Refused, WrongUse
from receivers import http_receiver, smtp_receiver
from watching import FIRST, ROWS, TRIGGERS, Watched, copied, made_days, make_watched

KEY = ("score-drift", "psi(score)")
DAY = timedelta(days=1)


# Two quiet days, then five with other hours, then three quiet ones again: see `watching.made_days`.
DRIFTED, CALM, END = FIRST + 2 * DAY, FIRST + 7 * DAY, FIRST + 10 * DAY


@pytest.fixture(scope="session")
def made_once(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return made_days(store, tmp_path_factory.mktemp("watched"), "watched")


@pytest.fixture
def watched(made_once: Watched, tmp_path: Path) -> Watched:
    return copied(made_once, tmp_path)


def state(made: MonitorRun) -> str:
    return made.looked.states[KEY].state


def kinds(watched: Watched) -> list[str]:
    rows = watched.world.rows("ledger.overrun.events")
    known = {watch.RAN, watch.CHANGED, watch.ACKNOWLEDGED, watch.REQUESTED, watch.CLOSED, watch.NOTIFIED,
             watch.NOT_NOTIFIED}  # fmt: skip
    return [row["kind"] for row in sorted(rows, key=lambda row: row["sequence"]) if row["kind"] in known]


def told(watched: Watched, kind: str) -> list[dict]:
    rows = sorted(watched.world.rows("ledger.overrun.events"), key=lambda row: row["sequence"])
    return [json.loads(row["details"]) for row in rows if row["kind"] == kind]


def fired(watched: Watched) -> date:
    """Two looks at drifted days, after which the trigger fires; the day of the second."""
    assert state(run(watched.at(DRIFTED + 2 * DAY))) == "pending"
    assert state(run(watched.at(DRIFTED + 3 * DAY))) == "firing"
    return DRIFTED + 3 * DAY


def test_quiet_days_are_ok_and_drift_fires_after_two_looks(watched: Watched) -> None:
    quiet = run(watched.at(DRIFTED))
    assert state(quiet) == "ok", quiet.looked.evaluations
    assert quiet.request is None
    day = fired(watched)
    (request,) = requests(watched.at(day))
    assert request.alarms == {"score-drift/psi(score)/3"}
    assert (request.owner, request.closed_at, request.due) == ("Alex Example", None, day + 30 * DAY)


def test_what_a_run_saw_is_on_record_and_sealed(watched: Watched) -> None:
    day = DRIFTED
    made = run(watched.at(day), report=lambda _: "ab" * 32)
    (seen,) = told(watched, watch.RAN)
    assert (seen["as_of"], seen["version"], seen["number"], seen["report_sha256"]) == (
        (day - DAY).isoformat(), "1", 1, "ab" * 32,
    )  # fmt: skip
    first = seen["instances"][0]
    assert (first["instance"], first["rows"], first["outcome"]) == ("psi(score)", 2 * ROWS, "calm")
    assert first["value"] == made.looked.evaluations[0].measured.value
    assert {one["instance"] for one in seen["instances"][1:]} == {
        f"flag_rate[kind={kind}]" for kind in ("engine", "hull", "radar", "valve")
    }
    (change, *_) = told(watched, watch.CHANGED)
    assert (change["trigger"], change["changes"][0]["to"]) == ("score-drift", "ok")
    assert verify(watched.at(day)).findings == []


def test_a_look_writes_nothing(watched: Watched) -> None:
    day = DRIFTED
    before = watched.world.rows("ledger.overrun.events")
    found = look(watched.at(day))
    assert found.states[KEY].state == "ok"
    assert found.measurer.sources.daily[FIRST].rows() == ROWS
    assert found.measurer.sources.tallies[FIRST][OVERALL].rows == ROWS
    assert watched.world.rows("ledger.overrun.events") == before


def test_too_few_rows_are_insufficient_and_never_ok(watched: Watched) -> None:
    made = run(watched.at(FIRST + DAY))
    assert state(made) == "insufficient_data"
    assert "expected at least 300" in made.looked.evaluations[0].why


def test_silence_is_a_breach(watched: Watched) -> None:
    late = END + 15 * DAY
    assert state(run(watched.at(late - DAY))) == "ok"
    silent = [run(watched.at(late + number * DAY)) for number in range(2)]
    assert [state(one) for one in silent] == ["pending", "firing"]
    assert "got no rows for 15 days" in silent[0].looked.evaluations[0].why


def test_the_same_day_looked_at_twice_counts_once(watched: Watched) -> None:
    assert [state(run(watched.at(CALM))) for _ in range(3)] == ["pending", "pending", "pending"]


def test_a_look_back_changes_no_state_but_is_on_record(watched: Watched) -> None:
    day = CALM
    run(watched.at(day))
    before = watch_state(watched.at(day)).states
    back = run(watched.at(day), as_of=FIRST + DAY)
    assert back.looked.look_back
    assert back.looked.evaluations[0].outcome == "calm", "as it was then"
    assert watch_state(watched.at(day)).states == before
    assert told(watched, watch.RAN)[-1]["look_back"] is True


def test_a_day_that_is_not_over_is_not_looked_at(watched: Watched) -> None:
    with pytest.raises(WrongUse, match="a day that is over: at the latest 2026-03-01"):
        look(watched.at(FIRST), FIRST)


def test_a_named_person_acknowledges_and_an_alarm_clears_by_itself(watched: Watched) -> None:
    day = fired(watched)
    with pytest.raises(WrongUse, match="a reason"):
        acknowledge(watched.at(day), "score-drift", "  ")
    with pytest.raises(Refused, match="expected a trigger that fires: score-drift"):
        acknowledge(watched.at(day), "flags", "we know")
    (known,) = acknowledge(watched.at(day, user="os:owner"), "score-drift", "a new yard works longer")
    assert (known.state, known.acknowledged_by) == ("acknowledged", "os:owner")
    with pytest.raises(Refused, match="none does"):
        acknowledge(watched.at(day), "score-drift", "we know too")
    assert state(run(watched.at(END))) == "cleared"
    assert told(watched, watch.CHANGED)[-1]["changes"][0]["from"] == "acknowledged"


def test_who_may_not_review_does_not_acknowledge(watched: Watched) -> None:
    day = fired(watched)
    site = replace(watched.world.site, roles={"os:clerk": ("score",)})
    with pytest.raises(Refused, match="expected `review`"):
        acknowledge(watched.at(day, user="os:clerk", site=site), "score-drift", "we know")
    with pytest.raises(Refused, match="expected `release`"):
        close_retraining(watched.at(day, user="os:clerk", site=site), "nothing to do")


def test_a_request_is_opened_once_and_closed_by_a_named_person(watched: Watched) -> None:
    day = fired(watched)
    (opened,) = requests(watched.at(day))
    assert run(watched.at(day + DAY)).request == opened
    closed = close_retraining(watched.at(day + DAY, user="os:owner"), "retrained as version 3")
    assert (closed.closed_by, closed.reason) == ("os:owner", "retrained as version 3")
    with pytest.raises(Refused, match="no open request"):
        close_retraining(watched.at(day + DAY), "again")
    assert run(watched.at(day + 2 * DAY)).request is None, "this alarm was answered"
    assert kinds(watched).count(watch.REQUESTED) == 1


def test_nothing_is_ever_promoted_or_scored_by_an_alarm(watched: Watched) -> None:
    before = watched.world.open().registry.aliases(watched.world.model)
    fired(watched)
    kinds_now = {row["kind"] for row in watched.world.rows("ledger.overrun.events")}
    assert watched.world.open().registry.aliases(watched.world.model) == before
    assert not {kind for kind in kinds_now if "promot" in kind or "release" in kind}


def site_with(watched: Watched, **sections: object) -> Site:
    return replace(watched.world.site, **sections)  # type: ignore[arg-type]


def test_the_owner_is_told_once_by_webhook_and_mail(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_KEY", "k")
    day = DRIFTED + 3 * DAY
    run(watched.at(day - DAY))
    with http_receiver() as posted, smtp_receiver() as box:
        options = {"host": "127.0.0.1", "port": box.port, "from": "watch@example.mil", "starttls": False}
        webhook = Webhook(url=posted.url, secret="env:HOOK_KEY")  # noqa: S106 - a reference
        site = site_with(watched, notify=Notify(webhook=webhook, mail=Mail(**options)))
        made = run(watched.at(day, site=site))
        run(watched.at(day + DAY, site=site))
    assert [(one.channel, one.failed) for one in made.told] == [("webhook", ""), ("mail", "")]
    ((_, body),) = posted.messages
    message = json.loads(body)
    (alarm,) = message["alarms"]
    assert (alarm["trigger"], alarm["instance"], alarm["when"]) == ("score-drift", "psi(score)", "> 0.10")
    assert alarm["value"] > 0.10
    assert message["retraining"]["request"] == "retraining-1"
    assert "WO-" not in body.decode(), "nothing of a row"
    ((recipients, text),) = box.mails
    assert "alex.example@example.mil" in recipients[0]
    shown = email.message_from_string(text, policy=email.policy.default).get_content()
    assert "score-drift, psi(score), since" in shown
    assert "Nothing was retrained or promoted" in shown
    assert kinds(watched).count(watch.NOTIFIED) == 2


def test_what_could_not_be_told_is_on_record_and_told_at_the_next_run(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_KEY", "k")
    day = DRIFTED + 3 * DAY
    run(watched.at(day - DAY))
    with http_receiver() as posted:
        webhook = Webhook(url=posted.url, secret="env:HOOK_KEY")  # noqa: S106 - a reference
        site = site_with(watched, notify=Notify(webhook=webhook))
        posted.status = 503
        failed = run(watched.at(day, site=site))
        posted.status = 204
        again = run(watched.at(day + DAY, site=site))
    assert (failed.told[0].failed, again.told[0].failed) == ("answered 503", "")
    (failure,) = told(watched, watch.NOT_NOTIFIED)
    assert (failure["channel"], failure["reason"]) == ("webhook", "answered 503")
    assert told(watched, watch.NOTIFIED)[0]["alarms"] == failure["alarms"]


def test_a_site_that_tells_nobody_is_told_so(watched: Watched) -> None:
    day = DRIFTED + 3 * DAY
    run(watched.at(day - DAY))
    (nobody,) = run(watched.at(day)).told
    assert "`notify` in site.yaml" in nobody.failed
    assert watch.NOT_NOTIFIED not in kinds(watched)


def test_of_two_runs_at_once_the_second_is_told(watched: Watched) -> None:
    day = DRIFTED

    def beaten(_: Looked) -> str:
        run(watched.at(day))
        return ""

    with pytest.raises(Refused, match="lost to another run"):
        run(watched.at(day), report=beaten)
    assert kinds(watched).count(watch.RAN) == 1


def test_a_run_that_died_after_its_record_is_finished_by_the_next(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = DRIFTED + 3 * DAY
    run(watched.at(day - DAY))

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fielded.services.monitoring.monitor._record_changes", dies)
        with pytest.raises(KeyboardInterrupt):
            run(watched.at(day))
    assert watch.REQUESTED not in kinds(watched)
    made = run(watched.at(day))
    assert state(made) == "firing"
    assert made.request is not None


def test_since_is_the_day_of_production_by_the_ledger_or_of_the_first_row(watched: Watched) -> None:
    day = DRIFTED
    assert look(watched.at(day)).measurer.sources.since == FIRST
    adopt(watched.at(day))
    assert look(watched.at(day + DAY)).measurer.sources.since == day


def test_matured_labels_are_measured_as_they_were_known_that_day(watched: Watched, tmp_path: Path) -> None:
    section = """\
monitoring:
  labels: {maturity: 2d, min_coverage: 0.5}
  triggers:
    - {id: area, metric: auc, when: "< 0.60", min_sample: 100, window: {last: 100}}
"""
    watched.redefined(section)
    day = FIRST + 6 * DAY
    lacking = run(watched.at(day)).looked.evaluations[0]
    assert "Load outcomes" in lacking.why
    rows = watched.world.rows("ledger.overrun.predictions", columns=["subject", "score"])
    outcome = pa.table(
        {
            "subject": [row["subject"] for row in rows],
            "label": [row["score"] > 0.5 for row in rows],
            "known_at": pa.array([datetime(2026, 3, 7, 12, tzinfo=UTC)] * len(rows), pa.timestamp("us", "UTC")),
        }
    )
    pq.write_table(outcome, tmp_path / "outcomes.parquet")
    load_outcomes(watched.at(day + DAY), tmp_path / "outcomes.parquet")
    found = run(watched.at(day + DAY)).looked.evaluations[0]
    assert (found.outcome, found.measured.value) == ("calm", 1.0)
    watched.redefined(section.replace("auc", "fnr").replace("< 0.60", "> 0.50"))
    simulated = simulate(watched.at(day + DAY), "area", rows_per_week=500, years=20)
    assert (simulated.alarms, simulated.soon) == (0, None)
    with pytest.raises(WrongUse, match="needs no labels"):
        simulate(watched.at(day + DAY), "area", rows_per_week=500, years=20, shift="hours=+1")
    watched.redefined(section)
    assert found.measured.last_day == day - 2 * DAY
    before = run(watched.at(day + DAY), as_of=FIRST + 4 * DAY).looked.evaluations[0]
    assert before.outcome == "lacking", "on that day nobody knew"


def test_latency_is_what_came_since_the_last_look(watched: Watched) -> None:
    section = 'monitoring: {triggers: [{id: slow, metric: latency, when: "> 200", min_sample: 10}]}\n'
    watched.redefined(section)
    day = FIRST + DAY
    lacking = run(watched.at(day)).looked.evaluations[0]
    assert "metrics_url" in lacking.why
    line = 'fielded_prediction_duration_seconds_bucket{{le="{}"}} {}\n'
    with http_receiver() as served:
        site = site_with(watched, monitoring=Watching(metrics_url=served.url))
        for number, counts in enumerate(((100, 100), (100, 200), (100, 200))):
            served.body = ("# TYPE fielded_prediction_duration_seconds histogram\n"
                           + line.format("0.1", counts[0]) + line.format("0.5", counts[1])
                           + line.format("+Inf", counts[1])).encode()  # fmt: skip
            found = run(watched.at(day + (number + 1) * DAY, site=site)).looked.evaluations[0]
            expected = [("calm", 95.0), ("breach", 480.0), ("lacking", None)][number]
            assert (found.outcome, found.measured.value) == (expected[0], pytest.approx(expected[1])), number
    gone = run(watched.at(day + 5 * DAY, site=site)).looked.evaluations[0]
    assert "got no answer of the API's metrics (no answer)" in gone.why


def test_a_model_without_a_profile_lacks_drift_and_has_rates(world: World) -> None:
    bare = make_watched(world, world.model)
    made = run(bare.at(bare.days(2)))
    drift, *flags = made.looked.evaluations
    assert drift.outcome == "lacking"
    assert "profile_metadata" in drift.why
    assert [str(one.measured.metric) for one in flags] == [
        f"flag_rate[kind={kind}]" for kind in ("engine", "hull", "radar", "valve")
    ]
    assert {one.outcome for one in flags} == {"calm"}


def test_a_ledger_without_a_row_is_looked_at_and_lacks_everything(watched: Watched) -> None:
    shutil.rmtree(Path(watched.world.site.root) / "ledger")
    for version in ("1", "2"):
        approve(watched.world.open(), version)
    made = run(watched.at(FIRST))
    assert {one.outcome for one in made.looked.evaluations} == {"lacking"}
    assert made.looked.measurer.sources.since is None


def test_a_run_that_fielded_did_not_append_stops_the_watch(watched: Watched) -> None:
    run(watched.at(DRIFTED))
    table = watched.at(DRIFTED).tables.open("ledger.overrun.events")
    rows = table.to_pyarrow_table()
    (ran,) = rows.filter(pc.equal(rows.column("kind"), watch.RAN)).to_pylist()
    forged = {
        **ran,
        "sequence": 1000,
        "details": json.dumps({**json.loads(ran["details"]), "states": [], "number": 2}),
    }
    write_deltalake(table.table_uri, pa.Table.from_pylist([forged], schema=rows.schema), mode="append")
    with pytest.raises(Refused, match=r"monitor events \(rule 1 of the watch\): got 2 of them, expected 1"):
        run(watched.at(DRIFTED + DAY))


def decision(watched: Watched, case: str, outcome: str, on: date, kind: str = "engine") -> None:
    """Put a reviewer's decision on record, as `fielded review decide` does."""
    details = {
        "turn": 2, "subject": case, "scored_date": FIRST.isoformat(), "outcome": outcome, "model_version": "1",
        "slices": {"kind": kind},
    }  # fmt: skip
    watched.at(on).record("case_decided", f"case {case}", details)


def test_overrides_are_of_first_decisions_that_were_made_by_then(watched: Watched) -> None:
    section = (
        'monitoring: {triggers: [{id: over, metric: "override_rate[kind=*]", when: "> 0.9", min_sample: 1}]}\n'
    )
    watched.redefined(section)
    for case, outcome, on, kind in (
        ("a", "override", FIRST, "engine"),
        ("b", "keep", FIRST, "engine"),
        ("c", "keep", FIRST, "a new kind"),
        ("a", "keep", FIRST + DAY, "engine"),  # a third person's
        ("d", "override", FIRST + 3 * DAY, "engine"),
    ):
        decision(watched, case, outcome, on, kind)
    overrides = look(watched.at(FIRST + 2 * DAY)).measurer.sources.overrides[FIRST]
    assert {str(place): (held.cases, held.overridden) for place, held in overrides.items()} == {
        "overall": (3, 1), "kind=engine": (2, 1), "kind=other": (1, 0),
    }  # fmt: skip
    later = look(watched.at(FIRST + 5 * DAY)).measurer.sources.overrides[FIRST]
    assert (later[OVERALL].cases, later[OVERALL].overridden) == (4, 2)


def test_a_trigger_of_a_feature_is_simulated_from_the_profile_before_anything_was_scored(watched: Watched) -> None:
    watched.redefined(TRIGGERS.replace("psi(score)", "psi(hours)"))
    shutil.rmtree(Path(watched.world.site.root) / "ledger")
    for version in ("1", "2"):
        approve(watched.world.open(), version)
    workplace = watched.at(FIRST)
    found = simulate(workplace, "score-drift", rows_per_week=1000, shift="hours=+30", years=20)
    assert found.soon is not None
    assert (found.soon.value, found.noisy_years.value) == (1.0, 0.0)
    other = simulate(workplace, "score-drift", rows_per_week=1000, shift="month=+1", years=20)
    assert (other.seen.value if other.seen else None) == 0.0, "it looks at hours alone"
    watched.redefined(TRIGGERS)
    with pytest.raises(Refused, match="Score a day first"):
        simulate(watched.at(FIRST), "score-drift", rows_per_week=1000, shift="hours=+30", years=20)
    with pytest.raises(WrongUse, match="Say --rows-per-week"):
        simulate(watched.at(FIRST), "score-drift", years=20)
