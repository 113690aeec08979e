"""How the review goes, counted on a real ledger."""

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import DAY, World
from fielded.decisions.measuring.intervals import proportion
from fielded.services.outcomes import load_outcomes
from fielded.services.review.act import appeal, claim, decide, judge, judge_second
from fielded.services.review.stats import ReviewStats, review_stats, stats
from fielded.services.score_day import score_day
from fielded.words.errors import WrongUse
from reviews import ADA, BEN, START, at, defined, waiting

TEXT = "the yard has the part"


def told(world: World, hours: float, days: int = 90) -> ReviewStats:
    return stats(at(world, ADA, hours), days)


def test_the_review_is_counted(world: World, tmp_path: Path) -> None:
    world.define(defined(first_judgement="[[0.0, 1.0]]", second_share=1.0, due_hours=10.0, expire_hours=100.0))
    score_day(*world.scorers(), DAY)
    cases = waiting(world)
    rows = {row["request_id"]: row for row in world.rows("gold.overrun_scores")}
    chosen = [rows[case.request_id] for case in cases[:6]]
    labels: list[bool] = []
    for number, row in enumerate(chosen):
        one, flag, hours = row["request_id"], row["overrun_flag"], 1.0 if number < 4 else 20.0
        claim(at(world, ADA, hours), one)
        own = not flag  # she is always of another mind than the model, and right with the first three
        judge(at(world, ADA, hours), one, flag=own)
        labels.append(own if number < 3 else flag)
        gives_in = number in (0, 3)
        decide(at(world, ADA, hours), one, "keep" if gives_in else "override", "knows_more", TEXT)
    for number in (0, 1, 2):
        row = chosen[number]
        claim(at(world, BEN, 30), row["request_id"])
        judge_second(at(world, BEN, 30), row["request_id"], flag=row["overrun_flag"])
    known = START + timedelta(hours=50)
    file = tmp_path / "labels.parquet"
    subjects = [row["order_id"] for row in chosen]
    pq.write_table(
        pa.table(
            {
                "subject": [*subjects, "another"],
                "label": [*labels, True],
                "known_at": pa.array([known] * 7, pa.timestamp("us", "UTC")),
            }
        ),
        file,
    )
    load_outcomes(at(world, ADA, 60), file)
    found = told(world, 60)
    assert (found.routed, found.cases) == (len(cases), len(cases))
    assert (found.decided, found.late, found.expired) == (6, 2, 0)
    # Six decided: three wait for a second person, two are contested; who agreed settled the other.
    assert found.queue.waiting == len(cases) - 1
    assert found.queue.by_stage == {"open": len(cases) - 6, "second": 3, "escalated": 2}
    assert found.queue.overdue == len(cases) - 1
    assert found.queue.oldest_seconds == pytest.approx(60 * 3600, abs=5)
    assert found.overrides["overall"] == proportion(4, 6, 0.95)
    assert sum(one.rows for name, one in found.overrides.items() if name.startswith("kind=")) == 6
    assert found.agreement.observed == proportion(1, 3, 0.95)
    assert (found.bias.known, found.bias.given_up) == (6, proportion(1, 3, 0.95))
    assert found.bias.put_right == proportion(1, 3, 0.95)
    assert found.errors.drawn == len(cases)
    assert found.errors.decided == 4, "what is contested stands for nothing"
    assert found.errors.wrong.value == pytest.approx(2 / 4)
    assert review_stats(at(world, ADA, 60), 90).queue == found.queue
    later = told(world, 140)
    assert later.queue.waiting == 0
    assert later.expired == len(cases) - 6
    assert (later.contested_expired, later.seconds_missed) == (2, 3)
    appeal(at(world, BEN, 141), chosen[4]["request_id"], "it was repaired")
    assert told(world, 142).queue.by_stage == {"appealed": 1}
    assert told(world, 30 * 24, days=3).decided == 0
    with pytest.raises(WrongUse, match="days"):
        told(world, 60, days=0)


def test_a_site_that_has_scored_nothing_has_nothing_to_review(world: World) -> None:
    world.define(defined())
    found = told(world, 1)
    assert (found.queue.waiting, found.queue.oldest_seconds, found.routed, found.decided) == (0, None, 0, 0)
    assert found.errors.wrong.value is None
    assert found.overrides["overall"].value is None
