"""What came true of subjects that people decided about, out of a table of outcomes of whatever size."""

from collections.abc import Collection
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fielded.words.errors import Unreachable
from fielded.world.delta_reading import dataset_of, stream

_COLUMNS = ("subject", "label", "known_at", "loaded_at")


def outcomes_of(table: DeltaTable | None, subjects: Collection[str]) -> dict[str, tuple[bool, datetime]]:
    """Subject -> the label that counts, and when it became known: the last known, as it was told last.

    Args:
        table: of outcomes; None where there are none yet.
        subjects: to look for.

    Raises:
        Unreachable: the table cannot be read.
    """
    if table is None or not subjects:
        return {}
    wanted = ds.field("subject").isin(pa.array(sorted(subjects), pa.string()))
    found: dict[str, tuple[bool, datetime]] = {}
    try:
        kept = [
            pa.Table.from_batches([batch])
            for batch in stream(dataset_of(table), _COLUMNS, wanted)
            if batch.num_rows
        ]
    except (OSError, pa.ArrowException, DeltaError) as error:
        raise Unreachable(f"table outcomes: cannot be read ({type(error).__name__})") from error
    if not kept:
        return {}
    rows = pa.concat_tables(kept)
    order = pc.sort_indices(rows, [("known_at", "ascending"), ("loaded_at", "ascending")])
    for row in rows.take(order).to_pylist():
        found[row["subject"]] = (bool(row["label"]), row["known_at"])
    return found
