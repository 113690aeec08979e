"""The keys that sign checkpoints, and those whose signatures are believed.

A signing key is named by URI:

- `file:PATH`: a private key in PEM (PKCS#8), Ed25519 or ECDSA P-256, readable by its owner alone. Its public key
  lies beside it, `seal.pub.pem` beside `seal.pem`, for those who verify and may not sign;
- `aws-kms:KEY_ARN`: a P-256 key that never leaves AWS KMS (extra `aws`).

A development site gets a key on first use. Anywhere else a key is made by a person, who then also sees to it that
its public half reaches those who verify: with a key that came about by itself any forged ledger would look sealed.

Controls: SC-12 (keys are established and managed), SC-13 (both algorithms are in FIPS 186-5), AU-10.
"""

import hashlib
import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from fielded.decisions.checkpoints import (
    Checkpoint,
    Signature,
    SignedCheckpoint,
    ecdsa_key_id,
    ed25519_key_id,
)
from fielded.definition.site import Site
from fielded.words.errors import Finding, Refused, Unreachable, WrongUse
from fielded.world.key_files import how_to_make, make_key, private_pem, public_path, read_key
from fielded.world.secrets import path_of

Algorithm = Literal["Ed25519", "ECDSA-P256"]
PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey

_KMS_MESSAGE = 4096  # bytes that KMS signs as they are
_KMS_ARN = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies.

    Attributes:
        pem: SubjectPublicKeyInfo.
    """

    pem: str
    _key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @classmethod
    def from_pem(cls, pem: bytes, where: str) -> "PublicKey":
        """The key in a PEM text; `where` is what to call it in an error.

        Raises:
            WrongUse: it is none, or of a kind that is not taken here.
        """
        if b"PRIVATE KEY-----" in pem:
            raise WrongUse(
                f"{where}: got a private key, expected a public one. Take it out: openssl pkey -pubout -in FILE"
            )
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise WrongUse(f"{where}: got no public key, expected one in PEM (SubjectPublicKeyInfo)") from None
        return cls.of(key, where)

    @classmethod
    def of(cls, key: object, where: str) -> "PublicKey":
        """A key of the cryptography package.

        Raises:
            WrongUse: of a kind that is not taken here.
        """
        encoding, layout = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        if isinstance(key, ed25519.Ed25519PublicKey) or (
            isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        ):
            return cls(key.public_bytes(encoding, layout).decode(), key)
        raise WrongUse(f"{where}: got a key of another kind, expected Ed25519 or ECDSA P-256")

    @property
    def algorithm(self) -> Algorithm:
        return "Ed25519" if isinstance(self._key, ed25519.Ed25519PublicKey) else "ECDSA-P256"

    @property
    def der(self) -> bytes:
        """SubjectPublicKeyInfo."""
        return self._key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_id(self) -> str:
        """SHA-256 of the key (DER), hexadecimal: `openssl pkey -pubin -in FILE -outform DER | sha256sum`."""
        return hashlib.sha256(self.der).hexdigest()

    def note_key_id(self, name: str) -> bytes:
        """The 4 bytes that stand for this key in notes where it is called `name`."""
        if isinstance(self._key, ed25519.Ed25519PublicKey):
            return ed25519_key_id(name, self._key.public_bytes_raw())
        return ecdsa_key_id(self.der)

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature` is this key's over `data` (ECDSA: DER, with SHA-256)."""
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, data)
            else:
                self._key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


class Signer(Protocol):
    """Signs with one key."""

    @property
    def public_key(self) -> PublicKey:
        """What verifies its signatures."""

    @property
    def key_id(self) -> str:
        """`public_key.key_id`."""

    @property
    def algorithm(self) -> Algorithm:
        """`public_key.algorithm`."""

    @property
    def public_key_pem(self) -> str:
        """`public_key.pem`."""

    def sign(self, data: bytes) -> bytes:
        """A signature over `data`, at most 4096 bytes.

        Raises:
            Unreachable: whoever holds the key does not answer, or answers with no good signature.
        """


class _Signer:
    """What signers have in common."""

    def __init__(self, public_key: PublicKey) -> None:
        self.public_key = public_key

    @property
    def key_id(self) -> str:
        return self.public_key.key_id

    @property
    def algorithm(self) -> Algorithm:
        return self.public_key.algorithm

    @property
    def public_key_pem(self) -> str:
        return self.public_key.pem


