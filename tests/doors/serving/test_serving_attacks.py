"""What somebody would try against the door, over real sockets."""

import collections
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL, SIGTERM, getsignal, signal
from typing import Any

import httpx
import pyarrow as pa
import pytest
from served import ROW, TOKEN, Served, Stand, Tokens, example_deployment, serve, site_of
from test_serve_command import PREDICTIONS, Command, running

from conftest import Store, World
from fielded.decisions.rules import CATEGORY_LENGTH, Rules, feature_schema
from fielded.definition import Deployment
from fielded.definition.deployment import Feature
from fielded.definition.serving import Proxy
from fielded.doors.serving import connections
from fielded.doors.serving.logs import LineWriter
from fielded.doors.serving.problems import Problem
from fielded.doors.serving.request_model import RequestModel
from fielded.world.identity.proxy import ProxyAuthenticator
from fielded.world.identity.several import SeveralAuthenticators

BODY = json.dumps(ROW).encode()
SECRET = "a-secret-of-the-proxy"  # noqa: S105 - of these tests
AUTHORIZED = f"Authorization: Bearer {TOKEN}\r\n".encode()
JSON = b"Content-Type: application/json\r\n"
SIZED = b"Content-Length: %d\r\n" % len(BODY)
START = b"POST /score HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return example_deployment(tmp_path_factory.mktemp("deployment"))


