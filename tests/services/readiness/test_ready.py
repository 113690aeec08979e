"""`fielded ready` as a service: collected, put on record, judged; waived by somebody else, for a time."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from conftest import DEFINITION, Spare, Ticking
from fielded.decisions.assurance.evidence import COLLECTED
from fielded.decisions.readiness.items import CHECKED, ITEMS, LONGEST, WAIVED, ItemResult
from fielded.definition.authorization import Authorization
from fielded.services.evidence.collect import Bench, on_record
from fielded.services.evidence.registry import COLLECTORS, collector_of, command_of
from fielded.services.monitoring.schedule_reviews import schedule_reviews
from fielded.services.prepare_scorer import Scorers
from fielded.services.readiness.history import history
from fielded.services.readiness.ready import Readiness, on_record_now, ready
from fielded.services.readiness.waive import waive
from fielded.services.release.adopt import adopt
from fielded.services.release.promote import promote
from fielded.services.release.record import about
from fielded.services.verify import verify
from fielded.words.errors import Refused, WrongUse
from fielded.world.workplace import Workplace
from releases import AUTHOR, FIRST, another_version
from releases import ready as brought_to_promotion

START = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
TODAY = START.date()
REASON = "the first review is done by hand this once"
LESS = DEFINITION + "monitoring: {reviews: [30]}\n"  # item 12 fails


@pytest.fixture
def adopted(spare: Spare) -> Spare:
    """A version in production with its reviews on record."""
    adopt(spare.open())
    schedule_reviews(spare.open())
    return spare


@pytest.fixture
def failing(adopted: Spare) -> Spare:
    """Item 12 was looked at and failed."""
    adopted.define(LESS)
    assert not ready(Bench(adopted.open()), (12,)).holds
    return adopted


def later(spare: Spare, days: float, user: str = "os:boss") -> Workplace:
    return replace(spare.open(user), clock=Ticking(START + timedelta(days=days)))


def events(spare: Spare, kind: str) -> list[Mapping[str, object]]:
    workplace = spare.open()
    return workplace.ledger.events_of(kind, about(workplace))


def of(found: Readiness, number: int) -> ItemResult:
    (result,) = (one for one in found.results if one.item.number == number)
    return result


class TestReady:
    def test_what_is_asked_for_is_collected_judged_and_on_record(self, adopted: Spare) -> None:
        heard: list[str] = []
        found = ready(Bench(adopted.open()), (12,), heard.append)
        assert (found.holds, found.counts) == (True, {"passed": 1, "failed": 0, "waived": 0})
        assert heard == [f"release-reviews: {COLLECTORS['release-reviews'].title}"]
        (collected,) = events(adopted, COLLECTED)
        (checked,) = events(adopted, CHECKED)
        assert collected["details"]["command"] == "fielded ready --item 12"
        assert collected["details"]["scope"]["model_version"] == "2"
        told = checked["details"]
        assert (told["holds"], told["asked"], told["collected"]) == (True, [12], True)
        assert told["items"][0]["evidence_sha256"] == collected["details"]["sha256"]
        assert "evidence" not in told["items"][0], "by its digest alone"
        assert verify(adopted.open()).findings == []

    def test_reading_the_record_collects_and_writes_nothing(self, adopted: Spare) -> None:
        before = on_record_now(adopted.open())
        assert before.counts == {"passed": 0, "failed": 12, "waived": 0}
        assert {one.step for one in before.results} == {
            f"Run `fielded ready --item {number}`" for number in range(1, 13)
        }
        ready(Bench(adopted.open()), (12,))
        count = len(adopted.rows("ledger.overrun.events"))
        after = on_record_now(adopted.open())
        assert after.counts == {"passed": 1, "failed": 11, "waived": 0}
        assert not after.collected
        assert len(adopted.rows("ledger.overrun.events")) == count

    def test_the_record_is_read_as_of_a_moment_and_its_time_ends(self, adopted: Spare) -> None:
        ready(Bench(later(adopted, 1)), (12,))
        assert of(on_record_now(later(adopted, 2)), 12).state == "passed"
        then = on_record_now(later(adopted, 2), until=START + timedelta(hours=1))
        assert of(then, 12).evidence is None
        assert of(on_record_now(later(adopted, 7.9)), 12).state == "passed"
        over = of(on_record_now(later(adopted, 8.1)), 12)
        assert (over.state, dict(over.in_the_way)) == ("failed", {"current": "not checked"})

    def test_another_definition_is_another_scope(self, adopted: Spare) -> None:
        ready(Bench(adopted.open()), (12,))
        adopted.define(DEFINITION + "# a word more\n")
        found = of(on_record_now(adopted.open()), 12)
        assert (found.state, dict(found.in_the_way)) == ("failed", {"scope": "not checked"})
        assert found.step == "Run `fielded ready --item 12`"

    def test_an_unknown_item_or_evidence_is_refused(self, adopted: Spare) -> None:
        with pytest.raises(WrongUse, match="got 13, expected a number from 1 to 12"):
            ready(Bench(adopted.open()), (13,))
        with pytest.raises(WrongUse, match="got nothing, expected one of: kickoff"):
            collector_of("nothing")
        assert command_of("rollback") == "fielded ready --item 11"


class TestWaive:
    def test_somebody_else_answers_for_a_time(self, failing: Spare) -> None:
        made = waive(later(failing, 0.5), 12, REASON, TODAY + timedelta(days=30))
        assert dict(made.in_the_way) == {"the definition asks for all of them": "failed"}
        found = of(on_record_now(failing.open()), 12)
        assert (found.state, found.holds) == ("waived", True)
        before = on_record_now(later(failing, 2), (12,), until=made.at - timedelta(microseconds=1))
        assert of(before, 12).state == "failed", "it was not said yet"
        assert on_record_now(later(failing, 40), (12,), until=made.at).holds, "as of then"
        assert found.evidence is not None
        assert found.evidence.outcome == "not satisfied", "the evidence stays what it was"
        assert found.waiver == made
        assert found.step, "it still has to be done"
        assert ready(Bench(failing.open()), (12,)).counts == {"passed": 0, "failed": 0, "waived": 1}
        assert of(on_record_now(later(failing, 31)), 12).state == "failed"

    def test_what_is_in_the_way_since_is_not_covered(self, failing: Spare) -> None:
        waive(failing.open("os:boss"), 12, REASON, TODAY + timedelta(days=90))
        late = later(failing, 60)
        found = of(ready(Bench(late), (12,)), 12)
        assert found.state == "failed"
        assert "none is overdue" in found.in_the_way

    def test_another_version_needs_another_and_not_by_its_proposer(self, failing: Spare) -> None:
        waive(failing.open("os:boss"), 12, REASON, TODAY + timedelta(days=30))
        version = another_version(failing)
        brought_to_promotion(failing, version)
        workplace = failing.open()
        promote(workplace, Scorers(workplace), version)
        assert ready(Bench(failing.open()), (12,)).holds is False
        with pytest.raises(Refused, match="who proposed the version in production, expected somebody else"):
            waive(failing.open(AUTHOR), 12, REASON, TODAY)
        assert waive(failing.open(FIRST), 12, REASON, TODAY).by == FIRST

    def test_the_person_that_the_item_asks_does_not(self, failing: Spare) -> None:
        persons = Authorization(persons={"alex.example@example.mil": ("os:alex",)})
        workplace = failing.open("os:alex")
        named = replace(workplace, site=replace(workplace.site, authorization=persons))
        with pytest.raises(Refused, match="who is the monitoring owner"):
            waive(named, 12, REASON, TODAY)
        waive(workplace, 12, REASON, TODAY)  # before the site said who that is
        assert of(on_record_now(workplace), 12).state == "waived"
        assert of(on_record_now(named), 12).state == "failed"

    def test_a_waiver_ends_with_its_signers_role(self, failing: Spare) -> None:
        waive(failing.open("os:boss"), 12, REASON, TODAY + timedelta(days=30))
        workplace = failing.open()
        without = replace(workplace, site=replace(workplace.site, roles={"os:tester": ("release",)}))
        assert of(on_record_now(without), 12).state == "failed"

    def test_wrong_use_is_refused(self, failing: Spare) -> None:
        days = "expected a day from 2026-03-02 to 2026-05-31"
        cases = (
            (13, REASON, TODAY, "expected a number from 1 to 12"),
            (12, "  so  ", TODAY, "got 2 characters"),
            (12, REASON, TODAY - timedelta(days=1), days),
            (12, REASON, date(2026, 6, 1), days),
        )
        for number, reason, until, words in cases:
            with pytest.raises(WrongUse, match=words):
                waive(failing.open("os:boss"), number, reason, until)
        assert events(failing, WAIVED) == []

    def test_what_nobody_may_waive(self, failing: Spare) -> None:
        with pytest.raises(Refused, match="got no evidence of it"):
            waive(failing.open("os:boss"), 11, REASON, TODAY)
        workplace = failing.open("os:ada")
        reviewer = replace(workplace, site=replace(workplace.site, roles={"os:ada": ("review",)}))
        with pytest.raises(Refused, match="expected `release`"):
            waive(reviewer, 12, REASON, TODAY)
        failing.define()
        ready(Bench(failing.open()), (12,))
        with pytest.raises(Refused, match="got one that is passed"):
            waive(failing.open("os:boss"), 12, REASON, TODAY)

    def test_one_that_fielded_did_not_write_is_told(self, failing: Spare) -> None:
        workplace = failing.open()
        workplace.record(WAIVED, about(workplace), {"item": 12})
        with pytest.raises(Refused, match="got a waiver without a readable"):
            on_record_now(failing.open())


def test_edited_evidence_is_not_believed(failing: Spare) -> None:
    """Whoever makes an event say that all held has another digest than the evidence's own."""
    path = str(Path(failing.site.root) / "ledger" / "overrun" / "events")
    table = DeltaTable(path).to_pyarrow_table()
    details = [
        text.replace('"outcome": "failed"', '"outcome": "held"') if kind == COLLECTED else text
        for kind, text in zip(table.column("kind").to_pylist(), table.column("details").to_pylist(), strict=True)
    ]
    place = table.column_names.index("details")
    edited = table.set_column(place, table.schema.field("details"), pa.array(details))
    other = failing.folder.parent / "edited"
    write_deltalake(str(other / "ledger" / "overrun" / "events"), edited)
    forged = replace(failing, site=replace(failing.site, root=str(other)))
    with pytest.raises(Refused, match="with another digest than its own"):
        on_record(forged.open())


