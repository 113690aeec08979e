"""Evidence of the retraining trigger, from a real watch."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from conftest import Store
from fielded.decisions.assurance.collector import Found
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.retraining_trigger import COLLECTOR, YEARS
from fielded.services.monitoring.monitor import run
from fielded.services.monitoring.record import about
from fielded.services.monitoring.simulated import SIMULATED, simulate_on_record, simulations, trigger_sha256
from fielded.services.prepare_scorer import resolve
from watching import FIRST, TRIGGERS, Watched, copied, made_days

DAY = timedelta(days=1)
LAST = FIRST + 3 * DAY
ASKS, SIMULATED_NOW = "a metric with a number asks for retraining", "one is simulated as it is defined now"
RAN, IN_TIME = (
    "the monitor ran with this definition over this version",
    "the monitor ran as often as its windows count",
)
STATES, ANSWERED = "each has a state", "no request to retrain is overdue"


@pytest.fixture(scope="session")
def scored_once(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Three days were scored, and nobody looked."""
    return made_days(store, tmp_path_factory.mktemp("scored"), "triggered", drifted=1, calm=0)


@pytest.fixture(scope="session")
def watched_once(scored_once: Watched, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """The monitor ran after them, and its trigger was simulated."""
    made = copied(scored_once, tmp_path_factory.mktemp("triggered"))
    run(made.at(LAST))
    simulate_on_record(made.at(LAST), "score-drift", years=20)
    return made


@pytest.fixture
def watched(watched_once: Watched, tmp_path: Path) -> Watched:
    return copied(watched_once, tmp_path)


def looked(watched: Watched, days: float = 0) -> Found:
    return COLLECTOR.look(Bench(watched.at(LAST + timedelta(days=days), 7)))


def failed(found: Found) -> set[str]:
    return {check.name for check in found.checks if check.outcome != "held"}


def test_one_that_is_simulated_and_watched_holds(watched: Watched) -> None:
    found = looked(watched)
    assert failed(found) == set(), found.checks
    (trigger,) = found.facts["triggers"]
    assert (trigger["id"], trigger["metric"], trigger["when"]) == ("score-drift", "psi(score)", "> 0.10")
    assert trigger["simulated"]["years"] == 20
    assert trigger["simulated"]["alarms_a_year"] == trigger["simulated"]["alarms"] / 20
    assert [one["instance"] for one in trigger["states"]] == ["psi(score)"]
    assert found.facts["owner"] == "Alex Example"


def test_where_nobody_simulated_it_is_done_and_kept(watched: Watched) -> None:
    changed = watched.redefined(TRIGGERS.replace('"> 0.10"', '"> 0.12"'))
    workplace = changed.at(LAST)
    _, sha256 = resolve(workplace)
    assert simulations(workplace, sha256) == {}, "of another number"
    found = looked(changed)
    assert SIMULATED_NOW not in failed(found)
    assert simulations(workplace, sha256)["score-drift"]["years"] == YEARS
    before = len(workplace.ledger.events_of(SIMULATED, about(workplace)))
    looked(changed)
    assert len(workplace.ledger.events_of(SIMULATED, about(workplace))) == before, "once is enough"


def test_a_simulation_counts_for_its_model_alone(watched: Watched) -> None:
    workplace = watched.at(LAST)
    _, sha256 = resolve(workplace)
    assert set(simulations(workplace, sha256)) == {"score-drift"}
    assert simulations(workplace, "cd" * 32) == {}


def test_the_digest_is_of_all_that_is_defined(watched: Watched) -> None:
    trigger = watched.at(LAST).deployment.monitoring.triggers[0]
    others = (
        replace(trigger, when="> 0.11"),
        replace(trigger, min_sample=299),
        replace(trigger, breaches="1 of 2"),
        replace(trigger, no_data_after=timedelta(days=13)),
        replace(trigger, window=replace(trigger.window, max_age=timedelta(days=29))),
        replace(trigger, then=("open_retraining_request",)),
    )
    digests = {trigger_sha256(one) for one in (trigger, *others)}
    assert len(digests) == len(others) + 1
    assert trigger_sha256(trigger) == trigger_sha256(replace(trigger))


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("monitoring: {triggers: []}\n", {ASKS}),
        (TRIGGERS.replace("[open_retraining_request, notify_owner]", "[notify_owner]"), {ASKS}),
        # Another definition than the one that the monitor saw.
        (TRIGGERS.replace('"> 0.95"', '"> 0.96"'), {RAN}),
        # The trigger has another name: neither simulated nor looked at, and the first is mended by looking.
        (TRIGGERS.replace("id: score-drift", "id: drift"), {RAN, STATES}),
        # More rows than ever come in its window: it would never leave insufficient_data.
        (TRIGGERS.replace("last: 300, max_age: 30d", "last: 99999, max_age: 1d")
         .replace("min_sample: 300", "min_sample: 99999"), {SIMULATED_NOW, RAN}),
    ],
)  # fmt: skip
def test_another_definition_is_seen(watched: Watched, section: str, names: set[str]) -> None:
    found = looked(watched.redefined(section))
    assert failed(found) == names, found.checks
    assert all(check.step for check in found.checks if check.outcome != "held")


def test_a_monitor_that_stays_away_is_seen(watched: Watched) -> None:
    assert IN_TIME not in failed(looked(watched, 2.9)), "a tenth of thirty days"
    assert failed(looked(watched, 3.1)) == {IN_TIME}


def test_a_monitor_that_never_ran_is_seen(scored_once: Watched, tmp_path: Path) -> None:
    assert failed(looked(copied(scored_once, tmp_path))) == {RAN, IN_TIME, STATES}


def test_an_alarm_that_nobody_answers_is_seen(watched: Watched) -> None:
    after = watched.days(4, LAST, hours=4.0)
    run(watched.at(after - DAY))
    run(watched.at(after))
    asked = COLLECTOR.look(Bench(watched.at(after, 7)))
    assert ANSWERED not in failed(asked)
    assert asked.facts["open_request"] is not None, asked.facts
    late = COLLECTOR.look(Bench(watched.at(after + 31 * DAY, 7)))
    assert ANSWERED in failed(late)


def test_no_check_has_a_number_in_its_name(watched: Watched) -> None:
    assert not any(letter.isdigit() for check in looked(watched).checks for letter in check.name)
