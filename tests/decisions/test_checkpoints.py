"""One checkpoint has one text; every other text is refused with what is wrong in it."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fielded.decisions.checkpoints import (
    MAX_NOTE,
    Checkpoint,
    MalformedCheckpoint,
    Signature,
    SignedCheckpoint,
    ecdsa_key_id,
    ed25519_key_id,
    is_name,
    origin_of,
    parse,
)
from fielded.decisions.merkle import EMPTY_ROOT

ORIGIN = "fielded/overrun/predictions/0f8fad5b"
MOMENT = datetime(2026, 3, 2, 2, 0, 0, 123, tzinfo=UTC)
ROOT = bytes(range(32))
CHECKPOINT = Checkpoint(ORIGIN, 20852, ROOT, MOMENT)
LINE = Signature(ORIGIN, b"\0\1\2\3", b"signature")
NOTE = """\
fielded/overrun/predictions/0f8fad5b
20852
AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
time 2026-03-02T02:00:00.000123Z

— fielded/overrun/predictions/0f8fad5b AAECA3NpZ25hdHVyZQ==
"""

names = st.text(min_size=1, max_size=20).filter(is_name)
checkpoints = st.one_of(
    st.builds(
        Checkpoint,
        names,
        st.integers(1, 2**63 - 1),
        st.binary(min_size=32, max_size=32),
        st.datetimes(timezones=st.just(UTC)),
    ),
    st.builds(Checkpoint, names, st.just(0), st.just(EMPTY_ROOT), st.datetimes(timezones=st.just(UTC))),
)
signatures = st.builds(Signature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80))
signed = st.builds(SignedCheckpoint, checkpoints, st.lists(signatures, min_size=1, max_size=4).map(tuple))


def test_a_note_reads_as_the_specification_has_it() -> None:
    assert SignedCheckpoint(CHECKPOINT, (LINE,)).to_note() == NOTE
    assert parse(NOTE) == parse(NOTE.encode()) == SignedCheckpoint(CHECKPOINT, (LINE,))
    assert origin_of("overrun", "predictions", "0f8fad5b") == ORIGIN


def test_the_specifications_own_example_has_the_key_id_that_its_key_gives() -> None:
    """Of the Go reference implementation: PeterNeumann's key, type and 32 bytes behind its name and id."""
    verifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    name, key_id, encoded = verifier.split("+", 2)
    octets = base64.b64decode(encoded)
    assert octets[:1] == b"\x01"
    assert ed25519_key_id(name, octets[1:]).hex() == key_id


def test_the_id_of_an_ecdsa_key_is_made_of_its_der_alone() -> None:
    assert ecdsa_key_id(b"der") == hashlib.sha256(b"der").digest()[:4]


@given(signed)
def test_what_was_written_is_read_back(note: SignedCheckpoint) -> None:
    assert parse(note.to_note()) == note
    assert parse(note.to_note().encode()) == note


@given(signed, st.data())
def test_no_two_texts_mean_one_checkpoint(note: SignedCheckpoint, data: st.DataObject) -> None:
    """A byte changed, put in or taken out: refused, or another checkpoint with that very text."""
    octets = note.to_note().encode()
    place = data.draw(st.integers(0, len(octets) - 1))
    put = data.draw(st.binary(max_size=2))
    changed = octets[:place] + put + octets[place + data.draw(st.integers(0, 1)) :]
    try:
        read = parse(changed)
    except MalformedCheckpoint:
        assert changed != octets
    else:
        assert read.to_note().encode() == changed
        assert (read == note) == (changed == octets)


