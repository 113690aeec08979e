"""How long drift takes and how much memory, and its table in docs/benchmarks.md. About 15 minutes, 5 GB of disk.

python bench/monitoring/drift.py [--write]                            1, 10 and 50 million rows by 8 features
python bench/monitoring/drift.py --rows 200000 --middle 400000 --large 800000    small, to see that it works

Evidently runs in $BENCH_HOME/monitoring (requirements/monitoring.lock), for it asks for an older pandas. It is
given both tables in memory; so is fielded for that comparison. Repeats alternate: a slow moment meets both.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import REPOSITORY, apart  # noqa: E402

PAGE = REPOSITORY / "docs" / "benchmarks.md"
BEGIN, END = "<!-- drift: written by make bench-monitoring -->", "<!-- end of drift -->"
REPEATS = 3
FEATURES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="for the times and the comparison")
    parser.add_argument("--middle", type=int, default=10_000_000, help="for memory")
    parser.add_argument("--large", type=int, default=50_000_000, help="for memory")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fielded-drift-") as name:
        lines = times(Path(name), chosen.rows)
        lines.append(memory(Path(name), (chosen.rows, chosen.middle, chosen.large)))
    text = "\n".join([f"{machine()}\n", "| What | Measured | Must be |", "|---|---|---|", *lines])
    sys.stdout.write(text + "\n")
    if chosen.write:
        page = PAGE.read_text(encoding="utf-8")
        before, marked, rest = page.partition(BEGIN)
        if not marked:
            raise SystemExit(f"{PAGE.name}: got no line {BEGIN!r}, expected one where the lines go")
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "ibis-framework", "numpy", "pyarrow"))
    return f"{os.cpu_count()} cores, Python {platform.python_version()}; {packages}."


def times(folder: Path, rows: int) -> list[str]:
    apart("monitoring/make_window.py", str(rows), cwd=folder)
    ours: list[dict[str, Any]] = []
    peers: list[dict[str, Any]] = []
    for _ in range(REPEATS):
        ours.append(apart("monitoring/count_window.py", str(rows), cwd=folder))
        peers += evidently(folder, rows)
    query, metrics, counted = (
        statistics.median(run[name] for run in ours) for name in ("query", "metrics", "counted")
    )
    places, values = ours[0]["places"], ours[0]["values"]
    return [
        f"| {rows:,} rows by {FEATURES} features and the score, {places} places: the grouped query over the "
        f"ledger's files | {query:.1f} s | |",
        f"| all drift metrics after that scan, {values} values | {metrics:.2f} s | under 1 s |",
        peer_line(rows, counted, peers),
    ]


def evidently(folder: Path, rows: int) -> list[dict[str, Any]]:
    python = Path(os.environ.get("BENCH_HOME", ".bench")).absolute() / "monitoring" / "bin" / "python"
    if not python.exists():
        return []
    command = [str(python), "-W", "ignore", str(HERE / "peer_psi.py")]
    tables = [f"training-{rows}.parquet", f"window-{rows}.parquet"]
    done = subprocess.run([*command, *tables], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"peer_psi.py failed:\n{done.stderr[-3000:]}")
    return [dict(json.loads(done.stdout.strip().splitlines()[-1]))]


def peer_line(rows: int, counted: float, peers: list[dict[str, Any]]) -> str:
    what = f"| all drift metrics of {rows:,} rows in memory, with counting them, against PSI alone by Evidently"
    if not peers:
        return f"{what} | not measured: it does not install here | at least 20 times as fast |"
    ratio = statistics.median(peer["seconds"] for peer in peers) / counted
    return f"{what} {peers[0]['version']} | {ratio:.0f} times as fast ({counted:.2f} s) | at least 20 |"


def memory(folder: Path, sizes: tuple[int, ...]) -> str:
    peaks = {}
    for rows in sizes:
        if not (folder / f"tables-{rows}").exists():
            apart("monitoring/make_window.py", str(rows), cwd=folder)
        peaks[rows] = apart("monitoring/count_window.py", str(rows), cwd=folder)["peak_mib"]
    shown = ", ".join(f"{peak:,.0f} MiB" for peak in peaks.values())
    return (
        f"| peak memory of the query at {', '.join(f'{rows:,}' for rows in sizes)} rows | {shown}: "
        f"{max(peaks.values()) / peaks[sizes[0]]:.2f} times | flat |"
    )


if __name__ == "__main__":
    main()
