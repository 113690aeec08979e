"""The page of readiness: what it says, that nothing in it runs, and that no text gets out of its place."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.decisions.readiness.items import ITEMS, Waiver, judge
from fielded.services.readiness.history import Entry
from fielded.services.readiness.ready import Readiness
from fielded.services.readiness.report import HTML_FILE, JSON_FILE, page_of, report_of, write_ready
from pages import Parsed, can_be_read, nothing_runs, width_needed
from watched import EVIL

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MODEL = "ab" * 32


def evidence(key: str, *checks: Check) -> Evidence:
    return Evidence(
        id=key, title="looked at", checks=checks, command="fielded ready", tool="fielded 0.1", by="os:ada",
        at=NOW, scope={"deployment": "overrun"}, valid_until=NOW + timedelta(days=7),
    )  # fmt: skip


def readiness(text: str = "none") -> Readiness:
    """One passed, one failed, one waived, and nine that nobody collected."""
    held = Check.of("looked", True, got=text, expected=text)
    failed = Check.of("curve is there", False, got=text, expected="a curve", step=text, negative=True)
    found = {
        "kickoff": evidence("kickoff", held),
        "threshold": evidence("threshold", held, failed),
        "rollback": evidence("rollback", failed),
    }
    waiver = Waiver(
        item=11,
        by=text,
        at=NOW,
        until=NOW.date(),
        reason=text,
        in_the_way={"curve is there": "failed"},
        model=MODEL,
    )
    return Readiness(
        deployment=text,
        model=text,
        at=NOW,
        by=text,
        tool="fielded 0.1",
        scope={"definition_sha256": "cd" * 32, "model_version": "2", "artifact_sha256": MODEL},
        results=judge(ITEMS, found, (waiver,), MODEL, NOW),
        collected=True,
    )


def entries(text: str = "none") -> list[Entry]:
    looked = Entry(
        at=NOW, by=text, kind="readiness_checked", event_id="e", states={7: "failed"}, holds=False,
        changed={7: ("passed", "failed")},
    )  # fmt: skip
    return [looked, replace(looked, kind="readiness_waived", holds=None, changed={}, told=text)]


def page(found: Readiness, history: list[Entry]) -> str:
    return page_of(json.loads(json.dumps(report_of(found, history))), "ef" * 32)


def test_it_says_where_each_item_stands_and_what_is_next() -> None:
    text = Parsed(page(readiness(), entries())).text
    assert "Not ready" in text
    assert "1 passed, 10 failed, 1 waived, of 12" in text
    for item in ITEMS:
        assert f"{item.number}. {item.title}" in text
    assert "Curve is there" not in text
    assert "curve is there (must be refused)" in text
    assert "Run fielded ready --item 6" in text.replace("`", "")
    assert "item 7 from passed to failed" in text
    assert "What could not be checked is not passed" in text


def test_what_holds_is_said_to_be_ready() -> None:
    found = readiness()
    passed = replace(found, results=found.results[:1])
    assert Parsed(page(passed, [])).text.count("Ready") >= 1
    assert "Nobody has looked before" in page(passed, [])


@pytest.mark.parametrize("text", EVIL)
def test_no_text_gets_out_of_its_place(text: str) -> None:
    made = page(readiness(text), entries(text))
    nothing_runs(made)
    assert "<script" not in made


def test_it_can_be_read() -> None:
    can_be_read(page(readiness(), entries()))


def test_it_fits_a_phone(tmp_path: Path) -> None:
    long = replace(readiness("x" * 200), deployment="overrun")
    for history in ([], entries("x" * 200)):
        assert width_needed(page(long, history), 360, tmp_path) <= 360


def test_both_files_are_written_and_the_page_names_the_records_digest(tmp_path: Path) -> None:
    sha256 = write_ready(tmp_path / "out", readiness(), entries())
    record = json.loads((tmp_path / "out" / JSON_FILE).read_text())
    assert sha256 in (tmp_path / "out" / HTML_FILE).read_text()
    assert record["counts"] == {"passed": 1, "failed": 10, "waived": 1}
    assert [one["number"] for one in record["items"]] == list(range(1, 13))
    assert record["items"][6]["evidence"]["checks"][1]["outcome"] == "failed"
    assert write_ready(tmp_path / "again", readiness(), entries()) == sha256, "same values, same bytes"