@given(st.one_of(st.text(), st.binary()))
@example("\ud800")
@example("\n\n")
@example("\n\n— ")
@example("\n\n— \n")
def test_anything_else_is_refused_with_findings(note: str | bytes) -> None:
    with pytest.raises(MalformedCheckpoint) as refused:
        parse(note, "a.txt")
    assert refused.value.findings
    assert all(finding.where == "a.txt" for finding in refused.value.findings)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("0f8fad5b\n20852", "0f8f ad5b\n20852", "origin"),
        ("0f8fad5b\n20852", "0f8f+ad5b\n20852", "origin"),
        ("0f8fad5b\n20852", "0f8f\u2028ad5b\n20852", "origin"),
        ("\n20852\n", "\n020852\n", "size"),
        ("\n20852\n", "\n-1\n", "size"),
        ("\n20852\n", "\n+1\n", "size"),
        ("\n20852\n", "\n２\n", "size"),  # noqa: RUF001
        ("\n20852\n", "\n1_0\n", "size"),
        ("\n20852\n", "\n9223372036854775808\n", "size"),
        ("\n20852\n", "\n0\n", "root"),
        ("Hh8=", "Hh9=", "root"),
        ("Hh8=", "Hh8", "root"),
        ("Hh8=", "Hg==", "root"),
        ("Hh8=", "Hh8=\r", "note"),
        ("time ", "time  ", "time"),
        ("time ", "Time ", "time"),
        ("2026-03-02T", "2026-02-30T", "time"),
        ("T02:00:00.", "T24:00:00.", "time"),
        ("T02:00:00.", "T02:00:60.", "time"),
        (".000123Z", ".000123+00:00", "time"),
        (".000123Z", ".123Z", "time"),
        ("time 2026-03-02T02:00:00.000123Z\n", "", "body"),
        (".000123Z\n", ".000123Z\nmore\n", "body"),
        ("\n\n—", "\n—", "note"),
        ("—", "-", "signatures.1"),
        ("— ", "—", "signatures.1"),
        (" AAECA3NpZ25hdHVyZQ==", "", "signatures.1"),
        ("AAECA3NpZ25hdHVyZQ==", "AAECAw==", "signatures.1"),
        ("AAECA3NpZ25hdHVyZQ==", "AAECA3NpZ25hdHVyZR==", "signatures.1"),
        ("AAECA3NpZ25hdHVyZQ==", "AAECA3NpZ25hdHVyZQ== ", "signatures.1"),
        ("ZQ==\n", "ZQ==", "note"),
        ("ZQ==\n", "ZQ==\n\n", "body"),
        ("ZQ==\n", "ZQ==\nno signature\n", "signatures.2"),
    ],
)
def test_a_finding_names_the_line(old: str, new: str, field: str) -> None:
    changed = NOTE.replace(old, new, 1)
    assert changed != NOTE
    with pytest.raises(MalformedCheckpoint) as refused:
        parse(changed)
    assert field in [finding.field for finding in refused.value.findings]


def test_all_findings_come_at_once() -> None:
    with pytest.raises(MalformedCheckpoint) as refused:
        parse(NOTE.replace("20852", "x").replace("time", "at").replace("—", "-"))
    assert [finding.field for finding in refused.value.findings] == ["size", "time", "signatures.1"]


def test_a_note_has_a_largest_size_and_number_of_signatures() -> None:
    many = SignedCheckpoint(CHECKPOINT, (LINE,) * 16)
    assert parse(many.to_note()) == many
    with pytest.raises(MalformedCheckpoint, match="signatures: got 17, expected 1 to 16"):
        parse(many.to_note() + LINE.to_line())
    with pytest.raises(MalformedCheckpoint, match=f"expected at most {MAX_NOTE}"):
        parse(NOTE + "x" * MAX_NOTE)
    with pytest.raises(ValueError, match="signatures: got 0"):
        SignedCheckpoint(CHECKPOINT, ())


@pytest.mark.parametrize(
    ("origin", "size", "root", "time", "message"),
    [
        ("", 1, ROOT, MOMENT, "origin"),
        ("a\nb", 1, ROOT, MOMENT, "origin"),
        ("a", -1, ROOT, MOMENT, "size"),
        ("a", 1 << 63, ROOT, MOMENT, "size"),
        ("a", 1, ROOT[1:], MOMENT, "root"),
        ("a", 0, ROOT, MOMENT, "root"),
        ("a", 1, ROOT, MOMENT.replace(tzinfo=None), "time"),
        ("a", 1, ROOT, MOMENT.astimezone(timezone(timedelta(hours=1))), "time"),
    ],
)
def test_what_has_no_text_cannot_be_made(
    origin: str, size: int, root: bytes, time: datetime, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}: got"):
        Checkpoint(origin, size, root, time)


@pytest.mark.parametrize(
    ("name", "key_id", "signature"), [("a b", b"1234", b"s"), ("a", b"123", b"s"), ("a", b"1234", b"")]
)
def test_a_signature_line_that_could_not_be_read_back_cannot_be_made(
    name: str, key_id: bytes, signature: bytes
) -> None:
    with pytest.raises(ValueError, match="got"):
        Signature(name, key_id, signature)
