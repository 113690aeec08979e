"""How long a rollback takes under load: from the command's start to every worker serving the previous version.

python bench/release/rollback.py [--write]          four workers, 16 connections that never rest

What is measured is what an operator sees: `fielded rollback` is a process of its own, from its start to its end.
Requests go on all the while; each must be answered with 200, and once the command has said that all workers have
followed none may be answered by the version that was left.
"""

import argparse
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE.parent / "serving"))

from processes import adopt_orphans, free_ports, running  # noqa: E402

from common import DEPLOYMENT, apart  # noqa: E402
from fielded.definition import load_deployment, load_site  # noqa: E402
from fielded.world.journal import open_journals  # noqa: E402

PAGE = HERE.parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- rollback: written by make bench -->", "<!-- end of rollback -->"
_TICK = 0.02  # seconds; the command knows its own start to a clock tick of the system
WORKERS = 4
CONNECTIONS = 16
READY_SECONDS = 120
TOKEN = "token-of-a-benchmark"  # noqa: S105 - only this run's server takes it
MAIN = [sys.executable, "-c", "from fielded.doors.cli import main; main()"]


@dataclass
class Load:
    """Connections that ask without end.

    Attributes:
        answers: when each answer came (`time.monotonic`), and the version that gave it.
        failures: what came instead of one.
    """

    port: int
    bodies: list[bytes]
    answers: list[tuple[float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, number: int) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        turn = number
        while not self.stop.is_set():
            turn += CONNECTIONS
            try:
                line.request("POST", "/score", self.bodies[turn % len(self.bodies)], headers)
                response = line.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failures.append(type(error).__name__)
                line.close()
                continue
            if response.status == 200:
                self.answers.append((time.monotonic(), answer["model"]["version"]))
            else:
                self.failures.append(str(response.status))
        line.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=9, help="rollbacks, back and forth")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="fielded-rollback-") as name:
        folder = Path(name)
        apart("release/two_versions.py", "500", cwd=folder)
        load, found = measure(folder, chosen.times)
    text = table(load, found)
    sys.stdout.write(text + "\n")
    if chosen.write:
        page = PAGE.read_text(encoding="utf-8")
        before, marked, rest = page.partition(BEGIN)
        if not marked:
            raise SystemExit(f"{PAGE.name}: got no line {BEGIN!r}, expected one where the lines go")
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def measure(folder: Path, times: int) -> tuple[Load, list[dict[str, Any]]]:
    """Roll back again and again under load."""
    (port,) = free_ports(1)
    site = folder / "site.yaml"
    site.write_text(
        f"identity: {{development_token: env:BENCH_TOKEN}}\napi: {{workers: {WORKERS}, port: {port}}}\n"
    )
    place = ["-d", str(DEPLOYMENT), "--site", str(site)]
    environment = {"BENCH_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    bodies = [json.dumps({"subject": row["subject"], "features": row["features"]}).encode() for row in rows]
    with running([*MAIN, "serve", *place, "--json"], environment, folder, folder / "serve.log"):
        wait_ready(port)
        wait_holding(folder)
        load = Load(port, bodies)
        threads = [threading.Thread(target=load.run, args=(number,)) for number in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(3)
            found = []
            for _ in range(times):
                found.append(roll_back(folder, place, load))
                wait_holding(folder)
        finally:
            load.stop.set()
            for thread in threads:
                thread.join()
    return load, found


def wait_ready(port: int) -> None:
    end = time.monotonic() + READY_SECONDS
    ready = 0
    while ready < 10 * WORKERS:  # whichever worker accepts
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            line.request("GET", "/health/ready")
            ready += line.getresponse().status == 200
        except OSError:
            time.sleep(0.2)
        finally:
            line.close()
        if time.monotonic() > end:
            raise SystemExit("rollback: the server was not ready in time")


def wait_holding(folder: Path) -> None:
    """Wait until each worker holds the version that it would go back to: some seconds after it began to serve."""
    journals = open_journals(load_site({}, folder), load_deployment(DEPLOYMENT).name, os.urandom)
    end = time.monotonic() + READY_SECONDS
    while len([one for one in journals.serving() if one.standby is not None]) < WORKERS:
        if time.monotonic() > end:
            raise SystemExit("rollback: a worker holds no version to go back to")
        time.sleep(0.2)


def roll_back(folder: Path, place: list[str], load: Load) -> dict[str, Any]:
    """One rollback, and what its callers saw."""
    begun = time.monotonic()
    serves = load.answers[-1][1]
    done = subprocess.run(
        [*MAIN, "rollback", "-m", "benchmark", "--leave", serves, *place, "--json"],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    ended = time.monotonic()
    if done.returncode:
        raise SystemExit(f"rollback failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    told = json.loads(done.stdout)
    late = [one for one in told["followed"] if one["seconds"] is None and not one["gone"]]
    if late or len(told["followed"]) != WORKERS:
        raise SystemExit(f"rollback: got {told['followed']}, expected {WORKERS} workers that followed")
    followed = [one["seconds"] for one in told["followed"]]
    time.sleep(1)
    left = [at for at, version in list(load.answers) if version == told["from"] and at >= begun]
    after = [
        at for at, version in list(load.answers) if version == told["from"] and at > begun + max(followed) + _TICK
    ]
    return {
        "command": ended - begun,
        "followed": max(followed),
        "spread": max(followed) - min(followed),
        "left": max(left, default=begun) - begun,
        "after": len(after),
        "replayed": told["replayed"],
    }


def table(load: Load, found: list[dict[str, Any]]) -> str:
    times, rows = len(found), len(load.answers)
    seconds = {name: [one[name] for one in found] for name in ("command", "followed", "left", "spread")}
    late = sum(one["after"] for one in found)
    rate = rows / (load.answers[-1][0] - load.answers[0][0])

    def told(name: str) -> str:
        return f"{statistics.median(seconds[name]):.2f} s, {max(seconds[name]):.2f} s"

    return "\n".join(
        [
            f"{os.cpu_count()} cores, Python {platform.python_version()}; {WORKERS} workers, {CONNECTIONS} "
            f"connections, {rate:,.0f} requests/s meanwhile; {times} rollbacks back and forth, median and worst.",
            "",
            "| What | Measured | Must be |",
            "|---|---|---|",
            f"| from the command's start to the last answer by the version that was left | {told('left')} "
            "| under 5 s |",
            f"| from the command's start until every worker serves the previous version, as it prints it "
            f"| {told('followed')} | under 5 s |",
            f"| the whole command, with moving the aliases and sealing | {told('command')} | |",
            f"| from the first worker that followed to the last | {told('spread')} | |",
            f"| failed requests of {rows:,} | {len(load.failures)} | 0 |",
            f"| answers by the version that was left, after all had followed | {late} | 0 |",
        ]
    )


if __name__ == "__main__":
    main()
