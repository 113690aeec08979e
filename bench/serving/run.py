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
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from load import check, find_wrk, is_ready, load
from processes import adopt_orphans, free_ports, loopback_only, resident_mib, running
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
from table import NOT_MEASURED, table

from common import apart

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
    chosen = parse()
    find_wrk()
    adopt_orphans()
    if not loopback_only():
        sys.stderr.write("network: got none of its own for this run; some servers will listen at all addresses\n")
    with workplace() as (work, rows, bodies):
        measured = measure_all(chosen, work, rows, bodies)
        verified = {} if chosen.no_verify else verify(work, {"batch": chosen.batch_rows, "api": chosen.api_rows})
    if chosen.json:
        everything = {"machine": machine(), "servers": measured, "verify": verified}
        chosen.json.write_text(json.dumps(everything, indent=1), encoding="utf-8")
    text = f"{machine()}\n\n{table(measured, verified)}"
    sys.stdout.write(text + "\n")
    if chosen.write:
        page = PAGE.read_text(encoding="utf-8")
        before, found, rest = page.partition(BEGIN)
        if not found:
            raise SystemExit(f"{PAGE.name}: got no line {BEGIN!r}, expected one where the table goes")
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [server.name for server in (*COMPARED, *OTHERS)]
    parser.add_argument("--servers", default=",".join(known), help="which, of: %(default)s")
    parser.add_argument("--seconds", type=int, default=8, help="of load with 64 connections; with 1, 5/8 of it")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of those that all is compared with")
    parser.add_argument("--batch-rows", type=int, default=4_000_000, help="of batch runs, to verify")
    parser.add_argument("--api-rows", type=int, default=500_000, help="of the API, to verify")
    parser.add_argument("--no-verify", action="store_true", help="measure servers only")
    parser.add_argument("--json", type=Path, help="where to put all that was measured")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    chosen.servers = chosen.servers.split(",")
    if unknown := set(chosen.servers) - set(known):
        raise SystemExit(f"--servers: got {', '.join(sorted(unknown))}, expected some of {', '.join(known)}")
    return chosen


def measure_all(chosen: argparse.Namespace, work: Path, rows: Sequence[Row], bodies: Path) -> dict[str, Any]:
    """Server -> title, variant, runs, and why it is missing if it is."""
    measured: dict[str, Any] = {
        server.name: {"title": server.title, "variant": server.variant, "runs": []}
        for server in (*COMPARED, *OTHERS)
        if server.name in chosen.servers
    }
    for server in in_turn(chosen.rounds):
        if server.name in measured and "missing" not in measured[server.name]:
            one = measure(server, work, rows, bodies, chosen.seconds)
            tell(server, one)
            if "missing" in one:
                measured[server.name] |= one
            else:
                measured[server.name]["runs"].append(one)
    return measured


def verify(work: Path, rows: Mapping[str, int]) -> dict[str, Any]:
    """Rows of each kind -> how long `fielded audit verify` takes over them."""
    return {
        kind: apart("serving/verify_ledger.py", kind, str(count), cwd=Path(tempfile.mkdtemp(dir=work)))
        for kind, count in rows.items()
    }


def machine() -> str:
    """What was measured with."""
    wanted = ("mlflow", "mlserver", "litserve", "bentoml", "ray", "fastapi", "uvicorn")
    folders = [str(path) for path in environments().glob("*/lib/python3*/site-packages")]
    found = {each.name: each.version for each in distributions(path=folders)}
    found |= {name: version(name) for name in ("mlflow", "fastapi", "uvicorn")}
    packages = ", ".join(f"{name} {found[name]}" for name in wanted if name in found)
    return f"{os.cpu_count()} cores, Python {platform.python_version()}; {packages}."


def in_turn(rounds: int) -> Iterator[Server]:
    """Those that all is compared with between the others, so that a slow quarter of an hour meets all of them."""
    parts = max(1, rounds - 1)
    for part in range(parts):
        yield from COMPARED
        yield from OTHERS[part * len(OTHERS) // parts : (part + 1) * len(OTHERS) // parts]
    if rounds > 1:
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
    return Path(os.environ.get("BENCH_HOME", REPOSITORY / ".bench")).resolve()


def measure(server: Server, work: Path, rows: Sequence[Row], bodies: Path, seconds: int) -> dict[str, Any]:
    """Start it, compare its answers, warm it up, load it, stop it."""
    with tempfile.TemporaryDirectory(prefix="b-", ignore_cleanup_errors=True) as scratch:
        folder = Path(tempfile.mkdtemp(dir=work, prefix=f"{server.name}-"))
        place = Place(
            work=work,
            folder=folder,
            scratch=Path(scratch),
            environments=environments(),
            ports=tuple(free_ports(3)),
        )
        missing = server.missing(place)
        if missing:
            return {"missing": missing}
        server.prepare(place)
        bodies.write_text("".join(json.dumps(server.body(row)) + "\n" for row in rows), encoding="utf-8")
        log = folder.with_suffix(".log")
        started = time.perf_counter()
        with running(
            server.command(place), ONE_THREAD | {"TMPDIR": scratch} | server.environment(place), folder, log
        ) as process:
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
                told = f"{checked.wrong} wrong, {checked.refused} refused"
                return {"missing": f"{CHECKED_ROWS} answers compared: {told}"}
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
