"""`fielded monitor keep-warm`."""

import os
import time
from datetime import timedelta
from typing import Annotated

import typer

from fielded.doors.cli.options import Json, now
from fielded.doors.cli.rendering import err, out, print_json_line
from fielded.services.monitoring.keep_warm import Warm, wake
from fielded.services.monitoring.keep_warm import keep_warm as run_keep_warm
from fielded.world.endpoints import Endpoint
from fielded.world.secrets import resolve_secret


def keep_warm(
    url: Annotated[str, typer.Argument(help="Of a readiness check: http:// or https://.")],
    every: Annotated[float, typer.Option(help="Seconds between two looks once it is ready.")] = 300.0,
    once: Annotated[bool, typer.Option("--once", help="End once it is ready.")] = False,
    within: Annotated[
        float | None, typer.Option(help="Seconds after which waiting ends with 3; else it goes on.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="Reference to a bearer token: env:NAME or file:PATH, never the token.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Wake an endpoint that sleeps: asked again after 10 s, doubling to 120 s, until it is ready."""
    endpoint = Endpoint(url, resolve_secret(token, os.environ) if token else "")
    limit = None if within is None else timedelta(seconds=within)
    if once:
        _print(endpoint, wake(endpoint, sleep=time.sleep, clock=now, within=limit, tell=_tell), as_json=as_json)
        return
    for warm in run_keep_warm(endpoint, every, sleep=time.sleep, clock=now, within=limit, tell=_tell):
        _print(endpoint, warm, as_json=as_json)


def _tell(text: str) -> None:
    err.print(text, markup=False)


def _print(endpoint: Endpoint, warm: Warm, *, as_json: bool) -> None:
    if as_json:
        told = {name: getattr(warm, name) for name in warm.__dataclass_fields__}
        print_json_line({"at": now(), "endpoint": endpoint.name, **told})
    else:
        out.print(
            f"{endpoint.name}: ready after {warm.seconds:.1f} s, asked {warm.asked} time{'s' * (warm.asked > 1)}",
            markup=False,
        )
