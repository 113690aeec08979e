"""`fielded rollback`."""

from typing import Annotated

import typer

from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import out, print_json
from fielded.services.prepare_scorer import Scorers
from fielded.services.rollback import rollback as run_rollback

app = typer.Typer(add_completion=False)


@app.command()
def rollback(
    reason: Annotated[str, typer.Option("-m", "--message", help="Why; kept in the ledger.")],
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Go back to the previous version."""
    workplace = open_from(deployment, site)
    result = run_rollback(workplace, Scorers(workplace), reason)
    if as_json:
        print_json({"model": result.model, "from": result.left, "to": result.now})
    else:
        out.print(f"{result.model}: version {result.left} -> {result.now} in production", markup=False)
