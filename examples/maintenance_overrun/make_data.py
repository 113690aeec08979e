"""Made-up work orders and a made-up ship registry, with the faults that real ones have.

    python make_data.py --open-orders 20000 --history-orders 60000

Orders are simulated from their first day to their last and then looked at on `as_of`, so the open ones are the
slower ones, as in life. The same arguments give the same rows. Memory stays bounded: batches are made one at a
time and streamed into the table.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from deltalake import WriterProperties, write_deltalake

from fielded.definition import load_site

WORK_ORDERS = "jupiter_catalog.silver.maintenance_work_orders"
SHIPS = "jupiter_catalog.reference.ship_registry"

WINDOW_DAYS = 90  # the population's window
HISTORY_DAYS = 3 * 365  # how far the oldest order lies back
BATCH_ROWS = 1 << 18  # orders simulated together, and rows of a row group: a reader holds a few of those
FILE_BYTES = 26_000_000  # about a million rows
RECENT_SHARE = 0.4  # most of the history that orders of the window may take

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Class: ships in the fleet, commissioned from, to (years before as_of), effect on the log odds of an overrun.
CLASSES = {
    "CG": (14, 38, 30, 0.55),
    "CVN": (11, 48, 5, 0.75),
    "DDG": (92, 34, 0, 0.05),
    "LCS": (26, 14, 1, -0.35),
    "LHD": (9, 36, 12, 0.35),
    "LPD": (13, 20, 2, -0.05),
    "LSD": (12, 40, 27, 0.30),
    "SSN": (68, 40, 0, -0.55),
    "FFG": (4, 0, 0, 0.20),  # new this year: no model trained on earlier years has seen it
}
# Category: share of all orders, factor on its hours, effect on the log odds of an overrun.
CATEGORIES = {
    "corrective": (0.34, 1.0, 0.15),
    "emergent": (0.12, 0.7, 0.95),
    "inspection": (0.14, 0.35, -0.80),
    "modernization": (0.10, 3.2, 0.70),
    "preventive": (0.30, 0.8, -0.75),
}
HOMEPORTS = ("Everett", "Mayport", "Norfolk", "Pearl Harbor", "San Diego", "Yokosuka")

UNREGISTERED = 0.04  # share of hulls that the registry lacks
DUPLICATES = 1e-4  # share of rows that carry another order's number
# Fault: share of rows. Half a percent in all.
FAULTS = {
    "negative_hours": 0.0015,
    "null_hours": 0.0010,
    "quality_as_percent": 0.0010,
    "negative_quality": 0.0005,
    "negative_days": 0.0005,
    "misspelt_category": 0.0005,
}
MISSPELT = "corective"

ORDER_SCHEMA = pa.schema(
    [
        pa.field("work_order_id", pa.string(), nullable=False),
        pa.field("hull_number", pa.string(), nullable=False),
        pa.field("hull_class", pa.string(), nullable=False),
        pa.field("maintenance_category", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("started_on", pa.date32(), nullable=False),
        pa.field("completed_on", pa.date32()),
        pa.field("labor_hours_estimated", pa.float64()),
        pa.field("labor_hours_actual", pa.float64()),
        pa.field("estimated_completion_days", pa.float64()),
        pa.field("prior_work_order_count", pa.int64()),
        pa.field("data_quality_score", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Fleet:
    """Every hull that has work orders, whether or not the registry knows it.

    Attributes:
        hull_number: one text a hull.
        hull_class: one text a hull.
        class_effect: log odds that the hull's class adds.
        own_effect: log odds that no feature shows: its crew, its yard, its luck.
        commission_year: ascending, so that `established` hulls come first.
        established: how many hulls were in commission when the history begins.
        yearly_orders: mean work orders a year.
        registered: whether the registry has it.
        homeport: one text a hull.
    """

    hull_number: pa.Array
    hull_class: pa.Array
    class_effect: Floats
    own_effect: Floats
    commission_year: Integers
    established: int
    yearly_orders: Floats
    registered: npt.NDArray[np.bool_]
    homeport: pa.Array


@dataclass(frozen=True)
class Orders:
    """Simulated orders, one element of each array an order, ascending by first day.

    Attributes:
        number: the order's number.
        ship: place of its hull in the fleet.
        category: place of its category in `CATEGORIES`.
        started: first day, in days since 1970-01-01.
        completed: day of completion, known or still to come.
        hours: estimated labour hours.
        actual_hours: labour hours it takes in the end.
        days: estimated days to completion.
        prior: work orders the hull had in its life when this one was opened.
        quality: the record's data quality score.
    """

    number: Integers
    ship: Integers
    category: Integers
    started: Integers
    completed: Integers
    hours: Floats
    actual_hours: Floats
    days: Floats
    prior: Integers
    quality: Floats

    def __len__(self) -> int:
        return len(self.number)

    def take(self, places: npt.NDArray[np.intp]) -> "Orders":
        return Orders(**{name: getattr(self, name)[places] for name in self.__dataclass_fields__})


def make(
    table_uri: Callable[[str], str], *, seed: int, as_of: date, open_orders: int, history_orders: int
) -> dict[str, int]:
    """Write both tables, replacing what was there.

    Args:
        table_uri: where a table named `a.b.c` lies.
        seed: of all randomness.
        as_of: the day the orders are looked at; nothing later is in the tables.
        open_orders: orders that the population gives on `as_of`: open, and started in the 90 days up to it.
        history_orders: all other orders: completed, or open for longer than the window.

    Returns:
        Rows of each table by its name.
    """
    fleet = make_fleet(np.random.default_rng([seed, 0]), as_of)
    write_deltalake(table_uri(SHIPS), registry(fleet), mode="overwrite")
    batches = order_batches(fleet, seed, as_of, open_orders, history_orders)
    reader = pa.RecordBatchReader.from_batches(ORDER_SCHEMA, batches)
    write_deltalake(
        table_uri(WORK_ORDERS),
        reader,
        mode="overwrite",
        target_file_size=FILE_BYTES,
        writer_properties=WriterProperties(max_row_group_size=BATCH_ROWS),
    )
    return {WORK_ORDERS: open_orders + history_orders, SHIPS: int(fleet.registered.sum())}


def make_fleet(rng: np.random.Generator, as_of: date) -> Fleet:
    """All hulls, oldest first."""
    names, classes, effects, years = [], [], [], []
    for name, (ships, oldest, youngest, effect) in CLASSES.items():
        names += [f"{name}-{number:03d}" for number in range(1, ships + 1)]
        classes += [name] * ships
        effects += [effect] * ships
        years += [as_of.year - round(age) for age in np.linspace(oldest, youngest, ships)]
    order = np.argsort(years, kind="stable")
    count = len(order)
    year = np.array(years)[order]
    return Fleet(
        hull_number=pa.array(names).take(pa.array(order)),
        hull_class=pa.array(classes).take(pa.array(order)),
        class_effect=np.array(effects)[order],
        own_effect=rng.normal(0, 0.25, count),
        commission_year=year,
        established=int(np.searchsorted(year, (as_of - timedelta(days=HISTORY_DAYS)).year)),
        yearly_orders=rng.gamma(9, 1.6, count),
        registered=rng.random(count) >= UNREGISTERED,
        homeport=pa.array(HOMEPORTS).take(pa.array(rng.integers(0, len(HOMEPORTS), count))),
    )


def registry(fleet: Fleet) -> pa.Table:
    """The ship registry: the hulls it knows."""
    hulls = {
        "hull_number": fleet.hull_number,
        "hull_class": fleet.hull_class,
        "commission_year": fleet.commission_year,
        "homeport": fleet.homeport,
    }
    return pa.table(hulls).filter(pa.array(fleet.registered))


def order_batches(
    fleet: Fleet, seed: int, as_of: date, open_orders: int, history_orders: int
) -> Iterator[pa.RecordBatch]:
    """All orders: those started in the window, then those before it."""
    today = _day(as_of)
    rng = np.random.default_rng([seed, 1])
    pool, wanted, spare = 0, open_orders, int(history_orders * RECENT_SHARE)
    while wanted:
        count = min(BATCH_ROWS, 3 * wanted + 100)
        orders = simulate(rng, fleet, as_of, (today - WINDOW_DAYS + 1, today), count)
        is_open = np.flatnonzero(orders.completed > today)
        done = np.flatnonzero(orders.completed <= today)
        kept = min(wanted, len(is_open))
        kept_done = min(spare, len(done) * kept // max(len(is_open), 1))
        places = np.concatenate([_some(rng, is_open, kept), _some(rng, done, kept_done)])
        orders = orders.take(np.sort(places))
        yield to_batch(rng, fleet, orders, today, history_orders + pool)
        pool, wanted, spare = pool + count, wanted - kept, spare - kept_done
    older = history_orders - (int(history_orders * RECENT_SHARE) - spare)
    rng = np.random.default_rng([seed, 2])
    for first in range(0, older, BATCH_ROWS):
        count = min(BATCH_ROWS, older - first)
        orders = simulate(rng, fleet, as_of, (today - HISTORY_DAYS, today - WINDOW_DAYS), count)
        yield to_batch(rng, fleet, orders, today, first)


def simulate(rng: np.random.Generator, fleet: Fleet, as_of: date, period: tuple[int, int], count: int) -> Orders:
    """`count` orders from their first day, inside `period` (both ends included), to their last."""
    calendar = np.arange(period[0], period[1] + 1)
    months, years = _months_and_years(calendar)
    weekend = (calendar + 3) % 7 >= 5  # 1970-01-01 was a Thursday
    busy = (1 + 0.25 * np.cos(2 * np.pi * (months - 10) / 12)) * np.where(weekend, 0.15, 1.0)
    day = np.sort(_draw(rng, busy, count).astype(np.int16)).astype(np.int64)
    month, year = months[day], years[day]

    ship = _draw(rng, fleet.yearly_orders, count)
    not_yet = np.flatnonzero(fleet.commission_year[ship] > year)
    ship[not_yet] = _draw(rng, fleet.yearly_orders[: fleet.established], len(not_yet))
    age = year - fleet.commission_year[ship]
    prior = rng.poisson(fleet.yearly_orders[ship] * (age + 0.3))

    share, factor, _ = np.array(list(CATEGORIES.values())).T
    category = _draw(rng, share, count)
    growth = 0.03 * (year - as_of.year)  # estimates creep up year by year
    log_hours = np.log(130 * factor)[category] + growth + rng.normal(0, 0.85, count)
    log_days = 3.35 + 0.4 * (log_hours - 4.6) + rng.normal(0, 0.45, count)
    hours = np.maximum(np.round(np.exp(log_hours) * 2) / 2, 2.0)
    days = np.maximum(np.round(np.exp(log_days)), 1.0)
    quality = np.round(1 - 0.5 * rng.beta(2, 5, count), 3)

    odds = _log_odds(log_hours - log_days, log_hours, age, prior, quality)
    odds += _seasonal(month) + 0.1 * (year - as_of.year)
    odds += fleet.class_effect[ship] + fleet.own_effect[ship] + _category_effect(category, age)
    overrun = rng.random(count) < 1 / (1 + np.exp(-odds))
    excess = np.abs(rng.normal(0, 0.35, count)) + 0.01
    late = rng.normal(-0.1, 0.35, count) + 0.4 * overrun
    return Orders(
        number=np.arange(1, count + 1),
        ship=ship,
        category=category,
        started=calendar[day],
        completed=calendar[day] + np.maximum(np.round(days * np.exp(late)), 1).astype(np.int64),
        hours=hours,
        actual_hours=np.round(hours * np.exp(np.where(overrun, excess, -excess)), 2),
        days=days,
        prior=prior,
        quality=quality,
    )


def _log_odds(pressure: Floats, log_hours: Floats, age: Integers, prior: Integers, quality: Floats) -> Floats:
    """Log odds of an overrun from the numbers: much work a day, a large job, an old ship, a poor record."""
    return (
        -1.35
        + 0.55 * (pressure - 1.3) / 0.7
        + 0.40 * (log_hours - 4.6)
        + 0.40 * (age - 18) / 10
        + 0.35 * (age > 25)
        + 0.20 * (np.log1p(prior) - 5.2)
        - 0.50 * (quality - 0.86) / 0.08
    )


def _seasonal(month: Integers) -> Floats:
    """Winter weather and the fiscal year's first quarter slow the yards."""
    return 0.35 * np.cos(2 * np.pi * (month - 12.5) / 12)


