"""What every benchmark needs: processes of their own, their time and their peak memory."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

REPOSITORY = Path(__file__).resolve().parent.parent
DEPLOYMENT = REPOSITORY / "examples" / "maintenance_overrun"
AS_OF = date(2026, 3, 31)


def measure(work: Callable[[], Any]) -> dict[str, Any]:
    """Wall and CPU seconds of `work`, all threads of this process."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "result": result}


def peak_mib() -> float:
    """Largest resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(script: str, *arguments: str, cwd: Path) -> dict[str, Any]:
    """Run a benchmark's part in a process of its own; it prints one JSON object as its last line."""
    command = [sys.executable, str(REPOSITORY / "bench" / script), *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def workplace(rows: int) -> Any:
    """The maintenance example over `rows` open orders, in the folder the benchmark runs in."""
    from fielded.definition import load_deployment, load_site
    from fielded.world.workplace import open_workplace

    site = load_site({}, Path.cwd())
    site = replace(site, root=str(Path.cwd() / f"tables-{rows}"))
    return open_workplace(
        load_deployment(DEPLOYMENT),
        site,
        user="os:bench",
        clock=lambda: datetime.now(UTC),
        random_bytes=os.urandom,
    )


def say(value: dict[str, Any]) -> None:
    """The part's result, for `apart`."""
    sys.stdout.write(json.dumps(value) + "\n")
