"""Score live requests: the product's other half in one file.

    request -> (its group) -> scorer -> journal -> answer

One thread takes whatever waits, scores it together, makes its rows durable in one flush, and only then lets the
answers go. While it scores and flushes, the next group gathers by itself, so a lone request waits for nobody and
many share one call of the model and one flush: the group is as large as the load asks for.

What holds, and is shown by `tests/chaos`:

1. an answered row is durable before its answer is handed over;
2. a row that could not be made durable is not answered (503), and no number in the journal is used twice;
3. one request that the model cannot take fails alone, not the group it came in.

A row may be durable without an answer (its caller or this process died in between): the ledger says what was
scored, never less than what was told.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from fielded.decisions.chain import link
from fielded.decisions.rows import Asked, LiveRows
from fielded.decisions.rules import feature_schema
from fielded.decisions.scoring import Scorer
from fielded.definition.deployment import Feature
from fielded.words.errors import FieldedError, Refused, Unreachable
from fielded.words.identifiers import RandomBytes
from fielded.world.journal import Journal, JournalDown
from fielded.world.models import one_native_thread

Value = float | int | str | bool | None

_LOG = logging.getLogger("fielded.live")
_PROBE_SECONDS = 5.0  # a scoring thread that does not come to a probe in this time is stuck


class Busy(Unreachable):
    """More waits than can be answered soon."""


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One row to score.

    Attributes:
        subject: what the score is about.
        features: values in the definition's order, already checked against its rules.
    """

    subject: str
    features: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRequest:
    """Rows that are answered together or not at all.

    Attributes:
        rows: at least one.
        requested_by: authenticated identity.
        client_address: where the request came from.
        ticket: the caller's own, handed back with the answer.
    """

    rows: Sequence[LiveRow]
    requested_by: str
    client_address: str | None
    ticket: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAnswer:
    """The scores of one request, durable; each sequence has one entry a row, in the request's order.

    Attributes:
        request_ids: UUIDv7 texts.
        scores: probabilities.
        flags: score at or above the threshold.
        decisions: `flagged`, `clear` or `review`.
        model_name: registered name.
        model_version: concrete version.
        artifact_sha256: digest of the model's files.
        scored_at: UTC.
        journal: id of the journal that holds the rows.
        first_sequence: number in it of the first row.
        chains: head of the journal's chain after each row, hexadecimal: whoever keeps one can prove later that the
            row was not dropped or changed on its way to the ledger.
    """

    request_ids: Sequence[str]
    scores: Sequence[float]
    flags: Sequence[bool]
    decisions: Sequence[str]
    model_name: str
    model_version: str
    artifact_sha256: str
    scored_at: datetime
    journal: str
    first_sequence: int
    chains: Sequence[str]


Settled = Sequence[tuple[LiveRequest, LiveAnswer | FieldedError]]


@dataclass(frozen=True, slots=True)
class _Probe:
    """Asks the scoring thread to try the journal."""

    done: threading.Event
    failures: list[FieldedError]


