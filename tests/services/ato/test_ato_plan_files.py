"""The plan's files and its text, made of a plan's values: every date is there, nothing runs, nobody is named."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree as ET

import icalendar
import pytest

from fielded.decisions.ato.progress import Kickoff, Progress, Standing
from fielded.decisions.ato.schedule import reckon
from fielded.decisions.ato.work import left_out, work_of
from fielded.definition.ato import Ato
from fielded.services.ato.calendar import calendar_of, entries_of
from fielded.services.ato.gantt import gantt_text
from fielded.services.ato.plan import Plan
from fielded.services.ato.plan_page import HTML_FILE, ICS_FILE, JSON_FILE, SVG_FILE, page_of, write_plan
from fielded.words.digests import file_sha256
from fielded.words.errors import Unreachable, WrongUse
from pages import Parsed, can_be_read, nothing_runs, width_needed

START = date(2026, 3, 2)
TODAY = START + timedelta(days=40)
KICKOFF = Kickoff(
    on=START, recorded_at=datetime(2026, 3, 2, 9, tzinfo=UTC), recorded_by="os:ada", reference="", event_id="1"
)
BEGUN = {
    "boundary": Standing(started=START, by="os:ada", recorded_at=KICKOFF.recorded_at),
    "ai-documentation": Standing(started=START + timedelta(10), done=START + timedelta(30), by="os:ada"),
}


def under_way(
    items: Mapping[str, Standing] = MappingProxyType(BEGUN),
    *,
    need: date | None = date(2026, 10, 1),
    kickoff: Kickoff | None = KICKOFF,
    acts: int = 4,
) -> Plan:
    """A plan of which something is done, something is under way and the rest is open."""
    ato = Ato(boundary="new", need_date=need, impact_level="IL4")
    progress = Progress(kickoff, MappingProxyType(dict(items)), acts)
    return Plan(
        deployment="overrun",
        about="model overrun",
        definition_sha256="cd" * 32,
        asked={"boundary": "new", "level": "moderate", "baseline": "nist-moderate", "impact_level": "IL4"},
        left_out=left_out(ato),
        made_at=datetime(2026, 4, 11, 9, 30, 0, 5, tzinfo=UTC),
        made_by="os:ada",
        acts=acts,
        schedule=reckon(work_of(ato), progress, TODAY, need, draws=2000),
    )


class TestFiles:
    def test_all_four_are_written_and_the_page_names_the_record(self, tmp_path: Path) -> None:
        plan = under_way()
        sha256 = write_plan(tmp_path / "out", plan)
        assert {one.name for one in (tmp_path / "out").iterdir()} == {JSON_FILE, HTML_FILE, SVG_FILE, ICS_FILE}
        assert file_sha256(tmp_path / "out" / JSON_FILE) == sha256
        assert sha256 in (tmp_path / "out" / HTML_FILE).read_text()
        assert json.loads((tmp_path / "out" / JSON_FILE).read_text()) == json.loads(json.dumps(plan.as_dict()))
        before = {one.name: one.read_bytes() for one in (tmp_path / "out").iterdir()}
        write_plan(tmp_path / "out", plan)
        assert {one.name: one.read_bytes() for one in (tmp_path / "out").iterdir()} == before

    def test_the_page_can_be_read_runs_nothing_and_has_every_date(self) -> None:
        plan = under_way()
        page = page_of(plan, "ab" * 32)
        nothing_runs(page)
        can_be_read(page)
        text = Parsed(page).text
        for one in plan.schedule.items:
            assert one.work.title in text
            assert str(one.high.end) in text
        for sentence in (*plan.standing, *(one.text for one in plan.this_week)):
            assert sentence in text

    def test_the_page_fits_a_telephone(self, tmp_path: Path) -> None:
        assert width_needed(page_of(under_way(), "ab" * 32), 360, tmp_path) <= 360

    @pytest.mark.parametrize(
        ("need", "kicked", "box"), [("2026-10-01", True, "wait"), ("2027-12-01", True, "yes"),
        ("2027-12-01", False, "wait"), ("2026-05-01", False, "no")],
    )  # fmt: skip
    def test_the_box_is_green_only_for_what_is_sure_and_begun(self, need: str, kicked: bool, box: str) -> None:
        plan = under_way({}, need=date.fromisoformat(need), kickoff=KICKOFF if kicked else None)
        (found,) = re.findall(r'class="alert (\w+)"', page_of(plan, "ab" * 32))
        assert found == box

    def test_the_chart_is_a_file_of_its_own_with_its_words(self, tmp_path: Path) -> None:
        write_plan(tmp_path, under_way())
        root = ET.fromstring((tmp_path / SVG_FILE).read_text())  # noqa: S314 - our own
        name = "{http://www.w3.org/2000/svg}"
        assert (root.tag, root.get("role")) == (f"{name}svg", "img")
        words = root.find(f"{name}desc")
        assert words is not None
        assert words.text is not None
        assert "Controls documentation 2026-06-01 to 2026-06-29" in words.text
        ids = [one.get("id") for one in root.iter() if one.get("id")]
        assert len(ids) == len(set(ids))
        assert set(str(root.get("aria-labelledby")).split()) <= set(ids)

    def test_a_folder_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("a file")
        with pytest.raises(Unreachable, match="out cannot be written"):
            write_plan(tmp_path / "out", under_way())


class TestCalendar:
    def events(self, plan: Plan) -> Iterator[icalendar.Event]:
        return iter(icalendar.Calendar.from_ical(calendar_of(plan)).walk("VEVENT"))

    def test_what_is_read_back_is_what_the_plan_says(self) -> None:
        plan = under_way()
        found = {str(one["summary"]): one for one in self.events(plan)}
        assert "AI/ML documentation" not in found, "what is done is in nobody's calendar"
        for one in plan.schedule.items:
            if one.state != "done":
                event = found[one.work.title]
                assert (event["dtstart"].dt, event["dtend"].dt) == (one.low.start, one.high.end)
        assert found["Authorization needed"]["dtstart"].dt == date(2026, 10, 1)
        spread = plan.schedule.apart.percentiles
        assert found["Authorization expected"]["dtstart"].dt == spread[10]
        assert found["Authorization expected"]["dtend"].dt == spread[95] + timedelta(days=1)
        begin = found["Start by today: Controls documentation"]
        (alarm,) = begin.walk("VALARM")
        assert alarm["trigger"].dt == timedelta(days=-7)

    def test_a_newer_plan_moves_the_same_events(self) -> None:
        first = {str(one["uid"]): one for one in self.events(under_way())}
        agreed = {**BEGUN, "boundary": Standing(started=START, done=TODAY)}
        second = {str(one["uid"]): one for one in self.events(under_way(agreed, acts=5))}
        assert set(second) < set(first)
        assert {one["sequence"] for one in second.values()} == {5}
        assert {one["sequence"] for one in first.values()} == {4}

    def test_it_names_nobody_and_every_line_is_short(self) -> None:
        text = calendar_of(under_way())
        assert "@" not in text
        assert "os:" not in text
        assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
        assert all(entry.first <= entry.last for entry in entries_of(under_way()))

    def test_where_the_extra_is_missing_it_is_named_and_nothing_is_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = under_way()
        monkeypatch.setitem(sys.modules, "icalendar", None)
        with pytest.raises(WrongUse, match=r"fielded\[ato\]"):
            write_plan(tmp_path / "out", plan)
        assert not (tmp_path / "out").exists()


class TestText:
    def test_each_item_has_a_line_with_its_bars_in_their_places(self) -> None:
        plan = under_way()
        lines = list(gantt_text(plan.schedule, 120))
        assert len(lines) == len(plan.schedule.items) + 2
        assert all(line.isascii() for line in lines)
        rows = {line.split("  ")[0]: line for line in lines[1:-1]}
        assert "#" in rows["AI/ML documentation (done)"]
        assert not set("=-.") & set(rows["AI/ML documentation (done)"].rpartition(")")[2])
        assert set("=.") <= set(rows["Boundary definition (started)"])
        for line in rows.values():
            assert line.rstrip()[-1] in "=.-!", line
        assert lines[0].split()[0] == "2026-03"
