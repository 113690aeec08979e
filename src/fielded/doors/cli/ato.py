"""`fielded ato`: the authorization. Its commands are in modules of their own."""

import typer

from fielded.doors.cli.ato_package import diff, package, verify
from fielded.doors.cli.ato_plan import estimate, kickoff, plan, progress
from fielded.doors.cli.ato_status import collect, status

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="The authorization: plan, evidence, package, status."
)
app.command()(kickoff)
app.command()(plan)
app.command()(progress)
app.command()(estimate)
app.command()(collect)
app.command()(status)
app.command()(package)
app.command()(verify)
app.command()(diff)
