"""All benchmarks, and their tables in docs/benchmarks.md. Takes about 25 minutes and six gigabytes of disk.

make bench                          all of it
python bench/run.py --rows 200000   small, to see that it works; --no-serving leaves the API out
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common import DEPLOYMENT, REPOSITORY, apart

PAGE = REPOSITORY / "docs" / "benchmarks.md"
BEGIN, END = "<!-- batch: written by make bench -->", "<!-- end of batch -->"
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="open work orders for the ratios")
    parser.add_argument("--small", type=int, default=1_000_000, help="open work orders for the lower memory peak")
    parser.add_argument(
        "--large", type=int, default=10_000_000, help="and for the higher; also rows of the ledger"
    )
    parser.add_argument("--no-serving", action="store_true", help="without the API and the other model servers")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = throughput(Path(folder), chosen.rows) + memory(Path(folder), chosen.small, chosen.large)
        lines += lookup(Path(folder), chosen.large)
    text = "\n".join([f"{machine()}\n", "| What | Measured | Must be |", "|---|---|---|", *lines])
    sys.stdout.write(text + "\n")
    if chosen.write:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    if not chosen.no_serving:
        command = [sys.executable, str(REPOSITORY / "bench" / "serving" / "run.py")]
        subprocess.run([*command, *(["--write"] if chosen.write else [])], check=True)


def machine() -> str:
    names = ("deltalake", "duckdb", "ibis-framework", "mlflow", "numpy", "pandas", "pyarrow", "scikit-learn")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{os.cpu_count()} cores, Python {platform.python_version()}; {packages}."


def throughput(folder: Path, rows: int) -> list[str]:
    """Alternating repeats, so that a slow moment of the machine meets all of them."""
    apart("prepare.py", str(rows), cwd=folder)
    runs: dict[str, list[dict[str, Any]]] = {"fielded": [], "alone": [], "usual": []}
    for repeat in range(REPEATS):
        runs["alone"].append(apart("predict_alone.py", str(rows), cwd=folder))
        runs["fielded"].append(apart("score_end_to_end.py", str(rows), f"repeat-{repeat}", cwd=folder))
        runs["usual"].append(apart("usual_script.py", str(rows), cwd=folder))
    ours = rate(runs["fielded"], "wall")
    lines = [
        f"| rows/s end to end, {rows:,} open orders, against (a) `predict_proba` alone on the loaded matrix "
        f"| {ours / rate(runs['alone'], 'wall'):.2f} times | at least 0.7 |",
        f"| CPU seconds a row of (a), over those of fielded "
        f"| {rate(runs['fielded'], 'cpu') / rate(runs['alone'], 'cpu'):.2f} | |",
        f"| rows/s against (b) the usual pandas script "
        f"| {ours / rate(runs['usual'], 'wall'):.2f} times | at least 2 |",
        f"| peak memory of (b) over fielded's, same rows "
        f"| {peak(runs['usual']) / peak(runs['fielded']):.1f} times | |",
    ]
    return lines + spark(folder, rows, ours)


def spark(folder: Path, rows: int, ours: float) -> list[str]:
    what = "| rows/s against (c) MLflow's `spark_udf` on local Spark, two cores |"
    if subprocess.run(["sh", "-c", "command -v java"], capture_output=True, check=False).returncode:
        return [f"{what} not measured: no Java on this machine | |"]
    return [f"{what} {ours / rate([apart('spark_udf.py', str(rows), cwd=folder)], 'wall'):.1f} times | |"]


def rate(runs: list[dict[str, Any]], clock: str) -> float:
    """Median rows a second."""
    return statistics.median(run["rows"] / run[clock] for run in runs)


def peak(runs: list[dict[str, Any]]) -> float:
    return statistics.median(run["peak_mib"] for run in runs)


def memory(folder: Path, small: int, large: int) -> list[str]:
    peaks = {}
    for rows in (small, large):
        apart("prepare.py", str(rows), cwd=folder)
        peaks[rows] = max(
            apart("score_end_to_end.py", str(rows), "memory", cwd=folder)["peak_mib"] for _ in range(2)
        )
    return [
        f"| peak memory at {small:,} rows, and at {large:,} | {peaks[small]:,.0f} MiB, {peaks[large]:,.0f} MiB: "
        f"{peaks[large] / peaks[small]:.2f} times | at most 1.3 |"
    ]


def lookup(folder: Path, rows: int) -> list[str]:
    """A process of its own each time, the ledger's files put out of the page cache before."""
    ledger = folder / "lookup"
    ledger.mkdir()
    made = apart("make_ledger.py", str(rows), cwd=ledger)
    site = {"FIELDED_ROOT": str(ledger / f"tables-{rows}"), **os.environ}
    seconds = []
    for _ in range(5):
        evict(ledger)
        start = time.perf_counter()
        command = [
            str(Path(sys.executable).parent / "fielded"),
            "audit",
            "find",
            made["subject"],
            "-d",
            str(DEPLOYMENT),
        ]
        subprocess.run(command, env=site, cwd=folder, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    empty = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import pyarrow, deltalake"], check=True)
        empty.append(time.perf_counter() - start)
    middle = statistics.median(seconds)
    return [
        f"| `fielded audit find SUBJECT` in {made['rows']:,} rows in random order, new process, files not in the "
        f"page cache | {middle:.2f} s ({middle / statistics.median(empty):.1f} times importing pyarrow "
        f"and deltalake) | under 1 s |"
    ]


def evict(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
