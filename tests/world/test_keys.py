"""Keys that sign and keys that are believed: made once, guarded, never written over."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.checkpoints import Checkpoint, SignedCheckpoint, parse
from fielded.definition import Site
from fielded.words.errors import Refused, Unreachable, WrongUse
from fielded.world.keys import (
    AwsKmsSigner,
    FileSigner,
    PublicKey,
    Signer,
    open_signer,
    public_key,
    sign_checkpoint,
    trusted_keys,
    verify_checkpoint,
)

ARN = "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CHECKPOINT = Checkpoint("fielded/overrun/predictions/1", 7, bytes(32), datetime(2026, 3, 2, tzinfo=UTC))
NO_PASSPHRASE = serialization.NoEncryption()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(
        root=str(tmp_path),
        tracking_uri="sqlite://",
        artifact_root=str(tmp_path),
        cache=tmp_path,
        journal_url="sqlite:///journal",
        signing_key=f"file:{tmp_path / 'keys' / 'seal.pem'}",
    )


@pytest.fixture
def key_file(site: Site) -> Path:
    return Path(site.signing_key.removeprefix("file:"))


def put(path: Path, key: Any, protection: serialization.KeySerializationEncryption = NO_PASSPHRASE) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection))
    path.chmod(0o600)


def put_public(path: Path, key: PublicKey) -> str:
    path.write_text(key.pem)
    return f"file:{path}"


def names_beside(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir())


class Kms:
    """What boto3's client for KMS does with one P-256 key."""

    def __init__(self, **answer: object) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.asked: list[dict[str, Any]] = []
        der, spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        self.answer = {
            "PublicKey": self.key.public_key().public_bytes(der, spki),
            "KeySpec": "ECC_NIST_P256",
            "KeyUsage": "SIGN_VERIFY",
            **answer,
        }

    def get_public_key(self, **asked: Any) -> dict[str, Any]:
        assert asked == {"KeyId": ARN}
        return self.answer

    def sign(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {"Signature": self.key.sign(asked["Message"], ec.ECDSA(hashes.SHA256()))}


def ed25519_signer(folder: Path) -> Signer:
    put(folder / "a.pem", ed25519.Ed25519PrivateKey.generate())
    return FileSigner(folder / "a.pem")


def p256_signer(folder: Path) -> Signer:
    put(folder / "b.pem", ec.generate_private_key(ec.SECP256R1()))
    return FileSigner(folder / "b.pem")


def kms_signer(folder: Path) -> Signer:
    assert folder.is_dir()
    return AwsKmsSigner(ARN, Kms())


signers = pytest.mark.parametrize("make", [ed25519_signer, p256_signer, kms_signer])


@signers
def test_what_a_signer_signs_its_public_key_verifies_and_nothing_else(
    make: Callable[[Path], Signer], tmp_path: Path
) -> None:
    signer = make(tmp_path)
    key = PublicKey.from_pem(signer.public_key_pem.encode(), "here")
    assert key == signer.public_key
    assert (key.key_id, key.algorithm) == (signer.key_id, signer.algorithm)

    @settings(max_examples=25, deadline=None)
    @given(st.binary(max_size=4096), st.binary(max_size=80), st.integers(0, 1 << 12))
    def holds(data: bytes, other: bytes, bit: int) -> None:
        signature = signer.sign(data)
        assert key.verify(signature, data)
        assert not key.verify(signature, data + b"x")
        assert not key.verify(other, data)
        changed = bytearray(signature)
        changed[bit // 8 % len(changed)] ^= 1 << bit % 8
        assert not key.verify(bytes(changed), data)

    holds()


@signers
def test_a_signed_checkpoint_is_believed_with_its_key_alone(
    make: Callable[[Path], Signer], tmp_path: Path
) -> None:
    signer, stranger = make(tmp_path), PublicKey.of(ed25519.Ed25519PrivateKey.generate().public_key(), "here")
    signed = parse(sign_checkpoint(CHECKPOINT, signer).to_note())
    assert signed.checkpoint == CHECKPOINT
    assert verify_checkpoint(signed, [stranger, signer.public_key], "a.txt") == signer.public_key
    with pytest.raises(Refused, match=r"a\.txt: no trusted key signed this checkpoint"):
        verify_checkpoint(signed, [stranger], "a.txt")
    with pytest.raises(Refused, match="expected one of 0 trusted keys"):
        verify_checkpoint(signed, [], "a.txt")
    forged = SignedCheckpoint(replace(CHECKPOINT, size=8), signed.signatures)
    with pytest.raises(Refused, match="changed after it was signed, or forged"):
        verify_checkpoint(forged, [signer.public_key], "a.txt")


def test_a_signature_of_somebody_unknown_is_passed_over_and_a_wrong_one_spoils_the_note(tmp_path: Path) -> None:
    ours, theirs = ed25519_signer(tmp_path), p256_signer(tmp_path)
    good = sign_checkpoint(CHECKPOINT, ours).signatures[0]
    other = sign_checkpoint(CHECKPOINT, theirs).signatures[0]
    both = SignedCheckpoint(CHECKPOINT, (other, good))
    assert verify_checkpoint(both, [ours.public_key], "x") == ours.public_key
    assert verify_checkpoint(both, [ours.public_key, theirs.public_key], "x") == theirs.public_key
    spoilt = SignedCheckpoint(CHECKPOINT, (good, replace(other, signature=good.signature)))
    assert verify_checkpoint(spoilt, [ours.public_key], "x") == ours.public_key
    with pytest.raises(Refused, match=r"signatures\.2: got one that is not of key"):
        verify_checkpoint(spoilt, [ours.public_key, theirs.public_key], "x")
    renamed = SignedCheckpoint(CHECKPOINT, (replace(other, name="fielded/another"),))
    with pytest.raises(Refused, match="no trusted key signed"):
        verify_checkpoint(renamed, [theirs.public_key], "x")


def test_a_development_site_gets_a_key_on_first_use_that_only_its_owner_can_read(
    site: Site, key_file: Path
) -> None:
    first = open_signer(site)
    assert first.algorithm == "Ed25519"
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert key_file.parent.stat().st_mode & 0o777 == 0o700
    assert names_beside(key_file) == ["seal.pem", "seal.pub.pem"]
    assert (key_file.parent / "seal.pub.pem").read_text() == first.public_key_pem
    written = key_file.read_bytes()
    assert open_signer(site).key_id == first.key_id
    assert key_file.read_bytes() == written


def test_in_production_no_key_is_made_and_the_message_says_how(site: Site, key_file: Path) -> None:
    production = replace(site, environment="production")
    with pytest.raises(WrongUse, match="no such file") as refused:
        open_signer(production)
    assert not key_file.parent.exists()
    assert trusted_keys(production) == ()
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(["bash", "-ec", str(refused.value).partition("verify: ")[2]], check=True)
    signer = open_signer(production)
    assert trusted_keys(production) == (signer.public_key,)
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_the_key_id_is_what_openssl_and_sha256sum_say(site: Site, key_file: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    signer = open_signer(site)
    command = "openssl pkey -pubin -in seal.pub.pem -outform DER | sha256sum"
    ended = subprocess.run(
        ["bash", "-c", command], cwd=key_file.parent, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split()[0] == signer.key_id


def test_processes_that_make_a_key_at_once_end_with_one(key_file: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from fielded.world.keys import FileSigner;"
        "print('ready', flush=True); sys.stdin.read();"
        "print(FileSigner(Path(sys.argv[1]), development=True).key_id)"
    )
    command = [sys.executable, "-c", script, str(key_file)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 4
    for process in processes:
        if process.stdin:
            process.stdin.close()
    ids = {process.stdout.read() for process in processes if process.stdout}
    for process in processes:
        assert process.wait(60) == 0
        if process.stdout:
            process.stdout.close()
    assert ids == {f"{FileSigner(key_file).key_id}\n"}
    assert names_beside(key_file) == ["seal.pem", "seal.pub.pem"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_in_production_a_key_that_others_can_reach_is_refused(site: Site, key_file: Path, mode: int) -> None:
    open_signer(site)
    key_file.chmod(mode)
    production = replace(site, environment="production")
    with pytest.raises(WrongUse, match=f"mode {mode:04o}, expected one that only its owner can read.*chmod 600"):
        open_signer(production)
    assert open_signer(site).algorithm == "Ed25519"
    assert len(trusted_keys(production)) == 1
    (key_file.parent / "seal.pub.pem").unlink()
    with pytest.raises(WrongUse, match="chmod 600"):
        trusted_keys(production)


def test_the_public_half_is_enough_to_verify_and_is_derived_where_it_is_missing(
    site: Site, key_file: Path
) -> None:
    signer = open_signer(site)
    content = key_file.read_bytes()
    (key_file.parent / "seal.pub.pem").unlink()
    assert trusted_keys(site) == (signer.public_key,)
    assert open_signer(site).key_id == signer.key_id
    put_public(key_file.parent / "seal.pub.pem", signer.public_key)
    key_file.unlink()
    assert trusted_keys(site) == (signer.public_key,)
    with pytest.raises(WrongUse, match=r"got seal\.pub\.pem without seal\.pem, expected both"):
        open_signer(site)
    assert not key_file.exists()
    key_file.write_bytes(content)


def test_a_public_half_of_another_key_is_found(site: Site, key_file: Path, tmp_path: Path) -> None:
    open_signer(site)
    put_public(key_file.parent / "seal.pub.pem", p256_signer(tmp_path).public_key)
    with pytest.raises(WrongUse, match=r"got seal\.pub\.pem of another key than seal\.pem"):
        open_signer(site)


def test_keys_before_a_rotation_are_believed_too_each_once(site: Site, tmp_path: Path) -> None:
    old = p256_signer(tmp_path).public_key
    uri = put_public(tmp_path / "old.pub.pem", old)
    signer = open_signer(site)
    same = put_public(tmp_path / "same.pub.pem", signer.public_key)
    assert trusted_keys(replace(site, trusted_keys=(uri, same, uri))) == (signer.public_key, old)
    assert public_key(f"file://{tmp_path / 'old.pub.pem'}") == old


def test_what_is_no_public_key_is_refused_by_name(tmp_path: Path) -> None:
    p256_signer(tmp_path)
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    (tmp_path / "rsa.pem").write_bytes(
        rsa_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "text.pem").write_text("no key")
    (tmp_path / "large.pem").write_bytes(b"x" * 70_000)
    expected = {
        f"file:{tmp_path / 'b.pem'}": r"got a private key, expected a public one.*openssl pkey -pubout",
        f"file:{tmp_path / 'rsa.pem'}": "got a key of another kind, expected Ed25519 or ECDSA P-256",
        f"file:{tmp_path / 'text.pem'}": "got no public key",
        f"file:{tmp_path / 'large.pem'}": "got more than 65536 bytes",
        f"file:{tmp_path / 'none.pem'}": "trusted_keys: got no such file",
        f"file:{tmp_path}": "got something that is no file",
        "https://example.com/key.pem": "trusted_keys: got https:, expected file:PATH",
    }
    for uri, message in expected.items():
        with pytest.raises(WrongUse, match=message):
            public_key(uri)


def test_what_is_no_private_key_is_refused_without_a_word_of_it(site: Site, key_file: Path) -> None:
    protected = serialization.BestAvailableEncryption(b"a passphrase")
    refusals: list[tuple[Callable[[], None], str]] = [
        (lambda: key_file.write_text("no key, but a secret"), "got no private key"),
        (lambda: put(key_file, rsa.generate_private_key(65537, 2048)), "got a key of another kind"),
        (lambda: put(key_file, ec.generate_private_key(ec.SECP384R1())), "got a key of another kind"),
        (lambda: put(key_file, ed25519.Ed25519PrivateKey.generate(), protected), "got a key with a passphrase"),
    ]
    key_file.parent.mkdir()
    for arrange, message in refusals:
        arrange()
        written = key_file.read_bytes()
        with pytest.raises(WrongUse, match=message) as refused:
            open_signer(site)
        assert "secret" not in str(refused.value)
        assert key_file.read_bytes() == written


def test_a_folder_in_the_way_is_unreachable_or_wrong_but_never_a_stack(site: Site, key_file: Path) -> None:
    key_file.parent.write_text("a file where the folder should be")
    with pytest.raises(Unreachable, match="Not a directory"):
        open_signer(site)
    key_file.parent.unlink()
    key_file.mkdir(parents=True)
    with pytest.raises(WrongUse, match="something that is no file"):
        open_signer(site)


def test_a_site_names_a_kind_of_key_that_there_is(site: Site) -> None:
    with pytest.raises(WrongUse, match=r"signing_key: got vault:, expected file:PATH or aws-kms:KEY_ARN"):
        open_signer(replace(site, signing_key="vault:seal"))
    with pytest.raises(WrongUse, match="expected the ARN of a key"):
        open_signer(replace(site, signing_key="aws-kms:alias/seal"))


@pytest.mark.skipif(importlib.util.find_spec("boto3") is not None, reason="boto3 is installed")
def test_without_the_extra_a_kms_key_fails_at_construction_and_names_it(site: Site) -> None:
    for use in (open_signer, trusted_keys):
        with pytest.raises(WrongUse, match=r'pip install "fielded\[aws\]"'):
            use(replace(site, signing_key=f"aws-kms:{ARN}"))


def test_kms_is_asked_in_the_keys_own_region(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    kms, made = Kms(), []
    boto3 = SimpleNamespace(client=lambda *named, **options: made.append((named, options)) or kms)
    monkeypatch.setitem(sys.modules, "boto3", boto3)
    signer = open_signer(replace(site, signing_key=f"aws-kms:{ARN}"))
    assert made == [(("kms",), {"region_name": "us-gov-west-1"})]
    assert signer.algorithm == "ECDSA-P256"
    signer.sign(b"data")
    assert kms.asked == [
        {"KeyId": ARN, "Message": b"data", "MessageType": "RAW", "SigningAlgorithm": "ECDSA_SHA_256"}
    ]


def test_a_kms_key_of_another_kind_is_refused() -> None:
    with pytest.raises(WrongUse, match="got a KMS key ECC_NIST_P384 for SIGN_VERIFY"):
        AwsKmsSigner(ARN, Kms(KeySpec="ECC_NIST_P384"))
    with pytest.raises(WrongUse, match="for KEY_AGREEMENT"):
        AwsKmsSigner(ARN, Kms(KeyUsage="KEY_AGREEMENT"))


def test_kms_that_fails_or_signs_wrongly_gives_no_signature() -> None:
    class Denied(Exception):
        pass

    kms = Kms()
    signer = AwsKmsSigner(ARN, kms)
    with pytest.raises(ValueError, match="got 4097 bytes, expected at most 4096"):
        signer.sign(bytes(4097))
    kms.key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(Unreachable, match="got a signature that is not this key's"):
        signer.sign(b"data")

    def deny(**_: object) -> None:
        raise Denied("with words that are nobody's business")

    kms.sign = deny
    with pytest.raises(
        Unreachable, match=r"got Denied from KMS's sign, expected an answer\. Check credentials"
    ) as no:
        signer.sign(b"data")
    assert "business" not in str(no.value)
