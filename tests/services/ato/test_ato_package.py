"""The package of a real site: the same bytes again, every sentence made anew, and every kind of meddling told."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from command_line import ended
from fielded.decisions.assurance.statements import Reference, Said, has_number
from fielded.doors.serving.probing import open_door
from fielded.services.ato.archive import ENDING, archive_of, read_archive, signature_of
from fielded.services.ato.assurance import assemble
from fielded.services.ato.collect import collect_evidence, wanted
from fielded.services.ato.diff import diff
from fielded.services.ato.package import MANIFEST, Built, build
from fielded.services.ato.verify import Verified, open_package, verify
from fielded.services.documents.values import with_reckoned
from fielded.services.evidence.collect import Bench
from fielded.standalone import verify_package as standalone
from fielded.words.errors import Finding, Refused
from fielded.world.key_files import make_key
from fielded.world.keys import FileSigner, PublicKey, open_signer, trusted_keys
from oscal_schemas import wheel
from ready_site import HOLDOUT, Ready, built_once, look_at, work_orders

import pyarrow as pa  # isort: skip

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """The ready site with all of its evidence on record: that of the items, and that of the controls."""
    made = built_once(tmp_path_factory).copied(tmp_path_factory.mktemp("packaged") / "site")
    collect(made)
    return made


@pytest.fixture(scope="module")
def built(site: Ready, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(site.open(), tmp_path_factory.mktemp("package"))


def collect(made: Ready, *ids: str) -> None:
    workplace = made.open()
    with open_door(workplace) as door:
        bench = Bench(workplace, door, open_door, made.site_file)
        collect_evidence(bench, wanted(workplace, ids, (), every=False))


def keys(site: Ready) -> tuple[PublicKey, ...]:
    return trusted_keys(site.site())


def looked(site: Ready, path: Path, schemas: Path | None = None, days: float = 0) -> Verified:
    return verify(path, keys(site), datetime.now(UTC) + timedelta(days=days), schemas)


def test_it_holds_and_says_what_it_looked_at(site: Ready, built: Built) -> None:
    found = looked(site, built.path)
    assert found.findings == ()
    assert found.holds
    assert found.key_id == open_signer(site.site()).key_id
    assert found.counts["sentences"] > 500
    assert found.counts["files"] == len(built.manifest["files"]) + 1


def test_nist_s_schemas_take_its_oscal(site: Ready, built: Built) -> None:
    found = looked(site, built.path, wheel())
    assert found.findings == ()
    assert found.unchecked == ()


def test_the_same_inputs_have_the_same_bytes(site: Ready, built: Built, tmp_path: Path) -> None:
    """That it was built is an event; a later package does not rest on it. Nor on where, when and by whom."""
    again = build(site.open("os:somebody"), tmp_path)
    assert again.sha256 == built.sha256
    assert again.path.name == built.path.name
    assert again.path.read_bytes() == built.path.read_bytes()


def test_evidence_that_is_collected_again_is_another_package(site: Ready, built: Built, tmp_path: Path) -> None:
    copy = site.copied(tmp_path / "site")
    look_at(copy, "release-reviews")
    again = build(copy.open(), tmp_path / "package")
    assert again.sha256 != built.sha256
    compared = diff(open_package(built.path), open_package(again.path))
    assert compared.collected_again >= 1
    assert not [one for one in compared.differences if one.kind in ("evidence", "control")]


def test_without_evidence_there_is_no_package(tmp_path: Path, site: Ready) -> None:
    copy = site.copied(tmp_path / "site")
    shutil.rmtree(copy.base / "tables" / "ledger" / copy.deployment().name / "events")
    with pytest.raises(Refused, match="no evidence on record"):
        build(copy.open(), tmp_path / "package")


# Numbers


def sentences(site: Ready) -> Iterator[Said]:
    assurance = assemble(site.open()).assurance
    for document in assurance.documents.values():
        yield from document.sentences()
    for record in assurance.controls:
        yield from record.said


def moved(value: Any) -> Any:
    """The same values with every number and every text with a number in it another."""
    if isinstance(value, Mapping):
        return {key: moved(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [moved(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return value + 7919
    return re.sub(r"\d", lambda digit: str((int(digit[0]) + 3) % 10), value)


def test_no_number_is_typed_by_hand(site: Ready) -> None:
    """All sources are moved; every sentence with a number in it becomes another one."""
    from fielded.decisions.assurance.statements import Sources  # noqa: PLC0415 - beside its use

    assurance = assemble(site.open()).assurance
    documents = {**assurance.plain, **{key: one.as_dict() for key, one in assurance.evidence.items()}}
    whole = with_reckoned(Sources(documents=documents))
    other = Sources(documents={key: moved(values) for key, values in whole.documents.items()})
    numbered = [one for one in sentences(site) if one.state == "evidenced" and has_number(one.text)]
    assert len(numbered) > 300
    for one in numbered:
        assert one.statement is not None
        assert other.say(one.statement).text != one.text


def test_numbers_follow_the_data(site: Ready, built: Built, tmp_path: Path) -> None:
    """Another hold-out, another card: the sentences on performance, and no others but those that count checks."""
    copy = site.copied(tmp_path / "site")
    copy.write(HOLDOUT, pa.Table.from_pandas(work_orders(1500, 903), preserve_index=False))
    look_at(copy, "threshold")
    collect(copy, "evaluation")
    again = open_package(build(copy.open(), tmp_path / "package").path)
    card = "documents/model_card.json"
    was, now = (numbers(package.json(card), "evaluation") for package in (open_package(built.path), again))
    assert was
    assert was.keys() == now.keys()
    changed = [key for key in was if was[key] != now[key]]
    assert len(changed) > len(was) / 2
    rest = [
        (a, b) for a, b in zip(*(others(one.json(card)) for one in (open_package(built.path), again)), strict=True)
    ]
    assert all(a == b for a, b in rest)


def numbers(document: Any, source: str) -> dict[str, str]:
    """Sentences that take a number from a source, by template and places."""
    found = {}
    for one in said_in(document):
        if any(Reference.parse(text).source == source for text in one["references"].values()):
            found[json.dumps([one["template"], one["references"]], sort_keys=True)] = one["text"]
    return found


def others(document: Any) -> list[str]:
    """Texts that neither the evaluation nor the threshold nor a count stands behind."""
    moving = {"evaluation", "threshold", "reckoned", "package"}
    return [one["text"] for one in said_in(document) if not moving & set(one["cites"])]


def said_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "template" in value and "cites" in value:
            yield value
        else:
            for item in value.values():
                yield from said_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from said_in(item)


# Meddling


def meddled(
    built: Built, folder: Path, change: Callable[[dict[str, bytes]], None], *, site: Ready, listed: bool = True
) -> Path:
    """The package after somebody changed files, made the manifest fit, and had the site's key sign it again."""
    files = read_archive(built.path)
    change(files)
    if listed:
        manifest = json.loads(files.pop(MANIFEST))
        manifest["files"] = {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            for name, content in files.items()
        }
        for key in manifest["evidence"]:
            manifest["evidence"][key] = {**manifest["evidence"][key], **_said_of(files, key)}
        files[MANIFEST] = json.dumps(manifest).encode()
    path = folder / built.path.name
    path.write_bytes(archive_of(files))
    path.with_name(path.name + ENDING).write_bytes(signature_of(path.read_bytes(), open_signer(site.site())))
    return path


