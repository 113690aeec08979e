"""`fielded drain`."""

from typing import Annotated, Any

import typer

from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import err, error_json, out, print_json
from fielded.services.compact import compact_past
from fielded.services.drain import Drained, put_aside
from fielded.services.drain import drain as run_drain

app = typer.Typer(add_completion=False)


@app.command()
def drain(
    deployment: Folder = HERE,
    site: SiteFile = None,
    aside: Annotated[
        str | None,
        typer.Option("--put-aside", help="Take this journal out of use, on record; nothing is deleted."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Move live rows from the journals to the ledger, exactly once, and seal them. Past days that have many small
    files are compacted.
    """
    workplace = open_from(deployment, site)
    if aside is not None:
        place = put_aside(workplace, aside)
        print_json({"journal": aside, "place": place}) if as_json else out.print(f"{aside} is now {place}")
        return
    drained = run_drain(workplace)
    compact_past(workplace)
    if as_json:
        print_json(_as_json(drained))
    else:
        _render(drained)
    raise typer.Exit(1 if drained.failures else 0)


def _as_json(drained: Drained) -> dict[str, Any]:
    failures = {journal: error_json(error) for journal, error in drained.failures.items()}
    return {"rows": drained.rows, "files": drained.files, "journals": drained.journals, "failures": failures}


def _render(drained: Drained) -> None:
    if drained.journals:
        out.print(f"{drained.rows:,} rows of {drained.journals} journals drained to {drained.files} files.")
    else:
        out.print("Nothing waits in a journal.")
    for error in drained.failures.values():
        err.print(str(error), markup=False)
