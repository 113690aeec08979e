"""The grouped query over a ledger made by make_window.py, then every drift metric: python count_window.py ROWS."""

import sys
from datetime import timedelta
from functools import reduce
from operator import add
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import pyarrow.parquet as pq  # noqa: E402
from window import DAYS, FIRST, RUN, SHA256, VERSION, training  # noqa: E402

from common import measure, peak_mib, say, workplace  # noqa: E402
from fielded.decisions.monitoring.drift import METRICS, Drift  # noqa: E402
from fielded.decisions.monitoring.histograms import Histograms  # noqa: E402
from fielded.decisions.monitoring.profile import counted, profile_of  # noqa: E402
from fielded.world.window_counts import CountSource, Wanted, daily_counts  # noqa: E402

rows = int(sys.argv[1])
place = workplace(rows)
features, scores = training(place.deployment)
profile = profile_of(place.deployment.features, place.deployment.slices, features, scores)


def every_metric(window: Histograms) -> list[Drift]:
    """Of every column, at every place that both have."""
    return [
        metric(grid, profile.reference.of(at, name), window.of(at, name), 0.05)
        for at in window.counts
        if at in profile.reference.counts
        for name, grid in profile.grids.items()
        if name in window.counts[at]
        for metric in METRICS.values()
    ]


del features, scores
before = peak_mib()
source = CountSource(place.tables, place.ledger.predictions, place.site)
wanted = Wanted(VERSION, SHA256, FIRST, FIRST + timedelta(days=DAYS), frozenset({RUN}))
query = measure(lambda: daily_counts(source, profile, wanted))
found = reduce(add, query["result"].values())
if found.rows() != rows:
    raise SystemExit(f"got {found.rows()} rows counted, expected {rows}")
peak = peak_mib()
metrics = measure(lambda: every_metric(found))
told = {
    "rows": rows, "query": query["wall"], "metrics": metrics["wall"], "values": len(metrics["result"]),
    "places": len(found.counts), "before_mib": before, "peak_mib": peak,
}  # fmt: skip
plain = Path(f"window-{rows}.parquet")
if plain.exists():  # the same rows in memory, as a library is given them
    table = pq.read_table(plain)
    told["counted"] = measure(lambda: every_metric(counted(profile, table, ())))["wall"]
say(told)
