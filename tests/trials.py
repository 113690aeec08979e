"""Trials in tests: a candidate, who asks, and a model that misbehaves."""

import threading
from dataclasses import replace
from typing import Any

import pyarrow as pa

from books import PREDICTIONS, read
from conftest import Spare
from fielded.services.approve import approve as approve_files
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.release.trial import start_trial
from fielded.services.score_live import LiveAnswer
from fielded.services.serve import Live
from fielded.world.workplace import Workplace
from live import Told, ask, request
from releases import FIRST, ready

OPERATOR = "os:operator"


class Ticks:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def third_version(spare: Spare) -> str:
    """Version 3: the files of version 1, which scores otherwise than production's."""
    made = spare.store.client.create_model_version(spare.model, spare.files["1"].as_uri())
    return str(made.version)


def candidate_of(spare: Spare) -> str:
    """A candidate that may be tried any way, beside version 2."""
    version = third_version(spare)
    adopt(spare.open(OPERATOR))
    approve_files(spare.open(FIRST), version)
    ready(spare, version)
    return version


def begin(spare: Spare, version: str, mode: str, share: float | None = None, **limits: Any) -> str:
    """Start a trial; its salt. A busy machine makes nobody late unless the test says so."""
    limits = {"milliseconds": 30_000.0, **limits}
    state = start_trial(spare.open(OPERATOR), version, mode, share, limits)
    assert state.trial is not None
    return str(state.trial.details["salt"])


def acting(spare: Spare) -> tuple[Workplace, Scorers]:
    workplace = spare.open(OPERATOR)
    return workplace, Scorers(workplace)


def ask_many(live: Live, told: Told, count: int, opening: str = "S") -> dict[str, LiveAnswer]:
    """Subject -> answer, of single-row requests."""
    names = [f"{opening}{number}" for number in range(count)]
    ask(live.scoring, told, [request(name) for name in names])
    return {f"{name}-0": told.of(name) for name in names}


def drained(spare: Spare, live: Live) -> list[dict[str, Any]]:
    live.drain_once()
    return read(spare, PREDICTIONS)


def failing(live: Live, takes: object) -> list[int]:
    """Let the candidate fail on what `takes` does not; the sizes of its calls."""
    held, calls = live.scoring.candidate, []
    predict = held.scorer.predict

    def choosy(features: pa.RecordBatch) -> object:
        calls.append(features.num_rows)
        if not all(takes(row) for row in features.to_pylist()):
            raise SystemExit(3)
        return predict(features)

    held.scorer = replace(held.scorer, predict=choosy)
    return calls


class Held:
    """A candidate's model that answers once it is let go."""

    def __init__(self, live: Live) -> None:
        self.go = threading.Event()
        self.entered = threading.Event()
        held = live.scoring.candidate
        predict = held.scorer.predict

        def hanging(features: pa.RecordBatch) -> object:
            self.entered.set()
            assert self.go.wait(60)
            return predict(features)

        held.scorer = replace(held.scorer, predict=hanging)


def versions(live: Live, told: Told, opening: str) -> list[str]:
    return [answer.model_version for answer in ask_many(live, told, 20, opening).values()]
