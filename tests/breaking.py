"""What breaking a ready site needs: the list of ways, whose collectors read what, and acts of people.

A way says whose collectors read what it breaks; those are looked at anew. One way of each item at least is looked
at by all twelve.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fielded.decisions.readiness.items import ITEMS
from fielded.services.release.record import about
from fielded.services.seal import seal
from ready_site import COLLECTOR, Ready, settle

EVERYBODY = tuple(item.key for item in ITEMS)
# Items whose collectors read it. Of the definition, site.yaml and the ledger everybody reads something.
REGISTRY = (
    "kickoff", "model-card", "rai-assessment", "training-data", "audit-probe", "review-path", "retraining-trigger",
    "rollback",
)  # fmt: skip
FOLDER = ("model-card", "rai-assessment", "credentials", "rollback")
TABLES = ("model-card", "rai-assessment", "training-data", "audit-probe", "threshold")
WATCH = ("model-card", "rai-assessment", "retraining-trigger", "release-reviews")
RELEASES = ("model-card", "rai-assessment", "threshold", "rollback", "release-reviews")
RUNS = ("model-card", "rai-assessment", "training-data", "threshold")  # of the registry
TOLD = ("credentials", "monitoring-owner", "review-path", "rollback")  # in site.yaml, but for who may ask the API
SITE = ("audit-probe", "credentials", "monitoring-owner", "review-path", "rollback")
OWNED = ("model-card", "rai-assessment", "monitoring-owner")
MODELS = ("audit-probe", "credentials", "review-path", "retraining-trigger", "rollback", "threshold")


@dataclass(frozen=True)
class Break:
    """One way.

    Attributes:
        item: evidence id of the item that turns red.
        do: breaks a site.
        seen_by: items that are looked at anew: all whose collectors read what was broken.
    """

    item: str
    do: Callable[[Ready], None]
    seen_by: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.item}: {(self.do.__doc__ or '').strip().rstrip('.')}"


BREAKS: list[Break] = []


def breaks(
    item: str, seen_by: tuple[str, ...] = EVERYBODY
) -> Callable[[Callable[[Ready], None]], Callable[[Ready], None]]:
    """Put a way to break a site on the list; its docstring says what it does."""

    def listed(do: Callable[[Ready], None]) -> Callable[[Ready], None]:
        BREAKS.append(Break(item, do, seen_by))
        return do

    return listed


def said(
    site: Ready, kind: str, details: Mapping[str, Any], by: str = COLLECTOR, at: datetime | None = None
) -> None:
    """An event about the model, sealed as every event is: what an older or another fielded might have written."""
    workplace = site.open(by, at)
    workplace.record(kind, about(workplace), details)
    seal(site.open(by))


def redefine(site: Ready, old: str, new: str) -> None:
    """Another definition, and all that people do after it."""
    site.replace_in(site.definition_file, old, new)
    settle(site)


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)
