"""The verifier that travels in a package: whatever is tampered with is told, by Python and openssl alone."""

import ast
import hashlib
import json
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.decisions.assurance.statements import Sources, Statement
from fielded.services.ato.archive import archive_of, signature_of
from fielded.standalone import verify_package
from fielded.world.keys import FileSigner

Files = dict[str, bytes]
Change = Callable[[Files], object]
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def looked(key: str, *outcomes: str, attested_by: str = "") -> Evidence:
    checks = tuple(
        Check(name=f"check {place}", outcome=how, got="it", expected="it")  # type: ignore[arg-type]
        for place, how in enumerate(outcomes)
    )
    return Evidence(
        id=key,
        title=f"A look at {key}, näher",
        checks=checks,
        facts={"seconds": 2, "auc": 0.8125},
        command=f"fielded ato collect --id {key}",
        tool="fielded 0.1.0",
        by="os:ada",
        at=AT,
        scope={"deployment": "overrun"},
        valid_until=None,
        attested_by=attested_by,
    )


EVIDENCE = {
    one.id: one
    for one in (
        looked("rollback", "held", "held"),
        looked("transport", "held", "not checked"),
        looked("identity", "failed", "held"),
        looked("owner", "held", attested_by="os:ada"),
        looked("nothing"),
    )
}


def as_json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def made() -> Files:
    """A small package: evidence of every outcome, a document with a sentence of every state."""
    sources = Sources.of(EVIDENCE.values(), AT, {"definition": {"name": "overrun"}, "site": {}})
    said = [
        Statement(template="A rollback took {s} seconds.", references={"s": "rollback#/facts/seconds"}),
        Statement(template="It is called {n}.", references={"n": "definition#/name"}),
        Statement(template="Nobody saw {s}.", references={"s": "absent#/facts/seconds"}),
    ]
    document = {"name": "card", "sections": [{"blocks": [sources.say(one).as_dict() for one in said]}]}
    files = {
        "documents/card.json": as_json(document),
        "controls.json": as_json([{"id": "cp-10", "said": [sources.say(said[0]).as_dict()]}]),
        "page.html": b"<p>n\xc3\xa4her</p>",
        **{f"evidence/{key}.json": as_json(one.as_dict()) for key, one in EVIDENCE.items()},
    }
    return sealed(files)


def sealed(files: Files) -> Files:
    """The files with a manifest that fits them."""
    kept = {name: content for name, content in files.items() if name != "manifest.json"}
    manifest = {
        "evidence": {key: {"sha256": one.sha256, "outcome": one.outcome} for key, one in EVIDENCE.items()},
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            for name, content in kept.items()
        },
    }
    return {**kept, "manifest.json": as_json(manifest)}


def verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, *more: str
) -> tuple[int, list[str]]:
    (tmp_path / "package.zip").write_bytes(content)
    code = verify_package.main([str(tmp_path / "package.zip"), *more])
    out = capsys.readouterr().out.splitlines()
    assert code == (1 if any(line.startswith("WRONG ") for line in out) else 0)
    return code, [line.removeprefix("WRONG ") for line in out if line.startswith("WRONG ")]


