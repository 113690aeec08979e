r"""SHA-256 over files, folders and values.

A folder's digest is the digest of the listing that `sha256sum` prints, so an assessor can recompute it
without this package:

    cd FOLDER && find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -r -d '\n' sha256sum -- | sha256sum
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20  # bytes read at a time

MAX_FILES = 100_000  # a model folder with more files than this is not a model folder


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def listing_sha256(files: Mapping[str, str]) -> str:
    """Digest of a listing: relative POSIX path -> SHA-256 of that file's bytes.

    A line break or a backslash in a name makes `sha256sum` escape the line, and two listings could then
    read alike; a lone dash it takes for its own input. Such names are refused.

    Raises:
        ValueError: a path holds a line break or a backslash, or is a lone dash.
    """
    for name in files:
        if name == "-" or "\n" in name or "\r" in name or "\\" in name:
            raise ValueError(
                f"file name {name!r}: got a line break, backslash or lone dash, expected none of them"
            )
    lines = (f"{files[name]}  {name}\n" for name in sorted(files, key=lambda n: n.encode()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def folder_listing(folder: Path) -> dict[str, str]:
    """Relative POSIX path -> SHA-256, for every regular file below `folder`.

    Raises:
        ValueError: a symbolic link (its target could change without the digest noticing), or too many files.
    """
    listing: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise ValueError(f"{path.relative_to(folder)}: got a symbolic link, expected a regular file")
        if path.is_file():
            listing[path.relative_to(folder).as_posix()] = file_sha256(path)
            if len(listing) > MAX_FILES:
                raise ValueError(f"{folder.name}: got more than {MAX_FILES} files")
    return listing


def folder_sha256(folder: Path) -> str:
    """Digest of all files below `folder`, by name and content."""
    return listing_sha256(folder_listing(folder))


def texts_sha256(texts: Mapping[str, str]) -> str:
    """Digest of files whose texts (UTF-8) were read already: name -> text."""
    return listing_sha256({name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()})


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN (RFC 8785 in all that our values use)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def value_sha256(value: Any) -> str:
    """SHA-256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
