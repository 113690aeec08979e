"""Rows without labels that a candidate and production both score: the newest of the ledger."""

import pyarrow as pa

from fielded.world.first_rows import SUBJECT
from fielded.world.recent_rows import recent_features
from fielded.world.workplace import Workplace


def recent_rows(workplace: Workplace, limit: int) -> pa.Table:
    """Features of the newest prediction rows, whichever channel they came by, one row a subject.

    Rows that still wait in a journal are not among them: drain it first to have the last minutes too.

    Args:
        workplace: the deployment at its site.
        limit: rows, at most; memory is bounded by it.

    Returns:
        Table with the features in the definition's order and types.
    """
    table = workplace.tables.find(workplace.ledger.predictions)
    return recent_features(table, workplace.deployment, limit).drop_columns([SUBJECT])
