"""`fielded ato verify PACKAGE`: whether a package is what was signed, and says what its evidence says.

1. The archive has each file of its manifest with that digest, and no other; the signature is a trusted key's.
2. Each piece of evidence has the digest that the manifest names, and its outcome follows from its checks.
3. Its time is not over now, for whoever reads the package reads it now. It was so when the package was built, or
   the sentences that cite it say that they are not evidenced.
4. Each sentence, of the documents and of the controls, is made anew from what it cites and compared, its counts
   too. Page and Word file have the sentences of their record.
5. OSCAL: what is pointed at is there, in each document and between them; it says what the package's own records
   say; and, where the schemas are given, each is valid. No validator notices a reference that leads nowhere.
6. Nobody is told to have assessed it: those fields are an independent person's, who signs with another key.
7. FedRAMP takes a package that was verified at most seven days before: a newer one is no fault, an older one is
   told.

All that is wrong is told, not only the first. What could not be looked at is told as well, and is no pass.
"""

import csv
import hashlib
import html
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fielded.decisions.assurance.evidence import Evidence
from fielded.decisions.assurance.statements import Sources, Statement
from fielded.decisions.ato.oscal.faithful import faithful_findings
from fielded.decisions.ato.oscal.references import reference_findings
from fielded.services.ato.archive import ENDING, Signed, read_archive, read_signature
from fielded.services.ato.assurance import counted, with_package
from fielded.services.ato.cover import PACKAGE
from fielded.services.ato.package import FORMAT, MANIFEST
from fielded.services.documents.values import sources_of
from fielded.words.errors import FieldedError, Finding, Refused
from fielded.world.keys import PublicKey
from fielded.world.oscal_schemas import schema_findings

_NEWEST = timedelta(days=7)
_NO_SENTENCES = frozenset({"oscal", "fedramp", "evidence", "sources.json"})
_ANEW = "Build the package anew with `fielded ato package`"
_AGAIN = "Collect it again and build the package anew"


@dataclass(frozen=True, slots=True)
class Opened:
    """A package that was read.

    Attributes:
        name: of the archive.
        sha256: of the archive.
        files: name -> bytes.
        manifest: as JSON values.
    """

    name: str
    sha256: str
    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]

    @property
    def as_of(self) -> datetime:
        """When the newest of its evidence was collected."""
        return datetime.fromisoformat(self.manifest["as_of"])

    def json(self, name: str) -> Any:
        """A file's JSON value; None where it is not there."""
        return json.loads(self.files[name]) if name in self.files else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was looked at and what was found.

    Attributes:
        package: that was read.
        findings: what is wrong.
        told: what is to be known and is no fault.
        unchecked: what could not be looked at, and why.
        key_id: of the trusted key that signed it; empty where none did, or none was asked for.
        counts: of what was looked at.
    """

    package: Opened
    findings: tuple[Finding, ...]
    told: tuple[str, ...]
    unchecked: tuple[str, ...]
    key_id: str
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong and a trusted key signed it."""
        return not self.findings and bool(self.key_id)


def open_package(path: Path) -> Opened:
    """Read a package; nothing of it is believed by that.

    Raises:
        Refused: it is no package.
        Unreachable: it cannot be read.
    """
    files = read_archive(path)
    try:
        manifest = json.loads(files[MANIFEST])
        if manifest["format"] == FORMAT:
            return Opened(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), files, manifest)
        got = f"format {manifest['format']}"
    except (KeyError, TypeError, ValueError):
        got = "no manifest that can be read"
    raise Refused(f"{path.name}: got {got}, expected {FORMAT}. Name an archive that `fielded ato package` wrote")


def verify(path: Path, keys: Sequence[PublicKey], now: datetime, schemas: Path | None = None) -> Verified:
    """Look at all of a package.

    Args:
        path: of the archive; its signature lies beside it.
        keys: that are trusted; none, and the signature is not looked at.
        now: UTC.
        schemas: folder, or zip file, with NIST's JSON schemas of OSCAL; None leaves them out.

    Raises:
        Refused: it is no package.
        Unreachable: it cannot be read.
    """
    package = open_package(path)
    signature, key_id = _signature(path, package, keys)
    try:
        evidence = _evidence(package)
        found = [*signature, *_files(package), *_digests(package, evidence), *_current(package, evidence, now)]
        sentences, made = _sentences(package, evidence)
        found += [*sentences, *_faces(package), *_references(package), *_independent(package)]
        valid, unchecked = schema_findings({name: package.json(name) for name in _oscal(package)}, schemas)
        found += valid
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got = f"{type(error).__name__}: {error}"
        found = [*signature, *_files(package), _of("a file", got, "what fielded writes")]
        made, unchecked = 0, ()
    return Verified(
        package=package,
        findings=tuple(found),
        told=tuple(_told(package, now)),
        unchecked=(*unchecked, *([] if keys else ["signature: no trusted key was named; name one with --key"])),
        key_id=key_id,
        counts={"files": len(package.files), "evidence": len(package.manifest["evidence"]), "sentences": made},
    )


