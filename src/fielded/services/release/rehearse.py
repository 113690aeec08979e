"""Rehearse one rollback at a copy of the site: a real API, callers that never rest, the real command.

1. the previous version loads and replays; if not, there is nothing to rehearse;
2. `fielded serve` is started, and waited for until each worker answers and holds that version ready;
3. callers ask all the while; after some seconds `fielded rollback` is run as a process of its own;
4. some seconds later the callers rest, the API is told to end, and its journals are drained;
5. the copy's ledger is read: rows against answers, its seals, its release state.
"""

import http.client
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.dataset as ds

from fielded.decisions.release.acts import Pinned
from fielded.decisions.release.drill import Answers, Books, Measured, RolledBack
from fielded.decisions.rows import API
from fielded.services.drain import drain
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.await_served import live_workers
from fielded.services.release.record import state_of
from fielded.services.release.verified import verified
from fielded.services.verify import verify
from fielded.words.errors import FieldedError, Unreachable
from fielded.world.callers import Callers, Load
from fielded.world.commands import Commands, Ended, Service
from fielded.world.delta_reading import dataset_of
from fielded.world.rehearsal import Rehearsal
from fielded.world.workplace import Workplace

_READY_SECONDS = 240.0  # each worker loads two models; many workers share few processors while they start
_BEFORE_SECONDS, _AFTER_SECONDS = 3.0, 2.0  # of load, around the command
_LEAST_WAIT_SECONDS = 30.0  # that the command waits for workers, as it does by itself
_COMMAND_SECONDS = 180.0  # that it may take beyond that: imports, aliases, seals
_LOOK_SECONDS = 0.2
_TICK_SECONDS = 0.02  # the command knows its own start to a clock tick of the system
_SHOWN = 300  # characters of what a command said

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How to rehearse.

    Attributes:
        command: what `fielded` is as a process: program and arguments.
        workers: of the API.
        connections: callers.
        bodies: requests that they send in turn.
        limit_seconds: that a rollback may take.
        ticks: seconds that only go up.
        sleep: waits so many seconds.
        tell: told what is being done.
    """

    command: tuple[str, ...]
    workers: int
    connections: int
    bodies: Sequence[bytes]
    limit_seconds: float
    ticks: Callable[[], float]
    sleep: Callable[[float], None]
    tell: Tell


def rehearse(copy: Workplace, rehearsal: Rehearsal, left: Pinned, to: Pinned, script: Script) -> Measured:
    """Roll back from `left` to `to` at the copy, and measure.

    What goes wrong there is measured too; only what is wrong with this machine is raised.

    Args:
        copy: the workplace of the copy.
        rehearsal: the copy.
        left: in production there.
        to: previous there.
        script: how.
    """
    measured = Measured(left=left, to=to, workers=script.workers, connections=script.connections)
    script.tell(f"loading version {to.version} and scoring its recorded rows again")
    try:
        measured = replace(measured, replayed=verified(copy, Scorers(copy), to))
    except FieldedError as error:
        return replace(measured, way_back=_brief(str(error)))
    commands = Commands(
        script.command, rehearsal.deployment.folder, rehearsal.site_file, rehearsal.folder, script.ticks
    )
    load: Load | None = None
    with Service(commands, rehearsal.folder / "serve.log") as service:
        script.tell(f"starting an API with {script.workers} workers")
        begun = script.ticks()
        why_not = _wait_ready(copy, service, to, script)
        measured = replace(measured, api=why_not, ready_seconds=script.ticks() - begun)
        if not why_not:
            load, rolled_back, done = _under_load(service, commands, rehearsal.token, left, script)
            answers = _answers(load, left, to, done.begun, rolled_back.followed_seconds)
            measured = replace(measured, rollback=rolled_back, answers=answers)
        script.tell("ending the API")
        stopped = service.stop(2.0 * copy.site.api.stop_seconds + _LEAST_WAIT_SECONDS)
        measured = replace(measured, stopped=stopped)
    if load is not None:
        script.tell("reading the rehearsal's ledger")
        measured = replace(measured, books=_books(copy, rehearsal, load))
    return measured


def _wait_ready(copy: Workplace, service: Service, to: Pinned, script: Script) -> str:
    """Wait until every worker answers and holds `to`; empty, or what was there when the time was over."""
    until = script.ticks() + _READY_SECONDS
    holding: list[Any] = []
    while script.ticks() < until:
        if service.exit_code is not None:
            return f"it ended with exit code {service.exit_code}: {service.complaint or 'nothing told'}"
        holding = [one for one in live_workers(copy) if one.standby == to]
        address = service.address
        if len(holding) == script.workers and address is not None and _is_ready(address):
            return ""
        script.sleep(_LOOK_SECONDS)
    why = service.complaint
    return f"{len(holding)} workers that hold version {to.version} after {_READY_SECONDS:g} s{why and f': {why}'}"


def _is_ready(address: tuple[str, int]) -> bool:
    line = http.client.HTTPConnection(*address, timeout=10)
    try:
        line.request("GET", "/health/ready")
        return line.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()


def _under_load(
    service: Service, commands: Commands, token: str, left: Pinned, script: Script
) -> tuple[Load, RolledBack, Ended]:
    address = service.address
    if address is None:  # it was ready just now
        raise Unreachable("drill: the API does not tell where it listens")
    wait = max(_LEAST_WAIT_SECONDS, script.limit_seconds)
    with Callers(address, token, script.bodies, script.connections, script.ticks) as callers:
        script.tell(f"asking from {script.connections} connections")
        script.sleep(_BEFORE_SECONDS)
        script.tell("rolling back")
        done = commands.run(
            "rollback", "-m", "drill", "--leave", left.version, "--wait", f"{wait:g}",
            timeout_seconds=wait + _COMMAND_SECONDS,
        )  # fmt: skip
        script.sleep(_AFTER_SECONDS)
        load = callers.stop()
    return load, _rolled_back(done), done


def _rolled_back(done: Ended) -> RolledBack:
    """What the command told, as far as it can be read."""
    try:
        told = json.loads(done.out)
        followed = [one["seconds"] for one in told["followed"] if not one["gone"]]
        gone = len(told["followed"]) - len(followed)
        late = None in followed or not followed
        return RolledBack(
            exit_code=done.exit_code,
            said="",
            seconds=done.seconds,
            followed=sum(seconds is not None for seconds in followed),
            gone=gone,
            followed_seconds=None if late else max(float(seconds) for seconds in followed),
            replayed=int(told["replayed"]),
            not_done=tuple(_brief(str(line)) for line in told["not_done"]),
        )
    except (ValueError, KeyError, TypeError):
        said = _brief(_message(done.out) or done.err or "nothing")
        return RolledBack(
            exit_code=done.exit_code, said=said, seconds=done.seconds, followed=0, gone=0, followed_seconds=None,
            replayed=0, not_done=(),
        )  # fmt: skip


def _message(text: str) -> str:
    """Of an error that a command told as JSON; empty where it told none."""
    try:
        told = json.loads(text)
    except ValueError:
        return ""
    return str(told.get("message", "")) if isinstance(told, dict) else ""


def _brief(text: str) -> str:
    """One line of a message, not too long."""
    return " ".join(text.split())[:_SHOWN]


def _answers(load: Load, left: Pinned, to: Pinned, begun: float, followed: float | None) -> Answers:
    of_left = [one for one in load.answers if one.version == left.version]
    # Of a request that was asked before, the answer may have been on its way.
    since = math.inf if followed is None else begun + followed + _TICK_SECONDS
    times = [one.at for one in load.answers] or [0.0]
    seconds = max(times) - min(one.asked for one in load.answers) if load.answers else 0.0
    return Answers(
        requests=load.requests,
        failures=dict(load.failures),
        by_left=len(of_left),
        by_now=sum(one.version == to.version for one in load.answers),
        last_by_left=max(0.0, max((one.at for one in of_left), default=begun) - begun),
        late=sum(one.asked > since for one in of_left),
        per_second=load.requests / seconds if seconds else 0.0,
    )


def _books(copy: Workplace, rehearsal: Rehearsal, load: Load) -> Books:
    failed = [str(failure) for failure in drain(copy).failures.values()]
    table = copy.tables.open(copy.ledger.predictions)
    by_api = dataset_of(table).to_table(columns=["request_id"], filter=ds.field("channel") == API)
    rows = set(by_api.column(0).to_pylist()) - rehearsal.sampled
    answered = {one.request_id for one in load.answers}
    twice = len(load.answers) - len(answered)
    state = state_of(copy)
    ref = copy.deployment.model
    return Books(
        answered_not_in_ledger=len(answered - rows) + twice,
        rows_not_answered=len(rows - answered),
        broken=len(verify(copy).findings) + len(failed),
        production=state.production,
        previous=state.previous,
        alias=copy.registry.aliases(ref.name).get(ref.alias),
    )
