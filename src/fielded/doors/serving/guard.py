"""The guard: every request passes it first, and every answer last.

In this order, and no body is read before step 5:

1. the path and the method are known (404, 405);
2. the caller is known (401), within their rate (429) and allowed (403);
3. there is a place for one more request (503): nobody who is not known takes one;
4. the endpoint says what kind of body it takes (415);
5. the body is not too large (413) and fits the definition (422);
6. there is a place for its rows (503).

Controls: AC-3 (access enforcement), AC-6, SC-5 (denial of service), SI-10 (input validation), SI-11 (error
handling), AU-3 (content of audit records).
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fielded.definition.serving import Role
from fielded.doors.serving.calls import KEY, Answer, Call, Gone, GuardedRoute
from fielded.doors.serving.connections import MOST_CONNECTIONS
from fielded.doors.serving.lifespan import Serving
from fielded.doors.serving.limits import Limits
from fielded.doors.serving.problems import MEDIA_TYPE, Problem, problem_json, unavailable
from fielded.words.errors import FieldedError, Unreachable
from fielded.words.identifiers import RandomBytes, uuid7
from fielded.world.identity import Authenticator, Caller, Credentials, Unauthenticated

_MEDIA_TYPE = MEDIA_TYPE.encode()
_CLIENT_CLOSED = 499  # for log and counter only
_REFRESH_PAUSE = 1.0  # seconds between two looks for a key that is not known
_MOST_REFRESHING = 16  # requests that wait for such a look; others are refused at once
_NO_PLACE = "There is nothing here. The paths are in the API's documentation."
_CREDENTIALS = "Credentials are needed: a bearer token, or a certificate that the trusted proxy has verified."


class Guard:
    """The outermost part of the application.

    Args:
        app: FastAPI's router.
        routes: the routes, for those whose path is fixed: they are found without trying one after another.
        serving: what scores; started and stopped with the server.
        authenticator: who calls.
        limits: how much at once.
        clock: the time now, UTC.
        random_bytes: source of randomness.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Iterable[GuardedRoute],
        *,
        serving: Serving,
        authenticator: Authenticator,
        limits: Limits,
        clock: Callable[[], datetime],
        random_bytes: RandomBytes,
    ) -> None:
        self._app = app
        self._fixed: dict[str, dict[str, GuardedRoute]] = {}
        for route in routes:
            for path in (route.path.replace("{name}", serving.model_name), route.path):
                if "{" not in path:
                    self._fixed.setdefault(path, {}).update(dict.fromkeys(route.methods or (), route))
        self._serving = serving
        self._logs, self._metrics = serving.logs, serving.metrics
        self._authenticator = authenticator
        self._limits = limits
        self._clock = clock
        self._random_bytes = random_bytes
        self._refreshing = asyncio.Lock()
        self._refreshed = -_REFRESH_PAUSE
        self._waiting_for_keys = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or start and stop with the server (ASGI)."""
        if scope["type"] == "http":
            await self._answer(Call(scope, receive, send, self))
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, call: Call) -> None:
        started = time.perf_counter()
        try:
            await self._route(call)
        except Gone:
            call.status, call.reason = _CLIENT_CLOSED, "gone"
        except asyncio.CancelledError:  # the time for a graceful stop is over
            await self._refuse(call, unavailable("stopping", "The service is stopping. Send it again."))
        except Exception as error:  # noqa: BLE001 - nothing may leave but a problem
            await self._refuse(call, self._problem_of(error))
        finally:
            self._limits.leave(call)
        seconds = time.perf_counter() - started
        caller, scope = call.caller, call.scope
        if call.scored:
            self._metrics.took(seconds)
        self._metrics.request(call.route, scope["method"], call.status, call.reason)
        self._logs.request(
            request_id=call.request_id,
            method=scope["method"],
            route=call.route,
            status=call.status,
            seconds=seconds,
            caller=caller.name if caller else None,
            client_address=caller.client_address if caller else _peer(scope),
            reason=call.reason,
            receipt=call.receipt,
        )

    async def _route(self, call: Call) -> None:
        scope = call.scope
        scope[KEY] = call
        fixed = self._fixed.get(scope["path"])
        method = scope["method"]
        if method == "HEAD":  # the server leaves the body out
            method, scope = "GET", {**scope, "method": "GET"}
        if fixed is None:
            await self._app(scope, call.receive, _unused)
            return
        route = fixed.get(method)
        if route is not None:
            await route.app(scope, call.receive, _unused)
            return
        allowed = {**fixed, "HEAD": None} if "GET" in fixed else fixed
        allow = ", ".join(sorted({*allowed, "OPTIONS"}))
        call.route = next(iter(fixed.values())).path
        if method != "OPTIONS":
            raise _not_allowed(allow)
        answer = Answer(b"", status=204)
        answer.raw_headers = [(b"allow", allow.encode())]
        await call.respond(answer)

    async def admit(self, call: Call, role: Role) -> Caller:
        """See `calls.Gate`."""
        caller = await self._authenticate(call.scope)
        call.caller = caller
        self._limits.count(caller.name)
        if role not in caller.roles:
            raise Problem(403, "role", f"This needs the role `{role}`, which the caller does not have.")
        self._limits.take_place(call)
        return caller

    def take_rows(self, call: Call, rows: int) -> None:
        """See `calls.Gate`."""
        self._limits.take_rows(call, rows)

    async def _authenticate(self, scope: Scope) -> Caller:
        gathered: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            gathered.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        credentials = Credentials({name: tuple(values) for name, values in gathered.items()}, _peer(scope))
        try:
            return self._authenticator.authenticate(credentials)
        except Unauthenticated as refusal:
            if refusal.reason != "unknown_key" or self._waiting_for_keys >= _MOST_REFRESHING:
                raise
        self._waiting_for_keys += 1
        try:
            await self._refresh_keys()
        finally:
            self._waiting_for_keys -= 1
        return self._authenticator.authenticate(credentials)

    async def _refresh_keys(self) -> None:
        """Look once for a new key; others that miss one meanwhile wait for the same look."""
        async with self._refreshing:
            now = time.monotonic()
            if now - self._refreshed >= _REFRESH_PAUSE:
                await self._serving.beside(partial(self._authenticator.refresh, force=True))
                self._refreshed = time.monotonic()

    async def _refuse(self, call: Call, problem: Problem) -> None:
        if call.status:  # the answer has begun; nothing can be added to it
            call.reason = problem.reason
            return
        call.reason = problem.reason
        if call.request_id is None:
            call.request_id = self.new_id()
        protocol = call.scope["path"].startswith("/v2")
        body = problem_json(problem, call.request_id, inference_protocol=protocol)
        answer = Answer(body, status=problem.status, media_type=_MEDIA_TYPE)
        answer.raw_headers += [(name.lower().encode(), text.encode()) for name, text in problem.headers.items()]
        await call.respond(answer)

    def _problem_of(self, error: Exception) -> Problem:
        if isinstance(error, Problem):
            return error
        if isinstance(error, Unauthenticated):
            return Problem(401, error.reason, _CREDENTIALS, headers={"WWW-Authenticate": "Bearer"})
        if isinstance(error, Unreachable):
            self._logs.event("error", "unavailable", message=str(error))
            return unavailable("unavailable", "The score could not be made durable, so there is none. Try again.")
        if isinstance(error, HTTPException):
            if error.status_code == 405:  # noqa: PLR2004 - method not allowed
                return _not_allowed((error.headers or {}).get("Allow", "GET"))
            return Problem(404, "not_found", _NO_PLACE)
        message = {"message": str(error)} if isinstance(error, FieldedError) else {}
        self._logs.event("error", "fault", exception=type(error).__name__, **message)
        return Problem(500, "fault", "The service failed. It was logged under this request's id.")

    def new_id(self) -> str:
        """See `calls.Gate`."""
        return uuid7(int(self._clock().timestamp() * 1000), self._random_bytes)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start and stop with the server; a start that fails says why in one line, without a stack."""
        await receive()
        scope.get("state", {})[MOST_CONNECTIONS] = self._limits.connections
        try:
            await self._serving.start()
        except Exception as error:  # noqa: BLE001 - the server is told, and stops
            message = str(error) if isinstance(error, FieldedError) else f"unexpected {type(error).__name__}"
            self._logs.event("error", "start failed", message=message)
            self._logs.flush()
            await send({"type": "lifespan.startup.failed", "message": message})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._serving.stop()
        self._logs.flush()  # uvicorn ends this process by the signal that stopped it
        await send({"type": "lifespan.shutdown.complete"})


async def _unused(_message: Message) -> None:
    """Routes answer through their call."""


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _not_allowed(allow: str) -> Problem:
    return Problem(405, "method", f"This path takes {allow}.", headers={"Allow": allow})
