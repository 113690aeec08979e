"""`fielded ato collect` and `fielded ato status`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from fielded.decisions.assurance.evidence import Evidence
from fielded.decisions.ato.changes import Change
from fielded.doors.cli.benches import bench_of
from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import err, out, print_json, print_table
from fielded.services.ato.collect import collect_evidence, wanted
from fielded.services.ato.status import Status
from fielded.services.ato.status import status as status_of

Named = Annotated[
    list[str] | None, typer.Option("--evidence", help="Collect this evidence; may be given several times.")
]
Controls = Annotated[
    list[str] | None,
    typer.Option("--control", help="Collect what shows this control; may be given several times."),
]
Every = Annotated[bool, typer.Option("--all", help="Collect all there is.")]


def collect(
    evidence: Named = None,
    control: Controls = None,
    every: Every = False,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Collect evidence again that is missing, over, of another scope, or did not hold; or what you name.

    Exits with 0 where all of it holds, with 1 otherwise.
    """
    workplace = open_from(deployment, site)
    ids = wanted(workplace, tuple(evidence or ()), tuple(control or ()), every=every)
    with bench_of(workplace, site) as bench:
        found = collect_evidence(bench, ids, _silent if as_json else _tell)
    if as_json:
        print_json([{**one.as_dict(), "outcome": one.outcome, "sha256": one.sha256} for one in found])
    elif not found:
        out.print("Everything that is collected here stands. `--all` collects it all the same.", markup=False)
    else:
        _print_evidence(found)
    raise typer.Exit(0 if all(one.holds for one in found) else 1)


def status(deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """Where the authorization stands: time left, readiness, evidence, and what was changed since the last package.

    Nothing is collected. Exits with 0 where nobody is waited for, with 1 otherwise.
    """
    found = status_of(open_from(deployment, site))
    if as_json:
        print_json(found.as_dict())
    else:
        _print(found)
    raise typer.Exit(1 if found.waits else 0)


def _print_evidence(found: Sequence[Evidence]) -> None:
    rows = [
        (
            one.id,
            one.outcome,
            f"{sum(check.outcome == 'held' for check in one.checks)} of {len(one.checks)}",
            "its scope stands" if one.valid_until is None else f"{one.valid_until:%Y-%m-%d}",
            one.sha256[:12],
        )
        for one in found
    ]
    print_table(("evidence", "outcome", "checks held", "valid until", "sha256"), rows)
    for one in found:
        for check in one.checks:
            if check.outcome != "held":
                out.print(f"{one.id}: {check.outcome}: {check.name}: got {check.got}", markup=False)
                if check.step:
                    out.print(f"  next: {check.step}", markup=False)


def _print(found: Status) -> None:
    if found.need_date is not None:
        out.print(f"Needed on {found.need_date}, {found.days_left} days from today.", markup=False)
    for sentence in found.plan.standing:
        out.print(sentence, markup=False)
    counts = {
        state: [one.item.number for one in found.items if one.state == state] for state in ("passed", "waived")
    }
    failed = [one for one in found.items if not one.holds]
    told = ", ".join(f"{len(numbers)} {state}" for state, numbers in counts.items())
    out.print(f"\nReadiness: {told}, {len(failed)} failed, of {len(found.items)}", markup=False)
    for one in failed:
        out.print(f"  {one.item.number:>2}  {one.item.title}; next: {one.step}", markup=False)
    standing = [one for one in found.evidence if one.standing == "current"]
    out.print(f"\nEvidence: {len(standing)} of {len(found.evidence)} current", markup=False)
    others = [one for one in found.evidence if one.standing != "current"]
    if others:
        print_table(("evidence", "stands", "again with"), [(one.id, one.standing, one.command) for one in others])
    _print_weaknesses(found)
    _print_changes(found)
    for what in found.waits:
        out.print(f"Waits for somebody: {what}", markup=False)


def _print_weaknesses(found: Status) -> None:
    if found.no_package:
        out.print(f"\nWeaknesses are not known, for no package could be built: {found.no_package}", markup=False)
        return
    out.print(f"\nWeaknesses open: {len(found.weaknesses)}", markup=False)
    if found.weaknesses:
        rows = [(one.id, one.since, one.due or "nobody said", one.owner, one.title) for one in found.weaknesses]
        print_table(("id", "since", "due", "owner", "what"), rows)


def _print_changes(found: Status) -> None:
    if found.package is None:
        out.print("\nNo package was built yet, so there is nothing to compare with.", markup=False)
        return
    age = (found.at - found.package.as_of).days
    out.print(f"\nLast package: of {found.package.as_of:%Y-%m-%d %H:%M} UTC, {age} days ago", markup=False)
    if not found.changes:
        out.print("Nothing of the authorization was touched since.", markup=False)
        return
    rows = [(_when(one), one.touch.title, one.told, one.by) for one in found.changes]
    print_table(("when", "what", "", "by"), rows)
    for name, ids in found.touched.items():
        if ids:
            out.print(f"  {name} to look at again: {', '.join(ids)}", markup=False)
    out.print("\nIs it a significant change? To be answered by people:", markup=False)
    for one in found.questions:
        out.print(f"  {one.text} ({', '.join(one.raised_by)})", markup=False)


def _when(change: Change) -> str:
    return "now" if change.at is None else f"{change.at:%Y-%m-%d %H:%M}"


def _tell(text: str) -> None:
    err.print(f"{text} ...", markup=False)


def _silent(_text: str) -> None:
    """With --json nothing else is printed."""
