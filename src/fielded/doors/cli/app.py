"""The tree of commands. A command's module is imported when the command is called, not before.

`fielded audit find` must answer in under a second; importing MLflow alone takes three.
"""

import importlib
from collections.abc import Sequence

import typer

_HELP = "From the model registry through authorization into production: audited, reversible, watched."

_GROUPS = {
    "audit": "audit",
    "release": "release",
    "outcomes": "outcomes",
    "review": "review",
    "monitor": "monitor",
    "ready": "ready",
    "ato": "ato",
}  # commands that have commands of their own

_COMMANDS = {
    "demo": (
        "fielded.doors.cli.demo",
        "The whole way on made-up but realistic data, in this folder's .fielded/demo.",
    ),
    "new": ("fielded.doors.cli.new", "Make a new deployment folder."),
    "check": ("fielded.doors.cli.check", "Definition against model, tables and people."),
    "score": ("fielded.doors.cli.score", "Score a day, a range of days, or whenever new data comes."),
    "serve": ("fielded.doors.cli.serve", "The API: scores in real time, each on record before it leaves."),
    "drain": ("fielded.doors.cli.drain", "Move live rows from the journals to the ledger."),
    "audit": ("fielded.doors.cli.audit", "Find, show, replay and prove predictions."),
    "release": ("fielded.doors.cli.release", "Approve a version's files."),
    "outcomes": ("fielded.doors.cli.outcomes", "Put labels that arrive later on record."),
    "review": ("fielded.doors.cli.review", "Decide the scores that a person decides."),
    "monitor": ("fielded.doors.cli.monitor", "Drift, quality, performance, triggers and reviews."),
    "rollback": ("fielded.doors.cli.rollback", "Go back to the previous version."),
    "ready": ("fielded.doors.cli.ready", "The twelve items of readiness, each with its evidence."),
    "ato": ("fielded.doors.cli.ato", "The authorization: plan, evidence, package, status."),
}


def build(arguments: Sequence[str]) -> typer.Typer:
    """The command tree, with the one command that `arguments` name imported and the others listed."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help=_HELP,
    )
    app.callback()(_root)
    called = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module, summary) in _COMMANDS.items():
        if name == called:
            app.add_typer(importlib.import_module(module).app, name=_GROUPS.get(name), help=summary)
        else:
            app.command(name, help=summary)(_listed)
    return app


def _root() -> None:
    """A callback keeps a single command from becoming the whole program."""


def _listed() -> None:
    """Stands in the list of commands for one that was not called."""
