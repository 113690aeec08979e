import json
import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from served import ROW, TOKEN, VALUES, Served, Stand, Tokens, example_deployment, serve, site_of

from fielded.decisions.rules import feature_schema
from fielded.definition import Deployment, load_deployment
from fielded.definition.serving import Identity
from fielded.services.score_live import LiveRow
from fielded.words.errors import FieldedError, Refused
from fielded.world.identity import open_authenticator
from fielded.world.journal import JournalDown
from forged_tokens import forged_tokens, good_tokens, make_provider


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return example_deployment(tmp_path_factory.mktemp("deployment"))


@pytest.fixture
def served(deployment: Deployment, tmp_path: Path) -> Iterator[Served]:
    """The API with room for a few requests, rows and bytes."""
    site = site_of(tmp_path, max_body_bytes=20_000, max_batch_rows=20, max_in_flight=3, alias_seconds=0.1)
    with serve(deployment, site) as made:
        yield made


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem of a response, after looking at what every problem has."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    content: dict[str, Any] = response.json()
    assert content["status"] == status
    assert content["instance"] == f"urn:uuid:{response.headers['x-request-id']}"
    assert uuid.UUID(response.headers["x-request-id"]).version == 7
    return content


def wait_until(seen: Any) -> None:
    for _ in range(500):
        if seen():
            return
        time.sleep(0.01)
    raise AssertionError("did not come about")


def test_a_score_is_answered_with_where_it_came_from(served: Served) -> None:
    response = served.client.post("/score", json=ROW)
    answer = response.json()
    assert answer["score"] == 12.5 / 112.5
    assert (answer["subject"], answer["flag"], answer["decision"]) == ("WO-1", False, "clear")
    assert answer["reasons"] == []
    assert answer["model"] == {"name": "shared", "version": "2"}
    assert answer["artifact_sha256"] == "a" * 64
    assert answer["request_id"] == response.headers["x-request-id"]
    assert datetime.fromisoformat(answer["scored_at"]).utcoffset() is not None
    (request,) = served.stand.requests
    assert request.rows == (LiveRow("WO-1", VALUES),)
    assert (request.requested_by, request.client_address) == ("oidc:analyst", "127.0.0.1")


def test_a_score_for_a_person_says_why(served: Served) -> None:
    rows = [{**ROW, "features": {**ROW["features"], "hours": value}} for value in (12.5, 150.0)]
    answers = served.client.post("/score/batch", json={"rows": rows}).json()["predictions"]
    assert [(answer["decision"], answer["reasons"]) for answer in answers] == [("clear", []), ("review", ["band"])]


def test_scores_are_written_to_the_last_bit(served: Served) -> None:
    hours = [0.1, 1e-300, 5e-324, 12345.678901234567, 1e15, 100 / 3]
    rows = [{**ROW, "features": {**ROW["features"], "hours": value}} for value in hours]
    answers = served.client.post("/score/batch", json={"rows": rows}).json()["predictions"]
    assert [struct.pack(">d", answer["score"]) for answer in answers] == [
        struct.pack(">d", value / (value + 100)) for value in hours
    ]


def test_a_batch_is_answered_in_order_under_an_id_of_its_own(served: Served) -> None:
    rows = [{**ROW, "subject": f"WO-\u00fc{place}"} for place in range(20)]
    response = served.client.post("/score/batch", json={"rows": rows})
    answers = response.json()["predictions"]
    assert [answer["subject"] for answer in answers] == [row["subject"] for row in rows]
    ids = {answer["request_id"] for answer in answers}
    assert len(ids) == 20
    assert response.headers["x-request-id"] not in ids
    assert len(served.stand.requests) == 1


def test_contributions_add_up_to_the_score(deployment: Deployment, tmp_path: Path) -> None:
    rows = [{**ROW["features"], "hours": hours} for hours in (1.0, 50.0, 400.0)]
    background = pa.RecordBatch.from_pylist(rows, schema=feature_schema(deployment.features))
    with serve(deployment, site_of(tmp_path), Stand(deployment, background)) as served:
        answer = served.client.post("/score?explain=true", json=ROW).json()
        explanation = answer["explanation"]
        assert set(explanation["contributions"]) == set(deployment.features)
        total = explanation["base"] + sum(explanation["contributions"].values())
        assert total == pytest.approx(answer["score"], abs=1e-12)
        assert explanation["contributions"]["month"] == 0
        assert "explanation" not in served.client.post("/score?explain=false", json=ROW).json()
        for query in ("explain", "explain=yes", "explain=1", "explain=true&explain=true"):
            content = problem(served.client.post(f"/score?{query}", json=ROW), 422)
            assert content["errors"][0]["field"] == "explain"
        problem(served.client.post("/score?explian=true", json=ROW), 422)
        problem(served.client.post("/score/batch?explain=true", json={"rows": [ROW]}), 422)


