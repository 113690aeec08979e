"""Score one marked subject the way a batch run scores a day, and show it to nobody.

    one row -> rules -> scorer -> ledger -> seals

It is the path of `services.score_day`, with these differences: the population is one row, its rows are of the
channel `probe`, the commit counts as no run of its day, and neither the gold table nor `day_scored` tells of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from fielded.decisions.rows import PROBE
from fielded.decisions.rules import Rules
from fielded.decisions.scoring import Scorer
from fielded.services.score_day import Run, write_rows
from fielded.services.seal import seal
from fielded.words.errors import Refused
from fielded.words.identifiers import uuid7
from fielded.world.engines import Size
from fielded.world.keys import open_signer
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True)
class _OneRow:
    """A population of one row: `world.engines.OpenPopulation`."""

    row: pa.RecordBatch

    @property
    def schema(self) -> pa.Schema:
        return self.row.schema

    def size(self, _subject: str) -> Size:
        return Size(self.row.num_rows, pa.array([], pa.string()))

    def batches(self, columns: list[str], _rows: int) -> Iterator[pa.RecordBatch]:
        yield self.row.select(columns)


def probe_batch(
    workplace: Workplace, scorer: Scorer, subject: str, features: pa.RecordBatch, *, sealing: bool = True
) -> str:
    """Score a probe as a batch run would, and seal it.

    Args:
        workplace: the deployment at its site.
        scorer: of the version in production.
        subject: see `services.probe.subjects`.
        features: one row, in the definition's order and types.
        sealing: whether it is sealed here; else with what is recorded next. A ledger that cannot be sealed is not
            what every probe asks about.

    Returns:
        The run's id; it is no run of any day.

    Raises:
        Refused: the row breaks the definition's rules, or the ledger cannot be sealed.
        WrongUse: the site has no key to sign with.
        Unreachable: a table cannot be written.
    """
    deployment, started = workplace.deployment, workplace.clock()
    names = [deployment.subject, *features.schema.names]
    row = pa.RecordBatch.from_arrays([pa.array([subject]), *features.columns], names=names)
    if Rules(deployment.subject, deployment.features, pa.array([], pa.string())).apply(row).quarantined.num_rows:
        raise Refused("probe: got features that break the definition's rules, expected some that keep them")
    open_signer(workplace.site)
    run = Run(
        id=uuid7(int(started.timestamp() * 1000), workplace.random_bytes),
        day=started.date(),
        model=RegisteredVersion(scorer.model_name, scorer.model_version),
        sha256=scorer.artifact_sha256,
        inputs={},
        started=started,
        channel=PROBE,
    )
    population = _OneRow(row)
    workplace.ledger.prepare(deployment)
    write_rows(workplace, run, scorer, population, population.size(deployment.subject))
    if sealing:
        seal(workplace)
    return run.id
