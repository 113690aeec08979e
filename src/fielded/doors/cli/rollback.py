"""`fielded rollback`."""

import time
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from fielded.decisions.release.acts import Pinned
from fielded.doors.cli.begun import begun
from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import out, print_json
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.await_served import Followed, await_served
from fielded.services.release.rollback import rollback as run_rollback
from fielded.world.workplace import Workplace

WAIT_SECONDS = 30.0
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for running APIs to follow.")]

app = typer.Typer(add_completion=False)


@app.command()
def rollback(
    reason: Annotated[str, typer.Option("-m", "--message", help="Why; kept in the ledger.")],
    leave: Annotated[
        str | None, typer.Option(help="Refuse unless this version is in production. Needed to undo a rollback.")
    ] = None,
    wait: Wait = WAIT_SECONDS,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Go back to the previous version. Ends with 0 once that is in production and every running API serves it,
    also where the registry is out of reach; with 3 where an API did not follow in time. Whoever means to undo a
    rollback names the version that it brought with `--leave`.
    """
    since = begun()
    workplace = open_from(deployment, site)
    done = run_rollback(workplace, Scorers(workplace), reason, leave=leave, wait=waiting(workplace, wait, since))
    seconds = time.monotonic() - since
    if as_json:
        print_json(
            {
                "model": done.model,
                "from": done.left.version,
                "to": done.now.version,
                "replayed": done.replayed,
                "not_done": done.not_done,
                "followed": followed_json(done.followed),
                "seconds": seconds,
            }
        )
    else:
        versions = f"version {done.left.version} -> {done.now.version}"
        out.print(f"{done.model}: {versions} in production, after {done.seconds:.1f} s", markup=False)
        print_followed(done.followed, done.not_done)
    raise typer.Exit(0 if done.served else 3)


def waiting(workplace: Workplace, seconds: float, since: float) -> Callable[[Pinned], Sequence[Followed]]:
    """How to wait until every running API serves a version."""

    def wait(pinned: Pinned) -> Sequence[Followed]:
        return await_served(workplace, pinned, seconds, time.monotonic, time.sleep, since=since)

    return wait


def print_followed(followed: Sequence[Followed], not_done: Sequence[str]) -> None:
    """Each worker that followed, and what did not."""
    for one in followed:
        if one.follows:
            out.print(str(one), markup=False)
    for line in not_done:
        out.print(f"Not done: {line}", markup=False)


def followed_json(followed: Sequence[Followed]) -> list[dict[str, object]]:
    """Workers for a machine."""
    return [{name: getattr(one, name) for name in one.__dataclass_fields__} for one in followed]
