"""How often a trigger alarms in years without drift, and how soon it sees a shift: by simulation.

    python bench/monitoring/triggers.py --write             some minutes on one core
    python bench/monitoring/triggers.py --years 60          smaller

The fleet, its orders and their outcomes are those of the maintenance example; the model is a gradient boosting
like its own. A reference of 20,000 orders is drawn, and drawn anew for each simulated year
(`decisions.monitoring.simulate`).
"""

import argparse
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path.insert(0, str(REPOSITORY / "examples" / "maintenance_overrun"))

from make_data import Fleet, Orders, make_fleet, simulate  # noqa: E402

from fielded.decisions.monitoring.at_once import drift_statistic  # noqa: E402
from fielded.decisions.monitoring.profile import Profile, place_rows, profile_of  # noqa: E402
from fielded.decisions.monitoring.simulate import Instance, Plan, Simulated  # noqa: E402
from fielded.decisions.monitoring.simulate import simulate as simulate_years  # noqa: E402
from fielded.definition.deployment import Feature  # noqa: E402
from fielded.definition.monitoring import Clear, Metric, Significance, Trigger, Window  # noqa: E402

PAGE = REPOSITORY / "docs" / "benchmarks.md"
BEGIN, END = "<!-- triggers: written by make bench-monitoring -->", "<!-- end of triggers -->"
AS_OF = date(2026, 3, 2)
TRAINING, RECENT = 20_000, 200_000  # orders
ROWS_PER_WEEK = 100.0
FEATURES: Mapping[str, Feature] = {
    "hours": Feature(type="float"), "days": Feature(type="float"), "age": Feature(type="int"),
    "prior": Feature(type="int"), "quality": Feature(type="float"), "category": Feature(type="int"),
}  # fmt: skip
ISSUE = Trigger(
    id="issue", metric="psi(score)", when="> 0.10", significance=Significance(alpha=0.05),
    window=Window(last=300, max_age=timedelta(days=90)), min_sample=300, breaches="2 of 2",
    clear=Clear(**{"when": "< 0.08", "for": 2}),
)  # fmt: skip
POLICIES: Mapping[str, Trigger] = {
    "PSI > 0.10 of the last 100, at once": replace(
        ISSUE, window=Window(last=100), min_sample=100, significance=None, breaches="1 of 1", clear=None
    ),
    "PSI > 0.10 of the last 300, at once": replace(ISSUE, significance=None, breaches="1 of 1", clear=None),
    "the example's: above the chi-squared limit too, 2 of 2": ISSUE,
    "the same, 2 of 3": replace(ISSUE, breaches="2 of 3"),
}


