"""How good probabilities were, once it is known what happened. Training and the October run share it."""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import brier_score_loss, roc_auc_score


def measure(late: npt.NDArray[np.bool_], score: npt.NDArray[np.float64], threshold: float) -> dict[str, float]:
    """Numbers on flights whose arrival is known.

    Args:
        late: what happened.
        score: the probability given for it.
        threshold: a score at or above it is a flag.

    Returns:
        By name; a number that these flights cannot give (no late one among them, none flagged) is left out.
    """
    if len(late) == 0:
        return {"rows": 0.0}
    flagged = score >= threshold
    numbers = {
        "rows": float(len(late)),
        "base_rate": float(late.mean()),
        "mean_score": float(score.mean()),
        "flag_rate": float(flagged.mean()),
        "brier": float(brier_score_loss(late, score)),
        # What a constant guess at the base rate of these very flights would get.
        "brier_of_base_rate": float(late.mean() * (1 - late.mean())),
    }
    if late.any() and not late.all():
        numbers["auc"] = float(roc_auc_score(late, score))
    if flagged.any():
        numbers["precision"] = float(late[flagged].mean())
    if late.any():
        numbers["recall"] = float(flagged[late].mean())
    return numbers
