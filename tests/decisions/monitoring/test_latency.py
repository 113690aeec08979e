"""Latency is what came between two looks, as Prometheus itself would interpolate it."""

import math

import pytest

from fielded.decisions.monitoring.latency import between, latency

BOUNDS = (0.005, 0.01, 0.05, math.inf)


def buckets(*counts: float) -> dict[float, float]:
    return dict(zip(BOUNDS, counts, strict=True))


def test_a_percentile_lies_where_its_rank_has_it_in_its_bucket() -> None:
    # histogram_quantile(0.95): rank 95 of 100; 80 lie below 10 ms, 100 below 50 ms.
    found = latency(buckets(50, 80, 100, 100))
    assert found.milliseconds == pytest.approx(10 + 40 * 15 / 20)
    assert (found.requests, found.lacking) == (100, "")


def test_what_lies_in_the_bucket_without_end_is_no_less_than_its_beginning() -> None:
    assert latency(buckets(0, 0, 10, 100)).milliseconds == 50.0


def test_nothing_since_the_last_look_has_no_latency() -> None:
    found = latency(between(buckets(5, 8, 10, 10), buckets(5, 8, 10, 10)))
    assert found.milliseconds is None
    assert "no scored request" in found.lacking
    assert latency({}).lacking


def test_only_what_came_since_counts() -> None:
    assert between(buckets(5, 8, 10, 12), buckets(1, 2, 3, 4)) == buckets(4, 6, 7, 8)


def test_an_api_that_started_anew_has_only_new_requests() -> None:
    assert between(buckets(1, 1, 2, 2), buckets(5, 8, 10, 12)) == buckets(1, 1, 2, 2)
    assert between({0.1: 3.0, math.inf: 4.0}, buckets(1, 2, 3, 4)) == {0.1: 3.0, math.inf: 4.0}
