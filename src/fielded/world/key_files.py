"""Key files: read with care, made once, never written over."""

import os
import secrets
import shlex
import stat
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from fielded.words.errors import Unreachable, WrongUse

MAX_BYTES = 64 * 1024  # a larger file is no key

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def public_path(path: Path) -> Path:
    """Where the public half of a private key's file lies: `seal.pub.pem` beside `seal.pem`."""
    return path.parent / f"{path.stem}.pub.pem"


def private_pem(path: Path, *, guarded: bool) -> bytes | None:
    """The file's bytes; None where there is none.

    Raises:
        WrongUse: it is guarded, and others can read it.
        Unreachable: it could not be read.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unreachable(f"{path}: got {error.strerror}, expected to see whether there is a key") from error
    if guarded and mode & _OTHERS:
        raise WrongUse(
            f"signing_key: got {path} with mode {stat.S_IMODE(mode):04o}, expected one that only its owner can "
            f"read. If nobody else has read it: chmod 600 {shlex.quote(str(path))}. Otherwise make a new key"
        )
    return read_key(path)


def read_key(path: Path) -> bytes | None:
    """At most `MAX_BYTES` of a file; None where there is none.

    Raises:
        WrongUse: it is not a file, or too large for a key.
        Unreachable: it could not be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise WrongUse(f"{path}: got something that is no file, expected a key in PEM")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unreachable(f"{path}: got {error.strerror}, expected to read a key") from error
    if len(content) > MAX_BYTES:
        raise WrongUse(f"{path}: got more than {MAX_BYTES} bytes, expected a key in PEM")
    return content


def make_key(path: Path) -> None:
    """An Ed25519 key and its public half, durable. Of several processes that try at once, one succeeds and the
    others find its key; what lies there already stays.

    Raises:
        Unreachable: it could not be written.
    """
    key = ed25519.Ed25519PrivateKey.generate()  # from the operating system; a key is nothing to be seeded
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _put(path, pem, 0o600):
            _put(public_path(path), public, 0o644)
    except OSError as error:
        raise Unreachable(f"{path}: got {error.strerror}, expected to write a new signing key") from error


def how_to_make(path: Path) -> str:
    folder, private, public = (shlex.quote(str(p)) for p in (path.parent, path, public_path(path)))
    return (
        f"signing_key: got no such file as {path}, expected a private key. In production none is made by itself. "
        f"Make one, and give its public half to those who verify: (umask 077 && mkdir -p {folder} && "
        f"openssl genpkey -algorithm ed25519 -out {private}) && openssl pkey -in {private} -pubout -out {public}"
    )


def _put(path: Path, content: bytes, mode: int) -> bool:
    """Write a file whole, or not at all if there is one of that name: a link never replaces anything."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        with suppress(FileExistsError):
            os.link(draft, path)
            _sync_folder(path.parent)
            return True
        return False
    finally:
        draft.unlink()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
