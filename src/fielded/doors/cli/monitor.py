"""`fielded monitor`: the watch. Reviews after promotion, rules, the dashboard and keep-warm are in `monitor_*`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fielded.decisions.monitoring.simulate import Simulated
from fielded.decisions.monitoring.triggers import TriggerState
from fielded.decisions.monitoring.watch import Request, open_request
from fielded.doors.cli.monitor_exports import dashboard, rules
from fielded.doors.cli.monitor_keep_warm import keep_warm
from fielded.doors.cli.monitor_reviews import review_close, review_open, reviews
from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, parse_day
from fielded.doors.cli.rendering import out, print_json, print_table
from fielded.services.monitoring.monitor import MonitorRun, last_whole_day
from fielded.services.monitoring.monitor import acknowledge as run_acknowledge
from fielded.services.monitoring.monitor import run as run_monitor
from fielded.services.monitoring.record import requests, watch_state
from fielded.services.monitoring.report import HTML_FILE
from fielded.services.monitoring.retraining import close_retraining as run_close
from fielded.services.monitoring.run_report import reporter
from fielded.services.monitoring.simulated import simulate_on_record
from fielded.words.errors import WrongUse

AsOf = Annotated[
    str | None, typer.Option("--as-of", help="Last day that is looked at, YYYY-MM-DD; else yesterday (UTC).")
]
Into = Annotated[Path | None, typer.Option("--out", help="Folder for the report; else monitor-AS_OF in this one.")]
MetricsFile = Annotated[
    Path | None, typer.Option("--metrics-file", help="Prometheus text file to write, for a textfile collector.")
]
Reason = Annotated[str, typer.Option("-m", "--message", help="Why; kept in the ledger.")]

app = typer.Typer(add_completion=False, help="Drift, quality, performance, triggers and reviews.")
app.command("keep-warm")(keep_warm)
app.command()(reviews)
app.command("review-open")(review_open)
app.command("review-close")(review_close)
app.command()(rules)
app.command()(dashboard)


@app.callback(invoke_without_command=True)
def _group(
    context: typer.Context,
    as_of: AsOf = None,
    into: Into = None,
    metrics_file: MetricsFile = None,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Without a command: `run`."""
    if context.invoked_subcommand is None:
        run(as_of, into, metrics_file, deployment, site, as_json)
        return
    sources = (context.get_parameter_source(name) for name in context.params)
    if any(source is not None and source.name == "COMMANDLINE" for source in sources):
        raise WrongUse(
            f"monitor: got options before `{context.invoked_subcommand}`, expected them after it. Write "
            f"`fielded monitor {context.invoked_subcommand} ...`"
        )