def edited(name: str, change: Callable[[Any], object], *, manifest: bool = False) -> Change:
    """Another JSON value in a file; the manifest's digests of files follow where a forger writes them anew."""

    def tamper(files: Files) -> None:
        value = json.loads(files[name])
        change(value)
        files[name] = as_json(value)
        if manifest:
            listed = json.loads(files["manifest.json"])
            content = files[name]
            listed["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            files["manifest.json"] = as_json(listed)

    return tamper


def relisted(change: Callable[[Any], object]) -> Change:
    return edited("manifest.json", change)


def smuggled(files: Files) -> None:
    """Evidence that is among the files and not among the evidence."""
    forged = replace(EVIDENCE["rollback"], id="absent").as_dict()
    files |= {"evidence/absent.json": as_json(forged)}
    files |= sealed(files)


def cited(files: Files) -> None:
    """A sentence that is evidenced by what is not there."""
    document = json.loads(files["documents/card.json"])
    document["sections"][0]["blocks"][0]["cites"] = ["absent"]
    files["documents/card.json"] = as_json(document)
    files |= sealed(files)


def test_a_good_package_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verified(tmp_path, capsys, archive_of(made())) == (0, [])
    verify_package.main([str(tmp_path / "package.zip")])
    assert capsys.readouterr().out == "9 files, 0 wrong; signature not looked at\n"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda files: files.update({"page.html": b"<p>naher</p>"}),
            "page.html: other bytes than the manifest says",
        ),
        (lambda files: files.update({"page.html": b""}), "page.html: other bytes than the manifest says"),
        (lambda files: files.update({"more.txt": b"x"}), "more.txt: in the archive and not in the manifest"),
        (lambda files: files.pop("page.html"), "page.html: in the manifest and not in the archive"),
        (lambda files: files.pop("manifest.json"), "archive: no manifest.json"),
        (
            edited("evidence/rollback.json", lambda value: value["facts"].update(seconds=1), manifest=True),
            "evidence rollback: another digest than the manifest says",
        ),
        (
            edited("evidence/identity.json", lambda value: value.update(outcome="satisfied"), manifest=True),
            "evidence identity: its outcome does not follow from its checks",
        ),
        (
            edited("evidence/nothing.json", lambda value: value.update(outcome="satisfied"), manifest=True),
            "evidence nothing: its outcome does not follow from its checks",
        ),
        (
            edited("evidence/owner.json", lambda value: value.update(outcome="satisfied"), manifest=True),
            "evidence owner: its outcome does not follow from its checks",
        ),
        (
            relisted(lambda value: value["evidence"]["transport"].update(outcome="satisfied")),
            "evidence transport: its outcome does not follow from its checks",
        ),
        (
            relisted(lambda value: value["evidence"].update(more={"sha256": "0", "outcome": "satisfied"})),
            "evidence more: not in the archive",
        ),
        (smuggled, "evidence absent: in the archive and not in the manifest's evidence"),
        (cited, "documents/card.json: a sentence cites absent, which is not in the archive"),
        (
            lambda files: files.update({"manifest.json": b"{"}),
            "manifest.json: cannot be read (JSONDecodeError)",
        ),
        (relisted(lambda value: value.pop("files")), "manifest.json: cannot be read (KeyError)"),
        (relisted(lambda value: value.update(evidence=[])), "evidence: cannot be read (AttributeError)"),
        (
            edited("evidence/rollback.json", lambda value: value.pop("checks"), manifest=True),
            "evidence: cannot be read (KeyError)",
        ),
        (
            lambda files: files.update({"documents/card.json": b"\xff{"}),
            "sentences: cannot be read (UnicodeDecodeError)",
        ),
    ],
)
def test_each_kind_of_tampering_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Change, told: str
) -> None:
    files = made()
    change(files)
    code, wrong = verified(tmp_path, capsys, archive_of(files))
    assert code == 1
    assert told in wrong


def test_all_that_is_wrong_is_told_and_not_the_first_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = made()
    files["page.html"] = b"other"
    files["more.txt"] = b"x"
    cited_too = json.loads(files["documents/card.json"])
    cited_too["sections"][0]["blocks"][0]["cites"] = ["absent"]
    files["documents/card.json"] = as_json(cited_too)
    _, wrong = verified(tmp_path, capsys, archive_of(files))
    assert len(wrong) == 4


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "twice.zip"
    path.write_bytes(archive_of(made()))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("page.html", made()["page.html"])
    assert verified(tmp_path, capsys, path.read_bytes()) == (1, ["archive: a file is there twice"])


def test_what_is_no_good_zip_is_not_verified_and_nothing_is_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = archive_of(made())
    damaged = bytearray(good)
    damaged[60:90] = b"\xff" * 30
    larger = bytearray(good)
    place = larger.rindex(b"PK\x01\x02")
    larger[place + 24 : place + 28] = struct.pack("<I", (1 << 30) + 1)
    for content in (b"", b"no zip", good[:-40], bytes(damaged), bytes(larger)):
        code, wrong = verified(tmp_path, capsys, content)
        assert code == 1
        assert any(line.startswith("archive: ") for line in wrong)


