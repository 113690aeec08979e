"""Check the digests and the signature of an authorization package. Needs Python alone, and openssl for the
signature.

    python verify_package.py PACKAGE.zip [--key PUBLIC_KEY.pem]

Shares no code with fielded. Exit code: 0 verified, 1 not, 2 wrong use.

What is checked; all that is wrong is told, not only the first:

 1. the archive has each file of its manifest once, with its size and SHA-256, and no other;
 2. each piece of evidence is in the manifest and has the digest that it says, over its canonical JSON, and its
    outcome follows from its checks: satisfied only if there are checks and all held;
 3. every sentence cites evidence that is in the archive;
 4. with --key, PACKAGE.zip.sig is a signature of this key over the archive's digest, by `openssl pkeyutl`. Where
    the key came from is for you to know: one that lies beside the package proves nothing.

A file that is no zip file or is damaged, and one in it that cannot be read as what it is, is not verified.

What a sentence says is not made anew here: `fielded ato verify` does that.
"""

import argparse
import base64
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
OTHERS = {"definition", "site", "package", "reckoned"}  # sources that are no evidence
SIGNATURE = "fielded package signature 1"
MOST_BYTES = 1 << 30  # of all files together, unpacked
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)  # or encrypted, or packed otherwise
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)  # JSON of another form than fielded writes


def main(arguments: list[str]) -> int:
    """What is wrong is printed; the exit code is returned."""
    parser = argparse.ArgumentParser(description="Check an authorization package.")
    parser.add_argument("package", type=Path)
    parser.add_argument("--key", type=Path, help="PEM file of the public key that you trust")
    asked = parser.parse_args(arguments)
    try:
        archive = asked.package.read_bytes()
        if asked.key is not None:
            asked.key.read_bytes()
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 2
    files: dict[str, bytes] = {}
    wrong = [
        *told("archive", lambda: read_files(archive, files)),
        *told(MANIFEST, lambda: check_files(files)),
        *told("evidence", lambda: check_evidence(files)),
        *told("sentences", lambda: check_sentences(files)),
    ]
    if asked.key is not None:
        wrong += check_signature(asked.package, archive, asked.key)
    for line in wrong:
        sys.stdout.write(f"WRONG {line}\n")
    signed = "signed by that key" if asked.key is not None and not wrong else "signature not looked at"
    sys.stdout.write(f"{len(files)} files, {len(wrong)} wrong; {signed if not wrong else 'do not believe it'}\n")
    return 1 if wrong else 0


def told(what: str, check: Callable[[], Iterator[str]]) -> Iterator[str]:
    """What a check finds, and that it came to no end where something cannot be read."""
    try:
        yield from check()
    except (*DAMAGED, *UNREADABLE) as error:
        yield f"{what}: cannot be read ({type(error).__name__})"


def read_files(archive: bytes, files: dict[str, bytes]) -> Iterator[str]:
    """Put every file of the archive among `files`; rule 1's first half."""
    with zipfile.ZipFile(io.BytesIO(archive)) as held:
        names = held.namelist()
        if len(set(names)) < len(names):
            yield "archive: a file is there twice"
        if sum(entry.file_size for entry in held.infolist()) > MOST_BYTES:
            yield f"archive: over {MOST_BYTES >> 30} GiB unpacked"
            return
        for name in names:
            files[name] = held.read(name)


def check_files(files: dict[str, bytes]) -> Iterator[str]:
    """Rule 1."""
    if MANIFEST not in files:
        yield "archive: no manifest.json"
        return
    listed: dict[str, Any] = json.loads(files[MANIFEST])["files"]
    for name in sorted(set(listed) - set(files)):
        yield f"{name}: in the manifest and not in the archive"
    for name in sorted(set(files) - set(listed) - {MANIFEST}):
        yield f"{name}: in the archive and not in the manifest"
    for name in sorted(set(files) & set(listed)):
        content, said = files[name], listed[name]
        if len(content) != said["size"] or hashlib.sha256(content).hexdigest() != said["sha256"]:
            yield f"{name}: other bytes than the manifest says"


def check_evidence(files: dict[str, bytes]) -> Iterator[str]:
    """Rule 2."""
    listed = json.loads(files.get(MANIFEST, b'{"evidence": {}}'))["evidence"]
    kept = {name[len("evidence/") : -len(".json")] for name in files if name.startswith("evidence/")}
    for key in sorted(kept - set(listed)):
        yield f"evidence {key}: in the archive and not in the manifest's evidence"
    for key, said in listed.items():
        content = files.get(f"evidence/{key}.json")
        if content is None:
            yield f"evidence {key}: not in the archive"
            continue
        values = json.loads(content)
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if hashlib.sha256(text.encode()).hexdigest() != said["sha256"]:
            yield f"evidence {key}: another digest than the manifest says"
        if outcome_of(values) != values["outcome"] or values["outcome"] != said["outcome"]:
            yield f"evidence {key}: its outcome does not follow from its checks"


def outcome_of(values: dict[str, Any]) -> str:
    """The outcome of evidence by its checks."""
    outcomes = [check["outcome"] for check in values["checks"]]
    if "failed" in outcomes:
        return "not satisfied"
    if not outcomes or "not checked" in outcomes:
        return "not checked"
    return "attested" if values["attested_by"] else "satisfied"


def check_sentences(files: dict[str, bytes]) -> Iterator[str]:
    """Rule 3."""
    for name, content in sorted(files.items()):
        if not name.endswith(".json") or name.partition("/")[0] in ("oscal", "fedramp", "evidence"):
            continue
        for said in sentences(json.loads(content)):
            for source in said["cites"]:
                if (
                    said["state"] == "evidenced"
                    and source not in OTHERS
                    and f"evidence/{source}.json" not in files
                ):
                    yield f"{name}: a sentence cites {source}, which is not in the archive"


def sentences(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in a JSON value that is a sentence."""
    if isinstance(value, dict):
        if {"text", "state", "cites"} <= value.keys():
            yield value
        for item in value.values():
            yield from sentences(item)
    elif isinstance(value, list):
        for item in value:
            yield from sentences(item)


def check_signature(package: Path, archive: bytes, key: Path) -> Iterator[str]:
    """Rule 4."""
    beside = package.with_name(package.name + ".sig")
    try:
        said = json.loads(beside.read_text(encoding="utf-8"))
        signature = base64.b64decode(said["signature"], validate=True)
        archive_sha256, algorithm = said["archive_sha256"], said["algorithm"]
    except (OSError, *UNREADABLE) as error:
        yield f"{beside.name}: cannot be read ({type(error).__name__})"
        return
    digest = hashlib.sha256(archive).hexdigest()
    if archive_sha256 != digest:
        yield f"{beside.name}: is of another archive"
    with tempfile.TemporaryDirectory() as folder:
        text, made = Path(folder) / "text", Path(folder) / "signature"
        text.write_bytes(f"{SIGNATURE}\n{digest}\n".encode())
        made.write_bytes(signature)
        ecdsa = ["-digest", "sha256"] if algorithm == "ECDSA-P256" else []
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(key), "-rawin", *ecdsa,
                   "-in", str(text), "-sigfile", str(made)]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - names are ours
        except OSError:
            yield "signature: openssl is not there, expected it"
            return
    if done.returncode != 0:
        yield f"{beside.name}: not a signature of this key over this archive"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
