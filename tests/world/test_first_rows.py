"""The first rows of a stream are those of a sort over all of it, and cost no more memory than is kept."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from fielded.world.first_rows import FirstRows, mixed

SCHEMA = pa.schema([("subject", pa.string()), ("at", pa.int64()), ("row", pa.int64())])


@given(
    rows=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 20)), max_size=60),
    limit=st.integers(1, 9),
    size=st.integers(1, 7),
)
def test_whatever_the_batches_are_the_first_of_each_subject_are_kept_in_order(
    rows: list[tuple[str, int]], limit: int, size: int
) -> None:
    first = FirstRows(SCHEMA, [("at", "descending"), ("subject", "ascending")], limit)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        columns = [[s for s, _ in part], [a for _, a in part], list(range(start, start + len(part)))]
        first.add(pa.RecordBatch.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)],
                                             schema=SCHEMA))  # fmt: skip
    newest: dict[str, int] = {}
    for subject, at in rows:
        newest[subject] = max(at, newest.get(subject, -1))
    expected = sorted(((subject, at) for subject, at in newest.items()), key=lambda one: (-one[1], one[0]))[:limit]
    kept = first.table()
    assert list(zip(kept["subject"].to_pylist(), kept["at"].to_pylist(), strict=True)) == expected
    assert len({tuple(rows[row]) for row in kept["row"].to_pylist()}) == len(expected)


def test_what_is_held_does_not_grow_with_the_stream() -> None:
    first = FirstRows(SCHEMA, [("at", "descending")], 100)
    held = []
    for start in range(0, 20_000, 200):
        subjects = [f"s{number}" for number in range(start, start + 200)]
        columns = [subjects, np.arange(start, start + 200), np.zeros(200, int)]
        first.add(pa.RecordBatch.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)],
                                             schema=SCHEMA))  # fmt: skip
        held.append(first._kept.num_rows)
    assert max(held) <= 100 * 4 + 200
    assert first.table()["subject"][0].as_py() == "s19999"


def test_the_sample_order_has_to_do_with_nothing_and_is_the_same_every_time() -> None:
    subjects = pa.array([f"V-{number:06d}" for number in range(8000)])
    hashes = mixed(subjects).to_numpy()
    assert np.array_equal(hashes, mixed(subjects).to_numpy())
    drawn = np.argsort(hashes)[:2000]
    eighths = np.bincount(drawn // 1000, minlength=8)  # of a population sorted by class
    assert eighths.min() > 200
    assert eighths.max() < 300
