"""Rows that break a rule are kept out with their reasons, and too many of them stop the run."""

import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from books import PREDICTIONS, QUARANTINE, assert_run, assert_shown, clean, events, faulty, gold, read, runs_of
from conftest import DAY, DEFINITION, World, make_orders
from fielded.services.backfill import backfill
from fielded.services.score_day import score_day
from fielded.words.errors import RunRefused

GOOD = {"order_id": "good", "hull": 7, "hours": "30", "earlier": 2.0, "month": 5, "kind": "hull", "opened_on": DAY}
ONCE = "one row a day for each subject"

# name -> (what is changed in a good row, (field, got, expected) of each reason)
BROKEN: dict[str, tuple[dict[str, Any], list[tuple[str, str, str]]]] = {
    "no subject": ({"order_id": None}, [("order_id", "null", "an identifier")]),
    "no subject either": ({"order_id": None}, [("order_id", "null", "an identifier")]),
    "empty subject": ({"order_id": ""}, [("order_id", "", "an identifier")]),
    "missing": ({"hours": None}, [("hours", "null", "a value")]),
    "not a number": ({"hours": "nan"}, [("hours", "nan", "a value")]),
    "infinite": ({"hours": "inf"}, [("hours", "inf", "a finite number")]),
    "unreadable": ({"hours": "many"}, [("hours", "many", "a value readable as float")]),
    "below": ({"hours": "-0.5"}, [("hours", "-0.5", "at least 0")]),
    "fraction": ({"earlier": 1.5}, [("earlier", "1.5", "a value readable as int")]),
    "missing int": ({"earlier": None}, [("earlier", "null", "a value")]),
    "int below": ({"month": 0}, [("month", "0", "at least 1")]),
    "int above": ({"month": 13}, [("month", "13", "at most 12")]),
    "unseen": ({"kind": "sonar"}, [("kind", "sonar", "one of engine, hull, radar, valve")]),
    "missing category": ({"kind": None}, [("kind", "null", "a value")]),
    "all at once": (
        {"hours": "-1", "month": 99, "kind": "sonar"},
        [
            ("hours", "-1", "at least 0"),
            ("month", "99", "at most 12"),
            ("kind", "sonar", "one of engine, hull, radar, valve"),
        ],
    ),
    "twice": ({}, [("order_id", "twice", ONCE)]),
    "twice and late": (
        {"order_id": "twice", "month": 0},
        [("order_id", "twice", ONCE), ("month", "0", "at least 1")],
    ),
    "thrice": ({}, [("order_id", "thrice", ONCE)]),
    "thrice again": ({"order_id": "thrice"}, [("order_id", "thrice", ONCE)]),
    "thrice once more": ({"order_id": "thrice"}, [("order_id", "thrice", ONCE)]),
}
FINE = {
    "good": {},
    "at the lowest": {"hours": "0", "earlier": 0.0, "month": 1},
    "at the highest": {"month": 12},
    "no ship, so no age": {"hull": 55},
}  # fmt: skip


def _orders() -> pa.Table:
    rows = [{**GOOD, "order_id": name, **change} for name, (change, _) in BROKEN.items()]
    rows += [{**GOOD, "order_id": name, **change} for name, change in FINE.items()]
    schema = make_orders(1).schema
    schema = schema.set(2, pa.field("hours", pa.string())).set(3, pa.field("earlier", pa.float64()))
    return pa.Table.from_pylist(rows, schema=schema)


def test_each_broken_row_is_quarantined_with_all_its_reasons_and_no_other(world: World) -> None:
    world.define(DEFINITION.replace("quarantine_limit: 0.2", "quarantine_limit: 1.0"))
    shutil.rmtree(Path(world.site.root) / "silver" / "orders")  # its columns had other types
    world.write("silver.orders", _orders())
    summary = score_day(*world.scorers(), DAY)
    kept = read(world, QUARANTINE)

    def line(subject: str | None, reasons: list[Any]) -> tuple[Any, ...]:
        return (subject, *sorted(reasons))

    wanted = Counter(line(change.get("order_id", name), reasons) for name, (change, reasons) in BROKEN.items())
    found = Counter(
        line(row["subject"], [(item["field"], item["got"], item["expected"]) for item in row["reasons"]])
        for row in kept
    )
    assert found == wanted
    assert {(row["run_id"], row["scored_date"]) for row in kept} == {(summary.run_id, DAY)}
    assert all(row["quarantined_at"].tzinfo is not None for row in kept)
    assert sorted(row["order_id"] for row in gold(world)) == sorted(FINE)
    assert sorted(row["subject"] for row in read(world, PREDICTIONS)) == sorted(FINE)
    assert (summary.population, summary.scored, summary.quarantined) == (24, 4, 20)


