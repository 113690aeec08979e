"""`fielded review`."""

from typing import Annotated, Any

import typer

from fielded.decisions.review.state import Decision
from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import err, out, print_fields, print_json, print_table
from fielded.doors.cli.review_band import band
from fielded.doors.cli.review_stats import stats
from fielded.services.review import act
from fielded.services.review.cases import CaseDetail, CaseView, list_cases, show_case
from fielded.services.review.refresh import refresh_scores
from fielded.words.errors import WrongUse

_HELP = "Decide the scores that a person decides."
_HIDDEN = "hidden"

Id = Annotated[str, typer.Argument(help="Request id of the case, as `list` shows it.")]
Why = Annotated[str, typer.Option("-m", "--message", help="Why; kept in the ledger.")]
Verdict = Annotated[str, typer.Argument(help="flag or clear: what you would decide yourself.")]

app = typer.Typer(add_completion=False, no_args_is_help=True, help=_HELP)
app.command()(stats)
app.command()(band)


@app.callback()
def _group() -> None:
    """Decide the scores that a person decides."""


@app.command("list")
def list_(
    deployment: Folder = HERE,
    site: SiteFile = None,
    limit: Annotated[int, typer.Option(min=1, help="Cases, at most.")] = 50,
    free: Annotated[bool, typer.Option("--free", help="Only cases that you may take now.")] = False,
    as_json: Json = False,
) -> None:
    """The queue, what is due first before the rest."""
    found = list_cases(open_from(deployment, site), limit, free=free)
    if as_json:
        cases = [_view(case) for case in found.cases]
        print_json({"waiting": found.waiting, "overdue": found.overdue, "cases": cases})
        return
    columns = ("case", "subject", "due", "stage", "holder", "score", "why")
    print_table(columns, [_line(case) for case in found.cases])
    out.print(
        f"{len(found.cases):,} of {found.waiting:,} cases that wait, {found.overdue:,} overdue", markup=False
    )


def _line(case: CaseView) -> tuple[str, ...]:
    return (
        case.request_id,
        case.subject,
        f"{case.due_at:%Y-%m-%d %H:%M}{' overdue' if case.overdue else ''}",
        case.stage,
        case.holder or "",
        _HIDDEN if case.score is None else f"{case.score:.4f}",
        _HIDDEN if case.routed_by is None else ";".join(case.routed_by),
    )


def _view(case: CaseView) -> dict[str, Any]:
    return {name: getattr(case, name) for name in CaseView.__dataclass_fields__}


