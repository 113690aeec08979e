"""One digest of the rows of data files, the same in whichever order and file they stand, in bounded memory."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fielded.decisions.chain import row_digests

_BATCH = 32_768  # rows in memory at once
_DIGEST = 32  # bytes kept of each row


class RowsDigest:
    """`decisions.chain.unordered_digest`, of digests that come bit by bit."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def add(self, digests: Iterable[bytes]) -> None:
        """Take in digests of rows, 32 bytes each."""
        self._kept += b"".join(digests)

    def hexdigest(self) -> str:
        """Of all that came in."""
        ordered = np.sort(np.frombuffer(bytes(self._kept), dtype=f"S{_DIGEST}"))  # as bytes are ordered
        return hashlib.sha256(ordered.tobytes()).hexdigest()


def rows_sha256(paths: Iterable[Path]) -> str:
    """Digest of all rows of files.

    Raises:
        OSError, pyarrow.ArrowException: a file cannot be read.
        ValueError: a column has a type that no digest knows.
    """
    digest = RowsDigest()
    for path in paths:
        for batch in batches(path):
            digest.add(row_digests(batch))
    return digest.hexdigest()


def batches(path: Path) -> Iterable[pa.RecordBatch]:
    """A file's rows, few at a time."""
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
        yield from file.iter_batches(_BATCH, use_threads=False)
