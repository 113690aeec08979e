"""What an auditor counts: the tables of a day, read with deltalake alone, and a crash to count after."""

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from conftest import DAY, World, make_orders
from fielded.words.digests import folder_listing
from fielded.world.data_files import DataFiles

GOLD = "gold.overrun_scores"
PREDICTIONS = "ledger.overrun.predictions"
QUARANTINE = "ledger.overrun.quarantine"
EVENTS = "ledger.overrun.events"


def bits(score: float) -> bytes:
    return struct.pack(">d", score)


def read(world: World, table: str, columns: tuple[str, ...] | None = None) -> list[dict[str, Any]]:
    folder = Path(world.site.root).joinpath(*table.split("."))
    if not folder.exists():
        return []
    return DeltaTable(folder).to_pyarrow_table(columns=columns and list(columns)).to_pylist()


def events(world: World, kind: str, about: str | None = None) -> list[dict[str, Any]]:
    return [row for row in read(world, EVENTS) if row["kind"] == kind and about in (None, row["about"])]


def gold(world: World, day: date = DAY) -> list[dict[str, Any]]:
    return [row for row in read(world, GOLD) if row["scored_date"] == day]


def runs_of(world: World, day: date = DAY) -> set[str]:
    rows = read(world, PREDICTIONS, ("run_id", "scored_date"))
    return {row["run_id"] for row in rows if row["scored_date"] == day}


def tables_bytes(world: World) -> dict[str, str]:
    """Every file below the root with its digest."""
    return folder_listing(Path(world.site.root))


@dataclass(frozen=True)
class Expected:
    """What must come of an orders table, known from how it was made.

    Attributes:
        orders: the table.
        scored: subjects to be scored.
        refused: subject -> how many of its rows are to be quarantined.
    """

    orders: pa.Table
    scored: frozenset[str]
    refused: Counter[str]

    @property
    def population(self) -> int:
        return len(self.scored) + self.refused.total()


def clean(rows: int, first: int = 0, seed: int = 0) -> Expected:
    orders = make_orders(rows, seed, first)
    return Expected(orders, frozenset(orders["order_id"].to_pylist()), Counter())


def faulty(rows: int = 2000, seed: int = 3) -> Expected:
    """Of `rows`, 60 break one rule or two; 5 more subjects come twice."""
    orders = make_orders(rows, seed).to_pydict()
    for place in range(50):
        orders["hours"][place] = -1.0
    for place in range(40, 60):
        orders["month"][place] = 13
    table = pa.table(orders, schema=make_orders(1).schema)
    table = pa.concat_tables([table, table.slice(100, 5)])
    names = orders["order_id"]
    refused = Counter(dict.fromkeys(names[:60], 1) | dict.fromkeys(names[100:105], 2))
    return Expected(table, frozenset(names) - frozenset(refused), refused)


def assert_run(world: World, run: str, expected: Expected, day: date = DAY) -> None:
    """The run's rows are in the ledger and the quarantine once each, with one event."""
    assert Counter(_of_run(world, PREDICTIONS, run, "subject")) == Counter(expected.scored)
    assert Counter(_of_run(world, QUARANTINE, run, "subject")) == expected.refused
    assert set(_of_run(world, PREDICTIONS, run, "scored_date")) <= {day}
    assert len(events(world, "day_scored", run)) == 1


def assert_shown(world: World, run: str, expected: Expected, day: date = DAY) -> None:
    """The gold table has one row for each subject of the day: the run's, to the last bit."""
    shown = gold(world, day)
    assert Counter(row["order_id"] for row in shown) == Counter(expected.scored)
    columns = ("request_id", "subject", "score", "flag", *_ALIKE)
    ledger = {row["request_id"]: row for row in read(world, PREDICTIONS, columns) if row["run_id"] == run}
    assert {row["request_id"] for row in shown} == set(ledger)
    for row in shown:
        source = ledger[row["request_id"]]
        assert row["order_id"] == source["subject"]
        assert bits(row["overrun_probability"]) == bits(source["score"])
        assert row["overrun_flag"] is source["flag"]
        assert [row[name] for name in _ALIKE] == [source[name] for name in _ALIKE]


_ALIKE = ("decision", "threshold", "model_name", "model_version", "run_id", "scored_at", "scored_date")


def _of_run(world: World, table: str, run: str, column: str) -> list[Any]:
    return [row[column] for row in read(world, table, ("run_id", column)) if row["run_id"] == run]


class Crash(BaseException):
    """The process is gone: nothing that tidies up after errors may run."""


@contextmanager
def crash(
    owner: object,
    name: str,
    *,
    after: bool = False,
    matches: Callable[..., bool] = lambda *_args, **_options: True,
    calls: int = 1,
) -> Iterator[None]:
    """Crash at a real step: just before (or after) the `calls`-th call of it that matches."""
    step = getattr(owner, name)
    seen = 0

    def crashing(*args: Any, **options: Any) -> Any:
        nonlocal seen
        seen += matches(*args, **options)
        if seen != calls or not matches(*args, **options):
            return step(*args, **options)
        if after:
            step(*args, **options)
        raise Crash

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, crashing)
        patch.setattr(DataFiles, "__exit__", lambda *_: None)  # a killed process deletes nothing
        with pytest.raises(Crash):
            yield
