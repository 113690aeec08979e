"""UUIDs of RFC 9562: version 7 for things that happen, version 8 for work that is named by its inputs."""

import hashlib
import uuid
from collections.abc import Callable

import numpy as np
import pyarrow as pa

RandomBytes = Callable[[int], bytes]  # os.urandom in production, a seeded stand-in in tests

_COUNTER_BITS = 26  # rand_a (12) and the top 14 of rand_b: RFC 9562 section 6.2, method 1
_MAX_BATCH = 1 << (_COUNTER_BITS - 1)  # the counter starts in its lower half, so it cannot roll over
_HEX_PAIRS = np.frombuffer("".join(f"{octet:02x}" for octet in range(256)).encode(), dtype=np.uint16)
_DASHES = [8, 13, 18, 23]
_GROUPS = (
    (0, 8, 0),
    (8, 12, 9),
    (12, 16, 14),
    (16, 20, 19),
    (20, 32, 24),
)  # digits from, to; place in the text


def uuid7_array(count: int, unix_ms: int, random_bytes: RandomBytes) -> pa.Array:
    """`count` ascending UUIDv7 texts that share one millisecond.

    Ascending so that a Parquet file's statistics on them stay narrow and a look-up by id opens one row
    group. 26 bits count upwards from a random start, 48 bits are random for each id.

    Args:
        count: how many, at most 2**25.
        unix_ms: milliseconds since 1970-01-01 UTC.
        random_bytes: source of randomness.

    Returns:
        Array of string, length `count`.
    """
    if not 0 <= count <= _MAX_BATCH:
        raise ValueError(f"count: got {count}, expected 0 to {_MAX_BATCH}")
    start = int.from_bytes(random_bytes(4), "big") % _MAX_BATCH
    counter = np.arange(start, start + count, dtype=np.uint64)
    tail = np.frombuffer(random_bytes(count * 6), dtype=np.uint8).reshape(count, 6)
    octets = np.empty((count, 16), dtype=np.uint8)
    octets[:, 0:6] = np.frombuffer(unix_ms.to_bytes(6, "big"), dtype=np.uint8)
    octets[:, 6] = 0x70 | (counter >> np.uint64(22)).astype(np.uint8)
    octets[:, 7] = ((counter >> np.uint64(14)) & np.uint64(0xFF)).astype(np.uint8)
    octets[:, 8] = 0x80 | ((counter >> np.uint64(8)) & np.uint64(0x3F)).astype(np.uint8)
    octets[:, 9] = (counter & np.uint64(0xFF)).astype(np.uint8)
    octets[:, 10:16] = tail
    digits = _HEX_PAIRS[octets].view(np.uint8)
    text = np.empty((count, 36), dtype=np.uint8)
    for start_digit, end_digit, place in _GROUPS:
        text[:, place : place + end_digit - start_digit] = digits[:, start_digit:end_digit]
    text[:, _DASHES] = ord("-")
    offsets = np.arange(0, 36 * (count + 1), 36, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(text)])


def uuid7(unix_ms: int, random_bytes: RandomBytes) -> str:
    """One UUIDv7."""
    return str(uuid7_array(1, unix_ms, random_bytes)[0].as_py())


def uuid8(name: str) -> str:
    """The UUIDv8 of a name: the same work always carries the same id (RFC 9562 section 5.8)."""
    octets = bytearray(hashlib.sha256(name.encode()).digest()[:16])
    octets[6] = 0x80 | (octets[6] & 0x0F)
    octets[8] = 0x80 | (octets[8] & 0x3F)
    return str(uuid.UUID(bytes=bytes(octets)))
