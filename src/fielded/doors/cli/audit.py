"""`fielded audit`: find and show open the ledger only; replay loads a model."""

import os
from typing import Annotated, Any

import typer

from fielded.doors.cli.audit_discrepancies import discrepancies
from fielded.doors.cli.audit_seals import compact, export, seal, verify
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, load, parse_day
from fielded.doors.cli.rendering import out, print_fields, print_json, print_table
from fielded.services.audit import find_subject, open_books
from fielded.services.audit import show as show_row

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Find, show, replay and prove predictions.")
for _command in (discrepancies, verify, export, seal, compact):
    app.command()(_command)


@app.command()
def find(
    subject: Annotated[str, typer.Argument(help="What the score is about.")],
    deployment: Folder = HERE,
    site: SiteFile = None,
    on: Annotated[str | None, typer.Option(help="Only this day.")] = None,
    as_json: Json = False,
) -> None:
    """Every prediction about a subject, newest first."""
    definition, where = load(deployment, site)
    day = None if on is None else parse_day(on, "--on")
    rows = find_subject(open_books(where, definition.name, os.urandom), subject, day)
    if as_json:
        print_json(rows)
    elif not rows:
        out.print(f"No prediction about {subject}{f' on {on}' if on else ''}.", markup=False)
    else:
        columns = ("scored_date", "score", "decision", "model_version", "channel", "scored_at", "request_id")
        print_table(columns, [[row[name] for name in columns] for row in rows])
    raise typer.Exit(0 if rows else 1)


@app.command()
def show(
    request_id: Annotated[str, typer.Argument(help="As `find` lists it.")],
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """One prediction, whole."""
    definition, where = load(deployment, site)
    row = show_row(open_books(where, definition.name, os.urandom), request_id)
    if as_json:
        print_json(row)
        return
    features = row.pop("features")
    print_fields(f"prediction {row.pop('request_id')}", {**row, "score": repr(row["score"])})
    print_fields("features", features)


@app.command()
def replay(
    request_id: Annotated[str, typer.Argument(help="As `find` lists it.")],
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Score a prediction again with the version that scored it, and compare to the last bit."""
    from fielded.doors.cli.opening import open_from  # noqa: PLC0415 - brings MLflow, which find and show do without
    from fielded.services.replay import replay as run_replay  # noqa: PLC0415

    result = run_replay(open_from(deployment, site), request_id)
    fields: dict[str, Any] = {name: getattr(result, name) for name in result.__dataclass_fields__}
    if as_json:
        print_json(fields)
    else:
        exact = {name: repr(value) if isinstance(value, float) else value for name, value in fields.items()}
        print_fields(f"replay: {exact.pop('outcome')}", exact)
    raise typer.Exit(0 if result.outcome == "exact" else 1)
