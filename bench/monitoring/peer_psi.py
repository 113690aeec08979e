"""Evidently's PSI of every feature, on the same rows, in an environment of its own: peer_psi.py TRAINING WINDOW.

Both tables are in memory as pandas frames before the clock starts.
"""

import json
import sys
import time
from importlib.metadata import version

import pandas as pd
from evidently import Report
from evidently.metrics import ValueDrift

training, window = (pd.read_parquet(path) for path in sys.argv[1:3])
start = time.perf_counter()
report = Report([ValueDrift(column=name, method="psi") for name in training.columns])
found = report.run(reference_data=training, current_data=window).dict()
seconds = time.perf_counter() - start
values = {item["metric_name"]: item["value"] for item in found["metrics"]}
sys.stdout.write(json.dumps({"seconds": seconds, "version": version("evidently"), "values": values}) + "\n")