class FileSigner(_Signer):
    """A private key in a file.

    Args:
        path: of the PEM file.
        development: make a key where there is none, and take one that others can read.

    Raises:
        WrongUse: no key, none that is taken here, one that others can read, or the public key beside it is
            another's.
        Unreachable: it could not be read, or not be made.
    """

    def __init__(self, path: Path, *, development: bool = False) -> None:
        beside = public_path(path)
        kept = read_key(beside)  # before the private key: whoever makes a pair writes this half last
        content = private_pem(path, guarded=not development)
        if content is None:
            if kept is not None:
                raise WrongUse(
                    f"signing_key: got {beside.name} without {path.name}, expected both. Put the private key "
                    f"back; if it is lost, move {beside.name} away, name it in `trusted_keys`, and make a new key"
                )
            if not development:
                raise WrongUse(how_to_make(path))
            make_key(path)
            content = private_pem(path, guarded=True) or b""
        self._key = _private_key(content, str(path))
        super().__init__(PublicKey.of(self._key.public_key(), str(path)))
        if kept is not None and PublicKey.from_pem(kept, str(beside)) != self.public_key:
            raise WrongUse(
                f"signing_key: got {beside.name} of another key than {path.name}, expected its public half. "
                "Find out which of the two was replaced; those who verify trust the public one"
            )

    def sign(self, data: bytes) -> bytes:
        """A signature over `data`."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


class AwsKmsSigner(_Signer):
    """A P-256 key in AWS KMS.

    Args:
        arn: of the key itself: an alias could be moved to another key.
        client: boto3's client for KMS, made for the ARN's region by default.

    Raises:
        WrongUse: the extra `aws` is not installed, or the key is of another kind.
        Unreachable: KMS does not answer.
    """

    def __init__(self, arn: str, client: Any = None) -> None:
        matched = _KMS_ARN.fullmatch(arn)
        if matched is None:
            raise WrongUse(
                "signing_key: got aws-kms: with something else, expected the ARN of a key, "
                "arn:aws-us-gov:kms:REGION:ACCOUNT:key/ID"
            )
        self._arn = arn
        self._client = client if client is not None else _kms_client(matched["region"])
        answer = self._ask("get_public_key", KeyId=arn)
        if answer.get("KeyUsage") != "SIGN_VERIFY" or answer.get("KeySpec") != "ECC_NIST_P256":
            got = f"{answer.get('KeySpec')} for {answer.get('KeyUsage')}"
            raise WrongUse(f"signing_key: got a KMS key {got}, expected ECC_NIST_P256 for SIGN_VERIFY")
        super().__init__(PublicKey.of(serialization.load_der_public_key(answer["PublicKey"]), arn))

    def sign(self, data: bytes) -> bytes:
        """A signature over `data`, at most 4096 bytes; checked here before it is handed out."""
        if len(data) > _KMS_MESSAGE:
            raise ValueError(f"data: got {len(data)} bytes, expected at most {_KMS_MESSAGE}")
        asked = {"KeyId": self._arn, "MessageType": "RAW", "SigningAlgorithm": "ECDSA_SHA_256"}
        signature = bytes(self._ask("sign", Message=data, **asked)["Signature"])
        if not self.public_key.verify(signature, data):
            raise Unreachable(f"{self._arn}: got a signature that is not this key's, expected one. Try again")
        return signature

    def _ask(self, method: str, **asked: Any) -> Any:
        try:
            return getattr(self._client, method)(**asked)
        except Exception as error:  # the SDK makes its exceptions at run time; all mean: no signature
            raise Unreachable(
                f"{self._arn}: got {type(error).__name__} from KMS's {method}, expected an answer. "
                "Check credentials, key policy (kms:Sign, kms:GetPublicKey) and network"
            ) from error


def open_signer(site: Site) -> Signer:
    """The signer of a site.

    Raises:
        WrongUse: the site names none that can be used; says what to do.
        Unreachable: whoever holds the key does not answer.
    """
    scheme, _, rest = site.signing_key.partition(":")
    if scheme == "file":
        return FileSigner(path_of(site.signing_key), development=site.environment == "development")
    if scheme == "aws-kms":
        return AwsKmsSigner(rest)
    raise WrongUse(f"signing_key: got {scheme}:, expected file:PATH or aws-kms:KEY_ARN")


def trusted_keys(site: Site) -> tuple[PublicKey, ...]:
    """Public keys whose checkpoints are believed: the signing key's first, then those the site names.

    Makes no key; none at all where there is no signing key yet. Of a signing key in a file the public half is
    enough, so that who verifies need not be able to sign.

    Raises:
        WrongUse: something that is named is no key.
        Unreachable: whoever holds the signing key does not answer.
    """
    found = [] if (signing := _public_half(site)) is None else [signing]
    for uri in site.trusted_keys:
        key = public_key(uri)
        if key not in found:
            found.append(key)
    return tuple(found)


def public_key(uri: str) -> PublicKey:
    """The public key that a `file:` URI names.

    Raises:
        WrongUse: another URI, no such file, or no public key in it.
        Unreachable: it could not be read.
    """
    scheme, _, _ = uri.partition(":")
    if scheme != "file":
        raise WrongUse(f"trusted_keys: got {scheme}:, expected file:PATH of a public key in PEM")
    content = read_key(path_of(uri))
    if content is None:
        raise WrongUse(f"trusted_keys: got no such file as {path_of(uri)}, expected a public key in PEM")
    return PublicKey.from_pem(content, uri)


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> SignedCheckpoint:
    """The checkpoint with one signature; the key is called as the log is.

    Raises:
        Unreachable: as `Signer.sign`.
    """
    name = checkpoint.origin
    signature = signer.sign(checkpoint.to_body().encode())
    return SignedCheckpoint(checkpoint, (Signature(name, signer.public_key.note_key_id(name), signature),))


def verify_checkpoint(signed: SignedCheckpoint, keys: Sequence[PublicKey], where: str) -> PublicKey:
    """The trusted key that signed a checkpoint.

    As signed-note asks: signatures of unknown keys are passed over, and one that claims to be of a known key and
    is not spoils the note, whatever else stands on it.

    Raises:
        Refused: no trusted key signed it, or a signature is wrong.
    """
    name, body = signed.checkpoint.origin, signed.checkpoint.to_body().encode()
    known = {key.note_key_id(name): key for key in reversed(keys)}
    good: list[PublicKey] = []
    for number, line in enumerate(signed.signatures, 1):
        key = known.get(line.key_id) if line.name == name else None
        if key is None:
            continue
        if not key.verify(line.signature, body):
            got = f"one that is not of key {key.key_id[:16]} over this text"
            finding = Finding(where, f"signatures.{number}", got, "a signature that verifies")
            raise Refused(f"{where}: the checkpoint was changed after it was signed, or forged", [finding])
        good.append(key)
    if not good:
        ids = ", ".join(line.key_id.hex() for line in signed.signatures)
        step = "Name the public key that signed it in `trusted_keys`, if it is one to be trusted"
        finding = Finding(where, "signatures", f"keys {ids}", f"one of {len(keys)} trusted keys", step)
        raise Refused(f"{where}: no trusted key signed this checkpoint", [finding])
    return good[0]


def _public_half(site: Site) -> PublicKey | None:
    """The public key of the site's signing key."""
    scheme, _, _ = site.signing_key.partition(":")
    if scheme != "file":
        return open_signer(site).public_key
    path = path_of(site.signing_key)
    beside = public_path(path)
    kept = read_key(beside)
    if kept is not None:
        return PublicKey.from_pem(kept, str(beside))
    content = private_pem(path, guarded=site.environment == "production")
    return None if content is None else PublicKey.of(_private_key(content, str(path)).public_key(), str(path))


def _private_key(content: bytes, where: str) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError:
        raise WrongUse(
            f"signing_key: got a key with a passphrase in {where}, expected one without, in a file that only its "
            "owner can read"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise WrongUse(
            f"signing_key: got no private key in {where}, expected one in PEM (PKCS#8), Ed25519 or ECDSA P-256"
        ) from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise WrongUse(f"signing_key: got a key of another kind in {where}, expected Ed25519 or ECDSA P-256")


def _kms_client(region: str) -> Any:
    try:
        boto3 = importlib.import_module("boto3")
    except ImportError:
        raise WrongUse(
            "signing_key: got aws-kms:, expected the package boto3, which is not installed. "
            'Install the extra: pip install "fielded[aws]"'
        ) from None
    return boto3.client("kms", region_name=region)
