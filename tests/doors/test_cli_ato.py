"""`fielded ato kickoff`, `plan`, `progress` and `estimate` as they are called."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Ended, at_site, ended
from conftest import DEFINITION, World
from fielded.decisions.ato import progress as rules
from fielded.decisions.ato.work import IDS

ROOT = Path(__file__).resolve().parent.parent.parent
Call = Callable[..., Ended]


@pytest.fixture
def called(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls a command of `fielded ato` at a world's site."""
    at_site(world, monkeypatch)
    world.define(f"{DEFINITION}ato: {{need_date: 2035-10-01, boundary: new}}\n")

    def call(command: str, *arguments: str, by: str = "os:ada") -> Ended:
        place = ("-d", str(world.folder))
        return ended(monkeypatch, capsys, "ato", command, *arguments, *place, by=by)

    return call


def test_from_the_kickoff_to_the_plan(called: Call, tmp_path: Path) -> None:
    code, said, _ = called("kickoff", "-m", "The program asks for it")
    assert (code, "recorded that day by os:ada" in said) == (0, True)
    code, _, told = called("kickoff", "-m", "The program asks for it", by="os:eve")
    assert (code, "which counts (kickoff on" in told) == (1, True)
    code, said, _ = called("progress", "boundary", "--started", "-m", "boundary begun")
    assert (code, said.startswith("Boundary definition: started")) == (0, True)
    code, said, _ = called("estimate", "assessment", "6..10", "-m", "the assessor's offer", "--json")
    assert (code, json.loads(said)["item"]["low_days"], json.loads(said)["item"]["source"]) == (0, 42, "os:ada")
    code, said, _ = called("plan", "--out", str(tmp_path / "out"), "--draws", "500")
    assert code == 0
    assert "Boundary definition (started)" in said
    assert "Start this week:\n  AI/ML documentation" in said
    assert re.search(r"decision +Authorize +Onboard +14 to 42 assumed", said)
    names = {one.name for one in (tmp_path / "out").iterdir()}
    assert names == {"plan.json", "plan.html", "plan.svg", "plan.ics"}


def test_json_is_the_record(called: Call, tmp_path: Path) -> None:
    called("kickoff", "-m", "The program asks for it")
    code, said, _ = called("plan", "--json", "--out", str(tmp_path), "--draws", "500", "--seed", "7")
    plan = json.loads(said)
    assert (code, plan["simulated"]["draws"], plan["simulated"]["seed"]) == (0, 500, 7)
    assert [one["id"] for one in plan["items"]] == list(IDS)
    record = json.loads((tmp_path / "plan.json").read_text())
    assert {**record, "folder": str(tmp_path), "sha256": plan["sha256"]} == plan


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (
            ("progress", "lunch", "--done", "-m", "lunch is over now"),
            2,
            "item: got lunch, expected one of the plan",
        ),
        (("progress", "boundary", "-m", "neither of the two"), 2, "--done"),
        (("progress", "boundary", "--done", "-m", "boundary is agreed"), 1, "work without a kickoff"),
        (("estimate", "boundary", "ten", "-m", "the architect's offer"), 2, "expected LOW..HIGH, such as 4..8"),
        (("estimate", "boundary", "9..4", "-m", "the architect's offer"), 1, "got 63 to 28 days"),
        (("kickoff", "-m", "The program asks for it", "--on", "soon"), 2, "--on: got 'soon'"),
        (("kickoff", "-m", "The program asks for it", "--on", "2020-01-01"), 1, "--reference: got 0 characters"),
        (("plan", "--draws", "0"), 2, "draws: got 0"),
    ],
)
def test_what_is_wrong_is_told_with_the_next_step(
    called: Call, arguments: tuple[str, ...], code: int, told: str
) -> None:
    found, _, errors = called(*arguments)
    assert (found, told in errors) == (code, True), errors


def test_the_page_lists_every_item_event_and_option() -> None:
    page = (ROOT / "docs" / "ato_plan.md").read_text()
    for name in (*IDS, *rules.KINDS, "--reference", "--started", "--done", "--on", "--draws", "--seed", "--out"):
        assert f"`{name}`" in page or f"{name} " in page or f"[{name}" in page, name
    for name in ("kickoff", "plan", "progress", "estimate"):
        assert f"`fielded ato {name}" in page, name
