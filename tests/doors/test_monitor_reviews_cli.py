"""Reviews after promotion, rules, the dashboard and keep-warm on the command line."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from command_line import at_site, ended
from conftest import Spare, Ticking
from fielded.services.monitoring.schedule_reviews import schedule_reviews
from fielded.services.release.adopt import adopt

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(spare: Spare, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`fielded` called at the spare's site on a day; gives exit code, standard output and standard error."""
    at_site(spare, monkeypatch)
    monkeypatch.chdir(spare.folder)

    def run(*arguments: str, days: float = 0) -> tuple[int, str, str]:
        start = Ticking()() + timedelta(days=days)
        monkeypatch.setattr("fielded.doors.cli.opening.now", Ticking(start))
        return ended(monkeypatch, capsys, *arguments)

    return run


def test_a_review_is_listed_opened_and_closed(spare: Spare, call: Call) -> None:
    code, out, _ = call("monitor", "reviews")
    assert (code, "No review is on record" in out) == (0, True)
    adopt(spare.open())
    schedule_reviews(spare.open())
    code, out, _ = call("monitor", "reviews")
    assert (code, [line.split()[1] for line in out.splitlines()[1:]]) == (0, ["scheduled"] * 3)
    code, out, _ = call("monitor", "reviews", "--json", days=60)
    first, *_ = json.loads(out)
    assert (code, first["state"], first["day"], first["owner"]) == (1, "overdue", 30, "Alex Example")
    code, _, err = call("monitor", "review-close", first["id"], "-m", "calibration holds everywhere", days=60)
    assert (code, "got no evidence" in err) == (1, True)
    code, out, _ = call("monitor", "review-open", first["id"], days=60)
    assert code == 0
    assert "review-close" in out
    folder = spare.folder / f"review-{first['id']}"
    assert {path.name for path in folder.iterdir()} == {"review.json", "review.html"}
    code, out, _ = call("monitor", "review-open", first["id"], "--out", "elsewhere", "--json", days=60)
    opened = json.loads(out)
    assert (code, opened["folder"], opened["review"]["state"]) == (0, "elsewhere", "overdue")
    code, out, _ = call("monitor", "review-close", first["id"], "-m", "calibration holds", "--json", days=60)
    closed = json.loads(out)
    assert (code, closed["state"], closed["evidence_sha256"]) == (0, "closed", opened["evidence_sha256"])
    code, out, _ = call("monitor", "reviews", days=60)
    assert (code, first["id"] in out) == (0, False)
    assert first["id"] in call("monitor", "reviews", "--all", days=60)[1]
    code, _, err = call("monitor", "review-open", "v9-9-9d")
    assert (code, "expected one of" in err) == (2, True)


def test_rules_and_the_dashboard_are_printed_or_written(spare: Spare, call: Call) -> None:
    code, out, _ = call("monitor", "rules")
    assert (code, out.startswith("# Made by `fielded monitor rules`")) == (0, True)
    code, said, _ = call("monitor", "rules", "--out", "prometheus/rules.yml")
    assert (code, said.strip()) == (0, "prometheus/rules.yml")
    assert (spare.folder / "prometheus" / "rules.yml").read_text() == out
    code, out, _ = call("monitor", "dashboard")
    assert (code, json.loads(out)["title"]) == (0, "overrun: model in production")
    assert call("monitor", "dashboard", "--out", "dashboard.json")[0] == 0
    assert (spare.folder / "dashboard.json").read_text() == out


@pytest.fixture
def awake() -> Iterator[str]:
    """A server that is ready where its path is `/readyz` and the token is right."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ready = self.path == "/readyz" and self.headers.get("Authorization") in (None, "Bearer s3cret")
            self.send_response(200 if ready else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_endpoint_is_woken_once(
    call: Call, awake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, out, _ = call("monitor", "keep-warm", f"{awake}/readyz", "--once")
    assert (code, "ready after" in out, "asked 1 time" in out) == (0, True, True)
    monkeypatch.setenv("WARM", "s3cret")
    code, out, _ = call("monitor", "keep-warm", f"{awake}/readyz", "--once", "--token", "env:WARM", "--json")
    told = json.loads(out)
    assert (code, told["status"], told["asked"]) == (0, 200, 1)
    (tmp_path / "wrong").write_text("other")
    code, _, err = call(
        "monitor", "keep-warm", f"{awake}/readyz", "--once", "--token", f"file:{tmp_path / 'wrong'}"
    )
    assert (code, "got status 401" in err, "other" in err) == (2, True, False)
    code, _, err = call("monitor", "keep-warm", "readyz", "--once")
    assert (code, "URL: got another kind" in err) == (2, True)


def test_an_endpoint_that_does_not_wake_in_time_ends_with_three(call: Call) -> None:
    code, _, err = call("monitor", "keep-warm", "http://127.0.0.1:9/readyz", "--once", "--within", "0")
    assert (code, "expected 2xx within 0 s" in err) == (3, True)
