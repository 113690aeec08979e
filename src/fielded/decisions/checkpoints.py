"""Checkpoints: what a log was at one moment, as a text that is signed (C2SP tlog-checkpoint and signed-note).

    fielded/overrun/predictions/0f8fad5b-d9cb-469f-a165-70867728950e
    20852
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
    time 2026-03-02T02:00:00.123456Z

    — fielded/overrun/predictions/0f8fad5b-d9cb-469f-a165-70867728950e Az3grlgt...

The lines: the log's name (origin), its leaves, its Merkle root in base64, the time in RFC 3339 (an extension line
of ours: signed, but only as true as its signer's clock); a blank line; one line for each signature, over
everything above the blank line. Any tool that reads such notes reads these.

One checkpoint has one text. What differs from it in a single byte is refused, not repaired, so that no two readers
can see two things in one note.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from fielded.decisions.merkle import EMPTY_ROOT, HASH_LENGTH
from fielded.words.errors import Finding, Refused

MAX_NOTE = 64 * 1024  # bytes
MAX_SIGNATURES = 16

_ED25519 = b"\x01"
_KEY_ID = 4  # bytes
_DASH = "\N{EM DASH} "
_TIME = "time "
_LINES = 4  # of a body
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)
_LARGEST = (1 << 63) - 1
_SHOWN = 80  # characters of somebody else's text that a finding repeats


class MalformedCheckpoint(Refused):
    """A text is not a checkpoint as fielded writes them."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log was.

    Attributes:
        origin: name of the log; see `origin_of`.
        size: leaves.
        root: Merkle root over them, 32 bytes.
        time: when it was signed, by its signer's clock; UTC, microseconds.
    """

    origin: str
    size: int
    root: bytes
    time: datetime

    def __post_init__(self) -> None:
        if not is_name(self.origin):
            raise ValueError(f"origin: got {self.origin!r}, expected a text without spaces and without +")
        if not 0 <= self.size <= _LARGEST:
            raise ValueError(f"size: got {self.size}, expected 0 to {_LARGEST}")
        if len(self.root) != HASH_LENGTH:
            raise ValueError(f"root: got {len(self.root)} bytes, expected {HASH_LENGTH}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise ValueError("root: got another one for a log without leaves, expected the SHA-256 of nothing")
        if self.time.tzinfo is not UTC:
            raise ValueError("time: got another time zone or none, expected UTC")

    def to_body(self) -> str:
        """The text that is signed; its UTF-8 is what a signature is over."""
        moment = self.time.replace(tzinfo=None).isoformat(timespec="microseconds")
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n{_TIME}{moment}Z\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """One line below a note.

    Attributes:
        name: of the key; fielded's own are named as the origin.
        key_id: 4 bytes that tell keys of one name apart; a hint, no proof.
        signature: over the body's UTF-8.
    """

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise ValueError(f"name: got {self.name!r}, expected a text without spaces and without +")
        if len(self.key_id) != _KEY_ID:
            raise ValueError(f"key_id: got {len(self.key_id)} bytes, expected {_KEY_ID}")
        if not self.signature:
            raise ValueError("signature: got nothing")

    def to_line(self) -> str:
        """The line, with its line end."""
        return f"{_DASH}{self.name} {_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint and who signed it. That a signature is there says nothing before it is verified.

    Attributes:
        checkpoint: what the body says.
        signatures: at least one.
    """

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise ValueError(f"signatures: got {len(self.signatures)}, expected 1 to {MAX_SIGNATURES}")

    def to_note(self) -> str:
        """The whole note."""
        return f"{self.checkpoint.to_body()}\n{''.join(line.to_line() for line in self.signatures)}"


def origin_of(deployment: str, table: str, table_id: str) -> str:
    """Name of the log over one ledger table: a table that was made anew has another id, and another log."""
    return f"fielded/{deployment}/{table}/{table_id}"


def is_name(text: str) -> bool:
    """Whether a text may name a log or a key: not empty, no space or control character of any kind, no plus."""
    return bool(text) and text.isprintable() and not any(char.isspace() or char == "+" for char in text)


def ed25519_key_id(name: str, public_key: bytes) -> bytes:
    """Id of an Ed25519 key, 4 bytes (signed-note, type 0x01).

    Args:
        name: of the key.
        public_key: its 32 bytes as in RFC 8032.
    """
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:_KEY_ID]


