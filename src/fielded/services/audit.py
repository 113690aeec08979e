"""Find what was scored, in the ledger and in the journals that are not drained yet.

Nothing here loads a model or asks a registry: a look-up opens the ledger and the journals only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from fielded.definition.site import Site
from fielded.words.errors import WrongUse
from fielded.words.identifiers import RandomBytes
from fielded.world.journal import Damaged, Journals, find_live_rows, open_journals
from fielded.world.ledger_tables import ledger_tables
from fielded.world.lookup import find_rows
from fielded.world.tables import DeltaTables

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Books:
    """Where predictions stand.

    Attributes:
        tables: the site's tables.
        predictions: name of the ledger's table.
        journals: of the deployment.
    """

    tables: DeltaTables
    predictions: str
    journals: Journals


def open_books(site: Site, deployment: str, random_bytes: RandomBytes) -> Books:
    """The books of a deployment at a site, without anything that scores."""
    journals = open_journals(site, deployment, random_bytes)
    return Books(DeltaTables(site), ledger_tables(site, deployment).predictions, journals)


def find_subject(books: Books, subject: str, on: date | None = None) -> list[Row]:
    """Every prediction about a subject, newest first; of one day where `on` is given."""
    return _find(books, "subject", subject, on)


def show(books: Books, request_id: str) -> Row:
    """The prediction row of a request.

    Raises:
        WrongUse: there is no such row.
    """
    rows = _find(books, "request_id", request_id, None)
    if not rows:
        raise WrongUse(
            f"request id: got {request_id}, which is not in {books.predictions} nor in a journal, expected one "
            "that `fielded audit find SUBJECT` lists"
        )
    return rows[0]


def _find(books: Books, column: str, value: str, on: date | None) -> list[Row]:
    # The journals first: a row that is drained meanwhile is then found twice, not missed.
    table = books.tables.find(books.predictions)
    ledger = "" if table is None else str(table.metadata().id)
    live: list[Row] = []
    damaged: Damaged | None = None
    try:
        live = find_live_rows(books.journals, column, value, on, ledger)
    except Damaged as error:
        damaged = error
    table = books.tables.find(books.predictions)  # at what it is by now
    found = _newest_first(live, [] if table is None else find_rows(table, column, value, on))
    if damaged is not None and not found:  # never say of a row that it is nowhere, when there is a place unread
        raise damaged
    return found


def _newest_first(live: Iterable[Row], drained: Iterable[Row]) -> list[Row]:
    by_id = {row["request_id"]: row for rows in (live, drained) for row in rows}
    return sorted(by_id.values(), key=lambda row: (row["scored_at"], row["request_id"]), reverse=True)
