"""What reviewers are answered: never more of a case than they may see now (`decisions.review.view`)."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from fielded.decisions.review.acts import CaseEvent
from fielded.decisions.review.state import Decision
from fielded.services.review.act import Done
from fielded.services.review.cases import CaseDetail, CaseView, Queue
from fielded.services.review.stats import ReviewStats

Json = dict[str, Any]

_DECIDED = ("by", "at", "outcome", "final", "reason", "text")


def queue(found: Queue) -> Json:
    """The queue, or its first cases."""
    return {"waiting": found.waiting, "overdue": found.overdue, "cases": [view(case) for case in found.cases]}


def view(found: CaseView) -> Json:
    """A case in the queue."""
    return {name: _plain(getattr(found, name)) for name in CaseView.__dataclass_fields__}


def detail(found: CaseDetail) -> Json:
    """A case with all that its reader may see."""
    return {
        **view(found.view),
        "features": _plain(found.features),
        "model": _plain(found.model),
        "judge_first": found.judge_first,
        "own_judgement": found.own_judgement,
        "expired": found.expired,
        "decided": _decided(found.standing),
        "history": [_event(event) for event in found.history],
        "reasons": dict(found.reasons),
    }


def done(made: Done, seen: CaseView) -> Json:
    """What an act came to.

    Args:
        made: the act; what it knows of the case is not all for its reader.
        seen: the case after it, as its reader may see it.
    """
    return {"case": view(seen), "shown": _plain(made.shown), "not_done": list(made.not_done)}


def stats(found: ReviewStats) -> Json:
    """How the review goes."""
    return {name: _plain(value) for name, value in found.as_dict().items()}


def _event(event: CaseEvent) -> Json:
    return {"at": _plain(event.at), "kind": event.kind, "actor": event.actor, "details": _plain(event.details)}


def _decided(standing: Decision | None) -> Json | None:
    return None if standing is None else {name: _plain(getattr(standing, name)) for name in _DECIDED}


def _plain(value: Any) -> Any:
    """As JSON has it; times as in every answer, to the microsecond."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple | list | frozenset):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return value