def _of(field_: str, got: str, expected: str, step: str = _ANEW) -> Finding:
    return Finding("package", field_, got, expected, step)


def _signature(path: Path, package: Opened, keys: Sequence[PublicKey]) -> tuple[list[Finding], str]:
    """Rule 1: what is wrong with it, and the trusted key that made it."""
    if not keys:
        return [], ""
    beside = path.with_name(path.name + ENDING)
    try:
        signed: Signed = read_signature(beside)
    except FieldedError as error:
        return [_of(beside.name, str(error), "a signature of a trusted key")], ""
    if signed.archive_sha256 != package.sha256:
        return [_of(beside.name, "a signature of another archive", f"one of {package.sha256[:16]}")], ""
    key = signed.by(keys)
    if key is None:
        expected = f"a good signature of one of {len(keys)} trusted keys"
        step = "Name the key that signed it, if it is one to be trusted"
        return [_of(beside.name, f"key {signed.key.key_id[:16]}", expected, step)], ""
    return [], key.key_id


def _files(package: Opened) -> Iterator[Finding]:
    """Rule 1."""
    listed = package.manifest["files"]
    for name in sorted(set(listed) | set(package.files) - {MANIFEST}):
        if name not in package.files:
            yield _of(name, "nothing", "the file that the manifest lists")
        elif name not in listed:
            yield _of(name, "a file that the manifest does not list", "none")
        elif hashlib.sha256(package.files[name]).hexdigest() != listed[name]["sha256"]:
            yield _of(name, "other bytes", f"sha256 {listed[name]['sha256'][:16]}, as the manifest says")


def _evidence(package: Opened) -> dict[str, Evidence]:
    return {
        key: Evidence.read(package.json(f"evidence/{key}.json"))
        for key in package.manifest["evidence"]
        if f"evidence/{key}.json" in package.files
    }


def _digests(package: Opened, evidence: Mapping[str, Evidence]) -> Iterator[Finding]:
    """Rule 2."""
    for key, said in package.manifest["evidence"].items():
        one = evidence.get(key)
        if one is None:
            yield _of(f"evidence/{key}.json", "nothing", "the evidence that the manifest lists")
            continue
        if one.id != key or one.sha256 != said["sha256"]:
            yield _of(f"evidence/{key}.json", f"evidence {one.id}, sha256 {one.sha256[:16]}", said["sha256"][:16])
        if package.json(f"evidence/{key}.json")["outcome"] != one.outcome or said["outcome"] != one.outcome:
            yield _of(f"evidence/{key}.json", f"outcome {said['outcome']}", f"{one.outcome}, by its own checks")


def _current(package: Opened, evidence: Mapping[str, Evidence], now: datetime) -> Iterator[Finding]:
    """Rule 3."""
    longest = timedelta(days=package.manifest["evidence_max_age_days"])
    for key, one in evidence.items():
        counting = counted(one, package.manifest["scope"], longest)
        if counting.current(package.as_of) and not counting.current(now):
            until = counting.valid_until
            yield _of(f"evidence/{key}.json", f"evidence whose time was over on {until:%Y-%m-%d}",
                      f"evidence that is current on {now:%Y-%m-%d}", f"Run `{one.command}`. {_ANEW}")  # fmt: skip


def _sentences(package: Opened, evidence: Mapping[str, Evidence]) -> tuple[list[Finding], int]:
    """Rule 4: what differs, and how many were made anew."""
    plain = package.json("sources.json")
    longest = timedelta(days=package.manifest["evidence_max_age_days"])
    counting = [counted(one, package.manifest["scope"], longest) for _, one in sorted(evidence.items())]
    sources = sources_of(counting, package.as_of, plain["definition"], plain["site"])
    whole = with_package(sources, plain[PACKAGE])
    found: list[Finding] = []
    made = 0
    for name in sorted(package.files):
        if not name.endswith(".json") or name.partition("/")[0] in _NO_SENTENCES:
            continue
        for said in sentences_in(package.json(name)):
            made += 1
            found += _remade(name, said, whole)
    return found, made


