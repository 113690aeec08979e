"""Reviews after promotion in a real ledger: scheduled once, healed, given evidence, closed once by a person."""

import hashlib
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import DAY, Spare, Ticking
from fielded.decisions.monitoring import release_reviews as rules
from fielded.services.monitoring import reviews as service
from fielded.services.monitoring.review_report import HTML_FILE, JSON_FILE, page_of
from fielded.services.monitoring.reviews import close_review, open_review, reviews_of
from fielded.services.monitoring.schedule_reviews import not_scheduled, schedule_reviews
from fielded.services.outcomes import load_outcomes
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.release.promote import promote
from fielded.services.release.record import about
from fielded.services.release.rollback import rollback
from fielded.services.score_day import score_day
from fielded.words.errors import Refused, Unreachable, WrongUse
from fielded.world.workplace import Workplace
from pages import Parsed, can_be_read, nothing_runs
from releases import another_version, ready

PROMOTED = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)


def later(spare: Spare, days: float, user: str = "os:tester") -> Workplace:
    """A workplace so many days after the promotion."""
    return replace(spare.open(user), clock=Ticking(PROMOTED + timedelta(days=days)))


def promoted(spare: Spare) -> str:
    """A version in production, promoted on the day of `PROMOTED`."""
    adopt(spare.open())
    version = another_version(spare)
    ready(spare, version)
    workplace = spare.open()
    assert promote(workplace, Scorers(workplace), version).not_done == ()
    return version


def adopted(spare: Spare) -> str:
    """A version taken over on the day of `PROMOTED`, which asks for the same reviews and takes less time."""
    adopt(spare.open())
    assert schedule_reviews(spare.open()) == 3
    return "2"


def events(spare: Spare, kind: str) -> list[dict]:
    workplace = spare.open()
    return workplace.ledger.events_of(kind, about(workplace))


def standing(workplace: Workplace) -> dict[int, tuple[str, str]]:
    return {one.review.day: (one.review.version.version, one.state) for one in reviews_of(workplace)}


def labelled(spare: Spare, rows: int = 1900) -> None:
    """A scored day, and what came of most of it, told four months later."""
    score_day(*spare.scorers(), DAY)
    workplace = spare.open()
    scored = workplace.tables.open(workplace.ledger.predictions).to_pyarrow_table().slice(0, rows)
    chance = np.random.default_rng(3).random(scored.num_rows)
    outcomes = pa.table(
        {
            "order_id": scored.column("subject"),
            "label": pa.array(chance < scored.column("score").to_numpy()),
            "known_at": pa.array([PROMOTED + timedelta(days=120)] * scored.num_rows, pa.timestamp("us", tz="UTC")),
        }
    )
    file = spare.folder.parent / "outcomes.parquet"
    pq.write_table(outcomes, file)
    load_outcomes(later(spare, 121), file)


