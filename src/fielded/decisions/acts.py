"""An act as the events of the ledger tell it: what releases and cases are folds over."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One event that carries a turn.

    Attributes:
        turn: its number among those about the same thing, from 1.
        event_id: as in the ledger.
        kind: one of its room's.
        actor: authenticated identity.
        at: UTC.
        details: see its room's module `acts`.
    """

    turn: int
    event_id: str
    kind: str
    actor: str
    at: datetime
    details: Mapping[str, Any]

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """From a row of the events table whose details are read.

        Raises:
            KeyError: one of its columns or its turn is not there.
            TypeError: the turn or the time is none.
            ValueError: the turn is no number.
        """
        if not isinstance(row["occurred_at"], datetime):
            raise TypeError("occurred_at")
        return cls(
            turn=int(row["details"]["turn"]),
            event_id=str(row["event_id"]),
            kind=str(row["kind"]),
            actor=str(row["actor"]),
            at=row["occurred_at"],
            details=row["details"],
        )

    def __str__(self) -> str:
        return f"{self.kind} by {self.actor} at {self.at:%Y-%m-%d %H:%M:%S} UTC"
