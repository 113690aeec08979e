"""Look-ups among rows that are still in a journal."""

from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.rows import PARTITION
from fielded.world.journal.port import Journals
from fielded.world.lookup import text_scalar, to_python


def find_live_rows(journals: Journals, column: str, value: str, on: date | None = None) -> list[dict[str, Any]]:
    """Every row still in a journal whose `column` equals `value`, newest first, as `lookup.find_rows` gives them.

    Ask before the ledger is asked: a row that is drained in between is then found twice, with one request id,
    and never missed.

    Args:
        journals: of one deployment.
        column: `subject` or `request_id`, a text column.
        value: what to look for.
        on: only rows of this day.

    Raises:
        Unreachable: a journal does not answer, or its bytes are damaged.
    """
    wanted, found = text_scalar(value), []
    for backlog in journals.backlogs():
        if not backlog.rows:
            continue
        for batch in journals.read(backlog.journal, 0):
            hits = pc.equal(batch.column(column), wanted)
            if hits.true_count:
                found += to_python(pa.Table.from_batches([batch.filter(hits)]))
    rows = [{**row, PARTITION: row["scored_at"].date()} for row in found]
    kept = [row for row in rows if on is None or row[PARTITION] == on]
    return sorted(kept, key=lambda row: (row["scored_at"], row["request_id"]), reverse=True)
