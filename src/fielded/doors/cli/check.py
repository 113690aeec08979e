"""`fielded check`."""

from typing import Annotated

import typer

from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, now, parse_day
from fielded.doors.cli.rendering import findings_json, out, print_json
from fielded.services.check import check as run_check

app = typer.Typer(add_completion=False)


@app.command()
def check(
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_of: Annotated[
        str | None, typer.Option(help="Day whose population is looked at; default today, UTC.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Definition against model, tables and people."""
    workplace = open_from(deployment, site)
    day = now().date() if as_of is None else parse_day(as_of, "--as-of")
    checks = run_check(workplace, day)
    if as_json:
        print_json(
            [
                {
                    "check": item.name,
                    "passed": item.passed,
                    "note": item.note,
                    "errors": item.errors,
                    "findings": findings_json(item.findings),
                }
                for item in checks
            ]
        )
    else:
        for item in checks:
            out.print(f"{'pass' if item.passed else 'FAIL'}  {item.name:<10}  {item.note}", markup=False)
            for line in (*item.errors, *map(str, item.findings)):
                out.print(f"        {line}", markup=False)
    raise typer.Exit(0 if all(item.passed for item in checks) else 1)
