"""Reports of what is served, as texts. The same in every store."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from fielded.decisions.release.acts import pinned_or_none
from fielded.decisions.release.tallies import Counts
from fielded.world.journal.port import Serving


def report_text(serving: Serving) -> str:
    """One line of JSON."""
    return json.dumps(
        {
            "journal": serving.journal,
            "ledger": serving.ledger,
            "host": serving.host,
            "pid": serving.pid,
            "model_version": serving.model_version,
            "artifact_sha256": serving.artifact_sha256,
            "withheld": serving.withheld,
            "standby": None if serving.standby is None else serving.standby.as_dict(),
            "replayed": serving.replayed,
            "since": serving.since.astimezone(UTC).isoformat(),
            "seen_at": serving.seen_at.astimezone(UTC).isoformat(),
            "trial": None if serving.trial is None else serving.trial.as_dict(),
        }
    )


def read_report(text: str, silent_seconds: float) -> Serving | None:
    """What a text tells; None where it tells nothing that this version of fielded can read.

    Args:
        text: as `report_text` made it.
        silent_seconds: since it was told, by the store's clock.
    """
    try:
        told = json.loads(text)
        trial, standby = told["trial"], pinned_or_none(told["standby"])
        moments = {name: datetime.fromisoformat(told[name]) for name in ("since", "seen_at")}
        counts = None if trial is None else Counts.of(trial)
        read = Serving(**{**told, **moments, "standby": standby, "trial": counts})
    except (ValueError, TypeError, KeyError):
        return None
    return replace(read, silent_seconds=max(0.0, silent_seconds))
