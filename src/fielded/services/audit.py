"""Find what was scored. Nothing here loads a model or asks a registry: a look-up opens the ledger only."""

from datetime import date
from typing import Any

from fielded.words.errors import WrongUse
from fielded.world.ledger_tables import LedgerTables
from fielded.world.lookup import find_rows
from fielded.world.tables import DeltaTables


def find_subject(
    tables: DeltaTables, names: LedgerTables, subject: str, on: date | None = None
) -> list[dict[str, Any]]:
    """Every prediction about a subject, newest first; of one day where `on` is given."""
    table = tables.find(names.predictions)
    return [] if table is None else find_rows(table, "subject", subject, on)


def show(tables: DeltaTables, names: LedgerTables, request_id: str) -> dict[str, Any]:
    """The prediction row of a request.

    Raises:
        WrongUse: the ledger has no such row.
    """
    table = tables.find(names.predictions)
    rows = [] if table is None else find_rows(table, "request_id", request_id)
    if not rows:
        raise WrongUse(
            f"request id: got {request_id}, which is not in {names.predictions}, expected one that "
            "`fielded audit find SUBJECT` lists"
        )
    return rows[0]
