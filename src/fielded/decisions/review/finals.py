"""What finally holds of a day's scores: the gold table's columns about decisions of people.

1. A row that somebody decided, and whose decision stands, has that decision, when it was made, by whom, and the
   code of its reason;
2. a row that waits for a person, whose own decision nobody contests, and that an earlier decision about its
   subject covers (`decisions.review.queue`, rule 3), has that one;
3. any other row has what the model made of it. It says `review` where a person is still to decide.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.review.queue import Settled, by_subject
from fielded.decisions.rows import FINAL, TIMESTAMP
from fielded.definition.review import Carry

_REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Finals:
    """Decisions of people that stand.

    Attributes:
        settled: all that may have to do with a day.
        contested: request ids of cases whose last decision does not stand.
        sequence: number of the ledger's last event when they were read.
    """

    settled: tuple[Settled, ...]
    contested: frozenset[str]
    sequence: int

    def rows(self, ledger: pa.RecordBatch, day: date, carry: Carry) -> pa.RecordBatch:
        """What finally holds of rows of a day.

        Args:
            ledger: has `request_id`, `subject`, `score`, `decision` and `scored_at`.
            day: that they are of.
            carry: the definition's section.

        Returns:
            Batch of schema `rows.FINAL`, a row for each.
        """
        found = self._decided(ledger, day, carry)
        places = np.full(ledger.num_rows, -1, dtype=np.int64)
        places[list(found)] = np.arange(len(found))
        chosen = pa.array(places, mask=places < 0)
        decisions = [one.decision for one in found.values()]
        made = {
            "final_decision": pa.array([one.final for one in decisions], pa.string()),
            "decided_by": pa.array([one.by for one in decisions], pa.string()),
            "decided_at": pa.array([one.at for one in decisions], TIMESTAMP),
            "review_reason": pa.array([one.reason for one in decisions], pa.string()),
        }
        columns = {name: column.take(chosen) for name, column in made.items()}
        columns["final_decision"] = pc.coalesce(columns["final_decision"], _texts(ledger.column("decision")))
        return pa.RecordBatch.from_arrays([columns[name] for name in FINAL.names], schema=FINAL)

    def _decided(self, ledger: pa.RecordBatch, day: date, carry: Carry) -> dict[int, Settled]:
        """Place of a row -> what was decided of it."""
        found: dict[int, Settled] = {}
        by_id = {one.request_id: one for one in self.settled}
        subjects = by_subject(self.settled)
        waits = pc.equal(_texts(ledger.column("decision")), _REVIEW)
        theirs = pc.and_(waits, _among(ledger.column("subject"), subjects))
        touched = pc.or_(theirs, _among(ledger.column("request_id"), by_id))
        for place in np.flatnonzero(touched.to_numpy(zero_copy_only=False)):
            row = {name: ledger.column(name)[int(place)].as_py() for name in _LOOKED_AT}
            own = by_id.get(row["request_id"])
            if own is None and row["decision"] == _REVIEW and row["request_id"] not in self.contested:
                where = (day, row["scored_at"], row["request_id"])
                covering = [one for one in subjects[row["subject"]] if one.covers(row["score"], where, carry)]
                own = max(covering, key=lambda one: one.decision.at, default=None)
            if own is not None:
                found[int(place)] = own
        return found


_LOOKED_AT = ("request_id", "subject", "score", "decision", "scored_at")


def _texts(column: pa.Array) -> pa.Array:
    return column.cast(pa.string())


def _among(column: pa.Array, values: Iterable[str]) -> pa.Array:
    return pc.is_in(_texts(column), value_set=pa.array(list(values), pa.string()))
