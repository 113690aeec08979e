"""Look for secrets in files with detect-secrets: all of its detectors, nothing asked of any network.

1. A hit is told by file, line and kind; never by what was found (IA-5(7), SA-15(7)).
2. Every file is read or named as not read. detect-secrets passes over what is no UTF-8 without a word, so other
   text is made UTF-8, of other bytes their printable stretches are looked at, and the members of a zip are files.
   What is packed in another way, encrypted or too large is not read.
3. A reference to a secret (`env:NAME`, `file:PATH`, `aws-secretsmanager:ARN`) is none. Nor is a SHA-256 that the
   lines around it call one: reports are full of them.
4. Lines that say of themselves that they hold none are left out, and named.
5. Folders of tools and of the embedded site are not entered, and named.
"""

import io
import logging
import re
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fielded.words.errors import WrongUse

LARGEST = 4 << 20  # bytes of a file that is read
_MOST_MEMBERS = 10_000  # of one zip
_TOOLS = frozenset({"__pycache__", ".git", ".fielded", ".ipynb_checkpoints"})  # rule 5
# Its own filters but three: one asks services on the network whether a secret is valid, one looks for a word list,
# one passes over lock files as a whole: here only their digests are.
_FILTERS = (
    "detect_secrets.filters.allowlist.is_line_allowlisted",
    "detect_secrets.filters.heuristic.is_indirect_reference",
    "detect_secrets.filters.heuristic.is_likely_id_string",
    "detect_secrets.filters.heuristic.is_not_alphanumeric_string",
    "detect_secrets.filters.heuristic.is_potential_uuid",
    "detect_secrets.filters.heuristic.is_prefixed_with_dollar_sign",
    "detect_secrets.filters.heuristic.is_sequential_string",
    "detect_secrets.filters.heuristic.is_templated_secret",
)
_BY_ENDING = "detect_secrets.filters.heuristic.is_non_text_file"  # chosen by nobody, and there all the same
_ALLOWED = re.compile(r"pragma: ?(allow|white)list[ -](nextline[ -])?secret")
_REFERENCE = re.compile(
    r"env:[A-Za-z_][A-Za-z0-9_]*|file:\S+|(aws-secretsmanager:)?arn:aws[a-z-]*:secretsmanager:\S+"
)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CALLED_ONE = re.compile(r"sha-?256|digest", re.IGNORECASE)
_AROUND = 6  # lines before and after in which a digest is called one
_PRINTABLE = re.compile(rb"[\t\x20-\x7e]{6,}")
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # byte order marks; UTF-8's is read as UTF-8
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"\x28\xb5\x2f\xfd", b"Rar!")


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """Something that looks like a secret.

    Attributes:
        file: below what was named; a member of an archive stands behind `!`.
        line: from 1; of other bytes than text the how-manieth printable stretch.
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
        files: that were read.
        hits: in the order of files and lines.
        allowed: lines that say of themselves that they hold no secret, as `FILE:LINE`.
        not_read: files that were too large, packed or encrypted, or could not be opened.
        not_entered: folders of rule 5.
    """

    files: tuple[str, ...]
    hits: tuple[Hit, ...]
    allowed: tuple[str, ...]
    not_read: tuple[str, ...]
    not_entered: tuple[str, ...]


def scan(places: Iterable[tuple[str, Path]]) -> Scanned:
    """Look at files and folders.

    Args:
        places: what each is called, and where it is; what a folder called `.` holds is called as it is there.

    Raises:
        WrongUse: the extra is not installed.
    """
    library = _library()
    seen = _Seen()
    with (
        library.transient_settings({"plugins_used": library.plugins, "filters_used": library.filters}) as chosen,
        tempfile.TemporaryDirectory(prefix="fielded-scan-") as folder,  # of this account alone
    ):
        chosen.disable_filters(_BY_ENDING)
        for name, path in _files(places, seen):
            for inner, text in _texts(name, path, seen):
                seen.files.append(inner)
                seen.allowed += [
                    f"{inner}:{line}"
                    for line, written in enumerate(text.splitlines(), 1)
                    if _ALLOWED.search(written)
                ]
                seen.hits += _hits(library, inner, text, Path(folder))
    hits = tuple(sorted(set(seen.hits)))
    return Scanned(
        tuple(seen.files), hits, tuple(seen.allowed), tuple(seen.not_read), tuple(sorted(seen.not_entered))
    )


@dataclass
class _Seen:
    files: list[str] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)
    not_entered: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Library:
    transient_settings: Any
    scan_file: Any
    plugins: list[dict[str, str]]
    filters: list[dict[str, str]]


