"""`fielded ato package`: every face of the one model, in one archive that says of itself what is in it.

    ledger, definition, site -> Assurance -> documents, OSCAL, FedRAMP, eMASS, matrix, evidence -> manifest ->
    archive

1. Nothing is collected here. What is not on record is not in it, and the package says so.
2. The same ledger, definition and site have the same bytes, whoever builds it and when.
3. Each file is in the manifest with its digest, and the archive has no other. The signature is beside it.
4. That it was built is an event, which a later package does not rest on.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fielded.decisions.assurance.controls import Assurance, ControlRecord, Weakness
from fielded.decisions.assurance.documents import Document, Figure
from fielded.decisions.ato import emass, fedramp
from fielded.decisions.ato.changes import PACKAGED
from fielded.decisions.ato.oscal import documents as oscal_documents
from fielded.decisions.ato.overlays import control_texts
from fielded.services.ato.additions import read_json
from fielded.services.ato.archive import ENDING, archive_of, signature_of
from fielded.services.ato.assurance import Assembled, assemble
from fielded.services.ato.cover import COVER
from fielded.services.ato.matrix import matrix_of
from fielded.services.ato.site_parts import record_site
from fielded.services.documents.html import page_of
from fielded.services.documents.word import word_of
from fielded.services.evidence.collect import tool
from fielded.services.record_definition import record_definition
from fielded.services.release.record import about
from fielded.services.seal import seal
from fielded.standalone import verify_package as standalone
from fielded.words.errors import Unreachable, WrongUse
from fielded.world.emass_workbook import fill
from fielded.world.keys import open_signer
from fielded.world.workplace import Workplace

FORMAT = "fielded package 1"
MANIFEST = "manifest.json"
_VERIFIER = "verify_package.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A package that was built.

    Attributes:
        path: of the archive.
        signature: of its signature.
        sha256: of the archive.
        manifest: of it, as JSON values.
        key_id: of the key that signed it.
    """

    path: Path
    signature: Path
    sha256: str
    manifest: Mapping[str, Any]
    key_id: str


def build(workplace: Workplace, folder: Path) -> Built:
    """Build and sign the package from what is on record.

    Args:
        workplace: the deployment at its site.
        folder: for the archive and its signature; made where it is not there.

    Raises:
        Refused: no evidence is on record, or the ledger's events break a rule.
        DefinitionError: a file that people write in is missing or wrong.
        WrongUse: an extra is not installed, or a file of the site's authorization is of no use.
        Unreachable: the ledger, the folder, or whoever holds the key.
    """
    signer = open_signer(workplace.site)
    made = assemble(workplace)
    files = files_of(workplace, made)
    archive = archive_of(files)
    signature = signature_of(archive, signer)
    path = folder / f"{workplace.deployment.name}-{made.assurance.as_of:%Y%m%dT%H%M%SZ}.zip"
    _write(path, archive)
    _write(path.with_name(path.name + ENDING), signature)
    manifest = json.loads(files[MANIFEST])
    sha256 = hashlib.sha256(archive).hexdigest()
    record_definition(workplace)
    record_site(workplace)
    details = {
        "sha256": sha256,
        "manifest_sha256": hashlib.sha256(files[MANIFEST]).hexdigest(),
        "as_of": made.assurance.as_of.isoformat(),
        "definition_sha256": workplace.deployment.sha256,
        "counts": manifest["counts"],
    }
    workplace.record(PACKAGED, about(workplace), details)
    seal(workplace)
    return Built(
        path=path,
        signature=path.with_name(path.name + ENDING),
        sha256=sha256,
        manifest=manifest,
        key_id=signer.key_id,
    )


def files_of(workplace: Workplace, made: Assembled) -> dict[str, bytes]:
    """Every file of the package by its name, the manifest among them.

    Raises:
        WrongUse: see `build`.
    """
    assurance = made.assurance
    subject = f"{assurance.definition['name']}, {assurance.site['system'] or 'system not named'}"
    files = {
        **_documents(assurance, subject),
        **{f"evidence/{key}.json": _json(one.as_dict()) for key, one in sorted(made.recorded.items())},
        "sources.json": _json(assurance.plain),
        "controls.json": _json([control_values(record) for record in assurance.controls]),
        "controls.xlsx": matrix_of(assurance, _texts(workplace)),
        "weaknesses.json": _json([weakness_values(one) for one in assurance.weaknesses]),
        "readiness.json": _json(list(assurance.items)),
        **_fedramp(assurance),
        **_emass(workplace, assurance),
        **_attached(workplace),
        _VERIFIER: Path(standalone.__file__).read_bytes(),
    }
    attached = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    documents = oscal_documents(assurance, attached)
    files |= {f"oscal/{name}.json": _json(document) for name, document in documents.items()}
    files[MANIFEST] = _json(_manifest(workplace, made, files))
    return files


