"""Which batch run of each day counts: the one with the highest place among the day's runs, which gold shows too.

A day may be scored several times, after an upstream table was corrected or by another version. All rows stay in
the ledger; what is measured is measured on the run that counts, or a row would weigh as often as its day was
scored.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from fielded.decisions.rows import PARTITION


def counted_runs(table: DeltaTable, first_day: date, last_day: date) -> dict[date, str]:
    """The run that counts of each day that has one, ascending.

    Costs a look at the log; only files that hold several runs, such as compacted ones, are opened for their column
    of run ids.

    Args:
        table: the ledger's predictions.
        first_day: of the days, inclusive.
        last_day: inclusive.
    """
    found: dict[date, str] = {}
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    for file in actions:
        day = file[f"partition.{PARTITION}"]
        if not first_day <= day <= last_day or day in found:
            continue
        place = table.transaction_version(f"day/{day}")
        for run in _runs_of(table, file) if place is not None else ():
            if table.transaction_version(f"run/{run}") == place:
                found[day] = run
    return dict(sorted(found.items()))


def _runs_of(table: DeltaTable, file: dict[str, Any]) -> Iterator[str]:
    """Ids of the runs that a data file has rows of."""
    low = file.get("min.run_id")
    # Other writers' ranges may be cut short: what names no run is read from the file.
    if low is not None and low == file.get("max.run_id") and table.transaction_version(f"run/{low}") is not None:
        yield low
        return
    if file.get("null_count.run_id") == file["num_records"]:  # live rows
        return
    path = Path(unquote(table.table_uri.removeprefix("file://"))) / unquote(file["path"])
    seen: set[str] = set()
    with pq.ParquetFile(path) as opened:
        for batch in opened.iter_batches(columns=["run_id"]):
            runs = set(pc.unique(batch.column(0)).to_pylist()) - seen - {None}
            yield from runs
            seen |= runs
