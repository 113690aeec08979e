"""A place to do harm in: a ledger, a journal and a key of their own, on this machine, for a few moments.

It has the deployment, the events of the site (what is in production and which bytes are approved) and the site's
verified copies of model files. Predictions it has none. What is broken there is broken nowhere else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fielded.world.ledger import Ledger
from fielded.world.rehearsal import copy_table, rehearsal_folder
from fielded.world.tables import DeltaTables
from fielded.world.workplace import Workplace, open_workplace


@contextmanager
def scratch_copy(workplace: Workplace) -> Iterator[Workplace]:
    """A workplace of the same deployment whose ledger, journal and key are thrown away at the end.

    Raises:
        Refused: a drill or another probe is at it.
        Unreachable: it cannot be made.
    """
    with rehearsal_folder(workplace.site, None) as folder:
        (folder / "tables").mkdir()
        site = replace(
            workplace.site,
            root=str(folder / "tables"),
            journal_url=f"sqlite:///{folder / 'journal'}",
            signing_key=f"file:{folder / 'keys' / 'seal.pem'}",
            environment="development",  # its key is made on first use: nobody gives a copy the site's
            trusted_keys=(),
            checkpoints=None,
        )
        tables = DeltaTables(site)
        ledger = Ledger(tables, site, workplace.deployment.name)
        events = workplace.tables.pin(workplace.ledger.events)
        copy_table(Path(events.uri), Path(tables.uri(ledger.events)), events.version)
        yield open_workplace(
            workplace.deployment,
            site,
            user=workplace.user,
            clock=workplace.clock,
            random_bytes=workplace.random_bytes,
        )
