"""The API in this process, without a socket: what probes ask, and what is shown of the guard by asking it.

It is the application that `fielded serve` starts, with its guard, routes, limits and identity: the server alone is
missing, and with it TLS and the bounds on connections.

1. It opens with the first question and closes at the end. Until then it claims a journal, as every serving process
   does; rows that it scores are of the channel `probe` and count nobody.
2. Who asks is told by the site's own identity, but for one more way: a token that is made here, by chance, for
   this one door. Who has it is who runs this process, as the operating system knows them, and may score. It is in
   no file, and there is no socket that anybody else could send it to.
"""

import asyncio
import hmac
import io
import json as json_text
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

from fielded.decisions.rows import PROBE
from fielded.doors.serving.app import build_app
from fielded.doors.serving.logs import LineWriter, Logs
from fielded.services.evidence.collect import Answer
from fielded.services.score_live import Settled
from fielded.services.serve import Live, open_live
from fielded.words.errors import FieldedError, Unreachable
from fielded.world.identity import Authenticator, Caller, Credentials, open_authenticator
from fielded.world.identity.bearer import bearer_token
from fielded.world.workplace import Workplace

_TOKEN_BYTES = 32
_ANSWER_SECONDS = 60.0  # that an answer may take; the API's own bounds are below that
_START_SECONDS = 300.0  # models are fetched, hashed and loaded
_END_SECONDS = 5.0  # beyond the site's api.stop_seconds
_HERE = "127.0.0.1"

Result = TypeVar("Result")


class _Within:
    """The site's identity, and the one who runs this process: rule 2."""

    def __init__(self, site: Authenticator, token: str, user: str) -> None:
        self._site = site
        self._token = token.encode()
        self._user = user

    def authenticate(self, credentials: Credentials) -> Caller:
        """The caller; see the port."""
        if "authorization" in credentials.headers:
            token = bearer_token(credentials)
            if token is not None and hmac.compare_digest(token.encode(), self._token):
                return Caller(self._user, frozenset({"score"}), credentials.peer, "process")
        return self._site.authenticate(credentials)

    def refresh(self, *, force: bool = False) -> bool:
        """Read the provider's keys again; see the port."""
        return self._site.refresh(force=force)

    def held_keys(self) -> int | None:
        """Keys of the provider; see the port."""
        return self._site.held_keys()


@dataclass
class _Server:
    """The part of a server that the application needs: an event loop, and its start and stop (ASGI's lifespan)."""

    app: ASGIApp
    started: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    failure: str | None = None
    state: dict[str, Any] = field(default_factory=dict)
    living: "asyncio.Task[None] | None" = None

    async def start(self) -> str | None:
        """Start the application; why it could not be started."""
        self.living = asyncio.create_task(self._live())
        await self.started.wait()
        return self.failure

    async def stop(self) -> None:
        """Stop it."""
        self.stopping.set()
        if self.living is not None:
            await self.living

    async def _live(self) -> None:
        told: list[Message] = [{"type": "lifespan.startup"}]

        async def receive() -> Message:
            if told:
                return told.pop()
            await self.stopping.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                self.failure = str(message["message"])
            self.started.set()

        try:
            await self.app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}, receive, send)
        finally:
            self.started.set()

    async def ask(self, scope: Scope, body: bytes) -> Answer:
        """One request and its answer."""
        sent: list[Message] = []
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        never = asyncio.Event()

        async def receive() -> Message:
            if not waiting:
                await never.wait()
            return waiting.pop()

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app({**scope, "state": dict(self.state)}, receive, send)
        return _answer(sent)


