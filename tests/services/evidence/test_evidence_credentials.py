"""Readiness item 5: references resolve, files with secrets are closed, and nothing that is deployed holds one."""

import builtins
import os
import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from conftest import World
from fielded.decisions.assurance.evidence import Evidence
from fielded.definition.site import load_site
from fielded.services.evidence.collect import Bench, collect
from fielded.services.evidence.credentials import COLLECTOR

pytest.importorskip("detect_secrets", reason="the extra `ato` is not installed")

RESOLVES, CLOSED, URLS, CLEAN, WORKS = (
    "every reference of a secret resolves",
    "files with secrets are their owner's alone",
    "no URL of the site has a password in it",
    "nothing that is deployed looks like a secret",
    "a made-up credential is found",
)
_CHANCE = random.Random(3)
SECRET = "p" + "".join(_CHANCE.choices(string.ascii_letters + string.digits, k=15))
KEY = "AKIA" + "".join(_CHANCE.choices(string.ascii_uppercase + "234567", k=16))
ARN = "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:overrun/token-AbCdEf"

SITE = """\
root: tables
tracking_uri: URI
artifact_root: artifacts
cache: cache
journal_url: JOURNAL
signing_key: file:keys/seal.pem
notify:
  webhook:
    url: https://hook.example.mil/
    secret: env:OVERRUN_HOOK
  mail:
    host: mail.example.mil
    from: watch@example.mil
    user: watch
    password: file:secrets/mail
authorization:
  system: Overrun
"""


