"""Marks of the processes of this machine that try a candidate: one that died while it did leaves its mark.

A candidate can end the process that tries it (a fault in native code, all memory taken), and so it would end each
process that is started in its place. A mark is a file that is locked (`flock`) as long as its process lives and is
deleted when the trial ends there; so a mark that nobody locks is of a process that died without a word.
"""

import fcntl
import hashlib
import os
import threading
import uuid
from contextlib import suppress
from pathlib import Path

from fielded.words.errors import Unreachable


class TrialMarks:
    """The marks in one folder, and the one that this process holds.

    Args:
        folder: of this machine's processes; made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: tuple[str, Path, int] | None = None
        self._turn = threading.Lock()

    def hold(self, trial: str) -> None:
        """Mark that this process tries a candidate from now on; marks of other trials that nobody holds go away.

        Raises:
            Unreachable: the folder cannot be written.
        """
        with self._turn:
            if self._held is not None and self._held[0] == trial:
                return
            self._let_go()
            try:
                self._held = (trial, *self._mark(_name(trial)))
            except OSError as error:
                raise Unreachable(f"cache: a mark of the trial cannot be written ({error.strerror})") from error

    def release(self) -> None:
        """Take the own mark away."""
        with self._turn:
            self._let_go()

    def left(self, trial: str) -> int:
        """How many processes died while they tried this candidate."""
        try:
            return sum(not _locked(path) for path in self._folder.glob(f"{_name(trial)}.*.tried"))
        except OSError:  # nothing was ever marked here
            return 0

    def _mark(self, name: str) -> tuple[Path, int]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for stale in self._folder.glob("*.tried"):
            if not stale.name.startswith(f"{name}.") and not _locked(stale):
                stale.unlink(missing_ok=True)
        holder = uuid.uuid4().hex
        path, made = (self._folder / f"{name}.{holder}.{ending}" for ending in ("tried", "marking"))
        lock = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made.rename(path)  # found under that name only once it is locked
        except BaseException:
            os.close(lock)
            raise
        return path, lock

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            with suppress(OSError):
                held[1].unlink(missing_ok=True)
            os.close(held[2])


def _name(trial: str) -> str:
    return hashlib.sha256(trial.encode()).hexdigest()[:32]


def _locked(path: Path) -> bool:
    """Whether a process holds a mark; one that was taken away in this moment counts as held."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return not path.exists()
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
