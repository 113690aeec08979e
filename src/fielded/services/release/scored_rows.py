"""What a version says of many rows, by the scorer that scores in production."""

import numpy as np
import pyarrow as pa

from fielded.decisions.release.shift import Scores
from fielded.decisions.scoring import Scorer
from fielded.world.models import one_native_thread

_BATCH = 65_536  # rows scored at once


def scores_of(scorer: Scorer, features: pa.Table) -> Scores:
    """Scores and flags of rows, in their order; the rows are kept nowhere.

    Args:
        scorer: of approved bytes.
        features: in the definition's order and types.
    """
    with one_native_thread():
        made = [scorer.score(batch) for batch in features.combine_chunks().to_batches(_BATCH)]
    if not made:
        return Scores(np.empty(0), np.empty(0, dtype=bool))
    table = pa.Table.from_batches(made)
    return Scores(table.column("score").to_numpy(), table.column("flag").to_numpy())
