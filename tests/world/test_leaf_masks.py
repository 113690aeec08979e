"""Leaf masks give scikit-learn's own bits, or nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

from fielded.world import leaf_masks as module
from fielded.world.leaf_masks import leaf_masks


def table(seed: int, rows: int = 1500, features: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Numbers with ties, missing values and a column of whole numbers."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, features)).round(2)
    matrix[:, 1] = rng.integers(0, 12, rows)
    matrix[rng.random(matrix.shape) < 0.08] = np.nan
    signal = np.nan_to_num(matrix[:, 0]) + np.nan_to_num(matrix[:, 1] * matrix[:, 2]) + 2 * np.isnan(matrix[:, 3])
    return matrix, (signal + rng.normal(size=rows) > 1).astype(int)


def fitted(seed: int = 0, **settings: object) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(random_state=0, **{"max_iter": 12, **settings}).fit(*table(seed))


@pytest.mark.parametrize("leaves", [2, 3, 15, 16, 17, 31, 32, 33, 63, 64])
@pytest.mark.parametrize("rounds", [1, 7])
def test_the_same_bits_for_every_size_of_tree(leaves: int, rounds: int) -> None:
    model = fitted(max_leaf_nodes=leaves, max_iter=rounds, min_samples_leaf=5)
    fast = leaf_masks(model)
    rows, _ = table(99, rows=40_000)
    assert fast is not None
    assert fast(rows).tobytes() == model.predict_proba(rows).tobytes()
    assert fast(rows[:1]).tobytes() == model.predict_proba(rows[:1]).tobytes()
    assert fast(np.asfortranarray(rows)).tobytes() == model.predict_proba(rows).tobytes()


MODELS = [fitted(seed, max_leaf_nodes=leaves) for seed, leaves in ((0, 15), (1, 31), (2, 50))]
FAST = [leaf_masks(model) for model in MODELS]
value = st.one_of(
    st.floats(allow_infinity=False, allow_nan=True),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1.7e308, -1.7e308]),
    st.integers(0, 12).map(float),
    st.floats(-3, 3).map(lambda number: round(number, 2)),
)


@given(st.integers(0, 2), st.lists(st.lists(value, min_size=5, max_size=5), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_the_same_bits_for_any_row(which: int, rows: list[list[float]]) -> None:
    matrix = np.array(rows)
    assert FAST[which](matrix).tobytes() == MODELS[which].predict_proba(matrix).tobytes()


def test_a_model_that_never_split_is_scored_too() -> None:
    matrix, label = table(0)
    model = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=1000).fit(matrix, label)
    fast = leaf_masks(model)
    assert fast is not None
    assert fast(matrix).tobytes() == model.predict_proba(matrix).tobytes()


def three_classes() -> HistGradientBoostingClassifier:
    matrix, label = table(0)
    return HistGradientBoostingClassifier(max_iter=3).fit(matrix, label + (matrix[:, 0] > 1))


@pytest.mark.parametrize(
    "model",
    [
        fitted(max_leaf_nodes=65, min_samples_leaf=1, max_iter=2),
        fitted(categorical_features=[1]),
        three_classes(),
        HistGradientBoostingRegressor(max_iter=3).fit(*table(0)),
        LogisticRegression().fit(np.nan_to_num(table(0)[0]), table(0)[1]),
        HistGradientBoostingClassifier(),
    ],
    ids=["65 leaves", "categorical split", "three classes", "regressor", "other model", "not fitted"],
)
def test_what_it_does_not_know_it_leaves_alone(model: object) -> None:
    assert leaf_masks(model) is None


def test_tables_that_are_wrong_in_one_leaf_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    enter = module._enter

    def off(*given: object) -> np.ndarray:
        values = enter(*given)
        values[0] = np.nextafter(values[0], np.inf)
        return values

    monkeypatch.setattr(module, "_enter", off)
    assert leaf_masks(fitted(max_leaf_nodes=4)) is None


def test_a_missing_value_that_goes_the_wrong_way_is_noticed() -> None:
    model = fitted(max_leaf_nodes=8)
    forest = module._forest([tree.nodes for (tree,) in model._predictors], 5)
    for tables in forest.groups:
        for _, table_of_feature in tables:
            table_of_feature[-1] = ~np.uint64(0)
    rows = np.full((3, 5), np.nan)
    raw = np.zeros(3)
    forest.add(rows, raw)
    wanted = np.zeros(3)
    module._forest([tree.nodes for (tree,) in model._predictors], 5).add(rows, wanted)
    assert raw.tobytes() != wanted.tobytes()
    assert np.isnan(module._probes(forest, 5)).any(), "the probes have missing values, so that this would be seen"
