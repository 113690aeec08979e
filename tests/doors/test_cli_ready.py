"""`fielded ready` as people call it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from command_line import Ended, at_site, ended
from conftest import DEFINITION, Spare
from fielded.services.monitoring.schedule_reviews import schedule_reviews
from fielded.services.release.adopt import adopt

Call = Callable[..., Ended]


@pytest.fixture
def call(spare: Spare, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    at_site(spare, monkeypatch)
    monkeypatch.setenv("FIELDED_DEPLOYMENT", str(spare.folder))

    def run(*arguments: str, by: str = "os:ada") -> Ended:
        return ended(monkeypatch, capsys, *arguments, by=by)

    return run


def test_an_item_is_collected_waived_and_told_of(call: Call, spare: Spare, tmp_path: Path) -> None:
    code, out, _ = call("ready", "--from-record")
    assert code == 1
    assert "not ready: 0 passed, 12 failed, 0 waived, of 12" in out
    spare.define(DEFINITION + "monitoring: {reviews: [30]}\n")
    workplace = spare.open()
    adopt(workplace)
    schedule_reviews(workplace)
    code, out, err = call("ready", "--item", "12", "--out", str(tmp_path / "page"))
    assert code == 1, err
    # Adopted at the tests' hour: by the real clock its review is long overdue.
    assert "failed  12  Reviews after promotion are scheduled with owners, none overdue" in out
    assert "FAILED: the definition asks for all of them: got monitoring.reviews: 30" in out
    assert "next: Add 90, 180 to monitoring.reviews" in out
    assert "release-reviews: Reviews after promotion" in err, "what is being done"
    assert (tmp_path / "page" / "ready.html").exists()
    until = (datetime.now(UTC).date() + timedelta(days=10)).isoformat()
    code, out, err = call(
        "ready", "waive", "12", "-m", "it is done by hand this once", "--until", until, by="os:boss"
    )
    assert (code, f"Item 12 is set aside by os:boss until {until}" in out) == (0, True), err
    code, out, _ = call("ready", "--item", "12", "--from-record", "--json")
    found = json.loads(out)
    assert (code, found["counts"]) == (0, {"passed": 0, "failed": 0, "waived": 1})
    assert found["items"][0]["waiver"]["by"] == "os:boss"
    code, out, _ = call("ready", "history")
    assert code == 0
    assert "does not hold: 1 failed" in out
    assert "item 12 waived until" in out
    code, out, _ = call("ready", "history", "--json")
    assert [one["kind"] for one in json.loads(out)] == ["readiness_checked", "readiness_waived"]


def test_the_owner_acknowledges(call: Call) -> None:
    code, out, err = call("ready", "acknowledge", "--json")
    assert (code, json.loads(out)["name"], json.loads(out)["by"]) == (0, "Alex Example", "os:ada"), err
    code, out, _ = call("ready", "acknowledge", by="os:ben")
    assert (code, "has acknowledged, by os:ben, until" in out) == (0, True)
    assert "Nobody says that os:ben is Alex Example" in out


def test_wrong_use_says_what_is_right(call: Call) -> None:
    for arguments, words in (
        (("ready", "--item", "13"), "expected a number from 1 to 12"),
        (("ready", "--json", "history"), "expected them after it"),
        (("ready", "waive", "7", "-m", "a good reason", "--until", "soon"), "expected a date"),
    ):
        code, out, err = call(*arguments)
        assert code == 2, out
        assert words in err + out
    code, out, _ = call("ready", "history")
    assert (code, "Nobody has looked yet" in out) == (0, True)