def test_more_features_than_can_be_explained_are_told_before_anything_is_scored(tmp_path: Path) -> None:
    more = "".join(f"  f{place}: {{type: float}}\n" for place in range(6))
    example_deployment(tmp_path)
    text = (tmp_path / "deployment.yaml").read_text().replace("features:\n", f"features:\n{more}")
    (tmp_path / "deployment.yaml").write_text(text)
    with serve(load_deployment(tmp_path), site_of(tmp_path)) as served:
        row = {"subject": "a", "features": {**ROW["features"], **{f"f{place}": 0 for place in range(6)}}}
        content = problem(served.client.post("/score?explain=true", json=row), 422)
        assert "10" in content["errors"][0]["expected"]
        assert served.stand.requests == []
        assert served.client.post("/score", json=row).status_code == 200


def test_what_breaks_a_rule_is_told_field_by_field(served: Served) -> None:
    row = {"subject": "WO-1", "features": {**ROW["features"], "hours": -1, "month": "7", "me": 1}}
    content = problem(served.client.post("/score", json=row), 422)
    assert [error["field"] for error in content["errors"]] == ["features.hours", "features.month", "features.me"]
    assert content["errors"][0] == {
        "field": "features.hours",
        "got": "a number",
        "expected": "a number, at least 0",
    }
    assert served.stand.requests == []
    problem(served.client.post("/score/batch", json={"rows": [ROW] * 21}), 422)