@dataclass(frozen=True)
class Place:
    """A site in a file, and the variables above it."""

    world: World
    file: Path
    variables: Mapping[str, str]

    def say(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def evidence(self, **variables: str) -> Evidence:
        site = load_site({**self.variables, **variables}, self.file.parent, self.file)
        workplace = replace(self.world, site=site).open()
        return collect(Bench(workplace, site_file=self.file), COLLECTOR, "fielded ready --item 5")


@pytest.fixture
def place(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A site whose secrets are where its references say, and nowhere else."""
    monkeypatch.setenv("OVERRUN_HOOK", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # where boto3 is there, it shall look nowhere
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "mail").write_text(SECRET + "\n")
    (secrets / "mail").chmod(0o600)
    file = tmp_path / "site.yaml"
    file.write_text(SITE.replace("URI", world.site.tracking_uri).replace("JOURNAL", "sqlite:///journal"))
    assert (tmp_path / "keys" / "seal.pem").is_file(), "made when the world was"
    return Place(world, file, {})


def failed(evidence: Evidence) -> set[str]:
    assert SECRET not in str(evidence.as_dict()), "no value is ever told"
    assert KEY not in str(evidence.as_dict())
    assert all(check.step for check in evidence.checks if check.outcome == "failed")
    return {check.name for check in evidence.checks if check.outcome != "held"}


def got(evidence: Evidence, name: str) -> str:
    return next(check.got for check in evidence.checks if check.name == name)


def test_references_and_nothing_else_hold(place: Place) -> None:
    evidence = place.evidence()
    assert failed(evidence) == set(), evidence.checks
    assert [check.name for check in evidence.checks] == [RESOLVES, CLOSED, URLS, CLEAN, WORKS]
    assert not any(letter.isdigit() for check in evidence.checks for letter in check.name)
    assert [check.name for check in evidence.checks if check.negative] == [WORKS]
    assert evidence.facts["references"] == [
        {"field": "notify.webhook.secret", "scheme": "env"},
        {"field": "notify.mail.password", "scheme": "file"},
    ]
    assert got(evidence, CLOSED) == "2 of 2", "the secret, and the key that signs"
    assert evidence.facts["files_scanned"] == 4, "the definition, its population, site.yaml, and the site as read"
    assert "the site names no folder that an image is built from" in got(evidence, CLEAN)
    assert (evidence.facts["hits"], evidence.facts["lines_allowed"]) == ([], 0)


def _no_variable(_: Place) -> None:
    del os.environ["OVERRUN_HOOK"]


def _no_file(place: Place) -> None:
    (place.file.parent / "secrets" / "mail").unlink()


def _no_manager(place: Place) -> None:
    place.say("env:OVERRUN_HOOK", f"aws-secretsmanager:{ARN}")


def _readable(place: Place) -> None:
    (place.file.parent / "secrets" / "mail").chmod(0o604)


def _writable(place: Place) -> None:
    (place.file.parent / "secrets" / "mail").chmod(0o660)


def _key_of_the_group(place: Place) -> None:
    (place.file.parent / "keys" / "seal.pem").chmod(0o640)


def _journal(place: Place) -> None:
    place.say("sqlite:///journal", f"postgresql://fielded:{SECRET}@db.example.mil/journal")


def _short_password(place: Place) -> None:
    place.say("sqlite:///journal", "postgresql://fielded:x@db.example.mil/journal")


def _query(place: Place) -> None:
    place.say("sqlite:///journal", "postgresql://db.example.mil/journal?user=fielded&password=x")


def _planted(place: Place) -> None:
    (place.world.folder / "notes.py").write_text(f'aws_access_key_id = "{KEY}"\n')


def _planted_in_other_bytes(place: Place) -> None:
    (place.world.folder / "notes.txt").write_bytes(f'aws_access_key_id = "{KEY}"\n'.encode("utf-16"))


def _planted_in_the_definition(place: Place) -> None:
    population = place.world.folder / "population.py"
    population.write_text(f'{population.read_text()}\npassword = "{SECRET}"\n')


def _planted_in_the_site(place: Place) -> None:
    place.say("system: Overrun", f"system: Overrun\n  cssp: reach it by {KEY}")


def _packed(place: Place) -> None:
    (place.world.folder / "notes.gz").write_bytes(b"\x1f\x8b\x08\x00")


def _no_image(place: Place) -> None:
    place.say("system: Overrun", "system: Overrun\n  image_context: none")


def _image(place: Place) -> None:
    (place.file.parent / "image").mkdir()
    (place.file.parent / "image" / ".env").write_text(f"DB_PASSWORD={SECRET}\n")
    place.say("system: Overrun", "system: Overrun\n  image_context: image")


BROKEN: list[tuple[Callable[[Place], None], set[str]]] = [
    (_no_variable, {RESOLVES}),
    (_no_file, {RESOLVES}),
    (_no_manager, {RESOLVES}),
    (_readable, {CLOSED}),
    (_writable, {CLOSED}),
    (_key_of_the_group, {CLOSED}),
    (_journal, {URLS, CLEAN}),
    (_short_password, {URLS}),
    (_query, {URLS}),
    (_planted, {CLEAN}),
    (_planted_in_other_bytes, {CLEAN}),
    (_planted_in_the_definition, {CLEAN}),
    (_planted_in_the_site, {CLEAN}),
    (_packed, {CLEAN}),
    (_no_image, {CLEAN}),
    (_image, {CLEAN}),
]


def test_each_way_to_break_it_is_seen(place: Place) -> None:
    base = place.file.parent
    files = [place.file, *place.world.folder.iterdir(), base / "secrets" / "mail", base / "keys" / "seal.pem"]
    before = {path: (path.read_bytes(), path.stat().st_mode) for path in files if path.is_file()}
    for broken, names in BROKEN:
        broken(place)
        assert failed(place.evidence()) == names, broken.__name__
        os.environ["OVERRUN_HOOK"] = SECRET
        for path in place.world.folder.iterdir():
            if path not in before:
                path.unlink()
        for path, (content, mode) in before.items():
            path.write_bytes(content)
            path.chmod(mode)
    assert failed(place.evidence()) == set()


def test_hits_are_told_by_place(place: Place) -> None:
    _planted(place)
    _image(place)
    evidence = place.evidence()
    assert evidence.facts["hits"] == ["image/.env:1 Secret Keyword", "notes.py:1 AWS Access Key"]
    assert evidence.facts["image_context"] is True


def test_a_secret_that_a_cluster_mounts_for_a_group_is_closed_enough(place: Place) -> None:
    (place.file.parent / "secrets" / "mail").chmod(0o440)
    assert failed(place.evidence()) == set()


def test_a_variable_above_the_file_is_scanned_too(place: Place) -> None:
    url = f"postgresql://fielded:{SECRET}@db.example.mil/journal"
    evidence = place.evidence(FIELDED_JOURNAL_URL=url)
    assert failed(evidence) == {URLS, CLEAN}
    assert got(evidence, URLS) == "journal_url"
    assert "site (as read):" in got(evidence, CLEAN)


def test_what_says_that_it_holds_none_and_what_is_not_entered_are_told(place: Place) -> None:
    line = f'aws_access_key_id = "{KEY}"  # pragma: allowlist secret\n'
    (place.world.folder / "notes.py").write_text(line)
    (place.world.folder / ".git").mkdir()
    (place.world.folder / ".git" / "notes.py").write_text(f'aws_access_key_id = "{KEY}"\n')
    evidence = place.evidence()
    assert failed(evidence) == set()
    assert (evidence.facts["lines_allowed"], evidence.facts["allowed"]) == (1, ["notes.py:1"])
    assert evidence.facts["folders_not_entered"] == [".git"]
    assert "lines that say that they hold none: notes.py:1; not entered: .git" in got(evidence, CLEAN)


def test_without_the_extra_nothing_was_looked_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("detect_secrets"):
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    evidence = place.evidence()
    assert failed(evidence) == {CLEAN, WORKS}
    assert evidence.outcome == "not checked"
    assert 'pip install "fielded[ato]"' in got(evidence, CLEAN)


def test_the_embedded_site_has_no_file_and_its_values_are_scanned(world: World) -> None:
    evidence = collect(Bench(world.open()), COLLECTOR, "-")
    assert failed(evidence) == set(), evidence.checks
    assert evidence.facts["files_scanned"] == 3
    assert evidence.facts["references"] == []