def _library() -> _Library:
    showwarning = warnings.showwarning
    try:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: PLC0415 - extra
        from detect_secrets.core.scan import scan_file  # noqa: PLC0415
        from detect_secrets.settings import transient_settings  # noqa: PLC0415
    except ImportError:
        raise WrongUse(
            "secrets: got no detect-secrets, expected it to look for secrets. "
            'Install the extra: pip install "fielded[ato]"'
        ) from None
    if warnings.showwarning is not showwarning:
        logging.captureWarnings(False)  # importing it sends the whole process's warnings to the log
    plugins = sorted({kind.__name__ for kind in get_mapping_from_secret_type_to_class().values()})
    return _Library(
        transient_settings,
        scan_file,
        [{"name": name} for name in plugins],
        [{"path": path} for path in _FILTERS],
    )


def _files(places: Iterable[tuple[str, Path]], seen: _Seen) -> Iterator[tuple[str, Path]]:
    """Every regular file once, with its name below what was named. A link is what it leads to."""
    known: set[Path] = set()
    for name, root in places:
        if not root.exists():
            seen.not_read.append(f"{name} (not there)")
            continue
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            inside = path.relative_to(root)
            called = name if path == root else inside.as_posix() if name == "." else f"{name}/{inside.as_posix()}"
            tools = [place for place, part in enumerate(inside.parts) if part in _TOOLS]
            if tools:
                below = len(inside.parts) - 1 - tools[0]
                seen.not_entered.add(called.rsplit("/", below)[0])
                continue
            real = path.resolve()
            if real.is_file() and real not in known:
                known.add(real)
                yield called, path


def _texts(name: str, path: Path, seen: _Seen) -> Iterator[tuple[str, str]]:
    """What a file holds, as text; rule 2."""
    try:
        if path.stat().st_size > LARGEST:
            seen.not_read.append(f"{name} (over {LARGEST >> 20} MiB)")
            return
        content = path.read_bytes()
    except OSError as error:
        seen.not_read.append(f"{name} ({error.strerror})")
        return
    if zipfile.is_zipfile(io.BytesIO(content)):
        yield from _members(name, content, seen)
    elif content.startswith(_PACKED):
        seen.not_read.append(f"{name} (packed)")
    else:
        yield name, _text(content)


def _members(name: str, content: bytes, seen: _Seen) -> Iterator[tuple[str, str]]:
    """The files in a zip. One in it that is packed itself is not read."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            if len(members) > _MOST_MEMBERS or sum(one.file_size for one in members) > 16 * LARGEST:
                seen.not_read.append(f"{name} (too much in it)")
                return
            for member in members:
                called = f"{name}!{member.filename}"
                if member.flag_bits & 1:
                    seen.not_read.append(f"{called} (encrypted)")
                    continue
                inner = archive.read(member)
                if inner.startswith((*_PACKED, b"PK\x03\x04")):
                    seen.not_read.append(f"{called} (packed)")
                else:
                    yield called, _text(inner)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError):
        seen.not_read.append(f"{name} (no readable zip)")


def _text(content: bytes) -> str:
    mark = _MARKS.get(content[:2])
    if mark is not None:  # or two bytes that look like one: what is printable as it stands is read too
        return "\n".join([content.decode(mark, errors="replace"), *_printable(content)])
    content = content.replace(b"\0", b"")  # UTF-16 without a mark has one between all letters
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "\n".join(_printable(content))


def _printable(content: bytes) -> list[str]:
    return [found.decode("ascii") for found in _PRINTABLE.findall(content)]


def _hits(library: _Library, name: str, text: str, folder: Path) -> Iterator[Hit]:
    """What the detectors see in a text that is no reference and no digest."""
    lines = text.splitlines()
    # The detectors go by the end of the name. Of YAML, and of all that begins as INI does, they see values and not
    # every comment: behind another first line, in a file of another kind, they see the lines as they are.
    for called, before in ((Path(name.replace("!", "/")).name, ""), ("lines.py", "no section\n")):
        path = folder / called
        path.write_text(before + text, encoding="utf-8")
        for found in library.scan_file(str(path)):
            value = found.secret_value or ""
            line = _line_of(lines, found.line_number - before.count("\n"), value)
            if not _REFERENCE.fullmatch(value) and not _is_digest(value, lines):
                yield Hit(name, line, found.type)
        path.unlink()


def _line_of(lines: Sequence[str], line: int, value: str) -> int:
    """The line on which a value stands: of YAML in one line detect-secrets tells the one behind it."""
    if value and not (0 < line <= len(lines) and value in lines[line - 1]):
        return next((number for number, written in enumerate(lines, 1) if value in written), line)
    return line


def _is_digest(value: str, lines: Sequence[str]) -> bool:
    """Whether a text calls a value a digest, in one of the places where it stands."""
    return _SHA256.fullmatch(value) is not None and any(
        any(_CALLED_ONE.search(near) for near in lines[max(0, place - _AROUND) : place + _AROUND + 1])
        for place, written in enumerate(lines)
        if value in written
    )
