"""A site with the demo's production model, approved, and rows with their expected scores: python prepare.py ROWS.

Makes in the working folder: `.fielded/`, `model/` (as registered), `model.joblib`, `rows.json`.
"""

import json
import os
import runpy
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import joblib
import mlflow
import pyarrow as pa

from common import DEPLOYMENT, say
from fielded.decisions.rules import Rules
from fielded.definition import load_deployment, load_site
from fielded.services.approve import approve
from fielded.services.demo import AS_OF, HISTORY, OPEN_ORDERS, SEED, TRAINED
from fielded.services.prepare_scorer import resolve
from fielded.world.engines import load_population
from fielded.world.workplace import open_workplace

here = Path.cwd()
deployment = load_deployment(DEPLOYMENT)
place = open_workplace(
    deployment, load_site({}, here), user="os:bench", clock=lambda: datetime.now(UTC), random_bytes=os.urandom
)
make = runpy.run_path(str(DEPLOYMENT / "make_data.py"))["make"]
make(place.tables.uri, seed=SEED, as_of=AS_OF, open_orders=OPEN_ORDERS, history_orders=HISTORY)
train = runpy.run_path(str(DEPLOYMENT / "train.py"))["train"]
first, last = TRAINED[-1]
version = train(place.site, seed=1, train_from=first, train_to=last)
place.registry.point(deployment.model.name, deployment.model.alias, version)
approve(place, version)

folder = place.artifacts.approved(*resolve(place))
shutil.copytree(folder, here / "model")
pipeline = mlflow.sklearn.load_model(str(folder))
joblib.dump(pipeline, here / "model.joblib")

inputs = {name: place.tables.pin(table) for name, table in deployment.population.tables.items()}
rules = Rules(deployment.subject, deployment.features, pa.array([], pa.string()))
columns = [deployment.subject, *deployment.features]
with place.engine.open(load_population(deployment), inputs, AS_OF) as population:
    parted = [rules.apply(batch) for batch in population.batches(columns, 131_072)]
subjects = pa.chunked_array([part.subjects for part in parted]).cast(pa.string()).to_pylist()
frame = pa.Table.from_batches([part.features for part in parted]).to_pandas()
frame["subject"] = subjects
frame = frame.dropna().head(int(sys.argv[1]))  # not every peer can say null
named = frame.pop("subject").tolist()
expected = pipeline.predict_proba(frame)[:, 1].tolist()
rows = [
    {"subject": subject, "features": features, "score": score}
    for subject, features, score in zip(named, frame.to_dict("records"), expected, strict=True)
]
(here / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
say({"rows": len(rows), "version": version})
