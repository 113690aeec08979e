"""`fielded monitor reviews`, `review-open` and `review-close`."""

from pathlib import Path
from typing import Annotated

import typer

from fielded.doors.cli.opening import open_from
from fielded.doors.cli.options import HERE, Folder, Json, SiteFile
from fielded.doors.cli.rendering import out, print_json, print_table
from fielded.services.monitoring.review_report import HTML_FILE
from fielded.services.monitoring.reviews import close_review, open_review, reviews_of

Id = Annotated[str, typer.Argument(help="Of the review, as `reviews` lists it.")]


def reviews(
    every: Annotated[bool, typer.Option("--all", help="Also those that are closed or overtaken.")] = False,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Reviews after promotion. Exits with 1 where one is overdue."""
    found = reviews_of(open_from(deployment, site), all_of_them=every)
    if as_json:
        print_json([one.as_dict() for one in found])
    elif not found:
        out.print("No review is on record: they are scheduled when a version is promoted.", markup=False)
    else:
        print_table(
            ("id", "state", "opens", "due", "owner", "closed by"),
            [
                (
                    one.review.id,
                    one.state,
                    one.review.opens,
                    one.review.due,
                    one.review.owner,
                    one.review.closed_by,
                )
                for one in found
            ],
        )
    raise typer.Exit(1 if any(one.state == "overdue" for one in found) else 0)


def review_open(
    review_id: Id,
    into: Annotated[
        Path | None, typer.Option("--out", help="Folder for the evidence; else review-ID in this one.")
    ] = None,
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Make the evidence of a review: metrics since the promotion, what fired, the labels that lack."""
    opened = open_review(open_from(deployment, site), review_id, into or Path(f"review-{review_id}"))
    if as_json:
        review = opened.standing.as_dict()
        print_json({"review": review, "folder": str(opened.folder), "evidence_sha256": opened.sha256})
        return
    lacking = [one for one in opened.evidence["labels_needed"] if one["still"]]
    out.print(f"{review_id}: {opened.standing.state}, due on {opened.standing.review.due}", markup=False)
    for one in lacking[:5]:
        out.print(f"  {one['slice']}: {one['still']:,} labels still needed", markup=False)
    out.print(f"Evidence: {opened.folder / HTML_FILE}, sha256 of its record {opened.sha256}", markup=False)
    out.print(f'Close it with `fielded monitor review-close {review_id} -m "what you found"`', markup=False)


def review_close(
    review_id: Id,
    text: Annotated[str, typer.Option("-m", "--message", help="What you found; kept in the ledger.")],
    deployment: Folder = HERE,
    site: SiteFile = None,
    as_json: Json = False,
) -> None:
    """Close a review, by your name, on the evidence that was made last."""
    closed = close_review(open_from(deployment, site), review_id, text)
    if as_json:
        print_json(closed.as_dict())
    else:
        out.print(f"{review_id}: closed by {closed.review.closed_by}", markup=False)
