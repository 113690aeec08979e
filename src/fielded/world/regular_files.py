"""Files opened as what they should be: regular ones, at the place that their name says.

Whoever can write to a ledger's folder can put a pipe, a device or a link where a file was. A pipe lets its reader
wait for ever, a device has no end, and a link shows bytes that lie where nobody looks (CWE-59, CWE-67).
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_NOT_REGULAR = "no regular file"


class Irregular(OSError):
    """Something is there that is no regular file, is out of its folder, or is larger than its kind can be."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EINVAL, what)


def open_regular(path: Path, within: Path | None = None) -> BufferedReader:
    """A regular file, opened to be read; never waits for a writer, never follows a link in the last place.

    Args:
        path: of the file.
        within: folder that it must lie in, links among its parents resolved; None asks nothing of them.

    Raises:
        Irregular: it is another thing, or lies elsewhere.
        OSError: it is not there, or cannot be opened.
    """
    try:
        _check(path, within)
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:  # a null byte or half a character: no file system has such names
        raise Irregular("a name that no file can have") from None
    if not stat.S_ISREG(os.fstat(opened).st_mode):  # it was put there since
        os.close(opened)
        raise Irregular(_NOT_REGULAR)
    return os.fdopen(opened, "rb")


def _check(path: Path, within: Path | None) -> None:
    if within is not None and not path.parent.resolve().is_relative_to(within.resolve()):
        raise Irregular("a path that leads out of the table's folder")
    if not stat.S_ISREG(path.lstat().st_mode):
        raise Irregular(_NOT_REGULAR)


def read_regular(path: Path, limit: int, within: Path | None = None) -> bytes:
    """All bytes of a regular file of at most `limit` bytes.

    Raises:
        Irregular: it is larger, or see `open_regular`.
        OSError: see `open_regular`.
    """
    with open_regular(path, within) as file:
        octets = file.read(limit + 1)
    if len(octets) > limit:
        raise Irregular(f"a file of more than {limit} bytes")
    return octets


def irregular(path: Path, within: Path | None = None) -> str:
    """Why a path cannot be read as a regular file; empty where it can, or where nothing is there."""
    try:
        open_regular(path, within).close()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return str(error.strerror or type(error).__name__)
    return ""
