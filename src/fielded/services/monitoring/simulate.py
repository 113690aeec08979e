"""Before a trigger is armed: what it would do, on what the deployment has by now.

1. Years without drift are drawn from what the trigger compares with: the reference of a drift metric, and the
   rows of late for a rate or a performance.
2. A shift is made on rows of the ledger: the feature's values are moved, production's own scorer scores the rows
   again, and what becomes of each cell of rows is carried over to the quiet distribution. So what has drifted
   already is not counted in.
3. Without rows in the ledger the profile's histogram of the feature is moved, its rows taken to lie evenly within
   each bin; then a shift of a feature is seen in that feature alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.monitoring.at_once import Statistic, drift_statistic, mean_statistic, share_statistic
from fielded.decisions.monitoring.histograms import OVERALL, Grid, Place
from fielded.decisions.monitoring.instances import Measurer
from fielded.decisions.monitoring.metrics import NO_PROFILE
from fielded.decisions.monitoring.profile import Profile, place_rows
from fielded.decisions.monitoring.simulate import Instance, Plan, Simulated
from fielded.decisions.monitoring.simulate import simulate as run_simulation
from fielded.decisions.rules import feature_schema
from fielded.definition.monitoring import DRIFT, FLOW, LABELLED, QUALITY, SCORE, Metric, Trigger, When
from fielded.services.monitoring.monitor import Looked, look
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.recent_rows import recent_rows
from fielded.words.errors import Refused, WrongUse
from fielded.world.workplace import Workplace

MOST_ROWS = 20_000  # of the ledger, that a shift is made on
_SHIFT = re.compile(r"^(?P<feature>[a-z][a-z0-9_]*)=(?P<by>[+-]\d+(?:\.\d+)?)$")
_LATELY = timedelta(days=28)
_WEEK = timedelta(days=7)
# Cells of rows with labels: flag and label. Which are counted, and among which.
_OF_LABELS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "recall": ((3,), (1, 3)), "fnr": ((1,), (1, 3)), "fpr": ((2,), (0, 2)), "precision": ((3,), (2, 3)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shift:
    """A feature whose values are moved.

    Attributes:
        feature: its name.
        by: added to each value, in the feature's unit.
    """

    feature: str
    by: float

    @classmethod
    def parse(cls, text: str) -> "Shift":
        """Read `ship_age_years=+2`.

        Raises:
            WrongUse: it is none.
        """
        found = _SHIFT.match(text.strip())
        if found is None:
            raise WrongUse(f"--shift: got {text!r}, expected FEATURE=+NUMBER or FEATURE=-NUMBER")
        return cls(found["feature"], float(found["by"]))

    def __str__(self) -> str:
        return f"{self.feature} {self.by:+g}"


def simulate(
    workplace: Workplace,
    trigger_id: str,
    *,
    rows_per_week: float | None = None,
    shift: str | None = None,
    years: int = 200,
    every: int = 1,
    seed: int = 0,
) -> Simulated:
    """False alarms a year of a trigger, and weeks until it sees a shift. Nothing is put on record.

    Args:
        workplace: the deployment at its site.
        trigger_id: of the definition.
        rows_per_week: that will come; None takes as many as came in the last 28 days.
        shift: such as `ship_age_years=+2`; None asks about none.
        years: simulated.
        every: days between two looks.
        seed: of chance.

    Raises:
        WrongUse: no such trigger or feature, or a metric that cannot be simulated.
        Refused: there is no profile, or are no rows, to draw from.
    """
    trigger = _trigger(workplace, trigger_id)
    made = Shift.parse(shift) if shift else None
    looked = look(workplace)
    cells = _Cells(workplace, looked, trigger, made)
    plan = Plan(trigger, cells.instances(), rows_per_week or _lately(looked), every)
    return run_simulation(plan, years, np.random.default_rng(seed), str(made) if made else "")


def _trigger(workplace: Workplace, trigger_id: str) -> Trigger:
    triggers = {trigger.id: trigger for trigger in workplace.deployment.monitoring.triggers}
    if trigger_id not in triggers:
        raise WrongUse(
            f"simulate: got {trigger_id}, expected one of {', '.join(triggers) or 'none: there are none'}"
        )
    trigger = triggers[trigger_id]
    name = Metric.parse(trigger.metric).name
    if name in FLOW or name in ("override_rate", "quarantine_rate", "auc", "brier", "calibration"):
        raise WrongUse(
            f"simulate {trigger_id}: got {name}, expected drift, quality, flag_rate, review_rate, mean_score, "
            "fnr, fpr, recall or precision. Others do not come row by row, or not from counts of rows"
        )
    return trigger


def _lately(looked: Looked) -> float:
    """Rows a week of late."""
    sources = looked.measurer.sources
    inside = [held[OVERALL].rows for day, held in sources.tallies.items() if day > sources.as_of - _LATELY]
    if not inside:
        raise WrongUse(
            f"simulate: got no rows within {_LATELY.days} days, expected some to know their number. Say "
            "--rows-per-week"
        )
    return sum(inside) / (_LATELY / _WEEK)


class _Cells:
    """The cells of a trigger's instances, before and after a shift.

    Args:
        workplace: the deployment at its site.
        looked: what the watch sees now.
        trigger: that is simulated.
        shift: None for none.
    """

    def __init__(self, workplace: Workplace, looked: Looked, trigger: Trigger, shift: Shift | None) -> None:
        self._workplace = workplace
        self._looked = looked
        self._trigger = trigger
        self._shift = shift
        self._measurer: Measurer = looked.measurer
        if shift is not None:
            self._check_shift(shift)

    def _check_shift(self, shift: Shift) -> None:
        features = self._workplace.deployment.features
        if shift.feature not in features or features[shift.feature].type not in ("float", "int"):
            numbers = ", ".join(name for name, rule in features.items() if rule.type in ("float", "int"))
            raise WrongUse(f"--shift: got {shift.feature}, expected a feature that is a number: {numbers}")
        if Metric.parse(self._trigger.metric).name in LABELLED:
            raise WrongUse(
                f"--shift: got {self._trigger.metric}, expected a metric that needs no labels: what would come "
                "true of rows that never were, nobody knows"
            )

    def instances(self) -> list[Instance]:
        """Of the trigger, as the watch sees them now."""
        metrics = [measured.metric for measured in self._measurer.measure(self._trigger)]
        asked = self._trigger.significance
        alpha = None if asked is None else asked.of_each(len(metrics))
        return [self._instance(metric, alpha) for metric in metrics]

    def _instance(self, metric: Metric, alpha: float | None) -> Instance:
        place = Place(metric.column, metric.value) if metric.column else OVERALL
        if metric.name in LABELLED:
            return self._of_labels(metric, place, alpha)
        if metric.name in DRIFT | QUALITY or metric.name == "mean_score":
            return self._of_bins(metric, place, alpha)
        return self._of_decisions(metric, place, alpha)

    @property
    def _profile(self) -> Profile:
        profile = self._measurer.sources.profile
        if profile is None:
            raise Refused(f"simulate: got no distribution to draw from: {NO_PROFILE}")
        return profile

    def _of_bins(self, metric: Metric, place: Place, alpha: float | None) -> Instance:
        """Cells are the bins of a column."""
        column = metric.of or SCORE
        sources, grid = self._measurer.sources, self._profile.grids[column]
        first_month = self._trigger.reference == "first_month" and metric.name in DRIFT
        held = sources.first_month if first_month else self._profile.reference
        reference = None if held is None else held.of(place, column)
        if reference is None or not reference.sum():
            raise Refused(f"simulate: got no reference of {column} at {place}, expected rows of it")
        quiet = reference / reference.sum()
        return Instance(
            metric=metric,
            quiet=quiet,
            shifted=None if self._shift is None else self._moved(column, grid, place, quiet, self._shift),
            reference=reference if metric.name in DRIFT else np.zeros(1),
            share=self._profile.reference.rows(place) / max(self._profile.reference.rows(), 1),
            statistic=_statistic(metric, grid, reference, When.parse(self._trigger.when), alpha),
        )

    def _moved(self, column: str, grid: Grid, place: Place, quiet: np.ndarray, shift: Shift) -> np.ndarray:
        """The quiet shares after the shift; see rules 2 and 3."""
        if self._rows is None:
            return self._moved_in_bins(column, grid, quiet, shift)
        before, after, places = self._rows
        mask = places.get(place, np.zeros(0, dtype=np.int64))
        carried = np.zeros((grid.bins, grid.bins))
        np.add.at(carried, (before[column][mask], after[column][mask]), 1.0)
        there = carried.sum(axis=1) > 0
        if not quiet[there].sum():
            raise Refused(f"simulate: got no recent rows of {place}, expected some to shift. Score some first")
        carried[there] /= carried[there].sum(axis=1, keepdims=True)
        share = np.where(there, quiet, 0.0) / quiet[there].sum()  # bins without recent rows say nothing
        moved: np.ndarray = share @ carried
        return moved

    def _moved_in_bins(self, column: str, grid: Grid, quiet: np.ndarray, shift: Shift) -> np.ndarray:
        if column != shift.feature:
            if column == SCORE:
                raise Refused(
                    "simulate: got no rows in the ledger, expected some to score again. Score a day first"
                )
            return quiet
        edges = grid.edges
        carried = np.zeros((grid.bins, grid.bins))
        carried[-1, -1] = 1.0
        for place in range(grid.bins - 1):
            low, high = (edges[max(place - 1, 0)], edges[min(place, len(edges) - 1)]) if len(edges) else (0.0, 0.0)
            points = low + (high - low) * (np.arange(200) + 0.5) / 200 + shift.by
            np.add.at(carried[place], np.searchsorted(edges, points, side="right"), 1 / 200)
        return quiet @ carried

    def _of_decisions(self, metric: Metric, place: Place, alpha: float | None) -> Instance:
        """Cells are: counted by the rate, and not."""
        tallies = [held[place] for held in self._measurer.sources.tallies.values() if place in held]
        everywhere = [held[OVERALL] for held in self._measurer.sources.tallies.values() if OVERALL in held]
        rows = sum(one.rows for one in tallies)
        if not rows:
            raise Refused(f"simulate: got no rows of {place}, expected some. Score a day first")
        flagged = metric.name == "flag_rate"
        share = sum(one.flagged if flagged else one.review for one in tallies) / rows
        quiet = np.array([1 - share, share])
        hits, of = np.array([False, True]), np.array([True, True])
        return Instance(
            metric=metric,
            quiet=quiet,
            shifted=None if self._shift is None else self._rate_moved(quiet, place, flagged=flagged),
            reference=np.zeros(1),
            share=rows / sum(one.rows for one in everywhere),
            statistic=share_statistic(hits, of, When.parse(self._trigger.when), alpha),
        )

    def _rate_moved(self, quiet: np.ndarray, place: Place, *, flagged: bool) -> np.ndarray:
        """The rate after the shift: as much more as recent rows show."""
        if self._rows is None:
            raise Refused("simulate: got no rows in the ledger, expected some to score again. Score a day first")
        before, after, places = self._rows
        name = "flag" if flagged else "review"
        mask = places.get(place, np.zeros(0, dtype=np.int64))
        if not len(mask):
            raise Refused(f"simulate: got no recent rows of {place}, expected some to shift. Score some first")
        share = float(quiet[1] + after[name][mask].mean() - before[name][mask].mean())
        return np.array([1 - min(max(share, 0.0), 1.0), min(max(share, 0.0), 1.0)])

    def _of_labels(self, metric: Metric, place: Place, alpha: float | None) -> Instance:
        """Cells are flag and label of matured rows."""
        hits, of = _OF_LABELS[metric.name]
        labelled, mask = self._measurer.sources.labelled, self._measurer.rows_at(place)
        known = None if labelled is None or mask is None else mask & labelled.known
        if labelled is None or known is None or not known.any():
            raise Refused(f"simulate: got no labels of {place}, expected some. Load outcomes")
        cells = np.bincount(2 * labelled.flags[known].astype(np.int64) + labelled.labels[known], minlength=4)
        when, inside = When.parse(self._trigger.when), np.arange(4)
        return Instance(
            metric=metric,
            quiet=cells / cells.sum(),
            shifted=None,
            reference=np.zeros(1),
            share=int(known.sum()) / int(labelled.known.sum()),
            statistic=share_statistic(np.isin(inside, hits), np.isin(inside, of), when, alpha),
        )

    @cached_property
    def _rows(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[Place, np.ndarray]] | None:
        """Cells of recent rows by column, before and after the shift, and which rows are at each place."""
        rows = recent_rows(self._workplace, MOST_ROWS)
        if self._shift is None or not rows.num_rows:
            return None
        shift, scorer = self._shift, Scorers(self._workplace).get(self._looked.model, self._looked.sha256)
        place = rows.column_names.index(shift.feature)
        kind = feature_schema(self._workplace.deployment.features).field(shift.feature).type
        moved = pc.add(pc.cast(rows.column(place), pa.float64()), shift.by)
        by = pc.round(moved).cast(kind) if pa.types.is_integer(kind) else moved.cast(kind)
        cells = []
        for held in (rows, rows.set_column(place, rows.schema.field(place), by)):
            batch = held.combine_chunks().to_batches()[0]
            scored = scorer.score(batch)
            shown = held.append_column(SCORE, scored.column("score"))
            found = {} if self._measurer.sources.profile is None else place_rows(self._profile, shown)
            decisions = scored.column("decision").to_pylist()
            found["flag"] = scored.column("flag").to_numpy(zero_copy_only=False)
            found["review"] = np.array([decision == "review" for decision in decisions])
            cells.append(found)
        return cells[0], cells[1], self._places(rows)

    def _places(self, rows: pa.Table) -> dict[Place, np.ndarray]:
        found = {OVERALL: np.arange(rows.num_rows)}
        profile = self._measurer.sources.profile
        for column in () if profile is None else profile.slices:
            parts = self._profile.parts(column)
            part = parts.of_bin[self._profile.grids[column].place(rows.column(column))]
            for place in np.unique(part):
                found[Place(column, parts.names[place])] = np.flatnonzero(part == place)
        return found


def _statistic(metric: Metric, grid: Grid, reference: np.ndarray, when: When, alpha: float | None) -> Statistic:
    if metric.name in DRIFT:
        return drift_statistic(metric.name, grid, reference, alpha)
    if metric.name == "mean_score":
        middles = np.concatenate([grid.edges[:1], (grid.edges[1:] + grid.edges[:-1]) / 2, grid.edges[-1:], [0.0]])
        return mean_statistic(middles, when, alpha)
    inside = np.arange(grid.bins)
    null, beyond = grid.bins - 1, (0, grid.bins - 2) if grid.kind == "number" else (grid.bins - 2,)
    if metric.name == "missing":
        return share_statistic(inside == null, inside >= 0, when, alpha)
    return share_statistic(np.isin(inside, beyond), inside != null, when, alpha)
