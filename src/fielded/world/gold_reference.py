"""Rows of a changed data file as the gold table still has them: a copy made by the run itself, not sealed."""

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from fielded.decisions.rows import PARTITION
from fielded.decisions.seals import SealedFile
from fielded.definition.deployment import Deployment
from fielded.words.errors import FieldedError
from fielded.world.changed_files import Reference
from fielded.world.delta_reading import dataset_of
from fielded.world.tables import DeltaTables

_ID = "request_id"


def gold_reference(
    tables: DeltaTables, deployment: Deployment, folder: Path, file: SealedFile, siblings: list[str]
) -> Reference | None:
    """The gold rows of the run that wrote a file; None where gold shows another run by now, or cannot be read.

    Args:
        tables: the site's tables.
        deployment: for the gold table's name and columns.
        folder: of the predictions table.
        file: the one that changed.
        siblings: the other data files of its partition; rows that they have are not missing from this one.
    """
    try:
        run, day = _run_of(folder / file.path), _day_of(file.path)
        table = tables.find(deployment.batch.output)
        if run is None or day is None or table is None:
            return None
        names = {
            deployment.subject: "subject",
            deployment.decision.score: "score",
            deployment.decision.flag: "flag",
        }
        of_run = (ds.field("run_id") == run) & (ds.field(PARTITION) == day)
        columns = [_ID, *names, "decision", "threshold", "model_name", "model_version", "scored_at"]
        rows = dataset_of(table).to_table(columns=columns, filter=of_run)
        if not rows.num_rows:
            return None
        rows = rows.rename_columns([names.get(name, name) for name in rows.column_names])
        place = rows.column_names.index("subject")
        rows = rows.set_column(place, "subject", rows.column("subject").cast(pa.string()))
        return Reference(name=f"{deployment.batch.output}", rows=_without(rows, folder, siblings), whole=True)
    except (FieldedError, DeltaError, OSError, pa.ArrowException):
        return None


def _run_of(path: Path) -> str | None:
    """The one run whose rows a file has; None of none or several."""
    found = pq.read_table(path, columns=["run_id"], partitioning=None).column(0)
    runs = [value for value in pc.unique(found).to_pylist() if value is not None]
    counts: dict[str, Any] = {run: pc.sum(pc.equal(found, run)).as_py() for run in runs}
    return max(counts, key=lambda run: counts[run]) if counts else None


def _day_of(path: str) -> date | None:
    name, _, value = path.partition("/")[0].partition("=")
    return date.fromisoformat(value) if name == PARTITION else None


def _without(rows: pa.Table, folder: Path, siblings: list[str]) -> pa.Table:
    """Rows that no other file has."""
    for sibling in siblings:
        try:
            ids = pq.read_table(folder / sibling, columns=[_ID], partitioning=None).column(0)
        except (OSError, pa.ArrowException):
            continue
        rows = rows.filter(pc.invert(pc.is_in(rows.column(_ID), value_set=ids.combine_chunks().cast(pa.string()))))
    return rows
