"""A small real world that is watched: a model with a profile, and days of orders of which some drift."""

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from conftest import DEFINITION, SHIPS, Store, World, make_orders, make_pipeline
from fielded.decisions.monitoring.profile import profile_of
from fielded.definition.loading import parse_document
from fielded.definition.site import Site
from fielded.services.approve import approve
from fielded.services.prepare_scorer import Scorers
from fielded.services.score_day import score_day
from fielded.world.profiles import profile_metadata
from fielded.world.workplace import Workplace

FIRST = date(2026, 3, 2)
ROWS = 150  # of a day
SEED = 11

TRIGGERS = """\
monitoring:
  triggers:
    - id: score-drift
      metric: psi(score)
      when: "> 0.10"
      significance: {alpha: 0.05}
      window: {last: 300, max_age: 30d}
      min_sample: 300
      breaches: 2 of 2
      clear: {when: "< 0.08", for: 1}
      no_data_after: 14d
      then: [open_retraining_request, notify_owner]
    - {id: flags, metric: "flag_rate[kind=*]", when: "> 0.95", min_sample: 20, window: {last: 200}}
"""


def log_profiled(store: Store, name: str) -> str:
    """Register a model whose files have a profile of orders; both aliases stand on versions of it."""
    pipeline, _ = make_pipeline(SEED)
    training = features_of(make_orders(3000, 77))
    features = parse_document(DEFINITION).features
    scores = pipeline.predict_proba(training.to_pandas())[:, 1]
    profile = profile_of(features, ["kind"], training, scores)
    for alias in ("production", "previous"):
        version = store.log(name, SEED, metadata=profile_metadata(profile))
        store.client.set_registered_model_alias(name, alias, version)
    return name


def features_of(orders: pa.Table) -> pa.Table:
    """What the population makes of orders."""
    hulls = orders.column("hull").to_numpy()
    age = pa.array((FIRST.year - (hulls + 1975)).astype(float), mask=hulls >= 50)
    return pa.table(
        {name: orders.column(name) for name in ("hours", "earlier", "month", "kind")} | {"age": age}
    ).select(["hours", "age", "earlier", "month", "kind"])


@dataclass
class Watched:
    """A world with a watch.

    Attributes:
        world: with the definition of `TRIGGERS`.
        first: number of the next order.
    """

    world: World
    first: int = 0

    def at(self, day: date, hour: int = 6, user: str = "os:monitor", site: Site | None = None) -> Workplace:
        """A workplace on the morning of a day."""
        moment = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
        steps = iter(range(10_000_000))
        opened = replace(self.world, site=site or self.world.site).open(user)
        return replace(opened, clock=lambda: moment + timedelta(milliseconds=next(steps)))

    def redefined(self, section: str) -> "Watched":
        """With other triggers."""
        self.world.define(DEFINITION + section)
        return self

    def score(self, day: date, *, hours: float = 1.0, rows: int = ROWS) -> None:
        """Score a day's orders, whose hours are so many times those of training."""
        made = make_orders(rows, int(day.strftime("%j")), self.first, opened_on=day)
        self.first += rows
        place = made.column_names.index("hours")
        made = made.set_column(place, "hours", pa.array(np.asarray(made.column("hours")) * hours))
        self.world.write("silver.orders", made)
        workplace = self.at(day, 2)
        score_day(workplace, Scorers(workplace), day)

    def days(self, count: int, start: date = FIRST, *, hours: float = 1.0) -> date:
        """Score so many days in a row; the day after them."""
        for number in range(count):
            self.score(start + timedelta(days=number), hours=hours)
        return start + timedelta(days=count)


def make_watched(world: World, model: str, section: str = TRIGGERS) -> Watched:
    """A watch over a model, in a ledger of its own."""
    shutil.rmtree(Path(world.site.root) / "ledger", ignore_errors=True)
    made = replace(world, model=model)
    made.define(DEFINITION + section)
    for version in ("1", "2"):
        approve(made.open(), version)
    return Watched(made)


def made_days(store: Store, folder: Path, model: str, *, drifted: int = 5, calm: int = 3) -> Watched:
    """Two quiet days, some with other hours, some quiet again. How far a look sees is a matter of its day.

    Args:
        store: for the model.
        folder: empty.
        model: name to register it by; nobody else's.
        drifted: days with other hours.
        calm: days after them.
    """
    (folder / "deployment").mkdir()
    site = site_in(folder, store)
    world = World(folder / "deployment", site, store, log_profiled(store, model))
    made = make_watched(world, model)
    world.write("reference.ships", SHIPS)
    after = made.days(drifted, made.days(2), hours=4.0)
    made.days(calm, after)
    return made


def site_in(folder: Path, store: Store) -> Site:
    return Site(
        root=str(folder / "tables"),
        tracking_uri=store.uri,
        artifact_root=str(store.artifacts),
        cache=folder / "cache",
        journal_url=f"sqlite:///{folder / 'journal'}",
        signing_key=f"file:{folder / 'keys' / 'seal.pem'}",
        batch_rows=512,
        file_rows=1500,
    )


def copied(made: Watched, folder: Path) -> Watched:
    """The same, in a place where a test may do what it likes."""
    source = made.world.folder.parent
    for name in ("deployment", "tables", "cache", "keys"):
        shutil.copytree(source / name, folder / name)
    world = replace(made.world, folder=folder / "deployment", site=site_in(folder, made.world.store))
    return Watched(world, made.first)
