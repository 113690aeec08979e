"""The API behind a real socket, with a stand-in for what scores: quick to start, and it fails when told to."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import uvicorn

from conftest import DEFINITION, POPULATION
from fielded.decisions.routing import Routing
from fielded.decisions.rules import feature_schema
from fielded.decisions.scoring import DECISIONS, Scorer
from fielded.definition import Deployment, Site, load_deployment
from fielded.definition.serving import ROLES, Api, Identity
from fielded.doors.serving.app import build_app
from fielded.doors.serving.connections import GuardedProtocol
from fielded.doors.serving.logs import LineWriter, Logs
from fielded.services.drain import Drained
from fielded.services.score_live import LiveAnswer, LiveRequest, Model, Settled
from fielded.words.errors import FieldedError
from fielded.words.identifiers import uuid7_array
from fielded.world.identity import Caller, Credentials, Unauthenticated

TOKEN = "a-token-with-every-role"  # noqa: S105 - of these tests
ROW = {
    "subject": "WO-1",
    "features": {"hours": 12.5, "age": None, "earlier": 3, "month": 7, "kind": "hull"},
}
VALUES = (12.5, None, 3, 7, "hull")


def hours_score(features: pa.RecordBatch) -> np.ndarray:
    """A model that looks at the hours: half way at 100."""
    hours = features.column("hours").to_numpy()
    return hours / (hours + 100)


@dataclass
class Stand:
    """Stands in for `services.serve.Live` and its scoring.

    Attributes:
        requests: what was submitted.
        failure: what every request is settled with, where it is set.
        down: what a probe raises, where it is set.
        gate: closed, no request is settled.
        alive: whether the scoring thread is.
        workplace: of reviewers; none where a test has none.
    """

    deployment: Deployment
    background: pa.RecordBatch | None = None
    requests: list[LiveRequest] = field(default_factory=list)
    failure: FieldedError | None = None
    down: FieldedError | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    alive: bool = True
    probes: int = 0
    drains: int = 0
    closed: bool = False
    version: str = "2"
    candidate: None = None
    workplace: Any = None
    reports: int = 0
    inspections: int = 0
    differs: list[str] = field(default_factory=list)
    ended: str | None = None
    follows: Callable[[], Any] = lambda: None
    settle: Callable[[Settled], None] = lambda _settled: None

    def __post_init__(self) -> None:
        self.gate.set()

    def open(self, settle: Callable[[Settled], None]) -> "Stand":
        self.settle = settle
        return self

    @property
    def scoring(self) -> "Stand":
        return self

    @property
    def scorer(self) -> Scorer:
        decision = self.deployment.decision
        return Scorer(
            model_name="shared",
            model_version=self.version,
            artifact_sha256="a" * 64,
            definition_sha256=self.deployment.sha256,
            routing=Routing(threshold=decision.threshold, band=decision.review_band),
            predict=hours_score,
            background=self.background,
        )

    def submit(self, request: LiveRequest) -> None:
        self.requests.append(request)
        threading.Thread(target=self._settle, args=(request,), daemon=True).start()

    def _settle(self, request: LiveRequest) -> None:
        self.gate.wait()
        self.settle([(request, self.failure or self._answer(request))])

    def _answer(self, request: LiveRequest) -> LiveAnswer:
        rows = [dict(zip(self.deployment.features, row.features, strict=True)) for row in request.rows]
        batch = pa.RecordBatch.from_pylist(rows, schema=feature_schema(self.deployment.features))
        scorer = self.scorer
        scores = hours_score(batch)
        routed = scorer.routing.route(scores, batch)
        now = datetime.now(UTC)
        return LiveAnswer(
            request_ids=uuid7_array(
                len(rows), int(now.timestamp() * 1000), np.random.default_rng().bytes
            ).to_pylist(),
            scores=scores.tolist(),
            flags=(scores >= scorer.threshold).tolist(),
            decisions=[DECISIONS[place] for place in routed.decisions],
            routed_by=routed.routed_by.to_pylist(),
            model_name="shared",
            models=[Model(self.version, "a" * 64)] * len(rows),
            scored_at=now,
            journal="j",
            first_sequence=1,
            chains=[f"{place:064x}" for place in range(len(rows))],
        )

    def probe(self) -> None:
        self.probes += 1
        if self.down is not None:
            raise self.down

    def follow_if_due(self) -> Any:
        return self.follows()

    def report_once(self) -> None:
        self.reports += 1

    def judge_once(self) -> str | None:
        return self.ended

    def inspect_once(self) -> list[str]:
        self.inspections += 1
        return self.differs

    def drain_once(self) -> Drained:
        self.drains += 1
        return Drained(rows=0, files=0, journals=0, failures={})

    def drain_in_turn(self) -> Drained | None:
        return self.drain_once()

    def waiting_rows(self) -> int:
        return len(self.requests)

    def close(self) -> None:
        self.closed = True


class Tokens:
    """Knows a token for all roles, and tokens `role:<role>` and `as:<name>`."""

    def __init__(self) -> None:
        self.refreshed = 0
        self.new_key = False

    def authenticate(self, credentials: Credentials) -> Caller:
        sent = credentials.headers.get("authorization")
        if sent is None:
            raise Unauthenticated("missing")
        token = sent[0].removeprefix("Bearer ")
        kind, _, name = token.partition(":")
        if token == TOKEN:
            return Caller("oidc:analyst", ROLES, credentials.peer, "oidc")
        if kind == "role":
            return Caller("oidc:other", frozenset({name}), credentials.peer, "oidc")
        if kind == "as":
            return Caller(f"oidc:{name}", ROLES, credentials.peer, "oidc")
        if kind == "new-key" and self.new_key:
            return Caller("oidc:rotated", ROLES, credentials.peer, "oidc")
        raise Unauthenticated("unknown_key" if kind == "new-key" else "signature")

    def refresh(self, *, force: bool = False) -> bool:
        self.refreshed += force
        self.new_key = True
        return True

    def held_keys(self) -> int | None:
        return None


@dataclass
class Served:
    """A server under way.

    Attributes:
        port: where it listens.
        client: sends the good token and JSON.
        stand: what scores.
    """

    port: int
    client: httpx.Client
    stand: Stand
    tokens: Tokens
    server: uvicorn.Server
    log: io.StringIO
    logs: Logs

    def lines(self) -> list[dict[str, Any]]:
        self.logs.flush()
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def last(self) -> dict[str, Any]:
        """The last request's line: it is written after the answer was sent."""
        for _ in range(200):
            found = [line for line in self.lines() if line["event"] == "request"]
            if found:
                return found[-1]
            time.sleep(0.01)
        raise AssertionError("no line of a request")

    def metrics(self) -> dict[str, float]:
        text = self.client.get("/metrics").text
        pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(number) for name, _, number in pairs}


