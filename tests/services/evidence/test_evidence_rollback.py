"""Evidence of the way back, from a real registry, ledger and files."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from conftest import DAY, DEFINITION, Spare, Ticking
from fielded.decisions.assurance.collector import Found
from fielded.decisions.release import acts
from fielded.services.evidence.collect import Bench, collect
from fielded.services.evidence.rollback import COLLECTOR
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.release.promote import promote
from fielded.services.release.record import append, state_of
from fielded.services.release.sign import sign
from fielded.services.score_day import score_day
from fielded.world.workplace import Workplace
from releases import another_version, drilled, ready

SIGNED = (
    "release: {gates: {evidence: {documents: [runbook], provenance: false}}}\n"
    "ato: {documents: {runbook: runbook.yaml}}\n"
)
TEXT = "steps: |\n  Run `fielded rollback -m REASON` and watch it end with 0.\n"

THERE, NAMES = "the runbook is there", "the runbook names the command"
STANDS = "somebody stands for the runbook as it is"
DRILL, OPEN = "a drill passed and is not too old", "no transition is open"
LOADS, REPLAYS = (
    "the previous version loads now from approved bytes",
    "it scores its recorded rows to the last bit",
)
REGISTERED, ALIASES = "the registry still has it", "the aliases stand where the ledger says"
REFUSES = "changed bytes are not taken"


@pytest.fixture
def way_back(spare: Spare) -> Spare:
    """A version over one that scored a day; a signed runbook; a drill on record."""
    spare.define(DEFINITION + SIGNED)
    adopt(spare.open())
    score_day(*spare.scorers(), DAY)
    version = another_version(spare)
    ready(spare, version)
    workplace = spare.open()
    promote(workplace, Scorers(workplace), version)
    (spare.folder / "runbook.yaml").write_text(TEXT)
    sign(spare.open(), "runbook", spare.folder / "runbook.yaml", DAY + timedelta(days=300))
    drilled(spare.open())
    return spare


def copied(spare: Spare, name: str) -> Spare:
    """The same site at another place, over the same registry."""
    old = spare.folder.parent
    new = old / name
    for part in ("deployment", "tables", "cache", "keys"):
        shutil.copytree(old / part, new / part)
    site = replace(
        spare.site, root=str(new / "tables"), cache=new / "cache", signing_key=f"file:{new / 'keys' / 'seal.pem'}"
    )
    return replace(spare, folder=new / "deployment", site=site)


def later(spare: Spare, days: float = 0.1) -> Workplace:
    start = Ticking()() + timedelta(days=days)
    return replace(spare.open(), clock=Ticking(start))


def looked(spare: Spare, days: float = 0.1) -> Found:
    return COLLECTOR.look(Bench(later(spare, days)))


def failed(found: Found) -> set[str]:
    return {check.name for check in found.checks if check.outcome != "held"}


def test_one_that_was_drilled_and_loads_holds(way_back: Spare) -> None:
    found = looked(way_back)
    assert failed(found) == set(), found.checks
    assert found.facts["replayed_now"] == 20
    assert (found.facts["previous"]["version"], found.facts["production"]["version"]) == ("2", "3")
    assert found.facts["drill"]["age_days"] == 0
    assert found.facts["runbook"]["signed_by"] == "os:tester"
    assert [check.name for check in found.checks if check.negative] == [REFUSES]
    assert not any(letter.isdigit() for check in found.checks for letter in check.name)

    models = way_back.site.cache / "models"
    before = sorted((path.name, path.stat().st_mtime_ns) for path in models.rglob("*"))
    looked(way_back)
    after = sorted((path.name, path.stat().st_mtime_ns) for path in models.rglob("*"))
    assert after == before, "the refusal was tried on a copy"


def _delete_runbook(spare: Spare) -> None:
    (spare.folder / "runbook.yaml").unlink()


def _rewrite_runbook(spare: Spare) -> None:
    (spare.folder / "runbook.yaml").write_text(TEXT + "\n")


def _say_nothing(spare: Spare) -> None:
    (spare.folder / "runbook.yaml").write_text("steps: ask somebody\n")
    sign(spare.open(), "runbook", spare.folder / "runbook.yaml", DAY + timedelta(days=300))


def _fail_a_drill(spare: Spare) -> None:
    append(spare.open(), state_of(spare.open()), acts.DRILLED, {"passed": False})


def _open_a_rollback(spare: Spare) -> None:
    state = state_of(spare.open())
    assert state.production is not None
    assert state.previous is not None
    details = {"from": state.production.as_dict(), "to": state.previous.as_dict(), "reason": "begun, and died"}
    append(spare.open(), state, acts.ROLLBACK_STARTED, details)


def _delete_the_version(spare: Spare) -> None:
    spare.store.client.delete_model_version(spare.model, "2")


def _lose_all_bytes(spare: Spare) -> None:
    shutil.rmtree(spare.files["2"])
    shutil.rmtree(spare.site.cache / "models")


def _move_the_alias(spare: Spare) -> None:
    spare.store.client.set_registered_model_alias(spare.model, "previous", "1")


def _edit_scores(spare: Spare) -> None:
    """The previous version does not score its recorded rows any more."""
    predictions = Path(spare.site.root) / "ledger" / "overrun" / "predictions"
    for file in predictions.rglob("*.parquet"):
        table = pq.ParquetFile(file).read()
        moved = pc.multiply(table.column("score"), 0.999)
        pq.write_table(table.set_column(table.column_names.index("score"), "score", moved), file)


def test_what_is_in_the_way_is_seen(way_back: Spare) -> None:
    cases: list[tuple[Callable[[Spare], None], set[str]]] = [
        (_delete_runbook, {THERE}),
        (_rewrite_runbook, {STANDS}),
        (_say_nothing, {NAMES}),
        (_fail_a_drill, {DRILL}),
        (_open_a_rollback, {OPEN}),
        (_edit_scores, {LOADS}),
        # What is in the registry is every copy's: the last of them is not made good.
        (_move_the_alias, {ALIASES}),
        (_delete_the_version, {REGISTERED, ALIASES}),
        (_lose_all_bytes, {REGISTERED, ALIASES, LOADS, REFUSES}),
    ]
    for broken, names in cases:
        one = copied(way_back, broken.__name__)
        broken(one)
        found = looked(one)
        assert failed(found) == names, (broken.__name__, found.checks)
        assert all(check.step for check in found.checks if check.outcome == "failed")
        if broken is _move_the_alias:
            one.store.client.set_registered_model_alias(one.model, "previous", "2")


def test_a_drill_and_a_signature_grow_old(way_back: Spare) -> None:
    assert DRILL not in failed(looked(way_back, 89.9))
    assert failed(looked(way_back, 90.2)) == {DRILL}
    assert failed(looked(way_back, 301)) == {DRILL, STANDS}


def test_nobody_who_may_roll_back_is_seen(spare: Spare) -> None:
    workplace = later(spare)
    nobody = replace(workplace, site=replace(workplace.site, environment="production"))
    assert "somebody may roll back" in failed(COLLECTOR.look(Bench(nobody)))
    reviewers = replace(workplace, site=replace(workplace.site, roles={"os:ada": ("review",)}))
    assert "somebody may roll back" in failed(COLLECTOR.look(Bench(reviewers)))


def test_without_a_previous_version_there_is_none(spare: Spare) -> None:
    found = looked(spare)
    assert failed(found) == {THERE, DRILL, LOADS}
    (check,) = (check for check in found.checks if check.name == LOADS)
    assert check.step == "Promote a second version: the first becomes the previous one"


def test_a_previous_version_without_rows_is_not_checked(spare: Spare) -> None:
    adopt(spare.open())
    found = looked(spare)
    (check,) = (check for check in found.checks if check.name == REPLAYS)
    assert check.outcome == "not checked"
    made = collect(Bench(later(spare)), COLLECTOR, "fielded ready --item 11")
    assert made.outcome == "not satisfied", "the runbook is not there"
