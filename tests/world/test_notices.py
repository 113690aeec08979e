"""Notices arrive whole, signed and nowhere else; what does not arrive says why, and nothing of what it was."""

import hashlib
import hmac
import json
import math
import socket
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from fielded.definition.watching import Mail, Watching, Webhook
from fielded.world import notices
from fielded.world.notices import NotTold, duration_buckets, post, send
from receivers import http_receiver, smtp_receiver

AT = datetime(2026, 3, 2, 6, tzinfo=UTC)
KEY = "a shared key"
LOGIN = {"user": "watch", "password": "env:MAIL_PASSWORD"}


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_KEY", KEY)
    monkeypatch.setenv("MAIL_PASSWORD", "secret words")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # of this machine nothing goes through a proxy
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")


def hook(url: str) -> Webhook:
    return Webhook(url=url, secret="env:HOOK_KEY")  # noqa: S106 - a reference


def mail(port: int, **changed: Any) -> Mail:
    options = {"host": "127.0.0.1", "port": port, "from": "watch@example.mil", "starttls": False, **changed}
    return Mail(**options)


def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def test_a_webhook_can_be_checked_by_whoever_has_the_key() -> None:
    with http_receiver() as posted:
        post(hook(posted.url), {"alarms": ["drift"], "note": "naïve"}, "m/3", AT)
    ((headers, body),) = posted.messages
    assert json.loads(body) == {"alarms": ["drift"], "note": "naïve"}
    expected = hmac.new(KEY.encode(), f"{int(AT.timestamp())}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Fielded-Signature"] == f"sha256={expected}"
    assert (headers["Fielded-Timestamp"], headers["Fielded-Notice"]) == (str(int(AT.timestamp())), "m/3")
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [300, 404, 500, 503])
def test_another_answer_than_2xx_is_a_failure(status: int) -> None:
    with http_receiver() as posted:
        posted.status = status
        with pytest.raises(NotTold, match=f"answered {status}"):
            post(hook(posted.url), {}, "m/3", AT)


def test_a_redirect_is_not_followed() -> None:
    with http_receiver() as elsewhere, http_receiver() as posted:
        posted.status, posted.location = 307, elsewhere.url
        with pytest.raises(NotTold, match="answered 307"):
            post(hook(posted.url), {}, "m/3", AT)
    assert elsewhere.messages == []


def test_nobody_there_is_a_failure_without_the_address() -> None:
    port = closed_port()
    for tell in (
        lambda: post(hook(f"http://127.0.0.1:{port}/token-in-a-path"), {}, "m/3", AT),
        lambda: send(mail(port), ["b@example.mil"], "s", "t", AT),
    ):
        with pytest.raises(NotTold) as caught:
            tell()
        assert caught.value.reason == "no answer"


def test_a_silent_receiver_is_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "SECONDS", 0.2)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(NotTold, match="too slow"):
            post(hook(f"http://127.0.0.1:{held.getsockname()[1]}/"), {}, "m/3", AT)


def test_a_missing_key_is_a_failure_that_names_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK_KEY")
    with http_receiver() as posted, pytest.raises(NotTold, match="env:HOOK_KEY"):
        post(hook(posted.url), {}, "m/3", AT)
    assert posted.messages == []


def test_mail_reaches_its_people() -> None:
    with smtp_receiver() as box:
        send(mail(box.port), ["blair@example.mil"], "overrun: drift fires", "What was seen: größer", AT)
    ((recipients, text),) = box.mails
    assert [line.lower() for line in recipients] == ["rcpt to:<blair@example.mil>"]
    assert "Subject: overrun: drift fires" in text
    assert "From: watch@example.mil" in text
    assert "Date: Mon, 02 Mar 2026 06:00:00" in text
    assert box.logins == []


def test_mail_logs_in_where_the_site_says_so() -> None:
    with smtp_receiver() as box:
        send(mail(box.port, **LOGIN), ["b@example.mil"], "s", "t", AT)
    assert len(box.logins) == 1
    assert len(box.mails) == 1


def test_a_server_without_tls_gets_no_mail_where_tls_is_asked_for() -> None:
    with smtp_receiver() as box, pytest.raises(NotTold, match="mail server"):
        send(mail(box.port, starttls=True, **LOGIN), ["b@example.mil"], "s", "t", AT)
    assert box.mails == []
    assert box.logins == [], "no password goes over the wire in the clear"


@pytest.mark.parametrize(
    ("refused", "reason"), [("RCPT", "refused the recipients"), ("MAIL", "550"), ("DATA", "550")]
)
def test_a_mail_that_is_not_taken_says_so_without_its_text(refused: str, reason: str) -> None:
    with smtp_receiver() as box:
        box.refuse.add(refused)
        with pytest.raises(NotTold, match=reason) as caught:
            send(mail(box.port), ["b@example.mil"], "subject of it", "text of it", AT)
    assert "of it" not in caught.value.reason


def exposition(seconds: list[float]) -> bytes:
    registry = CollectorRegistry()
    made = Histogram(
        "fielded_prediction_duration_seconds", "How long.", buckets=(0.01, 0.1, 1.0), registry=registry
    )
    for each in seconds:
        made.observe(each)
    return generate_latest(registry)


def test_the_buckets_are_those_that_the_api_exposes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "a token")
    with http_receiver() as served:
        served.body = exposition([0.005, 0.05, 0.05, 5.0])
        found = duration_buckets(Watching(metrics_url=served.url, token="env:METRICS_TOKEN"))  # noqa: S106
    assert found == {0.01: 1.0, 0.1: 3.0, 1.0: 3.0, math.inf: 4.0}
    assert served.asked[0]["Authorization"] == "Bearer a token"


def test_a_site_without_metrics_has_no_buckets() -> None:
    assert duration_buckets(Watching()) is None


@pytest.mark.parametrize("body", [b"", b"other_metric 1\n", b"<html>", b"\xff\xfe", b'x_bucket{le="z"} 1\n# TYPE'])
def test_what_has_no_such_histogram_says_so(body: bytes) -> None:
    with http_receiver() as served:
        served.body = body
        with pytest.raises(NotTold, match="an answer"):
            duration_buckets(Watching(metrics_url=served.url))


def test_an_endless_answer_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "MAX_METRICS_BYTES", 1000)
    with http_receiver() as served:
        served.body = b"# " + b"x" * 2000
        with pytest.raises(NotTold, match="too large"):
            duration_buckets(Watching(metrics_url=served.url))