@app.command()
def run(
    as_of: AsOf = None,
    into: Into = None,
    metrics_file: MetricsFile = None,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Measure, write the report, put on record what was seen, and tell people of alarms.

    Exits with 1 where a trigger fires.
    """
    workplace = open_from(deployment, site)
    day = last_whole_day(workplace) if as_of is None else parse_day(as_of, "--as-of")
    folder = into or Path(f"monitor-{day}")
    made = run_monitor(workplace, day if as_of else None, reporter(workplace, folder, metrics_file))
    if as_json:
        print_json({**_run_json(made), "report": str(folder)})
    else:
        _print_run(made)
        out.print(f"Report: {folder / HTML_FILE}, sha256 of its record {made.report_sha256}", markup=False)
    raise typer.Exit(1 if any(state.state == "firing" for state in made.looked.states.values()) else 0)


@app.command()
def status(deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """Where every trigger stands, and what is asked of the owner. Exits with 1 where a trigger fires."""
    workplace = open_from(deployment, site)
    state, opened = watch_state(workplace), open_request(requests(workplace))
    if as_json:
        ran = None if state.ran is None else {"at": state.ran.at, "as_of": state.ran.as_of, "by": state.ran.by}
        states = [one.as_dict() for one in state.states.values()]
        print_json({"ran": ran, "states": states, "retraining": _request_json(opened)})
    elif state.ran is None:
        out.print("Nothing was looked at yet. Run `fielded monitor`", markup=False)
    else:
        out.print(f"Last looked at {state.ran.as_of} by {state.ran.by}, at {state.ran.at:%Y-%m-%d %H:%M} UTC")
        _print_states(list(state.states.values()))
        _print_request(opened)
    raise typer.Exit(1 if any(one.state == "firing" for one in state.states.values()) else 0)


@app.command()
def ack(
    trigger: Annotated[str, typer.Argument(help="Id of a trigger that fires, or ID/INSTANCE.")],
    reason: Reason,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Say by your name that you know of an alarm, and what you make of it."""
    states = run_acknowledge(open_from(deployment, site), trigger, reason)
    if as_json:
        print_json([one.as_dict() for one in states])
    else:
        for one in states:
            out.print(f"{one.trigger}, {one.instance}: acknowledged by {one.acknowledged_by}", markup=False)


@app.command("close-retraining")
def close_retraining(
    reason: Reason, deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False
) -> None:
    """Close the open retraining request: what was done, or why nothing is."""
    closed = run_close(open_from(deployment, site), reason)
    if as_json:
        print_json(_request_json(closed))
    else:
        out.print(f"{closed.id}: closed by {closed.closed_by}", markup=False)


@app.command()
def simulate(  # noqa: PLR0913 - each an option
    trigger: Annotated[str, typer.Argument(help="Id of a trigger of the definition.")],
    rows_per_week: Annotated[
        float | None, typer.Option("--rows-per-week", help="Rows that will come; else as many as came lately.")
    ] = None,
    shift: Annotated[
        str | None, typer.Option("--shift", help="A shift to be seen: FEATURE=+2 moves every value by 2.")
    ] = None,
    years: Annotated[int, typer.Option("--years", min=10, max=10_000, help="Simulated years.")] = 200,
    every: Annotated[int, typer.Option("--every", min=1, max=31, help="Days between two looks.")] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Of the simulation's chance.")] = 0,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Before a trigger is armed: how many false alarms a year it gives, and how soon it sees a shift.

    What came out is put on record: readiness asks for it.
    """
    found = simulate_on_record(
        open_from(deployment, site),
        trigger,
        rows_per_week=rows_per_week,
        shift=shift,
        years=years,
        every=every,
        seed=seed,
    )
    if as_json:
        print_json(found.as_dict())
    else:
        _print_simulated(found)


def _run_json(made: MonitorRun) -> dict[str, Any]:
    looked = made.looked
    return {
        "as_of": looked.as_of,
        "version": looked.model.version,
        "number": made.number,
        "event_id": made.event_id,
        "look_back": looked.look_back,
        "report_sha256": made.report_sha256,
        "instances": [
            {
                "trigger": one.trigger,
                "instance": str(one.measured.metric),
                "value": one.measured.value,
                "rows": one.measured.rows,
                "outcome": one.outcome,
                "why": one.why,
                "state": state.state if (state := looked.states.get(one.key)) else None,
            }
            for one in looked.evaluations
        ],
        "retraining": _request_json(made.request),
        "told": [{"channel": one.channel, "alarms": one.alarms, "failed": one.failed} for one in made.told],
        "notes": list(looked.measurer.sources.notes),
    }


def _print_run(made: MonitorRun) -> None:
    looked = made.looked
    out.print(f"Version {looked.model.version} up to {looked.as_of}, run {made.number}", markup=False)
    if looked.look_back:
        out.print("A later day was looked at before: this look changes no state.", markup=False)
    rows = []
    for one in looked.evaluations:
        state = looked.states.get(one.key)
        rows.append((one.trigger, one.measured.metric, state.state if state else "not looked at", one.why))
    if rows:
        print_table(("trigger", "instance", "state", "what was seen"), rows)
    else:
        out.print("The definition has no trigger: nothing is watched.", markup=False)
    for note in looked.measurer.sources.notes:
        out.print(note, markup=False)
    for told in made.told:
        words = f"not told through {told.channel or 'anything'}: {told.failed}" if told.failed else "told"
        out.print(
            f"{len(told.alarms)} alarms: {words} {'' if told.failed else told.channel}".rstrip(), markup=False
        )
    _print_request(made.request)


def _print_states(states: list[TriggerState]) -> None:
    columns = ("trigger", "instance", "state", "since", "acknowledged by")
    rows = [(one.trigger, one.instance, one.state, one.since, one.acknowledged_by) for one in states]
    if rows:
        print_table(columns, rows)


def _print_request(request: Request | None) -> None:
    if request is not None:
        out.print(
            f"{request.id} is open, due on {request.due}, asked of {request.owner}: {request.why}", markup=False
        )


def _request_json(request: Request | None) -> dict[str, Any] | None:
    if request is None:
        return None
    told = {name: getattr(request, name) for name in request.__dataclass_fields__}
    return {**told, "alarms": sorted(request.alarms)}


def _print_simulated(found: Simulated) -> None:
    for line in found.lines():
        out.print(line, markup=False)
