"""`fielded audit verify`, `export`, `seal` and `compact`: the ledger's seals. No model, no registry."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fielded.definition.deployment import Deployment
from fielded.definition.site import Site
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, load, now, parse_day
from fielded.doors.cli.rendering import err, out, print_fields, print_json, print_table
from fielded.words.identifiers import RandomBytes
from fielded.world.tables import DeltaTables


@dataclass(frozen=True, slots=True, kw_only=True)
class _LedgerBooks:
    """A deployment's ledger, without anything that scores."""

    deployment: Deployment
    site: Site
    tables: DeltaTables
    clock: Callable[[], datetime] = now
    random_bytes: RandomBytes = os.urandom


def verify(
    deployment: Folder = HERE,
    site: SiteFile = None,
    outside: Annotated[
        list[Path] | None,
        typer.Option(help="Checkpoint kept elsewhere, or a folder of them. May be given several times."),
    ] = None,
    receipts: Annotated[
        list[Path] | None,
        typer.Option(help="File of receipts that callers kept, or of the API's log. May be given several times."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A commit that is not sealed yet is a finding, however young.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compute every seal of the ledger again, and name the table, file and row where one breaks.

    Exits with 0 if nothing is broken, with 1 otherwise.
    """
    from fielded.services.verify import verify_all  # noqa: PLC0415 - find and show do without

    books = _open(deployment, site)
    with _progress("verifying") as progress:
        report = verify_all(books, tuple(outside or ()), tuple(receipts or ()), strict=strict, progress=progress)
    if as_json:
        findings = [{name: _printable(value) for name, value in one.as_dict().items()} for one in report.findings]
        fields = {"findings": findings, "notes": [_printable(note) for note in report.notes]}
        print_json({"verified": not report.findings, **fields, "tables": report.tables, "newest": report.newest})
    else:
        columns = ("table", "leaves", "checkpoints", "copies", "files", "rows", "bytes")
        lines = [[name, *(counts.get(one, 0) for one in columns[1:])] for name, counts in report.tables.items()]
        print_table(columns, lines)
        for note in report.notes:
            out.print(_printable(f"note: {note}"), markup=False)
        for finding in report.findings:
            out.print(_printable(f"BROKEN: {finding}"), markup=False)
        newest = "none" if report.newest is None else report.newest.isoformat()
        verdict = f"{len(report.findings)} findings" if report.findings else "verified"
        out.print(f"{verdict}; newest checkpoint: {newest}", markup=False)
    raise typer.Exit(1 if report.findings else 0)


def export(
    folder: Annotated[Path, typer.Argument(help="Made; must be empty if it is there.")],
    deployment: Folder = HERE,
    site: SiteFile = None,
    subject: Annotated[str | None, typer.Option(help="Rows about this subject.")] = None,
    request: Annotated[
        list[str] | None, typer.Option(help="Row with this request id. May be given several times.")
    ] = None,
    day: Annotated[str | None, typer.Option(help="Rows of this day.")] = None,
    as_json: Json = False,
) -> None:
    """Write rows with proof, for an outside party, and a program that checks it without fielded."""
    from fielded.services.export import Selection  # noqa: PLC0415 - find and show do without
    from fielded.services.export import export as run_export  # noqa: PLC0415

    wanted = Selection(
        subject=subject,
        request_ids=tuple(request or ()),
        day=None if day is None else parse_day(day, "--day"),
    )
    done = run_export(_open(deployment, site), wanted, folder)
    fields = {"folder": str(done.folder), "rows": done.rows, "files": done.files, "bytes": done.octets}
    if as_json:
        print_json(fields)
    else:
        print_fields("exported", fields)
        step = "The data files are whole: they hold other rows too. README.md in the folder says how to verify."
        out.print(step, markup=False)


def seal(deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """Seal what was committed and is not sealed yet: after a crash, or after a rewrite by another tool."""
    from fielded.services.seal import seal as run_seal  # noqa: PLC0415 - find and show do without

    sealed = run_seal(_open(deployment, site))
    if as_json:
        print_json({"leaves": sealed.leaves, "checkpoints": dict(sealed.checkpoints)})
    elif sealed.leaves:
        print_fields(f"sealed {sealed.leaves} new leaves; size of each tree", sealed.checkpoints)
    else:
        out.print("Nothing new to seal.", markup=False)


def compact(
    day: Annotated[str, typer.Argument(help="A day before today, UTC.")],
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Put the many small files of a past day into few. No row is touched, and the rewrite is sealed."""
    from fielded.services.compact import compact as run_compact  # noqa: PLC0415 - find and show do without

    done = run_compact(_open(deployment, site), parse_day(day, "DAY"))
    lines: list[dict[str, Any]] = [
        {"table": one.table, "before": one.before, "after": one.after, "rows": one.rows} for one in done
    ]
    if as_json:
        print_json(lines)
    elif lines:
        print_table(("table", "before", "after", "rows"), [list(line.values()) for line in lines])
    else:
        out.print(f"{day} has few small files; nothing was done.", markup=False)


def _open(folder: Path, site_file: Path | None) -> _LedgerBooks:
    deployment, site = load(folder, site_file)
    return _LedgerBooks(deployment=deployment, site=site, tables=DeltaTables(site))


def _printable(value: Any) -> Any:
    """A value without what a terminal obeys or no encoding has: whoever tampers chooses names of files."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in value)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's standard error; nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(f"{what}, rows", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
