"""A candidate on trial beside production, in one worker.

What holds:

1. a subject is on the side where its place lies (`decisions.release.trial`), in every worker and after restarts;
2. whatever the candidate does, production's answer is there: a request that the candidate does not take, or not
   in time, is answered by production, and counted;
3. the candidate scores in a thread of its own. A canary's group waits for it so long and no longer, and not at all
   while it is still busy with an earlier one; in the shadow nobody waits, and rows that it does not come to are
   let go of, and counted. All threads share one interpreter: a shadow that is slow rests most of the time;
4. a candidate that fails on everything costs a bounded number of calls.

One thing it can do all the same: end the process, or hold its interpreter. See `world.trial_marks`.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from fielded.decisions.release.tallies import NOTHING, Counts, Tally, Window
from fielded.decisions.release.trial import place_of
from fielded.decisions.rows import API, SHADOW, Asked, LiveRows
from fielded.decisions.scoring import DECISIONS, PREDICTION, Scorer
from fielded.services.aside import Aside
from fielded.services.live_requests import LiveAnswer, LiveRequest, LiveRow, Settled, features_of
from fielded.services.release.trial import TrialRun

_LOG = logging.getLogger("fielded.live")
_CALLS = 16  # of the candidate in one group, after which no part is halved any more; to find one request at fault
# among 64 takes 13
_WAITING_ROWS = 4096  # that a candidate in the shadow may be behind; what comes then is let go of
_REST, _LONGEST_REST = 10.0, 30.0  # times that a slow call took, and seconds: a tenth of the interpreter at most
_REVIEW = DECISIONS.index("review")


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one request that the candidate scored.

    Attributes:
        taken: bool, one a row of the request.
        scored: of those taken, as `Scorer.score` gives it.
    """

    taken: np.ndarray
    scored: pa.RecordBatch


Parts = Mapping[int, Part]  # by the `id` of a request of the group


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """What a candidate scored in the shadow of one group, to be put on record.

    Attributes:
        candidate: that scored.
        asked: one entry a row.
        scored: as `Scorer.score` gave it.
        scored_at: when production scored the same rows, UTC.
        production: what it answered for them, counted.
    """

    candidate: "Candidate"
    asked: Asked
    scored: pa.RecordBatch
    scored_at: datetime
    production: Tally


