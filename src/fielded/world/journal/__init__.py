"""The journal: where a live score's row is durable before the score leaves, until it is drained to the ledger."""

from pathlib import Path

from fielded.definition.site import Site
from fielded.words.errors import WrongUse
from fielded.words.identifiers import RandomBytes
from fielded.world.journal.finding import find_live_rows
from fielded.world.journal.port import Backlog, Damaged, End, Journal, JournalDown, Journals, OutOfStep, Serving
from fielded.world.journal.sqlite import SqliteJournals

__all__ = [
    "Backlog", "Damaged", "End", "Journal", "JournalDown", "Journals", "OutOfStep", "Serving",
    "find_live_rows", "open_journals",
]  # fmt: skip

_FOLDER = "sqlite:///"


def open_journals(site: Site, deployment_name: str, random_bytes: RandomBytes) -> Journals:
    """The journals of a deployment at a site. Nothing is made or connected to yet.

    Raises:
        WrongUse: the journal's URL cannot be read, or needs an extra that is not installed.
    """
    if site.journal_url.startswith(_FOLDER):
        return SqliteJournals(Path(site.journal_url.removeprefix(_FOLDER)), deployment_name, random_bytes)
    try:
        from fielded.world.journal.postgres import PostgresJournals  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise WrongUse(
            "journal_url: got a PostgreSQL URL, expected its driver to be installed. "
            "Run `pip install 'fielded[postgres]'`"
        ) from error
    forgiving = site.environment == "development"
    return PostgresJournals(site.journal_url, deployment_name, random_bytes, forgiving=forgiving)