class LiveScoring:
    """Scores requests in groups, durably.

    Args:
        scorer: what scores, until `swap`.
        features: the definition's features, in order.
        journal: claimed for this process; closed by `stop`.
        clock: the time now, UTC.
        random_bytes: source of randomness.
        max_group_rows: rows scored together, at most (one larger request is a group of its own).
        settle: told, on the scoring thread, what became of each request of a group.
    """

    def __init__(
        self,
        *,
        scorer: Scorer,
        features: Mapping[str, Feature],
        journal: Journal,
        clock: Callable[[], datetime],
        random_bytes: RandomBytes,
        max_group_rows: int,
        settle: Callable[[Settled], None],
    ) -> None:
        self._rows = LiveRows(scorer, journal.id)
        self._schema = feature_schema(features)
        self._journal = journal
        self._clock = clock
        self._random_bytes = random_bytes
        self._max_group_rows = max_group_rows
        self._settle = settle
        self._waiting: deque[LiveRequest | _Probe] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._withheld: FieldedError | None = None
        self._thread = threading.Thread(target=self._run, name="fielded-live", daemon=True)

    @property
    def scorer(self) -> Scorer:
        """What scores now."""
        return self._rows.scorer

    @property
    def alive(self) -> bool:
        """Whether requests are being scored. False before `start`, after `stop`, and if the thread was ended by
        something that no code of ours can outlive.
        """
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to score."""
        self._thread.start()

    @property
    def withheld(self) -> FieldedError | None:
        """Why no scores are given, though they could be made; None where they are given."""
        return self._withheld

    def withhold(self, reason: FieldedError) -> None:
        """Give no more scores until `swap`."""
        self._withheld = reason

    def swap(self, scorer: Scorer) -> None:
        """Let the next group be scored by `scorer`; the one under way ends with the old."""
        self._rows = LiveRows(scorer, self._journal.id)
        self._withheld = None

    def submit(self, request: LiveRequest) -> None:
        """Queue a request; never blocks. `settle` is told what became of it.

        Raises:
            Busy: the service is stopping, or its scores are withheld.
        """
        if self._withheld is not None:
            raise Busy("service: got a request while the approval of its model is withdrawn, expected none")
        self._put(request)

    def probe(self) -> None:
        """Have the scoring thread write to the journal.

        Raises:
            JournalDown: it could not, or did not come to it.
            FieldedError: scores are withheld.
        """
        if self._withheld is not None:
            raise self._withheld
        probe = _Probe(threading.Event(), [])
        self._put(probe)
        if not probe.done.wait(_PROBE_SECONDS):
            raise JournalDown(f"scoring thread: got no answer for {_PROBE_SECONDS:g} s, expected one at once")
        if probe.failures:
            raise probe.failures[0]

    def finish(self) -> None:
        """Take no more requests, and settle all that was submitted."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def stop(self) -> None:
        """`finish`, then let the journal go."""
        self.finish()
        self._journal.close()

    def _put(self, item: LiveRequest | _Probe) -> None:
        with self._wake:
            if self._stopping:
                raise Busy("service: got a request while stopping, expected none. Send it to another instance")
            self._waiting.append(item)
            self._wake.notify()

    def _run(self) -> None:
        with one_native_thread():
            while group := self._next_group():
                requests = [item for item in group if isinstance(item, LiveRequest)]
                if requests:
                    self._settle(self._answer(requests))
                for item in group:
                    if isinstance(item, _Probe):
                        self._try_journal(item)
                if len(group) > 1:
                    # Under load, let the thread that takes requests in have its turn at the interpreter: the next
                    # group is larger then, and a group costs little more for being large.
                    time.sleep(0)

    def _next_group(self) -> list[LiveRequest | _Probe]:
        """What waits, as far as it fits; waits for something; empty once stopped and nothing is left."""
        group: list[LiveRequest | _Probe] = []
        rows = 0
        with self._wake:
            while not self._waiting and not self._stopping:
                self._wake.wait()
            while self._waiting:
                item = self._waiting[0]
                rows += len(item.rows) if isinstance(item, LiveRequest) else 0
                if group and rows > self._max_group_rows:
                    break
                group.append(self._waiting.popleft())
        return group

    def _try_journal(self, probe: _Probe) -> None:
        try:
            self._journal.probe()
        except FieldedError as error:
            probe.failures.append(error)
        except BaseException as error:  # noqa: BLE001 - the thread that scores must outlive any fault
            probe.failures.append(_unexpected(error))
        finally:
            probe.done.set()

    def _answer(self, requests: list[LiveRequest]) -> Settled:
        """Score and journal a group. Where the model refuses it, the requests at fault are found first, without
        the journal, by halving; the others go together, in one flush.
        """
        try:
            try:
                return self._score(requests)
            except Refused as refusal:
                if len(requests) == 1:
                    return [(requests[0], refusal)]
            refused = dict(self._at_fault(requests, 0))
            rest = [request for place, request in enumerate(requests) if place not in refused]
            settled = self._score(rest) if rest else []
            return [*settled, *((requests[place], refusal) for place, refusal in refused.items())]
        except FieldedError as error:
            return [(request, error) for request in requests]
        except BaseException as error:  # noqa: BLE001 - also a model's SystemExit; its text may hold a row's values
            unexpected = _unexpected(error)
            return [(request, unexpected) for request in requests]

    def _at_fault(self, requests: list[LiveRequest], start: int) -> Iterator[tuple[int, Refused]]:
        """Place, from `start`, and refusal of each request that the model does not take by itself."""
        try:
            self._rows.scorer.score(self._asked(requests).features)
        except Refused as refusal:
            if len(requests) == 1:
                yield start, refusal
                return
            half = len(requests) // 2
            yield from self._at_fault(requests[:half], start)
            yield from self._at_fault(requests[half:], start + half)

    def _score(self, requests: list[LiveRequest]) -> Settled:
        make, end, scored_at = self._rows, self._journal.end, self._clock().astimezone(UTC)
        rows = make.of(self._asked(requests), scored_at, end.sequence + 1, self._random_bytes)
        heads = link(end.head, make.digests(rows))
        rows = rows.append_column("chain", pa.array([head.hex() for head in heads], pa.string()))
        self._journal.append(rows)
        return list(_answers(requests, rows, make.scorer, scored_at, self._journal.id, end.sequence + 1))

    def _asked(self, requests: list[LiveRequest]) -> Asked:
        rows = [row for request in requests for row in request.rows]
        columns = zip(*(row.features for row in rows), strict=True)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        return Asked(
            subjects=[row.subject for row in rows],
            features=pa.RecordBatch.from_arrays(arrays, schema=self._schema),
            requested_by=[request.requested_by for request in requests for _ in request.rows],
            client_addresses=[request.client_address for request in requests for _ in request.rows],
        )


def _answers(
    requests: list[LiveRequest],
    rows: pa.RecordBatch,
    scorer: Scorer,
    scored_at: datetime,
    journal: str,
    first: int,
) -> Any:
    ids, scores = rows.column("request_id").to_pylist(), rows.column("score").to_pylist()
    flags, decisions = rows.column("flag").to_pylist(), rows.column("decision").to_pylist()
    chains = rows.column("chain").to_pylist()
    start = 0
    for request in requests:
        end = start + len(request.rows)
        yield (
            request,
            LiveAnswer(
                request_ids=ids[start:end],
                scores=scores[start:end],
                flags=flags[start:end],
                decisions=decisions[start:end],
                model_name=scorer.model_name,
                model_version=scorer.model_version,
                artifact_sha256=scorer.artifact_sha256,
                scored_at=scored_at,
                journal=journal,
                first_sequence=first + start,
                chains=chains[start:end],
            ),
        )
        start = end


def _unexpected(error: BaseException) -> FieldedError:
    _LOG.error("unexpected %s while scoring", type(error).__name__)
    return FieldedError("scoring: got an unexpected fault, expected a score. It was logged by its type")
