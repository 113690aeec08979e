"""(b) The usual script: tables to pandas, merge, filter, predict, write two Delta tables; no rules, no audit."""

import sys

import mlflow
import pandas as pd
from deltalake import DeltaTable, write_deltalake

from common import AS_OF, measure, peak_mib, say, workplace
from fielded.services.prepare_scorer import resolve

place = workplace(int(sys.argv[1]))
names = place.deployment.population.tables
model = mlflow.pyfunc.load_model(str(place.artifacts.approved(*resolve(place)))).get_raw_model()


def script() -> int:
    orders = DeltaTable(place.tables.uri(names["work_orders"])).to_pandas()
    ships = DeltaTable(place.tables.uri(names["ships"])).to_pandas()
    day = pd.Timestamp(AS_OF)
    started = pd.to_datetime(orders["started_on"])
    completed = pd.to_datetime(orders["completed_on"])
    window = (started > day - pd.Timedelta(days=90)) & (started <= day)
    orders = orders[window & (completed.isna() | (completed > day))]
    frame = orders.merge(ships[["hull_number", "commission_year"]], on="hull_number", how="left")
    frame["ship_age_years"] = (AS_OF.year - frame["commission_year"]).astype("float64")
    frame["start_month"] = pd.to_datetime(frame["started_on"]).dt.month.astype("int64")
    features = frame[list(place.deployment.features)]
    frame["overrun_probability"] = model.predict_proba(features)[:, 1]
    frame["overrun_flag"] = frame["overrun_probability"] >= place.deployment.decision.threshold
    frame["scored_date"] = AS_OF
    gold = frame[["work_order_id", "overrun_probability", "overrun_flag", "scored_date"]]
    columns = ["work_order_id", *features.columns, "overrun_probability", "scored_date"]
    write_deltalake("usual/gold", gold, mode="overwrite", predicate=f"scored_date = '{AS_OF}'")
    write_deltalake("usual/log", frame[columns], mode="append")
    return len(frame)


first = {"work_order_id": ["x"], "overrun_probability": [0.5], "overrun_flag": [True], "scored_date": [AS_OF]}
write_deltalake("usual/gold", pd.DataFrame(first), mode="overwrite", schema_mode="overwrite")
done = measure(script)
say({**done, "rows": done.pop("result"), "peak_mib": peak_mib()})
