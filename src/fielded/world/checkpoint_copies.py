"""Copies of signed checkpoints outside the ledger: `FOLDER/<deployment>/<table>/<size>.note`.

A copy that lies where the ledger's keeper cannot write (write-once storage, another office) shows a ledger that
was cut short or written anew, which the ledger alone cannot. A copy is never written over.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fielded.words.errors import Refused, Unreachable, WrongUse
from fielded.world.data_files import sync
from fielded.world.regular_files import read_regular

SUFFIX = ".note"
_MOST = 64 * 1024  # bytes; a note with a signature of each of a hundred keys has fewer


@dataclass(frozen=True, slots=True)
class Copy:
    """A file with a note.

    Attributes:
        path: where it lies.
        note: its bytes; none where it is no note at all.
        odd: why it is none, such as a pipe in its place; empty where it is one.
    """

    path: Path
    note: bytes
    odd: str = ""


def write_copy(folder: Path, deployment: str, table: str, size: int, note: str) -> bool:
    """Keep a checkpoint; False where it is kept already.

    Raises:
        Refused: another one is kept under its name.
        Unreachable: the folder cannot be written.
    """
    path = folder / deployment / table / f"{size}{SUFFIX}"
    try:
        if path.exists():
            _check_same(path, note)
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            with draft.open("xb") as file:
                file.write(note.encode())
                file.flush()
                os.fsync(file.fileno())
            _put(draft, path)
        finally:
            with suppress(FileNotFoundError):
                draft.unlink()
        sync(path.parent)
    except FileExistsError:  # somebody else was first
        _check_same(path, note)
        return False
    except OSError as error:
        raise Unreachable(
            f"checkpoints: {path} cannot be written ({error.strerror or error}), expected a copy there. "
            "The checkpoint is in the seals table, and the next sealing copies it"
        ) from error
    return True


def _put(draft: Path, path: Path) -> None:
    """Give a written file its name, unless there is one of that name. Not every store has links."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        if path.exists():
            raise FileExistsError(path) from None
        draft.rename(path)


def _check_same(path: Path, note: str) -> None:
    if read_regular(path, _MOST) != note.encode():
        raise Refused(
            f"checkpoints: got another checkpoint in {path}, expected the one that was signed now. One ledger has "
            "two histories: keep both, and run `fielded audit verify`"
        )


def read_copies(places: Sequence[Path], deployment: str) -> Iterator[Copy]:
    """Notes in files and folders; of a folder of copies, only this deployment's.

    What cannot be read, or is no regular file, is handed on with the reason, so that it hides no other note.

    Raises:
        WrongUse: a place is not there.
    """
    for place in places:
        if not place.exists():
            raise WrongUse(
                f"outside copies: got {place}, which is not there, expected a note or a folder of notes"
            )
        if not place.is_dir():
            yield _copy(place, place.resolve())  # the caller's own link is followed
            continue
        within = place / deployment if (place / deployment).is_dir() else place
        for path in sorted(within.rglob(f"*{SUFFIX}")):
            yield _copy(path, path)


def _copy(shown: Path, path: Path) -> Copy:
    try:
        return Copy(shown, read_regular(path, _MOST))
    except OSError as error:
        return Copy(shown, b"", error.strerror or type(error).__name__)
