"""`fielded outcomes`."""

from pathlib import Path
from typing import Annotated

import typer

from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import out, print_json
from fielded.services.outcomes import LoadedOutcomes, load_outcomes, load_outcomes_table
from fielded.words.errors import WrongUse

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Labels that arrive later.")


@app.callback()
def _group() -> None:
    """Labels that arrive later."""


@app.command()
def load(
    file: Annotated[Path | None, typer.Argument(help="Parquet or CSV with subject, label and known_at.")] = None,
    table: Annotated[str | None, typer.Option(help="A Delta table with these, CATALOG.SCHEMA.NAME.")] = None,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Put what came true on record: all rows of a file or none, each file once; of a table what is new."""
    workplace = open_from(deployment, site)
    if file is not None and table is None:
        loaded = load_outcomes(workplace, file)
    elif table is not None and file is None:
        loaded = load_outcomes_table(workplace, table)
    else:
        raise WrongUse("outcomes load: got " + ("both" if file else "neither") + ", expected FILE or --table NAME")
    if as_json:
        print_json(loaded.as_dict())
        return
    for line in _lines(loaded):
        out.print(line, markup=False)


def _lines(loaded: LoadedOutcomes) -> list[str]:
    done = "loaded" if loaded.new or not loaded.rows else "loaded before, nothing added"
    lines = [f"{loaded.source}: {loaded.rows:,} outcomes {done}, sha256 {loaded.sha256}"]
    if loaded.rows:
        lines.append(
            f"   {loaded.matched:,} about a subject that was scored before, {loaded.unmatched:,} not; "
            f"{loaded.corrected:,} correct an earlier one; {loaded.late:,} came late"
        )
    if loaded.on_record:
        lines.append(f"   {loaded.on_record:,} were on record already")
    if loaded.pending:
        lines.append(f"   {loaded.pending:,} have neither label nor time yet")
    return lines
