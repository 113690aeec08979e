"""How much at once: requests and rows in flight in this worker, and requests of one identity in a minute.

Requests are counted before a body is read, rows as soon as there are some. All in this worker's memory: with
several workers or replicas an identity has its rate in each.
"""

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from fielded.definition.serving import Api
from fielded.doors.serving.calls import Call
from fielded.doors.serving.connections import most_connections
from fielded.doors.serving.problems import Problem, unavailable


class Limits:
    """The limits of a worker.

    Args:
        api: `max_in_flight`, `max_waiting_rows`, `rate_per_minute`.

    Attributes:
        connections: that are held at once.
    """

    def __init__(self, api: Api) -> None:
        self._places = api.max_in_flight
        self._taken = 0
        self._most_rows = api.max_waiting_rows
        self._rows = 0
        self.connections = most_connections(api.max_in_flight)
        self._rate = RateLimitItemPerMinute(api.rate_per_minute) if api.rate_per_minute else None
        self._window = MovingWindowRateLimiter(MemoryStorage()) if self._rate else None

    def take_place(self, call: Call) -> None:
        """Take a place for a request.

        Raises:
            Problem: 503, all are taken.
        """
        if self._taken >= self._places:
            raise unavailable("busy", "As many requests as this service takes are being answered. Try again.")
        self._taken += 1
        call.counted = True

    def take_rows(self, call: Call, rows: int) -> None:
        """Take a place for each row of a request.

        Raises:
            Problem: 503, too few are free.
        """
        if self._rows + rows > self._most_rows:
            raise unavailable("busy", "As many rows as this service takes are being scored. Try again.")
        self._rows += rows
        call.rows += rows

    def leave(self, call: Call) -> None:
        """Give back what a request took."""
        self._taken -= call.counted
        self._rows -= call.rows
        call.counted, call.rows = False, 0

    def count(self, identity: str) -> None:
        """Count a request of an identity.

        Raises:
            Problem: 429, it has made too many in the last minute.
        """
        if self._rate is None or self._window is None or self._window.hit(self._rate, identity):
            return
        reset = self._window.get_window_stats(self._rate, identity).reset_time
        seconds = max(1, math.ceil(reset - time.time()))
        detail = f"More than {self._rate.amount} requests in a minute. Wait, or send rows together."
        raise Problem(429, "rate", detail, headers={"Retry-After": str(seconds)})