@app.command()
def show(case: Id, deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """A case with its features and what happened to it; without what you are not to see yet."""
    found = show_case(open_from(deployment, site), case)
    if as_json:
        print_json(_detail(found))
        return
    view = found.view
    print_fields(
        f"case {view.request_id}",
        {
            "subject": view.subject,
            "scored": f"{view.scored_at:%Y-%m-%d %H:%M:%S} UTC for {view.scored_date}, {view.channel}",
            "waits": "expired" if found.expired else view.stage,
            "due": "" if view.stage == "settled" else f"{view.due_at:%Y-%m-%d %H:%M} UTC",
            "holder": view.holder or "nobody",
            "score": _HIDDEN if view.score is None else view.score,
            "model says": _HIDDEN if view.flag is None else "flag" if view.flag else "clear",
            "routed by": _HIDDEN if view.routed_by is None else ", ".join(view.routed_by),
            "model": f"{found.model['name']} version {found.model['version']}",
            "threshold": found.model["threshold"],
            "decided": _decision(found.standing),
        },
    )
    print_fields("features", dict(found.features))
    if found.history:
        rows = [(f"{event.at:%Y-%m-%d %H:%M:%S}", event.kind, event.actor) for event in found.history]
        print_table(("at", "what", "who"), rows)
    if found.judge_first:
        step = f"You judge before the score is shown: `fielded review judge {view.request_id} flag` or `clear`"
        out.print(step, markup=False)


def _decision(decision: Decision | None) -> str:
    if decision is None:
        return "no"
    when = f"{decision.at:%Y-%m-%d %H:%M} UTC"
    return f"{decision.final} by {decision.by} at {when}, {decision.reason}: {decision.text}"


def _detail(found: CaseDetail) -> dict[str, Any]:
    standing = found.standing
    return {
        **_view(found.view),
        "features": dict(found.features),
        "model": dict(found.model),
        "judge_first": found.judge_first,
        "own_judgement": found.own_judgement,
        "expired": found.expired,
        "decided": standing
        and {name: getattr(standing, name) for name in ("by", "at", "outcome", "final", "reason", "text")},
        "history": [
            {"at": event.at, "kind": event.kind, "actor": event.actor, "details": dict(event.details)}
            for event in found.history
        ],
        "reasons": dict(found.reasons),
    }


@app.command()
def claim(case: Id, deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """Take a case; nobody else can decide it until your claim ends."""
    _done(act.claim(open_from(deployment, site), case), "claimed", as_json=as_json)


@app.command()
def release(case: Id, deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """Give a case back."""
    _done(act.release(open_from(deployment, site), case), "released", as_json=as_json)


@app.command()
def judge(
    case: Id, verdict: Verdict, deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False
) -> None:
    """Say what you would decide before the score is shown to you."""
    flag = _flag(verdict)
    _done(act.judge(open_from(deployment, site), case, flag=flag), "judged", as_json=as_json)


@app.command()
def second(
    case: Id, verdict: Verdict, deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False
) -> None:
    """Judge a decided case without having seen how it was decided."""
    flag = _flag(verdict)
    _done(act.judge_second(open_from(deployment, site), case, flag=flag), "judged", as_json=as_json)


def _flag(verdict: str) -> bool:
    if verdict not in ("flag", "clear"):
        raise WrongUse(f"verdict: got {verdict}, expected flag or clear")
    return verdict == "flag"


@app.command()
def decide(
    case: Id,
    outcome: Annotated[str, typer.Argument(help="keep or override what the model says.")],
    reason: Annotated[str, typer.Option("--reason", help="A code of the definition's review.reasons.")],
    text: Why,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Decide a case that you hold. The gold table shows it at once."""
    if outcome not in ("keep", "override"):
        raise WrongUse(f"outcome: got {outcome}, expected keep or override")
    done = act.decide(open_from(deployment, site), case, "keep" if outcome == "keep" else "override", reason, text)
    _done(done, f"decided: {done.state.decisions[-1].final}", as_json=as_json)


@app.command()
def reassign(
    case: Id,
    to: Annotated[str, typer.Option("--to", help="Identity of a reviewer, as the site's roles have it.")],
    reason: Why,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Give a case to another reviewer, whoever holds it."""
    _done(act.reassign(open_from(deployment, site), case, to, reason), f"given to {to}", as_json=as_json)


@app.command()
def escalate(
    case: Id, reason: Why, deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False
) -> None:
    """Have another person decide a case that you hold and cannot decide."""
    _done(act.escalate(open_from(deployment, site), case, reason), "escalated", as_json=as_json)


@app.command()
def appeal(case: Id, reason: Why, deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """Have others decide anew. Until they have, the decision does not stand."""
    _done(act.appeal(open_from(deployment, site), case, reason), "appealed", as_json=as_json)


@app.command()
def refresh(deployment: Folder = HERE, site: SiteFile = None, as_json: Json = False) -> None:
    """Let the gold table show decisions that it does not show yet, as after a crash."""
    days = refresh_scores(open_from(deployment, site))
    if as_json:
        print_json({"days": list(days)})
        return
    shown = ", ".join(map(str, days)) or "nothing was left to do"
    out.print(f"Gold table: {shown}", markup=False)


def _done(done: act.Done, said: str, *, as_json: bool) -> None:
    """What an act came to; ends with 3 where something is left to do."""
    state, claimed = done.state, done.state.claim
    if as_json:
        print_json(
            {
                "request_id": done.case.request_id,
                "subject": done.case.subject,
                "stage": state.stage,
                "holder": claimed and claimed.by,
                "until": claimed and claimed.until,
                "judge_first": claimed and claimed.judge_first and claimed.by not in state.judgements,
                "shown": list(done.shown),
                "not_done": list(done.not_done),
            }
        )
    else:
        out.print(f"{done.case.subject}, case {done.case.request_id}: {said}", markup=False)
        if claimed is not None:
            out.print(f"  {claimed.by} holds it until {claimed.until:%Y-%m-%d %H:%M} UTC", markup=False)
        if state.stage == "second":
            out.print("  It waits for a second person, who judges it without seeing yours.", markup=False)
        for left in done.not_done:
            err.print(left, markup=False)
    raise typer.Exit(3 if done.not_done else 0)
