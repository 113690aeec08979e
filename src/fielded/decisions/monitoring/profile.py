"""The reference profile of a model: what its training data looked like, as counts that can be added up.

It is made once, where the model is trained, and lies in the model's own files; `docs/profile.md` has its format.

1. Every feature and the score has a grid (`decisions.monitoring.grids`) whose edges never change: a later window
   is counted on the same edges.
2. The reference counts are of training rows, overall and in every part of every slice. Only the score's may be of
   other rows, such as held-out ones: a model's scores of its own training rows are too sure of themselves.
3. No row of training is in it, but numbers' smallest and largest values and the categories are.
4. A feature that rows do not have counts as null, and a score that they do not have is not counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.conversion import convert, readable_as, unpacked
from fielded.decisions.monitoring import profile_text
from fielded.decisions.monitoring.grids import (
    Parts,
    category_grid,
    number_grid,
    parts_of,
    score_grid,
    truth_grid,
)
from fielded.decisions.monitoring.histograms import OVERALL, Grid, Histograms, Place
from fielded.decisions.rules import ARROW_TYPES
from fielded.definition.deployment import Feature
from fielded.definition.monitoring import SCORE
from fielded.words.errors import WrongUse


@dataclass(frozen=True, eq=False, slots=True)
class Profile:
    """Training data in counts.

    Attributes:
        grids: of each feature in the definition's order, then of `score`.
        slices: features whose parts are counted by themselves.
        reference: counts of training, on these grids.
        rows: training rows.
    """

    grids: Mapping[str, Grid]
    slices: tuple[str, ...]
    reference: Histograms
    rows: int

    def parts(self, column: str) -> Parts:
        """The parts of a slice.

        Raises:
            WrongUse: it is none of `slices`.
        """
        if column not in self.slices:
            raise WrongUse(
                f"slices: got {column}, expected one of the profile's: {', '.join(self.slices) or 'it has none'}. "
                "Train the model with a profile of these slices, or take this one off"
            )
        counts = self.reference.of(OVERALL, column)
        return parts_of(self.grids[column], np.zeros(self.grids[column].bins) if counts is None else counts)

    def places(self) -> Iterator[Place]:
        """All rows, then every part of every slice, whether or not training had rows there."""
        yield OVERALL
        for column in self.slices:
            yield from (Place(column, name) for name in self.parts(column).names)

    def to_text(self) -> str:
        """As it is kept. See `decisions.monitoring.profile_text`."""
        return profile_text.written(self.grids, self.slices, self.reference, self.rows)

    @classmethod
    def parse(cls, text: str) -> "Profile":
        """Read what `to_text` wrote.

        Raises:
            Refused: it is no profile, or one of a later version.
        """
        return cls(*profile_text.read(text))


def profile_of(
    features: Mapping[str, Feature],
    slices: Sequence[str],
    rows: pa.Table,
    scores: np.ndarray,
    scored: pa.Table | None = None,
) -> Profile:
    """The profile of a model.

    Args:
        features: the definition's.
        slices: those of them whose parts are counted by themselves.
        rows: of training, with a column for each feature.
        scores: in [0, 1], one per row of `scored`.
        scored: the rows that were scored, where they are not those of training. Held-out rows are better: their
            scores are like those that will come.

    Raises:
        WrongUse: a column is missing or does not read as its type, or a score is none.
    """
    training = _typed(features, rows)
    shown = training if scored is None else _typed(features, scored)
    _check(features, slices, training, shown, scores)
    grids = {name: _grid(name, rule, training.column(name)) for name, rule in features.items()}
    grids[SCORE] = score_grid(SCORE)
    bins = {name: grid.place(training.column(name)) for name, grid in grids.items() if name != SCORE}
    overall = {name: np.bincount(bins[name], minlength=grids[name].bins) for name in bins}
    cuts = {name: parts_of(grids[name], overall[name]) for name in slices}
    counts = _counted(grids, bins, {name: (part, bins[name]) for name, part in cuts.items()})
    of_scores = _counted(
        grids,
        {SCORE: grids[SCORE].place(pa.array(scores, pa.float64()))},
        {name: (part, grids[name].place(shown.column(name))) for name, part in cuts.items()},
    )
    reference = _completed(grids, counts + of_scores)
    return Profile(MappingProxyType(grids), tuple(slices), reference, training.num_rows)


def place_rows(profile: Profile, batch: pa.Table | pa.RecordBatch) -> dict[str, np.ndarray]:
    """The bin of every row in every column that is counted. See rule 4.

    Args:
        profile: whose grids.
        batch: rows with features and `score` as columns.
    """
    places = {}
    for name, grid in profile.grids.items():
        if name in batch.schema.names:
            places[name] = grid.place(_flat(batch.column(name), grid))
        elif name != SCORE:
            places[name] = np.full(batch.num_rows, grid.bins - 1)
    return places


def counted(profile: Profile, batch: pa.Table | pa.RecordBatch, slices: Sequence[str] | None = None) -> Histograms:
    """Counts of rows on a profile's grids.

    Args:
        profile: whose grids.
        batch: rows with features and `score` as columns.
        slices: of the profile's, those to count by themselves; None takes all.

    Raises:
        WrongUse: a slice is none of the profile's.
    """
    bins = place_rows(profile, batch)
    chosen = profile.slices if slices is None else slices
    return _counted(profile.grids, bins, {name: (profile.parts(name), bins[name]) for name in chosen})


def _counted(
    grids: Mapping[str, Grid], bins: Mapping[str, np.ndarray], slices: Mapping[str, tuple[Parts, np.ndarray]]
) -> Histograms:
    """Counts of columns, overall and by part.

    Args:
        grids: of the columns.
        bins: column -> bin of each row.
        slices: slice -> its parts, and the bin of each row in the slice's own column.
    """
    overall = {name: np.bincount(places, minlength=grids[name].bins) for name, places in bins.items()}
    counts: dict[Place, Mapping[str, np.ndarray]] = {}
    if any(len(places) for places in bins.values()):
        counts[OVERALL] = MappingProxyType(overall)
    for column, (parts, of_rows) in slices.items():
        part = parts.of_bin[of_rows]
        held = {
            name: np.bincount(part * grids[name].bins + places, minlength=len(parts.names) * grids[name].bins)
            for name, places in bins.items()
        }
        for place in np.unique(part):
            counts[Place(column, parts.names[place])] = MappingProxyType(
                {name: row.reshape(-1, grids[name].bins)[place].copy() for name, row in held.items()}
            )
    return Histograms(MappingProxyType(counts))


def _completed(grids: Mapping[str, Grid], counts: Histograms) -> Histograms:
    """With zeros where only training, or only the rows that were scored, have a part."""
    nothing = {name: np.zeros(grid.bins, dtype=np.int64) for name, grid in grids.items()}
    places = {place: MappingProxyType({**nothing, **held}) for place, held in counts.counts.items()}
    return Histograms(MappingProxyType(places))


def _flat(column: pa.Array | pa.ChunkedArray, grid: Grid) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    # Not checked: a whole number past 2**53 goes to the closest float, as it does in every engine.
    return pc.cast(unpacked(column), pa.float64(), safe=False) if grid.kind == "number" else unpacked(column)


def _grid(name: str, rule: Feature, values: pa.Array) -> Grid:
    if rule.type == "category":
        return category_grid(name, values)
    return truth_grid(name) if rule.type == "bool" else number_grid(name, _as_float(values))


def _as_float(values: pa.Array) -> pa.Array:
    return pc.cast(values, pa.float64(), safe=False)


def _typed(features: Mapping[str, Feature], rows: pa.Table) -> pa.Table:
    """The features' columns in the definition's order and types."""
    columns = {}
    for name, rule in features.items():
        wanted = ARROW_TYPES[rule.type]
        if name not in rows.column_names:
            raise WrongUse(f"features.{name}: got no such column, expected one in the rows of training")
        column = rows.column(name).combine_chunks()
        if not readable_as(column.type, wanted):
            raise WrongUse(f"features.{name}: got {column.type}, expected a column that reads as {rule.type}")
        converted = convert(column, wanted)
        if converted.unreadable is not None:
            raise WrongUse(
                f"features.{name}: got {pc.sum(converted.unreadable).as_py():,} values that do not read as "
                f"{rule.type}, expected none. Leave such rows out"
            )
        columns[name] = converted.values
    return pa.table(columns)


def _check(
    features: Mapping[str, Feature],
    slices: Sequence[str],
    training: pa.Table,
    scored: pa.Table,
    scores: np.ndarray,
) -> None:
    if not training.num_rows:
        raise WrongUse("profile: got no rows, expected those that the model was trained on")
    if SCORE in features:
        raise WrongUse(f"features: got one called {SCORE}, expected another name: it is the score's")
    for name in slices:
        if name not in features:
            raise WrongUse(f"slices: got {name}, expected one of the features {', '.join(features)}")
    if scores.shape != (scored.num_rows,):
        raise WrongUse(f"scores: got shape {scores.shape}, expected ({scored.num_rows},), one for each row scored")
    if not np.all((scores >= 0) & (scores <= 1)):
        raise WrongUse("scores: got one outside [0, 1], expected probabilities. Give predict_proba(...)[:, 1]")
