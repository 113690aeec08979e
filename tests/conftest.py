"""A small real world: Delta tables, an MLflow store in SQLite, a trained pipeline. Nothing is mocked."""

import itertools
import os
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from fielded.definition import Deployment, Site, load_deployment
from fielded.services.approve import approve
from fielded.services.prepare_scorer import Scorers
from fielded.world.workplace import Workplace, open_workplace
from postgres_server import PostgresServer, postgres_programs

DAY = date(2026, 3, 2)
NOWHERE = {"journal_url": "sqlite:///none", "signing_key": "file:none"}  # for a site that needs neither
KINDS = ("engine", "hull", "radar", "valve")
FEATURES = ("hours", "age", "earlier", "month", "kind")
TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]

DEFINITION = """\
name: overrun
purpose: Flag open work orders that are likely to overrun.
subject: order_id
model: {name: MODEL, alias: production, previous_alias: previous}
features:
  hours:   {type: float, unit: hours, min: 0}
  age:     {type: float, unit: years, min: 0, nullable: true}
  earlier: {type: int, min: 0}
  month:   {type: int, min: 1, max: 12}
  kind:    {type: category, values: [engine, hull, radar, valve], unseen: quarantine}
decision:
  score: overrun_probability
  flag: overrun_flag
  threshold: 0.65
  rationale: A missed overrun costs more than a needless visit.
  review_band: [0.55, 0.75]
population:
  query: population.py:pending
  tables: {orders: silver.orders, ships: reference.ships}
batch: {schedule: "0 2 * * *", output: gold.overrun_scores, quarantine_limit: 0.2}
slices: [kind]
people:
  model_owner: &alex {name: Alex Example, email: alex.example@example.mil}
  monitoring_owner: *alex
  rai_approver: *alex
  authorizing_official: {name: Blair Example, email: blair.example@example.mil}
  isso: *alex
"""

POPULATION = """\
from ibis import _


def pending(tables, as_of):
    orders = tables.orders.filter(_.opened_on <= as_of)
    return orders.left_join(tables.ships, "hull").select(
        "order_id", "hours", "earlier", "month", "kind", age=(as_of.year - _.built).cast("float64")
    )
"""


def make_orders(rows: int, seed: int = 0, first: int = 0, opened_on: date = DAY) -> pa.Table:
    """Orders with plausible values; ids ascend from `first`."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "order_id": [f"WO-{number:08d}" for number in range(first, first + rows)],
            "hull": rng.integers(0, 60, rows),
            "hours": rng.lognormal(3, 1, rows),
            "earlier": rng.integers(0, 20, rows),
            "month": rng.integers(1, 13, rows),
            "kind": rng.choice(KINDS, rows),
            "opened_on": pa.array([opened_on] * rows, pa.date32()),
        }
    )


SHIPS = pa.table({"hull": np.arange(50), "built": np.arange(50) + 1975})  # ten hulls have no ship


def make_pipeline(seed: int = 0, rows: int = 3000) -> tuple[Pipeline, pd.DataFrame]:
    """A fitted pipeline and rows to show it; more hours, older and engine overrun more often."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "hours": rng.lognormal(3, 1, rows),
            "age": np.where(rng.random(rows) < 0.1, np.nan, rng.integers(1, 50, rows).astype(float)),
            "earlier": rng.integers(0, 20, rows),
            "month": rng.integers(1, 13, rows),
            "kind": rng.choice(KINDS, rows),
        }
    )
    odds = 0.03 * (frame.hours - 30) + 0.04 * (frame.age.fillna(25) - 25) + (frame.kind == "engine")
    label = rng.random(rows) < 1 / (1 + np.exp(-odds))
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("kind", encode, ["kind"])], remainder="passthrough")
    model = HistGradientBoostingClassifier(max_iter=15, random_state=seed)
    return Pipeline([("columns", columns), ("model", model)]).fit(frame, label.astype(int)), frame


@dataclass
class Store:
    """An MLflow store of its own."""

    uri: str
    artifacts: Path
    client: MlflowClient

    def log(self, name: str, seed: int = 0, **options: object) -> str:
        """Log and register a pipeline as a data scientist would; returns the version."""
        with warnings.catch_warnings():  # MLflow's hints to the author of a model
            warnings.simplefilter("ignore")
            return self._log(name, seed, options)

    def _log(self, name: str, seed: int, options: dict[str, object]) -> str:
        pipeline, frame = make_pipeline(seed)
        proba = options.get("pyfunc_predict_fn", "predict_proba") == "predict_proba"
        output = pipeline.predict_proba(frame) if proba else pipeline.predict(frame)
        settings = {
            "sk_model": pipeline,
            "name": "model",
            "registered_model_name": name,
            "pyfunc_predict_fn": "predict_proba",
            "skops_trusted_types": TRUSTED,
            "signature": infer_signature(frame, output),
            "input_example": frame.head(20),
            "pip_requirements": ["scikit-learn"],
            **options,
        }
        return self.log_with(mlflow.sklearn.log_model, settings)

    def log_with(self, log_model: Callable[..., object], settings: dict[str, object]) -> str:
        mlflow.set_tracking_uri(self.uri)
        experiment = self.client.get_experiment_by_name("tests")
        place = experiment.experiment_id if experiment else self.client.create_experiment(
            "tests", artifact_location=self.artifacts.as_uri()
        )  # fmt: skip
        with mlflow.start_run(experiment_id=place):
            log_model(**settings)
        found = self.client.search_model_versions(f"name = '{settings['registered_model_name']}'")
        return str(max(int(item.version) for item in found))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return Store(uri, folder / "artifacts", MlflowClient(tracking_uri=uri, registry_uri=uri))


