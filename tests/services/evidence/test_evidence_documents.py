"""Items 2 and 3 on a real ledger and registry: what is written, what stands behind it, and who signed for what."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

import papers
from conftest import DEFINITION, Spare, Store, Ticking, World
from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.definition import Site
from fielded.definition.prose import PARTS, PRINCIPLES
from fielded.services.approve import approve
from fielded.services.evidence import model_card, rai_assessment
from fielded.services.evidence.collect import Bench, collect, put_on_record, scope_of
from fielded.services.release.adopt import adopt
from fielded.services.release.promote import promote
from fielded.services.release.sign import Meant, SignedDocument, begin, nearest, sign, signatures
from fielded.words.digests import file_sha256
from fielded.words.errors import WrongUse
from fielded.world.workplace import Workplace
from releases import another_version, ready

ATO = """\
ato:
  documents: {model_card: model_card.yaml, rai_assessment: rai_assessment.yaml}
release:
  holdout: {table: silver.holdout, label: overran}
monitoring:
  triggers:
    - {id: score-drift, metric: psi(score), when: "> 0.20", then: [open_retraining_request, notify_owner]}
"""
SIGNER = "os:casey"
TODAY = date(2026, 3, 2)
UNTIL = date(2026, 12, 31)


def passages(document: str, parts: Sequence[str], text: str = "Nobody is scored by it.") -> str:
    lines = [f"document: {document}", "sections:"]
    for part in parts:
        lines += [f"  {part}:", f"    - {{text: {text!r}, author: Casey Example, date: 2026-02-27}}"]
    return "\n".join(lines) + "\n"


CARD = passages("model_card", PARTS["model_card"])
RAI = passages("rai_assessment", [f"{principle}_map" for principle in PRINCIPLES])


def written_down(world: World) -> None:
    """Version 2 in production, both documents written, evidence of everything else on record."""
    world.define(DEFINITION + ATO)
    write(world, "model_card", CARD)
    write(world, "rai_assessment", RAI)
    adopt(world.open("os:author"))
    evidence(world)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, store: Store, logged: str) -> World:
    """A site that nobody changes: every test has a copy of its ledger and its folder."""
    base = tmp_path_factory.mktemp("documents")
    (base / "deployment").mkdir()
    site = Site(
        root=str(base / "tables"), tracking_uri=store.uri, artifact_root=str(store.artifacts),
        cache=base / "cache", journal_url=f"sqlite:///{base / 'journal'}",
        signing_key=f"file:{base / 'keys' / 'seal.pem'}",
    )  # fmt: skip
    made = World(base / "deployment", site, store, logged)
    made.define()
    for version in ("1", "2"):
        approve(made.open(), version)
    written_down(made)
    return made


@pytest.fixture
def site(first: World, tmp_path: Path) -> World:
    """A copy of the site; its model is shared, and stays as it is."""
    shutil.copytree(first.folder, tmp_path / "deployment")
    shutil.copytree(first.site.root, tmp_path / "tables")
    return replace(first, folder=tmp_path / "deployment", site=replace(first.site, root=str(tmp_path / "tables")))


@pytest.fixture
def moving(spare: Spare) -> Spare:
    """A site whose model is its own: another version may be promoted."""
    written_down(spare)
    return spare


def write(site: World, name: str, text: str) -> None:
    (site.folder / f"{name}.yaml").write_text(text)


def evidence(site: World, *others: Evidence, without: str = "", at: datetime | None = None) -> None:
    """All that the documents are made from, put on record about what is in production."""
    workplace = site.open()
    scope, moment = scope_of(workplace), at or workplace.clock()
    known = {
        key: papers.found(key, scope=scope, at=moment)
        for key in papers.FACTS if key not in ("rai-assessment", without)
    }  # fmt: skip
    known |= {one.id: replace(one, scope=scope, at=moment) for one in others}
    put_on_record(workplace, known.values())


def later(site: World, days: int, user: str = SIGNER) -> Workplace:
    return replace(site.open(user), clock=Ticking(papers.AS_OF + timedelta(days=days)))


def stand_for(site: World, *names: str, by: str = SIGNER, until: date = UNTIL) -> None:
    for name in names or ("model_card", "rai_assessment"):
        sign(site.open(by), name, site.folder / f"{name}.yaml", until)


def begun(site: World, days: int = 60, by: str = SIGNER) -> None:
    begin(site.open(by), "rai_assessment", site.folder / "rai_assessment.yaml", TODAY + timedelta(days=days))


def of_card(workplace: Workplace) -> Evidence:
    return collect(Bench(workplace), model_card.COLLECTOR, "fielded ready --item 2")


def of_assessment(workplace: Workplace) -> Evidence:
    return collect(Bench(workplace), rai_assessment.COLLECTOR, "fielded ready --item 3")


def failing(found: Evidence) -> dict[str, Check]:
    return {check.name: check for check in found.checks if check.outcome != "held"}


class TestModelCard:
    def test_written_evidenced_and_signed_it_is_complete(self, site: World) -> None:
        stand_for(site)
        found = of_card(site.open())
        assert found.outcome == "satisfied", failing(found)
        assert found.facts["signature"]["by"] == SIGNER
        assert found.facts["signature"]["version"] == "2"
        assert found.facts["sentences"]["not_evidenced"] == 0
        assert found.facts["passages"] == 9

    def test_without_a_signature_it_is_not(self, site: World) -> None:
        found = of_card(site.open())
        assert found.outcome == "not satisfied"
        assert "fielded release sign model_card model_card.yaml" in failing(found)["somebody stands for it"].step

    @pytest.mark.parametrize("part", model_card.WRITTEN)
    def test_what_no_machine_knows_has_to_be_written(self, site: World, part: str) -> None:
        write(site, "model_card", passages("model_card", [one for one in PARTS["model_card"] if one != part]))
        stand_for(site)
        assert part in failing(of_card(site.open()))["people wrote what no machine can know"].got

    @pytest.mark.parametrize(
        ("old", "new", "check"),
        [
            ("Nobody is scored by it.", "Bias was considered.", "no words of intent without a number beside them"),
            ("2026-02-27", "2026-03-03", "no passage is dated to come"),
            ("author: Casey Example, ", "", "its file can be read"),
            ("Casey Example", "The Example Team", "its file can be read"),
            ("  fairness:", "  fairnes:", "its file can be read"),
        ],
    )
    def test_what_is_wrong_in_the_file_is_found(self, site: World, old: str, new: str, check: str) -> None:
        write(site, "model_card", CARD.replace(old, new, 1))
        stand_for(site)
        assert check in failing(of_card(site.open()))

    def test_a_file_that_is_gone_is_found(self, site: World) -> None:
        stand_for(site)
        (site.folder / "model_card.yaml").unlink()
        found = failing(of_card(site.open()))
        assert "its file can be read" in found
        assert "the signature is of these bytes" in found

    def test_one_more_word_takes_the_signature_away(self, site: World) -> None:
        stand_for(site)
        write(site, "model_card", CARD.replace("Nobody is", "Nobody at all is", 1))
        assert list(failing(of_card(site.open()))) == ["the signature is of these bytes"]

    def test_without_the_evaluation_it_has_sentences_without_evidence(self, site: World) -> None:
        evidence(site, papers.found("evaluation", "not checked"))
        stand_for(site, "model_card")
        lacking = failing(of_card(site.open()))["no sentence is without evidence"]
        assert "evaluation: could not be checked" in lacking.got

    @pytest.mark.parametrize(
        ("key", "outcome"),
        [("rollback", "failed"), ("monitoring-owner", "failed"), ("retraining-trigger", "not checked"),
         ("training-data", "not checked")],
    )  # fmt: skip
    def test_what_is_wrong_with_another_item_is_that_items(self, site: World, key: str, outcome: str) -> None:
        evidence(site, papers.found(key, outcome, facts={}))  # type: ignore[arg-type]
        stand_for(site)
        found = of_card(site.open())
        assert found.outcome == "satisfied", failing(found)
        assert found.facts["sentences"]["not_evidenced"] > 0

    def test_a_signature_that_is_over_does_not_count(self, site: World) -> None:
        stand_for(site, until=TODAY)
        found = of_card(later(site, 1))
        assert "the signature is not over" in failing(found)

    def test_another_definition_is_another_context(self, site: World) -> None:
        stand_for(site)
        site.define((DEFINITION + ATO).replace("threshold: 0.65", "threshold: 0.66"))
        evidence(site)
        model = failing(of_card(site.open()))["the signature is for this model"]
        assert model.got == "the definition changed since"


class TestSigningForAVersion:
    def test_another_version_is_another_model(self, moving: Spare) -> None:
        stand_for(moving)
        begun(moving)
        version = another_version(moving)
        ready(moving, version)
        signed = sign(moving.open(SIGNER), "model_card", moving.folder / "model_card.yaml", UNTIL)
        assert signed.meant.version == version
        assert of_card(moving.open()).outcome == "satisfied"  # the signature for production stays

        promote(*moving.scorers(), version)
        evidence(moving)
        assert of_card(moving.open()).outcome == "satisfied"  # signed while it was a candidate
        assessment = of_assessment(moving.open())
        assert "the model's files" in failing(assessment)["the signature is for this model"].got
        assert assessment.facts["state"] == "not done"  # work for other files does not count

        stand_for(moving, "rai_assessment", by="os:author")
        told = failing(of_assessment(moving.open()))
        assert "who proposed the version" in told["somebody stands for it"].got
        stand_for(moving, "rai_assessment")
        assert of_assessment(moving.open()).outcome == "attested"
        stand_for(moving, "rai_assessment", by="os:author")  # somebody else stands for it already
        assert of_assessment(moving.open()).outcome == "attested"


class TestAssessment:
    def test_signed_for_what_is_in_production_it_is_done_and_attested(self, site: World) -> None:
        stand_for(site)
        found = of_assessment(site.open())
        assert found.outcome == "attested", failing(found)
        assert found.attested_by == SIGNER
        assert found.facts["state"] == "done"
        assert found.facts["until"] == UNTIL.isoformat()

    def test_unsigned_it_is_not_done(self, site: World) -> None:
        found = of_assessment(site.open())
        assert found.outcome == "not satisfied"
        assert found.facts["state"] == "not done"

    def test_it_is_over_after_twelve_months_whatever_the_signature_says(self, site: World) -> None:
        stand_for(site, until=date(2030, 1, 1))
        assert of_assessment(site.open()).facts["until"] == "2027-03-02"
        last, over = later(site, 365), later(site, 366)
        assert "it is not older than its term" not in failing(of_assessment(last))
        assert "it is not older than its term" in failing(of_assessment(over))

    def test_a_principle_that_nobody_wrote_under_is_found(self, site: World) -> None:
        write(site, "rai_assessment", passages("rai_assessment", [f"{one}_map" for one in PRINCIPLES[:-1]]))
        stand_for(site)
        assert "not governable" in failing(of_assessment(site.open()))["people wrote under each principle"].got

    def test_a_production_site_knows_its_approver(self, site: World) -> None:
        stand_for(site)
        workplace = site.open()
        found = of_assessment(replace(workplace, site=replace(workplace.site, environment="production")))
        assert "its approver said so" in failing(found)

    @pytest.mark.parametrize(("identity", "holds"), [(SIGNER, True), ("os:ada", False)])
    def test_only_the_approvers_own_identities_count(self, site: World, identity: str, holds: bool) -> None:
        stand_for(site)
        workplace = site.open()
        persons = {"alex.example@example.mil": (identity,)}
        named = replace(workplace.site, authorization=replace(workplace.site.authorization, persons=persons))
        found = of_assessment(replace(workplace, site=named))
        assert ("its approver said so" not in failing(found)) == holds


class TestInProgress:
    def test_with_its_approver_it_counts_until_the_day_that_was_named(self, site: World) -> None:
        begun(site)
        found = of_assessment(site.open())
        assert found.outcome == "attested", failing(found)
        assert found.facts["state"] == "in progress"
        assert of_assessment(later(site, 60)).outcome == "attested"
        assert "the work on it is in time" in failing(of_assessment(later(site, 61)))

    def test_beginning_again_gains_no_time(self, site: World) -> None:
        begun(site)
        begin(later(site, 60), "rai_assessment", site.folder / "rai_assessment.yaml", TODAY + timedelta(days=150))
        assert of_assessment(later(site, 90)).facts["until"] == "2026-05-31"
        assert of_assessment(later(site, 90)).outcome == "attested"
        assert of_assessment(later(site, 91)).outcome == "not satisfied"

    def test_an_empty_file_is_not_begun(self, site: World) -> None:
        write(site, "rai_assessment", "document: rai_assessment\nsections: {}\n")
        begun(site)
        assert "somebody has begun to write" in failing(of_assessment(site.open()))

    def test_somebody_elses_word_is_not_the_approvers(self, site: World) -> None:
        begun(site, by="os:ada")
        workplace = site.open()
        persons = {"alex.example@example.mil": (SIGNER,)}
        named = replace(workplace.site, authorization=replace(workplace.site.authorization, persons=persons))
        assert "its approver said so" in failing(of_assessment(replace(workplace, site=named)))


class TestSignatures:
    def test_a_version_that_is_neither_proposed_nor_in_production_is_refused(self, site: World) -> None:
        with pytest.raises(WrongUse, match="got 7, expected one that is proposed or in production: 2"):
            sign(site.open(SIGNER), "model_card", site.folder / "model_card.yaml", UNTIL, version="7")

    def test_only_a_document_that_the_definition_asks_for_is_signed(self, site: World) -> None:
        with pytest.raises(WrongUse, match="asks for: model_card, rai_assessment"):
            sign(site.open(SIGNER), "poem", site.folder / "model_card.yaml", UNTIL)

    def test_work_is_not_put_on_record_for_longer_than_it_counts(self, site: World) -> None:
        with pytest.raises(WrongUse, match="2026-05-31 at the latest"):
            begun(site, days=91)

    def test_the_ledger_keeps_what_was_signed_for(self, site: World) -> None:
        stand_for(site, "model_card")
        (event,) = site.open().ledger.events_of("document_signed")
        workplace = site.open()
        assert event["details"]["version"] == "2"
        assert event["details"]["definition_sha256"] == workplace.deployment.sha256
        assert event["details"]["artifact_sha256"] == scope_of(workplace)["artifact_sha256"]
        (read,) = signatures(workplace, "model_card")
        assert read.as_dict()["by"] == SIGNER

    def test_a_signature_from_before_they_named_a_version_is_read_and_is_for_no_model(self, site: World) -> None:
        old = {
            "document": "model_card",
            "sha256": file_sha256(site.folder / "model_card.yaml"),
            "until": str(UNTIL),
        }
        workplace = site.open(SIGNER)
        workplace.record("document_signed", "model shared", old)
        told = failing(of_card(site.open()))
        assert list(told) == ["the signature is for this model"]

    def test_what_changed_is_told_in_words(self) -> None:
        was = Meant(version="1", artifact_sha256="a", training_sha256="t", definition_sha256="d")
        assert was.changed_since(replace(was, version="2")) == []
        assert was.changed_since(replace(was, artifact_sha256="b")) == ["the model's files"]
        assert was.changed_since(replace(was, training_sha256="u", definition_sha256="e")) == [
            "the training data", "the definition",
        ]  # fmt: skip
        assert was.changed_since(replace(was, training_sha256="")) == []

    def test_of_several_the_one_that_comes_nearest_counts_and_of_those_the_last(self) -> None:
        now = Meant(artifact_sha256="a", training_sha256="t", definition_sha256="d")

        def one(by: str, meant: Meant = now, sha256: str = "f") -> SignedDocument:
            return SignedDocument("model_card", sha256, by, UNTIL, papers.AS_OF, meant)

        other = replace(now, artifact_sha256="b")
        assert nearest([], "f", now) is None
        assert nearest([one("ada"), one("ben", other)], "f", now) == one("ada")
        assert nearest([one("ada"), one("ben"), one("cyd", sha256="g")], "f", now) == one("ben")
        assert nearest([one("ada"), one("ben")], "f", now, not_by="ben") == one("ada")
        assert nearest([one("ada", other), one("ben")], "f", now, not_by="ben") == one("ben")