def test_wrong_use_is_neither(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify_package.main([str(tmp_path / "absent.zip")]) == 2
    assert "absent.zip" in capsys.readouterr().err
    (tmp_path / "package.zip").write_bytes(archive_of(made()))
    assert verify_package.main([str(tmp_path / "package.zip"), "--key", str(tmp_path / "absent.pem")]) == 2
    assert "absent.pem" in capsys.readouterr().err


def test_it_is_one_file_that_needs_python_alone(tmp_path: Path) -> None:
    source = Path(verify_package.__file__)
    needed = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    }
    assert needed <= sys.stdlib_module_names
    (tmp_path / "package.zip").write_bytes(archive_of(made()))
    (tmp_path / "v.py").write_bytes(source.read_bytes())
    for content, code in ((archive_of(made()), 0), (archive_of({**made(), "page.html": b"x"}), 1)):
        (tmp_path / "package.zip").write_bytes(content)
        done = subprocess.run([sys.executable, "-I", "v.py", "package.zip"], cwd=tmp_path, check=False)
        assert done.returncode == code


def signer_of(folder: Path, kind: str, name: str = "key") -> tuple[FileSigner, str]:
    """A signer, and the file of its public key."""
    key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    path, public = folder / f"{name}.pem", folder / f"{name}.public.pem"
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    signer = FileSigner(path, development=False)
    public.write_text(signer.public_key_pem)
    return signer, str(public)


@needs_openssl
@pytest.mark.parametrize("kind", ["ed25519", "p256"])
class TestSignature:
    NOT = "package.zip.sig: not a signature of this key over this archive"

    def test_openssl_verifies_a_good_one(
        self, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        signer, key = signer_of(tmp_path, kind)
        archive = archive_of(made())
        (tmp_path / "package.zip.sig").write_bytes(signature_of(archive, signer))
        assert verified(tmp_path, capsys, archive, "--key", key) == (0, [])
        verify_package.main([str(tmp_path / "package.zip"), "--key", key])
        assert "0 wrong; signed by that key" in capsys.readouterr().out

    @pytest.mark.parametrize("other", ["ed25519", "p256"])
    def test_it_is_no_other_keys(
        self, kind: str, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        signer, _ = signer_of(tmp_path, kind)
        _, key = signer_of(tmp_path, other, "other")
        archive = archive_of(made())
        (tmp_path / "package.zip.sig").write_bytes(signature_of(archive, signer))
        assert verified(tmp_path, capsys, archive, "--key", key) == (1, [self.NOT])

    def test_it_is_of_no_other_archive(
        self, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Its files all agree with each other: the signature alone tells that somebody made them anew."""
        signer, key = signer_of(tmp_path, kind)
        signature = signature_of(archive_of(made()), signer)
        (tmp_path / "package.zip.sig").write_bytes(signature)
        anew = archive_of(sealed({**made(), "page.html": b"<p>other</p>"}))
        told = ["package.zip.sig: is of another archive", self.NOT]
        assert verified(tmp_path, capsys, anew, "--key", key) == (1, told)
        moved = json.loads(signature) | {"archive_sha256": hashlib.sha256(anew).hexdigest()}
        (tmp_path / "package.zip.sig").write_bytes(as_json(moved))
        assert verified(tmp_path, capsys, anew, "--key", key) == (1, [self.NOT])

    @pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "none"])
    def test_what_it_says_of_its_algorithm_makes_no_bad_one_good(
        self, kind: str, algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        signer, key = signer_of(tmp_path, kind)
        archive = archive_of(made())
        values = json.loads(signature_of(archive_of({"a": b"b"}), signer))
        values |= {"archive_sha256": hashlib.sha256(archive).hexdigest(), "algorithm": algorithm}
        (tmp_path / "package.zip.sig").write_bytes(as_json(values))
        assert verified(tmp_path, capsys, archive, "--key", key) == (1, [self.NOT])

    @pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b'{"signature": "?"}', b'{"signature": 1}'])
    def test_one_that_cannot_be_read_is_told(
        self, kind: str, content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _, key = signer_of(tmp_path, kind)
        if content is not None:
            (tmp_path / "package.zip.sig").write_bytes(content)
        code, wrong = verified(tmp_path, capsys, archive_of(made()), "--key", key)
        assert code == 1
        assert any("package.zip.sig: cannot be read" in line for line in wrong)

    def test_without_openssl_it_is_not_verified(
        self, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        signer, key = signer_of(tmp_path, kind)
        archive = archive_of(made())
        (tmp_path / "package.zip.sig").write_bytes(signature_of(archive, signer))
        monkeypatch.setenv("PATH", str(tmp_path))
        told = ["signature: openssl is not there, expected it"]
        assert verified(tmp_path, capsys, archive, "--key", key) == (1, told)
