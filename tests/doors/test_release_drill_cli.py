"""`fielded release drill`: what it prints, how it exits, and that nothing is left of one that is told to end."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from command_line import at_site, ended
from conftest import DAY, Spare
from fielded.doors.cli.release_drill import COMMAND
from fielded.services.approve import WITHDRAWN
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.release.record import state_of
from fielded.services.score_day import score_day
from fielded.world.workplace import Workplace

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(spare: Spare, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    at_site(spare, monkeypatch)
    monkeypatch.chdir(spare.folder)

    def run(*arguments: str) -> tuple[int, str, str]:
        return ended(monkeypatch, capsys, "release", *arguments)

    return run


def scored(spare: Spare) -> Workplace:
    workplace = replace(spare.open(), clock=lambda: datetime.now(UTC))
    adopt(workplace)
    score_day(workplace, Scorers(workplace), DAY)
    return workplace


def withdraw(workplace: Workplace) -> None:
    """So that a drill fails before it starts an API."""
    previous = state_of(workplace).previous
    about = f"model {workplace.deployment.model.name} version {previous.version}"
    workplace.record(WITHDRAWN, about, {"artifact_sha256": previous.sha256, "reason": "a test"})


def test_a_drill_that_fails_says_why_and_exits_with_one_and_status_and_history_show_it(
    spare: Spare, call: Call
) -> None:
    withdraw(scored(spare))
    code, out, err = call("drill", "--workers", "2")
    lines = out.splitlines()
    assert code == 1
    assert lines[0] == ("Drill FAILED: version 2 -> version 1 at a copy of this site, 2 workers, 8 connections")
    assert lines[1].startswith("  FAIL  way back: got model ")
    assert "  FAIL  seconds: got not measured, expected at most 60 s" in lines
    assert "  the signing key, by one of the rehearsal" in lines
    assert err.splitlines()[0] == "copying what a rollback needs of the site ..."
    code, out, err = call("drill", "--json", "--connections", "3")
    told = json.loads(out)
    assert (code, err, told["passed"], told["connections"]) == (1, "", False, 3)
    assert told["findings"][0]["name"] == "drill/way back"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    code, out, _ = call("status")
    assert code == 1
    assert f"  last drill  {today}, FAILED" in out.splitlines()
    assert f"Drill: got one of {today} that failed" in out
    history = call("history")[1].splitlines()
    assert history[-1].split()[1:4:2] == [today, "release_drilled"]
    assert "signing key" not in history[-1]


def test_a_drill_that_cannot_be_made_is_no_drill(spare: Spare, call: Call) -> None:
    code, out, err = call("drill")
    assert (code, out) == (1, "")
    assert "Run `fielded release adopt`" in err
    assert call("drill", "--connections", "0")[0] == 2
    assert state_of(spare.open()).drill is None


def processes_of(folder: Path) -> list[int]:
    """Whose command line names something below a folder."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                line = (place / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(f"{folder}/fielded-drill-") in line:
                found.append(int(place.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_drill_that_is_told_to_end_leaves_no_process_no_folder_and_no_event(
    spare: Spare, number: signal.Signals
) -> None:
    scored(spare)
    # What a shell starts in the background ignores SIGINT, and so does every child of it; what is handled here is
    # not ignored there.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*COMMAND, "release", "drill", "-d", str(spare.folder), "--workers", "2"],
        env=spare.environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=spare.folder,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("starting an API"):
                break
        end = time.monotonic() + 60
        while not processes_of(spare.site.cache) and time.monotonic() < end:
            time.sleep(0.05)
        assert processes_of(spare.site.cache)
        process.send_signal(number)
        assert process.wait(60) == {signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    finally:
        process.kill()
        process.communicate()
    assert processes_of(spare.site.cache) == []
    assert list(spare.site.cache.glob("fielded-drill-*")) == []
    assert state_of(spare.open()).drill is None
