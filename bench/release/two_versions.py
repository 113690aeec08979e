"""A site with the demo's two versions, approved and adopted, a day scored, and rows to ask for: ... ROWS.

Makes in the working folder: `.fielded/`, `rows.json`.
"""

import json
import os
import runpy
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pyarrow as pa

from common import DEPLOYMENT, say
from fielded.decisions.rules import Rules
from fielded.definition import load_deployment, load_site
from fielded.services.approve import approve
from fielded.services.demo import AS_OF, HISTORY, OPEN_ORDERS, SEED, TRAINED
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.score_day import score_day
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
ref = deployment.model
for alias, (first, last) in zip((ref.previous_alias, ref.alias), TRAINED, strict=True):
    version = train(place.site, seed=1, train_from=first, train_to=last)
    place.registry.point(ref.name, alias, str(version))
    approve(place, str(version))
adopt(place)
score_day(place, Scorers(place), AS_OF)

inputs = {name: place.tables.pin(table) for name, table in deployment.population.tables.items()}
rules = Rules(deployment.subject, deployment.features, pa.array([], pa.string()))
rows: list[dict] = []
with place.engine.open(load_population(deployment), inputs, AS_OF) as population:
    for batch in population.batches([deployment.subject, *deployment.features], 131_072):
        parted = rules.apply(batch)
        subjects = parted.subjects.cast(pa.string()).to_pylist()
        made = zip(subjects, parted.features.to_pylist(), strict=True)
        rows += [{"subject": subject, "features": features} for subject, features in made]
(here / "rows.json").write_text(json.dumps(rows[: int(sys.argv[1])]), encoding="utf-8")
say({"rows": len(rows)})