def _said_of(files: Mapping[str, bytes], key: str) -> dict[str, str]:
    from fielded.decisions.assurance.evidence import Evidence  # noqa: PLC0415 - beside its use

    if f"evidence/{key}.json" not in files:
        return {}
    one = Evidence.read(json.loads(files[f"evidence/{key}.json"]))
    return {"sha256": one.sha256, "outcome": one.outcome}


def in_json(name: str, change: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    def apply(files: dict[str, bytes]) -> None:
        values = json.loads(files[name])
        change(values)
        files[name] = json.dumps(values, indent=1, ensure_ascii=False).encode()

    return apply


def fields(findings: tuple[Finding, ...]) -> set[str]:
    return {one.field.partition("#")[0] for one in findings}


def another_text(values: Any) -> None:
    said = next(one for one in said_in(values) if one["state"] == "evidenced" and re.search(r"\d", one["text"]))
    said["text"] = re.sub(r"\d", "9", said["text"], count=1) + "9"


def a_number_by_hand(values: Any) -> None:
    said = next(one for one in said_in(values) if one["state"] == "evidenced")
    said["template"] = said["text"] = "All 100 checks held."
    said["references"] = {}


def nobody_s(values: Any) -> None:
    said = next(one for one in said_in(values) if one["state"] == "evidenced")
    said.update(template="", references={}, rests_on=[], state="attested", text="All is well.")


def written_outcome(values: Any) -> None:
    values["outcome"] = "attested"


def a_better_fact(values: Any) -> None:
    values["facts"]["overall"]["auc"]["value"] = 0.999


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (in_json("documents/model_card.json", another_text), "documents/model_card.json"),
        (in_json("documents/model_card.json", a_number_by_hand), "documents/model_card.json"),
        (in_json("documents/model_card.json", nobody_s), "documents/model_card.json"),
        (in_json("controls.json", another_text), "controls.json"),
        (in_json("cover.json", another_text), "cover.json"),
        (in_json("evidence/evaluation.json", a_better_fact), "documents/model_card.json"),
        (in_json("evidence/evaluation.json", written_outcome), "evidence/evaluation.json"),
        (lambda files: files.pop("evidence/evaluation.json"), "evidence/evaluation.json"),
    ],
    ids=["text", "number", "nobody", "control", "cover", "fact", "outcome", "evidence gone"],
)
def test_whoever_has_the_key_cannot_have_a_sentence_say_something_else(
    site: Ready, built: Built, tmp_path: Path, change: Callable[[dict[str, bytes]], None], told: str
) -> None:
    path = meddled(built, tmp_path, change, site=site)
    found = looked(site, path)
    assert not found.holds
    assert told in fields(found.findings), found.findings


