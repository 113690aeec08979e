"""`fielded release` and `fielded rollback` on the command line: what they print, and how they end."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from command_line import at_site, ended
from conftest import DAY, Spare
from fielded.services.release.candidates import propose
from releases import AUTHOR, FAILED, another_version, compared, drilled

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(spare: Spare, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`fielded` called by a person, at the spare's site; gives exit code, standard output and standard error."""
    at_site(spare, monkeypatch)
    monkeypatch.chdir(spare.folder)

    def run(*arguments: str, by: str = "os:tester") -> tuple[int, str, str]:
        return ended(monkeypatch, capsys, *arguments, by=by)

    return run


def test_the_whole_way_from_adoption_to_rollback(spare: Spare, call: Call) -> None:
    assert call("release", "adopt")[0] == 0
    version = another_version(spare)
    code, out, _ = call("release", "propose", version, "-m", "trained on another year", by=AUTHOR)
    assert (code, out.startswith(f"Proposed version {version} (sha256 ")) == (0, True)
    compared_now(spare, version)
    code, out, _ = call("release", "approve", version, by=AUTHOR)
    assert "does not count toward the release, for you proposed it" in out
    code, _, err = call("release", "promote", version)
    assert code == 1
    assert "approvals/people: got nobody" in err
    assert f"comparison/{FAILED['name']}" in err
    for by in ("os:first", "os:second"):
        assert call("release", "approve", version, by=by)[0] == 0
    waiver = ["release", "waive", version, "--finding", FAILED["name"], "--until", "2999-01-01", "-m"]
    assert call(*waiver, "labels agree", by=AUTHOR)[0] == 1
    assert call(*waiver, "labels agree", by="os:first")[0] == 0
    code, out, _ = call("release", "status", "--json")
    (candidate,) = json.loads(out)["candidates"]
    assert (candidate["ready"], candidate["approved_by"]) == (True, ["os:first", "os:second"])
    code, out, _ = call("release", "promote", version, "--score", str(DAY), "--json")
    done = json.loads(out)
    assert (code, done["from"]["version"], done["to"]["version"]) == (0, "2", version)
    assert done["scored"]["model_version"] == version
    code, out, _ = call("rollback", "-m", "it flags everything", "--leave", version, "--json")
    done = json.loads(out)
    assert (code, done["from"], done["to"], done["not_done"], done["followed"]) == (0, version, "2", [], [])
    code, _, err = call("rollback", "-m", "it flags everything", "--leave", version)
    assert (code, f"expected version {version}" in err) == (1, True)
    code, out, _ = call("release", "history", "--json")
    kinds = [event["kind"] for event in json.loads(out)]
    assert kinds[0] == "release_adopted"
    assert kinds[-4:] == ["promotion_started", "promoted", "rollback_started", "rolled_back"]
    code, out, _ = call("release", "history")
    assert out.splitlines()[-1].split()[3] == "rolled_back"


def test_a_promotion_is_told_also_where_the_day_cannot_be_scored_then(spare: Spare, call: Call) -> None:
    """Whoever reads only an error would promote again."""
    call("release", "adopt")
    version = another_version(spare)
    propose(spare.open(AUTHOR), version, "better")
    compared_now(spare, version)
    for by in ("os:first", "os:second"):
        call("release", "approve", version, by=by)
    words = ("--finding", FAILED["name"], "--until", "2999-01-01", "-m", "labels agree")
    assert call("release", "waive", version, *words, by="os:first")[0] == 0
    shutil.rmtree(Path(spare.site.root, "silver", "orders"))
    code, out, _ = call("release", "promote", version, "--score", str(DAY), "--json")
    done = json.loads(out)
    assert code == 3
    assert (done["to"]["version"], done["scored"]) == (version, None)
    assert done["not_scored"]["message"]
    assert json.loads(call("release", "status", "--json")[1])["production"]["version"] == version


def compared_now(spare: Spare, version: str) -> None:
    """A comparison at today's time, as the command line has it."""
    compared(replace(spare.open(AUTHOR), clock=lambda: datetime.now(UTC)), version, [FAILED])


def test_status_in_words_ends_with_one_where_something_is_wrong(spare: Spare, call: Call) -> None:
    code, out, _ = call("release", "status")
    assert (code, "Run `fielded release adopt`" in out) == (1, True)
    call("release", "adopt")
    propose(spare.open(AUTHOR), "1", "better")
    code, out, _ = call("release", "status")
    assert (code, "Run `fielded release drill`" in out) == (1, True)
    drilled(replace(spare.open(), clock=lambda: datetime.now(UTC)))
    code, out, _ = call("release", "status")
    assert code == 0
    assert f"{datetime.now(UTC):%Y}-" in next(line for line in out.splitlines() if "last drill" in line)
    assert "version 1 (sha256" in out
    assert "FAIL  approvals/people: got nobody, expected 2 different people" in out
    spare.store.client.set_registered_model_alias(spare.model, "production", "1")
    code, out, _ = call("release", "status")
    assert (code, "it is not followed" in out) == (1, True)
    code, out, _ = call("release", "reconcile")
    assert (code, out) == (0, "set `production` from version 1 to version 2\n")
    assert call("release", "reconcile")[1] == "Everything is where it belongs.\n"
    assert call("release", "withdraw", "1", "-m", "a label leaked")[1] == "Withdrew the proposal of version 1\n"


def test_wrong_days_and_missing_reasons_are_told(call: Call) -> None:
    code, _, err = call("release", "waive", "1", "--finding", "x", "--until", "soon", "-m", "y")
    assert (code, "--until: got 'soon'" in err) == (2, True)
    assert call("release", "promote", "1", "--score", "soon")[0] == 2
    assert call("release", "propose", "1")[0] == 2
