"""What this machine says of itself: its clock, its disks, its cryptographic module. Only looked at, never set.

Each answer may be "unknown": a container, another operating system or a network disk does not say. Unknown is
never taken for good.
"""

import ctypes
import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

_UNSYNCHRONIZED = 0x0040  # STA_UNSYNC of adjtimex(2)
_FIPS_OF_THE_KERNEL = Path("/proc/sys/crypto/fips_enabled")
_BLOCK_DEVICES = Path("/sys/dev/block")
_ENCRYPTED = "CRYPT-"  # begins the UUID of a device that dm-crypt made
_DEEPEST = 8  # devices below a device that are looked at


@dataclass(frozen=True, slots=True)
class ClockState:
    """What the kernel knows of its clock (adjtimex(2)).

    Attributes:
        synchronized: whether something keeps it to a reference.
        most_wrong: by how much it may be off at most, in seconds, as the kernel reckons it.
    """

    synchronized: bool
    most_wrong: float


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_char * 256),
    )


def clock_state() -> ClockState | None:
    """The kernel's clock; None where it does not say."""
    try:
        found = _Timex()
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found))  # modes 0: reads, sets nothing
    except (AttributeError, OSError):
        return None
    if answer < 0:
        return None
    return ClockState(not found.status & _UNSYNCHRONIZED, found.maxerror / 1e6)


def fips_of_kernel() -> bool | None:
    """Whether the kernel runs in FIPS mode; None where it does not say."""
    try:
        return _FIPS_OF_THE_KERNEL.read_text("ascii").strip() == "1"
    except OSError:
        return None


def module_refuses_unapproved() -> bool:
    """Whether the cryptographic module refuses MD5, as one in FIPS mode does."""
    try:
        hashes.Hash(hashes.MD5())  # noqa: S303 - to see it refused
    except UnsupportedAlgorithm:
        return True
    return False


def module_name() -> str:
    """The library behind TLS, with its version."""
    return ssl.OPENSSL_VERSION


def encrypted_disk(path: Path) -> bool | None:
    """Whether a folder lies on a disk that dm-crypt encrypts; None where that is not to be seen.

    A disk that encrypts itself, a cloud volume and a file system of its own kind do not show it here.
    """
    try:
        device = path.stat().st_dev
    except OSError:
        return None
    if os.major(device) == 0:  # no block device: a network disk, an overlay, memory
        return None
    place = _BLOCK_DEVICES / f"{os.major(device)}:{os.minor(device)}"
    return _encrypted(place, 0) if place.exists() else None


def _encrypted(device: Path, depth: int) -> bool:
    """Whether a device, or all that it is made of, is encrypted."""
    try:
        if (device / "dm" / "uuid").read_text("ascii").startswith(_ENCRYPTED):
            return True
    except OSError:
        pass
    try:
        below = list((device / "slaves").iterdir())
    except OSError:
        return False
    return bool(below) and depth < _DEEPEST and all(_encrypted(one, depth + 1) for one in below)


def open_to_others(path: Path) -> tuple[bool, bool]:
    """Whether anybody on this machine can read what is in a folder, and whether anybody can write there.

    Who cannot pass through a folder above it can do neither.

    Raises:
        OSError: it cannot be looked at.
    """
    mode = path.stat().st_mode
    passes = all(parent.stat().st_mode & stat.S_IXOTH for parent in (path, *path.resolve().parents))
    return passes and bool(mode & stat.S_IROTH), passes and bool(mode & stat.S_IWOTH)
