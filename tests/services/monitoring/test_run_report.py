"""A run's report on a real ledger: what the run saw is what the report says, and the ledger names its digest."""

import hashlib
import json
from datetime import timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from conftest import SHIPS, Store, World
from fielded.decisions.monitoring.report import ASSUMES
from fielded.services.monitoring.monitor import MonitorRun, run
from fielded.services.monitoring.report import HTML_FILE, JSON_FILE
from fielded.services.monitoring.reviews import open_review, reviews_of
from fielded.services.monitoring.run_report import reporter
from fielded.services.monitoring.schedule_reviews import schedule_reviews
from fielded.services.release.adopt import adopt
from fielded.services.review.queue import look as look_at_queue
from pages import Parsed, can_be_read, nothing_runs
from watching import FIRST, TRIGGERS, Watched, log_profiled, make_watched

DAY = timedelta(days=1)


def reported(watch: Watched, days: int, folder: Path, *, metrics: bool = False) -> MonitorRun:
    """A run so many days after the first, with its report in a folder."""
    workplace = watch.at(FIRST + days * DAY)
    return run(workplace, report=reporter(workplace, folder, folder / "fielded.prom" if metrics else None))


def test_two_runs_say_what_they_saw_and_what_changed_and_a_review_says_what_fired(
    world: World, store: Store, tmp_path: Path
) -> None:
    watch = make_watched(world, log_profiled(store, "reported"), TRIGGERS)
    world.write("reference.ships", SHIPS)
    adopt(watch.at(FIRST))
    schedule_reviews(watch.at(FIRST))
    after = watch.days(2)
    quiet = reported(watch, 2, tmp_path / "quiet", metrics=True)
    waiting = len(look_at_queue(watch.at(FIRST + 2 * DAY)))
    watch.days(3, after, hours=4.0)
    assert reported(watch, 4, tmp_path / "pending").looked.states["score-drift", "psi(score)"].state == "pending"
    loud = reported(watch, 5, tmp_path / "loud")

    first = json.loads((tmp_path / "quiet" / JSON_FILE).read_text())
    assert (first["previous"], first["changed"], first["profile_rows"]) == (None, [], 3000)
    assert [one["day"] for one in first["days"]] == [str(FIRST), str(FIRST + DAY)]
    assert sum(one["rows"] for one in first["days"]) + sum(one["quarantined"] for one in first["days"]) == 300
    assert first["queue"]["items"] == waiting > 0
    assert first["estimated"]["assumes"] == ASSUMES
    assert 0.5 < first["estimated"]["metrics"]["auc"] < 1
    assert first["labels"] is None
    assert [one["state"] for one in first["release_reviews"]] == ["scheduled"] * 3

    second = json.loads((tmp_path / "loud" / JSON_FILE).read_text())
    assert second["state"] == "firing"
    assert [(one["id"], one["from"], one["to"]) for one in second["changed"]] == [
        ("score-drift", "pending", "firing")
    ]
    rows = sorted(world.rows("ledger.overrun.events"), key=lambda row: row["sequence"])
    ran = [json.loads(row["details"]) for row in rows if row["kind"] == "monitor_ran"]
    assert [one["report_sha256"] for one in ran][::2] == [quiet.report_sha256, loud.report_sha256]
    assert hashlib.sha256((tmp_path / "loud" / JSON_FILE).read_bytes()).hexdigest() == loud.report_sha256
    assert second["previous"]["report_sha256"] == ran[1]["report_sha256"]
    drifted = {one["of"]: one for one in second["measured"] if one["name"] == "psi" and not one["column"]}
    assert drifted["hours"]["value"] > 0.25 > drifted["month"]["value"]

    for name in ("quiet", "loud"):
        page = (tmp_path / name / HTML_FILE).read_text()
        nothing_runs(page)
        can_be_read(page)
    assert "score-drift, psi(score): pending before, firing now" in Parsed(page).text

    text = (tmp_path / "quiet" / "fielded.prom").read_text()
    given = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    assert given >= {"fielded_trigger_state", "fielded_drift_psi_ratio", "fielded_review_queue_items"}

    later = watch.at(FIRST + 31 * DAY)
    opened = open_review(later, reviews_of(later)[0].review.id, tmp_path / "review")
    assert [(one["trigger"], one["instance"]) for one in opened.evidence["fired"]] == [
        ("score-drift", "psi(score)")
    ]
    assert (opened.evidence["runs"], opened.evidence["last_report_sha256"]) == (3, loud.report_sha256)
