"""What the journals of all stores share: one caller at a time, rows checked before the store is asked, and one
kind of error for everything a store can do wrong.

After any failure nothing that was known about the store is believed: the connection is closed, and the next call
opens it again and reads where the chain stands. That alone decides whether rows of a failed append are in.

Nor is the store believed then. What it confirmed to this process must still be there, and nothing besides but the
rows whose append failed: a store that fell back (to a replica that lagged, to an older copy) would otherwise take
numbers a second time, and nobody would miss the rows that had them first.
"""

import logging
import threading
from abc import ABC, abstractmethod

import pyarrow as pa

from fielded.world.journal.entries import Entry, Packer
from fielded.world.journal.port import End, JournalDown, OutOfStep

_LOG = logging.getLogger("fielded.journal")


class Writer(ABC):
    """A `Journal`; a store adds how it opens, inserts, touches and shuts.

    Args:
        journal: its id.
    """

    _failures: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, journal: str) -> None:
        self._id = journal
        self._turn = threading.RLock()
        self._packer = Packer()
        self._end: End | None = None  # None while the store is not open
        self._confirmed: End | None = None  # as the store said last
        self._unsure: End | None = None  # where the chain stands if the append that failed is in
        self._lost = ""  # in words, once the store was found to have fallen back
        self._closed = False

    @property
    def id(self) -> str:
        return self._id

    @property
    def end(self) -> End:
        with self._turn:
            return self._standing()

    def append(self, rows: pa.RecordBatch) -> None:
        if not rows.num_rows:
            return
        with self._turn:
            entry = self._packer.pack(rows, self._id, self._end or self._standing())
            end = self._unsure = End(entry.last, entry.head)
            try:
                self._insert(entry, self._packer.schema)
                self._end = self._confirmed = end
            except BaseException as error:
                self._failed(error)
                raise

    def probe(self) -> None:
        with self._turn:
            self._standing()
            try:
                self._touch()
            except BaseException as error:
                self._failed(error)
                raise

    def close(self) -> None:
        with self._turn:
            if not self._closed:
                self._closed, self._end = True, None
                self._shut()

    def _standing(self) -> End:
        if self._closed:
            raise self._ended()
        if self._lost:
            raise OutOfStep(self._lost)
        if self._end is None:
            try:
                end = self._open()
            except BaseException as error:
                self._failed(error)
                raise
            self._check_goes_on(end)
            self._end = self._confirmed = end
        return self._end

    def _ended(self) -> JournalDown:
        return JournalDown(f"journal {self._id}: was closed, expected an open one. Claim a journal again")

    def _check_goes_on(self, end: End) -> None:
        """Compare where a store stands that was opened again with what it had confirmed.

        Raises:
            OutOfStep: rows are gone, or there are some that are not ours. It stays so: told once in the log, and
                to every caller from now on.
        """
        if self._confirmed is None or end in (self._confirmed, self._unsure):
            return
        self._shut()
        self._lost = (
            f"journal {self._id}: got a store whose last row is {end.sequence} ({end.head.hex()[:16]}), expected "
            f"{self._confirmed.sequence} ({self._confirmed.head.hex()[:16]}), which it had confirmed. It has lost "
            "rows that were answered, or has rows of somebody else: was it put back, or did a replica take over? "
            "Nothing more is journaled here: look for the rows, put this journal aside and start again"
        )
        _LOG.error("%s", self._lost)
        raise OutOfStep(self._lost)

    def _failed(self, error: BaseException) -> None:
        """Believe nothing any more, also after an interrupt: who knows what the store has done by then.

        Raises:
            JournalDown: the error is one of the store's.
        """
        self._end = None
        self._shut()
        if isinstance(error, self._failures):
            # Not chained: a driver's own error may tell of addresses and accounts.
            raise JournalDown(self._said(error)) from None

    @abstractmethod
    def _open(self) -> End:
        """Open the store and read where the chain stands."""

    @abstractmethod
    def _insert(self, entry: Entry, schema: bytes) -> None:
        """Make an entry, and its schema's message if it is new, durable in one transaction."""

    @abstractmethod
    def _touch(self) -> None:
        """Write and flush something that leaves nothing."""

    @abstractmethod
    def _shut(self) -> None:
        """Close the connection if there is one; never fails. Called twice at times."""

    @abstractmethod
    def _said(self, error: Exception) -> str:
        """A failure in words, without anything secret."""
