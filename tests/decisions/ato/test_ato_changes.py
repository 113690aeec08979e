"""What changed since a package, what it touches, and what it asks; no store, no clock."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conftest import DEFINITION
from fielded.decisions.ato.changes import (
    ABOUT_THE_MODEL,
    PACKAGED,
    Change,
    acts_since,
    definition_changes,
    in_order,
    last_package,
    put_on_record,
    questions_of,
    site_changes,
    touched,
)
from fielded.decisions.ato.touches import QUESTIONS, TOUCHES, touch_of
from fielded.decisions.monitoring import watch
from fielded.decisions.readiness.items import ITEMS
from fielded.decisions.readiness.items import WAIVED as READINESS_WAIVED
from fielded.decisions.release import acts
from fielded.definition.ato import CONTROL_ID
from fielded.definition.deployment import Document
from fielded.definition.loading import parse_document

BUILT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE, TWO = {"version": "1", "sha256": "a" * 64}, {"version": "2", "sha256": "b" * 64}

# Details of each kind as its service writes them, and what is told of them.
ACTS: Mapping[str, tuple[Mapping[str, Any], str, str]] = {
    acts.ADOPTED: ({"production": ONE, "previous": None}, "promotion", "version 1 was adopted"),
    acts.PROMOTED: ({"from": ONE, "to": TWO}, "promotion", "promoted: version 1 -> version 2"),
    acts.ROLLED_BACK: ({"from": TWO, "to": ONE}, "rollback", "rolled back: version 2 -> version 1"),
    acts.DRILLED: ({"passed": True}, "drill", "a drill passed"),
    acts.WAIVED: (
        {**ONE, "finding": "shift/score", "until": "2026-05-01"},
        "waiver",
        "finding shift/score of version 1, until 2026-05-01",
    ),
    acts.ALIAS_MOVED: (
        {"alias": "production", "got": None, "expected": "1"},
        "meddling",
        "alias production was moved to nothing",
    ),
    acts.VERSION_MISSING: ({"version": "1"}, "meddling", "version 1 is missing"),
    acts.ARTIFACT_CHANGED: (
        {"version": "1", "got": "x", "expected": "y"},
        "meddling",
        "the files of version 1 were changed",
    ),
    watch.CHANGED: (
        {"run": 3, "trigger": "drift", "changes": [{"instance": "psi(score)", "from": "ok", "to": "firing"}]},
        "alarm",
        "trigger drift fires: psi(score)",
    ),
    READINESS_WAIVED: ({"item": 7, "until": "2026-05-01"}, "waiver", "readiness item 7, until 2026-05-01"),
    "document_signed": (
        {"document": "model_card", "until": "2026-05-01"},
        "signature",
        "model_card, until 2026-05-01",
    ),
}


def event(kind: str, details: Mapping[str, Any], at: datetime = BUILT + HOUR) -> dict[str, Any]:
    return {"kind": kind, "details": details, "occurred_at": at, "actor": "os:ada", "event_id": f"{kind}-{at:%H}"}


class TestTheTable:
    @pytest.mark.parametrize("subject", TOUCHES)
    def test_it_names_what_there_is(self, subject: str) -> None:
        touch = TOUCHES[subject]
        assert touch.title
        assert set(touch.evidence) <= {*(item.key for item in ITEMS), "evaluation"}
        assert set(touch.asks) <= set(QUESTIONS)
        assert all(re.fullmatch(CONTROL_ID, control) for control in touch.controls)
        for names in (touch.evidence, touch.documents, touch.controls, touch.asks):
            assert len(set(names)) == len(names)

    def test_each_question_is_asked_by_something(self) -> None:
        assert {key for touch in TOUCHES.values() for key in touch.asks} == set(QUESTIONS)

    def test_each_section_of_a_definition_has_its_own(self) -> None:
        sections = set(Document.__dataclass_fields__) - {"name", "subject"}
        assert {f"definition.{name}" for name in sections} <= set(TOUCHES)

    def test_a_part_that_is_new_touches_what_its_whole_does(self) -> None:
        assert touch_of("site.unheard_of") == TOUCHES["site"]


class TestActs:
    def test_every_kind_that_is_read_is_here(self) -> None:
        assert set(ACTS) == ABOUT_THE_MODEL - {PACKAGED, "site_recorded"}

    @pytest.mark.parametrize("kind", ACTS)
    def test_each_is_a_change_with_who_and_when(self, kind: str) -> None:
        details, subject, told = ACTS[kind]
        (change,) = acts_since([event(kind, details)], BUILT)
        assert (change.subject, change.told) == (subject, told)
        assert (change.by, change.at, change.event) == ("os:ada", BUILT + HOUR, f"{kind}-13")
        assert change.as_dict()["title"] == TOUCHES[subject].title

    @pytest.mark.parametrize("kind", ACTS)
    def test_what_the_package_has_seen_is_none(self, kind: str) -> None:
        assert acts_since([event(kind, ACTS[kind][0], BUILT)], BUILT) == []

    def test_a_drill_that_failed_is_another_subject(self) -> None:
        (change,) = acts_since([event(acts.DRILLED, {"passed": False})], BUILT)
        assert change.subject == "drill failed"

    def test_a_trigger_that_calms_down_is_no_alarm(self) -> None:
        details = {"trigger": "drift", "changes": [{"instance": "psi(score)", "from": "firing", "to": "ok"}]}
        assert acts_since([event(watch.CHANGED, details)], BUILT) == []


class TestThePackage:
    def test_the_last_counts_and_it_speaks_of_its_own_moment(self) -> None:
        early = event(PACKAGED, {"as_of": BUILT.isoformat(), "definition_sha256": "d" * 64}, BUILT + HOUR)
        late = event(PACKAGED, {"as_of": (BUILT + HOUR).isoformat(), "sha256": "e" * 64}, BUILT + 2 * HOUR)
        found = last_package([early, event(acts.DRILLED, {"passed": True}), late])
        assert found is not None
        assert (found.as_of, found.built_at, found.sha256) == (BUILT + HOUR, BUILT + 2 * HOUR, "e" * 64)

    def test_one_that_does_not_say_its_moment_is_of_its_event(self) -> None:
        found = last_package([event(PACKAGED, {})])
        assert found is not None
        assert found.as_of == found.built_at == BUILT + HOUR

    def test_there_may_be_none(self) -> None:
        assert last_package([event(acts.DRILLED, {"passed": True})]) is None


def defined(old: str = "", new: str = "") -> Document:
    text = DEFINITION.replace("MODEL", "m")
    assert old in text
    return parse_document(text.replace(old, new, 1))


class TestTheDefinition:
    @pytest.mark.parametrize(
        ("old", "new", "section"),
        [
            ("threshold: 0.65", "threshold: 0.6", "decision"),
            ("hours:   {type: float, unit: hours, min: 0}", "hours:   {type: float, unit: hours}", "features"),
            ("previous_alias: previous", "previous_alias: former", "model"),
            ("slices: [kind]", "slices: []", "slices"),
            ("quarantine_limit: 0.2", "quarantine_limit: 0.1", "batch"),
            ("orders: silver.orders", "orders: bronze.orders", "population"),
            ("Blair Example", "Casey Example", "people"),
            ("people:\n", "release: {approvals: 1}\npeople:\n", "release"),
            ("people:\n", "review: {due_hours: 5}\npeople:\n", "review"),
            ("people:\n", "monitoring: {reviews: [30]}\npeople:\n", "monitoring"),
            ("people:\n", "ato: {boundary: new}\npeople:\n", "ato"),
            ("Flag open work orders", "Find open work orders", "purpose"),
        ],
    )
    def test_the_section_that_differs_is_told_and_no_other(self, old: str, new: str, section: str) -> None:
        found = definition_changes(defined(), defined(old, new), other_query=False)
        assert [change.subject for change in found] == [f"definition.{section}"]

    def test_another_query_is_another_population(self) -> None:
        (change,) = definition_changes(defined(), defined(), other_query=True)
        assert change.subject == "definition.population"

    def test_a_comment_changes_the_text_alone(self) -> None:
        (change,) = definition_changes(defined(), defined(), other_query=False)
        assert (change.subject, "values do not" in change.told) == ("definition", True)

    def test_a_text_that_is_lost_is_one_change_of_the_whole(self) -> None:
        (change,) = definition_changes(None, defined(), other_query=False)
        assert change.subject == "definition"
        assert "not on record" in change.told


class TestTheSite:
    PARTS: Mapping[str, Any] = {"tool": "fielded 1", "environment": "production", "roles": {"os:ada": ["review"]}}

    def test_the_same_is_no_change(self) -> None:
        assert site_changes(self.PARTS, dict(self.PARTS)) == []
        assert site_changes(None, self.PARTS) == []

    def test_who_gained_and_lost_which_role_is_told(self) -> None:
        roles = {"os:ada": ["release"], "os:ben": ["review"]}
        (change,) = site_changes(self.PARTS, {**self.PARTS, "roles": roles})
        assert (change.subject, change.told) == ("site.roles", "os:ada +release -review; os:ben +review")
        assert {"ac-2", "ac-5", "ac-6"} <= set(change.touch.controls)

    def test_another_version_of_fielded_asks_for_the_supply_chain(self) -> None:
        (change,) = site_changes(self.PARTS, {**self.PARTS, "tool": "fielded 2"})
        assert (change.subject, change.told) == ("fielded", "fielded 1 -> fielded 2")
        assert "supply" in [question.key for question in questions_of([change])]

    def test_a_part_that_came_or_went_is_a_change(self) -> None:
        less = {name: part for name, part in self.PARTS.items() if name != "environment"}
        assert [one.subject for one in site_changes(self.PARTS, less)] == ["site.environment"]
        assert [one.subject for one in site_changes(less, self.PARTS)] == ["site.environment"]


class TestTogether:
    def test_a_question_is_asked_once_with_all_that_raise_it(self) -> None:
        changes = [Change(subject=name, told="x") for name in ("promotion", "rollback", "promotion")]
        found = {question.key: question.raised_by for question in questions_of(changes)}
        assert found["users"] == ("promotion", "rollback")
        assert found["incident"] == ("rollback",)
        assert list(found) == [key for key in QUESTIONS if key in found]

    def test_nothing_asks_nothing(self) -> None:
        assert questions_of([]) == ()
        assert touched([]) == {"evidence": [], "documents": [], "controls": []}

    def test_what_is_touched_is_named_once(self) -> None:
        found = touched([Change(subject="drill", told="x"), Change(subject="rollback", told="x")])
        assert found["documents"] == ["model_card", "provenance", "rai_assessment", "runbook"]
        assert len(set(found["controls"])) == len(found["controls"])

    def test_the_oldest_comes_first_and_what_nobody_recorded_last(self) -> None:
        recorded = put_on_record([Change(subject="site", told="x")], event("site_recorded", {}))
        now = Change(subject="definition", told="y")
        early = Change(subject="drill", told="z", at=BUILT)
        assert in_order([now, *recorded, early]) == (early, *recorded, now)
        assert recorded[0].by == "os:ada"
