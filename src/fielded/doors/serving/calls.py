"""One HTTP request, and what answers it: Starlette's own kinds, without what is not needed on every request."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from fielded.definition.serving import Role
from fielded.doors.serving.logs import Receipt
from fielded.doors.serving.problems import Problem
from fielded.world.identity import Caller

JSON = b"application/json"
KEY = "fielded.call"  # where a scope holds its call

# A score is for the one who asked; no cache and no browser shall make something of it.
_ALWAYS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class Gate(Protocol):
    """What lets calls in."""

    async def admit(self, call: "Call", role: Role) -> Caller:
        """Whoever calls, if they may.

        Raises:
            Problem: 403, 429, 503.
            Unauthenticated: 401.
        """

    def take_rows(self, call: "Call", rows: int) -> None:
        """Count rows that are about to be scored, until the call is answered.

        Raises:
            Problem: 503, too many are waited for.
        """

    def new_id(self) -> str:
        """A UUIDv7 for a request."""


class Gone(Exception):
    """The caller went away before the whole request was there."""


class Answer(Response):
    """A response whose bytes are ready."""

    def __init__(self, body: bytes, *, status: int = 200, media_type: bytes = JSON) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body)), *_ALWAYS]


class Call(Request):
    """A request under way.

    Attributes:
        gate: what let it in.
        route: template of the path, `none` where nothing matched.
        parameters: what stands in the path where the template has names.
        caller: who asks, once that is known.
        request_id: UUID; of a single score the row's own.
        status: HTTP status of the answer; 0 before there is one.
        reason: why it was refused, for the counter and the log.
        counted: whether it takes one of the places for requests in flight.
        rows: that it takes of those that may be scored at once.
        receipt: where its last row stands, once its rows are durable.
        scored: whether its rows were scored and are durable.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, gate: "Gate") -> None:
        super().__init__(scope, receive, send)
        self.gate = gate
        self.route = "none"
        self.parameters: Mapping[str, str] = {}
        self.status = 0
        self.counted = False
        self.rows = 0
        self.receipt: Receipt | None = None
        self.scored = False
        self.caller: Caller | None = None
        self.request_id: str | None = None
        self.reason: str | None = None

    def first_header(self, name: bytes) -> bytes | None:
        """The first value of a header, by its lower-case name."""
        for key, value in self.scope["headers"]:
            if key == name:
                return bytes(value)
        return None

    async def whole_body(self, limit: int) -> bytes:
        """The body.

        Raises:
            Problem: 413, more than `limit` bytes were announced or came.
            Gone: the caller went away.
        """
        announced = self.first_header(b"content-length")
        if announced is not None and (not announced.isdigit() or int(announced) > limit):
            raise _too_large(limit)
        parts: list[bytes] = []
        size, more = 0, True
        while more and size <= limit:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
        if size > limit:
            raise _too_large(limit)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def respond(self, response: Response) -> None:
        """Send a response, with the request's id."""
        self.status = response.status_code
        if self.request_id is None:
            self.request_id = self.gate.new_id()
        headers = [*response.raw_headers, (b"x-request-id", self.request_id.encode())]
        if self.receipt is not None:
            headers.append((b"fielded-receipt", str(self.receipt).encode()))
        start: Message = {"type": "http.response.start", "status": response.status_code, "headers": headers}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": response.body})


def _too_large(limit: int) -> Problem:
    return Problem(413, "body_too_large", f"The body has more than {limit} bytes. Send fewer rows at once.")


Endpoint = Callable[[Call], Awaitable[Response]]


class GuardedRoute(APIRoute):
    """A route that FastAPI declares, matches and documents, and that only `guard.Guard` can run.

    Its endpoint is called as it stands: FastAPI's dependency injection costs a request more than everything else
    here taken together. Without the guard there is no call in the scope, and nothing is served.

    Attributes:
        role: what the caller must be allowed; None is open to everybody.
    """

    def __init__(self, path: str, endpoint: Endpoint, *, role: Role | None, **declared: Any) -> None:
        super().__init__(path, endpoint, **declared)
        self.role = role
        self._endpoint = endpoint
        self.app = self._run

    async def _run(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        call: Call = scope[KEY]
        call.route = self.path
        call.parameters = scope.get("path_params", {})
        if self.role is not None:
            await call.gate.admit(call, self.role)
        await call.respond(await self._endpoint(call))
