"""`fielded release drill`."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import err, out, print_json
from fielded.services.release.drill import Drilled, Plan
from fielded.services.release.drill import drill as run_drill

COMMAND = (sys.executable, "-c", "from fielded.doors.cli import main; main()")
_BY_SIGNAL = 128  # a shell's exit code of a process that a signal ended, less the signal's number


def drill(
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes; else the site's api.workers.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=256, help="Callers that ask all the while.")] = 8,
    folder: Annotated[
        Path | None, typer.Option(help="Where the copy lies meanwhile, on a local disk; else the site's cache.")
    ] = None,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Rehearse a rollback at a copy of this site, with a real API under load, and put on record how it went.

    Production is not touched. Exits with 0 if the drill passed, with 1 otherwise.
    """
    plan = Plan(
        command=COMMAND,
        workers=workers,
        connections=connections,
        folder=folder and folder.resolve(),
        ticks=time.monotonic,
        sleep=time.sleep,
        tell=_silent if as_json else _tell,
    )
    with _ended_in_order():
        done = run_drill(open_from(deployment, site), plan)
    if as_json:
        print_json({**done.as_details(), "at": done.state.history[-1].at})
    else:
        _print(done)
    raise typer.Exit(0 if done.verdict.holds else 1)


def _print(done: Drilled) -> None:
    measured = done.measured
    verdict = "passed" if done.verdict.holds else "FAILED"
    out.print(
        f"Drill {verdict}: version {measured.left.version} -> version {measured.to.version} at a copy of this "
        f"site, {measured.workers} workers, {measured.connections} connections",
        markup=False,
    )
    for finding in done.verdict.findings:
        line = f"  pass  {finding.item}: {finding.got}"
        if not finding.holds:
            line = f"  FAIL  {finding.item}: got {finding.got}, expected {finding.expected}"
        out.print(line, markup=False)
    out.print("Not rehearsed, for the copy has its own:", markup=False)
    for line in done.replaced:
        out.print(f"  {line}", markup=False)


def _tell(text: str) -> None:
    err.print(f"{text} ...", markup=False)


def _silent(_text: str) -> None:
    """With --json nothing else is printed."""


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Who is told to end removes the copy and ends its API first."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(_BY_SIGNAL + number)

    before = {one: signal.signal(one, end) for one in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
