"""What the commands make of their arguments. In this process: `main` is what the console script calls."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import at_site, ended
from conftest import DAY, Spare, World, make_orders

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`fielded` with arguments, at a world's site; gives exit code, standard output and standard error."""

    def run(world: World, *arguments: str) -> tuple[int, str, str]:
        at_site(world, monkeypatch)
        monkeypatch.chdir(world.folder)
        return ended(monkeypatch, capsys, *arguments)

    return run


WRONG = {
    "no date": (("score", "--as-of", "tomorrow"), "--as-of: got 'tomorrow', expected a date as YYYY-MM-DD"),
    "no such day": (("score", "--as-of", "2026-02-30"), "--as-of: got '2026-02-30'"),
    "an empty date": (("score", "--as-of", ""), "--as-of: got ''"),
    "an empty range": (("score", "--backfill", ""), "--backfill: got ''"),
    "one day": (("score", "--backfill", "2026-03-02"), "expected two dates as YYYY-MM-DD..YYYY-MM-DD"),
    "half a range": (("score", "--backfill", "2026-03-02.."), "--backfill: got ''"),
    "three days": (("score", "--backfill", "2026-03-01..2026-03-02..2026-03-03"), "--backfill: got '2026"),
    "backwards": (("score", "--backfill", "2026-03-02..2026-03-01"), "expected the earlier day first"),
    "a day and a range": (
        ("score", "--as-of", "2026-03-02", "--backfill", "2026-03-02..2026-03-02"),
        "expected one",
    ),
    "a day and a watch": (("score", "--as-of", "2026-03-02", "--watch"), "expected one"),
    "a dry watch": (("score", "--watch", "--dry-run"), "--watch with --dry-run"),
    "check on no date": (("check", "--as-of", "x"), "--as-of: got 'x'"),
    "find on an empty date": (("audit", "find", "WO-1", "--on", ""), "--on: got ''"),
    "a bad folder name": (("new", "Bad Name"), "expected lower-case letters"),
    "no such version": (("release", "approve", "99"), "no version 99"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_is_told_and_exits_with_two(world: World, call: Call, name: str) -> None:
    arguments, message = WRONG[name]
    code, out, err = call(world, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_a_range_holds_both_ends(world: World, call: Call) -> None:
    world.write("silver.orders", make_orders(20))
    code, out, _ = call(world, "score", "--backfill", f"{DAY.replace(day=1)}..{DAY.replace(day=3)}", "--json")
    told = json.loads(out)
    assert code == 0
    assert [(item["day"], item["scored"]) for item in told] == [
        ("2026-03-01", 0), ("2026-03-02", 20), ("2026-03-03", 20),
    ]  # fmt: skip
    code, out, _ = call(world, "score", "--backfill", f"{DAY}..{DAY}", "--json")
    assert [item["state"] for item in json.loads(out)] == ["already done"]


def test_an_empty_day_is_a_clear_line(world: World, call: Call) -> None:
    empty = str(DAY.replace(day=1))
    code, out, err = call(world, "score", "--as-of", empty, "--dry-run")
    assert (code, err) == (0, "")
    assert out.startswith(f"{empty}  dry run: nobody to score: the population is empty\n")
    _, out, _ = call(world, "score", "--as-of", empty)
    assert out.startswith(f"{empty}  published: nobody to score: the population is empty, and so is this day in")


def test_again_scores_anew(world: World, call: Call) -> None:
    world.write("silver.orders", make_orders(20))
    runs = [
        json.loads(call(world, "score", "--as-of", str(DAY), *more, "--json")[1])["run_id"]
        for more in ((), ("--again",), ("--again",))
    ]
    assert len(set(runs)) == 3


def test_a_back_fill_in_words_that_is_stopped_says_so_once(bare: World, call: Call) -> None:
    code, out, err = call(bare, "score", "--backfill", f"{DAY.replace(day=1)}..{DAY.replace(day=31)}")
    assert (code, out) == (1, "")
    assert err.count("fielded release approve 2") == 1


def test_check_in_words_says_what_failed(world: World, call: Call) -> None:
    (world.folder / "population.py").write_text("def pending(tables, as_of):\n    return 3\n")
    code, out, _ = call(world, "check", "--as-of", str(DAY))
    assert code == 1
    assert "\nFAIL  population" in out
    assert "population.query: got int, expected an Ibis table expression" in out
    assert "\npass  model" in out


def test_the_way_from_approval_to_rollback(spare: Spare, call: Call) -> None:
    code, out, _ = call(spare, "release", "approve", "1", "--json")
    assert (code, json.loads(out)["model"]) == (0, f"model {spare.model} version 1")
    code, out, _ = call(spare, "rollback", "-m", "too many flags", "--json")
    done = json.loads(out)
    assert (code, done["model"], done["from"], done["to"]) == (0, spare.model, "2", "1")
    code, _, err = call(spare, "rollback", "-m", "too many flags")
    assert (code, "expected `--leave 1` from whoever means to undo that" in err) == (1, True)
    code, out, _ = call(spare, "rollback", "-m", "and back", "--leave", "1")
    assert (code, out.startswith(f"{spare.model}: version 1 -> 2 in production, after ")) == (0, True)
    (event, _) = spare.open().ledger.events_of("rolled_back")
    assert event["details"]["reason"] == "too many flags"
    assert event["actor"].startswith("os:")


def test_rollback_wants_a_reason(spare: Spare, call: Call) -> None:
    code, _, err = call(spare, "rollback")
    assert code == 2
    assert "--message" in err
    assert spare.open().ledger.events_of("rolled_back") == []


def test_new_makes_a_folder_that_check_then_tells_about(world: World, call: Call) -> None:
    code, out, _ = call(world, "new", "late_orders")
    assert code == 0
    assert "fielded check -d late_orders" in out
    assert (Path(world.folder) / "late_orders" / "deployment.yaml").is_file()
    code, out, _ = call(world, "check", "-d", "late_orders", "--json")
    assert code == 2
    assert "people.isso.email" in {item["field"] for item in json.loads(out)["findings"]}


def test_who_asked_is_the_account_and_no_variable(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("silver.orders", make_orders(3))
    for variable in ("LOGNAME", "USER", "USERNAME", "LNAME"):
        monkeypatch.setenv(variable, "somebody-else")
    call(world, "score", "--as-of", str(DAY))
    asked = {row["requested_by"] for row in world.rows("ledger.overrun.predictions")}
    assert len(asked) == 1
    assert "somebody-else" not in asked.pop()
