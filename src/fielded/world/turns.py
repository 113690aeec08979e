"""Work that several processes of a machine could do, and that one of them does at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fielded.words.errors import Unreachable


@contextmanager
def turn(file: Path) -> Iterator[bool]:
    """Whether it is this process's turn: the file is locked (`flock`) until the body is left or the process dies.

    Args:
        file: that all of them name; made where it is not there.

    Raises:
        Unreachable: it cannot be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unreachable(f"cache: {file.name} cannot be written ({error.strerror})") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
