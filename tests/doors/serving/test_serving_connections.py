import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import ROW, TOKEN, Served, example_deployment, serve, site_of

from fielded.doors.serving import connections

BODY = json.dumps(ROW).encode()
HEAD = (
    f"POST /score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(BODY)}\r\n"
).encode()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(connections, "ARRIVAL_SECONDS", 0.4)
    with serve(example_deployment(tmp_path), site_of(tmp_path)) as made:
        yield made


def connect(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=5)


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other end closes."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def test_a_request_in_small_pieces_is_answered(served: Served) -> None:
    with connect(served) as connection:
        whole = HEAD + b"Connection: close\r\n\r\n" + BODY
        for start in range(0, len(whole), 50):
            connection.sendall(whole[start : start + 50])
            time.sleep(0.005)
        assert all_of(connection).startswith(b"HTTP/1.1 200 ")


def test_two_requests_on_one_connection_have_each_their_time(served: Served) -> None:
    with connect(served) as connection:
        for _ in range(3):
            connection.sendall(HEAD + b"\r\n" + BODY)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.25)


@pytest.mark.parametrize("sent", [b"", b"POST /sco", HEAD, HEAD + b"\r\n", HEAD + b"\r\n" + BODY[:-1]])
def test_a_request_that_never_ends_is_closed(served: Served, sent: bytes) -> None:
    with connect(served) as connection:
        connection.sendall(sent)
        before = time.monotonic()
        assert b"200" not in all_of(connection)
        assert time.monotonic() - before < 3
    assert served.client.post("/score", json=ROW).status_code == 200


def test_dripping_a_request_buys_no_time(served: Served) -> None:
    with connect(served) as connection:
        before = time.monotonic()
        try:
            for byte in HEAD * 10:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert time.monotonic() - before < 3


@pytest.mark.parametrize("line", [b"X-Much: " + b"x" * 60_000, b"X-Much: 1\r\n" * 6_000])
def test_a_head_that_is_too_large_is_431(served: Served, line: bytes) -> None:
    with connect(served) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\n" + line)
        answer = all_of(connection)
    assert answer.startswith(b"HTTP/1.1 431 ") or not answer  # a client that still sends may meet a reset
    assert served.client.get("/health/live").status_code == 200


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01", b"SECRET-MARK /x\r\n\r\n", b"GET \xff\xfe HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_is_a_problem_too(served: Served, sent: bytes) -> None:
    with connect(served) as connection:
        connection.sendall(sent)
        answer = all_of(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    assert b"MARK" not in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 400
