"""A candidate on trial in a real `fielded serve`: asked through its door, by two workers, while it misbehaves."""

import json
import os
import signal
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import ROW
from test_serve_command import TOKEN, Command, arguments, running

from conftest import Spare
from fielded.decisions.release.trial import place_of
from fielded.services.approve import approve as approve_files
from fielded.services.drain import drain
from fielded.services.release.adopt import adopt
from fielded.services.release.record import state_of
from fielded.services.release.trial import end_trial, start_trial
from releases import FIRST, ready

OPERATOR = "os:operator"
PREDICTIONS = "ledger.overrun.predictions"
SITE = "identity: {development_token: env:SERVE_TOKEN}\napi: {drain_seconds: 5}"
pytestmark = pytest.mark.usefixtures("candidate")

PATIENT = {"milliseconds": 30_000.0, "silent_seconds": 600.0}  # of a busy machine

# The interpreter runs this in every process of the server: it makes version 3 behave as the test wants.
MISBEHAVE = """
import os, sys, time
if sys.argv[:1] == ["-c"] and os.environ.get("CANDIDATE"):
    from fielded.decisions import scoring
    score = scoring.Scorer.score
    def misbehave(self, features):
        if self.model_version == "3":
            how, _, number = os.environ["CANDIDATE"].partition(":")
            if how == "sleep":
                time.sleep(float(number))
            elif how == "spin":
                end = time.perf_counter() + float(number)
                while time.perf_counter() < end:
                    pass
            elif how == "end":
                os._exit(int(number))
            elif how == "raise":
                raise SystemExit(3)
        return score(self, features)
    scoring.Scorer.score = misbehave
"""


@pytest.fixture
def candidate(spare: Spare) -> str:
    """Version 3, that may be tried any way; it scores otherwise than version 2, which is in production."""
    version = str(spare.store.client.create_model_version(spare.model, spare.files["1"].as_uri()).version)
    adopt(spare.open(OPERATOR))
    approve_files(spare.open(FIRST), version)
    ready(spare, version)
    assert version == "3"
    return version


def begin(spare: Spare, mode: str, share: float, **limits: float) -> str:
    state = start_trial(spare.open(OPERATOR), "3", mode, share, {**PATIENT, **limits})
    assert state.trial is not None
    return str(state.trial.details["salt"])


@contextmanager
def misbehaving(spare: Spare, tmp_path: Path, how: str) -> Iterator[Command]:
    folder = tmp_path / "misbehave"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(MISBEHAVE)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        patch.setenv("CANDIDATE", how)
        with running(spare, site=SITE, workers=2) as command:
            yield command


