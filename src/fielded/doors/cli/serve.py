"""`fielded serve`."""

import ipaddress
import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from rich.panel import Panel
from rich.text import Text

from fielded.definition.deployment import Deployment
from fielded.definition.site import Site
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, load, now
from fielded.doors.cli.rendering import err
from fielded.doors.serving.connections import GuardedProtocol
from fielded.doors.serving.logs import LineWriter, Logs, take_over_logging
from fielded.doors.serving.supervisor import Supervisor
from fielded.words.errors import Unreachable, WrongUse
from fielded.world.identity import open_authenticator

app = typer.Typer(add_completion=False)

_FACTORY = "fielded.doors.serving.worker:create"
_METRICS = "PROMETHEUS_MULTIPROC_DIR"  # named here too: importing the client library would fix its mode
_BACKLOG = 2048
_KEEP_ALIVE = 75  # seconds; longer than load balancers keep an idle connection (60), or they meet a closed one
_START_FAILED = 3


@app.command()
def serve(
    deployment: Folder = HERE,
    site: SiteFile = None,
    host: Annotated[str | None, typer.Option(help="Address to listen at; else the site's api.host.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; else the site's api.port.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes; else api.workers.")] = None,
    as_json: Json = False,
) -> None:
    """Serve the API until SIGTERM or Ctrl-C. Logs are JSON lines on standard output.

    With --json nothing else is printed.
    """
    loaded, found = load(deployment, site)
    notices = _notices(found, host or found.api.host)
    os.environ["FIELDED_DEPLOYMENT"] = str(deployment.resolve())
    if site is not None:
        os.environ["FIELDED_SITE"] = str(site.resolve())
    listening = _listen(host or found.api.host, found.api.port if port is None else port)
    count = workers or found.api.workers
    writer = LineWriter(sys.stdout)
    logs = Logs(writer, now)
    for notice in notices:
        logs.event("warning", "notice", message=notice)
        if not as_json:
            box = Panel(Text(notice, overflow="fold"), title="fielded serve", expand=False, border_style="red")
            err.print(box, soft_wrap=False, no_wrap=False, overflow="fold", crop=False)
    _announce(logs, loaded, found, listening, count, as_json=as_json)
    code = _run(_config(found, count), listening, logs)
    writer.close()
    raise typer.Exit(code)


def _notices(site: Site, host: str) -> list[str]:
    """What must be said loudly.

    Raises:
        WrongUse: the site has no way of telling who calls.
    """
    notices = list(open_authenticator(site, now).notices)
    if site.api.tls_certificate is None and not _is_loopback(host):
        notices.append(
            f"NO TLS AT {host}: tokens and features cross the network in clear unless a proxy or mesh ends TLS in "
            "front of this service (SC-8). Set api.tls_certificate and api.tls_key otherwise"
        )
    return notices


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    """A socket that all workers accept from."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Unreachable(
            f"api.host, api.port: got {host}:{port}, where nothing can listen ({error.strerror}), expected an "
            "address of this machine and a free port. Choose another with --host and --port"
        ) from None
    listening.set_inheritable(True)
    return listening


def _announce(
    logs: Logs, deployment: Deployment, site: Site, listening: socket.socket, workers: int, *, as_json: bool
) -> None:
    host, port = listening.getsockname()[:2]
    scheme = "http" if site.api.tls_certificate is None else "https"
    url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    logs.event("info", "listening", url=url, workers=workers, deployment=deployment.name)
    if not as_json:
        err.print(f"{deployment.name} at {url}, {workers} worker{'s' * (workers > 1)}; Ctrl-C stops", markup=False)


def _config(site: Site, workers: int) -> uvicorn.Config:
    api = site.api
    tls: dict[str, Any] = {}
    if api.tls_certificate is not None:
        _check_tls(api.tls_certificate, api.tls_key)
        tls = {"ssl_certfile": api.tls_certificate, "ssl_keyfile": api.tls_key}
    return uvicorn.Config(
        _FACTORY,
        factory=True,
        workers=workers,
        loop="uvloop",
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # whose word is taken on addresses is the authenticator's business
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=api.stop_seconds,
        **tls,
    )


def _check_tls(certificate: Path, key: Path | None) -> None:
    """A key that fits its certificate; a worker would fail on it again and again."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise WrongUse(
            f"api.tls_certificate, api.tls_key: got files that are of no use ({type(error).__name__}), expected a "
            "certificate chain and its key without a password, both in PEM. Mount them, or correct the paths"
        ) from None


def _run(config: uvicorn.Config, listening: socket.socket, logs: Logs) -> int:
    """Serve until told to stop.

    Returns:
        The exit code: 0 after SIGTERM or Ctrl-C, 3 where no worker could start, or the only one can score no more.
    """
    # uvicorn passes on the signal that stopped it, once all is done; that is no fault.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    if config.workers == 1:
        server = uvicorn.Server(config)
        try:
            server.run(sockets=[listening])
        except SystemExit:
            return _START_FAILED
        failed = getattr(getattr(config, "loaded_app", None), "failed", False)
        return _START_FAILED if failed or not server.started else 0
    take_over_logging(logs)
    folder = tempfile.mkdtemp(prefix="fielded-metrics-")
    os.environ[_METRICS] = folder
    try:
        stop_seconds = 2.0 * (config.timeout_graceful_shutdown or 0)  # for requests, then for journal and drain
        supervisor = Supervisor(config, [listening], stop_seconds=stop_seconds)
        supervisor.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _START_FAILED if supervisor.start_failed else 0