def _category_effect(category: Integers, age: Integers) -> Floats:
    effect = np.array([effect for _, _, effect in CATEGORIES.values()])
    emergent = list(CATEGORIES).index("emergent")
    extra = 0.4 * ((category == emergent) & (age > 20))
    return np.asarray(effect[category] + extra)


def to_batch(
    rng: np.random.Generator, fleet: Fleet, orders: Orders, today: int, number_offset: int
) -> pa.RecordBatch:
    """Orders as the table has them on `today`: what is not known yet is null, and some rows are spoiled."""
    is_open = orders.completed > today
    number = orders.number + number_offset
    for members in (np.flatnonzero(is_open), np.flatnonzero(~is_open)):
        pairs = rng.choice(members, (2, round(len(members) * DUPLICATES)), replace=False)
        number[pairs[0]] = number[pairs[1]]
    columns = {
        "work_order_id": _order_ids(number),
        "hull_number": fleet.hull_number.take(pa.array(orders.ship)),
        "hull_class": fleet.hull_class.take(pa.array(orders.ship)),
        "status": pa.array(["completed", "open"]).take(pa.array(is_open.astype(np.int8))),
        "started_on": pa.array(orders.started.astype("datetime64[D]")),
        "completed_on": pa.array(orders.completed.astype("datetime64[D]"), mask=is_open),
        "labor_hours_actual": pa.array(orders.actual_hours, mask=is_open),
        "prior_work_order_count": pa.array(orders.prior),
        **_spoiled(rng, orders),
    }
    return pa.record_batch([columns[name] for name in ORDER_SCHEMA.names], schema=ORDER_SCHEMA)


