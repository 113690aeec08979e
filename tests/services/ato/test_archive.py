"""The package's archive: the same bytes for the same files, nothing in it that two readers see differently, and a
signature that stands and falls with its bytes and its key."""

import contextlib
import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.services.ato import archive as module
from fielded.services.ato.archive import archive_of, read_archive, read_signature, signature_of, signed_text
from fielded.words.errors import Refused, Unreachable
from fielded.world.keys import FileSigner

FILES = {
    "manifest.json": b"{}\n",
    "evidence/rollback.json": b'{"id": "rollback"}\n',
    "page.html": b"<p>\xc3\xa4</p>" * 500,
}
NAMES = st.text("abcdefghij_-0123456789", min_size=1, max_size=8)


@pytest.fixture(params=["ed25519", "p256"])
def signer(request: pytest.FixtureRequest, tmp_path: Path) -> FileSigner:
    return made_signer(tmp_path / f"{request.param}.pem", request.param)


def made_signer(path: Path, kind: str) -> FileSigner:
    key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return FileSigner(path, development=False)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "package.zip"
    path.write_bytes(content)
    return path


def zipped(*files: tuple[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content)
    return held.getvalue()


def refused(path: Path) -> str:
    with pytest.raises(Refused) as caught:
        read_archive(path)
    return str(caught.value)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(NAMES, st.binary(max_size=200), max_size=6), st.randoms())
def test_the_same_files_have_the_same_bytes_in_whatever_order_they_came(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], chance: Any
) -> None:
    names = list(files)
    chance.shuffle(names)
    made = archive_of({name: files[name] for name in names})
    assert made == archive_of(files)
    assert read_archive(written(tmp_path_factory.mktemp("read"), made)) == files


def test_no_clock_no_order_and_no_permission_of_here_is_in_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(written(tmp_path, archive_of(FILES))) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(FILES)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o644}
    assert {entry.create_system for entry in entries} == {3}


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../manifest.json", "a/../../b", "a\\..\\b", "C:/b", "a//b", "folder/", "./a", "a/./b"]
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    assert "below the package's own folder" in refused(written(tmp_path, zipped((name, b"x"))))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    content = zipped(("manifest.json", b"good"), ("manifest.json", b"bad"))
    assert "expected each once" in refused(written(tmp_path, content))


def test_too_many_files_and_too_many_bytes_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    many = zipped(*((str(number), b"") for number in range(module.MOST_FILES + 1)))
    assert f"got {module.MOST_FILES + 1} files" in refused(written(tmp_path, many))
    content = bytearray(zipped(("bomb", b"x")))
    place = content.rindex(b"PK\x01\x02")
    content[place + 24 : place + 28] = struct.pack("<I", module.MOST_BYTES + 1)  # the size that it says it has
    assert "1 GiB" in refused(written(tmp_path, bytes(content)))


def damaged(change: Callable[[bytearray], object]) -> bytes:
    content = bytearray(archive_of({"page.html": FILES["page.html"]}))
    change(content)
    return bytes(content)


def _set(place: int, value: bytes) -> Callable[[bytearray], object]:
    return lambda content: content.__setitem__(slice(place, place + len(value)), value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip at all",
        archive_of(FILES)[:-30],
        damaged(_set(39, b"\xff" * 20)),  # packed bytes, behind the local header
        damaged(lambda content: content.__setitem__(content.rindex(b"PK\x01\x02") + 16, 0)),  # its checksum
        damaged(_set(30, b"other.txt")),  # the name in the local header is another than in the directory
        damaged(lambda content: content.__setitem__(content.rindex(b"PK\x01\x02") + 8, 1)),  # encrypted
        damaged(lambda content: content.__setitem__(content.rindex(b"PK\x01\x02") + 10, 97)),  # packed otherwise
    ],
)
def test_what_is_no_good_zip_is_refused_and_nothing_else_is_raised(tmp_path: Path, content: bytes) -> None:
    assert "got no zip file, or one with a fault" in refused(written(tmp_path, content))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_byte_changed_is_another_archive_or_no_good_one(
    tmp_path_factory: pytest.TempPathFactory, place: int, by: int
) -> None:
    content = bytearray(archive_of(FILES))
    content[place % len(content)] ^= by
    assert bytes(content) != archive_of(FILES)
    with contextlib.suppress(Refused):
        read_archive(written(tmp_path_factory.mktemp("changed"), bytes(content)))


