"""`fielded release`."""

import time
from typing import Annotated

import typer

from fielded.decisions.runs import RunSummary
from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, parse_day
from fielded.doors.cli.release_compare import compare, sign
from fielded.doors.cli.release_drill import drill
from fielded.doors.cli.release_status import history, status
from fielded.doors.cli.release_trial import trial, trial_end
from fielded.doors.cli.rendering import err, error_json, out, print_json
from fielded.doors.cli.rollback import WAIT_SECONDS, Wait, followed_json, print_followed, waiting
from fielded.services.prepare_scorer import Scorers
from fielded.services.release import adopt as adopting
from fielded.services.release import candidates
from fielded.services.release import promote as promoting
from fielded.services.release import reconcile as reconciling
from fielded.services.score_day import score_day
from fielded.words.errors import FieldedError

_HELP = "Bring a version through the gates into production, and put things right."
Version = Annotated[str, typer.Argument(help="Concrete version in the registry.")]
Why = Annotated[str, typer.Option("-m", "--message", help="Why; kept in the ledger.")]

app = typer.Typer(add_completion=False, no_args_is_help=True, help=_HELP)
app.command()(status)
app.command()(history)
app.command()(compare)
app.command()(sign)
app.command()(drill)
app.command()(trial)
app.command()(trial_end)


@app.callback()
def _group() -> None:
    """Bring a version through the gates into production, and put things right."""


@app.command()
def adopt(deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """Take over what the registry's aliases stand on; from then on the ledger decides."""
    state = adopting.adopt(open_from(deployment, site))
    staged = state.history[-1].details.get("staged", [])
    if as_json:
        pinned = {"production": state.production, "previous": state.previous}
        print_json({**{name: value and value.as_dict() for name, value in pinned.items()}, "staged": staged})
        return
    out.print(f"Adopted {state.production}; previous: {state.previous or 'none'}", markup=False)
    if staged:
        out.print(
            f"Note: MLflow's stage Production has version {', '.join(staged)}. Whatever reads the stage serves "
            "another version than fielded.",
            markup=False,
        )


@app.command()
def propose(
    version: Version, why: Why, deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False
) -> None:
    """Propose a version, with its files as they are now, for production."""
    candidate = candidates.propose(open_from(deployment, site), version, why)
    if as_json:
        print_json({**candidate.pinned.as_dict(), "proposed_by": candidate.proposed_by, "why": candidate.why})
    else:
        out.print(f"Proposed {candidate.pinned}", markup=False)


@app.command()
def approve(version: Version, deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """Approve exactly these files: only they will be loaded, and released where the version is proposed."""
    approved = candidates.approve(open_from(deployment, site), version)
    files = approved.files
    if as_json:
        print_json(
            {
                "model": str(files.model),
                "sha256": files.sha256,
                "row_exact": files.row_exact,
                "release_approvals": approved.release,
                "not_counted": approved.not_counted,
            }
        )
        return
    out.print(f"Approved {files.model}, artifact sha256 {files.sha256}", markup=False)
    if not files.row_exact:
        out.print(
            "Note: this model's scores depend in their last bits on the rows scored beside them, so replay may "
            "differ there.",
            markup=False,
        )
    if approved.not_counted:
        out.print(
            f"Note: it is of the files only and does not count toward the release, for {approved.not_counted}.",
            markup=False,
        )
    elif approved.release is not None:
        out.print(f"The release of version {version} has {approved.release} approvals now.", markup=False)


@app.command()
def waive(
    version: Version,
    finding: Annotated[str, typer.Option(help="Name of the finding, as `status` shows it.")],
    until: Annotated[str, typer.Option(help="Last day on which it counts, YYYY-MM-DD.")],
    reason: Why,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Set one finding of the last comparison aside until a day, and answer for it."""
    day = parse_day(until, "--until")
    candidate = candidates.waive(open_from(deployment, site), version, finding, reason, day)
    found = candidate.comparison.findings if candidate.comparison else ()
    aside = next(item for item in found if item.name == finding)
    if as_json:
        shown = {"outcome": aside.outcome, "got": aside.got, "expected": aside.expected}
        print_json({**candidate.pinned.as_dict(), "finding": finding, "until": day, **shown})
    else:
        out.print(f"Waived {finding} of {candidate.pinned} until {day}", markup=False)
        out.print(f"  {aside.outcome}: got {aside.got}, expected {aside.expected}", markup=False)


@app.command()
def withdraw(
    version: Version, reason: Why, deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False
) -> None:
    """Take a proposal back."""
    state = candidates.withdraw(open_from(deployment, site), version, reason)
    if as_json:
        print_json({"version": version, "candidates": list(state.candidates)})
    else:
        out.print(f"Withdrew the proposal of version {version}", markup=False)


@app.command()
def promote(
    version: Version,
    deployment: Folder = HERE,
    site: SiteFile = None,
    score: Annotated[str | None, typer.Option(help="Then score this day again, YYYY-MM-DD.")] = None,
    wait: Wait = WAIT_SECONDS,
    as_json: Json = False,
) -> None:
    """Put a proposed version into production, through every gate. Ends with 0 once that is in production and every
    running API serves it; with 3 where one did not follow in time.
    """
    begun = time.monotonic()
    day = None if score is None else parse_day(score, "--score")
    workplace = open_from(deployment, site)
    scorers = Scorers(workplace)
    done = promoting.promote(workplace, scorers, version, wait=waiting(workplace, wait, begun))
    scored, failed = None, None
    try:
        scored = None if day is None else score_day(workplace, scorers, day)
    except FieldedError as error:  # the promotion stands all the same, and is told
        failed = error
    if as_json:
        print_json(
            {
                "model": done.model,
                "from": done.left and done.left.as_dict(),
                "to": done.now.as_dict(),
                "replayed": done.replayed,
                "seconds": done.seconds,
                "followed": followed_json(done.followed),
                "not_done": done.not_done,
                "scored": scored and scored.as_dict(),
                "not_scored": failed and error_json(failed),
            }
        )
    else:
        _print_promotion(done, scored)
        if failed is not None:
            err.print(f"Promoted, but {day} was not scored: {failed}", markup=False)
    raise typer.Exit(failed.exit_code if failed is not None else 0 if done.served else 3)


def _print_promotion(done: promoting.Promotion, scored: RunSummary | None) -> None:
    left = "nothing" if done.left is None else f"version {done.left.version}"
    out.print(
        f"{done.model}: {left} -> version {done.now.version} in production, after {done.seconds:.1f} s",
        markup=False,
    )
    if done.left is not None:
        out.print(f"The way back replayed {done.replayed} recorded rows to the last bit.", markup=False)
    print_followed(done.followed, done.not_done)
    if scored is not None:
        out.print(f"{scored.day}: {scored.scored:,} scored, {scored.state}", markup=False)


@app.command()
def reconcile(deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """End what a crash left open, and put the registry's aliases where the ledger says."""
    found = reconciling.reconcile(open_from(deployment, site))
    if as_json:
        print_json({"done": found.done, "not_done": found.not_done})
    else:
        for line in found.done or ("Everything is where it belongs.",) * (not found.not_done):
            out.print(line, markup=False)
        if found.not_done:
            out.print(found.not_done, markup=False)
    raise typer.Exit(3 if found.not_done else 0)
