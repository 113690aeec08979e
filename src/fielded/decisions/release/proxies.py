"""Features that stand for a protected column: a version may not see the column and know it all the same.

1. How well a feature gives a protected column away is Cramér's V of their table, corrected for its bias (Bergsma
   2013, Journal of the Korean Statistical Society 42:323-328): 0 where they are independent, also in small
   samples and wide tables, where the plain V is not; 1 where one determines the other. It needs no model, sees
   what is not linear, and treats text and number alike. V is divided by what the smaller side allows, so a
   coarse feature that follows a fine protected column counts in full: it errs towards a finding.
2. Numbers are cut into bins of equally many rows, the rarest texts are taken together; as few parts as leave
   five rows a cell on average (Cochran 1954, Biometrics 10:417-451), at most 20. Nulls are a part of their own,
   for being missing gives away as much as a value.
3. Its interval is the delta method's for the mean square contingency (Bishop, Fienberg and Holland 1975,
   Discrete Multivariate Analysis).
4. Outcomes are those of `limits`, with a margin of `MARGIN`.
5. One feature at a time: several that give a column away only together are not found here. The ratios of
   `fairness` see what comes of them.
"""

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from fielded.decisions.measuring.intervals import Estimate, corrected, normal_quantile
from fielded.decisions.measuring.slices import listed
from fielded.decisions.release.findings import Finding
from fielded.decisions.release.limits import Measured, finding
from fielded.definition.release import FairnessGate, Limit

MARGIN = 0.10
CONFIDENCE = 0.95
_ROWS_A_CELL = 5
_PARTS = 20
_MEND = "Leave the feature out or coarsen it, or have the RAI approver sign why it is needed"


def proxy_findings(features: pa.Table, protected: Sequence[str], gate: FairnessGate) -> list[Finding]:
    """Every feature that is not protected against every column that is.

    Args:
        features: the rows that fairness is judged on.
        protected: columns of `features`.
        gate: `proxy` is the strongest association that passes, `minimum_rows` the fewest rows.
    """
    others = [name for name in features.column_names if name not in protected]
    together = corrected(CONFIDENCE, len(others) * len(protected))
    rows = features.num_rows
    few = f"{rows} rows where {gate.minimum_rows} are needed" if rows < gate.minimum_rows else ""
    found = []
    for column in protected:
        groups = protected_groups(features, column)
        for name in others:
            table = contingency(feature_parts(features.column(name), _most_parts(groups)), groups)
            found.append(
                finding(
                    Measured(
                        gate="fairness",
                        item=f"proxy[{name} for {column}]",
                        limit=Limit(at_least=False, bound=gate.proxy),
                        margin=MARGIN,
                        estimate=association(table, CONFIDENCE),
                        together=association(table, together),
                        lacking=few,
                        mend=_MEND,
                        more={"parts": table.shape[0], "groups": table.shape[1]},
                    )
                )
            )
    return found


def association(table: np.ndarray, confidence: float) -> Estimate:
    """Bias-corrected Cramér's V of a table of counts, with its interval; see rules 1 and 3.

    Args:
        table: counts, two-dimensional. No value where a side has a single part: nothing varies.
        confidence: of the interval.
    """
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(float)
    rows = int(table.sum())
    if min(table.shape) < 2 or rows <= max(table.shape):  # noqa: PLR2004 - a table needs two of both
        return Estimate(None, 0.0, 1.0, rows)
    high, wide = table.shape
    share = table / rows
    square, spread = _contingency(share)
    independent = (high - 1) * (wide - 1) / (rows - 1)  # what chance alone gives
    most = min(high - (high - 1) ** 2 / (rows - 1), wide - (wide - 1) ** 2 / (rows - 1)) - 1
    half = normal_quantile(confidence) * spread / math.sqrt(rows)
    return Estimate(
        _v(square - independent, most),
        _v(square - independent - half, most),
        _v(square - independent + half, most),
        rows,
    )


def _contingency(share: np.ndarray) -> tuple[float, float]:
    """Mean square contingency of a table of shares, and the standard deviation of one row's part in it."""
    down, across = share.sum(axis=1, keepdims=True), share.sum(axis=0, keepdims=True)
    ratio = share / (down * across)
    square = share * ratio
    pull = 2 * ratio - square.sum(axis=1, keepdims=True) / down - square.sum(axis=0, keepdims=True) / across
    variance = float((share * pull**2).sum() - (share * pull).sum() ** 2)
    return float(square.sum()) - 1, math.sqrt(max(0.0, variance))


def _v(square: float, most: float) -> float:
    return min(1.0, math.sqrt(max(0.0, square) / most))


def contingency(parts: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Counts of rows by part and group, both given as whole numbers from 0."""
    wide = int(groups.max(initial=0)) + 1
    cells = np.bincount(parts * wide + groups, minlength=(int(parts.max(initial=0)) + 1) * wide)
    return np.reshape(cells, (-1, wide))


def protected_groups(features: pa.Table, column: str) -> np.ndarray:
    """The group of each row, as its place among the column's parts."""
    groups = np.zeros(features.num_rows, dtype=np.int64)
    for place, (_, mask) in enumerate(listed(features, [column])):
        groups[mask] = place
    return groups


def _most_parts(groups: np.ndarray) -> int:
    """How many parts of a feature leave enough rows a cell; see rule 2."""
    wide = int(groups.max(initial=0)) + 1
    return int(np.clip(len(groups) // (_ROWS_A_CELL * wide), 2, _PARTS))


def feature_parts(column: pa.ChunkedArray, most: int) -> np.ndarray:
    """The part of each row, as a whole number from 0: at most `most` of them, and one for nulls."""
    array = column.combine_chunks()
    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _number_parts(array.cast(pa.float64()).to_numpy(zero_copy_only=False), most)
    encoded = array if pa.types.is_dictionary(kind) else array.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(codes[codes >= 0], minlength=1)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.where(codes < 0, most, np.minimum(rank[codes], most - 1))


def _number_parts(values: np.ndarray, most: int) -> np.ndarray:
    missing = np.isnan(values)
    known = values[~missing]
    parts = np.full(len(values), most, dtype=np.int64)
    if len(known):
        distinct = np.unique(known)
        few = len(distinct) <= most
        edges = distinct[1:] if few else np.unique(np.quantile(known, np.arange(1, most) / most))
        parts[~missing] = np.searchsorted(edges, known, side="right")
    return parts
