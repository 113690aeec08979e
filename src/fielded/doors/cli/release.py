"""`fielded release`."""

from typing import Annotated

import typer

from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import out, print_json
from fielded.services.approve import approve as run_approve

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Approve a version's files.")


@app.callback()
def _group() -> None:
    """Approve a version's files."""


@app.command()
def approve(
    version: Annotated[str, typer.Argument(help="Concrete version in the registry.")],
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Record that you approve exactly these files; only they will be loaded."""
    approval = run_approve(open_from(deployment, site), version)
    if as_json:
        print_json({"model": str(approval.model), "sha256": approval.sha256, "row_exact": approval.row_exact})
        return
    out.print(f"Approved {approval.model}, artifact sha256 {approval.sha256}", markup=False)
    if not approval.row_exact:
        out.print(
            "Note: this model's scores depend in their last bits on the rows scored beside them, so replay may "
            "differ there.",
            markup=False,
        )
