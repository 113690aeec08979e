"""What does not hold is a weakness, by itself: the same one has the same id, is open since it was first seen, and
is gone when it holds.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.assurance.controls import ControlRecord, Weakness
from fielded.decisions.assurance.evidence import Check, CheckOutcome, Evidence
from fielded.decisions.ato.origins import Gap
from fielded.decisions.ato.weaknesses import weakness_id, weaknesses_of
from fielded.decisions.readiness.items import ITEMS

START = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
DAY = timedelta(days=1)
GAP = Gap(
    id="unassigned",
    title="Nobody answers for controls",
    controls=("pe-1", "pe-2"),
    got="2 of 287",
    expected="somebody for each",
    step="Name who answers in site.yaml",
)


def check(name: str, outcome: CheckOutcome, step: str = "Mend it") -> Check:
    return Check(name=name, outcome=outcome, got="this", expected="that", step=step)


def looked(day: int, *checks: Check, key: str = "rollback") -> Evidence:
    return Evidence(
        id=key,
        title=f"A look at {key}",
        checks=checks,
        command=f"fielded ato collect --id {key}",
        tool="fielded 0.1.0",
        by="os:ada",
        at=START + day * DAY,
        scope={"deployment": "overrun"},
        valid_until=None,
    )


def found(
    history: list[Evidence],
    controls: tuple[ControlRecord, ...] = (),
    gaps: tuple[Gap, ...] = (),
    mend_days: int | None = 30,
) -> tuple[Weakness, ...]:
    counting = {one.id: one for one in history}
    return weaknesses_of(history, counting, controls, gaps, (START + 100 * DAY).date(), mend_days)


def citing(key: str, *evidence: str) -> ControlRecord:
    return ControlRecord(
        id=key, title=key, family=key[:2], in_baseline=True, origin="implemented", result="satisfied",
        evidence=evidence,
    )  # fmt: skip


def test_each_check_that_did_not_hold_is_one_and_what_holds_is_none() -> None:
    checks = (check("drilled", "failed"), check("loads", "held"), check("replays", "not checked"))
    weak = found(
        [looked(0, *checks)], (citing("cp-10", "rollback"), citing("au-9", "seals"), citing("ir-4", "rollback"))
    )
    assert [one.id for one in weak] == sorted(one.id for one in weak)
    titles = {one.title: one for one in weak}
    assert set(titles) == {
        "A look at rollback: drilled did not hold",
        "A look at rollback: replays could not be checked",
    }
    one = titles["A look at rollback: drilled did not hold"]
    assert one.found == "Got this. Expected that."
    assert (one.controls, one.evidence, one.step) == (("cp-10", "ir-4"), ("rollback",), "Mend it")
    assert (one.since, one.due) == (date(2026, 3, 2), date(2026, 4, 1))


def test_the_same_has_the_same_id_in_the_next_package_whatever_else_is_told_of_it() -> None:
    (first,) = found([looked(0, check("drilled", "failed"))])
    again = replace(check("drilled", "not checked"), got="something else", expected="more", step="Another")
    (second,) = found([looked(0, check("drilled", "failed")), looked(9, check("loads", "held"), again)])
    assert (second.id, second.since) == (first.id, first.since)
    assert first.id == weakness_id("rollback", "drilled")
    others = {weakness_id("rollback", "loads"), weakness_id("kickoff", "drilled"), weakness_id("gap", "drilled")}
    assert len({first.id, *others}) == 4


def test_it_is_open_since_the_first_look_of_the_last_unbroken_row() -> None:
    bad, good = check("drilled", "failed"), check("drilled", "held")
    history = [
        looked(0, bad), looked(1, good), looked(2, bad), looked(3, check("sealed", "held"), key="seals"),
        looked(4, bad),
    ]  # fmt: skip
    (one,) = found(history)
    assert (one.since, one.due) == (date(2026, 3, 4), date(2026, 4, 3))
    (absent,) = found([looked(0, bad), looked(1, check("loads", "held")), looked(2, bad)])
    assert absent.since == date(2026, 3, 4), "a look that did not ask breaks the row"
    (mixed,) = found([looked(0, check("drilled", "not checked")), looked(1, bad)])
    assert mixed.since == date(2026, 3, 2), "what could not be checked did not hold either"


def test_it_is_gone_when_it_holds_and_nobody_closes_it() -> None:
    bad, good = check("drilled", "failed"), check("drilled", "held")
    assert found([looked(0, bad), looked(1, good)]) == ()
    assert [one.since for one in found([looked(0, bad), looked(1, good), looked(5, bad)])] == [date(2026, 3, 7)]


def test_what_counts_now_and_was_never_recorded_so_is_open_since_that_look() -> None:
    """Evidence of another scope gets a check that no look had."""
    recorded = looked(0, check("drilled", "held"))
    counting = replace(recorded, checks=(check("scope", "not checked"), *recorded.checks))
    (one,) = weaknesses_of([recorded], {"rollback": counting}, (), (), date(2026, 6, 1), None)
    assert (one.since, one.due) == (date(2026, 3, 2), None)


def test_a_gap_in_the_answers_is_one_since_today() -> None:
    (one,) = found([], gaps=(GAP,))
    assert (one.id, one.title) == (weakness_id("gap", "unassigned"), "Nobody answers for controls")
    assert one.found == "Got 2 of 287. Expected somebody for each."
    assert (one.controls, one.evidence, one.owner) == (("pe-1", "pe-2"), (), "isso")
    assert (one.since, one.due) == (date(2026, 6, 10), date(2026, 7, 10))
    assert found([], gaps=(GAP,), mend_days=None)[0].due is None


def test_whom_an_item_asks_answers_and_else_the_isso() -> None:
    history = [looked(0, check("asked", "failed"), key=item.key) for item in ITEMS]
    history.append(looked(0, check("asked", "failed"), key="transport"))
    owners = {one.evidence[0]: one.owner for one in found(history)}
    assert {item.key: owners[item.key] for item in ITEMS} == {item.key: item.asked_of for item in ITEMS}
    assert owners["transport"] == "isso"


def test_a_check_without_a_step_says_how_to_look_again() -> None:
    (one,) = found([looked(0, check("drilled", "failed", step=""))])
    assert one.step == "Mend it and run `fielded ato collect --id rollback`"


OUTCOMES = st.sampled_from(["held", "failed", "not checked"])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), OUTCOMES, max_size=3), min_size=1, max_size=12))
def test_the_row_is_counted_back_from_the_last_look(rows: list[dict[str, CheckOutcome]]) -> None:
    history = [looked(day, *(check(name, how) for name, how in row.items())) for day, row in enumerate(rows)]
    expected = {}
    for name, how in rows[-1].items():
        if how == "held":
            continue
        first = len(rows) - 1
        while first > 0 and rows[first - 1].get(name, "held") != "held":
            first -= 1
        expected[weakness_id("rollback", name)] = (START + first * DAY).date()
    assert {one.id: one.since for one in found(history)} == expected