class TestScheduling:
    def test_a_promotion_schedules_three_with_owner_and_due_day(self, spare: Spare) -> None:
        version = promoted(spare)
        found = [event["details"] for event in events(spare, rules.SCHEDULED)]
        assert [(one["version"], one["day"], one["opens"], one["due"]) for one in found] == [
            (version, 30, "2026-04-01", "2026-04-15"),
            (version, 90, "2026-05-31", "2026-06-14"),
            (version, 180, "2026-08-29", "2026-09-12"),
        ]
        assert {one["owner"] for one in found} == {"Alex Example"}
        assert not any("turn" in one for one in found), "they would be taken for release events"

    def test_whoever_schedules_again_changes_nothing(self, spare: Spare) -> None:
        adopted(spare)
        assert [schedule_reviews(spare.open()) for _ in range(2)] == [0, 0]
        assert len(events(spare, rules.SCHEDULED)) == 3

    def test_two_who_schedule_at_once_schedule_each_once(self, spare: Spare) -> None:
        adopt(spare.open())
        workplaces = [spare.open() for _ in range(3)]
        threads = [threading.Thread(target=schedule_reviews, args=(one,)) for one in workplaces]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(events(spare, rules.SCHEDULED)) == 3

    def test_a_promotion_that_died_before_it_is_healed_by_who_looks_next(
        self, spare: Spare, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fielded.services.release.promote.not_scheduled", lambda _workplace: "")
        promoted(spare)
        assert events(spare, rules.SCHEDULED) == []
        assert schedule_reviews(later(spare, 40)) == 3
        assert standing(later(spare, 40))[30][1] == "open", "days count from the promotion, not from the healing"

    def test_another_day_in_the_definition_is_added(self, spare: Spare) -> None:
        adopted(spare)
        path = spare.folder / "deployment.yaml"
        path.write_text(path.read_text() + "monitoring: {reviews: [7, 30, 90, 180]}\n")
        assert schedule_reviews(spare.open()) == 1
        assert list(standing(spare.open())) == [7, 30, 90, 180]

    def test_a_ledger_out_of_reach_leaves_the_promotion_and_says_what_is_left(self, spare: Spare) -> None:
        adopted(spare)
        workplace = spare.open()

        class Away:
            """A ledger that cannot be read."""

            def events_of(self, *_arguments: object) -> None:
                raise Unreachable("table events: cannot be read")

        told = not_scheduled(replace(workplace, ledger=Away()))  # type: ignore[arg-type]
        assert "were not scheduled: table events: cannot be read" in told
        assert "The next `fielded monitor run` does that" in told

    def test_a_rollback_overtakes_those_of_what_it_left_and_brings_back_those_of_what_returns(
        self, spare: Spare
    ) -> None:
        adopt(spare.open())
        schedule_reviews(spare.open())
        version = another_version(spare)
        ready(spare, version)
        workplace = spare.open()
        promote(workplace, Scorers(workplace), version)
        assert {state for _, state in standing(later(spare, 1)).values()} == {"scheduled", "overtaken"} - {
            "overtaken"
        }
        workplace = later(spare, 1)
        rollback(workplace, Scorers(workplace), "it flags everything")
        found = {(one.review.version.version, one.state) for one in reviews_of(later(spare, 40))}
        assert found == {("2", "open"), ("2", "scheduled"), (version, "overtaken")}
        assert {one.review.version.version for one in reviews_of(later(spare, 40), all_of_them=False)} == {"2"}


class TestEvidence:
    def test_it_has_metrics_by_slice_the_labels_that_lack_and_what_fired(
        self, spare: Spare, tmp_path: Path
    ) -> None:
        version = adopted(spare)
        labelled(spare)
        workplace = later(spare, 181)
        review_id = next(one.review.id for one in reviews_of(workplace) if one.review.day == 180)
        opened = open_review(workplace, review_id, tmp_path / "review")
        evidence = opened.evidence
        assert (evidence["version"]["version"], evidence["labelled"]) == (version, 1900)
        assert evidence["scored"] == len({row["subject"] for row in spare.rows(workplace.ledger.predictions)})
        overall = {one["name"]: one for one in evidence["measured"] if not one["column"]}
        assert overall["auc"]["low"] < overall["auc"]["value"] < overall["auc"]["high"]
        assert overall["auc"]["rows"] == 1900
        slices = {one["part"] for one in evidence["measured"] if one["column"] == "kind"}
        assert slices == {"engine", "hull", "radar", "valve"}
        needed = {one["slice"]: one for one in evidence["labels_needed"]}
        assert set(needed) == {"overall", *(f"kind={kind}" for kind in slices)}
        assert needed["overall"]["overdue"] == evidence["scored"] - 1900
        assert (evidence["runs"], evidence["fired"]) == (0, [])
        page = (tmp_path / "review" / HTML_FILE).read_text()
        nothing_runs(page)
        can_be_read(page)
        text = Parsed(page).text
        assert f"Version {version}, 180 days after its promotion" in text
        assert "Nobody looked: the monitor did not run" in text
        assert "review-close" in text

    def test_its_digest_is_on_record(self, spare: Spare, tmp_path: Path) -> None:
        adopted(spare)
        workplace = later(spare, 31)
        review_id = reviews_of(workplace)[0].review.id
        opened = open_review(workplace, review_id, tmp_path)
        (event,) = events(spare, rules.OPENED)
        assert event["details"] == {"id": review_id, "evidence_sha256": opened.sha256}
        assert hashlib.sha256((tmp_path / JSON_FILE).read_bytes()).hexdigest() == opened.sha256
        assert json.loads((tmp_path / JSON_FILE).read_text())["review"]["id"] == review_id

    def test_a_version_without_labels_is_told_what_it_needs(self, spare: Spare, tmp_path: Path) -> None:
        adopted(spare)
        score_day(*spare.scorers(), DAY)
        workplace = later(spare, 31)
        opened = open_review(workplace, reviews_of(workplace)[0].review.id, tmp_path)
        overall = opened.evidence["labels_needed"][0]
        assert (overall["labelled"], overall["needed"], overall["still"]) == (0, None, 2 * 93)
        assert overall["on_their_way"] == opened.evidence["scored"] > 1500
        page = (tmp_path / HTML_FILE).read_text()
        assert "at least 186" in Parsed(page).text
        nothing_runs(page)

    def test_nothing_scored_still_gives_a_page(self, spare: Spare, tmp_path: Path) -> None:
        adopted(spare)
        workplace = later(spare, 31)
        opened = open_review(workplace, reviews_of(workplace)[0].review.id, tmp_path)
        assert opened.evidence["scored"] == 0
        text = Parsed(page_of(dict(opened.evidence), "ab" * 32)).text
        assert "0 subjects, 0 with a label; mean score none" in text

    def test_one_that_has_not_opened_and_one_that_is_not_there_are_refused(
        self, spare: Spare, tmp_path: Path
    ) -> None:
        adopted(spare)
        workplace = later(spare, 5)
        with pytest.raises(Refused, match="opens on 2026-04-01"):
            open_review(workplace, reviews_of(workplace)[0].review.id, tmp_path / "review")
        with pytest.raises(WrongUse, match="expected one of: v"):
            open_review(workplace, "../../elsewhere", tmp_path / "review")
        assert not (tmp_path / "review").exists()


class TestClosing:
    def test_a_person_closes_it_on_the_evidence_and_by_name(self, spare: Spare, tmp_path: Path) -> None:
        adopted(spare)
        workplace = later(spare, 31, "os:watcher")
        review_id = reviews_of(workplace)[0].review.id
        with pytest.raises(Refused, match="got no evidence"):
            close_review(workplace, review_id, "calibration holds in every class")
        opened = open_review(workplace, review_id, tmp_path)
        closed = close_review(workplace, review_id, "  calibration holds in every class  ")
        assert (closed.state, closed.review.closed_by) == ("closed", "os:watcher")
        (event,) = events(spare, rules.CLOSED)
        assert event["details"] == {
            "id": review_id, "text": "calibration holds in every class", "evidence_sha256": opened.sha256,
        }  # fmt: skip
        with pytest.raises(Refused, match="os:watcher closed"):
            close_review(workplace, review_id, "calibration holds in every class")

    def test_of_two_at_once_one_closes_it(
        self, spare: Spare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        adopted(spare)
        workplace = later(spare, 31)
        review_id = reviews_of(workplace)[0].review.id
        open_review(workplace, review_id, tmp_path)
        together = threading.Barrier(2, timeout=60)
        check = service.rules.check_closing

        def checked(*arguments: object) -> None:
            check(*arguments)  # type: ignore[arg-type]
            together.wait()

        monkeypatch.setattr(service.rules, "check_closing", checked)
        results: list[str] = []

        def close(user: str) -> None:
            try:
                close_review(later(spare, 31, user), review_id, f"{user} has read all of it")
            except Refused as refusal:
                results.append(str(refusal))
            else:
                results.append("closed")

        threads = [threading.Thread(target=close, args=(user,)) for user in ("os:one", "os:two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert min(results) == "closed"
        assert "somebody else closed it first" in max(results)
        assert len(events(spare, rules.CLOSED)) == 1

    def test_a_role_is_asked_for_where_the_site_gives_any(self, spare: Spare, tmp_path: Path) -> None:
        adopted(spare)
        workplace = later(spare, 31)
        review_id = reviews_of(workplace)[0].review.id
        open_review(workplace, review_id, tmp_path)
        site = replace(workplace.site, roles={"os:tester": frozenset({"score"})})
        with pytest.raises(Refused, match="expected `review`"):
            close_review(replace(workplace, site=site), review_id, "calibration holds in every class")
