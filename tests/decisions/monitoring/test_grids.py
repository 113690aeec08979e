"""Bins split no value, hold about equally many rows, and every bin of a slice's column is in one part."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.monitoring.grids import (
    MOST_BINS,
    MOST_CATEGORIES,
    category_grid,
    number_grid,
    parts_of,
    score_grid,
    truth_grid,
)
from fielded.words.errors import WrongUse

NUMBERS = st.one_of(
    st.none(),
    st.just(math.nan),
    st.integers(-5, 5).map(float),
    st.floats(-1e300, 1e300),
    st.floats(-1e-300, 1e-300),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(NUMBERS, max_size=200))
def test_edges_ascend_from_the_smallest_value_to_just_above_the_largest(numbers: list[float | None]) -> None:
    grid = number_grid("x", pa.array(numbers, pa.float64()))
    known = [number for number in numbers if number is not None and not math.isnan(number)]
    if not known:
        assert len(grid.edges) == 0
        assert grid.bins == 2
        return
    assert grid.edges[0] == min(known)
    assert grid.edges[-1] == np.nextafter(max(known), math.inf)
    assert np.all(np.diff(grid.edges) > 0)
    assert len(grid.edges) <= MOST_BINS + 1
    counts = np.bincount(grid.place(pa.array(numbers, pa.float64())), minlength=grid.bins)
    assert counts[0] == counts[-2] == 0
    assert counts[-1] == len(numbers) - len(known)


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e12])
def test_bins_of_a_number_have_equal_counts_to_a_tenth(scale: float) -> None:
    values = np.random.default_rng(0).lognormal(3, 1, 40_000) * scale
    grid = number_grid("x", pa.array(values))
    counts = np.bincount(grid.place(pa.array(values)), minlength=grid.bins)[1:-2]
    assert len(counts) == MOST_BINS
    assert np.all(np.abs(counts - 1000) <= 100)
    assert all(float(f"{edge:.4g}") == edge for edge in grid.edges[1:-1]), "edges are rounded"


@pytest.mark.parametrize("values", [range(1, 13), range(40), [0.25, 7.0, 1e9]])
def test_few_values_have_a_bin_each(values: object) -> None:
    distinct = np.array(list(values), dtype=float)
    drawn = np.concatenate([distinct, np.random.default_rng(1).choice(distinct, 500)])
    grid = number_grid("x", pa.array(drawn))
    assert grid.place(pa.array(distinct)).tolist() == list(range(1, len(distinct) + 1))


def test_a_value_that_most_rows_have_is_not_split() -> None:
    values = np.concatenate([np.zeros(9000), np.arange(1, 1001)])
    grid = number_grid("x", pa.array(values))
    counts = np.bincount(grid.place(pa.array(values)), minlength=grid.bins)
    assert counts[1] == 9000
    assert len(counts) < 10
    assert counts.sum() == len(values)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), min_size=45, max_size=120))
def test_a_value_of_two_bins_of_rows_is_alone_in_its_bin(drawn: list[tuple[int, int]]) -> None:
    values = np.repeat([float(value) for value, _ in drawn], [rows for _, rows in drawn])
    distinct, rows = np.unique(values, return_counts=True)
    grid = number_grid("x", pa.array(values))
    counts = np.bincount(grid.place(pa.array(values)), minlength=grid.bins)
    assert len(counts) <= MOST_BINS + 3
    if len(distinct) > MOST_BINS:
        for value, held in zip(distinct, rows, strict=True):
            if held >= 2 * len(values) / MOST_BINS * 1.05:
                found = counts[grid.place(pa.array([value]))[0]]
                assert held <= found <= held + 2 * 0.05 * len(values) / MOST_BINS


def test_infinite_values_of_training_are_refused_and_later_ones_are_out_of_range() -> None:
    with pytest.raises(WrongUse, match=r"features\.x: got an infinite value"):
        number_grid("x", pa.array([1.0, math.inf]))
    grid = number_grid("x", pa.array([1.0, 2.0]))
    assert grid.place(pa.array([-math.inf, math.inf, math.nan, None])).tolist() == [0, 3, 4, 4]


def test_the_most_frequent_categories_have_bins() -> None:
    texts = [f"c{number:02d}" for number in range(60) for _ in range(60 - number)] + ["zz"] * 100 + [None]
    grid = category_grid("kind", pa.array(texts))
    assert grid.categories == ("zz", *(f"c{number:02d}" for number in range(MOST_CATEGORIES - 1)))
    assert grid.place(pa.array(["zz", "c00", "c55", "unheard", None])).tolist() == [0, 1, 50, 50, 51]
    assert truth_grid("urgent").place(pa.array([False, True, None])).tolist() == [0, 1, 3]


def test_scores_have_fifty_bins_with_one_in_the_last() -> None:
    grid = score_grid("score")
    assert grid.bins == 53
    assert grid.place(pa.array([0.0, 0.02, 0.019999, 0.999, 1.0])).tolist() == [1, 2, 1, 50, 50]


@settings(deadline=None, max_examples=60)
@given(st.lists(NUMBERS, max_size=200), st.lists(NUMBERS, max_size=30))
def test_the_parts_of_a_number_are_what_their_names_say(
    numbers: list[float | None], others: list[float | None]
) -> None:
    training = pa.array(numbers, pa.float64())
    grid = number_grid("x", training)
    parts = parts_of(grid, np.bincount(grid.place(training), minlength=grid.bins))
    assert len(parts.names) <= 5
    assert len(set(parts.names)) == len(parts.names)
    for value, place in zip(others, parts.of_bin[grid.place(pa.array(others, pa.float64()))], strict=True):
        assert _within(value, parts.names[place]), (value, parts.names[place])


def _within(value: float | None, part: str) -> bool:
    if value is None or math.isnan(value):
        return part == "null"
    if part == "any":
        return True
    if part.startswith("under "):
        return value < float(part.removeprefix("under "))
    if part.endswith(" and over"):
        return value >= float(part.removesuffix(" and over"))
    low, high = json.loads(part.replace(")", "]"))
    return low <= value < high


def test_the_parts_of_a_number_are_quarters_of_training() -> None:
    ages = np.random.default_rng(3).integers(1, 60, 10_000).astype(float)
    grid = number_grid("age", pa.array(ages))
    counts = np.bincount(grid.place(pa.array(ages)), minlength=grid.bins)
    parts = parts_of(grid, counts)
    shares = np.bincount(parts.of_bin, weights=counts)[:4] / len(ages)
    assert np.all(np.abs(shares - 0.25) < 0.02)
    assert parts.names[0].startswith("under ")


def test_a_category_called_like_a_part_that_is_none_is_in_quotes() -> None:
    grid = category_grid("kind", pa.array(["null", "other", "hull", "hull", "a=b"]))
    parts = parts_of(grid, np.array([2, 1, 1, 1, 0, 0]))
    assert parts.names == ("hull", '"a=b"', '"null"', '"other"', "other", "null")
