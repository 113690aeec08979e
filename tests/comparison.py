"""A world to compare versions in: eight vessel classes, a hold-out, and three versions of one model.

Version 1 is in production. Version 2 is an honest retraining. Version 3 was trained on labels that were softened
for one class: a systematic bias that its overall metrics hardly show.
"""

import warnings
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from conftest import DAY, DEFINITION, TRUSTED, Store, World
from fielded.services.approve import approve
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.release.candidates import propose
from fielded.services.score_day import score_day
from fielded.world.provenance import content_of, log_training_data

CLASSES = ("CG", "CVN", "DDG", "LCS", "LHD", "LPD", "LSD", "SSN")
BIASED = "LPD"
MODEL = "vessels"
PERIOD = (date(2024, 1, 1), date(2025, 6, 30))
HOLDOUT = "silver.holdout"

GATES = """\
release:
  holdout: {table: silver.holdout, label: overran}
  gates:
    evidence: {documents: [model_card, rai_assessment]}
    performance: {limits: {auc: ">= 0.55", brier: "<= 0.30"}}
    shift: {recent_rows: 4000}
    fairness: {demographic_parity: 0.2, equalized_odds: 0.1, proxy: 0.95}
    calibration: {in_the_large: 0.08}
    budget: {row_milliseconds: 60000, memory_mib: 100000}
"""


def definition(gates: str = GATES) -> str:
    classes = DEFINITION.replace("[engine, hull, radar, valve]", f"[{', '.join(CLASSES)}]")
    return classes.replace("threshold: 0.65", "threshold: 0.5").replace("[0.55, 0.75]", "[0.4, 0.6]") + gates


def vessels(rows: int, seed: int, softened: float = 0.0) -> pd.DataFrame:
    """Orders with what became of them; in the class `BIASED` overruns are rarer by `softened` (log-odds)."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "order_id": [f"V{seed}-{number:07d}" for number in range(rows)],
            "hours": rng.lognormal(3, 1, rows),
            "age": rng.integers(1, 50, rows).astype(float),
            "earlier": rng.integers(0, 20, rows),
            "month": rng.integers(1, 13, rows),
            "kind": rng.choice(CLASSES, rows),
        }
    )
    odds = 0.02 * (frame.hours - 30) + 0.05 * (frame.age - 25) + 0.05 * (frame.earlier - 9)
    odds -= softened * (frame.kind == BIASED)
    frame["overran"] = rng.random(rows) < 1 / (1 + np.exp(-odds))
    return frame


def trained(seed: int, softened: float = 0.0, rows: int = 12_000) -> tuple[Pipeline, pd.DataFrame]:
    frame = vessels(rows, seed, softened)
    features = frame[["hours", "age", "earlier", "month", "kind"]]
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("kind", encode, ["kind"])], remainder="passthrough")
    model = HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=8, min_samples_leaf=200, early_stopping=False, random_state=seed
    )
    return Pipeline([("columns", columns), ("model", model)]).fit(features, frame.overran.astype(int)), frame


def log_vessels(store: Store, seed: int, softened: float = 0.0, *, provenance: bool = True) -> str:
    """Log and register a version, with what it was trained on."""
    pipeline, frame = trained(seed, softened)
    features = frame[["hours", "age", "earlier", "month", "kind"]]

    def log_model(**settings: object) -> None:
        mlflow.sklearn.log_model(**settings)
        if provenance:
            rows = pa.Table.from_pandas(frame, preserve_index=False)
            run = mlflow.active_run()
            log_training_data(
                store.client, run.info.run_id, content_of([rows]), tables={"silver.orders": seed}, period=PERIOD
            )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = {
            "sk_model": pipeline,
            "name": "model",
            "registered_model_name": MODEL,
            "pyfunc_predict_fn": "predict_proba",
            "skops_trusted_types": TRUSTED,
            "signature": infer_signature(features, pipeline.predict_proba(features)),
            "input_example": features.head(20),
            "pip_requirements": ["scikit-learn"],
        }
        return store.log_with(log_model, settings)


@dataclass
class Vessels(World):
    """The world of this module."""

    def proposed(self, version: str, by: str = "os:proposer") -> None:
        propose(self.open(by), version, "a retraining")


def vessel_world(world: World, gates: str = GATES, recent: int = 4000, held_out: int = 6000) -> Vessels:
    """Version 1 adopted; a day scored by it; a hold-out. Nothing is proposed."""
    made = Vessels(world.folder, world.site, world.store, MODEL)
    made.define(definition(gates))
    orders = vessels(recent, 901)
    table = pa.Table.from_pandas(orders.drop(columns=["overran", "age"]), preserve_index=False)
    hulls = (DAY.year - 1975 - orders.age).astype("int64")
    table = table.append_column("hull", pa.array(hulls)).append_column("opened_on", pa.array([DAY] * recent))
    made.write("silver.orders", table)
    hull = np.arange(60)
    made.write("reference.ships", pa.table({"hull": hull, "built": hull + 1975}))
    made.write(HOLDOUT, pa.Table.from_pandas(vessels(held_out, 902), preserve_index=False))
    approve(made.open(), "1")
    adopt(made.open())
    workplace = made.open()
    score_day(workplace, Scorers(workplace), DAY)
    return made


def report_folder(world: World) -> Path:
    return world.folder.parent / "report"
