"""Open work orders for a benchmark, and once the model: python prepare.py ROWS."""

import runpy
import sys
from datetime import date

from common import AS_OF, DEPLOYMENT, say, workplace
from fielded.services.approve import approve

rows = int(sys.argv[1])
place = workplace(rows)
make = runpy.run_path(str(DEPLOYMENT / "make_data.py"))["make"]
made = make(place.tables.uri, seed=7, as_of=AS_OF, open_orders=rows, history_orders=60_000)
if not place.registry.versions(place.deployment.model.name):
    train = runpy.run_path(str(DEPLOYMENT / "train.py"))["train"]
    version = train(place.site, seed=1, train_from=date(2023, 7, 1), train_to=date(2024, 12, 31))
    place.registry.point(place.deployment.model.name, place.deployment.model.alias, version)
approve(place, place.registry.resolve(place.deployment.model.name, place.deployment.model.alias).version)
say({"made": made})
