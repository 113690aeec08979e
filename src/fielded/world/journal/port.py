"""The journal: where a live score's row is durable before the score leaves, until it is drained to the ledger.

One port, two implementations (SQLite, PostgreSQL), one set of tests. A journal has one writer at a time; a
store holds the journals of all processes that serve a deployment at a site. Rows are numbered from 1 without a
gap in each journal and carry its hash chain (`decisions.chain`), so that draining can lose none unnoticed.

Whoever holds a journal also tells what it serves; the telling is worth something only as long as the journal is
held, so a process that was killed is not listed any more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from fielded.decisions.release.acts import Pinned
from fielded.decisions.release.tallies import Counts
from fielded.words.errors import Refused, Unreachable


class JournalDown(Unreachable):
    """The journal cannot take a row now: disk full, database gone, flush failed. Later it may again."""


class OutOfStep(JournalDown):
    """Rows or numbers do not go on from where the journal's chain stands: a gap, an overlap, or a store that was
    put back from an older copy. Nothing was written.
    """


class Damaged(Refused):
    """An entry of a journal whose bytes are not those that were written. Its other entries and other journals are
    not touched by that: what is wrong is told, the rest goes on.
    """


@dataclass(frozen=True, slots=True)
class End:
    """Where a journal's chain stands.

    Attributes:
        sequence: number of its last durable row; 0 before the first.
        head: the chain's head after that row, 32 bytes.
    """

    sequence: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in one journal.

    Attributes:
        journal: its id, a UUID.
        rows: how many rows were not trimmed yet.
        oldest: `scored_at` of the first row of the append that the first of them came with, UTC: no later than
            its own. None where there is none, or where it was written before this was kept.
        end: where its chain stands.
        ledger: identity of the ledger that it is drained to; empty in a journal older than this.
    """

    journal: str
    rows: int
    oldest: datetime | None
    end: End
    ledger: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a process that holds a journal serves, in its own words.

    Attributes:
        journal: id of the journal that it writes.
        ledger: identity of the ledger that this is drained to.
        host: name of the machine or container.
        pid: process there.
        model_version: that answers.
        artifact_sha256: digest of its files.
        withheld: whether it gives no scores, because the approval of that version is withdrawn.
        standby: what is loaded beside it to go back to, and has replayed recorded rows; None where nothing is.
        replayed: how many rows that has scored again to the last bit.
        since: when it began to serve this version, UTC.
        seen_at: when it told this, UTC.
        silent_seconds: since then, by the store's clock; whatever the teller says.
        trial: what it has counted of a trial; None where it knows of none.
    """

    journal: str
    ledger: str
    host: str
    pid: int
    model_version: str
    artifact_sha256: str
    withheld: bool
    standby: Pinned | None
    since: datetime
    seen_at: datetime
    replayed: int = 0
    silent_seconds: float = 0.0
    trial: Counts | None = None


class Journal(Protocol):
    """A journal, held by the one process that writes it."""

    @property
    def id(self) -> str:
        """UUID; the same after a restart if the store keeps it."""

    @property
    def end(self) -> End:
        """Where the chain stands. After an `append` that failed: read again from the store by the next call."""

    def append(self, rows: pa.RecordBatch) -> None:
        """Make rows durable, all or none, in one flush: when this returns they survive a power cut.

        Args:
            rows: schema of the `predictions` table without the partition; `journal_sequence` goes on from
                `end`, `chain` is filled. Schemas may differ from call to call.

        Raises:
            OutOfStep: they do not go on from `end`; none of them is durable. Or the store has lost rows that it
                had confirmed, or has others: then every later call says so again.
            Refused: they take more room than one entry may; none of them is durable.
            JournalDown: they may or may not be durable; none of them may be answered. The next call opens the
                store again, finds out where the chain stands, and goes on by itself once the cause is gone.
        """

    def probe(self) -> None:
        """Write something and flush it, as `append` would, and leave nothing.

        Raises:
            JournalDown: it could not.
        """

    def report(self, serving: Serving) -> None:
        """Tell what this process serves. It is listed by `Journals.serving` until the journal is closed, or the
        process ends in whatever way. The last telling counts.

        Raises:
            JournalDown: it could not be told.
        """

    def close(self) -> None:
        """Let go: another process may claim this journal."""


class Journals(Protocol):
    """The journals of one deployment at one site."""

    def claim(self, ledger: str) -> Journal:
        """A journal to write: one of this ledger, or of none yet, that no living process holds, or a new one.

        Args:
            ledger: identity of the ledger that it is to be drained to (`Ledger.identity`); kept with the journal.

        Raises:
            JournalDown: the store does not answer.
        """

    def backlogs(self) -> list[Backlog]:
        """Every journal that was not put aside, of all ledgers, oldest first. Empty where nothing was ever
        journaled; makes nothing, and reads no row.

        Raises:
            JournalDown: the store does not answer.
        """

    def serving(self) -> list[Serving]:
        """What every process told that holds a journal now, of all ledgers, by journal. One that has not told
        anything since it claimed its journal is left out; makes nothing.

        Raises:
            JournalDown: the store does not answer.
        """

    def read(self, journal: str, after: int) -> Iterator[pa.RecordBatch]:
        """Rows numbered above `after`, in order, as they were appended; those durable when asked for.

        Raises:
            OutOfStep: the journal ends before `after`: it has lost rows.
            Damaged: bytes are not those that were written; the rows before them were given.
            JournalDown: the store does not answer.
            Unreachable: no such journal.
        """

    def trim(self, journal: str, through: int) -> None:
        """Forget rows up to and including number `through`. The chain's end is kept. Safe while another process
        appends, and safe to repeat.

        Raises:
            OutOfStep: the journal ends before `through`: it has lost rows.
            JournalDown: the store does not answer.
            Unreachable: no such journal.
        """

    def put_aside(self, journal: str) -> str:
        """Take a journal out of use, for instance one that cannot be drained: nothing is deleted, but `claim`,
        `backlogs`, `read` and `trim` know it no more.

        Returns:
            Where it is now, for a person.

        Raises:
            Refused: a process writes it.
            JournalDown: the store does not answer.
            Unreachable: no such journal.
        """
