"""The first rows of a stream in some order, one for each subject, in memory bounded by how many are kept.

Also the order that samples are taken in: by a hash of the subject. A population is sorted by whatever its query
sorts it by; its last rows may all be of one vessel class, and a comparison on them would know of no other.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

SUBJECT = "subject"

Direction = Literal["ascending", "descending"]

_SLACK = 4  # times the rows kept that are held before they are pruned


def mixed(subjects: pa.Array) -> pa.Array:
    """A hash of each subject (uint64): an order that has to do with nothing, and is the same every time."""
    texts = subjects.to_numpy(zero_copy_only=False)
    return pa.array(pd.util.hash_array(np.asarray(texts, dtype=object), categorize=False), pa.uint64())


class FirstRows:
    """Keeps the first rows in an order.

    Args:
        schema: of the batches; has `subject` and the columns of `order`.
        order: columns to sort by, most important first.
        limit: rows that are kept; of one subject only the first.
    """

    def __init__(self, schema: pa.Schema, order: Sequence[tuple[str, Direction]], limit: int) -> None:
        self._order = list(order)
        self._limit = limit
        self._kept = schema.empty_table()

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in rows."""
        self._kept = pa.concat_tables([self._kept, pa.Table.from_batches([batch], self._kept.schema)])
        if self._kept.num_rows > _SLACK * self._limit:
            self._kept = self._pruned()

    def table(self) -> pa.Table:
        """What was kept, in order, in one chunk."""
        self._kept = self._pruned()
        return self._kept.combine_chunks()

    def _pruned(self) -> pa.Table:
        rows = self._kept.take(pc.sort_indices(self._kept.select([name for name, _ in self._order]), self._order))
        return rows.take(pa.array(first_of_each(rows.column(SUBJECT))[: self._limit]))


def first_of_each(subjects: pa.ChunkedArray) -> np.ndarray:
    """Place of the first row of each subject, ascending (int64)."""
    codes = pc.dictionary_encode(subjects.combine_chunks()).indices.to_numpy(zero_copy_only=False)
    _, places = np.unique(codes, return_index=True)
    return np.asarray(np.sort(places), dtype=np.int64)
