"""Scores of a binary histogram gradient boosting model by leaf masks instead of walking its trees.

Walking a tree costs a mispredicted branch at every second node. Here each row's value of a feature becomes its
rank among all thresholds the model has for that feature; a table gives, for that rank, which leaves of which
trees are still possible; the tables of all features are and-ed, and the lowest bit left in a tree's lane is its
leaf (QuickScorer: Lucchese et al., SIGIR 2015). Leaf values are added in the model's own order, so the sums are
the model's own, to the last bit. `leaf_masks` proves that on rows made from the model's own thresholds before it
gives the function away; a model it cannot prove it for, or does not know, gets None.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

Matrix = Callable[[np.ndarray], np.ndarray]

_CHUNK = 16_384  # rows looked at together: their ranks and masks stay in the processor's cache
_PROBES = 2_000  # rows on which the masks must give the trees' own bits
_LANES = {16: np.uint16, 32: np.uint32, 64: np.uint64}  # leaves of a tree -> its lane in a 64-bit word


def leaf_masks(model: Any) -> Matrix | None:
    """`predict_proba` of `model` over a float64 matrix, or None where this way is not open.

    Args:
        model: a fitted estimator.

    Returns:
        Function from (n, features) to (n, 2), equal to `model.predict_proba` in every bit.
    """
    if type(model) is not HistGradientBoostingClassifier:
        return None
    try:
        trees = [trees_of_round for (trees_of_round,) in model._predictors]  # noqa: SLF001 - see below
        start, loss = float(np.ravel(model._baseline_prediction)[0]), model._loss  # noqa: SLF001
        forest = _forest([tree.nodes for tree in trees], model.n_features_in_)
    except (AttributeError, ValueError, TypeError, KeyError):
        return None  # another scikit-learn, several classes, or trees of a kind that is not known here
    if forest is None:
        return None

    def predict_proba(matrix: np.ndarray) -> np.ndarray:
        raw = np.full(len(matrix), start)
        for first in range(0, len(matrix), _CHUNK):
            forest.add(matrix[first : first + _CHUNK], raw[first : first + _CHUNK])
        return np.asarray(loss.predict_proba(raw.reshape(-1, 1)))

    probes = _probes(forest, model.n_features_in_)
    same = predict_proba(probes).tobytes() == np.ascontiguousarray(model.predict_proba(probes)).tobytes()
    return predict_proba if same else None


@dataclass(frozen=True, slots=True)
class _Forest:
    """All trees as tables.

    Attributes:
        thresholds: for each feature, its thresholds, ascending, each once.
        groups: for each word of lanes: (feature, table of uint64 by rank; the last entry is for a missing value).
        values: for each tree, the values of its leaves from left to right.
        width: bits of a lane.
    """

    thresholds: list[np.ndarray]
    groups: list[list[tuple[int, np.ndarray]]]
    values: list[np.ndarray]
    width: int

    def add(self, rows: np.ndarray, raw: np.ndarray) -> None:
        """Add each tree's value for each row to `raw`, tree by tree."""
        ranks = [self._ranks(rows[:, feature], cuts) for feature, cuts in enumerate(self.thresholds)]
        lanes = 64 // self.width
        masks = np.empty(len(rows), dtype=np.uint64)
        table_mask = np.empty_like(masks)
        for number, tables in enumerate(self.groups):
            (feature, table), *others = tables
            table.take(ranks[feature], out=masks, mode="clip")
            for feature, table in others:
                table.take(ranks[feature], out=table_mask, mode="clip")
                np.bitwise_and(masks, table_mask, out=masks)
            by_tree = masks.view(_LANES[self.width]).reshape(len(rows), lanes)
            for lane, values in enumerate(self.values[number * lanes : (number + 1) * lanes]):
                raw += values.take(_lowest_bit(by_tree[:, lane]), mode="clip")

    @staticmethod
    def _ranks(column: np.ndarray, cuts: np.ndarray) -> np.ndarray:
        column = np.ascontiguousarray(column)
        ranks = cuts.searchsorted(column, side="left")
        missing = np.isnan(column)
        if missing.any():
            ranks[missing] = len(cuts) + 1
        return np.asarray(ranks)


