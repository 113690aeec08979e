"""`fielded release status` and `history`."""

import json
from typing import Any

import typer

from fielded.decisions.release.acts import Pinned, ReleaseEvent
from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import out, print_fields, print_json, print_table
from fielded.services.release.status import CandidateStatus, ReleaseStatus
from fielded.services.release.status import history as read_history
from fielded.services.release.status import status as read_status

_LONG = frozenset({"turn", "findings", "failures", "replaced"})  # `--json` has them


def status(deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """What is in production, what is proposed and what is in its way, and what is not as it should be."""
    found = read_status(open_from(deployment, site))
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)
    raise typer.Exit(1 if found.problems else 0)


def history(deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """Every act and observation, oldest first."""
    events = read_history(open_from(deployment, site))
    if as_json:
        print_json([_event(event) for event in events])
    else:
        columns = ("turn", "at", "kind", "actor", "details")
        rows = [
            (event.turn, f"{event.at:%Y-%m-%d %H:%M:%S}", event.kind, event.actor, _brief(event))
            for event in events
        ]
        print_table(columns, rows)


def _event(event: ReleaseEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in ("turn", "event_id", "kind", "actor", "at", "details")}


def _brief(event: ReleaseEvent) -> str:
    """The details but for long ones, which `--json` has."""
    told = {
        name: value["version"] if isinstance(value, dict) and "version" in value else value
        for name, value in event.details.items()
        if name not in _LONG and "sha256" not in name
    }
    return json.dumps(told, ensure_ascii=False)


def _pinned(pinned: Pinned | None) -> dict[str, str] | None:
    return None if pinned is None else pinned.as_dict()


def _as_json(found: ReleaseStatus) -> dict[str, Any]:
    state = found.state
    return {
        "production": _pinned(state.production),
        "previous": _pinned(state.previous),
        "open": None
        if state.open is None
        else {"kind": state.open.kind, "by": state.open.by, "at": state.open.at, **state.open.details},
        "trial": None if state.trial is None else dict(state.trial.details),
        "drill": None if state.drill is None else {"at": state.drill.at, "passed": state.drill.passed},
        "aliases_due": state.aliases_due,
        "candidates": [_candidate(item) for item in found.candidates],
        "problems": list(found.problems),
        "events": state.count,
    }


def _candidate(item: CandidateStatus) -> dict[str, Any]:
    candidate = item.candidate
    fields = ("name", "outcome", "got", "expected", "step")
    return {
        **candidate.pinned.as_dict(),
        "proposed_by": candidate.proposed_by,
        "proposed_at": candidate.proposed_at,
        "why": candidate.why,
        "approved_by": [approval.by for approval in candidate.approvals],
        "waivers": [
            {"finding": waiver.finding, "by": waiver.by, "until": waiver.until, "reason": waiver.reason}
            for waiver in candidate.waivers
        ],
        "ready": item.ready,
        "findings": [{name: getattr(finding, name) for name in fields} for finding in item.findings],
    }


def _print(found: ReleaseStatus) -> None:
    state = found.state
    drill = "never"
    if state.drill is not None:
        drill = f"{state.drill.at:%Y-%m-%d}, {'passed' if state.drill.passed else 'FAILED'}"
    trial = "none" if state.trial is None else f"{state.trial.mode} of {state.trial.pinned}"
    print_fields(
        f"release, after {state.count} events",
        {
            "production": state.production or "nothing by the ledger",
            "previous": state.previous or "nothing",
            "trial": trial,
            "last drill": drill,
        },
    )
    for item in found.candidates:
        candidate = item.candidate
        out.print(
            f"{candidate.pinned}, proposed by {candidate.proposed_by} on {candidate.proposed_at:%Y-%m-%d}: "
            f"{'ready to be promoted' if item.ready else 'not ready'}",
            markup=False,
        )
        for finding in item.findings:
            mark = "pass" if finding.holds else "FAIL"
            out.print(f"  {mark}  {finding.name}: got {finding.got}, expected {finding.expected}", markup=False)
            if finding.step:
                out.print(f"        {finding.step}", markup=False)
    for problem in found.problems:
        out.print(problem, markup=False)
