"""Train the overrun classifier on past days of the population, and register it.

    python train.py --from 2023-07-01 --to 2024-12-31

The training rows come from `population.py` itself, asked for a day every month: the model learns from orders as
they stood on those days, chosen as they will be chosen when it is in production. What happened to each
afterwards is its label. Rows that break a rule of deployment.yaml teach nothing and are left out.
"""

import argparse
import os
import runpy
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported

import ibis
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable
from ibis import _
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import brier_score_loss, precision_score, recall_score, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

from fielded.decisions.monitoring.profile import profile_of
from fielded.definition import Deployment, Site, load_deployment, load_site
from fielded.world.profiles import profile_metadata
from fielded.world.provenance import content_of, log_training_data

HERE = Path(__file__).resolve().parent
LABEL = "overrun"

STEP = timedelta(days=30)  # between two days of the population
APART = timedelta(days=90)  # the population's window: past it no order of the training period is left
HOLDOUT = timedelta(days=90)
EXAMPLE_ROWS = 100
SMALLEST_SLICE = 50  # rows below which a slice's metrics say nothing

# What the saved pipeline holds beside plain scikit-learn; the loader of a model has its own list to compare.
TRUSTED_TYPES = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
# MLflow's warnings about integer columns (a rule keeps nulls out of ours) and about its own type hints.
HINTS = ("Hint: Inferred schema contains integer column", ".*Any type hint is inferred as AnyType")
REQUIREMENTS = ("mlflow", "numpy", "pandas", "scikit-learn", "skops")


@dataclass(frozen=True)
class Material:
    """What a version was made from.

    Attributes:
        training: features and label, one row an order and day.
        held_out: the same, of later days.
        tables: each source table and the version that was read.
        period: first day of the training rows, and the last on which one of their orders may be scored.
        parameters: what the run records beside these.
    """

    training: pd.DataFrame
    held_out: pd.DataFrame
    tables: Mapping[str, int]
    period: tuple[date, date]
    parameters: Mapping[str, object]


def train(
    site: Site, *, seed: int, train_from: date, train_to: date, unbooked: tuple[str, float] | None = None
) -> str:
    """Train on the population's days from `train_from` to `train_to` and register what comes out.

    The split is in time: the held-out days begin 90 days after `train_to`, so that no order is on both sides, and
    go on for 90 days. An order that is still open has no label and is left out, so the last held-out day should
    lie some months back, or the slow orders would be missing.

    Args:
        site: where the tables and the registry are.
        seed: of the model.
        train_from: first day of the population that is learned from.
        train_to: the last.
        unbooked: a vessel class, and the share of its overruns that nobody booked: a planted fault, for the
            comparison with production to find.

    Returns:
        The new version of the registered model. No alias points at it.
    """
    deployment = load_deployment(HERE)
    tables = {name: DeltaTable(_uri(site, table)) for name, table in deployment.population.tables.items()}
    held_out_from = train_to + APART
    held_out_to = held_out_from + HOLDOUT
    training = labelled(deployment, tables, days(train_from, train_to))
    if unbooked is not None:
        training = without_overruns(training, *unbooked, seed)
    held_out = labelled(deployment, tables, days(held_out_from, held_out_to))
    parameters = {
        "held_out_from": held_out_from,
        "held_out_to": held_out_to,
        "held_out_rows": len(held_out),
        "seed": seed,
    }
    read = {table: tables[name].version() for name, table in deployment.population.tables.items()}
    period = (train_from, held_out_from - timedelta(days=1))
    # Where other work keeps the processors busy, threads that wait for each other took a hundred times as long.
    with threadpool_limits(1):
        pipeline = make_pipeline(deployment, seed)
        pipeline.fit(training[list(deployment.features)], training[LABEL])
        return register(site, deployment, pipeline, Material(training, held_out, read, period, parameters))


