"""Score live requests: the product's other half in one file.

    request -> (its group) -> scorer -> journal -> answer

One thread takes whatever waits, scores it together, makes its rows durable in one flush, and only then lets the
answers go. While it scores and flushes, the next group gathers by itself, so a lone request waits for nobody and
many share one call of the model and one flush: the group is as large as the load asks for.

What holds, and is shown by `tests/chaos`:

1. an answered row is durable before its answer is handed over;
2. a row that could not be made durable is not answered (503), and no number in the journal is used twice;
3. one request that the model cannot take fails alone, not the group it came in.

Where a candidate is on trial (`score_trial`), it scores some rows of a group instead of production (canary), or
rows that production has answered, once the answers are on their way (shadow). It scores in a thread of its own,
and this one journals its rows: a journal has one writer.

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

import numpy as np
import pyarrow as pa

from fielded.decisions.chain import link, row_digests
from fielded.decisions.rows import API, Asked, LiveRows, answered_by
from fielded.decisions.rules import feature_schema
from fielded.decisions.scoring import Scorer
from fielded.definition.deployment import Feature
from fielded.services.live_requests import LiveAnswer, LiveRequest, LiveRow, Model, Settled, Value, asked_of
from fielded.services.score_trial import Candidate, Parts, Unseen, both, tally_of
from fielded.words.errors import FieldedError, Refused, Unreachable
from fielded.words.identifiers import RandomBytes
from fielded.world.journal import Journal, JournalDown
from fielded.world.models import one_native_thread

__all__ = ["Busy", "LiveAnswer", "LiveRequest", "LiveRow", "LiveScoring", "Model", "Settled", "Value"]

_LOG = logging.getLogger("fielded.live")
_LAST_SECONDS = 0.5  # at the end, for what a candidate still scores in the shadow
_PROBE_SECONDS = 5.0  # a scoring thread that does not come to a probe in this time is stuck


class Busy(Unreachable):
    """More waits than can be answered soon."""


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
        channel: of the rows: `API`, or `PROBE`.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        *,
        scorer: Scorer,
        features: Mapping[str, Feature],
        journal: Journal,
        clock: Callable[[], datetime],
        random_bytes: RandomBytes,
        max_group_rows: int,
        settle: Callable[[Settled], None],
        channel: str = API,
    ) -> None:
        self.channel = channel
        self._rows = LiveRows(scorer, journal.id, channel)
        self._schema = feature_schema(features)
        self._journal = journal
        self._clock = clock
        self._random_bytes = random_bytes
        self._max_group_rows = max_group_rows
        self._settle = settle
        self._waiting: deque[LiveRequest | Unseen | _Probe] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._withheld: FieldedError | None = None
        self._candidate: Candidate | None = None
        self._shadow_fault = ""
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
        self._rows = LiveRows(scorer, self._journal.id, self.channel)
        self._withheld = None

    @property
    def schema(self) -> pa.Schema:
        """Of the features."""
        return self._schema

    @property
    def candidate(self) -> Candidate | None:
        """What is on trial here; None where nothing is."""
        return self._candidate

    def try_out(self, candidate: Candidate | None) -> None:
        """Let the next group be scored beside a candidate; or by production alone."""
        before, self._candidate = self._candidate, candidate
        self._shadow_fault = ""
        if before is not None and before is not candidate:
            before.end()

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

    def _keep(self, unseen: Unseen) -> None:
        with self._wake:
            self._waiting.append(unseen)
            self._wake.notify()

    def _run(self) -> None:
        with one_native_thread():
            self._score_all()
            if self._candidate is not None:
                self._candidate.finish(_LAST_SECONDS)
                self._score_all()

    def _score_all(self) -> None:
        while group := self._next_group():
            requests = [item for item in group if isinstance(item, LiveRequest)]
            if requests:
                candidate = self._candidate
                settled = self._answer(requests, candidate)
                self._settle(settled)
                if candidate is not None and not candidate.canary:
                    candidate.offer(settled, self._keep)
            self._journal_unseen([item for item in group if isinstance(item, Unseen)])
            for item in group:
                if isinstance(item, _Probe):
                    self._try_journal(item)
            if len(group) > 1:
                # Under load, let the thread that takes requests in have its turn at the interpreter: the next
                # group is larger then, and a group costs little more for being large.
                time.sleep(0)

    def _next_group(self) -> list[LiveRequest | Unseen | _Probe]:
        """What waits, as far as it fits; waits for something; empty once stopped and nothing is left."""
        group: list[LiveRequest | Unseen | _Probe] = []
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

    def _answer(self, requests: list[LiveRequest], candidate: Candidate | None = None) -> Settled:
        """Score and journal a group. Where the model refuses it, the requests at fault are found first, without
        the journal, by halving; the others go together, in one flush.
        """
        try:
            canary = candidate if candidate is not None and candidate.canary else None
            parts = canary.parts(requests) if canary is not None else {}
            try:
                return self._score(requests, canary, parts)
            except Refused as refusal:
                if len(requests) == 1:
                    return [(requests[0], refusal)]
            refused = dict(self._at_fault(requests, 0, parts))
            rest = [request for place, request in enumerate(requests) if place not in refused]
            settled = self._score(rest, canary, parts) if rest else []
            return [*settled, *((requests[place], refusal) for place, refusal in refused.items())]
        except FieldedError as error:
            return [(request, error) for request in requests]
        except BaseException as error:  # noqa: BLE001 - also a model's SystemExit; its text may hold a row's values
            unexpected = _unexpected(error)
            return [(request, unexpected) for request in requests]

    def _at_fault(self, requests: list[LiveRequest], start: int, parts: Parts) -> Iterator[tuple[int, Refused]]:
        """Place, from `start`, and refusal of each request that the model does not take by itself."""
        try:
            self._scored(requests, self._asked(requests), self._rows.scorer, parts)
        except Refused as refusal:
            if len(requests) == 1:
                yield start, refusal
                return
            half = len(requests) // 2
            yield from self._at_fault(requests[:half], start, parts)
            yield from self._at_fault(requests[half:], start + half, parts)

    def _scored(
        self, requests: list[LiveRequest], asked: Asked, scorer: Scorer, parts: Parts
    ) -> tuple[pa.RecordBatch, np.ndarray | None]:
        """Scores of a group; and which rows the candidate made, where it made any."""
        if not any(id(request) in parts for request in requests):
            return scorer.score(asked.features), None
        return both(requests, asked.features, parts, scorer)

    def _score(self, requests: list[LiveRequest], canary: Candidate | None, parts: Parts) -> Settled:
        make, end, scored_at = self._rows, self._journal.end, self._clock().astimezone(UTC)
        asked = self._asked(requests)
        scored, taken = self._scored(requests, asked, make.scorer, parts)
        rows = make.made(asked, scored, scored_at, end.sequence + 1, self._random_bytes)
        models = [Model.of(make.scorer)] * rows.num_rows
        if canary is None or taken is None:
            digests = make.digests(rows)
        else:
            rows = answered_by(rows, taken, canary.scorer)
            digests = row_digests(rows)
            other = Model.of(canary.scorer)
            models = [other if one else model for one, model in zip(taken, models, strict=True)]
        rows = self._append(rows, digests)
        if canary is not None:
            counted = np.zeros(rows.num_rows, bool) if taken is None else taken
            canary.count(tally_of(scored, ~counted), tally_of(scored, counted))
        return list(_answers(requests, rows, make.scorer.model_name, models, scored_at))

    def _append(self, rows: pa.RecordBatch, digests: Sequence[bytes]) -> pa.RecordBatch:
        """Make rows durable, with their chain."""
        heads = link(self._journal.end.head, digests)
        rows = rows.append_column("chain", pa.array([head.hex() for head in heads], pa.string()))
        self._journal.append(rows)
        return rows

    def _journal_unseen(self, found: Sequence[Unseen]) -> None:
        """Journal what a candidate scored in the shadow, in one flush. Nobody waits for it, and nothing that
        befalls it is told to a caller.
        """
        held = [one for one in found if one.candidate is self._candidate]  # of a trial that was ended: not wanted
        if not held:
            return
        try:
            first, made = self._journal.end.sequence + 1, []
            for one in held:
                make = one.candidate.rows_for(self._journal.id)
                made.append(make.made(one.asked, one.scored, one.scored_at, first, self._random_bytes))
                first += one.scored.num_rows
            rows = pa.Table.from_batches(made).combine_chunks().to_batches()[0]
            self._append(rows, row_digests(rows))
            for one in held:
                one.candidate.count(one.production, tally_of(one.scored))
        except BaseException as error:  # noqa: BLE001 - the thread that scores must outlive any fault
            fault = str(error) if isinstance(error, FieldedError) else type(error).__name__
            if fault != self._shadow_fault:  # once, not with every group
                self._shadow_fault = fault
                _LOG.error("shadow: rows of the candidate are not on record: %s", fault)

    def _asked(self, requests: list[LiveRequest]) -> Asked:
        return asked_of(requests, self._schema)


def _answers(
    requests: list[LiveRequest],
    rows: pa.RecordBatch,
    model_name: str,
    models: Sequence[Model],
    scored_at: datetime,
) -> Iterator[tuple[LiveRequest, LiveAnswer]]:
    ids, scores = rows.column("request_id").to_pylist(), rows.column("score").to_pylist()
    flags, decisions = rows.column("flag").to_pylist(), rows.column("decision").to_pylist()
    routed_by = rows.column("routed_by").to_pylist()
    chains, journal = rows.column("chain").to_pylist(), rows.column("journal")[0].as_py()
    start, first = 0, rows.column("journal_sequence")[0].as_py()
    for request in requests:
        end = start + len(request.rows)
        answer = LiveAnswer(
            request_ids=ids[start:end],
            scores=scores[start:end],
            flags=flags[start:end],
            decisions=decisions[start:end],
            routed_by=routed_by[start:end],
            model_name=model_name,
            models=models[start:end],
            scored_at=scored_at,
            journal=journal,
            first_sequence=first + start,
            chains=chains[start:end],
        )
        yield request, answer
        start = end


def _unexpected(error: BaseException) -> FieldedError:
    _LOG.error("unexpected %s while scoring", type(error).__name__)
    return FieldedError("scoring: got an unexpected fault, expected a score. It was logged by its type")