class Candidate:
    """Scores with a candidate, and counts.

    Args:
        scorer: of the candidate's approved bytes.
        run: the trial.
        schema: of the features.
        ticks: seconds that only go up.

    Attributes:
        trial: its salt.
        canary: whether the candidate answers; else it scores in the shadow.
    """

    def __init__(self, scorer: Scorer, run: TrialRun, schema: pa.Schema, ticks: Callable[[], float]) -> None:
        self.scorer = scorer
        self.trial = run.salt
        self.canary = run.canary
        self._share = run.share
        self._seconds = run.limits.milliseconds / 1000  # a canary's group waits so long; a longer call is slow
        self._window = Window(run.limits.window_seconds, ticks)
        self._schema = schema
        self._ticks = ticks
        self._aside = Aside()
        self._hurry = threading.Event()  # rest no more
        self._counting = threading.Lock()  # counted by two threads, told by a third
        self._outcomes: Counter[str] = Counter()
        self._waiting = 0
        self._calls = 0
        self._told = False

    @property
    def mode(self) -> str:
        """`canary` or `shadow`."""
        return "canary" if self.canary else "shadow"

    def takes(self, subject: str) -> bool:
        """Whether a subject is on the candidate's side."""
        return place_of(self.trial, subject) < self._share

    def parts(self, requests: Sequence[LiveRequest]) -> Parts:
        """Score the rows of a group that are on the candidate's side. Requests that it does not take, or not in
        time, have none.
        """
        chosen = self._chosen(requests)
        if not chosen:
            return {}
        found: list[Parts] = []
        if self._aside.idle:
            self._aside.give(lambda: found.append(self._tried(chosen)))
            if self._aside.wait(self._seconds) and found:
                self.count(NOTHING, Tally(calls=1))
                return found[0]
        self.count(NOTHING, Tally(calls=1, late=1))
        self._outcome("late", sum(int(np.count_nonzero(taken)) for _, taken in chosen))
        return {}

    def offer(self, settled: Settled, keep: Callable[[Unseen], None]) -> None:
        """Let rows that production has answered be scored in the shadow, soon. Never blocks.

        Args:
            settled: a group as it was answered.
            keep: told, on the candidate's thread, what it scored.
        """
        answered = [(request, one) for request, one in settled if isinstance(one, LiveAnswer)]
        rows = sum(len(request.rows) for request, _ in answered)
        with self._counting:
            room = not self._waiting or self._waiting + rows <= _WAITING_ROWS
            self._waiting += rows if room else 0
        if room:
            self._aside.give(lambda: self._score_unseen(answered, rows, keep))
        else:
            self._outcome("late", sum(self.takes(row.subject) for request, _ in answered for row in request.rows))

    def finish(self, seconds: float) -> None:
        """Wait at most so long for what was offered."""
        self._hurry.set()
        self._aside.wait(seconds)

    def end(self) -> None:
        """Take nothing more; the thread ends once it is free."""
        self._hurry.set()
        self._aside.end()

    def rows_for(self, journal: str) -> LiveRows:
        """What makes this candidate's own rows."""
        return LiveRows(self.scorer, journal, API if self.canary else SHADOW)

    def count(self, production: Tally, candidate: Tally) -> None:
        """Count rows that are durable, or were refused, and calls."""
        with self._counting:
            self._window.count(production, candidate)
            self._outcomes.update(scored=candidate.rows, refused=candidate.refused)

    def counts(self) -> Counts:
        """What this worker has counted within the window."""
        with self._counting:
            return self._window.counts(self.trial)

    def outcomes(self) -> Mapping[str, int]:
        """Rows on the candidate's side since this was asked last: `scored`, `refused` or `late`."""
        with self._counting:
            found, self._outcomes = self._outcomes, Counter()
        return +found

    def _outcome(self, name: str, rows: int) -> None:
        with self._counting:
            self._outcomes[name] += rows

    def _chosen(self, requests: Sequence[LiveRequest]) -> list[tuple[LiveRequest, np.ndarray]]:
        """Requests with rows on the candidate's side, and which those are."""
        chosen = []
        for request in requests:
            if self.canary and request.untried:
                continue
            taken = np.fromiter((self.takes(row.subject) for row in request.rows), bool, len(request.rows))
            if taken.any():
                chosen.append((request, taken))
        return chosen

    def _score_unseen(
        self, answered: Sequence[tuple[LiveRequest, LiveAnswer]], rows: int, keep: Callable[[Unseen], None]
    ) -> None:
        begun = self._ticks()
        try:
            requests = [request for request, _ in answered]
            answers = {id(request): answer for request, answer in answered}
            parts = self._tried(self._chosen(requests))
            shadow = shadow_of(requests, parts, self._schema)
            if shadow is None:
                return
            counted = tally_of_answers([(answers[place], part.taken) for place, part in parts.items()])
            at = answered[0][1].scored_at
            keep(Unseen(candidate=self, asked=shadow[0], scored=shadow[1], scored_at=at, production=counted))
        except BaseException as error:  # noqa: BLE001 - rule 2
            self._tell(error)
        finally:
            with self._counting:
                self._waiting -= rows
            took = self._ticks() - begun
            if took > self._seconds:
                self._hurry.wait(min(_REST * took, _LONGEST_REST))

    def _tried(self, chosen: list[tuple[LiveRequest, np.ndarray]]) -> dict[int, Part]:
        self._calls = 0
        return self._halved(chosen)

    def _halved(self, chosen: list[tuple[LiveRequest, np.ndarray]]) -> dict[int, Part]:
        if not chosen:
            return {}
        rows = [row for request, taken in chosen for row in _taken(request, taken)]
        try:
            scored = self._scored(rows)
        except BaseException as error:  # noqa: BLE001 - rule 2; also a model's SystemExit
            self._tell(error)
            if len(chosen) > 1 and self._calls < _CALLS:
                half = len(chosen) // 2
                return {**self._halved(chosen[:half]), **self._halved(chosen[half:])}
            self.count(NOTHING, Tally(refused=len(rows)))
            return {}
        found, start = {}, 0
        for request, taken in chosen:
            count = int(np.count_nonzero(taken))
            found[id(request)] = Part(taken, scored.slice(start, count))
            start += count
        return found

    def _scored(self, rows: Sequence[LiveRow]) -> pa.RecordBatch:
        self._calls += 1
        return self.scorer.score(features_of(rows, self._schema))

    def _tell(self, error: BaseException) -> None:
        """Once a trial: a candidate that fails would fill the log."""
        if not self._told:
            self._told = True
            _LOG.error(
                "candidate version %s: got %s while scoring: production answers instead, and it is counted",
                self.scorer.model_version,
                type(error).__name__,
            )


