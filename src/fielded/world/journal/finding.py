"""Look-ups among rows that are still in a journal."""

import logging
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.rows import PARTITION
from fielded.world.journal.port import Damaged, Journals
from fielded.world.lookup import text_scalar, to_python

_LOG = logging.getLogger("fielded.journal")


def find_live_rows(
    journals: Journals, column: str, value: str, on: date | None = None, ledger: str = ""
) -> list[dict[str, Any]]:
    """Every row still in a journal whose `column` equals `value`, newest first, as `lookup.find_rows` gives them.

    Ask before the ledger is asked: a row that is drained in between is then found twice, with one request id,
    and never missed.

    Args:
        journals: of one deployment.
        column: `subject` or `request_id`, a text column.
        value: what to look for.
        on: only rows of this day.
        ledger: identity of a ledger; journals of another one are passed over. Empty looks into all.

    Returns:
        The rows. What of a journal cannot be read is told in the log, and the others are gone through.

    Raises:
        Damaged: nothing was found, and not all could be read: so nobody may say that there is no such row.
        Unreachable: a journal does not answer.
    """
    wanted, found, unread = text_scalar(value), [], []
    for backlog in journals.backlogs():
        if not backlog.rows or (ledger and backlog.ledger not in {"", ledger}):
            continue
        try:
            for batch in journals.read(backlog.journal, 0):
                hits = pc.equal(batch.column(column), wanted)
                if hits.true_count:
                    found += to_python(pa.Table.from_batches([batch.filter(hits)]))
        except Damaged as damage:
            _LOG.warning("journal %s: a look-up did not see all its rows: %s", backlog.journal, damage)
            unread.append(f"journal {backlog.journal}: {damage}")
    rows = [{**row, PARTITION: row["scored_at"].date()} for row in found]
    kept = [row for row in rows if on is None or row[PARTITION] == on]
    if unread and not kept:
        raise Damaged("got no such row, but could not read all journals:\n" + "\n".join(unread))
    return sorted(kept, key=lambda row: (row["scored_at"], row["request_id"]), reverse=True)
