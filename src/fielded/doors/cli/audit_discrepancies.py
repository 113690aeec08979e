"""`fielded audit discrepancies`."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fielded.doors.cli.options import HERE, Folder, Json, SiteFile, load, parse_day
from fielded.doors.cli.rendering import out, print_json_array
from fielded.words.errors import WrongUse

if TYPE_CHECKING:
    from fielded.decisions.discrepancies import Discrepancy, Scored


def discrepancies(
    deployment: Folder = HERE,
    site: SiteFile = None,
    limit: Annotated[
        float, typer.Option(min=0, max=1, help="Scores no farther apart than this still fit.")
    ] = 0.05,
    since: Annotated[str | None, typer.Option(help="Only scores of this day and later.")] = None,
    on: Annotated[str | None, typer.Option(help="Only scores of this day.")] = None,
    as_json: Json = False,
) -> None:
    """Subjects whose latest live score and latest batch score do not fit together."""
    from fielded.services.audit import open_books  # noqa: PLC0415 - the query brings pandas and Ibis with it, which
    from fielded.services.discrepancies import find_discrepancies  # noqa: PLC0415 - other look-ups do without
    from fielded.world.latest_scores import Days  # noqa: PLC0415

    if since is not None and on is not None:
        raise WrongUse("--since and --on: got both, expected one of them")
    only = None if on is None else parse_day(on, "--on")
    days = Days(parse_day(since, "--since") if since is not None else only, only)
    definition, where = load(deployment, site)
    books = open_books(where, definition.name, os.urandom)
    counted = _Counted(find_discrepancies(books, where, limit, days))
    if as_json:
        print_json_array(_as_json(item) for item in counted)
    else:
        for item in counted:
            _print(item)
        what = f"{counted.count or 'No'} subject{'' if counted.count == 1 else 's'}"
        out.print(f"{what} whose latest live and batch scores do not fit together (limit {limit}).", markup=False)
    raise typer.Exit(1 if counted.count else 0)


class _Counted:
    """Counts what goes through: there may be more than memory holds."""

    def __init__(self, items: "Iterable[Discrepancy]") -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> "Iterator[Discrepancy]":
        for item in self._items:
            self.count += 1
            yield item


def _as_json(item: "Discrepancy") -> dict[str, Any]:
    features = {name: {"live": live, "batch": batch} for name, (live, batch) in item.features.items()}
    return {**asdict(item), "apart": item.apart, "features": features}


def _print(item: "Discrepancy") -> None:
    out.print(f"{item.subject}: {item.apart:.4f} apart; {', '.join(item.reasons)}", markup=False)
    for side, scored in (("live", item.live), ("batch", item.batch)):
        out.print(f"  {side:<5}  {_told(scored)}", markup=False)
    for name, (live, batch) in item.features.items():
        out.print(f"  {name}: live {live}, batch {batch}", markup=False)


def _told(scored: "Scored") -> str:
    return (
        f"{scored.score:.4f}  {scored.decision:<7}  version {scored.model_version}  threshold {scored.threshold}  "
        f"{scored.scored_at.isoformat()}  {scored.request_id}"
    )
