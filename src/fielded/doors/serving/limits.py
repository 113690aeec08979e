"""How much at once: requests in flight in this worker, and requests of one identity in a minute.

Both are looked at before a body is read. Counted in this worker's memory: with several workers or replicas an
identity has its rate in each.
"""

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from fielded.definition.serving import Api
from fielded.doors.serving.problems import Problem, unavailable


class Limits:
    """The limits of a worker.

    Args:
        api: `max_in_flight`, `rate_per_minute`.
    """

    def __init__(self, api: Api) -> None:
        self._places = api.max_in_flight
        self._taken = 0
        self._rate = RateLimitItemPerMinute(api.rate_per_minute) if api.rate_per_minute else None
        self._window = MovingWindowRateLimiter(MemoryStorage()) if self._rate else None

    def take_place(self) -> None:
        """Take a place for a request.

        Raises:
            Problem: 503, all are taken.
        """
        if self._taken >= self._places:
            raise unavailable("busy", "As many requests as this service takes are being answered. Try again.")
        self._taken += 1

    def leave_place(self) -> None:
        """Give a place back."""
        self._taken -= 1

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
