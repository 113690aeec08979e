"""Load outcomes: what came true. Labels are what performance is measured on (MEASURE 2.3).

All rows of a source get in or none, once; those too that nothing was scored of, that correct others or come late:
they are counted, and the ledger keeps them with their dates.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from fielded.decisions.outcomes import LOADED, OutcomeRules, refused
from fielded.decisions.rows import TIMESTAMP
from fielded.services.seal import seal
from fielded.words.errors import WrongUse
from fielded.world.outcome_sources import OutcomeSource, come_true, open_file, open_table
from fielded.world.outcomes import OUTCOMES, Outcomes
from fielded.world.staged_outcomes import Matches, StagedOutcomes, staged
from fielded.world.workplace import Workplace

LOADED_KIND = "outcomes_loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedOutcomes:
    """What loading a source did.

    Attributes:
        source: name of the file or table.
        sha256: of the file's bytes, or of the table's id and version.
        new: whether rows were added; False where the same source was loaded before, or a table had nothing new.
        rows: that were added, now or when it was loaded before.
        matched: of them, about a subject that was scored before the outcome was known.
        unmatched: of them, the others.
        corrected: of them, that say something else than was known before about the same subject.
        late: of the matched, that became known when the first score was older than the labels' maturity.
        on_record: rows of a table that the ledger has already; none of a file, which is taken as it is.
        pending: rows of a table without label and time.
    """

    source: str
    sha256: str
    new: bool
    rows: int
    matched: int
    unmatched: int
    corrected: int
    late: int
    on_record: int
    pending: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def load_outcomes(workplace: Workplace, file: Path) -> LoadedOutcomes:
    """Check a file's rows and append them to the ledger's `outcomes`, all or none, once.

    Args:
        workplace: the deployment at its site.
        file: Parquet or CSV (UTF-8, with a header) with `subject` (or the definition's name of it), `label` and
            `known_at`.

    Raises:
        WrongUse: there is no such file, or it is no Parquet or CSV.
        Refused: a row breaks a rule of `decisions.outcomes`; nothing was loaded.
        Unreachable: the ledger cannot be written.
    """
    with open_file(file) as source:
        return _load(workplace, source)


def load_outcomes_table(workplace: Workplace, name: str) -> LoadedOutcomes:
    """Check the rows of a Delta table and append those that are not on record; each version of it once.

    Args:
        workplace: the deployment at its site.
        name: `catalog.schema.table`, with the columns of a file. Rows without label and time are left out.

    Raises:
        WrongUse: there is no such table.
        Refused: a row breaks a rule of `decisions.outcomes`; nothing was loaded.
        Unreachable: the table cannot be read, or the ledger cannot be written.
    """
    return _load(workplace, open_table(workplace.tables, name))


def _load(workplace: Workplace, source: OutcomeSource) -> LoadedOutcomes:
    now = workplace.clock()
    rules = OutcomeRules(
        source.columns, workplace.deployment.subject, now, f"table {source.name}" if source.is_table else "file"
    )
    pending = _Pending()
    with staged(workplace.site, _checked(source, rules, pending)) as rows:
        if not rules.rows and not pending.rows:
            raise WrongUse(f"{source.name}: got no rows, expected some")
        findings = rules.findings()
        contradictions = 0 if findings else rows.contradictions()
        if contradictions:
            findings = [rules.contradiction(contradictions)]
        if findings:
            raise refused(findings)
        new, matches = _append(workplace, source, rows, now)
    return LoadedOutcomes(
        source=source.name,
        sha256=source.sha256,
        new=new,
        rows=matches.rows,
        matched=matches.matched,
        unmatched=matches.rows - matches.matched,
        corrected=matches.corrected,
        late=matches.late,
        on_record=rules.rows - matches.rows,
        pending=pending.rows,
    )


@dataclass(slots=True)
class _Pending:
    """Rows of a table that have not come true yet."""

    rows: int = 0


def _checked(source: OutcomeSource, rules: OutcomeRules, pending: _Pending) -> Iterator[pa.RecordBatch]:
    """The source's rows as the ledger takes them; what breaks a rule is in `rules` afterwards."""
    for batch in source.read(list(rules.columns.values())):
        told = batch
        if source.is_table:
            told = come_true(batch, rules.columns["label"], rules.columns["known_at"])
            pending.rows += batch.num_rows - told.num_rows
        yield rules.apply(told)


def _append(
    workplace: Workplace, source: OutcomeSource, rows: StagedOutcomes, now: datetime
) -> tuple[bool, Matches]:
    """Append what is to be loaded, once, and say what it is about."""
    table = Outcomes(workplace.tables, workplace.site, workplace.deployment.name)
    loaded_at = table.loaded_at(source.sha256) or now  # then as it was when it was loaded
    rows.hold(workplace.tables.find(table.name), loaded_at, source.sha256)
    rows.choose(new_only=source.is_table)
    predictions = workplace.tables.find(workplace.ledger.predictions)
    matches = rows.matches(predictions, loaded_at, workplace.deployment.monitoring.labels.maturity)
    if not matches.rows:  # a table that has nothing new
        return False, matches
    name = f"outcomes-{workplace.random_bytes(12).hex()}"
    stamped = _stamped(rows.batches(), now, workplace.user, source.sha256)
    new = table.append(stamped, source.sha256, now.date(), name)
    # Written by whoever comes after the commit: a process that died between the two left rows without their event.
    details = {"source_sha256": source.sha256, **asdict(matches)}
    workplace.record(LOADED_KIND, source.about, details, once=f"outcomes/{source.sha256}")
    seal(workplace)
    return new, matches


def _stamped(batches: Iterable[pa.RecordBatch], now: datetime, user: str, sha256: str) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([field for field in OUTCOMES if field.name != LOADED])
    shared = {
        "loaded_at": pa.scalar(now, TIMESTAMP),
        "loaded_by": pa.scalar(user),
        "source_sha256": pa.scalar(sha256),
    }
    for batch in batches:
        columns = [
            pa.repeat(shared[name], batch.num_rows) if name in shared else batch.column(name)
            for name in schema.names
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
