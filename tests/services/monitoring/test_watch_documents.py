"""What the pages about reports and reviews list is what there is."""

from datetime import UTC, datetime
from pathlib import Path

import watched
from fielded.decisions.monitoring import release_reviews as rules
from fielded.decisions.monitoring.labels_needed import WIDTH, rows_for
from fielded.services.monitoring.prometheus import FAMILIES, STATE_NUMBERS

DOCS = Path(watched.__file__).parent.parent / "docs"


def test_the_report_page_lists_every_metric_with_its_labels_and_every_field() -> None:
    page = (DOCS / "monitor_report.md").read_text()
    for family in FAMILIES:
        assert f"`{family.name}`" in page, family.name
        assert all(f"`{label}`" in page for label in family.labels), family.name
    for state, number in STATE_NUMBERS.items():
        assert f"{number} " in page, state
    kept = {
        "format", "state", "triggers", "changed", "measured", "days", "labels", "estimated", "queue", "retraining",
        "release_reviews", "previous",
    }  # fmt: skip
    assert kept <= set(watched.report(watched.sources(days=2, labels=False)))
    for field in kept:
        assert f"`{field}`" in page, field


def test_the_reviews_page_lists_every_kind_of_event_with_its_details_and_every_state() -> None:
    page = (DOCS / "release_reviews.md").read_text()
    review = rules.ReleaseReview(
        id="v1-1-30d", version=watched.Pinned("1", "a"), day=30, promotion="e",
        promoted_at=datetime(2026, 1, 1, tzinfo=UTC), opens=watched.LAST, due=watched.LAST, owner="o",
    )  # fmt: skip
    for name in (*review.details(), "evidence_sha256", "text"):
        assert f"`{name}`" in page, name
    for kind in (rules.SCHEDULED, rules.OPENED, rules.CLOSED):
        assert f"| `{kind}` |" in page
    for state in rules.State.__args__:
        assert f"`{state}`" in page
    assert f"{WIDTH:.2f}" in page
    assert f"takes {rows_for(0.5)} rows" in page