def test_a_missing_value_that_is_allowed_is_scored_as_missing(world: World) -> None:
    rows = [{**GOOD, "order_id": name, "hull": hull} for name, hull in (("with", 7), ("without", 55))]
    typed = [{**row, "hours": 30.0, "earlier": 2} for row in rows]
    world.write("silver.orders", pa.Table.from_pylist(typed, schema=make_orders(1).schema))
    score_day(*world.scorers(), DAY)
    found = {row["subject"]: row for row in read(world, PREDICTIONS)}
    assert found["with"]["features"]["age"] == DAY.year - 1982
    assert found["without"]["features"]["age"] is None
    assert not math.isnan(found["without"]["score"])


def test_duplicates_far_apart_are_found(world: World) -> None:
    orders = make_orders(2000)
    world.write("silver.orders", pa.concat_tables([orders, orders.slice(3, 1), orders.slice(1999, 1)]))
    summary = score_day(*world.scorers(), DAY)
    twice = {"WO-00000003": 2, "WO-00001999": 2}
    assert Counter(row["subject"] for row in read(world, QUARANTINE)) == twice
    assert not set(twice) & {row["order_id"] for row in gold(world)}
    assert (summary.scored, summary.quarantined) == (1998, 4)


# 70 of 2005 rows of `faulty` break a rule: 3.491 %
AT_MOST = "quarantine_limit: 0.034"
ENOUGH = "quarantine_limit: 0.035"


def test_too_many_broken_rows_stop_the_run_before_anything_is_shown(world: World) -> None:
    world.define(DEFINITION.replace("quarantine_limit: 0.2", AT_MOST))
    workplace, scorers = world.scorers()
    shown = score_day(workplace, scorers, DAY)
    refused = faulty()
    world.write("silver.orders", refused.orders)
    for _ in range(2):  # the same input is refused again, and that is said once
        with pytest.raises(RunRefused, match=r"got 70 of 2005 rows quarantined \(3\.49%\), .* 3\.40%"):
            score_day(workplace, scorers, DAY)
        assert runs_of(world) == {shown.run_id}
        assert_shown(world, shown.run_id, clean(2000))
        kept = Counter(row["subject"] for row in read(world, QUARANTINE))
        assert kept == refused.refused
        (event,) = events(world, "day_refused")
        assert event["about"] == read(world, QUARANTINE)[0]["run_id"] != shown.run_id
        assert event["actor"] == "os:tester"
        assert "70 of 2005" in event["details"]
    assert len(events(world, "day_scored")) == 1


def test_at_the_limit_the_run_goes_on(world: World) -> None:
    world.define(DEFINITION.replace("quarantine_limit: 0.2", ENOUGH))
    expected = faulty()
    world.write("silver.orders", expected.orders)
    summary = score_day(*world.scorers(), DAY)
    assert_run(world, summary.run_id, expected)
    assert_shown(world, summary.run_id, expected)


def test_a_dry_run_is_stopped_by_the_limit_too_and_keeps_nothing(world: World) -> None:
    world.define(DEFINITION.replace("quarantine_limit: 0.2", AT_MOST))
    world.write("silver.orders", faulty().orders)
    with pytest.raises(RunRefused, match="70 of 2005"):
        score_day(*world.scorers(), DAY, dry_run=True)
    assert read(world, QUARANTINE) == []
    assert events(world, "day_refused") == []


def test_a_day_refused_for_its_rows_does_not_keep_the_next_from_being_scored(world: World) -> None:
    world.define(DEFINITION.replace("quarantine_limit: 0.2", AT_MOST))
    other = DAY.replace(day=1)
    world.write("silver.orders", make_orders(300, first=5000, opened_on=other))
    world.write("silver.orders", faulty().orders, mode="append")
    workplace, scorers = world.scorers()
    items = list(backfill(workplace, scorers, [other, DAY, other]))
    assert [day for day, _ in items] == [other, DAY, other]
    assert isinstance(items[1][1], RunRefused) is False  # 70 of 2305 is 3.04 %
    world.write("silver.orders", faulty(1500).orders, mode="append")
    items = list(backfill(workplace, scorers, [DAY, other]))
    assert isinstance(items[0][1], RunRefused)
    assert items[1][1].state == "published"
