"""`fielded score`."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fielded.decisions.runs import RunSummary
from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, now, parse_day
from fielded.doors.cli.rendering import err, error_json, out, print_json, render_error
from fielded.services.prepare_scorer import Scorers
from fielded.services.score_day import Progress as Report
from fielded.services.score_day import score_day
from fielded.services.watch import watch as watch_tables
from fielded.words.errors import FieldedError, Refused, WrongUse

app = typer.Typer(add_completion=False)


@app.command()
def score(  # noqa: PLR0913 - one parameter an option
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_of: Annotated[str, typer.Option(help="Day to score; default today, UTC.")] = "",
    backfill: Annotated[str, typer.Option(help="Range of days A..B, both included.")] = "",
    watch: Annotated[
        bool, typer.Option("--watch", help="Score whenever an input table has a new version.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks of --watch.")] = 10.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Score, but write nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Score anew although nothing has changed.")] = False,
    as_json: Json = False,
) -> None:
    """Score a day, a range of days, or whenever new data comes."""
    if sum((bool(as_of), bool(backfill), watch)) > 1 or (watch and (dry_run or again)):
        raise WrongUse("options: got more than one of --as-of, --backfill and --watch, expected one")
    workplace = open_from(deployment, site)
    scorers = Scorers(workplace)
    if watch:
        stop = _stop_on_signal()
        for item in watch_tables(workplace, scorers, lambda: now().date(), lambda: stop.wait(every)):
            _render(item, as_json=as_json)
        return
    days = _days(backfill) if backfill else [parse_day(as_of, "--as-of") if as_of else now().date()]
    token = workplace.random_bytes(8).hex() if again else ""
    refusals = 0
    for day in days:
        try:
            with _progress(day) as progress:
                summary = score_day(workplace, scorers, day, dry_run=dry_run, again=token, progress=progress)
        except Refused as refusal:  # one refused day does not keep the other days of a back-fill from being scored
            refusals += 1
            if len(days) == 1:
                raise
            _render(refusal, as_json=as_json)
        else:
            _render(summary, as_json=as_json)
    raise typer.Exit(1 if refusals else 0)


def _days(backfill: str) -> list[date]:
    first, separator, last = backfill.partition("..")
    if not separator:
        raise WrongUse(f"--backfill: got {backfill!r}, expected two dates as YYYY-MM-DD..YYYY-MM-DD")
    start, end = parse_day(first, "--backfill"), parse_day(last, "--backfill")
    if end < start:
        raise WrongUse(f"--backfill: got {backfill}, expected the earlier day first")
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]


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


def _render(item: RunSummary | FieldedError, *, as_json: bool) -> None:
    if isinstance(item, FieldedError):
        print_json(error_json(item)) if as_json else render_error(item, as_json=False)
        return
    if as_json:
        print_json({**item.as_dict(), "rows_per_second": item.rows_per_second})
        return
    out.print(f"{item.day}  {item.state}: {_counts(item)}", markup=False)
    rate = f"{item.seconds:.1f} s, {item.rows_per_second:,.0f} rows/s"
    out.print(
        f"            {item.model_name} version {item.model_version}; {rate}; run {item.run_id}", markup=False
    )


def _counts(item: RunSummary) -> str:
    if not item.population:
        return "nobody to score: the population of this day is empty, and so is the day in the gold table"
    return (
        f"{item.population:,} in the population = {item.scored:,} scored + {item.quarantined:,} quarantined; "
        f"{item.flagged:,} flagged, {item.review:,} to review, {item.clear:,} clear"
    )
