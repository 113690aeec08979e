"""What a log says of a data file's columns, against the file's own footer (rule 19).

Readers pass over a file whose range cannot hold what they look for. A range that is too narrow, or a count of
nulls that is too large, hides rows from them while every byte of the file is as it was.
"""

import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def narrow_ranges(path: Path, footer: pq.FileMetaData, statistics: str) -> list[str]:
    """What of a log's statistics does not enclose what the file holds, one text for each.

    Args:
        path: of the file.
        footer: of that file.
        statistics: the log's JSON text; an empty one says nothing, and so hides nothing.

    Raises:
        OSError: the file cannot be read.
        pa.ArrowException: it is no Parquet.
    """
    if not statistics:
        return []
    try:
        said = json.loads(statistics)
        low, high, nulls = (_leaves(said.get(name) or {}) for name in ("minValues", "maxValues", "nullCount"))
    except (ValueError, AttributeError, RecursionError):
        return ["statistics that are none of the Delta protocol"]
    wrong = [] if said.get("numRecords") in (None, footer.num_rows) else ["another count of rows"]
    for place in range(footer.num_columns):
        column = footer.schema.column(place)
        if column.max_repetition_level:
            continue
        groups = [footer.row_group(group).column(place).statistics for group in range(footer.num_row_groups)]
        name = column.path
        if name in nulls and all(group is not None and group.has_null_count for group in groups):
            count = sum(group.null_count for group in groups)
            if nulls[name] != count:
                wrong.append(f"{nulls[name]} nulls of {name}, where the file has {count}")
        if name not in low and name not in high:
            continue
        ends = [(group.min, group.max) for group in groups if group is not None and group.has_min_max]
        if ends and not _encloses(low.get(name), high.get(name), ends) and not _reread(path, name, low, high):
            wrong.append(f"a range of {name} that its rows are not in")
    return wrong


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    def walk() -> Iterator[tuple[str, Any]]:
        for name, value in tree.items():
            if isinstance(value, dict):
                yield from _leaves(value, f"{prefix}{name}.").items()
            else:
                yield f"{prefix}{name}", value

    return dict(walk())


def _encloses(low: Any, high: Any, ends: list[tuple[Any, Any]]) -> bool:
    try:
        return all(
            (low is None or _of(low, smallest) <= smallest) and (high is None or _of(high, greatest) >= greatest)
            for smallest, greatest in ends
        )
    except (TypeError, ValueError):
        return False


def _of(said: Any, value: Any) -> Any:
    """The log's end of a range as a value of the file's kind.

    Raises:
        ValueError: it is none.
        TypeError: it is none.
    """
    if isinstance(value, datetime):
        moment = datetime.fromisoformat(said)
        if value.tzinfo is None:
            return moment.replace(tzinfo=None)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=value.tzinfo)
    if isinstance(value, date):
        return date.fromisoformat(said)
    if isinstance(value, bytes):
        return said.encode()
    if isinstance(value, str) and not isinstance(said, str):
        raise TypeError("got no text")
    if isinstance(value, bool) != isinstance(said, bool):
        raise TypeError("got no truth value")
    return said


def _reread(path: Path, name: str, low: dict[str, Any], high: dict[str, Any]) -> bool:
    """The same with the rows themselves: some writers cut the ranges of long texts in the footer."""
    rows = pq.read_table(path, columns=[name], partitioning=None)
    *folders, leaf = name.split(".")
    if (folders[0] if folders else leaf) not in rows.column_names:
        return False  # Parquet with names of its own
    column: Any = rows.column(folders[0] if folders else leaf)
    for part in [*folders[1:], leaf] if folders else []:
        column = pc.struct_field(column, part)
    if not pa.types.is_string(column.type):
        return False
    ends = pc.min_max(column).as_py()
    return _encloses(low.get(name), high.get(name), [(ends["min"], ends["max"])]) or ends["min"] is None
