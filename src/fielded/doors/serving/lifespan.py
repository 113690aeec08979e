"""What one worker holds while it serves: the live service, and what goes on beside the requests."""

import asyncio
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from fielded.decisions.scoring import Scorer
from fielded.definition.serving import Api
from fielded.doors.serving.logs import Logs
from fielded.doors.serving.metrics import Metrics
from fielded.doors.serving.problems import Problem, unavailable
from fielded.doors.serving.threads import Threads
from fielded.services.authority import acting_as
from fielded.services.drain import Drained
from fielded.services.score_live import LiveAnswer, LiveRequest, LiveRow, Settled
from fielded.services.score_trial import Candidate
from fielded.words.errors import FieldedError, Unreachable
from fielded.words.identifiers import RandomBytes
from fielded.world.identity import Authenticator, Caller
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

_FLUSH_SECONDS = 1.0  # between two looks at counters and at the supervisor
_FOLLOW_SECONDS = 0.2  # between two looks whether there is a new event; they cost next to nothing
_REPORT_SECONDS = 1.0  # between two tellings of what is served
_WAITING_SECONDS = 10.0  # between two counts of the rows that wait in the journals
_KEYS_SECONDS = 30.0  # between two looks whether the identity provider's keys are old
_READY_SECONDS = 1.0  # a probe of the journal is believed that long, so that asking is no attack
_PROBE_SECONDS = 6.0
_STARTING = "The service has not started yet. Try again."
_REVIEWING = 2  # acts and views of cases at once; more would only take the interpreter from what scores
_MOST_REVIEWS = 32  # under way or waited for
_SWITCH_SECONDS = 0.0005  # meanwhile: whoever scores gets the interpreter back ten times as soon as Python's usual
_END_SECONDS = 0.5  # for threads that have nothing left to do


class Scoring(Protocol):
    """See `services.score_live.LiveScoring`."""

    @property
    def scorer(self) -> Scorer: ...

    @property
    def candidate(self) -> Candidate | None: ...

    @property
    def alive(self) -> bool: ...

    def submit(self, request: LiveRequest) -> None: ...

    def probe(self) -> None: ...


class Service(Protocol):
    """See `services.serve.Live`."""

    @property
    def scoring(self) -> Scoring: ...

    @property
    def workplace(self) -> Workplace: ...

    def follow_if_due(self) -> RegisteredVersion | None: ...

    def report_once(self) -> None: ...

    def judge_once(self) -> str | None: ...

    def inspect_once(self) -> Sequence[str]: ...

    def drain_once(self) -> Drained: ...

    def drain_in_turn(self) -> Drained | None: ...

    def waiting_rows(self) -> int: ...

    def close(self) -> None: ...


Reviewed = TypeVar("Reviewed")
OpenService = Callable[[Callable[[Settled], None]], Service]


