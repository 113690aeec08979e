"""Wake an endpoint that sleeps, and keep it awake.

1. An answer of 2xx is ready.
2. No answer, 408, 425, 429 and 5xx are an endpoint that is waking up: it is asked again after 10 s, 20 s, 40 s,
   80 s and then every 120 s, so that many who wait do not keep it from waking.
3. Any other answer is no sleep, and waiting does not mend it: wrong URL, wrong credentials.
4. Whoever says how long he waits is told when that time is over; the last wait is cut to it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, count, repeat

from fielded.words.errors import Unreachable, WrongUse
from fielded.world.endpoints import Endpoint

FIRST_SECONDS, LONGEST_SECONDS = 10.0, 120.0
_WAKING = frozenset({408, 425, 429})

Sleep = Callable[[float], None]
Clock = Callable[[], datetime]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Warm:
    """An endpoint that is ready.

    Attributes:
        status: of its answer.
        asked: how many times, until it was.
        seconds: from the first time to its answer.
    """

    status: int
    asked: int
    seconds: float


def waits() -> Iterator[float]:
    """Seconds between one time and the next; see rule 2."""
    doubling = (FIRST_SECONDS * 2**step for step in count())
    growing = (seconds for seconds, _ in zip(doubling, range(4), strict=False))
    return chain(growing, repeat(LONGEST_SECONDS))


def _silent(_text: str) -> None:
    """Tell nobody."""


def wake(
    endpoint: Endpoint, *, sleep: Sleep, clock: Clock, within: timedelta | None = None, tell: Tell = _silent
) -> Warm:
    """Ask until it is ready.

    Args:
        endpoint: what to ask.
        sleep: waits so many seconds.
        clock: the time now, UTC.
        within: how long to go on; None goes on for as long as it takes.
        tell: is told of each answer that is not ready.

    Raises:
        WrongUse: it answers, and waiting will not change how (rule 3).
        Unreachable: it was not ready in time.
    """
    started = clock()
    for asked, wait in enumerate(waits(), start=1):
        status, got = _asked(endpoint)
        elapsed = clock() - started
        if status is not None and 200 <= status < 300:  # noqa: PLR2004 - rule 1
            return Warm(status, asked, elapsed.total_seconds())
        if status is not None and status not in _WAKING and status < 500:  # noqa: PLR2004 - rule 2
            raise WrongUse(
                f"{endpoint.name}: got status {status}, expected 2xx. Waiting does not change that: give the URL "
                "of a readiness check such as /readyz, with --token where it asks for one"
            )
        if within is not None and elapsed >= within:
            raise Unreachable(
                f"{endpoint.name}: got {got}, expected 2xx within {within.total_seconds():g} s. It was asked "
                f"{asked} times; look at its logs"
            )
        pause = wait if within is None else min(wait, (within - elapsed).total_seconds())
        tell(f"{endpoint.name}: {got}; asked again in {pause:g} s")
        sleep(pause)
    raise Unreachable(f"{endpoint.name}: was not ready")  # waits() never ends


def keep_warm(
    endpoint: Endpoint,
    every: float,
    *,
    sleep: Sleep,
    clock: Clock,
    within: timedelta | None = None,
    tell: Tell = _silent,
) -> Iterator[Warm]:
    """Wake it, and ask again every so many seconds, without end; each time it is ready is yielded.

    Raises:
        WrongUse, Unreachable: see `wake`; or `every` is not above zero.
    """
    if not every > 0:
        raise WrongUse(f"--every: got {every:g}, expected more than 0 seconds")
    while True:
        yield wake(endpoint, sleep=sleep, clock=clock, within=within, tell=tell)
        sleep(every)


def _asked(endpoint: Endpoint) -> tuple[int | None, str]:
    """The status, and what was got in words."""
    try:
        status = endpoint.status()
    except Unreachable as error:
        return None, str(error).removeprefix(f"{endpoint.name}: got ")
    return status, f"status {status}"