def register(site: Site, deployment: Deployment, pipeline: Pipeline, material: Material) -> str:
    """One MLflow run with what the model was made from and how it does, and the model as a new version."""
    features = list(deployment.features)
    training, held_out = material.training[features], material.held_out[features]
    example = example_rows(training)
    experiment = _experiment(site, deployment.name)
    learned_from = pa.Table.from_pandas(
        material.training[[deployment.subject, *features, LABEL]], preserve_index=False
    )
    with mlflow.start_run(experiment_id=experiment) as run, warnings.catch_warnings():
        for hint in HINTS:
            warnings.filterwarnings("ignore", message=hint)
        # What the evidence gate asks for: without it no version trained here is ever released.
        client = mlflow.MlflowClient(site.tracking_uri, site.tracking_uri)
        log_training_data(
            client, run.info.run_id, content_of([learned_from]), tables=material.tables, period=material.period
        )
        mlflow.log_params(dict(material.parameters))
        scores = pipeline.predict_proba(held_out)[:, 1]
        mlflow.log_metrics(metrics(deployment, material.held_out, scores))
        # What training looked like, in counts: rows unlike it go to a person, and drift is measured from it. The
        # scores are those of held-out rows, as honest as those that will come.
        profile = profile_of(deployment.features, deployment.slices, _table(training), scores, _table(held_out))
        logged = mlflow.sklearn.log_model(
            pipeline,
            name="model",
            registered_model_name=deployment.model.name,
            signature=infer_signature(example, pipeline.predict_proba(example)),
            input_example=example,
            pyfunc_predict_fn="predict_proba",
            skops_trusted_types=TRUSTED_TYPES,
            pip_requirements=[f"{package}=={version(package)}" for package in REQUIREMENTS],
            metadata=profile_metadata(profile),
        )
    return str(logged.registered_model_version)


def point_aliases(site: Site, *, production: str, previous: str | None = None) -> None:
    """Let the deployment's aliases name these versions, as a release would."""
    model = load_deployment(HERE).model
    client = mlflow.MlflowClient(site.tracking_uri, site.tracking_uri)
    client.set_registered_model_alias(model.name, model.alias, production)
    if previous is not None:
        client.set_registered_model_alias(model.name, model.previous_alias, previous)


def make_pipeline(deployment: Deployment, seed: int) -> Pipeline:
    """Categories to codes, numbers as they are, trees on both.

    The codes stay numbers to the trees: with `categorical_features` the file would hold `functools.partial`,
    which can call anything when it is loaded, and no loader should have to trust that.
    """
    categories = [name for name, feature in deployment.features.items() if feature.type == "category"]
    numbers = [name for name in deployment.features if name not in categories]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = [("categories", encoder, categories), ("numbers", "passthrough", numbers)]
    trees = HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.08,
        max_leaf_nodes=15,
        min_samples_leaf=60,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    return Pipeline([("columns", ColumnTransformer(columns)), ("trees", trees)])


def days(first: date, last: date) -> Iterator[date]:
    """The population's days in a period, both ends included."""
    day = first
    while day <= last:
        yield day
        day += STEP


def labelled(deployment: Deployment, tables: Mapping[str, DeltaTable], asked: Iterator[date]) -> pd.DataFrame:
    """The population of each day, with what became of it: the orders completed since that keep every rule.

    Raises:
        ValueError: no order of those days has been completed.
    """
    pending = runpy.run_path(str(HERE / deployment.population.file))[deployment.population.function]
    connection = ibis.duckdb.connect()
    for name, table in tables.items():
        connection.con.register(name, table.to_pyarrow_dataset())
    known = SimpleNamespace(**{name: connection.table(name) for name in tables})
    completed = known.work_orders.filter(_.status == "completed")
    outcomes = completed.select(
        "work_order_id", **{LABEL: (_.labor_hours_actual > _.labor_hours_estimated).cast("int64")}
    )
    found = []
    for day in asked:
        rows = pending(known, day).inner_join(outcomes, deployment.subject).to_pyarrow().to_pandas()
        found.append(rows[_keeps_rules(deployment, rows)])
    frame = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    if frame.empty:
        raise ValueError(
            "training or held-out days: got no completed work order, expected some; see --from and --to"
        )
    return frame.sort_values(deployment.subject, kind="stable", ignore_index=True)


