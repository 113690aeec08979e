"""Requests to a server: first that its answers are right, then as many as it takes."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from processes import cpu_seconds
from servers import Row, Server

HERE = Path(__file__).resolve().parent
TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Checked:
    """Answers compared with what `predict_proba` gave for the same row.

    Attributes:
        right: the same float.
        wrong: another one.
        refused: another status than 200, or none.
    """

    right: int
    wrong: int
    refused: int


def find_wrk() -> str:
    """The load generator's path.

    Raises:
        SystemExit: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit(
            "wrk: not found, expected the load generator. Install it: apt-get install wrk (Debian, Ubuntu), "
            "dnf install wrk (Fedora), or build it from github.com/wg/wrk"
        )
    return found


def ask(connection: HTTPConnection, server: Server, row: Row) -> float | None:
    """One row's score; None where it was refused."""
    headers = {"Content-Type": "application/json", **server.headers}
    connection.request("POST", server.path, json.dumps(server.body(row)), headers)
    answer = connection.getresponse()
    body = answer.read()
    return server.score(json.loads(body)) if answer.status == 200 else None


def is_ready(server: Server, port: int, row: Row) -> bool:
    """Whether it answers with a score."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        return ask(connection, server, row) is not None
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return False
    finally:
        connection.close()


def check(server: Server, port: int, rows: Sequence[Row], connections: int) -> Checked:
    """Ask for every row, over some connections at once, so that batches form."""

    def some(share: Sequence[Row]) -> list[bool | None]:
        connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        try:
            scores = [ask(connection, server, row) for row in share]
        finally:
            connection.close()
        return [
            None if score is None else score == row["score"] or not server.scores
            for score, row in zip(scores, share, strict=True)
        ]

    with ThreadPoolExecutor(connections) as pool:
        answers = [
            one for part in pool.map(some, [rows[n::connections] for n in range(connections)]) for one in part
        ]
    return Checked(answers.count(True), answers.count(False), answers.count(None))


def load(server: Server, port: int, bodies: Path, connections: int, seconds: int) -> dict[str, Any]:
    """Wrk for a while.

    Args:
        server: whom to ask.
        port: where it listens at 127.0.0.1.
        bodies: a file with a request body in each line.
        connections: kept open, each with one request at a time.
        seconds: how long.

    Returns:
        Requests, refused (another status than 2xx), latencies in ms, and the servers' CPU ms for each answer.
    """
    environment: Mapping[str, str] = {
        **os.environ,
        "BENCH_BODIES": str(bodies),
        **({"BENCH_AUTHORIZATION": server.headers["Authorization"]} if server.headers else {}),
    }
    command = [
        find_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT_SECONDS}s",
        "-s", str(HERE / "rows.lua"), f"http://127.0.0.1:{port}{server.path}",
    ]  # fmt: skip
    before = cpu_seconds()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    spent = cpu_seconds() - before
    result = json.loads(done.stdout.strip().splitlines()[-1])
    answered = result["requests"] - result["refused"]
    return {
        **result,
        "connections": connections,
        "answered_per_second": answered / result["seconds"],
        "cpu_ms": 1000 * spent / answered if answered else None,
    }
