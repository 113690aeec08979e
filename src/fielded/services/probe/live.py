"""Score marked subjects the way the API does, behind its door: journal first, then the answer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from fielded.decisions.rows import PROBE
from fielded.services.score_live import LiveAnswer, LiveRequest, LiveRow, Settled
from fielded.services.serve import open_live
from fielded.words.errors import FieldedError, Unreachable
from fielded.world.workplace import Workplace

_SECONDS = 60.0  # that an answer may take

Ask = Callable[[str, pa.RecordBatch], LiveAnswer]


@contextmanager
def probing(workplace: Workplace) -> Iterator[Ask]:
    """Claim a journal and load what is in production, as a serving process does.

    Yields:
        What scores one subject by one row of features. It raises what a caller would not get a score for.

    Raises:
        Refused: no approval, changed files, a journal that was put back to an earlier state.
        Unreachable: registry, tables or journal.
    """
    settled: list[LiveAnswer | FieldedError] = []
    done = threading.Event()

    def settle(group: Settled) -> None:
        settled.extend(outcome for _, outcome in group)
        done.set()

    live = open_live(workplace, settle, channel=PROBE)

    def ask(subject: str, features: pa.RecordBatch) -> LiveAnswer:
        settled.clear()
        done.clear()
        (values,) = features.to_pylist()
        row = LiveRow(subject, tuple(values[name] for name in workplace.deployment.features))
        live.scoring.submit(
            LiveRequest(rows=(row,), requested_by=workplace.user, client_address=None, ticket=None, untried=True)
        )
        if not done.wait(_SECONDS):
            raise Unreachable(f"probe: got no answer for {_SECONDS:g} s, expected a score")
        (outcome,) = settled
        if isinstance(outcome, FieldedError):
            raise outcome
        return outcome

    try:
        yield ask
    finally:
        live.close()
