"""What Prometheus reads. No label holds a subject, an identity or free text.

With several workers the command that starts them sets `PROMETHEUS_MULTIPROC_DIR`: each writes its numbers to
files there, and whichever is asked adds them up. Counting a request is a few additions of Python's own; the
numbers are handed to the client library about once a second.
"""

import os
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from fielded.services.live_requests import Model

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
MEDIA_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Distribution(Histogram):
    """A histogram that takes many observations at once."""

    def start_tally(self) -> None:
        self._counts = [0] * len(self._upper_bounds)
        self._total = 0.0

    def tally(self, amount: float) -> None:
        self._counts[bisect_left(self._upper_bounds, amount)] += 1
        self._total += amount

    def flush(self) -> None:
        self._sum.inc(self._total)
        for bucket, count in zip(self._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self.start_tally()


class Metrics:
    """The numbers of one worker.

    Args:
        model: registered name.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        registry = self._registry = CollectorRegistry()
        self._predictions = Counter(
            "fielded_predictions", "Rows answered.", ["model", "version", "decision"], registry=registry
        )
        self._requests = Counter(
            "fielded_http_requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self._refusals = Counter(
            "fielded_refusals", "Requests refused, by status and reason.", ["status", "reason"], registry=registry
        )
        self._trial_rows = Counter(
            "fielded_trial_rows",
            "Rows on a candidate's side: scored by it, refused by it, or late.",
            ["model", "version", "mode", "outcome"],
            registry=registry,
        )
        self._trials_ended = Counter(
            "fielded_trials_ended", "Trials that this service ended by itself.", registry=registry
        )
        self._follow_failures = Counter(
            "fielded_alias_follow_failures", "Looks at the alias that failed.", registry=registry
        )
        self._drain_failures = Counter(
            "fielded_drain_failures", "Drains of a journal that failed.", registry=registry
        )
        self._duration = _Distribution(
            "fielded_prediction_duration_seconds",
            "From a request's arrival to its answer, of requests that were scored.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._group = _Distribution(
            "fielded_group_rows", "Rows scored together.", buckets=_ROWS, registry=registry
        )
        self._waiting = Gauge(
            "fielded_journal_rows",
            "Rows in the journals that are not drained yet.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._info = Gauge(
            "fielded_model_info",
            "1 for the version that scores now.",
            ["model", "version", "artifact_sha256"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._keys = Gauge(
            "fielded_identity_keys",
            "Keys of the identity provider that are held; without one no token is believed.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._version: tuple[str, str] | None = None
        self._request_tally: Tally[tuple[str, str, int]] = Tally()
        self._refusal_tally: Tally[tuple[int, str]] = Tally()
        self._prediction_tally: Tally[tuple[str, str]] = Tally()
        self._duration.start_tally()
        self._group.start_tally()

    def request(self, route: str, method: str, status: int, reason: str | None) -> None:
        """A request was answered."""
        self._request_tally[route, method if method in _METHODS else "other", status] += 1
        if reason is not None:
            self._refusal_tally[status, reason] += 1

    def predicted(self, models: Iterable[Model], decisions: Iterable[str]) -> None:
        """Rows were scored and their answers go out."""
        for model, decision in zip(models, decisions, strict=True):
            self._prediction_tally[model.version, decision] += 1

    def tried(self, version: str, mode: str, outcomes: Mapping[str, int]) -> None:
        """So many rows came to a candidate on trial, by what became of them."""
        for outcome, rows in outcomes.items():
            self._trial_rows.labels(self._model, version, mode, outcome).inc(rows)

    def trial_ended(self) -> None:
        """A trial was ended that broke a limit."""
        self._trials_ended.inc()

    def took(self, seconds: float) -> None:
        """A request with scores was answered after so long."""
        self._duration.tally(seconds)

    def group(self, rows: int) -> None:
        """So many rows were scored together."""
        self._group.tally(rows)

    def follow_failed(self) -> None:
        """The alias could not be looked at, or its version not used."""
        self._follow_failures.inc()

    def drain_failed(self) -> None:
        """A journal could not be drained."""
        self._drain_failures.inc()

    def waiting(self, rows: int) -> None:
        """Rows wait in the journals."""
        self._waiting.set(rows)

    def keys_held(self, keys: int) -> None:
        """So many keys can check tokens."""
        self._keys.set(keys)

    def scores_with(self, version: str, artifact_sha256: str) -> None:
        """A version scores now."""
        if self._version == (version, artifact_sha256):
            return
        if self._version is not None:
            self._info.labels(self._model, *self._version).set(0)
        self._info.labels(self._model, version, artifact_sha256).set(1)
        self._version = (version, artifact_sha256)

    def flush(self) -> None:
        """Hand what was counted to the client library."""
        for (route, method, status), count in self._request_tally.items():
            self._requests.labels(route, method, str(status)).inc(count)
        for (code, reason), count in self._refusal_tally.items():
            self._refusals.labels(str(code), reason).inc(count)
        for (version, decision), count in self._prediction_tally.items():
            self._predictions.labels(self._model, version, decision).inc(count)
        self._request_tally.clear()
        self._refusal_tally.clear()
        self._prediction_tally.clear()
        self._duration.flush()
        self._group.flush()

    def text(self) -> bytes:
        """Everything as Prometheus reads it, of all workers. Reads files: for a thread."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if folder is None:
            return generate_latest(self._registry)
        for file in Path(folder).glob("gauge_live*.db"):
            process = int(file.stem.rpartition("_")[2])
            if not _lives(process):
                mark_process_dead(process, folder)  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