@pytest.fixture(scope="module")
def served(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    rows = [{**ROW["features"], "hours": float(hours), "month": 1 + hours % 12} for hours in range(60)]
    background = pa.RecordBatch.from_pylist(rows, schema=feature_schema(deployment.features))
    folder = tmp_path_factory.mktemp("site")
    with serve(deployment, site_of(folder), Stand(deployment, background)) as made:
        yield made


@pytest.fixture(scope="module")
def behind_proxy(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = "env:NOT_READ_HERE"
    proxy = Proxy(addresses=("127.0.0.1/32",), secret=place, roles={"score": ("*",)})
    known = SeveralAuthenticators(proxy=ProxyAuthenticator(proxy, SECRET))
    with serve(deployment, site_of(tmp_path_factory.mktemp("site")), None, known) as made:
        yield made


def sent(served: Served, raw: bytes) -> bytes:
    """What comes for some bytes until the other end closes, or is silent."""
    answer = b""
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as connection:
        connection.sendall(raw)
        try:
            while part := connection.recv(65_536):
                answer += part
        except (ConnectionResetError, TimeoutError):
            pass
    return answer


def chunked(fields: bytes, trailers: bytes, connection: bytes = b"close") -> bytes:
    head = START + JSON + fields + b"Transfer-Encoding: chunked\r\nConnection: " + connection + b"\r\n\r\n"
    return head + b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n" + trailers + b"\r\n"


def wait_until(seen: Callable[[], Any], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if seen():
            return
        time.sleep(0.01)
    raise AssertionError("did not come about")


def test_a_token_after_the_body_is_no_token(served: Served) -> None:
    before = len(served.stand.requests)
    assert sent(served, chunked(b"", AUTHORIZED)).startswith(b"HTTP/1.1 401 ")
    assert len(served.stand.requests) == before
    assert sent(served, chunked(AUTHORIZED, b"")).startswith(b"HTTP/1.1 200 ")
    # nor of the next request on the connection
    both = (
        chunked(AUTHORIZED, AUTHORIZED, b"keep-alive") + START + JSON + SIZED + b"Connection: close\r\n\r\n" + BODY
    )
    assert b"HTTP/1.1 401 " in sent(served, both)


@pytest.mark.parametrize(
    ("head", "trailers"),
    [
        (b"", b"Fielded-Proxy-Secret: %b\r\nX-SSL-Client-Verify: SUCCESS\r\nX-SSL-Client-S-DN: CN=admin\r\n"),
        (b"Fielded-Proxy-Secret: %b\r\n", b"X-SSL-Client-Verify: SUCCESS\r\nX-SSL-Client-S-DN: CN=admin\r\n"),
        (
            b"Fielded-Proxy-Secret: %b\r\nX-SSL-Client-Verify: SUCCESS\r\n",
            b"X-SSL-Client-S-DN: CN=admin\r\n",
        ),
    ],
)
def test_a_certificate_told_after_the_body_is_none(behind_proxy: Served, head: bytes, trailers: bytes) -> None:
    raw = chunked(head.replace(b"%b", SECRET.encode()), trailers.replace(b"%b", SECRET.encode()))
    assert sent(behind_proxy, raw).startswith(b"HTTP/1.1 401 ")
    assert behind_proxy.stand.requests == []


def test_an_address_told_after_the_body_is_not_believed(behind_proxy: Served) -> None:
    head = (
        f"Fielded-Proxy-Secret: {SECRET}\r\nX-SSL-Client-Verify: SUCCESS\r\nX-SSL-Client-S-DN: CN=real\r\n"
        "X-Forwarded-For: 203.0.113.9\r\n"
    ).encode()
    raw = chunked(head, b"X-Forwarded-For: 10.0.0.1\r\nX-SSL-Client-S-DN: CN=admin\r\n")
    assert sent(behind_proxy, raw).startswith(b"HTTP/1.1 200 ")
    request = behind_proxy.stand.requests.pop()
    assert (request.requested_by, request.client_address) == ("cert:CN=real", "203.0.113.9")


def test_trailers_have_a_bound_too(served: Served) -> None:
    endless = chunked(AUTHORIZED, b"X: 1\r\n" * 200_000, b"keep-alive")
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as connection:
        try:
            connection.sendall(endless)
            while connection.recv(65_536):
                pass
        except OSError:
            pass
    assert served.client.get("/health/live").status_code == 200


@pytest.mark.parametrize("fields", [b"a:\r\n" * 101, b"a: b\r\n" * 60_000, b"X: " + b"x" * 33_000 + b"\r\n"])
def test_a_head_of_too_much_is_431_whether_in_one_piece_or_not(served: Served, fields: bytes) -> None:
    begun = time.monotonic()
    answer = sent(served, START + fields + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ") or not answer  # a client that still sends may meet a reset
    assert time.monotonic() - begun < 2
    assert sent(served, START + b"a:\r\n" * 90 + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 401 ")


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"


def test_an_offer_of_another_protocol_is_passed_over_and_the_body_kept(served: Served) -> None:
    whole = START + UPGRADE + AUTHORIZED + JSON + SIZED + b"\r\n" + BODY
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as connection:
        for pieces in ([whole], [whole[:-50], whole[-50:]], [whole[:40], whole[40:-1], whole[-1:]]):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.02)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")  # and the connection goes on
    body = chunked(UPGRADE.partition(b"\r\n")[2] + AUTHORIZED, b"", b"upgrade")
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as connection:
        connection.sendall(body)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
    assert sent(served, START + b"Connection: upgrade, close\r\nUpgrade: x\r\n\r\n").startswith(b"HTTP/1.1 401 ")
    assert sent(served, b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_empty_lines_after_a_request_buy_no_time(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ARRIVAL_SECONDS", 0.5)
    with serve(deployment, site_of(tmp_path)) as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=5) as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
            begun = time.monotonic()
            try:
                while time.monotonic() - begun < 3:
                    connection.sendall(b"\r\n")
                    time.sleep(0.1)
            except OSError:
                pass
            assert time.monotonic() - begun < 2
        assert served.client.get("/health/live").status_code == 200


def test_more_connections_than_are_held_are_turned_away(deployment: Deployment, tmp_path: Path) -> None:
    with serve(deployment, site_of(tmp_path, max_in_flight=1)) as served:
        most = connections.most_connections(1)
        held = [socket.create_connection(("127.0.0.1", served.port), timeout=5) for _ in range(most)]
        wait_until(lambda: len(served.server.server_state.connections) >= most)
        with socket.create_connection(("127.0.0.1", served.port), timeout=5) as one_more:
            assert one_more.recv(65_536).startswith(b"HTTP/1.1 503 ")
        for connection in held:
            connection.close()
        wait_until(lambda: len(served.server.server_state.connections) < most)
        assert served.client.post("/score", json=ROW).status_code == 200


def test_explanations_have_their_bound_before_anything_is_scored(served: Served) -> None:
    served.stand.requests.clear()
    served.stand.gate.clear()
    statuses: list[int] = []

    def ask() -> None:
        url, headers = f"http://127.0.0.1:{served.port}", {"Authorization": f"Bearer {TOKEN}"}
        statuses.append(httpx.post(f"{url}/score?explain=true", json=ROW, headers=headers, timeout=60).status_code)

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(statuses) == 16)  # while not one is scored
    served.stand.gate.set()
    for thread in threads:
        thread.join()
    assert collections.Counter(statuses) == {200: 8, 503: 16}
    assert len(served.stand.requests) == 8
    assert served.client.post("/score?explain=true", json=ROW).status_code == 200


def test_only_score_explains_and_says_so(served: Served) -> None:
    response = served.client.post("/score/batch?explain=true", json={"rows": [ROW]})
    assert response.status_code == 422
    assert "/score" in response.json()["errors"][0]["expected"]


def test_a_good_caller_is_answered_while_unknown_keys_wait(deployment: Deployment, tmp_path: Path) -> None:
    class Silent(Tokens):
        def refresh(self, *, force: bool = False) -> bool:
            if force:
                silent.wait(10)
            return False

    silent = threading.Event()
    with serve(deployment, site_of(tmp_path, max_in_flight=8), authenticator=Silent()) as served:
        unknown = START + b"Authorization: Bearer new-key\r\n" + JSON + SIZED + b"\r\n" + BODY
        waiting = [socket.create_connection(("127.0.0.1", served.port), timeout=5) for _ in range(64)]
        for connection in waiting:
            connection.sendall(unknown)
        refused = lambda: [line for line in served.lines() if line.get("reason") == "unknown_key"]  # noqa: E731
        wait_until(lambda: len(refused()) == 48)
        assert served.client.post("/score", json=ROW).status_code == 200
        silent.set()
        wait_until(lambda: len(refused()) == 64)
        for connection in waiting:
            connection.close()


def test_rows_in_flight_have_a_bound(deployment: Deployment, tmp_path: Path) -> None:
    with serve(deployment, site_of(tmp_path, max_batch_rows=10, max_waiting_rows=15)) as served:
        served.stand.gate.clear()
        first: list[int] = []
        batch = {"rows": [ROW] * 10}

        def ask() -> None:
            first.append(served.client.post("/score/batch", json=batch).status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: served.stand.requests)
        response = served.client.post("/score/batch", json=batch)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert len(served.stand.requests) == 1
        served.stand.gate.set()
        asking.join()
        assert first == [200]
        assert served.client.post("/score/batch", json=batch).status_code == 200


def test_the_receipt_names_the_last_row(served: Served) -> None:
    response = served.client.post("/score/batch", json={"rows": [ROW] * 3})
    assert response.headers["fielded-receipt"] == f"j/3/{2:064x}"
    wait_until(lambda: (served.last()["journal"], served.last()["sequence"]) == ("j", 3))
    assert served.last()["chain"] == f"{2:064x}"
    assert "fielded-receipt" not in served.client.get("/health/live").headers
    assert "fielded-receipt" not in served.client.post("/score", json={}).headers


FEATURES = {"hours": Feature(type="float", min=0), "kind": Feature(type="category")}


@pytest.mark.parametrize(
    "body",
    [
        {"subject": "x", "features": {f"a{place}": 0 for place in range(88_000)}},
        {"rows": [{"subject": "x", "features": {f"a{place}": 0 for place in range(150)}}] * 500},
        {"rows": [{f"a{place}": 0 for place in range(150)}] * 500},
        {f"a{place}": 0 for place in range(88_000)},
    ],
)
def test_a_body_of_errors_alone_is_refused_soon(body: dict[str, Any]) -> None:
    model = RequestModel(FEATURES, 500)
    encoded = json.dumps(body, separators=(",", ":")).encode()
    read = model.many if "rows" in body else model.one
    with pytest.raises(Problem) as caught:
        read(encoded)
    assert len(caught.value.errors) == 100
    assert {error.got for error in caught.value.errors} == {"an unknown field"}
    assert seconds_of(lambda: read(encoded)) < 20 * seconds_of(lambda: json.loads(encoded))


def seconds_of(read: Callable[[], object]) -> float:
    """What a thing costs this thread, at best, whether it is refused or not."""
    costs = []
    for _ in range(5):
        begun = time.thread_time()
        with suppress(Problem):
            read()
        costs.append(time.thread_time() - begun)
    return min(costs)


def test_rows_that_are_wrong_in_every_place_are_refused_soon_and_by_name() -> None:
    features = {f"f{place}": Feature(type="float") for place in range(60)}
    model = RequestModel(features, 500)
    bad = {"rows": [{"subject": "x", "features": {name: [] for name in features}}] * 500}
    with pytest.raises(Problem) as caught:
        model.many(json.dumps(bad).encode())
    assert [error.field for error in caught.value.errors[:2]] == ["rows[0].features.f0", "rows[0].features.f1"]
    assert caught.value.errors[60].field == "rows[1].features.f0"
    good = {"rows": [{"subject": ":" * 200, "features": dict.fromkeys(features, 1.5)}] * 500}
    assert len(model.many(json.dumps(good).encode())) == 500  # colons in a text are no fields
    refused, taken = (json.dumps(body).encode() for body in (bad, good))
    assert seconds_of(lambda: model.many(refused)) < 5 * seconds_of(lambda: model.many(taken))


@pytest.mark.parametrize("letter", ["a", "é", "\U0001f600"])
@pytest.mark.parametrize("length", [CATEGORY_LENGTH, CATEGORY_LENGTH + 1])
def test_a_category_has_as_many_characters_here_as_in_a_batch(letter: str, length: int) -> None:
    value = letter * length
    for rule in (Feature(type="category"), Feature(type="category", values=("x", value), unseen="quarantine")):
        batch = pa.RecordBatch.from_arrays([pa.array(["WO-1"]), pa.array([value])], names=["subject", "x"])
        parted = Rules("subject", {"x": rule}, pa.array([], pa.string())).apply(batch)
        body = json.dumps({"subject": "WO-1", "features": {"x": value}}).encode()
        try:
            taken = RequestModel({"x": rule}, 1).one(body).features == (value,)
        except Problem:
            taken = False
        assert taken is (parted.features.num_rows == 1) is (length == CATEGORY_LENGTH)


def test_metrics_of_a_production_site_always_need_the_role(deployment: Deployment, tmp_path: Path) -> None:
    with serve(deployment, site_of(tmp_path, environment="production")) as served:
        assert httpx.get(f"http://127.0.0.1:{served.port}/metrics").status_code == 401
        assert served.client.get("/metrics").status_code == 200


def test_a_registry_and_a_ledger_that_hang_do_not_hold_up_a_stop(deployment: Deployment, tmp_path: Path) -> None:
    hanging = threading.Event()
    stand = Stand(deployment, follows=lambda: hanging.wait(60))
    stand.drain_once = lambda: hanging.wait(60)  # type: ignore[method-assign, assignment, return-value]
    with serve(deployment, site_of(tmp_path, alias_seconds=0.1, stop_seconds=1), stand) as served:
        time.sleep(0.5)
        begun = time.monotonic()
        served.server.should_exit = True
        wait_until(lambda: any(line["event"] == "stopped" for line in served.lines()))
        assert time.monotonic() - begun < 3
        assert stand.closed
        assert any(line["event"] == "not drained" for line in served.lines())
    hanging.set()


def test_a_stop_drains_once_after_the_journal_was_let_go(deployment: Deployment, tmp_path: Path) -> None:
    order: list[str] = []

    class Ordered(Stand):
        def drain_once(self) -> Any:
            order.append("drain")
            return super().drain_once()

        def close(self) -> None:
            order.append("close")
            super().close()

    with serve(deployment, site_of(tmp_path), Ordered(deployment)):
        pass
    assert order == ["close", "drain"]


def test_lines_of_four_processes_on_one_pipe_stay_whole() -> None:
    script = (
        "import json, sys\n"
        "from fielded.doors.serving.logs import LineWriter\n"
        "writer = LineWriter(sys.stdout)\n"
        "for place in range(4000):\n"
        "    size = 9000 if place % 500 == 0 else place % 700\n"
        "    writer.write(json.dumps({'level': 'info', 'event': 'x', 'place': place, 'text': 'x' * size}))\n"
        "writer.close(30)\n"
    )
    read, write = os.pipe()
    processes = [subprocess.Popen([sys.executable, "-c", script], stdout=write) for _ in range(4)]
    os.close(write)
    with os.fdopen(read) as stream:
        lines = [json.loads(line) for line in stream]
    assert [process.wait() for process in processes] == [0] * 4
    assert collections.Counter(line["place"] for line in lines) == dict.fromkeys(range(4000), 4)
    assert sum("cut" in line for line in lines) == 4 * 8


def test_a_log_reader_that_has_stopped_reading_holds_nothing_up() -> None:
    read, write = os.pipe()
    with os.fdopen(read) as reader, os.fdopen(write, "w") as stream:
        writer = LineWriter(stream)
        for place in range(5000):
            writer.write(json.dumps({"place": place, "text": "x" * 100}))
        begun = time.monotonic()
        assert not writer.flush(0.3)
        writer.close(0.3)
        assert time.monotonic() - begun < 2
        places: list[int] = []
        while len(places) < 5000:
            places.append(json.loads(reader.readline())["place"])
        assert places == list(range(5000))


def test_what_scores_having_ended_is_not_live(deployment: Deployment, tmp_path: Path) -> None:
    told: list[int] = []
    before = getsignal(SIGTERM)
    signal(SIGTERM, lambda number, _frame: told.append(number))
    try:
        with serve(deployment, site_of(tmp_path)) as served:
            assert served.client.get("/health/live").json() == {"status": "live"}
            served.stand.alive = False
            response = served.client.get("/health/live")
            assert (response.status_code, response.json()) == (503, {"status": "not live"})
            assert served.client.get("/v2/health/live").status_code == 503
            wait_until(lambda: told)
            assert any(line["event"] == "scoring ended" for line in served.lines())
    finally:
        signal(SIGTERM, before)


def workers_of(command: Command) -> list[int]:
    process = command.process.pid
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_a_worker_that_cannot_start_again_leaves_the_others_and_comes_back(
    world: World, store: Store, tmp_path: Path
) -> None:
    registry = tmp_path / "registry.db"
    shutil.copy(store.uri.removeprefix("sqlite:///"), registry)
    world.site = replace(world.site, tracking_uri=f"sqlite:///{registry}")

    def rename_alias(old: str, new: str) -> None:
        with closing(sqlite3.connect(registry, timeout=30)) as database, database:
            database.execute("UPDATE registered_model_aliases SET alias = ? WHERE alias = ?", (new, old))

    with running(world, workers=2) as command, command.client() as client:
        rename_alias("production", "away")
        os.kill(workers_of(command)[0], SIGKILL)
        command.wait_for("start failed", count=2)
        for _ in range(20):
            assert client.post("/score", json=ROW).status_code == 200
        told = [line["message"] for line in command.lines if line.get("logger") == "fielded.supervisor"]
        assert [text.partition("starts in ")[2] for text in told[:2]] == ["1 s", "2 s"]
        rename_alias("away", "production")
        command.wait_for("serving", count=3)
        assert len(workers_of(command)) == 2
        assert client.post("/score", json=ROW).status_code == 200
        command.process.send_signal(SIGTERM)
        assert command.ended() == 0


def test_the_receipt_of_a_row_is_what_the_ledger_holds(world: World) -> None:
    with running(world) as command, command.client() as client:
        response = client.post("/score", json=ROW)
        journal, sequence, chain = response.headers["fielded-receipt"].split("/")
        command.process.send_signal(SIGTERM)
        assert command.ended() == 0
    (row,) = world.rows(PREDICTIONS)  # drained when it stopped
    assert (row["journal"], row["journal_sequence"], row["chain"]) == (journal, int(sequence), chain)
    (line,) = [line for line in command.lines if line["event"] == "request"]
    assert (line["journal"], line["sequence"], line["chain"]) == (journal, int(sequence), chain)


def test_a_notice_is_wrapped_and_not_cut(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with running(world) as command:
        pass
    told = " ".join("".join(letter for letter in line if letter not in "│╭╮╰╯─") for line in command.told)
    assert "must not be reachable by anybody else" in " ".join(told.split())
