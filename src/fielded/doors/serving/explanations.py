"""What each feature contributed to a score: off the event loop, one at a time, after the row is durable."""

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa

from fielded.decisions.explaining import MAX_FEATURES, Explanation, explain
from fielded.decisions.rules import feature_schema
from fielded.decisions.scoring import Scorer
from fielded.definition.deployment import Feature
from fielded.doors.serving.problems import FieldError, Problem, unavailable, unprocessable
from fielded.services.score_live import LiveAnswer, LiveRow
from fielded.world.models import start_worker

_THREADS = 1  # they compete with the scoring thread for the interpreter
_WAITING = 8  # asked for and not done, at most


class Explanations:
    """Explains scores.

    Args:
        features: the definition's features, in order.
    """

    def __init__(self, features: Mapping[str, Feature]) -> None:
        self._schema = feature_schema(features)
        self._threads = ThreadPoolExecutor(_THREADS, "fielded-explain", initializer=start_worker)
        self._asked = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Keep a place for one explanation: from before its row is scored until it is made.

        Raises:
            Problem: 422, too many features; 503, too many are waited for.
        """
        count = len(self._schema)
        if count > MAX_FEATURES:
            expected = f"false: exact contributions are made for at most {MAX_FEATURES} features"
            raise unprocessable([FieldError("explain", f"true for a model of {count} features", expected)])
        if self._asked >= _WAITING:
            raise unavailable("busy", "Several explanations are waited for. Try again, or ask without one.")
        self._asked += 1
        try:
            yield
        finally:
            self._asked -= 1

    async def explain(self, row: LiveRow, answer: LiveAnswer, *scorers: Scorer) -> Explanation:
        """Explain a score that is durable, in a `place`.

        Args:
            row: what was scored.
            answer: its score.
            scorers: those held before and after it was scored; one of them made it.

        Raises:
            Problem: the version was changed twice meanwhile, or its model has no example to compare with.
        """
        made_by = (answer.model_version, answer.artifact_sha256)
        scorer = next((each for each in scorers if (each.model_version, each.artifact_sha256) == made_by), None)
        if scorer is None:
            raise unavailable("swapped", "The model's version changed meanwhile. Try again.")
        if scorer.background is None:
            raise Problem(500, "fault", "The model has no example to compare with.")
        arrays = [pa.array([value], field.type) for value, field in zip(row.features, self._schema, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, explain, scorer.predict, batch, scorer.background
        )
