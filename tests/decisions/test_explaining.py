"""Exact Shapley values against the definition by permutations, and against what they must do in closed form."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions import explaining
from fielded.decisions.explaining import explain, shapley
from fielded.words.errors import Refused

Model = Callable[[tuple[Any, ...]], float]

RNG = np.random.default_rng(0)
SCHEMA = pa.schema([("hours", pa.float64()), ("earlier", pa.int64()), ("kind", pa.string()), ("open", pa.bool_())])
KINDS = ("engine", "hull", "é", None)
VALUES = st.tuples(
    st.none() | st.floats(-5, 5) | st.sampled_from([0.0, 1.5]),
    st.none() | st.integers(-3, 3),
    st.sampled_from(KINDS),
    st.booleans(),
)


def batch(rows: list[tuple[Any, ...]], schema: pa.Schema = SCHEMA) -> pa.RecordBatch:
    columns = [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def scorer(model: Model) -> explaining.Score:
    """A model of one row at a time, as one of batches."""

    def score(features: pa.RecordBatch) -> np.ndarray:
        assert features.num_rows
        return np.array([model(tuple(row.values())) for row in features.to_pylist()], dtype=float)

    return score


def tangled(row: tuple[Any, ...]) -> float:
    """Every feature meets every other one, and a missing value is something of its own."""
    hours, earlier, kind, is_open = row
    high = (hours if hours is not None else 7.25) * (1 + KINDS.index(kind))
    return math.tanh(high / 9) * (2 if is_open else -1) + math.sin(earlier if earlier is not None else 0.5) * high


def by_permutations(model: Model, row: tuple[Any, ...], background: list[tuple[Any, ...]]) -> list[float]:
    """The definition: over all orders in which features may come, what each adds when it comes."""

    def worth(coalition: frozenset[int]) -> float:
        mixed = [
            tuple(row[place] if place in coalition else other[place] for place in range(len(row)))
            for other in background
        ]
        return math.fsum(map(model, mixed)) / len(mixed)

    known = {
        frozenset(some): worth(frozenset(some))
        for size in range(len(row) + 1)
        for some in itertools.combinations(range(len(row)), size)
    }
    orders = list(itertools.permutations(range(len(row))))
    found = [0.0] * len(row)
    for order in orders:
        for place, feature in enumerate(order):
            before = frozenset(order[:place])
            found[feature] += (known[before | {feature}] - known[before]) / len(orders)
    return found


@settings(max_examples=60, deadline=None)
@given(row=VALUES, background=st.lists(VALUES, min_size=1, max_size=6))
def test_contributions_are_those_of_the_definition(
    row: tuple[Any, ...], background: list[tuple[Any, ...]]
) -> None:
    found = explain(scorer(tangled), batch([row]), batch(background))
    assert list(found.contributions) == SCHEMA.names
    assert list(found.contributions.values()) == pytest.approx(
        by_permutations(tangled, row, background), abs=1e-12
    )
    assert found.base == pytest.approx(math.fsum(map(tangled, background)) / len(background), abs=1e-12)
    assert found.score == tangled(row)
    assert found.base + math.fsum(found.contributions.values()) == pytest.approx(found.score, abs=1e-12)


@settings(deadline=None)
@given(
    weights=st.lists(st.floats(-10, 10), min_size=1, max_size=10),
    bias=st.floats(-10, 10),
    rows=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_of_a_linear_model_each_feature_gives_its_weight_times_how_far_it_is_from_the_mean(
    weights: list[float], bias: float, rows: int, seed: int
) -> None:
    numbers = np.random.default_rng(seed).normal(size=(rows + 1, len(weights)))
    features = pa.record_batch({f"f{place}": column for place, column in enumerate(numbers.T)})

    def score(part: pa.RecordBatch) -> np.ndarray:
        return bias + np.column_stack([column.to_numpy() for column in part.columns]) @ np.array(weights)

    found = explain(score, features.slice(0, 1), features.slice(1))
    expected = np.array(weights) * (numbers[0] - numbers[1:].mean(axis=0))
    assert list(found.contributions.values()) == pytest.approx(expected.tolist(), abs=1e-11)
    assert found.base + math.fsum(found.contributions.values()) == pytest.approx(found.score, abs=1e-12)


@given(background=st.lists(VALUES, min_size=1, max_size=5), row=VALUES)
def test_a_feature_that_the_model_does_not_look_at_gives_nothing(
    background: list[tuple[Any, ...]], row: tuple[Any, ...]
) -> None:
    def blind(values: tuple[Any, ...]) -> float:
        return tangled((values[0], values[1], "hull", values[3]))

    assert explain(scorer(blind), batch([row]), batch(background)).contributions["kind"] == 0.0


def test_a_feature_that_is_as_in_all_of_the_background_gives_nothing() -> None:
    background = [(hours, 2, "hull", True) for hours in (1.0, 2.0, None)]
    found = explain(scorer(tangled), batch([(4.0, 2, "engine", True)]), batch(background))
    assert (found.contributions["earlier"], found.contributions["open"]) == (0.0, 0.0)
    assert found.contributions["hours"] != 0.0


@given(values=st.lists(st.floats(-3, 3), min_size=1, max_size=8), explained=st.floats(-3, 3))
def test_two_features_that_the_model_treats_alike_give_alike(values: list[float], explained: float) -> None:
    features = pa.record_batch({name: [explained, *values] for name in ("left", "right")})

    def score(part: pa.RecordBatch) -> np.ndarray:
        left, right = (part.column(place).to_numpy() for place in (0, 1))
        return np.tanh(left * right) + left**2 + right**2

    # Both come from one background row each time, so exchanging them changes nothing.
    found = explain(score, features.slice(0, 1), features.slice(1)).contributions
    assert found["left"] == pytest.approx(found["right"], abs=1e-12)


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_values_of_a_sum_of_games_are_the_sum_of_their_values(players: int, seed: int) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, 1 << players))
    together = shapley(first + second, players)
    assert together.tolist() == pytest.approx((shapley(first, players) + shapley(second, players)).tolist())
    assert together.sum() == pytest.approx((first + second)[-1] - (first + second)[0])


def test_the_glove_game_has_its_textbook_values() -> None:
    """Players 0 and 1 have a left glove each, player 2 a right one; a pair is worth 1: 1/6, 1/6, 2/3."""
    worth = np.array([float(bool(who & 0b100) and bool(who & 0b011)) for who in range(8)])
    assert shapley(worth, 3).tolist() == pytest.approx([1 / 6, 1 / 6, 2 / 3])


def test_equal_synthetic_rows_are_scored_once_and_the_row_itself_once_more() -> None:
    seen = 0

    def score(features: pa.RecordBatch) -> np.ndarray:
        nonlocal seen
        rows = [tuple(row.values()) for row in features.to_pylist()]
        assert len(set(rows)) == len(rows)
        seen += len(rows)
        return np.zeros(len(rows))

    background = [
        (hours, earlier, kind, None) for hours in (1.0, 2.0, None) for earlier in (1, 2) for kind in KINDS
    ]
    explain(score, batch([(9.0, 9, "engine", None)]), batch(background))
    assert seen == 4 * 3 * 4 + 1  # values of hours, of earlier and of kind, the row's own among them


def test_values_too_many_for_one_key_are_told_apart() -> None:
    """Ten features of ninety values: 91 to the power of 10 does not fit into 64 bits."""
    numbers = RNG.normal(size=(91, 10))
    features = pa.record_batch({f"f{place}": column for place, column in enumerate(numbers.T)})
    weights = RNG.normal(size=10)

    def score(part: pa.RecordBatch) -> np.ndarray:
        return np.column_stack([column.to_numpy() for column in part.columns]) @ weights

    found = explain(score, features.slice(0, 1), features.slice(1))
    expected = weights * (numbers[0] - numbers[1:].mean(axis=0))
    assert list(found.contributions.values()) == pytest.approx(expected.tolist(), abs=1e-11)


@pytest.mark.parametrize("rows", [3, 64, 500])
def test_batches_have_a_bounded_size(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    features = [(float(number), number, KINDS[number % 4], number % 2 == 0) for number in range(rows)]
    row, background = batch([(0.5, -1, "hull", True)]), batch(features)
    expected = explain(scorer(tangled), row, background)
    largest = 0

    def score(part: pa.RecordBatch) -> np.ndarray:
        nonlocal largest
        largest = max(largest, part.num_rows)
        return scorer(tangled)(part)

    monkeypatch.setattr(explaining, "_ROWS", 100)
    found = explain(score, row, background)
    assert largest <= 100
    assert list(found.contributions.values()) == pytest.approx(list(expected.contributions.values()), abs=1e-12)


def test_a_background_of_floats_is_made_that_of_a_nullable_int() -> None:
    floats = pa.schema([field.with_type(pa.float64()) if field.name == "earlier" else field for field in SCHEMA])
    rows = [(1.0, 2, "hull", True), (2.0, None, "engine", False)]
    row = batch([(3.0, 1, "hull", False)])
    assert explain(scorer(tangled), row, batch(rows, floats)) == explain(scorer(tangled), row, batch(rows))
    with pytest.raises(Refused, match=r"features.earlier: got double .* int64") as caught:
        explain(scorer(tangled), row, batch([(1.0, 2.718, "hull", True)], floats))
    assert "718" not in str(caught.value)


def test_eleven_features_are_refused() -> None:
    features = pa.record_batch({f"f{place}": [0.0, 1.0] for place in range(11)})
    with pytest.raises(Refused, match="got 11 features, expected at most 10"):
        explain(lambda part: np.zeros(part.num_rows), features.slice(0, 1), features)


@pytest.mark.parametrize("answer", [lambda rows: np.full(rows, np.nan), lambda rows: np.zeros((rows, 2))])
def test_what_is_no_number_for_each_row_is_refused(answer: Callable[[int], np.ndarray]) -> None:
    row = batch([(1.0, 1, "hull", True)])
    with pytest.raises(Refused, match="finite scores"):
        explain(lambda part: answer(part.num_rows), row, row)


def test_other_columns_or_no_background_are_a_callers_mistake() -> None:
    row = batch([(1.0, 1, "hull", True)])
    with pytest.raises(ValueError, match="other columns"):
        explain(scorer(tangled), row, row.rename_columns(["a", "b", "c", "d"]))
    with pytest.raises(ValueError, match="expected 1 and some"):
        explain(scorer(tangled), row, row.slice(0, 0))
