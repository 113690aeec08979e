"""`fielded release trial` and `trial-end`."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import out, print_json
from fielded.services.release.trial import end_trial, run_of, start_trial
from fielded.words.errors import Refused, WrongUse


class TrialMode(StrEnum):
    """See `decisions.release.acts.Mode`."""

    shadow = "shadow"
    canary = "canary"


def trial(
    version: Annotated[str, typer.Argument(help="A proposed version whose files are approved.")],
    mode: Annotated[TrialMode, typer.Option(help="shadow: scored beside, never returned. canary: returned.")],
    share: Annotated[
        float | None, typer.Option(help="Of subjects, 0 to 1; else all in the shadow, 0.05 for a canary.")
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="NAME=NUMBER that ends a canary, such as flag_rate=0.05. May be given often."),
    ] = None,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Try a version on live requests of every running API."""
    state = start_trial(open_from(deployment, site), version, mode.value, share, _limits(limit or []))
    if state.trial is None:
        raise Refused("trial: ended by somebody else in this moment. See `fielded release status`")
    run = run_of(state.trial)
    if as_json:
        print_json({**state.trial.details, "started_by": state.trial.by})
        return
    what = "answers for" if run.canary else "scores, unseen,"
    out.print(
        f"Version {version} {what} {run.share:.1%} of subjects. It ends with a promotion, a rollback,",
        markup=False,
    )
    out.print("`fielded release trial-end -m WHY`", markup=False, end="")
    out.print(", or by itself when a limit is broken." if run.canary else ".", markup=False)


def trial_end(
    reason: Annotated[str, typer.Option("-m", "--message", help="Why; kept in the ledger.")],
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """End the trial that runs; production answers alone again."""
    ended = end_trial(open_from(deployment, site), reason)
    if as_json:
        print_json({"version": ended.pinned.version, "mode": ended.mode, "reason": reason})
    else:
        out.print(f"The {ended.mode} of version {ended.pinned.version} has ended.", markup=False)


def _limits(given: list[str]) -> dict[str, Any]:
    """NAME=NUMBER, each once.

    Raises:
        WrongUse: another form.
    """
    limits: dict[str, Any] = {}
    for text in given:
        name, found, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            found = ""
        if not found or name in limits:
            raise WrongUse(f"--limit: got {text!r}, expected NAME=NUMBER, each name once")
        limits[name] = int(value) if name == "minimum_rows" else value
    return limits
