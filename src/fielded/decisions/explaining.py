"""What each feature contributed to one score: exact Shapley values over a background sample.

The game is the interventional one of Lundberg and Lee (2017, "A Unified Approach to Interpreting Model
Predictions", NeurIPS 30): a coalition's worth is the mean score of rows that have the explained row's values in
the coalition and a background row's values elsewhere. Its value for each feature is Shapley's, in the form that
Strumbelj and Kononenko (2014, "Explaining prediction models and individual predictions with feature
contributions", Knowledge and Information Systems 41) gave it, here summed over all coalitions and not drawn by
chance: the same row always has the same explanation.

Features are exchanged one by one, so synthetic rows may be of a kind that never occurs. What is explained is what
the model does, not what the world does.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.words.errors import Refused

Score = Callable[[pa.RecordBatch], np.ndarray]

MAX_FEATURES = 10
_ROWS = 1 << 15  # synthetic rows made and scored together, about
_KEYS = 1 << 62  # combinations of values that a 64-bit key can tell apart


@dataclass(frozen=True, slots=True)
class Explanation:
    """One score taken apart.

    Attributes:
        base: mean score of the background.
        score: score of the row: `base` plus all contributions, but for rounding (about 1e-15).
        contributions: feature -> what it added to `base` or took from it, in the definition's order.
    """

    base: float
    score: float
    contributions: dict[str, float]


def explain(score: Score, row: pa.RecordBatch, background: pa.RecordBatch) -> Explanation:
    """The contribution of each feature to the score of `row`.

    Costs at most 2**features scores for each row of the background, in bounded memory; synthetic rows that are
    equal are scored once.

    Args:
        score: a finite number for each row of a batch like `row`.
        row: one row of features.
        background: rows to compare with, at least one, the same columns in the same order; another type (an
            int that the model's example holds as floats) is made that of `row`.

    Raises:
        Refused: more than `MAX_FEATURES` features, a background of other types, or scores that are not one
            finite number a row.
    """
    if row.num_columns > MAX_FEATURES:
        raise Refused(
            f"explanation: got {row.num_columns} features, expected at most {MAX_FEATURES}: exact contributions "
            "take 2**features scores for each row of the background. Ask without an explanation"
        )
    background = _alike(row, background)
    count, own = row.num_columns, float(_checked(score(row), 1)[0])
    # Counted from the row's own score: a coalition that alone decides it is worth exactly nothing less.
    below = np.zeros(1 << count)
    step = max(1, _ROWS >> count)
    for start in range(0, background.num_rows, step):
        below += (_scores(score, row, background.slice(start, step)) - own).sum(axis=1)
    below /= background.num_rows
    contributions = [float(value) for value in shapley(below, count)]
    return Explanation(own + float(below[0]), own, dict(zip(row.schema.names, contributions, strict=True)))


def shapley(worth: np.ndarray, players: int) -> np.ndarray:
    """Shapley values of a game.

    Args:
        worth: of each coalition; bit `i` of a coalition's index says whether player `i` is in it. Shape
            (2**players,).
        players: how many.

    Returns:
        The share of each player in `worth[-1] - worth[0]`, shape (players,).
    """
    coalitions = np.arange(1 << players)
    members = np.bitwise_count(coalitions)
    # Of all orders in which players may come, the share where exactly this coalition stands before the player.
    share = np.array([1 / (players * math.comb(players - 1, size)) for size in range(players)])
    values = np.empty(players)
    for player in range(players):
        before = coalitions[coalitions >> player & 1 == 0]
        values[player] = share[members[before]] @ (worth[before | 1 << player] - worth[before])
    return values


def _alike(row: pa.RecordBatch, background: pa.RecordBatch) -> pa.RecordBatch:
    """The background in the types of the row."""
    if row.num_rows != 1 or background.num_rows == 0:
        raise ValueError(f"got {row.num_rows} rows and {background.num_rows} of background, expected 1 and some")
    if row.schema.names != background.schema.names:
        raise ValueError("background: got other columns than the row's, expected the same in the same order")
    columns = [_cast(*pair) for pair in zip(row.schema, background.columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=row.schema)


def _cast(field: pa.Field, column: pa.Array) -> pa.Array:
    try:
        return column if column.type == field.type else column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # their text holds a value
        raise Refused(
            f"features.{field.name}: got {column.type} in the model's input example, expected values that are "
            f"{field.type}, as the definition says. Log the model with an example of real rows"
        ) from None


def _scores(score: Score, row: pa.RecordBatch, background: pa.RecordBatch) -> np.ndarray:
    """Scores of all synthetic rows of a part of the background, shape (coalitions, rows of the part)."""
    count, rows = row.num_columns, background.num_rows
    coalitions = np.repeat(np.arange(1 << count, dtype=np.int32), rows)
    others = np.tile(np.arange(1, rows + 1, dtype=np.int32), 1 << count)
    # Of each feature, the row's value is at 0 and the background's are behind it.
    values = [pa.concat_arrays(pair) for pair in zip(row.columns, background.columns, strict=True)]
    places = [np.where(coalitions >> feature & 1, 0, others) for feature in range(count)]
    first, again = _distinct(values, places)
    columns = [value.take(pa.array(place[first])) for value, place in zip(values, places, strict=True)]
    synthetic = pa.RecordBatch.from_arrays(columns, schema=row.schema)
    found = np.concatenate([_checked(score(part), part.num_rows) for part in _parts(synthetic)])
    return np.asarray(found[again]).reshape(1 << count, rows)


def _distinct(values: list[pa.Array], places: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Where each different synthetic row stands first, and for each row which of those it equals."""
    keys = np.zeros(len(places[0]), dtype=np.int64)
    size = 1
    for value, place in zip(values, places, strict=True):
        encoded = pc.dictionary_encode(value, null_encoding="encode")
        kinds = len(encoded.dictionary)
        if size * kinds > _KEYS:
            keys = np.unique(keys, return_inverse=True)[1].astype(np.int64)
            size = len(keys)
        keys = keys * kinds + encoded.indices.to_numpy().astype(np.int64)[place]
        size *= kinds
    _, first, again = np.unique(keys, return_index=True, return_inverse=True)
    return first, again


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, _ROWS):
        yield batch.slice(start, _ROWS)


def _checked(scores: np.ndarray, rows: int) -> np.ndarray:
    numbers = np.asarray(scores, dtype=np.float64)
    if numbers.shape != (rows,) or not np.isfinite(numbers).all():
        raise Refused(f"explanation: got shape {numbers.shape} or no number, expected {rows} finite scores")
    return numbers
