"""Between answer and drain: whoever rewrites a journal cannot rewrite what others know of it."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from conftest import World
from fielded.decisions.chain import link, row_digests, start_of
from fielded.services.approve import approve
from fielded.services.drain import drain, put_aside
from fielded.services.score_live import LiveAnswer
from fielded.services.serve import open_live
from fielded.services.verify import verify
from fielded.services.verify_anchors import Anchor, check_anchors, read_receipts
from fielded.words.errors import WrongUse
from live import ROW, Told, ask, request, serving


def receipt(answer: LiveAnswer) -> Anchor:
    last = len(answer.chains) - 1
    return Anchor(answer.journal, answer.first_sequence + last, answer.chains[last], "a caller")


def answered(world: World, count: int = 6, *, crash: bool = False) -> list[Anchor]:
    """Rows that were answered, none of them drained; their receipts."""
    told = Told()
    live = open_live(world.open("os:server"), told.settle)
    ask(live.scoring, told, [request(n, [ROW] * 2) for n in range(count)])
    if crash:
        live.scoring.stop()  # lets the journal go as the operating system would: nothing is put on record
    else:
        live.close()
    return [receipt(told.of(n)) for n in range(count)]


def files(world: World) -> list[Path]:
    folder = Path(world.site.journal_url.removeprefix("sqlite:///"))
    return sorted(folder.rglob("journal-*.sqlite"))


def rewrite(world: World, change: Callable[[pa.Table], pa.Table]) -> None:
    """What an insider with the journal's file does: change rows, number and link them anew, leave no trace."""
    workplace = world.open()
    (backlog,) = workplace.journals.backlogs()
    rows = change(pa.Table.from_batches(list(workplace.journals.read(backlog.journal, 0))))
    numbers = pa.array(range(1, rows.num_rows + 1), pa.int64())
    rows = rows.set_column(rows.schema.get_field_index("journal_sequence"), "journal_sequence", numbers)
    start = start_of(backlog.journal)
    chain = [head.hex() for head in link(start, row_digests(rows))]
    rows = rows.set_column(rows.schema.get_field_index("chain"), "chain", pa.array(chain))
    with closing(sqlite3.connect(files(world)[0])) as connection, connection:
        connection.execute("DELETE FROM entries")
        connection.execute("UPDATE journal SET trimmed = 0, gone = 0, head = ?", (start,))
    journal = workplace.journals.claim(workplace.ledger.identity())
    assert journal.id == backlog.journal
    (batch,) = rows.combine_chunks().to_batches()
    journal.append(batch)
    journal.close()


def score_changed(rows: pa.Table) -> pa.Table:
    scores = rows.column("score").to_pylist()
    scores[3] = 0.01
    return rows.set_column(rows.schema.get_field_index("score"), "score", pa.array(scores))


ATTACKS = {
    "a score is changed": score_changed,
    "the last rows are cut off": lambda rows: rows.slice(0, 9),
    "a row is dropped": lambda rows: pa.concat_tables([rows.slice(0, 4), rows.slice(5)]),
}


@pytest.mark.parametrize("drained", [False, True], ids=["in the journal", "drained"])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_rewritten_journal_does_not_fit_what_was_recorded_when_it_was_let_go(
    world: World, name: str, *, drained: bool
) -> None:
    answered(world)
    assert check_anchors(world.open()) == []
    rewrite(world, ATTACKS[name])
    if drained:
        assert drain(world.open()).failures == {}, "its chain is sound: the insider linked it anew"
        assert verify(world.open()).findings == []
    findings = check_anchors(world.open())
    assert [(found.rule, found.row) for found in findings] == [(16, 12)]
    assert "event" in findings[0].expected


def test_after_a_crash_receipts_tell_what_no_event_could(world: World) -> None:
    kept = answered(world, crash=True)
    rewrite(world, score_changed)
    drain(world.open())
    assert check_anchors(world.open()) == []
    findings = check_anchors(world.open(), kept)
    assert [found.row for found in findings] == [4, 6, 8, 10, 12], "from the changed row on"
    assert all("another row in the ledger" in found.got for found in findings)


def test_what_nobody_touched_fits_every_receipt(world: World) -> None:
    kept = [*answered(world), *answered(world, crash=True)]
    assert check_anchors(world.open(), kept) == []
    drain(world.open())
    assert check_anchors(world.open(), kept) == []


def test_a_journal_that_is_gone_is_missed(world: World) -> None:
    kept = answered(world)
    for file in files(world):
        file.unlink()
    findings = check_anchors(world.open())
    assert [found.got for found in findings] == ["no such row in the ledger nor in a journal"]
    assert len(check_anchors(world.open(), kept)) == 7


def test_so_is_one_whose_process_crashed(world: World) -> None:
    answered(world, crash=True)
    for file in files(world):
        file.unlink()
    (finding,) = check_anchors(world.open())
    assert finding.got == "no such journal in the store"


def test_a_journal_put_aside_is_on_record_and_no_finding(world: World) -> None:
    kept = answered(world)
    journal = kept[0].journal
    place = put_aside(world.open(), journal)
    assert "aside" in place
    assert check_anchors(world.open()) == []
    assert drain(world.open()).rows == 0
    event = world.open().ledger.events_of("journal_put_aside")[-1]
    assert (event["about"], event["details"]["drained"]) == (f"journal {journal}", 0)
    assert answered(world)[0].journal != journal


def test_receipts_are_read_from_what_callers_and_logs_keep(tmp_path: Path) -> None:
    file = tmp_path / "receipts"
    line = {"event": "request", "journal": "j", "sequence": 7, "chain": "cd"}
    file.write_text(f"j/3/ab\n\n{json.dumps(line)}\n{json.dumps({'event': 'serving'})}\n")
    found = [(anchor.journal, anchor.sequence, anchor.chain) for anchor in read_receipts(file)]
    assert found == [("j", 3, "ab"), ("j", 7, "cd")]
    for bad in ("j/3", "j/three/ab", "{not json"):
        file.write_text(bad)
        with pytest.raises(WrongUse, match="receipts:1"):
            list(read_receipts(file))
    with pytest.raises(WrongUse, match="--receipts"):
        list(read_receipts(tmp_path / "nowhere"))


def test_two_sites_with_one_store_drain_each_their_own(world: World, tmp_path: Path) -> None:
    other = replace(world, site=replace(world.site, root=str(tmp_path / "other")))
    Path(other.site.root).mkdir()
    for version in ("1", "2"):
        approve(other.open(), version)
    with serving(world) as (ours, told_ours), serving(other) as (theirs, told_theirs):
        ask(ours.scoring, told_ours, [request("ours")])
        ask(theirs.scoring, told_theirs, [request("theirs", [ROW] * 3)])
        assert theirs.drain_once().rows == 3
        assert ours.drain_once().rows == 1
    assert verify(replace(world.open(), clock=lambda: datetime.now(UTC))).findings == []
    assert check_anchors(world.open()) == []


def test_rows_cut_off_after_they_were_let_go_are_missed(world: World) -> None:
    answered(world)
    drain(world.open())
    answered(world)
    assert check_anchors(world.open()) == []
    with closing(sqlite3.connect(files(world)[0])) as connection, connection:
        connection.execute("DELETE FROM entries WHERE last > 14")
    assert [found.row for found in check_anchors(world.open())] == [24]
