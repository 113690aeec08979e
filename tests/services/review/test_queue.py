"""Which cases are in the queue: runs that count, days that are read, and decisions that cover later scores."""

import json
import threading
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from conftest import DAY, World, make_orders
from fielded.decisions.rows import PARTITION
from fielded.services.review.act import appeal, claim, decide
from fielded.services.review.cases import list_cases, show_case
from fielded.services.review.refresh import refresh_scores
from fielded.services.score_day import score_day
from fielded.words.errors import Refused, Unreachable
from reviews import ADA, BEN, CLEO, at, defined, gold_by_id, waiting

TEXT = "the yard has the part"
NEXT = DAY + timedelta(days=1)
LEDGER = "ledger.overrun"
NEW = {"routed_by", "review_propensity"}


def scored(world: World, *days: date, **settings: object) -> None:
    world.define(defined(**settings))
    for number, day in enumerate(days or (DAY,)):
        workplace, scorers = world.scorers()
        score_day(replace(workplace, clock=at(world, "os:tester", 24.0 * number).clock), scorers, day)


def decided(world: World, request_id: str, outcome: str = "override", hours: float = 1.0, by: str = ADA) -> None:
    claim(at(world, by, hours), request_id)
    decide(at(world, by, hours), request_id, outcome, "knows_more", TEXT)


def test_of_a_subject_the_newest_case_waits_and_a_decision_covers_it(world: World) -> None:
    scored(world, DAY, NEXT)
    rows = gold_by_id(world)
    newest = {key for key, row in rows.items() if row["decision"] == "review" and row[PARTITION] == NEXT}
    cases = waiting(world, ADA, 30)
    assert {case.request_id for case in cases} == newest
    subject = cases[0].subject
    (old,) = [key for key, row in rows.items() if row["order_id"] == subject and row[PARTITION] == DAY]
    with pytest.raises(Refused, match=f"in whose place {cases[0].request_id} stands"):
        claim(at(world, ADA, 30), old)
    decided(world, cases[0].request_id, hours=30)
    assert subject not in {case.subject for case in waiting(world, ADA, 31)}
    later = NEXT + timedelta(days=1)
    workplace, scorers = world.scorers()
    score_day(replace(workplace, clock=at(world, "os:tester", 48).clock), scorers, later)
    by_day = {row[PARTITION]: row for row in gold_by_id(world).values() if row["order_id"] == subject}
    assert by_day[DAY]["final_decision"] == "review", "nobody decided that one"
    for day in (NEXT, later):
        assert by_day[day]["decided_by"] == ADA
    assert subject not in {case.subject for case in waiting(world, ADA, 49)}
    with pytest.raises(Refused, match="a decision about its subject covers"):
        claim(at(world, BEN, 49), by_day[later]["request_id"])
    appeal(at(world, BEN, 50), cases[0].request_id, "the engine was replaced")
    by_day = {row[PARTITION]: row for row in gold_by_id(world).values() if row["order_id"] == subject}
    assert {row["final_decision"] for row in by_day.values()} == {"review"}, "what was carried goes with it"


def test_a_decision_made_after_the_next_days_score_covers_it_too(world: World) -> None:
    scored(world)
    one = waiting(world)[0]
    claim(at(world, ADA, 20), one.request_id)
    workplace, scorers = world.scorers()
    score_day(replace(workplace, clock=at(world, "os:tester", 24).clock), scorers, NEXT)
    held = [case for case in waiting(world, BEN, 25) if case.subject == one.subject]
    assert [case.request_id for case in held] == [one.request_id], "the newer one waits outside while it is held"
    done = decide(at(world, ADA, 25), one.request_id, "override", "knows_more", TEXT)
    assert done.shown == (DAY, NEXT)
    own = [row for row in gold_by_id(world).values() if row["order_id"] == one.subject]
    assert [row["decided_by"] for row in own] == [ADA, ADA]
    assert one.subject not in {case.subject for case in waiting(world, BEN, 26)}


