"""Slices are sets of rows: each row once in a column, each set once in a search, each description exact."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.measuring.slices import MOST_PARTS, OVERALL, Slice, absent, listed, searched
from fielded.words.errors import WrongUse

NUMBERS = st.one_of(st.none(), st.integers(-3, 3).map(float), st.floats(-1e6, 1e6), st.just(float("nan")))
TEXTS = st.one_of(st.none(), st.sampled_from(["DDG-51", "LHD", "null", "a=b", "x & y", "", "under 3"]))


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 40))
    size = {"min_size": rows, "max_size": rows}
    columns = {
        "hours": pa.array(draw(st.lists(NUMBERS, **size)), pa.float64()),
        "month": pa.array(draw(st.lists(st.integers(1, 12), **size)), pa.int64()),
        "hull": pa.array(draw(st.lists(TEXTS, **size)), pa.string()),
        "late": pa.array(draw(st.lists(st.booleans(), **size)), pa.bool_()),
    }
    return pa.table(columns)


@settings(deadline=None)
@given(tables())
def test_the_parts_of_a_column_hold_each_row_once_and_none_is_empty(features: pa.Table) -> None:
    for name in features.column_names:
        parts = list(listed(features, [name]))
        assert len({str(found) for found, _ in parts}) == len(parts)
        if parts:
            counts = np.sum([rows for _, rows in parts], axis=0)
            assert np.array_equal(counts, np.ones(features.num_rows))
            assert min(rows.sum() for _, rows in parts) > 0
        else:
            assert features.num_rows == 0


@settings(deadline=None)
@given(tables())
def test_a_description_says_exactly_which_rows_are_meant(features: pa.Table) -> None:
    for found, rows in listed(features, ["hours", "month"]):
        ((column, part),) = found.terms
        values = features.column(column).to_pandas().astype(float)
        assert np.array_equal(rows, _described(values, part)), f"{column}={part}"


def _described(values: pd.Series, part: str) -> np.ndarray:
    """The rows that a person would take by a description of numbers."""
    if part == "null":
        return values.isna().to_numpy()
    if part.startswith("under "):
        return (values < float(part.removeprefix("under "))).to_numpy()
    if part.endswith(" and over"):
        return (values >= float(part.removesuffix(" and over"))).to_numpy()
    if part.startswith("["):
        low, high = part[1:-1].split(", ")
        return ((values >= float(low)) & (values < float(high))).to_numpy()
    return (values == float(part)).to_numpy()


@settings(deadline=None)
@given(tables(), st.integers(1, 10), st.integers(1, 3))
def test_a_search_has_every_large_enough_set_once_with_the_shortest_description(
    features: pa.Table, minimum: int, depth: int
) -> None:
    found = list(searched(features, minimum, depth))
    sets = [rows.tobytes() for _, rows in found]
    assert len(set(sets)) == len(sets)
    widths = [len(each.terms) for each, _ in found]
    assert widths == sorted(widths)
    assert all(minimum <= rows.sum() < features.num_rows for _, rows in found)
    parts = {column: list(listed(features, [column])) for column in features.column_names}
    known = dict(zip(sets, widths, strict=True))
    if depth >= 2:  # a second way to the pairs: every part of one column with every part of another
        for one in parts["hull"]:
            for other in parts["hours"]:
                both = one[1] & other[1]
                if minimum <= both.sum() < features.num_rows:
                    assert known[both.tobytes()] <= 2


@settings(deadline=None)
@given(tables(), st.integers(1, 10))
def test_the_rows_of_a_searched_slice_are_those_that_all_its_terms_have(features: pa.Table, minimum: int) -> None:
    of_one = {found.terms[0]: rows for found, rows in listed(features, features.column_names)}
    for found, rows in searched(features, minimum, 3):
        assert np.array_equal(rows, np.all([of_one[term] for term in found.terms], axis=0))


def test_quartile_bins_of_many_values_are_about_quarters_with_short_edges() -> None:
    hours = np.random.default_rng(5).lognormal(4.6, 0.85, 20_000)
    parts = list(listed(pa.table({"hours": hours}), ["hours"]))
    assert [str(found) for found, _ in parts] == [
        "hours=under 56",
        "hours=[56, 100)",
        "hours=[100, 180)",
        "hours=180 and over",
    ]
    assert all(0.24 < rows.mean() < 0.26 for _, rows in parts)


def test_a_value_that_most_rows_have_is_not_split() -> None:
    values = [0.0] * 80 + [float(value) for value in range(1, 21)]
    found = {str(each): int(rows.sum()) for each, rows in listed(pa.table({"n": values}), ["n"])}
    assert found == {"n=under 1": 80, "n=1 and over": 20}


def test_texts_that_could_be_taken_for_something_else_are_in_quotes() -> None:
    features = pa.table({"kind": pa.array(["null", None, "a=b", "x & y", "plain text", ""]).dictionary_encode()})
    assert [str(found) for found, _ in listed(features, ["kind"])] == [
        'kind=""',
        'kind="a=b"',
        'kind="null"',
        "kind=plain text",
        'kind="x & y"',
        "kind=null",
    ]


def test_all_rows_are_called_overall_and_every_slice_lies_in_them() -> None:
    assert str(OVERALL) == "overall"
    inner = Slice((("hull", "LHD"), ("month", "3")))
    assert str(inner) == "hull=LHD & month=3"
    assert inner.within(OVERALL)
    assert inner.within(Slice((("month", "3"),)))
    assert not Slice((("month", "3"),)).within(inner)


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(WrongUse, match=r"slices: got hull, expected a column of the rows: month\. Name a feature"):
        list(listed(pa.table({"month": [1]}), ["hull"]))


def test_a_column_of_identifiers_is_no_slice() -> None:
    hulls = [f"H{number}" for number in range(MOST_PARTS + 1)]
    with pytest.raises(WrongUse, match=f"got hull with {MOST_PARTS + 1} values, expected at most {MOST_PARTS}"):
        list(listed(pa.table({"hull": hulls}), ["hull"]))
    assert len(list(listed(pa.table({"hull": hulls[1:]}), ["hull"]))) == MOST_PARTS


@pytest.mark.parametrize("value", ["a\x9b31m", "\u202egnp", "a\u2028b", "\x00", "\x7f"])
def test_a_text_that_steers_a_terminal_is_written_by_its_numbers(value: str) -> None:
    ((found, _),) = listed(pa.table({"kind": [value]}), ["kind"])
    assert str(found).isascii()
    assert str(found).isprintable()
    assert str(found) == f"kind={json.dumps(value)}"


def test_parts_that_only_other_rows_have_are_absent_here() -> None:
    here = pa.table({"kind": ["a", "b"], "late": [True, True], "hours": [1.0, 2.0]})
    others = pa.table({"kind": ["b", "c", None], "late": [True, False, True], "hours": [1.0, 3.0, 2.0]})
    names = ["kind", "late", "hours"]
    assert [str(each) for each in absent(here, others, names)] == ["kind=c", "kind=null", "late=false", "hours=3"]
    assert list(absent(others, others, names)) == []
    assert list(absent(here, others[:0], names)) == []


def test_bins_of_numbers_are_never_absent() -> None:
    few, many = pa.table({"n": [1, 2, 3]}), pa.table({"n": [*range(100)]})
    assert list(absent(few, many, ["n"])) == []
    assert list(absent(many, few, ["n"])) == []
