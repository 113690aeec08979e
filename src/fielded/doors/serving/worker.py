"""One worker: the application that uvicorn starts, from the environment (`FIELDED_DEPLOYMENT`, `FIELDED_SITE`)."""

import atexit
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from fielded.definition.loading import load_deployment
from fielded.definition.site import load_site
from fielded.doors.serving.app import Application, build_app
from fielded.doors.serving.logs import LineWriter, Logs, let_go_of_logging, take_over_logging
from fielded.services.score_live import Settled
from fielded.services.serve import Live, open_live
from fielded.world.identity import open_authenticator, operating_system_user
from fielded.world.workplace import open_workplace

FACTORY = "fielded.doors.serving.worker:create"
DEPLOYMENT, SITE = "FIELDED_DEPLOYMENT", "FIELDED_SITE"


def now() -> datetime:
    """The time, UTC: read at the door and passed in everywhere else."""
    return datetime.now(UTC)


def create() -> Application:
    """The application, for uvicorn.

    Raises:
        DefinitionError: all that is wrong with the deployment or the site.
        WrongUse: the site has no way of telling who calls.
    """
    writer = LineWriter(sys.stdout)
    atexit.register(writer.close)
    logs = Logs(writer, now)
    take_over_logging(logs)
    atexit.register(let_go_of_logging)
    deployment = load_deployment(Path(os.environ.get(DEPLOYMENT, ".")))
    site = load_site(os.environ, Path.cwd())

    def open_service(settle: Callable[[Settled], None]) -> Live:
        user = operating_system_user()
        workplace = open_workplace(deployment, site, user=user, clock=now, random_bytes=os.urandom)
        return open_live(workplace, settle)

    return build_app(
        deployment,
        site,
        open_service=open_service,
        authenticator=open_authenticator(site, now),
        logs=logs,
        clock=now,
        random_bytes=os.urandom,
    )