def without_overruns(frame: pd.DataFrame, hull_class: str, share: float, seed: int) -> pd.DataFrame:
    """The rows with a share of one class's overruns labelled as none, as where a yard stops to book its hours."""
    lost = (frame["hull_class"] == hull_class) & (np.random.default_rng(seed).random(len(frame)) < share)
    return frame.assign(**{LABEL: frame[LABEL].where(~lost, 0)})


def _keeps_rules(deployment: Deployment, rows: pd.DataFrame) -> Any:
    good = ~rows.duplicated(deployment.subject, keep=False)
    for name, feature in deployment.features.items():
        values = rows[name]
        good &= values.notna() | feature.nullable
        if feature.min is not None:
            good &= ~(values < feature.min)
        if feature.max is not None:
            good &= ~(values > feature.max)
        if feature.unseen == "quarantine":
            good &= values.isin(feature.values)
    return good


def metrics(deployment: Deployment, frame: pd.DataFrame, score: Any) -> dict[str, float]:
    """Held-out metrics, over all rows and for each slice that is large enough."""
    threshold = deployment.decision.threshold
    low, high = deployment.decision.review_band
    label = frame[LABEL].to_numpy()
    found = _metrics("held_out", label, score, threshold)
    found["held_out/review_rate"] = float(np.mean((score >= low) & (score <= high)))
    for column in deployment.slices:
        for value in sorted(frame[column].unique()):
            inside = (frame[column] == value).to_numpy()
            if inside.sum() >= SMALLEST_SLICE and len(set(label[inside])) == 2:
                found |= _metrics(f"held_out/{column}/{value}", label[inside], score[inside], threshold)
    return found


def _metrics(prefix: str, label: Any, score: Any, threshold: float) -> dict[str, float]:
    flag = score >= threshold
    return {
        f"{prefix}/rows": float(len(label)),
        f"{prefix}/base_rate": float(label.mean()),
        f"{prefix}/mean_score": float(score.mean()),
        f"{prefix}/auc": float(roc_auc_score(label, score)),
        f"{prefix}/brier": float(brier_score_loss(label, score)),
        f"{prefix}/precision": float(precision_score(label, flag, zero_division=0)),
        f"{prefix}/recall": float(recall_score(label, flag)),
        f"{prefix}/flag_rate": float(flag.mean()),
    }


def example_rows(features: pd.DataFrame) -> pd.DataFrame:
    """Rows that travel with the model: some without an age, most with one."""
    unknown = features[features["ship_age_years"].isna()].head(3)
    return pd.concat([unknown, features.dropna().head(EXAMPLE_ROWS - len(unknown))], ignore_index=True)


def _table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def _uri(site: Site, table: str) -> str:
    return f"{site.root}/{table.replace('.', '/')}"


def _experiment(site: Site, name: str) -> str:
    """The experiment's id at the site, made if it is not there."""
    mlflow.set_tracking_uri(site.tracking_uri)
    mlflow.set_registry_uri(site.tracking_uri)
    found = mlflow.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    root = site.artifact_root
    return str(mlflow.create_experiment(name, root if "://" in root else Path(root).as_uri()))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and register a version of the overrun classifier.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--from", dest="train_from", type=date.fromisoformat, default=date(2023, 7, 1))
    parser.add_argument("--to", dest="train_to", type=date.fromisoformat, default=date(2025, 6, 30))
    parser.add_argument("--production", action="store_true", help="let the production alias name it")
    parser.add_argument("--unbooked", metavar="CLASS:SHARE", help="plant a fault, such as LSD:0.6")
    given = parser.parse_args()
    site = load_site(os.environ, Path.cwd())
    hull_class, _, share = (given.unbooked or "").partition(":")
    made = train(
        site,
        seed=given.seed,
        train_from=given.train_from,
        train_to=given.train_to,
        unbooked=(hull_class, float(share)) if given.unbooked else None,
    )
    if given.production:
        point_aliases(site, production=made)
    print(f"registered version {made}")


if __name__ == "__main__":
    main()
