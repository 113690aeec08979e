"""Audit logging is looked at by using it, and each way to break it at a site turns the evidence."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from conftest import DAY, Spare, World
from fielded.decisions.assurance.evidence import Evidence
from fielded.definition.serving import Identity
from fielded.doors.serving.probing import open_door
from fielded.services.evidence.audit_probe import COLLECTOR
from fielded.services.evidence.collect import Bench, collect, put_on_record
from fielded.services.probe.harm import _noticed
from fielded.services.probe.subjects import PREFIX
from fielded.services.score_day import score_day
from fielded.services.verify import Report
from fielded.world.workplace import Workplace


@pytest.fixture
def scored(world: World, tmp_path: Path) -> World:
    """A day was scored, and the API has a way of telling who calls."""
    token = tmp_path / "token"
    token.write_text("a-token-of-these-tests-only")
    world.site = replace(world.site, identity=Identity(development_token=f"file:{token}"))
    workplace, scorers = world.scorers()
    score_day(workplace, scorers, DAY)
    return world


def looked(workplace: Workplace) -> Evidence:
    with open_door(workplace) as door:
        return collect(Bench(workplace, door, open_door), COLLECTOR, "fielded ready --item 6")


def wrong(evidence: Evidence) -> dict[str, str]:
    return {check.name: check.got for check in evidence.checks if check.outcome != "held"}


def data_file(world: World) -> Path:
    """The largest file of predictions."""
    folder = Path(world.site.root, "ledger", "overrun", "predictions")
    return max(folder.rglob("*.parquet"), key=lambda path: path.stat().st_size)


def test_a_site_as_it_should_be_has_nothing_wrong(scored: World) -> None:
    workplace = scored.open("os:prober")
    begun = time.perf_counter()
    evidence = looked(workplace)
    assert time.perf_counter() - begun < 30
    assert (evidence.outcome, wrong(evidence)) == ("satisfied", {})
    assert sum(check.negative for check in evidence.checks) == 4
    facts = evidence.facts
    for way, journaled in (("batch", False), ("api", True)):
        one = facts[way]
        assert one["subject"].startswith(PREFIX)
        assert (one["channel"], one["requested_by"], one["model_version"]) == ("probe", "os:prober", "2")
        assert (one["journal_sequence"] is not None) == journaled
        assert 0.0 <= float(one["score"]) <= 1.0
    assert facts["rows"] == 2002, "two probes beside the day"
    assert facts["scratch"] == {"clean": 0, "edited": 2, "deleted": 1, "restored": 0}
    assert facts["journal"] == "sqlite"
    assert list(Path(scored.site.cache).glob("fielded-drill-*")) == [], "nothing is left of the scratch copy"


def test_it_can_be_put_on_record_and_done_again(scored: World) -> None:
    workplace = scored.open()
    put_on_record(workplace, [looked(workplace)])
    again = looked(workplace)
    assert wrong(again) == {}
    assert again.facts["rows"] == 2004


def test_without_a_door_the_guard_is_not_checked(scored: World) -> None:
    evidence = collect(Bench(scored.open()), COLLECTOR, "x")
    assert evidence.outcome == "not checked"
    assert set(wrong(evidence)) == {"API scores a marked subject"}
    assert evidence.facts["api"]["request_id"], "its row is there all the same"


@contextmanager
def edited_row(world: World) -> Iterator[Workplace]:
    path = data_file(world)
    rows = pq.read_table(path, partitioning=None)
    place = rows.schema.get_field_index("score")
    scores = rows.column(place).to_pylist()
    scores[3] = 1.0 - scores[3]
    pq.write_table(rows.set_column(place, rows.schema.field(place), [scores]), path)
    yield world.open()


@contextmanager
def planted_row(world: World) -> Iterator[Workplace]:
    folder = Path(world.site.root, "ledger", "overrun", "predictions")
    rows = DeltaTable(str(folder)).to_pyarrow_table().slice(0, 1)
    write_deltalake(str(folder), rows, mode="append")
    yield world.open()


@contextmanager
def deleted_file(world: World) -> Iterator[Workplace]:
    data_file(world).unlink()
    yield world.open()


@contextmanager
def long_unsealed(world: World) -> Iterator[Workplace]:
    """An act of an hour ago that nobody has sealed."""
    world.open().record("tested", "nothing", {})
    later = datetime.now(UTC) + timedelta(hours=1)  # a commit's own time is that of this machine
    yield replace(world.open(), clock=lambda: later)


@contextmanager
def journal_in_the_way(world: World) -> Iterator[Workplace]:
    """Where the journal should be, there is a file."""
    Path(world.site.root, "journal-file").write_text("")
    world.site = replace(world.site, journal_url=f"sqlite:///{Path(world.site.root, 'journal-file', 'x')}")
    yield world.open()


@contextmanager
def another_key(world: World) -> Iterator[Workplace]:
    world.site = replace(world.site, signing_key=f"file:{Path(world.site.root) / 'other.pem'}")
    yield world.open()


@contextmanager
def nobody_can_call(world: World) -> Iterator[Workplace]:
    world.site = replace(world.site, identity=Identity())
    yield world.open()


SEALED = "every table of the ledger is as it was sealed"


@pytest.mark.parametrize(
    ("harm", "check"),
    [
        (edited_row, SEALED),
        (planted_row, "what is not sealed yet is fielded's own"),
        (deleted_file, SEALED),
        (long_unsealed, "no commit is unsealed for long"),
        (journal_in_the_way, "API scores a marked subject"),
        (another_key, "batch scores a marked subject"),
        (nobody_can_call, "API scores a marked subject"),
    ],
)
def test_whatever_breaks_it_is_seen(
    scored: World, harm: Callable[[World], Iterator[Workplace]], check: str
) -> None:
    with harm(scored) as workplace:
        evidence = looked(workplace)
    assert evidence.outcome == "not satisfied"
    assert check in wrong(evidence), wrong(evidence)
    (failed,) = [one for one in evidence.checks if one.name == check]
    assert failed.step
    assert str(scored.site.cache) not in failed.got


def test_files_that_are_not_the_approved_ones_end_it(spare: Spare) -> None:
    shutil.rmtree(spare.site.cache, ignore_errors=True)
    (spare.files["2"] / "MLmodel").write_text("other")
    evidence = looked(spare.open())
    assert evidence.outcome == "not satisfied"
    (check,) = evidence.checks
    assert "expected" in check.got
    assert "as approved" in check.got


def test_a_verifier_that_misses_harm_fails() -> None:
    clean = Report()
    assert _noticed("edited", clean, clean, clean).outcome == "failed"
