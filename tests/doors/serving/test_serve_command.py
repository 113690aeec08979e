"""`fielded serve` as a process: real model, real journal, real ledger."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from served import ROW

from conftest import Spare, World
from fielded.services.drain import drain

TOKEN = "token-of-a-development-site"  # noqa: S105 - only these servers take it
PREDICTIONS = "ledger.overrun.predictions"


@dataclass
class Command:
    """A running `fielded serve`."""

    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._threads = [
            threading.Thread(target=lambda: [self.lines.append(json.loads(line)) for line in self.process.stdout]),
            threading.Thread(target=lambda: [self.told.append(line) for line in self.process.stderr]),
        ]
        for thread in self._threads:
            thread.start()

    def wait_for(self, event: str, *, count: int = 1, seconds: float = 60) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = [line for line in self.lines if line["event"] == event]
            if len(found) >= count:
                return found[-1]
            assert self.process.poll() is None, self.told
            time.sleep(0.05)
        raise AssertionError(f"no {event} in {self.lines}")

    def client(self) -> httpx.Client:
        url, headers = self.wait_for("listening")["url"], {"authorization": f"Bearer {TOKEN}"}
        # One of these servers has a certificate that it signed itself.
        return httpx.Client(base_url=url, headers=headers, timeout=30, verify=False)  # noqa: S501

    def ended(self) -> int:
        code = self.process.wait(60)
        for thread in self._threads:
            thread.join()
        return code


def arguments(world: World, site: str, *options: str) -> list[str]:
    names = ("root", "tracking_uri", "artifact_root", "cache", "journal_url", "signing_key")
    held = "".join(f"{name}: {getattr(world.site, name)}\n" for name in names)
    file = world.folder / "site.yaml"
    file.write_text(f"{held}{site}\n")
    start = [sys.executable, "-c", "from fielded.doors.cli import main; main()", "serve"]
    return [*start, "-d", str(world.folder), "--site", str(file), "--port", "0", *options]


@contextmanager
def running(world: World, *options: str, site: str = "", workers: int = 1) -> Iterator[Command]:
    site = site or "identity: {development_token: env:SERVE_TOKEN}"
    process = subprocess.Popen(
        arguments(world, site, "--workers", str(workers), *options),
        env={**os.environ, "SERVE_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    command = Command(process)
    try:
        command.wait_for("serving", count=workers)
        yield command
    finally:
        process.kill()
        command.ended()
        process.stdout.close()
        process.stderr.close()


def test_what_was_answered_is_in_the_ledger_to_the_last_bit(world: World) -> None:
    with running(world) as command, command.client() as client:
        single = client.post("/score", json=ROW).json()
        rows = [{**ROW, "subject": f"WO-{place}"} for place in range(7)]
        batch = client.post("/score/batch", json={"rows": rows}).json()["predictions"]
        explained = client.post("/score?explain=true", json=ROW).json()
        parts = explained["explanation"]
        assert parts["base"] + sum(parts["contributions"].values()) == pytest.approx(explained["score"], abs=1e-12)
        assert client.get("/health/ready").status_code == 200
        command.process.send_signal(signal.SIGTERM)
        assert command.ended() == 0
    assert any("A STATIC TOKEN" in line for line in command.told)
    assert command.lines[0]["event"] == "notice"
    drain(world.open())
    ledger = {row["request_id"]: row for row in world.rows(PREDICTIONS)}
    assert len(ledger) == 9
    for answer in (single, *batch, explained):
        row = ledger[answer["request_id"]]
        assert row["subject"] == answer["subject"]
        assert struct.pack(">d", row["score"]) == struct.pack(">d", answer["score"])
        assert (row["channel"], row["requested_by"], row["client_address"]) == ("api", "development", "127.0.0.1")
        assert row["model_version"] == answer["model"]["version"]
    assert not any("WO-" in json.dumps(line) or TOKEN in json.dumps(line) for line in command.lines)


def test_a_stop_under_load_leaves_no_accepted_request_unanswered(world: World) -> None:
    answered: list[str] = []
    broken: list[str] = []

    def ask(url: str, number: int) -> None:
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30) as client:
            for attempt in range(10_000):
                try:
                    response = client.post("/score", json={**ROW, "subject": f"S-{number}-{attempt}"})
                except httpx.ConnectError:
                    return  # it no longer listens
                except httpx.HTTPError as error:
                    broken.append(type(error).__name__)
                    return
                assert response.status_code == 200
                answered.append(response.json()["request_id"])

    with running(world, "--json") as command:
        url = command.wait_for("listening")["url"]
        threads = [threading.Thread(target=ask, args=(url, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        command.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert command.ended() == 0
    assert command.told == []
    # A keep-alive connection may be closed in the moment that its next request is on the way.
    assert set(broken) <= {"RemoteProtocolError", "ReadError", "WriteError"}
    drain(world.open())
    held = [row["request_id"] for row in world.rows(PREDICTIONS)]
    assert len(answered) > 20
    assert set(answered) <= set(held)
    assert len(held) == len(set(held))


def test_a_moved_alias_is_followed_without_dropping_a_request(spare: Spare) -> None:
    site = "identity: {development_token: env:SERVE_TOKEN}\napi: {alias_seconds: 0.2}"
    with running(spare, site=site) as command, command.client() as client:
        versions = [client.post("/score", json=ROW).json()["model"]["version"]]
        spare.store.client.set_registered_model_alias(spare.model, "production", "1")
        end = time.monotonic() + 30
        while versions[-1] == "2" and time.monotonic() < end:
            response = client.post("/score", json=ROW)
            assert response.status_code == 200
            versions.append(response.json()["model"]["version"])
        assert versions[-1] == "1"
        assert command.wait_for("alias followed")["version"] == "1"


def test_two_workers_share_a_port_and_their_numbers_and_one_that_dies_is_replaced(world: World) -> None:
    with running(world, workers=2) as command:
        url = command.wait_for("listening")["url"]
        headers = {"authorization": f"Bearer {TOKEN}"}
        for _ in range(60):  # each on a connection of its own, so that both workers get some
            assert httpx.post(f"{url}/score", json=ROW, headers=headers).status_code == 200
        time.sleep(2.5)  # counters are handed on about once a second
        children = Path(f"/proc/{command.process.pid}/task/{command.process.pid}/children").read_text().split()
        workers = [
            int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]
        assert len(workers) == 2
        label = 'fielded_http_requests_total{method="POST",route="/score",status="200"}'
        text = httpx.get(f"{url}/metrics").text
        assert f"{label} 60.0" in text
        os.kill(workers[0], signal.SIGKILL)
        command.wait_for("serving", count=3)
        assert httpx.post(f"{url}/score", json=ROW, headers=headers).status_code == 200
        assert "fielded_model_info" in httpx.get(f"{url}/metrics").text
        command.process.send_signal(signal.SIGTERM)
        assert command.ended() == 0
    drain(world.open())
    assert len(world.rows(PREDICTIONS)) == 61


def test_tls_is_spoken_where_the_site_has_a_certificate(world: World, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    site = (
        "identity: {development_token: env:SERVE_TOKEN}\n"
        f"api: {{tls_certificate: {certificate}, tls_key: {key}}}"
    )
    with running(world, site=site) as command, command.client() as client:
        assert command.wait_for("listening")["url"].startswith("https://")
        assert client.post("/score", json=ROW).status_code == 200


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "tls.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "tls.pem", folder / "tls.key"


def run(world: World, site: str, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SERVE_TOKEN": TOKEN}
    return subprocess.run(
        arguments(world, site, *options), env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_what_cannot_be_served_is_told_before_anything_starts(world: World, tmp_path: Path) -> None:
    known = "identity: {development_token: env:SERVE_TOKEN}"
    nobody = run(world, "api: {workers: 1}")
    assert (nobody.returncode, "identity" in nobody.stderr) == (2, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = run(world, known, "--port", str(port))
    assert (busy.returncode, f"127.0.0.1:{port}" in busy.stderr) == (3, True)
    (tmp_path / "x.pem").write_text("no key")
    tls = run(world, f"{known}\napi: {{tls_certificate: {tmp_path}/x.pem, tls_key: {tmp_path}/x.pem}}")
    assert (tls.returncode, "api.tls_certificate" in tls.stderr) == (2, True)
    for result in (nobody, busy, tls):
        assert "Traceback" not in result.stderr + result.stdout


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_version_without_approval_is_not_served(bare: World, workers: str) -> None:
    result = run(bare, "identity: {development_token: env:SERVE_TOKEN}", "--workers", workers)
    assert result.returncode == 3
    assert "approval" in result.stdout
    assert "Traceback" not in result.stderr + result.stdout


def test_a_network_address_without_tls_is_said_loudly(world: World) -> None:
    with running(world, "--host", "0.0.0.0") as command:  # noqa: S104 - what is tested
        notices = [line["message"] for line in command.lines if line["event"] == "notice"]
    assert any("NO TLS" in notice for notice in notices)
