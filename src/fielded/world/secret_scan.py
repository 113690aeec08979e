"""Look for secrets in files with detect-secrets: all of its detectors, nothing asked of any network.

A hit is told by file, line and kind; never by what was found (IA-5(7), SA-15(7)).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fielded.words.errors import WrongUse

_LARGEST = 4 << 20  # bytes of a file that is looked at; a larger one is told
_SKIPPED = frozenset({"__pycache__", ".git", ".fielded", ".ipynb_checkpoints"})
# Its own filters but two: one asks services on the network whether a secret is valid, one looks for a wordlist.
_FILTERS = (
    "detect_secrets.filters.allowlist.is_line_allowlisted",
    "detect_secrets.filters.heuristic.is_indirect_reference",
    "detect_secrets.filters.heuristic.is_likely_id_string",
    "detect_secrets.filters.heuristic.is_lock_file",
    "detect_secrets.filters.heuristic.is_not_alphanumeric_string",
    "detect_secrets.filters.heuristic.is_potential_uuid",
    "detect_secrets.filters.heuristic.is_prefixed_with_dollar_sign",
    "detect_secrets.filters.heuristic.is_sequential_string",
    "detect_secrets.filters.heuristic.is_templated_secret",
)
_PRAGMA = "pragma: allowlist"


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """Something that looks like a secret.

    Attributes:
        file: relative to the folder that was scanned.
        line: from 1.
        kind: what it looks like.
    """

    file: str
    line: int
    kind: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.kind}"


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan saw.

    Attributes:
        files: that were looked at.
        hits: in the order of files and lines.
        allowed: lines that say of themselves that they hold no secret.
        passed_over: files that were too large, or could not be read.
    """

    files: tuple[str, ...]
    hits: tuple[Hit, ...]
    allowed: int
    passed_over: tuple[str, ...]


def scan(places: Iterable[tuple[str, Path]]) -> Scanned:
    """Look at files and folders.

    Args:
        places: what each is called, and where it is.

    Raises:
        WrongUse: the extra is not installed.
    """
    library = _library()
    files: list[str] = []
    hits: list[Hit] = []
    passed_over: list[str] = []
    allowed = 0
    with library.transient_settings({"plugins_used": library.plugins, "filters_used": library.filters}):
        for name, path in _files(places):
            try:
                if path.stat().st_size > _LARGEST:
                    passed_over.append(name)
                    continue
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                passed_over.append(name)
                continue
            files.append(name)
            allowed += sum(_PRAGMA in line for line in text.splitlines())
            found = library.scan_file(str(path))
            hits += [Hit(name, one.line_number, one.type) for one in found]
    return Scanned(tuple(files), tuple(sorted(set(hits))), allowed, tuple(passed_over))


@dataclass(frozen=True, slots=True)
class _Library:
    transient_settings: Any
    scan_file: Any
    plugins: list[dict[str, str]]
    filters: list[dict[str, str]]


def _library() -> _Library:
    try:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: PLC0415 - extra
        from detect_secrets.core.scan import scan_file  # noqa: PLC0415
        from detect_secrets.settings import transient_settings  # noqa: PLC0415
    except ImportError:
        raise WrongUse(
            "secrets: got no detect-secrets, expected it to look for secrets. "
            'Install the extra: pip install "fielded[ato]"'
        ) from None
    plugins = sorted({kind.__name__ for kind in get_mapping_from_secret_type_to_class().values()})
    return _Library(
        transient_settings,
        scan_file,
        [{"name": name} for name in plugins],
        [{"path": path} for path in _FILTERS],
    )


def _files(places: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
    """Every regular file, with its name below what was named."""
    for name, place in places:
        if place.is_file():
            yield name, place
            continue
        for path in sorted(place.rglob("*")):
            inside = path.relative_to(place)
            if path.is_file() and not path.is_symlink() and not _SKIPPED & set(inside.parts):
                yield (inside.as_posix() if name == "." else f"{name}/{inside.as_posix()}"), path