def test_of_very_many_errors_the_first_hundred_are_told(served: Served) -> None:
    row = {"subject": "WO-1", "features": {**ROW["features"], **{f"x{place}": 1 for place in range(300)}}}
    content = problem(served.client.post("/score", json=row), 422)
    assert len(content["errors"]) == 100
    assert "300 places" in content["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_a_body_that_is_not_plain_json_is_415(served: Served, headers: dict[str, str]) -> None:
    problem(served.client.post("/score", content=json.dumps(ROW), headers=headers), 415)


def test_json_may_say_that_it_is_utf_8(served: Served) -> None:
    headers = {"content-type": "Application/JSON; charset=UTF-8"}
    assert served.client.post("/score", content=json.dumps(ROW), headers=headers).status_code == 200


def test_a_body_that_is_too_large_is_413_whether_announced_or_streamed(served: Served) -> None:
    large = b" " * 20_001
    headers = {"content-type": "application/json"}
    problem(served.client.post("/score", content=large, headers=headers), 413)
    pieces = (b" " * 1000 for _ in range(100))
    problem(served.client.post("/score", content=pieces, headers=headers), 413)
    just = json.dumps(ROW).encode().ljust(20_000)
    assert served.client.post("/score", content=iter([just[:7], just[7:]]), headers=headers).status_code == 200


def test_paths_and_methods_that_are_not_there(served: Served) -> None:
    for path in ("/", "/score/", "/scores", "/docs", "/redoc", "/v2/models", "/%00", "/score/../metrics%2f"):
        problem(served.client.get(path), 404)
    assert problem(served.client.get("/score"), 405)["detail"]
    assert served.client.delete("/score").headers["allow"] == "OPTIONS, POST"
    assert served.client.post("/health/live").headers["allow"] == "GET, HEAD, OPTIONS"
    problem(served.client.delete("/v2/models/shared/versions/2"), 405)
    options = served.client.options("/score")
    assert (options.status_code, options.headers["allow"], options.content) == (204, "OPTIONS, POST", b"")
    head = served.client.head("/health/live")
    assert (head.status_code, head.content) == (200, b"")
    assert served.client.head("/v2/models/shared/versions/2").status_code == 200
    assert served.client.get("/health/live").status_code == 200  # the connection is in order after a HEAD


def test_no_credentials_and_bad_ones_are_401_and_counted_by_reason(served: Served) -> None:
    for authorization, reason in ((None, "missing"), ("Bearer forged", "signature")):
        response = httpx.post(
            f"http://127.0.0.1:{served.port}/score",
            json=ROW,
            headers={} if authorization is None else {"authorization": authorization},
        )
        assert "signature" not in problem(response, 401)["detail"]
        assert response.headers["www-authenticate"] == "Bearer"
        wait_until(lambda reason=reason: served.last()["reason"] == reason)
        assert served.metrics()[f'fielded_refusals_total{{reason="{reason}",status="401"}}'] == 1
    assert served.stand.requests == []


def test_the_caller_is_asked_before_the_body_is_looked_at(served: Served) -> None:
    bad = {"authorization": "Bearer forged", "content-type": "text/plain"}
    problem(served.client.post("/score", content=b"x" * 30_000, headers=bad), 401)
    other = {"authorization": "Bearer role:audit"}
    problem(served.client.post("/score", content=b"{", headers=other), 403)
    assert (
        served.client.post("/score", json=ROW, headers={"authorization": "Bearer role:score"}).status_code == 200
    )


def test_nothing_in_a_body_sets_the_identity(served: Served) -> None:
    row = {**ROW, "requested_by": "oidc:admiral", "client_address": "10.0.0.1"}
    content = problem(served.client.post("/score", json=row), 422)
    assert {error["field"] for error in content["errors"]} == {"requested_by", "client_address"}


def test_a_key_that_is_not_known_yet_is_looked_for_once(served: Served) -> None:
    headers = {"authorization": "Bearer new-key"}
    assert served.client.post("/score", json=ROW, headers=headers).status_code == 200
    assert served.tokens.refreshed == 1
    for _ in range(5):
        problem(served.client.post("/score", json=ROW, headers={"authorization": "Bearer x"}), 401)
    assert served.tokens.refreshed == 1


def test_many_unknown_keys_at_once_make_one_look(deployment: Deployment, tmp_path: Path) -> None:
    class Slow(Tokens):
        def refresh(self, *, force: bool = False) -> bool:
            time.sleep(0.2)
            self.refreshed += force
            return True

    with serve(deployment, site_of(tmp_path), authenticator=Slow()) as served:
        headers = {"authorization": "Bearer new-key"}
        statuses: list[int] = []

        def ask() -> None:
            url = f"http://127.0.0.1:{served.port}/score"
            statuses.append(httpx.post(url, json=ROW, headers=headers).status_code)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [401] * 8
        assert served.tokens.refreshed == 1


def test_every_forged_token_is_401_over_http_and_every_good_one_has_its_roles(
    deployment: Deployment, tmp_path: Path
) -> None:
    provider = make_provider()
    keys = tmp_path / "keys.json"
    keys.write_bytes(provider.jwks())
    site = site_of(tmp_path, identity=Identity(oidc=provider.oidc(f"file:{keys}")))
    now = datetime.now(UTC)
    authenticator = open_authenticator(site, lambda: datetime.now(UTC))
    forged = forged_tokens(provider, now)
    assert len(forged) >= 25
    with serve(deployment, site, authenticator=authenticator) as served:
        for row in forged:
            sent = raw_request(served.port, row.authorization)
            assert sent.startswith(b"HTTP/1.1 401 "), row.name
            assert b"\r\nwww-authenticate: Bearer\r\n" in sent, row.name
            assert b"application/problem+json" in sent, row.name
        for good in good_tokens(provider, now):
            sent = raw_request(served.port, (f"Bearer {good.token}",))
            expected = b"HTTP/1.1 200 " if "score" in good.roles else b"HTTP/1.1 403 "
            assert sent.startswith(expected), good.name
        reasons = [
            line["reason"] for line in served.lines() if line["event"] == "request" and line["status"] == 401
        ]
        assert reasons == [row.reason for row in forged]
        assert not any(
            part in served.log.getvalue() for row in forged for part in row.authorization if len(part) > 20
        )


def raw_request(port: int, authorization: tuple[str, ...]) -> bytes:
    """As a client library would not send it: fields twice, with spaces at their ends."""
    body = json.dumps(ROW).encode()
    fields = "".join(f"Authorization: {value}\r\n" for value in authorization)
    head = f"POST /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}Content-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return answer


def test_a_journal_that_is_down_is_503_with_no_score_and_then_all_is_well(served: Served) -> None:
    served.stand.failure = JournalDown("journal: got a full disk at /secret/place, expected room")
    response = served.client.post("/score", json=ROW)
    content = problem(response, 503)
    assert int(response.headers["retry-after"]) >= 1
    assert "secret" not in response.text
    assert "score" not in content
    assert any("full disk" in line.get("message", "") for line in served.lines())
    served.stand.failure = None
    assert served.client.post("/score", json=ROW).status_code == 200


@pytest.mark.parametrize("failure", [Refused("model: got nan in secret-place"), FieldedError("odd, secret-place")])
def test_a_model_that_fails_is_500_with_nothing_inside(served: Served, failure: FieldedError) -> None:
    served.stand.failure = failure
    response = served.client.post("/score", json=ROW)
    problem(response, 500)
    assert "secret-place" not in response.text


def test_a_fault_of_ours_is_500_and_logged_by_its_type_alone(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_request: object) -> None:
        raise ZeroDivisionError("secret-place")

    monkeypatch.setattr(served.stand, "submit", fails)
    response = served.client.post("/score", json=ROW)
    problem(response, 500)
    assert "secret-place" not in response.text + served.log.getvalue()
    wait_until(lambda: any(line.get("exception") == "ZeroDivisionError" for line in served.lines()))


def test_more_requests_than_there_are_places_for_are_503_at_once(served: Served) -> None:
    served.stand.gate.clear()
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(served.client.post("/score", json=ROW).status_code))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(served.stand.requests) == 3)
    response = served.client.post("/score", json=ROW)
    problem(response, 503)
    assert response.headers["retry-after"]
    assert served.client.get("/health/live").status_code == 200
    served.stand.gate.set()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 3
    assert served.client.post("/score", json=ROW).status_code == 200


