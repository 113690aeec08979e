"""Labelled rows of a version whose truth is known, for the tests of what is measured on them."""

import numpy as np
import pyarrow as pa
from scipy.special import expit, logit

from fielded.decisions.measuring.labelled import Labelled

THRESHOLD = 0.5
HULLS = ("CVN-68", "DDG-51", "LCS-1", "LHD-1")


def made(
    seed: int, rows: int, *, hulls: tuple[str, ...] = HULLS, shifted: dict[str, float] | None = None
) -> Labelled:
    """Rows of a calibrated version with an AUC of about 0.87, its log-odds off in some hulls.

    Args:
        seed: of everything.
        rows: how many.
        hulls: values of `hull`, drawn alike.
        shifted: hull -> log-odds added to the version's scores.
    """
    random = np.random.default_rng(seed)
    hull = random.choice(hulls, rows)
    hours = random.normal(size=rows)
    truth = expit(-0.6 + 2.0 * hours)
    labels = random.random(rows) < truth
    off = np.array([(shifted or {}).get(each, 0.0) for each in hull])
    scores = expit(logit(truth) + off)
    features = pa.table({"hull": hull, "hours": hours})
    return Labelled(features, labels, scores, scores >= THRESHOLD)
