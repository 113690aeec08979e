"""`fielded review stats`."""

from typing import Annotated

import typer

from fielded.decisions.measuring.intervals import Estimate
from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import out, print_fields, print_json, print_table
from fielded.services.review.stats import DAYS, ReviewStats
from fielded.services.review.stats import stats as read_stats


def stats(
    deployment: Folder = HERE,
    site: SiteFile = None,
    days: Annotated[int, typer.Option(min=1, help="Days up to now that are counted.")] = DAYS,
    as_json: Json = False,
) -> None:
    """How the review goes: queue, overriding, agreement, and whether the model is followed against judgement."""
    found = read_stats(open_from(deployment, site), days)
    if as_json:
        print_json(found.as_dict())
    else:
        _print(found)


def _print(found: ReviewStats) -> None:
    queue, errors = found.queue, found.errors
    oldest = "nothing waits" if queue.oldest_seconds is None else f"{queue.oldest_seconds / 3600:,.1f} h"
    stages = ", ".join(f"{count:,} {stage}" for stage, count in sorted(queue.by_stage.items()))
    print_fields(
        f"review since {found.first_day}",
        {
            "waiting": f"{queue.waiting:,}{f' ({stages})' if stages else ''}",
            "claimed": f"{queue.claimed:,}",
            "overdue": f"{queue.overdue:,}",
            "oldest": oldest,
            "routed scores": f"{found.routed:,}",
            "cases": f"{found.cases:,}",
            "decided": f"{found.decided:,}, {found.late:,} of them late",
            "expired": f"{found.expired:,}, and {found.contested_expired:,} contested",
            "second judgements missed": f"{found.seconds_missed:,}",
        },
    )
    rows = [
        *((f"overridden, {name}", one) for name, one in found.overrides.items()),
        ("agreement of two persons (Cohen's kappa)", found.agreement.kappa),
        ("agreement of two persons, share", found.agreement.observed),
        ("right first judgement given up for a wrong model", found.bias.given_up),
        ("wrong first judgement put right by the model", found.bias.put_right),
        ("all scores: flag that people would not keep", errors.wrong),
        ("all flagged scores: needless", errors.wrong_flags),
        ("all other scores: missed", errors.missed),
    ]
    print_table(("rate, 95% interval", "value", "low", "high", "of"), [(name, *_cells(one)) for name, one in rows])
    out.print(
        f"Rates of all scores stand for about {errors.stand_for:,.0f} scores; people decided {errors.decided:,} "
        f"of the {errors.drawn:,} drawn.",
        markup=False,
    )


def _cells(one: Estimate) -> tuple[str, ...]:
    value = "none" if one.value is None else f"{one.value:.3f}"
    return (value, f"{one.low:.3f}", f"{one.high:.3f}", f"{one.rows:,}")
