"""An archive with the same bytes for the same files, and the signature beside it.

The signature is no part of the archive: ECDSA draws a random number for each, and the bytes would never be the
same twice. It is over a text that names the archive's digest, so that a key in a KMS can make it.
"""

import base64
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fielded.words.archives import stored_zip
from fielded.words.errors import Refused, Unreachable, WrongUse
from fielded.world.keys import PublicKey, Signer

SIGNATURE = "fielded package signature 1"
ENDING = ".sig"  # of the signature's file, behind the archive's name
MOST_FILES = 10_000
MOST_BYTES = 1 << 30  # of all files together, unpacked

# Of a zip file that is none, damaged, encrypted, or packed in a way that nobody here packs.
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature as it was read.

    Attributes:
        archive_sha256: that it is over.
        key: that it says made it; believed by nobody because it says so.
        signature: bytes.
    """

    archive_sha256: str
    key: PublicKey
    signature: bytes

    def by(self, keys: Sequence[PublicKey]) -> PublicKey | None:
        """The trusted key that made it; None where none did."""
        for key in keys:
            if key == self.key and key.verify(self.signature, signed_text(self.archive_sha256)):
                return key
        return None


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """A zip file: names in order, one moment for all, no permission that an unpacking could trip over.

    Nothing is compressed: two builds of zlib give different bytes for the same text.
    """
    return stored_zip(sorted(files.items()), _MODE)


def signed_text(archive_sha256: str) -> bytes:
    """What is signed."""
    return f"{SIGNATURE}\n{archive_sha256}\n".encode()


def signature_of(archive: bytes, signer: Signer) -> bytes:
    """The file that goes beside an archive.

    Raises:
        Unreachable: whoever holds the key does not answer.
    """
    sha256 = hashlib.sha256(archive).hexdigest()
    made = {
        "format": SIGNATURE,
        "archive_sha256": sha256,
        "algorithm": signer.algorithm,
        "key_id": signer.key_id,
        "public_key": signer.public_key_pem,
        "signature": base64.b64encode(signer.sign(signed_text(sha256))).decode(),
    }
    return (json.dumps(made, indent=1) + "\n").encode()


def read_signature(path: Path) -> Signed:
    """The signature in a file.

    Raises:
        Refused: there is none, or it cannot be read.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        found: Mapping[str, Any] = {read["format"]: read}[SIGNATURE]  # another format is no signature
        key = PublicKey.from_pem(str(found["public_key"]).encode(), path.name)
        return Signed(str(found["archive_sha256"]), key, base64.b64decode(found["signature"], validate=True))
    except FileNotFoundError:
        raise Refused(f"{path.name}: got no such file, expected the signature beside the archive") from None
    except (OSError, ValueError, KeyError, TypeError, WrongUse) as error:
        raise Refused(
            f"{path.name}: got a signature that cannot be read ({type(error).__name__}), expected what "
            "`fielded ato package` writes"
        ) from None


def read_archive(path: Path) -> dict[str, bytes]:
    """All files of an archive by name, in bounded memory (twice `MOST_BYTES`); nothing is unpacked to a disk.

    Raises:
        Refused: it is none, is too large, or a name in it leads elsewhere or is there twice.
        Unreachable: it cannot be read.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Refused(f"{path.name}: got over {MOST_BYTES >> 30} GiB, expected a package, which is smaller")
        content = path.read_bytes()
    except OSError as error:
        raise Unreachable(f"{path.name}: cannot be read ({error.strerror or type(error).__name__})") from error
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            _check_entries(path.name, entries)
            return {entry.filename: archive.read(entry) for entry in entries}
    except _FAULTS as error:
        fault = str(error) or type(error).__name__
        raise Refused(f"{path.name}: got no zip file, or one with a fault ({fault}), expected a package") from None


def _check_entries(name: str, entries: Sequence[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise Refused(
            f"{name}: got {len(entries)} files, expected at most {MOST_FILES} and {MOST_BYTES >> 30} GiB"
        )
    if len(set(names)) < len(names):
        raise Refused(f"{name}: got a file twice, expected each once: two readers would see two things")
    for one in names:
        parts = one.split("/")
        if one.startswith("/") or "\\" in one or ".." in parts or "." in parts or "" in parts or ":" in one:
            raise Refused(f"{name}: got a file {one!r}, expected names below the package's own folder")