@dataclass(frozen=True)
class World:
    """What is drawn from.

    Attributes:
        profile: of training.
        quiet: cells of recent orders: column -> bin of each.
        aged: years -> the same orders on ships that many years older.
    """

    profile: Profile
    quiet: Mapping[str, np.ndarray]
    aged: Mapping[int, Mapping[str, np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=1000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    begun = time.monotonic()
    world = make_world()
    text = "\n".join(table(world, options.years))
    print(text)
    print(f"{time.monotonic() - begun:.0f} s")
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def make_world() -> World:
    """Train on orders of three years, then look at others of the same."""
    fleet = make_fleet(np.random.default_rng([7, 0]), AS_OF)
    training, recent = (orders(fleet, seed, count) for seed, count in ((1, TRAINING), (2, RECENT)))
    learnt = orders(fleet, 3, TRAINING)
    model = HistGradientBoostingClassifier(max_iter=80, random_state=0)
    model.fit(matrix(learnt), np.asarray(learnt.column("overrun")))

    def scored(table: pa.Table) -> np.ndarray:
        chances: np.ndarray = model.predict_proba(matrix(table))[:, 1]
        return chances

    profile = profile_of(FEATURES, (), training, scored(training))
    aged = {}
    for by in (0, 1, 2, 3):
        older = recent.set_column(
            recent.column_names.index("age"), "age", pa.array(np.asarray(recent.column("age")) + by)
        )
        aged[by] = place_rows(profile, older.append_column("score", pa.array(scored(older))))
    return World(profile, aged.pop(0), aged)


def orders(fleet: Fleet, seed: int, count: int) -> pa.Table:
    """Orders of the year up to `AS_OF`, with what came of them."""
    today = (AS_OF - date(1970, 1, 1)).days
    made: Orders = simulate(np.random.default_rng([7, seed]), fleet, AS_OF, (today - 364, today), count)
    return pa.table(
        {
            "hours": made.hours,
            "days": made.days,
            "age": AS_OF.year - fleet.commission_year[made.ship],
            "prior": made.prior,
            "quality": made.quality,
            "category": made.category,
            "overrun": made.actual_hours > made.hours,
        }
    )


def matrix(table: pa.Table) -> np.ndarray:
    return np.column_stack([np.asarray(table.column(name), dtype=float) for name in FEATURES])


def instance(world: World, column: str, trigger: Trigger, shift: int, alpha: float | None) -> Instance:
    """A column's PSI; the shift carries each bin of the reference to where recent orders of it go."""
    grid, reference = world.profile.grids[column], counts_of(world.profile, column)
    quiet = reference / reference.sum()
    shifted = None
    if shift:
        carried = np.zeros((grid.bins, grid.bins))
        np.add.at(carried, (world.quiet[column], world.aged[shift][column]), 1.0)
        there = carried.sum(axis=1) > 0
        carried[there] /= carried[there].sum(axis=1, keepdims=True)
        shifted = np.where(there, quiet, 0.0) / quiet[there].sum() @ carried
    return Instance(
        metric=Metric("psi", column),
        quiet=quiet,
        shifted=shifted,
        reference=reference,
        share=1.0,
        statistic=drift_statistic("psi", grid, reference, None if trigger.significance is None else alpha),
    )


def counts_of(profile: Profile, column: str) -> np.ndarray:
    (held,) = profile.reference.counts.values()
    return held[column]


def simulated(
    world: World, trigger: Trigger, columns: tuple[str, ...], shift: int, every: int, years: int
) -> Simulated:
    alpha = None if trigger.significance is None else trigger.significance.of_each(len(columns))
    instances = [instance(world, column, trigger, shift, alpha) for column in columns]
    words = f"ships {shift} years older" if shift else ""
    return simulate_years(Plan(trigger, instances, ROWS_PER_WEEK, every), years, np.random.default_rng(1), words)


def table(world: World, years: int) -> Iterator[str]:
    yield (
        f"Python {platform.python_version()}; {ROWS_PER_WEEK:g} rows a week, {years:,} simulated years, "
        f"a reference of {TRAINING:,} orders; shares with 95 % intervals."
    )
    yield ""
    yield "| Metric | Trigger | A look every | Years without a false alarm | False alarms a year |"
    yield "|---|---|---|---|---|"
    every_column = tuple(world.profile.grids)
    for columns, name in (
        (("age",), "`psi(ship_age_years)`"),
        (("score",), "`psi(score)`"),
        (every_column, f"`psi(*)`, {len(every_column)} columns, Bonferroni"),
    ):
        for policy, trigger in POLICIES.items():
            for every in (7, 1):
                found = simulated(world, trigger, columns, 0, every, years)
                quiet = 1 - (found.noisy_years.value or 0.0)
                low, high = 1 - found.noisy_years.high, 1 - found.noisy_years.low
                yield (
                    f"| {name} | {policy} | {every} d | {quiet:.1%} [{low:.1%}, {high:.1%}] "
                    f"| {found.alarms / years:.2g} |"
                )
    yield ""
    yield "The example's trigger, and ships that are older from one day on:"
    yield ""
    yield "| Metric | Shift | A look every | Seen within 4 weeks | within 26 weeks | Median weeks |"
    yield "|---|---|---|---|---|---|"
    for column, name in (("age", "`psi(ship_age_years)`"), ("score", "`psi(score)`")):
        for shift in (1, 2, 3):
            for every in (7, 1):
                found = simulated(world, ISSUE, (column,), shift, every, years)
                yield f"| {name} | {shift:+d} years | {every} d | {_share(found)} |"


def _share(found: Simulated) -> str:
    if found.soon is None or found.seen is None:
        return "| |"
    median = "never" if found.median_weeks is None else f"{found.median_weeks:g}"
    soon = f"{found.soon.value or 0.0:.1%} [{found.soon.low:.1%}, {found.soon.high:.1%}]"
    return f"{soon} | {found.seen.value or 0.0:.1%} | {median}"


if __name__ == "__main__":
    main()
