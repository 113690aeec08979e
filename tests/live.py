"""A serving process without its door: requests go straight to `LiveScoring`, answers are waited for."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from conftest import World
from fielded.services.score_live import LiveAnswer, LiveRequest, LiveRow, LiveScoring, Settled
from fielded.services.serve import Live, open_live
from fielded.words.errors import FieldedError
from fielded.world.workplace import Workplace

ROW = (31.5, 12.0, 3, 7, "engine")  # features of the test definition


@dataclass
class Told:
    """What became of requests, in the order they were settled."""

    settled: list[tuple[LiveRequest, LiveAnswer | FieldedError]] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def settle(self, group: Settled) -> None:
        with self._changed:
            self.settled += group
            self.groups.append(len(group))
            self._changed.notify_all()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.settled) >= count, timeout=30), (
                "requests left unsettled"
            )

    def of(self, ticket: object) -> LiveAnswer | FieldedError:
        return next(outcome for request, outcome in self.settled if request.ticket == ticket)


def request(
    ticket: object,
    rows: Sequence[tuple[object, ...]] = (ROW,),
    by: str = "oidc:analyst",
    address: str = "10.1.2.3",
) -> LiveRequest:
    made = tuple(LiveRow(f"{ticket}-{place}", tuple(row)) for place, row in enumerate(rows))
    return LiveRequest(rows=made, requested_by=by, client_address=address, ticket=ticket)


def ask(scoring: LiveScoring, told: Told, requests: Sequence[LiveRequest]) -> None:
    """Submit, and wait until all are settled."""
    before = len(told.settled)
    for item in requests:
        scoring.submit(item)
    told.wait(before + len(requests))


@contextmanager
def serving(
    world: World, workplace: Workplace | None = None, ticks: Callable[[], float] = time.monotonic
) -> Iterator[tuple[Live, Told]]:
    told = Told()
    live = open_live(workplace or world.open("os:server"), told.settle, ticks)
    try:
        yield live, told
    finally:
        live.close()
