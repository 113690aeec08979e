"""`fielded monitor` on the command line: what it prints, and its exit codes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from command_line import at_site, ended
from conftest import Store, Ticking
from watching import FIRST, Watched, made_days

Call = Callable[..., tuple[int, str, str]]
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def watched(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Two quiet days, then three with other hours."""
    return made_days(store, tmp_path_factory.mktemp("cli"), "watched_by_command", drifted=3, calm=0)


@pytest.fixture
def call(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """`fielded` called so many days after the first; gives exit code, standard output and standard error."""
    at_site(watched.world, monkeypatch)
    monkeypatch.setenv("FIELDED_DEPLOYMENT", str(watched.world.folder))
    monkeypatch.chdir(tmp_path)

    def run(days: int, *arguments: str) -> tuple[int, str, str]:
        moment = datetime(FIRST.year, FIRST.month, FIRST.day, 6, tzinfo=UTC) + days * DAY
        monkeypatch.setattr("fielded.doors.cli.opening.now", Ticking(moment))
        return ended(monkeypatch, capsys, *arguments)

    return run


def test_the_whole_way_from_a_quiet_day_to_a_closed_request(call: Call, tmp_path: Path) -> None:
    code, out, _ = call(0, "monitor", "status")
    assert (code, "Nothing was looked at yet" in out) == (0, True)

    code, out, _ = call(2, "monitor")
    assert code == 0, out
    assert [line.split()[2] for line in out.splitlines() if line.startswith("score-drift")] == ["ok"]
    assert (tmp_path / f"monitor-{FIRST + DAY}" / "monitor.html").is_file()

    code, out, _ = call(4, "monitor", "run", "--json", "--out", "here", "--metrics-file", "fielded.prom")
    told = json.loads(out)
    assert (code, told["instances"][0]["state"], told["retraining"]) == (0, "pending", None)
    assert "fielded_trigger_state" in (tmp_path / "fielded.prom").read_text()

    code, out, _ = call(5, "monitor", "run")
    assert code == 1
    assert "retraining-1 is open, due on 2026-04-06, asked of Alex Example" in out
    assert "`notify` in site.yaml" in out

    code, out, _ = call(5, "monitor", "status")
    assert (code, "firing" in out, "retraining-1" in out) == (1, True, True)
    code, _, err = call(5, "monitor", "ack", "flags", "-m", "we know")
    assert (code, "expected a trigger that fires: score-drift" in err) == (1, True)
    code, out, _ = call(5, "monitor", "ack", "score-drift", "-m", "a new yard")
    assert (code, "score-drift, psi(score): acknowledged by os:" in out) == (0, True)
    code, out, _ = call(5, "monitor", "status", "--json")
    status = json.loads(out)
    assert (code, status["states"][0]["state"], status["retraining"]["id"]) == (0, "acknowledged", "retraining-1")

    code, out, _ = call(5, "monitor", "close-retraining", "-m", "retrained as version 3")
    assert (code, "retraining-1: closed by os:" in out) == (0, True)
    code, _, err = call(5, "monitor", "close-retraining", "-m", "again")
    assert (code, "no open request" in err) == (1, True)


def test_a_trigger_is_simulated_before_it_is_armed(call: Call, watched: Watched) -> None:
    code, out, _ = call(5, "monitor", "simulate", "score-drift", "--years", "30", "--shift", "hours=+60", "--json")
    found = json.loads(out)
    assert (code, found["instances"], found["years"], found["shift"]) == (0, 1, 30, "hours +60")
    assert found["rows_per_week"] == pytest.approx(5 * 150 / 4, rel=0.02), "as many as came within four weeks"
    assert found["noisy_years"]["value"] <= 0.1
    assert found["soon"]["value"] > 0.9
    code, out, _ = call(5, "monitor", "simulate", "score-drift", "--years", "30", "--shift", "month=+0", "--json")
    assert (code, json.loads(out)["seen"]["value"] <= 0.1) == (0, True)
    code, out, _ = call(
        5, "monitor", "simulate", "flags", "--years", "20", "--rows-per-week", "500", "--shift", "hours=+60"
    )
    assert (code, "4 instances, 500 rows a week" in out) == (0, True)
    told = [row for row in watched.world.rows("ledger.overrun.events") if row["kind"] == "trigger_simulated"]
    on_record = [json.loads(row["details"]) for row in sorted(told, key=lambda row: row["sequence"])]
    assert [(one["trigger"], one["shift"]) for one in on_record] == [
        ("score-drift", "hours +60"), ("score-drift", "month +0"), ("flags", "hours +60"),
    ]  # fmt: skip
    assert {key: on_record[0][key] for key in found} == found, "what was printed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("simulate", "nothing"), "expected one of score-drift, flags"),
        (("simulate", "score-drift", "--shift", "hours"), "expected FEATURE=+NUMBER"),
        (("simulate", "score-drift", "--shift", "kind=+1"), "expected a feature that is a number"),
        (("simulate", "score-drift", "--rows-per-week", "3"), "never leave insufficient_data"),
        (("run", "--as-of", "2026-03-07"), "a day that is over"),
        (("--json", "status"), "expected them after it"),
        (("ack", "score-drift", "-m", " "), "a reason"),
    ],
)
def test_wrong_use_says_what_is_right(call: Call, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = call(5, "monitor", *arguments)
    assert code == 2, out
    assert words in err + out