@pytest.mark.parametrize(
    "carry",
    ["{days: 0, score_change: 1.0}", "{days: 30, score_change: 0.0}"],
    ids=["too long ago", "too far away"],
)
def test_a_decision_covers_no_longer_and_no_further_than_the_definition_says(world: World, carry: str) -> None:
    scored(world, carry=carry)
    one = waiting(world)[0]
    decided(world, one.request_id)
    older = make_orders(2000).to_pandas()
    older["hours"] *= 1.01  # some scores move a little
    world.write("silver.orders", pa.Table.from_pandas(older).cast(make_orders(1).schema))
    workplace, scorers = world.scorers()
    score_day(replace(workplace, clock=at(world, "os:tester", 24).clock), scorers, NEXT)
    (row,) = [r for r in gold_by_id(world).values() if r["order_id"] == one.subject and r[PARTITION] == NEXT]
    covered = row["overrun_probability"] == one.score and "days: 30" in carry
    assert (row["decided_by"] == ADA) is covered
    assert (one.subject in {case.subject for case in waiting(world, ADA, 25)}) is (
        row["decision"] == "review" and not covered
    )


def test_runs_that_count_no_more_have_no_cases(world: World) -> None:
    scored(world)
    before = {case.request_id for case in waiting(world)}
    world.define(defined().replace("review_band: [0.55, 0.75]", "review_band: [0.60, 0.70]"))
    score_day(*world.scorers(), DAY)
    cases = waiting(world)
    assert not before & {case.request_id for case in cases}
    assert {case.request_id for case in cases} == {
        key for key, row in gold_by_id(world).items() if row["decision"] == "review"
    }
    with pytest.raises(Refused, match="whose run counts no more"):
        claim(at(world, ADA), min(before))


def test_days_whose_cases_have_all_expired_are_not_even_opened(world: World) -> None:
    scored(world, DAY, NEXT, expire_hours=30.0)
    folder = Path(world.site.root, "ledger", "overrun", "predictions")
    for path in (folder / f"{PARTITION}={DAY}").glob("*.parquet"):
        path.write_bytes(b"no Parquet")
    assert {case.scored_date for case in waiting(world, ADA, 53)} == {NEXT}
    with pytest.raises(Unreachable, match="predictions: cannot be read"):
        waiting(world, ADA, 20)


def test_a_backfill_of_a_day_long_past_asks_nobody(world: World) -> None:
    old = DAY - timedelta(days=40)
    world.write("silver.orders", make_orders(500, opened_on=old))
    scored(world, old)
    assert any(row["decision"] == "review" for row in gold_by_id(world).values())
    assert waiting(world) == ()


def test_live_rows_are_cases_shadow_rows_are_none_and_old_rows_are_for_review(world: World) -> None:
    scored(world)
    folder = Path(world.site.root, "ledger", "overrun", "predictions")
    table = DeltaTable(str(folder))
    rows = table.to_pyarrow_table()
    rows = rows.filter(pa.compute.equal(rows.column("decision"), "review")).slice(0, 3)
    new = [f"0195{number:04d}-0000-7000-8000-000000000000" for number in range(3)]
    changed = {
        "request_id": pa.array(new),
        "subject": pa.array(["live", "shadow", "old"]),
        "channel": pa.array(["api", "shadow", "api"]),
        "run_id": pa.nulls(3, pa.string()),
    }
    if "routed_by" in rows.column_names:
        changed["routed_by"] = pa.array(["audit", "audit", None])
        changed["review_propensity"] = pa.array([0.02, 0.02, None])
    for name, column in changed.items():
        place = rows.column_names.index(name)
        rows = rows.set_column(place, rows.schema.field(name), column.cast(rows.schema.field(name).type))
    write_deltalake(str(folder), rows, mode="append")
    cases = {case.subject: case for case in waiting(world)}
    assert {"live", "old"} <= set(cases)
    assert "shadow" not in cases
    assert cases["old"].routed_by == ("band",)
    if "routed_by" in changed:
        assert (cases["live"].routed_by, cases["live"].audit) == (("audit",), True)
    done_at = at(world, ADA, 2)
    claim(done_at, cases["live"].request_id)
    done = decide(done_at, cases["live"].request_id, "keep", "agrees_with_record", TEXT)
    assert done.not_done == ()


