"""The routes: each parses, calls one thing, renders. Nothing is decided here."""

import importlib.metadata
import ipaddress
from collections.abc import Sequence
from urllib.parse import parse_qsl

from starlette.responses import Response

from fielded.definition.deployment import Deployment
from fielded.definition.site import Site
from fielded.doors.serving import answers, metrics
from fielded.doors.serving.calls import JSON, Answer, Call, GuardedRoute
from fielded.doors.serving.documentation import Documentation
from fielded.doors.serving.explanations import Explanations
from fielded.doors.serving.inference_protocol import InferenceProtocol, infer_answer
from fielded.doors.serving.lifespan import Serving
from fielded.doors.serving.logs import Receipt
from fielded.doors.serving.problems import FieldError, Problem, unprocessable
from fielded.doors.serving.request_model import RequestModel, shown
from fielded.services.score_live import LiveAnswer, LiveRow
from fielded.world.identity import Caller

# Headers that only a proxy adds: then the peer is not the one who asks.
_FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")
_TRUTH = {"true": True, "false": False}


class Routes:
    """The endpoints of one deployment.

    Args:
        deployment: what is served.
        site: where.
        serving: what scores.
        model: reads requests.
        documentation: describes the routes.
    """

    def __init__(
        self,
        deployment: Deployment,
        site: Site,
        serving: Serving,
        model: RequestModel,
        documentation: Documentation,
    ) -> None:
        self._name = deployment.model.name
        self._api = site.api
        self._production = site.environment == "production"
        self._proxy = site.identity.proxy
        self._serving = serving
        self._model = model
        self._protocol = InferenceProtocol(deployment.features, model)
        self._explanations = Explanations(deployment.features)
        self._documentation = documentation

    def all(self) -> list[GuardedRoute]:
        """Every route, with what it asks of its caller."""
        tell = self._documentation
        version = "/v2/models/{name}/versions/{version}"
        return [
            GuardedRoute("/score", self.score, role="score", **tell.score()),
            GuardedRoute("/score/batch", self.score_batch, role="score", **tell.score_batch()),
            GuardedRoute("/v2/models/{name}/infer", self.infer, role="score", **tell.infer()),
            GuardedRoute(f"{version}/infer", self.infer, role="score", **tell.infer(versioned=True)),
            GuardedRoute("/v2/models/{name}", self.model_metadata, role="score", **tell.metadata()),
            GuardedRoute(version, self.model_metadata, role="score", **tell.metadata(versioned=True)),
            GuardedRoute("/v2/models/{name}/ready", self.model_ready, role=None, **tell.model_ready()),
            GuardedRoute(f"{version}/ready", self.model_ready, role=None, **tell.model_ready(versioned=True)),
            GuardedRoute("/v2", self.server_metadata, role=None, **tell.server()),
            GuardedRoute("/v2/health/live", self.protocol_live, role=None, **tell.protocol_health("live")),
            GuardedRoute("/v2/health/ready", self.protocol_ready, role=None, **tell.protocol_health("ready")),
            GuardedRoute("/health/live", self.live, role=None, **tell.health("live")),
            GuardedRoute("/health/ready", self.ready, role=None, **tell.health("ready")),
            GuardedRoute("/metrics", self.metrics, role=None, **tell.metrics()),
        ]

    async def score(self, call: Call) -> Response:
        """Score one subject. The answer is durable in the ledger before it leaves."""
        explaining = _asked(call, explain=True)
        expect_json(call)
        row = self._model.one(await call.whole_body(self._api.max_body_bytes))
        if not explaining:
            return answers.prediction(row, await self._score_one(call, row))
        with self._explanations.place():
            before = self._serving.scorers
            answer = await self._score_one(call, row)
            explanation = await self._explanations.explain(row, answer, *before, *self._serving.scorers)
        return answers.prediction(row, answer, explanation)

    async def score_batch(self, call: Call) -> Response:
        """Score several subjects, all or none."""
        _asked(call)
        expect_json(call)
        rows = self._model.many(await call.whole_body(self._api.max_body_bytes))
        return answers.predictions(rows, await self._score(call, rows))

    async def infer(self, call: Call) -> Response:
        """Score by the Open Inference Protocol."""
        self._check_model(call)
        _asked(call)
        expect_json(call)
        if call.first_header(b"inference-header-content-length") is not None:
            raise _unsupported("Binary tensors are not taken. Send their values as JSON.")
        rows, own_id, outputs = self._protocol.read(await call.whole_body(self._api.max_body_bytes))
        answer = await self._score(call, rows)
        if len(rows) == 1:
            call.request_id = answer.request_ids[0]
        return infer_answer(answer, len(rows), own_id, outputs)

    async def model_metadata(self, call: Call) -> Response:
        """What tensors the model takes and gives."""
        self._check_model(call)
        return answers.state(self._protocol.metadata(self._name, self._serving.scorer.model_version))

    async def model_ready(self, call: Call) -> Response:
        """Whether this model is loaded and its scores can be made durable."""
        self._check_model(call)
        ready = await self._serving.ready()
        return answers.state({"name": self._name, "ready": ready}, status=200 if ready else 503)

    async def server_metadata(self, _call: Call) -> Response:
        """What serves."""
        version = importlib.metadata.version("fielded")
        return answers.state({"name": "fielded", "version": version, "extensions": []})

    async def protocol_live(self, _call: Call) -> Response:
        """Whether the process can go on."""
        alive = self._serving.alive
        return answers.state({"live": alive}, status=200 if alive else 503)

    async def protocol_ready(self, _call: Call) -> Response:
        """Whether scores can be made, and made durable."""
        ready = await self._serving.ready()
        return answers.state({"ready": ready}, status=200 if ready else 503)

    async def live(self, _call: Call) -> Response:
        """Whether the process answers and still has what scores. Depends on nothing else: a restart mends nothing
        else.
        """
        alive = self._serving.alive
        return answers.state({"status": "live" if alive else "not live"}, status=200 if alive else 503)

    async def ready(self, _call: Call) -> Response:
        """Whether the model is loaded and the journal takes a row; it is written to, to know."""
        ready = await self._serving.ready()
        return answers.state({"status": "ready" if ready else "not ready"}, status=200 if ready else 503)

    async def metrics(self, call: Call) -> Response:
        """Prometheus metrics: for the role `audit`; at a development site also from this machine itself."""
        if self._production or not self._asked_from_here(call):
            await call.gate.admit(call, "audit")
        self._serving.metrics.flush()
        return Answer(await self._serving.beside(self._serving.metrics.text), media_type=metrics.MEDIA_TYPE)

    async def _score(self, call: Call, rows: Sequence[LiveRow]) -> LiveAnswer:
        caller: Caller | None = call.caller
        if caller is None:
            raise RuntimeError("a score for nobody")
        call.gate.take_rows(call, len(rows))
        # Who names a version gets that one, and no candidate.
        answer = await self._serving.score(rows, caller, untried="version" in call.parameters)
        call.scored = True
        call.receipt = Receipt(answer.journal, answer.first_sequence + len(rows) - 1, answer.chains[-1])
        return answer

    async def _score_one(self, call: Call, row: LiveRow) -> LiveAnswer:
        answer = await self._score(call, (row,))
        call.request_id = answer.request_ids[0]
        return answer

    def _check_model(self, call: Call) -> None:
        """404 for another model, or another version than the one that scores."""
        if call.parameters.get("name", self._name) != self._name:
            raise Problem(404, "model", "There is no such model here.")
        version = call.parameters.get("version")
        if version is not None and version != self._serving.scorer.model_version:
            raise Problem(404, "version", "That version does not score here. Ask without a version.")

    def _asked_from_here(self, call: Call) -> bool:
        """Whether the other end is this machine itself, and no proxy on it that speaks for somebody else."""
        peer = call.scope["client"][0] if call.scope.get("client") else ""
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        if any(call.first_header(name) is not None for name in _FORWARDED):
            return False
        proxies = self._proxy.addresses if self._proxy else ()
        return address.is_loopback and not any(address in ipaddress.ip_network(network) for network in proxies)


