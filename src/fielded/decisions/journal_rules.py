"""How the rows of journals hang together: rules 12 and 13 of `decisions.seal_rules`."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fielded.decisions.chain import start_of
from fielded.decisions.seal_rules import NumberedLeaf
from fielded.decisions.seals import Broken, RowName, SealedFile
from fielded.decisions.stretch import Stretch

PREDICTIONS = "predictions"

ALTERED = "values that are not those of its chain"
ANSWERED = "the row as it was answered"


def check_stretches(leaves: Iterable[NumberedLeaf]) -> list[Broken]:
    """Rule 12."""
    journals: dict[str, list[tuple[Stretch, SealedFile]]] = {}
    for one in leaves:
        for file in one.leaf.files:
            if file.chain is not None and one.leaf.kind == "file":
                journals.setdefault(file.chain.journal, []).append((file.chain, file))
    broken: list[Broken] = []
    for journal, stretches in journals.items():
        last, head = 0, start_of(journal).hex()
        for stretch, file in sorted(stretches, key=lambda pair: (pair[0].first, pair[0].last)):
            where: dict[str, Any] = {"rule": 12, "table": PREDICTIONS, "file": file.path}
            if stretch.first > last + 1:
                got = f"rows {stretch.first} to {stretch.last} of journal {journal}"
                missing = f"rows {last + 1} to {stretch.first - 1} before them, which no file has"
                broken.append(Broken(**where, got=got, expected=missing))
            elif stretch.first <= last:
                got = f"rows {stretch.first} to {stretch.last} of journal {journal}"
                broken.append(
                    Broken(**where, got=got, expected=f"rows from {last + 1} on: others are there already")
                )
            elif stretch.before != head:
                got = f"head {stretch.before} before row {stretch.first} of journal {journal}"
                broken.append(Broken(**where, got=got, expected=f"head {head}, where row {last} ended"))
            if stretch.last - stretch.first + 1 != file.rows:
                got = f"rows {stretch.first} to {stretch.last} of journal {journal}"
                broken.append(Broken(**where, got=got, expected=f"{file.rows} rows"))
            last, head = max(last, stretch.last), stretch.after
    return broken


@dataclass(slots=True, kw_only=True)
class Run:
    """Rows of one journal with ascending numbers, side by side in a file.

    Attributes:
        journal: id.
        first: number of the first row in the journal.
        last: number of the last.
        digest: of the first row; its head is to be `SHA-256(head before it + digest)`. Empty where the rows
            were checked otherwise.
        head: of the chain, as the first row has it.
        end: of the chain, as the last row has it.
        opening: the first row.
    """

    journal: str
    first: int
    last: int
    digest: bytes
    head: bytes
    end: bytes
    opening: RowName


def check_runs(runs: Sequence[tuple[str, Run]], befores: Mapping[tuple[str, int], str]) -> list[Broken]:
    """Rule 13 where runs of rows meet.

    Args:
        runs: file and run, of all files that readers see, in any order.
        befores: (journal, row) -> head before that row, 64 hexadecimal digits, as it was sealed with a file;
            used for a row whose neighbour is missing.
    """
    broken: list[Broken] = []
    last: dict[str, int] = {}
    heads: dict[str, bytes] = {}
    for file, run in sorted(runs, key=lambda pair: (pair[1].journal, pair[1].first, pair[0])):
        reached = last.get(run.journal, 0)
        head = heads.get(run.journal, start_of(run.journal))
        if run.first != reached + 1:
            head = bytes.fromhex(befores.get((run.journal, run.first), ""))
        if run.digest:  # else rules 12 and 13 were checked with its file
            broken += _joins(file, run, reached, head)
        if run.last > reached:
            last[run.journal], heads[run.journal] = run.last, run.end
    return broken


def _joins(file: str, run: Run, reached: int, head: bytes) -> Iterator[Broken]:
    """Whether a run goes on where its journal stands."""

    def finding(got: str, expected: str) -> Broken:
        return Broken.of_row(13, PREDICTIONS, file, run.opening, got=got, expected=expected)

    name = f"row {run.first} of journal {run.journal}"
    if run.first <= reached:
        yield finding(f"{name} once more", f"row {reached + 1} or none")
    elif run.first > reached + 1:
        yield finding(name, f"rows {reached + 1} to {run.first - 1} before it")
    if head and not _follows(head, run):
        yield finding(ALTERED, ANSWERED)


def check_stretch_of_file(file: SealedFile, runs: Sequence[Run]) -> list[Broken]:
    """Rules 12 and 13 for one drained file: its rows are the stretch that it was sealed with, in order."""
    stretch = file.chain
    if stretch is None:
        return []
    broken: list[Broken] = []
    if runs and runs[0].first == stretch.first and not _follows(bytes.fromhex(stretch.before), runs[0]):
        broken.append(Broken.of_row(13, PREDICTIONS, file.path, runs[0].opening, got=ALTERED, expected=ANSWERED))
    sequence, number = stretch.first, 1
    for run in runs:
        row = run.opening
        if (run.journal, run.first, row.number) != (stretch.journal, sequence, number):
            got = f"row {run.first} of journal {run.journal}"
            expected = f"row {stretch.first + row.number - 1} of journal {stretch.journal}"
            broken.append(Broken.of_row(13, PREDICTIONS, file.path, row, got=got, expected=expected))
        sequence, number = run.last + 1, row.number + run.last - run.first + 1
    if not runs or (runs[-1].last, runs[-1].end.hex()) != (stretch.last, stretch.after):
        got = f"row {runs[-1].last} with head {runs[-1].end.hex()}" if runs else "no row"
        expected = f"row {stretch.last} of journal {stretch.journal} with head {stretch.after} at its end"
        broken.append(Broken(rule=13, table=PREDICTIONS, file=file.path, got=got, expected=expected))
    return broken


def _follows(head: bytes, run: Run) -> bool:
    """Whether a run's first row goes on from `head`."""
    return hashlib.sha256(head + run.digest).digest() == run.head
