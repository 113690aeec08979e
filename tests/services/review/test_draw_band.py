"""A study of bands on a real ledger and a real model, and what its report shows."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from conftest import DAY, DEFINITION, KINDS, World, make_orders
from fielded.services.prepare_scorer import Scorers
from fielded.services.review.band import draw_band
from fielded.services.review.band_report import page_of
from fielded.services.score_day import score_day
from fielded.words.errors import Refused, WrongUse
from fielded.world.recent_scores import recent_scores
from pages import can_be_read, nothing_runs, width_needed

HOLDOUT = DEFINITION + "release:\n  holdout: {table: silver.holdout, label: overran}\n"


def held_out(rows: int, seed: int = 11) -> pa.Table:
    """Orders with what became of them, by the odds that the tests' models were trained on."""
    rng = np.random.default_rng(seed)
    hours, age = rng.lognormal(3, 1, rows), rng.integers(1, 50, rows).astype(float)
    kind = rng.choice(KINDS, rows)
    odds = 0.03 * (hours - 30) + 0.04 * (age - 25) + (kind == "engine")
    return pa.table(
        {
            "order_id": [f"H-{number:06d}" for number in range(rows)],
            "hours": hours,
            "age": age,
            "earlier": rng.integers(0, 20, rows),
            "month": rng.integers(1, 13, rows),
            "kind": kind,
            "overran": rng.random(rows) < 1 / (1 + np.exp(-odds)),
        }
    )


def drawn(world: World, cost: float | None = 0.18, days: int = 3) -> dict:
    world.define(HOLDOUT)
    world.write("silver.holdout", held_out(4000))
    for back in range(days):
        score_day(*world.scorers(), DAY + timedelta(days=back))
    workplace = world.open()
    return draw_band(workplace, Scorers(workplace), cost, world.folder.parent / "band").report


def test_the_report_holds_together(world: World) -> None:
    report = drawn(world)
    assert [round(end, 2) for end in report["band"]] == [0.51, 0.72]
    assert report["implied"] == pytest.approx([0.1925, 0.1625])
    assert (report["labelled"], report["rows"]) == (4000, {"holdout": 4000, "outcomes": 0})
    assert report["version"]["version"] == "2"
    points = report["points"]
    chosen, nothing = points["chosen"], points["nothing"]
    assert 0.05 < chosen["reviewed"]["value"] < 0.4
    assert chosen["errors"]["value"] < nothing["errors"]["value"]
    assert chosen["cost"]["low"] < chosen["cost"]["value"] < chosen["cost"]["high"]
    assert nothing["cost"]["value"] - chosen["cost"]["value"] == pytest.approx(chosen["saved"]["value"])
    # Three days on which the same orders were scored: one case each, and all of them of the first day.
    gold = {row["order_id"]: row["overrun_probability"] for row in world.rows("gold.overrun_scores")}
    low, high = report["band"]
    inside = sum(low <= score <= high for score in gold.values())
    assert chosen["queue"] == {"a_week": inside, "fewest": inside, "most": inside}
    assert nothing["queue"]["a_week"] == 0
    assert points["chow"][-1]["queue"]["a_week"] == len(gold)
    recent = report["recent"]
    assert (recent["days"], recent["backlog"], recent["scores"]) == (3, True, 3 * len(gold))


def test_files_are_the_report_and_make_no_request(world: World) -> None:
    report = drawn(world, cost=None, days=1)
    assert report["costs"]["review"] == pytest.approx((0.1925 + 0.1625) / 2)
    folder = world.folder.parent / "band"
    assert json.loads((folder / "band.json").read_text())["points"] == report["points"]
    page = (folder / "band.html").read_text()
    nothing_runs(page)
    can_be_read(page)
    assert page.count("<svg") == 4
    assert page.count('<tr><th scope="row">0.') == 41 + 41
    for text in ("0.507 to 0.727", "0.550 to 0.750", "as the definition&#39;s band implies", "a backlog"):
        assert text in page, text


def test_the_page_fits_a_telephone(world: World) -> None:
    drawn(world, days=0)
    page = (world.folder.parent / "band" / "band.html").read_text()
    for width in (360, 1200):
        assert width_needed(page, width, world.folder.parent) <= width


def test_a_name_that_is_markup_stays_text_and_a_price_that_is_too_high_makes_no_band(world: World) -> None:
    report = drawn(world, cost=0.3, days=0)
    assert (report["band"], report["recent"], report["points"]["chosen"]["band"]) == (None, None, None)
    assert report["points"]["chosen"]["queue"] is None
    report["deployment"], report["notes"] = "<b>x</b>", ["<img src=x>"]
    page = page_of(report, "0" * 64)
    assert "<img" not in page
    assert "<b>x" not in page
    assert "No review pays" in page
    assert "has no scores yet" in page


def test_without_labels_or_a_price_it_is_refused(world: World) -> None:
    workplace, folder = world.open(), world.folder.parent / "band"
    with pytest.raises(Refused, match="fielded outcomes load"):
        draw_band(workplace, Scorers(workplace), 0.1, folder)
    with pytest.raises(WrongUse, match=r"cost: got -0\.1"):
        draw_band(workplace, Scorers(workplace), -0.1, folder)
    assert not Path(folder).exists()


def test_recent_scores_are_of_runs_that_count_and_a_sample_has_whole_subjects(world: World) -> None:
    for back in range(4):
        score_day(*world.scorers(), DAY + timedelta(days=back))
    world.write("silver.orders", make_orders(1500, seed=5))
    score_day(*world.scorers(), DAY)  # once more: this run counts
    table = world.open().tables.open("ledger.overrun.predictions")
    whole = recent_scores(table, 28, 30)
    gold = world.rows("gold.overrun_scores")
    assert sorted(whole.scores) == sorted(row["overrun_probability"] for row in gold)
    assert (whole.share, whole.first, whole.begins) == (1.0, DAY, DAY)
    late = recent_scores(table, 2, 1)
    assert set(np.unique(late.days).astype(str)) == {str(DAY + timedelta(days=n)) for n in (1, 2, 3)}
    assert (late.first, late.last, late.begins) == (DAY + timedelta(days=2), DAY + timedelta(days=3), DAY)
    part = recent_scores(table, 28, 30, most=3000)
    assert 0.2 < part.share < 0.5
    _, counts = np.unique(part.subjects, return_counts=True)
    assert set(counts) <= {3, 4}, "each with all its rows"
    assert len(counts) / len(np.unique(whole.subjects)) == pytest.approx(part.share, abs=0.05)
    assert recent_scores(None, 28, 30) is None
