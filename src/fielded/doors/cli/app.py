"""The tree of commands. A command's module is imported when the command is called, not before.

`fielded audit find` must answer in under a second; importing MLflow alone takes three.
"""

import importlib

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

_COMMANDS = {
    "demo": (
        "fielded.doors.cli.demo",
        "The whole way on made-up but realistic data, in this folder's .fielded/demo.",
    ),
    "new": ("fielded.doors.cli.new", "Make a new deployment folder."),
    "check": ("fielded.doors.cli.check", "Definition against model, tables and people."),
    "score": ("fielded.doors.cli.score", "Score a day, a range of days, or whenever new data comes."),
    "audit": ("fielded.doors.cli.audit", "Find, show and replay predictions."),
    "release": ("fielded.doors.cli.release", "Approve a version's files."),
    "rollback": ("fielded.doors.cli.rollback", "Go back to the previous version."),
}


class LazyGroup(TyperGroup):
    """A group whose commands are imported on use."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # noqa: ARG002 - the group's signature
        return list(_COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        return _Pending(cmd_name, *_COMMANDS[cmd_name])


class _Pending(TyperCommand):
    """Stands for a command in the list; becomes it when called."""

    def __init__(self, name: str, module: str, summary: str) -> None:
        super().__init__(name, help=summary, short_help=summary)
        self._module = module

    def make_context(
        self, info_name: str | None, args: list[str], parent: typer.Context | None = None, **extra: object
    ) -> typer.Context:
        command = get_command(importlib.import_module(self._module).app)
        return command.make_context(info_name, args, parent, **extra)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="From the model registry through authorization into production: audited, reversible, watched.",
)


@app.callback()
def _root() -> None:
    """From the model registry through authorization into production: audited, reversible, watched."""
