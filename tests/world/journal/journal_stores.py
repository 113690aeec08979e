"""Journals for tests: rows that continue a chain, and a process that appends until it is stopped.

Run as a program it claims a journal and appends small groups, telling after each what was acknowledged:
`python journal_stores.py URL DEPLOYMENT PAUSE ROWS`; PAUSE in seconds between groups, ROWS 0 for no end.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from fielded.decisions.chain import link, row_digests, start_of
from fielded.definition import Site
from fielded.world.journal import End, Journal, Journals, open_journals

MOMENT = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
LEDGER = "0b6f2f5e-3c5e-4d8e-9a55-6f2f3f4c1d20"  # id of a predictions table
CHANNELS = pa.dictionary(pa.int32(), pa.string())


def make_site(folder: Path, url: str, environment: str = "development") -> Site:
    return Site(
        root=str(folder / "tables"), tracking_uri="sqlite:///none.db", artifact_root=str(folder / "artifacts"),
        cache=folder / "cache", journal_url=url, signing_key=f"file:{folder / 'seal.pem'}",
        environment=environment,
    )  # fmt: skip


def make_journals(url: str, deployment: str = "overrun", seed: int | None = None) -> Journals:
    chance = random.SystemRandom() if seed is None else random.Random(seed)
    return open_journals(make_site(Path("/nowhere"), url), deployment, chance.randbytes)


def make_rows(
    journal: str, end: End, count: int, *, more: dict[str, pa.Array] | None = None, kind: pa.DataType = CHANNELS
) -> pa.RecordBatch:
    """Rows that go on from `end`; each is scored a second after the one before."""
    numbers = range(end.sequence + 1, end.sequence + 1 + count)
    features = pa.array(
        [{"hours": number / 3, "kind": None if number % 5 == 0 else "hull"} for number in numbers],
        pa.struct([("hours", pa.float64()), ("kind", pa.string())]),
    )
    columns = {
        "request_id": pa.array([f"{journal}/{number}" for number in numbers], pa.string()),
        "channel": pa.array(["api"] * count, pa.string()).cast(kind),
        "subject": pa.array([f"WO-{number % 7:05d}" for number in numbers], pa.string()),
        "features": features,
        "score": pa.array([1 / number for number in numbers]),
        "flag": pa.array([number % 2 == 0 for number in numbers]),
        "scored_at": pa.array(
            [MOMENT + timedelta(seconds=number) for number in numbers], pa.timestamp("us", tz="UTC")
        ),
        "journal": pa.array([journal] * count, pa.string()),
        "journal_sequence": pa.array(list(numbers), pa.int64()),
        **(more or {}),
    }
    rows = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    return rows.append_column("chain", pa.array([head.hex() for head in link(end.head, row_digests(rows))]))


def append(journal: Journal, count: int, **options: object) -> pa.RecordBatch:
    """Append rows and give them back."""
    rows = make_rows(journal.id, journal.end, count, **options)
    journal.append(rows)
    return rows


def numbers_of(batches: Iterable[pa.RecordBatch]) -> list[int]:
    return [number for batch in batches for number in batch.column("journal_sequence").to_pylist()]


def check_chain(batches: Iterable[pa.RecordBatch], before: End) -> End:
    """Where the chain stands after these rows; they must be the ones that go on from `before`."""
    for batch in batches:
        count = batch.num_rows
        wanted = list(range(before.sequence + 1, before.sequence + 1 + count))
        assert batch.column("journal_sequence").to_pylist() == wanted
        heads = link(before.head, row_digests(batch))
        assert batch.column("chain").to_pylist() == [head.hex() for head in heads]
        before = End(before.sequence + count, heads[-1])
    return before


def beginning(journal: str) -> End:
    return End(0, start_of(journal))


def start_appending(
    url: str, deployment: str = "overrun", pause: float = 0.0, rows: int = 0
) -> subprocess.Popen[str]:
    """A process of its own; its first line is the journal's id, then the last acknowledged number, again and
    again.
    """
    return subprocess.Popen(
        [sys.executable, __file__, url, deployment, str(pause), str(rows)], stdout=subprocess.PIPE, text=True
    )


def _append_for_ever(url: str, deployment: str, pause: float, rows: int) -> None:
    journal = make_journals(url, deployment).claim(LEDGER)
    chance = random.Random(os.getpid())
    sys.stdout.write(f"{journal.id}\n")
    while not rows or journal.end.sequence < rows:
        append(journal, chance.randint(1, 9))
        sys.stdout.write(f"{journal.end.sequence}\n")
        sys.stdout.flush()
        time.sleep(pause)
    journal.close()


if __name__ == "__main__":
    _append_for_ever(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
