"""A sleeping endpoint is woken with patience; one that says no is not waited for. Over real sockets."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice

import pytest

from fielded.services.monitoring.keep_warm import keep_warm, waits, wake
from fielded.words.errors import Unreachable, WrongUse
from fielded.world.endpoints import Endpoint


class Sleeper:
    """A server that gives the statuses it was told, then 200; and keeps what it was asked."""

    def __init__(self, port: int = 0) -> None:
        self.statuses: list[int] = []
        self.asked: list[tuple[str, str | None]] = []
        sleeper = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sleeper.asked.append((self.path, self.headers.get("Authorization")))
                status = sleeper.statuses.pop(0) if sleeper.statuses else 200
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    made = Sleeper()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def now(self) -> datetime:
        return datetime(2026, 3, 2, tzinfo=UTC) + timedelta(seconds=sum(self.slept))


def test_waits_double_from_ten_seconds_to_two_minutes() -> None:
    assert list(islice(waits(), 8)) == [10, 20, 40, 80, 120, 120, 120, 120]


def test_one_that_is_awake_is_asked_once(sleeper: Sleeper) -> None:
    time = Time()
    warm = wake(Endpoint(f"{sleeper.url}/readyz?deep=1"), sleep=time.sleep, clock=time.now)
    assert (warm.status, warm.asked, warm.seconds, time.slept) == (200, 1, 0.0, [])
    assert sleeper.asked == [("/readyz?deep=1", None)]


def test_one_that_wakes_up_is_asked_again_with_longer_and_longer_waits(sleeper: Sleeper) -> None:
    sleeper.statuses = [503, 502, 429, 408, 500, 504]
    time, told = Time(), []
    warm = wake(Endpoint(sleeper.url), sleep=time.sleep, clock=time.now, tell=told.append)
    assert time.slept == [10, 20, 40, 80, 120, 120]
    assert (warm.asked, warm.seconds) == (7, 390.0)
    assert told[0].endswith("status 503; asked again in 10 s")


def test_a_port_where_nobody_listens_yet_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    made: list[Sleeper] = []
    time = Time()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if len(time.slept) == 2:
            made.append(Sleeper(port))

    try:
        warm = wake(Endpoint(f"http://127.0.0.1:{port}/readyz"), sleep=sleep, clock=time.now)
        assert (warm.asked, time.slept) == (3, [10, 20])
    finally:
        made[0].server.shutdown()
        made[0].server.server_close()


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 405])
def test_an_answer_that_waiting_does_not_change_ends_it(sleeper: Sleeper, status: int) -> None:
    sleeper.statuses = [503, status]
    time = Time()
    with pytest.raises(WrongUse, match=f"got status {status}, expected 2xx"):
        wake(Endpoint(f"{sleeper.url}/x?key=hidden"), sleep=time.sleep, clock=time.now)
    assert len(sleeper.asked) == 2, "a redirect was followed"


def test_whoever_has_a_limit_is_told_when_it_is_over_and_waits_no_longer_than_it(sleeper: Sleeper) -> None:
    sleeper.statuses = [503] * 20
    time = Time()
    with pytest.raises(Unreachable, match="got status 503, expected 2xx within 45 s"):
        wake(Endpoint(sleeper.url), sleep=time.sleep, clock=time.now, within=timedelta(seconds=45))
    assert time.slept == [10, 20, 15]


def test_one_that_is_kept_warm_is_asked_again_and_woken_again(sleeper: Sleeper) -> None:
    time = Time()
    kept = keep_warm(Endpoint(sleeper.url), 300, sleep=time.sleep, clock=time.now)
    assert [warm.asked for warm in islice(kept, 2)] == [1, 1]
    sleeper.statuses = [503]
    assert next(kept).asked == 2
    assert time.slept == [300, 300, 10]


def test_a_token_is_sent_and_never_told(sleeper: Sleeper) -> None:
    sleeper.statuses = [403]
    time = Time()
    with pytest.raises(WrongUse) as raised:
        wake(Endpoint(f"{sleeper.url}/x?key=hidden", "s3cret"), sleep=time.sleep, clock=time.now)
    assert sleeper.asked == [("/x?key=hidden", "Bearer s3cret")]
    assert "s3cret" not in str(raised.value)
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    ["ftp://h/x", "h/x", "http://", "https://user:pw@h/", "http://h:port/", "http://h/ x", "http://h/\r\nx", "file:///x"],
)  # fmt: skip
def test_what_is_no_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(WrongUse) as raised:
        Endpoint(url)
    assert "pw" not in str(raised.value)


def test_a_token_goes_to_no_other_machine_unencrypted() -> None:
    with pytest.raises(WrongUse, match="expected https"):
        Endpoint("http://model.example.mil/readyz", "s3cret")
    Endpoint("https://model.example.mil/readyz", "s3cret")
    Endpoint("http://localhost:8080/readyz", "s3cret")


@pytest.mark.parametrize("every", [0.0, -1.0, float("nan")])
def test_every_is_a_time(sleeper: Sleeper, every: float) -> None:
    time = Time()
    with pytest.raises(WrongUse, match="--every"):
        next(keep_warm(Endpoint(sleeper.url), every, sleep=time.sleep, clock=time.now))