def test_an_identity_has_its_rate_and_others_theirs(deployment: Deployment, tmp_path: Path) -> None:
    with serve(deployment, site_of(tmp_path, rate_per_minute=3)) as served:
        assert [served.client.post("/score", json=ROW).status_code for _ in range(3)] == [200] * 3
        response = served.client.post("/score", json=ROW)
        problem(response, 429)
        assert 1 <= int(response.headers["retry-after"]) <= 61
        other = {"authorization": "Bearer as:another"}
        assert served.client.post("/score", json=ROW, headers=other).status_code == 200
        assert served.client.get("/health/ready").status_code == 200


def test_a_caller_that_goes_away_breaks_nothing(served: Served) -> None:
    served.stand.gate.clear()
    with pytest.raises(httpx.ReadTimeout):
        served.client.post("/score", json=ROW, timeout=0.2)
    served.stand.gate.set()
    assert served.client.post("/score", json=ROW).status_code == 200
    assert not [line for line in served.lines() if line["level"] == "error"]


def test_readiness_writes_to_the_journal_but_no_more_than_once_a_second(served: Served) -> None:
    for _ in range(20):
        assert served.client.get("/health/ready").json() == {"status": "ready"}
    assert served.stand.probes == 1
    served.stand.down = JournalDown("journal: got a full disk, expected room")
    wait_until(lambda: served.client.get("/health/ready").status_code == 503)
    assert served.client.get("/v2/health/ready").json() == {"ready": False}
    assert served.client.get("/v2/models/shared/ready").status_code == 503
    assert served.client.get("/health/live").status_code == 200
    served.stand.down = None
    wait_until(lambda: served.client.get("/health/ready").status_code == 200)


def test_a_moved_alias_is_followed_and_a_failure_to_is_counted(served: Served) -> None:
    def moves() -> object:
        served.stand.follows = lambda: None
        served.stand.version = "3"
        return object()

    def fails() -> None:
        raise Refused("version 4: got no approval, expected one")

    served.stand.follows = moves
    wait_until(lambda: any(line["event"] == "alias followed" for line in served.lines()))
    assert served.client.post("/score", json=ROW).json()["model"]["version"] == "3"
    labels = f'{{artifact_sha256="{"a" * 64}",model="shared",version='
    metrics = served.metrics()
    assert metrics[f'fielded_model_info{labels}"3"}}'] == 1
    assert metrics[f'fielded_model_info{labels}"2"}}'] == 0
    served.stand.follows = fails
    wait_until(lambda: served.metrics()["fielded_alias_follow_failures_total"] >= 1)
    assert served.client.post("/score", json=ROW).status_code == 200


def test_the_registry_is_inspected_from_time_to_time_and_what_differs_is_told(
    deployment: Deployment, tmp_path: Path
) -> None:
    with serve(deployment, site_of(tmp_path, inspect_seconds=0.1)) as served:
        wait_until(lambda: served.stand.inspections >= 2)
        served.stand.differs = ["Version 2: got other files"]
        wait_until(lambda: any(line.get("message") == "Version 2: got other files" for line in served.lines()))


def test_rows_are_drained_from_time_to_time_and_when_there_are_many(
    deployment: Deployment, tmp_path: Path
) -> None:
    with serve(deployment, site_of(tmp_path, drain_seconds=0.1)) as served:
        wait_until(lambda: served.stand.drains >= 2)


