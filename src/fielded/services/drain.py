"""Drain journals to the ledger: exactly once, nothing lost in between (AU-4, AU-9).

For each journal, from the row after the last one that the ledger holds:

1. its chain is recomputed row by row from the head that the ledger holds: a row that is missing, changed or out
   of place stops that journal's drain before anything is written;
2. rows of one day are written to one data file and committed with the number of the last row as an application
   transaction: a drain that was killed, or runs twice at once, adds nothing twice;
3. the new files are sealed;
4. only then the journal forgets the rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.chain import link, row_digests, start_of
from fielded.decisions.stretch import Stretch
from fielded.services.seal import seal
from fielded.words.errors import FieldedError, Refused
from fielded.world.journal import Backlog, Journals
from fielded.world.workplace import Workplace

_GROUP_ROWS = 32_768  # rows of one row group
_STRETCH_ROWS = 131_072  # rows of one data file, at most: they are held in memory, about 1 KiB each


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What a drain did.

    Attributes:
        rows: put into the ledger.
        files: data files made.
        journals: journals that had rows.
        failures: journals that were left as they are, with the reason.
    """

    rows: int
    files: int
    journals: int
    failures: dict[str, FieldedError]


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one day, in order, with the chain's head before them."""

    day: date
    rows: pa.RecordBatch
    before: bytes


def drain(workplace: Workplace) -> Drained:
    """Move what waits in the journals of a deployment to its `predictions` table.

    Args:
        workplace: the deployment at its site.

    Returns:
        What was done. A journal whose chain is broken is left alone and told; the others are drained.

    Raises:
        Unreachable: a journal store or the tables cannot be reached.
        Refused: the ledger cannot be sealed.
    """
    backlogs = [backlog for backlog in workplace.journals.backlogs() if backlog.rows]
    if backlogs:
        workplace.ledger.prepare(workplace.deployment)
    rows = files = 0
    failures: dict[str, FieldedError] = {}
    through: dict[str, int] = {}
    for backlog in backlogs:
        try:
            for stretch in _drain_one(workplace, backlog):
                rows += stretch.last - stretch.first + 1
                files += 1
        except Refused as refusal:
            failures[backlog.journal] = refusal
        through[backlog.journal] = workplace.ledger.drained(backlog.journal)
    if backlogs:
        seal(workplace)
    for journal, number in through.items():
        if journal not in failures:
            workplace.journals.trim(journal, number)
    return Drained(rows=rows, files=files, journals=len(backlogs), failures=failures)


def _drain_one(workplace: Workplace, backlog: Backlog) -> Iterator[Stretch]:
    """Commit one journal's rows, a stretch at a time."""
    journal = backlog.journal
    reached = workplace.ledger.drained(journal)
    if backlog.end.sequence < reached:
        raise Refused(
            f"journal {journal}: got {backlog.end.sequence} as its last row, expected at least {reached}, which "
            "the ledger holds. An older copy was put in its place: keep it, and start the API with a new journal"
        )
    head = workplace.ledger.drained_head(journal, reached) if reached else start_of(journal)
    for parts in _stretches(_checked(workplace.journals, journal, reached, head)):
        stretch = _commit(workplace, journal, parts)
        if stretch is None:  # another drain was first: it has these rows, and goes on
            return
        yield stretch


def _checked(journals: Journals, journal: str, after: int, head: bytes) -> Iterator[_Part]:
    """Batches of rows with their chain recomputed, cut where the day changes.

    Raises:
        Refused: a row is missing, was changed, or is not where it belongs.
    """
    expected = after + 1
    for rows in _gathered(journals.read(journal, after)):
        heads = link(head, row_digests(rows))
        numbers, kept = rows.column("journal_sequence").to_pylist(), rows.column("chain").to_pylist()
        for place, computed in enumerate(heads):
            if numbers[place] != expected or kept[place] != computed.hex():
                raise Refused(
                    f"journal {journal}: row {expected}: got row {numbers[place]} with a chain that does not fit, "
                    "expected the row that was answered. Nothing from there on was drained; keep the journal"
                )
            expected += 1
        days = pc.cast(rows.column("scored_at"), pa.date32()).to_pylist()
        start = 0
        for place in range(1, len(days) + 1):
            if place == len(days) or days[place] != days[start]:
                part = rows.slice(start, place - start)
                yield _Part(days[start], part, heads[start - 1] if start else head)
                start = place
        head = heads[-1]


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The journal's many small batches as few large ones; a new one where the columns change."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        if held and (count + batch.num_rows > _GROUP_ROWS or not batch.schema.equals(held[0].schema)):
            yield _one(held)
            held, count = [], 0
        held.append(batch)
        count += batch.num_rows
    if held:
        yield _one(held)


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _stretches(parts: Iterator[_Part]) -> Iterator[list[_Part]]:
    """Parts that go to one file: of one day and one set of columns, not too many."""
    held: list[_Part] = []
    for part in parts:
        full = sum(item.rows.num_rows for item in held) + part.rows.num_rows > _STRETCH_ROWS
        if held and (full or part.day != held[0].day or not part.rows.schema.equals(held[0].rows.schema)):
            yield held
            held = []
        held.append(part)
    if held:
        yield held


def _commit(workplace: Workplace, journal: str, parts: list[_Part]) -> Stretch | None:
    """Commit one stretch as one data file; None where its rows are in the ledger already."""
    first, last = parts[0].rows, parts[-1].rows
    stretch = Stretch(
        journal=journal,
        first=first.column("journal_sequence")[0].as_py(),
        last=last.column("journal_sequence")[-1].as_py(),
        before=parts[0].before.hex(),
        after=last.column("chain")[-1].as_py(),
    )
    name = f"journal-{journal}-{stretch.first}-{workplace.random_bytes(4).hex()}"
    with workplace.ledger.stretch_files(parts[0].day, name) as files:
        for part in parts:
            files.write(part.rows)
        files.close()
        files.stretch = stretch
        return stretch if workplace.ledger.commit_drained(files, stretch) else None
