"""`fielded ato kickoff`, `plan`, `progress` and `estimate`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from fielded.decisions.ato.advice import chance
from fielded.decisions.ato.schedule import DRAWS, Planned
from fielded.decisions.ato.work import IDS, WEEK
from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, parse_day
from fielded.doors.cli.rendering import out, print_json, print_table
from fielded.services.ato import progress as service
from fielded.services.ato.gantt import gantt_text
from fielded.services.ato.plan import Plan, plan_of
from fielded.services.ato.plan_page import HTML_FILE, write_plan
from fielded.words.errors import WrongUse

On = Annotated[str | None, typer.Option("--on", help="The day, YYYY-MM-DD; else today (UTC).")]
Into = Annotated[
    Path | None, typer.Option("--out", help="Folder for plan.json, plan.html, plan.svg and plan.ics; else none.")
]
Item = Annotated[str, typer.Argument(help=f"One of {', '.join(IDS)}.")]
_WEEKS = re.compile(r"(\d{1,3})\.\.(\d{1,3})")


def kickoff(
    reason: Annotated[str, typer.Option("-m", "--message", help="Why it is asked for; kept in the ledger.")],
    on: On = None,
    reference: Annotated[
        str, typer.Option(help="What shows the day, such as minutes: needed for a day before today.")
    ] = "",
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Put on record that the authorization began. There is one kickoff for a model, and it stays."""
    day = None if on is None else parse_day(on, "--on")
    done = service.kickoff(open_from(deployment, site), reason, on=day, reference=reference)
    if as_json:
        print_json(done.as_dict())
    else:
        out.print(f"On record: {done}", markup=False)
        out.print("What to start now: `fielded ato plan`", markup=False)


def plan(
    into: Into = None,
    draws: Annotated[int, typer.Option(help="Plans that the simulation draws.")] = DRAWS,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws: the same gives the same plan.")] = 0,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Earliest and latest authorization, slack, what to start this week, what waiting costs."""
    made = plan_of(open_from(deployment, site), draws=draws, seed=seed)
    sha256 = None if into is None else write_plan(into, made)
    if as_json:
        print_json({**made.as_dict(), "folder": None if into is None else str(into), "sha256": sha256})
        return
    _print(made)
    if into is not None:
        out.print(f"Page: {into / HTML_FILE}, sha256 of its record {sha256}", markup=False)


def progress(
    item: Item,
    reason: Annotated[str, typer.Option("-m", "--message", help="What was begun or done; kept in the ledger.")],
    done: Annotated[
        bool, typer.Option("--done/--started", help="Done, or begun; what was done and is begun is open again.")
    ],
    on: On = None,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Put on record that an item of work was begun or is done."""
    day = None if on is None else parse_day(on, "--on")
    workplace = open_from(deployment, site)
    (service.finish_item if done else service.start_item)(workplace, item, reason, day)
    _print_item(plan_of(workplace), item, as_json=as_json)


def estimate(
    item: Item,
    weeks: Annotated[str, typer.Argument(help="How long it takes: LOW..HIGH, in weeks.")],
    reason: Annotated[str, typer.Option("-m", "--message", help="Whose estimate it is; kept in the ledger.")],
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Put on record how long an item of work takes, by whoever does it: the plan's own range counts no more."""
    found = _WEEKS.fullmatch(weeks)
    if found is None:
        raise WrongUse(f"weeks: got {weeks!r}, expected LOW..HIGH, such as 4..8")
    workplace = open_from(deployment, site)
    low, high = (int(number) * WEEK for number in found.groups())
    service.estimate_item(workplace, item, low, high, reason)
    _print_item(plan_of(workplace), item, as_json=as_json)


def _print(made: Plan) -> None:
    for sentence in made.standing:
        out.print(sentence, markup=False)
    out.print()
    for line in gantt_text(made.schedule):
        out.print(line, markup=False)
    out.print()
    print_table(
        ("item", "RMF", "CSRMC", "days", "earliest", "latest end", "slack", "critical"),
        [_row(one) for one in made.schedule.items],
    )
    if made.this_week:
        out.print("\nStart this week:", markup=False)
        for one in made.this_week:
            out.print(f"  {one.text}", markup=False)


def _row(one: Planned) -> tuple[object, ...]:
    slack = "done" if one.slack is None else f"{one.slack[0]} to {one.slack[1]}"
    return (
        one.work.id,
        one.work.step,
        one.work.phase,
        f"{one.work.low} to {one.work.high}{' assumed' if one.work.source == 'assumed' else ''}",
        one.low.start,
        one.high.end,
        slack,
        "" if one.slack is None else chance(one.critical),
    )


def _print_item(made: Plan, item: str, *, as_json: bool) -> None:
    """What an item became, and what that makes of the authorization."""
    schedule = made.schedule
    (now,) = (one for one in schedule.items if one.work.id == item)
    if as_json:
        print_json({"item": now.as_dict(), "earliest": schedule.earliest, "latest": schedule.latest})
        return
    out.print(f"{now.work.title}: {now.state}, {now.low.start} to {now.high.end}", markup=False)
    if schedule.authorized:
        out.print(f"Authorized on {schedule.earliest}", markup=False)
    else:
        out.print(f"Authorization {schedule.earliest} to {schedule.latest}", markup=False)
