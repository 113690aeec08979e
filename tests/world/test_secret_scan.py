"""What looks like a secret is found in whatever file it lies, and told by place and kind alone."""

import builtins
import gzip
import io
import random
import socket
import string
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fielded.words.errors import WrongUse
from fielded.world.secret_scan import LARGEST, Scanned, scan

pytest.importorskip("detect_secrets", reason="the extra `ato` is not installed")

_CHANCE = random.Random(7)


def made(length: int, letters: str) -> str:
    """Random, so that this file holds nothing that looks like a secret."""
    return "".join(_CHANCE.choices(letters, k=length))


KEY = "AKIA" + made(16, string.ascii_uppercase + "234567")
PASSWORD = "p" + made(15, string.ascii_letters + string.digits)
LINE = f'aws_access_key_id = "{KEY}"\n'
AWS = "AWS Access Key"


def scanned(folder: Path, **files: str | bytes) -> Scanned:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return scan([(".", folder)])


def zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def found(scan_: Scanned) -> list[str]:
    return [str(hit) for hit in scan_.hits]


def test_each_kind_is_found_by_line(tmp_path: Path) -> None:
    seen = scanned(
        tmp_path,
        notes_py=f"import os\n\n{LINE}",
        parts__site_yaml=f"notify:\n  mail:\n    password: {PASSWORD}\n",
        old_pem="-----BEGIN " + "PRIVATE KEY-----\nMIIE\n",
        journal_txt=f"postgresql://fielded:{PASSWORD}@db.example.mil/journal\n",
        api_ini=f"[api]\npassword = {PASSWORD}\n",
    )
    assert set(found(seen)) >= {
        f"notes.py:3 {AWS}",
        "parts/site.yaml:3 Secret Keyword",
        "old.pem:1 Private Key",
        "journal.txt:1 Basic Auth Credentials",
        "api.ini:2 Secret Keyword",
    }
    assert seen.files == ("api.ini", "journal.txt", "notes.py", "old.pem", "parts/site.yaml")
    assert not any(secret in repr(seen) for secret in (KEY, PASSWORD))


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (LINE.encode("utf-16"), "kept.txt:1"),
        (LINE.encode("utf-8-sig"), "kept.txt:1"),
        ("é ".encode("latin-1") + LINE.encode(), "kept.txt:1"),
        (b"\x00\x01" + LINE.encode() + b"\xff\xfe\x80", "kept.txt:1"),
        (b"\xff\xfe" + LINE.encode(), "kept.txt:2"),
        (b"\xfe\xff" + LINE.encode() + b"\x00", "kept.txt:2"),
        (zipped("deep/notes.py", LINE.encode()), "kept.txt!deep/notes.py:1"),
        (zipped("deep/notes.py", LINE.encode("utf-16")), "kept.txt!deep/notes.py:1"),
    ],
)
def test_a_file_that_is_no_utf8_is_read_all_the_same(tmp_path: Path, content: bytes, place: str) -> None:
    assert found(scanned(tmp_path, kept_txt=content)) == [f"{place} {AWS}"]


def test_a_lock_file_is_read_but_for_its_digests(tmp_path: Path) -> None:
    (tmp_path / "poetry.lock").write_text(f'hash = "sha256:{made(64, "0123456789abcdef")}"\n{LINE}')
    assert found(scan([(".", tmp_path)])) == [f"poetry.lock:2 {AWS}"]


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    packed = gzip.compress(LINE.encode())
    locked = bytearray(zipped("notes.py", LINE.encode()))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1  # the flag of an encrypted member
    seen = scanned(
        tmp_path,
        a_gz=packed,
        b_zip=zipped("inner.gz", packed),
        c_zip=bytes(locked),
        d_txt=b"x" * (LARGEST + 1),
        e_zip=zipped("inner.zip", zipped("notes.py", LINE.encode())),
    )
    assert seen.hits == ()
    assert seen.not_read == (
        "a.gz (packed)", "b.zip!inner.gz (packed)", "c.zip!notes.py (encrypted)", "d.txt (over 4 MiB)",
        "e.zip!inner.zip (packed)",
    )  # fmt: skip


