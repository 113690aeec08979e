"""Some recorded rows of one version: what it must score again to the last bit before it is relied on."""

from collections.abc import Sequence
from typing import Any

import pyarrow.dataset as ds
from deltalake import DeltaTable

from fielded.world.delta_reading import dataset_of

TO_REPLAY = ("request_id", "features", "score")


def recorded_rows(
    table: DeltaTable, version: str, sha256: str, count: int, columns: Sequence[str] = TO_REPLAY
) -> list[dict[str, Any]]:
    """Up to `count` rows that these bytes scored, of the newest days that have any.

    Spread over a row group, for its rows may be sorted by something. At most one row group is in memory.

    Args:
        table: the ledger's predictions.
        version: concrete version.
        sha256: digest of its files.
        count: rows at most.
        columns: of each row.

    Returns:
        Rows with these columns; `features` by name.
    """
    scored_by = (ds.field("model_version") == version) & (ds.field("artifact_sha256") == sha256)
    dataset = dataset_of(table)
    found: list[dict[str, Any]] = []
    for fragment in sorted(dataset.get_fragments(scored_by), key=lambda fragment: fragment.path, reverse=True):
        for group in fragment.split_by_row_group(scored_by, dataset.schema):
            rows = group.to_table(dataset.schema, columns=list(columns), filter=scored_by)
            wanted = min(count - len(found), rows.num_rows)
            places = [place * rows.num_rows // wanted for place in range(wanted)]
            found += rows.take(places).to_pylist()
            if len(found) == count:
                return found
    return found
