"""The API beside other model servers: the same model, machine and run, two workers each, one row a request.

make bench-serving                          all of it, about twelve minutes, into docs/benchmarks.md
python bench/serving/run.py --servers mlflow,fielded --seconds 3

Every server is asked for rows whose scores are known before it is measured; one that gives another float is not
measured. `mlflow models serve` and fielded (with and without its journal) are measured three times, at the
beginning, in the middle and at the end, and their medians are taken, since all else is compared with them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from load import check, find_wrk, is_ready, load
from processes import adopt_orphans, free_ports, loopback_only, resident_mib, running
from table import NOT_MEASURED, table

from servers import (
    ONE_THREAD,
    BentoML,
    EmptyRoute,
    Fielded,
    LitServe,
    MLflow,
    MLServer,
    Place,
    RayServe,
    Row,
    Server,
)

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PAGE = REPOSITORY / "docs" / "benchmarks.md"
BEGIN, END = "<!-- serving: written by make bench -->", "<!-- end of serving -->"
ROWS = 2000
CHECKED_ROWS = 512
READY_SECONDS = 120
WARM_SECONDS = 3

COMPARED: tuple[Server, ...] = (MLflow(), Fielded(), Fielded(journal=False))
OTHERS: tuple[Server, ...] = (
    EmptyRoute(),
    *(kind(variant) for kind in (MLServer, LitServe, BentoML, RayServe) for variant in kind.variants),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [server.name for server in (*COMPARED, *OTHERS)]
    parser.add_argument("--servers", default=",".join(known), help="which, of: %(default)s")
    parser.add_argument("--seconds", type=int, default=8, help="of load with 64 connections; with 1, 5/8 of it")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of those that all is compared with")
    parser.add_argument("--json", type=Path, help="where to put all that was measured")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    find_wrk()
    adopt_orphans()
    if not loopback_only():
        sys.stderr.write("network: this system lets no user have one of its own; some servers listen at all addresses\n")
    wanted = set(chosen.servers.split(","))
    if unknown := wanted - set(known):
        raise SystemExit(f"--servers: got {', '.join(sorted(unknown))}, expected some of {', '.join(known)}")
    measured: dict[str, Any] = {server.name: {"title": server.title, "runs": []} for server in (*COMPARED, *OTHERS)}
    with workplace() as (work, rows, bodies):
        for server in in_turn(chosen.rounds):
            if server.name in wanted and "missing" not in measured[server.name]:
                one = measure(server, work, rows, bodies, chosen.seconds)
                measured[server.name] |= one if "missing" in one else {}
                measured[server.name]["runs"] += [] if "missing" in one else [one]
                tell(server, one)
    result = {name: one for name, one in measured.items() if name in wanted}
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    text = table(result)
    sys.stdout.write(text + "\n")
    if chosen.write:
        page = PAGE.read_text(encoding="utf-8")
        before, found, rest = page.partition(BEGIN)
        if not found:
            raise SystemExit(f"{PAGE.name}: got no line {BEGIN!r}, expected one where the table goes")
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def in_turn(rounds: int) -> Iterator[Server]:
    """Those that all is compared with between the others, so that a slow quarter of an hour meets all of them."""
    yield from COMPARED
    for turn in range(1, max(rounds, 2)):
        yield from OTHERS[(turn - 1) * len(OTHERS) // max(rounds - 1, 1) : turn * len(OTHERS) // max(rounds - 1, 1)]
        if turn < rounds:
            yield from COMPARED


@contextmanager
def workplace() -> Iterator[tuple[Path, list[Row], Path]]:
    """A folder with site, model and rows, on the disk of the repository: a flush must be one."""
    home = environments()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix="work-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        command = [sys.executable, str(HERE / "prepare.py"), str(ROWS)]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"prepare.py failed:\n{done.stderr[-3000:]}")
        yield work, json.loads((work / "rows.json").read_text(encoding="utf-8")), work / "bodies.txt"


def environments() -> Path:
    """Where the peers' environments are."""
    return Path(os.environ.get("FIELDED_BENCH_HOME", REPOSITORY / ".bench")).resolve()


def measure(server: Server, work: Path, rows: Sequence[Row], bodies: Path, seconds: int) -> dict[str, Any]:
    """Start it, compare its answers, warm it up, load it, stop it."""
    with tempfile.TemporaryDirectory(prefix="b-", ignore_cleanup_errors=True) as scratch:
        folder = Path(tempfile.mkdtemp(dir=work, prefix=f"{server.name}-"))
        place = Place(
            work=work, folder=folder, scratch=Path(scratch), environments=environments(), ports=tuple(free_ports(3))
        )
        missing = server.missing(place)
        if missing:
            return {"missing": missing}
        server.prepare(place)
        bodies.write_text("".join(json.dumps(server.body(row)) + "\n" for row in rows), encoding="utf-8")
        log = folder.with_suffix(".log")
        started = time.perf_counter()
        with running(server.command(place), ONE_THREAD | server.environment(place), folder, log) as process:
            port = place.ports[0]
            while not is_ready(server, port, rows[0]):
                if process.poll() is not None or time.perf_counter() - started > READY_SECONDS:
                    return {"missing": "did not start", "log": tail(log)}
                time.sleep(0.2)
            start_seconds = time.perf_counter() - started
            # One connection first: batching that learns from its past would still wait for company.
            load(server, port, bodies, 1, WARM_SECONDS)
            alone = load(server, port, bodies, 1, max(1, seconds * 5 // 8))
            checked = check(server, port, rows[:CHECKED_ROWS], 64)
            if checked.wrong or not checked.right:
                return {"missing": f"of {CHECKED_ROWS} answers {checked.wrong} were wrong and {checked.refused} refused"}
            load(server, port, bodies, 64, WARM_SECONDS)
            return {
                "start_seconds": start_seconds,
                "refused_in_check": checked.refused,
                "64": load(server, port, bodies, 64, seconds),
                "1": alone,
                "resident_mib": resident_mib(),
            }


def tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]


def tell(server: Server, one: dict[str, Any]) -> None:
    """What was measured, as it comes, where one who waits looks."""
    if "missing" in one:
        sys.stderr.write(f"{server.name}: {NOT_MEASURED}: {one['missing']}\n{one.get('log', '')}\n")
        return
    for connections in ("64", "1"):
        run = one[connections]
        sys.stderr.write(
            f"{server.name}, {connections} connections: {run['answered_per_second']:.0f} answered/s, "
            f"{run['refused']} of {run['requests']} refused, {run['broken']} broken, p50 {run['p50_ms']:.2f} ms, "
            f"p99 {run['p99_ms']:.2f} ms, {run['cpu_ms'] or 0:.2f} CPU ms each\n"
        )


if __name__ == "__main__":
    main()
