"""`fielded ready`: the twelve items; `waive`, `acknowledge` and `history` beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fielded.decisions.readiness.items import CHECKED, ItemResult
from fielded.doors.cli.benches import bench_of
from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, parse_day
from fielded.doors.cli.rendering import err, out, print_json, print_table
from fielded.services.readiness.acknowledge import acknowledge as run_acknowledge
from fielded.services.readiness.history import Entry
from fielded.services.readiness.history import history as read_history
from fielded.services.readiness.ready import Readiness, on_record_now
from fielded.services.readiness.ready import ready as run_ready
from fielded.services.readiness.report import HTML_FILE, write_ready
from fielded.services.readiness.waive import waive as run_waive
from fielded.words.errors import WrongUse
from fielded.world.workplace import Workplace

Numbers = Annotated[
    list[int] | None, typer.Option("--item", help="Look at this item only; may be given several times.")
]
FromRecord = Annotated[
    bool, typer.Option("--from-record", help="Judge what is on record; collect and write nothing.")
]
Into = Annotated[Path | None, typer.Option("--out", help="Folder for the page and its record.")]
_INDENT = " " * 12
_DIGITS = 12  # of a digest on a terminal

app = typer.Typer(add_completion=False, help="The twelve items, each with its evidence.")


@app.callback(invoke_without_command=True)
def ready(
    context: typer.Context,
    item: Numbers = None,
    from_record: FromRecord = False,
    into: Into = None,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Collect the evidence of the twelve items, put it on record, and judge them.

    Exits with 0 where every item that was asked for is passed or waived, with 1 otherwise.
    """
    if context.invoked_subcommand is not None:
        _nothing_before(context)
        return
    workplace = open_from(deployment, site)
    numbers = tuple(item or ())
    found = on_record_now(workplace, numbers) if from_record else _collected(workplace, site, numbers, as_json)
    sha256 = write_ready(into, found, read_history(workplace)) if into is not None else ""
    if as_json:
        print_json({**found.as_dict(), **({"report_sha256": sha256} if into is not None else {})})
    else:
        _print(found)
        if into is not None:
            out.print(f"Page: {into / HTML_FILE}, sha256 of its record {sha256}", markup=False)
    raise typer.Exit(0 if found.holds else 1)


@app.command()
def waive(
    number: Annotated[int, typer.Argument(help="Of the item.")],
    reason: Annotated[str, typer.Option("-m", "--message", help="Why; kept in the ledger.")],
    until: Annotated[str, typer.Option("--until", help="Last day on which it is set aside, YYYY-MM-DD.")],
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Answer by your name for an item that failed, for a time. It stays in every report."""
    made = run_waive(open_from(deployment, site), number, reason, parse_day(until, "--until"))
    if as_json:
        print_json({"by": made.by, "at": made.at, **made.as_dict()})
    else:
        aside = ", ".join(made.in_the_way)
        out.print(f"Item {made.item} is set aside by {made.by} until {made.until}: {aside}", markup=False)


@app.command()
def acknowledge(deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """Say by your name that you are the monitoring owner, and know which alarms come to you. It lasts a year."""
    said = run_acknowledge(open_from(deployment, site))
    if as_json:
        print_json(said.as_dict())
    else:
        out.print(
            f"{said.name} ({said.email}) has acknowledged, by {said.by}, until {said.until:%Y-%m-%d}", markup=False
        )
        if not said.mapped:
            out.print(
                f"Nobody says that {said.by} is {said.name}: name it under authorization.persons in site.yaml",
                markup=False,
            )


@app.command()
def history(deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """Every look at readiness and every waiver, oldest first, with what changed."""
    entries = read_history(open_from(deployment, site))
    if as_json:
        print_json([one.as_dict() for one in entries])
    elif not entries:
        out.print("Nobody has looked yet. Run `fielded ready`", markup=False)
    else:
        rows = [(f"{one.at:%Y-%m-%d %H:%M:%S}", one.by, *_told(one)) for one in entries]
        print_table(("at", "by", "what", "changed"), rows)


def _collected(workplace: Workplace, site: Path | None, numbers: Sequence[int], quiet: bool) -> Readiness:
    """Evidence collected now, with the API of this process where something asks it."""
    with bench_of(workplace, site) as bench:
        return run_ready(bench, numbers, _silent if quiet else _tell)


def _nothing_before(context: typer.Context) -> None:
    """Options of `ready` itself say nothing to its commands."""
    sources = (context.get_parameter_source(name) for name in context.params)
    if any(source is not None and source.name == "COMMANDLINE" for source in sources):
        raise WrongUse(
            f"ready: got options before `{context.invoked_subcommand}`, expected them after it. Write "
            f"`fielded ready {context.invoked_subcommand} ...`"
        )


def _print(found: Readiness) -> None:
    for one in found.results:
        _print_item(one)
    counts = ", ".join(f"{number} {state}" for state, number in found.counts.items())
    verdict = "ready" if found.holds else "not ready"
    out.print(f"{verdict}: {counts}, of {len(found.results)}", markup=False)


def _print_item(one: ItemResult) -> None:
    out.print(f"{one.state:<6}  {one.item.number:>2}  {one.item.title}", markup=False)
    evidence = one.evidence
    if evidence is not None:
        until = evidence.valid_until
        valid = "valid as long as its scope stands" if until is None else f"valid until {until:%Y-%m-%d %H:%M} UTC"
        held = sum(check.outcome == "held" for check in evidence.checks)
        out.print(
            f"{_INDENT}{evidence.id}: {held} of {len(evidence.checks)} checks held, "
            f"{evidence.at:%Y-%m-%d %H:%M} UTC, sha256 {evidence.sha256[:_DIGITS]}, {valid}",
            markup=False,
        )
        for check in evidence.checks:
            if check.outcome != "held":
                mark = "FAILED" if check.outcome == "failed" else "not checked"
                out.print(f"{_INDENT}{mark}: {check.name}: got {check.got}", markup=False)
                out.print(f"{_INDENT}  expected {check.expected}", markup=False)
    if one.waiver is not None:
        out.print(
            f"{_INDENT}set aside by {one.waiver.by} until {one.waiver.until}: {one.waiver.reason}", markup=False
        )
    if one.step:
        out.print(f"{_INDENT}next: {one.step}", markup=False)


def _told(one: Entry) -> tuple[str, str]:
    """What an entry was, and what changed with it."""
    if one.kind != CHECKED:
        return f"item {next(iter(one.states))} waived {one.told}", ""
    counts = {state: list(one.states.values()).count(state) for state in ("passed", "failed", "waived")}
    looked = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    changed = ", ".join(f"{number}: {before} -> {now}" for number, (before, now) in one.changed.items())
    return f"{'holds' if one.holds else 'does not hold'}: {looked}", changed


def _tell(text: str) -> None:
    err.print(f"{text} ...", markup=False)


def _silent(_text: str) -> None:
    """With --json nothing else is printed."""
