"""Slots of SQLite journals: their folder, their locks, and moving a journal out of one. Only their owner may look
into any of it: subjects and features are in there.

A journal is up to three files (`-wal` and `-shm` beside the main one) that mean something only together, and files
are moved one at a time. So a folder `moving-...` is made first, and gets its final name when all are in it;
whoever holds the slot next finishes a move that was cut short anywhere. The main file goes first: nobody opens a
journal without it, while one without its log would look like an older journal.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from fielded.world.data_files import sync

_MOVING = "moving-"
_FILES = ("", "-wal", "-shm")


def make_folder(folder: Path) -> None:
    """Make the folder of a deployment's journals, and those above it, so that they outlast a power cut."""
    _make(folder)
    _make_private(folder, 0o700)


def make_private(path: Path) -> None:
    """Make a journal's files their owner's alone. SQLite gives its log the mode of the main file."""
    for ending in _FILES:
        _make_private(path.with_name(path.name + ending), 0o600)


def lock(path: Path) -> int | None:
    """The descriptor of a lock file that nobody else holds now; None where somebody does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def move_out(path: Path, kind: str, token: str) -> Path:
    """Move a journal's files out of its slot, whose lock is held.

    Args:
        path: its main file.
        kind: why: `damaged` or `aside`.
        token: makes the name unlike any other.

    Returns:
        The main file, in a folder `<kind>-<slot>-<token>` beside the slot.
    """
    moving = path.with_name(f"{_MOVING}{kind}-{path.stem}-{token}")
    moving.mkdir(mode=0o700)
    sync(path.parent)
    return _finish(path, moving)


def finish_moves(path: Path) -> None:
    """Finish what was begun to be moved out of a slot, whose lock is held."""
    for moving in path.parent.glob(f"{_MOVING}*-{path.stem}-*"):
        _finish(path, moving)


def _finish(path: Path, moving: Path) -> Path:
    # Where the main file is in there and yet another in the slot, somebody put that one there: it is let be.
    if not (path.exists() and (moving / path.name).exists()):
        for ending in _FILES:
            with suppress(FileNotFoundError):
                path.with_name(path.name + ending).rename(moving / (path.name + ending))
    sync(moving)
    sync(path.parent)
    done = moving.with_name(moving.name.removeprefix(_MOVING))
    moving.rename(done)
    sync(path.parent)
    return done / path.name


def _make(folder: Path) -> None:
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def _make_private(path: Path, mode: int) -> None:
    # Where another account owns it (a volume, a shared group), that one has decided.
    with suppress(FileNotFoundError, PermissionError):
        if path.stat().st_mode & 0o777 & ~mode:
            path.chmod(mode)