def test_a_gold_table_and_a_ledger_of_before_get_along(world: World) -> None:
    """Columns are added to gold; rows without `routed_by` are cases where they are for review."""
    scored(world)
    cases = waiting(world)
    first = Path(world.site.root, "ledger", "overrun", "predictions", "_delta_log", f"{0:020d}.json")
    actions = [json.loads(line) for line in first.read_text().splitlines()]
    for action in actions:
        if "metaData" in action:
            schema = json.loads(action["metaData"]["schemaString"])
            schema["fields"] = [field for field in schema["fields"] if field["name"] not in NEW]
            action["metaData"]["schemaString"] = json.dumps(schema)
    first.write_text("\n".join(json.dumps(action) for action in actions))
    assert not NEW & set(world.rows(f"{LEDGER}.predictions")[0])
    gold = DeltaTable(str(Path(world.site.root, "gold", "overrun_scores")))
    before = gold.to_pyarrow_table()
    dropped = before.drop_columns(["final_decision", "decided_by", "decided_at", "review_reason"])
    write_deltalake(gold, dropped, mode="overwrite", schema_mode="overwrite")
    assert "final_decision" not in world.rows("gold.overrun_scores")[0]
    assert waiting(world) == cases
    one = cases[0].request_id
    claim(at(world, ADA), one)
    assert decide(at(world, ADA), one, "keep", "knows_more", TEXT).shown == (DAY,)
    after = gold_by_id(world)
    assert after[one]["decided_by"] == ADA
    assert len(after) == before.num_rows


