"""Outcomes get in whole, once, sealed, and only where they say something."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from books import events, read
from conftest import World
from fielded.decisions.rows import TIMESTAMP
from fielded.services.compact import compact
from fielded.services.outcomes import load_outcomes
from fielded.services.verify import verify
from fielded.words.errors import Refused, WrongUse
from fielded.world.outcomes import Outcomes

OUTCOMES = "ledger.overrun.outcomes"
KNOWN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def table(**columns: object) -> pa.Table:
    made = {"order_id": ["WO-1", "WO-2"], "label": [True, False], "known_at": pa.array([KNOWN] * 2, TIMESTAMP)}
    return pa.table({name: value for name, value in {**made, **columns}.items() if value is not None})


def write(folder: Path, rows: pa.Table, name: str = "outcomes.parquet") -> Path:
    path = folder / name
    if name.endswith(".csv"):
        pyarrow.csv.write_csv(rows, path)
    else:
        pq.write_table(rows, path)
    return path


def test_a_file_is_in_the_ledger_with_who_loaded_it_and_from_which_bytes(world: World, tmp_path: Path) -> None:
    file = write(tmp_path, table())
    loaded = load_outcomes(world.open("os:loader"), file)
    assert (loaded.rows, loaded.new) == (2, True)
    rows = sorted(read(world, OUTCOMES), key=lambda row: row["subject"])
    assert [(row["subject"], row["label"], row["known_at"]) for row in rows] == [
        ("WO-1", True, KNOWN),
        ("WO-2", False, KNOWN),
    ]
    assert {row["loaded_by"] for row in rows} == {"os:loader"}
    assert {row["source_sha256"] for row in rows} == {loaded.sha256}
    (event,) = events(world, "outcomes_loaded")
    assert event["about"] == f"file {loaded.sha256}"


def test_the_same_file_adds_nothing_whoever_loads_it_again(world: World, tmp_path: Path) -> None:
    file = write(tmp_path, table())
    load_outcomes(world.open(), file)
    again = load_outcomes(world.open("os:other"), write(tmp_path, table(), "copy.parquet"))
    assert not again.new
    assert len(read(world, OUTCOMES)) == 2
    assert len(events(world, "outcomes_loaded")) == 1


def test_a_file_with_a_column_twice_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text("subject,label,label,known_at\n007,1,0,2026-03-01T12:00:00Z\n")
    with pytest.raises(Refused, match="label: got several columns of that name"):
        load_outcomes(world.open(), tmp_path / "outcomes.csv")


def test_a_csv_says_the_same_as_a_parquet_file_and_a_subject_keeps_its_zeros(world: World, tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text(
        "subject,label,known_at,remark\n007,1,2026-03-01T12:00:00Z,x\n008,false,2026-03-01T14:00:00+02:00,\n"
    )
    load_outcomes(world.open(), tmp_path / "outcomes.csv")
    rows = {row["subject"]: (row["label"], row["known_at"]) for row in read(world, OUTCOMES)}
    assert rows == {"007": (True, KNOWN), "008": (False, KNOWN)}


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"label": None}, "label: got no such column"),
        ({"label": [1, 2]}, "label: got another number than 0 and 1"),
        ({"label": ["yes", "no"]}, "label: got a text that is none of 0, 1, true, false"),
        ({"label": [True, None]}, "label: got no value in 1 rows, first in row 2"),
        ({"order_id": ["", "WO-2"]}, "order_id: got no value in 1 rows, first in row 1"),
        ({"known_at": pa.array([KNOWN.replace(tzinfo=None)] * 2)}, "known_at: got times without a zone"),
        ({"known_at": [1, 2]}, "known_at: got values of type int64"),
        ({"known_at": ["2026-03-01", "soon"]}, "known_at: got some string that is none"),
        ({"known_at": pa.array([KNOWN + timedelta(days=9)] * 2, TIMESTAMP)}, "known_at: got a time to come"),
        ({"order_id": ["WO-1", "WO-1"]}, "label: got 1 times both labels for one subject at one time"),
    ],
)
def test_a_file_with_a_bad_row_is_refused_whole_and_nothing_of_it_is_told(
    world: World, tmp_path: Path, columns: dict, told: str
) -> None:
    with pytest.raises(Refused) as refusal:
        load_outcomes(world.open(), write(tmp_path, table(**columns)))
    assert told in str(refusal.value)
    assert "WO-" not in str(refusal.value)
    assert "soon" not in str(refusal.value)
    assert read(world, OUTCOMES) == []


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("outcomes.xlsx", b"PK", "expected .parquet or .csv"),
        ("outcomes.parquet", b"no parquet", "cannot be read as Parquet"),
        ("outcomes.csv", b"subject,label,known_at\n", "got no rows"),
        ("missing.csv", None, "cannot be read"),
    ],
)
def test_what_is_no_file_of_outcomes_is_wrong_use(
    world: World, tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WrongUse, match=told):
        load_outcomes(world.open(), tmp_path / name)


def test_outcomes_are_sealed_and_a_changed_label_is_found(world: World, tmp_path: Path) -> None:
    load_outcomes(world.open(), write(tmp_path, table()))
    report = verify(world.open(), strict=True)
    assert report.findings == []
    assert report.tables["outcomes"]["rows"] == 2
    (file,) = (Path(world.site.root) / "ledger" / "overrun" / "outcomes").glob("loaded_date=*/*.parquet")
    rows = pq.read_table(file, partitioning=None)
    place = rows.schema.get_field_index("label")
    pq.write_table(rows.set_column(place, rows.schema.field(place), pa.array([False, False])), file)
    findings = verify(world.open()).findings
    assert {finding.table for finding in findings} == {"outcomes"}


def test_the_newest_outcome_of_a_subject_counts_and_of_two_at_one_time_the_one_loaded_last(
    world: World, tmp_path: Path
) -> None:
    earlier = pa.array([KNOWN - timedelta(days=1)] * 2, TIMESTAMP)
    load_outcomes(world.open(), write(tmp_path, table(), "first.parquet"))
    load_outcomes(world.open(), write(tmp_path, table(known_at=earlier, label=[False, True]), "old.parquet"))
    load_outcomes(world.open(), write(tmp_path, table(label=[True, True]), "corrected.parquet"))
    workplace = world.open()
    newest = Outcomes(workplace.tables, workplace.site, "overrun").newest(10)
    assert {row["subject"]: row["label"] for row in newest.to_pylist()} == {"WO-1": True, "WO-2": True}
    assert Outcomes(workplace.tables, workplace.site, "overrun").newest(1).num_rows == 1


def test_small_files_of_outcomes_are_compacted_with_the_rest_of_the_ledger(world: World, tmp_path: Path) -> None:
    for number in range(10):
        rows = table(order_id=[f"WO-{number}", f"WO-{number}x"])
        load_outcomes(world.open(), write(tmp_path, rows, f"{number}.parquet"))
    workplace = world.open()
    day = workplace.clock().date()
    tomorrow = type(workplace)(**{
        **{name: getattr(workplace, name) for name in workplace.__dataclass_fields__},
        "clock": lambda: datetime(2026, 3, 4, tzinfo=UTC),
    })  # fmt: skip
    done = {one.table: (one.before, one.after) for one in compact(tomorrow, day)}
    assert done[OUTCOMES] == (10, 1)
    assert len(read(world, OUTCOMES)) == 20
    assert verify(tomorrow).findings == []
