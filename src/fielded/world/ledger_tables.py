"""Names of a ledger's tables.

Apart from `world.ledger`, which imports pyarrow.dataset and with it pandas: a look-up from the command line
does without both, and answers in half the time.
"""

from dataclasses import dataclass

from fielded.definition.site import Site


@dataclass(frozen=True, slots=True)
class LedgerTables:
    """Where a deployment's ledger lies.

    Attributes:
        predictions: one row for every score.
        quarantine: one row for every row of a population that was refused.
        events: one row for every act.
        outcomes: labels that arrive later.
    """

    predictions: str
    quarantine: str
    events: str
    outcomes: str


def ledger_tables(site: Site, deployment: str) -> LedgerTables:
    """`<site.ledger>.<deployment>.<table>`."""
    prefix = f"{site.ledger}.{deployment}"
    return LedgerTables(*(f"{prefix}.{table}" for table in ("predictions", "quarantine", "events", "outcomes")))