def example_deployment(folder: Path) -> Deployment:
    (folder / "deployment.yaml").write_text(DEFINITION.replace("MODEL", "shared"))
    (folder / "population.py").write_text(POPULATION)
    return load_deployment(folder)


def site_of(tmp: Path, *, environment: str = "development", identity: Identity | None = None, **api: Any) -> Site:
    return Site(
        root=str(tmp / "tables"),
        tracking_uri="sqlite://",
        artifact_root=str(tmp),
        cache=tmp,
        journal_url=f"sqlite:///{tmp}/journal",
        signing_key=f"file:{tmp}/key.pem",
        environment=environment,
        identity=identity or Identity(),
        api=Api(**api),
    )


def _run(server: uvicorn.Server) -> None:
    with suppress(SystemExit):  # it could not start
        server.run()


@contextmanager
def serve(
    deployment: Deployment, site: Site, stand: Stand | None = None, authenticator: Any = None
) -> Iterator[Served]:
    stand = stand or Stand(deployment)
    tokens = authenticator or Tokens()
    log = io.StringIO()
    writer = LineWriter(log)
    logs = Logs(writer, lambda: datetime.now(UTC))
    app = build_app(
        deployment,
        site,
        open_service=stand.open,
        authenticator=tokens,
        logs=logs,
        clock=lambda: datetime.now(UTC),
        random_bytes=np.random.default_rng().bytes,
    )
    config = uvicorn.Config(
        app, port=0, loop="uvloop", http=GuardedProtocol, ws="none", lifespan="on", log_config=None,
        access_log=False, proxy_headers=False, server_header=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=_run, args=(server,))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), log.getvalue()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as client:
            yield Served(port, client, stand, tokens, server, log, logs)
    finally:
        stand.gate.set()
        server.should_exit = True
        thread.join()
        writer.close()
