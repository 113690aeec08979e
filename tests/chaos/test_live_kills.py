"""SIGKILL of workers and drains while requests come in: what was answered is in the ledger, once, and sealed.

Callers keep asking, each attempt about a subject of its own, and write down what they were told. Meanwhile
workers of `fielded serve` and processes of `fielded drain` are killed at random moments. At the end everything is
drained, and the ledger, read with deltalake alone, is compared with what the callers wrote down. `make chaos`
makes 200 kills; a plain test run a few.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from books import PREDICTIONS, bits, read
from conftest import World
from fielded.services.verify import verify

KILLS = int(os.environ.get("CHAOS_LIVE_KILLS", "4"))
CALLERS = 16
PATIENCE = 240  # seconds for an answer: both workers may be being born, on a machine with other work
TOKEN = "token-of-a-development-site"  # noqa: S105 - only this test's server takes it

SITE = """\
root: {root}
tracking_uri: {tracking_uri}
artifact_root: {artifact_root}
cache: {cache}
journal_url: {journal_url}
signing_key: {signing_key}
identity: {{development_token: env:CHAOS_TOKEN}}
api: {{workers: 2, drain_seconds: 0.7, stop_seconds: 20}}
"""


@dataclass
class Attempt:
    """One request, and what its caller was told: None where no answer came."""

    subject: str
    hours: float
    status: int | None = None
    answer: dict = field(default_factory=dict)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`fielded serve` with two workers."""

    def __init__(self, world: World, log: Path) -> None:
        self.log = log
        self.port = free_port()
        self._world = world
        self._site = world.folder / "site.yaml"
        names = ("root", "tracking_uri", "artifact_root", "cache", "journal_url", "signing_key")
        self._site.write_text(SITE.format(**{name: getattr(world.site, name) for name in names}))
        self.environment = {**os.environ, "CHAOS_TOKEN": TOKEN}
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                self.command("serve", "--port", str(self.port)), env=self.environment, stdout=sink, stderr=sink
            )

    def command(self, *words: str) -> list[str]:
        command, *options = words
        place = ["-d", str(self._world.folder), "--site", str(self._site)]
        return [sys.executable, "-c", "from fielded.doors.cli import main; main()", command, *place, *options]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def wait_ready(self, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if httpx.get(self.url("/health/ready"), timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert self.process.poll() is None, "the server ended"
            time.sleep(0.1)
        raise AssertionError("not ready in time")

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        alive = []
        for child in children:
            with suppress(FileNotFoundError, ProcessLookupError):  # it ended in this moment
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    alive.append(int(child))
        return alive


class Callers:
    """Ask without end; each attempt is written down before it is sent."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.attempts: list[list[Attempt]] = [[] for _ in range(CALLERS)]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> list[Attempt]:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return [attempt for attempts in self.attempts for attempt in attempts]

    def answered(self) -> int:
        return sum(attempt.status == 200 for attempts in self.attempts for attempt in list(attempts))

    def _call(self, number: int) -> None:
        chance = random.Random(number)
        client: httpx.Client | None = None
        while not self._stop.is_set():
            attempt = Attempt(f"S-{number}-{len(self.attempts[number])}", chance.lognormvariate(3, 1))
            self.attempts[number].append(attempt)
            features = {"hours": attempt.hours, "age": None, "earlier": 2, "month": 5, "kind": "radar"}
            try:
                client = client or httpx.Client(timeout=20, headers={"Authorization": f"Bearer {TOKEN}"})
                response = client.post(
                    self._server.url("/score"), json={"subject": attempt.subject, "features": features}
                )
                attempt.answer = response.json()
                attempt.status = response.status_code
            except httpx.HTTPError:  # the worker died, or nobody listens just now
                if client is not None:
                    client.close()
                client = None
                time.sleep(0.02)
        if client is not None:
            client.close()


def compare(world: World, attempts: list[Attempt]) -> str:
    """The ledger against what the callers wrote down; in words, for the run's record."""
    rows = [row for row in read(world, PREDICTIONS) if row["channel"] == "api"]
    by_id = {row["request_id"]: row for row in rows}
    assert len(by_id) == len(rows), "a row is in the ledger twice"
    sent = {attempt.subject: attempt for attempt in attempts}
    answered = [attempt for attempt in attempts if attempt.status == 200]
    for attempt in answered:
        row = by_id[attempt.answer["request_id"]]
        assert row["subject"] == attempt.subject == attempt.answer["subject"]
        assert bits(row["score"]) == bits(attempt.answer["score"])
        assert bits(row["features"]["hours"]) == bits(attempt.hours)
        assert row["requested_by"] == "development"
    subjects = Counter(row["subject"] for row in rows)
    assert max(subjects.values()) == 1, "one attempt has two rows"
    assert set(subjects) <= set(sent), "a row that nobody asked for"
    unanswered = [sent[subject] for subject in subjects if sent[subject].status != 200]
    refused = [attempt for attempt in unanswered if attempt.status is not None]
    assert not [attempt for attempt in refused if attempt.status != 503], "a refused request has a row"
    open_ended = sum(attempt.status is None for attempt in attempts)
    assert len(unanswered) <= open_ended + len(refused)
    return (
        f"{len(attempts)} attempts, {len(answered)} answered, {len(rows)} rows; {len(unanswered)} rows whose "
        f"caller's connection died before the answer, of {open_ended} such attempts"
    )


@pytest.mark.chaos
def test_workers_and_drains_killed_under_load(world: World, tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(10**9))))
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = Server(world, tmp_path / "serve.log")
    drains = 0
    callers: Callers | None = None
    try:
        server.wait_ready()
        callers = Callers(server)
        landed = 0
        while landed < KILLS:
            before = callers.answered()
            end = time.monotonic() + PATIENCE
            while callers.answered() < before + chance.randrange(20, 400) and time.monotonic() < end:
                time.sleep(0.01)
            assert callers.answered() > before, f"no answer for {PATIENCE} s:\n{server.log.read_text()[-3000:]}"
            if chance.random() < 0.35:
                drain = subprocess.Popen(
                    server.command("drain"),
                    env=server.environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
                time.sleep(chance.uniform(0.5, 6))  # imports take some seconds
                alive = drain.poll() is None
                drain.kill()
                drain.communicate()
                landed += alive
                drains += alive
            elif workers := server.workers():
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(workers), signal.SIGKILL)
                    landed += 1
            if landed % 10 == 0:
                print(f"{landed} kills ({drains} of drains), {callers.answered()} answered", flush=True)
        server.wait_ready()
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
    subprocess.run(server.command("drain"), env=server.environment, check=True, stdout=subprocess.DEVNULL)
    print(f"{landed} kills, {drains} of them of drains: {compare(world, attempts)}")
    report = verify(replace(world.open(), clock=lambda: datetime.now(UTC)))
    assert not report.findings, report.findings
