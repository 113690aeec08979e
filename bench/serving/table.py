"""What was measured as Markdown: what is required of fielded, and all servers as ratios to `mlflow models serve`."""

import statistics
from collections.abc import Mapping
from typing import Any

NOT_MEASURED = "not measured"
Measured = Mapping[str, Mapping[str, Any]]


def table(measured: Measured) -> str:
    """Both tables."""
    return "\n".join([*required(measured), "", *beside(measured)])


def middle(measured: Measured, name: str, connections: str, field: str) -> float | None:
    """Median of the runs; None where there was none."""
    runs = measured.get(name, {}).get("runs", [])
    values = [run[connections][field] for run in runs if run[connections][field] is not None]
    return statistics.median(values) if values else None


def required(measured: Measured) -> list[str]:
    """The issue's own measures."""
    lines = ["| What | Measured | Must be |", "|---|---|---|"]

    def ours(field: str, connections: str = "64", name: str = "fielded") -> float | None:
        return middle(measured, name, connections, field)

    rate = ours("answered_per_second")
    lines.append(_line("requests/s against `mlflow models serve`, 64 connections",
                       _over(rate, ours("answered_per_second", name="mlflow")), "at least 10 times"))  # fmt: skip
    best, title = _best(measured)
    lines.append(_line(f"requests/s against the best of the other servers ({title}), 64 connections",
                       _over(rate, best), "at least 3 times"))  # fmt: skip
    lines.append(_line("CPU a request of `mlflow models serve` over fielded's, 64 connections",
                       _over(ours("cpu_ms", name="mlflow"), ours("cpu_ms")), ""))  # fmt: skip
    lines.append(_line("requests/s against an empty FastAPI route, 64 connections",
                       _over(rate, ours("answered_per_second", name="empty")), ""))  # fmt: skip
    lines.append(_line("p99 at 64 connections", _ms(ours("p99_ms")), "under 50 ms"))
    for connections, limit in (("1", "under 1 ms"), ("64", "under 2 ms")):
        both = ours("p50_ms", connections), ours("p50_ms", connections, "fielded-no-journal")
        added = None if None in both else both[0] - both[1]
        people = "connection" if connections == "1" else "connections"
        lines.append(_line(f"the durable audit adds at the median, {connections} {people}", _ms(added), limit))
    return lines


def beside(measured: Measured) -> list[str]:
    """All servers: answered requests only; what a server refuses is not speed."""
    lines = [
        "| Server | requests/s, 64 connections | CPU a request | p50 | p99 | refused | requests/s, 1 connection | p50 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    columns = [("64", "answered_per_second"), ("64", "cpu_ms"), ("64", "p50_ms"), ("64", "p99_ms"),
               ("1", "answered_per_second"), ("1", "p50_ms")]  # fmt: skip
    for name, one in measured.items():
        if not one["runs"]:
            lines.append(f"| {one['title']} | {NOT_MEASURED}: {one.get('missing', '')} | | | | | | |")
            continue
        cells = [
            f"{value / base:.2f}" if (value := middle(measured, name, *column)) and (base := middle(measured, "mlflow", *column)) else "-"
            for column in columns
        ]
        cells.insert(4, _refused(one["runs"]))
        lines.append(f"| {one['title']} | {' | '.join(cells)} |")
    return lines


def _best(measured: Measured) -> tuple[float | None, str]:
    """The fastest of MLServer, LitServe, BentoML and Ray Serve, by answered requests."""
    found = [
        (rate, one["title"])
        for name, one in measured.items()
        if name.endswith(("-plain", "-batched", "-throughput"))
        and (rate := middle(measured, name, "64", "answered_per_second")) is not None
    ]
    return max(found, default=(None, "none was measured"))


def _refused(runs: list[Any]) -> str:
    refused = sum(run[each]["refused"] for run in runs for each in ("64", "1"))
    share = refused / max(1, sum(run[each]["requests"] for run in runs for each in ("64", "1")))
    return "none" if not refused else f"{share:.1%}"


def _over(value: float | None, base: float | None) -> str | None:
    return None if value is None or not base else f"{value / base:.2f} times"


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f} ms"


def _line(what: str, found: str | None, limit: str) -> str:
    return f"| {what} | {found or NOT_MEASURED} | {limit} |"
