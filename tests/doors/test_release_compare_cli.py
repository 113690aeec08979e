"""`fielded release compare` and `sign`, and `fielded outcomes load`: what they print and how they exit."""

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from command_line import at_site
from conftest import DEFINITION, World
from fielded.doors.cli import main
from fielded.services.release.adopt import adopt
from fielded.services.release.candidates import propose

RELEASE = """\
release:
  gates:
    evidence: {documents: [model_card], provenance: false}
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Calls `fielded` in this process; a world whose version 2 is in production."""
    world.define(DEFINITION + RELEASE)
    adopt(world.open())
    at_site(world, monkeypatch)
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> tuple[int, str, str]:
        out, err = StringIO(), StringIO()
        monkeypatch.setattr(sys, "argv", ["fielded", *arguments, "-d", str(world.folder)])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()  # the command line always ends so
        return int(ended.value.code or 0), out.getvalue(), err.getvalue()

    return called


def as_json(text: str) -> Any:
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_a_comparison_says_what_is_in_the_way_and_how_to_get_it_out(
    call: Call, world: World, tmp_path: Path
) -> None:
    code, _, err = call("release", "compare")
    assert (code, "proposed are none" in err) == (2, True)
    world.store.log(world.model, 3)
    version = world.open().registry.versions(world.model)[-1].version
    propose(world.open("os:author"), version, "a retraining")

    code, out, _ = call("release", "compare")
    assert code == 1
    assert f"Version {version} against version 2 in production" in out
    assert "not enough evidence: evidence/model_card" in out
    assert "fielded release sign model_card FILE --until YYYY-MM-DD" in out
    assert "The verdict does not hold: 4 findings, 3 passed, 0 waived" in out
    assert (tmp_path / f"comparison-{version}" / "comparison.html").is_file()

    (tmp_path / "card.md").write_text("# card")
    code, out, _ = call("release", "sign", "model_card", "card.md", "--until", "2099-01-01", "--json")
    assert (code, as_json(out)["name"]) == (0, "model_card")
    assert as_json(out)["version"] == version
    assert call("release", "sign", "model_card", "card.md", "--until", "soon")[0] == 2
    assert call("release", "sign", "model_card", "card.md", "--until", "2099-01-01", "--version", "9")[0] == 2
    code, _, err = call("release", "sign", "model_card", "card.md", "--until", "2099-01-01", "--in-progress")
    assert (code, "for a document in progress" in err) == (2, True)

    code, out, _ = call("release", "compare", version, "--out", "kept", "--json")
    told = as_json(out)
    assert code == 0
    assert told["holds"] is True
    assert told["against"]["version"] == "2"
    assert {one["outcome"] for one in told["findings"]} == {"passed"}
    assert (tmp_path / "kept" / "comparison.json").is_file()


def test_outcomes_are_loaded_once_and_a_bad_file_exits_with_1(call: Call, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("order_id,label,known_at\nWO-1,1,2026-01-01T00:00:00Z\n")
    (tmp_path / "bad.csv").write_text("order_id,label,known_at\nWO-1,maybe,2026-01-01T00:00:00Z\n")
    code, out, _ = call("outcomes", "load", "good.csv")
    assert (code, "good.csv: 1 outcomes loaded" in out) == (0, True)
    code, out, _ = call("outcomes", "load", "good.csv", "--json")
    assert (code, as_json(out)["new"]) == (0, False)
    code, _, err = call("outcomes", "load", "bad.csv")
    assert code == 1
    assert "label: got a text that is none of 0, 1, true, false" in err
    assert "maybe" not in err
    assert call("outcomes", "load", "none.csv")[0] == 2
