"""`fielded outcomes`."""

from pathlib import Path
from typing import Annotated

import typer

from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import out, print_json
from fielded.services.outcomes import load_outcomes

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Labels that arrive later.")


@app.callback()
def _group() -> None:
    """Labels that arrive later."""


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV with subject, label and known_at.")],
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Put what came true on record: all rows of a file or none, and each file once."""
    loaded = load_outcomes(open_from(deployment, site), file)
    if as_json:
        print_json({"rows": loaded.rows, "sha256": loaded.sha256, "new": loaded.new})
        return
    done = "loaded" if loaded.new else "loaded before, nothing added"
    out.print(f"{file.name}: {loaded.rows:,} outcomes {done}, sha256 {loaded.sha256}", markup=False)
