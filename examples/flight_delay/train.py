"""Train on January to August, measure on September, register the version: plain MLflow, and fielded's profile.

The rows are the population's own, asked for day by day, so training and production cannot compute a feature
in two ways.
"""

import argparse
import os
import runpy
import warnings
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import ibis
import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable
from load_data import ARRIVALS, FLIGHTS, PLANES, table_uri_below
from measures import measure
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from fielded.decisions.monitoring.profile import Profile, profile_of
from fielded.definition import Deployment, Feature, Site, load_deployment, load_site
from fielded.world.profiles import profile_metadata

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before mlflow is imported
import mlflow
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.models import infer_signature

HERE = Path(__file__).resolve().parent
TRAINING = (date(2013, 1, 1), date(2013, 8, 31))
HELD_OUT = (date(2013, 9, 1), date(2013, 9, 30))
Days = tuple[date, date]
SEED = 20130901

# The one type of this pipeline that skops does not trust by itself.
_TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
_REQUIREMENTS = ("mlflow", "numpy", "pandas", "scikit-learn", "skops")


def train(site: Site, training: Days = TRAINING, held_out: Days = HELD_OUT) -> str:
    """Train, log and register one version.

    Args:
        site: holds the tables that `load_data.load` wrote.
        training: first and last day to learn from.
        held_out: first and last day to measure on.

    Returns:
        The registered version's number.
    """
    definition = load_deployment(HERE)
    tables = read_tables(site.root)
    fit_on = labelled(tables, definition, *training)
    measured_on = labelled(tables, definition, *held_out)
    names = list(definition.features)
    pipeline = new_pipeline(definition).fit(fit_on[names], fit_on["late"])

    # MLflow hints that an integer column cannot hold a missing value: the definition says that these do not.
    warnings.filterwarnings("ignore", message="Hint: Inferred schema contains integer column")
    open_experiment(site, definition.name)
    with mlflow.start_run(run_name=f"{training[0]} to {training[1]}"):
        mlflow.log_params(periods(training, held_out))
        log_facts(tables, fit_on, definition)
        mlflow.log_metrics(held_out_metrics(pipeline, measured_on, definition))
        example = input_example(fit_on, names)
        logged = mlflow.sklearn.log_model(
            pipeline,
            name="model",
            signature=infer_signature(example, pipeline.predict_proba(example)),
            input_example=example,
            pyfunc_predict_fn="predict_proba",
            skops_trusted_types=_TRUSTED,
            pip_requirements=[f"{package}=={version(package)}" for package in _REQUIREMENTS],
            registered_model_name=definition.model.name,
            metadata=profile_metadata(profile(pipeline, fit_on, definition)),
        )
    return str(logged.registered_model_version)


def read_tables(root: str) -> dict[str, DeltaTable]:
    """The three tables at their newest version."""
    uri = table_uri_below(root)
    return {name: DeltaTable(uri(name)) for name in (FLIGHTS, PLANES, ARRIVALS)}


def labelled(tables: dict[str, DeltaTable], definition: Deployment, first: date, last: date) -> pd.DataFrame:
    """Every day's population from `first` to `last`, where the rules are kept and the arrival is known."""
    frame = as_the_scorer_sees(pa.concat_tables(daily(tables, definition, first, last)), definition)
    arrivals = tables[ARRIVALS].to_pyarrow_table(columns=["flight_id", "late"]).to_pandas()
    frame = frame.merge(arrivals, on=definition.subject, validate="one_to_one")
    kept = frame["late"].notna()
    for name, rule in definition.features.items():
        kept &= keeps(frame[name], rule)
    return frame[kept].astype({"late": bool}).reset_index(drop=True)


def daily(tables: dict[str, DeltaTable], definition: Deployment, first: date, last: date) -> Iterator[pa.Table]:
    """The population's rows, one table a day."""
    scheduled = runpy.run_path(str(HERE / definition.population.file))[definition.population.function]
    connection = ibis.duckdb.connect()
    given = SimpleNamespace()
    for key, name in definition.population.tables.items():
        connection.con.register(key, tables[name].to_pyarrow_dataset())
        setattr(given, key, connection.table(key))
    for day in range((last - first).days + 1):
        # Sorted, because the query's own order may differ from run to run, and training would notice.
        yield scheduled(given, first + timedelta(days=day)).to_pyarrow().sort_by(definition.subject)


def as_the_scorer_sees(rows: pa.Table, definition: Deployment) -> pd.DataFrame:
    """float64 and int64, a nullable int as float64 with NaN, categories as objects with NaN."""
    frame = rows.to_pandas()
    for name, rule in definition.features.items():
        if rule.type == "category":
            frame[name] = frame[name].astype(object)
        else:
            frame[name] = frame[name].astype("int64" if rule.type == "int" and not rule.nullable else "float64")
    return frame


def keeps(values: pd.Series, rule: Feature) -> pd.Series:
    """Where values keep their feature's rule: a row that breaks one is not scored, so not learned from."""
    missing = values.isna()
    kept = ~missing | rule.nullable
    if rule.min is not None:
        kept &= missing | (values >= rule.min)
    if rule.max is not None:
        kept &= missing | (values <= rule.max)
    if rule.unseen == "quarantine":
        kept &= missing | values.isin(rule.values)
    return kept


