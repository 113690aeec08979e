"""What a probe is about: a subject that nobody has, and features that somebody may have had.

1. A probe's subject begins with `fielded-probe-`, followed by a UUIDv7: nothing in the world has that name, and
   who looks into the ledger sees what it was.
2. Its features are those of a recorded row that keeps the definition's rules of today, the newest first; where
   nothing was scored yet, a row of the model's input example.
3. Where features are wanted that score in the review band and no recorded row does, they are mixed of two rows,
   one on each side of it, feature by feature.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from fielded.decisions.routing import BAND
from fielded.decisions.rules import Rules, feature_schema
from fielded.decisions.scoring import Scorer
from fielded.words.errors import Refused
from fielded.words.identifiers import uuid7
from fielded.world.first_rows import SUBJECT
from fielded.world.recent_rows import recent_features
from fielded.world.workplace import Workplace

PREFIX = "fielded-probe-"

_ROWS = 2_000  # recorded rows that are looked at
_MIXED_FEATURES = 10  # that are mixed at most: two to the power of that many rows
_PAIRS = 8  # of rows on both sides of the band


@dataclass(frozen=True, slots=True)
class Example:
    """Features to probe with.

    Attributes:
        features: one row, in the definition's order and types.
        source: where they come from, in words.
    """

    features: pa.RecordBatch
    source: str


def marked_subject(workplace: Workplace) -> str:
    """A subject for one probe: rule 1."""
    return f"{PREFIX}{uuid7(int(workplace.clock().timestamp() * 1000), workplace.random_bytes)}"


class Examples:
    """What a deployment can be probed with; the ledger is read once.

    Args:
        workplace: the deployment at its site.
        scorer: of the version in production.
        limit: recorded rows that are looked at; where any will do, 1 is enough.

    Raises:
        Unreachable: the ledger's place cannot be reached.
    """

    def __init__(self, workplace: Workplace, scorer: Scorer, limit: int = _ROWS) -> None:
        self._scorer = scorer
        self._known = [(rows, source) for rows, source in _known(workplace, scorer, limit) if rows.num_rows]

    def any(self) -> Example:
        """Features that the definition takes: rule 2.

        Raises:
            Refused: there are none.
        """
        for rows, source in self._known:
            return Example(rows.slice(0, 1), source)
        raise Refused(
            "probe: got neither a recorded row nor an input example that keeps the definition's rules, expected "
            "one. Score a day first: `fielded score`"
        )

    def in_band(self) -> Example | None:
        """Features whose score is in the review band: rules 2 and 3; None where none were found.

        Raises:
            Refused: the model cannot score them.
        """
        for rows, source in self._known:
            found = _first_in_band(rows, self._scorer)
            if found is not None:
                return Example(found, source)
        for rows, source in self._known:
            for mixed in _mixtures(rows, self._scorer):
                found = _first_in_band(mixed, self._scorer)
                if found is not None:
                    return Example(found, f"two rows, mixed: {source}")
        return None

    def unrouted(self) -> Example | None:
        """Features whose score no rule sends to a person; None where none were found.

        Raises:
            Refused: the model cannot score them.
        """
        for rows, source in self._known:
            for place, text in enumerate(_routed_by(rows, self._scorer)):
                if text is None:
                    return Example(rows.slice(place, 1), source)
        return None


def _known(workplace: Workplace, scorer: Scorer, limit: int) -> Iterator[tuple[pa.RecordBatch, str]]:
    """Rows that keep the rules, and where they come from."""
    deployment = workplace.deployment
    for batch in _recorded(workplace, limit):
        yield batch, "a recorded row"
    if scorer.background is not None:
        rows = scorer.background.select(list(deployment.features))
        numbers = pa.array([str(number) for number in range(rows.num_rows)])
        numbered = pa.RecordBatch.from_arrays([numbers, *rows.columns], names=[SUBJECT, *rows.schema.names])
        rules = Rules(SUBJECT, deployment.features, pa.array([], pa.string()))
        yield rules.apply(numbered).features, "the model's input example"


def _recorded(workplace: Workplace, limit: int) -> list[pa.RecordBatch]:
    """The newest recorded rows. None of a ledger that cannot be read: a probe does not need them, and what is
    wrong with a ledger is told by who verifies it.
    """
    deployment = workplace.deployment
    try:
        found = recent_features(workplace.tables.find(workplace.ledger.predictions), deployment, limit)
    except (OSError, pa.ArrowException, DeltaError):
        return []
    rows: list[pa.RecordBatch] = (
        found.drop_columns([SUBJECT]).cast(feature_schema(deployment.features)).combine_chunks().to_batches()
    )
    return rows


def _first_in_band(rows: pa.RecordBatch, scorer: Scorer) -> pa.RecordBatch | None:
    for place, text in enumerate(_routed_by(rows, scorer)):
        if text is not None and BAND in text.split(";"):
            return rows.slice(place, 1)
    return None


def _routed_by(rows: pa.RecordBatch, scorer: Scorer) -> list[str | None]:
    """What has a person look at each row. Audits are drawn later, by the ids that rows get."""
    texts: list[str | None] = scorer.score(rows).column("routed_by").cast(pa.string()).to_pylist()
    return texts


def _mixtures(rows: pa.RecordBatch, scorer: Scorer) -> Iterator[pa.RecordBatch]:
    """Rows between pairs that score closest to the band from either side: rule 3."""
    scores = np.asarray(scorer.score(rows).column("score"))
    low, high = scorer.band
    below = [int(place) for place in np.argsort(-scores, kind="stable") if scores[place] < low][:_PAIRS]
    above = [int(place) for place in np.argsort(scores, kind="stable") if scores[place] > high][:_PAIRS]
    for one, other in itertools.product(below, above):
        yield _mixed(rows, one, other)


def _mixed(rows: pa.RecordBatch, one: int, other: int) -> pa.RecordBatch:
    """Every mixture of two rows in the features that differ, up to `_MIXED_FEATURES` of them."""
    pair = rows.take(pa.array([one, other]))
    differ = [place for place, column in enumerate(pair.columns) if column[0] != column[1]][:_MIXED_FEATURES]
    count = 1 << len(differ)
    bits = np.arange(count)
    columns = []
    for place, column in enumerate(pair.columns):
        shift = differ.index(place) if place in differ else None
        chosen = np.zeros(count, np.int64) if shift is None else (bits >> shift) & 1
        columns.append(pc.take(column, pa.array(chosen)))
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)
