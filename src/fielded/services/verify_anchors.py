"""Rule 16: what was answered is in the ledger or still in a journal, as far as anybody outside them knows.

Between answer and drain a row is in a journal only, and whoever can write there could change rows, link the chain
anew, and cut the tail; or remove the journal. What such a person cannot change is known elsewhere:

- events of the ledger, sealed, say where a journal's chain stood when a process claimed it and let it go;
- each answer carries a receipt (`Fielded-Receipt: journal/sequence/chain`), and so does its line in the log,
  which callers and the SIEM keep.

16. each of these anchors is a row of the ledger, or of a journal, with that chain; and each journal that was
    claimed is in the store, was let go with all its rows drained, or was put aside on record.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import pyarrow as pa

from fielded.decisions.seals import Broken
from fielded.services.journal_events import JOURNAL_CLAIMED, JOURNAL_CLOSED, JOURNAL_PUT_ASIDE
from fielded.services.seal import LedgerBooks
from fielded.words.errors import FieldedError, Refused, WrongUse
from fielded.world.journal import Backlog, Journals, open_journals
from fielded.world.ledger import Ledger
from fielded.world.regular_files import irregular

_Item = TypeVar("_Item")

_RULE = 16
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a journal's chain stood, as somebody outside it knows.

    Attributes:
        journal: id.
        sequence: number of a row.
        chain: the chain's head after it, hexadecimal.
        source: who says so.
    """

    journal: str
    sequence: int
    chain: str
    source: str


