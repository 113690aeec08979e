"""Callers that ask an API for scores without a pause, and write down what they are told.

A request that is not answered with a score is a failure, whatever the reason; nothing is asked twice.
"""

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

_ANSWER_SECONDS = 60.0
_AFTER_FAILURE_SECONDS = 0.05  # or callers of a dead service would do nothing but fail
_OK = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """One score that came.

    Attributes:
        asked: when the request was sent, in ticks.
        at: when its answer was there, in ticks.
        request_id: of its row.
        version: that scored it.
    """

    asked: float
    at: float
    request_id: str
    version: str


@dataclass(slots=True)
class Load:
    """What callers saw.

    Attributes:
        answers: in no order.
        failures: what came instead of a score -> how often: a status, or the name of an error.
    """

    answers: list[Answer] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        """All that were sent."""
        return len(self.answers) + self.failures.total()


class Callers:
    """Asks from when it is entered until `stop`, or until it is left.

    Args:
        address: host and port.
        token: bearer token.
        bodies: of requests to `/score`, taken in turn by each caller.
        count: callers, each with a connection of its own.
        ticks: seconds that only go up.
    """

    def __init__(
        self,
        address: tuple[str, int],
        token: str,
        bodies: Sequence[bytes],
        count: int,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._bodies = bodies
        self._ticks = ticks
        self._stopping = threading.Event()
        self._loads = [Load() for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._call, args=(number,), name=f"fielded-caller-{number}", daemon=True)
            for number in range(count)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()

    def stop(self) -> Load:
        """Ask no more, wait for every answer that is under way, and tell what was seen."""
        self._stopping.set()
        together = Load()
        for thread, load in zip(self._threads, self._loads, strict=True):
            thread.join()
            together.answers += load.answers
            together.failures += load.failures
        return together

    def _call(self, number: int) -> None:
        load = self._loads[number]
        line = http.client.HTTPConnection(*self._address, timeout=_ANSWER_SECONDS)
        for turn in itertools.count(number, len(self._threads)):
            if self._stopping.is_set():
                break
            asked = self._ticks()
            try:
                line.request("POST", "/score", self._bodies[turn % len(self._bodies)], self._headers)
                response = line.getresponse()
                content = response.read()
                what = str(response.status) if response.status != _OK else ""
                answer = json.loads(content) if not what else {}
            except (OSError, http.client.HTTPException, ValueError) as error:
                what, answer = type(error).__name__, {}
                line.close()
            if not what and not _is_score(answer):
                what = "an answer without a score"
            if what:
                load.failures[what] += 1
                self._stopping.wait(_AFTER_FAILURE_SECONDS)
                continue
            load.answers.append(
                Answer(asked, self._ticks(), str(answer["request_id"]), str(answer["model"]["version"]))
            )
        line.close()


def _is_score(answer: Any) -> bool:
    return (
        isinstance(answer, dict)
        and isinstance(answer.get("score"), float | int)
        and isinstance(answer.get("request_id"), str)
        and isinstance(answer.get("model"), dict)
        and isinstance(answer["model"].get("version"), str)
    )
