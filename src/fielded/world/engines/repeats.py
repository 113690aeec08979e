"""Which 64-bit marks occur more than once, among any number of them, in bounded memory.

Sorting a mark costs about a tenth of putting it into a hash table. Past `_HELD` marks they go to disk in
buckets by their top bits, and each bucket is sorted by itself.
"""

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import numpy as np

_HELD = 1 << 22  # marks in memory before they are spilled: 32 MiB
_BUCKET_BITS = 6


class Repeats:
    """Collects marks; use as a context, since it may hold files.

    Args:
        scratch: folder for what does not stay in memory.
    """

    def __init__(self, scratch: Path, held: int = _HELD) -> None:
        self._scratch = scratch
        self._limit = held
        self._marks: list[np.ndarray] = []
        self._count = 0
        self._folder: TemporaryDirectory[str] | None = None

    def add(self, marks: np.ndarray) -> None:
        """Take marks, a vector of int64."""
        self._marks.append(marks)
        self._count += len(marks)
        if self._count >= self._limit:
            self._spill()

    def found(self) -> np.ndarray:
        """Each mark that occurs more than once, once; int64."""
        if self._folder is None:
            return _repeated(self._drain())
        self._spill()
        buckets = sorted(Path(self._folder.name).iterdir())
        return np.concatenate([_repeated(np.fromfile(bucket, dtype=np.int64)) for bucket in buckets])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _drain(self) -> np.ndarray:
        marks = np.concatenate([np.empty(0, dtype=np.int64), *self._marks])
        self._marks, self._count = [], 0
        return marks

    def _spill(self) -> None:
        if self._folder is None:
            self._scratch.mkdir(parents=True, exist_ok=True)
            self._folder = TemporaryDirectory(dir=self._scratch, prefix="repeats-")
        marks = np.sort(self._drain().view(np.uint64))  # a bucket is the top bits, whatever the sign
        edges = np.arange(1 << _BUCKET_BITS, dtype=np.uint64) << np.uint64(64 - _BUCKET_BITS)
        starts = [*np.searchsorted(marks, edges), len(marks)]
        for bucket, (start, end) in enumerate(itertools.pairwise(starts)):
            with (Path(self._folder.name) / f"{bucket:03d}").open("ab") as file:
                marks[start:end].tofile(file)


def _repeated(marks: np.ndarray) -> np.ndarray:
    marks.sort()
    return np.unique(marks[1:][marks[1:] == marks[:-1]])