def sentences_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """Everything in a JSON value that is a sentence."""
    if isinstance(value, dict):
        if {"text", "state", "cites", "template"} <= value.keys():
            yield value
            return
        for item in value.values():
            yield from sentences_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from sentences_in(item)


def _remade(name: str, said: Mapping[str, Any], sources: Sources) -> Iterator[Finding]:
    if not said["template"]:
        if said["state"] != "attested" or not said["author"] or not said["date"]:
            yield _of(name, f"a sentence without a source or an author: {said['text'][:60]}", "one of them")
        return
    try:
        statement = Statement(
            template=said["template"], references=said["references"], rests_on=tuple(said["rests_on"])
        )
    except ValueError as error:
        yield _of(name, str(error), "a sentence that cites its numbers")
        return
    anew = sources.say(statement)
    if (anew.text, anew.state) != (said["text"], said["state"]):
        yield _of(name, f"{said['state']}: {said['text'][:80]}", f"{anew.state}: {anew.text[:80]}")


def _faces(package: Opened) -> Iterator[Finding]:
    """Rule 4: page and Word file."""
    for name in sorted(package.files):
        if name.endswith(".json") and name.replace(".json", ".html") in package.files:
            record = sentences_in(package.json(name))
            wanted = {_bare(said["text"]) for said in record if said["state"] != "not evidenced"}
            for ending, text in (("html", _page_text), ("docx", _word_text)):
                other = name.replace(".json", f".{ending}")
                shown = _bare(text(package.files[other])) if other in package.files else ""
                lacking = [one for one in wanted if one not in shown]
                if lacking:
                    yield _of(other, f"no {lacking[0][:60]!r}, and {len(lacking) - 1} more",
                              "every sentence of its record")  # fmt: skip


def _bare(text: str) -> str:
    """A text without what line breaks and marks make of it."""
    return "".join(letter for letter in text if letter.isalnum())


def _page_text(content: bytes) -> str:
    parts = content.decode("utf-8").split("<")
    return html.unescape("".join(part.partition(">")[2] for part in parts))


def _word_text(content: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as word:
        return _page_text(word.read("word/document.xml"))


def _oscal(package: Opened) -> list[str]:
    return sorted(name for name in package.files if name.startswith("oscal/"))


def _references(package: Opened) -> Iterable[Finding]:
    """Rule 5."""
    documents = {name: package.json(name) for name in _oscal(package)}
    attached = {name: hashlib.sha256(content).hexdigest() for name, content in package.files.items()}
    says = faithful_findings(documents, package.json("controls.json"), package.json("weaknesses.json"))
    return (*reference_findings(documents, attached), *says)


def _independent(package: Opened) -> Iterator[Finding]:
    """Rule 6."""
    for name in _oscal(package):
        for place in _assessors(package.json(name), name):
            yield _of(place, "an assessor", "nobody: it is an independent person's, who signs with another key")
    for row in _rows(package, "emass/test_results.csv"):
        if any(row.get(column) for column in ("Compliance Status", "Tested By", "Date Tested")):
            yield _of("emass/test_results.csv", "a compliance status or a tester", "empty: an assessor's to say")
    decisions = package.json("fedramp/security-decision-record.json") or {}
    if any(one.get("ksiAssessment") for one in decisions.get("keySecurityIndicators", ())):
        yield _of("fedramp/security-decision-record.json", "an assessment", "none: an assessor's to say")


def _assessors(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("role-id") == "assessor" and value.get("party-uuids"):
            yield path
        for key, item in value.items():
            yield from _assessors(item, f"{path}/{key}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _assessors(item, f"{path}/{place}")


def _rows(package: Opened, name: str) -> Iterator[dict[str, str]]:
    if name in package.files:
        yield from csv.DictReader(io.StringIO(package.files[name].decode("utf-8")))


def _told(package: Opened, now: datetime) -> Iterator[str]:
    """Rule 7, and what a reader must know although nothing is wrong with it."""
    states = package.manifest["counts"]["sentences"]
    total = sum(states.values())
    yield f"{states['not_evidenced']} of {total} sentences are not evidenced, {states['attested']} are a person's"
    if any(name.startswith("fedramp/") for name in package.files) and now - package.as_of > _NEWEST:
        of = f"{package.as_of:%Y-%m-%d}"
        yield f"FedRAMP takes what was verified in the last {_NEWEST.days} days; this is of {of}"
