"""Labelled rows for the model of `conftest`: from the same world as its training data, or from another."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from conftest import DEFINITION, KINDS

TABLE = "silver.holdout"
RELEASE = f"release: {{holdout: {{table: {TABLE}, label: overran}}, gates: GATES}}\n"
LIMITS = "{performance: {limits: {auc: '>= 0.6', brier: '<= 0.3'}}}"


def definition(gates: str = LIMITS, text: str = DEFINITION) -> str:
    """A definition with a hold-out and gates."""
    return text + RELEASE.replace("GATES", gates)


def labelled_orders(
    rows: int, seed: int = 5, *, more: float = 0.0, wrong: tuple[str, ...] = (), kinds: Mapping[str, float] = {}
) -> pa.Table:
    """Orders and what became of them, as `conftest.make_pipeline` draws them.

    Args:
        rows: how many.
        seed: of the draws.
        more: added to the log-odds: the event comes more often than the model learned.
        wrong: kinds of orders with which it is the other way round.
        kinds: kind -> share of the rows; the rest is shared by the others.
    """
    rng = np.random.default_rng(seed)
    others = [kind for kind in KINDS if kind not in kinds]
    rest = (1 - sum(kinds.values())) / max(1, len(others))
    frame = pd.DataFrame(
        {
            "order_id": [f"HO-{seed}-{number:06d}" for number in range(rows)],
            "hours": rng.lognormal(3, 1, rows),
            "age": np.where(rng.random(rows) < 0.1, np.nan, rng.integers(1, 50, rows).astype(float)),
            "earlier": rng.integers(0, 20, rows),
            "month": rng.integers(1, 13, rows),
            "kind": rng.choice(KINDS, rows, p=[kinds.get(kind, rest) for kind in KINDS]),
        }
    )
    odds = 0.03 * (frame.hours - 30) + 0.04 * (frame.age.fillna(25) - 25) + (frame.kind == "engine") + more
    odds = odds.where(~frame.kind.isin(wrong), -odds)
    frame["overran"] = rng.random(rows) < 1 / (1 + np.exp(-odds))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return table.set_column(2, "age", pa.array(frame.age, from_pandas=True))