def both(
    requests: Sequence[LiveRequest], features: pa.RecordBatch, parts: Parts, production: Scorer
) -> tuple[pa.RecordBatch, np.ndarray]:
    """Scores of a group, of which the candidate made some.

    Args:
        requests: the group.
        features: of all its rows, in order.
        parts: what the candidate scored.
        production: scores the rest.

    Returns:
        Scores of all rows, in order; and bool, which rows the candidate scored.

    Raises:
        Refused: production's model does not take its rows.
    """
    taken = np.concatenate(
        [
            parts[id(request)].taken if id(request) in parts else np.zeros(len(request.rows), bool)
            for request in requests
        ]
    )
    rest = production.score(features.filter(pa.array(~taken)))
    own = [parts[id(request)].scored for request in requests if id(request) in parts]
    places = np.empty(len(taken), np.int64)
    places[~taken] = np.arange(rest.num_rows)
    places[taken] = rest.num_rows + np.arange(len(taken) - rest.num_rows)
    joined = pa.Table.from_batches([rest, *own], schema=PREDICTION).take(pa.array(places))
    return joined.combine_chunks().to_batches()[0], taken


def tally_of(scored: pa.RecordBatch, which: np.ndarray | None = None) -> Tally:
    """Count scores; of the rows `which` (bool) where it is given."""
    scores = scored.column("score").to_numpy()
    flags = scored.column("flag").to_numpy(zero_copy_only=False)
    review = scored.column("decision").indices.to_numpy() == _REVIEW
    if which is None:
        return Tally.of(scores, flags, review)
    return Tally.of(scores[which], flags[which], review[which])


def tally_of_answers(answers: Sequence[tuple[LiveAnswer, np.ndarray]]) -> Tally:
    """Count what was answered; of each answer the rows that are true in the array beside it."""
    total = NOTHING
    for answer, which in answers:
        scores, flags = np.asarray(answer.scores)[which], np.asarray(answer.flags, bool)[which]
        review = np.asarray([decision == "review" for decision in answer.decisions])[which]
        total += Tally.of(scores, flags, review)
    return total


def shadow_of(
    requests: Sequence[LiveRequest], parts: Parts, schema: pa.Schema
) -> tuple[Asked, pa.RecordBatch] | None:
    """What the candidate scored of a group, as it is asked and as it was scored; None where it scored nothing."""
    asked, names, addresses, scored = [], [], [], []
    for request in requests:
        part = parts.get(id(request))
        if part is None:
            continue
        rows = _taken(request, part.taken)
        asked += rows
        names += [request.requested_by] * len(rows)
        addresses += [request.client_address] * len(rows)
        scored.append(part.scored)
    if not asked:
        return None
    joined = pa.Table.from_batches(scored, schema=PREDICTION).combine_chunks().to_batches()[0]
    return (
        Asked(
            subjects=[row.subject for row in asked],
            features=features_of(asked, schema),
            requested_by=names,
            client_addresses=addresses,
        ),
        joined,
    )


def _taken(request: LiveRequest, taken: np.ndarray) -> list[LiveRow]:
    return [row for row, one in zip(request.rows, taken, strict=True) if one]