def test_one_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"package\.zip: cannot be read"):
        read_archive(tmp_path / "package.zip")


class TestSignature:
    def test_it_verifies_with_its_key_and_says_its_archive(self, signer: FileSigner, tmp_path: Path) -> None:
        archive = archive_of(FILES)
        signed = read_signature(self.beside(tmp_path, signature_of(archive, signer)))
        assert signed.archive_sha256 == hashlib.sha256(archive).hexdigest()
        assert signed.by([signer.public_key]) == signer.public_key
        said = json.loads((tmp_path / "package.zip.sig").read_text())
        assert (said["key_id"], said["algorithm"]) == (signer.key_id, signer.algorithm)

    def test_of_another_key_it_is_by_nobody(self, signer: FileSigner, tmp_path: Path) -> None:
        others = [made_signer(tmp_path / f"other-{kind}.pem", kind) for kind in ("ed25519", "p256")]
        signed = read_signature(self.beside(tmp_path, signature_of(archive_of(FILES), signer)))
        assert signed.by([other.public_key for other in others]) is None
        assert signed.by([]) is None, "the key that it names itself proves nothing"
        assert signed.by([*(other.public_key for other in others), signer.public_key]) == signer.public_key

    def test_one_that_names_a_trusted_key_and_is_anothers_is_by_nobody(
        self, signer: FileSigner, tmp_path: Path
    ) -> None:
        forger = made_signer(tmp_path / "forger.pem", "ed25519")
        values = json.loads(signature_of(archive_of(FILES), forger))
        values |= {"public_key": signer.public_key_pem, "key_id": signer.key_id}
        signed = read_signature(self.beside(tmp_path, json.dumps(values).encode()))
        assert signed.by([signer.public_key]) is None

    def test_of_another_archive_it_does_not_follow_its_digest(self, signer: FileSigner, tmp_path: Path) -> None:
        values = json.loads(signature_of(archive_of({"manifest.json": b"other"}), signer))
        other = read_signature(self.beside(tmp_path, json.dumps(values).encode()))
        sha256 = hashlib.sha256(archive_of(FILES)).hexdigest()
        assert other.archive_sha256 != sha256
        moved = read_signature(self.beside(tmp_path, json.dumps({**values, "archive_sha256": sha256}).encode()))
        assert moved.by([signer.public_key]) is None

    def test_what_is_signed_is_one_text_that_names_what_it_is(self) -> None:
        assert signed_text("ab" * 32) == f"fielded package signature 1\n{'ab' * 32}\n".encode()

    @pytest.mark.parametrize(
        "change",
        [
            {"format": "another"},
            {"format": ["fielded package signature 1"]},
            {"public_key": "no key"},
            {"public_key": 12},
            {"signature": "no base64!"},
            {"signature": None},
            {"archive_sha256": ...},
            {"public_key": ...},
        ],
    )
    def test_one_that_cannot_be_read_is_refused(
        self, signer: FileSigner, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        values = json.loads(signature_of(archive_of(FILES), signer)) | change
        kept = {name: value for name, value in values.items() if value is not ...}
        with pytest.raises(Refused, match="got a signature that cannot be read"):
            read_signature(self.beside(tmp_path, json.dumps(kept).encode()))

    @pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff\xfe", b"{"])
    def test_nor_is_what_is_none(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(Refused, match="got a signature that cannot be read"):
            read_signature(self.beside(tmp_path, content))
        (tmp_path / "package.zip.sig").unlink()
        with pytest.raises(Refused, match="got no such file, expected the signature beside the archive"):
            read_signature(tmp_path / "package.zip.sig")

    def test_a_private_key_in_its_place_is_not_shown(self, signer: FileSigner, tmp_path: Path) -> None:
        private = (tmp_path / f"{'ed25519' if signer.algorithm == 'Ed25519' else 'p256'}.pem").read_text()
        values = json.loads(signature_of(archive_of(FILES), signer)) | {"public_key": private}
        with pytest.raises(Refused) as caught:
            read_signature(self.beside(tmp_path, json.dumps(values).encode()))
        assert private.splitlines()[1] not in str(caught.value)

    @staticmethod
    def beside(folder: Path, content: bytes) -> Path:
        path = folder / "package.zip.sig"
        path.write_bytes(content)
        return path
