"""(a) `predict_proba` alone: the whole matrix is in memory as a DataFrame, the model is loaded."""

import sys

import mlflow
import pyarrow as pa

from common import AS_OF, measure, peak_mib, say, workplace
from fielded.decisions.rules import Rules
from fielded.services.prepare_scorer import resolve
from fielded.world.engines import load_population

place = workplace(int(sys.argv[1]))
deployment = place.deployment
inputs = {name: place.tables.pin(table) for name, table in deployment.population.tables.items()}
rules = Rules(deployment.subject, deployment.features, pa.array([], pa.string()))
with place.engine.open(load_population(deployment), inputs, AS_OF) as population:
    columns = [deployment.subject, *deployment.features]
    matrix = pa.Table.from_batches(
        [rules.apply(b).features for b in population.batches(columns, 131_072)]
    ).to_pandas()
model = mlflow.pyfunc.load_model(str(place.artifacts.approved(*resolve(place)))).get_raw_model()
model.predict_proba(matrix.head(1000))
done = measure(lambda: len(model.predict_proba(matrix)))
say({**done, "rows": done.pop("result"), "peak_mib": peak_mib()})
