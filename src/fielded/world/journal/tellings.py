"""What processes with an SQLite journal tell, in files beside their slots.

`journal-001.serving` is a line that is replaced whole; `journal-001.alive` is locked (`flock`) by whoever wrote
it, as long as it lives. That lock is apart from the slot's own, so that a reader who tries it keeps nobody from
claiming the slot. A new holder of the slot takes away what the last one told before it locks; so whoever finds the
lock held, and reads then, reads what its holder told.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from fielded.world.journal.port import Serving
from fielded.world.journal.reports import read_report, report_text


class Telling:
    """The telling of one process.

    Args:
        slot: main file of the journal that it holds; its lock is held.
    """

    def __init__(self, slot: Path) -> None:
        self._alive, self._line = slot.with_suffix(".alive"), slot.with_suffix(".serving")
        self._lock = -1

    def tell(self, serving: Serving) -> None:
        """Replace what was told.

        Raises:
            OSError: it cannot be written.
        """
        if not self._held():
            self.end()
            self._begin()
        fresh = self._line.with_suffix(".telling")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(report_text(serving))
        fresh.replace(self._line)

    def end(self) -> None:
        """Tell no more."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            with suppress(OSError):
                self._line.unlink(missing_ok=True)
            os.close(lock)

    def _begin(self) -> None:
        self._line.unlink(missing_ok=True)
        lock = os.open(self._alive, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # readers hold it for a moment; nobody else may have it
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def _held(self) -> bool:
        """Whether the lock is held, in the file that readers will find."""
        if self._lock < 0:
            return False
        try:
            return _same(self._alive, self._lock)
        except FileNotFoundError:
            return False


def told(folder: Path) -> list[Serving]:
    """What is told by processes that live.

    Raises:
        OSError: the folder cannot be read.
    """
    found = []
    for alive in sorted(folder.glob("journal-*.alive")):
        if not _locked(alive):
            continue
        line = alive.with_suffix(".serving")
        try:
            silent = time.time() - line.stat().st_mtime
            read = read_report(line.read_text(encoding="utf-8"), silent)
        except (FileNotFoundError, UnicodeDecodeError):
            continue
        if read is not None:
            found.append(read)
    return sorted(found, key=lambda serving: serving.journal)


def _locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _same(path: Path, descriptor: int) -> bool:
    named, held = path.stat(), os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)