def test_of_two_that_claim_at_once_one_wins_and_the_other_is_told(world: World) -> None:
    scored(world)
    cases = [case.request_id for case in waiting(world)[:4]]
    for number, one in enumerate(cases):
        said: dict[str, str] = {}
        start = threading.Barrier(3)

        def attempt(person: str, one: str = one, start: threading.Barrier = start, said: dict = said) -> None:
            workplace = at(world, person, 2)
            start.wait()
            try:
                claim(workplace, one)
                said[person] = "won"
            except Refused as refusal:
                said[person] = str(refusal)

        people = (ADA, BEN, CLEO)
        threads = [threading.Thread(target=attempt, args=(person,)) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = [person for person in people if said[person] == "won"]
        for person in set(people) - {winner}:
            assert winner in said[person], (number, said)
        assert show_case(at(world, ADA, 2), one).view.holder == winner
        assert len(at(world, ADA).ledger.events_of("case_claimed", f"case {one}")) == 1


def test_of_two_windows_of_one_person_that_decide_at_once_one_does(world: World) -> None:
    """Both hold the claim: nothing but the ledger stands between them."""
    scored(world)
    for one in [case.request_id for case in waiting(world)[:3]]:
        claim(at(world, ADA, 1), one)
        said: list[str] = []
        start = threading.Barrier(2)

        def attempt(outcome: str, one: str = one, start: threading.Barrier = start, said: list = said) -> None:
            workplace = at(world, ADA, 2)
            start.wait()
            try:
                decide(workplace, one, outcome, "knows_more", TEXT)
                said.append(outcome)
            except Refused as refusal:
                said.append(str(refusal))

        threads = [threading.Thread(target=attempt, args=(outcome,)) for outcome in ("keep", "override")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (event,) = at(world, ADA).ledger.events_of("case_decided", f"case {one}")
        assert sorted(text in ("keep", "override") for text in said) == [False, True]
        assert gold_by_id(world)[one]["final_decision"] == event["details"]["final"]


def test_decisions_are_not_lost_to_a_new_run_of_the_day(world: World) -> None:
    """A refresh races with runs of the day: the later run stands there, with every decision so far."""
    scored(world, carry="{days: 30, score_change: 1.0}")
    cases = [case.request_id for case in waiting(world)[:6]]
    subjects = {key: row["order_id"] for key, row in gold_by_id(world).items() if key in cases}
    failed: list[BaseException] = []
    workplace, scorers = world.scorers()

    def runs() -> None:
        try:
            for again in ("a", "b", "c"):
                score_day(workplace, scorers, DAY, again=again)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    thread = threading.Thread(target=runs)
    for one in cases:
        claim(at(world, ADA, 1), one)
    thread.start()
    for number, one in enumerate(cases):
        done = decide(at(world, ADA, 2 + number), one, "override", "knows_more", TEXT)
        assert done.not_done == ()
    thread.join()
    assert failed == []
    gold = world.rows("gold.overrun_scores")
    (run,) = {row["run_id"] for row in gold}
    ledger = world.open().ledger
    assert ledger.place_of(run) == ledger.latest_place(DAY) == 4
    theirs = [row for row in gold if row["order_id"] in subjects.values()]
    assert [row["decided_by"] for row in theirs] == [ADA] * len(cases)
    assert len({row["order_id"] for row in gold}) == len(gold)


def test_what_a_crash_left_out_of_the_gold_table_is_brought_along(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(world)
    one, two = (case.request_id for case in waiting(world)[:2])
    with monkeypatch.context() as patched:
        patched.setattr("fielded.services.review.act.refresh_scores", lambda _: ())
        decided(world, one)
    assert gold_by_id(world)[one]["decided_by"] is None
    assert refresh_scores(at(world, BEN, 3)) == (DAY,)
    assert gold_by_id(world)[one]["decided_by"] == ADA
    assert refresh_scores(at(world, BEN, 4)) == (), "nothing is left"
    decided(world, two, hours=5)
    assert gold_by_id(world)[two]["decided_by"] == ADA


def test_copies_of_events_change_nothing(world: World) -> None:
    scored(world)
    one, two, three = (case.request_id for case in waiting(world)[:3])
    decided(world, one)
    claim(at(world, BEN, 2), two)
    first = waiting(world, CLEO, 3)
    (copies,) = (world.site.cache / "review").glob("*.jsonl")
    assert len(copies.read_text().splitlines()) == 3
    claim(at(world, BEN, 3.5), three)
    again = waiting(world, CLEO, 4)
    assert [case.holder for case in again] != [case.holder for case in first]
    kept = copies.read_text()
    for wrong in ("[", kept.replace(BEN, "os:eve")):
        copies.write_text(wrong)
        assert waiting(world, CLEO, 4) == again, "a copy that the log does not bear out is not believed"
    for path in Path(world.site.root, "ledger", "overrun", "events").glob("occurred_date=*/*.parquet"):
        path.write_bytes(b"no Parquet")
    assert waiting(world, CLEO, 4) == again, "what was read is not read again"
    with pytest.raises(Unreachable):
        show_case(at(world, CLEO, 4), two)  # but what is shown of a case, and done about it, is from the ledger


def test_a_large_queue_is_listed_quickly(world: World) -> None:
    """Twenty thousand rows a day for a week; the time is generous, for machines that do other things too."""
    scored(world)
    folder = Path(world.site.root, "ledger", "overrun", "predictions")
    rows = DeltaTable(str(folder)).to_pyarrow_table().slice(0, 1500)
    rng = np.random.default_rng(0)
    for day in range(1, 8):
        part = pa.concat_tables([rows] * 13)
        count = part.num_rows
        changed = {
            "request_id": pa.array([f"{day:02d}{n:06d}-0000-7000-8000-000000000000" for n in range(count)]),
            "subject": pa.array([f"S{n}" for n in range(count)]),
            "channel": pa.array(["api"] * count),
            "run_id": pa.nulls(count, pa.string()),
            "score": pa.array(rng.random(count)),
            PARTITION: pa.array([DAY + timedelta(days=day)] * count),
        }
        for name, column in changed.items():
            field = part.schema.field(name)
            part = part.set_column(part.column_names.index(name), field, column.cast(field.type))
        write_deltalake(str(folder), part, mode="append")
    workplace = at(world, ADA, 24 * 7)
    list_cases(workplace)
    begun = time.perf_counter()
    found = list_cases(workplace, 20)
    seconds = time.perf_counter() - begun
    assert found.waiting > 1000
    assert len(found.cases) == 20
    assert seconds < 3, seconds
