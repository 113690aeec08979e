"""The report of a run as a page: parsed, laid out, and read by its words. Nothing in it runs or breaks out."""

import hashlib
import json
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

import watched
from fielded.decisions.monitoring.report import ASSUMES, Json
from fielded.definition.monitoring import Monitoring
from fielded.services.monitoring import drift_shown
from fielded.services.monitoring.report import HTML_FILE, JSON_FILE, page_of, write_monitor_report
from fielded.services.pages.plots import Interval
from fielded.services.pages.watch_plots import over_days
from fielded.words.errors import Unreachable
from pages import Parsed, can_be_read, nothing_runs, width_needed

SHA256 = "12" * 32


@pytest.fixture(scope="module")
def report() -> Json:
    return watched.report()


@pytest.fixture(scope="module")
def page(report: Json) -> str:
    return page_of(report, SHA256)


@pytest.fixture(scope="module")
def evil() -> str:
    """Of slices whose names attack the page."""
    return page_of(watched.report(watched.sources(days=40, rows=60, classes=watched.EVIL)), SHA256)


class TestThePage:
    def test_nothing_in_it_runs(self, page: str, evil: str) -> None:
        nothing_runs(page)
        nothing_runs(evil)

    def test_it_can_be_read(self, page: str, evil: str) -> None:
        can_be_read(page)
        can_be_read(evil)

    def test_names_of_classes_stay_text(self, evil: str) -> None:
        assert "<script>alert" not in evil
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in evil
        assert "{{ 7 * 7 }}" in evil
        assert "frac{1}{2}$" in evil

    @pytest.mark.parametrize("width", [360, 1280])
    def test_nothing_in_it_is_wider_than_a_telephone_or_a_screen(
        self, page: str, evil: str, width: int, tmp_path: Path
    ) -> None:
        assert width_needed(page, width, tmp_path) <= width
        assert width_needed(evil, width, tmp_path) <= width

    def test_it_draws_drift_days_and_performance(self, page: str) -> None:
        figures = [str(one["aria-label"]) for one in Parsed(page).all("figure")]
        assert len(figures) == 2 + 4 + 4  # drift, days, labels
        assert figures[0].startswith("Population stability index of 6 columns, farthest first.")
        assert sum("days" in one for one in figures) == 4
        assert any("false negative rate".capitalize() in one for one in figures)
        assert page.count("limit of a trigger") == 1  # on PSI

    def test_it_is_small_enough_to_be_mailed(self, page: str) -> None:
        assert len(page) < 400_000


class TestItSaysWhatWasSeen:
    def test_the_banner_says_the_worst_state_and_counts_all(self, page: str) -> None:
        text = Parsed(page).text
        assert "A trigger fires" in text
        assert "1 firing, 1 insufficient data, 7 ok." in text

    def test_triggers_stand_worst_first_with_what_was_seen_and_when_they_fire(
        self, report: Json, page: str
    ) -> None:
        text = Parsed(page).text
        order = [text.index(f"{one}: ") for one in ("age-drift", "score-drift", "silence")]
        assert order == sorted(order)
        for trigger in report["triggers"]:
            for one in trigger["instances"]:
                assert one["why"] in text

    def test_what_changed_since_the_last_run_is_said_with_that_runs_digest(self, page: str) -> None:
        text = Parsed(page).text
        assert "age-drift, psi(ship_age_years): ok before, firing now" in text
        assert "12121212" in text
        assert "Moved by more than chance against training: hull_class" in text
        assert "hull_class has values that training had not" in text

    def test_the_planted_drift_is_the_one_that_is_found(self, report: Json) -> None:
        drift = drift_shown.drift_shown(report)
        beyond = [row["of"] for row in drift["columns"] if row["beyond"]]
        assert beyond[:2] == ["hull_class", "ship_age_years"]
        assert not {"labor_hours_estimated", "prior_work_order_count", "maintenance_category"} & set(beyond)
        assert [row["psi"] for row in drift["columns"]] == sorted(
            (row["psi"] for row in drift["columns"]), reverse=True
        )
        assert drift["heat"][0]["worst"] >= drift["heat"][-1]["worst"]
        worst = drift["heat"][0]["cells"][drift["heat_columns"].index("ship_age_years")]
        assert worst["style"] in ("some", "much")

    def test_what_is_estimated_without_labels_says_what_it_assumes_wherever_it_stands(self, page: str) -> None:
        text = Parsed(page).text
        assert f"This {ASSUMES}:" in text
        assert f"Estimated without labels (CBPE), {ASSUMES}" in text
        assert "no trigger and no gate reads it" in text

    def test_what_waits_for_people_is_there(self, page: str) -> None:
        text = Parsed(page).text
        assert "waiting 14" in text
        assert "oldest, hours 52.8" in text
        assert "retraining-1, opened 2026-03-01 06:30:00 UTC, due 2026-03-31, with Blair Example" in text
        assert "v3-12-30d 3 overdue 2026-02-14 2026-02-28 Blair Example" in text

    def test_every_number_of_a_day_is_in_the_table(self, report: Json, page: str) -> None:
        text = Parsed(page).text
        last = report["days"][-1]
        assert f"{last['day']} {last['rows']} {last['mean_score']['value']:.3f}" in text
        assert all(day["day"] in text for day in report["days"])


