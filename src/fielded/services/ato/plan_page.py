"""The plan's four files: `plan.json`, the record, and what is made of it for people and their calendars."""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from fielded.services.ato.calendar import calendar_of
from fielded.services.ato.gantt import gantt, gantt_file, words_of
from fielded.services.ato.plan import Plan
from fielded.services.pages.page import Plot, render, write_files, write_pair

NAME = "plan"  # of the files
JSON_FILE, HTML_FILE, SVG_FILE, ICS_FILE = (f"{NAME}.{kind}" for kind in ("json", "html", "svg", "ics"))

_PACKAGE = "fielded.services.ato"


def write_plan(folder: Path, plan: Plan) -> str:
    """Write the four files, each whole or not at all.

    Args:
        folder: made where it is not there; a plan in it is replaced.
        plan: what they tell.

    Returns:
        SHA-256 of `plan.json`.

    Raises:
        WrongUse: the calendar's extra is not installed; nothing is written.
        Unreachable: the folder cannot be written.
    """
    files = {SVG_FILE: gantt_file(plan.schedule, _title(plan)), ICS_FILE: calendar_of(plan)}
    sha256 = write_pair(folder, NAME, plan.as_dict(), lambda report, digest: _page(plan, report, digest))
    write_files(folder, files)
    return sha256


def page_of(plan: Plan, sha256: str) -> str:
    """The plan as a page.

    Args:
        plan: what it shows.
        sha256: of `plan.json`.
    """
    return _page(plan, plan.as_dict(), sha256)


def _page(plan: Plan, report: dict[str, Any], sha256: str) -> str:
    schedule = plan.schedule
    drawn = Plot("Gantt chart", words_of(schedule), Markup(gantt(NAME, schedule)))  # noqa: S704 - ours
    need = schedule.need
    met = "wait"
    if need is not None and (schedule.kickoff is not None or schedule.earliest > need):
        met = "yes" if schedule.latest <= need else "no" if schedule.earliest > need else "wait"
    return render(
        _PACKAGE,
        "plan.html.j2",
        {"cost": _cost},
        plan=report,
        title=_title(plan),
        met=met,
        drawn=drawn,
        sha256=sha256,
    )


def _title(plan: Plan) -> str:
    return f"Authorization of {plan.deployment}"


def _cost(late: dict[str, Any] | None) -> str:
    """What a week's wait costs, in days; a dash where the item was started."""
    return "\u2013" if late is None else f"{late['mean']:.1f} ({late['low']} to {late['high']})"