def test_the_history_tells_what_changed(failing: Spare) -> None:
    waive(failing.open("os:boss"), 12, REASON, TODAY + timedelta(days=5))
    ready(Bench(failing.open()), (12,))
    failing.define()
    ready(Bench(failing.open()), (11, 12))
    first, waived, second, third = history(failing.open())
    assert (first.holds, dict(first.states), dict(first.changed)) == (False, {12: "failed"}, {})
    assert (waived.holds, waived.by, waived.told) == (None, "os:boss", f"until 2026-03-07: {REASON}")
    assert dict(second.changed) == {12: ("failed", "waived")}
    assert dict(third.changed) == {12: ("waived", "passed")}
    assert dict(third.states) == {11: "failed", 12: "passed"}
    assert json.loads(json.dumps(third.as_dict()))["changed"] == {"12": ["waived", "passed"]}


def test_the_page_of_documents_lists_every_item_and_kind_of_event() -> None:
    page = (Path(__file__).parents[3] / "docs" / "readiness.md").read_text()
    for item in ITEMS:
        row = f"| {item.number} | {item.title} | `{item.key}`"
        assert row in page, row
        assert f"| {', '.join(item.controls).upper()} |" in page
    for kind in (COLLECTED, CHECKED, WAIVED):
        assert f"`{kind}`" in page
    assert f"{LONGEST.days} days after it was said" in page