def _spoiled(rng: np.random.Generator, orders: Orders) -> dict[str, pa.Array]:
    """The columns that people key in, with `FAULTS` in them."""
    kind = np.searchsorted(np.cumsum(list(FAULTS.values())), rng.random(len(orders)), side="right")
    at = {fault: np.flatnonzero(kind == place) for place, fault in enumerate(FAULTS)}
    hours, days, quality = orders.hours.copy(), orders.days.copy(), orders.quality.copy()
    category = orders.category.copy()
    hours[at["negative_hours"]] *= -1
    quality[at["quality_as_percent"]] *= 100
    quality[at["negative_quality"]] = -1.0
    days[at["negative_days"]] *= -1
    category[at["misspelt_category"]] = len(CATEGORIES)
    missing = np.zeros(len(orders), dtype=bool)
    missing[at["null_hours"]] = True
    return {
        "maintenance_category": pa.array([*CATEGORIES, MISSPELT]).take(pa.array(category)),
        "labor_hours_estimated": pa.array(hours, mask=missing),
        "estimated_completion_days": pa.array(days),
        "data_quality_score": pa.array(quality),
    }


def _order_ids(number: Integers) -> pa.Array:
    """`WO-` and ten digits, made as bytes: ten million texts one by one would take most of the time."""
    text = np.empty((len(number), 13), dtype=np.uint8)
    text[:, :3] = np.frombuffer(b"WO-", dtype=np.uint8)
    rest = number.copy()
    for place in range(12, 2, -1):
        rest, digit = np.divmod(rest, 10)
        text[:, place] = digit + ord("0")
    offsets = np.arange(0, 13 * (len(number) + 1), 13, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(number), [None, pa.py_buffer(offsets), pa.py_buffer(text)])


