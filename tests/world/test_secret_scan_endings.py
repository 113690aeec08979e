"""What detect-secrets passes over without a word for a file's ending or bytes is looked at, or named."""

import io
import random
import zipfile
from pathlib import Path

import pytest

from fielded.world.secret_scan import scan

pytest.importorskip("detect_secrets", reason="the extra `ato` is not installed")

KEY = "AKIA" + "".join(random.Random(7).choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))
LINE = f'aws_access_key_id = "{KEY}"\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0" + LINE.encode() + b"\xff\xd8"),
        ("picture.svg", LINE.encode()),
        ("data.bin", b"\0\1" + LINE.encode()),
        ("font.woff", LINE.encode()),
        ("big_endian.txt", LINE.encode("utf-16-be")),
        ("little_endian.txt", LINE.encode("utf-16-le")),
        ("accented.txt", "Ä".encode("utf-16-le") + LINE.encode("utf-16-le")),
    ],
)
def test_no_ending_and_no_encoding_hides_it(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    (hit,) = scan([(".", tmp_path)]).hits
    assert (hit.file, hit.kind) == (name, "AWS Access Key")


def test_a_zip_whose_packed_bytes_are_damaged_is_named(tmp_path: Path) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.py", LINE * 50)
    content = bytearray(held.getvalue())
    content[34:60] = b"\xff" * 26  # behind the local header
    (tmp_path / "damaged.zip").write_bytes(content)
    found = scan([(".", tmp_path)])
    assert (found.hits, found.not_read) == ((), ("damaged.zip (no readable zip)",))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("at_the_end.yaml", f"a: 1\n# the old key was {KEY}\n"),
        ("beside.yaml", f"a: 1  # {KEY}\n"),
        ("only.yml", f"# {KEY}\n"),
        ("semicolon.ini", f"[a]\n; {KEY}\nb = 1\n"),
        ("hash.cfg", f"# {KEY}\n[a]\nb = 2\n"),
    ],
)
def test_no_comment_hides_it(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    (hit,) = scan([(".", tmp_path)]).hits
    assert str(hit) == f"{name}:{1 + content[: content.index(KEY)].count(chr(10))} AWS Access Key"
