"""`fielded monitor rules` and `dashboard`: what a Prometheus and a Grafana are given once."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fielded.definition.loading import load_deployment
from fielded.doors.cli.options import HERE, Folder
from fielded.doors.cli.rendering import out
from fielded.services.monitoring.grafana import dashboard_text
from fielded.services.monitoring.rules import rules_text
from fielded.services.pages.page import write_files

Out = Annotated[Path | None, typer.Option("--out", help="File to write; else it is printed.")]


def rules(into: Out = None, deployment: Folder = HERE) -> None:
    """Prometheus alerting rules for the definition's triggers, due dates and a silent monitor."""
    _give(rules_text(load_deployment(deployment)), into)


def dashboard(into: Out = None, deployment: Folder = HERE) -> None:
    """A Grafana dashboard, as Grafana imports it."""
    _give(dashboard_text(load_deployment(deployment)), into)


def _give(text: str, into: Path | None) -> None:
    if into is None:
        sys.stdout.write(text)
        return
    write_files(into.parent, {into.name: text})
    out.print(f"{into}", markup=False)
