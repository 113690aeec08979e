"""Callers count whatever is not a score as a failure, by what it was."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fielded.world.callers import Callers, Load

SCORE = {"request_id": "id", "score": 0.25, "model": {"version": "3"}}


@contextmanager
def service(status: int, body: bytes, *, hang_up: bool = False) -> Iterator[tuple[str, int]]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Authorization"] == "Bearer a-token"
            if hang_up:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield ("127.0.0.1", server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(address: tuple[str, int], count: int = 2) -> Load:
    with Callers(address, "a-token", [b"{}"], count) as callers:
        time.sleep(0.2)
        return callers.stop()


def test_scores_are_written_down_with_version_and_request_id() -> None:
    with service(200, json.dumps(SCORE).encode()) as address:
        load = ask(address)
    assert load.answers
    assert not load.failures
    assert load.requests == len(load.answers)
    assert {(one.request_id, one.version) for one in load.answers} == {("id", "3")}
    assert all(one.asked <= one.at for one in load.answers)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (503, b"{}", "503"),
        (401, b"", "401"),
        (200, b"not json", "JSONDecodeError"),
        (200, b"[]", "an answer without a score"),
        (200, json.dumps({**SCORE, "score": None}).encode(), "an answer without a score"),
        (200, json.dumps({**SCORE, "model": {}}).encode(), "an answer without a score"),
    ],
)
def test_whatever_is_no_score_is_a_failure(status: int, body: bytes, told: str) -> None:
    with service(status, body) as address:
        load = ask(address)
    assert not load.answers
    assert set(load.failures) == {told}
    assert load.requests == load.failures[told] > 0


def test_a_connection_that_is_cut_and_one_that_is_not_taken_are_failures() -> None:
    with service(200, b"", hang_up=True) as address:
        assert set(ask(address).failures) == {"RemoteDisconnected"}
    assert set(ask(address).failures) == {"ConnectionRefusedError"}