def ecdsa_key_id(public_key: bytes) -> bytes:
    """Id of an ECDSA key, 4 bytes (signed-note, type 0x02, whose ids are made of nothing but the key).

    Args:
        public_key: DER of its SubjectPublicKeyInfo.
    """
    return hashlib.sha256(public_key).digest()[:_KEY_ID]


def parse(note: str | bytes, where: str = "checkpoint") -> SignedCheckpoint:
    """The one checkpoint that a note can mean.

    Args:
        note: the whole note.
        where: what to call it in findings, usually its file.

    Raises:
        MalformedCheckpoint: with all findings.
    """
    findings: list[Finding] = []
    text = _text(note, where, findings)
    if not findings:
        body, found, tail = text.rpartition("\n\n")
        if not found:
            findings.append(Finding(where, "note", "no blank line", "one between the body and its signatures"))
        else:
            checkpoint = _checkpoint(f"{body}\n", where, findings)
            signatures = _signatures(tail, where, findings)
            if checkpoint and not findings:
                signed = SignedCheckpoint(checkpoint, signatures)
                if signed.to_note() == text:
                    return signed
                findings.append(Finding(where, "note", "another text than its values make", "the text as written"))
    raise MalformedCheckpoint(f"{where}: not a checkpoint as fielded writes them", findings)


def _text(note: str | bytes, where: str, findings: list[Finding]) -> str:
    if len(note) > MAX_NOTE:
        findings.append(Finding(where, "note", f"{len(note)} bytes", f"at most {MAX_NOTE}"))
        return ""
    try:
        text = note if isinstance(note, str) else note.decode()
        text.encode()  # a lone surrogate has no bytes
    except UnicodeError:
        findings.append(Finding(where, "note", "bytes that are not UTF-8", "UTF-8"))
        return ""
    if any(char < " " and char != "\n" for char in text):
        findings.append(Finding(where, "note", "a control character", "none but line ends"))
    return text


def _checkpoint(body: str, where: str, findings: list[Finding]) -> Checkpoint | None:
    lines = body.split("\n")[:-1]
    if len(lines) != _LINES:
        expected = f"{_LINES}: origin, size, root, time"
        findings.append(Finding(where, "body", f"{len(lines)} lines", expected))
        return None
    origin, size, root, time = lines
    if not is_name(origin):
        findings.append(Finding(where, "origin", _shown(origin), "a text without spaces and without +"))
    if not _SIZE.fullmatch(size) or int(size) > _LARGEST:
        findings.append(Finding(where, "size", _shown(size), f"a whole number up to {_LARGEST}, no leading zero"))
    hashed = _octets(root)
    if hashed is None or len(hashed) != HASH_LENGTH:
        findings.append(Finding(where, "root", _shown(root), f"{HASH_LENGTH} bytes in base64"))
    elif size == "0" and hashed != EMPTY_ROOT:
        findings.append(Finding(where, "root", _shown(root), "the SHA-256 of nothing, for there are no leaves"))
    moment = _moment(time)
    if moment is None:
        findings.append(Finding(where, "time", _shown(time), "`time YYYY-MM-DDTHH:MM:SS.ffffffZ`"))
    if findings or hashed is None or moment is None:
        return None
    return Checkpoint(origin, int(size), hashed, moment)


def _signatures(tail: str, where: str, findings: list[Finding]) -> tuple[Signature, ...]:
    lines = tail.split("\n")
    if lines.pop():
        findings.append(Finding(where, "note", "no line end at its end", "one"))
        return ()
    if not 1 <= len(lines) <= MAX_SIGNATURES:
        findings.append(Finding(where, "signatures", str(len(lines)), f"1 to {MAX_SIGNATURES}"))
        return ()
    found = []
    for number, line in enumerate(lines, 1):
        name, between, encoded = line.removeprefix(_DASH).partition(" ")
        octets = _octets(encoded)
        if not line.startswith(_DASH) or not between or not is_name(name) or not octets or len(octets) <= _KEY_ID:
            expected = f"`{_DASH}NAME BASE64` with a key id of {_KEY_ID} bytes and a signature"
            findings.append(Finding(where, f"signatures.{number}", _shown(line), expected))
        else:
            found.append(Signature(name, octets[:_KEY_ID], octets[_KEY_ID:]))
    return tuple(found)


def _moment(line: str) -> datetime | None:
    text = line.removeprefix(_TIME)
    if not line.startswith(_TIME) or not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:  # the 30th of February
        return None


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _octets(text: str) -> bytes | None:
    """The bytes that are written so and no other way, or None."""
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return octets if _base64(octets) == text else None


def _shown(text: str) -> str:
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return ascii(short)