def read_receipts(file: Path) -> Iterator[Anchor]:
    """Receipts of a file: lines of `journal/sequence/chain`, or of the API's log; its other lines are passed over.

    Raises:
        WrongUse: the file is not there, or a line is neither.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise WrongUse(f"--receipts: got {file}: {why}, expected a file of receipts") from None
    for number, line in enumerate(lines, 1):
        parts = _parts(line.strip())
        if parts is None:
            raise WrongUse(
                f"--receipts: {file.name}:{number}: got neither, expected journal/sequence/chain or a log line"
            )
        if parts:
            yield Anchor(parts[0], int(parts[1]), parts[2], f"receipt {file.name}:{number}")


def _parts(line: str) -> tuple[str, ...] | None:
    """Journal, sequence and chain of a line; empty where it has none to have; None where it is no such line."""
    if not line:
        return ()
    if line.startswith("{"):
        try:
            entry: Mapping[str, Any] = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if "chain" not in entry:
            return ()
        parts = tuple(str(entry.get(key)) for key in ("journal", "sequence", "chain"))
    else:
        parts = tuple(line.split("/"))
    return parts if len(parts) == 3 and _NUMBER.fullmatch(parts[1]) else None  # noqa: PLR2004 - see above


def check_anchors(books: LedgerBooks, receipts: Iterable[Anchor] = ()) -> list[Broken]:
    """Rule 16. What cannot be looked up is a finding that names the anchor, and ends nothing.

    Args:
        books: the deployment at its site.
        receipts: from outside.
    """
    found: list[Broken] = []
    sources = _Sources(books)
    ledger = Ledger(books.tables, books.site, books.deployment.name)
    _guarded(
        found, "data files with rows of journals", lambda: _irregular(books, (ledger.predictions, ledger.events))
    )
    if any(finding.file for finding in found):
        return found  # reading such a file may wait for ever
    _guarded(found, "the journal store", sources.open)
    events: list[dict[str, Any]] = []
    kinds = {JOURNAL_CLAIMED, JOURNAL_CLOSED, JOURNAL_PUT_ASIDE}
    _guarded(found, "what the events say of journals", lambda: _into(events, ledger.events_of(kinds)))
    aside = {_journal(event) for event in events if event["kind"] == JOURNAL_PUT_ASIDE}
    anchors = list(receipts)
    for event in events:
        name = f"event {event['sequence']} about {event['about']}"
        _guarded(found, name, partial(_into, anchors, _anchors([event])))
    for anchor in anchors:
        if anchor.journal not in aside and anchor.sequence:
            name = f"journal {anchor.journal} row {anchor.sequence}, which {anchor.source} knows"
            _guarded(found, name, partial(_check, ledger, sources, anchor))
    if sources.backlogs is not None:
        backlogs = sources.backlogs
        _guarded(found, "journals that were claimed", lambda: _lost(events, backlogs, aside))
    return found


def _guarded(found: list[Broken], what: str, check: Callable[[], Iterable[Broken]]) -> None:
    """Take in what a check finds; one that fails is a finding."""
    try:
        found.extend(check())
    except Exception as error:  # noqa: BLE001 - whoever tampers must not choose what is told by what raises
        why = str(error) if isinstance(error, FieldedError) else type(error).__name__
        got = f"{what}: could not be checked ({why})"
        found.append(Broken(rule=_RULE, table="predictions", got=got, expected="a ledger and journals to read"))


def _into(those: list[_Item], more: Iterable[_Item]) -> Iterable[Broken]:
    """Take in what is looked up, which finds nothing by itself."""
    those.extend(more)
    return ()


class _Sources:
    """The journals of a site, as far as their store answers."""

    def __init__(self, books: LedgerBooks) -> None:
        self._books = books
        self.journals: Journals | None = None
        self.backlogs: dict[str, Backlog] | None = None

    def open(self) -> Iterable[Broken]:
        """Ask for all of them."""
        books = self._books
        self.journals = open_journals(books.site, books.deployment.name, books.random_bytes)
        self.backlogs = {backlog.journal: backlog for backlog in self.journals.backlogs()}
        return ()


def _irregular(books: LedgerBooks, names: Iterable[str]) -> Iterator[Broken]:
    """Data files that readers would open and that are no regular files."""
    for name in names:
        table = books.tables.find(name)
        if table is None:
            continue
        folder = Path(books.tables.uri(name))
        for path in sorted(unquote(one) for one in pa.table(table.get_add_actions()).column("path").to_pylist()):
            why = irregular(folder / path, folder)
            if why:
                got = f"journals could not be checked ({why} in place of a data file)"
                short = name.rpartition(".")[2]
                yield Broken(rule=_RULE, table=short, file=path, got=got, expected="a data file")


def _anchors(events: list[dict[str, Any]]) -> Iterator[Anchor]:
    for event in events:
        if event["kind"] != JOURNAL_PUT_ASIDE:
            details, source = event["details"], f"event {event['sequence']}"
            yield Anchor(_journal(event), int(details["sequence"]), str(details["chain"]), source)


def _journal(event: Mapping[str, Any]) -> str:
    return str(event["about"]).removeprefix("journal ")


def _check(ledger: Ledger, sources: _Sources, anchor: Anchor) -> Iterator[Broken]:
    chains = ledger.journaled_chains(anchor.journal, anchor.sequence)
    where = "the ledger"
    if not chains and sources.journals is not None and anchor.journal in (sources.backlogs or {}):
        where = "its journal"
        try:
            chains = _in_journal(sources.journals, (sources.backlogs or {})[anchor.journal], anchor.sequence)
        except Refused as refusal:
            yield _broken(anchor, f"a journal that cannot be read ({refusal})")
            return
    if not chains:
        journals = "a journal" if sources.backlogs is not None else "any journal that could be asked"
        yield _broken(anchor, f"no such row in the ledger nor in {journals}")
    elif chains != [anchor.chain]:
        yield _broken(anchor, f"another row in {where}: its chain is {', '.join(chains)}")


def _in_journal(journals: Journals, backlog: Backlog, sequence: int) -> list[str]:
    if sequence > backlog.end.sequence:
        return []
    batch = next(journals.read(backlog.journal, sequence - 1), None)
    if batch is None or batch.column("journal_sequence")[0].as_py() != sequence:
        return []
    return [batch.column("chain")[0].as_py()]


def _broken(anchor: Anchor, got: str) -> Broken:
    return Broken(
        rule=_RULE,
        table="predictions",
        file=f"journal {anchor.journal}",
        row=anchor.sequence,
        got=got,
        expected=f"the row that {anchor.source} knows, with chain {anchor.chain}",
    )


def _lost(events: list[dict[str, Any]], backlogs: Mapping[str, Backlog], aside: set[str]) -> Iterator[Broken]:
    """Journals that a process held last and that are nowhere: nobody can tell how many rows they had."""
    last = {_journal(event): event for event in events}
    for journal, event in last.items():
        if event["kind"] == JOURNAL_CLAIMED and journal not in backlogs and journal not in aside:
            yield Broken(
                rule=_RULE,
                table="predictions",
                file=f"journal {journal}",
                got="no such journal in the store",
                expected=f"the journal that was claimed at {event['occurred_at'].isoformat()} and not let go "
                "since; rows that were answered from it and not drained are lost",
            )
