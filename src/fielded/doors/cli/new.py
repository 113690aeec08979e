"""`fielded new`."""

from pathlib import Path
from typing import Annotated

import typer

from fielded.definition.scaffold import new_deployment
from fielded.doors.cli.rendering import out

app = typer.Typer(add_completion=False)


@app.command()
def new(name: Annotated[str, typer.Argument(help="Lower-case letters, digits and _.")]) -> None:
    """Make a new deployment folder. Fill its blanks, then run `fielded check`."""
    folder = new_deployment(Path(), name)
    out.print(f"Made {folder}/deployment.yaml and {folder}/population.py.", markup=False)
    out.print(f"Fill what is blank, then run: fielded check -d {folder}", markup=False)