@pytest.mark.parametrize("ending", ["html", "docx"])
def test_page_and_word_file_have_the_sentences_of_their_record(
    site: Ready, built: Built, tmp_path: Path, ending: str
) -> None:
    def other(files: dict[str, bytes]) -> None:
        files[f"documents/model_card.{ending}"] = files[f"documents/runbook.{ending}"]

    found = looked(site, meddled(built, tmp_path, other, site=site))
    assert f"documents/model_card.{ending}" in fields(found.findings)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda files: files.update({"evidence/threshold.json": b"{}"}), "evidence/threshold.json"),
        (lambda files: files.update({"extra.txt": b"more"}), "extra.txt"),
        (lambda files: files.pop("controls.xlsx"), "controls.xlsx"),
    ],
    ids=["changed", "added", "gone"],
)
def test_a_file_that_is_not_what_the_manifest_says_is_told(
    site: Ready, built: Built, tmp_path: Path, change: Callable[[dict[str, bytes]], None], told: str
) -> None:
    path = meddled(built, tmp_path, change, site=site, listed=False)
    assert told in fields(looked(site, path).findings)
    done = subprocess.run(
        [sys.executable, standalone.__file__, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"WRONG {told}" in done.stdout or "threshold" in done.stdout


def test_a_component_that_is_nowhere_is_told(site: Ready, built: Built, tmp_path: Path) -> None:
    def elsewhere(plan: Any) -> None:
        text = json.dumps(plan)
        uuid = re.search(r'"component-uuid": "([0-9a-f-]{36})"', text)
        assert uuid is not None
        plan.clear()
        plan.update(
            json.loads(
                text.replace(
                    f'"component-uuid": "{uuid[1]}"', '"component-uuid": "0f0e1d2c-3b4a-4596-8778-695a4b3c2d1e"', 1
                )
            )
        )

    files = read_archive(built.path)
    name = next(one for one in files if one.startswith("oscal/") and b"system-security-plan" in files[one][:400])
    found = looked(site, meddled(built, tmp_path, in_json(name, elsewhere), site=site))
    assert any("0f0e1d2c" in str(one) for one in found.findings), found.findings


def test_an_assessment_that_nobody_made_is_told(site: Ready, built: Built, tmp_path: Path) -> None:
    def assessed(values: Any) -> None:
        root = next(iter(values.values()))
        party = root["metadata"]["parties"][0]["uuid"]
        root["metadata"].setdefault("responsible-parties", []).append(
            {"role-id": "assessor", "party-uuids": [party]}
        )

    files = read_archive(built.path)
    name = next(one for one in files if one.startswith("oscal/") and b"assessment-results" in files[one][:400])
    found = looked(site, meddled(built, tmp_path, in_json(name, assessed), site=site))
    assert any("an assessor" in str(one) for one in found.findings)


def test_another_key_s_signature_is_not_believed(site: Ready, built: Built, tmp_path: Path) -> None:
    path = tmp_path / built.path.name
    shutil.copy(built.path, path)
    make_key(tmp_path / "other.pem")
    other = FileSigner(tmp_path / "other.pem", development=True)
    path.with_name(path.name + ENDING).write_bytes(signature_of(path.read_bytes(), other))
    found = looked(site, path)
    assert not found.holds
    assert found.key_id == ""
    assert verify(path, (other.public_key,), datetime.now(UTC)).holds, "for who trusts that key it is signed"
    path.with_name(path.name + ENDING).unlink()
    assert "no such file" in str(looked(site, path).findings[0])


def test_a_signature_that_nobody_could_check_is_no_pass(built: Built) -> None:
    found = verify(built.path, (), datetime.now(UTC))
    assert found.findings == ()
    assert not found.holds
    assert any("no trusted key" in text for text in found.unchecked)


def test_evidence_whose_time_is_over_when_it_is_read_is_told(site: Ready, built: Built) -> None:
    found = looked(site, built.path, days=8)
    assert not found.holds
    assert {"evidence/rollback.json", "evidence/audit-probe.json"} <= fields(found.findings)
    assert "evidence/kickoff.json" not in fields(found.findings)


def test_a_package_older_than_the_definition_lets_evidence_be_says_so_itself(site: Ready, tmp_path: Path) -> None:
    """Collected long ago: the sentences that cite it say that they are not evidenced."""
    copy = site.copied(tmp_path / "site")
    with copy.definition_file.open("a") as file:
        file.write("\n")  # another digest: what was collected is about another definition
    package = open_package(build(copy.open(), tmp_path / "package").path)
    assert package.manifest["counts"]["sentences"]["not_evidenced"] > 100
    assert looked(copy, tmp_path / "package" / package.name).findings == ()


def test_a_difference_names_the_controls_and_how_to_test_them_again(
    site: Ready, built: Built, tmp_path: Path
) -> None:
    copy = site.copied(tmp_path / "site")
    shutil.rmtree(copy.base / "secrets")
    look_at(copy, "credentials")
    compared = diff(open_package(built.path), open_package(build(copy.open(), tmp_path / "package").path))
    changed = {one.name: (one.was, one.now) for one in compared.differences if one.kind == "evidence"}
    assert set(changed) == {"credentials"}
    touched = {one.name for one in compared.differences if one.kind == "control"}
    assert "ia-5" in touched
    assert all("fielded" in " ".join(commands) for key, commands in compared.retest.items() if key == "ia-5")
    assert [one for one in compared.differences if one.kind == "weakness" and not one.was]


# The command line


def test_the_commands(
    site: Ready, built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        return ended(monkeypatch, capsys, "ato", *arguments)

    copy = site.copied(tmp_path / "site")
    at = ["-d", str(copy.folder), "--site", str(copy.site_file)]
    code, told, wrong = run("package", *at, "--out", str(tmp_path / "out"), "--json")
    assert code == 0, wrong
    made = json.loads(told)
    assert made["sha256"] == built.sha256
    key = str(copy.base / "keys" / "seal.pub.pem")
    code, told, _ = run("verify", made["path"], "--key", key)
    assert code == 0, told
    assert "0 wrong; signed by trusted key" in told
    code, told, _ = run("verify", made["path"], *at, "--json")
    assert json.loads(told)["holds"] is True
    assert run("diff", str(built.path), made["path"])[:2] == (0, "Nothing differs.\n")
    done = subprocess.run(
        [sys.executable, standalone.__file__, made["path"], "--key", key],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 wrong; signed by that key" in done.stdout