def _draw(rng: np.random.Generator, weights: Floats, count: int) -> Integers:
    """`count` places, each as likely as its weight."""
    steps = np.cumsum(weights / weights.sum())
    return np.minimum(np.searchsorted(steps, rng.random(count), side="right"), len(steps) - 1)


def _some(rng: np.random.Generator, places: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """`count` of `places`; all of them without a draw where that is asked."""
    return places if count == len(places) else rng.choice(places, count, replace=False)


def _months_and_years(days: Integers) -> tuple[Integers, Integers]:
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return months % 12 + 1, months // 12 + 1970


def _day(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def main() -> None:
    parser = argparse.ArgumentParser(description="Make work orders and a ship registry at the site.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--as-of", type=date.fromisoformat, default=date(2026, 3, 31))
    parser.add_argument("--open-orders", type=int, default=20_000)
    parser.add_argument("--history-orders", type=int, default=60_000)
    given = parser.parse_args()
    site = load_site(os.environ, Path.cwd())
    rows = make(
        lambda name: f"{site.root}/{name.replace('.', '/')}",
        seed=given.seed,
        as_of=given.as_of,
        open_orders=given.open_orders,
        history_orders=given.history_orders,
    )
    for table, count in rows.items():
        print(f"{table}: {count:,} rows")


if __name__ == "__main__":
    main()