def wait_for_trial(spare: Spare, workers: int = 2, seconds: float = 60) -> None:
    """Until every worker has the candidate loaded."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        told = spare.open().journals.serving()
        if len(told) == workers and all(one.trial is not None and one.trial.running for one in told):
            return
        time.sleep(0.1)
    raise AssertionError("a worker does not try the candidate")


def wait_for_end(spare: Spare, seconds: float = 60) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if state_of(spare.open()).trial is None:
            (ended,) = spare.open().ledger.events_of("trial_ended", f"model {spare.model}")
            return dict(ended["details"])
        time.sleep(0.1)
    raise AssertionError("the trial goes on")


def answers(client: httpx.Client, names: list[str]) -> list[dict[str, Any]]:
    found = []
    for name in names:
        response = client.post("/score", json={**ROW, "subject": name}, headers={"connection": "close"})
        assert response.status_code == 200, response.text
        found.append(response.json())
    return found


def metrics(client: httpx.Client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def cli(spare: Spare, *words: str) -> Any:
    done = subprocess.run(
        [*arguments(spare, SITE)[:3], *words, "-d", spare.folder, "--site", spare.folder / "site.yaml", "--json"],
        env={**os.environ, "SERVE_TOKEN": TOKEN}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def stop(command: Command) -> None:
    command.process.send_signal(signal.SIGTERM)
    assert command.ended() == 0, command.told


def test_a_shadow_is_on_record_and_in_no_answer(spare: Spare, candidate: str) -> None:
    begin(spare, "shadow", 1.0)
    names = [f"WO-{number}" for number in range(30)]
    with running(spare, site=SITE, workers=2) as command, command.client() as client:
        wait_for_trial(spare)
        told = answers(client, names)
        many = client.post("/score/batch", json={"rows": [{**ROW, "subject": name} for name in names]}).json()
        told += many["predictions"]
        tensors = [
            {"name": name, "shape": [1], "datatype": kind, "data": [value]}
            for name, kind, value in (
                ("subject", "BYTES", "WO-0"), ("hours", "FP64", 12.5), ("age", "FP64", None),
                ("earlier", "INT64", 3), ("month", "INT64", 7), ("kind", "BYTES", "hull"),
            )
        ]  # fmt: skip
        inferred = client.post(f"/v2/models/{spare.model}/infer", json={"inputs": tensors})
        assert inferred.status_code == 200, inferred.text
        assert inferred.json()["model_version"] == "2"
        told.append(client.post("/score?explain=true", json=ROW).json())
        counted = f'fielded_trial_rows_total{{mode="shadow",model="{spare.model}",outcome="scored",version="3"}}'
        end = time.monotonic() + 30
        while metrics(client).get(counted, 0) < len(told) + 1:
            assert time.monotonic() < end, metrics(client)
            time.sleep(0.2)
        assert not any('version="3"' in name for name in metrics(client) if "fielded_predictions" in name)
        stop(command)
    drain(spare.open())
    rows = spare.rows(PREDICTIONS)
    by_channel = Counter(row["channel"] for row in rows)
    assert by_channel == {"api": len(told) + 1, "shadow": len(told) + 1}
    assert {answer["model"]["version"] for answer in told} == {"2"}
    shadows = {row["request_id"] for row in rows if row["channel"] == "shadow"}
    assert not shadows & {answer["request_id"] for answer in told}
    assert {row["model_version"] for row in rows if row["channel"] == "shadow"} == {candidate}
    found = cli(spare, "audit", "find", "WO-7")
    assert Counter((row["channel"], row["model_version"]) for row in found) == {
        ("api", "2"): 2,
        ("shadow", "3"): 2,
    }
    assert {row["score"] for row in found if row["channel"] == "shadow"}.isdisjoint(
        row["score"] for row in found if row["channel"] == "api"
    )
    assert cli(spare, "audit", "discrepancies") == []
    cli(spare, "audit", "verify")


def test_a_subject_is_on_one_side_in_every_worker_request_and_restart(spare: Spare, candidate: str) -> None:
    salt = begin(spare, "canary", 0.4)
    names = [f"WO-{number}" for number in range(24)]
    side = {name: candidate if place_of(salt, name) < 0.4 else "2" for name in names}
    assert set(side.values()) == {"2", candidate}
    seen: dict[str, set[str]] = {name: set() for name in names}
    for _ in ("before", "after a restart"):
        with running(spare, site=SITE, workers=2) as command:
            wait_for_trial(spare)
            with command.client() as client:
                for _ in range(3):
                    for answer in answers(client, names):
                        seen[answer["subject"]].add(answer["model"]["version"])
                mixed = client.post(
                    "/score/batch", json={"rows": [{**ROW, "subject": name} for name in names * 2]}
                ).json()["predictions"]
                assert [one["subject"] for one in mixed] == names * 2
                for answer in mixed:
                    seen[answer["subject"]].add(answer["model"]["version"])
                explained = client.post("/score?explain=true", json={**ROW, "subject": "WO-1"}).json()
                parts = explained["explanation"]
                assert explained["model"]["version"] == side["WO-1"]
                assert parts["base"] + sum(parts["contributions"].values()) == pytest.approx(explained["score"])
            stop(command)
    assert seen == {name: {version} for name, version in side.items()}
    drain(spare.open())
    rows = spare.rows(PREDICTIONS)
    assert {row["channel"] for row in rows} == {"api"}
    assert {(row["subject"], row["model_version"]) for row in rows} == set(side.items())
    journals = {row["journal"] for row in rows}
    assert len(journals) == 2, "both workers were asked"


def typical(client: httpx.Client, count: int) -> float:
    taken = []
    for number in range(count):
        begun = time.perf_counter()
        assert client.post("/score", json={**ROW, "subject": f"T-{number}"}).status_code == 200
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


@pytest.mark.parametrize("how", ["sleep:0.5", "spin:0.5"])
def test_a_slow_shadow_slows_nobody(spare: Spare, tmp_path: Path, how: str) -> None:
    with misbehaving(spare, tmp_path, how) as command, command.client() as client:
        alone = typical(client, 60)
        begin(spare, "shadow", 1.0, milliseconds=100.0)
        wait_for_trial(spare)
        beside = typical(client, 200)
        print(f"{how}: median {alone * 1000:.1f} ms alone, {beside * 1000:.1f} ms beside one that takes 500 ms")
        assert beside < max(10 * alone, 0.25), "half of what the candidate takes, on a machine with other work"
        stop(command)


@pytest.mark.parametrize("how", ["sleep:0.4", "sleep:3600", "raise:"])
def test_a_canary_that_is_slow_hangs_or_fails_ends_and_no_request_fails(
    spare: Spare, tmp_path: Path, how: str
) -> None:
    with misbehaving(spare, tmp_path, how) as command, command.client() as client:
        begin(spare, "canary", 1.0, milliseconds=200.0 if "sleep" in how else 30_000.0)
        wait_for_trial(spare)
        begun = time.monotonic()
        while state_of(spare.open()).trial is not None:
            assert {answer["model"]["version"] for answer in answers(client, ["WO-1", "WO-2"])} == {"2"}
            assert time.monotonic() - begun < 60
        reason = wait_for_end(spare)["reason"]
        print(f"{how}: ended after {time.monotonic() - begun:.1f} s: {reason}")
        assert reason.startswith("refused: " if how == "raise:" else "late: ")
        assert command.wait_for("trial ended")["message"] == reason
        found = metrics(client)
        assert found["fielded_trials_ended_total"] == 1
        stop(command)


def test_a_candidate_that_ends_its_process_is_tried_once(spare: Spare, tmp_path: Path) -> None:
    with misbehaving(spare, tmp_path, "end:9") as command:
        begin(spare, "canary", 1.0)
        wait_for_trial(spare)
        with command.client() as client, pytest.raises(httpx.HTTPError):
            client.post("/score", json={**ROW, "subject": "last words"})
        ended = wait_for_end(spare)
        assert ended["reason"].startswith("died: got ")
        assert ended["by_itself"] is True
        command.wait_for("serving", count=3)  # the one that died was started again
        with command.client() as client:
            assert {answer["model"]["version"] for answer in answers(client, ["a"] * 20)} == {"2"}
        stop(command)


def test_a_canary_ends_where_a_worker_has_fallen_silent(spare: Spare) -> None:
    with running(spare, site=SITE, workers=2) as command:
        begin(spare, "canary", 1.0, silent_seconds=4.0)
        wait_for_trial(spare)
        with command.client() as client:
            answers(client, ["a", "b"])
        silent, *_ = spare.open().journals.serving()
        os.kill(silent.pid, signal.SIGSTOP)
        begun = time.monotonic()
        try:
            reason = wait_for_end(spare)["reason"]
        finally:
            with suppress(ProcessLookupError):  # a worker that answers no ping is killed after 5 s
                os.kill(silent.pid, signal.SIGCONT)
        print(f"ended after {time.monotonic() - begun:.1f} s: {reason}")
        assert reason.startswith(("metrics are missing: ", "died: "))
        stop(command)


@dataclass
class Load:
    """One caller that never rests."""

    client: httpx.Client
    versions: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.done.is_set():
            try:
                response = self.client.post("/score", json={**ROW, "subject": f"L-{len(self.versions)}"})
                response.raise_for_status()
                self.versions.append(response.json()["model"]["version"])
            except httpx.HTTPError as error:
                self.failures.append(repr(error))


def test_a_trial_is_begun_ended_and_rolled_back_under_load(spare: Spare) -> None:
    with running(spare, site=SITE, workers=2) as command, command.client() as client:
        load = Load(client)
        thread = threading.Thread(target=load.run)
        thread.start()
        try:
            begin(spare, "shadow", 1.0)
            wait_for_trial(spare)
            end_trial(spare.open(OPERATOR), "seen enough")
            begin(spare, "canary", 0.5)
            wait_for_trial(spare)
            time.sleep(1)
            assert set(load.versions[-40:]) == {"2", "3"}
            cli(spare, "rollback", "-m", "a test")
            mark = len(load.versions) + 1
            time.sleep(1)
            assert set(load.versions[mark:]) == {"1"}, "the trial ended with the rollback"
        finally:
            load.done.set()
            thread.join()
        assert load.failures == []
        stop(command)
    assert state_of(spare.open()).trial is None
