"""`fielded score`."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fielded.decisions.runs import RunSummary
from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, now, parse_day
from fielded.doors.cli.rendering import err, error_json, out, print_json, print_json_line, render_error
from fielded.services.backfill import backfill as score_days
from fielded.services.prepare_scorer import Scorers
from fielded.services.score_day import Progress as Report
from fielded.services.score_day import score_day
from fielded.services.watch import watch as watch_tables
from fielded.words.errors import FieldedError, RunRefused, WrongUse

app = typer.Typer(add_completion=False)


@app.command()
def score(  # noqa: PLR0913 - one parameter an option
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_of: Annotated[str | None, typer.Option(help="Day to score; default today, UTC.")] = None,
    backfill: Annotated[str | None, typer.Option(help="Range of days A..B, both included.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Score whenever an input table has a new version.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks of --watch.")] = 10.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Score, but write nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Score anew although nothing has changed.")] = False,
    as_json: Json = False,
) -> None:
    """Score a day, a range of days, or whenever new data comes.

    With --json: one object for a day, one array for a range, one object a line for --watch.
    """
    if sum((as_of is not None, backfill is not None, watch)) > 1:
        raise WrongUse("options: got more than one of --as-of, --backfill and --watch, expected one")
    if watch and (dry_run or again):
        raise WrongUse("options: got --watch with --dry-run or --again, expected it without")
    days = _days(backfill) if backfill is not None else []
    day = now().date() if as_of is None else parse_day(as_of, "--as-of")
    workplace = open_from(deployment, site)
    scorers = Scorers(workplace)
    if watch:
        stop = _stop_on_signal()
        for item in watch_tables(workplace, scorers, lambda: now().date(), lambda: stop.wait(every)):
            print_json_line(_as_json(item)) if as_json else _render(item)
        return
    token = workplace.random_bytes(8).hex() if again else ""
    if days:
        items = score_days(workplace, scorers, days, dry_run=dry_run, again=token, progress=_progress)
        raise typer.Exit(_render_range(items, as_json=as_json))
    with _progress(day) as progress:
        summary = score_day(workplace, scorers, day, dry_run=dry_run, again=token, progress=progress)
    print_json(_as_json(summary)) if as_json else _render(summary)


def _days(backfill: str) -> list[date]:
    first, separator, last = backfill.partition("..")
    if not separator:
        raise WrongUse(f"--backfill: got {backfill!r}, expected two dates as YYYY-MM-DD..YYYY-MM-DD")
    start, end = parse_day(first, "--backfill"), parse_day(last, "--backfill")
    if end < start:
        raise WrongUse(f"--backfill: got {backfill}, expected the earlier day first")
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]


def _render_range(items: Iterator[tuple[date, RunSummary | RunRefused]], *, as_json: bool) -> int:
    """Each day as it is done, or all in one JSON array that ends with what stopped the range; the exit code."""
    seen: list[dict[str, Any]] = []
    code = 0
    try:
        for day, item in items:
            seen.append({"day": day, **_as_json(item)})
            if isinstance(item, RunRefused):
                code = item.exit_code
            if as_json:
                continue
            if isinstance(item, RunRefused):
                err.print(f"{day}  refused: {item}", markup=False)
            else:
                _render(item)
    except FieldedError as error:
        if not as_json:
            raise
        seen.append(error_json(error))
        code = error.exit_code
    if as_json:
        print_json(seen)
    return code


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def _progress(day: date) -> Iterator[Report]:
    if not err.is_terminal:
        yield lambda *_: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(f"scoring {day}", total=None)
        yield lambda done, rows: bar.update(task, completed=done, total=rows)


def _as_json(item: RunSummary | FieldedError) -> dict[str, Any]:
    if isinstance(item, FieldedError):
        return error_json(item)
    return {**item.as_dict(), "rows_per_second": item.rows_per_second}


def _render(item: RunSummary | FieldedError) -> None:
    if isinstance(item, FieldedError):
        render_error(item, as_json=False)
        return
    out.print(f"{item.day}  {item.state}: {_counts(item)}", markup=False)
    rate = f"{item.seconds:.1f} s, {item.rows_per_second:,.0f} rows/s"
    out.print(
        f"            {item.model_name} version {item.model_version}; {rate}; run {item.run_id}", markup=False
    )


def _counts(item: RunSummary) -> str:
    if not item.population:
        shown = item.state in ("published", "already done")
        return f"nobody to score: the population is empty{', and so is this day in the gold table' * shown}"
    return (
        f"{item.population:,} in the population = {item.scored:,} scored + {item.quarantined:,} quarantined; "
        f"{item.flagged:,} flagged, {item.review:,} to review, {item.clear:,} clear"
    )