class TestWhereThereIsLittle:
    def test_nothing_scored_and_nothing_known_is_said_in_words(self) -> None:
        read = watched.sources(days=0, labels=False)
        empty = watched.report(
            read, estimated=None, queue=None, retraining=[], release_reviews=[], previous=None,
            monitoring=Monitoring(),
        )  # fmt: skip
        page = page_of(empty, SHA256)
        nothing_runs(page)
        can_be_read(page)
        text = Parsed(page).text
        for told in (
            "Nothing is watched",
            "This is the first run that is on record.",
            "The definition has no trigger: nothing here calls anybody.",
            "No day has rows.",
            "No outcome of this version's scores is on record.",
            "None is open.",
            "None is scheduled or open.",
        ):
            assert told in text.replace("\u2019", "'")

    def test_a_model_without_a_profile_is_said_to_have_none(self) -> None:
        read = replace(watched.sources(days=5), profile=None, daily={})
        text = Parsed(page_of(watched.report(read), SHA256)).text
        assert "none: the model's files have no profile of their training data" in text
        assert "No column moved" not in text


def test_a_day_on_which_nothing_came_is_a_gap_and_no_line_across_it() -> None:
    def moves(days: list[date]) -> int:
        drawn = over_days("d", days, [Interval(0.5, 0.4, 0.6)] * len(days), axis="mean score")
        (line,) = re.findall(
            r'<path d="([^"]+)"[^>]*stroke: ?#005ea2|<path d="([^"]+)"[^>]*stroke="#005ea2"', drawn
        )[:1]
        return "".join(line).count("M")

    whole = [watched.LAST - timedelta(days=20 - number) for number in range(20)]
    assert moves(whole) == 1
    assert moves(whole[:8] + whole[11:]) == 2


class TestTheFiles:
    def test_the_digest_is_of_the_record_and_equal_runs_give_equal_bytes(
        self, report: Json, tmp_path: Path
    ) -> None:
        sha256 = write_monitor_report(tmp_path / "a", report)
        assert hashlib.sha256((tmp_path / "a" / JSON_FILE).read_bytes()).hexdigest() == sha256
        assert json.loads((tmp_path / "a" / JSON_FILE).read_text()) == report
        again = json.loads(json.dumps(report))
        assert write_monitor_report(tmp_path / "b", again) == sha256
        assert (tmp_path / "a" / HTML_FILE).read_bytes() == (tmp_path / "b" / HTML_FILE).read_bytes()
        assert sha256 in (tmp_path / "a" / HTML_FILE).read_text()
        assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [HTML_FILE, JSON_FILE]

    def test_a_folder_that_cannot_be_written_is_told(self, report: Json, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(Unreachable, match="cannot be written"):
            write_monitor_report(tmp_path / "file", report)
