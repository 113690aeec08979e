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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fielded.decisions.seals import Broken
from fielded.services.journal_events import JOURNAL_CLAIMED, JOURNAL_CLOSED, JOURNAL_PUT_ASIDE
from fielded.services.seal import LedgerBooks
from fielded.words.errors import Refused, WrongUse
from fielded.world.journal import Backlog, Journals, open_journals
from fielded.world.ledger import Ledger

_RULE = 16


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
    except OSError as error:
        raise WrongUse(f"--receipts: got {file}: {error.strerror}, expected a file of receipts") from None
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
    if line.startswith("{"):
        try:
            entry: Mapping[str, Any] = json.loads(line)
        except ValueError:
            return None
        return tuple(str(entry[key]) for key in ("journal", "sequence", "chain")) if "chain" in entry else ()
    parts = tuple(line.split("/"))
    if not line:
        return ()
    return parts if len(parts) == 3 and parts[1].isdigit() else None  # noqa: PLR2004 - journal, sequence, chain


def check_anchors(books: LedgerBooks, receipts: Iterable[Anchor] = ()) -> list[Broken]:
    """Rule 16.

    Args:
        books: the deployment at its site.
        receipts: from outside.

    Raises:
        Unreachable: the journal store does not answer.
    """
    ledger = Ledger(books.tables, books.site, books.deployment.name)
    journals = open_journals(books.site, books.deployment.name, books.random_bytes)
    backlogs = {backlog.journal: backlog for backlog in journals.backlogs()}
    events = ledger.events_of({JOURNAL_CLAIMED, JOURNAL_CLOSED, JOURNAL_PUT_ASIDE})
    aside = {_journal(event) for event in events if event["kind"] == JOURNAL_PUT_ASIDE}
    found = [
        finding
        for anchor in (*_anchors(events), *receipts)
        if anchor.journal not in aside and anchor.sequence
        for finding in _check(ledger, journals, backlogs, anchor)
    ]
    return found + list(_lost(events, backlogs, aside))


def _anchors(events: list[dict[str, Any]]) -> Iterator[Anchor]:
    for event in events:
        if event["kind"] != JOURNAL_PUT_ASIDE:
            details, source = event["details"], f"event {event['sequence']}"
            yield Anchor(_journal(event), int(details["sequence"]), str(details["chain"]), source)


def _journal(event: Mapping[str, Any]) -> str:
    return str(event["about"]).removeprefix("journal ")


def _check(
    ledger: Ledger, journals: Journals, backlogs: Mapping[str, Backlog], anchor: Anchor
) -> Iterator[Broken]:
    chains = ledger.journaled_chains(anchor.journal, anchor.sequence)
    where = "the ledger"
    if not chains and anchor.journal in backlogs:
        where = "its journal"
        try:
            chains = _in_journal(journals, backlogs[anchor.journal], anchor.sequence)
        except Refused as refusal:
            yield _broken(anchor, f"a journal that cannot be read ({refusal})")
            return
    if not chains:
        yield _broken(anchor, "no such row in the ledger nor in a journal")
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
