"""`fielded release compare` and `sign`: what a candidate shows, and who stands for its documents."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, parse_day
from fielded.doors.cli.rendering import out, print_json
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.compare import Made, only_candidate
from fielded.services.release.compare import compare as run_compare
from fielded.services.release.report import HTML_FILE
from fielded.services.release.sign import begin as run_begin
from fielded.services.release.sign import sign as run_sign


def compare(
    version: Annotated[
        str | None, typer.Argument(help="A proposed version; may be left out where there is one.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--out", help="Folder for the report; else comparison-VERSION in this one.")
    ] = None,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Compare a proposed version with production, through every gate that the definition chose.

    Exits with 0 if the verdict holds, with 1 otherwise.
    """
    workplace = open_from(deployment, site)
    wanted = version or only_candidate(workplace)
    made = run_compare(workplace, Scorers(workplace), wanted, into or Path(f"comparison-{wanted}"))
    if as_json:
        print_json(_fields(made))
    else:
        _print(made)
    raise typer.Exit(0 if made.verdict.holds else 1)


def sign(  # noqa: PLR0913 - one parameter an option
    document: Annotated[
        str, typer.Argument(help="As ato.documents or release.gates.evidence.documents names it.")
    ],
    file: Annotated[Path, typer.Argument(help="The document. Its digest is kept, not its text.")],
    until: Annotated[str, typer.Option(help="Last day on which it counts, YYYY-MM-DD.")],
    version: Annotated[
        str | None,
        typer.Option(help="That it is for; else the only one that is proposed, else the one in production."),
    ] = None,
    in_progress: Annotated[
        bool, typer.Option("--in-progress", help="It is being worked on, and done by --until.")
    ] = False,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Put on record that you stand for a document about the model as it is now, or that it is being worked on."""
    act = run_begin if in_progress else run_sign
    signed = act(open_from(deployment, site), document, file, parse_day(until, "--until"), version)
    if as_json:
        print_json(signed.as_dict())
        return
    meant = f"for version {signed.meant.version}" if signed.meant.version else "for no version: none is released"
    done = "In progress" if in_progress else "Signed"
    out.print(f"{done}: {signed.name} until {signed.until}, sha256 {signed.sha256}, {meant}", markup=False)


def _fields(made: Made) -> dict[str, Any]:
    shown = ("name", "outcome", "got", "expected", "step")
    return {
        "candidate": made.candidate.as_dict(),
        "against": None if made.against is None else made.against.as_dict(),
        "holds": made.verdict.holds,
        "report": str(made.folder),
        "report_sha256": made.report_sha256,
        "findings": [{name: getattr(one, name) for name in shown} for one in made.verdict.findings],
    }


def _print(made: Made) -> None:
    against = "nothing" if made.against is None else f"version {made.against.version}"
    out.print(f"Version {made.candidate.version} against {against} in production", markup=False)
    for one in made.verdict.in_the_way:
        out.print(f"  {one.outcome}: {one.name}", markup=False)
        out.print(f"    got {one.got}", markup=False)
        out.print(f"    expected {one.expected}. {one.step}", markup=False)
    findings = made.verdict.findings
    passed = sum(one.outcome == "passed" for one in findings)
    waived = sum(one.outcome == "waived" for one in findings)
    verdict = "holds" if made.verdict.holds else "does not hold"
    if not findings:
        out.print("No gate is chosen under release.gates in deployment.yaml: nothing passes.", markup=False)
    out.print(f"The verdict {verdict}: {len(findings)} findings, {passed} passed, {waived} waived", markup=False)
    out.print(f"Report: {made.folder / HTML_FILE}, sha256 of its record {made.report_sha256}", markup=False)
