"""Evidence that only approved bytes are loaded, and that fielded's own files are those of its package (SI-7,
CM-14).

1. The version in production has files in the registry, and they have the digest that was approved.
2. The site's own copy of them is unaltered, and loads.
3. On a copy: files of which one byte was changed are put aside and not given out; files whose digest is not the
   approved one are refused before anything is unpickled; and bytes that nobody approved are not taken.
4. Every file of the installed package is as its record says. Of a package that is installed from its source
   folder there is no such record.
"""

import base64
import hashlib
import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.services.approve import check_approved
from fielded.services.evidence.collect import Bench
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.words.digests import folder_sha256
from fielded.words.errors import ArtifactChanged, FieldedError, NotApproved
from fielded.world.artifacts import Artifacts
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

_REPORT = "Do not load a model here before this is understood. Report it to those who maintain fielded"
_CHANGED = "Find out who changed the files; roll back meanwhile: `fielded rollback -m REASON`"
_NOBODYS = "0" * 64  # a digest that no files have


def look(bench: Bench) -> Found:
    """Rules 1 to 3.

    Raises:
        FieldedError: what is in production cannot be told.
    """
    workplace = bench.workplace
    model, sha256 = resolve(workplace)
    checks = [_registered(workplace, model, sha256), _loads(workplace, model, sha256)]
    checks += _harmed(workplace, model, sha256)
    facts = {"model": model.name, "model_version": model.version, "artifact_sha256": sha256,
             "tried": sum(check.negative for check in checks)}  # fmt: skip
    return Found(tuple(checks), facts)


def _registered(workplace: Workplace, model: RegisteredVersion, sha256: str) -> Check:
    """Rule 1."""
    name, expected = "the registry's files have the approved digest", f"digest {sha256[:16]}"
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = folder_sha256(workplace.registry.download(model, Path(folder) / "files"))
        except (FieldedError, ValueError) as error:
            return Check.of(name, False, got=str(error), expected=expected, step=_CHANGED)
    return Check.of(name, found == sha256, got=f"digest {found[:16]}", expected=expected, step=_CHANGED)


def _loads(workplace: Workplace, model: RegisteredVersion, sha256: str) -> Check:
    """Rule 2."""
    name, expected = "the site's copy is unaltered and loads", "it loads, from bytes with the approved digest"
    try:
        check_approved(workplace.ledger, model, sha256)
        scorer = Scorers(workplace).get(model, sha256)
    except FieldedError as error:
        return Check.of(name, False, got=str(error), expected=expected, step=_CHANGED)
    return Check.of(name, scorer.artifact_sha256 == sha256, got=f"digest {scorer.artifact_sha256[:16]}",
                    expected=expected, step=_CHANGED)  # fmt: skip


def _harmed(workplace: Workplace, model: RegisteredVersion, sha256: str) -> Iterator[Check]:
    """Rule 3, in a cache of its own."""
    with tempfile.TemporaryDirectory() as folder:
        site = replace(workplace.site, cache=Path(folder))
        artifacts = Artifacts(site, workplace.registry, workplace.random_bytes)
        given = artifacts.approved(model, sha256)
        file = max((path for path in given.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        held = artifacts.held(sha256)
        aside = list((Path(folder) / "models").glob("altered-*"))
        yield Check.of(
            "a copy with one changed byte is not given out", held is None and bool(aside),
            got="put aside" if held is None else "given out", expected="put aside, and kept", step=_REPORT,
            negative=True,
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir()
        try:
            artifacts.approved(model, _NOBODYS)
            refused = False
        except ArtifactChanged:
            refused = True
    yield Check.of("files with another digest than the approved one are refused", refused,
                   got="refused" if refused else "given out", expected="refused, before anything is loaded",
                   step=_REPORT, negative=True)  # fmt: skip
    try:
        check_approved(workplace.ledger, model, _NOBODYS)
        taken = True
    except NotApproved:
        taken = False
    yield Check.of("bytes that nobody approved are not taken", not taken, got="taken" if taken else "refused",
                   expected="refused", step=_REPORT, negative=True)  # fmt: skip


def look_at_software(_bench: Bench) -> Found:
    """Rule 4."""
    name, expected = (
        "every file of the package is as its record says",
        "the digest of each file as it was packaged",
    )
    package = importlib.metadata.distribution("fielded")
    if _from_source(package):
        check = Check.missing(name, why="it is installed from its source folder, without such a record",
                              expected=expected, step="Install the wheel where the evidence counts")  # fmt: skip
        return Found((check,), {"version": package.version, "files": 0})
    recorded = [(Path(str(file.locate())), file.hash) for file in package.files or () if file.hash is not None]
    changed = [path.name for path, kept in recorded if not _as_recorded(path, kept.mode, kept.value)]
    checks = [
        Check.of(name, not changed and bool(recorded),
                 got=f"not so: {', '.join(changed[:3])}" if changed else f"{len(recorded)} files as recorded",
                 expected=expected, step="Install the package anew, and find out who changed it")
    ]  # fmt: skip
    if recorded:
        checks.append(_noticed(*recorded[0]))
    return Found(tuple(checks), {"version": package.version, "files": len(recorded)})


def _from_source(package: importlib.metadata.Distribution) -> bool:
    told = package.read_text("direct_url.json")
    return told is not None and bool(json.loads(told).get("dir_info", {}).get("editable"))


def _as_recorded(path: Path, mode: str, value: str) -> bool:
    """PEP 376's record: a digest's name, and its value in base64 without padding."""
    try:
        return _recorded(path.read_bytes(), mode) == value
    except (OSError, ValueError):
        return False


def _recorded(content: bytes, mode: str) -> str:
    return base64.urlsafe_b64encode(hashlib.new(mode, content).digest()).rstrip(b"=").decode()


def _noticed(path: Path, kept: importlib.metadata.FileHash) -> Check:
    """The same look at a copy of a file that has one byte more."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(path.read_bytes() + b" ")
        taken = _as_recorded(copy, kept.mode, kept.value)
    return Check.of("a file with another byte is noticed", not taken, got="not noticed" if taken else "noticed",
                    expected="noticed", step=_REPORT, negative=True)  # fmt: skip


COLLECTOR: Collector[Bench] = Collector(
    id="model-integrity",
    title="Which bytes are loaded, and which are not",
    look=look,
    holds_for=timedelta(days=30),
    expected="a version in production",
)
SOFTWARE: Collector[Bench] = Collector(
    id="software-integrity",
    title="The installed files of fielded against their record",
    look=look_at_software,
    holds_for=timedelta(days=30),
    expected="an installed package",
)
