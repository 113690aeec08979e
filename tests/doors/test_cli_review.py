"""`fielded review` on the command line: what it prints, what it hides, and how it ends."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from command_line import at_site, ended
from conftest import World
from fielded.services.score_day import score_day
from reviews import ADA, BEN, defined, gold_by_id

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`fielded` called by a person; gives exit code, standard output and standard error."""
    at_site(world, monkeypatch)
    monkeypatch.chdir(world.folder)

    def run(*arguments: str, by: str = ADA) -> tuple[int, str, str]:
        return ended(monkeypatch, capsys, "review", *arguments, by=by)

    return run


def scored_now(world: World, **settings: object) -> None:
    """A day scored a moment ago: the command line's clock is the real one."""
    world.define(defined(**settings))
    workplace, scorers = world.scorers()
    today = datetime.now(UTC)
    object.__setattr__(workplace, "clock", lambda: datetime.now(UTC))
    score_day(workplace, scorers, today.date())


def test_a_case_from_the_queue_to_an_appeal(world: World, call: Call) -> None:
    scored_now(world)
    code, out, _ = call("list", "--json", "--limit", "3")
    found = json.loads(out)
    assert (code, len(found["cases"])) == (0, 3)
    routed = [key for key, row in gold_by_id(world).items() if row["decision"] == "review"]
    assert (found["waiting"], found["overdue"]) == (len(routed), 0)
    one = found["cases"][0]["request_id"]
    code, out, _ = call("list", "--limit", "3")
    assert (code, out.splitlines()[1].split()[0]) == (0, one)
    assert out.splitlines()[-1] == f"3 of {len(routed)} cases that wait, 0 overdue"
    code, out, _ = call("claim", one)
    assert (code, "os:ada holds it until" in out) == (0, True)
    code, _, err = call("claim", one, by=BEN)
    assert (code, "os:ada holds until" in err) == (1, True)
    assert one not in {
        case["request_id"] for case in json.loads(call("list", "--free", "--json", by=BEN)[1])["cases"]
    }
    code, _, err = call("decide", one, "perhaps", "--reason", "knows_more", "-m", "why")
    assert (code, "expected keep or override" in err) == (2, True)
    code, out, err = call("decide", one, "override", "--reason", "knows_more", "-m", "it was repaired")
    row = gold_by_id(world)[one]
    assert (code, err, f"decided: {row['final_decision']}" in out) == (0, "", True)
    assert (row["decided_by"], row["review_reason"]) == (ADA, "knows_more")
    code, out, _ = call("show", one)
    assert f"{row['final_decision']} by os:ada" in out
    assert "knows_more: it was repaired" in out
    code, out, _ = call("appeal", one, "-m", "it was not", "--json", by=BEN)
    assert (code, json.loads(out)["stage"]) == (0, "appealed")
    code, out, _ = call("reassign", one, "--to", "os:cleo", "-m", "she knows it", "--json", by="os:dan")
    assert (code, json.loads(out)["holder"]) == (0, "os:cleo")
    assert call("escalate", one, "-m", "unclear", by="os:cleo")[0] == 0
    assert call("claim", one, by="os:dan")[0] == 0
    assert call("release", one, by="os:dan")[0] == 0
    code, out, _ = call("show", one, "--json")
    kinds = [event["kind"] for event in json.loads(out)["history"]]
    assert kinds == [
        "case_claimed", "case_decided", "case_appealed", "case_reassigned", "case_escalated", "case_claimed",
        "case_released",
    ]  # fmt: skip
    code, out, _ = call("refresh", "--json")
    assert (code, json.loads(out)) == (0, {"days": []})


def test_what_is_hidden_is_in_no_output(world: World, call: Call) -> None:
    scored_now(world, first_judgement="[[0.0, 1.0]]", second_share=1.0)
    one = json.loads(call("list", "--json")[1])["cases"][0]["request_id"]
    row = gold_by_id(world)[one]
    score = repr(row["overrun_probability"])
    for words in (("list",), ("list", "--json"), ("show", one), ("show", one, "--json"), ("claim", one)):
        code, out, _ = call(*words)
        assert code == 0
        assert score[:6] not in out, words
    assert "`fielded review judge" in call("show", one)[1]
    assert call("judge", one, "perhaps")[0] == 2
    assert call("judge", one, "flag")[0] == 0
    assert score in call("show", one)[1]
    code, out, _ = call("decide", one, "keep", "--reason", "knows_more", "-m", "so it is")
    assert (code, "It waits for a second person" in out) == (0, True)
    assert call("claim", one, by=BEN)[0] == 0
    for words in (("list", "--json"), ("show", one), ("show", one, "--json")):
        out = call(*words, by=BEN)[1]
        assert score[:6] not in out
        assert "so it is" not in out
    assert call("second", one, "flag" if row["overrun_flag"] else "clear", by=BEN)[0] == 0
    code, out, _ = call("stats", "--json")
    found = json.loads(out)
    assert (code, found["decided"], found["agreement"]["observed"]["value"]) == (0, 1, 1.0)
    code, out, _ = call("stats")
    assert (code, "agreement of two persons" in out) == (0, True)
