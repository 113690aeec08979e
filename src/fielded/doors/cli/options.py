"""Options that every command takes, and what they open."""

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from fielded.definition.deployment import Deployment
from fielded.definition.loading import load_deployment
from fielded.definition.site import Site, load_site
from fielded.words.errors import WrongUse

Folder = Annotated[
    Path, typer.Option("-d", "--deployment", envvar="FIELDED_DEPLOYMENT", help="Folder with deployment.yaml.")
]
SiteFile = Annotated[
    Path | None, typer.Option("--site", help="site.yaml; else $FIELDED_SITE, ./site.yaml, or the embedded site.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

HERE = Path()


def now() -> datetime:
    """The time, UTC: read at the door and passed in everywhere else."""
    return datetime.now(UTC)


def load(folder: Path, site_file: Path | None) -> tuple[Deployment, Site]:
    """The deployment in a folder and the site it runs at."""
    return load_deployment(folder), load_site(os.environ, Path.cwd(), site_file)


def parse_day(text: str, option: str) -> date:
    """A date as YYYY-MM-DD.

    Raises:
        WrongUse: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"{option}: got {text!r}, expected a date as YYYY-MM-DD") from None
