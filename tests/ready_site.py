"""A small, complete, real site on which all twelve items of readiness can hold: built once, copied for each test.

Everything lies below one folder: the deployment, site.yaml, tables, an MLflow store of its own with two trained
versions, the site's copies of their files, journals and keys. Two days of its history are made by the services
themselves, each at its own hour; from there on its clock is the real one. A copy is the same site at another
place, with the registry's absolute paths written anew.

What happened, in its order: version 1 was adopted and scored a day; the documents were signed for version 2, which
was compared, approved and promoted; it scored a day, of which a reviewer decided a case; the owner of the watch
acknowledged it, and the watch ran; a rollback was drilled. Last the kickoff was put on record, so that a site that
lacks only this is to be had too (`Ready.forget_kickoff`).
"""

import os
import shutil
import sqlite3
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from conftest import POPULATION, TRUSTED
from fielded.decisions.monitoring.profile import profile_of
from fielded.decisions.readiness.items import ITEMS, ItemResult
from fielded.definition import Deployment, Site, load_deployment, load_site
from fielded.doors.serving.probing import open_door
from fielded.services.approve import approve as approve_files
from fielded.services.ato.progress import kickoff
from fielded.services.evidence.collect import Bench
from fielded.services.monitoring.monitor import run as run_monitor
from fielded.services.prepare_scorer import Scorers
from fielded.services.readiness.acknowledge import acknowledge
from fielded.services.readiness.ready import on_record_now, ready
from fielded.services.release.adopt import adopt
from fielded.services.release.candidates import approve, propose
from fielded.services.release.compare import compare
from fielded.services.release.drill import Plan, drill
from fielded.services.release.promote import promote
from fielded.services.release.sign import sign
from fielded.services.review.act import claim, decide
from fielded.services.review.cases import list_cases
from fielded.services.score_day import score_day
from fielded.world.identity import operating_system_user
from fielded.world.profiles import profile_metadata
from fielded.world.provenance import content_of_version, log_training_data
from fielded.world.workplace import Clock, Workplace, open_workplace
from ready_texts import DEFINITION, PROSE, SITE

KINDS = ("engine", "hull", "radar", "valve")
FEATURES = ("hours", "age", "earlier", "month", "kind")
LABEL = "overran"
MODEL = "overrun_classifier"
HISTORY, HOLDOUT = "silver.history", "silver.holdout"
TRAINING_ROWS, HOLDOUT_ROWS, ROWS = 6000, 3000, 400
PERIOD = (date(2024, 1, 1), date(2025, 6, 30))  # of the training rows
DOCUMENTS = ("model_card", "rai_assessment", "runbook")
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
COMMAND = (sys.executable, "-c", "from fielded.doors.cli import main; main()")

AUTHOR, FIRST, SECOND, APPROVER = "os:author", "os:first", "os:second", "os:approver"
REVIEWER, OWNER, COLLECTOR = "os:reviewer", "os:owner", "os:collector"


@dataclass(frozen=True)
class Ready:
    """The site, at one place.

    Attributes:
        base: everything lies below it.
        before_kickoff: the ledger's tables as they were before the kickoff was put on record.
    """

    base: Path
    before_kickoff: Path

    @property
    def folder(self) -> Path:
        return self.base / "deployment"

    @property
    def definition_file(self) -> Path:
        return self.folder / "deployment.yaml"

    @property
    def site_file(self) -> Path:
        return self.base / "site.yaml"

    @property
    def database(self) -> Path:
        """Of the registry."""
        return self.base / "mlflow.db"

    def deployment(self) -> Deployment:
        return load_deployment(self.folder)

    def site(self) -> Site:
        return load_site({}, self.base, self.site_file)

    def open(self, user: str = COLLECTOR, at: datetime | None = None) -> Workplace:
        """Somebody's workplace, now or from a moment on."""
        return open_workplace(
            self.deployment(), self.site(), user=user, clock=_from(at) if at else _now, random_bytes=os.urandom
        )

    def client(self) -> MlflowClient:
        uri = self.site().tracking_uri
        return MlflowClient(tracking_uri=uri, registry_uri=uri)

    def write(self, table: str, data: pa.Table, mode: str = "overwrite") -> None:
        write_deltalake(self.uri(table), data, mode=mode)

    def uri(self, table: str) -> str:
        return str((self.base / "tables").joinpath(*table.split(".")))

    def replace_in(self, file: Path, old: str, new: str) -> None:
        """Write one passage of a file anew; it must be there once."""
        text = file.read_text()
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file.name}"
        file.write_text(text.replace(old, new))

    def copied(self, base: Path) -> "Ready":
        """The same site at another place, which must not be there yet."""
        shutil.copytree(self.base, base)
        made = Ready(base, self.before_kickoff)
        made.replace_in(made.site_file, str(self.base), str(base))
        with made.registry() as connection:
            for table, column in _texts(connection):
                connection.execute(
                    f"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE instr({column}, ?)",
                    (str(self.base), str(base), str(self.base)),
                )
        return made

    @contextmanager
    def registry(self) -> Iterator[sqlite3.Connection]:
        """The registry's database, for a test that is nobody's friend."""
        with closing(sqlite3.connect(self.database)) as connection:
            yield connection
            connection.commit()

    def forget_kickoff(self) -> None:
        """Put the ledger back to what it was before the kickoff was put on record."""
        ledger = self.base / "tables" / "ledger"
        shutil.rmtree(ledger)
        shutil.copytree(self.before_kickoff, ledger)


