"""Counts of parts of the rows, added, are the counts of all rows, in whichever order."""

from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.monitoring.histograms import NO_ROWS, OVERALL, Histograms, Place
from fielded.decisions.monitoring.profile import counted, profile_of
from profiled_rows import FEATURES, SLICES, rows, scores

TRAINING = rows(800, 0)
PROFILE = profile_of(FEATURES, SLICES, TRAINING, scores(TRAINING))


def alike(first: Histograms, second: Histograms) -> bool:
    return {place: set(held) for place, held in first.counts.items()} == {
        place: set(held) for place, held in second.counts.items()
    } and all(
        np.array_equal(counts, second.of(place, name))
        for place, held in first.counts.items()
        for name, counts in held.items()
    )


@st.composite
def split_rows(draw: st.DrawFn) -> tuple[pa.Table, list[pa.Table]]:
    count = draw(st.integers(0, 120))
    table = rows(count, draw(st.integers(0, 10**6)), draw(st.sampled_from([0.0, 0.5])))
    cuts = sorted(draw(st.lists(st.integers(0, count), max_size=6)))
    edges = [0, *cuts, count]
    return table, [table.slice(low, high - low) for low, high in pairwise(edges)]


@settings(deadline=None, max_examples=60)
@given(split_rows(), st.randoms())
def test_merged_counts_are_those_of_all_rows_together(
    split: tuple[pa.Table, list[pa.Table]], random: object
) -> None:
    table, pieces = split
    whole = counted(PROFILE, table)
    random.shuffle(pieces)
    parts = [counted(PROFILE, piece) for piece in pieces]
    assert alike(reduce(add, parts, NO_ROWS), whole)
    half = len(parts) // 2
    assert alike(reduce(add, parts[:half], NO_ROWS) + reduce(add, parts[half:], NO_ROWS), whole)
    assert whole.rows() == table.num_rows


@settings(deadline=None, max_examples=20)
@given(split_rows())
def test_merging_leaves_both_sides_as_they_were(split: tuple[pa.Table, list[pa.Table]]) -> None:
    table, _ = split
    mine, other = counted(PROFILE, table), counted(PROFILE, TRAINING)
    before = {
        place: {name: held.copy() for name, held in columns.items()} for place, columns in mine.counts.items()
    }
    merged = mine + other
    assert merged.rows() == table.num_rows + TRAINING.num_rows
    assert all(
        np.array_equal(mine.of(place, name), held)
        for place, columns in before.items()
        for name, held in columns.items()
    )


@settings(deadline=None, max_examples=20)
@given(split_rows())
def test_the_parts_of_a_slice_add_up_to_all_rows(split: tuple[pa.Table, list[pa.Table]]) -> None:
    table, _ = split
    whole = counted(PROFILE, table)
    for column in SLICES:
        parts = [Place(column, name) for name in PROFILE.parts(column).names]
        for name in PROFILE.grids:
            held = [whole.of(part, name) for part in parts if whole.of(part, name) is not None]
            assert np.array_equal(sum(held), whole.of(OVERALL, name)) or not table.num_rows


def test_no_rows_have_no_counts() -> None:
    assert NO_ROWS.rows() == 0
    assert NO_ROWS.of(OVERALL, "age") is None
    assert not counted(PROFILE, TRAINING.slice(0, 0)).counts
    assert str(Place("kind", "hull")) == "kind=hull"
    assert str(OVERALL) == "overall"
