"""A ledger of ten days of predictions: python make_window.py ROWS. Up to a million, its rows as Parquet too."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from window import DAYS, FIRST, training, window  # noqa: E402

from common import say, workplace  # noqa: E402

PLAIN = 1_000_000

rows = int(sys.argv[1])
place = workplace(rows)
place.ledger.prepare(place.deployment)
held: list[pa.RecordBatch] = []
batches = window(place.deployment, rows)
day, batch = next(batches, (None, None))
while batch is not None:
    current = day
    with place.ledger.prediction_files(day, f"bench-{(day - FIRST).days}") as files:
        while batch is not None and day == current:
            files.write(batch)
            if rows <= PLAIN:
                held.append(batch.select(["features"]))
            day, batch = next(batches, (None, None))
        files.close()
        place.ledger.commit_predictions(f"bench-{(current - FIRST).days}", current, files)
if held:
    structs = pa.Table.from_batches(held).column("features").combine_chunks()
    flat = pa.table({field.name: part for field, part in zip(structs.type, structs.flatten(), strict=True)})
    pq.write_table(flat, f"window-{rows}.parquet")
    pq.write_table(training(place.deployment, rows)[0], f"training-{rows}.parquet")
say({"rows": rows, "days": DAYS})