def _documents(assurance: Assurance, subject: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name, document in assurance.documents.items():
        place = "" if name == COVER else "documents/"
        files[f"{place}{name}.json"] = _json(document.as_dict())
        files[f"{place}{name}.html"] = page_of(document, subject).encode()
        files[f"{place}{name}.docx"] = word_of(document, subject)
        files |= _drawings(place, document)
    return files


def _drawings(place: str, document: Document) -> dict[str, bytes]:
    drawn = [block for section in document.sections for block in section.blocks if isinstance(block, Figure)]
    return {
        f"{place}{document.name}{'' if number == 1 else f'-{number}'}.svg": figure.svg.encode()
        for number, figure in enumerate(drawn, start=1)
    }


def _texts(workplace: Workplace) -> dict[str, str] | None:
    """Full texts of controls, where the site names a catalog."""
    catalog = workplace.site.authorization.catalog
    if catalog is None:
        return None
    return control_texts(read_json(catalog, "authorization.catalog"), workplace.deployment.ato.parameters)


def _fedramp(assurance: Assurance) -> dict[str, bytes]:
    made = {
        fedramp.OVERVIEW: fedramp.certification_package_overview(assurance),
        fedramp.DECISIONS: fedramp.security_decision_record(assurance),
    }
    return {f"fedramp/{name}.json": _json(document) for name, document in made.items() if document is not None}


def _emass(workplace: Workplace, assurance: Assurance) -> dict[str, bytes]:
    """Rows as CSV, and the user's own workbook filled where the site names one."""
    files = {}
    sheets = emass.sheets(assurance)
    for sheet in sheets:
        held = io.StringIO()
        writer = csv.writer(held, lineterminator="\n")
        writer.writerow(sheet.columns)
        writer.writerows(sheet.rows)
        files[f"emass/{sheet.name.lower().replace('&', '').replace(' ', '_')}.csv"] = held.getvalue().encode()
    template = workplace.site.authorization.emass_template
    if template is not None:
        with TemporaryDirectory(prefix="fielded-emass-") as folder:
            filled = Path(folder) / template.name
            fill(template, sheets, filled)
            files[f"emass/{template.name}"] = filled.read_bytes()
    return files


def _attached(workplace: Workplace) -> dict[str, bytes]:
    """What others made and the package hands on as it is: the definition, what people wrote, SBOM, scan
    results.
    """
    deployment, authorization = workplace.deployment, workplace.site.authorization
    files = {f"definition/{name}": text.encode() for name, text in sorted(deployment.texts.items())}
    for name, file in sorted(deployment.ato.documents.items()):
        files[f"written/{file}"] = _read(deployment.folder / file, f"ato.documents.{name}")
    for name in ("sbom", "vulnerabilities"):
        path: Path | None = getattr(authorization, name)
        if path is not None:
            files[f"attached/{name}{path.suffix}"] = _read(path, f"authorization.{name}")
    return files


def _read(path: Path, field: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WrongUse(
            f"{field}: got {path.name}, which cannot be read ({error.strerror or type(error).__name__}), expected "
            f"a file"
        ) from None


def control_values(record: ControlRecord) -> dict[str, Any]:
    """A record of a control as controls.json has it."""
    procedure = record.procedure
    return {
        "id": record.id,
        "title": record.title,
        "family": record.family,
        "in_baseline": record.in_baseline,
        "origin": record.origin,
        "result": record.result,
        "said": [one.as_dict() for one in record.said],
        "evidence": list(record.evidence),
        "component": record.component,
        "provider": record.provider,
        "reason": record.reason,
        "code": list(record.code),
        "tests": list(record.tests),
        "procedure": {name: list(getattr(procedure, name)) for name in ("examine", "interview", "test")},
    }


def weakness_values(one: Weakness) -> dict[str, Any]:
    """A weakness as weaknesses.json has it."""
    return {
        "id": one.id,
        "title": one.title,
        "found": one.found,
        "controls": list(one.controls),
        "evidence": list(one.evidence),
        "step": one.step,
        "since": one.since.isoformat(),
        "due": None if one.due is None else one.due.isoformat(),
        "owner": one.owner,
    }


def _manifest(workplace: Workplace, made: Assembled, files: Mapping[str, bytes]) -> dict[str, Any]:
    assurance = made.assurance
    sentences = [one for document in assurance.documents.values() for one in document.sentences()]
    sentences += [one for record in assurance.controls for one in record.said]
    states = [one.state for one in sentences]
    return {
        "format": FORMAT,
        "deployment": workplace.deployment.name,
        "model": workplace.deployment.model.name,
        "tool": tool(),
        "as_of": assurance.as_of.isoformat(),
        "scope": dict(made.scope),
        "evidence_max_age_days": workplace.deployment.ato.report_max_age_days,
        "counts": {
            "controls": len(assurance.controls),
            "evidence": len(assurance.evidence),
            "weaknesses": len(assurance.weaknesses),
            "sentences": {
                name.replace(" ", "_"): states.count(name) for name in ("evidenced", "attested", "not evidenced")
            },
        },
        "evidence": {
            key: {"sha256": one.sha256, "outcome": one.outcome, "at": one.at.isoformat()}
            for key, one in sorted(made.recorded.items())
        },
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            for name, content in sorted(files.items())
        },
    }


def _json(values: Any) -> bytes:
    return (json.dumps(values, indent=1, ensure_ascii=False, sort_keys=False, default=str) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.unfinished")
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        raise Unreachable(f"{path.name}: cannot be written ({error.strerror or type(error).__name__})") from error