class InProcessDoor:
    """The API of a workplace, asked in this process, by several threads at once if need be. Made by `open_door`.

    Args:
        workplace: the deployment at its site; `user` is who asks.
        channel: of the rows.
    """

    def __init__(self, workplace: Workplace, channel: str) -> None:
        self._workplace = workplace
        self._channel = channel
        self._token = workplace.random_bytes(_TOKEN_BYTES).hex()
        self._out = io.StringIO()
        self._writer: LineWriter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: _Server | None = None
        self._failure: FieldedError | None = None
        self._opening = threading.Lock()

    @property
    def credentials(self) -> Mapping[str, str]:
        """Headers of the workplace's user: rule 2."""
        return {"authorization": f"Bearer {self._token}"}

    @property
    def lines(self) -> tuple[str, ...]:
        """What the API has logged so far: JSON texts."""
        if self._writer is not None:
            self._writer.flush()
        return tuple(self._out.getvalue().splitlines())

    def ask(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        peer: str = _HERE,
    ) -> Answer:
        """One request and its answer; see `services.evidence.collect.Door`."""
        server = self._opened()
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        if json is not None:
            body = json_text.dumps(json).encode()
            sent.setdefault("content-type", "application/json")
        content = body or b""
        if content:
            sent.setdefault("content-length", str(len(content)))
        place, _, query = path.partition("?")
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(place),
            "raw_path": place.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
            "client": (peer, 0),
            "server": (_HERE, 0),
        }
        return self._within(server.ask(scope, content), _ANSWER_SECONDS, "an answer")

    def close(self) -> None:
        """Stop the API; its journal is drained as far as there is time, as at every stop."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        try:
            if self._server is not None:
                self._within(self._server.stop(), self._workplace.site.api.stop_seconds + _END_SECONDS, "its end")
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_END_SECONDS)
            if not thread.is_alive():
                loop.close()
            if self._writer is not None:
                self._writer.close()
            self._loop = None

    def _opened(self) -> _Server:
        with self._opening:  # of several who ask at once, one opens it
            if self._failure is not None:
                raise self._failure
            if self._server is None:
                try:
                    self._server = self._open()
                except FieldedError as error:
                    self._failure = error
                    raise
            return self._server

    def _open(self) -> _Server:
        workplace, failures = self._workplace, list[FieldedError]()

        def open_service(settle: Callable[[Settled], None]) -> Live:
            try:
                return open_live(workplace, settle, channel=self._channel)
            except FieldedError as error:
                failures.append(error)
                raise

        site = open_authenticator(workplace.site, workplace.clock)
        self._writer = LineWriter(self._out)
        app = build_app(
            workplace.deployment,
            workplace.site,
            open_service=open_service,
            authenticator=_Within(site, self._token, workplace.user),
            logs=Logs(self._writer, workplace.clock),
            clock=workplace.clock,
            random_bytes=workplace.random_bytes,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fielded-door", daemon=True)
        self._thread.start()
        server = _Server(app)
        failure = self._within(server.start(), _START_SECONDS, "its start")
        if failures:
            raise failures[0]
        if failure is not None:
            raise FieldedError(f"API: got {failure} while it started, expected a start")
        return server

    def _within(self, doing: Coroutine[Any, Any, Result], seconds: float, what: str) -> Result:
        """Do something on the loop's thread, and wait for it."""
        if self._loop is None:
            doing.close()
            raise FieldedError("API: got a question after its end, expected one before")
        done = asyncio.run_coroutine_threadsafe(doing, self._loop)
        try:
            return done.result(seconds)
        except TimeoutError:
            done.cancel()
            raise Unreachable(f"API: got nothing for {seconds:g} s, expected {what}") from None


@contextmanager
def open_door(workplace: Workplace, channel: str = PROBE) -> Iterator[InProcessDoor]:
    """The API of a workplace, closed at the end. It is opened by the first question, so it costs nothing where
    there is none; what keeps it from opening is raised by every question.

    Args:
        workplace: the deployment at its site; `user` is who asks.
        channel: of the rows that it scores; others than `PROBE` only where nobody's scores are counted, such as on
            a scratch site.
    """
    door = InProcessDoor(workplace, channel)
    try:
        yield door
    finally:
        door.close()


def _answer(sent: list[Message]) -> Answer:
    head = next((message for message in sent if message["type"] == "http.response.start"), None)
    if head is None:
        raise FieldedError("API: got no answer to a request, expected one")
    content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    text = content.decode("utf-8", "replace")
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head["headers"]}
    try:
        value = json_text.loads(text) if text else None
    except ValueError:
        value = None
    return Answer(int(head["status"]), headers, value, text)
