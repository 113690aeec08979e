"""Where rows stand: data file and row, found as `world.lookup` finds rows."""

from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from fielded.decisions.rows import PARTITION


def places_of(table: DeltaTable, column: str, values: Collection[str]) -> dict[str, list[int]]:
    """Rows whose `column` has one of some values.

    Args:
        table: a ledger table.
        column: a text column.
        values: what to look for.

    Returns:
        Path of a data file -> row numbers from 0, ascending; only files that have such rows.
    """
    wanted = pa.array(sorted(values), pa.string())
    found: dict[str, list[int]] = {}
    for file in _actions(table):
        low, high = file.get(f"min.{column}"), file.get(f"max.{column}")
        if low is not None and high is not None and not any(low <= value <= high for value in values):
            continue
        searched = pq.read_table(_folder(table) / file["path"], columns=[column], partitioning=None).column(0)
        rows = np.flatnonzero(pc.is_in(searched, value_set=wanted).to_numpy()).tolist()
        if rows:
            found[file["path"]] = rows
    return found


def places_on(table: DeltaTable, day: date) -> dict[str, list[int]]:
    """Every row of a day, as `places_of` gives them."""
    files = [file for file in _actions(table) if file[f"partition.{PARTITION}"] == day]
    return {file["path"]: list(range(pq.read_metadata(_folder(table) / file["path"]).num_rows)) for file in files}


def _actions(table: DeltaTable) -> list[dict[str, Any]]:
    rows = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all().to_pylist()
    return [{**row, "path": unquote(row["path"])} for row in rows]


def _folder(table: DeltaTable) -> Path:
    return Path(unquote(table.table_uri.removeprefix("file://")))
