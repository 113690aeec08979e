"""Production and an honest candidate: versions trained on different orders of the same fleet, and recent orders.

Orders come from the example's generator, the pipeline from its training. In the fleet of eight classes each class
has as many orders as another, so that 500 recent rows are about 62 a class; in the example's own fleet a third of
the orders are destroyers', and a class of new frigates is in no training data.
"""

import runpy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits

from fielded.decisions.release.shift import Scores
from fielded.definition import load_deployment

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "maintenance_overrun"
AS_OF = date(2026, 3, 31)
CLASSES = ("CG", "CVN", "DDG", "LCS", "LHD", "LPD", "LSD", "SSN")
TRAINING_DAYS, RECENT_DAYS = (-1000, -270), (-89, 0)  # from as_of, both included
TRAINING_ROWS = 30_000  # the example's training has 31,659 with its defaults
DEPLOYMENT = load_deployment(EXAMPLE)
FEATURES = tuple(DEPLOYMENT.features)
LISTED = DEPLOYMENT.slices
THRESHOLD = DEPLOYMENT.decision.threshold

_MADE = runpy.run_path(str(EXAMPLE / "make_data.py"))
_PIPELINE = runpy.run_path(str(EXAMPLE / "train.py"))["make_pipeline"]


@dataclass(frozen=True)
class Pair:
    """Two versions' view of the same recent orders.

    Attributes:
        features: of the orders.
        production: log-odds, one an order.
        candidate: the same of the candidate, which nobody has biased.
    """

    features: pa.Table
    production: np.ndarray
    candidate: np.ndarray

    def scores(self, rows: int, shift: float = 0.0, vessel_class: str = "") -> tuple[pa.Table, Scores, Scores]:
        """The first `rows` orders, with the candidate's log-odds of one class shifted."""
        features = self.features.slice(0, rows)
        biased = np.asarray(features.column("hull_class").to_pylist()) == vessel_class
        return features, _scores(self.production[:rows]), _scores(self.candidate[:rows] + shift * biased)


def pair(seed: int, *, recent_rows: int, equal_classes: bool = True, training_rows: int = TRAINING_ROWS) -> Pair:
    """Production, candidate and recent orders, all drawn anew from one fleet."""
    ships = fleet(equal_classes=equal_classes)
    recent = orders(np.random.default_rng([seed, 2]), ships, RECENT_DAYS, recent_rows)[list(FEATURES)]
    with threadpool_limits(1):
        production, candidate = (
            logit(trained(seed, place, ships, training_rows).predict_proba(recent)[:, 1]) for place in (0, 1)
        )
    return Pair(pa.Table.from_pandas(recent, preserve_index=False), production, candidate)


def trained(seed: int, place: int, ships: object, rows: int) -> object:
    """One version, trained on orders of its own."""
    training = orders(np.random.default_rng([seed, place]), ships, TRAINING_DAYS, rows)
    pipeline = _PIPELINE(DEPLOYMENT, 2 * seed + place)
    return pipeline.fit(training[list(FEATURES)], training["overrun"])


def fleet(*, equal_classes: bool) -> object:
    """The example's fleet; with `equal_classes` each of eight classes has as many orders, and frigates none."""
    ships = _MADE["make_fleet"](np.random.default_rng([7, 0]), AS_OF)
    if not equal_classes:
        return ships
    hull_class = np.asarray(ships.hull_class.to_pylist())
    yearly = ships.yearly_orders.copy()
    for each in np.unique(hull_class):
        yearly[hull_class == each] *= (each in CLASSES) / yearly[hull_class == each].sum()
    return replace(ships, yearly_orders=yearly)


def orders(rng: np.random.Generator, ships: object, days: Sequence[int], count: int) -> pd.DataFrame:
    """Orders that started in a period, in random order: the features and what became of them."""
    today = _MADE["_day"](AS_OF)
    made = _MADE["simulate"](rng, ships, AS_OF, (today + days[0], today + days[1]), count)
    month, year = _MADE["_months_and_years"](made.started)
    age = (year - ships.commission_year[made.ship]).astype(np.float64)
    columns: Mapping[str, object] = {
        "labor_hours_estimated": made.hours,
        "estimated_completion_days": made.days,
        "ship_age_years": np.where(ships.registered[made.ship], age, np.nan),
        "prior_work_order_count": made.prior,
        "start_month": month,
        "data_quality_score": made.quality,
        "hull_class": np.asarray(ships.hull_class.to_pylist())[made.ship],
        "maintenance_category": np.asarray(list(_MADE["CATEGORIES"]))[made.category],
        "overrun": made.actual_hours > made.hours,
    }
    return pd.DataFrame(columns).iloc[rng.permutation(count)].reset_index(drop=True)


def _scores(log_odds: np.ndarray) -> Scores:
    scores = expit(log_odds)
    return Scores(scores, scores >= THRESHOLD)
