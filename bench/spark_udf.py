"""(c) MLflow's `spark_udf` on local Spark with two cores: Parquet in, join, score, Parquet out.

Spark reads and writes plain Parquet here, which leaves Delta's share out of its time: that is in its favour.
"""

import os
import sys

import mlflow
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from common import AS_OF, measure, say, workplace
from fielded.services.prepare_scorer import resolve

place = workplace(int(sys.argv[1]))
names = place.deployment.population.tables
folder = str(place.artifacts.approved(*resolve(place)))
os.environ["PYSPARK_PYTHON"] = sys.executable
spark = (
    SparkSession.builder.master("local[2]").appName("bench").config("spark.driver.memory", "6g")
    .config("spark.ui.enabled", "false").config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1").config("spark.sql.session.timeZone", "UTC").getOrCreate()
)  # fmt: skip
spark.sparkContext.setLogLevel("ERROR")
features = list(place.deployment.features)
udf = mlflow.pyfunc.spark_udf(spark, folder, result_type="array<double>", env_manager="local")


def run() -> int:
    def table(name: str) -> object:
        return spark.read.parquet(*DeltaTable(place.tables.uri(names[name])).file_uris())

    day = f.lit(AS_OF.isoformat()).cast("date")
    orders = table("work_orders").where((f.col("started_on") > f.date_sub(day, 90)) & (f.col("started_on") <= day))
    orders = orders.where(f.col("completed_on").isNull() | (f.col("completed_on") > day))
    ships = table("ships").select("hull_number", "commission_year")
    rows = orders.join(ships, "hull_number", "left")
    rows = rows.withColumn("ship_age_years", (f.lit(AS_OF.year) - f.col("commission_year")).cast("double"))
    rows = rows.withColumn("start_month", f.month("started_on").cast("long"))
    rows = rows.where(" and ".join(f"{n} is not null" for n in features if n != "ship_age_years"))
    scored = rows.withColumn("overrun_probability", udf(f.struct(*features))[1])
    scored.select("work_order_id", *features, "overrun_probability").write.mode("overwrite").parquet("spark-out")
    return spark.read.parquet("spark-out").count()


done = measure(run)
say({"wall": done["wall"], "rows": done["result"]})
