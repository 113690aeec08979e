"""What was measured, as Markdown: what is required of fielded, then all servers over `mlflow models serve`."""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

NOT_MEASURED = "not measured"
Measured = Mapping[str, Mapping[str, Any]]  # server -> title, variant, runs, missing

_BESIDE = (
    "| Over `mlflow models serve` | requests/s | CPU a request | p50 | p99 | refused | alone: requests/s | p50 |"
)
_RATIOS = (
    ("64", "answered_per_second"),
    ("64", "cpu_ms"),
    ("64", "p50_ms"),
    ("64", "p99_ms"),
    ("1", "answered_per_second"),
    ("1", "p50_ms"),
)


def table(measured: Measured, verified: Mapping[str, Mapping[str, Any]]) -> str:
    """Both tables.

    Args:
        measured: by server.
        verified: `batch` and `api` -> what `verify_ledger.py` said.
    """
    lines = [*_required(measured), *_verifying(verified)]
    return "\n".join(["| What | Measured | Must be |", "|---|---|---|", *lines, "", *_beside(measured)])


def middle(measured: Measured, name: str, field: str, connections: str = "64") -> float | None:
    """Median of the runs; None where there was none."""
    runs = measured.get(name, {}).get("runs", [])
    values = [run[connections][field] for run in runs if run[connections][field] is not None]
    return statistics.median(values) if values else None


def _required(measured: Measured) -> Iterator[str]:
    rate = middle(measured, "fielded", "answered_per_second")

    def over(name: str) -> str | None:
        return _times(rate, middle(measured, name, "answered_per_second"))

    yield _line("requests/s over `mlflow models serve`", over("mlflow"), "at least 10")
    best = _best(measured, {"plain", "batched"})
    yield _line(f"requests/s over the best of the others ({_title(measured, best)})", over(best), "at least 3")
    mode = _best(measured, {"throughput"})
    yield _line(f"requests/s over {_title(measured, mode)}", over(mode), "")
    yield _line("requests/s over an empty FastAPI route", over("empty"), "")
    cpu = _times(middle(measured, "mlflow", "cpu_ms"), middle(measured, "fielded", "cpu_ms"))
    yield _line("CPU a request of `mlflow models serve` over fielded's", cpu, "")
    yield _line("p99", _ms(middle(measured, "fielded", "p99_ms")), "under 50 ms")
    for connections, limit, told in (("1", "under 1 ms", ", one connection"), ("64", "under 2 ms", "")):
        audited = middle(measured, "fielded", "p50_ms", connections)
        bare = middle(measured, "fielded-no-journal", "p50_ms", connections)
        added = None if audited is None or bare is None else audited - bare
        yield _line(f"what the durable audit adds to the median{told}", _ms(added), limit)


def _verifying(verified: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for kind, name, least in (("batch", "rows of batch runs", 1_000_000), ("api", "rows of the API", 200_000)):
        one = verified.get(kind)
        found = f"{one['rows'] / one['wall']:,.0f} rows/s" if one else None
        rows = f"{one['rows']:,} " if one else ""
        yield _line(f"`fielded audit verify` on {rows}{name}", found, f"at least {least:,}")


def _beside(measured: Measured) -> Iterator[str]:
    """All servers: answered requests only; what a server refuses is not speed."""
    yield _BESIDE
    yield "|---|---|---|---|---|---|---|---|"
    for name, one in measured.items():
        if not one["runs"]:
            yield f"| {one['title']} | {NOT_MEASURED}: {one.get('missing', '')} | | | | | | |"
            continue
        cells = [_ratio(measured, name, connections, field) for connections, field in _RATIOS]
        cells.insert(4, _refused(one["runs"]))
        yield f"| {one['title']} | {' | '.join(cells)} |"


def _ratio(measured: Measured, name: str, connections: str, field: str) -> str:
    value, base = (middle(measured, each, field, connections) for each in (name, "mlflow"))
    return "-" if value is None or not base else f"{value / base:.2f}"


def _best(measured: Measured, variants: set[str]) -> str:
    """The fastest of the other servers in these variants, by answered requests; empty where none was measured."""
    rates = {
        name: rate
        for name, one in measured.items()
        if one["variant"] in variants and (rate := middle(measured, name, "answered_per_second")) is not None
    }
    return max(rates, key=rates.__getitem__, default="")


def _title(measured: Measured, name: str) -> str:
    return measured[name]["title"] if name else "none was measured"


def _refused(runs: list[Any]) -> str:
    both = [run[connections] for run in runs for connections in ("64", "1")]
    refused, asked = (sum(one[field] for one in both) for field in ("refused", "requests"))
    return f"{refused / asked:.1%}" if refused else "none"


def _times(value: float | None, base: float | None) -> str | None:
    return None if value is None or not base else f"{value / base:.2f} times"


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f} ms"


def _line(what: str, found: str | None, limit: str) -> str:
    return f"| {what} | {found or NOT_MEASURED} | {limit} |"