def _lowest_bit_table() -> np.ndarray:
    numbers = np.arange(1 << 16, dtype=np.int64)
    numbers[0] = 1
    return np.asarray(np.log2(numbers & -numbers), dtype=np.intp)


_LOWEST_OF_16 = _lowest_bit_table()


def _lowest_bit(lane: np.ndarray) -> np.ndarray:
    """Place of the lowest bit set, for each entry of an unsigned vector in which none is zero."""
    if lane.dtype == np.uint16:
        return np.asarray(_LOWEST_OF_16.take(lane, mode="clip"))
    lowest = lane & (~lane + lane.dtype.type(1))
    return np.asarray((lowest.astype(np.float64).view(np.int64) >> 52) - 1023)  # the exponent of a power of two


def _forest(trees: list[np.ndarray], features: int) -> _Forest | None:
    """Tables of all trees, or None where a tree has categorical splits or too many leaves."""
    if not trees or any(nodes["is_categorical"].any() for nodes in trees):
        return None
    most = max(int(nodes["is_leaf"].sum()) for nodes in trees)
    width = next((bits for bits in _LANES if most <= bits), None)
    if width is None:
        return None
    thresholds = []
    for feature in range(features):
        cuts = [n["num_threshold"][(n["is_leaf"] == 0) & (n["feature_idx"] == feature)] for n in trees]
        thresholds.append(np.unique(np.concatenate(cuts)))
    lanes = 64 // width
    values, groups = [], []
    for first in range(0, len(trees), lanes):
        tables: dict[int, np.ndarray] = {}
        for lane, nodes in enumerate(trees[first : first + lanes]):
            values.append(_enter(nodes, lane * width, thresholds, tables))
        if not tables:  # trees of one leaf: any table keeps all leaves possible
            tables[0] = _all_possible(thresholds[0])
        groups.append(sorted(tables.items()))
    return _Forest(thresholds, groups, values, width)


def _all_possible(cuts: np.ndarray) -> np.ndarray:
    return np.full(len(cuts) + 2, ~np.uint64(0), dtype=np.uint64)


def _enter(
    nodes: np.ndarray, shift: int, thresholds: list[np.ndarray], tables: dict[int, np.ndarray]
) -> np.ndarray:
    """Enter one tree, whose lane starts at bit `shift`, into its tables; its leaf values left to right."""
    leaves: list[float] = []

    def visit(place: int) -> int:
        """Number the leaves below a node, and enter every split; returns the bits of those leaves."""
        node = nodes[place]
        if node["is_leaf"]:
            leaves.append(float(node["value"]))
            return 1 << (len(leaves) - 1)
        left, right = visit(int(node["left"])), visit(int(node["right"]))
        feature = int(node["feature_idx"])
        cuts = thresholds[feature]
        table = tables.setdefault(feature, _all_possible(cuts))
        gone = np.uint64(~(left << shift) & 0xFFFF_FFFF_FFFF_FFFF)  # what is left when the row goes right
        rank = int(np.searchsorted(cuts, node["num_threshold"])) + 1
        table[rank : len(cuts) + 1] &= gone
        if not node["missing_go_to_left"]:
            table[len(cuts) + 1] &= gone
        return left | right

    visit(0)
    return np.array(leaves)


def _probes(forest: _Forest, features: int) -> np.ndarray:
    """Rows at, just below and just above the model's own thresholds, with missing values among them."""
    chance = np.random.default_rng(0)  # fixed: the same model is always tried on the same rows
    rows = np.empty((_PROBES, features))
    for feature in range(features):
        cuts = forest.thresholds[feature] if len(forest.thresholds[feature]) else np.zeros(1)
        near = np.concatenate([cuts, np.nextafter(cuts, np.inf), np.nextafter(cuts, -np.inf), [0.0, -0.0]])
        rows[:, feature] = chance.choice(near, _PROBES)
        rows[chance.random(_PROBES) < 0.1, feature] = np.nan  # noqa: PLR2004 - one in ten
    rows[np.isinf(rows)] = np.finfo(np.float64).max  # scikit-learn refuses endless values
    return rows