def _asked(call: Call, *, explain: bool = False) -> bool:
    """Whether the query asks for an explanation, where it may. A misspelt name is refused, not passed over."""
    query = call.scope["query_string"]
    if not query:
        return False
    errors, found = [], None
    for name, text in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name == "explain" and not explain:
            errors.append(FieldError("explain", "a parameter of /score", "none: only /score explains"))
        elif name != "explain":
            errors.append(FieldError(shown(name), "an unknown parameter", "`explain`" if explain else "none"))
        elif text not in _TRUTH or found is not None:
            errors.append(FieldError("explain", "text", "true or false, once"))
        else:
            found = _TRUTH[text]
    if errors:
        raise unprocessable(errors)
    return bool(found)


def expect_json(call: Call) -> None:
    """415 for a body that is not plain JSON in UTF-8."""
    kind = call.first_header(b"content-type")
    if kind != JSON:
        media, _, parameters = (kind or b"").decode("latin-1").lower().partition(";")
        if media.strip() != "application/json" or parameters.strip().strip(";") not in _CHARSETS:
            raise _unsupported("Send JSON, with Content-Type: application/json.")
    if call.first_header(b"content-encoding") not in (None, b"identity"):
        raise _unsupported("Send the body as it is, without a Content-Encoding.")


_CHARSETS = ("", "charset=utf-8", 'charset="utf-8"')


def _unsupported(detail: str) -> Problem:
    return Problem(415, "media_type", detail)
