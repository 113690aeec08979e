"""A ledger for look-ups: ten days of predictions about subjects in random order: python make_ledger.py ROWS."""

import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from common import AS_OF, say, workplace
from fielded.decisions.routing import Routing
from fielded.decisions.rows import Stamp, prediction_rows
from fielded.decisions.rules import Rules, feature_schema
from fielded.decisions.scoring import Scorer

rows = int(sys.argv[1])
place = workplace(rows)
deployment = place.deployment
rng = np.random.default_rng(3)
scorer = Scorer(
    model_name="bench", model_version="1", artifact_sha256="0" * 64, definition_sha256=deployment.sha256,
    routing=Routing(threshold=0.65, band=(0.55, 0.75)), predict=lambda batch: rng.random(batch.num_rows),
)  # fmt: skip
rules = Rules(deployment.subject, deployment.features, pa.array([], pa.string()))
place.ledger.prepare(deployment)
for day_number in range(10):
    day = AS_OF - timedelta(days=day_number)
    subjects = rng.permutation(rows)[: rows // 10]
    with place.ledger.prediction_files(day, f"bench-{day_number}") as files:
        for part in np.array_split(subjects, max(1, len(subjects) // 131_072)):
            values = {
                field.name: rng.random(len(part)) if pa.types.is_floating(field.type)
                else rng.integers(1, 13, len(part)) if pa.types.is_integer(field.type)
                else rng.choice(deployment.features[field.name].values, len(part))
                for field in feature_schema(deployment.features)
            }  # fmt: skip
            batch = pa.RecordBatch.from_pydict({deployment.subject: [f"WO-{n:010d}" for n in part], **values})
            stamp = Stamp(run_id=f"bench-{day_number}", channel="batch", requested_by="os:bench",
                          client_address=None, scored_at=datetime.now(UTC))  # fmt: skip
            files.write(prediction_rows(rules.apply(batch), scorer, stamp, place.random_bytes))
        files.close()
        place.ledger.commit_predictions(f"bench-{day_number}", day, files)
count = place.tables.open(place.ledger.predictions).to_pyarrow_dataset().count_rows()
say({"rows": count, "subject": f"WO-{subjects[0]:010d}"})