def new_pipeline(definition: Deployment) -> Pipeline:
    """Ordinal codes for the categories (missing and unseen alike -1), and trees over them and the numbers.

    The trees are not told which columns are categories. Predicting May and June, and July and August, from
    the months before them, telling them was no better, and it would put `functools.partial` into the saved
    model: a loader that trusts that trusts any function.
    """
    categories = [name for name, rule in definition.features.items() if rule.type == "category"]
    numbers = [name for name in definition.features if name not in categories]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    columns = ColumnTransformer([("category", encoder, categories), ("number", "passthrough", numbers)])
    trees = HistGradientBoostingClassifier(
        categorical_features=None,
        learning_rate=0.05,
        max_iter=100,
        max_leaf_nodes=15,
        min_samples_leaf=50,
        early_stopping=False,  # it would hold out rows at random; we split in time
        random_state=SEED,
    )
    return Pipeline([("columns", columns), ("trees", trees)])


def open_experiment(site: Site, name: str) -> None:
    """Point MLflow at the site, and at the experiment, which is made if it is not there."""
    artifacts = site.artifact_root
    if "://" not in artifacts:
        Path(artifacts).mkdir(parents=True, exist_ok=True)
        artifacts = Path(artifacts).as_uri()
    mlflow.set_tracking_uri(site.tracking_uri)
    if mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=artifacts)
    mlflow.set_experiment(name)


def profile(pipeline: Pipeline, fit_on: pd.DataFrame, definition: Deployment) -> Profile:
    """What the watch compares later rows with: counts of the training rows, and of their scores.

    Scores of held-out rows would be more like those to come, but September is the first month to be watched: it
    cannot be what it is compared with. These trees are few and small, and score both much alike.
    """
    rows = fit_on[list(definition.features)]
    scores = pipeline.predict_proba(rows)[:, 1]
    shown = pa.Table.from_pandas(rows, preserve_index=False)
    return profile_of(definition.features, definition.slices, shown, scores)


def periods(training: Days, held_out: Days) -> dict[str, str]:
    """The days of training and of measuring, as parameters of the run."""
    names = ("training_from", "training_to", "held_out_from", "held_out_to")
    return {name: day.isoformat() for name, day in zip(names, (*training, *held_out), strict=True)}


def log_facts(tables: dict[str, DeltaTable], fit_on: pd.DataFrame, definition: Deployment) -> None:
    """What the version was trained on."""
    flights = tables[FLIGHTS]
    mlflow.log_params(
        {
            "training_table": FLIGHTS,
            "training_table_version": flights.version(),
            "training_rows": len(fit_on),
            "registry_table": PLANES,
            "registry_table_version": tables[PLANES].version(),
            "label_table": ARRIVALS,
            "label_table_version": tables[ARRIVALS].version(),
            "threshold": definition.decision.threshold,
            "seed": SEED,
        }
    )
    source = DeltaDatasetSource(path=flights.table_uri, delta_table_version=flights.version())
    columns = [*definition.features, "late"]
    dataset = mlflow.data.from_pandas(fit_on[columns], source=source, targets="late", name=FLIGHTS)
    mlflow.log_input(dataset, context="training")


def held_out_metrics(pipeline: Pipeline, held_out: pd.DataFrame, definition: Deployment) -> dict[str, float]:
    """Overall as `held_out/auc`, for a slice as `held_out/carrier/UA/auc`."""
    scores = pipeline.predict_proba(held_out[list(definition.features)])[:, 1]
    late = held_out["late"].to_numpy()
    threshold = definition.decision.threshold
    metrics = {f"held_out/{name}": value for name, value in measure(late, scores, threshold).items()}
    for column in definition.slices:
        for value, places in held_out.groupby(column).indices.items():
            numbers = measure(late[places], scores[places], threshold)
            metrics |= {f"held_out/{column}/{value}/{name}": number for name, number in numbers.items()}
    return metrics


def input_example(fit_on: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """20 rows: 12 from over the whole period, 4 with no registry row, 4 with a row but no build year."""
    known = fit_on["plane_seats"].notna()
    no_year = fit_on[known & fit_on["plane_age_years"].isna()]
    spread = fit_on.iloc[:: len(fit_on) // 12].head(12)
    rows = pd.concat([spread, fit_on[~known].head(4), no_year.head(4)])
    return rows[names].reset_index(drop=True)


def held_out_of(site: Site, number: str) -> dict[str, float]:
    """The held-out measures over all flights that a version was registered with."""
    client = mlflow.MlflowClient(site.tracking_uri, site.tracking_uri)
    made_by = client.get_model_version(load_deployment(HERE).model.name, number).run_id
    metrics = client.get_run(made_by).data.metrics
    return {name.removeprefix("held_out/"): value for name, value in metrics.items() if name.count("/") == 1}


def point_alias(site: Site, number: str) -> None:
    """Let the definition's alias stand for a version; the one it stood for becomes the previous one."""
    model = load_deployment(HERE).model
    client = mlflow.MlflowClient(site.tracking_uri, site.tracking_uri)
    standing = client.get_registered_model(model.name).aliases.get(model.alias)
    if standing is not None and str(standing) != number:
        client.set_registered_model_alias(model.name, model.previous_alias, standing)
    client.set_registered_model_alias(model.name, model.alias, number)


def main() -> None:
    """Train on the tables of the working folder's site."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--production", action="store_true", help="let the production alias stand for it")
    given = parser.parse_args()
    site = load_site(os.environ, Path.cwd())
    number = train(site)
    if given.production:
        point_alias(site, number)
    print(f"registered {load_deployment(HERE).model.name} version {number}")


if __name__ == "__main__":
    main()
