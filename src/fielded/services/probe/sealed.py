"""What of the ledger is not sealed yet, looked at before anything seals it.

A seal says that a commit was there when it was made, and covers whatever is. So who wants to know whether somebody
else has put rows into the ledger looks before the next seal.
"""

from collections.abc import Iterator
from datetime import timedelta

from fielded.decisions.assurance.evidence import Check
from fielded.decisions.seals import LogEntry, not_sealable
from fielded.services.seal import table_folders
from fielded.words.errors import FieldedError
from fielded.world.delta_log import entries_after
from fielded.world.seals import Seals
from fielded.world.workplace import Workplace

_YOUNG = timedelta(minutes=15)  # so long a commit may wait for its seal, as `fielded audit verify` says too
_STEP = "Run `fielded audit verify`, find out who wrote it, and only then `fielded audit seal`"


def own_and_sealed(workplace: Workplace) -> Iterator[Check]:
    """Checks that what is not sealed is fielded's own, and young."""
    whose = "what is not sealed yet is fielded's own"
    since = "no commit is unsealed for long"
    own = "commits of fielded, that add rows and take none away"
    young = "none older than a commit may wait for its seal"
    try:
        waiting = list(_waiting(workplace))
    except FieldedError as error:
        yield Check.of(whose, False, got=str(error), expected=own, step=_STEP)
        yield Check.missing(since, why="the log cannot be read", expected=young, step=_STEP)
        return
    now = workplace.clock().timestamp() * 1000
    foreign = [name for name, entry in waiting if _is_foreign(entry) or not_sealable(entry)]
    old = [
        name
        for name, entry in waiting
        if entry.unix_ms <= 0 or now - entry.unix_ms > _YOUNG / timedelta(milliseconds=1)
    ]
    yield Check.of(
        whose, not foreign,
        got=f"not so: {', '.join(foreign)}" if foreign else f"{len(waiting)} commits wait for a seal",
        expected=own, step=_STEP,
    )  # fmt: skip
    yield Check.of(
        since, not old, got=f"too old: {', '.join(old)}" if old else "none", expected=young,
        step="Run `fielded audit verify`, then `fielded audit seal`",
    )  # fmt: skip


def _waiting(workplace: Workplace) -> Iterator[tuple[str, LogEntry]]:
    """Every commit after the last sealed one of its table, by name.

    Raises:
        FieldedError: a log or the seals cannot be read.
    """
    folders = {name: folder for name, folder in table_folders(workplace).items() if folder.exists()}
    ends = Seals(workplace.tables, workplace.site, workplace.deployment.name).ends(tuple(folders))
    for table, folder in folders.items():
        for entry in entries_after(folder, ends[table].version):
            yield f"{table} version {entry.version}", entry


def _is_foreign(entry: LogEntry) -> bool:
    """Whether it has data files of which fielded recorded nothing."""
    return any(file.path not in entry.recorded for file in entry.added)
