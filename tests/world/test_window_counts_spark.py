"""PySpark counts by the very query that DuckDB runs, and comes to the same numbers."""

import math
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import ibis
import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from conftest import NOWHERE
from fielded.decisions.monitoring.profile import profile_of
from fielded.decisions.rows import predictions_schema
from fielded.definition.site import Site
from fielded.world.tables import DeltaTables
from fielded.world.window_counts import CountSource, Wanted, collected, count_query, daily_counts
from profiled_rows import FEATURES, FIRST, MODEL, SHA256, SLICES, rows, scores, written

sql = pytest.importorskip("pyspark.sql", reason="PySpark is not installed here (requirements/bench.lock)")

pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="PySpark needs Java, which is not on this machine"),
    pytest.mark.filterwarnings("ignore"),  # PySpark's own
]

TRAINING = rows(2000, 99)
PROFILE = profile_of(FEATURES, SLICES, TRAINING, scores(TRAINING))


@pytest.fixture(scope="module")
def spark() -> Iterator[object]:
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    builder = sql.SparkSession.builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


def test_spark_counts_what_duckdb_counts(spark: object, tmp_path: Path) -> None:
    site = Site(root=str(tmp_path), tracking_uri="none", artifact_root="none", cache=tmp_path / "cache", **NOWHERE)
    source = CountSource(DeltaTables(site), "predictions", site)
    source.tables.ensure(source.predictions, predictions_schema(FEATURES), partition="scored_date")
    odd = rows(4, 8).set_column(0, "hours", pa.array([math.nan, math.inf, -math.inf, None]))
    parts = [
        written(rows(500, 1), FIRST, run_id="first"),
        written(rows(400, 2, shift=0.3), FIRST, run_id="second"),
        written(odd, FIRST, run_id="second"),
        written(rows(30, 3), FIRST, run_id=None, channel="api"),
        written(rows(20, 4), FIRST, run_id=None, channel="shadow"),
        written(rows(20, 5), FIRST, run_id=None, channel="probe"),
        written(rows(300, 5), FIRST + timedelta(days=1), run_id="third"),
        written(rows(300, 6), FIRST + timedelta(days=2), run_id="third"),
    ]
    for part in parts:
        write_deltalake(source.tables.uri(source.predictions), part, mode="append")
    files = [unquote(uri) for uri in source.tables.open(source.predictions).file_uris()]
    frame = spark.read.option("basePath", source.tables.uri(source.predictions)).parquet(*files)
    frame.createOrReplaceTempView("predictions")
    connection = ibis.pyspark.connect(spark)
    wanted = Wanted(MODEL, SHA256, FIRST, FIRST + timedelta(days=1), frozenset({"second", "third"}))
    query = count_query(connection.table("predictions"), PROFILE, wanted)
    found = collected(PROFILE, connection.to_pyarrow(query).to_batches())
    expected = daily_counts(source, PROFILE, wanted)
    assert [found[day].rows() for day in found] == [434, 300]
    assert list(found) == list(expected)
    for day, counts in expected.items():
        assert set(found[day].counts) == set(counts.counts)
        for place, held in counts.counts.items():
            for name, rows_of in held.items():
                assert np.array_equal(found[day].of(place, name), rows_of), (day, place, name)