def _now() -> datetime:
    return datetime.now(UTC)


def _from(moment: datetime) -> Clock:
    """A clock that says `moment` now and goes on with the real one's speed."""
    back = datetime.now(UTC) - moment
    return lambda: datetime.now(UTC) - back


def _texts(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Each column with texts of a database."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [
        (table, column[1])
        for table in tables
        for column in connection.execute(f"PRAGMA table_info({table})")
        if "CHAR" in column[2].upper() or "TEXT" in column[2].upper()
    ]


def work_orders(rows: int, seed: int, more: float = 0.0) -> pd.DataFrame:
    """Orders with what became of them; long ones, old ships and orders after many others overrun more often.

    Args:
        rows: how many.
        seed: of chance.
        more: by so much in log-odds all of them overrun more often.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "order_id": [f"WO-{seed}-{number:06d}" for number in range(rows)],
            "hours": rng.lognormal(3, 1, rows),
            "age": rng.integers(1, 50, rows).astype(float),
            "earlier": rng.integers(0, 20, rows),
            "month": rng.integers(1, 13, rows),
            "kind": rng.choice(KINDS, rows),
        }
    )
    odds = 0.02 * (frame.hours - 30) + 0.05 * (frame.age - 25) + 0.05 * (frame.earlier - 9) + more
    frame[LABEL] = rng.random(rows) < 1 / (1 + np.exp(-odds))
    return frame


def build_ready(base: Path) -> Ready:
    """The site in a folder that must not be there yet."""
    (base / "secrets").mkdir(parents=True)
    base.chmod(0o700)
    token = base / "secrets" / "token"
    token.touch(mode=0o600)
    token.write_text("of-this-test-and-of-nothing-else")
    made = Ready(base, base.parent / f"{base.name}-before-kickoff")
    made.folder.mkdir()
    made.definition_file.write_text(DEFINITION)
    (made.folder / "population.py").write_text(POPULATION)
    for name, text in PROSE.items():
        (made.folder / f"{name}.yaml").write_text(text)
    made.site_file.write_text(SITE.replace("HERE", str(base)).replace("DRILLER", operating_system_user()))
    today = _now().date()
    _first_version(made, today - 2 * _DAY)
    _second_version(made, today - 2 * _DAY)
    _watched(made, today - _DAY)
    _drilled(made)
    look_at(made)
    shutil.copytree(base / "tables" / "ledger", made.before_kickoff)
    kick_off(made, today - 60 * _DAY)
    look_at(made, "kickoff")
    return made


def built_once(factory: pytest.TempPathFactory) -> Ready:
    """The site of this session, which no test changes: each takes a copy."""
    return _built_in(factory.getbasetemp())


@cache
def _built_in(folder: Path) -> Ready:
    return build_ready(folder / "ready" / "site")


def look_at(made: Ready, *keys: str, user: str = COLLECTOR) -> Mapping[str, ItemResult]:
    """Collect the evidence of items now, all of them where none is named; judge all twelve by what is on record.

    Returns:
        Evidence id -> where its item stands.
    """
    numbers = [item.number for item in ITEMS if not keys or item.key in keys]
    workplace = made.open(user)
    with open_door(workplace) as door:
        ready(Bench(workplace, door, open_door, made.site_file), numbers)
    return {one.item.key: one for one in on_record_now(workplace).results}


def _morning(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def _first_version(made: Ready, day: date) -> None:
    """Tables, version 1 in production, and its scores of a day."""
    built = made.deployment().population.tables
    ages = np.arange(1, 50)
    made.write(built["ships"], pa.table({"hull": ages, "built": day.year - ages}))
    made.write(HOLDOUT, pa.Table.from_pandas(work_orders(HOLDOUT_ROWS, 902), preserve_index=False))
    version = log_version(made, 1)
    boss = made.open(AUTHOR, _morning(day, 1))
    boss.registry.point(MODEL, "production", version)
    approve_files(boss, version)
    adopt(boss)
    _score(made, day)


def _score(made: Ready, day: date) -> None:
    orders = work_orders(ROWS, int(day.strftime("%j"))).drop(columns=[LABEL])
    orders = orders.rename(columns={"age": "hull"}).astype({"hull": "int64"})
    table = pa.Table.from_pandas(orders, preserve_index=False)
    made.write("silver.orders", table.append_column("opened_on", pa.array([day] * ROWS)))
    workplace = made.open(at=_morning(day, 2))
    score_day(workplace, Scorers(workplace), day)


def _second_version(made: Ready, day: date) -> None:
    """Version 2, from a proposal to production, and its scores of the next day."""
    version = log_version(made, 2)
    at = _morning(day, 10)
    propose(made.open(AUTHOR, at), version, "trained on more orders")
    sign_documents(made, at + _HOUR)
    workplace = made.open(AUTHOR, at + 2 * _HOUR)
    compared = compare(workplace, Scorers(workplace), version, made.base / "reports")
    assert compared.verdict.holds, compared.verdict.in_the_way
    for person in (FIRST, SECOND):
        approve(made.open(person, at + 3 * _HOUR), version)
    workplace = made.open(FIRST, at + 4 * _HOUR)
    promote(workplace, Scorers(workplace), version)
    _score(made, day + _DAY)


def sign_documents(made: Ready, at: datetime | None = None, names: Sequence[str] = DOCUMENTS) -> None:
    """The documents, by who approves them."""
    for name in names:
        sign_one(made, name, at=at)


def sign_one(made: Ready, name: str, by: str = APPROVER, at: datetime | None = None, days: int = 300) -> None:
    """One document, for so many days from then on."""
    workplace = made.open(by, at)
    sign(workplace, name, made.folder / f"{name}.yaml", workplace.clock().date() + days * _DAY)


def settle(made: Ready, *, watched: bool = True, signed: Sequence[str] = DOCUMENTS) -> None:
    """What people do once a definition is another: who stands for a document says so anew, and the watch runs."""
    sign_documents(made, names=signed)
    if watched:
        run_monitor(made.open())


def _watched(made: Ready, day: date) -> None:
    """A case is decided, and the watch looks at the day."""
    reviewer = made.open(REVIEWER, _morning(day, 9))
    case = list_cases(reviewer, limit=1, free=True).cases[0].request_id
    claim(reviewer, case)
    decide(reviewer, case, "keep", "agrees_with_record", "the record behind it was looked at")
    acknowledge(made.open(OWNER))
    run_monitor(made.open())


def _drilled(made: Ready) -> None:
    plan = Plan(command=COMMAND, workers=1, connections=2, ticks=time.monotonic, sleep=time.sleep)
    done = drill(made.open(operating_system_user()), plan)
    assert done.verdict.holds, done.verdict.in_the_way


def log_version(made: Ready, seed: int) -> str:
    """Append training rows to the table of history, learn from all of it, and register what comes out."""
    rows = pa.Table.from_pandas(work_orders(TRAINING_ROWS, seed), preserve_index=False)
    made.write(HISTORY, rows, mode="append")
    table = DeltaTable(made.uri(HISTORY))
    frame = table.to_pandas().sort_values("order_id", ignore_index=True)
    training = frame[list(FEATURES)]
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("kind", encode, ["kind"])], remainder="passthrough")
    trees = HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=8, min_samples_leaf=200, early_stopping=False, random_state=seed
    )
    pipeline = Pipeline([("columns", columns), ("model", trees)]).fit(training, frame[LABEL].astype(int))
    deployment = made.deployment()
    apart = work_orders(2000, 70 + seed)[list(FEATURES)]
    scores = pipeline.predict_proba(apart)[:, 1]
    profile = profile_of(deployment.features, deployment.slices, _table(training), scores, _table(apart))
    client = made.client()
    mlflow.set_tracking_uri(made.site().tracking_uri)
    found = client.get_experiment_by_name("overrun")
    place = found.experiment_id if found else client.create_experiment(
        "overrun", artifact_location=(made.base / "artifacts").as_uri()
    )  # fmt: skip
    with mlflow.start_run(experiment_id=place) as run, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's hints to the author of a model
        log_training_data(
            client, run.info.run_id, content_of_version(table), tables={HISTORY: table.version()}, period=PERIOD
        )
        logged = mlflow.sklearn.log_model(
            pipeline,
            name="model",
            registered_model_name=MODEL,
            pyfunc_predict_fn="predict_proba",
            skops_trusted_types=TRUSTED,
            signature=infer_signature(training, pipeline.predict_proba(training)),
            input_example=training.head(20),
            pip_requirements=["scikit-learn"],
            metadata=profile_metadata(profile),
        )
    return str(logged.registered_model_version)


def _table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def kick_off(made: Ready, on: date, reference: str = "minutes of the kickoff meeting") -> None:
    """Put the kickoff on record, remembered by the minutes of a meeting."""
    kickoff(made.open(AUTHOR), "the authorization is asked for", on=on, reference=reference)