@pytest.fixture(scope="session")
def logged(store: Store) -> str:
    """A registered model with versions 1 (previous) and 2 (production)."""
    for seed in (0, 1):
        store.log("shared", seed)
    store.client.set_registered_model_alias("shared", "previous", "1")
    store.client.set_registered_model_alias("shared", "production", "2")
    return "shared"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; whoever stops it or changes its settings puts that right again."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    server = PostgresServer(programs)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """URL of a database that holds nothing of fielded's."""
    return postgres.emptied_url()


class Ticking:
    """A clock that moves a millisecond each time it is read."""

    def __init__(self, start: datetime = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)) -> None:
        self._steps = itertools.count()
        self._start = start

    def __call__(self) -> datetime:
        return self._start + timedelta(milliseconds=next(self._steps))


@dataclass
class World:
    """A deployment folder, a site and what a test does with them."""

    folder: Path
    site: Site
    store: Store
    model: str

    def write(self, table: str, data: pa.Table, mode: str = "overwrite") -> None:
        write_deltalake(str(Path(self.site.root).joinpath(*table.split("."))), data, mode=mode)

    def define(self, text: str = DEFINITION, population: str = POPULATION) -> Deployment:
        (self.folder / "deployment.yaml").write_text(text.replace("MODEL", self.model))
        (self.folder / "population.py").write_text(population)
        return load_deployment(self.folder)

    def open(self, user: str = "os:tester", seed: int | None = None) -> Workplace:
        chance = random.Random(seed) if seed is not None else random.SystemRandom()
        return open_workplace(
            load_deployment(self.folder), self.site, user=user, clock=Ticking(), random_bytes=chance.randbytes
        )

    def scorers(self) -> tuple[Workplace, Scorers]:
        workplace = self.open()
        return workplace, Scorers(workplace)

    def rows(self, table: str, **options: object) -> list[dict]:
        return self.open().tables.open(table).to_pyarrow_table(**options).to_pylist()

    def environment(self) -> dict[str, str]:
        """For a process of its own."""
        names = ("root", "tracking_uri", "artifact_root", "cache", "journal_url", "signing_key")
        return {**os.environ, **{f"FIELDED_{name.upper()}": str(getattr(self.site, name)) for name in names}}


@pytest.fixture
def world(tmp_path: Path, store: Store, logged: str) -> Iterator[World]:
    """Two thousand orders, of which a few break rules, and an approved model."""
    folder = tmp_path / "deployment"
    folder.mkdir()
    site = Site(
        root=str(tmp_path / "tables"),
        tracking_uri=store.uri,
        artifact_root=str(store.artifacts),
        cache=tmp_path / "cache",
        journal_url=f"sqlite:///{tmp_path / 'journal'}",
        signing_key=f"file:{tmp_path / 'keys' / 'seal.pem'}",
        batch_rows=512,
        file_rows=1500,
    )
    made = World(folder, site, store, logged)
    made.define()
    made.write("silver.orders", make_orders(2000))
    made.write("reference.ships", SHIPS)
    for version in ("1", "2"):
        approve(made.open(), version)
    yield made
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def bare(world: World) -> World:
    """The same world where nobody has approved anything."""
    shutil.rmtree(Path(world.site.root) / "ledger")
    return replace(world)


@dataclass
class Spare(World):
    """A world whose model is nobody else's: a test may move its aliases and change its files.

    Attributes:
        files: version -> folder with its files in the registry.
    """

    files: dict[str, Path] = field(default_factory=dict)


@pytest.fixture
def spare(world: World, store: Store, logged: str, tmp_path: Path) -> Spare:
    """The world with a model of its own, versions 1 (previous) and 2 (production) approved."""
    name = f"spare_{tmp_path.parent.name}_{tmp_path.name}"
    files: dict[str, Path] = {}
    store.client.create_registered_model(name)
    for version, alias in (("1", "previous"), ("2", "production")):
        source = store.client.get_model_version_download_uri(logged, version)
        files[version] = tmp_path / "registry" / version
        copied = mlflow.artifacts.download_artifacts(source, tracking_uri=store.uri, registry_uri=store.uri)
        # MLflow leaves a note about a download beside the files; it is none of them.
        shutil.copytree(copied, files[version], ignore=shutil.ignore_patterns("registered_model_meta"))
        store.client.create_model_version(name, files[version].as_uri())
        store.client.set_registered_model_alias(name, alias, version)
    made = Spare(world.folder, world.site, store, name, files)
    made.define()
    for version in files:
        approve(made.open(), version)
    return made
