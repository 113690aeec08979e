"""Drain journals to the ledger: exactly once, nothing lost in between (AU-4, AU-9).

For each journal, from the row after the last one that the ledger holds:

1. its chain is recomputed row by row from the head that the ledger holds: a row that is missing, changed or out
   of place stops that journal's drain before anything is written;
2. rows of one day are written to one data file and committed with the number of the last row as an application
   transaction: a drain that was killed, or runs twice at once, adds nothing twice;
3. what was committed is sealed, whatever stopped the drain;
4. only then the journal forgets the rows.

Journals of another ledger (two sites may share a store) are left alone. A journal that cannot be drained is told
and left as it is, and the others are drained; `put_aside` takes it out of use once somebody has looked at it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from fielded.decisions.chain import link, row_digests, start_of
from fielded.decisions.stretch import Stretch
from fielded.services.journal_events import JOURNAL_PUT_ASIDE
from fielded.services.seal import seal
from fielded.words.errors import FieldedError, Refused
from fielded.world.journal import Backlog, Journals
from fielded.world.workplace import Workplace

_GROUP_ROWS = 32_768  # rows of one row group, at most
_GROUP_BYTES = 16 << 20
_STRETCH_ROWS = 131_072  # rows of one data file, at most
_STRETCH_BYTES = 128 << 20  # of rows in memory, at most


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
        What was done. A journal whose chain is broken or whose bytes are damaged is left alone and told.

    Raises:
        Unreachable: a journal store or the tables cannot be reached.
        Refused: the ledger cannot be sealed.
    """
    backlogs = [backlog for backlog in workplace.journals.backlogs() if backlog.rows]
    if backlogs:
        workplace.ledger.prepare(workplace.deployment)
    elif workplace.tables.find(workplace.ledger.predictions) is None:
        return Drained(rows=0, files=0, journals=0, failures={})
    ours = [backlog for backlog in backlogs if backlog.ledger in ("", workplace.ledger.identity())]
    rows = files = 0
    failures: dict[str, FieldedError] = {}
    try:
        for backlog in ours:
            try:
                for stretch in _drain_one(workplace, backlog):
                    rows += stretch.last - stretch.first + 1
                    files += 1
            except Refused as refusal:
                failures[backlog.journal] = refusal
    finally:
        seal(workplace)
    for backlog in ours:
        if backlog.journal not in failures:
            workplace.journals.trim(backlog.journal, workplace.ledger.drained(backlog.journal))
    return Drained(rows=rows, files=files, journals=len(ours), failures=failures)


def put_aside(workplace: Workplace, journal: str) -> str:
    """Take a journal that cannot be drained out of use, on record; nothing of it is deleted.

    Returns:
        Where it is now.

    Raises:
        Refused: a process writes it.
        Unreachable: no such journal, or the store does not answer.
    """
    place = workplace.journals.put_aside(journal)
    reached = workplace.ledger.drained(journal)
    workplace.record(JOURNAL_PUT_ASIDE, f"journal {journal}", {"place": place, "drained": reached})
    seal(workplace)
    return place


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
    if backlog.end.sequence == reached and backlog.end.head != head:
        raise Refused(
            f"journal {journal}: got another row {reached} than the ledger holds, expected the same. An older "
            "copy was put in its place and written to: keep it, and look at its last rows"
        )
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
    count = size = 0
    for batch in batches:
        full = count + batch.num_rows > _GROUP_ROWS or size + batch.nbytes > _GROUP_BYTES
        if held and (full or not batch.schema.equals(held[0].schema)):
            yield _one(held)
            held, count, size = [], 0, 0
        held.append(batch)
        count += batch.num_rows
        size += batch.nbytes
    if held:
        yield _one(held)


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    (batch,) = pa.Table.from_batches(batches).combine_chunks().to_batches()  # one: far below 2 GiB of text
    return batch


def _stretches(parts: Iterator[_Part]) -> Iterator[list[_Part]]:
    """Parts that go to one file: of one day and one set of columns, not too many."""
    held: list[_Part] = []
    for part in parts:
        together = [*held, part]
        full = sum(item.rows.num_rows for item in together) > _STRETCH_ROWS
        full |= sum(item.rows.nbytes for item in together) > _STRETCH_BYTES
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