class Serving:
    """A worker's live service, from the server's start to its end.

    Args:
        open_service: opens it; told where answers go. Blocks.
        model_name: registered name.
        api: the site's limits and times.
        authenticator: whose keys are kept fresh.
        logs: where it tells what befalls it.
        metrics: what it counts.
        random_bytes: so that workers do not all drain at the same moment.

    Attributes:
        failed: what scores has ended by itself; so does the worker.
    """

    def __init__(
        self,
        open_service: OpenService,
        model_name: str,
        api: Api,
        authenticator: Authenticator,
        logs: Logs,
        metrics: Metrics,
        random_bytes: RandomBytes,
    ) -> None:
        self.model_name = model_name
        self.logs = logs
        self.metrics = metrics
        self.failed = False
        self._open = open_service
        self._api = api
        self._authenticator = authenticator
        self._random_bytes = random_bytes
        self._service: Service | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._threads = Threads(6, "fielded-beside")  # probe, follow, report, drain, inspect, keys
        self._review_threads = Threads(_REVIEWING, "fielded-review")  # a long list must not keep those waiting
        self._reviews = 0
        self._switch_seconds = 0.0  # as it was before the first of them
        self._candidate: Candidate | None = None  # on trial at the last look
        self._told = ""  # why the last report failed
        self._draining = threading.Lock()
        self._probing = asyncio.Lock()
        self._probed: tuple[float, bool] = (-_READY_SECONDS, False)

    async def start(self) -> None:
        """Load, claim, begin.

        Raises:
            FieldedError: it cannot be served.
        """
        self._loop = asyncio.get_running_loop()
        self._service = await self._beside(self._open, self._settle)
        scorer = self._service.scoring.scorer
        self.metrics.scores_with(scorer.model_version, scorer.artifact_sha256)
        self._tasks = [
            asyncio.create_task(self._each(_FLUSH_SECONDS, self._look_around)),
            asyncio.create_task(self._each(min(_FOLLOW_SECONDS, self._api.alias_seconds), self._follow)),
            asyncio.create_task(self._each(_REPORT_SECONDS, self._report)),
            asyncio.create_task(self._each(min(_WAITING_SECONDS, self._api.drain_seconds), self._count_waiting)),
            asyncio.create_task(self._each(self._api.drain_seconds, self._drain)),
            asyncio.create_task(self._each(self._api.inspect_seconds, self._inspect)),
            asyncio.create_task(self._each(_KEYS_SECONDS, self._refresh_keys)),
        ]
        gc.collect()
        gc.freeze()  # what was loaded stays: looking through it again and again would pause requests
        self.logs.event("info", "serving", model=self.model_name, version=scorer.model_version)

    async def stop(self) -> None:
        """Answer what was submitted, let the journal go, and drain it as far as there is time left for that.

        Takes `stop_seconds` at most, whatever hangs: what is not done then is left to the next process.
        """
        until = self._loop.time() + self._api.stop_seconds
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._service is not None:
            ending = Threads(1, "fielded-ending")  # the others may be stuck
            if await self._within(until, "closed", ending.run(self._service.close)):
                left = until - self._loop.time()
                await self._within(until, "drained", ending.run(self._drain_alone, self._service, left))
            ending.end(_END_SECONDS)
        self.metrics.flush()
        self._threads.end(_END_SECONDS)
        self._review_threads.end(_END_SECONDS)
        gc.unfreeze()
        self.logs.event("info", "stopped")

    async def _within(self, until: float, done: str, doing: asyncio.Future[Any]) -> bool:
        """Wait for one part of stopping; whether it was done."""
        try:
            await asyncio.wait_for(doing, max(0.01, until - self._loop.time()))
        except TimeoutError:
            self.logs.event("error", f"not {done}", message="stop: api.stop_seconds are over")
            return False
        except FieldedError as error:
            self.logs.event("error", f"not {done}", message=str(error))
            return False
        except Exception as error:  # noqa: BLE001 - a stop goes on
            self.logs.event("error", "fault", doing="stop", exception=type(error).__name__)
            return False
        return True

    @property
    def alive(self) -> bool:
        """Whether what scores goes on, as far as it was started."""
        return self._service is None or (not self.failed and self._service.scoring.alive)

    async def score(self, rows: Sequence[LiveRow], caller: Caller, *, untried: bool = False) -> LiveAnswer:
        """Score rows durably.

        Args:
            rows: at least one.
            caller: who asks.
            untried: see `LiveRequest`.

        Raises:
            Unreachable: there is no score, because it could not be made durable.
            FieldedError: the model could not score them.
        """
        ticket: asyncio.Future[LiveAnswer | FieldedError] = self._loop.create_future()
        self._scoring.submit(
            LiveRequest(
                rows=rows,
                requested_by=caller.name,
                client_address=caller.client_address,
                ticket=ticket,
                untried=untried,
            )
        )
        outcome = await ticket
        if isinstance(outcome, LiveAnswer):
            self.metrics.predicted(outcome.models, outcome.decisions)
            return outcome
        if isinstance(outcome, Unreachable):  # one error for a whole group, so it is not raised itself
            raise unavailable("unavailable", "The score could not be made durable, so there is none. Try again.")
        raise Problem(500, "fault", "The model could not score this. It was logged under this request's id.")

    @property
    def scorer(self) -> Scorer:
        """What scores now."""
        return self._scoring.scorer

    @property
    def scorers(self) -> tuple[Scorer, ...]:
        """What may have scored an answer of now: production, and a candidate that answers."""
        candidate = self._scoring.candidate
        return (self._scoring.scorer,) if candidate is None else (self._scoring.scorer, candidate.scorer)

    async def ready(self) -> bool:
        """Whether a score could be made and made durable: the journal is written to, at most once a second."""
        async with self._probing:
            at, ready = self._probed
            if self._loop.time() - at < _READY_SECONDS:
                return ready
            try:
                await asyncio.wait_for(self._beside(self._scoring.probe), _PROBE_SECONDS)
                ready = True
            except (FieldedError, TimeoutError) as error:
                self.logs.event("error", "not ready", message=str(error) or "the probe took too long")
                ready = False
            self._probed = (self._loop.time(), ready)
            return ready

    async def beside(self, do: Callable[..., Any], *arguments: Any) -> Any:
        """Do something that blocks, off the event loop."""
        return await self._beside(do, *arguments)

    async def review(self, caller: Caller, do: Callable[[Workplace], Reviewed]) -> Reviewed:
        """Do something about cases in the caller's name, off the event loop and on threads of its own.

        Args:
            caller: who asks; whatever is done is done by that identity.
            do: given the deployment at its site.

        Raises:
            Problem: 503, not started, or as much as is taken is waited for.
        """
        service = self._service
        if service is None:
            raise unavailable("starting", _STARTING)
        if self._reviews >= _MOST_REVIEWS:
            raise unavailable("busy", "As many reviews as this service takes are under way. Try again.")
        if not self._reviews:
            self._switch_seconds = sys.getswitchinterval()
            sys.setswitchinterval(_SWITCH_SECONDS)
        self._reviews += 1
        try:
            made: Reviewed = await self._review_threads.run(
                lambda: do(acting_as(service.workplace, caller.name, caller.roles))
            )
            return made
        finally:
            self._reviews -= 1
            if not self._reviews:
                sys.setswitchinterval(self._switch_seconds)

    @property
    def _scoring(self) -> Scoring:
        if self._service is None:
            raise unavailable("starting", _STARTING)
        return self._service.scoring

    def _beside(self, do: Callable[..., Any], *arguments: Any) -> Awaitable[Any]:
        return self._threads.run(do, *arguments)

    def _drain_alone(self, service: Service, seconds: float) -> Drained | None:
        """Drain, unless this process is doing so already; where there is time to wait, also beside another one."""
        if not self._draining.acquire(timeout=max(0.0, seconds)):
            return None
        try:
            return service.drain_once() if seconds > 0 else service.drain_in_turn()
        finally:
            self._draining.release()

    def _settle(self, settled: Settled) -> None:
        """Told on the scoring thread; one call wakes the loop for a whole group."""
        with suppress(RuntimeError):  # the loop has ended: nobody waits for these any more
            self._loop.call_soon_threadsafe(self._hand_over, settled)

    def _hand_over(self, settled: Settled) -> None:
        rows, failures = 0, set()
        for request, outcome in settled:
            rows += len(request.rows)
            if isinstance(outcome, FieldedError):
                failures.add(str(outcome))
            if not request.ticket.done():  # its caller may have been given up on
                request.ticket.set_result(outcome)
        self.metrics.group(rows)
        for message in failures:
            self.logs.event("error", "not scored", message=message)

    async def _each(self, seconds: float, do: Callable[[], Awaitable[None]]) -> None:
        """Do something again and again; a fault of one time is logged by its type and ends nothing."""
        while True:
            spread = 0.9 + 0.2 * self._random_bytes(1)[0] / 255
            await asyncio.sleep(seconds * spread)
            try:
                await do()
            except Exception as error:  # noqa: BLE001 - see above
                self.logs.event("error", "fault", doing=do.__name__.strip("_"), exception=type(error).__name__)

    async def _look_around(self) -> None:
        self._count_trial()
        self.metrics.flush()
        if not self.alive and not self.failed:
            self.failed = True
            self.logs.event("error", "scoring ended", message="the thread that scores; this worker ends too")
            os.kill(os.getpid(), signal.SIGTERM)
        supervisor = multiprocessing.parent_process()
        if supervisor is not None and not supervisor.is_alive():
            self.logs.event("error", "supervisor gone")
            os.kill(os.getpid(), signal.SIGTERM)

    def _count_trial(self) -> None:
        """Also what a candidate came to since the last look, that is gone by now."""
        before, self._candidate = self._candidate, self._opened().scoring.candidate
        for candidate in {before, self._candidate}:
            if candidate is not None:
                self.metrics.tried(candidate.scorer.model_version, candidate.mode, candidate.outcomes())

    async def _follow(self) -> None:
        service = self._opened()
        try:
            moved = await self._beside(service.follow_if_due)
        except FieldedError as error:
            self.metrics.follow_failed()
            self.logs.event("error", "alias not followed", message=str(error))
            return
        if moved is not None:
            scorer = service.scoring.scorer
            self.metrics.scores_with(scorer.model_version, scorer.artifact_sha256)
            self.logs.event("info", "alias followed", model=self.model_name, version=scorer.model_version)

    async def _report(self) -> None:
        """Tell what is served, and end a trial that must end."""
        service = self._opened()
        try:
            await self._beside(service.report_once)
            ended = await self._beside(service.judge_once)
        except FieldedError as error:
            if str(error) != self._told:  # once, not every second
                self._told = str(error)
                self.logs.event("error", "not reported", message=str(error))
            return
        self._told = ""
        if ended is not None:
            self.metrics.trial_ended()
            self.logs.event("error", "trial ended", model=self.model_name, message=ended)

    async def _count_waiting(self) -> None:
        service = self._opened()
        try:
            rows = await self._beside(service.waiting_rows)
        except FieldedError as error:
            self.logs.event("error", "journals not counted", message=str(error))
            return
        self.metrics.waiting(rows)
        if rows >= self._api.drain_rows:
            await self._drain()

    async def _drain(self) -> None:
        try:
            drained: Drained | None = await self._beside(self._drain_alone, self._opened(), 0.0)
        except FieldedError as error:
            self.metrics.drain_failed()
            self.logs.event("error", "not drained", message=str(error))
            return
        if drained is None:
            return
        for journal, failure in drained.failures.items():
            self.metrics.drain_failed()
            self.logs.event("error", "not drained", journal=journal, message=str(failure))
        if drained.rows:
            self.logs.event("info", "drained", rows=drained.rows, files=drained.files, journals=drained.journals)

    async def _inspect(self) -> None:
        try:
            for difference in await self._beside(self._opened().inspect_once):
                self.logs.event("error", "registry differs", model=self.model_name, message=difference)
        except FieldedError as error:
            self.logs.event("error", "registry not inspected", message=str(error))

    async def _refresh_keys(self) -> None:
        await self._beside(self._authenticator.refresh)
        held = self._authenticator.held_keys()
        if held is not None:
            self.metrics.keys_held(held)

    def _opened(self) -> Service:
        if self._service is None:
            raise RuntimeError("not started")
        return self._service
