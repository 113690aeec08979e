"""Rollbacks of a real API with four workers while 16 callers ask: all follow, nobody is refused, nothing is lost.

How many seconds it takes is measured by `bench/release/rollback.py`; here it is only printed.
"""

import json
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
import test_live_kills
from test_live_kills import Callers, Server, compare

from books import PREDICTIONS, read
from conftest import Spare
from fielded.services.release.adopt import adopt
from fielded.services.release.record import state_of

ROLLBACKS = int(os.environ.get("CHAOS_ROLLBACKS", "2"))
WORKERS = 4


def wait_until_all_hold(spare: Spare, seconds: float = 120) -> None:
    """Until every worker holds the version that it would go back to."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        told = spare.open().journals.serving()
        if sum(one.standby is not None for one in told) == WORKERS:
            return
        time.sleep(0.2)
    raise AssertionError("a worker holds no version to go back to")


def roll_back(server: Server, leave: str) -> dict:
    done = subprocess.run(
        [*server.command("rollback", "-m", "a test", "--leave", leave), "--json"],
        env=server.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.chaos
def test_rollbacks_under_load_fail_no_request(
    spare: Spare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_live_kills, "SITE", test_live_kills.SITE.replace("workers: 2", f"workers: {WORKERS}"))
    adopt(spare.open())
    server, callers = Server(spare, tmp_path / "serve.log"), None
    marks: list[tuple[str, dict[int, int]]] = []
    try:
        server.wait_ready()
        wait_until_all_hold(spare)
        callers = Callers(server)
        time.sleep(2)
        for _ in range(ROLLBACKS):
            told = roll_back(server, marks[-1][0] if marks else "2")
            followed = told["followed"]
            assert len({one["pid"] for one in followed}) == WORKERS
            assert all(one["version"] == told["to"] and one["seconds"] is not None for one in followed)
            assert told["not_done"] in ([], "")
            marks.append((told["to"], {number: len(made) for number, made in enumerate(callers.attempts)}))
            print(f"to version {told['to']}: " + ", ".join(f"{one['seconds']:.2f} s" for one in followed))
            time.sleep(2)
            wait_until_all_hold(spare)
        attempts = callers.stop()
    finally:
        if callers is not None:
            callers.stop()
        server.process.terminate()
        try:
            server.process.wait(60)
        finally:
            server.process.kill()
    assert server.process.returncode == 0, (tmp_path / "serve.log").read_text()[-2000:]
    assert Counter(attempt.status for attempt in attempts) == {200: len(attempts)}
    for place, (version, counts) in enumerate(marks):
        until = marks[place + 1][1] if place + 1 < len(marks) else None
        for number, made in enumerate(callers.attempts):
            # One may have been on its way when the command ended; the last ones may meet the next rollback.
            later = made[counts[number] + 1 :] if until is None else []
            assert {attempt.answer["model"]["version"] for attempt in later} <= {version}
    subprocess.run(server.command("drain"), env=server.environment, check=True, stdout=subprocess.DEVNULL)
    print(compare(spare, attempts))
    assert {row["model_version"] for row in read(spare, PREDICTIONS)} == {"1", "2"}
    assert state_of(spare.open()).production.version == marks[-1][0]
