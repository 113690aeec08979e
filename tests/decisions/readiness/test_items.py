"""The rules of the twelve items, over evidence of every kind."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.decisions.readiness.items import ITEMS, LONGEST, Item, Waiver, all_hold, items_of, judge
from fielded.words.errors import WrongUse

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MODEL = "ab" * 32
THRESHOLD = ITEMS[6]

HELD = Check.of("rationale is there", True, got="a text", expected="a text")
FAILED = Check.of("curve is there", False, got="none", expected="a curve", step="Draw it")
MISSING = Check.missing("rows are enough", why="no hold-out", expected="some", step="Hold rows out")


def evidence(*checks: Check, item: Item = THRESHOLD, valid: timedelta | None = timedelta(days=7)) -> Evidence:
    return Evidence(
        id=item.key, title="looked at", checks=checks, command="fielded ready", tool="fielded 0", by="os:tester",
        at=NOW, scope={"deployment": "overrun"}, valid_until=None if valid is None else NOW + valid,
    )  # fmt: skip


def waiver(in_the_way: Mapping[str, str], **changes: object) -> Waiver:
    made = Waiver(
        item=7, by="os:boss", at=NOW, until=NOW.date() + timedelta(days=30), reason="the curve comes later",
        in_the_way=in_the_way, model=MODEL,
    )  # fmt: skip
    return replace(made, **changes)


def judged(found: Evidence | None, *waivers: Waiver, now: datetime = NOW, model: str = MODEL) -> tuple[str, str]:
    by_id = {} if found is None else {found.id: found}
    (result,) = judge((THRESHOLD,), by_id, waivers, model, now)
    return result.state, result.step


def test_there_are_twelve_numbered_in_their_order_each_of_an_evidence_of_its_own() -> None:
    assert [item.number for item in ITEMS] == list(range(1, 13))
    assert len({item.key for item in ITEMS}) == 12
    assert all(item.controls and item.title for item in ITEMS)
    keys = {item.key for item in ITEMS} | {"evaluation"}
    assert all(set(item.rests_on) <= keys - {item.key} for item in ITEMS)
    rests = {item.key for item in ITEMS if item.rests_on}
    assert not any(set(item.rests_on) & rests for item in ITEMS), "one round is enough"


def test_items_are_asked_for_by_number() -> None:
    assert items_of(()) == ITEMS
    assert [item.number for item in items_of((11, 2, 11))] == [2, 11]
    for wrong in (0, 13, -1):
        with pytest.raises(WrongUse, match=f"got {wrong}, expected a number from 1 to 12"):
            items_of((1, wrong))


class TestRule1:
    @pytest.mark.parametrize(
        ("checks", "state", "step"),
        [
            ((HELD,), "passed", ""),
            ((HELD, FAILED), "failed", "Draw it"),
            ((HELD, MISSING), "failed", "Hold rows out"),
            ((MISSING, FAILED), "failed", "Draw it"),
            ((), "failed", "Run `fielded ready --item 7`"),
        ],
    )
    def test_only_what_holds_is_passed(self, checks: tuple[Check, ...], state: str, step: str) -> None:
        assert judged(evidence(*checks)) == (state, step)

    def test_what_was_never_collected_is_failed(self) -> None:
        assert judged(None) == ("failed", "Run `fielded ready --item 7`")

    def test_what_a_person_attests_is_passed(self) -> None:
        assert judged(replace(evidence(HELD), attested_by="Casey Example"))[0] == "passed"

    def test_its_time_is_over_a_moment_after_its_last(self) -> None:
        found, last = evidence(HELD), NOW + timedelta(days=7)
        assert judged(found, now=last)[0] == "passed"
        over = judged(found, now=last + timedelta(microseconds=1))
        assert over == ("failed", "Run `fielded ready --item 7`")
        assert judged(evidence(HELD, valid=None), now=last + timedelta(days=3000))[0] == "passed"


class TestWaivers:
    def test_one_sets_aside_what_its_signer_was_shown(self) -> None:
        found = evidence(HELD, FAILED, MISSING)
        assert judged(found, waiver({FAILED.name: "failed", MISSING.name: "not checked"}))[0] == "waived"
        assert judged(found, waiver({FAILED.name: "failed"}))[0] == "failed", "one more is in the way since"

    def test_not_checked_is_not_yet_failed(self) -> None:
        assert judged(evidence(FAILED), waiver({FAILED.name: "not checked"}))[0] == "failed"
        assert judged(evidence(MISSING), waiver({MISSING.name: "failed"}))[0] == "waived", "no worse"

    def test_it_ends_with_its_day_and_with_the_model(self) -> None:
        found, made = evidence(FAILED, valid=None), waiver({FAILED.name: "failed"})
        assert judged(found, made, now=datetime(2026, 4, 1, 23, 59, tzinfo=UTC))[0] == "waived"
        assert judged(found, made, now=datetime(2026, 4, 2, 0, 0, tzinfo=UTC))[0] == "failed"
        assert judged(found, made, model="cd" * 32)[0] == "failed"
        assert judged(found, made, now=NOW - timedelta(days=1))[0] == "failed", "it was not said yet"

    def test_no_event_makes_one_last_longer_than_it_may(self) -> None:
        found, forged = evidence(FAILED, valid=None), waiver({FAILED.name: "failed"}, until=date(2099, 1, 1))
        assert judged(found, forged, now=NOW + LONGEST)[0] == "waived"
        assert judged(found, forged, now=NOW + LONGEST + timedelta(days=1))[0] == "failed"

    def test_the_last_of_an_item_counts(self) -> None:
        good, ended = waiver({FAILED.name: "failed"}), waiver({FAILED.name: "failed"}, until=date(2026, 3, 1))
        assert judged(evidence(FAILED), good, ended)[0] == "failed"
        assert judged(evidence(FAILED), ended, good)[0] == "waived"
        assert judged(evidence(FAILED), waiver({FAILED.name: "failed"}, item=8))[0] == "failed"

    def test_what_is_passed_needs_none(self) -> None:
        (result,) = judge((THRESHOLD,), {"threshold": evidence(HELD)}, [waiver({})], MODEL, NOW)
        assert (result.state, result.waiver) == ("passed", None)

    def test_it_is_read_from_its_event_as_it_was_written(self) -> None:
        made = waiver({FAILED.name: "failed"})
        event = {"actor": made.by, "occurred_at": made.at, "details": {**made.as_dict(), "key": "threshold"}}
        assert Waiver.read(event) == made


def test_nothing_looked_at_does_not_hold() -> None:
    assert not all_hold(())


_CHECKS = st.lists(st.sampled_from([HELD, FAILED, MISSING]), max_size=4)
_SEEN = st.dictionaries(
    st.sampled_from([HELD.name, FAILED.name, MISSING.name, "collected", "current"]),
    st.sampled_from(["failed", "not checked"]),
)


@settings(deadline=None, max_examples=40)
@given(checks=_CHECKS, seen=_SEEN, days=st.integers(-2, 100), valid=st.integers(0, 100))
def test_whatever_comes_an_item_is_passed_only_by_what_holds_now(
    checks: list[Check], seen: dict[str, str], days: int, valid: int
) -> None:
    found, made = evidence(*checks, valid=timedelta(days=valid)), waiver(seen, until=date(2026, 5, 1))
    now = NOW + timedelta(days=days)
    (result,) = judge((THRESHOLD,), {found.id: found}, (made,), MODEL, now)
    good = bool(checks) and all(check.outcome == "held" for check in checks) and days <= valid
    assert (result.state == "passed") == good
    assert (result.state == "passed") == (not result.in_the_way)
    if result.state == "waived":
        assert made.at.date() <= now.date() <= made.until
        assert set(result.in_the_way) <= set(seen)
        assert not any(
            seen[name] == "not checked" and worse == "failed" for name, worse in result.in_the_way.items()
        )
    assert result.holds == (result.state != "failed")
    assert (result.step == "") == (result.state == "passed")
