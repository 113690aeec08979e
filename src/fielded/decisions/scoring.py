"""The one scorer: an Arrow batch of features in, an Arrow batch of predictions out.

Batch, API and Foundry call `Scorer.score`. It holds everything that a prediction row says about where the
score came from, and asks its `predict` for nothing but probabilities. Which of them a person looks at is decided
here too (`decisions.routing`), so no channel can forget to ask.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fielded.decisions.routing import Routing
from fielded.words.errors import FieldedError, Refused

Predict = Callable[[pa.RecordBatch], np.ndarray]

DECISIONS = ("clear", "flagged", "review")

PREDICTION = pa.schema(
    [
        ("score", pa.float64()),
        ("flag", pa.bool_()),
        ("decision", pa.dictionary(pa.int8(), pa.string())),
        ("routed_by", pa.string()),
        ("review_propensity", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """A model version with the definition's decision.

    Attributes:
        model_name: name in the registry.
        model_version: concrete version that the alias resolved to.
        artifact_sha256: digest of the model's files, as approved.
        definition_sha256: digest of the definition.
        routing: threshold and band, and what else sends a score to a person.
        predict: probabilities of the positive class, float64, one per row.
        background: rows of features that an explanation of a score compares with; None where none are kept.
    """

    model_name: str
    model_version: str
    artifact_sha256: str
    definition_sha256: str
    routing: Routing
    predict: Predict
    background: pa.RecordBatch | None = None

    @property
    def threshold(self) -> float:
        """A score at or above it is flagged."""
        return self.routing.threshold

    @property
    def band(self) -> tuple[float, float]:
        """(low, high), both inclusive: a score in it goes to a person."""
        return self.routing.band

    def score(self, features: pa.RecordBatch, request_ids: pa.Array | None = None) -> pa.RecordBatch:
        """Score each row.

        Args:
            features: columns in the definition's order and types, as `decisions.rules` gives them.
            request_ids: UUID texts that the rows will have, one per row. Audits are drawn by them; where they are
                made later, `Routing.audited` draws then.

        Returns:
            Batch of schema `PREDICTION`, one row per row of `features`, in the same order.

        Raises:
            Refused: the model gave something that is not one probability per row.
        """
        scores = self._scores(features) if features.num_rows else np.empty(0)
        routed = self.routing.route(scores, features, request_ids)
        return pa.RecordBatch.from_arrays(
            [
                pa.array(scores, pa.float64()),
                pa.array(scores >= self.threshold, pa.bool_()),
                pa.DictionaryArray.from_arrays(pa.array(routed.decisions), DECISIONS),
                routed.routed_by,
                pa.array(routed.propensity),
            ],
            schema=PREDICTION,
        )

    def _scores(self, features: pa.RecordBatch) -> np.ndarray:
        try:
            output = self.predict(features)
        except FieldedError:
            raise
        except Exception as error:  # its text may hold a row's values
            raise Refused(
                f"model {self.model_name} version {self.model_version}: got {type(error).__name__} while scoring, "
                "expected a probability per row. Give the definition's rules what the model cannot take"
            ) from error
        return check_probabilities(output, features.num_rows)


def check_probabilities(scores: np.ndarray, rows: int) -> np.ndarray:
    """`scores` as a float64 vector, if it is one probability per row.

    Raises:
        Refused: another shape, not a number, or outside [0, 1].
    """
    if scores.shape != (rows,) or not np.issubdtype(scores.dtype, np.floating):
        raise Refused(
            f"model output: got shape {scores.shape} of {scores.dtype}, expected ({rows},) of float64. "
            "Log the model with pyfunc_predict_fn='predict_proba'"
        )
    scores = np.ascontiguousarray(scores, dtype=np.float64)
    if rows and not (scores.min() >= 0.0 and scores.max() <= 1.0):  # NaN fails both comparisons
        raise Refused("model output: got a value outside [0, 1] or not a number, expected a probability")
    return scores