def test_a_place_that_is_not_there_is_not_clean(tmp_path: Path) -> None:
    assert scan([("image", tmp_path / "none")]).not_read == ("image (not there)",)


def test_a_zip_with_too_much_in_it_is_not_unpacked(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"0" * (16 * LARGEST + 1))
    assert len(file.getvalue()) < LARGEST
    assert scanned(tmp_path, bomb_zip=file.getvalue()).not_read == ("bomb.zip (too much in it)",)


def test_references_are_no_secrets(tmp_path: Path) -> None:
    arn = "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:fielded/hook-AbCdEf"
    seen = scanned(
        tmp_path,
        site_yaml=(
            "notify:\n"
            "  webhook: {url: https://hook.example.mil/, secret: env:HOOK_SECRET}\n"
            "  mail:\n    password: file:/run/secrets/mail\n"
            f"monitoring:\n  token: aws-secretsmanager:{arn}#token\n"
        ),
        site_json=f'{{"token": "aws-secretsmanager:{arn}",\n "secret": "file:secrets/hook"}}\n',
    )
    assert seen.hits == ()
    seen = scanned(tmp_path, site_yaml=f"password: env:HOOK {PASSWORD}\n")
    assert found(seen) == ["site.yaml:1 Secret Keyword"], "only the whole of it is a reference"


def test_a_digest_is_one_where_it_is_called_so(tmp_path: Path) -> None:
    digest = made(64, "0123456789abcdef")
    assert scanned(tmp_path, a_json=f'{{"artifact_sha256": "{digest}",\n"got": "{digest}"}}').hits == ()
    assert scanned(tmp_path, a_json=f'{{"item": "sha256",\n"got": "{digest}"}}').hits == ()
    assert found(scanned(tmp_path, a_json=f'{{"x": "{digest}"}}')) == ["a.json:1 Hex High Entropy String"]
    shorter = f'{{"sha256": "{digest[:48]}"}}'
    assert found(scanned(tmp_path, a_json=shorter)) == ["a.json:1 Hex High Entropy String"]


def test_a_line_that_says_so_is_left_out_and_named(tmp_path: Path) -> None:
    seen = scanned(tmp_path, a_py=f"{LINE.rstrip()}  # pragma: allowlist secret\nx = 1\n")
    assert (seen.hits, seen.allowed) == ((), ("a.py:1",))


def test_folders_of_tools_are_not_entered_and_named(tmp_path: Path) -> None:
    for folder in (".git", "my.git", "deep/.fielded/keys"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "notes.py").write_text(LINE)
    seen = scan([(".", tmp_path)])
    assert found(seen) == [f"my.git/notes.py:1 {AWS}"]
    assert seen.not_entered == (".git", "deep/.fielded")
    assert scan([("image", tmp_path)]).not_entered == ("image/.git", "image/deep/.fielded")


def test_a_link_is_what_it_leads_to_and_a_file_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "away" / "notes.py").write_text(LINE)
    (tmp_path / "here" / "link.py").symlink_to(tmp_path / "away" / "notes.py")
    (tmp_path / "here" / "dead.py").symlink_to(tmp_path / "none")
    seen = scan([(".", tmp_path / "here"), ("away", tmp_path / "away")])
    assert found(seen) == [f"link.py:1 {AWS}"]
    assert seen.files == ("link.py",)


def test_no_network_and_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the scan asked a network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    before = warnings.showwarning
    assert scanned(tmp_path, a_py=LINE + f'github = "ghp_{made(36, string.ascii_letters)}"\n').hits
    assert list(temporary.iterdir()) == []
    assert warnings.showwarning is before
    told = capfd.readouterr()
    assert KEY not in told.out + told.err


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("detect_secrets"):
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(WrongUse, match=r'pip install "fielded\[ato\]"'):
        scan([(".", tmp_path)])


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.binary(max_size=200), after=st.binary(max_size=200))
@example(before=b"\xff\xfe", after=b"")
def test_a_key_among_any_bytes_is_found_or_the_file_is_named(tmp_path: Path, before: bytes, after: bytes) -> None:
    seen = scanned(tmp_path, any_bin=before + b"\n" + LINE.encode() + after)
    assert any(hit.kind == AWS for hit in seen.hits) or seen.not_read
