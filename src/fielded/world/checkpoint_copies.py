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

SUFFIX = ".note"


@dataclass(frozen=True, slots=True)
class Copy:
    """A file with a note.

    Attributes:
        path: where it lies.
        note: its bytes.
    """

    path: Path
    note: bytes


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
    if path.read_bytes() != note.encode():
        raise Refused(
            f"checkpoints: got another checkpoint in {path}, expected the one that was signed now. One ledger has "
            "two histories: keep both, and run `fielded audit verify`"
        )


def read_copies(places: Sequence[Path], deployment: str) -> Iterator[Copy]:
    """Notes in files and folders; of a folder of copies, only this deployment's.

    Raises:
        WrongUse: a place is not there.
        Unreachable: it cannot be read.
    """
    for place in places:
        if not place.exists():
            raise WrongUse(
                f"outside copies: got {place}, which is not there, expected a note or a folder of notes"
            )
        within = place / deployment if (place / deployment).is_dir() else place
        paths = sorted(within.rglob(f"*{SUFFIX}")) if place.is_dir() else [place]
        for path in paths:
            try:
                yield Copy(path, path.read_bytes())
            except OSError as error:
                raise Unreachable(f"{path}: cannot be read ({error.strerror or error})") from error