def test_metrics_count_what_was_done_and_name_no_subject(served: Served) -> None:
    served.client.post("/score", json={**ROW, "subject": "WO-SECRET"})
    served.client.post("/score/batch", json={"rows": [ROW] * 5})
    problem(served.client.post("/score", json={}), 422)
    text = served.client.get("/metrics").text
    metrics = served.metrics()
    assert metrics['fielded_predictions_total{decision="clear",model="shared",version="2"}'] == 6
    assert metrics['fielded_http_requests_total{method="POST",route="/score",status="200"}'] == 1
    assert metrics['fielded_refusals_total{reason="invalid",status="422"}'] == 1
    assert metrics["fielded_prediction_duration_seconds_count"] == 2
    assert metrics['fielded_prediction_duration_seconds_bucket{le="+Inf"}'] == 2
    assert metrics["fielded_prediction_duration_seconds_sum"] > 0
    assert metrics["fielded_group_rows_sum"] == 6
    assert metrics['fielded_group_rows_bucket{le="4.0"}'] == 1
    assert "WO-" not in text
    assert "oidc" not in text


def test_metrics_are_for_this_machine_or_the_role_audit(served: Served) -> None:
    url = f"http://127.0.0.1:{served.port}/metrics"
    assert httpx.get(url).status_code == 200
    through_a_proxy = {"x-forwarded-for": "10.1.1.1"}
    problem(httpx.get(url, headers=through_a_proxy), 401)
    problem(httpx.get(url, headers={**through_a_proxy, "authorization": "Bearer role:score"}), 403)
    assert httpx.get(url, headers={**through_a_proxy, "authorization": "Bearer role:audit"}).status_code == 200


def test_a_request_is_one_line_without_what_was_sent(served: Served) -> None:
    row = {"subject": "WO-MARK", "features": {**ROW["features"], "hours": 987.125}}
    response = served.client.post("/score?explain=false", json=row)
    line = served.last()
    assert line == {
        "time": line["time"],
        "level": "info",
        "event": "request",
        "request_id": response.headers["x-request-id"],
        "method": "POST",
        "route": "/score",
        "status": 200,
        "duration_ms": line["duration_ms"],
        "caller": "oidc:analyst",
        "client_address": "127.0.0.1",
        "reason": None,
        "journal": "j",
        "sequence": 1,
        "chain": "0" * 64,
    }
    assert response.headers["fielded-receipt"] == f"j/1/{'0' * 64}"
    served.client.get("/PATHMARK?QUERYMARK=1")
    wait_until(lambda: served.last()["route"] == "none")
    logged = served.log.getvalue()
    assert not any(mark in logged for mark in ("MARK", "987.125", TOKEN))


def test_production_serves_no_description_and_development_no_page_of_others(
    deployment: Deployment, tmp_path: Path
) -> None:
    with serve(deployment, site_of(tmp_path, environment="production")) as served:
        problem(served.client.get("/openapi.json"), 404)
    with serve(deployment, site_of(tmp_path)) as served:
        described = served.client.get("/openapi.json").json()
        assert described["openapi"].startswith("3.1")
        assert "http://" not in json.dumps(described)
        example = described["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert served.client.post("/score", json=example).status_code == 200
        example = described["paths"]["/v2/models/{name}/infer"]["post"]["requestBody"]["content"]
        body = example["application/json"]["example"]
        assert served.client.post("/v2/models/shared/infer", json=body).status_code == 200


def test_a_stop_answers_what_was_asked_before(served: Served) -> None:
    served.stand.gate.clear()
    statuses: list[int] = []
    asking = threading.Thread(target=lambda: statuses.append(served.client.post("/score", json=ROW).status_code))
    asking.start()
    wait_until(lambda: served.stand.requests)
    served.server.should_exit = True
    time.sleep(0.3)
    served.stand.gate.set()
    asking.join()
    assert statuses == [200]
    wait_until(lambda: served.stand.closed)


def test_a_stop_gives_up_on_what_takes_too_long(served: Served) -> None:
    served.stand.gate.clear()
    statuses: list[int] = []
    asking = threading.Thread(target=lambda: statuses.append(served.client.post("/score", json=ROW).status_code))
    asking.start()
    wait_until(lambda: served.stand.requests)
    served.server.should_exit = True
    asking.join()
    assert statuses == [503]


def test_a_service_that_cannot_start_says_why_without_a_stack(deployment: Deployment, tmp_path: Path) -> None:
    def fails(_settle: object) -> Stand:
        raise Refused("version 2: got no approval, expected one")

    stand = Stand(deployment)
    stand.open = fails  # type: ignore[method-assign]
    with pytest.raises(AssertionError) as caught, serve(deployment, site_of(tmp_path), stand):
        pass
    assert "got no approval" in str(caught.value)
    assert "Traceback" not in str(caught.value)
