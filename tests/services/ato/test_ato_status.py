"""Where an authorization stands, and what was changed since its package: on a real site with all its history."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from command_line import ended
from fielded.decisions.ato.changes import PACKAGED, Change
from fielded.decisions.ato.implementations import IMPLEMENTATIONS
from fielded.decisions.readiness.items import ITEMS
from fielded.services.ato.collect import collect_evidence, evidence_of, kept, standing_of, wanted
from fielded.services.ato.site_parts import record_site, site_parts
from fielded.services.ato.status import changes_since_package, status
from fielded.services.evidence.collect import Bench, on_record, scope_of
from fielded.services.evidence.registry import COLLECTORS
from fielded.services.prepare_scorer import Scorers
from fielded.services.readiness.waive import waive
from fielded.services.release.record import about
from fielded.services.release.rollback import rollback
from fielded.services.seal import seal
from fielded.words.errors import WrongUse
from ready_site import FIRST, SECOND, Ready, built_once, look_at

DAY = timedelta(days=1)
LOOKED_AT = {*(item.key for item in ITEMS), "evaluation"}  # when the site was built


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    return built_once(tmp_path_factory)


@pytest.fixture
def site(pristine: Ready, tmp_path: Path) -> Ready:
    return pristine.copied(tmp_path / "site")


def package(site: Ready, **details: Any) -> datetime:
    """Put on record that a package was built of all there is, as `fielded ato package` does at its end."""
    workplace = site.open()
    record_site(workplace)
    as_of = workplace.clock()
    told = {"as_of": as_of.isoformat(), "definition_sha256": workplace.deployment.sha256, **details}
    workplace.record(PACKAGED, about(workplace), told)
    seal(workplace)
    return as_of


def changes(site: Ready) -> dict[str, list[Change]]:
    """By subject."""
    found: dict[str, list[Change]] = {}
    for one in changes_since_package(site.open())[1]:
        found.setdefault(one.subject, []).append(one)
    return found


class TestChanges:
    def test_without_a_package_there_is_nothing_to_compare_with(self, site: Ready) -> None:
        assert changes_since_package(site.open()) == (None, ())

    def test_what_is_as_it_was_is_no_change(self, site: Ready) -> None:
        as_of = package(site)
        found = status(site.open())
        assert found.package is not None
        assert found.package.as_of == as_of
        assert (found.changes, found.questions) == ((), ())

    def test_the_site_of_the_package_is_that_of_when_it_was_built(self, site: Ready) -> None:
        workplace = site.open()
        record_site(workplace)
        newest = workplace.clock()
        site.replace_in(site.site_file, '"os:reviewer": [review]', '"os:reviewer": [review, release]')
        package(site, as_of=newest.isoformat())
        assert changes(site) == {}, "the package was built after the change, from older evidence"

    def test_weaknesses_are_those_of_a_package_built_now(self, site: Ready) -> None:
        site.replace_in(site.definition_file, "ato:\n", "ato:\n  mend_days: 1\n")
        found = status(site.open())
        assert not found.no_package
        assert any(one.title.startswith("Controls that nobody") for one in found.weaknesses)
        assert not any(told.startswith("weaknesses") for told in found.waits), "seen today"
        later = replace(site.open(), clock=lambda: datetime.now(UTC) + 3 * DAY)
        assert any(told.startswith("weaknesses") for told in status(later).waits)

    def test_a_rollback_is_told_with_who_and_what_it_touches(self, site: Ready) -> None:
        package(site)
        workplace = site.open(FIRST)
        rollback(workplace, Scorers(workplace), "a test of what it touches")
        (change,) = changes(site)["rollback"]
        assert (change.told, change.by) == ("rolled back: version 2 -> version 1", FIRST)
        found = status(site.open())
        assert "incident" in {question.key for question in found.questions}
        of_another = {one.id for one in found.evidence if one.standing == "of another scope"}
        assert of_another >= {"audit-probe", "rollback"}, "what was seen was seen of another model"
        assert any(told.startswith("questions of changes") for told in found.waits)

    def test_a_definition_is_told_by_its_sections(self, site: Ready) -> None:
        package(site)
        site.replace_in(site.definition_file, "threshold: 0.5", "threshold: 0.55")
        site.replace_in(site.definition_file, "Emery Example", "Finley Example")
        found = changes(site)
        assert set(found) == {"definition.decision", "definition.people"}
        assert found["definition.decision"][0].at is None, "nothing was scored by it yet: nobody put it on record"

    def test_a_definition_that_came_and_went_is_told_twice(self, site: Ready) -> None:
        package(site)
        text = site.definition_file.read_text()
        site.replace_in(site.definition_file, "approvals: 2", "approvals: 1")
        workplace = site.open()
        workplace.record("definition_recorded", workplace.deployment.sha256, dict(workplace.deployment.texts))
        site.definition_file.write_text(text)
        told = changes(site)["definition.release"]
        assert [change.at is None for change in told] == [False, True]

    def test_another_query_is_another_population(self, site: Ready) -> None:
        package(site)
        site.replace_in(site.folder / "population.py", "_.opened_on <= as_of", "_.opened_on < as_of")
        assert set(changes(site)) == {"definition.population"}

    def test_roles_are_told_by_identity_before_and_after_they_are_on_record(self, site: Ready) -> None:
        package(site)
        site.replace_in(site.site_file, '"os:reviewer": [review]', '"os:reviewer": [review, release]')
        (change,) = changes(site)["site.roles"]
        assert (change.told, change.at) == ("os:reviewer +release", None)
        assert record_site(site.open(SECOND))
        assert not record_site(site.open(SECOND)), "once"
        (change,) = changes(site)["site.roles"]
        assert (change.told, change.by) == ("os:reviewer +release", SECOND)
        assert change.at is not None

    @pytest.mark.parametrize(
        ("old", "new", "subject"),
        [
            ("environment: development", "environment: development\napi: {workers: 2}", "site.api"),
            ("file:secrets/token", "env:ANOTHER_TOKEN", "site.identity"),
            ("system: Overrun", "system: Another", "site.authorization"),
            ("sqlite:///journal", "sqlite:///another", "site.storage"),
            ("file:keys/seal.pem", "file:keys/another.pem", "site.keys"),
            (
                "roles:\n",
                "notify: {mail: {host: localhost, from: a@example.mil}}\nroles:\n",
                "site.watching",
            ),
        ],
    )
    def test_a_part_of_the_site_is_told_by_its_name(self, site: Ready, old: str, new: str, subject: str) -> None:
        package(site)
        site.replace_in(site.site_file, old, new)
        found = changes(site)
        assert set(found) == {subject}

    def test_parts_hold_no_place_and_no_secret(self, site: Ready) -> None:
        postgres = replace(site.site(), journal_url="postgresql://someone:hunter22@db.example/journal")
        another = replace(postgres, journal_url="postgresql://someone:hunter23@db.example/journal")
        parts = site_parts(postgres)
        assert parts == site_parts(another), "not even a digest of a password"
        told = json.dumps(parts)
        assert not any(word in told for word in ("hunter", "example/journal", str(site.base)))

    def test_a_waiver_is_told(self, site: Ready) -> None:
        package(site)
        site.replace_in(site.folder / "runbook.yaml", "fielded rollback", "fielded roll back")
        assert look_at(site, "rollback")["rollback"].state == "failed"
        until = datetime.now(UTC).date() + 5 * DAY
        waive(site.open(SECOND), 11, "it is written anew until Friday", until)
        (change,) = changes(site)["waiver"]
        assert change.told == f"readiness item 11, until {until}"

    def test_the_version_of_fielded_is_told(self, site: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
        package(site)
        for module in ("ato.site_parts", "ato.collect"):
            monkeypatch.setattr(f"fielded.services.{module}.tool", lambda: "fielded 99")
        (change,) = changes(site)["fielded"]
        assert change.told.endswith("-> fielded 99")
        standing = {one.standing for one in kept(site.open()) if one.evidence is not None}
        assert standing == {"by another version"}


class TestEvidence:
    def test_all_that_is_collected_stands(self, site: Ready) -> None:
        found = {one.id: one for one in kept(site.open())}
        assert set(found) >= set(COLLECTORS)
        assert {found[one].standing for one in LOOKED_AT} == {"current"}
        assert {one.standing for one in found.values() if one.id not in LOOKED_AT} == {"never collected"}
        assert set(wanted(site.open())) == set(COLLECTORS) - LOOKED_AT

    def test_it_ends_soon_and_then_is_over(self, site: Ready) -> None:
        evidence = on_record(site.open())["audit-probe"]
        scope, at = scope_of(site.open()), evidence.at
        assert standing_of(evidence, scope, at) == "current", "a week's evidence is not told of from its first day"
        assert standing_of(evidence, scope, at + 8 * DAY) == "over"
        long = replace(evidence, valid_until=at + 100 * DAY)
        assert standing_of(long, scope, at + 69 * DAY) == "current"
        assert standing_of(long, scope, at + 71 * DAY) == "ends soon"
        assert standing_of(long, scope, at + 101 * DAY) == "over"
        assert standing_of(replace(long, valid_until=None), scope, at + 1000 * DAY) == "current"

    @pytest.mark.parametrize("key", ["deployment", "definition_sha256", "artifact_sha256"])
    def test_of_another_scope_it_does_not_stand(self, site: Ready, key: str) -> None:
        evidence = on_record(site.open())["rollback"]
        scope: Mapping[str, str] = {**scope_of(site.open()), key: "another"}
        assert standing_of(evidence, scope, evidence.at) == "of another scope"

    def test_what_does_not_stand_is_collected_and_nothing_else(self, site: Ready) -> None:
        site.replace_in(site.folder / "runbook.yaml", "fielded rollback", "fielded roll back")
        look_at(site, "rollback")
        assert LOOKED_AT & set(wanted(site.open())) == {"rollback"}
        site.replace_in(site.folder / "runbook.yaml", "fielded roll back", "fielded rollback")
        (made,) = collect_evidence(Bench(site.open()), ("rollback",))
        assert (made.id, made.holds) == ("rollback", True)
        assert not LOOKED_AT & set(wanted(site.open()))

    def test_what_is_written_from_other_evidence_comes_after_it(self, site: Ready) -> None:
        order = wanted(site.open(), ("model-card", "kickoff", "rai-assessment", "threshold"))
        assert order == ("kickoff", "threshold", "model-card", "rai-assessment")

    def test_a_control_is_shown_by_its_evidence(self, site: Ready) -> None:
        assert "audit-probe" in evidence_of("AU-9")
        assert set(wanted(site.open(), controls=("cp-10",))) == set(evidence_of("cp-10")) >= {"rollback"}
        assert all(evidence_of(control) for control in IMPLEMENTATIONS)
        assert wanted(site.open(), every=True)[0] in COLLECTORS
        assert set(wanted(site.open(), every=True)) == set(COLLECTORS)
        with pytest.raises(WrongUse, match="expected one of which evidence is collected here"):
            evidence_of("pe-99")
        with pytest.raises(WrongUse, match="expected one of: "):
            wanted(site.open(), ("no-such-evidence",))


class TestTheCommands:
    def test_status_says_what_waits(
        self, site: Ready, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def call(*arguments: str) -> tuple[int, str, str]:
            place = ("-d", str(site.folder), "--site", str(site.site_file))
            return ended(monkeypatch, capsys, "ato", *arguments, *place, by="os:collector")

        code, said, _ = call("status", "--json")
        told = json.loads(said)
        assert code == (1 if told["waits"] else 0)
        assert {one["id"] for one in told["evidence"]} >= set(COLLECTORS)
        assert told["package"] is None
        package(site)
        site.replace_in(site.site_file, '"os:reviewer": [review]', '"os:reviewer": [review, release]')
        code, said, _ = call("status")
        assert code == 1
        assert "os:reviewer +release" in said
        assert "Is it a significant change? To be answered by people:" in said
        code, said, _ = call("collect", "--evidence", "kickoff", "--json")
        assert code == 0, said
        assert [one["id"] for one in json.loads(said)] == ["kickoff"]
        (site.folder / "runbook.yaml").unlink()
        code, said, _ = call("collect", "--evidence", "rollback")
        assert code == 1
        assert "rollback: failed: the runbook is there" in said
        code, said, _ = call("status")
        assert "Weaknesses are not known" in said, "a package needs the file too"
