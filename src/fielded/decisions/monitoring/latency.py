"""Latency out of a Prometheus histogram's buckets, between two looks at them.

1. Buckets are cumulative since the API's start; what came between two looks is their difference.
2. A bucket with fewer requests than before means that the API started anew: then all that is there is new.
3. A percentile lies in the first bucket that reaches it, at the place that its rank has there, as Prometheus'
   `histogram_quantile` has it. In the last bucket, which has no end, it is that bucket's beginning: no less.
"""

import math
from collections.abc import Mapping

from fielded.decisions.monitoring.measure import Latency

SHARE = 0.95
Buckets = Mapping[float, float]  # upper bound in seconds -> requests up to it

_MILLISECONDS = 1000.0


def between(now: Buckets, before: Buckets) -> dict[float, float]:
    """Requests by bucket since `before`, cumulative; rules 1 and 2."""
    alike = set(now) == set(before)
    if not alike or any(now[bound] < before[bound] for bound in now):
        return dict(now)
    return {bound: now[bound] - before[bound] for bound in now}


def latency(buckets: Buckets, share: float = SHARE) -> Latency:
    """A percentile of what took so long; rule 3.

    Args:
        buckets: cumulative, the last one's bound being infinite.
        share: of the requests that took no longer.
    """
    bounds = sorted(buckets)
    requests = buckets[bounds[-1]] if bounds else 0.0
    if not requests:
        return Latency(lacking="got no scored request since the last look, expected some")
    rank = share * requests
    low, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if not math.isinf(bound):
                low += (bound - low) * (rank - below) / (buckets[bound] - below)
            break
        low, below = bound, buckets[bound]
    return Latency(milliseconds=low * _MILLISECONDS, requests=int(requests))
